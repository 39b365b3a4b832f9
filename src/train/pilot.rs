//! How fast this machine trains, measured on a few batches that leave nothing behind.

use std::sync::atomic::{AtomicU64, Ordering};

use super::{Constituent, Model, TrainError, advance};
use crate::{
    fs::Stopwatch,
    ids::ShardId,
    learn::{Crew, Layout, Learner, Rows, Step, Visit},
    num::Team,
};

/// How long a pilot run takes at most.
const PILOT_SECONDS: f64 = 0.25;
/// Passes over the rows of a pilot, more than any machine makes in that time.
const PILOT_PASSES: u32 = 1000;

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

/// Row-passes a second of one thread on `rows`, from a fresh state that is trained on them for a moment, and the bytes of that state;
/// `None` when there are no rows.
pub fn pilot_on(learner: &dyn Learner, layout: &Layout, rows: Rows<'_>) -> Option<(f64, u64)> {
    let count = rows.features.rows() as u32;
    if count == 0 {
        return None;
    }
    // Learners of sets, and those that look at a step as a whole, are shown each row once; others again and again, until the moment is over.
    let passes = if learner.abilities().downdate || learner.abilities().whole { 1 } else { PILOT_PASSES };
    let visits: Vec<Visit> = (0..passes).flat_map(|_| (0..count).map(|row| Visit { slice: 0, row, progress: 0 })).collect();
    let mut state = learner.init(layout, [0; 32]);
    let trial = Trial { clock: Stopwatch::start(), rows: AtomicU64::new(0) };
    let step = Step { index: 1, of: 1, prefix: &[rows], visits: &visits, crew: &trial };
    // Being stopped is what is wanted; a step that diverges has run as long as it did.
    let _ = state.step(&step);
    let seconds = trial.clock.seconds();
    let rows = trial.rows.load(Ordering::Relaxed).max(u64::from(count) * u64::from(learner.abilities().downdate));
    (rows > 0).then(|| (rows as f64 / seconds, state.encode().len() as u64))
}

/// Row-passes a second of `threads` constituents side by side, from one trained for a moment; `None` when every first slice is empty.
///
/// # Errors
/// A slice can't be read.
pub fn pilot(model: &Model, threads: usize) -> Result<Option<f64>, TrainError> {
    let grid = model.shards.grid();
    let rows = |shard: ShardId| model.headers(shard, 1).map(|h| h.first().map_or(0, |h| h.0));
    let mut largest = (0, ShardId(0));
    for shard in grid.shards() {
        largest = largest.max((rows(shard)?, shard));
    }
    if largest.0 == 0 {
        return Ok(None);
    }
    let trial = Trial { clock: Stopwatch::start(), rows: AtomicU64::new(0) };
    let mut constituent = Constituent::initial(model, largest.1);
    // Being stopped is what is wanted; a step that diverges has run as long as it did.
    let _ = advance(model, &mut constituent, &trial)?;
    let rows = trial.rows.load(Ordering::Relaxed);
    let side_by_side = threads.min(grid.shards as usize).max(1) as f64;
    Ok((rows > 0).then(|| rows as f64 / trial.clock.seconds() * side_by_side))
}
