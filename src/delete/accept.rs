//! Works out everything that a request will do, before anything is done.

use std::collections::{BTreeMap, BTreeSet};

use super::{DeleteError, Target, Targets, prepare::Prepared, repair::predicted, target::Gone};
use crate::{
    checkpoint::{CheckpointStore, Found},
    digest::{Digest, HandleKey},
    ids::{Cell, GenerationId, Handle, Part, ShardId},
    ledger::{Accepted, CellChange, History, Outcome, OutcomeKind},
    order::Placement,
    schema::Subjects,
    shard::{BuildError, ShardStore, Slice, SliceError, SliceFile},
    workspace::{Snapshot, Workspace},
};

/// A request, worked out and not yet accepted.
#[derive(Debug)]
pub struct Draft {
    /// What would be accepted.
    pub accepted: Accepted,
    /// The slice files after it, by generation and cell, as far as they are kept.
    files: BTreeMap<(GenerationId, Cell), SliceFile>,
    /// Those that they are made of, opened and checked.
    opened: BTreeMap<(GenerationId, Cell), Slice>,
}

impl Draft {
    /// A request whose slices wait beside those whose places they take.
    pub fn of_waiting(accepted: Accepted) -> Draft {
        Draft { accepted, files: BTreeMap::new(), opened: BTreeMap::new() }
    }
}

/// Requests that will be accepted one after the other and come into effect together.
#[derive(Debug, Default)]
pub struct Drafts {
    /// What would be accepted, in order.
    pub(super) accepted: Vec<Accepted>,
    /// The slice files after all of them, as far as they are kept.
    pub(super) files: BTreeMap<(GenerationId, Cell), SliceFile>,
    /// Those that they are made of.
    pub(super) opened: BTreeMap<(GenerationId, Cell), Slice>,
    /// What goes.
    pub(super) gone: Gone,
    /// What is written already.
    pub(super) prepared: Prepared,
}

impl From<Draft> for Drafts {
    fn from(draft: Draft) -> Drafts {
        let mut drafts = Drafts::default();
        drafts.add(draft);
        drafts
    }
}

impl Drafts {
    /// One more, which was worked out after these.
    pub fn add(&mut self, draft: Draft) {
        let Draft { accepted, mut files, opened } = draft;
        let mut bytes = self.files.values().fold(0, |sum, file| sum + file.bytes().len());
        for change in &accepted.cells {
            let at = (change.generation, change.cell);
            // What is here of the cell is without that request.
            bytes -= self.files.remove(&at).map_or(0, |file| file.bytes().len());
            if let Some(file) = files.remove(&at).filter(|file| bytes + file.bytes().len() <= KEPT_BYTES) {
                bytes += file.bytes().len();
                self.files.insert(at, file);
            }
        }
        self.opened.extend(opened);
        self.gone.add(&accepted.outcomes);
        self.accepted.push(accepted);
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.accepted.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.accepted.is_empty()
    }

    /// The digest of the ids of the one of this name.
    pub fn ids(&self, request: &str) -> Option<Digest> {
        self.accepted.iter().find(|accepted| accepted.request == request).map(|accepted| accepted.ids)
    }

    /// What a cell will hold after them, if they change it, and how many records they take from it.
    fn change(&self, generation: GenerationId, cell: Cell) -> Option<(Digest, u64)> {
        let changes = || self.accepted.iter().flat_map(|a| &a.cells).filter(|c| (c.generation, c.cell) == (generation, cell));
        changes().next_back().map(|last| (last.after, changes().map(|change| change.records).sum()))
    }
}

/// Bytes of slice files that a draft keeps until they are put in place; what is more is built again then.
const KEPT_BYTES: usize = 16 << 20;

