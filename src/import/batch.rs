//! A batch of rows that comes to a generation: read and sorted by shard, then made into the files that wait beside those whose places they
//! take.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Mutex, PoisonError},
};

use rayon::prelude::*;

use super::{
    ImportError, ImportReport, Kept, NewGeneration, Stage,
    protocol::{stage_rows, stage_sources},
    stage::Noted,
};
use crate::{
    digest::Digest,
    fs::Stopwatch,
    ids::{Cell, Handle, Part, ShardId, SliceId},
    ledger::{GenerationRecord, HandleSet},
    order::{Chain, Later},
    schema::Subjects,
    shard::{BuildError, Cells, ShardStore, Slice, SliceFile, StagedRow, sort_key},
    source::Source,
    workspace::Workspace,
};

/// A batch that is read, and sorted by shard in an unnamed file. Nothing is refused yet, as deletions may still come.
#[derive(Debug)]
pub struct StagedBatch {
    stage: Stage,
    noted: Noted,
    /// Keyed digest of its rows, in whichever order they came.
    pub content: Digest,
    /// How many rows it has, beside those that are left out as declared.
    pub rows: u64,
    seconds: f64,
}

/// The files of a batch, durable beside those whose places they take.
#[derive(Debug)]
pub struct BuiltBatch {
    /// What every cell is to hold.
    pub cells: Cells,
    /// Handles that were erased, and that it brings again.
    pub returned: Vec<Handle>,
    /// How many rows went where.
    pub report: ImportReport,
}

/// Reads a batch for the generation that `plan` describes. The caller need not hold the writer lock.
///
/// # Errors
/// Anything wrong with a row or the disk; the workspace is then as it was.
pub fn stage_batch(
    workspace: &Workspace,
    plan: &NewGeneration,
    sources: &mut [Box<dyn Source>],
    progress: &(dyn Fn(u64, u64, u64) -> bool + Sync),
) -> Result<StagedBatch, ImportError> {
    let clock = Stopwatch::start();
    let mut digest = plan.handle_key.rows_digest();
    let stage = stage_sources(workspace, plan, sources, |_| false, Some(&digest), progress)?;
    let noted = stage.check_duplicates(sources, true)?;
    digest.add(stage.counts().sum);
    let (content, rows) = (digest.finish(), stage.rows());
    Ok(StagedBatch { stage, noted, content, rows, seconds: clock.seconds() })
}

/// The same of rows of an older generation, which have their names. Nobody looks whether they are there already.
///
/// # Errors
/// A slice is damaged, or the disk refuses.
pub fn stage_kept(workspace: &Workspace, plan: &NewGeneration, kept: &Kept<'_>) -> Result<StagedBatch, ImportError> {
    let clock = Stopwatch::start();
    let mut digest = plan.handle_key.rows_digest();
    let stage = stage_rows(workspace, plan, kept, Some(&digest))?;
    digest.add(stage.counts().sum);
    let (content, rows) = (digest.finish(), stage.rows());
    Ok(StagedBatch { stage, noted: Noted::default(), content, rows, seconds: clock.seconds() })
}

/// The slices of a generation as they are, each opened once.
struct Old<'a> {
    store: ShardStore,
    record: &'a GenerationRecord,
    opened: Mutex<BTreeMap<Cell, Slice>>,
}

