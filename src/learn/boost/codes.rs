//! Every cell as a code of 16 bits, by what is declared and never by other rows. Trees ask codes.
#![expect(clippy::indexing_slicing, reason = "rows and columns are those of views whose shapes are asserted on entry")]

use crate::learn::{Ask, Features, Layout, TreeTest, greatest};

/// Steps of a number between its declared ends.
const STEPS: u16 = 65_535;

/// How a cell becomes a code. That of a missing number is 0; other numbers and bytes start at 1, categories at 0.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Kind {
    /// A number with declared ends: 65,535 equal steps, `gain` of them a unit.
    Range {
        low: f64,
        gain: f64,
    },
    /// A number without: the upper half of its f32 (sign, exponent, 7 bits of mantissa), in the order of numbers.
    Float,
    Byte,
    Category {
        size: u32,
    },
}

/// The columns of a layout: numbers, bytes, categories, each kind in its order.
#[derive(Clone, Debug)]
pub(super) struct Codes {
    numbers: Vec<Kind>,
    bytes: usize,
    categories: Vec<u32>,
}

/// Rows as plain slices.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cells<'a> {
    numbers: &'a [f32],
    bytes: &'a [u8],
    categories: &'a [u32],
}

impl Codes {
    pub(super) fn of(layout: &Layout) -> Codes {
        let numbers = (0..layout.numbers).map(|column| match layout.ranges.get(column).copied().flatten() {
            Some(range) if range.0[0] < range.0[1] => {
                let [low, high] = range.0.map(f64::from);
                Kind::Range { low, gain: f64::from(STEPS) / (high - low) }
            }
            _ => Kind::Float,
        });
        Codes { numbers: numbers.collect(), bytes: layout.byte_scales.len(), categories: layout.categories.clone() }
    }

    /// How many columns.
    pub(super) fn columns(&self) -> usize {
        self.numbers.len() + self.bytes + self.categories.len()
    }

    fn kind(&self, column: usize) -> Kind {
        match column.checked_sub(self.numbers.len()) {
            None => self.numbers[column],
            Some(column) if column < self.bytes => Kind::Byte,
            Some(column) => Kind::Category { size: self.categories[column - self.bytes] },
        }
    }

    /// Whether a column's codes are categories, without an order.
    pub(super) fn is_category(&self, column: usize) -> bool {
        matches!(self.kind(column), Kind::Category { .. })
    }

    /// One more than the greatest code of a column.
    pub(super) fn end(&self, column: usize) -> usize {
        match self.kind(column) {
            Kind::Range { .. } | Kind::Float => 1 << 16,
            Kind::Byte => 257,
            Kind::Category { size } => (size as usize).min(1 << 16),
        }
    }

    /// What is asked of each column, in the words of a formula.
    pub(super) fn asks(&self) -> Vec<Ask> {
        let numbers = (0..self.numbers.len()).map(Ask::Number);
        numbers.chain((0..self.bytes).map(Ask::Byte)).chain((0..self.categories.len()).map(Ask::Category)).collect()
    }

    /// The test that a window of codes is, which begins with what is missing or with the first code after it.
    pub(super) fn at_most(&self, column: usize, first: u16, last: u16) -> TreeTest {
        let most = match self.kind(column) {
            Kind::Range { low, gain } => greatest(|x| in_range(x, low, gain) <= last),
            Kind::Float => greatest(|x| float(x) <= last),
            Kind::Byte | Kind::Category { .. } => last.checked_sub(1).map_or(f32::NEG_INFINITY, f32::from),
        };
        TreeTest::AtMost { most, missing: first == 0 }
    }

    /// The rows of features.
    ///
    /// # Panics
    /// Their shapes are not those of the layout.
    pub(super) fn cells<'a>(&self, features: &Features<'a>) -> Cells<'a> {
        let rows = features.rows();
        let shapes = [features.numbers.shape(), features.bytes.shape(), features.categories.shape()];
        let columns = [self.numbers.len(), self.bytes, self.categories.len()];
        assert_eq!(shapes, columns.map(|columns| [rows, columns]), "features and layout differ");
        let slices = (features.numbers.to_slice(), features.bytes.to_slice(), features.categories.to_slice());
        let (Some(numbers), Some(bytes), Some(categories)) = slices else {
            unreachable!("features are documented to be in standard layout");
        };
        Cells { numbers, bytes, categories }
    }

    /// The codes of a row, one a column.
    pub(super) fn fill(&self, cells: &Cells<'_>, row: usize, codes: &mut [u16]) {
        let (numbers, rest) = codes.split_at_mut(self.numbers.len());
        let (bytes, categories) = rest.split_at_mut(self.bytes);
        let from = &cells.numbers[row * numbers.len()..][..numbers.len()];
        for ((code, &x), kind) in numbers.iter_mut().zip(from).zip(&self.numbers) {
            *code = match *kind {
                Kind::Range { low, gain } => in_range(x, low, gain),
                _ => float(x),
            };
        }
        let from = &cells.bytes[row * bytes.len()..][..bytes.len()];
        bytes.iter_mut().zip(from).for_each(|(code, &byte)| *code = u16::from(byte) + 1);
        let from = &cells.categories[row * categories.len()..][..categories.len()];
        for ((code, &value), &size) in categories.iter_mut().zip(from).zip(&self.categories) {
            assert!(value < size, "category {value} of a column of {size}");
            *code = value as u16;
        }
    }

    /// The code of one cell.
    pub(super) fn code(&self, cells: &Cells<'_>, row: usize, column: usize) -> u16 {
        let place = |column: usize, columns: usize| row * columns + column;
        let numbers = self.numbers.len();
        match self.kind(column) {
            Kind::Range { low, gain } => in_range(cells.numbers[place(column, numbers)], low, gain),
            Kind::Float => float(cells.numbers[place(column, numbers)]),
            Kind::Byte => u16::from(cells.bytes[place(column - numbers, self.bytes)]) + 1,
            Kind::Category { size } => {
                let value = cells.categories[place(column - numbers - self.bytes, self.categories.len())];
                assert!(value < size, "category {value} of a column of {size}");
                value as u16
            }
        }
    }
}

/// A conversion to an integer truncates and saturates, so what is beyond the ends is in the outer steps.
fn in_range(x: f32, low: f64, gain: f64) -> u16 {
    if x.is_nan() { 0 } else { (((f64::from(x) - low) * gain) as u16).min(STEPS - 1) + 1 }
}

fn float(x: f32) -> u16 {
    if x.is_nan() {
        return 0;
    }
    let bits = (x + 0.0).to_bits();
    let ordered = if bits >> 31 == 1 { !bits } else { bits | 1 << 31 };
    (ordered >> 16) as u16 + 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_beyond_the_ends_are_in_the_outer_steps_and_missing_is_apart() {
        let code = |x| in_range(x, -10.0, 65_535.0 / 20.0);
        assert_eq!([code(f32::NEG_INFINITY), code(-10.0), code(-9.999), code(f32::NAN)], [1, 1, 4, 0]);
        assert_eq!([code(9.9999), code(10.0), code(f32::INFINITY)], [65_535; 3]);
    }

    #[test]
    fn floats_without_a_range_keep_their_order() {
        let xs = [f32::NEG_INFINITY, -1e30, -2.0, -1.0, -1e-30, 0.0, 1e-30, 1.0, 1.01, 300.0, f32::INFINITY];
        let codes = xs.map(float);
        assert!(codes.is_sorted_by(|a, b| a < b) && codes[0] > 0, "{codes:?}");
        assert_eq!((float(-0.0), float(f32::NAN)), (float(0.0), 0));
    }
}
