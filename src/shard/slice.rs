//! A slice file in memory: mapped, checked, viewed without a copy.

use std::path::Path;

use ndarray::ArrayView2;

use super::{
    Header, SliceError, SliceLayout,
    format::{HEADER_BYTES, content_digest},
};
use crate::{
    digest::ModelKey,
    fs::Bytes,
    ids::{Cell, Handle},
    learn::{Features, Labels, Layout, Rows, Task},
    order::Batches,
    schema::{RowLayout, RowRef},
};

/// One slice's records.
#[derive(Clone, Debug)]
pub struct Slice {
    header: Header,
    layout: SliceLayout,
    bytes: Bytes,
}

impl Slice {
    /// Checks every byte of a slice file.
    ///
    /// # Errors
    /// [`SliceError::Damaged`] with the offset of what is wrong.
    pub fn open(
        bytes: Bytes,
        path: &Path,
        cell: (Cell, Option<Batches>),
        layout: &Layout,
        row: RowLayout,
        key: &ModelKey,
    ) -> Result<Slice, SliceError> {
        let slice = Slice::of_header(bytes, path, cell, row)?;
        let Slice { header, bytes, .. } = &slice;
        let got = content_digest(key, bytes);
        if got != header.content {
            return Err(SliceError::damaged(
                path,
                super::format::DIGEST_AT as u64,
                format!("the content digest is {got}, the header says {}", header.content),
            ));
        }
        slice.check_values(path, layout)?;
        Ok(slice)
    }

    /// Checks what can be checked without the model key: everything but the content digest. For whoever has the bytes on another's word.
    ///
    /// # Errors
    /// [`SliceError::Damaged`] with the offset of what is wrong.
    pub fn without_key(
        bytes: Bytes,
        name: &Path,
        cell: (Cell, Option<Batches>),
        layout: &Layout,
        row: RowLayout,
    ) -> Result<Slice, SliceError> {
        let slice = Slice::of_header(bytes, name, cell, row)?;
        slice.check_values(name, layout)?;
        Ok(slice)
    }

    /// Checks the header of a slice file alone: of what it holds nothing may be relied on.
    ///
    /// # Errors
    /// As [`Slice::open`].
    pub fn of_header(bytes: Bytes, path: &Path, cell: (Cell, Option<Batches>), row: RowLayout) -> Result<Slice, SliceError> {
        let header = Header::decode(bytes.get(..HEADER_BYTES).unwrap_or(&bytes), path, cell, row, bytes.len() as u64)?;
        let layout =
            SliceLayout::new(row, header.rows).ok_or_else(|| SliceError::damaged(path, 24, "the row count is absurd"))?;
        Ok(Slice { header, layout, bytes })
    }

    /// What the digest can't vouch for is our own promise to learners; broken, it must not become a panic there.
    fn check_values(&self, path: &Path, layout: &Layout) -> Result<(), SliceError> {
        let sections = &self.layout;
        if let Some(at) = self.records().windows(2).position(|w| matches!(w, [a, b] if a >= b)) {
            return Err(SliceError::damaged(path, (sections.records.start + 16 * at) as u64, "record handles do not ascend"));
        }
        if let (Task::Classes(classes), Some(labels)) = (layout.task, self.view::<u32>(&sections.labels))
            && let Some(at) = labels.iter().position(|l| *l >= classes)
        {
            return Err(SliceError::damaged(path, (sections.labels.start + 4 * at) as u64, "a class index is out of range"));
        }
        let categories = self.view::<u32>(&sections.categories).unwrap_or_default();
        if !layout.categories.is_empty()
            && let Some(at) = categories.iter().zip(layout.categories.iter().cycle()).position(|(c, size)| c >= size)
        {
            return Err(SliceError::damaged(
                path,
                (sections.categories.start + 4 * at) as u64,
                "a category index is out of range",
            ));
        }
        Ok(())
    }

    /// The header.
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// The record handles, ascending.
    pub fn records(&self) -> &[Handle] {
        self.view(&self.layout.records).unwrap_or_default()
    }

    /// The subject handles, row by row.
    pub fn subjects(&self) -> &[Handle] {
        self.view(&self.layout.subjects).unwrap_or_default()
    }

    /// The records of a subject.
    pub fn records_of(&self, subject: Handle) -> impl Iterator<Item = Handle> {
        self.records().iter().zip(self.subjects()).filter(move |(_, s)| **s == subject).map(|(r, _)| *r)
    }

    /// The whole file.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Where in the file the subject handles lie.
    pub fn subjects_at(&self) -> std::ops::Range<usize> {
        self.layout.subjects.clone()
    }

    /// The rows as learners see them.
    pub fn rows(&self) -> Rows<'_> {
        let rows = self.header.rows as usize;
        let labels = if self.header.row.class_label {
            Labels::Classes(self.view(&self.layout.labels).unwrap_or_default())
        } else {
            Labels::Numbers(self.view(&self.layout.labels).unwrap_or_default())
        };
        Rows {
            features: Features {
                numbers: self.matrix(&self.layout.numbers, rows, self.header.row.numbers),
                bytes: self.matrix(&self.layout.bytes, rows, self.header.row.bytes),
                categories: self.matrix(&self.layout.categories, rows, self.header.row.categories),
            },
            labels,
        }
    }

    /// The cells of row `at`.
    pub(super) fn row(&self, at: usize) -> Option<RowRef<'_>> {
        let row = self.header.row;
        let field = |section: &std::ops::Range<usize>, width: usize| {
            let start = section.start + at * width;
            self.bytes.get(start..start + width)
        };
        Some(RowRef {
            label: field(&self.layout.labels, 4)?,
            numbers: field(&self.layout.numbers, 4 * row.numbers as usize)?,
            categories: field(&self.layout.categories, 4 * row.categories as usize)?,
            bytes: field(&self.layout.bytes, row.bytes as usize)?,
        })
    }

    /// Replaces `out` by row `at` as it was encoded.
    pub fn encoded_row(&self, at: usize, out: &mut Vec<u8>) {
        out.clear();
        if let Some(row) = self.row(at) {
            [row.label, row.numbers, row.categories, row.bytes].into_iter().for_each(|part| out.extend_from_slice(part));
        }
    }

    fn view<T: bytemuck::Pod>(&self, section: &std::ops::Range<usize>) -> Option<&[T]> {
        bytemuck::try_cast_slice(self.bytes.get(section.clone())?).ok()
    }

    fn matrix<T: bytemuck::Pod>(&self, section: &std::ops::Range<usize>, rows: usize, columns: u32) -> ArrayView2<'_, T> {
        let cells = self.view(section).unwrap_or_default();
        // The layout made the section exactly this large; an empty view would only follow from a bug there.
        ArrayView2::from_shape((rows, columns as usize), cells).unwrap_or_else(|_| empty())
    }
}

fn empty<'a, T>() -> ArrayView2<'a, T> {
    ndarray::aview2::<T, 0>(&[])
}
