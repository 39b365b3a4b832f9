//! A regression on integer features. All features are integers from 0 to 127, and what is computed of them stays below 2^53: in f64
//! they are the engine's own.

use super::graph::{Attr, Elem, Graph, Value};
use super::image;
use super::inputs::Inputs;
use crate::learn::{Layout, RandomFeatures, RidgeFormula, Task};

/// What an input is when something is so, and the greatest level.
const ON: f64 = 64.0;
const MOST: f64 = 127.0;

/// The scores of a regression: `rows x outputs`, f32.
pub(super) fn scores(graph: &mut Graph, inputs: &Inputs, layout: &Layout, ridge: &RidgeFormula) -> Value {
    let outputs = layout.task.outputs();
    let mut parts = Vec::new();
    parts.extend(numbers(graph, inputs, ridge));
    if let Some(bytes) = &inputs.bytes {
        let bytes = graph.cast(bytes, Elem::F64);
        parts.push(match ridge.image {
            Some(size) => image::channels(graph, &bytes, size),
            None => {
                let scales: Vec<f64> = layout.byte_scales.iter().map(|scale| f64::from(*scale)).collect();
                let scales = graph.constant(&[1, scales.len()], &scales);
                let shares = graph.op("Mul", &[&bytes, &scales]);
                level(graph, &shares)
            }
        });
    }
    for ((size, shared), index) in ridge.categories.iter().zip(&inputs.categories) {
        match shared {
            None => parts.push(one_hot(graph, index, *size as usize)),
            Some(groups) => {
                for group in groups {
                    let places: Vec<i64> = group.iter().copied().map(i64::from).collect();
                    let places = graph.constant(&[places.len()], &places);
                    let place = graph.op("Gather", &[&places, index]);
                    parts.push(one_hot(graph, &place, ridge.group));
                }
            }
        }
    }
    let all = graph.concat(&parts.iter().collect::<Vec<_>>());
    let width = ridge.weights.len() / outputs.max(1);
    let dimension = ridge.random.as_ref().map_or(0, |random| random.offsets.len());
    let features = match &ridge.random {
        None => all,
        Some(random) => {
            let random = random_features(graph, &all, random, width - 1 - dimension);
            graph.concat(&[&all, &random])
        }
    };
    // The bias is a feature of 127 in every row.
    let (bias, weights) = ridge.weights.split_at(outputs.min(ridge.weights.len()));
    let bias: Vec<f64> = bias.iter().map(|weight| weight * MOST).collect();
    let (bias, weights) = (graph.constant(&[1, outputs], &bias), graph.constant(&[width - 1, outputs], weights));
    let sums = graph.op("MatMul", &[&features, &weights]);
    let sums = graph.op("Add", &[&sums, &bias]);
    match layout.task {
        Task::Classes(_) => shares(graph, &sums, outputs, ridge.shares),
        Task::Number => {
            let (low, span, most) = ridge.target;
            let [low, span, most] = [low, span, most].map(|x| graph.scalar(x));
            let share = graph.op("Div", &[&sums, &most]);
            let share = within(graph, &share, 0.0, 1.0);
            let above = graph.op("Mul", &[&share, &span]);
            let number = graph.op("Add", &[&low, &above]);
            graph.cast(&number, Elem::F32)
        }
    }
}

/// A number between two ends.
fn within(graph: &mut Graph, value: &Value, low: f64, high: f64) -> Value {
    let (low, high) = (graph.scalar(low), graph.scalar(high));
    graph.op("Clip", &[value, &low, &high])
}

/// Shares as levels: the nearest of 0 to 127, halves up.
fn level(graph: &mut Graph, shares: &Value) -> Value {
    let shares = within(graph, shares, 0.0, 1.0);
    let (most, half) = (graph.scalar(MOST), graph.scalar(0.5));
    let level = graph.op("Mul", &[&shares, &most]);
    let level = graph.op("Add", &[&level, &half]);
    graph.op("Floor", &[&level])
}

