//! Panics of a foreign reader as errors.

use std::cell::Cell;
use std::panic::{self, AssertUnwindSafe};
use std::sync::{Arc, Once};

use super::super::error::SourceError;

thread_local! {
    /// Whether this thread is within [`guarded`].
    static WITHIN: Cell<bool> = const { Cell::new(false) };
}

/// Runs a reader of `file`. If it panics, the file is unsound. Whoever holds the reader must not use it again after an error.
pub(super) fn guarded<T>(
    file: &Arc<str>,
    form: &'static str,
    read: impl FnOnce() -> Result<T, SourceError>,
) -> Result<T, SourceError> {
    quiet();
    let before = WITHIN.replace(true);
    let done = panic::catch_unwind(AssertUnwindSafe(read));
    WITHIN.set(before);
    done.unwrap_or_else(|_| Err(unsound(file, form, "its parts contradict each other")))
}

/// The error for a file that can't be read.
pub(super) fn unsound(file: &Arc<str>, form: &'static str, detail: impl ToString) -> SourceError {
    SourceError::Columnar { file: file.clone(), form, detail: detail.to_string() }
}

/// Keeps panics that become errors off the terminal; all others are told as before.
fn quiet() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let before = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            if !WITHIN.get() {
                before(info);
            }
        }));
    });
}
