//! Forward and backward through dense layers over one flat vector of parameters.
//!
//! The vector holds layer after layer: weights (rows x width, row-major), then biases (width). The first layer's rows are
//! the dense inputs, then one for every value of every category column.
#![expect(clippy::indexing_slicing, reason = "ranges are the shape's own, and buffers are sized from it on entry")]

use std::ops::Range;

use super::optimiser::{Parameters, Rule};
use super::settings::Activation;
use crate::learn::batch::Batch;
use crate::learn::{DenseLayer, Layout, Task};
use crate::num::gemm::{Form, Gemm, Packed, STRIP};
use crate::num::{Floats, Team, gather, poly, sum};

/// One layer's place in the vector of parameters.
#[derive(Clone, Debug)]
pub(super) struct Layer {
    /// Inputs that come as a matrix.
    pub(super) dense: usize,
    /// Rows of the table of category weights; 0 but for the first layer.
    pub(super) table: usize,
    /// Outputs.
    pub(super) width: usize,
    start: usize,
}

impl Layer {
    /// Where the weights are.
    pub(super) fn weights(&self) -> Range<usize> {
        self.start..self.table_start().saturating_add(self.table.saturating_mul(self.width))
    }

    /// Where the biases are.
    pub(super) fn biases(&self) -> Range<usize> {
        let start = self.weights().end;
        start..start.saturating_add(self.width)
    }

    /// Where the weights of the dense inputs end and those of the categories begin.
    fn table_start(&self) -> usize {
        self.start.saturating_add(self.dense.saturating_mul(self.width))
    }

    fn dense_weights(&self) -> Range<usize> {
        self.start..self.table_start()
    }

    fn table_weights(&self) -> Range<usize> {
        self.table_start()..self.weights().end
    }
}

/// The layers of a network.
#[derive(Clone, Debug)]
pub(super) struct Shape {
    layers: Vec<Layer>,
    categories: usize,
    activation: Activation,
    task: Task,
}

impl Shape {
    /// The network with these hidden widths over rows of this layout. Sizes saturate: a layout too large for memory
    /// has a count of parameters that no allocation and no file meets.
    pub(super) fn new(layout: &Layout, hidden: &[u32], activation: Activation) -> Shape {
        let mut dense = layout.numbers.saturating_add(layout.byte_scales.len()).saturating_add(layout.indicators.len());
        let sizes = layout.categories.iter().map(|&size| size as usize);
        let mut table = sizes.fold(0, usize::saturating_add);
        let mut start = 0;
        let mut layers = Vec::with_capacity(hidden.len() + 1);
        let widths = hidden.iter().map(|&width| width as usize);
        for width in widths.chain([layout.task.outputs()]) {
            let layer = Layer { dense, table, width, start };
            start = layer.biases().end;
            layers.push(layer);
            (dense, table) = (width, 0);
        }
        Shape { layers, categories: layout.categories.len(), activation, task: layout.task }
    }

    /// The layers, from the input on.
    pub(super) fn layers(&self) -> &[Layer] {
        &self.layers
    }

    /// How many parameters; `usize::MAX` for more than that.
    pub(super) fn parameters(&self) -> usize {
        self.layers.last().map_or(0, |layer| layer.biases().end)
    }

    /// The layers with their weights, from all parameters.
    pub(super) fn parts(&self, parameters: &[f32]) -> Vec<DenseLayer> {
        let part = |layer: &Layer| DenseLayer {
            width: layer.width,
            weights: parameters[layer.dense_weights()].to_vec(),
            table: parameters[layer.table_weights()].to_vec(),
            biases: parameters[layer.biases()].to_vec(),
        };
        self.layers.iter().map(part).collect()
    }

    /// Inputs of a layer that are not zero in every row: a category column counts once.
    pub(super) fn fan_in(&self, layer: usize) -> usize {
        self.layers[layer].dense + if layer == 0 { self.categories } else { 0 }
    }
}

/// Multiply-adds of a batch that are worth one lane more. Lanes meet some ten times a batch, and each time one waits for the other.
const LANE_FMAS: usize = 5_000_000;

/// The team for a batch of so many rows: no more lanes than it is worth. Depends on sizes alone, and changes no bit.
pub(super) fn team(shape: &Shape, rows: usize, team: Team) -> Team {
    // Forward, the weights' gradient, and but for the first layer that of the inputs.
    let times = std::iter::once(2).chain(std::iter::repeat(3));
    let products =
        shape.layers.iter().zip(times).map(|(layer, times)| layer.dense.saturating_mul(layer.width).saturating_mul(times));
    let fmas = products.fold(0, usize::saturating_add).saturating_mul(rows);
    Team::of(team.lanes().min(fmas / LANE_FMAS))
}

