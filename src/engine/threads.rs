//! The threads of an engine, by what they are for.

use std::sync::OnceLock;

use rayon::{ThreadPool, ThreadPoolBuilder};

use super::Error;
use crate::train::TrainError;

/// As many threads for each of three kinds of work. A thread of a pool that waits for others of its pool takes up whatever other work the
/// pool has and stays with it to the end, and a pool whose threads are all taken takes up nothing. So nobody may wait in a
/// pool for what is done in the same pool: training waits for the commit lock of a shard, which whoever brings a deletion
/// into effect holds, and neither that nor an answer may wait until a shard is trained.
#[derive(Debug)]
pub(crate) struct Threads {
    count: usize,
    training: ThreadPool,
    answering: OnceLock<ThreadPool>,
    writing: OnceLock<ThreadPool>,
}

impl Threads {
    /// Starts those that train; the others are started once they are needed.
    ///
    /// # Errors
    /// The threads can't be started.
    pub(crate) fn start(count: usize) -> Result<Threads, Error> {
        Ok(Threads { count, training: pool_of(count)?, answering: OnceLock::new(), writing: OnceLock::new() })
    }

    /// How many of each kind.
    pub(crate) fn count(&self) -> usize {
        self.training.current_num_threads()
    }

    /// For what takes long, and what nobody who holds a lock waits for.
    pub(crate) fn training(&self) -> &ThreadPool {
        &self.training
    }

    /// For loading what answers, and for scores.
    ///
    /// # Errors
    /// The threads can't be started.
    pub(crate) fn answering(&self) -> Result<&ThreadPool, Error> {
        started(&self.answering, self.count)
    }

    /// For whoever holds the writer lock.
    ///
    /// # Errors
    /// The threads can't be started.
    pub(crate) fn writing(&self) -> Result<&ThreadPool, Error> {
        started(&self.writing, self.count)
    }
}

fn started(pool: &OnceLock<ThreadPool>, count: usize) -> Result<&ThreadPool, Error> {
    if let Some(pool) = pool.get() {
        return Ok(pool);
    }
    // Of two that come at once, the pool of one ends unused.
    let made = pool_of(count)?;
    Ok(pool.get_or_init(|| made))
}

fn pool_of(threads: usize) -> Result<ThreadPool, Error> {
    let pool = ThreadPoolBuilder::new().num_threads(threads).build();
    Ok(pool.map_err(|e| TrainError::Threads { threads, message: e.to_string() })?)
}
