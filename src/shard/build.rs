//! Makes slice files from rows in any order: the file is a function of the set.

use std::{collections::BTreeSet, ops::Range};

use super::{
    BuildError, Header, Slice, SliceLayout, StagedRow,
    format::{HEADER_BYTES, content_digest},
};
use crate::{
    digest::{Digest, ModelKey},
    fs::AlignedBuf,
    ids::{Cell, Handle},
    order::Batches,
    schema::{RowLayout, RowRef},
};

/// The bytes of a slice file, ready to be published.
#[derive(Debug)]
pub struct SliceFile {
    /// Which cell.
    pub cell: Cell,
    /// How many rows.
    pub rows: u64,
    /// The content digest.
    pub content: Digest,
    pub(super) bytes: AlignedBuf,
}

impl SliceFile {
    /// The whole file.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }
}

/// What is left of a section of a file that is being written.
struct Section<'a>(&'a mut [u8]);

impl Section<'_> {
    #[inline]
    fn push(&mut self, field: &[u8]) {
        if let Some((to, rest)) = std::mem::take(&mut self.0).split_at_mut_checked(field.len()) {
            to.copy_from_slice(field);
            self.0 = rest;
        }
    }
}

/// A file of so many rows, given one after the other: record, subject, cells.
fn written<'a>(
    (cell, batches): (Cell, Option<Batches>),
    row: RowLayout,
    rows: u64,
    given: impl Iterator<Item = (Handle, Handle, RowRef<'a>)>,
    key: &ModelKey,
) -> Result<SliceFile, BuildError> {
    let layout = SliceLayout::new(row, rows).ok_or(BuildError::TooLarge { rows })?;
    let mut bytes = AlignedBuf::zeroed(layout.file);
    let mut at = 0;
    let mut rest = bytes.as_mut();
    let mut section = |range: &Range<usize>| {
        let after = std::mem::take(&mut rest).split_at_mut_checked(range.start - at)?.1;
        let (section, after) = after.split_at_mut_checked(range.len())?;
        (at, rest) = (range.end, after);
        Some(Section(section))
    };
    // The sections lie one behind the other in a file of the layout's length.
    let mut next = |range| section(range).ok_or(BuildError::TooLarge { rows });
    let mut records = next(&layout.records)?;
    let mut subjects = next(&layout.subjects)?;
    let mut labels = next(&layout.labels)?;
    let mut numbers = next(&layout.numbers)?;
    let mut categories = next(&layout.categories)?;
    let mut cells = next(&layout.bytes)?;
    for (record, subject, parts) in given {
        records.push(&record.0);
        subjects.push(&subject.0);
        labels.push(parts.label);
        numbers.push(parts.numbers);
        categories.push(parts.categories);
        cells.push(parts.bytes);
    }
    // A row that is missing must not become one of zeros.
    if !records.0.is_empty() {
        return Err(BuildError::Missing { rows });
    }
    let mut header = Header { cell, batches, rows, row, content: Digest([0; 32]) };
    place(&header, &mut bytes);
    header.content = content_digest(key, &bytes);
    place(&header, &mut bytes);
    Ok(SliceFile { cell, rows, content: header.content, bytes })
}

fn place(header: &Header, file: &mut AlignedBuf) {
    if let Some(to) = file.as_mut().get_mut(..HEADER_BYTES) {
        to.copy_from_slice(&header.encode());
    }
}

/// A row to be sorted: half of its record's handle, and its number. What is moved while sorting is small, and what is compared is nearly
/// always the half.
pub type SortKey = (u64, u32);

/// The sort key of row number `at`.
#[inline]
pub fn sort_key(record: Handle, at: u32) -> SortKey {
    (record.0.first_chunk().map_or(0, |half| u64::from_be_bytes(*half)), at)
}

impl SliceFile {
    /// The file of a cell, and of its batches if it is a slice of later ones, with these rows (record, subject, encoded cells), which may come in any order.
    ///
    /// # Errors
    /// They are too many for one file, or one is cut short.
    pub fn build(
        cell: (Cell, Option<Batches>),
        row: RowLayout,
        rows: &[(Handle, Handle, &[u8])],
        key: &ModelKey,
    ) -> Result<SliceFile, BuildError> {
        let count = u32::try_from(rows.len()).map_err(|_| BuildError::TooLarge { rows: rows.len() as u64 })?;
        let order = rows.iter().zip(0..count).map(|(row, at)| sort_key(row.0, at)).collect();
        SliceFile::sorted(cell, row, order, |at| rows.get(at as usize).copied(), key)
    }

    /// The file of those staged rows of a shard that `order` has the sort keys of.
    ///
    /// # Errors
    /// As [`SliceFile::build`].
    pub fn of_staged(
        cell: (Cell, Option<Batches>),
        row: RowLayout,
        staged: &[u8],
        order: Vec<SortKey>,
        key: &ModelKey,
    ) -> Result<SliceFile, BuildError> {
        let nth = |at| StagedRow::nth(row, staged, at).map(|staged| (staged.record, staged.subject, staged.encoded));
        SliceFile::sorted(cell, row, order, nth, key)
    }

    fn sorted<'a>(
        cell: (Cell, Option<Batches>),
        row: RowLayout,
        mut order: Vec<SortKey>,
        nth: impl Fn(u32) -> Option<(Handle, Handle, &'a [u8])>,
        key: &ModelKey,
    ) -> Result<SliceFile, BuildError> {
        let record = |at: u32| nth(at).map(|row| row.0);
        order.sort_unstable_by(|a, b| a.0.cmp(&b.0).then_with(|| record(a.1).cmp(&record(b.1))));
        let given = |(_, at): &SortKey| nth(*at).and_then(|(record, subject, cells)| Some((record, subject, row.split(cells)?)));
        written(cell, row, order.len() as u64, order.iter().filter_map(given), key)
    }

    /// The file of `slice` without these records, and with others (record, subject, encoded cells).
    ///
    /// # Errors
    /// As [`SliceFile::build`].
    pub fn replaced(
        slice: &Slice,
        gone: &BTreeSet<Handle>,
        come: &[(Handle, Handle, &[u8])],
        key: &ModelKey,
    ) -> Result<SliceFile, BuildError> {
        let header = slice.header();
        let kept = slice.records().iter().zip(slice.subjects()).enumerate().filter(|(_, (record, _))| !gone.contains(record));
        let mut rows: Vec<_> = kept.filter_map(|(at, (record, subject))| Some((*record, *subject, slice.row(at)?))).collect();
        rows.extend(come.iter().filter_map(|(record, subject, cells)| Some((*record, *subject, header.row.split(cells)?))));
        rows.sort_unstable_by_key(|row| row.0);
        written((header.cell, header.batches), header.row, rows.len() as u64, rows.into_iter(), key)
    }

    /// The file of `slice` without these records.
    ///
    /// # Errors
    /// As [`SliceFile::build`].
    pub fn without(slice: &Slice, gone: &BTreeSet<Handle>, key: &ModelKey) -> Result<SliceFile, BuildError> {
        let keep: Vec<usize> = slice.records().iter().enumerate().filter(|(_, r)| !gone.contains(r)).map(|(at, _)| at).collect();
        let header = slice.header();
        let row = |at: &usize| Some((*slice.records().get(*at)?, *slice.subjects().get(*at)?, slice.row(*at)?));
        written((header.cell, header.batches), header.row, keep.len() as u64, keep.iter().filter_map(row), key)
    }
}
