//! Rows sorted by shard on disk, before any slice is written.

use std::sync::{Arc, Mutex};

use rayon::prelude::*;

use crate::{
    digest::{HandleMaker, RowsSum},
    fs::{Files, FsError, Spill},
    ids::{Cell, Handle, Part},
    order::{Grid, Placement},
    schema::{Blocks, RowLayout, Subjects},
    shard::StagedRow,
    source::{Place, PlaceKind, Source},
};

use super::{
    AlikeIds, ImportError,
    alike::{self, Alike},
};

/// Buckets for what has to meet its equals: duplicate ids, identical rows.
const MEETING_BUCKETS: usize = 256;

/// Where imported rows gather.
#[derive(Debug)]
pub struct Stage {
    /// By shard: staged rows.
    rows: Spill,
    /// By record handle: handle, source number, line.
    ids: Option<Spill>,
    /// By content: staged rows whose record handle is not made yet.
    nameless: Option<Spill>,
    placement: Placement,
    blocks: Blocks,
    handles: HandleMaker,
    row: RowLayout,
    subjects: Subjects,
    counts: Mutex<Counts>,
    alike: Alike,
}

/// How many rows went where.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Counts {
    pub(super) in_slices: u64,
    pub(super) held_out: u64,
    pub(super) refused: u64,
    /// Rows that have no names yet.
    pub(super) nameless: u64,
    /// By [`PassedOver`].
    pub(super) left_out: [u64; 3],
    pub(super) bad_cells: u64,
    /// What the rows of a batch add up to.
    pub(super) sum: RowsSum,
}

/// Why a row is left out, as declared.
#[derive(Clone, Copy, Debug)]
pub(super) enum PassedOver {
    NoLabel,
    NoSubject,
    Unreadable,
}

/// Rows of one thread on their way to the stage; [`Stage::gather`] takes them there.
#[derive(Debug, Default)]
pub(super) struct Gathered {
    /// Staged rows, the last one perhaps without its head.
    rows: Vec<u8>,
    /// The shard of each, or the bucket of one without a name.
    buckets: Vec<u32>,
    /// Of each row with an id: handle, source number, line.
    ids: Vec<u8>,
    id_buckets: Vec<u32>,
    counts: Counts,
    pub(super) alike: alike::Ids,
}

/// How a record is named.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Naming {
    /// By the columns that the schema names.
    Columns,
    /// By its content.
    Content,
    /// It has its handle already.
    Given,
}

/// How staged rows are named and placed.
#[derive(Debug)]
pub struct Rules {
    /// Where subjects are.
    pub placement: Placement,
    /// In which block of shards a row is.
    pub blocks: Blocks,
    /// Makes handles.
    pub handles: HandleMaker,
    /// The sizes of a row.
    pub row: RowLayout,
    /// What names a record.
    pub naming: Naming,
    /// Whom records are about.
    pub subjects: Subjects,
}

impl Stage {
    /// An empty stage in the workspace's folder `dir`.
    ///
    /// # Errors
    /// The disk refuses.
    pub fn new(files: &Files, dir: &std::path::Path, grid: Grid, rules: Rules) -> Result<Stage, FsError> {
        let Rules { placement, blocks, handles, row, naming, subjects } = rules;
        let meeting = |wanted| if wanted { Spill::new(files, dir, MEETING_BUCKETS).map(Some) } else { Ok(None) };
        Ok(Stage {
            rows: Spill::new(files, dir, grid.shards as usize)?,
            ids: meeting(naming == Naming::Columns)?,
            nameless: meeting(naming == Naming::Content)?,
            placement,
            blocks,
            handles,
            row,
            subjects,
            counts: Mutex::default(),
            alike: Alike::default(),
        })
    }

