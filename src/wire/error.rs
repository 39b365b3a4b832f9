use serde::Serialize;

/// Why a call stopped.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "type", rename = "error")]
#[non_exhaustive]
pub struct Failed {
    /// The face's own code: of the command line, its exit code.
    pub code: u8,
    /// What is wrong, and what to do.
    pub message: String,
}

impl Failed {
    /// An error of the engine or of the face itself.
    pub fn of(code: u8, message: String) -> Failed {
        Failed { code, message }
    }
}
