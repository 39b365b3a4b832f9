//! How a learner is cut and scheduled where nothing else is said.

use crate::{
    learn::{Abilities, FOREST_SHARDS},
    train::{Schedule, ScheduleKind},
};

/// Shards and slices of learners that are trained in passes.
const SHARDS: u32 = 10;
const SLICES: u32 = 10;
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
        let (shards, slices) = match (abilities.merge, abilities.downdate) {
            (true, _) => (threads, 1),
            (false, true) => (FOREST_SHARDS, 1),
            (false, false) => (SHARDS, SLICES),
        };
        let schedule = match abilities.downdate {
            true => Schedule { kind: ScheduleKind::Once, epochs: 1 },
            false => Schedule { kind: ScheduleKind::Replay, epochs: 20 },
        };
        Suited { shards, slices, schedule }
    }
}
