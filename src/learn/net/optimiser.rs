//! Parameters with their moments and averages, and how a gradient changes them.
#![expect(clippy::indexing_slicing, reason = "ranges are the shape's own, and the vectors are as long as it says")]

use std::ops::Range;

use super::layers::Shape;
use super::settings::{Activation, Decay, Descent, NetSettings, Optimizer};
use crate::num::{Floats, Isa, Team, stream, sum, update, update::Update};

/// Everything that training changes beside the scaler. All vectors are as long as the shape has parameters.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Parameters {
    /// Updates so far.
    pub(super) updates: u64,
    /// The weights and biases that are trained.
    pub(super) current: Floats,
    /// The average of them, which serves; [`Parameters::settle`] brings it up to date.
    pub(super) average: Floats,
    /// Whether the average is that of one: the current weights, which were not copied yet.
    pub(super) unsettled: bool,
    /// SGD's velocity, or Adam's mean of gradients.
    pub(super) first: Floats,
    /// Adam's mean of squared gradients; empty for SGD.
    pub(super) second: Floats,
}

/// By how many cache lines vectors that are used side by side begin at different places of a page (64 lines).
const LEAD: usize = 5;

/// When in the whole training an update happens.
#[derive(Clone, Copy, Debug)]
pub(super) struct Moment {
    /// The step, from 1.
    pub(super) step: u32,
    /// Steps in all.
    pub(super) steps: u32,
    /// Progress of the batch's first visit, as a fraction of 2^32 of the step.
    pub(super) progress: u32,
}

/// One update: what becomes of a parameter by its gradient.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rule {
    optimizer: Optimizer,
    rate: f32,
    l2: f32,
    /// Updates so far, this one included.
    updates: u64,
    /// Of the averages.
    gain: f32,
}

/// Some parameters and what belongs to them. The vectors that an update does not touch are empty.
#[derive(Debug)]
pub(super) struct Part<'a> {
    w: &'a mut [f32],
    first: &'a mut [f32],
    second: &'a mut [f32],
    average: &'a mut [f32],
}

impl Rule {
    /// The same for biases: without L2.
    pub(super) fn of_biases(&self) -> Rule {
        Rule { l2: 0.0, ..*self }
    }

    /// Updates a part by its gradient; `num::update` documents the operations.
    pub(super) fn apply(&self, team: Team, g: &[f32], part: Part<'_>) {
        let Rule { optimizer, rate, l2, updates, gain } = *self;
        let update = Update { isa: Isa::active(), team, avg_gain: gain, w: part.w, g, avg: part.average };
        match optimizer {
            Optimizer::Sgd { momentum } => update.sgd(update::Sgd { rate, momentum, l2 }, part.first),
            Optimizer::Adam { beta1, beta2, epsilon } => {
                let (corr1, corr2) = (update::correction(beta1, updates), update::correction(beta2, updates));
                update.adam(update::Adam { rate, beta1, beta2, eps: epsilon, l2, corr1, corr2 }, part.first, part.second);
            }
        }
    }
}

impl Parameters {
    /// The parameters before any row. Without hidden layers all are 0. Otherwise biases are 0, and weights are drawn layer by
    /// layer, row-major, uniform on [-a, a): a is sqrt(6 / (in + out)) for tanh and for the output layer (Glorot and Bengio
    /// 2010, equation 16), sqrt(6 / in) before relu (He et al. 2015, equation 10).
    pub(super) fn init(shape: &Shape, settings: &NetSettings, seed: [u8; 32]) -> Parameters {
        let [mut current, mut average, first, second] = Parameters::vectors(shape.parameters(), &settings.descent.optimizer);
        if !settings.hidden.is_empty() {
            let mut stream = stream::stream(seed);
            let last = shape.layers().len() - 1;
            for (l, layer) in shape.layers().iter().enumerate() {
                let fan_in = shape.fan_in(l);
                let fan = match settings.activation {
                    Activation::Relu if l < last => fan_in,
                    _ => fan_in + layer.width,
                };
                let bound = (6.0 / fan as f32).sqrt();
                let weights = &mut current[layer.weights()];
                // A first layer without inputs has no weights, and no bound.
                if !weights.is_empty() {
                    stream::uniform(&mut stream, -bound, bound, weights);
                }
            }
        }
        average.copy_from_slice(&current);
        Parameters { updates: 0, average, unsettled: false, first, second, current }
    }

    /// Room for the weights, averages, first and second moments of so many parameters: a step reads and writes all of them side by side.
    pub(super) fn vectors(length: usize, optimizer: &Optimizer) -> [Floats; 4] {
        let second = match optimizer {
            Optimizer::Sgd { .. } => 0,
            Optimizer::Adam { .. } => length,
        };
        let [average, first] = [1, 2].map(|place| Floats::zeros_behind(place * LEAD, length));
        [Floats::zeros(length), average, first, Floats::zeros_behind(3 * LEAD, second)]
    }

    /// Makes the average what it is said to be. To be called before anybody reads it.
    pub(super) fn settle(&mut self) {
        if std::mem::take(&mut self.unsettled) {
            self.average.copy_from_slice(&self.current);
        }
    }

    /// Counts one more update, whose gradients may then come in parts, and says what it does with them.
    pub(super) fn begin(&mut self, settings: &Descent, moment: Moment) -> Rule {
        self.updates += 1;
        let gain = average_gain(settings.average, self.updates);
        // At a gain of 1 the average is the weight itself, which is copied once somebody asks. (The kernel's
        // `average + (weight - average)` is rounded twice, and may be an ulp beside it.)
        let averages = gain < 1.0;
        if averages {
            self.settle();
        }
        self.unsettled = !averages;
        Rule { optimizer: settings.optimizer, rate: rate(settings, moment), l2: settings.l2, updates: self.updates, gain }
    }

