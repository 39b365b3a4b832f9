//! From sources, or from an older generation's slices, to a new generation.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use rayon::prelude::*;

use super::{
    AlikeIds, ImportError, Stage,
    stage::{Gathered, Naming, PassedOver, Rules},
};
use crate::{
    digest::{Digest, HandleKey, ModelKey, RowsDigest},
    fs::{Ahead, Durability, Stopwatch},
    ids::{Cell, GenerationId, Handle, Part, ShardId},
    ledger::Imported,
    order::{Batches, Placement},
    schema::{Carry, CellError, Encoder, Fate, Ids, RowLayout, Schema, Subject},
    shard::{BuildError, Cells, ShardStore, SliceFile, SortKey, StagedRow, sort_key},
    source::{Batch, Source},
    workspace::{Partition, Workspace, Writing},
};

/// What a new generation is to be.
#[derive(Debug)]
pub struct NewGeneration {
    /// Its number.
    pub generation: GenerationId,
    /// The generation whose rows it takes, when it is a rekeying.
    pub rekeys: Option<GenerationId>,
    /// Schema, S, R, holdout, cohorts.
    pub partition: Partition,
    /// The workspace's handle key.
    pub handle_key: HandleKey,
    /// Its model key.
    pub model_key: ModelKey,
}

/// What an import did.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct ImportReport {
    /// Records in slices.
    pub records: u64,
    /// Records held out.
    pub held_out: u64,
    /// Rows refused because they are suppressed.
    pub refused: u64,
    /// Rows left out as declared: without a label, without a subject, with a cell that can't be read.
    pub left_out: [u64; 3],
    /// Cells that can't be read and count as missing, as declared.
    pub bad_cells: u64,
    /// Ids that may be meant to be the same as others; to warn.
    pub alike: AlikeIds,
    /// Subjects, where there are fewer of them than shards; to warn.
    pub subjects_below_shards: Option<u64>,
    /// Seconds until all rows were read, checked, encoded, named and sorted by shard.
    pub read_seconds: f64,
    /// Seconds from there until the slices were on the disk for good.
    pub publish_seconds: f64,
}

/// Imports sources as a new generation. `progress` is told bytes read of bytes in all, and rows.
///
/// # Errors
/// Anything wrong with a row or the disk; the workspace is then as it was.
pub fn import(
    writing: &mut Writing,
    plan: &NewGeneration,
    sources: &mut [Box<dyn Source>],
    progress: &(dyn Fn(u64, u64, u64) -> bool + Sync),
) -> Result<ImportReport, ImportError> {
    let workspace = &writing.workspace().clone();
    let handles = workspace.ledger().handles(writing.history())?;
    handles.check()?;
    let clock = Stopwatch::start();
    let stage = stage_sources(workspace, plan, sources, |h| handles.is_suppressed(h).unwrap_or(true), None, progress)?;
    stage.check_duplicates(sources, false)?;
    stage.name_nameless(|h| handles.is_suppressed(h).unwrap_or(true))?;
    if stage.counts().in_slices == 0 {
        return Err(ImportError::NoRows);
    }
    let (read_seconds, rows) = (clock.seconds(), stage.counts().in_slices + stage.counts().held_out);
    drop(handles);
    // Whoever asks to stop does not wait until all slices are written; those that are belong to no generation, and are swept.
    let total = sources.iter().map(|source| source.bytes_total()).sum();
    let goes_on = || progress(total, total, rows);
    let report = publish(writing, plan, &stage, &goes_on)?;
    Ok(ImportReport { read_seconds, publish_seconds: clock.seconds() - read_seconds, ..report })
}