/// For each number column its level, which bins' lower ends it reaches, and whether it is missing.
fn numbers(graph: &mut Graph, inputs: &Inputs, ridge: &RidgeFormula) -> Option<Value> {
    let (stored, missing) = (inputs.stored.as_ref()?, inputs.missing.as_ref()?);
    let columns = ridge.numbers.len();
    let (lows, spans): (Vec<f64>, Vec<f64>) = ridge.numbers.iter().copied().unzip();
    let (low, span) = (graph.constant(&[1, columns], &lows), graph.constant(&[1, columns], &spans));
    let wide = graph.cast(stored, Elem::F64);
    let known = graph.op("Where", &[missing, &low, &wide]);
    let above = graph.op("Sub", &[&known, &low]);
    let share = graph.op("Div", &[&above, &span]);
    let share = within(graph, &share, 0.0, 1.0);
    let zero = graph.scalar(0.0_f64);
    let levels = level(graph, &share);
    let last = graph.constant(&[1], &[2_i64]);
    // Each `rows x columns x 1`, but for the bins.
    let third = |graph: &mut Graph, value: &Value| graph.op("Unsqueeze", &[value, &last]);
    let unknown = third(graph, missing);
    let levels = third(graph, &levels);
    let mut parts = vec![graph.op("Where", &[&unknown, &zero, &levels])];
    if ridge.bins > 1 {
        let count = graph.scalar(ridge.bins as f64);
        let bin = graph.op("Mul", &[&share, &count]);
        let bin = graph.op("Floor", &[&bin]);
        let bin = third(graph, &bin);
        let ends: Vec<f64> = (1..ridge.bins).map(|bin| bin as f64).collect();
        let ends = graph.constant(&[1, 1, ends.len()], &ends);
        let reached = graph.op("GreaterOrEqual", &[&bin, &ends]);
        let known = graph.op("Not", &[&unknown]);
        let reached = graph.op("And", &[&reached, &known]);
        let on = graph.scalar(ON);
        parts.push(graph.op("Where", &[&reached, &on, &zero]));
    }
    let most = graph.scalar(MOST);
    parts.push(graph.op("Where", &[&unknown, &most, &zero]));
    let all = graph.op_with("Concat", &parts.iter().collect::<Vec<_>>(), &[("axis", Attr::Int(2))]);
    let shape = graph.constant(&[2], &[-1_i64, (columns * (ridge.bins + 1)) as i64]);
    Some(graph.op("Reshape", &[&all, &shape]))
}

/// One of so many inputs is on.
fn one_hot(graph: &mut Graph, index: &Value, size: usize) -> Value {
    let (depth, values) = (graph.scalar(size as i64), graph.constant(&[2], &[0.0_f32, ON as f32]));
    let inputs = graph.op_with("OneHot", &[index, &depth, &values], &[("axis", Attr::Int(1))]);
    graph.cast(&inputs, Elem::F64)
}

/// Rectified projections, or cosines of them.
fn random_features(graph: &mut Graph, inputs: &Value, random: &RandomFeatures, width: usize) -> Value {
    let dimension = random.offsets.len();
    let weights = graph.constant(&[dimension, width], &random.weights);
    let weights = graph.op_with("Transpose", &[&weights], &[("perm", Attr::Ints(&[1, 0]))]);
    let weights = graph.cast(&weights, Elem::F64);
    let sums = graph.op("MatMul", &[inputs, &weights]);
    let offsets: Vec<f64> = random.offsets.iter().copied().map(f64::from).collect();
    let offsets = graph.constant(&[1, dimension], &offsets);
    let (factor, unit) = (graph.scalar(random.factor as f64), graph.scalar(1.0 / f64::from(1 << 24)));
    let scaled = |graph: &mut Graph, sums: &Value| {
        // Above 2^53 a product is rounded, and then far beyond both ends of what is wanted of it.
        let product = graph.op("Mul", &[sums, &factor]);
        let product = graph.op("Mul", &[&product, &unit]);
        graph.op("Floor", &[&product])
    };
    match &random.wave {
        None => {
            let moved = graph.op("Add", &[&sums, &offsets]);
            let levels = scaled(graph, &moved);
            within(graph, &levels, 0.0, MOST)
        }
        Some(wave) => {
            let phase = scaled(graph, &sums);
            let phase = graph.op("Add", &[&phase, &offsets]);
            let phase = graph.cast(&phase, Elem::I64);
            let turn = graph.scalar(wave.len() as i64);
            let phase = graph.op_with("Mod", &[&phase, &turn], &[("fmod", Attr::Int(0))]);
            let wave: Vec<f64> = wave.iter().copied().map(f64::from).collect();
            let wave = graph.constant(&[wave.len()], &wave);
            graph.op("Gather", &[&wave, &phase])
        }
    }
}

/// Sums as shares of classes: none below a least one, to a power, all alike where nothing is known.
fn shares(graph: &mut Graph, sums: &Value, outputs: usize, (least, power): (f64, usize)) -> Value {
    let most = graph.reduce("ReduceMax", sums, 1, true);
    let (zero, two, least) = (graph.scalar(0.0_f64), graph.scalar(2.0_f64), graph.scalar(least));
    let known = graph.op("Greater", &[&most, &zero]);
    let half = graph.op("Div", &[&most, &two]);
    let least = graph.op("Min", &[&least, &half]);
    let share = graph.op("Max", &[sums, &least]);
    let part = (1..power).fold(share.clone(), |product, _| graph.op("Mul", &[&product, &share]));
    let total = graph.reduce("ReduceSum", &part, 1, true);
    let shares = graph.op("Div", &[&part, &total]);
    let alike = graph.scalar(1.0 / outputs as f64);
    let shares = graph.op("Where", &[&known, &shares, &alike]);
    graph.cast(&shares, Elem::F32)
}
