//! Rows sorted by shard on disk, before any slice is written.

use std::sync::Mutex;

use crate::{
    digest::HandleMaker,
    fs::{Files, FsError, Spill},
    ids::{Handle, Part},
    order::{Grid, Placement},
    schema::RowLayout,
    shard::StagedRows,
    source::{Place, PlaceKind},
};

use super::ImportError;

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
    handles: HandleMaker,
    row: RowLayout,
    has_subject: bool,
    counts: Mutex<Counts>,
}

/// How many rows went where.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Counts {
    pub(super) in_slices: u64,
    pub(super) held_out: u64,
    pub(super) refused: u64,
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
    /// Makes handles.
    pub handles: HandleMaker,
    /// The sizes of a row.
    pub row: RowLayout,
    /// What names a record.
    pub naming: Naming,
    /// Whether records have a subject of their own.
    pub has_subject: bool,
}

impl Stage {
    /// An empty stage in the workspace's folder `dir`.
    ///
    /// # Errors
    /// The disk refuses.
    pub fn new(files: &Files, dir: &std::path::Path, grid: Grid, rules: Rules) -> Result<Stage, FsError> {
        let Rules { placement, handles, row, naming, has_subject } = rules;
        let meeting = |wanted| if wanted { Spill::new(files, dir, MEETING_BUCKETS).map(Some) } else { Ok(None) };
        Ok(Stage {
            rows: Spill::new(files, dir, grid.shards as usize)?,
            ids: meeting(naming == Naming::Columns)?,
            nameless: meeting(naming == Naming::Content)?,
            placement,
            handles,
            row,
            has_subject,
            counts: Mutex::default(),
        })
    }

    /// Stages a row that has a name.
    ///
    /// # Errors
    /// The disk refuses.
    pub fn named(&self, record: Handle, subject: Handle, encoded: &[u8]) -> Result<(), FsError> {
        let cell = self.placement.cell(subject);
        self.count(|c| match cell.part {
            Part::Slice(_) => c.in_slices += 1,
            Part::Holdout => c.held_out += 1,
        });
        let mut staged = Vec::with_capacity(StagedRows::width(self.row));
        staged.extend_from_slice(&record.0);
        staged.extend_from_slice(&subject.0);
        staged.extend_from_slice(encoded);
        self.rows.push(u64::from(cell.shard.0), &staged)
    }

    /// Notes where a record's id stands, so that a second one is found.
    ///
    /// # Errors
    /// The disk refuses.
    pub fn note_id(&self, record: Handle, source: u32, place: &Place) -> Result<(), FsError> {
        let Some(ids) = &self.ids else { return Ok(()) };
        let mut noted = Vec::with_capacity(NOTED_BYTES);
        noted.extend_from_slice(&record.0);
        noted.extend_from_slice(&(source << 1 | u32::from(place.kind == PlaceKind::Row)).to_le_bytes());
        noted.extend_from_slice(&place.line.to_le_bytes());
        ids.push(bucket(record), &noted)
    }

    /// Stages a row that its content will name.
    ///
    /// # Errors
    /// The disk refuses.
    pub fn nameless(&self, subject: Option<Handle>, encoded: &[u8]) -> Result<(), FsError> {
        let Some(nameless) = &self.nameless else { return Ok(()) };
        let base = self.handles.content(subject, 0, encoded);
        let mut staged = Vec::with_capacity(StagedRows::width(self.row));
        staged.extend_from_slice(&base.0);
        staged.extend_from_slice(&subject.unwrap_or(Handle([0; 16])).0);
        staged.extend_from_slice(encoded);
        nameless.push(bucket(base), &staged)
    }

    /// Counts a row whose subject or record is suppressed.
    pub fn refused(&self) {
        self.count(|c| c.refused += 1);
    }

    fn count(&self, change: impl FnOnce(&mut Counts)) {
        change(&mut self.counts.lock().unwrap_or_else(std::sync::PoisonError::into_inner));
    }

    /// Finds the earliest duplicate record id.
    ///
    /// # Errors
    /// [`ImportError::DuplicateRecord`], or the disk refuses.
    pub fn check_duplicates(&self, sources: &[String]) -> Result<(), ImportError> {
        let Some(ids) = &self.ids else { return Ok(()) };
        let mut earliest: Option<((u32, u64), (u32, u64))> = None;
        for bucket in 0..ids.buckets() {
            let bytes = ids.take(bucket)?;
            let mut noted: Vec<(&[u8], (u32, u64))> = bytes
                .chunks_exact(NOTED_BYTES)
                .map(|chunk| {
                    let (handle, place) = chunk.split_at(16);
                    let number = |b: &[u8]| b.iter().rev().fold(0_u64, |n, b| n << 8 | u64::from(*b));
                    let (source, line) = place.split_at(4);
                    (handle, (number(source) as u32, number(line)))
                })
                .collect();
            noted.sort_unstable();
            for pair in noted.windows(2) {
                if let [(a, first), (b, second)] = pair
                    && a == b
                    && earliest.is_none_or(|(_, e)| *second < e)
                {
                    earliest = Some((*first, *second));
                }
            }
        }
        let place = |(source, line): (u32, u64)| Place {
            file: sources.get((source >> 1) as usize).map_or_else(|| "".into(), |s| s.as_str().into()),
            line,
            kind: if source & 1 == 1 { PlaceKind::Row } else { PlaceKind::Line },
        };
        match earliest {
            Some((first, second)) => Err(ImportError::DuplicateRecord { first: place(first), second: place(second) }),
            None => Ok(()),
        }
    }

    /// Names the rows that their content names, by occurrence among identical ones, and stages them.
    ///
    /// # Errors
    /// The disk refuses.
    pub fn name_nameless(&self, suppressed: impl Fn(Handle) -> bool) -> Result<(), FsError> {
        let Some(nameless) = &self.nameless else { return Ok(()) };
        for bucket in 0..nameless.buckets() {
            let bytes = nameless.take(bucket)?;
            let mut rows: Vec<_> = StagedRows::new(self.row, &bytes).iter().collect();
            rows.sort_unstable();
            let mut before: Option<(Handle, &[u8])> = None;
            let mut occurrence = 0_u32;
            for (_, subject, encoded) in rows {
                occurrence = if before == Some((subject, encoded)) { occurrence + 1 } else { 0 };
                before = Some((subject, encoded));
                let subject = self.has_subject.then_some(subject);
                let record = self.handles.content(subject, occurrence, encoded);
                if suppressed(record) {
                    self.refused();
                } else {
                    // Without a subject column each record is its own subject.
                    self.named(record, subject.unwrap_or(record), encoded)?;
                }
            }
        }
        Ok(())
    }

    /// The staged rows of a shard.
    ///
    /// # Errors
    /// The disk refuses.
    pub(super) fn take(&self, shard: u32) -> Result<Vec<u8>, FsError> {
        self.rows.take(u64::from(shard))
    }

    pub(super) fn cell_part(&self, subject: Handle) -> Part {
        self.placement.cell(subject).part
    }

    pub(super) fn counts(&self) -> Counts {
        *self.counts.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

/// Handle, source, line.
const NOTED_BYTES: usize = 16 + 4 + 8;

fn bucket(handle: Handle) -> u64 {
    let [a, b, ..] = handle.0;
    u64::from(a) << 8 | u64::from(b)
}
