//! Rows of a source as learners see them.

use super::Error;
use crate::{
    fs::{AlignedBuf, Bytes},
    learn::{Features, Labels, Rows},
    schema::{Encoder, RowLayout},
    source::Batch,
};

/// Encoded rows of one batch, section by section, as learners see them.
pub(super) struct Table {
    row: RowLayout,
    rows: usize,
    numbers: Bytes,
    categories: Bytes,
    bytes: Bytes,
    labels: Bytes,
    encoded: Vec<u8>,
}

impl Table {
    /// An empty table of rows of these sizes.
    pub(super) fn new(row: RowLayout) -> Table {
        let empty = || Bytes::owned(AlignedBuf::zeroed(0));
        Table { row, rows: 0, numbers: empty(), categories: empty(), bytes: empty(), labels: empty(), encoded: Vec::new() }
    }

    /// Takes in a batch in place of what was there.
    pub(super) fn fill(&mut self, encoder: &Encoder, batch: &Batch) -> Result<(), Error> {
        self.encoded.clear();
        self.rows = 0;
        self.add(encoder, batch, usize::MAX)?;
        self.finish();
        Ok(())
    }

    /// Adds rows of a batch until there are `most`. [`Table::finish`] makes them visible.
    pub(super) fn add(&mut self, encoder: &Encoder, batch: &Batch, most: usize) -> Result<(), Error> {
        for row in 0..batch.rows().min(most.saturating_sub(self.rows)) {
            encoder.encode(batch, row, &mut self.encoded).map_err(|error| Error::Cell { place: batch.place(row), error })?;
            self.rows += 1;
        }
        Ok(())
    }

    /// Cuts the rows into sections.
    pub(super) fn finish(&mut self) {
        let parts = || self.encoded.chunks_exact(self.row.len()).filter_map(|row| self.row.split(row));
        let section = |bytes: Vec<u8>| Bytes::owned(AlignedBuf::copy_of(&bytes));
        let labels = section(parts().flat_map(|p| p.label.iter().copied()).collect());
        let numbers = section(parts().flat_map(|p| p.numbers.iter().copied()).collect());
        let categories = section(parts().flat_map(|p| p.categories.iter().copied()).collect());
        let bytes = section(parts().flat_map(|p| p.bytes.iter().copied()).collect());
        (self.labels, self.numbers, self.categories, self.bytes) = (labels, numbers, categories, bytes);
    }

    /// How many rows there are.
    pub(super) fn rows(&self) -> usize {
        self.rows
    }

    /// The rows.
    pub(super) fn view(&self) -> Rows<'_> {
        Rows {
            features: Features {
                numbers: matrix(&self.numbers, self.rows, self.row.numbers),
                bytes: matrix(&self.bytes, self.rows, self.row.bytes),
                categories: matrix(&self.categories, self.rows, self.row.categories),
            },
            labels: if self.row.class_label {
                Labels::Classes(bytemuck::try_cast_slice(&self.labels).unwrap_or_default())
            } else {
                Labels::Numbers(bytemuck::try_cast_slice(&self.labels).unwrap_or_default())
            },
        }
    }
}

fn matrix<T: bytemuck::Pod>(bytes: &Bytes, rows: usize, columns: u32) -> ndarray::ArrayView2<'_, T> {
    let cells = bytemuck::try_cast_slice(bytes).unwrap_or_default();
    // `fill` made the section exactly this large.
    ndarray::ArrayView2::from_shape((rows, columns as usize), cells).unwrap_or_else(|_| ndarray::aview2::<T, 0>(&[]))
}