/// The files of `cells` as a generation's source gives them, without the rows that `gone` names; those of slices of later batches as the
/// sources of these batches do. Publishes nothing.
///
/// # Errors
/// Anything wrong with a row or the disk.
pub fn restage(
    workspace: &Workspace,
    plan: &NewGeneration,
    sources: &mut [Box<dyn Source>],
    cells: &[(Cell, Option<Batches>)],
    gone: impl Fn(Handle) -> bool + Sync,
    progress: &(dyn Fn(u64, u64, u64) -> bool + Sync),
) -> Result<Vec<SliceFile>, ImportError> {
    let stage = stage_sources(workspace, plan, sources, &gone, None, progress)?;
    stage.check_duplicates(sources, false)?;
    stage.name_nameless(&gone)?;
    let row = plan.partition.schema.row();
    let mut by_shard: BTreeMap<ShardId, Vec<u8>> = BTreeMap::new();
    let mut files = Vec::new();
    for (cell, batches) in cells {
        if let std::collections::btree_map::Entry::Vacant(vacant) = by_shard.entry(cell.shard) {
            vacant.insert(stage.take(cell.shard.0)?);
        }
        let staged = by_shard.get(&cell.shard).map(Vec::as_slice).unwrap_or_default();
        let of_part = StagedRow::all(row, staged).zip(0..).filter(|(staged, _)| match batches {
            Some(_) => staged.part() != Part::Holdout,
            None => staged.part() == cell.part,
        });
        let keys = of_part.map(|(staged, at)| sort_key(staged.record, at)).collect();
        let file = SliceFile::of_staged((*cell, *batches), row, staged, keys, &plan.model_key);
        files.push(file.map_err(|cause| ImportError::TooLarge { shard: cell.shard.0, cause })?);
    }
    Ok(files)
}

/// Reads, encodes and stages the rows of all sources; those that only their content names have no names yet. With `digest`, adds them up.
pub(super) fn stage_sources(
    workspace: &Workspace,
    plan: &NewGeneration,
    sources: &mut [Box<dyn Source>],
    suppressed: impl Fn(Handle) -> bool + Sync,
    digest: Option<&RowsDigest>,
    progress: &(dyn Fn(u64, u64, u64) -> bool + Sync),
) -> Result<Stage, ImportError> {
    let schema = &plan.partition.schema;
    let naming = if schema.record.is_empty() { Naming::Content } else { Naming::Columns };
    let stage = stage(workspace, plan, naming)?;
    let total: u64 = sources.iter().map(|s| s.bytes_total()).sum();
    let (mut done, mut rows) = (0, 0);
    for (number, source) in (0..).zip(sources.iter_mut()) {
        source.only(&schema.positions(source.columns()));
        let rules = RowRules {
            encoder: Encoder::new(schema, source.name(), source.columns(), true)?,
            ids: Ids::new(schema, source.columns(), plan.handle_key.maker()),
            row: schema.row(),
            source: number,
            naming,
            digest,
        };
        let told = |bytes, more| progress(done + bytes, total, rows + more);
        rows += each_batch(source.as_mut(), &told, |batch, gathered| rules.stage(&stage, batch, &suppressed, gathered))?;
        done += source.bytes_total();
        stage.note_unreadable(rules.encoder.unreadable());
    }
    Ok(stage)
}

/// Batches of a source, and how far they have come.
struct Taking<'a> {
    source: &'a mut dyn Source,
    taken: u64,
    rows: u64,
}

