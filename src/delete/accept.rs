//! Works out everything that a request will do, before anything is done.

use std::collections::{BTreeMap, BTreeSet};

use super::{DeleteError, Targets, repair::predicted};
use crate::{
    checkpoint::CheckpointStore,
    digest::HandleKey,
    ids::{Cell, GenerationId, Handle, Part, ShardId},
    ledger::{Accepted, CellChange, History, Outcome, OutcomeKind},
    shard::{ShardStore, Slice, SliceFile},
    workspace::{Snapshot, Workspace},
};

/// A request, worked out and not yet accepted.
#[derive(Debug)]
pub struct Draft {
    /// What would be accepted.
    pub accepted: Accepted,
    /// The slice files after it, by generation and cell.
    pub(super) files: BTreeMap<(GenerationId, Cell), SliceFile>,
}

/// Where a request's records are, in one generation.
struct Hits {
    /// Records to take away, by cell.
    cells: BTreeMap<Cell, (Slice, BTreeSet<Handle>)>,
    /// Records of each target: in slices, held out.
    counts: BTreeMap<Handle, (u64, u64)>,
}

/// Works a request out against all generations. Changes nothing.
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
) -> Result<Draft, DeleteError> {
    let history = &snapshot.history;
    let serving = snapshot.current.as_ref().map(|c| c.generation).or(history.newest().map(|(id, _)| id));
    let mut draft = Draft {
        accepted: Accepted {
            request: request.into(),
            ids: targets.digest(key),
            suppress,
            outcomes: Vec::new(),
            cells: Vec::new(),
            purge: Vec::new(),
            predicted: Default::default(),
        },
        files: BTreeMap::new(),
    };
    let mut found: BTreeMap<Handle, (u64, u64)> = BTreeMap::new();
    let mut known: BTreeSet<Handle> = BTreeSet::new();
    for (generation, record) in &history.generations {
        let store = workspace.shard_store(*generation, record)?;
        let placement = workspace.placement(*generation, record, key)?;
        let by_record = workspace.partition(*generation, record)?.schema.subject.is_some();
        let hits = hits(&store, targets, |handle| placement.cell(handle), by_record)?;
        known.extend(hits.counts.keys());
        if Some(*generation) == serving {
            found.clone_from(&hits.counts);
        }
        for (cell, (slice, gone)) in hits.cells {
            let file = SliceFile::without(&slice, &gone, store.key()).ok_or_else(|| {
                DeleteError::Slice(crate::shard::SliceError::Damaged {
                    path: store.path(cell),
                    offset: 24,
                    what: "the row count is absurd".into(),
                })
            })?;
            draft.accepted.cells.push(CellChange {
                generation: *generation,
                cell,
                before: slice.header().content,
                after: file.content,
                records: slice.header().rows - file.rows,
            });
            draft.files.insert((*generation, cell), file);
        }
        purge_list(workspace, history, *generation, &mut draft.accepted)?;
    }
    for target in targets.iter() {
        let (in_slices, held_out) = found.get(&target.handle).copied().unwrap_or_default();
        let outcome = if known.contains(&target.handle) {
            OutcomeKind::Erased
        } else if history.erased.contains(&target.handle) {
            OutcomeKind::AlreadyErased
        } else {
            OutcomeKind::NotFound
        };
        draft.accepted.outcomes.push(Outcome { handle: target.handle, subject: target.subject, outcome, in_slices, held_out });
    }
    draft.accepted.predicted = predicted(workspace, snapshot, &draft.accepted.cells)?;
    Ok(draft)
}

/// Finds the targets' records. A subject is in one cell; a record of a subject that isn't named may be in any.
fn hits(store: &ShardStore, targets: &Targets, cell_of: impl Fn(Handle) -> Cell, by_record: bool) -> Result<Hits, DeleteError> {
    let mut hits = Hits { cells: BTreeMap::new(), counts: BTreeMap::new() };
    let take = |hits: &mut Hits, cell: Cell, slice: &Slice, target: Handle, records: Vec<Handle>| {
        if records.is_empty() {
            return;
        }
        let count = hits.counts.entry(target).or_default();
        match cell.part {
            Part::Slice(_) => count.0 += records.len() as u64,
            Part::Holdout => count.1 += records.len() as u64,
        }
        hits.cells.entry(cell).or_insert_with(|| (slice.clone(), BTreeSet::new())).1.extend(records);
    };
    let mut opened: BTreeMap<Cell, Slice> = BTreeMap::new();
    for target in targets.iter().filter(|t| t.subject || !by_record) {
        let cell = cell_of(target.handle);
        let slice = match opened.get(&cell) {
            Some(slice) => slice.clone(),
            None => {
                let slice = store.open(cell)?;
                opened.insert(cell, slice.clone());
                slice
            }
        };
        let records = slice.records_of(target.handle).collect();
        take(&mut hits, cell, &slice, target.handle, records);
    }
    let records: Vec<Handle> = targets.iter().filter(|t| !t.subject && by_record).map(|t| t.handle).collect();
    if !records.is_empty() {
        for cell in store.grid().cells() {
            let slice = match opened.get(&cell) {
                Some(slice) => slice.clone(),
                None => store.open(cell)?,
            };
            for record in &records {
                if slice.records().binary_search(record).is_ok() {
                    take(&mut hits, cell, &slice, *record, vec![*record]);
                }
            }
        }
    }
    Ok(hits)
}

/// The first slice of each shard of a generation that a request changes; holdouts taint no state.
pub(super) fn first_hits<'a>(cells: impl Iterator<Item = &'a CellChange>) -> BTreeMap<ShardId, u32> {
    let mut first = BTreeMap::new();
    for change in cells {
        if let Cell { shard, part: Part::Slice(slice) } = change.cell {
            let earliest = first.entry(shard).or_insert(slice.0);
            *earliest = slice.0.min(*earliest);
        }
    }
    first
}

/// Names the checkpoints, of every recipe, that saw what goes.
fn purge_list(
    workspace: &Workspace,
    history: &History,
    generation: GenerationId,
    accepted: &mut Accepted,
) -> Result<(), DeleteError> {
    let Some(record) = history.generations.get(&generation) else { return Ok(()) };
    let first = first_hits(accepted.cells.iter().filter(|c| c.generation == generation));
    for recipe in &record.recipes {
        let store = CheckpointStore::new(workspace.files().clone(), workspace.recipe_dir(generation, &recipe.recipe));
        for (shard, slice) in &first {
            for found in store.list(*shard)?.into_iter().filter(|f| f.step.0 >= *slice) {
                let path = store.path(*shard, found.step, found.lineage);
                let relative = path.strip_prefix(workspace.root()).unwrap_or(&path);
                accepted.purge.push(relative.display().to_string());
            }
        }
    }
    Ok(())
}
