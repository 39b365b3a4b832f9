//! One step of one constituent: the only place where a state changes.

use super::{
    Model, Schedule, TrainError,
    lineage::{lineage_after, lineage_of_none, lineages},
};
use crate::{
    digest::{Digest, Draw},
    ids::{Cell, Handle, Part, ShardId, SliceId},
    learn::{Crew, Rows, State, Step, StepError},
    shard::Slice,
};

/// A constituent between two steps: its state and the slices that the state has seen.
#[derive(Debug)]
pub struct Constituent {
    shard: ShardId,
    state: Box<dyn State>,
    slices: Vec<Slice>,
    /// Of the slices that were opened, whatever they were planned to be.
    lineage: Digest,
    /// The digest of the last checkpoint that holds this state, or one that it came from.
    kept: Option<Digest>,
}

impl Constituent {
    /// The initial state of a shard.
    pub fn initial(model: &Model, shard: ShardId) -> Constituent {
        let state = model.learner.init(model.shards.layout(), model.seed(shard));
        Constituent { shard, state, slices: Vec::new(), lineage: lineage_of_none(&model.root, shard), kept: None }
    }

    /// A state that was trained on `slices`, from the checkpoint with this digest.
    pub fn resumed(model: &Model, shard: ShardId, (kept, state): (Digest, Box<dyn State>), slices: Vec<Slice>) -> Constituent {
        let contents = slices.iter().map(|slice| slice.header().content);
        let lineage = lineages(&model.root, shard, contents).last().copied();
        let lineage = lineage.unwrap_or_else(|| lineage_of_none(&model.root, shard));
        Constituent { shard, state, slices, lineage, kept: Some(kept) }
    }

    /// The state.
    pub fn state(&self) -> &dyn State {
        &*self.state
    }

    /// The digest of the last checkpoint that holds this state, or one that it came from; `None` if there is none.
    pub fn kept(&self) -> Option<Digest> {
        self.kept
    }

    /// The state was put into the checkpoint with this digest.
    pub fn keep(&mut self, digest: Digest) {
        self.kept = Some(digest);
    }

    /// The lineage key that the slices seen ask for.
    pub fn lineage(&self) -> Digest {
        self.lineage
    }

    /// The steps taken.
    pub fn step(&self) -> u32 {
        self.slices.len() as u32
    }
}

/// Opens the next slice of the constituent's shard and trains the step that adds it. Returns the row-passes.
///
/// # Errors
/// The slice is missing or damaged (outer), or the step diverged or was interrupted (inner); the constituent is then
/// to be thrown away.
pub fn advance(model: &Model, constituent: &mut Constituent, crew: &dyn Crew) -> Result<Result<u64, StepError>, TrainError> {
    let index = constituent.step() + 1;
    let cell = Cell { shard: constituent.shard, part: Part::Slice(SliceId(index)) };
    let slice = model.shards.open(cell)?;
    constituent.lineage = lineage_after(constituent.lineage, index, slice.header().content);
    constituent.slices.push(slice);
    let of = model.shards.chain().first_slices();
    let draws = |pass| model.shards.key().pass(constituent.shard, SliceId(index), pass);
    Ok(take_step(&mut *constituent.state, model.recipe.schedule, of, &constituent.slices, draws, crew))
}

/// Trains the step that adds the last of these slices, given the steps of the first batch and the draw of every pass. Returns the row-passes.
///
/// # Errors
/// The step diverged or was interrupted; the state is then to be thrown away.
pub fn take_step(
    state: &mut dyn State,
    schedule: Schedule,
    of: u32,
    slices: &[Slice],
    draws: impl Fn(u32) -> Draw + Copy,
    crew: &dyn Crew,
) -> Result<u64, StepError> {
    if slices.last().is_none_or(|s| s.header().rows == 0) {
        return Ok(0);
    }
    let records: Vec<&[Handle]> = slices.iter().map(Slice::records).collect();
    let visits = schedule.visits_by(of, &records, draws);
    let prefix: Vec<Rows<'_>> = slices.iter().map(Slice::rows).collect();
    let step = Step { index: slices.len() as u32, of, prefix: &prefix, visits: &visits, crew };
    state.step(&step).map(|()| visits.len() as u64)
}