/// Lets every thread take batches of a source, in turn, and work on them; returns the count of rows. Of several errors it is that of the
/// first rows. `progress` is told bytes and rows so far.
fn each_batch(
    source: &mut dyn Source,
    progress: &(dyn Fn(u64, u64) -> bool + Sync),
    work: impl Fn(&Batch, &mut Gathered) -> Result<(), ImportError> + Sync,
) -> Result<u64, ImportError> {
    let batches = Mutex::new(Taking { source, taken: 0, rows: 0 });
    let stop = AtomicBool::new(false);
    // Takes the next batch; the number that says how early its rows are comes with the outcome.
    let take = |batch: &mut Batch| {
        let mut batches = batches.lock().unwrap_or_else(PoisonError::into_inner);
        if stop.load(Ordering::Relaxed) {
            return (batches.taken, Ok(0));
        }
        batches.taken += 1;
        let number = batches.taken;
        let taken = batches.source.next(batch).map_err(ImportError::from).and_then(|rows| {
            batches.rows += rows as u64;
            let goes_on = progress(batches.source.bytes_read(), batches.rows);
            if goes_on { Ok(rows) } else { Err(ImportError::Interrupted) }
        });
        // Before the next thread's turn: a source that has come to its end, or failed, is not asked again.
        if !matches!(taken, Ok(1..)) {
            stop.store(true, Ordering::Relaxed);
        }
        (number, taken)
    };
    let one_thread = |_| {
        let (mut batch, mut gathered) = (Batch::new(), Gathered::default());
        loop {
            let (number, taken) = take(&mut batch);
            let worked = taken.and_then(|rows| if rows > 0 { work(&batch, &mut gathered).map(|()| rows) } else { Ok(0) });
            match worked {
                Ok(0) => return None,
                Ok(_) => {}
                // Batches with lower numbers are with other threads, which finish them.
                Err(e) => {
                    stop.store(true, Ordering::Relaxed);
                    return Some((number, e));
                }
            }
        }
    };
    let errors = (0..rayon::current_num_threads()).into_par_iter().with_max_len(1).filter_map(one_thread);
    let first = errors.collect::<Vec<_>>().into_iter().min_by_key(|(number, _)| *number);
    match first {
        Some((_, error)) => Err(error),
        None => Ok(batches.into_inner().unwrap_or_else(PoisonError::into_inner).rows),
    }
}

/// Rows of an older generation.
pub struct Kept<'a> {
    /// Where they are.
    pub from: &'a ShardStore,
    /// In which of its cells.
    pub cells: &'a [Cell],
    /// How they become those of another schema.
    pub carry: Option<&'a Carry>,
    /// Of which subjects.
    pub only: Box<dyn Fn(Handle) -> bool + Sync + 'a>,
}

impl std::fmt::Debug for Kept<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Kept").field("cells", &self.cells.len()).finish_non_exhaustive()
    }
}

impl<'a> Kept<'a> {
    /// All rows of some cells, as they are.
    pub fn all(from: &'a ShardStore, cells: &'a [Cell]) -> Kept<'a> {
        Kept { from, cells, carry: None, only: Box::new(|_| true) }
    }
}

/// Imports rows of an older generation as a new one, under another model key, and perhaps another schema.
///
/// # Errors
/// A slice is damaged, a row can't be had under the other schema, or the disk refuses; the workspace is then as it was.
pub fn rekey_rows(writing: &mut Writing, plan: &NewGeneration, kept: &Kept<'_>) -> Result<ImportReport, ImportError> {
    let stage = stage_rows(writing.workspace(), plan, kept, None)?;
    publish(writing, plan, &stage, &|| true)
}

/// Stages rows of an older generation, which have their names. With `digest`, adds them up.
pub(super) fn stage_rows(
    workspace: &Workspace,
    plan: &NewGeneration,
    kept: &Kept<'_>,
    digest: Option<&RowsDigest>,
) -> Result<Stage, ImportError> {
    let Kept { from, cells, carry, only } = kept;
    // Ids that are none under the other schema: of a record about one of them nothing says what becomes.
    let maker = plan.handle_key.maker();
    let nobody = |id: &String| maker.subject(plan.partition.schema.exceptions.id_form.of(id).as_bytes());
    let nobody: BTreeSet<Handle> = carry.iter().flat_map(|carry| carry.nobody()).map(nobody).collect();
    let own =
        |problem: &str| CellError { column: plan.partition.schema.subject.clone().unwrap_or_default(), problem: problem.into() };
    let (stage, row) = (stage(workspace, plan, Naming::Given)?, plan.partition.schema.row());
    for cell in *cells {
        let slice = from.open(*cell)?;
        let (mut encoded, mut gathered) = (Vec::new(), Gathered::default());
        for (at, (record, subject)) in slice.records().iter().zip(slice.subjects()).enumerate() {
            if !only(*subject) {
                continue;
            }
            slice.encoded_row(at, &mut encoded);
            if nobody.contains(subject) {
                return Err(ImportError::NotCarried(own("records are about an id that is to spell a missing one")));
            }
            match carry {
                Some(carry) => carry.row(&encoded, gathered.start_row()).map_err(ImportError::NotCarried)?,
                None => gathered.start_row().extend_from_slice(&encoded),
            }
            if let Some(digest) = digest {
                let sum = digest.row(Some(*record), Some(*subject), gathered.last_row(row));
                gathered.add(sum);
            }
            stage.named(&mut gathered, *record, *subject);
        }
        stage.gather(&mut gathered)?;
    }
    Ok(stage)
}

