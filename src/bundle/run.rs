//! The pure function: a shard's work in, its checkpoints out. Nothing is read but the bundle, nothing written, nothing kept.

use super::{BundleError, Checkpoint, Checkpoints, Work};
use crate::{
    digest::{Digest, Draw},
    ids::{ShardId, SliceId},
    learn::{Crew, State, StepError},
    num::Team,
    train::{Watch, take_step},
};

/// Whoever trains this one shard.
#[derive(Debug)]
struct Alone<'a> {
    threads: usize,
    shard: ShardId,
    watch: &'a dyn Watch,
}

impl Crew for Alone<'_> {
    fn team(&self) -> Team {
        Team::of(self.threads)
    }

    fn visited(&self, rows: usize) -> bool {
        self.watch.visited(self.shard, rows)
    }
}

/// Trains a shard's work on the threads of the caller's pool. The same work gives the same checkpoints, on any machine and number of
/// threads. A step that diverges ends it; what came before is returned.
///
/// # Errors
/// A state to start from is none, the processor can't do what is needed, or somebody asked to stop.
pub fn train(work: &Work, threads: usize, watch: &dyn Watch) -> Result<Checkpoints, BundleError> {
    crate::num::Isa::from_env_checked()?;
    crate::num::isa::check_float_environment()?;
    let crew = Alone { threads, shard: work.shard, watch };
    let first = work.steps.first().map_or(1, |step| step.step);
    let mut made = Checkpoints {
        generation: work.generation,
        recipe: work.recipe.id(),
        shard: work.shard,
        from_step: first - 1,
        steps: 0,
        row_passes: 0,
        diverged: None,
        checkpoints: Vec::new(),
    };
    let mut trained: Option<(u32, Box<dyn State>)> = None;
    // Whoever puts them in place asks which state each came from, where training again gives another one.
    let names = !work.recipe.learner.is_replayed();
    let mut after: Option<Digest> = None;
    for step in &work.steps {
        // A run goes on from the step just trained; a new run starts from the state below.
        let mut state = match trained.take().filter(|(last, _)| last + 1 == step.step) {
            Some((_, state)) => state,
            None => {
                after = before(work, step.step).filter(|_| names).map(Digest::of);
                start(work, step.step)?
            }
        };
        let slices = work.slices.get(..step.step as usize).unwrap_or_default();
        // There is one for every pass of the schedule, as was checked.
        let draws = |pass: u32| step.draws.get(pass as usize).copied().unwrap_or_else(|| Draw::from_key([0; 16]));
        match take_step(&mut *state, work.recipe.schedule, work.first, slices, draws, &crew) {
            Ok(row_passes) => made.row_passes += row_passes,
            Err(StepError::Interrupted) => return Err(BundleError::Interrupted),
            Err(error) => {
                made.diverged = Some(error.to_string());
                break;
            }
        }
        made.steps += 1;
        if step.keep {
            let payload = state.encode();
            watch.built(work.shard, SliceId(step.step), payload.len() as u64);
            let digest = names.then(|| Digest::of(&payload));
            made.checkpoints.push(Checkpoint { step: step.step, lineage: step.lineage, payload, after });
            after = digest;
        }
        trained = Some((step.step, state));
    }
    Ok(made)
}

/// The payload of the checkpoint before a step; `None` where that is the initial state.
fn before(work: &Work, step: u32) -> Option<&[u8]> {
    let from_nothing = step == 1 && work.initial.is_some();
    let payload = || work.starts.iter().find(|(at, _)| at + 1 == step).map(|(_, payload)| payload.as_slice()).unwrap_or_default();
    (!from_nothing).then(payload)
}

/// The state before a step.
fn start(work: &Work, step: u32) -> Result<Box<dyn State>, BundleError> {
    let payload = match (before(work, step), work.initial) {
        (None, Some(seed)) => return Ok(work.learner.init(&work.layout, seed)),
        (payload, _) => payload.unwrap_or_default(),
    };
    let state = work.learner.decode(&work.layout, payload);
    state.map_err(|error| BundleError::damaged(64, format!("the state of step {}: {error}", step - 1)))
}
