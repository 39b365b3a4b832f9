//! What is made smaller: scores as integers, and their derivatives as integers in a width in which their sums cannot overflow.
//!
//! A row's raw scores are sums of integer leaf values, so no order of trees is in them. The only floats are shares of classes
//! ([`poly::sigmoid_all`], [`poly::softmax_rows`]), which are cut to 30 bits.
//!
//! With n visits in a step, derivatives get `w = 31 - (the bits of n)` bits: n is below 2^(31 - w), each magnitude at most 2^w, and so any sum
//! below 2^31. (As in the quantised training of Shi et al. 2022, "Quantized Training of Gradient Boosting Decision Trees", but as wide as the
//! rows allow and rounded to nearest.)
#![expect(clippy::indexing_slicing, reason = "targets, scores and shares are as many as the visits")]

use crate::learn::{Labels, Layout, Link, Rows, Task, Visit};
use crate::num::{Team, cut::Pair, poly};

/// Raw scores of classes are multiples of 2^-20.
const SCORE_BITS: i32 = 20;
/// Numbers and their raw scores are multiples of 2^-24 of the declared range.
const NUMBER_ONE: f64 = 16_777_216.0;
/// Shares of classes are multiples of 2^-30.
const SHARE_BITS: u32 = 30;
/// More visits than this would leave derivatives fewer than 7 bits.
pub(super) const VISITS_MAX: usize = (1 << 24) - 1;

/// What is made smaller.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Loss {
    /// Cross entropy of two classes; one raw score, the log-odds of class 1.
    Logistic,
    /// Cross entropy of so many classes, a raw score each.
    Softmax(usize),
    /// Half the squared error of a number with these declared ends.
    Squared { low: f64, high: f64 },
}

/// The derivatives of one model's rows, and what their units are.
#[derive(Debug)]
pub(super) struct Slopes {
    /// Of each row.
    pub(super) pairs: Vec<Pair>,
    /// What a sum of second derivatives of 1 is in the unit of h.
    pub(super) unit: f64,
    /// A quotient of g and h times this is a raw score.
    pub(super) scale: f64,
}

impl Loss {
    pub(super) fn of(layout: &Layout) -> Loss {
        match layout.task {
            Task::Classes(2) => Loss::Logistic,
            Task::Classes(classes) => Loss::Softmax(classes as usize),
            Task::Number => {
                let [low, high] = layout.label_range.map_or([0.0, 1.0], |range| range.0).map(f64::from);
                Loss::Squared { low, high }
            }
        }
    }

    /// Raw scores of a row, each with trees of its own.
    pub(super) fn models(self) -> usize {
        match self {
            Loss::Logistic | Loss::Squared { .. } => 1,
            Loss::Softmax(classes) => classes,
        }
    }

    /// Scores of a row.
    pub(super) fn outputs(self) -> usize {
        if self == Loss::Logistic { 2 } else { self.models() }
    }

    /// What raw scores are, in the words of a formula.
    pub(super) fn link(self) -> Link {
        match self {
            Loss::Logistic | Loss::Softmax(_) => Link::Odds,
            Loss::Squared { low, high } => Link::Range(low, high),
        }
    }

