//! Fine-tuning on what stays.

use super::{Job, Method, Setting, Stop, Unlearned, descent::Descent, order::Of};
use crate::learn::{Differentiable, Toward};

/// Goes on training without the forget rows, `w - rate * grad L(retain)`, and hopes that they fade (Golatkar et al. 2020, section 6,
/// "fine-tune"; Kurmanji et al. 2023, section 4).
#[derive(Debug)]
pub(super) struct FineTune {
    epochs: f64,
    rate: f64,
}

impl Default for FineTune {
    fn default() -> FineTune {
        FineTune { epochs: 3.0, rate: 1.0 }
    }
}

/// Passes over the rows that stay, from some weights; returns the averaged weights and the row-passes.
pub(super) fn passes(model: &mut dyn Differentiable, job: &Job<'_>, from: &[f32], epochs: f64, rate: f64) -> Unlearned {
    let mut descent = Descent::new(model, from, job.rules.at(rate));
    let mut gradient = vec![0.0; from.len()];
    for pass in 0..epochs as u32 {
        let order = job.orders.pass(Of::Retain, pass, job.retain, job.records);
        for batch in order.chunks(job.rules.batch) {
            model.gradient(descent.weights(), &job.rows, batch, Toward::Labels, &[], &mut gradient);
            descent.step(&gradient);
        }
    }
    Unlearned { weights: descent.served().to_vec(), row_passes: epochs * job.retain.len() as f64, stop: Stop::Done }
}

impl Method for FineTune {
    fn name(&self) -> &'static str {
        "fine-tune"
    }

    fn settings(&mut self) -> Vec<Setting<'_>> {
        vec![Setting::passes("epochs", &mut self.epochs), Setting::rate("rate", &mut self.rate)]
    }

    fn expected(&self, retain: f64, _: f64, _: f64) -> f64 {
        self.epochs * retain
    }

    fn run(&self, model: &mut dyn Differentiable, job: &Job<'_>) -> Unlearned {
        let from = model.weights().to_vec();
        passes(model, job, &from, self.epochs, self.rate)
    }
}
