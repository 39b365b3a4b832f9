//! `CURRENT`: the one small file that says what is in service.

use serde::{Deserialize, Serialize};

use crate::{
    ids::{GenerationId, RecipeId},
    ledger::{Aggregate, Switched},
};

/// What is in service.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Current {
    /// The generation.
    pub generation: GenerationId,
    /// The recipe.
    pub recipe: RecipeId,
    /// How constituents are brought together. Changes no state, so it is not part of the recipe.
    pub aggregate: Aggregate,
}

impl From<&Switched> for Current {
    fn from(switched: &Switched) -> Current {
        let Switched { generation, recipe, aggregate } = switched.clone();
        Current { generation, recipe, aggregate }
    }
}

impl Current {
    /// The bytes of `CURRENT`.
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = serde_json::to_vec_pretty(self).unwrap_or_default();
        bytes.push(b'\n');
        bytes
    }
}
