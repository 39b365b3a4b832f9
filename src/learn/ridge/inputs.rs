//! The inputs of a row: bytes from 0 to 127, a function of the row and of what is declared, and of nothing that was learnt.
#![expect(clippy::indexing_slicing, reason = "columns are those of a layout that was accepted, and asserted on entry")]

use super::image::{Channel, Image};
use super::settings::{RidgeMap, RidgeSettings};
use crate::learn::{Features, Layout, RidgeFormula};
use crate::num::normal::FEATURE_MAX;

/// What an input is when something is so: a bin is reached, a category taken.
const ON: u8 = 64;
/// The most values of a category column that each have an input of their own.
const VALUES_MAX: u32 = 256;
/// Inputs of a category column with more values: two groups of as many; a value takes one of each.
const GROUP: u32 = 128;

/// How many inputs rows of a layout have.
pub(super) fn width(settings: &RidgeSettings, layout: &Layout) -> usize {
    let bytes = match settings.map {
        RidgeMap::Image { width, height, .. } => Image::width(width, height),
        _ => layout.byte_scales.len(),
    };
    let numbers = layout.numbers.saturating_mul(settings.bins as usize + 1);
    let categories = layout.categories.iter().map(|&size| places(size) as usize).fold(0, usize::saturating_add);
    numbers.saturating_add(bytes).saturating_add(categories)
}

/// Inputs of a category column of so many values.
fn places(size: u32) -> u32 {
    if size > VALUES_MAX { 2 * GROUP } else { size }
}

/// A number from 0 to 1 as a byte: the nearest of 0..=127, halves up.
fn level(share: f64) -> u8 {
    (share * f64::from(FEATURE_MAX) + 0.5) as u8
}

/// Rows as plain slices.
#[derive(Clone, Copy, Debug)]
pub(super) struct Table<'a> {
    rows: usize,
    numbers: &'a [f32],
    bytes: &'a [u8],
    categories: &'a [u32],
}

/// What a layout and the settings make of a row.
#[derive(Clone, Debug)]
pub(super) struct Inputs {
    /// The lower end and the width of each number column's range.
    numbers: Vec<(f64, f64)>,
    bins: usize,
    bytes: usize,
    /// For each byte column, which table; of an image none.
    tables_of: Vec<u32>,
    /// The level of each byte, for each scale that is declared.
    tables: Vec<[u8; 256]>,
    image: Option<Image>,
    /// For each category column how many values it takes.
    categories: Vec<u32>,
    width: usize,
}

impl Inputs {
    /// The inputs of a layout that was accepted.
    pub(super) fn new(settings: &RidgeSettings, layout: &Layout) -> Inputs {
        let ranges = layout.ranges.iter().flatten().map(|range| {
            let [low, high] = range.0.map(f64::from);
            (low, high - low)
        });
        let image = match settings.map {
            RidgeMap::Image { width, height, .. } => Some(Image::new(width, height)),
            _ => None,
        };
        let (mut tables, mut tables_of, mut scales) = (Vec::new(), Vec::new(), Vec::new());
        if image.is_none() {
            for &scale in &layout.byte_scales {
                let found = scales.iter().position(|s: &f32| s.to_bits() == scale.to_bits());
                tables_of.push(found.unwrap_or(scales.len()) as u32);
                if found.is_none() {
                    scales.push(scale);
                    tables.push(std::array::from_fn(|byte| level((byte as f64 * f64::from(scale)).clamp(0.0, 1.0))));
                }
            }
        }
        Inputs {
            numbers: ranges.collect(),
            bins: settings.bins as usize,
            bytes: layout.byte_scales.len(),
            tables_of,
            tables,
            image,
            categories: layout.categories.clone(),
            width: width(settings, layout),
        }
    }

    /// How many.
    pub(super) fn width(&self) -> usize {
        self.width
    }

