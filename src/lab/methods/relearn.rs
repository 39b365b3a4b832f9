//! How soon forgotten rows are learnt again.

use super::{Job, descent::Descent, job::losses_of, order::Of};
use crate::{
    lab::measures::mean,
    learn::{Differentiable, Toward},
};

/// Passes at most.
const PASSES_MOST: u32 = 100;

/// Row-passes of training on the forget rows alone, by the learner's own rules, until their mean loss is at most `known`; those of all passes
/// allowed where it never is. A model whose knowledge is only hidden has it back sooner than one that never had it (Golatkar et al. 2020, section 6,
/// "relearn time").
pub fn relearn(model: &mut dyn Differentiable, weights: &[f32], job: &Job<'_>, known: f64) -> f64 {
    let mut descent = Descent::new(model, weights, job.rules);
    let (mut gradient, mut row_passes) = (vec![0.0; weights.len()], 0);
    for pass in 0..PASSES_MOST {
        for batch in job.orders.pass(Of::Forget, pass, job.forget, job.records).chunks(job.rules.batch) {
            if mean(&losses_of(model, descent.weights(), &job.forgotten)) <= known {
                return f64::from(row_passes);
            }
            model.gradient(descent.weights(), &job.rows, batch, Toward::Labels, &[], &mut gradient);
            descent.step(&gradient);
            row_passes += batch.len() as u32;
        }
    }
    f64::from(row_passes)
}
