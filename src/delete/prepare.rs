//! What requests will put in place, written before they are accepted: slices and, of learners of sets, states. They lie under names
//! that mean nothing, which the next writer sweeps if the requests never are accepted; once they are, putting them in place is a matter of names.

use std::collections::BTreeMap;

use super::{
    DeleteError, Drafts,
    downdate::{Taking, downdating},
    effect::held_most,
};
use crate::{
    digest::Digest,
    fs::{Files, FsError, Pending},
    ids::{Cell, GenerationId, Part, ShardId, SliceId},
    ledger::History,
    shard::Slice,
    train::{TrainError, carry_each},
    workspace::Workspace,
};

/// What waits of one shard: all that changes there.
#[derive(Debug, Default)]
pub(super) struct Ready {
    pub(super) states: Vec<Pending>,
    pub(super) slices: BTreeMap<Cell, Pending>,
}

/// What waits to be put in place.
#[derive(Debug, Default)]
pub(super) struct Prepared(BTreeMap<(GenerationId, ShardId), Ready>);

impl Prepared {
    /// What waits of a shard, if all that changes there does.
    pub(super) fn take(&mut self, generation: GenerationId, shard: ShardId) -> Option<Ready> {
        self.0.remove(&(generation, shard))
    }

    /// Makes all of it durable, but for the names.
    ///
    /// # Errors
    /// The disk refuses.
    pub(super) fn sync(&mut self, files: &Files) -> Result<(), FsError> {
        files.sync_pending(self.0.values_mut().flat_map(|ready| ready.states.iter_mut().chain(ready.slices.values_mut())))
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// Writes what requests will put in place, shard by shard, as far as its slices are in memory and the process may have the files open. What
/// is not, and all of it where the disk has no room before taint is gone, is made once they are accepted. The slices are as the
/// drafts saw them, as the caller has the writer lock.
///
/// # Errors
/// The disk refuses for another reason than that it is full; nothing is accepted then.
pub fn prepare(workspace: &Workspace, history: &History, mut drafts: Drafts) -> Result<Drafts, DeleteError> {
    let mut changes: BTreeMap<(GenerationId, ShardId), BTreeMap<Cell, Digest>> = BTreeMap::new();
    for change in drafts.accepted.iter().filter(|accepted| !accepted.corrects).flat_map(|accepted| &accepted.cells) {
        changes.entry((change.generation, change.cell.shard)).or_default().insert(change.cell, change.after);
    }
    let (mut prepared, mut room) = (Prepared::default(), held_most());
    for (at, changes) in &changes {
        match ready(workspace, history, &drafts, *at, changes, room) {
            Ok(Some(ready)) => {
                room = room.saturating_sub(ready.states.len() + ready.slices.len());
                prepared.0.insert(*at, ready);
            }
            Ok(None) => {}
            Err(DeleteError::Fs(e) | DeleteError::Train(TrainError::Fs(e))) if !e.is_full() => return Err(e.into()),
            // Whatever else is wrong is told by the effect, if it still is.
            Err(_) => return Ok(drafts),
        }
    }
    for (generation, shard) in prepared.0.keys() {
        drafts.files.retain(|(of, cell), _| (of, cell.shard) != (generation, *shard));
    }
    drafts.prepared = prepared;
    Ok(drafts)
}

fn ready(
    workspace: &Workspace,
    history: &History,
    drafts: &Drafts,
    (generation, shard): (GenerationId, ShardId),
    changes: &BTreeMap<Cell, Digest>,
    room: usize,
) -> Result<Option<Ready>, DeleteError> {
    let (Some(record), true) = (history.generations.get(&generation), changes.len() <= room) else { return Ok(None) };
    let store = workspace.shard_store(generation, record)?;
    let _commit = store.lock(shard)?;
    let before = record.cells.slices_of(shard);
    let mut after = before.to_vec();
    for (cell, content) in changes {
        if let Part::Slice(slice) = cell.part
            && let Some(after) = (slice.0 as usize).checked_sub(1).and_then(|at| after.get_mut(at))
        {
            *after = *content;
        }
    }
    let (mut ready, mut whole) = (Ready::default(), true);
    for recipe in record.recipes.iter().filter(|_| before != after.as_slice()) {
        let Some(model) = downdating(workspace, generation, record, &recipe.recipe)? else { continue };
        let slices: Vec<Slice> = (1..)
            .zip(before)
            .map(|(slice, _): (u32, &Digest)| {
                let cell = Cell { shard, part: Part::Slice(SliceId(slice)) };
                let opened = drafts.opened.get(&(generation, cell)).cloned();
                opened.map_or_else(|| model.shards.open(cell), Ok)
            })
            .collect::<Result<_, _>>()?;
        if !slices.iter().map(|slice| &slice.header().content).eq(before) {
            return Ok(None);
        }
        let taking = Taking::of(&model, &slices, &drafts.gone);
        let change = |payload: &[u8], upto| taking.state(payload, upto);
        carry_each(&model, shard, (before, &after), change, |step, lineage, state| {
            match state {
                Some(state) if ready.states.len() + changes.len() < room => {
                    ready.states.push(model.checkpoints.begin(shard, step, lineage, state)?);
                }
                // It is there already, and may not be durable; or too many are open.
                _ => whole = false,
            }
            Ok::<(), TrainError>(())
        })?;
    }
    for cell in changes.keys() {
        match drafts.files.get(&(generation, *cell)) {
            Some(file) if whole => drop(ready.slices.insert(*cell, store.begin(file)?)),
            _ => whole = false,
        }
    }
    Ok(Some(ready).filter(|_| whole))
}