/// Works a request out against all generations. Changes nothing. `earlier` are requests that will be accepted before it:
/// what they take away is on the disk, and counts as gone.
///
/// # Errors
/// A slice is damaged or the disk refuses.
pub fn draft(
    workspace: &Workspace,
    snapshot: &Snapshot,
    key: &HandleKey,
    request: &str,
    targets: &Targets,
    suppress: bool,
    earlier: &Drafts,
) -> Result<Draft, DeleteError> {
    let pending = &earlier.gone;
    let history = &snapshot.history;
    let serving = snapshot.current.as_ref().map(|c| c.generation).or(history.newest().map(|(id, _)| id));
    let mut draft = Draft::of_waiting(Accepted { suppress, ..Accepted::of(request, targets.digest(key)) });
    let handles = workspace.ledger().handles(history)?;
    let mut kept = 0;
    let mut found: BTreeMap<Handle, (u64, u64)> = BTreeMap::new();
    let mut known: BTreeSet<Handle> = BTreeSet::new();
    for (generation, record) in &history.generations {
        let store = workspace.shard_store(*generation, record)?;
        let placement = workspace.placement(*generation, record, key)?;
        let subjects = workspace.partition(*generation, record)?.schema.subjects();
        let of_others = |t: &Target| !t.subject && subjects == Subjects::Column;
        let all_records: Vec<Handle> = targets.iter().filter(of_others).map(|t| t.handle).collect();
        let mut counts: BTreeMap<Handle, (u64, u64)> = BTreeMap::new();
        for (cell, mut named) in cells_of(targets, &store, &placement, subjects) {
            named.sort_unstable();
            let opened = earlier.opened.get(&(*generation, cell)).cloned();
            let slice = opened.map_or_else(|| store.open(cell), Ok)?;
            let gone = records_in(&slice, cell, &named, &all_records, pending, &mut counts);
            if gone.is_empty() {
                continue;
            }
            let absurd = |e: BuildError| SliceError::Damaged { path: store.path(cell), offset: 24, what: e.to_string() };
            // What requests before this one take away is gone from it, though not yet from the disk.
            let (before, taken) = earlier.change(*generation, cell).unwrap_or((slice.header().content, 0));
            let rows = slice.header().rows.saturating_sub(taken);
            let mut all = pending.records_of(&slice);
            all.extend(gone);
            let file = SliceFile::without(&slice, &all, store.key()).map_err(absurd)?;
            let (generation, records) = (*generation, rows.saturating_sub(file.rows));
            draft.accepted.cells.push(CellChange { generation, cell, before, after: file.content, records, come: 0 });
            kept += file.bytes().len();
            if kept <= KEPT_BYTES {
                draft.files.insert((generation, cell), file);
                draft.opened.insert((generation, cell), slice);
            }
        }
        known.extend(counts.keys());
        if Some(*generation) == serving {
            found.clone_from(&counts);
        }
        purge_list(workspace, history, *generation, &mut draft.accepted)?;
    }
    draft.accepted.outcomes.reserve_exact(targets.len());
    for target in targets.iter() {
        let (in_slices, held_out) = found.get(&target.handle).copied().unwrap_or_default();
        let outcome = if known.contains(&target.handle) {
            OutcomeKind::Erased
        } else if pending.has(target.handle) || handles.is_erased(target.handle)? {
            OutcomeKind::AlreadyErased
        } else {
            OutcomeKind::NotFound
        };
        draft.accepted.outcomes.push(Outcome { handle: target.handle, subject: target.subject, outcome, in_slices, held_out });
    }
    draft.accepted.exports = history.exports_that_saw(&draft.accepted.cells);
    draft.accepted.predicted = predicted(workspace, snapshot, &draft.accepted.cells)?;
    Ok(draft)
}

