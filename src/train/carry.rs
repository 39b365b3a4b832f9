//! States of learners of sets, carried over to slices that hold other rows, so that nothing has to be trained again.

use super::{Model, TrainError, lineages};
use crate::{
    checkpoint::CheckpointError,
    digest::Digest,
    fs::Durability,
    ids::{Cell, Handle, Part, ShardId, SliceId},
    learn::{Addition, Removal, Rows, StateError},
    num::Team,
    shard::{Slice, SliceError},
};

/// Publishes the states of a shard as they are once its slices hold `after`, durably, beside those that saw `before`; both are the
/// content digests of all its slices, in order. `change` makes of the bytes of a state that saw so many of them before those of the one after. The caller
/// holds the shard's commit lock. What can't be made so (a state is missing or damaged) is left to be trained.
///
/// # Errors
/// The disk refuses. It can be done again.
pub fn carry_over(
    model: &Model,
    shard: ShardId,
    contents: (&[Digest], &[Digest]),
    change: impl Fn(&[u8], usize) -> Result<Vec<u8>, StateError>,
) -> Result<(), TrainError> {
    let mut made = Vec::new();
    carry_each(model, shard, contents, change, |step, lineage, state| {
        // Without one it is there by a first try, and may not be durable yet.
        if let Some(state) = state {
            model.checkpoints.publish(shard, step, lineage, state, Durability::Later)?;
        }
        made.push((step, lineage));
        Ok(())
    })?;
    for (step, lineage) in &made {
        model.checkpoints.sync_file(shard, *step, *lineage)?;
    }
    if !made.is_empty() {
        model.checkpoints.sync_names(shard)?;
    }
    Ok(())
}

/// Makes the states that [`carry_over`] publishes, and hands each on with its step and lineage key, without its bytes where it is there
/// already.
///
/// # Errors
/// The disk refuses, or whoever takes them.
pub fn carry_each(
    model: &Model,
    shard: ShardId,
    (before, after): (&[Digest], &[Digest]),
    change: impl Fn(&[u8], usize) -> Result<Vec<u8>, StateError>,
    mut then: impl FnMut(SliceId, Digest, Option<&[u8]>) -> Result<(), TrainError>,
) -> Result<(), TrainError> {
    let Some(first) = before.iter().zip(after).position(|(before, after)| before != after) else { return Ok(()) };
    let old = lineages(&model.root, shard, before.iter().copied());
    let new = lineages(&model.root, shard, after.iter().copied());
    for (step, kept) in (1_usize..).zip(&model.kept).skip(first) {
        let (true, Some(old), Some(new)) = (*kept, old.get(step), new.get(step)) else { continue };
        let id = SliceId(step as u32);
        match model.checkpoints.read(shard, id, *new, |_| ()) {
            Ok(()) => {
                then(id, *new, None)?;
                continue;
            }
            Err(CheckpointError::Damaged { .. }) => {
                model.checkpoints.discard(shard, id, *new)?;
            }
            Err(CheckpointError::Fs(e)) if e.is_not_found() => {}
            Err(CheckpointError::Fs(e)) => return Err(e.into()),
        }
        let state = match model.checkpoints.read(shard, id, *old, |payload| change(payload, step)) {
            Ok(Ok(state)) => state,
            // It was never trained, is damaged, or does not fit.
            Ok(Err(_)) | Err(CheckpointError::Damaged { .. }) => continue,
            Err(CheckpointError::Fs(e)) if e.is_not_found() => continue,
            Err(CheckpointError::Fs(e)) => return Err(e.into()),
        };
        then(id, *new, Some(&state))?;
    }
    Ok(())
}

/// Publishes the states of a shard as they are once the files that wait beside its slices are in their places, as [`carry_over`] does; no
/// file is in its place yet. What can't be made so (also because a first try got as far as the slices) is left to be trained.
///
/// # Errors
/// The disk refuses.
pub fn carry_to_waiting(model: &Model, shard: ShardId, waiting: &[Cell]) -> Result<(), TrainError> {
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
    let (gone, come): (Vec<_>, Vec<_>) = before.iter().zip(&after).map(|(before, after)| differences(before, after)).unzip();
    let contents = |slices: &[Slice]| slices.iter().map(|slice| slice.header().content).collect::<Vec<Digest>>();
    let change = (&contents(&before)[..], &contents(&after)[..]);
    let (before, after): (Vec<Rows<'_>>, Vec<Rows<'_>>) =
        (before.iter().map(Slice::rows).collect(), after.iter().map(Slice::rows).collect());
    carry_over(model, shard, change, |payload, upto| {
        let team = Team::of(rayon::current_num_threads());
        let (gone, come) = (gone.get(..upto).unwrap_or_default(), come.get(..upto).unwrap_or_default());
        let layout = model.shards.layout();
        let removal = Removal { before: before.get(..upto).unwrap_or_default(), gone, team };
        let goes = gone.iter().any(|rows| !rows.is_empty());
        if come.iter().all(Vec::is_empty) {
            return if goes { model.learner.without(layout, payload, &removal) } else { Ok(payload.to_vec()) };
        }
        let mut state = model.learner.decode(layout, payload)?;
        if goes {
            state.downdate(&removal)?;
        }
        state.extend(&Addition { after: after.get(..upto).unwrap_or_default(), come, team })?;
        Ok(state.encode())
    })
}

/// The rows of one slice that are not so in another, and those of the other that are not so in the one.
fn differences(before: &Slice, after: &Slice) -> (Vec<u32>, Vec<u32>) {
    let (mut gone, mut come) = (Vec::new(), Vec::new());
    let (mut old, mut new) = (Vec::new(), Vec::new());
    let record = |slice: &Slice, at: usize| -> Option<Handle> { slice.records().get(at).copied() };
    let (mut left, mut right) = (0_usize, 0_usize);
    // Both ascend by their records.
    loop {
        match (record(before, left), record(after, right)) {
            (None, None) => return (gone, come),
            (Some(a), Some(b)) if a == b => {
                before.encoded_row(left, &mut old);
                after.encoded_row(right, &mut new);
                if old != new {
                    gone.push(left as u32);
                    come.push(right as u32);
                }
                (left, right) = (left + 1, right + 1);
            }
            (Some(a), b) if b.is_none_or(|b| a < b) => {
                gone.push(left as u32);
                left += 1;
            }
            _ => {
                come.push(right as u32);
                right += 1;
            }
        }
    }
}
