//! Selective synaptic dampening.

use super::{Job, Method, Setting, Stop, Unlearned, order::Of};
use crate::learn::Differentiable;

/// Damps weights that matter far more to forget rows than to all rows, by the diagonals of their Fisher information: where
/// `F_forget > alpha F_all`, `w * min(lambda F_all / F_forget, 1)` (Foster et al. 2024, section 4, equations 4 and 5). It needs nothing of what
/// stays once `F_all`, of a sample, is known.
#[derive(Debug)]
pub(super) struct Ssd {
    alpha: f64,
    lambda: f64,
    sample: f64,
}

impl Default for Ssd {
    fn default() -> Ssd {
        Ssd { alpha: 10.0, lambda: 1.0, sample: 4000.0 }
    }
}

/// The mean over rows of the squared gradient.
fn fisher(model: &mut dyn Differentiable, weights: &[f32], job: &Job<'_>, rows: &[u32]) -> Vec<f32> {
    let mut out = vec![0.0; weights.len()];
    model.squares(weights, &job.rows, rows, &mut out);
    let share = 1.0 / rows.len().max(1) as f32;
    out.iter_mut().for_each(|x| *x *= share);
    out
}

impl Method for Ssd {
    fn name(&self) -> &'static str {
        "ssd"
    }

    fn settings(&mut self) -> Vec<Setting<'_>> {
        vec![
            Setting::number("alpha", &mut self.alpha, 1e6),
            Setting::number("lambda", &mut self.lambda, 1e6),
            Setting { name: "sample", value: &mut self.sample, range: (1.0, 1e9), whole: true },
        ]
    }

    fn expected(&self, retain: f64, forget: f64, _: f64) -> f64 {
        forget + self.sample.min(retain + forget)
    }

    fn run(&self, model: &mut dyn Differentiable, job: &Job<'_>) -> Unlearned {
        let mut weights = model.weights().to_vec();
        let rows: Vec<u32> = job.retain.iter().chain(job.forget).copied().collect();
        let mut sample = job.orders.pass(Of::Both, 0, &rows, job.records);
        sample.truncate(self.sample as usize);
        let (forget, all) = (fisher(model, &weights, job, job.forget), fisher(model, &weights, job, &sample));
        let (alpha, lambda) = (self.alpha as f32, self.lambda as f32);
        for ((w, forget), all) in weights.iter_mut().zip(forget).zip(all) {
            if forget > alpha * all {
                *w *= (lambda * all / forget).min(1.0);
            }
        }
        Unlearned { weights, row_passes: (job.forget.len() + sample.len()) as f64, stop: Stop::Done }
    }
}
