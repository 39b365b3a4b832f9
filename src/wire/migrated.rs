use serde::Serialize;

use super::Diverged;
use crate::engine::MigrateReport;

/// A migration: the records that are there under another configuration.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "type", rename = "migrated")]
#[non_exhaustive]
pub struct Migrated {
    /// The generation that has the records as they are declared, as its folder is named.
    pub generation: String,
    /// Whether something differed; if not, nothing was done.
    pub new: bool,
    /// What differs from before, in words.
    pub changes: Vec<String>,
    /// Its records in slices; 0 if nothing was done.
    pub records: u64,
    /// Its records held out; 0 if nothing was done.
    pub held_out: u64,
    /// Row-passes taken.
    pub row_passes: u64,
    /// Seconds of training.
    pub seconds: f64,
    /// Whether it is whole, and serves.
    pub complete: bool,
    /// Shards that stopped at a step with a non-finite number.
    pub diverged: Vec<Diverged>,
}

impl From<&MigrateReport> for Migrated {
    fn from(report: &MigrateReport) -> Migrated {
        let (records, held_out) = report.import.map_or((0, 0), |import| (import.records, import.held_out));
        Migrated {
            generation: report.generation.to_string(),
            new: report.import.is_some(),
            changes: report.changes.clone(),
            records,
            held_out,
            row_passes: report.report.row_passes(),
            seconds: report.report.seconds,
            complete: report.complete,
            diverged: Diverged::of(&report.report),
        }
    }
}
