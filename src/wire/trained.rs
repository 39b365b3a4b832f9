use serde::Serialize;

use super::deletion::AlikeIds;
use crate::{engine::TrainReport, import::ImportReport, train::Report};

/// What a training did.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "type", rename = "trained")]
#[non_exhaustive]
pub struct Trained {
    /// The generation that was trained, as its folder is named.
    pub generation: String,
    /// The recipe.
    pub recipe: String,
    /// What was imported before; `None` without an import.
    pub imported: Option<Imported>,
    /// Steps trained and published.
    pub steps: u32,
    /// Visits of rows, also of steps whose result was no longer wanted.
    pub row_passes: u64,
    /// Bytes of the checkpoints published.
    pub bytes: u64,
    /// Wall time of training.
    pub seconds: f64,
    /// Whether nothing is missing now.
    pub complete: bool,
    /// Shards that stopped at a step with a non-finite number.
    pub diverged: Vec<Diverged>,
    /// Names of the requests that this run closed.
    pub repaired: Vec<String>,
}

/// An import.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Imported {
    /// Records in slices.
    pub records: u64,
    /// Records held out.
    pub held_out: u64,
    /// Rows refused because their ids are suppressed.
    pub refused: u64,
    /// Ids that are whole numbers with `.0`.
    pub point_zero_ids: u64,
    /// Ids that differ from another one in one thing alone; an estimate where there are more than 65,536 ids.
    pub alike_ids: Vec<AlikeIds>,
    /// Seconds until all rows lay sorted by shard.
    pub read_seconds: f64,
    /// Seconds from there until the slices were synced.
    pub publish_seconds: f64,
}

/// A shard that stopped at a step with a non-finite number, and serves its last clean step.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Diverged {
    /// Its number.
    pub shard: u32,
    /// What happened.
    pub message: String,
}

impl Diverged {
    /// All diverged shards of a run.
    pub(super) fn of(report: &Report) -> Vec<Diverged> {
        report.diverged().map(|(shard, what)| Diverged { shard: shard.0, message: what.to_owned() }).collect()
    }
}

impl From<ImportReport> for Imported {
    fn from(import: ImportReport) -> Imported {
        Imported {
            records: import.records,
            held_out: import.held_out,
            refused: import.refused,
            point_zero_ids: import.alike.point_zero,
            alike_ids: import.alike.kinds().map(|(differs_in, ids)| AlikeIds { differs_in, and_in: None, ids }).collect(),
            read_seconds: import.read_seconds,
            publish_seconds: import.publish_seconds,
        }
    }
}

impl From<&TrainReport> for Trained {
    fn from(report: &TrainReport) -> Trained {
        Trained {
            generation: report.generation.to_string(),
            recipe: report.recipe.to_string(),
            imported: report.import.map(Imported::from),
            steps: report.report.shards.iter().map(|s| s.steps).sum(),
            row_passes: report.report.row_passes(),
            bytes: report.bytes,
            seconds: report.report.seconds,
            complete: report.complete,
            diverged: Diverged::of(&report.report),
            repaired: report.repaired.as_ref().map(|r| r.requests.clone()).unwrap_or_default(),
        }
    }
}
