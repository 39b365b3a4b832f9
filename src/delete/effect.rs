//! Brings accepted requests into effect, together. Every step can be done again.

use std::collections::{BTreeMap, BTreeSet};

use super::{DeleteError, Draft, accept::first_hits, downdate::downdate, purge_stale, target::Gone};
use crate::{
    digest::Digest,
    fs::{Durability, LockGuard, Stopwatch, open_files_limit},
    ids::{Cell, GenerationId, ShardId},
    ledger::{Accepted, CellChange, Effective, Event, GenerationRecord, Outcome},
    shard::{ShardStore, SliceFile},
    workspace::{Workspace, WorkspaceError, Writing},
};

/// A request that is in the ledger and not yet in effect.
#[derive(Debug)]
pub struct Pending {
    /// What was accepted, with all outcomes.
    accepted: Accepted,
    clock: Stopwatch,
    files: BTreeMap<(GenerationId, Cell), SliceFile>,
}

impl Pending {
    /// What was accepted, with all outcomes.
    pub fn accepted(&self) -> &Accepted {
        &self.accepted
    }

    /// What becomes of each id.
    pub(super) fn outcomes(&self) -> impl Iterator<Item = &Outcome> {
        self.accepted.outcomes.iter()
    }
}

/// Accepts a worked-out request; the history is as the draft saw it.
///
/// # Errors
/// The disk refuses. Once the request is in the ledger it is not forgotten: the next open for writing goes on with it.
pub fn accept(writing: &mut Writing, draft: Draft) -> Result<Pending, DeleteError> {
    let clock = Stopwatch::start();
    let Draft { accepted, files } = draft;
    writing.append(Event::Accepted(accepted))?;
    writing.workspace().files().reached("accepted");
    // As the ledger has it: a long list of outcomes is in a file of its own by now, and is not held twice.
    let Some(last) = writing.history().unfinished().last().copied() else { return Err(WorkspaceError::MovedOn.into()) };
    let accepted = writing.workspace().ledger().whole(last.sequence, &last.accepted)?;
    Ok(Pending { accepted, clock, files })
}

/// Brings requests that a crash left accepted into effect. Returns how many.
///
/// # Errors
/// The disk refuses, or a slice is neither as before nor as after.
pub fn recover(writing: &mut Writing) -> Result<usize, DeleteError> {
    let unfinished = writing.history().unfinished();
    if unfinished.is_empty() {
        return Ok(0);
    }
    let mut pending = Vec::with_capacity(unfinished.len());
    for request in unfinished {
        let accepted = writing.workspace().ledger().whole(request.sequence, &request.accepted)?;
        pending.push(Pending { accepted, clock: Stopwatch::start(), files: BTreeMap::new() });
    }
    Ok(effect(writing, pending)?.len())
}

/// The changes of one generation.
pub(super) struct Change<'a> {
    pub(super) id: GenerationId,
    pub(super) record: &'a GenerationRecord,
    store: ShardStore,
    pub(super) cells: BTreeMap<Cell, Steps>,
    /// Whether it is a correction, which comes alone: its slices wait beside those whose places they take.
    pub(super) corrects: bool,
}

/// What a cell holds before, between and after the requests that change it.
pub(super) struct Steps {
    pub(super) before: Digest,
    after: Vec<Digest>,
    /// The last request that changes it.
    request: String,
}

impl Change<'_> {
    /// The first slice of each shard that changes.
    pub(super) fn first_hits(&self) -> BTreeMap<ShardId, u32> {
        first_hits(self.cells.keys().copied())
    }

    fn shards(&self) -> BTreeSet<ShardId> {
        self.cells.keys().map(|cell| cell.shard).collect()
    }

    fn of<'a>(
        workspace: &Workspace,
        id: GenerationId,
        record: &'a GenerationRecord,
        pending: &[Pending],
    ) -> Result<Option<Change<'a>>, DeleteError> {
        let mut cells: BTreeMap<Cell, Steps> = BTreeMap::new();
        for Pending { accepted, .. } in pending {
            for CellChange { cell, before, after, .. } in accepted.cells.iter().filter(|c| c.generation == id) {
                let steps = Steps { before: *before, after: Vec::new(), request: String::new() };
                let steps = cells.entry(*cell).or_insert(steps);
                steps.after.push(*after);
                steps.request.clone_from(&accepted.request);
            }
        }
        if cells.is_empty() {
            return Ok(None);
        }
        let corrects = pending.iter().any(|p| p.accepted.corrects);
        Ok(Some(Change { id, record, store: workspace.shard_store(id, record)?, cells, corrects }))
    }
}

/// Handles of unlinked files that are kept at most: freeing their blocks takes time that an effect need not wait for.
const HELD_MOST: usize = 64;

/// How many are kept here: the process needs most of the files that it may open for the work itself.
fn held_most() -> usize {
    open_files_limit().map_or(HELD_MOST, |files| HELD_MOST.min(files as usize / 8))
}

