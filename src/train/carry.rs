//! States of learners of sets, carried over to slices that hold other rows, so that nothing has to be trained again.

use super::{Model, TrainError, lineages};
use crate::{
    checkpoint::CheckpointError,
    digest::Digest,
    fs::Durability,
    ids::{ShardId, SliceId},
    learn::{State, StateError},
};

/// Publishes the states of a shard as they are once its slices hold `after`, durably, beside those that saw `before`; both are the
/// content digests of all its slices, in order. `change` turns a state that saw so many of them before into the one after. The caller
/// holds the shard's commit lock. What can't be made so (a state is missing or damaged) is left to be trained.
///
/// # Errors
/// The disk refuses. It can be done again.
pub fn carry_over(
    model: &Model,
    shard: ShardId,
    (before, after): (&[Digest], &[Digest]),
    change: impl Fn(&mut dyn State, usize) -> Result<(), StateError>,
) -> Result<(), TrainError> {
    let Some(first) = before.iter().zip(after).position(|(before, after)| before != after) else { return Ok(()) };
    let old = lineages(&model.root, shard, before.iter().copied());
    let new = lineages(&model.root, shard, after.iter().copied());
    let mut made = Vec::new();
    for (step, kept) in (1_usize..).zip(&model.kept).skip(first) {
        let (true, Some(old), Some(new)) = (*kept, old.get(step), new.get(step)) else { continue };
        let id = SliceId(step as u32);
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
            Err(CheckpointError::Fs(e)) => return Err(e.into()),
        }
        let decode = |payload: &[u8]| model.learner.decode(model.shards.layout(), payload);
        let mut state = match model.checkpoints.read(shard, id, *old, decode) {
            Ok(Ok(state)) => state,
            // It was never trained, or is damaged.
            Ok(Err(_)) | Err(CheckpointError::Damaged { .. }) => continue,
            Err(CheckpointError::Fs(e)) if e.is_not_found() => continue,
            Err(CheckpointError::Fs(e)) => return Err(e.into()),
        };
        if change(&mut *state, step).is_ok() {
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
