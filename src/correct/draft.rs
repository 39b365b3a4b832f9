//! Works out what a correction does, and puts its slices beside those whose places they take.

use std::collections::{BTreeMap, BTreeSet};

use super::{CorrectError, Corrections, asked::Row};
use crate::{
    delete::{predicted, purge_list},
    digest::HandleKey,
    fs::Files,
    ids::{Cell, GenerationId, Handle, Part},
    ledger::{Accepted, CellChange, GenerationRecord, HandleSet, Outcome, OutcomeKind},
    order::Placement,
    schema::Blocks,
    shard::{BuildError, ShardStore, Slice, SliceError, SliceFile},
    workspace::{Snapshot, Workspace},
};

/// A correction, worked out and not yet accepted.
#[derive(Debug)]
pub struct Worked {
    /// What would be accepted.
    pub accepted: Accepted,
    /// The rows as the newest generation encodes them.
    pub asked: Corrections,
}

/// Works a correction out against all generations; `rows` are the corrected ones as the generation of this number encodes them. With
/// `files` the slices are published, durably, beside those whose places they are to take; otherwise nothing is changed. The caller then
/// holds the writer lock, and every accepted request is in effect.
///
/// # Errors
/// Nothing says which batch a record belongs to, a slice is damaged, or the disk refuses.
pub fn work_out(
    workspace: &Workspace,
    snapshot: &Snapshot,
    (key, request): (&HandleKey, &str),
    rows: impl Fn(GenerationId) -> Result<Corrections, CorrectError>,
    files: Option<&Files>,
) -> Result<Worked, CorrectError> {
    let history = &snapshot.history;
    let newest = history.newest().map(|(id, _)| id).unwrap_or(GenerationId(0));
    let serving = snapshot.current.as_ref().map_or(newest, |current| current.generation);
    let asked = rows(newest)?;
    let handles = workspace.ledger().handles(history)?;
    handles.check()?;
    let mut accepted = Accepted { corrects: true, ..Accepted::of(request, asked.digest(key)) };
    let mut found: BTreeMap<Handle, Found> = BTreeMap::new();
    for (generation, record) in &history.generations {
        let encoded_so = if *generation == newest { None } else { Some(rows(*generation)?) };
        let own = encoded_so.as_ref().unwrap_or(&asked);
        let store = workspace.shard_store(*generation, record)?;
        let placement = workspace.placement(*generation, record, key)?;
        let blocks = workspace.partition(*generation, record)?.blocks()?;
        let at = Generation { id: *generation, record, store: &store, placement: &placement, blocks: &blocks, handles: &handles };
        let changes = at.changes(own, *generation == serving, &mut found)?;
        for (cell, change) in changes {
            accepted.cells.push(at.change(cell, &change, files)?);
        }
        purge_list(workspace, history, *generation, &mut accepted)?;
    }
    if let Some(files) = files {
        make_durable(workspace, snapshot, &accepted, files)?;
    }
    let mut returned = BTreeSet::new();
    for (record, row) in &asked.0 {
        let Found { kind, in_slices, held_out } = match found.get(record) {
            Some(found) => *found,
            // It may have gone with all that was about its subject.
            None if handles.is_erased(*record)? || handles.is_erased(row.subject)? => Found::nowhere(OutcomeKind::AlreadyErased),
            None => Found::nowhere(OutcomeKind::NotFound),
        };
        if kind == OutcomeKind::Corrected && handles.is_erased(row.subject)? {
            returned.insert(row.subject);
        }
        accepted.outcomes.push(Outcome { handle: *record, subject: false, outcome: kind, in_slices, held_out });
    }
    accepted.returned = returned.into_iter().collect();
    accepted.exports = history.exports_that_saw(&accepted.cells);
    accepted.predicted = predicted(workspace, snapshot, &accepted.cells)?;
    Ok(Worked { accepted, asked })
}

/// What becomes of a record that is there, and where it is in the generation in service.
#[derive(Clone, Copy)]
struct Found {
    kind: OutcomeKind,
    in_slices: u64,
    held_out: u64,
}

impl Found {
    fn nowhere(kind: OutcomeKind) -> Found {
        Found { kind, in_slices: 0, held_out: 0 }
    }
}

/// What goes from a cell and comes to it.
#[derive(Default)]
struct Change<'a> {
    gone: BTreeSet<Handle>,
    come: Vec<(Handle, Handle, &'a [u8])>,
}

/// A generation that is corrected.
struct Generation<'a> {
    id: GenerationId,
    record: &'a GenerationRecord,
    store: &'a ShardStore,
    placement: &'a Placement,
    blocks: &'a Blocks,
    handles: &'a HandleSet<'a>,
}

