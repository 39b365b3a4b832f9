use serde::Serialize;

use super::SeenBy;
use crate::{
    engine::{self, DeleteReport},
    ids::{Cell, Handle},
    ledger::{Accepted, OutcomeKind, RequestRecord},
    schema::{Difference, Likeness},
};

/// A request that is in effect: nothing that saw the records answers any more.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "type", rename = "effective")]
#[non_exhaustive]
pub struct Effective {
    /// Its name.
    pub request: String,
    /// Seconds from acceptance to effect.
    pub seconds: f64,
    /// What became of every id, records before subjects, each by handle.
    pub outcomes: Vec<Outcome>,
    /// Slice files that were written again.
    pub cells: Vec<CellWritten>,
    /// Checkpoints unlinked, a count.
    pub purged: usize,
    /// Copies of models that saw what goes: nothing reaches those but who has them.
    pub exports: Vec<SeenBy>,
    /// Row-passes that the repair costs.
    pub predicted_row_passes: u64,
    /// Row-passes of training everything.
    pub full_row_passes: u64,
}

/// What became of one id, which is not repeated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Outcome {
    /// Its handle.
    pub handle: Handle,
    /// Whether it is a subject's.
    pub subject: bool,
    /// What became of it.
    pub outcome: OutcomeKind,
    /// Records of slices that go.
    pub in_slices: u64,
    /// Held-out records that go.
    pub held_out: u64,
}

/// A slice file that is written again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct CellWritten {
    /// Its generation, as the folder is named.
    pub generation: String,
    /// Its shard and slice.
    pub cell: Cell,
    /// Records that go.
    pub records: u64,
    /// Records that come in the place of others, by a correction.
    pub come: u64,
}

/// What a request would do.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "type", rename = "forecast")]
#[non_exhaustive]
pub struct Forecast {
    /// What would become of every id, records before subjects, each by handle.
    pub outcomes: Vec<Outcome>,
    /// Slice files that would be written again.
    pub cells: Vec<CellWritten>,
    /// Checkpoints that would go, a count.
    pub checkpoints: usize,
    /// Copies of models that saw what would go.
    pub exports: Vec<SeenBy>,
    /// Row-passes of the repair.
    pub row_passes: u64,
    /// Row-passes of training everything.
    pub full_row_passes: u64,
    /// Seconds of the repair, estimated from a short trial; `None` when nothing could be tried.
    pub seconds: Option<f64>,
    /// Seconds of training everything.
    pub full_seconds: Option<f64>,
    /// Lines of the list of ids, and of tables of rows, for which nothing would be found. Whoever read the list says which.
    pub unknown_lines: Vec<u64>,
    /// Unknown ids that are there in a spelling that differs in one thing, or in two.
    pub unknown_alike: Vec<AlikeIds>,
    /// Records that would stay as they have no date, where those before one are asked for; `None` otherwise.
    pub undated: Option<u64>,
}

/// Ids that are there, or others like them, but for their spelling.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct AlikeIds {
    /// In what they differ: `point_zero`, `case`, `blanks`, `unicode` or `zeros`.
    pub differs_in: Likeness,
    /// In what they differ besides, where it is two things.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub and_in: Option<Likeness>,
    /// How many.
    pub ids: u64,
}

/// A request, when the call comes to its end.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "type", rename = "deleted")]
#[non_exhaustive]
pub struct Deleted {
    /// Its name.
    pub request: String,
    /// Whether it was accepted before.
    pub repeated: bool,
    /// Copies of models that saw what went: nothing reaches those but who has them.
    pub exports: Vec<SeenBy>,
    /// Whether an id was not found.
    pub unknown: bool,
    /// Lines of the list of ids, and of tables of rows, for which nothing was found. Whoever read the list says which.
    pub unknown_lines: Vec<u64>,
    /// Unknown ids that are there in a spelling that differs in one thing, or in two.
    pub unknown_alike: Vec<AlikeIds>,
    /// Records that stay as they have no date, where those before one were asked for for the first time; `None` otherwise.
    pub undated: Option<u64>,
    /// Whether it is repaired now.
    pub repaired: bool,
}

