//! A model as a function of one vector of weights, with the gradient of its loss: for who wants to look at a model, or to go on from it,
//! by other rules than those of [`super::State::step`].

use std::{fmt::Debug, ops::Range};

use super::{Features, Rows};

/// What the scores of rows are drawn to.
#[derive(Clone, Copy, Debug)]
pub enum Toward<'a> {
    /// The labels of the rows.
    Labels,
    /// These scores, `rows x outputs` in the order of the rows asked for: probabilities, or numbers in the units of the label.
    Scores(&'a [f32]),
}

/// A model whose loss has a gradient. The loss of a row is the cross entropy in nats for classes (against scores: up to their entropy
/// the Kullback-Leibler divergence), and half the squared error of the scaled number.
///
/// The weights are handed in, so that one of these serves any number of vectors. Everything runs on the calling thread; the same
/// operands give the same bits on any vector width.
pub trait Differentiable: Debug + Send + Sync {
    /// The weights that serve.
    fn weights(&self) -> &[f32];

    /// Scores of a row: one a class, or one.
    fn outputs(&self) -> usize;

    /// The weights of the last layer and its biases.
    fn output_layer(&self) -> Range<usize>;

    /// The weights that the L2 penalty is on: all but biases.
    fn decayed(&self) -> Vec<Range<usize>>;

    /// The variance of the label over the rows that the model was scaled to, in squared units of the label; 1 for classes.
    fn target_variance(&self) -> f64;

    /// Writes `rows x outputs` scores of the model with other weights, row-major.
    ///
    /// # Panics
    /// When a length does not fit.
    fn scores(&mut self, weights: &[f32], features: &Features<'_>, out: &mut [f32]);

    /// Writes the gradient of `1 / n * sum of importance * loss` over the n rows at `at` into `out`. An empty `importance` is 1 for all.
    ///
    /// # Panics
    /// When a length does not fit, or a row is not there.
    fn gradient(&mut self, weights: &[f32], rows: &Rows<'_>, at: &[u32], toward: Toward<'_>, importance: &[f32], out: &mut [f32]);

    /// Adds to `out`, for each weight, the sum over the rows at `at` of the squared derivative of the row's own loss: times 1 / n the
    /// diagonal of the empirical Fisher information.
    ///
    /// # Panics
    /// When a length does not fit, or a row is not there.
    fn squares(&mut self, weights: &[f32], rows: &Rows<'_>, at: &[u32], out: &mut [f32]);
}
