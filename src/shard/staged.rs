//! Rows on their way from a source to a slice.

use crate::{
    ids::{Handle, Part},
    schema::RowLayout,
};

/// A row as an import stages it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct StagedRow<'a> {
    /// Its record handle.
    pub record: Handle,
    /// Its subject handle.
    pub subject: Handle,
    /// Where in its shard it goes: the number of a slice, 0 for the holdout.
    part: [u8; 4],
    /// Its encoded cells.
    pub encoded: &'a [u8],
}

impl<'a> StagedRow<'a> {
    /// Bytes before the encoded cells.
    pub const HEAD_BYTES: usize = 16 + 16 + 4;

    /// Bytes of one staged row.
    pub fn width(row: RowLayout) -> usize {
        StagedRow::HEAD_BYTES + row.len()
    }

    /// What comes before the encoded cells.
    pub fn head(record: Handle, subject: Handle, part: Part) -> [u8; StagedRow::HEAD_BYTES] {
        let mut head = [0; StagedRow::HEAD_BYTES];
        let (to, part_to) = head.split_at_mut(32);
        let (record_to, subject_to) = to.split_at_mut(16);
        record_to.copy_from_slice(&record.0);
        subject_to.copy_from_slice(&subject.0);
        part_to.copy_from_slice(&part.number().to_le_bytes());
        head
    }

    /// The rows in `bytes`, in the order staged; a trailing part of a row is not one.
    pub fn all(row: RowLayout, bytes: &'a [u8]) -> impl ExactSizeIterator<Item = StagedRow<'a>> {
        bytes.chunks_exact(StagedRow::width(row)).map(StagedRow::read)
    }

    /// Row `at` of those in `bytes`.
    pub fn nth(row: RowLayout, bytes: &'a [u8], at: u32) -> Option<StagedRow<'a>> {
        let width = StagedRow::width(row);
        let start = (at as usize).checked_mul(width)?;
        Some(StagedRow::read(bytes.get(start..start.checked_add(width)?)?))
    }

    /// The row that these bytes are, which are at least a head.
    fn read(bytes: &'a [u8]) -> StagedRow<'a> {
        let (head, encoded) =
            bytes.split_first_chunk::<{ StagedRow::HEAD_BYTES }>().unwrap_or((&[0; StagedRow::HEAD_BYTES], &[]));
        let [record, subject] = [head.first_chunk::<16>(), head.get(16..).and_then(|rest| rest.first_chunk())];
        let handle = |bytes: Option<&[u8; 16]>| Handle(bytes.copied().unwrap_or_default());
        StagedRow {
            record: handle(record),
            subject: handle(subject),
            part: head.last_chunk().copied().unwrap_or_default(),
            encoded,
        }
    }

    /// Where in its shard it goes.
    pub fn part(&self) -> Part {
        Part::from_number(u32::from_le_bytes(self.part))
    }
}
