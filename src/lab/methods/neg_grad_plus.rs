//! Gradient difference.

use super::{
    Job, Method, Setting, Stop, Unlearned,
    descent::Descent,
    order::{Cycle, Of},
};
use crate::learn::{Differentiable, Toward};

/// Descends on what stays and ascends on what goes in one update, `w - rate * grad (a L(retain) - (1 - a) L(forget))`, a forget batch for each
/// retain batch ("NegGrad+", Kurmanji et al. 2023, section 4). With a = 1/2 it is gradient difference (Liu et al. 2022).
#[derive(Debug)]
pub(super) struct NegGradPlus {
    epochs: f64,
    rate: f64,
    alpha: f64,
}

impl Default for NegGradPlus {
    fn default() -> NegGradPlus {
        NegGradPlus { epochs: 1.0, rate: 0.4, alpha: 0.95 }
    }
}

impl Method for NegGradPlus {
    fn name(&self) -> &'static str {
        "neggrad+"
    }

    fn settings(&mut self) -> Vec<Setting<'_>> {
        vec![
            Setting::passes("epochs", &mut self.epochs),
            Setting::rate("rate", &mut self.rate),
            Setting::number("alpha", &mut self.alpha, 1.0),
        ]
    }

    fn expected(&self, retain: f64, forget: f64, batch: f64) -> f64 {
        self.epochs * (retain + super::beside(retain, forget, batch))
    }

    fn run(&self, model: &mut dyn Differentiable, job: &Job<'_>) -> Unlearned {
        let from = model.weights().to_vec();
        let mut descent = Descent::new(model, &from, job.rules.at(self.rate));
        let mut forget = Cycle::new(&job.orders, job.forget, job.records, job.rules.batch);
        let (mut down, mut up) = (vec![0.0; from.len()], vec![0.0; from.len()]);
        let (keep, drop) = (self.alpha as f32, (1.0 - self.alpha) as f32);
        let mut row_passes = 0;
        for pass in 0..self.epochs as u32 {
            for batch in job.orders.pass(Of::Retain, pass, job.retain, job.records).chunks(job.rules.batch) {
                let against = forget.batch();
                row_passes += batch.len() + against.len();
                model.gradient(descent.weights(), &job.rows, batch, Toward::Labels, &[], &mut down);
                model.gradient(descent.weights(), &job.rows, against, Toward::Labels, &[], &mut up);
                down.iter_mut().zip(&up).for_each(|(down, up)| *down = keep * *down - drop * up);
                descent.step(&down);
            }
        }
        Unlearned { weights: descent.served().to_vec(), row_passes: row_passes as f64, stop: Stop::Done }
    }
}
