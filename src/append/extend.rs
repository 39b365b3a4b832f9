//! Adds the rows of a batch to states that allow it, so that nothing has to be trained again.

use super::AppendError;
use crate::{
    checkpoint::CheckpointError,
    digest::Digest,
    fs::Durability,
    ids::{Cell, Part, ShardId, SliceId},
    learn::{Addition, Rows},
    num::Team,
    shard::{Slice, SliceError},
    train::{Model, lineages},
};

/// Publishes the states of a shard with the rows that wait beside its slices, durably, beside those without them. No file is in its
/// place yet, and the caller holds the shard's commit lock. What can't be made so (a state is missing or damaged, or a first try got as
/// far as the slices) is left to be trained.
///
/// # Errors
/// The disk refuses.
pub(super) fn extend(model: &Model, shard: ShardId, waiting: &[Cell]) -> Result<(), AppendError> {
    let store = &model.shards;
    let (mut before, mut after): (Vec<Slice>, Vec<Slice>) = (Vec::new(), Vec::new());
    for step in store.grid().slices() {
        let cell = Cell { shard, part: Part::Slice(step) };
        let opened = || {
            let now = store.open(cell)?;
            let next = if waiting.contains(&cell) { store.open_next(cell)? } else { now.clone() };
            Ok((now, next))
        };
        match opened() {
            Ok((now, next)) => {
                before.push(now);
                after.push(next);
            }
            Err(SliceError::Damaged { .. }) => return Ok(()),
            Err(SliceError::Fs(e)) => return Err(e.into()),
        }
    }
    let Some(come) = before.iter().zip(&after).map(|(before, after)| come(before, after)).collect::<Option<Vec<_>>>() else {
        return Ok(());
    };
    let Some(first) = come.iter().position(|rows| !rows.is_empty()) else { return Ok(()) };
    let contents = |slices: &[Slice]| slices.iter().map(|slice| slice.header().content).collect::<Vec<Digest>>();
    let (old, new) = (lineages(&model.root, shard, contents(&before)), lineages(&model.root, shard, contents(&after)));
    let rows: Vec<Rows<'_>> = after.iter().map(Slice::rows).collect();
    let mut made = Vec::new();
    for (step, kept) in (1_usize..).zip(&model.kept).skip(first) {
        let (true, Some(old), Some(new)) = (*kept, old.get(step), new.get(step)) else { continue };
        let id = SliceId(step as u32);
        if model.checkpoints.read(shard, id, *new, |_| ()).is_ok() {
            // A second try: it may not be durable yet.
            made.push((id, *new));
            continue;
        }
        let decode = |payload: &[u8]| model.learner.decode(store.layout(), payload);
        let mut state = match model.checkpoints.read(shard, id, *old, decode) {
            Ok(Ok(state)) => state,
            // It was never trained, or is damaged.
            Ok(Err(_)) | Err(CheckpointError::Damaged { .. }) => continue,
            Err(CheckpointError::Fs(e)) if e.is_not_found() => continue,
            Err(CheckpointError::Fs(e)) => return Err(e.into()),
        };
        let addition = Addition {
            after: rows.get(..step).unwrap_or_default(),
            come: come.get(..step).unwrap_or_default(),
            team: Team::of(rayon::current_num_threads()),
        };
        if state.extend(&addition).is_ok() {
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

/// The rows of a slice that it had not before; `None` if it lacks one that it had.
fn come(before: &Slice, after: &Slice) -> Option<Vec<u32>> {
    let known = before.records();
    let rows = (0..).zip(after.records()).filter(|(_, record)| known.binary_search(record).is_err());
    let come: Vec<u32> = rows.map(|(row, _)| row).collect();
    (known.len() + come.len() == after.records().len()).then_some(come)
}
