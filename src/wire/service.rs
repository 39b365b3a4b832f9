//! What the service says beside the answers that all faces share.

use serde::Serialize;

use crate::{
    engine::{self, DeleteReport, Error, RequestLine},
    ledger::{Accepted, OutcomeKind},
};

use super::{Failed, RekeyDue, SeenBy, Status};

/// The workspace at one moment, as the service tells it: what `sisa log` warns of stands there too, as the service has the ledger read anyway.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Watched {
    /// What `sisa status` tells.
    #[serde(flatten)]
    pub status: Status,
    /// Whether a rekey is due.
    pub rekey_due: Option<RekeyDue>,
}

impl Watched {
    /// A status with what is due.
    pub fn of(status: &engine::Status, due: Option<&engine::RekeyDue>) -> Watched {
        Watched { status: status.into(), rekey_due: due.map(RekeyDue::from) }
    }
}

/// A deletion request, as told to who may ask for one: no handle, no cell and no cost, from which its place could be guessed.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "type", rename = "deletion")]
#[non_exhaustive]
pub struct Deletion {
    /// Its name; `None` of a dry run.
    pub request: Option<String>,
    /// How far it has come: `forecast` (nothing was changed), `pending` or `cancelled` (not in the ledger), `accepted`, `effective` or `repaired`.
    pub state: &'static str,
    /// When it was accepted.
    pub accepted_at: Option<String>,
    /// When it came into effect.
    pub effective_at: Option<String>,
    /// Seconds from acceptance to effect.
    pub effective_seconds: Option<f64>,
    /// When it was repaired.
    pub repaired_at: Option<String>,
    /// Ids whose records are erased.
    pub erased: u64,
    /// Ids whose records were erased by a request before.
    pub already_erased: u64,
    /// Ids that were not found.
    pub unknown: u64,
    /// Records that hold something else now: of a correction.
    pub corrected: u64,
    /// Records that go, held-out ones included; of a correction those that its rows are about.
    pub records: u64,
    /// Copies of models that saw what goes: nothing reaches those but who has them.
    pub exports: Vec<SeenBy>,
}

impl Deletion {
    fn counted(state: &'static str, accepted: &Accepted) -> Deletion {
        let count = |kind| accepted.outcomes.iter().filter(|o| o.outcome == kind).count() as u64;
        Deletion {
            request: Some(accepted.request.clone()),
            state,
            accepted_at: None,
            effective_at: None,
            effective_seconds: None,
            repaired_at: None,
            erased: count(OutcomeKind::Erased),
            already_erased: count(OutcomeKind::AlreadyErased),
            unknown: count(OutcomeKind::NotFound),
            corrected: count(OutcomeKind::Corrected),
            records: accepted.outcomes.iter().map(|o| o.in_slices + o.held_out).sum(),
            exports: SeenBy::all(&accepted.exports),
        }
    }

    /// A request that is durable in the ledger since this time.
    pub fn accepted(accepted: &Accepted, at: &str) -> Deletion {
        Deletion { accepted_at: Some(at.to_owned()), ..Deletion::counted("accepted", accepted) }
    }

    /// The same, of which no more is told than that.
    #[must_use]
    pub fn as_accepted(self) -> Deletion {
        Deletion { state: "accepted", effective_at: None, effective_seconds: None, repaired_at: None, ..self }
    }

    /// A request that is in effect, whether it is repaired or not: the same every time it is told.
    pub fn effective(report: &DeleteReport) -> Deletion {
        Deletion {
            accepted_at: Some(report.accepted_at.clone()),
            effective_at: Some(report.effective_at.clone()),
            effective_seconds: Some(report.effective.seconds),
            ..Deletion::counted("effective", &report.accepted)
        }
    }
}

impl From<&engine::Forecast> for Deletion {
    fn from(forecast: &engine::Forecast) -> Deletion {
        Deletion { request: None, ..Deletion::counted("forecast", &forecast.accepted) }
    }
}

impl Deletion {
    /// One that is kept and not in the ledger, in this state: `pending` or `cancelled`.
    pub fn kept(request: &str, state: &'static str) -> Deletion {
        Deletion {
            request: Some(request.to_owned()),
            state,
            accepted_at: None,
            effective_at: None,
            effective_seconds: None,
            repaired_at: None,
            erased: 0,
            already_erased: 0,
            unknown: 0,
            corrected: 0,
            records: 0,
            exports: Vec::new(),
        }
    }
}

impl From<&RequestLine> for Deletion {
    /// As it is now.
    fn from(line: &RequestLine) -> Deletion {
        let state = match (&line.effective, &line.repaired) {
            (_, Some(_)) => "repaired",
            (Some(_), None) => "effective",
            (None, None) => "accepted",
        };
        Deletion {
            request: Some(line.request.clone()),
            state,
            accepted_at: Some(line.accepted_at.clone()),
            effective_at: line.effective.as_ref().map(|(at, _)| at.clone()),
            effective_seconds: line.effective.as_ref().map(|(_, seconds)| *seconds),
            repaired_at: line.repaired.clone(),
            erased: line.erased,
            already_erased: line.already_erased,
            unknown: line.unknown,
            corrected: line.corrected,
            records: line.records,
            exports: SeenBy::all(&line.exports),
        }
    }
}

/// Why the service gave no answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "type", rename = "problem")]
#[non_exhaustive]
pub struct Problem {
    /// What is wrong, and what to do.
    pub error: String,
    /// Whom it concerns, as in `error.kind`; `None` for a problem of the service itself.
    pub kind: Option<&'static str>,
}

impl Problem {
    /// A problem; `of` is the engine's error, if it is one of those.
    pub fn of(error: String, of: Option<&Error>) -> Problem {
        let Failed { kind, message, .. } = Failed::of(0, error, of);
        Problem { error: message, kind }
    }
}

/// The service listens.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "type", rename = "listening")]
#[non_exhaustive]
pub struct Listening {
    /// Where.
    pub address: String,
    /// Whether a key is asked for; without keys only this machine is answered.
    pub keys: bool,
}

impl Listening {
    /// At this address.
    pub fn of(address: String, keys: bool) -> Listening {
        Listening { address, keys }
    }
}

/// A key of the service.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "type", rename = "key")]
#[non_exhaustive]
pub struct Key {
    /// Its name.
    pub name: String,
    /// What it may be used for.
    pub roles: Vec<String>,
    /// When it was made.
    pub added_at: String,
    /// When it was taken back.
    pub revoked_at: Option<String>,
    /// The key itself: only when it is made, as nobody keeps it.
    pub key: Option<String>,
}

impl Key {
    /// A key of this name.
    pub fn of(name: String, roles: Vec<String>, added_at: String, revoked_at: Option<String>, key: Option<String>) -> Key {
        Key { name, roles, added_at, revoked_at, key }
    }
}
