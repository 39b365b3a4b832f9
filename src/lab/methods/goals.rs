//! What each forget row should cost: the loss it would have had it never been seen.

use super::{
    Job,
    job::{losses, losses_of},
};
use crate::{lab::measures::mean, learn::Differentiable};

/// Goals of a model, row by row. Constituents of an ensemble that never saw a row say what it costs them; what they are worse at on held-out
/// rows, as they had less data, is taken off: `goal = max(0, clean + held-out loss of the model - held-out loss of constituents)`.
///
/// A held-out loss alone is no goal for unusual people, whose rows cost more than that before anything is done: steering towards it from
/// both sides trains on the very rows that are to go.
pub(super) struct Goals {
    clean: Vec<f64>,
    clean_held: f64,
}

impl Goals {
    pub(super) fn new(model: &dyn Differentiable, job: &Job<'_>) -> Goals {
        let variance = model.target_variance();
        let held = losses(&job.clean.held_scores, &job.held().labels, variance);
        Goals { clean: losses(&job.clean.scores, &job.forgotten.labels, variance), clean_held: mean(&held) }
    }

    /// How much each forget row is still known better than its goal under some weights; never below 0, so that nobody is ever taught a
    /// row that is to go. Costs a forward pass of the forget rows and of the held-out rows.
    pub(super) fn left(&self, model: &mut dyn Differentiable, weights: &[f32], job: &Job<'_>) -> (Vec<f64>, f64) {
        let held = job.held();
        let handicap = mean(&losses_of(model, weights, &held)) - self.clean_held;
        let now = losses_of(model, weights, &job.forgotten);
        let left = now.iter().zip(&self.clean).map(|(now, clean)| ((clean + handicap).max(0.0) - now).max(0.0));
        (left.collect(), (held.features.rows() + job.forget.len()) as f64 / 3.0)
    }
}
