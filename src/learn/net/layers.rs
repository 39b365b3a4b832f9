//! Forward and backward through dense layers over one flat vector of parameters.
//!
//! The vector holds layer after layer: weights (rows x width, row-major), then biases (width). The first layer's rows are
//! the dense inputs, then one for every value of every category column.
#![expect(clippy::indexing_slicing, reason = "ranges are the shape's own, and buffers are sized from it on entry")]

use std::ops::Range;

use super::settings::Activation;
use crate::learn::batch::Batch;
use crate::learn::{DenseLayer, Layout, Task};
use crate::num::gemm::{Form, Gemm, Packed};
use crate::num::{Team, gather, poly, sum};

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

/// What a pass through the network needs beside its parameters. The buffers stay from batch to batch.
#[derive(Debug, Default)]
pub(super) struct Workspace {
    packed: Packed,
    /// Of each layer its outputs (`rows x width`); of the last one probabilities or the number, and on the way back
    /// their gradient.
    outputs: Vec<Vec<f32>>,
    /// Of each hidden layer the gradient of its outputs, then of its sums (`rows x width`).
    deltas: Vec<Vec<f32>>,
    /// The gradient of every parameter.
    gradients: Vec<f32>,
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
        self.outputs.last().map_or(&[], Vec::as_slice)
    }

    /// The network's outputs, to be turned into their gradients.
    pub(super) fn outputs_mut(&mut self) -> &mut [f32] {
        self.outputs.last_mut().map_or(&mut [], Vec::as_mut_slice)
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
pub(super) fn forward(shape: &Shape, parameters: &[f32], batch: &Batch, team: Team, work: &mut Workspace) {
    let rows = batch.rows();
    work.outputs.resize_with(shape.layers.len(), Vec::new);
    for (l, layer) in shape.layers.iter().enumerate() {
        let (before, after) = work.outputs.split_at_mut(l);
        let x = before.last().map_or(batch.dense(), Vec::as_slice);
        let z = &mut after[0];
        z.resize(rows * layer.width, 0.0);
        let weights = &parameters[layer.dense_weights()];
        Gemm::of(team, Form::Nn, [rows, layer.width, layer.dense]).run(&mut work.packed, x, weights, z);
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
    work.gradients.resize(shape.parameters(), 0.0);
    work.deltas.resize_with(shape.layers.len().saturating_sub(1), Vec::new);
    for (l, layer) in shape.layers.iter().enumerate().rev() {
        let (below, own) = work.deltas.split_at_mut(l);
        let d = own.first().map_or(&work.outputs[l][..], Vec::as_slice);
        let x = if l == 0 { batch.dense() } else { &work.outputs[l - 1] };
        let (squared_x, squared_d) = &mut work.squares;
        let (left, right) = match products {
            Products::Plain => (x, d),
            Products::Squared => (square(x, squared_x), square(d, squared_d)),
        };
        let g = &mut work.gradients[layer.dense_weights()];
        Gemm::of(team, Form::Tn, [layer.dense, layer.width, rows]).run(&mut work.packed, left, right, g);
        if layer.table > 0 {
            let g = &mut work.gradients[layer.table_weights()];
            g.fill(0.0);
            let indices = batch.index().chunks_exact(shape.categories.max(1));
            for (index, d) in indices.zip(right.chunks_exact(layer.width)) {
                gather::scatter_rows(g, layer.width, index, d);
            }
        }
        sum::columns(team, layer.width, right, &mut work.gradients[layer.biases()]);
        if let Some(under) = below.last_mut() {
            under.resize(rows * layer.dense, 0.0);
            let weights = &parameters[layer.dense_weights()];
            Gemm::of(team, Form::Nt, [rows, layer.dense, layer.width]).run(&mut work.packed, d, weights, under);
            match shape.activation {
                Activation::Relu => poly::relu_backward(team, x, under),
                Activation::Tanh => poly::tanh_backward(team, x, under),
            }
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
