//! Rows as the first layer sees them: gathered into one dense matrix, and indices into the table of category weights.
#![expect(clippy::indexing_slicing, reason = "every index is a row, or a column of a layout, that is asserted on entry")]

use super::scaler::Scaler;
use super::{Features, Labels, Layout, Task};
use crate::num::{Floats, Team, gather};

/// How many rows ahead the memory is asked.
const AHEAD: usize = 2;
/// How much of a row the memory is asked for at a time, when it is asked long ahead.
const RUN_BYTES: usize = 512;
/// Fewer cells than this are gathered sooner by one task than by two.
const PIECE_CELLS: usize = 1 << 15;

/// Which columns a row has and where each goes. Dense inputs are number columns, then byte columns, then indicators.
#[derive(Clone, Debug)]
pub(super) struct Columns {
    numbers: usize,
    byte_scales: Vec<f32>,
    /// Number columns with a missing indicator.
    indicators: Vec<usize>,
    /// For each category column the first row of its values in the table, and how many they are.
    categories: Vec<(u32, u32)>,
    task: Task,
}

impl Columns {
    /// The columns of a layout.
    pub(super) fn of(layout: &Layout) -> Columns {
        let starts = layout.categories.iter().scan(0u32, |start, &size| {
            let column = (*start, size);
            *start = start.saturating_add(size);
            Some(column)
        });
        Columns {
            numbers: layout.numbers,
            byte_scales: layout.byte_scales.clone(),
            indicators: layout.indicators.iter().map(|&c| c as usize).collect(),
            categories: starts.collect(),
            task: layout.task,
        }
    }

    /// Dense inputs of a row.
    pub(super) fn dense(&self) -> usize {
        self.numbers + self.byte_scales.len() + self.indicators.len()
    }

    /// What is learnt.
    pub(super) fn task(&self) -> Task {
        self.task
    }
}

/// Rows as plain slices, so that taking one costs no more than an addition.
#[derive(Clone, Copy, Debug)]
pub(super) struct Block<'a> {
    rows: usize,
    numbers: &'a [f32],
    bytes: &'a [u8],
    categories: &'a [u32],
}

impl<'a> Block<'a> {
    /// The rows of `features`, whose views must be in standard layout and as wide as `columns` says.
    pub(super) fn of(features: &Features<'a>, columns: &Columns) -> Block<'a> {
        let rows = features.rows();
        let shapes = [features.numbers.shape(), features.bytes.shape(), features.categories.shape()];
        assert_eq!(
            shapes,
            [[rows, columns.numbers], [rows, columns.byte_scales.len()], [rows, columns.categories.len()]],
            "features and layout differ"
        );
        let slices = (features.numbers.to_slice(), features.bytes.to_slice(), features.categories.to_slice());
        let (Some(numbers), Some(bytes), Some(categories)) = slices else {
            unreachable!("features are documented to be in standard layout");
        };
        Block { rows, numbers, bytes, categories }
    }

    /// How many rows.
    pub(super) fn rows(&self) -> usize {
        self.rows
    }

    /// Adds the cells of a row, in runs of a few cache lines.
    pub(super) fn cells(&self, row: usize, columns: &Columns, to: &mut Vec<&'a [u8]>) {
        assert!(row < self.rows, "a visit names a row that is not there");
        to.extend(bytemuck::cast_slice(&self.numbers[row * columns.numbers..][..columns.numbers]).chunks(RUN_BYTES));
        let bytes = columns.byte_scales.len();
        to.extend(self.bytes[row * bytes..][..bytes].chunks(RUN_BYTES));
    }

    /// Asks the memory for a row that is gathered soon: rows are visited in no order that the processor could guess.
    fn prefetch(&self, row: usize, columns: &Columns) {
        assert!(row < self.rows, "a visit names a row that is not there");
        gather::prefetch(&self.numbers[row * columns.numbers..][..columns.numbers]);
        let bytes = columns.byte_scales.len();
        gather::prefetch(&self.bytes[row * bytes..][..bytes]);
    }
}

/// One row, scaled.
fn gather_row(columns: &Columns, scaler: &Scaler, block: &Block<'_>, row: usize, dense: &mut [f32], index: &mut [u32]) {
    assert!(row < block.rows, "a visit names a row that is not there");
    let (bytes, categories) = (columns.byte_scales.len(), columns.categories.len());
    let numbers = &block.numbers[row * columns.numbers..][..columns.numbers];
    let (to_numbers, rest) = dense.split_at_mut(columns.numbers);
    let (to_bytes, to_indicators) = rest.split_at_mut(bytes);
    if !numbers.is_empty() {
        gather::scale_f32(numbers, scaler.shifts(), scaler.gains(), to_numbers);
        if let Some(bound) = scaler.bound() {
            to_numbers.iter_mut().for_each(|number| *number = number.clamp(-bound, bound));
        }
    }
    if bytes > 0 {
        let from = &block.bytes[row * bytes..][..bytes];
        gather::scale_u8(from, &columns.byte_scales, to_bytes);
    }
    for (to, &column) in to_indicators.iter_mut().zip(&columns.indicators) {
        *to = if numbers[column].is_nan() { 1.0 } else { 0.0 };
    }
    let values = &block.categories[row * categories..][..categories];
    for ((to, &value), &(start, size)) in index.iter_mut().zip(values).zip(&columns.categories) {
        assert!(value < size, "category {value} of a column of {size}");
        *to = start + value;
    }
}

/// The inputs and labels of the rows at hand. The buffers stay from batch to batch.
#[derive(Debug, Default)]
pub(super) struct Batch {
    rows: usize,
    /// `rows x dense inputs`.
    dense: Floats,
    /// `rows x category columns`: rows of the table of category weights.
    index: Vec<u32>,
    /// Class of each row, for classes.
    classes: Vec<u32>,
    /// Scaled target of each row, for a number.
    targets: Vec<f32>,
}

impl Batch {
    /// How many rows.
    pub(super) fn rows(&self) -> usize {
        self.rows
    }

