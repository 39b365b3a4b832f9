//! `sisa schema`: a configuration proposed from the data.

use std::path::PathBuf;

use super::{Engine, Error};
use crate::config::Flags;

/// A proposed configuration.
#[derive(Clone, Debug)]
pub struct Proposed {
    /// The text of `sisa.toml`.
    pub text: String,
    /// What was guessed.
    pub notes: Vec<String>,
}

impl Engine {
    /// Proposes a configuration for sources.
    ///
    /// # Errors
    /// A source can't be read.
    pub fn propose(&self, sources: &[PathBuf], _flags: &Flags) -> Result<Proposed, Error> {
        let _ = crate::source::open_all(sources)?;
        Ok(Proposed { text: String::new(), notes: Vec::new() })
    }
}