fn stage(workspace: &Workspace, plan: &NewGeneration, naming: Naming) -> Result<Stage, ImportError> {
    let grid = plan.partition.grid();
    let placement = Placement::new(grid, plan.handle_key.maker(), &plan.model_key);
    let schema: &Schema = &plan.partition.schema;
    let (handles, blocks) = (plan.handle_key.maker(), plan.partition.blocks()?);
    let rules = Rules { placement, blocks, handles, row: schema.row(), naming, subjects: schema.subjects() };
    Ok(Stage::new(workspace.files(), &workspace.shards_dir(), grid, rules)?)
}

/// How the rows of one source are encoded and named.
struct RowRules<'a> {
    encoder: Encoder,
    ids: Ids,
    row: RowLayout,
    source: u32,
    naming: Naming,
    digest: Option<&'a RowsDigest>,
}

impl RowRules<'_> {
    fn stage(
        &self,
        stage: &Stage,
        batch: &Batch,
        suppressed: impl Fn(Handle) -> bool,
        gathered: &mut Gathered,
    ) -> Result<(), ImportError> {
        for row in 0..batch.rows() {
            let located = |error| ImportError::Cell { place: batch.place(row), error };
            let subject = match self.ids.subject(batch, row).map_err(located)? {
                Subject::Named(handle) => {
                    gathered.alike.note(handle, || self.ids.subject_folded(batch, row));
                    Some(handle)
                }
                Subject::Own => None,
                Subject::Skip => {
                    gathered.passed_over(PassedOver::NoSubject);
                    continue;
                }
            };
            let start = gathered.length();
            let passed_over = match self.encoder.encode(batch, row, gathered.start_row()).map_err(located)? {
                Fate::Kept => None,
                Fate::NoLabel => Some(PassedOver::NoLabel),
                Fate::Unreadable => Some(PassedOver::Unreadable),
            };
            if let Some(why) = passed_over {
                gathered.back_to(start);
                gathered.passed_over(why);
                continue;
            }
            if self.naming == Naming::Content {
                if let Some(digest) = self.digest {
                    let row = digest.row(None, subject, gathered.last_row(self.row));
                    gathered.add(row);
                }
                match subject {
                    Some(subject) if suppressed(subject) => gathered.drop_row(self.row),
                    subject => stage.nameless(gathered, subject),
                }
                continue;
            }
            let record = self.ids.record(batch, row).map_err(located)?;
            gathered.note_id(record, self.source, batch.line(row));
            gathered.alike.note(record, || self.ids.record_folded(batch, row));
            if let Some(digest) = self.digest {
                let row = digest.row(Some(record), subject, gathered.last_row(self.row));
                gathered.add(row);
            }
            // Without a subject each record is its own.
            let subject = subject.unwrap_or(record);
            if suppressed(record) || suppressed(subject) {
                gathered.drop_row(self.row);
            } else {
                stage.named(gathered, record, subject);
            }
        }
        Ok(stage.gather(gathered)?)
    }
}