    /// The parameters of a range, in parts of so many.
    pub(super) fn parts(&mut self, range: Range<usize>, part: usize, rule: &Rule) -> impl Iterator<Item = Part<'_>> {
        let average = if rule.gain < 1.0 { &mut self.average[range.clone()] } else { &mut [] };
        let second = if self.second.is_empty() { &mut [] } else { &mut self.second[range.clone()] };
        let (w, first) = (self.current[range.clone()].chunks_mut(part), self.first[range].chunks_mut(part));
        let mut rest = (second.chunks_mut(part), average.chunks_mut(part));
        w.zip(first).map(move |(w, first)| Part {
            w,
            first,
            second: rest.0.next().unwrap_or_default(),
            average: rest.1.next().unwrap_or_default(),
        })
    }

    /// One update by the gradient of every parameter.
    pub(super) fn update(&mut self, shape: &Shape, rule: &Rule, gradients: &[f32], team: Team) {
        for layer in shape.layers() {
            for (range, rule) in [(layer.weights(), rule), (layer.biases(), &rule.of_biases())] {
                let length = range.len().max(1);
                for part in self.parts(range.clone(), length, rule) {
                    rule.apply(team, &gradients[range.clone()], part);
                }
            }
        }
    }

    /// The name of the first vector that holds a number that is not finite.
    pub(super) fn not_finite(&self) -> Option<&'static str> {
        let vectors = [
            ("a weight", &self.current),
            ("a moment of the gradient", &self.first),
            ("a moment of the squared gradient", &self.second),
            ("an averaged weight", &self.average),
        ];
        let bad = vectors.into_iter().find(|(_, vector)| !vector.iter().all(|x| x.is_finite()));
        bad.map(|(name, _)| name)
    }
}

/// Makes a gradient that is longer than `most` as long as that: every element times `f32(most / length)`, the length the root of
/// [`sum::squares`] and the quotient in f64.
pub(super) fn shorten(gradient: &mut [f32], most: f32) {
    let length = sum::squares(gradient).sqrt();
    if length > f64::from(most) {
        let factor = (f64::from(most) / length) as f32;
        gradient.iter_mut().for_each(|g| *g *= factor);
    }
}

/// The rate of an update.
fn rate(settings: &Descent, moment: Moment) -> f32 {
    match settings.decay {
        Decay::Constant => settings.rate,
        Decay::Linear => settings.rate * (1.0 - progress(moment)),
    }
}

/// How far into the whole training: `(f32(step - 1) + f32(progress) * 2^-32) * (1 / f32(steps))`. At most 1, as
/// `steps * (1 / steps)` never rounds to more.
fn progress(moment: Moment) -> f32 {
    const SCALE: f32 = 1.0 / 4_294_967_296.0;
    let done = moment.step.saturating_sub(1) as f32 + moment.progress as f32 * SCALE;
    done * (1.0 / moment.steps as f32)
}

/// `min(1, 1 / (average * f32(updates)))`.
fn average_gain(average: f32, updates: u64) -> f32 {
    (1.0 / (average * updates as f32)).min(1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rate_falls_to_nothing_and_never_below() {
        for steps in 1..=2000 {
            let moment = Moment { step: steps, steps, progress: u32::MAX };
            assert!((0.999..=1.0).contains(&progress(moment)), "{steps} steps");
        }
        let half = Moment { step: 2, steps: 4, progress: 1 << 31 };
        assert_eq!(progress(half), 0.375);
    }

    #[test]
    fn at_gain_one_the_average_is_the_weight_itself() {
        let layout = crate::learn::net::tests::layout(1, crate::learn::Task::Number);
        let mut settings = crate::learn::net::tests::settings();
        settings.descent.l2 = 0.0;
        let shape = Shape::new(&layout, &[], settings.activation);
        let mut parameters = Parameters::init(&shape, &settings, [0; 32]);
        // 1e-9 - 1 rounds to -1, and 1 + -1 is not 1e-9.
        parameters.current.fill(1e-9);
        parameters.average.fill(1.0);
        let moment = Moment { step: 1, steps: 1, progress: 0 };
        let rule = parameters.begin(&settings.descent, moment);
        parameters.update(&shape, &rule, &[0.0, 0.0], Team::solo());
        parameters.settle();
        assert_eq!(*parameters.average, [1e-9, 1e-9]);
    }

    #[test]
    fn a_long_gradient_keeps_its_direction_and_a_short_one_its_length() {
        let mut gradient = [3.0, -4.0, 0.0];
        shorten(&mut gradient, 5.0);
        assert_eq!(gradient, [3.0, -4.0, 0.0]);
        shorten(&mut gradient, 2.5);
        assert_eq!(gradient, [1.5, -2.0, 0.0]);
        // Squares of these are beyond an f32.
        let mut large = [3e30, 4e30];
        shorten(&mut large, 1.0);
        assert!((large[0] - 0.6).abs() < 1e-6 && (large[1] - 0.8).abs() < 1e-6, "{large:?}");
    }

    #[test]
    fn the_average_is_the_weights_for_the_first_updates() {
        assert_eq!(average_gain(0.05, 1), 1.0);
        assert_eq!(average_gain(0.05, 19), 1.0);
        assert_eq!(average_gain(0.05, 40), 0.5);
        assert_eq!(average_gain(0.0, u64::MAX), 1.0);
        assert_eq!(average_gain(1.0, 4), 0.25);
    }
}
