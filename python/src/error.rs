//! Errors of the engine as exceptions of the package.

use pyo3::prelude::*;
use sisa::{Error, ErrorKind, wire};

use crate::call::call;

/// The exit code that the command line would end with (README.md has the table).
fn code(kind: ErrorKind) -> u8 {
    match kind {
        ErrorKind::Input => 3,
        ErrorKind::Retry => 5,
        ErrorKind::Damage => 6,
        ErrorKind::Disk => 7,
        ErrorKind::NotReady => 9,
        ErrorKind::Interrupted => 130,
        // A kind that is newer than this face.
        _ => 3,
    }
}

/// The exception for an error: `sisa._errors` makes it from the JSON, and knows the words for what can be done.
pub(crate) fn raise(py: Python<'_>, error: &Error) -> PyErr {
    let told = wire::line(&wire::Failed::of(code(error.kind()), error.to_string(), Some(error)));
    let made = py.import("sisa._errors").and_then(|errors| call(&errors.getattr("of")?, (told,)));
    made.map_or_else(|error| error, PyErr::from_value)
}