    /// Takes what a thread gathered.
    ///
    /// # Errors
    /// The disk refuses.
    pub(super) fn gather(&self, gathered: &mut Gathered) -> Result<(), FsError> {
        let rows = self.nameless.as_ref().unwrap_or(&self.rows);
        rows.scatter(&gathered.rows, StagedRow::width(self.row), &gathered.buckets)?;
        if let Some(ids) = &self.ids {
            ids.scatter(&gathered.ids, NOTED_BYTES, &gathered.id_buckets)?;
        }
        self.count(gathered.counts);
        self.alike.gather(&mut gathered.alike);
        gathered.clear();
        Ok(())
    }

    /// Takes rows that have got their names now.
    fn gather_named(&self, gathered: &mut Gathered) -> Result<(), FsError> {
        self.rows.scatter(&gathered.rows, StagedRow::width(self.row), &gathered.buckets)?;
        self.count(gathered.counts);
        gathered.clear();
        Ok(())
    }

    /// Gives the last row of `gathered` its name and its place.
    pub(super) fn named(&self, gathered: &mut Gathered, record: Handle, subject: Handle) {
        let cell = self.cell(subject, gathered.last_row(self.row));
        match cell.part {
            Part::Slice(_) => gathered.counts.in_slices += 1,
            Part::Holdout => gathered.counts.held_out += 1,
        }
        gathered.finish_row(self.row, StagedRow::head(record, subject, cell.part), cell.shard.0);
    }

    /// Where a row of a subject belongs.
    fn cell(&self, subject: Handle, encoded: &[u8]) -> Cell {
        self.placement.cell(subject, self.blocks.of(encoded))
    }

    /// Leaves the last row of `gathered` to be named by its content.
    pub(super) fn nameless(&self, gathered: &mut Gathered, subject: Option<Handle>) {
        let base = self.handles.content(subject, 0, gathered.last_row(self.row));
        // Where it goes is known when it has its name.
        let head = StagedRow::head(base, subject.unwrap_or(NOBODY), Part::Holdout);
        gathered.counts.nameless += 1;
        gathered.finish_row(self.row, head, bucket(base));
    }

    /// Counts cells that can't be read and are taken for missing.
    pub(super) fn note_unreadable(&self, cells: u64) {
        self.count(Counts { bad_cells: cells, ..Counts::default() });
    }

    fn count(&self, more: Counts) {
        let mut counts = self.counts.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        counts.in_slices += more.in_slices;
        counts.held_out += more.held_out;
        counts.refused += more.refused;
        counts.nameless += more.nameless;
        counts.left_out.iter_mut().zip(more.left_out).for_each(|(to, more)| *to += more);
        counts.bad_cells += more.bad_cells;
        counts.sum.add(more.sum);
    }

    /// Finds the earliest duplicate record id. With `keep`, says where every id stands.
    ///
    /// # Errors
    /// [`ImportError::DuplicateRecord`], or the disk refuses.
    pub fn check_duplicates(&self, sources: &[Box<dyn Source>], keep: bool) -> Result<Noted, ImportError> {
        let Some(ids) = &self.ids else { return Ok(Noted::default()) };
        let found = (0..ids.buckets()).into_par_iter().map(|bucket| {
            let noted = ids.take(bucket)?;
            let records = if keep { noted.as_chunks::<NOTED_BYTES>().0.iter().map(stands).collect() } else { Vec::new() };
            Ok((earliest_duplicate(&noted), records))
        });
        let found: Vec<(Option<Pair>, Vec<Stands>)> = found.collect::<Result<_, FsError>>()?;
        let (pairs, records): (Vec<_>, Vec<_>) = found.into_iter().unzip();
        let mut noted = Noted { names: sources.iter().map(|s| s.name().clone()).collect(), records: records.concat() };
        if let Some((first, second)) = pairs.into_iter().flatten().min_by_key(|pair| pair.1) {
            return Err(ImportError::DuplicateRecord { first: noted.place(first), second: noted.place(second) });
        }
        noted.records.sort_unstable();
        Ok(noted)
    }

