//! A trained network as a function of its weights.

use std::{fmt, ops::Range};

use super::layers::{self, Products, Shape, Workspace};
use super::{NetState, SCORED_ROWS};
use crate::learn::batch::{Batch, Block, Columns};
use crate::learn::differentiable::{Differentiable, Toward};
use crate::learn::scaler::Scaler;
use crate::learn::{Features, Rows, Task};
use crate::num::Team;

/// A network's shape, scales and weights, and the buffers of a pass through it.
pub(super) struct NetModel {
    columns: Columns,
    shape: Shape,
    scaler: Scaler,
    weights: Vec<f32>,
    batch: Batch,
    work: Workspace,
}

impl fmt::Debug for NetModel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NetModel").field("weights", &self.weights.len()).finish_non_exhaustive()
    }
}

impl NetModel {
    /// The model that a state serves.
    pub(super) fn of(state: &NetState) -> NetModel {
        NetModel {
            columns: state.columns.clone(),
            shape: state.shape.clone(),
            scaler: state.scaler.clone(),
            weights: state.parameters.average.to_vec(),
            batch: Batch::default(),
            work: Workspace::default(),
        }
    }

    /// Gathers rows with their labels and runs them through.
    fn forward(&mut self, weights: &[f32], rows: &Rows<'_>, at: &[u32]) {
        let block = [Block::of(&rows.features, &self.columns)];
        let places = at.iter().map(|row| (0, *row as usize));
        self.batch.gather(&self.columns, &self.scaler, &block, places.clone(), Team::solo());
        self.batch.label(&self.columns, &self.scaler, &[rows.labels], places);
        layers::forward(&self.shape, weights, &self.batch, Team::solo(), &mut self.work, &[]);
    }

    /// Turns outputs into what they lack: `(score - target) * importance * share`.
    fn differ(&mut self, toward: Toward<'_>, importance: &[f32], share: f32) {
        let (task, width) = (self.columns.task(), self.columns.task().outputs());
        match toward {
            Toward::Labels => layers::differences(task, &self.batch, share, self.work.outputs_mut()),
            Toward::Scores(scores) => {
                let outputs = self.work.outputs_mut();
                assert_eq!(outputs.len(), scores.len(), "rows x outputs scores");
                let target = self.scaler.target();
                for (z, score) in outputs.iter_mut().zip(scores) {
                    let wanted = if task == Task::Number { target.apply(*score) } else { *score };
                    *z = (*z - wanted) * share;
                }
            }
        }
        if !importance.is_empty() {
            assert_eq!(importance.len(), self.batch.rows(), "one importance a row");
            for (z, importance) in self.work.outputs_mut().chunks_exact_mut(width.max(1)).zip(importance) {
                z.iter_mut().for_each(|z| *z *= importance);
            }
        }
    }
}

impl Differentiable for NetModel {
    fn weights(&self) -> &[f32] {
        &self.weights
    }

    fn outputs(&self) -> usize {
        self.columns.task().outputs()
    }

    fn output_layer(&self) -> Range<usize> {
        self.shape.layers().last().map_or(0..0, |layer| layer.weights().start..layer.biases().end)
    }

    fn decayed(&self) -> Vec<Range<usize>> {
        self.shape.layers().iter().map(layers::Layer::weights).collect()
    }

    fn target_variance(&self) -> f64 {
        match self.columns.task() {
            Task::Classes(_) => 1.0,
            Task::Number => {
                let gain = f64::from(self.scaler.target().gain);
                1.0 / (gain * gain)
            }
        }
    }

    fn scores(&mut self, weights: &[f32], features: &Features<'_>, out: &mut [f32]) {
        let block = [Block::of(features, &self.columns)];
        let width = self.outputs();
        assert_eq!(out.len(), features.rows() * width, "rows x outputs scores");
        let starts = (0..features.rows()).step_by(SCORED_ROWS);
        for (start, out) in starts.zip(out.chunks_mut((SCORED_ROWS * width).max(1))) {
            let places = (start..features.rows().min(start + SCORED_ROWS)).map(|row| (0, row));
            self.batch.gather(&self.columns, &self.scaler, &block, places, Team::solo());
            layers::forward(&self.shape, weights, &self.batch, Team::solo(), &mut self.work, &[]);
            out.copy_from_slice(self.work.outputs());
            if self.columns.task() == Task::Number {
                let target = self.scaler.target();
                out.iter_mut().for_each(|score| *score = target.undo(*score));
            }
        }
    }

