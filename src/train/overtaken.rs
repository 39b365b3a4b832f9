//! Gives a step up whose slices change under it, for learners whose workers hold rows.

use std::sync::{
    Mutex, PoisonError,
    atomic::{AtomicBool, AtomicU64, Ordering},
};

use super::{Model, ShardPlan, TrainError, lineages};
use crate::{fs::Stopwatch, learn::Crew, num::Team};

/// Seconds between two looks at the ledger: each is one look at one name.
const EVERY: f64 = 0.1;

/// A crew that stops when the ledger says that a slice of the step's prefix holds something else by now. What the step makes would be
/// thrown away; and the rows that were deleted should not stay in a worker's memory until it has made it.
#[derive(Debug)]
pub(super) struct Watchful<'a> {
    crew: &'a dyn Crew,
    model: &'a Model,
    plan: &'a ShardPlan,
    step: u32,
    /// The last entry of the ledger that was looked at; 0 before the first look.
    seen: AtomicU64,
    clock: Stopwatch,
    looked: Mutex<f64>,
    overtaken: AtomicBool,
}

impl<'a> Watchful<'a> {
    /// The crew of a step of this plan; `seen` is the ledger's entry up to which nothing has changed.
    pub(super) fn new(crew: &'a dyn Crew, model: &'a Model, plan: &'a ShardPlan, step: u32, seen: Option<u64>) -> Watchful<'a> {
        let seen = AtomicU64::new(seen.unwrap_or_default());
        let (clock, looked, overtaken) = (Stopwatch::start(), Mutex::new(0.0), AtomicBool::new(false));
        Watchful { crew, model, plan, step, seen, clock, looked, overtaken }
    }

    /// Whether that is why it stopped.
    pub(super) fn is_overtaken(&self) -> bool {
        self.overtaken.load(Ordering::SeqCst)
    }

    /// Whether it is time for another look.
    fn is_due(&self) -> bool {
        let (mut looked, now) = (self.looked.lock().unwrap_or_else(PoisonError::into_inner), self.clock.seconds());
        let due = now - *looked >= EVERY;
        if due {
            *looked = now;
        }
        due
    }

    fn look(&self) -> bool {
        let Some(ground) = &self.model.ground else { return false };
        let seen = Some(self.seen.load(Ordering::SeqCst)).filter(|seen| *seen > 0);
        match ground.moved(seen, self.plan.shard) {
            Ok(None) => false,
            Ok(Some((last, slices))) => {
                self.seen.store(last, Ordering::SeqCst);
                let now = lineages(&self.model.root, self.plan.shard, slices);
                now.get(self.step as usize).copied() != self.plan.lineage(self.step)
            }
            Err(TrainError::Replaced { .. }) => true,
            // Whoever publishes the step looks again, and says it.
            Err(_) => false,
        }
    }
}

impl Crew for Watchful<'_> {
    fn team(&self) -> Team {
        self.crew.team()
    }

    fn visited(&self, rows: usize) -> bool {
        if !self.crew.visited(rows) {
            return false;
        }
        if self.is_due() && self.look() {
            self.overtaken.store(true, Ordering::SeqCst);
        }
        !self.is_overtaken()
    }
}
