//! What is counted of the labels of some rows, and how good a split these counts make.
//!
//! A split's merit is the between-group sum of squares up to a constant of the node, as a fraction of integers that is never rounded: for
//! classes the weighted Gini index (Breiman et al. 1984), for numbers the reduction of variance.
#![expect(clippy::indexing_slicing, reason = "lanes have the outcome's number, a label below it")]

use std::fmt::Debug;
use std::ops::{AddAssign, SubAssign};

/// The most rows of one state. With it no merit overflows: for classes the numerator is at most 2 * 2^72, for numbers
/// 2 * (2^24 * 2^24)^2 * 2^24 = 2^121; the denominator is below 2^48.
pub(super) const ROWS_MAX: u64 = 1 << 24;
/// Targets are integers from 0 to this: the declared range in fixed point.
pub(super) const TARGET_MAX: u32 = 1 << 24;

/// A count or a sum.
pub(super) trait Lane:
    Copy + Default + Eq + Debug + AddAssign + SubAssign + Into<u64> + From<u32> + TryFrom<u64> + Send + Sync + 'static
{
}
impl Lane for u32 {}
impl Lane for u64 {}

/// A fraction that says how good a split is; the larger, the better.
#[derive(Clone, Copy, Debug)]
pub(super) struct Merit {
    pub(super) numerator: u128,
    /// Not 0.
    pub(super) denominator: u64,
}

impl Merit {
    /// Whether it is strictly better: exact, by cross-multiplication in 192 bits.
    pub(super) fn beats(self, other: Merit) -> bool {
        if (self.numerator | other.numerator) >> 64 == 0 {
            let products =
                [(self, other), (other, self)].map(|(a, b)| u128::from(a.numerator as u64) * u128::from(b.denominator));
            return products[0] > products[1];
        }
        wide(self.numerator, other.denominator) > wide(other.numerator, self.denominator)
    }
}

/// `a * b` as (what is above 64 bits, the lowest 64 bits).
fn wide(a: u128, b: u64) -> (u128, u64) {
    let low = u128::from(a as u64) * u128::from(b);
    ((a >> 64) * u128::from(b) + (low >> 64), low as u64)
}

/// What is learnt, as lanes of integers that add up over rows.
pub(super) trait Outcome: Copy + Debug + Send + Sync + 'static {
    /// What a lane holds.
    type Lane: Lane;
    /// Lanes of a set of rows.
    fn lanes(self) -> usize;
    /// Whether a label can occur.
    fn holds(self, label: u32) -> bool;
    /// Takes a row in, where the lanes begin at `first`.
    fn add(self, lanes: &mut [Self::Lane], first: usize, label: u32);
    /// Takes a row out that was taken in.
    fn sub(self, lanes: &mut [Self::Lane], first: usize, label: u32);
    /// How many rows.
    fn rows(self, lanes: &[Self::Lane]) -> u64;
    /// The merit of not splitting.
    fn whole(self, all: &[Self::Lane]) -> Merit;
    /// The merit of parting `left` from the rest of `all`; none if a side is empty.
    fn parted(self, left: &[Self::Lane], all: &[Self::Lane]) -> Option<Merit>;
    /// Writes the prediction of a leaf: as many numbers as [`Outcome::outputs`].
    fn predict(self, lanes: &[Self::Lane], out: &mut [f32]);
    /// Numbers of a prediction.
    fn outputs(self) -> usize;
}

/// Classes: a lane counts each. `FIXED` is their number where the compiler should know it, or 0.
#[derive(Clone, Copy, Debug)]
pub(super) struct Classes<const FIXED: usize> {
    pub(super) count: usize,
}

impl<const FIXED: usize> Outcome for Classes<FIXED> {
    type Lane = u32;

    #[inline]
    fn lanes(self) -> usize {
        if FIXED > 0 { FIXED } else { self.count }
    }

    fn holds(self, label: u32) -> bool {
        (label as usize) < self.lanes()
    }

    #[inline]
    fn add(self, lanes: &mut [u32], first: usize, label: u32) {
        lanes[first + label as usize] += 1;
    }

    #[inline]
    fn sub(self, lanes: &mut [u32], first: usize, label: u32) {
        lanes[first + label as usize] -= 1;
    }

    #[inline]
    fn rows(self, lanes: &[u32]) -> u64 {
        lanes[..self.lanes()].iter().map(|&n| u64::from(n)).sum()
    }

    fn whole(self, all: &[u32]) -> Merit {
        let squares: u64 = all[..self.lanes()].iter().map(|&n| u64::from(n) * u64::from(n)).sum();
        Merit { numerator: u128::from(squares), denominator: self.rows(all).max(1) }
    }

    #[inline]
    fn parted(self, left: &[u32], all: &[u32]) -> Option<Merit> {
        let (left, all) = (&left[..self.lanes()], &all[..self.lanes()]);
        let (mut l, mut r, mut left_squares, mut right_squares) = (0u64, 0u64, 0u64, 0u64);
        for (&of_left, &of_all) in left.iter().zip(all) {
            let (a, b) = (u64::from(of_left), u64::from(of_all - of_left));
            l += a;
            r += b;
            left_squares += a * a;
            right_squares += b * b;
        }
        let numerator = u128::from(left_squares) * u128::from(r) + u128::from(right_squares) * u128::from(l);
        (l != 0 && r != 0).then_some(Merit { numerator, denominator: l * r })
    }

    fn predict(self, lanes: &[u32], out: &mut [f32]) {
        let rows = self.rows(lanes);
        for (out, &n) in out.iter_mut().zip(lanes) {
            // Without rows nothing is known: every class alike.
            *out = if rows == 0 { 1.0 / self.lanes() as f32 } else { n as f32 / rows as f32 };
        }
    }