impl Old<'_> {
    fn open(&self, cell: Cell) -> Result<Slice, ImportError> {
        if let Some(slice) = self.opened.lock().unwrap_or_else(PoisonError::into_inner).get(&cell) {
            return Ok(slice.clone());
        }
        let slice = self.store.open(cell)?;
        if self.record.cells.get(&cell) != Some(&slice.header().content) {
            let what = format!("the content digest is {}, the ledger says another", slice.header().content);
            return Err(crate::shard::SliceError::Damaged { path: self.store.path(cell), offset: 48, what }.into());
        }
        self.opened.lock().unwrap_or_else(PoisonError::into_inner).insert(cell, slice.clone());
        Ok(slice)
    }

    /// Whether a record is there whose place, had it come with the first batch, is this cell.
    fn holds(&self, record: Handle, first: Cell) -> Result<bool, ImportError> {
        for cell in self.store.cells_with([first]) {
            if self.open(cell)?.records().binary_search(&record).is_ok() {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Refuses ids that records have which are there already, naming the one that stands first in the batch.
    fn check_new(&self, noted: &Noted) -> Result<(), ImportError> {
        if noted.records.is_empty() {
            return Ok(());
        }
        let cells: Vec<Cell> = self.store.grid().cells().collect();
        let found = cells.par_iter().map(|cell| {
            // Not every byte of all slices: what is used of them is checked where it is used.
            let slice = self.store.glance(*cell)?;
            // Both ascend, so what is passed over is not looked at again.
            let mut there = slice.records();
            let mut first = None;
            for (record, place) in &noted.records {
                there = there.get(passed_over(there, record)..).unwrap_or_default();
                if there.first() == Some(record) && first.is_none_or(|(earlier, _)| *place < earlier) {
                    first = Some((*place, *cell));
                }
            }
            Ok(first)
        });
        let found: Vec<Option<((u32, u64), Cell)>> = found.collect::<Result<_, ImportError>>()?;
        match found.into_iter().flatten().min() {
            Some((place, cell)) => Err(ImportError::AlreadyThere { place: noted.place(place), cell }),
            None => Ok(()),
        }
    }
}

/// What became of one shard.
#[derive(Default)]
struct Shard {
    /// What the cells hold that change.
    cells: BTreeMap<Part, (Digest, u64)>,
    in_slices: u64,
    held_out: u64,
    refused: u64,
    returned: BTreeSet<Handle>,
}

/// Makes the files of a batch, durably, beside those whose places they take. They count for nothing until the ledger says so. The caller
/// holds the writer lock, and every accepted request is in effect.
///
/// # Errors
/// A record is there already, a slice is damaged, or the disk refuses.
pub fn build_batch(
    workspace: &Workspace,
    (plan, record, later): (&NewGeneration, &GenerationRecord, Later),
    batch: &StagedBatch,
    handles: &HandleSet<'_>,
) -> Result<BuiltBatch, ImportError> {
    let clock = Stopwatch::start();
    let store = workspace.shard_store_of(plan.generation, &plan.partition, plan.model_key.clone());
    let new = store.clone().with_chain(Chain::of(plan.partition.slices, record.batches + 1, later));
    let old = Old { store: store.with_chain(record.cells.chain().clone()), record, opened: Mutex::default() };
    old.check_new(&batch.noted)?;
    batch.stage.name_after(|_| false, |record, first| old.holds(record, first))?;
    let shards: Vec<ShardId> = new.grid().shards().collect();
    let built = shards.par_iter().with_max_len(1).map(|shard| shard_of((plan, later), &old, &new, batch, handles, *shard));
    let built: Vec<Shard> = built.collect::<Result<_, _>>()?;
    make_durable(workspace, &new, &shards, &built)?;
    let (mut digests, mut rows) = (Vec::new(), Vec::new());
    for (shard, made) in shards.iter().zip(&built) {
        for cell in new.grid().cells_of(*shard) {
            let (digest, count) = match made.cells.get(&cell.part) {
                Some(made) => *made,
                None => unchanged(&old, cell)?,
            };
            digests.push(digest);
            rows.push(count);
        }
    }
    let cells = Cells::of_chain(new.grid().shards, new.chain().clone(), digests, Some(rows)).ok_or(ImportError::NoRows)?;
    let sum = |count: fn(&Shard) -> u64| built.iter().map(count).sum();
    let counts = batch.stage.counts();
    let report = ImportReport {
        records: sum(|s| s.in_slices),
        held_out: sum(|s| s.held_out),
        refused: sum(|s| s.refused),
        left_out: counts.left_out,
        bad_cells: counts.bad_cells,
        alike: batch.stage.alike_ids(),
        read_seconds: batch.seconds,
        publish_seconds: clock.seconds(),
        ..ImportReport::default()
    };
    let returned = built.into_iter().flat_map(|s| s.returned).collect::<BTreeSet<_>>().into_iter().collect();
    Ok(BuiltBatch { cells, returned, report })
}

/// What a cell holds that no row of the batch goes to.
fn unchanged(old: &Old<'_>, cell: Cell) -> Result<(Digest, u64), ImportError> {
    match (old.record.cells.get(&cell), old.record.cells.rows(&cell)) {
        (Some(digest), Some(rows)) => Ok((*digest, rows)),
        _ => {
            let header = *old.open(cell)?.header();
            Ok((header.content, header.rows))
        }
    }
}

/// Sorts out the rows of a shard and publishes the files of the cells that change.
fn shard_of(
    (plan, later): (&NewGeneration, Later),
    old: &Old<'_>,
    new: &ShardStore,
    batch: &StagedBatch,
    handles: &HandleSet<'_>,
    shard: ShardId,
) -> Result<Shard, ImportError> {
    let too_large = |cause| ImportError::TooLarge { shard: shard.0, cause };
    let mut made = Shard::default();
    let mut staged = batch.stage.take(shard.0)?;
    let mut parts: BTreeMap<Part, Vec<(Handle, u32)>> = BTreeMap::new();
    let last = Part::Slice(SliceId(new.grid().slices));
    let count = rows_in(new, &staged).map_err(too_large)?;
    for (row, at) in StagedRow::all(new.row(), &staged).zip(0..count) {
        if handles.is_suppressed(row.subject)? || handles.is_suppressed(row.record)? {
            made.refused += 1;
            continue;
        }
        let own = if plan.partition.schema.subjects() == Subjects::Column { [row.subject, row.record] } else { [row.record; 2] };
        for handle in own {
            if handles.is_erased(handle)? {
                made.returned.insert(handle);
            }
        }
        let part = match (row.part(), later) {
            (Part::Slice(_), Later::Merge(_)) => last,
            (part, _) => part,
        };
        match part {
            Part::Slice(_) => made.in_slices += 1,
            Part::Holdout => made.held_out += 1,
        }
        parts.entry(part).or_default().push((row.record, at));
    }
    if let Later::Merge(_) = later {
        // An empty slice is one too.
        parts.entry(last).or_default();
    }
    for (part, mut rows) in parts {
        let cell = Cell { shard, part };
        for from in taken_over(old, new, cell) {
            let slice = old.open(from)?;
            let mut encoded = Vec::new();
            for (at, (record, subject)) in slice.records().iter().zip(slice.subjects()).enumerate() {
                slice.encoded_row(at, &mut encoded);
                rows.push((*record, rows_in(new, &staged).map_err(too_large)?));
                staged.extend_from_slice(&StagedRow::head(*record, *subject, part));
                staged.extend_from_slice(&encoded);
            }
        }
        let keys = rows.into_iter().map(|(record, at)| sort_key(record, at)).collect();
        let file = SliceFile::of_staged(new.named(cell), new.row(), &staged, keys, new.key()).map_err(too_large)?;
        new.publish_next(&file)?;
        made.cells.insert(part, (file.content, file.rows));
    }
    Ok(made)
}

/// How many staged rows there are.
fn rows_in(store: &ShardStore, staged: &[u8]) -> Result<u32, BuildError> {
    let rows = staged.len() / StagedRow::width(store.row());
    u32::try_from(rows).map_err(|_| BuildError::TooLarge { rows: rows as u64 })
}

/// The cells whose rows are in this one too, from now on: what it was, or the slices of the batches that it joins.
fn taken_over(old: &Old<'_>, new: &ShardStore, cell: Cell) -> Vec<Cell> {
    let Some(batches) = new.chain().batches(cell.part) else { return vec![cell] };
    let of = |slice: &SliceId| old.store.chain().batches(Part::Slice(*slice)).is_some_and(|b| b.first >= batches.first);
    old.store.chain().later_slices().filter(of).map(|slice| Cell { part: Part::Slice(slice), ..cell }).collect()
}

/// Makes the files that wait durable, and their names.
fn make_durable(workspace: &Workspace, store: &ShardStore, shards: &[ShardId], built: &[Shard]) -> Result<(), ImportError> {
    let files = workspace.files();
    let pool = rayon::ThreadPoolBuilder::new().num_threads(files.syncs_at_once()).build();
    let pool = pool.map_err(|e| ImportError::Threads { message: e.to_string() })?;
    let waiting: Vec<(ShardId, Vec<Cell>)> = shards
        .iter()
        .zip(built)
        .filter(|(_, made)| !made.cells.is_empty())
        .map(|(shard, made)| (*shard, made.cells.keys().map(|part| Cell { shard: *shard, part: *part }).collect()))
        .collect();
    Ok(pool.install(|| {
        waiting.par_iter().flat_map(|(_, cells)| cells).try_for_each(|cell| files.sync_file(&store.next_path(*cell)))?;
        waiting.par_iter().try_for_each(|(shard, _)| files.sync_dir(&store.shard_dir(*shard)))
    })?)
}

/// How many of these handles, which ascend, come before `record`: found in steps of the logarithm of that number.
fn passed_over(there: &[Handle], record: &Handle) -> usize {
    let before = |handle: &Handle| handle < record;
    let mut reach = 1;
    while there.get(reach - 1).is_some_and(before) {
        reach *= 2;
    }
    let known = reach / 2;
    known + there.get(known..there.len().min(reach)).unwrap_or_default().partition_point(before)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_passed_over_is_what_comes_before() {
        let handle = |n: u8| Handle([n; 16]);
        for len in 0..40_u8 {
            let there: Vec<Handle> = (0..len).map(|n| handle(3 * n + 1)).collect();
            for n in 0..130 {
                let counted = there.iter().filter(|h| **h < handle(n)).count();
                assert_eq!(passed_over(&there, &handle(n)), counted, "{n} among {len}");
            }
        }
    }
}
