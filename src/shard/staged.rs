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
        let parts = record.0.into_iter().chain(subject.0).chain(part.number().to_le_bytes());
        head.iter_mut().zip(parts).for_each(|(to, from)| *to = from);
        head
    }

    /// The rows in `bytes`, in the order staged; a trailing part of a row is not one.
    pub fn all(row: RowLayout, bytes: &'a [u8]) -> impl Iterator<Item = StagedRow<'a>> {
        bytes.chunks_exact(StagedRow::width(row)).filter_map(|chunk| {
            let (record, rest) = chunk.split_first_chunk::<16>()?;
            let (subject, rest) = rest.split_first_chunk::<16>()?;
            let (part, encoded) = rest.split_first_chunk::<4>()?;
            Some(StagedRow { record: Handle(*record), subject: Handle(*subject), part: *part, encoded })
        })
    }

    /// Where in its shard it goes.
    pub fn part(&self) -> Part {
        Part::from_number(u32::from_le_bytes(self.part))
    }
}
