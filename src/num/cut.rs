//! Where to cut a row of sums in two, so that both sides fit best: `gl^2 / (hl + lambda) + gr^2 / (hr + lambda)` is greatest.
//!
//! Sums are pairs of integers in one word ([`Pair`]), so adding them has no order. Each candidate's value is the formula above in f64, every
//! operation rounded by itself: the vector's width changes no bit, and the greatest is the first of its value.

use super::isa::Isa;
use super::simd::{Kernel, Lanes, on};

/// A sum of first and one of second derivatives in one word: `g << 32` plus `h`, with `|g| < 2^31` and `0 <= h < 2^31`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[repr(transparent)]
pub struct Pair(pub i64);

impl Pair {
    /// A pair of its parts.
    #[inline(always)]
    pub fn of(g: i32, h: u32) -> Pair {
        Pair((i64::from(g) << 32) + i64::from(h))
    }

    /// The sum of first derivatives.
    #[inline(always)]
    pub fn g(self) -> i32 {
        (self.0 >> 32) as i32
    }

    /// The sum of second derivatives.
    #[inline(always)]
    pub fn h(self) -> i32 {
        self.0 as i32
    }

    /// Both sums.
    #[inline(always)]
    pub fn plus(self, other: Pair) -> Pair {
        Pair(self.0.wrapping_add(other.0))
    }

    /// Both differences.
    #[inline(always)]
    pub fn minus(self, other: Pair) -> Pair {
        Pair(self.0.wrapping_sub(other.0))
    }

    /// `g^2 / (h + lambda)`.
    #[inline(always)]
    pub fn fit(self, lambda: f64) -> f64 {
        let g = f64::from(self.g());
        g * g / (f64::from(self.h()) + lambda)
    }
}

/// The most sums in a row.
pub const CUTS_MAX: usize = 256;

/// What is asked of a cut.
#[derive(Debug, Clone, Copy)]
pub struct Rule {
    /// The sum of both sides.
    pub whole: Pair,
    /// The least h of a side, at least 1.
    pub least: i32,
    /// Added to every h.
    pub lambda: f64,
}

/// The cut after one of the sums, the sum left of it being `start` and all sums up to there: its fit and its index, the first of the best.
/// None where no cut leaves both sides their least.
///
/// # Panics
///
/// With more than [`CUTS_MAX`] sums, and when the CPU lacks the instruction set.
pub fn best(isa: Isa, rule: Rule, start: Pair, sums: &[Pair]) -> Option<(f64, usize)> {
    assert!(sums.len() <= CUTS_MAX, "{} sums in a row", sums.len());
    on(isa, Best { rule, start, sums })
}

struct Best<'a> {
    rule: Rule,
    start: Pair,
    sums: &'a [Pair],
}

impl Kernel for Best<'_> {
    type Out = Option<(f64, usize)>;
    #[inline(always)]
    fn run<L: Lanes>(self, _: L) -> Self::Out {
        let Rule { whole, least, lambda } = self.rule;
        let mut lefts = [Pair::default(); CUTS_MAX];
        let mut left = self.start;
        for (to, &sum) in lefts.iter_mut().zip(self.sums) {
            left = left.plus(sum);
            *to = left;
        }
        let mut fits = [-1.0f64; CUTS_MAX];
        let mut highest = [-1.0f64; 8];
        let (fits8, _) = fits.as_chunks_mut::<8>();
        for (fits, lefts) in fits8.iter_mut().zip(lefts.as_chunks::<8>().0).take(self.sums.len().div_ceil(8)) {
            for ((fit, left), highest) in fits.iter_mut().zip(lefts).zip(&mut highest) {
                let right = whole.minus(*left);
                let both = left.fit(lambda) + right.fit(lambda);
                let allowed = left.h() >= least && right.h() >= least;
                *fit = if allowed { both } else { -1.0 };
                *highest = if *fit > *highest { *fit } else { *highest };
            }
        }
        let best = highest.into_iter().fold(-1.0, |a: f64, b| if b > a { b } else { a });
        if best < 0.0 {
            return None;
        }
        let index = fits.iter().take(self.sums.len()).position(|&fit| fit == best)?;
        Some((best, index))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::num::golden::values;

    #[test]
    fn the_best_cut_is_that_of_the_formula_on_every_instruction_set() {
        for length in (0..40).chain([255, 256]) {
            let sums: Vec<Pair> =
                values("cut", length).iter().map(|x| Pair::of((x * 1e5) as i32, (x.abs() * 3e4) as u32 % 5000)).collect();
            let start = Pair::of(-77, 300);
            let whole = sums.iter().fold(start, |a, b| a.plus(*b)).plus(Pair::of(5, 40));
            for (least, lambda) in [(1, 0.0), (50, 0.25), (4000, 3.0), (i32::MAX, 1.0)] {
                let mut expected: Option<(f64, usize)> = None;
                let (mut g, mut h) = (-77i64, 300i64);
                for (i, sum) in sums.iter().enumerate() {
                    (g, h) = (g + i64::from(sum.g()), h + i64::from(sum.h()));
                    let (right_g, right_h) = (i64::from(whole.g()) - g, i64::from(whole.h()) - h);
                    let fit = |g: i64, h: i64| (g as f64 * g as f64) / (h as f64 + lambda);
                    if h >= i64::from(least) && right_h >= i64::from(least) {
                        let both = fit(g, h) + fit(right_g, right_h);
                        if expected.is_none_or(|best| both > best.0) {
                            expected = Some((both, i));
                        }
                    }
                }
                for isa in Isa::available() {
                    assert_eq!(best(isa, Rule { whole, least, lambda }, start, &sums), expected, "{isa:?} {length} {least}");
                }
            }
        }
    }

    #[test]
    fn pairs_keep_their_parts() {
        let mut sum = Pair::default();
        for (g, h) in [(-5, 7), (-1, 0), (3, (1 << 30)), (-(1 << 30), 9)] {
            sum = sum.plus(Pair::of(g, h));
        }
        assert_eq!((sum.g(), sum.h()), (-3 - (1 << 30), (1 << 30) + 16));
        assert_eq!(sum.minus(Pair::of(-5, 7)), Pair::of(2 - (1 << 30), (1 << 30) + 9));
    }
}
