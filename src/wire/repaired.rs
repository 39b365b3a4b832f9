use serde::Serialize;

use super::Diverged;
use crate::{engine::RepairReport, ids::GenerationId, import::ImportReport, train::Report};

/// What a repair did.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "type", rename = "repaired")]
#[non_exhaustive]
pub struct Repaired {
    /// Requests closed by it.
    pub requests: Vec<String>,
    /// Whether nothing is missing now.
    pub complete: bool,
    /// Damaged checkpoints that were removed to be built again.
    pub rebuilt: usize,
    /// Row-passes taken.
    pub row_passes: u64,
    /// Row-passes of training everything; `None` when no request was closed.
    pub full_row_passes: Option<u64>,
    /// Seconds of training.
    pub seconds: f64,
    /// Shards that stopped at a step with a non-finite number.
    pub diverged: Vec<Diverged>,
}

/// A rekey: the same records under a fresh key.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "type", rename = "rekeyed")]
#[non_exhaustive]
pub struct Rekeyed {
    /// The new generation, as its folder is named.
    pub generation: String,
    /// Its records in slices.
    pub records: u64,
    /// Row-passes taken.
    pub row_passes: u64,
    /// Seconds of training.
    pub seconds: f64,
}

impl From<&RepairReport> for Repaired {
    fn from(report: &RepairReport) -> Repaired {
        Repaired {
            requests: report.repaired.as_ref().map(|r| r.requests.clone()).unwrap_or_default(),
            complete: report.complete,
            rebuilt: report.rebuilt,
            row_passes: report.report.row_passes(),
            full_row_passes: report.repaired.as_ref().map(|r| r.actual.full_row_passes),
            seconds: report.report.seconds,
            diverged: Diverged::of(&report.report),
        }
    }
}

impl Rekeyed {
    /// What [`Engine::rekey`](crate::engine::Engine::rekey) answered.
    pub fn of(import: &ImportReport, generation: GenerationId, report: &Report) -> Rekeyed {
        Rekeyed {
            generation: generation.to_string(),
            records: import.records,
            row_passes: report.row_passes(),
            seconds: report.seconds,
        }
    }
}
