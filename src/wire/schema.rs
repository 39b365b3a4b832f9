use std::path::Path;

use serde::Serialize;

/// A proposed configuration.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "type", rename = "schema")]
#[non_exhaustive]
pub struct Schema<'a> {
    /// The file that holds it.
    pub file: String,
    /// What was guessed, a sentence each.
    pub notes: &'a [String],
}

impl<'a> Schema<'a> {
    /// A proposal in this file.
    pub fn of(file: &Path, notes: &'a [String]) -> Schema<'a> {
        Schema { file: file.display().to_string(), notes }
    }
}
