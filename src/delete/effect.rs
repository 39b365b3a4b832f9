//! Brings accepted requests into effect, together. Every step can be done again.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    DeleteError, Drafts,
    accept::first_hits,
    downdate::downdate,
    prepare::{Prepared, Ready},
    purge::unlink_stale,
    purge_stale,
    target::Gone,
};
use crate::{
    digest::Digest,
    fs::{Durability, FsError, LockGuard, Pending as OnItsWay, Stopwatch, open_files_limit},
    ids::{Cell, GenerationId, ShardId},
    ledger::{Accepted, CellChange, Effective, Event, GenerationRecord},
    shard::{ShardStore, SliceFile},
    workspace::{Workspace, Writing},
};

/// Requests that are in the ledger and not yet in effect.
#[derive(Debug)]
pub struct Pending {
    /// What was accepted, with all outcomes, in order.
    accepted: Vec<Accepted>,
    clock: Stopwatch,
    files: BTreeMap<(GenerationId, Cell), SliceFile>,
    prepared: Prepared,
}

impl Pending {
    /// What was accepted, with all outcomes, in order.
    pub fn accepted(&self) -> &[Accepted] {
        &self.accepted
    }

    /// What the ledger has of requests that are not in effect.
    fn of(writing: &Writing) -> Result<Pending, DeleteError> {
        let (clock, ledger) = (Stopwatch::start(), writing.workspace().ledger());
        // A long list of outcomes is in a file of its own.
        let whole = writing.history().unfinished().into_iter().map(|request| ledger.whole(request.sequence, &request.accepted));
        let accepted = whole.collect::<Result<_, _>>()?;
        Ok(Pending { accepted, clock, files: BTreeMap::new(), prepared: Prepared::default() })
    }
}

/// Accepts worked-out requests, in order; the history is as the drafts saw it, and all that was accepted before is in effect.
///
/// # Errors
/// The disk refuses. Once a request is in the ledger it is not forgotten: the next open for writing goes on with it.
pub fn accept(writing: &mut Writing, drafts: Drafts) -> Result<Pending, DeleteError> {
    let clock = Stopwatch::start();
    let Drafts { accepted, files, mut prepared, .. } = drafts;
    let (events, disk) = (accepted.into_iter().map(Event::Accepted).collect(), writing.workspace().files().clone());
    if prepared.is_empty() || disk.syncs_at_once() < 2 {
        prepared.sync(&disk)?;
        writing.append_all(events)?;
    } else {
        // What is prepared needs to be durable when it is put in place, and no sooner.
        std::thread::scope(|scope| {
            let syncing = scope.spawn(|| prepared.sync(&disk));
            let appended = writing.append_all(events);
            syncing.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))?;
            Ok::<_, DeleteError>(appended?)
        })?;
    }
    disk.reached("accepted");
    // As the ledger has them: long lists are not held twice.
    Ok(Pending { clock, files, prepared, ..Pending::of(writing)? })
}

/// Brings requests that a crash left accepted into effect. Returns how many.
///
/// # Errors
/// The disk refuses, or a slice is neither as before nor as after.
pub fn recover(writing: &mut Writing) -> Result<usize, DeleteError> {
    if writing.history().unfinished().is_empty() {
        return Ok(0);
    }
    let pending = Pending::of(writing)?;
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
        pending: &[Accepted],
    ) -> Result<Option<Change<'a>>, DeleteError> {
        let mut cells: BTreeMap<Cell, Steps> = BTreeMap::new();
        for accepted in pending {
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
        let corrects = pending.iter().any(|accepted| accepted.corrects);
        Ok(Some(Change { id, record, store: workspace.shard_store(id, record)?, cells, corrects }))
    }
}

/// Handles of unlinked files that are kept at most: freeing their blocks takes time that an effect need not wait for.
const HELD_MOST: usize = 64;

/// How many are kept here: the process needs most of the files that it may open for the work itself.
pub(super) fn held_most() -> usize {
    open_files_limit().map_or(HELD_MOST, |files| HELD_MOST.min(files as usize / 8))
}