    /// Names the rows that their content names, by occurrence among identical ones, and stages them.
    ///
    /// # Errors
    /// The disk refuses.
    pub fn name_nameless(&self, suppressed: impl Fn(Handle) -> bool + Sync) -> Result<(), FsError> {
        self.name_after(suppressed, |_, _| Ok(false))
    }

    /// The same where records are there already, in the cell of the row: of these it passes over the names.
    ///
    /// # Errors
    /// The disk refuses, or `there` does.
    pub(super) fn name_after<E: From<FsError> + Send>(
        &self,
        suppressed: impl Fn(Handle) -> bool + Sync,
        there: impl Fn(Handle, Cell) -> Result<bool, E> + Sync,
    ) -> Result<(), E> {
        let Some(nameless) = &self.nameless else { return Ok(()) };
        (0..nameless.buckets()).into_par_iter().try_for_each(|bucket| {
            let bytes = nameless.take(bucket)?;
            let mut rows: Vec<_> = StagedRow::all(self.row, &bytes).collect();
            rows.sort_unstable();
            let mut gathered = Gathered::default();
            let mut before: Option<(Handle, &[u8])> = None;
            let mut occurrence = 0_u32;
            for StagedRow { subject, encoded, .. } in rows {
                occurrence = if before == Some((subject, encoded)) { occurrence + 1 } else { 0 };
                before = Some((subject, encoded));
                let subject = (self.subjects == Subjects::Column && subject != NOBODY).then_some(subject);
                let mut record = self.handles.content(subject, occurrence, encoded);
                while there(record, self.cell(subject.unwrap_or(record), encoded))? {
                    occurrence += 1;
                    record = self.handles.content(subject, occurrence, encoded);
                }
                if suppressed(record) {
                    gathered.refuse();
                } else {
                    gathered.start_row().extend_from_slice(encoded);
                    // Without a subject each record is its own.
                    self.named(&mut gathered, record, subject.unwrap_or(record));
                }
            }
            Ok(self.gather_named(&mut gathered)?)
        })
    }

    /// The staged rows of a shard.
    ///
    /// # Errors
    /// The disk refuses.
    pub(super) fn take(&self, shard: u32) -> Result<Vec<u8>, FsError> {
        self.rows.take(u64::from(shard))
    }

    pub(super) fn alike_ids(&self) -> AlikeIds {
        self.alike.count()
    }

    /// Rows that were staged, with names or without.
    pub(super) fn rows(&self) -> u64 {
        let Counts { in_slices, held_out, nameless, .. } = self.counts();
        in_slices + held_out + nameless
    }

