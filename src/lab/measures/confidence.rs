//! Intervals.

use super::{mean, variance};

/// A figure and where it lies with 90 % confidence (or what the user of it says).
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Interval {
    /// The figure.
    pub value: f64,
    /// The lower end.
    pub low: f64,
    /// The upper end.
    pub high: f64,
}

impl Interval {
    /// Whether a figure lies in it.
    pub fn holds(&self, value: f64) -> bool {
        self.low <= value && value <= self.high
    }
}

/// The normal quantile of 95 %, for two-sided intervals of 90 %.
const NORMAL_95: f64 = 1.644_853_626_951_472_2;

/// The difference of two means over models, a - b, with its 90 % interval (Welch's standard error, normal quantile).
pub fn difference(a: &[f64], b: &[f64]) -> Interval {
    let value = mean(a) - mean(b);
    let error = (variance(a) / a.len().max(1) as f64 + variance(b) / b.len().max(1) as f64).sqrt();
    Interval { value, low: value - NORMAL_95 * error, high: value + NORMAL_95 * error }
}

/// The interval of a share of `hits` among `n` (Clopper and Pearson 1934): each end leaves out `tail`. (0, 1) of nothing.
pub fn clopper_pearson(hits: usize, n: usize, tail: f64) -> (f64, f64) {
    if n == 0 {
        return (0.0, 1.0);
    }
    // The share of at most k hits falls with p, that of at least k rises.
    let low = if hits == 0 { 0.0 } else { solve(|p| 1.0 - at_most(hits - 1, n, p) < tail) };
    let high = if hits >= n { 1.0 } else { solve(|p| at_most(hits, n, p) > tail) };
    (low, high)
}

/// Where `holds` ends to be true, from 0 on.
fn solve(holds: impl Fn(f64) -> bool) -> f64 {
    let (mut low, mut high) = (0.0, 1.0);
    for _ in 0..60 {
        let middle = f64::midpoint(low, high);
        if holds(middle) { low = middle } else { high = middle }
    }
    f64::midpoint(low, high)
}

/// The probability of at most `k` hits of `n`, each with probability `p`.
fn at_most(k: usize, n: usize, p: f64) -> f64 {
    let (hit, miss) = (libm::log(p), libm::log1p(-p));
    let (mut choices, mut sum) = (0.0, 0.0);
    for i in 0..=k.min(n) {
        if i > 0 {
            choices += libm::log((n + 1 - i) as f64) - libm::log(i as f64);
        }
        sum += libm::exp(choices + i as f64 * hit + (n - i) as f64 * miss);
    }
    sum.min(1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ends_of_clopper_and_pearson_are_those_of_tables() {
        // From sums of binomial probabilities in exact integers, by bisection.
        for (hits, n, low, high) in [
            (0, 50, 0.0, 0.071_121_736),
            (50, 50, 0.928_878_264, 1.0),
            (1, 20, 0.001_265_089, 0.248_732_763),
            (40, 50, 0.662_816_892, 0.899_697_763),
            (256, 512, 0.455_821_674, 0.544_178_326),
        ] {
            let got = clopper_pearson(hits, n, 0.025);
            assert!((got.0 - low).abs() < 1e-6 && (got.1 - high).abs() < 1e-6, "{hits} of {n}: {got:?}");
        }
        assert_eq!(clopper_pearson(0, 0, 0.025), (0.0, 1.0));
    }

    #[test]
    fn a_difference_has_the_standard_error_of_both_sides() {
        let (a, b) = ([1.0, 3.0], [0.0, 0.0]);
        let got = difference(&a, &b);
        // Variance 2 over 2 models: standard error 1.
        assert!((got.value - 2.0).abs() < 1e-12 && (got.low - (2.0 - NORMAL_95)).abs() < 1e-12 && got.holds(2.0));
    }
}