/// Brings requests into effect that are in the ledger, all at once: every slice is written again once, and each of them gets its entry.
/// Returns each with what came of it, in the same order.
///
/// # Errors
/// The disk refuses, or a slice is neither as before nor as after. It can be done again.
pub fn effect(writing: &mut Writing, pending: Pending) -> Result<Vec<(Accepted, Effective)>, DeleteError> {
    let workspace = &writing.workspace().clone();
    let Pending { accepted: pending, clock, mut files, mut prepared } = pending;
    let mut changes = Vec::new();
    for (id, record) in &writing.history().generations {
        changes.extend(Change::of(workspace, *id, record, &pending)?);
    }
    let gone = Gone::of(pending.iter().flat_map(|accepted| &accepted.outcomes));
    // States that rows can be taken out of: without them first, then those with them go. A kill in between costs nothing, a power cut at most
    // the training of what it lost. Taint goes before anything large is written, but for what was written before the requests were
    // accepted. Locks are taken shard by shard: a process may not have many at once.
    let (mut held, held_most) = (Vec::<Box<dyn LockGuard>>::new(), held_most());
    let (mut names, mut placed) = (BTreeSet::new(), BTreeSet::new());
    for change in &changes {
        let hits = change.first_hits();
        for shard in change.shards() {
            let _commit = change.store.lock(shard)?;
            let mut ready = prepared.take(change.id, shard);
            if hits.contains_key(&shard) {
                match &mut ready {
                    Some(Ready { states, .. }) => states.drain(..).try_for_each(place)?,
                    None => downdate(workspace, change, &gone, shard)?,
                }
                let room = held_most.saturating_sub(held.len());
                let of = (change.id, change.record);
                held.extend(unlink_stale(workspace, of, change.store.key(), shard, room, false, &mut names)?);
            }
            // Whoever builds waits for the lock, and then finds other slices.
            if let Some(Ready { slices, .. }) = ready {
                for (cell, file) in slices {
                    if change.cells.get(&cell).map_or(Ok(false), |steps| change.is_due(cell, steps))? {
                        place(file)?;
                    }
                    workspace.files().reached("rewritten");
                }
                names.insert(change.store.shard_dir(shard));
                placed.insert((change.id, shard));
            }
        }
    }
    workspace.files().reached("downdated");
    workspace.take_scratch_away()?;
    // Also if it was gone already: whoever removed it may not have made that durable.
    names.insert(workspace.root().to_owned());
    workspace.files().sync_dirs(&names)?;
    workspace.files().reached("purged");
    names.clear();
    for change in &changes {
        let hits = change.first_hits();
        for shard in change.shards().into_iter().filter(|shard| !placed.contains(&(change.id, *shard))) {
            let _commit = change.store.lock(shard)?;
            if hits.contains_key(&shard) {
                // A builder may have published a state of the old slices meanwhile; from here on it finds that they changed.
                purge_stale(workspace, change.id, change.record, change.store.key(), shard, true)?;
            }
            let mut written = Vec::new();
            for (cell, steps) in change.cells.iter().filter(|(cell, _)| cell.shard == shard) {
                match change.corrects {
                    true => put_in_place(change, *cell, steps)?,
                    false => written.extend(rewritten(change, *cell, steps, files.remove(&(change.id, *cell)), &gone)?),
                }
                if written.len() >= held_most {
                    place_all(workspace, &mut written)?;
                }
                workspace.files().reached("rewritten");
            }
            place_all(workspace, &mut written)?;
            names.insert(change.store.shard_dir(shard));
        }
    }
    workspace.files().sync_dirs(&names)?;
    let roots: BTreeMap<GenerationId, Digest> = changes.iter().map(|c| (c.id, c.record.root())).collect();
    drop(changes);
    let effective: Vec<Effective> = pending
        .iter()
        .map(|accepted| {
            let touched: BTreeSet<GenerationId> = accepted.cells.iter().map(|c| c.generation).collect();
            let roots = roots.iter().filter(|(id, _)| touched.contains(id)).map(|(id, root)| (*id, *root)).collect();
            Effective { request: accepted.request.clone(), roots, seconds: clock.seconds() }
        })
        .collect();
    writing.append_all(effective.iter().cloned().map(Event::Effective).collect())?;
    workspace.files().reached("effective");
    // The blocks of what was unlinked are freed only now.
    drop(held);
    Ok(pending.into_iter().zip(effective).collect())
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

/// Gives a durable file its name, which is synced later.
fn place(file: OnItsWay) -> Result<(), FsError> {
    file.publish(Durability::Later).map(|_| ())
}

/// The same of several that may not be durable yet.
fn place_all(workspace: &Workspace, written: &mut Vec<OnItsWay>) -> Result<(), FsError> {
    workspace.files().sync_pending(written.iter_mut())?;
    written.drain(..).try_for_each(place)
}

impl Change<'_> {
    /// Whether a slice is still to be written again.
    ///
    /// # Errors
    /// It is neither as before nor as after.
    fn is_due(&self, cell: Cell, steps: &Steps) -> Result<bool, DeleteError> {
        let now = self.store.header(cell)?.content;
        // What the ledger says now: the last request's digest, unless the slice was given up since.
        if steps.after.last().is_none_or(|last| now == *last) || self.record.cells.get(&cell) == Some(&now) {
            return Ok(false);
        }
        // As before all of them, or as the effects of some left it that came one by one.
        if now == steps.before || steps.after.contains(&now) { Ok(true) } else { Err(self.neither(cell, steps, now)) }
    }

    fn neither(&self, cell: Cell, steps: &Steps, got: Digest) -> DeleteError {
        DeleteError::Neither { path: self.store.path(cell), request: steps.request.clone(), got: got.to_string() }
    }
}

/// Writes a slice without the records, to be put in its place, unless that is done already.
fn rewritten(
    change: &Change<'_>,
    cell: Cell,
    steps: &Steps,
    built: Option<SliceFile>,
    gone: &Gone,
) -> Result<Option<OnItsWay>, DeleteError> {
    let store = &change.store;
    if !change.is_due(cell, steps)? {
        return Ok(None);
    }
    let file = match built {
        Some(file) => file,
        None => {
            let slice = store.open(cell)?;
            let absurd = |_| change.neither(cell, steps, slice.header().content);
            SliceFile::without(&slice, &gone.records_of(&slice), store.key()).map_err(absurd)?
        }
    };
    if steps.after.last() != Some(&file.content) {
        return Err(change.neither(cell, steps, file.content));
    }
    Ok(Some(store.begin(&file)?))
}
