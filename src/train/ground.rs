//! What a builder relies on while it builds: the generation and recipe are those of the ledger, and no entry may have changed a slice.

use super::TrainError;
use crate::{
    ids::{GenerationId, RecipeId},
    ledger::Ledger,
};

/// The ledger that a model stands on. Every change of a slice, and the end of every recipe, is an entry before it is done.
#[derive(Clone, Debug)]
pub struct Ground {
    ledger: Ledger,
    generation: GenerationId,
    recipe: RecipeId,
}

impl Ground {
    /// A generation and recipe of this ledger.
    pub fn new(ledger: Ledger, generation: GenerationId, recipe: RecipeId) -> Ground {
        Ground { ledger, generation, recipe }
    }

    /// Looks whether anything was done since the entry `seen`; returns the number of the last entry if so.
    ///
    /// # Errors
    /// [`TrainError::Replaced`] if the recipe or its generation is gone; the ledger is damaged, or the disk refuses.
    pub fn moved(&self, seen: Option<u64>) -> Result<Option<u64>, TrainError> {
        if let Some(seen) = seen
            && !self.ledger.goes_on_after(seen)?
        {
            return Ok(None);
        }
        let history = self.ledger.read()?;
        let recipes = history.generations.get(&self.generation).map(|g| g.recipes.as_slice()).unwrap_or_default();
        if !recipes.iter().any(|r| r.recipe == self.recipe) {
            return Err(TrainError::Replaced { recipe: self.recipe.to_string() });
        }
        Ok(Some(history.head.sequence))
    }
}
