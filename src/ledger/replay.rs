//! Where training again gives the same bytes, as a recipe was frozen.

use std::{collections::BTreeMap, fmt};

use serde::{Deserialize, Serialize};

use crate::digest::Digest;

/// Where training again from the same rows gives the same bytes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "where", rename_all = "snake_case", deny_unknown_fields)]
pub enum Replay {
    /// On any machine: the learner is one of this program.
    #[default]
    Everywhere,
    /// Where the probe of the learner, a program of the person's own, is the same.
    Environment {
        /// What the person calls the learner.
        learner: String,
        /// What it says of itself and where it runs.
        environment: BTreeMap<String, String>,
        /// The digest of what it makes of made-up rows.
        probe: Digest,
    },
    /// Nowhere: the person said that it is not to be.
    Nowhere {
        /// What the person calls the learner.
        learner: String,
        /// What it says of itself and where it runs.
        environment: BTreeMap<String, String>,
    },
}

impl Replay {
    /// Whether that is any machine.
    #[must_use]
    pub fn is_everywhere(&self) -> bool {
        *self == Replay::Everywhere
    }
}

impl fmt::Display for Replay {
    /// What follows "by replay".
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let named = |environment: &BTreeMap<String, String>| {
            environment.iter().map(|(key, value)| format!("{key} {value}, ")).collect::<String>()
        };
        match self {
            Replay::Everywhere => f.write_str("on any machine"),
            Replay::Environment { learner, environment, probe } => {
                let probe: String = probe.to_string().chars().take(16).collect();
                write!(f, "in one environment (learner `{learner}`: {}probe {probe})", named(environment))
            }
            Replay::Nowhere { learner, .. } => write!(f, "nowhere (the learner `{learner}` is recorded as not replayable)"),
        }
    }
}
