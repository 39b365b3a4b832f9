//! Adds the rows of a batch to states that allow it, so that nothing has to be trained again.

use super::AppendError;
use crate::{
    digest::Digest,
    ids::{Cell, Part, ShardId},
    learn::{Addition, Rows},
    num::Team,
    shard::{Slice, SliceError},
    train::{Model, carry_over},
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
    let contents = |slices: &[Slice]| slices.iter().map(|slice| slice.header().content).collect::<Vec<Digest>>();
    let rows: Vec<Rows<'_>> = after.iter().map(Slice::rows).collect();
    let change = (&contents(&before)[..], &contents(&after)[..]);
    Ok(carry_over(model, shard, change, |state, upto| {
        state.extend(&Addition {
            after: rows.get(..upto).unwrap_or_default(),
            come: come.get(..upto).unwrap_or_default(),
            team: Team::of(rayon::current_num_threads()),
        })
    })?)
}

/// The rows of a slice that it had not before; `None` if it lacks one that it had.
fn come(before: &Slice, after: &Slice) -> Option<Vec<u32>> {
    let known = before.records();
    let rows = (0..).zip(after.records()).filter(|(_, record)| known.binary_search(record).is_err());
    let come: Vec<u32> = rows.map(|(row, _)| row).collect();
    (known.len() + come.len() == after.records().len()).then_some(come)
}
