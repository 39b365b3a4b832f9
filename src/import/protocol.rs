//! From sources, or from an older generation's slices, to a new generation.

use std::collections::BTreeMap;

use rayon::prelude::*;

use super::{
    ImportError, Stage,
    stage::{Naming, Rules},
};
use crate::{
    digest::{Digest, HandleKey, HandleMaker, ModelKey},
    fs::Sync,
    ids::{Cell, GenerationId, Handle, Part, ShardId},
    ledger::{Event, History, Imported},
    order::Placement,
    schema::{Encoder, Ids, Schema},
    shard::{ShardStore, SliceFile, StagedRows, store_digest},
    source::{Batch, Source},
    workspace::{Partition, Workspace, WriterLock},
};

/// What a new generation is to be.
#[derive(Debug)]
pub struct Plan {
    /// Its number.
    pub generation: GenerationId,
    /// The generation whose rows it takes, when it is a rekeying.
    pub rekeys: Option<GenerationId>,
    /// Schema, S, R, holdout.
    pub partition: Partition,
    /// The workspace's handle key.
    pub handle_key: HandleKey,
    /// Its model key.
    pub model_key: ModelKey,
}

/// What an import did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ImportReport {
    /// Records in slices.
    pub records: u64,
    /// Records held out.
    pub held_out: u64,
    /// Rows refused because they are suppressed.
    pub refused: u64,
    /// Subjects, where there are fewer of them than shards; to warn.
    pub subjects_below_shards: Option<u64>,
}

/// Batches that are encoded at once, for each thread.
const BATCHES_A_THREAD: usize = 2;

/// Imports sources as a new generation. The caller holds the writer lock. `progress` is told bytes read of bytes in all, and rows.
///
/// # Errors
/// Anything wrong with a row or the disk; the workspace is then as it was.
pub fn import(
    workspace: &Workspace,
    lock: &WriterLock,
    history: &mut History,
    plan: &Plan,
    sources: &mut [Box<dyn Source>],
    names: &[String],
    progress: &(dyn Fn(u64, u64, u64) -> bool + std::marker::Sync),
) -> Result<ImportReport, ImportError> {
    let suppressed = &history.suppressed;
    let stage = stage_sources(workspace, plan, sources, names, |h| suppressed.contains(&h), progress)?;
    if stage.counts().in_slices == 0 {
        return Err(ImportError::NoRows);
    }
    publish(workspace, lock, history, plan, &stage)
}

/// The files of `cells` as a generation's source gives them, without the rows that `gone` names. Publishes nothing.
///
/// # Errors
/// Anything wrong with a row or the disk.
pub fn restage(
    workspace: &Workspace,
    plan: &Plan,
    sources: &mut [Box<dyn Source>],
    names: &[String],
    cells: &[Cell],
    gone: impl Fn(Handle) -> bool + std::marker::Sync,
    progress: &(dyn Fn(u64, u64, u64) -> bool + std::marker::Sync),
) -> Result<Vec<SliceFile>, ImportError> {
    let stage = stage_sources(workspace, plan, sources, names, gone, progress)?;
    let row = plan.partition.schema.row();
    let mut by_shard: BTreeMap<ShardId, Vec<u8>> = BTreeMap::new();
    let mut files = Vec::new();
    for cell in cells {
        if let std::collections::btree_map::Entry::Vacant(vacant) = by_shard.entry(cell.shard) {
            vacant.insert(stage.take(cell.shard.0)?);
        }
        let staged = by_shard.get(&cell.shard).map(Vec::as_slice).unwrap_or_default();
        let rows = StagedRows::new(row, staged).iter().filter(|(_, subject, _)| stage.cell_part(*subject) == cell.part);
        let mut rows: Vec<_> = rows.collect();
        let file = SliceFile::build(*cell, row, &mut rows, &plan.model_key);
        files.push(file.ok_or(ImportError::TooLarge { shard: cell.shard.0 })?);
    }
    Ok(files)
}