/// The cells that a request has to look into, in order, with the subjects that would be there. A subject is in one cell of
/// every block of shards, and of later batches in one of each; a record of a subject that isn't named may be in any.
fn cells_of(targets: &Targets, store: &ShardStore, placement: &Placement, subjects: Subjects) -> BTreeMap<Cell, Vec<Handle>> {
    let mut cells: BTreeMap<Cell, Vec<Handle>> = BTreeMap::new();
    let mut any = false;
    for target in targets.iter() {
        if target.subject || subjects == Subjects::EachRecord {
            for cell in store.cells_with(placement.cells(target.handle)) {
                cells.entry(cell).or_default().push(target.handle);
            }
        } else {
            any = true;
        }
    }
    if any {
        for cell in store.grid().cells() {
            cells.entry(cell).or_default();
        }
    }
    cells
}

/// The records of a slice that a request takes away: those of the subjects `named`, which ascend, and of `records` those that are here. Counts them by
/// target, in slices and held out.
fn records_in(
    slice: &Slice,
    cell: Cell,
    named: &[Handle],
    records: &[Handle],
    pending: &Gone,
    counts: &mut BTreeMap<Handle, (u64, u64)>,
) -> BTreeSet<Handle> {
    let mut gone = BTreeSet::new();
    let mut take = |target: Handle, record: Handle| {
        gone.insert(record);
        let count = counts.entry(target).or_default();
        match cell.part {
            Part::Slice(_) => count.0 += 1,
            Part::Holdout => count.1 += 1,
        }
    };
    for (record, subject) in slice.records().iter().zip(slice.subjects()) {
        let goes = named.binary_search(subject).is_ok();
        if goes && !pending.subjects.contains(subject) && !pending.records.contains(record) {
            take(*subject, *record);
        }
    }
    let there = slice.records();
    // There may be far more records than rows, or rows than records; both ascend.
    let found: Vec<usize> = match there.len() < records.len() {
        true => (0..there.len()).filter(|at| there.get(*at).is_some_and(|r| records.binary_search(r).is_ok())).collect(),
        false => records.iter().filter_map(|record| there.binary_search(record).ok()).collect(),
    };
    for at in found {
        let (Some(record), Some(subject)) = (there.get(at), slice.subjects().get(at)) else { continue };
        if !pending.records.contains(record) && !pending.subjects.contains(subject) {
            take(*record, *record);
        }
    }
    gone
}

/// The first slice of each shard of a generation that a request changes; holdouts taint no state.
pub(super) fn first_hits(cells: impl Iterator<Item = Cell>) -> BTreeMap<ShardId, u32> {
    let mut first = BTreeMap::new();
    for cell in cells {
        if let Cell { shard, part: Part::Slice(slice) } = cell {
            let earliest = first.entry(shard).or_insert(slice.0);
            *earliest = slice.0.min(*earliest);
        }
    }
    first
}

/// Names the checkpoints, of every recipe of a generation, that saw what a request changes.
///
/// # Errors
/// The disk refuses.
pub fn purge_list(
    workspace: &Workspace,
    history: &History,
    generation: GenerationId,
    accepted: &mut Accepted,
) -> Result<(), DeleteError> {
    let Some(record) = history.generations.get(&generation) else { return Ok(()) };
    let first = first_hits(accepted.cells.iter().filter(|c| c.generation == generation).map(|c| c.cell));
    for recipe in &record.recipes {
        let store = CheckpointStore::new(workspace.files().clone(), workspace.recipe_dir(generation, &recipe.recipe));
        for (shard, slice) in &first {
            let standby = record.standby(&recipe.recipe, *shard).filter(|standby| {
                let mut hits = accepted.cells.iter().filter(|c| c.generation == generation && c.cell.shard == *shard);
                !hits.any(|change| standby.saw(record.cells.chain(), change.cell.part))
            });
            let stays = |f: &Found| standby.is_some_and(|s| (s.step, s.lineage) == (f.step.0, f.lineage));
            for found in store.list(*shard)?.into_iter().filter(|f| f.step.0 >= *slice && !stays(f)) {
                let path = store.path(*shard, found.step, found.lineage);
                let relative = path.strip_prefix(workspace.root()).unwrap_or(&path);
                accepted.purge.push(relative.display().to_string());
            }
        }
    }
    Ok(())
}