/// Publishes every slice, then `imported`; asks before each shard whether it `goes_on`.
fn publish(
    writing: &mut Writing,
    plan: &NewGeneration,
    stage: &Stage,
    goes_on: &(dyn Fn() -> bool + Sync),
) -> Result<ImportReport, ImportError> {
    let workspace = &writing.workspace().clone();
    let grid = plan.partition.grid();
    workspace.found(plan.generation, &plan.model_key, &plan.partition)?;
    workspace.files().reached("founded");
    let store = workspace.shard_store_of(plan.generation, &plan.partition, plan.model_key.clone());
    let shards: Vec<ShardId> = grid.shards().collect();
    let ahead = store.sync_ahead();
    let written = std::thread::scope(|scope| {
        let ahead = ahead.start(scope);
        let write =
            |shard: &ShardId| if goes_on() { write_shard(&store, stage, *shard, &ahead) } else { Err(ImportError::Interrupted) };
        let written = shards.par_iter().with_max_len(1).map(write);
        written.collect::<Vec<_>>()
    });
    let mut cells: BTreeMap<Cell, (Digest, u64)> = BTreeMap::new();
    let mut subjects = 0;
    for shard in written {
        let (digests, shard_subjects) = shard?;
        cells.extend(digests);
        subjects += shard_subjects;
    }
    make_durable(workspace, &store)?;
    workspace.files().reached("sliced");
    let counts = stage.counts();
    let (digests, rows) = cells.into_values().unzip();
    let cells = Cells::new(grid.shards, grid.slices, digests, Some(rows)).ok_or(ImportError::NoRows)?;
    let imported = Imported {
        generation: plan.generation,
        rekeys: plan.rekeys,
        handle_key: plan.handle_key.fingerprint(),
        model_key: plan.model_key.fingerprint(),
        partition: plan.partition.digest(),
        records: counts.in_slices,
        held_out: counts.held_out,
        refused: counts.refused,
        root: cells.root(),
        list: None,
        cells: BTreeMap::new(),
    };
    writing.append_import(imported, cells)?;
    workspace.files().reached("imported");
    Ok(ImportReport {
        records: counts.in_slices,
        held_out: counts.held_out,
        refused: counts.refused,
        left_out: counts.left_out,
        bad_cells: counts.bad_cells,
        alike: stage.alike_ids(),
        subjects_below_shards: (subjects < u64::from(grid.shards)).then_some(subjects),
        ..ImportReport::default()
    })
}

/// What each cell holds: its content digest and its rows.
type Written = Vec<(Cell, (Digest, u64))>;

/// Writes the files of one shard; returns their digests and the number of subjects trained on, or of shards if that is less.
fn write_shard(store: &ShardStore, stage: &Stage, shard: ShardId, ahead: &Ahead<'_>) -> Result<(Written, u64), ImportError> {
    let too_large = |cause| ImportError::TooLarge { shard: shard.0, cause };
    let staged = stage.take(shard.0)?;
    let rows = StagedRow::all(store.row(), &staged);
    let count = u32::try_from(rows.len()).map_err(|_| too_large(BuildError::TooLarge { rows: rows.len() as u64 }))?;
    let mut parts: BTreeMap<Part, Vec<SortKey>> = BTreeMap::new();
    let mut subjects = BTreeSet::new();
    for (row, at) in rows.zip(0..count) {
        let part = row.part();
        if part != Part::Holdout && subjects.len() < store.grid().shards as usize {
            subjects.insert(row.subject);
        }
        parts.entry(part).or_default().push(sort_key(row.record, at));
    }
    let mut digests = Vec::new();
    for cell in store.grid().cells_of(shard) {
        let keys = parts.remove(&cell.part).unwrap_or_default();
        let file = SliceFile::of_staged((cell, None), store.row(), &staged, keys, store.key()).map_err(too_large)?;
        store.publish(&file, Durability::Later)?;
        ahead.published(store.path(cell));
        digests.push((cell, (file.content, file.rows)));
    }
    Ok((digests, subjects.len() as u64))
}

/// Makes the files of all cells durable, as many at once as the disk is good for.
fn make_durable(workspace: &Workspace, store: &ShardStore) -> Result<(), ImportError> {
    let files = workspace.files();
    let pool = rayon::ThreadPoolBuilder::new().num_threads(files.syncs_at_once()).build();
    let pool = pool.map_err(|e| ImportError::Threads { message: e.to_string() })?;
    let cells: Vec<Cell> = store.grid().cells().collect();
    let shards: Vec<ShardId> = store.grid().shards().collect();
    Ok(pool.install(|| {
        cells.par_iter().try_for_each(|cell| files.sync_file(&store.path(*cell)))?;
        shards.par_iter().try_for_each(|shard| files.sync_dir(&store.shard_dir(*shard)))
    })?)
}
