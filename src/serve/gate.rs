//! Work off the runtime's threads, so many at once, so many waiting, and no more.

use std::sync::{
    Arc,
    atomic::{AtomicU64, AtomicUsize, Ordering},
};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::problem::Problem;

/// How much of one kind of work is taken in. Whoever holds a permit may occupy one of the runtime's blocking threads, which are without bounds by themselves.
#[derive(Debug)]
pub(super) struct Gate {
    permits: Arc<Semaphore>,
    waiting: AtomicUsize,
    most: AtomicUsize,
    /// In milliseconds.
    patience: AtomicU64,
    what: &'static str,
}

/// Counts one that waits, also when it is dropped.
struct Counted<'a>(&'a AtomicUsize);

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Gate {
    /// `at_once` work, and `most` wait for at most `patience`. `what` are they, in messages.
    pub(super) fn new(at_once: usize, most: usize, patience: Duration, what: &'static str) -> Gate {
        let (permits, waiting) = (Arc::new(Semaphore::new(at_once)), AtomicUsize::new(0));
        Gate { permits, waiting, most: AtomicUsize::new(most), patience: AtomicU64::new(patience.as_millis() as u64), what }
    }

    /// Lets so many wait from now on, and so long.
    pub(super) fn configure(&self, most: usize, patience: Duration) {
        self.most.store(most, Ordering::SeqCst);
        self.patience.store(patience.as_millis() as u64, Ordering::SeqCst);
    }

    fn most(&self) -> usize {
        self.most.load(Ordering::SeqCst)
    }

    /// How many wait.
    pub(super) fn waiting(&self) -> usize {
        self.waiting.load(Ordering::SeqCst)
    }

    /// Whether one more would be refused.
    pub(super) fn is_full(&self) -> bool {
        self.waiting() >= self.most()
    }

    /// A permit, which is to be held for as long as the work takes.
    pub(super) async fn enter(&self) -> Result<OwnedSemaphorePermit, Problem> {
        if let Ok(permit) = self.permits.clone().try_acquire_owned() {
            return Ok(permit);
        }
        let busy = || Problem::busy(format!("{} {} wait already; ask again", self.most(), self.what));
        let before = self.waiting.fetch_add(1, Ordering::SeqCst);
        let _counted = Counted(&self.waiting);
        if before >= self.most() {
            return Err(busy());
        }
        match tokio::time::timeout(
            Duration::from_millis(self.patience.load(Ordering::SeqCst)),
            self.permits.clone().acquire_owned(),
        )
        .await
        {
            Ok(Ok(permit)) => Ok(permit),
            _ => Err(busy()),
        }
    }
}
