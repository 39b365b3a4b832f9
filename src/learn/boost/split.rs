//! The best split of a node, from its histogram: ties go to the lower column, then to the earlier candidate.
#![expect(clippy::indexing_slicing, reason = "bins are below 256, and in use")]

use super::bins::Binned;
use super::histogram::{self, Histogram};
use crate::num::Isa;
use crate::num::cut::{self, Pair, Rule};

/// Up to so many categories of a column are compared without the three cautions below.
const FEW: usize = 4;
/// Categories of fewer rows (estimated) in a node stay right.
const CATEGORY_ROWS: u64 = 10;
/// Added to second derivatives, in rows of weight 1, where categories are ordered and where their sets are valued.
const CATEGORY_WEIGHT: f64 = 10.0;
/// Rows (estimated) by which a set of categories grows between two candidates, and which stay right of it.
const GROUP_ROWS: u64 = 100;
/// Categories in a set at most.
const SET_MAX: usize = 32;

/// What goes left, in bins.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Sides {
    /// From the first to the last.
    Window { first: u8, last: u8 },
    /// Those of a set.
    In([u64; 4]),
}

impl Sides {
    #[inline]
    pub(super) fn left(&self, bin: u8) -> bool {
        match self {
            Sides::Window { first, last } => bin.wrapping_sub(*first) <= last - first,
            Sides::In(set) => set[usize::from(bin >> 6)] >> (bin & 63) & 1 == 1,
        }
    }
}

/// A split that is worth it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Split {
    /// How much better both sides fit than the node.
    pub(super) gain: f64,
    pub(super) column: usize,
    pub(super) sides: Sides,
}

/// What a node's sums are measured by.
#[derive(Clone, Copy, Debug)]
pub(super) struct Measure {
    pub(super) isa: Isa,
    /// What a sum of second derivatives of 1 is.
    pub(super) unit: f64,
    /// The penalty on squared values, in that unit.
    pub(super) lambda: f64,
    /// The least sum of second derivatives of a side, in that unit.
    pub(super) least: i32,
    /// The least rows of a side.
    pub(super) rows: u64,
}

/// A node: its rows and their sum.
#[derive(Clone, Copy, Debug)]
pub(super) struct Whole {
    pub(super) rows: usize,
    pub(super) sum: Pair,
}

impl Whole {
    /// The least h whose share of the node's is that of so many of its rows.
    fn weight_of(self, rows: u64) -> u64 {
        (rows * u64::from(self.sum.h().unsigned_abs())).div_ceil((self.rows as u64).max(1))
    }
}

/// The best split of all columns, if one gains anything.
pub(super) fn best(
    measure: &Measure,
    whole: Whole,
    histogram: &Histogram,
    binned: &Binned,
    categories: &[bool],
) -> Option<Split> {
    let alone = whole.sum.fit(measure.lambda);
    let least = u64::from(measure.least.unsigned_abs()).max(whole.weight_of(measure.rows));
    let rule = Rule { whole: whole.sum, least: i32::try_from(least).unwrap_or(i32::MAX), lambda: measure.lambda };
    let mut best: Option<(f64, usize, Sides)> = None;
    let mut bins = [Pair::default(); 256];
    for (column, (digit, &category)) in binned.digits.iter().zip(categories).enumerate() {
        let Some(digit) = digit else { continue };
        let sums = histogram::column(histogram, digit, binned.sizes[digit.byte], &mut bins);
        let sums = &sums[..binned.palettes[column].used];
        let found = match category {
            true => of_categories(measure, whole, rule, sums),
            false => of_order(measure.isa, rule, sums),
        };
        if let Some((fit, sides)) = found
            && best.is_none_or(|best| fit > best.0)
        {
            best = Some((fit, column, sides));
        }
    }
    let (fit, column, sides) = best?;
    (fit > alone).then_some(Split { gain: fit - alone, column, sides })
}

/// Cuts between bins, what is missing right; then the same with what is missing left.
fn of_order(isa: Isa, rule: Rule, sums: &[Pair]) -> Option<(f64, Sides)> {
    let (&missing, sums) = sums.split_first()?;
    let window = |(fit, index): (f64, usize), first| (fit, Sides::Window { first, last: index as u8 + 1 });
    let right = cut::best(isa, rule, Pair::default(), sums).map(|found| window(found, 1));
    if missing == Pair::default() {
        return right;
    }
    let left = cut::best(isa, rule, missing, sums).map(|found| window(found, 0));
    match (right, left) {
        (Some(right), Some(left)) => Some(if left.0 > right.0 { left } else { right }),
        (right, left) => right.or(left),
    }
}

/// Sets of categories, by their slope (Fisher 1958: the best set is a prefix of that order), from its low and from its high end.
fn of_categories(measure: &Measure, whole: Whole, rule: Rule, sums: &[Pair]) -> Option<(f64, Sides)> {
    let few = sums.len() <= FEW + 1;
    let weight = CATEGORY_WEIGHT * measure.unit;
    let lambda = if few { rule.lambda } else { rule.lambda + weight };
    let h = |sum: Pair| u64::from(sum.h().unsigned_abs());
    let least = u64::from(rule.least.unsigned_abs());
    let group = if few { 1 } else { whole.weight_of(GROUP_ROWS) };
    let floor = if few { 1 } else { whole.weight_of(CATEGORY_ROWS).max(1) };
    let mut order: Vec<(f64, usize)> = (1..sums.len())
        .filter(|&bin| h(sums[bin]) >= floor)
        .map(|bin| (f64::from(sums[bin].g()) / (f64::from(sums[bin].h()) + weight), bin))
        .collect();
    order.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
    let mut best: Option<(f64, Sides)> = None;
    for backward in [false, true] {
        let (mut left, mut grown, mut set) = (Pair::default(), 0, [0; 4]);
        for i in 0..order.len().min(SET_MAX) {
            let bin = order[if backward { order.len() - 1 - i } else { i }].1;
            left = left.plus(sums[bin]);
            grown += h(sums[bin]);
            set[bin >> 6] |= 1 << (bin & 63);
            let right = rule.whole.minus(left);
            if h(left) < least || grown < group {
                continue;
            }
            if h(right) < least.max(group) {
                break;
            }
            grown = 0;
            let fit = left.fit(lambda) + right.fit(lambda);
            if best.is_none_or(|best| fit > best.0) {
                best = Some((fit, Sides::In(set)));
            }
        }
    }
    best
}
