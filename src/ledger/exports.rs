//! Copies of models that left the workspace, and whom they saw.
//!
//! A copy saw a person if its generation, or one whose rows went on into another, held a record of theirs in a slice when the copy was
//! made. What is held out is seen by no model. Where a later batch was joined to earlier ones a copy from before it counts as having
//! seen it, and where its generation is gone nobody can tell.

use serde::{Deserialize, Serialize};

use super::{CellChange, Entry, History};
use crate::{
    digest::Digest,
    ids::{GenerationId, Part, RecipeId},
};

/// The form of a copy.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ExportFormat {
    /// A graph that answers.
    #[default]
    Onnx,
    /// Weights.
    Safetensors,
}

impl ExportFormat {
    /// As it is written.
    pub fn name(self) -> &'static str {
        match self {
            ExportFormat::Onnx => "onnx",
            ExportFormat::Safetensors => "safetensors",
        }
    }
}

impl std::str::FromStr for ExportFormat {
    type Err = String;

    fn from_str(text: &str) -> Result<ExportFormat, String> {
        match text {
            "onnx" => Ok(ExportFormat::Onnx),
            "safetensors" => Ok(ExportFormat::Safetensors),
            other => Err(format!("`{other}` is no format of a model; write onnx or safetensors")),
        }
    }
}

/// What is in service was written to a file that other programs read: a copy that no later deletion reaches.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Exported {
    /// The form of the file.
    pub format: ExportFormat,
    /// The BLAKE3 digest of its bytes.
    pub digest: Digest,
    /// The generation in service.
    pub generation: GenerationId,
    /// The recipe in service.
    pub recipe: RecipeId,
    /// Root digest of all cells of the generation.
    pub records: Digest,
    /// The number of the entry that the copy stands on.
    pub entry: u64,
}

/// A copy, in what the entries add up to.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExportRecord {
    /// The number of its entry.
    pub sequence: u64,
    /// When that was written.
    pub time: String,
    /// What left.
    pub exported: Exported,
    /// How many batches its generation had.
    pub batches: u32,
    /// The generations that its generation's rows went into, itself first.
    pub kin: Vec<GenerationId>,
    /// Requests accepted since that took away what it saw, or may have.
    pub requests: u64,
}

/// A copy that saw what a request takes away.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExportSeen {
    /// The number of its entry.
    pub entry: u64,
    /// When that was written.
    pub time: String,
    /// The form of the file.
    pub format: ExportFormat,
    /// The digest of the file's bytes.
    pub digest: Digest,
    /// Whether that it saw a record is known; not where its generation is gone.
    pub certain: bool,
}

impl History {
    /// The copies that left, oldest first.
    pub fn exports(&self) -> &[ExportRecord] {
        &self.exports
    }

    /// The copies that saw what goes from these cells.
    pub fn exports_that_saw(&self, changes: &[CellChange]) -> Vec<ExportSeen> {
        let seen = |export: &ExportRecord| {
            let gone = export.kin.iter().all(|generation| !self.generations.contains_key(generation));
            (gone || changes.iter().any(|change| self.saw(export, change))).then(|| ExportSeen {
                entry: export.sequence,
                time: export.time.clone(),
                format: export.exported.format,
                digest: export.exported.digest,
                certain: !gone,
            })
        };
        self.exports.iter().filter_map(seen).collect()
    }

    fn saw(&self, export: &ExportRecord, change: &CellChange) -> bool {
        if change.records == 0 || change.cell.part == Part::Holdout || !export.kin.contains(&change.generation) {
            return false;
        }
        let Some(generation) = self.generations.get(&change.generation) else { return false };
        // Batches of a generation that the rows went into came after the copy.
        let batches = if change.generation == export.exported.generation { export.batches } else { 1 };
        generation.cells.chain().batches(change.cell.part).is_none_or(|of| of.first <= batches)
    }

    /// Refuses an export that contradicts the entries before it.
    pub(super) fn check_exported(&self, exported: &Exported, roots: bool) -> Result<(), String> {
        let generation = self.generations.get(&exported.generation).ok_or("a copy of no generation")?;
        if exported.entry != self.head.sequence || !self.unfinished().is_empty() {
            return Err("a copy that does not stand on the entry before it, with every request in effect".into());
        }
        if roots && generation.root() != exported.records {
            return Err("the root digest of a copy's records does not follow from the entries before".into());
        }
        Ok(())
    }

    /// A copy left.
    pub(super) fn exported(&mut self, entry: &Entry, exported: &Exported) {
        let batches = self.generations.get(&exported.generation).map_or(1, |generation| generation.batches);
        self.exports.push(ExportRecord {
            sequence: entry.sequence,
            time: entry.time.clone(),
            exported: exported.clone(),
            batches,
            kin: vec![exported.generation],
            requests: 0,
        });
    }

    /// The rows of a generation went into another.
    pub(super) fn export_kin(&mut self, from: GenerationId, to: GenerationId) {
        self.exports.iter_mut().filter(|export| export.kin.contains(&from)).for_each(|export| export.kin.push(to));
    }

    /// A request took away what copies saw.
    pub(super) fn exports_outlived(&mut self, seen: &[ExportSeen]) {
        for export in &mut self.exports {
            export.requests += u64::from(seen.iter().any(|seen| seen.entry == export.sequence));
        }
    }
}
