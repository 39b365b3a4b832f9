//! How a learner is cut and scheduled where nothing else is said.

use crate::{
    learn::{Abilities, FOREST_SHARDS},
    train::{Schedule, ScheduleKind},
};

/// Shards and slices of learners that are trained in passes.
const SHARDS: u32 = 10;
const SLICES: u32 = 10;
/// Slices of learners that look at a step as a whole, and how many slices' worth each step looks at.
const WHOLE_SLICES: u32 = 4;
const WINDOW: u32 = 2;
/// More shards than this are a mistake: every cell is a file.
pub(super) const SHARDS_MAX: u32 = 9_999;

/// S, R and the schedule that suit a learner.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Suited {
    /// S.
    pub shards: u32,
    /// R.
    pub slices: u32,
    /// The schedule.
    pub schedule: Schedule,
}

impl Suited {
    /// What suits a learner with these abilities: states that add up are only built in parallel; rows are taken out of a state without steps
    /// before it.
    pub fn to(abilities: Abilities, threads: usize) -> Suited {
        let threads = u32::try_from(threads).unwrap_or(SHARDS_MAX).clamp(1, SHARDS_MAX);
        let schedule = |kind, epochs| Schedule { kind, epochs };
        let (shards, slices, schedule) = match abilities {
            Abilities { merge: true, .. } => (threads, 1, schedule(ScheduleKind::Once, 1)),
            Abilities { downdate: true, .. } => (FOREST_SHARDS, 1, schedule(ScheduleKind::Once, 1)),
            Abilities { whole: true, .. } => (FOREST_SHARDS, WHOLE_SLICES, schedule(ScheduleKind::Window, WINDOW)),
            _ => (SHARDS, SLICES, schedule(ScheduleKind::Replay, 20)),
        };
        Suited { shards, slices, schedule }
    }
}
