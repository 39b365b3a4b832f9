//! Takes rows out of states that allow it, and of a correction puts others in, so that nothing has to be trained again.

use super::{DeleteError, effect::Change, target::Gone};
use crate::{
    digest::Digest,
    ids::{Cell, GenerationId, Part, RecipeId, ShardId, SliceId},
    learn::{Removal, Rows, StateError},
    ledger::GenerationRecord,
    num::Team,
    shard::Slice,
    train::{Model, TrainError, carry_over, carry_to_waiting},
    workspace::Workspace,
};

/// Publishes for a shard, under every recipe whose learner takes rows out, the states without the records, durably,
/// beside those with them. The slices are still as they were, and the caller holds the shard's commit lock. What can't be made so (a state is missing or damaged) is left to be trained.
///
/// # Errors
/// The disk refuses.
pub(super) fn downdate(workspace: &Workspace, change: &Change<'_>, gone: &Gone, shard: ShardId) -> Result<(), DeleteError> {
    for recipe in &change.record.recipes {
        let Some(model) = downdating(workspace, change.id, change.record, &recipe.recipe)? else { continue };
        match change.corrects {
            true => carry_to_waiting(&model, shard, &model.shards.waiting(shard)?)?,
            false => downdate_shard(&model, change, gone, shard)?,
        }
    }
    Ok(())
}

/// A generation under a recipe, if its learner takes rows out of states.
///
/// # Errors
/// A frozen file or a key can't be used.
pub(super) fn downdating(
    workspace: &Workspace,
    id: GenerationId,
    record: &GenerationRecord,
    recipe: &RecipeId,
) -> Result<Option<Model>, DeleteError> {
    let rules = workspace.recipe(id, record, recipe)?;
    if !rules.learner.check().map_err(TrainError::from)?.abilities().downdate {
        return Ok(None);
    }
    Ok(Some(workspace.model(id, record, recipe)?))
}

fn downdate_shard(model: &Model, change: &Change<'_>, gone: &Gone, shard: ShardId) -> Result<(), DeleteError> {
    let cell = |slice: u32| Cell { shard, part: Part::Slice(SliceId(slice)) };
    // How the shard's slices are to be, and how they were before this request.
    let after: &[Digest] = change.record.cells.slices_of(shard);
    let before: Vec<Digest> =
        (1..).zip(after).map(|(slice, after)| change.cells.get(&cell(slice)).map_or(*after, |changed| changed.before)).collect();
    let mut slices: Vec<Slice> = Vec::new();
    for (slice, before) in (1..).zip(&before) {
        let opened = model.shards.open(cell(slice))?;
        if opened.header().content != *before {
            // A second try: the first got as far as the slices. What is missing of its states is trained.
            return Ok(());
        }
        slices.push(opened);
    }
    let taking = Taking::of(model, &slices, gone);
    Ok(carry_over(model, shard, (&before, after), |payload, upto| taking.state(payload, upto))?)
}

/// Takes the rows of whoever goes out of the states of a shard.
pub(super) struct Taking<'a> {
    model: &'a Model,
    rows: Vec<Rows<'a>>,
    taken: Vec<Vec<u32>>,
}

impl<'a> Taking<'a> {
    /// Of a shard whose slices are these, in order.
    pub(super) fn of(model: &'a Model, slices: &'a [Slice], gone: &Gone) -> Taking<'a> {
        let taken = slices.iter().map(|slice| gone.rows_of(slice)).collect();
        Taking { model, rows: slices.iter().map(Slice::rows).collect(), taken }
    }

    /// The bytes of the state that so many slices make without them, from those of the one with them.
    ///
    /// # Errors
    /// The bytes are no such state.
    pub(super) fn state(&self, payload: &[u8], upto: usize) -> Result<Vec<u8>, StateError> {
        let removal = Removal {
            before: self.rows.get(..upto).unwrap_or_default(),
            gone: self.taken.get(..upto).unwrap_or_default(),
            team: Team::of(rayon::current_num_threads()),
        };
        self.model.learner.without(self.model.shards.layout(), payload, &removal)
    }
}
