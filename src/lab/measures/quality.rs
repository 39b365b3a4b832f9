//! The forgetting quality of the machine unlearning challenge of NeurIPS 2023.

use super::epsilon::DELTA;

/// The largest epsilon of a row.
const CAP: f64 = 50.0;
/// The width of a bin.
const BIN: f64 = 0.5;
/// A range below this share of the other side's is told at a glance.
const NARROW: f64 = 0.01;

/// For each row the largest epsilon that a threshold shows, either way and either side being called positive, then 2^-k points for the k-th
/// bin of width 0.5, 0 from ceil(ln(N - 1)) on, and the mean over rows (google-deepmind/unlearning_evaluation, `metric.py`). Thresholds are
/// the scores themselves, one at a time: the released code takes a grid of 0.01 and intervals too.
///
/// Two samples of one distribution give about 0.2 with any number of models: the largest of many ratios is far from 0 even if nothing
/// differs. So this figure is to be read beside that of the floor only.
pub fn forgetting_quality(u: &[Vec<f64>], r: &[Vec<f64>]) -> f64 {
    let rows = u.first().map_or(0, Vec::len);
    if rows == 0 || r.is_empty() {
        return 0.0;
    }
    let most = libm::log(u.len().saturating_sub(1).max(1) as f64).ceil();
    let column = |of: &[Vec<f64>], row: usize| of.iter().filter_map(|model| model.get(row).copied()).collect::<Vec<f64>>();
    let points = (0..rows).map(|row| points(epsilon(column(u, row), column(r, row)), most));
    points.fold(0.0, |sum, x| sum + x) / rows as f64
}

/// The points of one row.
fn points(epsilon: f64, most: f64) -> f64 {
    let bin = (epsilon / BIN).floor();
    if (bin + 1.0) * BIN > most {
        return 0.0;
    }
    (0..bin as u32).fold(1.0, |points, _| points * 0.5)
}

/// The largest epsilon of one row.
fn epsilon(mut u: Vec<f64>, mut r: Vec<f64>) -> f64 {
    u.sort_unstable_by(f64::total_cmp);
    r.sort_unstable_by(f64::total_cmp);
    let range = |sorted: &[f64]| sorted.last().zip(sorted.first()).map_or(0.0, |(last, first)| last - first);
    let (wide, narrow) = (range(&u).max(range(&r)), range(&u).min(range(&r)));
    if narrow < NARROW * wide {
        return CAP;
    }
    let below = |sorted: &[f64], at: f64| sorted.partition_point(|x| *x < at) as f64 / sorted.len() as f64;
    let cuts = u.iter().chain(&r).copied().chain([f64::INFINITY]);
    let mut best: f64 = 0.0;
    for cut in cuts {
        let (a, b) = (below(&u, cut), below(&r, cut));
        // Above or below the threshold is positive; unlearned or retrained is the positive side.
        for (tpr, fpr) in [(1.0 - a, 1.0 - b), (a, b), (1.0 - b, 1.0 - a), (b, a)] {
            match shown(fpr, 1.0 - tpr) {
                Some(epsilon) if epsilon >= CAP => return CAP,
                Some(epsilon) => best = best.max(epsilon),
                None => {}
            }
        }
    }
    best
}

/// The epsilon of a pair of rates; none where exactly one is 0, which is no evidence.
fn shown(fpr: f64, fnr: f64) -> Option<f64> {
    const ZERO: f64 = 1e-12;
    match (fpr < ZERO, fnr < ZERO) {
        (true, true) => Some(CAP),
        (false, false) => {
            let one = |a: f64, b: f64| libm::log((1.0 - DELTA - a).max(1e-300)) - libm::log(b);
            Some(one(fpr, fnr).max(one(fnr, fpr)).clamp(0.0, CAP))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::{super::Draws, *};

    fn models(n: usize, rows: usize, shift: f64, seed: u8) -> Vec<Vec<f64>> {
        let mut draws = Draws::new([seed; 32]);
        (0..n).map(|_| (0..rows).map(|_| draws.normal() + shift).collect()).collect()
    }

    #[test]
    fn one_distribution_scores_about_a_fifth_and_a_shift_less() {
        let floor = forgetting_quality(&models(64, 60, 0.0, 1), &models(64, 60, 0.0, 2));
        assert!((0.15..=0.30).contains(&floor), "{floor}");
        let shifted = forgetting_quality(&models(64, 60, 1.0, 1), &models(64, 60, 0.0, 2));
        assert!(shifted < 0.4 * floor, "{shifted} of {floor}");
        assert_eq!(forgetting_quality(&models(64, 5, 90.0, 1), &models(64, 5, 0.0, 2)), 0.0);
    }

    #[test]
    fn bins_halve_and_end() {
        // ceil(ln 63) = 5: ten bins.
        assert_eq!([0.0, 0.49, 0.5, 1.2, 4.9, 5.0].map(|e| points(e, 5.0)), [1.0, 1.0, 0.5, 0.25, 1.0 / 512.0, 0.0]);
        assert_eq!((shown(0.0, 0.0), shown(0.0, 0.5)), (Some(CAP), None));
        assert!((shown(0.1, 0.5).unwrap() - libm::log(0.49999 / 0.1)).abs() < 1e-9);
        assert_eq!(epsilon(vec![1.0, 1.0001], vec![0.0, 3.0]), CAP);
    }
}
