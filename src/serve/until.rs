//! Hears the wish to stop while the engine is at work for the service.

use std::sync::atomic::{AtomicBool, Ordering};

use sisa::engine::{Observer, Progress};

/// Stops, between batches, once the flag is set.
#[derive(Debug)]
pub(super) struct Until<'a>(pub(super) &'a AtomicBool);

impl Observer for Until<'_> {
    fn progress(&self, _: Progress) {}

    fn note(&self, _: &str) {}

    fn stopped(&self) -> bool {
        self.0.load(Ordering::SeqCst)
    }
}
