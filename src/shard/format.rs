//! Slice files, byte by byte (the same table is in shards/README.md):
//!
//! | at | bytes | field |
//! |---|---|---|
//! | 0 | 8 | magic `89 53 49 53 41 53 4c 0a` (`\x89SISASL\n`) |
//! | 8 | 4 | format version: 1, or 2 for a slice of later batches |
//! | 12 | 4 | shard, from 0 |
//! | 16 | 4 | slice, from 1; 0 is the held-out part |
//! | 20 | 4 | label: 0 class index (u32), 1 number (f32) |
//! | 24 | 8 | rows n |
//! | 32 | 4 | number columns (f32) |
//! | 36 | 4 | category columns (u32) |
//! | 40 | 4 | byte columns (u8) |
//! | 44 | 4 | zero |
//! | 48 | 32 | content digest, keyed from the model key, over all other bytes of the file in order |
//! | 80 | 4 | the first batch of a slice of later batches, from 2; otherwise zero |
//! | 84 | 4 | its last batch; otherwise zero |
//! | 88 | 40 | zero |
//! | 128 | 16 n | record handles, ascending |
//! | ... | 16 n | subject handles |
//! | ... | 4 n | labels |
//! | ... | 4 n each | numbers, row by row |
//! | ... | 4 n each | categories, row by row |
//! | ... | n each | bytes, row by row |
//!
//! Every section begins at a multiple of 64 bytes, with zeros before it; the file ends at a multiple of 64. Little-endian.

use std::ops::Range;

use super::SliceError;
use crate::{
    digest::{Digest, ModelKey},
    ids::{Cell, Part, ShardId},
    order::Batches,
    schema::RowLayout,
};

/// The version of slice files; part of every lineage.
pub const SLICE_FORMAT: u32 = 1;

/// The version of files that name their batches.
const LATER_FORMAT: u32 = 2;

pub(super) const MAGIC: [u8; 8] = *b"\x89SISASL\n";
pub(super) const HEADER_BYTES: usize = 128;
pub(super) const DIGEST_AT: usize = 48;
const ALIGN: usize = 64;

/// The fixed part of a slice file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// Which cell.
    pub cell: Cell,
    /// Which batches, of a slice of later batches.
    pub batches: Option<Batches>,
    /// Rows.
    pub rows: u64,
    /// The sizes of a row.
    pub row: RowLayout,
    /// The content digest that the file states.
    pub content: Digest,
}

/// Where the sections of a slice file are, in bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SliceLayout {
    pub(super) records: Range<usize>,
    pub(super) subjects: Range<usize>,
    pub(super) labels: Range<usize>,
    pub(super) numbers: Range<usize>,
    pub(super) categories: Range<usize>,
    pub(super) bytes: Range<usize>,
    /// The length of the file.
    pub file: usize,
}

impl SliceLayout {
    /// The layout of `rows` rows; `None` when they don't fit an address space.
    pub fn new(row: RowLayout, rows: u64) -> Option<SliceLayout> {
        let rows = usize::try_from(rows).ok()?;
        let mut end = HEADER_BYTES;
        let mut section = |bytes_a_row: usize| {
            let start = end.checked_next_multiple_of(ALIGN)?;
            end = start.checked_add(rows.checked_mul(bytes_a_row)?)?;
            Some(start..end)
        };
        let records = section(16)?;
        let subjects = section(16)?;
        let labels = section(4)?;
        let numbers = section(4 * row.numbers as usize)?;
        let categories = section(4 * row.categories as usize)?;
        let bytes = section(row.bytes as usize)?;
        let file = end.checked_next_multiple_of(ALIGN)?;
        (file <= isize::MAX as usize).then_some(SliceLayout { records, subjects, labels, numbers, categories, bytes, file })
    }
}

impl Header {
    /// The header's bytes.
    pub(super) fn encode(&self) -> [u8; HEADER_BYTES] {
        let mut out = [0; HEADER_BYTES];
        let mut at = 0;
        let mut put = |bytes: &[u8]| {
            if let Some(to) = out.get_mut(at..at + bytes.len()) {
                to.copy_from_slice(bytes);
            }
            at += bytes.len();
        };
        put(&MAGIC);
        put(&format_of(self.batches).to_le_bytes());
        put(&self.cell.shard.0.to_le_bytes());
        put(&self.cell.part.number().to_le_bytes());
        put(&u32::from(!self.row.class_label).to_le_bytes());
        put(&self.rows.to_le_bytes());
        put(&self.row.numbers.to_le_bytes());
        put(&self.row.categories.to_le_bytes());
        put(&self.row.bytes.to_le_bytes());
        put(&[0; 4]);
        put(&self.content.0);
        for batch in interval(self.batches) {
            put(&batch.to_le_bytes());
        }
        out
    }

