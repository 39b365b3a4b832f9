use serde::Serialize;

use crate::engine::{Error, ErrorKind, Remedy};

/// Why a call stopped.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "type", rename = "error")]
#[non_exhaustive]
pub struct Failed {
    /// The face's own code: of the command line, its exit code.
    pub code: u8,
    /// Whom it concerns; `None` for an error of the face itself.
    pub kind: Option<&'static str>,
    /// What is wrong, and what to do in the words of the face.
    pub message: String,
    /// What can be done, as values.
    pub remedies: Vec<Remedy>,
}

impl Failed {
    /// An error as the face tells it; `error` is the engine's, if it is one of those.
    pub fn of(code: u8, message: String, error: Option<&Error>) -> Failed {
        let kind = error.map(|e| match e.kind() {
            ErrorKind::Input => "input",
            ErrorKind::Retry => "retry",
            ErrorKind::Damage => "damage",
            ErrorKind::Disk => "disk",
            ErrorKind::Interrupted => "interrupted",
            ErrorKind::NotReady => "not_ready",
        });
        Failed { code, kind, message, remedies: error.map(Error::remedies).unwrap_or_default() }
    }
}