/// What a pass through the network needs beside its parameters. The buffers stay from batch to batch.
#[derive(Debug, Default)]
pub(super) struct Workspace {
    packed: Packed,
    /// Of each layer its outputs (`rows x width`); of the last one probabilities or the number, and on the way back
    /// their gradient.
    outputs: Vec<Floats>,
    /// Of each hidden layer the gradient of its outputs, then of its sums (`rows x width`).
    deltas: Vec<Floats>,
    /// The gradient of every parameter.
    gradients: Floats,
    /// Squares of a layer's inputs and of its gradients, for [`Products::Squared`].
    squares: (Vec<f32>, Vec<f32>),
}

/// What becomes of a layer's inputs and the gradients of its sums.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Products {
    /// The sum over rows of their products: the gradient.
    Plain,
    /// The sum over rows of their squared products: as a row's gradient is one product for each weight, that of its square.
    Squared,
}

impl Workspace {
    /// The network's outputs: `rows x width` of the last layer.
    pub(super) fn outputs(&self) -> &[f32] {
        self.outputs.last().map_or(&[], |outputs| outputs)
    }

    /// The network's outputs, to be turned into their gradients.
    pub(super) fn outputs_mut(&mut self) -> &mut [f32] {
        self.outputs.last_mut().map_or(&mut [], |outputs| outputs)
    }

    /// The gradient of every parameter, to be changed.
    pub(super) fn gradients_mut(&mut self) -> &mut [f32] {
        &mut self.gradients
    }

    /// The gradient of every parameter.
    pub(super) fn gradients(&self) -> &[f32] {
        &self.gradients
    }
}

/// `x W` over the dense inputs, plus the table's rows of the categories, plus the biases; the activation; and so on.
/// Leaves probabilities (classes) or the scaled number in [`Workspace::outputs`].
///
/// `ahead` are cells that will be read after the pass: the memory is asked for them in the meantime.
pub(super) fn forward(shape: &Shape, parameters: &[f32], batch: &Batch, team: Team, work: &mut Workspace, ahead: &[&[u8]]) {
    let rows = batch.rows();
    work.outputs.resize_with(shape.layers.len(), Floats::default);
    for (l, layer) in shape.layers.iter().enumerate() {
        let (before, after) = work.outputs.split_at_mut(l);
        let x = before.last().map_or(batch.dense(), |outputs| outputs);
        let z = &mut after[0];
        z.resize(rows * layer.width);
        let weights = &parameters[layer.dense_weights()];
        let ahead = if l == 0 { ahead } else { &[] };
        Gemm { ahead, ..Gemm::of(team, Form::Nn, [rows, layer.width, layer.dense]) }.run(&mut work.packed, x, weights, z);
        if layer.table > 0 && shape.categories > 0 {
            let table = &parameters[layer.table_weights()];
            let indices = batch.index().chunks_exact(shape.categories);
            for (index, z) in indices.zip(z.chunks_exact_mut(layer.width.max(1))) {
                gather::add_rows(table, layer.width, index, z);
            }
        }
        let biases = &parameters[layer.biases()];
        for z in z.chunks_exact_mut(layer.width.max(1)) {
            z.iter_mut().zip(biases).for_each(|(z, b)| *z += b);
        }
        if l + 1 < shape.layers.len() {
            match shape.activation {
                Activation::Relu => poly::relu_all(team, z),
                Activation::Tanh => poly::tanh_all(team, z),
            }
        } else if let Task::Classes(classes) = shape.task {
            poly::softmax_rows(team, classes as usize, z);
        }
    }
}

/// The gradient of the mean loss of the batch that [`forward`] was called on, into [`Workspace::gradients`]. The loss is the
/// cross entropy for classes, half the squared error of the scaled target for a number. The outputs are used up.
pub(super) fn backward(shape: &Shape, parameters: &[f32], batch: &Batch, team: Team, work: &mut Workspace) {
    differences(shape.task, batch, 1.0 / batch.rows() as f32, work.outputs_mut());
    backward_from(shape, parameters, batch, team, work, Products::Plain);
}

/// The same from outputs that were turned into their gradients.
pub(super) fn backward_from(
    shape: &Shape,
    parameters: &[f32],
    batch: &Batch,
    team: Team,
    work: &mut Workspace,
    products: Products,
) {
    let rows = batch.rows();
    work.gradients.resize(shape.parameters());
    work.deltas.resize_with(shape.layers.len().saturating_sub(1), Floats::default);
    for (l, layer) in shape.layers.iter().enumerate().rev() {
        let (x, d) = sides(l, batch, &work.outputs, &work.deltas);
        let (squared_x, squared_d) = &mut work.squares;
        let (left, right) = match products {
            Products::Plain => (x, d),
            Products::Squared => (square(x, squared_x), square(d, squared_d)),
        };
        let g = &mut work.gradients[layer.dense_weights()];
        Gemm::of(team, Form::Tn, [layer.dense, layer.width, rows]).run(&mut work.packed, left, right, g);
        small(shape, layer, batch, team, right, &mut work.gradients);
        below(shape, l, parameters, batch, team, work);
    }
}