    /// The rows of `features`, whose views must be in standard layout and as wide as the layout says.
    pub(super) fn table<'a>(&self, features: &Features<'a>) -> Table<'a> {
        let rows = features.rows();
        let shapes = [features.numbers.shape(), features.bytes.shape(), features.categories.shape()];
        assert_eq!(
            shapes,
            [[rows, self.numbers.len()], [rows, self.bytes], [rows, self.categories.len()]],
            "features and layout differ"
        );
        let slices = (features.numbers.to_slice(), features.bytes.to_slice(), features.categories.to_slice());
        let (Some(numbers), Some(bytes), Some(categories)) = slices else {
            unreachable!("features are documented to be in standard layout");
        };
        Table { rows, numbers, bytes, categories }
    }

    /// Writes the inputs of a row, in this order. For each number column: its level, which of the bins' lower ends it reaches (those but
    /// the first), and whether it is missing. Then the byte columns' levels, or the image's channels. Then the categories.
    pub(super) fn write(&self, table: &Table<'_>, row: usize, out: &mut [u8]) {
        assert!(row < table.rows && out.len() == self.width, "row {row} of {}", table.rows);
        out.fill(0);
        let columns = self.numbers.len();
        let (to_numbers, rest) = out.split_at_mut(columns * (self.bins + 1));
        let numbers = &table.numbers[row * columns..][..columns];
        for ((to, &x), &(low, span)) in to_numbers.chunks_exact_mut(self.bins + 1).zip(numbers).zip(&self.numbers) {
            if x.is_nan() {
                to[self.bins] = FEATURE_MAX;
                continue;
            }
            let share = ((f64::from(x) - low) / span).clamp(0.0, 1.0);
            to[0] = level(share);
            let bin = ((share * self.bins as f64) as usize).min(self.bins - 1);
            to[1..=bin].fill(ON);
        }
        let bytes = &table.bytes[row * self.bytes..][..self.bytes];
        let to_categories = match &self.image {
            Some(image) => {
                let (to, rest) = rest.split_at_mut(image.channels());
                image.write(bytes, to);
                rest
            }
            None => {
                let (to, rest) = rest.split_at_mut(self.bytes);
                for ((to, &byte), &table) in to.iter_mut().zip(bytes).zip(&self.tables_of) {
                    *to = self.tables[table as usize][byte as usize];
                }
                rest
            }
        };
        let columns = self.categories.len();
        let values = &table.categories[row * columns..][..columns];
        let mut start = 0;
        for ((column, &value), &size) in values.iter().enumerate().zip(&self.categories) {
            assert!(value < size, "category {value} of a column of {size}");
            let to = &mut to_categories[start..][..places(size) as usize];
            if size <= VALUES_MAX {
                to[value as usize] = ON;
            } else {
                let [first, second] = shared(column, value);
                to[first as usize] = ON;
                to[(GROUP + second) as usize] = ON;
            }
            start += to.len();
        }
    }

    /// What a formula of these inputs says, without weights.
    pub(super) fn formula(&self) -> RidgeFormula {
        let category = |(column, &size): (usize, &u32)| {
            let group = |side: usize| (0..size).map(|value| shared(column, value)[side] as u8).collect();
            (size, (size > VALUES_MAX).then(|| [group(0), group(1)]))
        };
        RidgeFormula {
            numbers: self.numbers.clone(),
            bins: self.bins,
            image: self.image.map(Image::size),
            categories: self.categories.iter().enumerate().map(category).collect(),
            group: GROUP as usize,
            random: None,
            weights: Vec::new(),
            shares: (0.0, 1),
            target: (0.0, 1.0, 1.0),
        }
    }

    /// What is declared of each input, once for all data: it shapes and places the random features, and need not be right.
    pub(super) fn priors(&self) -> Vec<Prior> {
        let mut out = Vec::with_capacity(self.width);
        for _ in &self.numbers {
            out.push(LEVEL);
            out.extend(std::iter::repeat_n(BIN, self.bins - 1));
            out.push(ABSENT);
        }
        match &self.image {
            Some(image) => out.extend((0..image.channels()).map(|channel| match image.channel(channel) {
                Channel::Orientation => ORIENTATION,
                Channel::Mean => MEAN,
            })),
            None => out.extend(std::iter::repeat_n(LEVEL, self.bytes)),
        }
        for &size in &self.categories {
            // One of so many is on.
            let each = if size > VALUES_MAX { GROUP } else { size.max(1) };
            let prior = Prior { centre: (u32::from(ON) / each) as u8, variance: CATEGORY / each, damping: 1 };
            out.extend(std::iter::repeat_n(prior, places(size) as usize));
        }
        out
    }
}

/// What is declared of an input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Prior {
    /// Where its values are thought to lie.
    pub(super) centre: u8,
    /// The square of how far from there they are thought to be.
    pub(super) variance: u32,
    /// Its random weights are so many times smaller than those of others.
    pub(super) damping: u8,
}

impl Prior {
    /// What the input adds to the variance of a projection, beside an input of the same variance that is not damped. Rounds down.
    pub(super) fn share(self) -> u32 {
        self.variance / (u32::from(self.damping) * u32::from(self.damping))
    }
}

/// A level: half of the spread of one that takes every value alike.
const LEVEL: Prior = Prior { centre: 64, variance: 378, damping: 1 };
/// A bin: on or off.
const BIN: Prior = Prior { centre: 32, variance: 384, damping: 1 };
/// Whether a number is missing, which it rarely is.
const ABSENT: Prior = Prior { centre: 0, variance: 0, damping: 1 };
/// An orientation of an image's gradients.
const ORIENTATION: Prior = Prior { centre: 30, variance: 506, damping: 1 };
/// A mean of an image's pixels. Damped: how bright a place is tells classes apart less than the shape there does, and it varies more. Chosen
/// by cross-validation on the training images of Fashion-MNIST (docs/ACCURACY.md).
const MEAN: Prior = Prior { centre: 36, variance: 900, damping: 4 };
/// All inputs of a category together.
const CATEGORY: u32 = 2304;

/// The inputs, one of each group, that a value of a column of many takes.
fn shared(column: usize, value: u32) -> [u32; 2] {
    let hash = mix((column as u64) << 32 | u64::from(value));
    [hash as u32 % GROUP, (hash >> 32) as u32 % GROUP]
}

/// The finaliser of SplitMix64 (Steele, Lea and Flood 2014).
fn mix(x: u64) -> u64 {
    let x = (x ^ x >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let x = (x ^ x >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ x >> 31
}
