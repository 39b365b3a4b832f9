//! Dense layers.

use super::graph::{Attr, Elem, Graph, Value};
use super::inputs::Inputs;
use crate::learn::{Activation, DenseLayer, Layout, NetFormula, Task};

/// The scores of a network: `rows x outputs`, f32.
pub(super) fn scores(graph: &mut Graph, inputs: &Inputs, layout: &Layout, net: &NetFormula) -> Value {
    let dense = dense(graph, inputs, layout, net);
    let mut x = dense;
    for (at, layer) in net.layers.iter().enumerate() {
        let mut sums = layer_sums(graph, inputs, layout, x.as_ref(), layer);
        if at + 1 < net.layers.len() {
            let op = match net.activation {
                Activation::Relu => "Relu",
                Activation::Tanh => "Tanh",
            };
            sums = graph.op(op, &[&sums]);
        }
        x = Some(sums);
    }
    let outputs = x.unwrap_or_else(|| unreachable!("a network has a layer"));
    match layout.task {
        Task::Classes(_) => graph.op_with("Softmax", &[&outputs], &[("axis", Attr::Int(1))]),
        Task::Number => {
            let (shift, gain) = (graph.scalar(net.target.0), graph.scalar(net.target.1));
            let wide = graph.op("Div", &[&outputs, &gain]);
            graph.op("Add", &[&wide, &shift])
        }
    }
}

/// Numbers, bytes and indicators, scaled; nothing where there are categories alone.
fn dense(graph: &mut Graph, inputs: &Inputs, layout: &Layout, net: &NetFormula) -> Option<Value> {
    let mut parts = Vec::new();
    if let (Some(stored), Some(missing)) = (&inputs.stored, &inputs.missing) {
        let shifts = graph.constant(&[1, net.shifts.len()], &net.shifts);
        let gains = graph.constant(&[1, net.gains.len()], &net.gains);
        let centred = graph.op("Sub", &[stored, &shifts]);
        let scaled = graph.op("Mul", &[&centred, &gains]);
        let zero = graph.scalar(0.0_f32);
        let mut scaled = graph.op("Where", &[missing, &zero, &scaled]);
        if let Some(bound) = net.bound {
            let (low, high) = (graph.scalar(-bound), graph.scalar(bound));
            scaled = graph.op("Clip", &[&scaled, &low, &high]);
        }
        parts.push(scaled);
    }
    if let Some(bytes) = &inputs.bytes {
        let floats = graph.cast(bytes, Elem::F32);
        let scales = graph.constant(&[1, layout.byte_scales.len()], &layout.byte_scales);
        parts.push(graph.op("Mul", &[&floats, &scales]));
    }
    if let (Some(missing), false) = (&inputs.missing, layout.indicators.is_empty()) {
        let columns: Vec<i64> = layout.indicators.iter().map(|column| i64::from(*column)).collect();
        let columns = graph.constant(&[columns.len()], &columns);
        let missing = graph.op_with("Gather", &[missing, &columns], &[("axis", Attr::Int(1))]);
        parts.push(graph.cast(&missing, Elem::F32));
    }
    (!parts.is_empty()).then(|| graph.concat(&parts.iter().collect::<Vec<_>>()))
}

/// `x W + b`, and of the first layer the table's rows.
fn layer_sums(graph: &mut Graph, inputs: &Inputs, layout: &Layout, x: Option<&Value>, layer: &DenseLayer) -> Value {
    let width = layer.width;
    let biases = graph.constant(&[width], &layer.biases);
    let mut sums = match x {
        Some(x) => {
            let weights = graph.constant(&[layer.weights.len() / width.max(1), width], &layer.weights);
            graph.op("Gemm", &[x, &weights, &biases])
        }
        None => biases,
    };
    if !layer.table.is_empty() {
        let mut table = layer.table.as_slice();
        for (index, size) in inputs.categories.iter().zip(&layout.categories) {
            let (of_column, rest) = table.split_at(*size as usize * width);
            table = rest;
            let of_column = graph.constant(&[*size as usize, width], of_column);
            let row = graph.op("Gather", &[&of_column, index]);
            sums = graph.op("Add", &[&sums, &row]);
        }
    }
    sums
}