/// Reads, encodes, names and stages the rows of all sources.
fn stage_sources(
    workspace: &Workspace,
    plan: &Plan,
    sources: &mut [Box<dyn Source>],
    names: &[String],
    suppressed: impl Fn(Handle) -> bool + std::marker::Sync,
    progress: &(dyn Fn(u64, u64, u64) -> bool + std::marker::Sync),
) -> Result<Stage, ImportError> {
    let schema = &plan.partition.schema;
    let naming = if schema.record.is_empty() { Naming::Content } else { Naming::Columns };
    let stage = stage(workspace, plan, naming)?;
    let total: u64 = sources.iter().map(|s| s.bytes_total()).sum();
    let (mut done, mut rows) = (0, 0);
    for (number, (source, name)) in (0..).zip(sources.iter_mut().zip(names)) {
        let rules = RowRules {
            encoder: Encoder::new(schema, name, source.columns(), true)?,
            ids: Ids::new(schema, source.columns()),
            handles: plan.handle_key.maker(),
            source: number,
            naming,
            has_subject: schema.subject.is_some(),
        };
        let mut batches: Vec<Batch> = (0..BATCHES_A_THREAD * rayon::current_num_threads()).map(|_| Batch::new()).collect();
        loop {
            let mut filled = 0;
            for batch in &mut batches {
                let n = source.next(batch)?;
                if n == 0 {
                    break;
                }
                rows += n as u64;
                filled += 1;
            }
            let encoded = batches.par_iter().take(filled).map(|batch| rules.stage(&stage, batch, &suppressed));
            // The first error in the order of the rows, whatever thread met it.
            encoded.collect::<Vec<_>>().into_iter().collect::<Result<(), _>>()?;
            if !progress(done + source.bytes_read(), total, rows) {
                return Err(ImportError::Interrupted);
            }
            if filled < batches.len() {
                break;
            }
        }
        done += source.bytes_total();
    }
    stage.check_duplicates(names)?;
    stage.name_nameless(&suppressed)?;
    Ok(stage)
}

/// Imports the rows of an older generation as a new one, under another model key.
///
/// # Errors
/// A slice is damaged or the disk refuses; the workspace is then as it was.
pub fn rekey_rows(
    workspace: &Workspace,
    lock: &WriterLock,
    history: &mut History,
    plan: &Plan,
    from: &ShardStore,
) -> Result<ImportReport, ImportError> {
    let stage = stage(workspace, plan, Naming::Given)?;
    for cell in from.grid().cells() {
        let slice = from.open(cell)?;
        let mut encoded = Vec::new();
        for (at, (record, subject)) in slice.records().iter().zip(slice.subjects()).enumerate() {
            slice.encoded_row(at, &mut encoded);
            stage.named(*record, *subject, &encoded)?;
        }
    }
    publish(workspace, lock, history, plan, &stage)
}

fn stage(workspace: &Workspace, plan: &Plan, naming: Naming) -> Result<Stage, ImportError> {
    let grid = plan.partition.grid();
    let placement = Placement::new(grid, plan.handle_key.maker(), &plan.model_key);
    let schema: &Schema = &plan.partition.schema;
    let rules =
        Rules { placement, handles: plan.handle_key.maker(), row: schema.row(), naming, has_subject: schema.subject.is_some() };
    Ok(Stage::new(workspace.files(), &workspace.shards_dir(), grid, rules)?)
}

/// How the rows of one source are encoded and named.
struct RowRules {
    encoder: Encoder,
    ids: Ids,
    handles: HandleMaker,
    source: u32,
    naming: Naming,
    has_subject: bool,
}

