//! Gradient ascent.

use super::{Job, Method, Setting, Stop, Unlearned, descent::Descent, goals::Goals, order::Of};
use crate::{
    lab::measures::mean,
    learn::{Differentiable, Toward},
};

/// Ascends on the forget rows, `w + rate * grad L(forget)` ("NegGrad", Golatkar et al. 2020, section 6), in plain steps, pass by pass, until
/// the goals of the adaptive mix are reached on the whole.
#[derive(Debug)]
pub(super) struct NegGrad {
    epochs: f64,
    rate: f64,
}

/// The share of the first gap that may be left.
pub(super) const REACHED: f64 = 0.1;

impl Default for NegGrad {
    fn default() -> NegGrad {
        NegGrad { epochs: 8.0, rate: 0.4 }
    }
}

impl Method for NegGrad {
    fn name(&self) -> &'static str {
        "neggrad"
    }

    fn settings(&mut self) -> Vec<Setting<'_>> {
        vec![Setting::passes("epochs", &mut self.epochs), Setting::rate("rate", &mut self.rate)]
    }

    fn expected(&self, _: f64, forget: f64, _: f64) -> f64 {
        self.epochs * (forget + (forget + 2048.0) / 3.0)
    }

    fn run(&self, model: &mut dyn Differentiable, job: &Job<'_>) -> Unlearned {
        let from = model.weights().to_vec();
        let mut descent = Descent::new(model, &from, job.rules.at(self.rate).plain());
        let goals = Goals::new(model, job);
        let (mut gradient, mut row_passes, mut first) = (vec![0.0; from.len()], 0.0, None);
        for pass in 0..self.epochs as u32 {
            let (left, cost) = goals.left(model, descent.served(), job);
            row_passes += cost;
            let left = mean(&left);
            if left <= REACHED * *first.get_or_insert(left) && (left == 0.0 || pass > 0) {
                return Unlearned { weights: descent.served().to_vec(), row_passes, stop: Stop::Goal };
            }
            let order = job.orders.pass(Of::Forget, pass, job.forget, job.records);
            for batch in order.chunks(job.rules.batch) {
                model.gradient(descent.weights(), &job.rows, batch, Toward::Labels, &[], &mut gradient);
                gradient.iter_mut().for_each(|g| *g = -*g);
                descent.step(&gradient);
            }
            row_passes += order.len() as f64;
        }
        Unlearned { weights: descent.served().to_vec(), row_passes, stop: Stop::Budget }
    }
}
