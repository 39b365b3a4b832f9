//! Who works on what, and who watches. Nothing here changes a bit of any result.

use std::{
    fmt::Debug,
    sync::atomic::{AtomicUsize, Ordering},
};

use crate::{
    ids::{ShardId, SliceId},
    learn::Crew,
    num::Team,
};

/// Hears of progress and may ask to stop.
pub trait Watch: Debug + Send + Sync {
    /// `rows` more visits of a shard are done; `false` asks to stop.
    fn visited(&self, shard: ShardId, rows: usize) -> bool;

    /// A step's checkpoint was published.
    fn built(&self, _shard: ShardId, _step: SliceId, _bytes: u64) {}
}

/// How many threads there are and how many constituents are at work.
#[derive(Debug)]
pub struct ThreadShare {
    threads: usize,
    working: AtomicUsize,
}

impl ThreadShare {
    /// `threads` threads, and nobody at work.
    pub fn new(threads: usize) -> ThreadShare {
        ThreadShare { threads: threads.max(1), working: AtomicUsize::new(0) }
    }

    /// How many threads.
    pub fn threads(&self) -> usize {
        self.threads
    }

    /// Counts a constituent as at work while the guard lives.
    pub(super) fn enter<'a>(&'a self, shard: ShardId, watch: &'a dyn Watch) -> Worker<'a> {
        self.working.fetch_add(1, Ordering::SeqCst);
        Worker { pool: self, shard, watch }
    }
}

/// One constituent at work.
#[derive(Debug)]
pub(super) struct Worker<'a> {
    pool: &'a ThreadShare,
    shard: ShardId,
    watch: &'a dyn Watch,
}

impl Drop for Worker<'_> {
    fn drop(&mut self) {
        self.pool.working.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Crew for Worker<'_> {
    /// When fewer constituents than threads have work, each uses its share of the threads.
    fn team(&self) -> Team {
        Team::of((self.pool.threads / self.pool.working.load(Ordering::SeqCst).max(1)).max(1))
    }

    fn visited(&self, rows: usize) -> bool {
        self.watch.visited(self.shard, rows)
    }
}