/// Updates the parameters by the gradient of [`backward`]: the same bits as computing all of it before. A layer changes once its
/// inputs' gradient is known, which is the last that its old weights are for; its own gradient is used strip by strip while it is in
/// the nearest cache, and is never there as a whole.
///
/// `ahead` as in [`forward`].
pub(super) fn descend(
    shape: &Shape,
    parameters: &mut Parameters,
    rule: &Rule,
    batch: &Batch,
    team: Team,
    work: &mut Workspace,
    ahead: &[&[u8]],
) {
    differences(shape.task, batch, 1.0 / batch.rows() as f32, work.outputs_mut());
    work.gradients.resize(shape.parameters());
    work.deltas.resize_with(shape.layers.len().saturating_sub(1), Floats::default);
    for (l, layer) in shape.layers.iter().enumerate().rev() {
        below(shape, l, &parameters.current, batch, team, work);
        let (x, d) = sides(l, batch, &work.outputs, &work.deltas);
        let product = Gemm {
            ahead: if l == 0 { ahead } else { &[] },
            ..Gemm::of(team, Form::Tn, [layer.dense, layer.width, batch.rows()])
        };
        let parts = parameters.parts(layer.dense_weights(), STRIP * layer.width, rule);
        product.run_in_strips(&mut work.packed, x, d, parts, |g, part| rule.apply(Team::solo(), g, part));
        small(shape, layer, batch, team, d, &mut work.gradients);
        for (range, rule) in [(layer.table_weights(), rule), (layer.biases(), &rule.of_biases())] {
            for part in parameters.parts(range.clone(), range.len().max(1), rule) {
                rule.apply(team, &work.gradients[range.clone()], part);
            }
        }
    }
}

/// A layer's inputs and the gradients of its sums.
fn sides<'a>(l: usize, batch: &'a Batch, outputs: &'a [Floats], deltas: &'a [Floats]) -> (&'a [f32], &'a [f32]) {
    (if l == 0 { batch.dense() } else { &outputs[l - 1] }, deltas.get(l).unwrap_or(&outputs[l]))
}

/// The gradients of a layer that are sums over rows alone: of the table of categories and of the biases.
fn small(shape: &Shape, layer: &Layer, batch: &Batch, team: Team, d: &[f32], gradients: &mut [f32]) {
    if layer.table > 0 {
        let g = &mut gradients[layer.table_weights()];
        g.fill(0.0);
        let indices = batch.index().chunks_exact(shape.categories.max(1));
        for (index, d) in indices.zip(d.chunks_exact(layer.width)) {
            gather::scatter_rows(g, layer.width, index, d);
        }
    }
    sum::columns(team, layer.width, d, &mut gradients[layer.biases()]);
}

/// The gradient of the sums of the layer below this one, if there is one.
fn below(shape: &Shape, l: usize, parameters: &[f32], batch: &Batch, team: Team, work: &mut Workspace) {
    let (layer, rows) = (&shape.layers[l], batch.rows());
    let (below, own) = work.deltas.split_at_mut(l);
    if let Some(under) = below.last_mut() {
        let d = own.first().unwrap_or(&work.outputs[l]);
        under.resize(rows * layer.dense);
        let weights = &parameters[layer.dense_weights()];
        Gemm::of(team, Form::Nt, [rows, layer.dense, layer.width]).run(&mut work.packed, d, weights, under);
        match shape.activation {
            Activation::Relu => poly::relu_backward(team, &work.outputs[l - 1], under),
            Activation::Tanh => poly::tanh_backward(team, &work.outputs[l - 1], under),
        }
    }
}

/// The squares of numbers, in a buffer.
fn square<'a>(xs: &[f32], out: &'a mut Vec<f32>) -> &'a [f32] {
    out.clear();
    out.extend(xs.iter().map(|x| x * x));
    out
}

/// `(p - y) * share`, the share being 1 / n for a mean: y is 1 at the row's class and 0 elsewhere, or the scaled target.
pub(super) fn differences(task: Task, batch: &Batch, share: f32, outputs: &mut [f32]) {
    match task {
        Task::Classes(classes) => {
            let rows = outputs.chunks_exact_mut((classes as usize).max(1));
            for (p, &class) in rows.zip(batch.classes()) {
                p[class as usize] -= 1.0;
                p.iter_mut().for_each(|p| *p *= share);
            }
        }
        Task::Number => {
            for (z, target) in outputs.iter_mut().zip(batch.targets()) {
                *z = (*z - target) * share;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_small_batch_has_one_lane_and_a_large_one_all() {
        let layout = crate::learn::net::tests::layout(600, Task::Classes(100));
        let lanes = |hidden: &[u32], rows| team(&Shape::new(&layout, hidden, Activation::Tanh), rows, Team::of(2)).lanes();
        assert_eq!([0, 1, 32, 64, 256].map(|rows| lanes(&[128], rows)), [1, 1, 1, 2, 2]);
        assert_eq!([32, 256].map(|rows| lanes(&[], rows)), [1, 2]);
        assert_eq!(lanes(&[1024], 32), 2);
    }
}
