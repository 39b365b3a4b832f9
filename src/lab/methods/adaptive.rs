//! The adaptive mix of descent and ascent.

use super::{
    Job, Method, Setting, Stop, Unlearned,
    descent::Descent,
    goals::Goals,
    neg_grad::REACHED,
    order::{Cycle, Of},
};
use crate::{
    lab::measures::mean,
    learn::{Differentiable, Toward},
    num::sum,
};

/// Each step descends on what stays, and ascends on those forget rows that are still known better than their goal, weighted by how much. The
/// ascent loses its part along the retain gradient where that part would raise the retain loss (as PCGrad projects, Yu et al. 2020, section 2.3), and is scaled
/// by the gap that is left, to nothing: no step ever descends on a forget row. A model stops when its mean gap is below a tenth of what it was
/// at `patience` checks in a row, after one whole pass, or when its passes are used up. No retrained model is looked at.
#[derive(Debug)]
pub(super) struct Adaptive {
    passes: f64,
    rate: f64,
    pull: f64,
    check: f64,
    patience: f64,
}

impl Default for Adaptive {
    fn default() -> Adaptive {
        Adaptive { passes: 2.0, rate: 1.0, pull: 0.2, check: 8.0, patience: 3.0 }
    }
}

/// A row counts at most so many times the mean gap of the start.
const WEIGHT_MAX: f64 = 3.0;
/// The ascent's gradient is lengthened at most so much.
const STRETCH_MAX: f32 = 10.0;

/// What is left, and what it means for the next steps.
struct Gap {
    /// For each forget row the weight of its ascent.
    weights: Vec<f32>,
    /// The mean gap as a share of that of the start.
    share: f64,
}

impl Gap {
    fn new(left: &[f64], start: f64) -> Gap {
        let weights = left.iter().map(|left| (left / start).min(WEIGHT_MAX) as f32);
        Gap { weights: weights.collect(), share: mean(left) / start }
    }
}

/// Turns the gradient of what stays into that of the mix: `g_r - beta g_f`, with `g_f` freed of its part along `g_r` where both point the same
/// way, and `beta = pull * min(share left, 1) * min(|g_r| / |g_f|, 10)`.
fn mix(down: &mut [f32], up: &[f32], pull: f32) {
    let (rr, ff, rf) = (sum::dot(down, down), sum::dot(up, up), sum::dot(down, up));
    if ff == 0.0 {
        return;
    }
    let beta = pull * (rr / ff.max(1e-20)).sqrt().min(STRETCH_MAX);
    let along = if rf > 0.0 { rf / rr.max(1e-20) } else { 0.0 };
    down.iter_mut().zip(up).for_each(|(down, up)| *down -= beta * (up - along * *down));
}

impl Method for Adaptive {
    fn name(&self) -> &'static str {
        "adaptive"
    }

    fn settings(&mut self) -> Vec<Setting<'_>> {
        vec![
            Setting::passes("passes", &mut self.passes),
            Setting::rate("rate", &mut self.rate),
            Setting::number("pull", &mut self.pull, 1000.0),
            Setting { name: "check", value: &mut self.check, range: (1.0, 1e6), whole: true },
            Setting { name: "patience", value: &mut self.patience, range: (1.0, 1e6), whole: true },
        ]
    }

    fn expected(&self, retain: f64, forget: f64, batch: f64) -> f64 {
        let checks = (retain / batch).ceil() / self.check;
        self.passes * (retain + super::beside(retain, forget, batch) + checks * (2048.0 + forget) / 3.0)
    }

    fn run(&self, model: &mut dyn Differentiable, job: &Job<'_>) -> Unlearned {
        let from = model.weights().to_vec();
        let goals = Goals::new(model, job);
        let mut descent = Descent::new(model, &from, job.rules.at(self.rate));
        let mut forget = Cycle::new(&job.orders, job.forget, job.records, job.rules.batch);
        let (left, mut row_passes) = goals.left(model, &from, job);
        let start = mean(&left).max(1e-6);
        let mut gap = Gap::new(&left, start);
        let (mut down, mut up, mut weights) = (vec![0.0; from.len()], vec![0.0; from.len()], Vec::new());
        let (mut steps, mut calm) = (0_u32, 0_u32);
        for pass in 0..self.passes as u32 {
            for batch in job.orders.pass(Of::Retain, pass, job.retain, job.records).chunks(job.rules.batch) {
                model.gradient(descent.weights(), &job.rows, batch, Toward::Labels, &[], &mut down);
                row_passes += batch.len() as f64;
                let against = forget.batch();
                weights.clear();
                let at = |row: &u32| gap.weights.get(job.forget.partition_point(|f| f < row)).copied();
                weights.extend(against.iter().filter_map(at));
                if weights.iter().any(|w| *w > 0.0) {
                    model.gradient(descent.weights(), &job.rows, against, Toward::Labels, &weights, &mut up);
                    row_passes += against.len() as f64;
                    mix(&mut down, &up, (self.pull * gap.share.min(1.0)) as f32);
                }
                descent.step(&down);
                steps += 1;
                if steps.is_multiple_of(self.check as u32) {
                    let (left, cost) = goals.left(model, descent.served(), job);
                    row_passes += cost;
                    gap = Gap::new(&left, start);
                    calm = if gap.share < REACHED { calm + 1 } else { 0 };
                    if calm >= self.patience as u32 && steps as usize * job.rules.batch >= job.retain.len() {
                        return Unlearned { weights: descent.served().to_vec(), row_passes, stop: Stop::Goal };
                    }
                }
            }
        }
        Unlearned { weights: descent.served().to_vec(), row_passes, stop: Stop::Budget }
    }
}

