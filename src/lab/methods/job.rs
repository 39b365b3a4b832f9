//! What a method is given, and what it gives back.

use super::{Rules, order::Orders};
use crate::{
    ids::Handle,
    learn::{Differentiable, Labels, Rows},
};

/// Held-out rows that goals look at, at most.
const HELD_ROWS: usize = 2048;
/// Probabilities below this count as this much.
const PROBABILITY_MIN: f64 = 1e-12;

/// What constituents of a SISA ensemble that never saw a row say of it together.
#[derive(Clone, Debug, Default)]
pub struct Clean {
    /// For each forget row their mean scores, `rows x outputs`.
    pub scores: Vec<f32>,
    /// For held-out rows the mean scores of as many constituents.
    pub held_scores: Vec<f32>,
}

/// The rows, the rules, and the draws of one model.
#[derive(Clone, Debug)]
pub struct Job<'a> {
    /// All training rows, by record handle.
    pub rows: Rows<'a>,
    /// Their record handles.
    pub records: &'a [Handle],
    /// The rows that stay.
    pub retain: &'a [u32],
    /// The rows that are to be forgotten; their features and labels again in `forgotten`.
    pub forget: &'a [u32],
    /// The rows that are to be forgotten, alone.
    pub forgotten: Rows<'a>,
    /// Rows that no model saw.
    pub held_out: Rows<'a>,
    /// What constituents that never saw rows say of them.
    pub clean: &'a Clean,
    /// How the learner itself descends.
    pub rules: Rules,
    /// The orders of rows; of this model alone.
    pub orders: Orders,
    /// Weights before any row, drawn for this model.
    pub fresh: &'a [f32],
}

/// Why a method ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stop {
    /// It did what it was set to do.
    Done,
    /// It found its goal reached.
    Goal,
    /// Its budget was used up before its goal was reached.
    Budget,
}

/// What a method made of a model.
#[derive(Clone, Debug, PartialEq)]
pub struct Unlearned {
    /// The weights that would serve.
    pub weights: Vec<f32>,
    /// Row-passes spent.
    pub row_passes: f64,
    /// Why it ended.
    pub stop: Stop,
}

impl Job<'_> {
    /// The held-out rows that goals look at.
    pub(super) fn held(&self) -> Rows<'_> {
        held_rows(&self.held_out)
    }
}

/// Of held-out rows those that goals look at.
pub fn held_rows<'a>(held_out: &'a Rows<'_>) -> Rows<'a> {
    let rows = 0..held_out.features.rows().min(HELD_ROWS);
    let labels = match held_out.labels {
        Labels::Classes(classes) => Labels::Classes(classes.get(rows.clone()).unwrap_or_default()),
        Labels::Numbers(numbers) => Labels::Numbers(numbers.get(rows.clone()).unwrap_or_default()),
    };
    Rows { features: held_out.features.slice(rows), labels }
}

/// The loss of each row, in f64: cross entropy in nats, or half the squared error over the variance of the label.
pub fn losses(scores: &[f32], labels: &Labels<'_>, variance: f64) -> Vec<f64> {
    match labels {
        Labels::Classes(classes) => {
            let width = scores.len() / classes.len().max(1);
            let rows = scores.chunks(width.max(1)).zip(*classes);
            rows.map(|(p, class)| -libm::log(clip(p.get(*class as usize).copied().unwrap_or(0.0)))).collect()
        }
        Labels::Numbers(numbers) => {
            let errors = scores.iter().zip(*numbers).map(|(score, label)| f64::from(*score) - f64::from(*label));
            errors.map(|e| if e.is_finite() { 0.5 * e * e / variance } else { f64::MAX.sqrt() }).collect()
        }
    }
}

/// A probability that has a logarithm; what is no number is none.
pub fn clip(p: f32) -> f64 {
    let p = f64::from(p);
    if p >= PROBABILITY_MIN { p } else { PROBABILITY_MIN }
}

/// The losses of rows under other weights.
pub(super) fn losses_of(model: &mut dyn Differentiable, weights: &[f32], rows: &Rows<'_>) -> Vec<f64> {
    let mut scores = vec![0.0; rows.features.rows() * model.outputs()];
    model.scores(weights, &rows.features, &mut scores);
    losses(&scores, &rows.labels, model.target_variance())
}
