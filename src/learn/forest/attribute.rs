//! What a tree may ask about: every column as one byte a row, by what is declared and never by other rows.

use super::hash::{self, Purpose};
use crate::learn::{Ask, Features, Layout, TreeTest, greatest};

/// Bins between the declared ends of a number.
const NUMBER_BINS: u8 = 255;
/// The bin of a number that is missing.
pub(super) const MISSING: u8 = 255;
/// Values of a byte.
pub(super) const BYTE_BINS: usize = 256;
/// A category column of more values is folded by hash.
const CATEGORY_BINS: u32 = 256;
/// Attributes that a folded column becomes. Two values share both bins with probability 2^-16.
const FOLDS: u64 = 2;

/// How a column becomes a byte.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Kind {
    /// A number: 255 equal bins from `low` on, `gain` bins a unit; missing is bin 255.
    Number {
        /// The lower end.
        low: f64,
        /// 255 / (high - low).
        gain: f64,
    },
    /// A byte column as it is.
    Byte,
    /// A category of at most 256 values.
    Category {
        /// How many.
        size: u32,
    },
    /// A category of more values, by one of several hashes.
    Folded {
        /// Which.
        fold: u64,
    },
}

/// One attribute.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Attribute {
    /// How it is binned.
    pub(super) kind: Kind,
    /// Which of the number, byte or category columns.
    column: usize,
}

/// The attributes of a layout: numbers, bytes, categories, each kind in the order of its columns.
pub(super) fn of(layout: &Layout) -> Vec<Attribute> {
    let mut attributes = Vec::new();
    for column in 0..layout.numbers {
        let ends = layout.ranges.get(column).copied().flatten().map_or([0.0, 1.0], |range| range.0);
        let [low, high] = ends.map(f64::from);
        attributes.push(Attribute { kind: Kind::Number { low, gain: f64::from(NUMBER_BINS) / (high - low) }, column });
    }
    attributes.extend((0..layout.byte_scales.len()).map(|column| Attribute { kind: Kind::Byte, column }));
    for (column, &size) in layout.categories.iter().enumerate() {
        if size <= CATEGORY_BINS {
            attributes.push(Attribute { kind: Kind::Category { size }, column });
        } else {
            attributes.extend((0..FOLDS).map(|fold| Attribute { kind: Kind::Folded { fold }, column }));
        }
    }
    attributes
}

impl Attribute {
    /// Whether `bin` can occur.
    pub(super) fn holds(&self, bin: u8) -> bool {
        match self.kind {
            Kind::Category { size } => u32::from(bin) < size,
            Kind::Number { .. } | Kind::Byte | Kind::Folded { .. } => true,
        }
    }

    /// What is asked, in the words of a formula.
    pub(super) fn ask(&self, layout: &Layout) -> Ask {
        match self.kind {
            Kind::Number { .. } => Ask::Number(self.column),
            Kind::Byte => Ask::Byte(self.column),
            Kind::Category { .. } => Ask::Category(self.column),
            Kind::Folded { fold } => {
                let size = layout.categories.get(self.column).copied().unwrap_or(0);
                Ask::Folded(self.column, (0..size).map(|value| folded(fold, value)).collect())
            }
        }
    }

    /// The test that a set of bins is, in the words of a formula: cells for those of a column with an order.
    pub(super) fn test(&self, left: impl Fn(u8) -> bool) -> TreeTest {
        match self.kind {
            Kind::Number { low, gain } => {
                TreeTest::AtMost { most: greatest(|x| left(number(x, low, gain))), missing: left(MISSING) }
            }
            // A cut: those below it go left.
            Kind::Byte => TreeTest::AtMost {
                most: (0..=u8::MAX).take_while(|byte| left(*byte)).last().map_or(f32::NEG_INFINITY, f32::from),
                missing: false,
            },
            Kind::Category { .. } | Kind::Folded { .. } => {
                let bins = (0..=u8::MAX).filter(|bin| self.holds(*bin) && left(*bin));
                TreeTest::In(bins.map(u16::from).collect())
            }
        }
    }

    /// Appends the bin of every row.
    ///
    /// # Panics
    /// A category is not below its column's size: the schema's encoder does not let that happen.
    pub(super) fn bin(&self, features: &Features<'_>, bins: &mut Vec<u8>) {
        let column = self.column;
        match self.kind {
            Kind::Number { low, gain } => {
                let column = features.numbers.column(column);
                bins.extend(column.iter().map(|&x| number(x, low, gain)));
            }
            Kind::Byte => bins.extend(features.bytes.column(column)),
            Kind::Category { size } => bins.extend(features.categories.column(column).iter().map(|&value| {
                assert!(value < size, "category {value} of a column of {size}");
                value as u8
            })),
            Kind::Folded { fold } => {
                let column = features.categories.column(column);
                bins.extend(column.iter().map(|&value| folded(fold, value)));
            }
        }
    }
}

/// Asserts that features have the shape of the layout.
pub(super) fn check(layout: &Layout, features: &Features<'_>) {
    let rows = features.rows();
    let shapes = [features.numbers.shape(), features.bytes.shape(), features.categories.shape()];
    let columns = [layout.numbers, layout.byte_scales.len(), layout.categories.len()];
    assert_eq!(shapes, columns.map(|columns| [rows, columns]), "features and layout differ");
}

/// The bin of a category whose column is folded.
fn folded(fold: u64, value: u32) -> u8 {
    (hash::of(fold, Purpose::Fold, value) >> 56) as u8
}

/// The bin of a number. A conversion to an integer truncates and saturates, so what is beyond the ends is in the outer bins.
fn number(x: f32, low: f64, gain: f64) -> u8 {
    if x.is_nan() { MISSING } else { (((f64::from(x) - low) * gain) as u8).min(NUMBER_BINS - 1) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_beyond_the_ends_are_in_the_outer_bins() {
        let bin = |x| number(x, -10.0, 255.0 / 51.0);
        assert_eq!([bin(f32::NEG_INFINITY), bin(-11.0), bin(-10.0), bin(-9.81), bin(-9.7)], [0, 0, 0, 0, 1]);
        assert_eq!(
            [bin(40.7), bin(40.9), bin(41.0), bin(1e30), bin(f32::INFINITY), bin(f32::NAN)],
            [253, 254, 254, 254, 254, 255]
        );
    }

    #[test]
    fn integers_of_a_narrow_range_have_bins_of_their_own() {
        let bins: std::collections::BTreeSet<u8> = (17..=90).map(|age| number(age as f32, 17.0, 255.0 / 73.0)).collect();
        assert_eq!(bins.len(), 74);
    }
}
