//! Encoded rows in memory, as learners see them.

use ndarray::ArrayView2;

use super::{CellError, Encoder, Fate, RowLayout, RowRef};
use crate::{
    learn::{Features, Labels, Rows},
    source::{Batch, Place},
};

/// Owned encoded rows, in order: `rows x columns` cells of each kind, row by row, and a label a row.
#[derive(Clone, Debug)]
pub struct EncodedRows {
    rows: usize,
    row: RowLayout,
    numbers: Vec<f32>,
    bytes: Vec<u8>,
    categories: Vec<u32>,
    labels: OwnedLabels,
    /// One row on its way from cells to columns.
    encoded: Vec<u8>,
}

#[derive(Clone, Debug)]
enum OwnedLabels {
    Classes(Vec<u32>),
    Numbers(Vec<f32>),
}

impl EncodedRows {
    /// No rows yet, of these sizes.
    pub fn new(row: RowLayout) -> EncodedRows {
        EncodedRows {
            rows: 0,
            row,
            numbers: Vec::new(),
            bytes: Vec::new(),
            categories: Vec::new(),
            labels: if row.class_label { OwnedLabels::Classes(Vec::new()) } else { OwnedLabels::Numbers(Vec::new()) },
            encoded: Vec::new(),
        }
    }

    /// Copies rows.
    pub fn copy(rows: &Rows<'_>) -> EncodedRows {
        let Features { numbers, bytes, categories } = &rows.features;
        EncodedRows {
            rows: rows.features.rows(),
            row: RowLayout {
                numbers: numbers.ncols() as u32,
                bytes: bytes.ncols() as u32,
                categories: categories.ncols() as u32,
                class_label: matches!(rows.labels, Labels::Classes(_)),
            },
            numbers: numbers.iter().copied().collect(),
            bytes: bytes.iter().copied().collect(),
            categories: categories.iter().copied().collect(),
            labels: match rows.labels {
                Labels::Classes(classes) => OwnedLabels::Classes(classes.to_vec()),
                Labels::Numbers(numbers) => OwnedLabels::Numbers(numbers.to_vec()),
            },
            encoded: Vec::new(),
        }
    }

    /// Adds rows of a batch until there are `most`.
    ///
    /// # Errors
    /// A cell does not fit the schema; says where it is.
    pub fn add(&mut self, encoder: &Encoder, batch: &Batch, most: usize) -> Result<(), (Place, CellError)> {
        for at in 0..batch.rows().min(most.saturating_sub(self.rows)) {
            let mut encoded = std::mem::take(&mut self.encoded);
            encoded.clear();
            let fate = encoder.encode(batch, at, &mut encoded).map_err(|error| (batch.place(at), error))?;
            if let (Fate::Kept, Some(parts)) = (fate, self.row.split(&encoded)) {
                self.push(parts);
            }
            self.encoded = encoded;
        }
        Ok(())
    }

    fn push(&mut self, parts: RowRef<'_>) {
        self.rows += 1;
        self.numbers.extend(parts.numbers.as_chunks().0.iter().map(|word| f32::from_le_bytes(*word)));
        self.categories.extend(parts.categories.as_chunks().0.iter().map(|word| u32::from_le_bytes(*word)));
        self.bytes.extend_from_slice(parts.bytes);
        match &mut self.labels {
            OwnedLabels::Classes(classes) => {
                classes.extend(parts.label.as_chunks().0.iter().map(|word| u32::from_le_bytes(*word)))
            }
            OwnedLabels::Numbers(numbers) => {
                numbers.extend(parts.label.as_chunks().0.iter().map(|word| f32::from_le_bytes(*word)))
            }
        }
    }

    /// Lets all rows go, and keeps their room.
    pub fn clear(&mut self) {
        self.rows = 0;
        self.numbers.clear();
        self.bytes.clear();
        self.categories.clear();
        match &mut self.labels {
            OwnedLabels::Classes(classes) => classes.clear(),
            OwnedLabels::Numbers(numbers) => numbers.clear(),
        }
    }

    /// How many rows.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Bytes of the rows, without their labels.
    pub fn bytes(&self) -> usize {
        4 * (self.numbers.len() + self.categories.len()) + self.bytes.len()
    }

