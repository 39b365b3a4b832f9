use serde::Serialize;

use crate::{engine::CorrectReport, ledger::OutcomeKind};

/// A correction, when the call comes to its end.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "type", rename = "corrected")]
#[non_exhaustive]
pub struct Corrected {
    /// Its name.
    pub request: String,
    /// Whether it was accepted before.
    pub repeated: bool,
    /// Records that hold something else now.
    pub records: u64,
    /// Records that held what was asked for before.
    pub unchanged: u64,
    /// Lines of the tables whose records are not there, or would be about somebody who is suppressed.
    pub left_lines: Vec<u64>,
    /// Whether it is repaired now.
    pub repaired: bool,
}

impl From<&CorrectReport> for Corrected {
    fn from(report: &CorrectReport) -> Corrected {
        let count = |kind: OutcomeKind| report.accepted.outcomes.iter().filter(|o| o.outcome == kind).count() as u64;
        Corrected {
            request: report.accepted.request.clone(),
            repeated: report.repeated,
            records: count(OutcomeKind::Corrected),
            unchanged: count(OutcomeKind::Unchanged),
            left_lines: report.left.iter().map(|row| row.place.line).collect(),
            repaired: report.done || report.repair.as_ref().is_some_and(|r| r.complete),
        }
    }
}
