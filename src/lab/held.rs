//! Rows held in memory, from which single ones can go.

use ndarray::ArrayView2;

use crate::learn::{Features, Labels, Rows};

/// Owned copies of encoded rows, in order.
#[derive(Clone, Debug)]
pub(super) struct Held {
    rows: usize,
    numbers: Vec<f32>,
    bytes: Vec<u8>,
    categories: Vec<u32>,
    labels: HeldLabels,
}

#[derive(Clone, Debug)]
enum HeldLabels {
    Classes(Vec<u32>),
    Numbers(Vec<f32>),
}

impl Held {
    /// Copies rows.
    pub(super) fn copy(rows: &Rows<'_>) -> Held {
        Held {
            rows: rows.features.rows(),
            numbers: rows.features.numbers.iter().copied().collect(),
            bytes: rows.features.bytes.iter().copied().collect(),
            categories: rows.features.categories.iter().copied().collect(),
            labels: match rows.labels {
                Labels::Classes(classes) => HeldLabels::Classes(classes.to_vec()),
                Labels::Numbers(numbers) => HeldLabels::Numbers(numbers.to_vec()),
            },
        }
    }

    /// How many rows.
    pub(super) fn rows(&self) -> usize {
        self.rows
    }

    /// The rows as learners see them.
    pub(super) fn view(&self) -> Rows<'_> {
        Rows {
            features: Features {
                numbers: matrix(&self.numbers, self.rows),
                bytes: matrix(&self.bytes, self.rows),
                categories: matrix(&self.categories, self.rows),
            },
            labels: match &self.labels {
                HeldLabels::Classes(classes) => Labels::Classes(classes),
                HeldLabels::Numbers(numbers) => Labels::Numbers(numbers),
            },
        }
    }

    /// Takes rows out; `gone` is ascending, and each below [`Held::rows`].
    pub(super) fn remove(&mut self, gone: &[u32]) {
        let rows = self.rows;
        drop_rows(&mut self.numbers, rows, gone);
        drop_rows(&mut self.bytes, rows, gone);
        drop_rows(&mut self.categories, rows, gone);
        match &mut self.labels {
            HeldLabels::Classes(classes) => drop_rows(classes, rows, gone),
            HeldLabels::Numbers(numbers) => drop_rows(numbers, rows, gone),
        }
        self.rows -= gone.len();
    }

    /// Adds the rows of another of the same layout.
    pub(super) fn append(&mut self, other: &Held) {
        self.rows += other.rows;
        self.numbers.extend_from_slice(&other.numbers);
        self.bytes.extend_from_slice(&other.bytes);
        self.categories.extend_from_slice(&other.categories);
        match (&mut self.labels, &other.labels) {
            (HeldLabels::Classes(to), HeldLabels::Classes(from)) => to.extend_from_slice(from),
            (HeldLabels::Numbers(to), HeldLabels::Numbers(from)) => to.extend_from_slice(from),
            // One layout has labels of one kind.
            (HeldLabels::Classes(_), HeldLabels::Numbers(_)) | (HeldLabels::Numbers(_), HeldLabels::Classes(_)) => {}
        }
    }
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

/// Cells as `rows` rows of equal length; no columns where there are no cells.
fn matrix<T>(cells: &[T], rows: usize) -> ArrayView2<'_, T> {
    let columns = cells.len() / rows.max(1);
    // The length of every section is a multiple of the rows.
    ArrayView2::from_shape((rows, columns), cells).unwrap_or_else(|_| ndarray::aview2::<T, 0>(&[]))
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
        let mut held = Held::copy(&Rows { features, labels: Labels::Classes(&[0, 1, 2, 3]) });
        let mut twice = held.clone();
        twice.append(&held);
        assert_eq!((twice.rows(), twice.view().features.bytes.shape()), (8, [8, 0].as_slice()));
        held.remove(&[1]);
        held.remove(&[0, 2]);
        let view = held.view();
        assert_eq!(view.features.numbers, array![[2.0_f32, 12.0]]);
        assert_eq!(view.features.categories, array![[7_u32]]);
        assert_eq!(view.features.bytes.shape(), [1, 0]);
        assert!(matches!(view.labels, Labels::Classes([2])));
    }
}
