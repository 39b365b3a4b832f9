//! A teacher that never saw the rows.

use super::{
    Job, Method, Setting, Stop, Unlearned,
    descent::Descent,
    order::{Cycle, Of},
};
use crate::learn::{Differentiable, Toward};

/// Descends on what stays by its labels, and on what goes towards what constituents of a SISA ensemble say that never saw it: the teacher
/// that Chundawat et al. (2023, section 4) draw at random is there for free. Ours; it shows what shards know.
#[derive(Debug)]
pub(super) struct CleanTeacher {
    epochs: f64,
    rate: f64,
    weight: f64,
}

impl Default for CleanTeacher {
    fn default() -> CleanTeacher {
        CleanTeacher { epochs: 2.0, rate: 0.4, weight: 0.5 }
    }
}

impl Method for CleanTeacher {
    fn name(&self) -> &'static str {
        "clean-teacher"
    }

    fn settings(&mut self) -> Vec<Setting<'_>> {
        vec![
            Setting::passes("epochs", &mut self.epochs),
            Setting::rate("rate", &mut self.rate),
            Setting::number("weight", &mut self.weight, 1000.0),
        ]
    }

    fn expected(&self, retain: f64, forget: f64, batch: f64) -> f64 {
        self.epochs * (retain + super::beside(retain, forget, batch))
    }

    fn run(&self, model: &mut dyn Differentiable, job: &Job<'_>) -> Unlearned {
        let (from, outputs) = (model.weights().to_vec(), model.outputs());
        let mut descent = Descent::new(model, &from, job.rules.at(self.rate));
        let mut forget = Cycle::new(&job.orders, job.forget, job.records, job.rules.batch);
        let (mut down, mut toward, mut soft) = (vec![0.0; from.len()], vec![0.0; from.len()], Vec::new());
        let (weight, mut row_passes) = (self.weight as f32, 0);
        for pass in 0..self.epochs as u32 {
            for batch in job.orders.pass(Of::Retain, pass, job.retain, job.records).chunks(job.rules.batch) {
                let taught = forget.batch();
                soft.clear();
                for row in taught {
                    let at = job.forget.partition_point(|forget| forget < row);
                    soft.extend_from_slice(job.clean.scores.get(at * outputs..(at + 1) * outputs).unwrap_or_default());
                }
                row_passes += batch.len() + taught.len();
                model.gradient(descent.weights(), &job.rows, batch, Toward::Labels, &[], &mut down);
                model.gradient(descent.weights(), &job.rows, taught, Toward::Scores(&soft), &[], &mut toward);
                down.iter_mut().zip(&toward).for_each(|(down, toward)| *down += weight * toward);
                descent.step(&down);
            }
        }
        Unlearned { weights: descent.served().to_vec(), row_passes: row_passes as f64, stop: Stop::Done }
    }
}