impl RowRules {
    fn stage(&self, stage: &Stage, batch: &Batch, suppressed: impl Fn(Handle) -> bool) -> Result<(), ImportError> {
        let mut encoded = Vec::new();
        for row in 0..batch.rows() {
            let located = |error| ImportError::Cell { place: batch.place(row), error };
            encoded.clear();
            self.encoder.encode(batch, row, &mut encoded).map_err(located)?;
            let subject = self.ids.subject(batch, row).map_err(located)?.map(|id| self.handles.subject(&id));
            if self.naming == Naming::Content {
                match subject {
                    Some(subject) if suppressed(subject) => stage.refused(),
                    subject => stage.nameless(subject, &encoded)?,
                }
                continue;
            }
            let ids = self.ids.record(batch, row).map_err(located)?;
            let record = self.handles.record(ids.iter().map(Vec::as_slice));
            stage.note_id(record, self.source, &batch.place(row))?;
            // Without a subject column each record is its own subject.
            let subject = if self.has_subject { subject.unwrap_or(record) } else { record };
            if suppressed(record) || suppressed(subject) {
                stage.refused();
            } else {
                stage.named(record, subject, &encoded)?;
            }
        }
        Ok(())
    }
}

/// Publishes every slice, then `imported`.
fn publish(
    workspace: &Workspace,
    _lock: &WriterLock,
    history: &mut History,
    plan: &Plan,
    stage: &Stage,
) -> Result<ImportReport, ImportError> {
    let grid = plan.partition.grid();
    workspace.found(plan.generation, &plan.model_key, &plan.partition)?;
    workspace.files().reached("founded");
    let store = workspace.shard_store_of(plan.generation, &plan.partition, plan.model_key.clone());
    let shards: Vec<ShardId> = grid.shards().collect();
    let written = shards.par_iter().with_max_len(1).map(|shard| write_shard(&store, stage, *shard));
    let mut cells: BTreeMap<Cell, Digest> = BTreeMap::new();
    let mut subjects = 0;
    for shard in written.collect::<Vec<_>>() {
        let (digests, shard_subjects) = shard?;
        cells.extend(digests);
        subjects += shard_subjects;
    }
    make_durable(workspace, &store)?;
    workspace.files().reached("sliced");
    let counts = stage.counts();
    let imported = Imported {
        generation: plan.generation,
        rekeys: plan.rekeys,
        handle_key: plan.handle_key.fingerprint(),
        model_key: plan.model_key.fingerprint(),
        partition: plan.partition.digest(),
        records: counts.in_slices,
        held_out: counts.held_out,
        refused: counts.refused,
        root: store_digest(cells.iter()),
        cells: cells.iter().map(|(cell, digest)| (cell.to_string(), *digest)).collect(),
    };
    workspace.ledger().append(history, Event::Imported(imported))?;
    workspace.files().reached("imported");
    Ok(ImportReport {
        records: counts.in_slices,
        held_out: counts.held_out,
        refused: counts.refused,
        subjects_below_shards: (subjects < u64::from(grid.shards)).then_some(subjects),
    })
}

/// Record, subject, encoded row.
type Staged<'a> = (Handle, Handle, &'a [u8]);

/// Writes the files of one shard; returns their digests and the number of subjects trained on.
fn write_shard(store: &ShardStore, stage: &Stage, shard: ShardId) -> Result<(Vec<(Cell, Digest)>, u64), ImportError> {
    let bytes = stage.take(shard.0)?;
    let mut parts: BTreeMap<Part, Vec<Staged<'_>>> = BTreeMap::new();
    let mut subjects = std::collections::BTreeSet::new();
    for row in StagedRows::new(store.row(), &bytes).iter() {
        let part = stage.cell_part(row.1);
        if part != Part::Holdout && subjects.len() < store.grid().shards as usize {
            subjects.insert(row.1);
        }
        parts.entry(part).or_default().push(row);
    }
    let mut digests = Vec::new();
    for cell in store.grid().cells_of(shard) {
        let rows = parts.entry(cell.part).or_default();
        let file = SliceFile::build(cell, store.row(), rows, store.key()).ok_or(ImportError::TooLarge { shard: shard.0 })?;
        store.publish(&file, Sync::Later)?;
        digests.push((cell, file.content));
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
