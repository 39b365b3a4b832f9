//! One encoded row as bytes: label, numbers, categories (4 bytes each, little-endian), byte columns.

/// The sizes of an encoded row; fixed for a generation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RowLayout {
    /// Number columns (f32).
    pub numbers: u32,
    /// Byte columns (u8).
    pub bytes: u32,
    /// Category columns (u32).
    pub categories: u32,
    /// Whether the label is a class index (u32) or a number (f32).
    pub class_label: bool,
}

/// The parts of an encoded row.
#[derive(Clone, Copy, Debug)]
pub struct RowRef<'a> {
    /// 4 bytes.
    pub label: &'a [u8],
    /// 4 bytes a column.
    pub numbers: &'a [u8],
    /// 4 bytes a column.
    pub categories: &'a [u8],
    /// 1 byte a column.
    pub bytes: &'a [u8],
}

impl RowLayout {
    /// Bytes of an encoded row.
    pub fn len(&self) -> usize {
        4 + 4 * self.numbers as usize + 4 * self.categories as usize + self.bytes as usize
    }

    /// Never: a row has a label at least.
    pub fn is_empty(&self) -> bool {
        false
    }

    /// The parts of an encoded row of exactly [`RowLayout::len`] bytes.
    pub fn split<'a>(&self, row: &'a [u8]) -> Option<RowRef<'a>> {
        let (label, rest) = row.split_at_checked(4)?;
        let (numbers, rest) = rest.split_at_checked(4 * self.numbers as usize)?;
        let (categories, bytes) = rest.split_at_checked(4 * self.categories as usize)?;
        (bytes.len() == self.bytes as usize).then_some(RowRef { label, numbers, categories, bytes })
    }
}
