//! How fast this machine trains, measured on a few batches that leave nothing behind.

use std::sync::atomic::{AtomicU64, Ordering};

use super::{Constituent, Lane, TrainError, advance};
use crate::{fs::Stopwatch, ids::ShardId, learn::Crew, num::Team};

/// How long a pilot run takes at most.
const PILOT_SECONDS: f64 = 0.25;

#[derive(Debug)]
struct Trial {
    clock: Stopwatch,
    rows: AtomicU64,
}

impl Crew for Trial {
    fn team(&self) -> Team {
        Team::solo()
    }

    fn visited(&self, rows: usize) -> bool {
        self.rows.fetch_add(rows as u64, Ordering::Relaxed);
        self.clock.seconds() < PILOT_SECONDS
    }
}

/// Row-passes a second of `threads` constituents side by side, from one trained for a moment; `None` when every first slice is empty.
///
/// # Errors
/// A slice can't be read.
pub fn pilot(lane: &Lane, threads: usize) -> Result<Option<f64>, TrainError> {
    let grid = lane.shards.grid();
    let rows = |shard: ShardId| lane.headers(shard, 1).map(|h| h.first().map_or(0, |h| h.0));
    let mut largest = (0, ShardId(0));
    for shard in grid.shards() {
        largest = largest.max((rows(shard)?, shard));
    }
    if largest.0 == 0 {
        return Ok(None);
    }
    let trial = Trial { clock: Stopwatch::start(), rows: AtomicU64::new(0) };
    let mut constituent = Constituent::initial(lane, largest.1);
    // Being stopped is what is wanted; a step that diverges has run as long as it did.
    let _ = advance(lane, &mut constituent, &trial)?;
    let rows = trial.rows.load(Ordering::Relaxed);
    let side_by_side = threads.min(grid.shards as usize).max(1) as f64;
    Ok((rows > 0).then(|| rows as f64 / trial.clock.seconds() * side_by_side))
}