    /// What the visited rows should come to: the class, or the number in its integer unit.
    pub(super) fn targets(self, prefix: &[Rows<'_>], visits: &[Visit]) -> Vec<i32> {
        let target = |visit: &Visit| match (self, prefix[visit.slice as usize].labels) {
            (Loss::Squared { low, high }, Labels::Numbers(numbers)) => {
                let share = (f64::from(numbers[visit.row as usize]) - low) / (high - low);
                (share * NUMBER_ONE + 0.5).clamp(0.0, NUMBER_ONE) as i32
            }
            (Loss::Logistic | Loss::Softmax(_), Labels::Classes(classes)) => {
                let class = classes[visit.row as usize];
                assert!((class as usize) < self.models().max(2), "a class that the layout has not");
                class as i32
            }
            _ => unreachable!("labels of another kind than {self:?}"),
        };
        visits.iter().map(target).collect()
    }

    /// The raw scores before any tree: the log-odds of classes, each counted once more than it is there; the mean of numbers.
    pub(super) fn base(self, targets: &[i32]) -> Vec<i64> {
        let count = |class: i32| targets.iter().filter(|target| **target == class).count() as f64 + 1.0;
        let score = |odds: f64| (poly::ln_f64(odds) * power_of_two(SCORE_BITS) + 0.5).floor() as i64;
        match self {
            Loss::Logistic => vec![score(count(1) / count(0))],
            Loss::Softmax(classes) => {
                (0..classes).map(|class| score(count(class as i32) / (targets.len() + classes) as f64)).collect()
            }
            Loss::Squared { .. } => {
                let (sum, n) = (targets.iter().map(|&target| i64::from(target)).sum::<i64>(), targets.len().max(1) as i64);
                vec![(2 * sum + n) / (2 * n)]
            }
        }
    }

    /// The shares of the classes by raw scores (`models x rows`), in the same order; empty for numbers.
    pub(super) fn shares(self, raw: &[Vec<i64>], team: Team) -> Vec<Vec<u32>> {
        let float = |raw: i64| (raw as f64 * power_of_two(-SCORE_BITS)) as f32;
        let share = |p: f32| (p * (1u32 << SHARE_BITS) as f32) as u32;
        match self {
            Loss::Squared { .. } => Vec::new(),
            Loss::Logistic => {
                let mut p: Vec<f32> = raw.iter().flatten().map(|&raw| float(raw)).collect();
                poly::sigmoid_all(team, &mut p);
                vec![p.into_iter().map(share).collect()]
            }
            Loss::Softmax(classes) => {
                let rows = raw.first().map_or(0, Vec::len);
                let mut p = vec![0.0; rows * classes];
                for (row, p) in p.chunks_exact_mut(classes.max(1)).enumerate() {
                    p.iter_mut().zip(raw).for_each(|(p, raw)| *p = float(raw[row]));
                }
                poly::softmax_rows(team, classes.max(1), &mut p);
                (0..classes).map(|class| p.iter().skip(class).step_by(classes).map(|&p| share(p)).collect()).collect()
            }
        }
    }

    /// The derivatives of a model's rows.
    pub(super) fn slopes(self, model: usize, raw: &[i64], shares: &[Vec<u32>], targets: &[i32]) -> Slopes {
        let width = 31 - bits(targets.len() as u64);
        let one = 1i64 << SHARE_BITS;
        match self {
            Loss::Squared { .. } => {
                let g = |row: usize| (raw[row] - i64::from(targets[row])).clamp(-one, one) as i32;
                let shift = shift((0..targets.len()).map(|row| g(row).unsigned_abs()).max(), width);
                let pairs = (0..targets.len()).map(|row| Pair::of(round(g(row), shift), 1)).collect();
                Slopes { pairs, unit: 1.0, scale: power_of_two(shift as i32) }
            }
            Loss::Logistic | Loss::Softmax(_) => {
                // Friedman 2001, algorithm 6: the diagonal of a softmax's second derivatives is too small by (classes - 1) / classes.
                let (of, class, more) = match self {
                    Loss::Softmax(classes) => (model as i32, classes as i64, (classes as i64 - 1).max(1)),
                    _ => (1, 1, 1),
                };
                let shares = &shares[model];
                let g = |row: usize| (i64::from(shares[row]) - if targets[row] == of { one } else { 0 }) as i32;
                let h = |row: usize| {
                    let share = i64::from(shares[row]);
                    (((share * (one - share)) >> SHARE_BITS) * class / more) as i32
                };
                let (mut most_g, mut most_h) = (0, 0);
                for row in 0..targets.len() {
                    most_g = most_g.max(g(row).unsigned_abs());
                    most_h = most_h.max(h(row).unsigned_abs());
                }
                let (by_g, by_h) = (shift(Some(most_g), width), shift(Some(most_h), width));
                let pair = |row| Pair::of(round(g(row), by_g), round(h(row), by_h) as u32);
                Slopes {
                    pairs: (0..targets.len()).map(pair).collect(),
                    unit: power_of_two(SHARE_BITS as i32 - by_h as i32),
                    scale: power_of_two(by_g as i32 - by_h as i32 + SCORE_BITS),
                }
            }
        }
    }

    /// Turns raw scores (`rows x models`) into scores.
    pub(super) fn scores(self, raw: &[i64], team: Team, out: &mut [f32]) {
        let float = |raw: i64| (raw as f64 * power_of_two(-SCORE_BITS)) as f32;
        match self {
            Loss::Squared { low, high } => {
                out.iter_mut().zip(raw).for_each(|(out, &raw)| *out = (low + raw as f64 / NUMBER_ONE * (high - low)) as f32);
            }
            Loss::Logistic => {
                let mut p: Vec<f32> = raw.iter().map(|&raw| float(raw)).collect();
                poly::sigmoid_all(team, &mut p);
                for (out, p) in out.chunks_exact_mut(2).zip(p) {
                    out.copy_from_slice(&[1.0 - p, p]);
                }
            }
            Loss::Softmax(classes) => {
                out.iter_mut().zip(raw).for_each(|(out, &raw)| *out = float(raw));
                poly::softmax_rows(team, classes.max(1), out);
            }
        }
    }
}

/// Bits of a number.
fn bits(x: u64) -> u32 {
    64 - x.leading_zeros()
}

/// How far numbers up to `most` are shifted right so that they have `width` bits.
fn shift(most: Option<u32>, width: u32) -> u32 {
    bits(u64::from(most.unwrap_or(0))).saturating_sub(width)
}

/// `x / 2^shift`, rounded to nearest, halves up.
fn round(x: i32, shift: u32) -> i32 {
    let half = (1i64 << shift) >> 1;
    ((i64::from(x) + half) >> shift) as i32
}

/// 2^exponent, of a normal number.
fn power_of_two(exponent: i32) -> f64 {
    f64::from_bits(((1023 + i64::from(exponent)) as u64) << 52)
}