impl Generation<'_> {
    /// What changes in which cells. A record stays in its subject's place, or moves to that of another one, or of another cohort.
    fn changes<'r>(
        &self,
        rows: &'r Corrections,
        serves: bool,
        found: &mut BTreeMap<Handle, Found>,
    ) -> Result<BTreeMap<Cell, Change<'r>>, CorrectError> {
        let mut changes: BTreeMap<Cell, Change<'r>> = BTreeMap::new();
        let mut left: BTreeMap<Handle, &'r Row> = rows.0.iter().map(|(record, row)| (*record, row)).collect();
        let mut encoded = Vec::new();
        // Nearly every record is where the subject of its row says.
        let likely: BTreeSet<Cell> =
            left.values().flat_map(|row| self.store.cells_with(self.placement.cells(row.subject))).collect();
        let others = self.store.grid().cells().filter(|cell| !likely.contains(cell));
        for cell in likely.iter().copied().chain(others) {
            if left.is_empty() {
                break;
            }
            let slice = self.open(cell)?;
            for (record, row, at) in here(&slice, &left) {
                left.remove(&record);
                slice.encoded_row(at, &mut encoded);
                let subject = slice.subjects().get(at).copied().unwrap_or(record);
                let kind = if (subject, &encoded) == (row.subject, &row.encoded) {
                    OutcomeKind::Unchanged
                } else if self.handles.is_suppressed(row.subject)? {
                    OutcomeKind::Refused
                } else {
                    let to = self.place(cell, row)?;
                    changes.entry(cell).or_default().gone.insert(record);
                    changes.entry(to).or_default().come.push((record, row.subject, row.encoded.as_slice()));
                    OutcomeKind::Corrected
                };
                let of_slices = u64::from(serves && cell.part != Part::Holdout);
                let held_out = u64::from(serves && cell.part == Part::Holdout);
                let known = found.entry(record).or_insert(Found::nowhere(kind));
                (known.in_slices, known.held_out) = (known.in_slices + of_slices, known.held_out + held_out);
                if kind == OutcomeKind::Corrected {
                    known.kind = kind;
                }
            }
        }
        Ok(changes)
    }

    /// Where a record belongs from now on: in the slice of its own batches, of the shard of its subject and cohort.
    fn place(&self, from: Cell, row: &Row) -> Result<Cell, CorrectError> {
        let (to, chain) = (self.placement.cell(row.subject, self.blocks.of(&row.encoded)), self.store.chain());
        Ok(match (from.part, to.part) {
            (Part::Slice(_), Part::Slice(_)) if chain.batches(from.part).is_some() => Cell { part: from.part, ..to },
            (Part::Holdout, Part::Slice(_)) if !chain.later().is_empty() => {
                return Err(CorrectError::NoBatch { place: row.place.clone(), generation: self.id });
            }
            _ => to,
        })
    }

    fn open(&self, cell: Cell) -> Result<Slice, CorrectError> {
        let slice = self.store.open(cell)?;
        if self.record.cells.get(&cell) != Some(&slice.header().content) {
            let what = format!("the content digest is {}, the ledger says another", slice.header().content);
            return Err(SliceError::Damaged { path: self.store.path(cell), offset: 48, what }.into());
        }
        Ok(slice)
    }

    /// Builds the slice of a cell, and publishes it beside the one that is there.
    fn change(&self, cell: Cell, change: &Change<'_>, files: Option<&Files>) -> Result<CellChange, CorrectError> {
        let slice = self.open(cell)?;
        let absurd = |e: BuildError| SliceError::Damaged { path: self.store.path(cell), offset: 24, what: e.to_string() };
        let file = SliceFile::replaced(&slice, &change.gone, &change.come, self.store.key()).map_err(absurd)?;
        if files.is_some() {
            self.store.publish_next(&file)?;
        }
        let (records, come) = (change.gone.len() as u64, change.come.len() as u64);
        Ok(CellChange { generation: self.id, cell, before: slice.header().content, after: file.content, records, come })
    }
}

/// The records of a slice that are to be corrected, with their rows there.
fn here<'r>(slice: &Slice, left: &BTreeMap<Handle, &'r Row>) -> Vec<(Handle, &'r Row, usize)> {
    let there = slice.records();
    if left.len() < there.len() {
        let found = left.iter().filter_map(|(record, row)| Some((*record, *row, there.binary_search(record).ok()?)));
        return found.collect();
    }
    there.iter().enumerate().filter_map(|(at, record)| Some((*record, *left.get(record)?, at))).collect()
}

/// Makes the slices that wait durable, and their names.
fn make_durable(workspace: &Workspace, snapshot: &Snapshot, accepted: &Accepted, files: &Files) -> Result<(), CorrectError> {
    let mut folders = BTreeSet::new();
    for (generation, record) in &snapshot.history.generations {
        let store = workspace.shard_store(*generation, record)?;
        for change in accepted.cells.iter().filter(|change| change.generation == *generation) {
            files.sync_file(&store.next_path(change.cell))?;
            folders.insert(store.shard_dir(change.cell.shard));
        }
    }
    Ok(folders.iter().try_for_each(|folder| files.sync_dir(folder))?)
}
