//! SCRUB.

use super::{Job, Method, Setting, Stop, Unlearned, descent::Descent, order::Of};
use crate::learn::{Differentiable, Features, Labels, Rows, Toward};

/// Alternates epochs: away from the model as it was on forget rows, then towards it and the labels on what stays (Kurmanji et al. 2023,
/// section 3, equation 3): `w + rate_max * grad KL(p0 || p)` on forget rows in plain steps, `w - rate * grad (alpha KL(p0 || p) + gamma L)` on
/// the others; the last epochs only the latter.
#[derive(Debug)]
pub(super) struct Scrub {
    max_epochs: f64,
    min_epochs: f64,
    rate: f64,
    max_rate: f64,
    alpha: f64,
    gamma: f64,
}

impl Default for Scrub {
    fn default() -> Scrub {
        Scrub { max_epochs: 2.0, min_epochs: 3.0, rate: 0.4, max_rate: 0.1, alpha: 0.1, gamma: 0.9 }
    }
}

/// Scores of all rows by the model as it was.
fn teacher(model: &mut dyn Differentiable, weights: &[f32], features: &Features<'_>) -> Vec<f32> {
    let mut scores = vec![0.0; features.rows() * model.outputs()];
    model.scores(weights, features, &mut scores);
    scores
}

/// The gradient of `alpha KL(p0 || p) + gamma L` is `alpha + gamma` times that towards the mean of both targets with these weights: the target
/// stands in it linearly.
fn mixed(rows: &Rows<'_>, row: u32, teacher: &[f32], (alpha, gamma): (f32, f32), out: &mut Vec<f32>) {
    let sum = alpha + gamma;
    match rows.labels {
        Labels::Classes(classes) => {
            let class = classes.get(row as usize).copied().unwrap_or(0) as usize;
            let label = |at: usize| if at == class { gamma } else { 0.0 };
            out.extend(teacher.iter().enumerate().map(|(at, p)| (alpha * p + label(at)) / sum));
        }
        Labels::Numbers(numbers) => {
            let label = numbers.get(row as usize).copied().unwrap_or(0.0);
            out.extend(teacher.iter().map(|t| (alpha * t + gamma * label) / sum));
        }
    }
}

impl Method for Scrub {
    fn name(&self) -> &'static str {
        "scrub"
    }

    fn settings(&mut self) -> Vec<Setting<'_>> {
        vec![
            Setting::passes("max-epochs", &mut self.max_epochs),
            Setting::passes("min-epochs", &mut self.min_epochs),
            Setting::rate("rate", &mut self.rate),
            Setting::rate("max-rate", &mut self.max_rate),
            Setting::number("alpha", &mut self.alpha, 1000.0),
            Setting { range: (1e-6, 1000.0), ..Setting::number("gamma", &mut self.gamma, 1000.0) },
        ]
    }

    fn expected(&self, retain: f64, forget: f64, _: f64) -> f64 {
        (self.min_epochs * retain + self.max_epochs * forget) * 4.0 / 3.0
    }

    fn run(&self, model: &mut dyn Differentiable, job: &Job<'_>) -> Unlearned {
        let (from, outputs) = (model.weights().to_vec(), model.outputs());
        let before = teacher(model, &from, &job.rows.features);
        let of = |row: u32| before.get(row as usize * outputs..(row as usize + 1) * outputs).unwrap_or_default();
        let mut descent = Descent::new(model, &from, job.rules.at(self.rate));
        let (mut gradient, mut targets) = (vec![0.0; from.len()], Vec::new());
        let both = (self.alpha as f32, self.gamma as f32);
        let (mut away, mut back) = (0, 0);
        for epoch in 0..self.min_epochs as u32 {
            if epoch < self.max_epochs as u32 {
                let mut up = Descent::new(model, descent.weights(), job.rules.at(self.max_rate).plain());
                for batch in job.orders.pass(Of::Forget, epoch, job.forget, job.records).chunks(job.rules.batch) {
                    targets.clear();
                    batch.iter().for_each(|row| targets.extend_from_slice(of(*row)));
                    model.gradient(up.weights(), &job.rows, batch, Toward::Scores(&targets), &[], &mut gradient);
                    gradient.iter_mut().for_each(|g| *g = -*g);
                    up.step(&gradient);
                    away += batch.len();
                }
                descent.go_on_from(up.weights());
            }
            for batch in job.orders.pass(Of::Retain, epoch, job.retain, job.records).chunks(job.rules.batch) {
                targets.clear();
                batch.iter().for_each(|row| mixed(&job.rows, *row, of(*row), both, &mut targets));
                model.gradient(descent.weights(), &job.rows, batch, Toward::Scores(&targets), &[], &mut gradient);
                gradient.iter_mut().for_each(|g| *g *= both.0 + both.1);
                descent.step(&gradient);
                back += batch.len();
            }
        }
        Unlearned { weights: descent.served().to_vec(), row_passes: (away + back) as f64 * 4.0 / 3.0, stop: Stop::Done }
    }
}

#[cfg(test)]
mod tests {
    use super::{super::testing::World, *};

    #[test]
    fn the_gradient_of_both_losses_is_that_towards_their_mixed_target() {
        let world = World::new();
        let (job, mut model) = (world.job(), world.model());
        let weights: Vec<f32> = model.weights().iter().map(|w| w * 0.5 + 0.01).collect();
        let before = model.weights().to_vec();
        let teacher = teacher(&mut *model, &before, &job.rows.features);
        let batch: Vec<u32> = (0..16).collect();
        let mut targets = Vec::new();
        batch.iter().for_each(|row| mixed(&job.rows, *row, &teacher[*row as usize * 3..][..3], (0.3, 0.9), &mut targets));
        let mut gradient = |toward: Toward<'_>| {
            let mut out = vec![0.0; weights.len()];
            model.gradient(&weights, &job.rows, &batch, toward, &[], &mut out);
            out
        };
        let (labels, kl) = (gradient(Toward::Labels), gradient(Toward::Scores(&teacher[..48])));
        let both = gradient(Toward::Scores(&targets));
        for ((both, labels), kl) in both.iter().zip(&labels).zip(&kl) {
            assert!((1.2 * both - (0.9 * labels + 0.3 * kl)).abs() < 1e-5);
        }
    }
}