    fn gradient(
        &mut self,
        weights: &[f32],
        rows: &Rows<'_>,
        at: &[u32],
        toward: Toward<'_>,
        importance: &[f32],
        out: &mut [f32],
    ) {
        assert_eq!(out.len(), self.weights.len(), "a gradient is as long as the weights");
        if at.is_empty() {
            out.fill(0.0);
            return;
        }
        self.forward(weights, rows, at);
        self.differ(toward, importance, 1.0 / at.len() as f32);
        layers::backward_from(&self.shape, weights, &self.batch, Team::solo(), &mut self.work, Products::Plain);
        out.copy_from_slice(self.work.gradients());
    }

    fn squares(&mut self, weights: &[f32], rows: &Rows<'_>, at: &[u32], out: &mut [f32]) {
        assert_eq!(out.len(), self.weights.len(), "a gradient is as long as the weights");
        for at in at.chunks(SCORED_ROWS) {
            self.forward(weights, rows, at);
            self.differ(Toward::Labels, &[], 1.0);
            layers::backward_from(&self.shape, weights, &self.batch, Team::solo(), &mut self.work, Products::Squared);
            out.iter_mut().zip(self.work.gradients()).for_each(|(sum, square)| *sum += square);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{Data, layout, mixed, net, settings, visits};
    use super::*;
    use crate::learn::testing::Lanes;
    use crate::learn::{Activation, Decay, Descent, Layout, Learner, LearnerSettings, NetSettings, Optimizer, State, Step};

    /// A trained network with a hidden layer, and its rows.
    fn world(task: Task) -> (Layout, Data, Box<dyn State>) {
        let (layout, settings) = (mixed(task), NetSettings { hidden: vec![6], activation: Activation::Tanh, ..settings() });
        let data = [Data::derived(&layout, 60, 4)];
        let mut state = net(&settings).init(&layout, [3; 32]);
        let prefix = [data[0].rows()];
        state.step(&Step { index: 1, of: 1, prefix: &prefix, visits: &visits(&data, 3), crew: &Lanes(1) }).unwrap();
        let [data] = data;
        (layout, data, state)
    }

    /// The loss of a row by its definition, from the scores of the model.
    fn loss(model: &mut dyn Differentiable, weights: &[f32], data: &Data, row: usize) -> f64 {
        let width = model.outputs();
        let mut scores = vec![0.0; data.labels.len() * width];
        model.scores(weights, &data.features(), &mut scores);
        if width > 1 {
            return -libm::log(f64::from(scores[row * width + data.labels[row] as usize]));
        }
        let error = f64::from(scores[row]) - f64::from(data.labels[row]);
        0.5 * error * error / model.target_variance()
    }

    #[test]
    fn scores_are_those_of_the_state() {
        for task in [Task::Classes(3), Task::Number] {
            let (_, data, state) = world(task);
            let mut model = state.differentiable().unwrap();
            let mut expected = vec![0.0; 60 * task.outputs()];
            state.scores(&data.features(), &Team::solo(), &mut expected);
            let (mut got, weights) = (vec![0.0; expected.len()], model.weights().to_vec());
            model.scores(&weights, &data.features(), &mut got);
            assert_eq!(got, expected);
        }
    }

    #[test]
    fn gradients_are_differences_of_losses() {
        let at = [3, 11, 11, 40];
        let importance = [0.5, 2.0, 1.0, 0.0];
        for task in [Task::Classes(3), Task::Number] {
            let (_, data, state) = world(task);
            let mut model = state.differentiable().unwrap();
            let weights = model.weights().to_vec();
            let mut gradient = vec![0.0; weights.len()];
            model.gradient(&weights, &data.rows(), &at, Toward::Labels, &importance, &mut gradient);
            for (i, gradient) in gradient.iter().enumerate() {
                let mut total = |by: f32| {
                    let mut moved = weights.clone();
                    moved[i] += by;
                    let rows = at.iter().zip(&importance);
                    rows.map(|(row, w)| f64::from(*w) * loss(&mut *model, &moved, &data, *row as usize)).fold(0.0, |a, b| a + b)
                        / 4.0
                };
                let slope = (total(0.01) - total(-0.01)) / 0.02;
                assert!((f64::from(*gradient) - slope).abs() < 2e-3 * (1.0 + slope.abs()), "{task:?} {i}: {gradient} {slope}");
            }
        }
    }

    #[test]
    fn towards_certain_scores_is_towards_labels_and_training_takes_the_same_gradient() {
        let (layout, data, state) = world(Task::Classes(3));
        let mut model = state.differentiable().unwrap();
        let (weights, at) = (model.weights().to_vec(), (0..60).collect::<Vec<u32>>());
        let certain: Vec<f32> =
            data.labels.iter().flat_map(|y| (0..3).map(move |k| if k as f32 == *y { 1.0 } else { 0.0 })).collect();
        let mut gradient = |toward: Toward<'_>| {
            let mut out = vec![0.0; weights.len()];
            model.gradient(&weights, &data.rows(), &at, toward, &[], &mut out);
            out
        };
        let labels = gradient(Toward::Labels);
        assert_eq!(labels, gradient(Toward::Scores(&certain)));
        // One whole batch at rate 1 without anything else: the first weights less the gradient there.
        let plain = Optimizer::Sgd { momentum: 0.0 };
        let descent = Descent {
            optimizer: plain,
            rate: 1.0,
            decay: Decay::Constant,
            l2: 0.0,
            batch: 60,
            average: 0.0,
            clip: None,
            max_gradient: None,
        };
        let settings = NetSettings { hidden: vec![6], descent, ..settings() };
        let mut state = net(&settings).init(&layout, [3; 32]);
        let first = state.differentiable().unwrap().weights().to_vec();
        let prefix = [data.rows()];
        let visits: Vec<_> = (0..60).map(|row| crate::learn::Visit { slice: 0, row, progress: 0 }).collect();
        state.step(&Step { index: 1, of: 1, prefix: &prefix, visits: &visits, crew: &Lanes(1) }).unwrap();
        let mut after = state.differentiable().unwrap();
        let mut gradient = vec![0.0; first.len()];
        after.gradient(&first, &data.rows(), &at, Toward::Labels, &[], &mut gradient);
        let expected: Vec<f32> = first.iter().zip(&gradient).map(|(w, g)| w - g).collect();
        let off = after.weights().iter().zip(&expected).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        assert!(off < 1e-6, "{off}");
    }

    #[test]
    fn squares_are_the_squared_gradients_of_single_rows() {
        for task in [Task::Classes(3), Task::Number] {
            let (_, data, state) = world(task);
            let mut model = state.differentiable().unwrap();
            let weights = model.weights().to_vec();
            let at: Vec<u32> = (0..20).collect();
            let (mut squares, mut expected, mut one) =
                (vec![0.0; weights.len()], vec![0.0_f64; weights.len()], vec![0.0; weights.len()]);
            model.squares(&weights, &data.rows(), &at, &mut squares);
            for row in at {
                model.gradient(&weights, &data.rows(), &[row], Toward::Labels, &[], &mut one);
                expected.iter_mut().zip(&one).for_each(|(sum, g)| *sum += f64::from(*g) * f64::from(*g));
            }
            for (got, expected) in squares.iter().zip(expected) {
                assert!((f64::from(*got) - expected).abs() <= 1e-4 * expected.max(1e-3), "{got} {expected}");
            }
        }
    }

    #[test]
    fn the_output_layer_and_the_decayed_weights_are_where_they_are() {
        let (_, _, state) = world(Task::Classes(3));
        let model = state.differentiable().unwrap();
        // 3 numbers, 2 bytes, 2 indicators, 7 categories into 6 units, these into 3.
        let first = 14 * 6;
        assert_eq!(model.weights().len(), first + 6 + 18 + 3);
        assert_eq!(model.decayed(), [0..first, first + 6..first + 24]);
        assert_eq!(model.output_layer(), first + 6..first + 27);
        let ridge = LearnerSettings::of("ridge").unwrap().check().unwrap();
        let ranged = Layout { ranges: vec![Some(crate::learn::Range([0.0, 1.0])); 2], ..layout(2, Task::Classes(2)) };
        assert!(ridge.init(&ranged, [0; 32]).differentiable().is_none());
    }
}