    fn outputs(self) -> usize {
        self.lanes()
    }
}

/// A number in fixed point over its declared range. Lanes: rows, and the sum of their targets.
#[derive(Clone, Copy, Debug)]
pub(super) struct Number {
    pub(super) low: f64,
    pub(super) high: f64,
}

impl Number {
    /// The target of a label; what is beyond the ends counts as the end.
    pub(super) fn target(self, label: f32) -> u32 {
        let share = (f64::from(label) - self.low) / (self.high - self.low);
        // Truncates and saturates.
        ((share * f64::from(TARGET_MAX) + 0.5) as u32).min(TARGET_MAX)
    }
}

impl Outcome for Number {
    type Lane = u64;

    fn lanes(self) -> usize {
        2
    }

    fn holds(self, label: u32) -> bool {
        label <= TARGET_MAX
    }

    #[inline]
    fn add(self, lanes: &mut [u64], first: usize, label: u32) {
        lanes[first] += 1;
        lanes[first + 1] += u64::from(label);
    }

    #[inline]
    fn sub(self, lanes: &mut [u64], first: usize, label: u32) {
        lanes[first] -= 1;
        lanes[first + 1] -= u64::from(label);
    }

    #[inline]
    fn rows(self, lanes: &[u64]) -> u64 {
        lanes[0]
    }

    fn whole(self, all: &[u64]) -> Merit {
        Merit { numerator: u128::from(all[1]) * u128::from(all[1]), denominator: all[0].max(1) }
    }

    #[inline]
    fn parted(self, left: &[u64], all: &[u64]) -> Option<Merit> {
        let (l, r) = (left[0], all[0] - left[0]);
        let (left, right) = (u128::from(left[1]), u128::from(all[1] - left[1]));
        let numerator = left * left * u128::from(r) + right * right * u128::from(l);
        (l != 0 && r != 0).then_some(Merit { numerator, denominator: l * r })
    }

    fn predict(self, lanes: &[u64], out: &mut [f32]) {
        let mean = if lanes[0] == 0 { 0.0 } else { lanes[1] as f64 / lanes[0] as f64 / f64::from(TARGET_MAX) };
        out[0] = (self.low + mean * (self.high - self.low)) as f32;
    }

    fn outputs(self) -> usize {
        1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whether a / b > c / d, by Euclid's algorithm: no product at all.
    fn above(a: u128, b: u128, c: u128, d: u128) -> bool {
        let (whole, other) = (a / b, c / d);
        if whole != other {
            return whole > other;
        }
        match (a % b, c % d) {
            (_, 0) => !a.is_multiple_of(b),
            (0, _) => false,
            (rest, other_rest) => above(d, other_rest, b, rest),
        }
    }

    #[test]
    fn merits_compare_exactly_up_to_the_bounds() {
        let mut draw = 1u64;
        let mut bits = |most: u32| {
            draw = draw.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let width = (draw >> 33) as u32 % most + 1;
            draw = draw.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (u128::from(draw) * 0x1_0000_0001_0000_0001_u128) >> (128 - width)
        };
        for _ in 0..100_000 {
            let (a, b) = (bits(121), bits(46).max(1));
            // Near to the first one, so that the last bits decide.
            let (c, d) = (a.saturating_add_signed(bits(3) as i128 - 3), b + bits(2) - 1);
            let merit = |numerator, denominator| Merit { numerator, denominator: denominator as u64 };
            let (one, other) = (merit(a, b), merit(c, d.max(1)));
            assert_eq!(one.beats(other), above(a, b, c, d.max(1)), "{a} / {b}, {c} / {d}");
            assert!(!one.beats(one));
        }
        let most = Merit { numerator: 1 << 121, denominator: 1 };
        let least = Merit { numerator: (1 << 121) - 1, denominator: 1 << 46 };
        assert!(most.beats(least) && !least.beats(most));
    }

    #[test]
    fn the_most_rows_do_not_overflow() {
        let rows = ROWS_MAX / 2;
        let number = Number { low: 0.0, high: 1.0 };
        let half = [rows, rows * u64::from(TARGET_MAX)];
        let merit = number.parted(&half, &[2 * rows, 2 * half[1]]).unwrap();
        assert_eq!((merit.numerator, merit.denominator), (2 * (1 << 94) * (1 << 23), 1 << 46));
        assert!(!merit.beats(number.whole(&[2 * rows, 2 * half[1]])), "sides that are alike have no merit");
        let classes = Classes::<0> { count: 3 };
        let merit = classes.parted(&[rows as u32, 0, 0], &[rows as u32, 0, rows as u32]).unwrap();
        assert_eq!((merit.numerator, merit.denominator), (2 * (1 << 69), 1 << 46));
        assert!(merit.beats(classes.whole(&[rows as u32, 0, rows as u32])));
    }

    #[test]
    fn targets_are_shares_of_the_declared_range() {
        let number = Number { low: -1.0, high: 3.0 };
        let target = |label| number.target(label);
        assert_eq!([target(-5.0), target(-1.0), target(1.0), target(3.0), target(9.0)], [0, 0, 1 << 23, 1 << 24, 1 << 24]);
    }

    #[test]
    fn no_rows_predict_every_class_alike_or_the_lower_end() {
        let (mut classes, mut number) = ([0.0; 4], [0.0]);
        Classes::<0> { count: 4 }.predict(&[0; 4], &mut classes);
        Number { low: 2.5, high: 3.0 }.predict(&[0, 0], &mut number);
        assert_eq!((classes, number), ([0.25; 4], [2.5]));
    }
}
