//! Wrong labels.

use rand_core::RngCore;

use super::{Job, Method, Setting, Stop, Unlearned, descent::Descent, order::Of};
use crate::learn::{Differentiable, Labels, Toward};

/// Gives forget rows labels drawn from the other classes (a number: that of any other row) and descends on all rows (Graves et al. 2021,
/// section 4.1; Golatkar et al. 2020, section 6, "random labels").
#[derive(Debug)]
pub(super) struct RandomLabels {
    epochs: f64,
    rate: f64,
}

impl Default for RandomLabels {
    fn default() -> RandomLabels {
        RandomLabels { epochs: 1.0, rate: 0.4 }
    }
}

/// What all rows are drawn to, `rows x outputs`: their labels, but for forget rows.
fn wanted(job: &Job<'_>, outputs: usize) -> Vec<f32> {
    let mut stream = job.orders.stream("random labels");
    let mut below = |n: usize| if n == 0 { 0 } else { ((u128::from(stream.next_u64()) * n as u128) >> 64) as usize };
    let mut out = vec![0.0; job.rows.features.rows() * outputs];
    match job.rows.labels {
        Labels::Classes(classes) => {
            let mut classes = classes.to_vec();
            for row in job.forget {
                if let Some(class) = classes.get_mut(*row as usize) {
                    *class = (*class + 1 + below(outputs.saturating_sub(1)) as u32) % outputs as u32;
                }
            }
            for (scores, class) in out.chunks_mut(outputs.max(1)).zip(classes) {
                if let Some(score) = scores.get_mut(class as usize) {
                    *score = 1.0;
                }
            }
        }
        Labels::Numbers(numbers) => {
            out.copy_from_slice(numbers);
            for row in job.forget {
                let other = job.retain.get(below(job.retain.len())).and_then(|other| numbers.get(*other as usize));
                if let (Some(to), Some(other)) = (out.get_mut(*row as usize), other) {
                    *to = *other;
                }
            }
        }
    }
    out
}

impl Method for RandomLabels {
    fn name(&self) -> &'static str {
        "random-labels"
    }

    fn settings(&mut self) -> Vec<Setting<'_>> {
        vec![Setting::passes("epochs", &mut self.epochs), Setting::rate("rate", &mut self.rate)]
    }

    fn expected(&self, retain: f64, forget: f64, _: f64) -> f64 {
        self.epochs * (retain + forget)
    }

    fn run(&self, model: &mut dyn Differentiable, job: &Job<'_>) -> Unlearned {
        let (from, outputs) = (model.weights().to_vec(), model.outputs());
        let wanted = wanted(job, outputs);
        let rows: Vec<u32> = job.retain.iter().chain(job.forget).copied().collect();
        let mut descent = Descent::new(model, &from, job.rules.at(self.rate));
        let (mut gradient, mut scores) = (vec![0.0; from.len()], Vec::new());
        for pass in 0..self.epochs as u32 {
            for batch in job.orders.pass(Of::Both, pass, &rows, job.records).chunks(job.rules.batch) {
                scores.clear();
                let of = |row: &u32| wanted.get(*row as usize * outputs..(*row as usize + 1) * outputs);
                batch.iter().filter_map(of).for_each(|row| scores.extend_from_slice(row));
                model.gradient(descent.weights(), &job.rows, batch, Toward::Scores(&scores), &[], &mut gradient);
                descent.step(&gradient);
            }
        }
        Unlearned { weights: descent.served().to_vec(), row_passes: self.epochs * rows.len() as f64, stop: Stop::Done }
    }
}

#[cfg(test)]
mod tests {
    use super::{super::testing::World, *};

    #[test]
    fn forget_rows_get_another_class_and_the_others_keep_theirs() {
        let world = World::new();
        let job = world.job();
        let wanted = wanted(&job, 3);
        let Labels::Classes(classes) = job.rows.labels else { unreachable!() };
        for (row, class) in classes.iter().enumerate() {
            let scores = &wanted[row * 3..][..3];
            let own = scores[*class as usize];
            assert_eq!((scores.iter().sum::<f32>(), own), (1.0, if job.forget.contains(&(row as u32)) { 0.0 } else { 1.0 }));
        }
    }
}
