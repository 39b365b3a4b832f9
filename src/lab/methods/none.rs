//! The control.

use super::{Job, Method, Setting, Stop, Unlearned};
use crate::learn::Differentiable;

/// Leaves the model as it was.
#[derive(Debug)]
pub(super) struct None;

impl Method for None {
    fn name(&self) -> &'static str {
        "none"
    }

    fn settings(&mut self) -> Vec<Setting<'_>> {
        Vec::new()
    }

    fn expected(&self, _: f64, _: f64, _: f64) -> f64 {
        0.0
    }

    fn run(&self, model: &mut dyn Differentiable, _: &Job<'_>) -> Unlearned {
        Unlearned { weights: model.weights().to_vec(), row_passes: 0.0, stop: Stop::Done }
    }
}
