//! Brings accepted requests into effect. Every step can be done again.

use std::collections::{BTreeMap, BTreeSet};

use super::{DeleteError, Draft, accept::first_hits, downdate::downdate, purge_stale, target::Gone};
use crate::{
    digest::Digest,
    fs::{Durability, LockGuard, Stopwatch},
    ids::{Cell, GenerationId, ShardId},
    ledger::{Accepted, CellChange, Effective, Event, GenerationRecord, History},
    shard::{ShardStore, SliceFile},
    workspace::{Workspace, WriterLock},
};

/// Accepts a worked-out request and brings it into effect. The caller holds the writer lock, and `history` is as the draft saw it.
///
/// # Errors
/// The disk refuses. Once the request is in the ledger it is not forgotten: the next open for writing goes on with it.
pub fn bring_into_effect(
    workspace: &Workspace,
    lock: &WriterLock,
    history: &mut History,
    draft: Draft,
) -> Result<Effective, DeleteError> {
    let clock = Stopwatch::start();
    let Draft { accepted, files } = draft;
    workspace.ledger().append(history, Event::Accepted(accepted.clone()))?;
    workspace.files().reached("accepted");
    effect(workspace, lock, history, &accepted, files, clock)
}

/// Brings requests that a crash left accepted into effect. Returns how many.
///
/// # Errors
/// The disk refuses, or a slice is neither as before nor as after.
pub fn recover(workspace: &Workspace, lock: &WriterLock, history: &mut History) -> Result<usize, DeleteError> {
    let pending: Vec<Accepted> = history.unfinished().iter().map(|r| r.accepted.clone()).collect();
    for accepted in &pending {
        effect(workspace, lock, history, accepted, BTreeMap::new(), Stopwatch::start())?;
    }
    Ok(pending.len())
}

/// The changes of one generation.
pub(super) struct Change<'a> {
    pub(super) id: GenerationId,
    pub(super) record: &'a GenerationRecord,
    store: ShardStore,
    pub(super) cells: BTreeMap<Cell, &'a CellChange>,
}

impl Change<'_> {
    /// The first slice of each shard that changes.
    pub(super) fn first_hits(&self) -> BTreeMap<ShardId, u32> {
        first_hits(self.cells.values().copied())
    }
}

fn effect(
    workspace: &Workspace,
    _lock: &WriterLock,
    history: &mut History,
    accepted: &Accepted,
    mut files: BTreeMap<(GenerationId, Cell), SliceFile>,
    clock: Stopwatch,
) -> Result<Effective, DeleteError> {
    let mut changes = Vec::new();
    for (id, record) in &history.generations {
        let cells = accepted.cells.iter().filter(|c| c.generation == *id);
        let cells: BTreeMap<Cell, &CellChange> = cells.map(|c| (c.cell, c)).collect();
        if !cells.is_empty() {
            changes.push(Change { id: *id, record, store: workspace.shard_store(*id, record)?, cells });
        }
    }
    // From here on no builder of these shards can publish what it made of the old slices.
    let mut locks: Vec<Box<dyn LockGuard>> = Vec::new();
    for change in &changes {
        let shards: BTreeSet<ShardId> = change.cells.keys().map(|c| c.shard).collect();
        for shard in shards {
            locks.push(change.store.lock(shard)?);
        }
    }
    let gone = Gone::of(&accepted.outcomes);
    // States that rows can be taken out of: without them first, then those with them go. A crash in between costs nothing.
    for change in &changes {
        downdate(workspace, change, &gone)?;
    }
    workspace.files().reached("downdated");
    // Otherwise taint goes before anything large is written, so that a full disk does not delay the effect.
    let mut held = Vec::new();
    for change in &changes {
        let hits = change.first_hits();
        held.extend(purge_stale(workspace, change.id, change.record, change.store.key(), hits.keys().copied())?);
    }
    workspace.take_scratch_away()?;
    // Also if it was gone already: whoever removed it may not have made that durable.
    workspace.files().sync_dir(workspace.root())?;
    workspace.files().reached("purged");
    for change in &changes {
        for (cell, expected) in &change.cells {
            rewrite(change, *cell, expected, files.remove(&(change.id, *cell)), &gone, &accepted.request)?;
            workspace.files().reached("rewritten");
        }
    }
    let roots = changes.iter().map(|c| (c.id, c.record.root())).collect();
    let effective = Effective { request: accepted.request.clone(), roots, seconds: clock.seconds() };
    workspace.ledger().append(history, Event::Effective(effective.clone()))?;
    workspace.files().reached("effective");
    // The blocks of what was unlinked are freed only now.
    drop(held);
    Ok(effective)
}

/// Publishes a slice without the records, unless that is done already.
fn rewrite(
    change: &Change<'_>,
    cell: Cell,
    expected: &CellChange,
    built: Option<SliceFile>,
    gone: &Gone,
    request: &str,
) -> Result<(), DeleteError> {
    let store = &change.store;
    let now = store.header(cell)?.content;
    // What the ledger says now: the request's digest, unless the slice was given up since.
    if now == expected.after || change.record.cells.get(&cell) == Some(&now) {
        return Ok(());
    }
    let neither = |got: Digest| DeleteError::Neither { path: store.path(cell), request: request.into(), got: got.to_string() };
    if now != expected.before {
        return Err(neither(now));
    }
    let file = match built {
        Some(file) => file,
        None => {
            let slice = store.open(cell)?;
            SliceFile::without(&slice, &gone.records_of(&slice), store.key()).ok_or_else(|| neither(now))?
        }
    };
    if file.content != expected.after {
        return Err(neither(file.content));
    }
    Ok(store.publish(&file, Durability::Now)?)
}