    pub(super) fn counts(&self) -> Counts {
        *self.counts.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

impl Gathered {
    /// Where the encoded cells of one more row go.
    pub(super) fn start_row(&mut self) -> &mut Vec<u8> {
        self.rows.extend_from_slice(&[0; StagedRow::HEAD_BYTES]);
        &mut self.rows
    }

    /// How much there is; [`Gathered::back_to`] forgets what comes after.
    pub(super) fn length(&self) -> usize {
        self.rows.len()
    }

    /// Forgets a row that was begun.
    pub(super) fn back_to(&mut self, length: usize) {
        self.rows.truncate(length);
    }

    /// Adds a row to what the batch adds up to.
    pub(super) fn add(&mut self, row: RowsSum) {
        self.counts.sum.add(row);
    }

    /// Counts a row that is left out.
    pub(super) fn passed_over(&mut self, why: PassedOver) {
        if let Some(count) = self.counts.left_out.get_mut(why as usize) {
            *count += 1;
        }
    }

    pub(super) fn last_row(&self, row: RowLayout) -> &[u8] {
        self.rows.get(self.rows.len() - row.len()..).unwrap_or_default()
    }

    fn finish_row(&mut self, row: RowLayout, head: [u8; StagedRow::HEAD_BYTES], bucket: u32) {
        let start = self.rows.len() - StagedRow::width(row);
        if let Some(to) = self.rows.get_mut(start..start + head.len()) {
            to.copy_from_slice(&head);
        }
        self.buckets.push(bucket);
    }

    /// Forgets the last row, whose subject or record is suppressed.
    pub(super) fn drop_row(&mut self, row: RowLayout) {
        self.rows.truncate(self.rows.len() - StagedRow::width(row));
        self.refuse();
    }

    fn refuse(&mut self) {
        self.counts.refused += 1;
    }

    /// Notes where a record's id stands, so that a second one is found.
    pub(super) fn note_id(&mut self, record: Handle, source: u32, (kind, line): (PlaceKind, u64)) {
        self.ids.extend_from_slice(&record.0);
        self.ids.extend_from_slice(&(source << 1 | u32::from(kind == PlaceKind::Row)).to_le_bytes());
        self.ids.extend_from_slice(&line.to_le_bytes());
        self.id_buckets.push(bucket(record));
    }

    fn clear(&mut self) {
        self.rows.clear();
        self.buckets.clear();
        self.ids.clear();
        self.id_buckets.clear();
        self.counts = Counts::default();
    }
}

/// A record, and where it stands: source number, line.
type Stands = (Handle, (u32, u64));

/// Where the record ids of a batch stand, ascending by handle.
#[derive(Debug, Default)]
pub struct Noted {
    names: Vec<Arc<str>>,
    pub(super) records: Vec<Stands>,
}

impl Noted {
    /// The place that source number and line say.
    pub(super) fn place(&self, (source, line): (u32, u64)) -> Place {
        Place {
            file: self.names.get((source >> 1) as usize).map_or_else(|| "".into(), Arc::clone),
            line,
            kind: if source & 1 == 1 { PlaceKind::Row } else { PlaceKind::Line },
        }
    }
}

fn stands(noted: &[u8; NOTED_BYTES]) -> Stands {
    let (handle, place) = whole(noted);
    (Handle(handle.first_chunk().copied().unwrap_or_default()), place)
}

/// Where the first and the second record of one id stand: source number, line.
type Pair = ((u32, u64), (u32, u64));

/// Of the ids in `noted` that are there twice, the one whose second record comes first.
fn earliest_duplicate(noted: &[u8]) -> Option<Pair> {
    let (noted, _) = noted.as_chunks::<NOTED_BYTES>();
    let half = |noted: &[u8; NOTED_BYTES]| noted.first_chunk().map_or(0, |half| u64::from_be_bytes(*half));
    // Most halves of handles are different, so little has to be moved.
    let mut order: Vec<(u64, u32)> = noted.iter().map(half).zip(0..).collect();
    order.sort_unstable();
    let alike = order.chunk_by(|a, b| a.0 == b.0).filter(|alike| alike.len() > 1);
    let mut earliest: Option<Pair> = None;
    for alike in alike {
        let noted = |at: &(u64, u32)| noted.get(at.1 as usize).map(whole);
        let mut records: Vec<(&[u8], (u32, u64))> = alike.iter().filter_map(noted).collect();
        records.sort_unstable();
        for pair in records.windows(2) {
            if let [(a, first), (b, second)] = pair
                && a == b
                && earliest.is_none_or(|(_, e)| *second < e)
            {
                earliest = Some((*first, *second));
            }
        }
    }
    earliest
}

fn whole(noted: &[u8; NOTED_BYTES]) -> (&[u8], (u32, u64)) {
    let (handle, place) = noted.split_at(16);
    let number = |b: &[u8]| b.iter().rev().fold(0_u64, |n, b| n << 8 | u64::from(*b));
    let (source, line) = place.split_at(4);
    (handle, (number(source) as u32, number(line)))
}

/// Handle, source, line.
const NOTED_BYTES: usize = 16 + 4 + 8;

/// In place of the subject of a row that is its own, until it has its name.
const NOBODY: Handle = Handle([0; 16]);

fn bucket(handle: Handle) -> u32 {
    let [a, b, ..] = handle.0;
    u32::from(a) << 8 | u32::from(b)
}
