//! Descent from some weights by the rules of a learner, with empty moments and an average of its own.
#![expect(clippy::indexing_slicing, reason = "ranges are the model's own, and all vectors are as long as its weights")]

use std::ops::Range;

use crate::{
    learn::{self, Differentiable, LearnerSettings, Optimizer},
    num::{
        Isa, Team,
        update::{self, Update},
    },
};

/// How a learner descends.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rules {
    /// How a gradient becomes a change.
    pub optimizer: Optimizer,
    /// The learning rate.
    pub rate: f32,
    /// The penalty on the squared weights, biases left out.
    pub l2: f32,
    /// Rows of a batch.
    pub batch: usize,
    /// The average's gain is 1 / (average * updates), at most 1.
    pub average: f32,
}

impl Rules {
    /// Those of a learner that descends; `None` for others.
    pub fn of(learner: &LearnerSettings) -> Option<Rules> {
        let descent = match learner {
            LearnerSettings::Linear(descent) => descent,
            LearnerSettings::Mlp(settings) => &settings.descent,
            _ => return None,
        };
        let learn::Descent { optimizer, rate, l2, batch, average, .. } = *descent;
        Some(Rules { optimizer, rate, l2, batch: batch as usize, average })
    }

    /// The same at another rate, a multiple of this one.
    pub(super) fn at(self, multiple: f64) -> Rules {
        Rules { rate: (f64::from(self.rate) * multiple) as f32, ..self }
    }

    /// Plain steps: no momentum, no penalty, no average.
    pub(super) fn plain(self) -> Rules {
        Rules { optimizer: Optimizer::Sgd { momentum: 0.0 }, l2: 0.0, average: 0.0, ..self }
    }
}

/// Weights on their way down.
#[derive(Clone, Debug)]
pub(super) struct Descent {
    rules: Rules,
    /// Ranges with their share of the penalty.
    ranges: Vec<(Range<usize>, f32)>,
    updates: u64,
    weights: Vec<f32>,
    average: Vec<f32>,
    first: Vec<f32>,
    second: Vec<f32>,
}

impl Descent {
    /// From these weights on.
    pub(super) fn new(model: &dyn Differentiable, from: &[f32], rules: Rules) -> Descent {
        let mut ranges = Vec::new();
        let mut at = 0;
        for decayed in model.decayed() {
            ranges.push((at..decayed.start, 0.0));
            at = decayed.end;
            ranges.push((decayed, rules.l2));
        }
        ranges.push((at..from.len(), 0.0));
        ranges.retain(|(range, _)| !range.is_empty());
        let second = match rules.optimizer {
            Optimizer::Sgd { .. } => Vec::new(),
            Optimizer::Adam { .. } => vec![0.0; from.len()],
        };
        let (weights, average, first) = (from.to_vec(), from.to_vec(), vec![0.0; from.len()]);
        Descent { rules, ranges, updates: 0, weights, average, first, second }
    }

    /// The weights that the next gradient is to be taken at.
    pub(super) fn weights(&self) -> &[f32] {
        &self.weights
    }

    /// One update; `num::update` documents the operations.
    pub(super) fn step(&mut self, gradient: &[f32]) {
        self.updates += 1;
        let gain = (1.0 / (self.rules.average * self.updates as f32)).min(1.0);
        let averages = gain < 1.0;
        for (range, l2) in &self.ranges {
            let l2 = *l2;
            let w = &mut self.weights[range.clone()];
            let g = &gradient[range.clone()];
            let first = &mut self.first[range.clone()];
            let average = if averages { &mut self.average[range.clone()] } else { &mut [] };
            let update = Update { isa: Isa::active(), team: Team::solo(), avg_gain: gain, w, g, avg: average };
            match self.rules.optimizer {
                Optimizer::Sgd { momentum } => update.sgd(update::Sgd { rate: self.rules.rate, momentum, l2 }, first),
                Optimizer::Adam { beta1, beta2, epsilon } => {
                    let (corr1, corr2) = (update::correction(beta1, self.updates), update::correction(beta2, self.updates));
                    let adam = update::Adam { rate: self.rules.rate, beta1, beta2, eps: epsilon, l2, corr1, corr2 };
                    update.adam(adam, first, &mut self.second[range.clone()]);
                }
            }
        }
        if !averages {
            self.average.copy_from_slice(&self.weights);
        }
    }

    /// Goes on from other weights; moments and average stay.
    pub(super) fn go_on_from(&mut self, weights: &[f32]) {
        self.weights.copy_from_slice(weights);
    }

    /// The averaged weights.
    pub(super) fn served(&self) -> &[f32] {
        &self.average
    }
}

#[cfg(test)]
mod tests {
    use super::{super::testing::World, *};

    #[test]
    fn steps_follow_the_rules_element_by_element() {
        let world = World::new();
        let model = world.model();
        let from = model.weights().to_vec();
        let optimizer = Optimizer::Sgd { momentum: 0.5 };
        let mut descent = Descent::new(&*model, &from, Rules { optimizer, rate: 0.1, l2: 0.25, batch: 1, average: 1.0 });
        let gradient: Vec<f32> = (0..from.len()).map(|i| 0.01 * i as f32).collect();
        descent.step(&gradient);
        descent.step(&gradient);
        let biases: Vec<usize> = (0..from.len()).filter(|i| !model.decayed().iter().any(|r| r.contains(i))).collect();
        for (i, (from, g)) in from.iter().zip(&gradient).enumerate() {
            let l2 = if biases.contains(&i) { 0.0 } else { 0.25 };
            let v1 = f64::from(*g) + l2 * f64::from(*from);
            let w1 = f64::from(*from) - 0.1 * v1;
            let v2 = 0.5 * v1 + f64::from(*g) + l2 * w1;
            let w2 = w1 - 0.1 * v2;
            assert!((f64::from(descent.weights()[i]) - w2).abs() < 1e-6);
            // The gain of the second update is 1 / 2.
            assert!((f64::from(descent.served()[i]) - 0.5 * (w1 + w2)).abs() < 1e-6);
        }
        assert!(!biases.is_empty());
    }
}