/// A request, as the ledger tells it.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "type", rename = "request")]
#[non_exhaustive]
pub struct Request {
    /// Its name.
    pub request: String,
    /// When it was accepted.
    pub accepted_at: String,
    /// When it came into effect.
    pub effective_at: Option<String>,
    /// Seconds from acceptance to effect.
    pub effective_seconds: Option<f64>,
    /// When it was repaired.
    pub repaired_at: Option<String>,
    /// Seconds of training, of all requests repaired together.
    pub repair_seconds: Option<f64>,
    /// What became of every id.
    pub outcomes: Vec<Outcome>,
    /// Copies of models that saw what went.
    pub exports: Vec<SeenBy>,
    /// Row-passes predicted.
    pub predicted_row_passes: u64,
    /// Row-passes taken, of all requests repaired together.
    pub row_passes: Option<u64>,
    /// Row-passes of training everything.
    pub full_row_passes: u64,
}

/// Ids that may be imported again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "type", rename = "unsuppressed")]
#[non_exhaustive]
pub struct Unsuppressed {
    /// How many were on the list.
    pub ids: usize,
}

fn outcomes(accepted: &Accepted) -> Vec<Outcome> {
    let outcome = |o: &crate::ledger::Outcome| Outcome {
        handle: o.handle,
        subject: o.subject,
        outcome: o.outcome,
        in_slices: o.in_slices,
        held_out: o.held_out,
    };
    accepted.outcomes.iter().map(outcome).collect()
}

fn cells(accepted: &Accepted) -> Vec<CellWritten> {
    let cells = accepted.cells.iter();
    cells.map(|c| CellWritten { generation: c.generation.to_string(), cell: c.cell, records: c.records, come: c.come }).collect()
}

impl Effective {
    /// A request that came into effect so many seconds after its acceptance.
    pub fn of(accepted: &Accepted, seconds: f64) -> Effective {
        Effective {
            request: accepted.request.clone(),
            seconds,
            outcomes: outcomes(accepted),
            cells: cells(accepted),
            purged: accepted.purge.len(),
            exports: SeenBy::all(&accepted.exports),
            predicted_row_passes: accepted.predicted.row_passes,
            full_row_passes: accepted.predicted.full_row_passes,
        }
    }
}

impl From<&engine::Forecast> for Forecast {
    fn from(forecast: &engine::Forecast) -> Forecast {
        let accepted = &forecast.accepted;
        let cost = accepted.predicted;
        let seconds = |row_passes: u64| forecast.row_passes_per_second.map(|speed| row_passes as f64 / speed);
        Forecast {
            outcomes: outcomes(accepted),
            cells: cells(accepted),
            checkpoints: accepted.purge.len(),
            exports: SeenBy::all(&accepted.exports),
            row_passes: cost.row_passes,
            full_row_passes: cost.full_row_passes,
            seconds: seconds(cost.row_passes),
            full_seconds: seconds(cost.full_row_passes),
            unknown_lines: Vec::new(),
            unknown_alike: AlikeIds::all(&forecast.unknown.alike),
            undated: forecast.undated,
        }
    }
}

impl AlikeIds {
    fn all(alike: &[(Difference, usize)]) -> Vec<AlikeIds> {
        let of = |(in_what, ids): &(Difference, usize)| AlikeIds {
            differs_in: in_what.first,
            and_in: in_what.second,
            ids: *ids as u64,
        };
        alike.iter().map(of).collect()
    }
}

impl From<&DeleteReport> for Deleted {
    fn from(report: &DeleteReport) -> Deleted {
        Deleted {
            request: report.accepted.request.clone(),
            repeated: report.repeated,
            exports: SeenBy::all(&report.accepted.exports),
            unknown: report.any_unknown(),
            unknown_lines: Vec::new(),
            unknown_alike: AlikeIds::all(&report.unknown.alike),
            undated: report.undated,
            repaired: report.done || report.repair.as_ref().is_some_and(|r| r.complete),
        }
    }
}

impl From<&RequestRecord> for Request {
    fn from(record: &RequestRecord) -> Request {
        let (effective, repaired) = (record.effective.as_ref(), record.repaired.as_ref());
        Request {
            request: record.accepted.request.clone(),
            accepted_at: record.accepted_at.clone(),
            effective_at: effective.map(|e| e.0.clone()),
            effective_seconds: effective.map(|e| e.1.seconds),
            repaired_at: repaired.map(|r| r.0.clone()),
            repair_seconds: repaired.map(|r| r.1.seconds),
            outcomes: outcomes(&record.accepted),
            exports: SeenBy::all(&record.accepted.exports),
            predicted_row_passes: record.accepted.predicted.row_passes,
            row_passes: repaired.map(|r| r.1.actual.row_passes),
            full_row_passes: record.accepted.predicted.full_row_passes,
        }
    }
}

impl Unsuppressed {
    /// So many ids.
    pub fn of(ids: usize) -> Unsuppressed {
        Unsuppressed { ids }
    }
}
