//! Progress out, the wish to stop in.

use std::{
    fmt::Debug,
    sync::atomic::{AtomicU64, Ordering},
};

use super::Remedy;
use crate::{
    ids::{ShardId, SliceId},
    train::Watch,
};

/// How far a command is.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum Progress {
    /// Reading sources.
    Importing {
        /// Bytes read.
        bytes: u64,
        /// Bytes in all.
        total: u64,
        /// Rows read.
        rows: u64,
    },
    /// Training.
    Training {
        /// Row-passes done.
        row_passes: u64,
        /// Row-passes in all.
        total: u64,
        /// Steps published.
        steps: u64,
        /// Steps in all.
        total_steps: u64,
    },
    /// Answering.
    Scoring {
        /// Rows scored.
        rows: u64,
    },
}

/// Hears of progress and may ask to stop.
pub trait Observer: Debug + Send + Sync {
    /// Something went on.
    fn progress(&self, progress: Progress);

    /// A sentence for the person, such as what is going to be done.
    fn note(&self, text: &str);

    /// A sentence for the person, and what can be done about it; a face that has words for it says so.
    fn advise(&self, text: &str, remedy: &Remedy) {
        let _ = remedy;
        self.note(text);
    }

    /// Whether the person asked to stop.
    fn stopped(&self) -> bool;
}

/// Hears nothing, never stops.
#[derive(Clone, Copy, Debug)]
pub struct Quiet;

impl Observer for Quiet {
    fn progress(&self, _: Progress) {}

    fn note(&self, _: &str) {}

    fn stopped(&self) -> bool {
        false
    }
}

/// Adds up what training says and hands it on.
#[derive(Debug)]
pub(super) struct TrainingWatch<'a> {
    observer: &'a dyn Observer,
    row_passes: AtomicU64,
    total: u64,
    steps: AtomicU64,
    total_steps: u64,
}

impl<'a> TrainingWatch<'a> {
    pub(super) fn new(observer: &'a dyn Observer, total: u64, total_steps: u64) -> TrainingWatch<'a> {
        TrainingWatch { observer, row_passes: AtomicU64::new(0), total, steps: AtomicU64::new(0), total_steps }
    }

    fn tell(&self) {
        self.observer.progress(Progress::Training {
            row_passes: self.row_passes.load(Ordering::Relaxed),
            total: self.total,
            steps: self.steps.load(Ordering::Relaxed),
            total_steps: self.total_steps,
        });
    }
}

impl Watch for TrainingWatch<'_> {
    fn visited(&self, _: ShardId, rows: usize) -> bool {
        self.row_passes.fetch_add(rows as u64, Ordering::Relaxed);
        self.tell();
        !self.observer.stopped()
    }

    fn built(&self, _: ShardId, _: SliceId, _: u64) {
        self.steps.fetch_add(1, Ordering::Relaxed);
        self.tell();
    }
}