    /// Reads a header and checks it against what the file must be.
    ///
    /// # Errors
    /// [`SliceError::Damaged`] with the offset of the first field that is wrong.
    pub fn decode(
        bytes: &[u8],
        path: &std::path::Path,
        (cell, batches): (Cell, Option<Batches>),
        row: RowLayout,
        file_len: u64,
    ) -> Result<Header, SliceError> {
        let damaged = |offset: usize, what: String| SliceError::damaged(path, offset as u64, what);
        let mut at = 0;
        let mut take = |n: usize| {
            let field = bytes.get(at..at + n);
            at += n;
            field.ok_or_else(|| damaged(bytes.len(), format!("the file ends inside its {HEADER_BYTES}-byte header")))
        };
        let u32_of = |b: &[u8]| b.iter().rev().fold(0_u32, |n, b| n << 8 | u32::from(*b));
        if take(8)? != MAGIC {
            return Err(damaged(0, "this is not a slice file (wrong magic)".into()));
        }
        let mut expect = |offset: usize, name: &str, expected: u32| {
            let got = u32_of(take(4)?);
            if got == expected { Ok(()) } else { Err(damaged(offset, format!("{name} is {got}, expected {expected}"))) }
        };
        expect(8, "format version", format_of(batches))?;
        expect(12, "shard", cell.shard.0)?;
        expect(16, "slice", cell.part.number())?;
        expect(20, "label kind", u32::from(!row.class_label))?;
        let rows = u64::from_le_bytes(take(8)?.try_into().map_err(|_| damaged(24, "short".into()))?);
        let mut expect = |offset: usize, name: &str, expected: u32| {
            let got = u32_of(take(4)?);
            if got == expected { Ok(()) } else { Err(damaged(offset, format!("{name} is {got}, expected {expected}"))) }
        };
        expect(32, "number columns", row.numbers)?;
        expect(36, "category columns", row.categories)?;
        expect(40, "byte columns", row.bytes)?;
        expect(44, "reserved field", 0)?;
        let mut content = [0; 32];
        content.copy_from_slice(take(32)?);
        for (at, expected) in [80, 84].into_iter().zip(interval(batches)) {
            let got = u32_of(take(4)?);
            if got != expected {
                return Err(damaged(at, format!("a batch is {got}, expected {expected}")));
            }
        }
        if let Some(n) = take(HEADER_BYTES - 88)?.iter().position(|b| *b != 0) {
            return Err(damaged(88 + n, "a reserved byte is not zero".into()));
        }
        let layout = SliceLayout::new(row, rows).filter(|l| l.file as u64 == file_len);
        if layout.is_none() {
            return Err(damaged(24, format!("{rows} rows do not fit a file of {file_len} bytes")));
        }
        Ok(Header { cell, batches, rows, row, content: Digest(content) })
    }
}

fn format_of(batches: Option<Batches>) -> u32 {
    if batches.is_some() { LATER_FORMAT } else { SLICE_FORMAT }
}

fn interval(batches: Option<Batches>) -> [u32; 2] {
    batches.map_or([0, 0], |Batches { first, last }| [first, last])
}

/// The content digest of a whole slice file.
pub(super) fn content_digest(key: &ModelKey, file: &[u8]) -> Digest {
    let before = file.get(..DIGEST_AT).unwrap_or_default();
    let after = file.get(DIGEST_AT + 32..).unwrap_or_default();
    key.content(&[before, after])
}

/// The file name of a cell in its shard's folder.
pub(super) fn file_name(part: Part) -> String {
    format!("{part}.slice")
}

/// How the name of a file ends that waits beside the one whose place it takes.
const NEXT: &str = ".next";

/// The file name of what a cell is to hold once a batch is in.
pub(super) fn next_name(part: Part) -> String {
    file_name(part) + NEXT
}

/// Whether a file's name is one of those that wait beside others.
pub fn is_waiting(name: &str) -> bool {
    next_part_of(name).is_some()
}

/// The part whose file a name waits to take the place of.
pub(super) fn next_part_of(name: &str) -> Option<Part> {
    part_of(name.strip_suffix(NEXT)?)
}

/// The part that a file name stands for.
pub(super) fn part_of(name: &str) -> Option<Part> {
    let cell: Cell = format!("{}/{}", ShardId(0), name.strip_suffix(".slice")?).parse().ok()?;
    Some(cell.part)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::SliceId;

    const ROW: RowLayout = RowLayout { numbers: 3, bytes: 5, categories: 2, class_label: true };
    const CELL: Cell = Cell { shard: ShardId(7), part: Part::Slice(SliceId(3)) };

    #[test]
    fn headers_survive_and_every_changed_byte_but_digest_and_count_is_named() {
        let rows = 10;
        let len = SliceLayout::new(ROW, rows).unwrap().file as u64;
        for batches in [None, Some(Batches { first: 2, last: 17 })] {
            let header = Header { cell: CELL, batches, rows, row: ROW, content: Digest::of(b"c") };
            let bytes = header.encode();
            let path = std::path::Path::new("x");
            assert_eq!(Header::decode(&bytes, path, (CELL, batches), ROW, len).unwrap(), header);
            for at in (0..HEADER_BYTES).filter(|at| !(DIGEST_AT..DIGEST_AT + 32).contains(at)) {
                let mut bad = bytes;
                bad[at] ^= 0x10;
                let error = Header::decode(&bad, path, (CELL, batches), ROW, len).unwrap_err();
                let SliceError::Damaged { offset, .. } = error else { panic!("{error}") };
                assert!(offset <= at as u64 && at as u64 - offset < 8, "byte {at} reported at {offset}");
            }
            assert!(Header::decode(&bytes[..60], path, (CELL, batches), ROW, 60).is_err());
            let other = Some(Batches { first: 2, last: 18 });
            assert!(Header::decode(&bytes, path, (CELL, other), ROW, len).is_err());
        }
    }

    #[test]
    fn absurd_counts_have_no_layout() {
        assert_eq!(SliceLayout::new(ROW, u64::MAX), None);
        assert_eq!(SliceLayout::new(ROW, u64::MAX / 64), None);
    }

    #[test]
    fn file_names_have_one_spelling() {
        for part in [Part::Holdout, Part::Slice(SliceId(1)), Part::Slice(SliceId(100))] {
            assert_eq!(part_of(&file_name(part)), Some(part));
            assert_eq!((next_part_of(&next_name(part)), part_of(&next_name(part))), (Some(part), None));
        }
        for stranger in ["1.slice", "00.slice", "003.slice", "a.slice", "03.slic", ""] {
            assert_eq!(part_of(stranger), None, "{stranger}");
        }
    }
}