    /// The rows as learners see them.
    pub fn view(&self) -> Rows<'_> {
        let RowLayout { numbers, bytes, categories, .. } = self.row;
        Rows {
            features: Features {
                numbers: matrix(&self.numbers, self.rows, numbers),
                bytes: matrix(&self.bytes, self.rows, bytes),
                categories: matrix(&self.categories, self.rows, categories),
            },
            labels: match &self.labels {
                OwnedLabels::Classes(classes) => Labels::Classes(classes),
                OwnedLabels::Numbers(numbers) => Labels::Numbers(numbers),
            },
        }
    }

    /// Copies of some rows, in the order asked for.
    ///
    /// # Panics
    /// When one is not there.
    #[must_use]
    pub fn take(&self, rows: &[u32]) -> EncodedRows {
        let RowLayout { numbers, bytes, categories, .. } = self.row;
        EncodedRows {
            rows: rows.len(),
            row: self.row,
            numbers: pick(&self.numbers, numbers, rows),
            bytes: pick(&self.bytes, bytes, rows),
            categories: pick(&self.categories, categories, rows),
            labels: match &self.labels {
                OwnedLabels::Classes(classes) => OwnedLabels::Classes(pick(classes, 1, rows)),
                OwnedLabels::Numbers(numbers) => OwnedLabels::Numbers(pick(numbers, 1, rows)),
            },
            encoded: Vec::new(),
        }
    }

    /// Takes rows out; `gone` is ascending, and each below [`EncodedRows::rows`].
    pub fn remove(&mut self, gone: &[u32]) {
        let rows = self.rows;
        drop_rows(&mut self.numbers, rows, gone);
        drop_rows(&mut self.bytes, rows, gone);
        drop_rows(&mut self.categories, rows, gone);
        match &mut self.labels {
            OwnedLabels::Classes(classes) => drop_rows(classes, rows, gone),
            OwnedLabels::Numbers(numbers) => drop_rows(numbers, rows, gone),
        }
        self.rows -= gone.len();
    }

    /// Adds the rows of another of the same layout.
    pub fn append(&mut self, other: &EncodedRows) {
        assert_eq!(self.row, other.row, "rows of one layout");
        self.rows += other.rows;
        self.numbers.extend_from_slice(&other.numbers);
        self.bytes.extend_from_slice(&other.bytes);
        self.categories.extend_from_slice(&other.categories);
        match (&mut self.labels, &other.labels) {
            (OwnedLabels::Classes(to), OwnedLabels::Classes(from)) => to.extend_from_slice(from),
            (OwnedLabels::Numbers(to), OwnedLabels::Numbers(from)) => to.extend_from_slice(from),
            (OwnedLabels::Classes(_), OwnedLabels::Numbers(_)) | (OwnedLabels::Numbers(_), OwnedLabels::Classes(_)) => {
                unreachable!("rows of one layout have labels of one kind")
            }
        }
    }
}

/// The cells of some rows.
fn pick<T: Copy>(cells: &[T], width: u32, rows: &[u32]) -> Vec<T> {
    let of = |row: &u32| {
        let start = *row as usize * width as usize;
        cells.get(start..start + width as usize).unwrap_or_else(|| unreachable!("row {row} is not there"))
    };
    rows.iter().flat_map(of).copied().collect()
}

/// Moves what stays over what goes.
fn drop_rows<T: Copy>(cells: &mut Vec<T>, rows: usize, gone: &[u32]) {
    let width = cells.len() / rows.max(1);
    if let [row] = gone {
        let start = *row as usize * width;
        cells.drain(start..start + width);
        return;
    }
    let (mut at, mut goes) = (0, vec![false; rows]);
    for row in gone {
        if let Some(goes) = goes.get_mut(*row as usize) {
            *goes = true;
        }
    }
    cells.retain(|_| {
        let row = at / width.max(1);
        at += 1;
        !goes.get(row).copied().unwrap_or(false)
    });
}

/// Cells as `rows` rows of `columns`.
fn matrix<T>(cells: &[T], rows: usize, columns: u32) -> ArrayView2<'_, T> {
    let columns = columns as usize;
    assert_eq!(cells.len(), rows * columns, "every row has all its cells");
    ArrayView2::from_shape((rows, columns), cells).unwrap_or_else(|_| unreachable!("the length was checked"))
}

#[cfg(test)]
mod tests {
    use ndarray::array;

    use super::*;

    #[test]
    fn the_rows_that_stay_keep_their_cells_and_their_order() {
        let numbers = array![[0.0_f32, 10.0], [1.0, 11.0], [2.0, 12.0], [3.0, 13.0]];
        let (bytes, categories) = (ndarray::Array2::<u8>::zeros((4, 0)), array![[5_u32], [6], [7], [8]]);
        let features = Features { numbers: numbers.view(), bytes: bytes.view(), categories: categories.view() };
        let mut held = EncodedRows::copy(&Rows { features, labels: Labels::Classes(&[0, 1, 2, 3]) });
        let mut twice = held.clone();
        twice.append(&held);
        assert_eq!((twice.rows(), twice.view().features.bytes.shape()), (8, [8, 0].as_slice()));
        let taken = held.take(&[3, 1]);
        assert_eq!(taken.view().features.numbers, array![[3.0_f32, 13.0], [1.0, 11.0]]);
        assert!(taken.rows() == 2 && matches!(taken.view().labels, Labels::Classes([3, 1])));
        // Without rows there are still columns.
        assert_eq!(held.take(&[]).view().features.numbers.shape(), [0, 2]);
        held.remove(&[1]);
        held.remove(&[0, 2]);
        let view = held.view();
        assert_eq!(view.features.numbers, array![[2.0_f32, 12.0]]);
        assert_eq!(view.features.categories, array![[7_u32]]);
        assert_eq!(view.features.bytes.shape(), [1, 0]);
        assert!(matches!(view.labels, Labels::Classes([2])));
    }
}
