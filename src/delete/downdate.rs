//! Takes rows out of states that allow it, and of a correction puts others in, so that nothing has to be trained again.

use std::collections::BTreeMap;

use super::{DeleteError, effect::Change, target::Gone};
use crate::{
    digest::Digest,
    ids::{Cell, Part, ShardId, SliceId},
    learn::{Removal, Rows},
    num::Team,
    shard::Slice,
    train::{Model, carry_over, carry_to_waiting},
    workspace::Workspace,
};

/// Publishes for a shard, under every recipe whose learner takes rows out, the states without the records, durably,
/// beside those with them. The slices are still as they were, and the caller holds the shard's commit lock. What can't be made so (a state is missing or damaged) is left to be trained.
///
/// # Errors
/// The disk refuses.
pub(super) fn downdate(workspace: &Workspace, change: &Change<'_>, gone: &Gone, shard: ShardId) -> Result<(), DeleteError> {
    for recipe in &change.record.recipes {
        let rules = workspace.recipe(change.id, change.record, &recipe.recipe)?;
        if !rules.learner.check().map_err(crate::train::TrainError::from)?.abilities().downdate {
            continue;
        }
        let model = workspace.model(change.id, change.record, &recipe.recipe)?;
        match change.corrects {
            true => carry_to_waiting(&model, shard, &model.shards.waiting(shard)?)?,
            false => downdate_shard(&model, change, gone, shard)?,
        }
    }
    Ok(())
}

fn downdate_shard(model: &Model, change: &Change<'_>, gone: &Gone, shard: ShardId) -> Result<(), DeleteError> {
    let of = model.shards.grid().slices;
    let cell = |slice: u32| Cell { shard, part: Part::Slice(SliceId(slice)) };
    // How the shard's slices are to be, and how they were before this request.
    let after: BTreeMap<Cell, Digest> = (1..=of).filter_map(|s| Some((cell(s), *change.record.cells.get(&cell(s))?))).collect();
    let mut before = after.clone();
    for (at, digest) in &mut before {
        if let Some(changed) = change.cells.get(at) {
            *digest = changed.before;
        }
    }
    let mut slices: Vec<Slice> = Vec::new();
    for slice in 1..=of {
        let opened = model.shards.open(cell(slice))?;
        if before.get(&cell(slice)) != Some(&opened.header().content) {
            // A second try: the first got as far as the slices, so it had all states in place.
            return Ok(());
        }
        slices.push(opened);
    }
    let rows: Vec<Rows<'_>> = slices.iter().map(Slice::rows).collect();
    let taken: Vec<Vec<u32>> = slices.iter().map(|slice| gone.rows_of(slice)).collect();
    let contents = |cells: &BTreeMap<Cell, Digest>| cells.values().copied().collect::<Vec<Digest>>();
    let change = (&contents(&before)[..], &contents(&after)[..]);
    Ok(carry_over(model, shard, change, |payload, upto| {
        let removal = Removal {
            before: rows.get(..upto).unwrap_or_default(),
            gone: taken.get(..upto).unwrap_or_default(),
            team: Team::of(rayon::current_num_threads()),
        };
        model.learner.without(model.shards.layout(), payload, &removal)
    })?)
}