/// Brings requests into effect that are in the ledger, all at once: every slice is written again once, and each of them gets its entry.
/// Returns each with what came of it, in the same order.
///
/// # Errors
/// The disk refuses, or a slice is neither as before nor as after. It can be done again.
pub fn effect(writing: &mut Writing, mut pending: Vec<Pending>) -> Result<Vec<(Accepted, Effective)>, DeleteError> {
    let workspace = &writing.workspace().clone();
    let mut changes = Vec::new();
    for (id, record) in &writing.history().generations {
        changes.extend(Change::of(workspace, *id, record, &pending)?);
    }
    let gone = Gone::of(pending.iter().flat_map(|p| &p.accepted.outcomes));
    // States that rows can be taken out of: without them first, then those with them go. A crash in between costs nothing. Taint goes
    // before anything large is written. Locks are taken shard by shard: a process may not have many at once.
    let (mut held, held_most) = (Vec::<Box<dyn LockGuard>>::new(), held_most());
    for change in &changes {
        let hits = change.first_hits();
        for shard in change.shards() {
            let _commit = change.store.lock(shard)?;
            if hits.contains_key(&shard) {
                downdate(workspace, change, &gone, shard)?;
                let room = held_most.saturating_sub(held.len());
                held.extend(purge_stale(workspace, change.id, change.record, change.store.key(), shard, room, false)?);
            }
        }
    }
    workspace.files().reached("downdated");
    workspace.take_scratch_away()?;
    // Also if it was gone already: whoever removed it may not have made that durable.
    workspace.files().sync_dir(workspace.root())?;
    workspace.files().reached("purged");
    // Files that are built already are those of a request alone; one of several builds them again.
    let mut files = match pending.as_mut_slice() {
        [only] => std::mem::take(&mut only.files),
        _ => BTreeMap::new(),
    };
    for change in &changes {
        let hits = change.first_hits();
        for shard in change.shards() {
            let _commit = change.store.lock(shard)?;
            if hits.contains_key(&shard) {
                // A builder may have published a state of the old slices meanwhile; from here on it finds that they changed.
                purge_stale(workspace, change.id, change.record, change.store.key(), shard, 0, true)?;
            }
            for (cell, steps) in change.cells.iter().filter(|(cell, _)| cell.shard == shard) {
                match change.corrects {
                    true => put_in_place(change, *cell, steps)?,
                    false => rewrite(change, *cell, steps, files.remove(&(change.id, *cell)), &gone)?,
                }
                workspace.files().reached("rewritten");
            }
            if change.corrects {
                workspace.files().sync_dir(&change.store.shard_dir(shard))?;
            }
        }
    }
    let roots: BTreeMap<GenerationId, Digest> = changes.iter().map(|c| (c.id, c.record.root())).collect();
    drop(changes);
    let mut came = Vec::with_capacity(pending.len());
    for Pending { accepted, clock, .. } in pending {
        let touched: BTreeSet<GenerationId> = accepted.cells.iter().map(|c| c.generation).collect();
        let roots = roots.iter().filter(|(id, _)| touched.contains(id)).map(|(id, root)| (*id, *root)).collect();
        let effective = Effective { request: accepted.request.clone(), roots, seconds: clock.seconds() };
        writing.append(Event::Effective(effective.clone()))?;
        workspace.files().reached("effective");
        came.push((accepted, effective));
    }
    // The blocks of what was unlinked are freed only now.
    drop(held);
    Ok(came)
}

/// Puts the slice with corrected records in its place, unless that is done already.
fn put_in_place(change: &Change<'_>, cell: Cell, steps: &Steps) -> Result<(), DeleteError> {
    let (store, known) = (&change.store, change.record.cells.get(&cell));
    if store.waiting(cell.shard)?.contains(&cell) {
        return Ok(store.settle(cell, known)?);
    }
    match store.header(cell)?.content {
        now if Some(&now) == known => Ok(()),
        _ => Err(DeleteError::Lost { path: store.next_path(cell), request: steps.request.clone() }),
    }
}

/// Publishes a slice without the records, unless that is done already.
fn rewrite(change: &Change<'_>, cell: Cell, steps: &Steps, built: Option<SliceFile>, gone: &Gone) -> Result<(), DeleteError> {
    let store = &change.store;
    let now = store.header(cell)?.content;
    // What the ledger says now: the last request's digest, unless the slice was given up since.
    let Some(last) = steps.after.last().copied() else { return Ok(()) };
    if now == last || change.record.cells.get(&cell) == Some(&now) {
        return Ok(());
    }
    let neither = |got: Digest| {
        let (path, request) = (store.path(cell), steps.request.clone());
        DeleteError::Neither { path, request, got: got.to_string() }
    };
    // As before all of them, or as the effects of some left it that came one by one.
    if now != steps.before && !steps.after.contains(&now) {
        return Err(neither(now));
    }
    let file = match built {
        Some(file) => file,
        None => {
            let slice = store.open(cell)?;
            SliceFile::without(&slice, &gone.records_of(&slice), store.key()).map_err(|_| neither(now))?
        }
    };
    if file.content != last {
        return Err(neither(file.content));
    }
    Ok(store.publish(&file, Durability::Now)?)
}
