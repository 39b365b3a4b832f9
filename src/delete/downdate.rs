//! Takes rows out of states that allow it, so that nothing has to be trained again.

use std::collections::BTreeMap;

use super::{DeleteError, effect::Change, target::Gone};
use crate::{
    checkpoint::CheckpointError,
    digest::Digest,
    fs::Durability,
    ids::{Cell, Part, ShardId, SliceId},
    learn::{Removal, Rows},
    num::Team,
    shard::Slice,
    train::{Model, lineages},
    workspace::Workspace,
};

/// Publishes for a shard, under every recipe whose learner takes rows out, the states without the records from step `first` on, durably,
/// beside those with them. The slices are still as they were, and the caller holds the shard's commit lock. What can't be made so (a state is missing or damaged) is left to be trained.
///
/// # Errors
/// The disk refuses.
pub(super) fn downdate(
    workspace: &Workspace,
    change: &Change<'_>,
    gone: &Gone,
    shard: ShardId,
    first: u32,
) -> Result<(), DeleteError> {
    for recipe in &change.record.recipes {
        let rules = workspace.recipe(change.id, change.record, &recipe.recipe)?;
        if !rules.learner.check().map_err(crate::train::TrainError::from)?.abilities().downdate {
            continue;
        }
        let model = workspace.model(change.id, change.record, &recipe.recipe)?;
        downdate_shard(&model, change, gone, shard, first)?;
    }
    Ok(())
}

fn downdate_shard(model: &Model, change: &Change<'_>, gone: &Gone, shard: ShardId, first: u32) -> Result<(), DeleteError> {
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
    let old = lineages(&model.root, shard, before.values().copied());
    let new = lineages(&model.root, shard, after.values().copied());
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
    let mut made = Vec::new();
    for step in (first..=of).filter(|step| model.kept.get(*step as usize - 1) == Some(&true)) {
        let (Some(old), Some(new)) = (old.get(step as usize), new.get(step as usize)) else { continue };
        let id = SliceId(step);
        match model.checkpoints.read(shard, id, *new, |_| ()) {
            // A second try: it may not be durable yet.
            Ok(()) => {
                made.push((id, *new));
                continue;
            }
            Err(CheckpointError::Damaged { .. }) => {
                model.checkpoints.discard(shard, id, *new)?;
            }
            Err(CheckpointError::Fs(e)) if e.is_not_found() => {}
            Err(e) => return Err(crate::train::TrainError::from(e).into()),
        }
        let decode = |payload: &[u8]| model.learner.decode(model.shards.layout(), payload);
        let mut state = match model.checkpoints.read(shard, id, *old, decode) {
            Ok(Ok(state)) => state,
            // It was never trained, or is damaged: repair trains it.
            Ok(Err(_)) | Err(CheckpointError::Damaged { .. }) => continue,
            Err(CheckpointError::Fs(e)) if e.is_not_found() => continue,
            Err(e) => return Err(crate::train::TrainError::from(e).into()),
        };
        let upto = step as usize;
        let removal = Removal {
            before: rows.get(..upto).unwrap_or_default(),
            gone: taken.get(..upto).unwrap_or_default(),
            team: Team::of(rayon::current_num_threads()),
        };
        if state.downdate(&removal).is_ok() {
            model.checkpoints.publish(shard, id, *new, &state.encode(), Durability::Later)?;
            made.push((id, *new));
        }
    }
    for (step, lineage) in &made {
        model.checkpoints.sync_file(shard, *step, *lineage)?;
    }
    if !made.is_empty() {
        model.checkpoints.sync_names(shard)?;
    }
    Ok(())
}
