use serde::Serialize;

use crate::lab::{BenchReport, GrowthReport};

/// Batches that came later, measured: a part of the records was imported, and the rest appended.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(tag = "type", rename = "bench_growth")]
#[non_exhaustive]
pub struct BenchGrowth {
    /// Batches that brought somebody.
    pub batches: u64,
    /// What each brought, as a share of the import.
    pub share: f64,
    /// Row-passes of training on the import.
    pub import_row_passes: u64,
    /// Seconds of the same.
    pub import_seconds: f64,
    /// Row-passes of all batches together.
    pub row_passes: u64,
    /// Row-passes of the dearest batch.
    pub worst_row_passes: u64,
    /// Median seconds of a batch, from its rows in memory until it is trained on.
    pub seconds: Option<f64>,
    /// Row-passes that the closed form says for all of them; `None` where batches have no steps of their own.
    pub planned_row_passes: Option<f64>,
    /// Slices of a shard once all are there.
    pub slices: u32,
    /// Row-passes of training everything anew then.
    pub anew_row_passes: u64,
    /// Seconds of the same.
    pub anew_seconds: f64,
    /// Median row-passes of repairing a single deletion before the first batch.
    pub deletion_row_passes_before: Option<f64>,
    /// The same once all are there.
    pub deletion_row_passes_after: Option<f64>,
    /// Median seconds of a single deletion until it is repaired, before the first batch.
    pub deletion_seconds_before: Option<f64>,
    /// The same once all are there.
    pub deletion_seconds_after: Option<f64>,
}

impl From<&GrowthReport> for BenchGrowth {
    fn from(growth: &GrowthReport) -> BenchGrowth {
        BenchGrowth {
            batches: growth.appends.len() as u64,
            share: growth.arrivals.share,
            import_row_passes: growth.import.row_passes,
            import_seconds: growth.import.seconds,
            row_passes: growth.row_passes(),
            worst_row_passes: growth.worst(),
            seconds: BenchReport::seconds(&growth.appends),
            planned_row_passes: growth.planned.map(|planned| planned.all * growth.import.row_passes as f64),
            slices: growth.slices,
            anew_row_passes: growth.anew.row_passes,
            anew_seconds: growth.anew.seconds,
            deletion_row_passes_before: GrowthReport::median(&growth.before, |d| d.row_passes as f64),
            deletion_row_passes_after: GrowthReport::median(&growth.after, |d| d.row_passes as f64),
            deletion_seconds_before: GrowthReport::median(&growth.before, |d| d.repaired),
            deletion_seconds_after: GrowthReport::median(&growth.after, |d| d.repaired),
        }
    }
}
