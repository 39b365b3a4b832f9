//! A new last layer.

use super::{Job, Method, Setting, Unlearned, fine_tune};
use crate::learn::Differentiable;

/// Draws the last layer anew and fine-tunes everything: of the family of the winners of the NeurIPS 2023 challenge (Triantafillou et al.
/// 2024, "Are we making progress in unlearning?", section 5).
#[derive(Debug)]
pub(super) struct ResetHead {
    epochs: f64,
    rate: f64,
}

impl Default for ResetHead {
    fn default() -> ResetHead {
        ResetHead { epochs: 3.0, rate: 1.0 }
    }
}

impl Method for ResetHead {
    fn name(&self) -> &'static str {
        "reset-head"
    }

    fn settings(&mut self) -> Vec<Setting<'_>> {
        vec![Setting::passes("epochs", &mut self.epochs), Setting::rate("rate", &mut self.rate)]
    }

    fn expected(&self, retain: f64, _: f64, _: f64) -> f64 {
        self.epochs * retain
    }

    fn run(&self, model: &mut dyn Differentiable, job: &Job<'_>) -> Unlearned {
        let mut from = model.weights().to_vec();
        let head = model.output_layer();
        if let (Some(to), Some(fresh)) = (from.get_mut(head.clone()), job.fresh.get(head)) {
            to.copy_from_slice(fresh);
        }
        fine_tune::passes(model, job, &from, self.epochs, self.rate)
    }
}
