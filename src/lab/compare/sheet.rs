//! What one model says, in numbers.

use super::{
    super::{
        measures::{auc, mean},
        methods::{clip, losses},
    },
    world::World,
};
use crate::learn::{Features, Labels, Rows};

/// Retain rows that are looked at.
pub(super) const PROBED: usize = 4000;

/// The quality on some rows.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Quality {
    /// Share of rows whose class is right; of numbers R2.
    pub(super) accuracy: f64,
    /// Mean loss.
    pub(super) loss: f64,
}

/// One model's numbers.
#[derive(Clone, Debug, Default)]
pub(super) struct Sheet {
    /// The confidence in each forget row.
    pub(super) phi: Vec<f64>,
    /// The mean loss on forget rows.
    pub(super) forget_loss: f64,
    pub(super) forget: Quality,
    pub(super) retain: Quality,
    pub(super) held_out: Quality,
    /// Accuracy on the held-out rows of each group.
    pub(super) groups: Vec<f64>,
    /// AUC of a low loss on forget rows against held-out rows, one threshold for all models and rows (Yeom et al. 2018, section 3).
    pub(super) population: f64,
    pub(super) forget_scores: Vec<f32>,
    pub(super) held_scores: Vec<f32>,
    /// Whether a score was no number.
    pub(super) diverged: bool,
}

/// The rows that models are asked about.
pub(super) struct Questions<'a> {
    pub(super) world: &'a World,
    pub(super) forget: Rows<'a>,
    pub(super) retain: Rows<'a>,
    /// The variance of the label, 1 for classes.
    pub(super) variance: f64,
}

/// The confidence in each row: `ln p - ln(1 - p)` of the label, 1 - p being the sum of the others; of numbers minus the squared error over the
/// variance of the label.
pub(super) fn confidences(scores: &[f32], labels: &Labels<'_>, variance: f64) -> Vec<f64> {
    match labels {
        Labels::Classes(classes) => {
            let rows = scores.chunks((scores.len() / classes.len().max(1)).max(1)).zip(*classes);
            let one = |(p, class): (&[f32], &u32)| {
                let other = (0..).zip(p).filter(|(at, _)| at != class).fold(0.0, |sum, (_, p)| sum + f64::from(*p)) as f32;
                libm::log(clip(p.get(*class as usize).copied().unwrap_or(0.0))) - libm::log(clip(other))
            };
            rows.map(one).collect()
        }
        Labels::Numbers(_) => losses(scores, labels, variance).into_iter().map(|loss| -2.0 * loss).collect(),
    }
}

/// Whether each row's highest score is its label's, the lower class winning ties.
fn right(scores: &[f32], classes: &[u32]) -> Vec<bool> {
    let rows = scores.chunks((scores.len() / classes.len().max(1)).max(1)).zip(classes);
    let best = |p: &[f32]| {
        let start = (0, p.first().copied().unwrap_or(0.0));
        (0..).zip(p).fold(start, |best: (u32, f32), (at, p)| if *p > best.1 { (at, *p) } else { best }).0
    };
    rows.map(|(p, class)| best(p) == *class).collect()
}

/// Accuracy of some rows; R2 for numbers.
fn accuracy(scores: &[f32], labels: &Labels<'_>, among: Option<&[u32]>) -> f64 {
    let all = |length: usize| among.map_or_else(|| (0..length as u32).collect(), <[u32]>::to_vec);
    match labels {
        Labels::Classes(classes) => {
            let right = right(scores, classes);
            let rows = all(right.len());
            let hits = rows.iter().filter(|row| right.get(**row as usize).copied().unwrap_or(false)).count();
            hits as f64 / rows.len().max(1) as f64
        }
        Labels::Numbers(numbers) => {
            let of = |row: &u32| Some((f64::from(*scores.get(*row as usize)?), f64::from(*numbers.get(*row as usize)?)));
            let pairs: Vec<(f64, f64)> = all(numbers.len()).iter().filter_map(of).collect();
            let middle = mean(&pairs.iter().map(|p| p.1).collect::<Vec<f64>>());
            let error = pairs.iter().fold(0.0, |sum, (s, y)| sum + (s - y) * (s - y));
            let spread = pairs.iter().fold(0.0, |sum, (_, y)| sum + (y - middle) * (y - middle));
            if spread > 0.0 && error.is_finite() { 1.0 - error / spread } else { 0.0 }
        }
    }
}

impl Questions<'_> {
    /// Asks a model everything.
    pub(super) fn ask(&self, mut score: impl FnMut(&Features<'_>) -> Vec<f32>) -> Sheet {
        let held = self.world.held_out.view();
        let (forget, retain, held_out) = (score(&self.forget.features), score(&self.retain.features), score(&held.features));
        let quality = |scores: &[f32], rows: &Rows<'_>| Quality {
            accuracy: accuracy(scores, &rows.labels, None),
            loss: mean(&losses(scores, &rows.labels, self.variance)),
        };
        let minus = |losses: Vec<f64>| losses.into_iter().map(|loss| -loss).collect::<Vec<f64>>();
        let forget_losses = losses(&forget, &self.forget.labels, self.variance);
        let groups = self.world.groups.iter();
        Sheet {
            phi: confidences(&forget, &self.forget.labels, self.variance),
            forget_loss: mean(&forget_losses),
            forget: quality(&forget, &self.forget),
            retain: quality(&retain, &self.retain),
            held_out: quality(&held_out, &held),
            groups: groups.map(|(_, rows)| accuracy(&held_out, &held.labels, Some(rows))).collect(),
            population: auc(&minus(forget_losses), &minus(losses(&held_out, &held.labels, self.variance))),
            diverged: forget.iter().chain(&retain).chain(&held_out).any(|score| !score.is_finite()),
            forget_scores: forget,
            held_scores: held_out,
        }
    }

    /// Asks a model for its confidence in forget rows, and their mean loss, alone.
    pub(super) fn ask_forget(&self, mut score: impl FnMut(&Features<'_>) -> Vec<f32>) -> (Vec<f64>, f64) {
        let scores = score(&self.forget.features);
        let loss = mean(&losses(&scores, &self.forget.labels, self.variance));
        (confidences(&scores, &self.forget.labels, self.variance), loss)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn confidences_are_log_odds_and_what_is_no_number_is_no_confidence() {
        let labels = Labels::Classes(&[1, 0]);
        let got = confidences(&[0.2, 0.5, 0.3, f32::NAN, 0.5, 0.5], &labels, 1.0);
        assert!(got[0].abs() < 1e-6 && (got[1] - libm::log(1e-12)).abs() < 1e-9, "{got:?}");
        assert_eq!(confidences(&[3.0], &Labels::Numbers(&[1.0]), 2.0), [-2.0]);
    }

    #[test]
    fn accuracy_counts_rows_and_numbers_have_r2() {
        let scores = [0.9, 0.1, 0.4, 0.6, 0.5, 0.5];
        let labels = Labels::Classes(&[0, 0, 0]);
        assert!((accuracy(&scores, &labels, None) - 2.0 / 3.0).abs() < 1e-12);
        assert_eq!(accuracy(&scores, &labels, Some(&[1])), 0.0);
        assert_eq!(accuracy(&[1.0, 2.0, 3.0], &Labels::Numbers(&[1.0, 2.0, 3.0]), None), 1.0);
        assert_eq!(accuracy(&[2.0, 2.0, 2.0], &Labels::Numbers(&[1.0, 2.0, 3.0]), None), 0.0);
    }
}
