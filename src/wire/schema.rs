use std::path::Path;

use serde::Serialize;

use crate::engine::{ColumnNote, Proposal};

/// A proposed configuration.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "type", rename = "schema")]
#[non_exhaustive]
pub struct Schema<'a> {
    /// The file that holds it.
    pub file: String,
    /// What was guessed, a sentence each.
    pub notes: &'a [String],
    /// What became of every column that is not the label or an id.
    pub columns: &'a [ColumnNote],
}

impl<'a> Schema<'a> {
    /// A proposal in this file.
    pub fn of(file: &Path, proposal: &'a Proposal) -> Schema<'a> {
        Schema { file: file.display().to_string(), notes: &proposal.notes, columns: &proposal.columns }
    }
}