    /// `rows x dense inputs`.
    pub(super) fn dense(&self) -> &[f32] {
        &self.dense
    }

    /// `rows x category columns`: rows of the table of category weights.
    pub(super) fn index(&self) -> &[u32] {
        &self.index
    }

    /// The class of each row; empty when a number is learnt.
    pub(super) fn classes(&self) -> &[u32] {
        &self.classes
    }

    /// The scaled target of each row; empty when a class is learnt.
    pub(super) fn targets(&self) -> &[f32] {
        &self.targets
    }

    /// Takes in the rows at `places`: a block, and a row of it.
    pub(super) fn gather(
        &mut self,
        columns: &Columns,
        scaler: &Scaler,
        blocks: &[Block<'_>],
        places: impl ExactSizeIterator<Item = (usize, usize)> + Clone + Sync,
        team: Team,
    ) {
        let (width, categories) = (columns.dense(), columns.categories.len());
        self.rows = places.len();
        self.dense.resize(self.rows * width);
        self.index.resize(self.rows * categories, 0);
        let piece = team.piece(self.rows, 1, PIECE_CELLS.div_ceil(width + categories + 1));
        // A side without columns has no cells to cut into pieces.
        let mut dense = self.dense.chunks_mut((piece * width).max(1));
        let mut index = self.index.chunks_mut((piece * categories).max(1));
        let pieces = (0..self.rows)
            .step_by(piece)
            .map(|first| (first, dense.next().unwrap_or_default(), index.next().unwrap_or_default()));
        team.run(pieces, |(first, dense, index)| {
            let mut ahead = places.clone().skip(first + AHEAD);
            for (i, (block, row)) in places.clone().skip(first).take(piece).enumerate() {
                if let Some((block, row)) = ahead.next() {
                    blocks[block].prefetch(row, columns);
                }
                let to_dense = &mut dense[i * width..][..width];
                let to_index = &mut index[i * categories..][..categories];
                gather_row(columns, scaler, &blocks[block], row, to_dense, to_index);
            }
        });
    }

    /// Takes in the labels of the same rows, from the labels of each block.
    pub(super) fn label(
        &mut self,
        columns: &Columns,
        scaler: &Scaler,
        labels: &[Labels<'_>],
        places: impl Iterator<Item = (usize, usize)>,
    ) {
        self.classes.clear();
        self.targets.clear();
        let target = scaler.target();
        for (block, row) in places {
            match (columns.task, labels[block]) {
                (Task::Classes(n), Labels::Classes(classes)) => {
                    let class = classes[row];
                    assert!(class < n, "class {class} of {n}");
                    self.classes.push(class);
                }
                (Task::Number, Labels::Numbers(numbers)) => {
                    self.targets.push(target.apply(numbers[row]));
                }
                (task, _) => unreachable!("labels of another kind than {task:?}"),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use ndarray::array;

    use super::*;

    #[test]
    fn rows_are_numbers_then_bytes_then_indicators_then_categories() {
        let layout = Layout {
            numbers: 2,
            ranges: vec![None; 2],
            label_range: None,
            indicators: vec![1],
            byte_scales: vec![0.5, 2.0],
            categories: vec![3, 2],
            task: Task::Number,
        };
        let columns = Columns::of(&layout);
        assert_eq!(columns.dense(), 5);
        let mut scaler = Scaler::new(&layout);
        let numbers = array![[1.0, f32::NAN], [5.0, 7.0]];
        let (bytes, categories) = (array![[4u8, 1], [0, 255]], array![[2u32, 0], [1, 1]]);
        let features = Features { numbers: numbers.view(), bytes: bytes.view(), categories: categories.view() };
        let labels = Labels::Numbers(&[10.0, 30.0]);
        scaler.take_in(&super::super::Rows { features, labels }, Team::solo());
        let blocks = [Block::of(&features, &columns)];
        let mut batch = Batch::default();
        let places = [(0, 1), (0, 0), (0, 1)];
        batch.gather(&columns, &scaler, &blocks, places.into_iter(), Team::of(2));
        batch.label(&columns, &scaler, &[labels], places.into_iter());
        assert_eq!(batch.rows(), 3);
        let last = [1.0, 0.0, 0.0, 510.0, 0.0];
        let first = [-1.0, 0.0, 2.0, 2.0, 1.0];
        assert_eq!(batch.dense(), [last, first, last].concat());
        assert_eq!(batch.index(), [1, 4, 2, 3, 1, 4]);
        assert_eq!(batch.targets(), [1.0, -1.0, 1.0]);
        assert!(batch.classes().is_empty());
        // Numbers alone are cut, and not what is learnt.
        let scaler = scaler.bounded(Some(0.5));
        batch.gather(&columns, &scaler, &blocks, places.into_iter(), Team::solo());
        batch.label(&columns, &scaler, &[labels], places.into_iter());
        assert_eq!(
            batch.dense(),
            [[0.5, 0.0, 0.0, 510.0, 0.0], [-0.5, 0.0, 2.0, 2.0, 1.0], [0.5, 0.0, 0.0, 510.0, 0.0]].concat()
        );
        assert_eq!(batch.targets(), [1.0, -1.0, 1.0]);
    }
}