#[cfg(test)]
mod tests {
    use super::{
        super::{Clean, testing::World},
        *,
    };

    #[test]
    fn without_a_gap_its_steps_are_those_of_the_rows_that_stay_to_the_bit() {
        let world = World::new();
        let mut job = world.job();
        // Constituents that are sure of every label: every goal lies below the loss.
        let sure = |rows: &crate::learn::Rows<'_>| {
            let crate::learn::Labels::Classes(classes) = rows.labels else { unreachable!() };
            classes.iter().flat_map(|c| (0..3).map(move |k| if k == *c { 1.0 } else { 0.0 })).collect::<Vec<f32>>()
        };
        let held = vec![1.0 / 3.0; world.held_rows() * 3];
        let clean = Clean { scores: sure(&job.forgotten), held_scores: held };
        job.clean = &clean;
        let mut model = world.model();
        let adaptive = Adaptive { passes: 1.0, ..Adaptive::default() }.run(&mut *model, &job);
        let from = model.weights().to_vec();
        let tuned = super::super::fine_tune::passes(&mut *model, &job, &from, 1.0, 1.0);
        assert_eq!(adaptive.weights, tuned.weights);
        assert_ne!(adaptive.weights, from);
    }

    #[test]
    fn with_a_gap_it_raises_the_loss_of_forget_rows_more_than_fine_tuning() {
        let world = World::new();
        let mut job = world.job();
        // Constituents that know nothing: every row should cost ln 3.
        let clean = Clean { scores: vec![1.0 / 3.0; job.forget.len() * 3], held_scores: vec![1.0 / 3.0; world.held_rows() * 3] };
        job.clean = &clean;
        let mut model = world.model();
        let from = model.weights().to_vec();
        let before = mean(&super::super::job::losses_of(&mut *model, &from, &job.forgotten));
        let unlearned = Adaptive::default().run(&mut *model, &job);
        let after = mean(&super::super::job::losses_of(&mut *model, &unlearned.weights, &job.forgotten));
        let tuned = super::super::fine_tune::passes(&mut *model, &job, &from, 2.0, 1.0);
        let plain = mean(&super::super::job::losses_of(&mut *model, &tuned.weights, &job.forgotten));
        assert!(after > plain && after > before, "{before} {plain} {after}");
    }

    #[test]
    fn ascent_never_raises_the_retain_loss_to_first_order() {
        let mut down = vec![3.0, 4.0, 0.0];
        mix(&mut down, &[6.0, 8.0, 5.0], 0.2);
        // Only the part across is left: beta = 0.2 * 5 / sqrt 125.
        let beta = 0.2 * 5.0 / 125.0_f32.sqrt();
        assert!((down[0] - 3.0).abs() < 1e-6 && (down[1] - 4.0).abs() < 1e-6 && (down[2] + beta * 5.0).abs() < 1e-6, "{down:?}");
        let mut against = vec![1.0, 0.0];
        mix(&mut against, &[-1.0, 0.0], 0.2);
        assert!((against[0] - 1.2).abs() < 1e-6, "{against:?}");
        let mut untouched = vec![1.5, -2.0];
        mix(&mut untouched, &[0.0, 0.0], 0.2);
        assert_eq!(untouched, [1.5, -2.0]);
    }
}
