//! The page on what a step computes, as plain loops, and networks held against it bit by bit; against finite differences;
//! and against PyTorch.
#![expect(clippy::disallowed_methods, reason = "the reference is a loop of f32::mul_add, and f64's own functions")]

use super::optimiser::Parameters;
use super::settings::{Activation, Decay, Descent, NetSettings, Optimizer};
use super::tests::{Data, layout, mixed, net, settings, visits};
use super::{Batch, Block, Net, NetState, Workspace, layers};
use crate::learn::scaler::Scaler;
use crate::learn::testing::Lanes;
use crate::learn::{Layout, State, Step, Task};
use crate::num::{Team, poly, sum};

/// The sizes of the layers: dense inputs, category values, outputs, and where the weights start.
fn sizes(layout: &Layout, hidden: &[u32]) -> Vec<(usize, usize, usize, usize)> {
    let mut dense = layout.numbers + layout.byte_scales.len() + layout.indicators.len();
    let mut table: usize = layout.categories.iter().map(|&c| c as usize).sum();
    let (mut start, mut sizes) = (0, Vec::new());
    for width in hidden.iter().map(|&h| h as usize).chain([layout.task.outputs()]) {
        sizes.push((dense, table, width, start));
        start += (dense + table + 1) * width;
        (dense, table) = (width, 0);
    }
    sizes
}

/// Trains one step as the page says, from the scaler and the parameters given.
fn train(layout: &Layout, settings: &NetSettings, scaler: &Scaler, state: &mut Parameters, step: &Step<'_, '_>, data: &[Data]) {
    for visits in step.visits.chunks(settings.descent.batch as usize) {
        let n = visits.len();
        let rows: Vec<_> = visits.iter().map(|v| data[v.slice as usize].inputs(layout, scaler, v.row as usize)).collect();
        let targets: Vec<f32> = visits.iter().map(|v| data[v.slice as usize].labels[v.row as usize]).collect();
        let w = state.current.clone();
        let sizes = sizes(layout, &settings.hidden);
        // Forward.
        let mut values = vec![rows.iter().map(|(x, _)| x.clone()).collect::<Vec<_>>()];
        for (l, &(dense, table, width, start)) in sizes.iter().enumerate() {
            let last = l + 1 == sizes.len();
            let mut outputs = Vec::new();
            for i in 0..n {
                let mut z = vec![0.0f32; width];
                for (j, z) in z.iter_mut().enumerate() {
                    for k in 0..dense {
                        *z = values[l][i][k].mul_add(w[start + k * width + j], *z);
                    }
                    for &c in if l == 0 { &rows[i].1[..] } else { &[] } {
                        *z += w[start + (dense + c) * width + j];
                    }
                    *z += w[start + (dense + table) * width + j];
                    *z = match settings.activation {
                        _ if last => *z,
                        Activation::Relu => {
                            if *z < 0.0 {
                                0.0
                            } else {
                                *z
                            }
                        }
                        Activation::Tanh => poly::tanh(*z),
                    };
                }
                if last && layout.task != Task::Number {
                    let max = z.iter().copied().fold(f32::NEG_INFINITY, f32::max);
                    z.iter_mut().for_each(|z| *z = poly::exp(*z - max));
                    let total = sum::sum(&z);
                    z.iter_mut().for_each(|z| *z /= total);
                }
                outputs.push(z);
            }
            values.push(outputs);
        }
        // Loss.
        let share = 1.0 / n as f32;
        let mut d = values.pop().unwrap();
        for (d, target) in d.iter_mut().zip(&targets) {
            for (j, d) in d.iter_mut().enumerate() {
                let y = match layout.task {
                    Task::Classes(_) => {
                        if j == *target as usize {
                            1.0
                        } else {
                            0.0
                        }
                    }
                    Task::Number => (*target - scaler.target().shift) * scaler.target().gain,
                };
                *d = (*d - y) * share;
            }
        }
        // Backward.
        let mut g = vec![0.0f32; w.len()];
        for (l, &(dense, table, width, start)) in sizes.iter().enumerate().rev() {
            for j in 0..width {
                for k in 0..dense {
                    let g = &mut g[start + k * width + j];
                    for i in 0..n {
                        *g = values[l][i][k].mul_add(d[i][j], *g);
                    }
                }
                for i in 0..n {
                    for &c in if l == 0 { &rows[i].1[..] } else { &[] } {
                        g[start + (dense + c) * width + j] += d[i][j];
                    }
                    g[start + (dense + table) * width + j] += d[i][j];
                }
            }
            if l > 0 {
                let mut previous = vec![vec![0.0f32; dense]; n];
                for i in 0..n {
                    for k in 0..dense {
                        let (y, mut sum) = (values[l][i][k], 0.0f32);
                        for j in 0..width {
                            sum = d[i][j].mul_add(w[start + k * width + j], sum);
                        }
                        previous[i][k] = match settings.activation {
                            Activation::Relu => {
                                if y <= 0.0 {
                                    0.0
                                } else {
                                    sum
                                }
                            }
                            Activation::Tanh => sum * (-y).mul_add(y, 1.0),
                        };
                    }
                }
                d = previous;
            }
        }
        update(&settings.descent, &sizes, state, step, visits[0].progress, &g);
    }
}

/// One update, element by element.
fn update(
    settings: &Descent,
    sizes: &[(usize, usize, usize, usize)],
    state: &mut Parameters,
    step: &Step<'_, '_>,
    progress: u32,
    g: &[f32],
) {
    state.updates += 1;
    let u = state.updates;
    let done = ((step.index - 1) as f32 + progress as f32 * 2f32.powi(-32)) * (1.0 / step.of as f32);
    let rate = settings.rate * if settings.decay == Decay::Linear { 1.0 - done } else { 1.0 };
    let gain = (1.0 / (settings.average * u as f32)).min(1.0);
    for &(dense, table, width, start) in sizes {
        let weights = (dense + table) * width;
        for (p, &g) in g.iter().enumerate().skip(start).take(weights + width) {
            let l2 = if p < start + weights { settings.l2 } else { 0.0 };
            let (w, first) = (state.current[p], state.first[p]);
            let g = l2.mul_add(w, g);
            let w = match settings.optimizer {
                Optimizer::Sgd { momentum } => {
                    state.first[p] = momentum.mul_add(first, g);
                    (-rate).mul_add(state.first[p], w)
                }
                Optimizer::Adam { beta1, beta2, epsilon } => {
                    let correction = |beta: f32| {
                        let bits = (0..64).filter(|bit| u >> bit & 1 == 1);
                        let power = |bit| (0..bit).fold(f64::from(beta), |power, _| power * power);
                        (1.0 - bits.fold(1.0, |product, bit| product * power(bit))) as f32
                    };
                    let m = (1.0 - beta1).mul_add(g - first, first);
                    let v = (1.0 - beta2).mul_add(g * g, beta2 * state.second[p]);
                    (state.first[p], state.second[p]) = (m, v);
                    let root = correction(beta2).sqrt();
                    (-(rate / correction(beta1))).mul_add(m / (v.sqrt() / root + epsilon), w)
                }
            };
            let average = state.average[p];
            state.current[p] = w;
            state.average[p] = if gain == 1.0 { w } else { gain.mul_add(w - average, average) };
        }
    }
}

fn bits(xs: &[f32]) -> Vec<u32> {
    xs.iter().map(|x| x.to_bits()).collect()
}

const ADAM: Optimizer = Optimizer::Adam { beta1: 0.9, beta2: 0.999, epsilon: 1e-8 };

#[test]
fn networks_are_the_page_bit_by_bit() {
    let sgd = Optimizer::Sgd { momentum: 0.9 };
    for task in [Task::Classes(3), Task::Number] {
        let layout = mixed(task);
        let data: Vec<Data> = [29, 0, 17].iter().zip(1..).map(|(&rows, seed)| Data::derived(&layout, rows, seed)).collect();
        for hidden in [&[][..], &[19], &[21, 5]] {
            for (activation, optimizer, decay) in [
                (Activation::Relu, sgd, Decay::Linear),
                (Activation::Tanh, ADAM, Decay::Constant),
                (Activation::Relu, ADAM, Decay::Linear),
            ] {
                let descent = Descent { optimizer, decay, batch: 8, average: 0.3, ..settings().descent };
                let settings = NetSettings { hidden: hidden.to_vec(), activation, descent };
                let mut state = net(&settings).start(&layout, [7; 32]);
                let mut expected = state.parameters.clone();
                for step in [1, 3] {
                    let prefix: Vec<_> = data[..step].iter().map(Data::rows).collect();
                    let visits = visits(&data[..step], 3);
                    let step = Step { index: step as u32, of: 4, prefix: &prefix, visits: &visits, crew: &Lanes(1) };
                    state.step(&step).unwrap();
                    train(&layout, &settings, &state.scaler, &mut expected, &step, &data);
                    assert_eq!(state.parameters.updates, expected.updates);
                    for (got, want) in [
                        (&state.parameters.current, &expected.current),
                        (&state.parameters.average, &expected.average),
                        (&state.parameters.first, &expected.first),
                        (&state.parameters.second, &expected.second),
                    ] {
                        assert_eq!(bits(got), bits(want), "{settings:?} {task:?} step {}", step.index);
                    }
                }
            }
        }
    }
}

/// The mean loss in f64, and on which side of the kink each hidden unit is.
fn loss(state: &NetState, layout: &Layout, data: &Data, parameters: &[f64]) -> (f64, Vec<bool>) {
    let (mut total, mut sides) = (0.0, Vec::new());
    let sizes = sizes(layout, &state.settings.hidden);
    for row in 0..data.labels.len() {
        let (x, categories) = data.inputs(layout, &state.scaler, row);
        let mut x: Vec<f64> = x.into_iter().map(f64::from).collect();
        for (l, &(dense, table, width, start)) in sizes.iter().enumerate() {
            let w = |k: usize, j: usize| parameters[start + k * width + j];
            x = (0..width)
                .map(|j| {
                    let z: f64 = (0..dense).map(|k| x[k] * w(k, j)).sum();
                    let gathered: f64 = if l == 0 { categories.iter().map(|c| w(dense + c, j)).sum() } else { 0.0 };
                    let z = z + gathered + w(dense + table, j);
                    sides.push(z > 0.0);
                    match state.settings.activation {
                        _ if l + 1 == sizes.len() => z,
                        Activation::Relu => z.max(0.0),
                        Activation::Tanh => z.tanh(),
                    }
                })
                .collect();
        }
        total += match layout.task {
            Task::Classes(_) => x.iter().map(|z| z.exp()).sum::<f64>().ln() - x[data.labels[row] as usize],
            Task::Number => (x[0] - f64::from(state.scaler.target().apply(data.labels[row]))).powi(2) / 2.0,
        };
    }
    (total / data.labels.len() as f64, sides)
}

#[test]
fn gradients_are_finite_differences() {
    for (task, activation) in
        [(Task::Classes(3), Activation::Tanh), (Task::Classes(3), Activation::Relu), (Task::Number, Activation::Tanh)]
    {
        let layout = mixed(task);
        let data = Data::derived(&layout, 11, 5);
        let settings = NetSettings { hidden: vec![6, 5], activation, ..settings() };
        let mut state = net(&settings).start(&layout, [3; 32]);
        let rows = data.rows();
        state.scaler.take_in(&rows, Team::solo());
        let places = (0..11).map(|row| (0, row));
        state.batch.gather(
            &state.columns,
            &state.scaler,
            &[Block::of(&rows.features, &state.columns)],
            places.clone(),
            Team::solo(),
        );
        state.batch.label(&state.columns, &state.scaler, &[rows.labels], places);
        let current = &state.parameters.current;
        layers::forward(&state.shape, current, &state.batch, Team::solo(), &mut state.work, &[]);
        layers::backward(&state.shape, current, &state.batch, Team::solo(), &mut state.work);
        let exact: Vec<f64> = current.iter().copied().map(f64::from).collect();
        let (h, mut compared) = (1e-5, 0);
        for (p, &gradient) in state.work.gradients().iter().enumerate() {
            let moved = |by: f64| {
                let mut parameters = exact.clone();
                parameters[p] += by;
                loss(&state, &layout, &data, &parameters)
            };
            let ((up, side), (down, other)) = (moved(h), moved(-h));
            if activation == Activation::Relu && side != other {
                continue;
            }
            compared += 1;
            let gap = ((up - down) / (2.0 * h) - f64::from(gradient)).abs();
            // The difference is off by h^2 (1e-10) and by loss rounding / h (1e-11); the gradient by some 20 roundings of f32 (1e-6).
            assert!(gap < 3e-6, "{task:?} {activation:?} parameter {p}: {gradient}, off by {gap}");
        }
        assert!(compared * 10 > exact.len() * 9, "only {compared} of {} compared", exact.len());
    }
}

fn numbers(value: &serde_json::Value) -> Vec<f32> {
    let words = value["hex"].as_array().unwrap().iter();
    words.map(|word| f32::from_bits(u32::from_str_radix(word.as_str().unwrap(), 16).unwrap())).collect()
}

/// The parameters of a snapshot in the order of the state: W1, b1, W2, b2.
fn flat(parameters: &serde_json::Value) -> Vec<f32> {
    let named = ["W1", "b1", "W2", "b2"].iter().filter_map(|name| parameters.get(name));
    named.flat_map(numbers).collect()
}

/// `tests/data/optimizer_trajectory.json` is the output of `scripts/optimizer_trajectory.py` (PyTorch).
#[test]
fn trajectories_are_those_of_pytorch() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/optimizer_trajectory.json");
    let document: serde_json::Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    let (x, labels) = (numbers(&document["x"]), document["y"].as_array().unwrap());
    let number = |value: &serde_json::Value| value.as_f64().unwrap() as f32;
    let layout = layout(4, Task::Classes(3));
    for (name, hidden, activation) in [
        ("softmax_4_3", vec![], Activation::Relu),
        ("tanh_4_5_3", vec![5], Activation::Tanh),
        ("relu_4_5_3", vec![5], Activation::Relu),
    ] {
        let model = &document["models"][name];
        for kind in ["sgd", "adam"] {
            let its = &document["optimisers"][kind];
            let optimizer = match kind {
                "sgd" => Optimizer::Sgd { momentum: number(&its["momentum"]) },
                _ => Optimizer::Adam { beta1: number(&its["beta1"]), beta2: number(&its["beta2"]), epsilon: number(&its["eps"]) },
            };
            let settings = NetSettings {
                hidden: hidden.clone(),
                activation,
                descent: Descent {
                    optimizer,
                    rate: number(&its["rate"]),
                    decay: Decay::Constant,
                    l2: number(&document["weight_decay"]["weights"]),
                    batch: 8,
                    average: 0.0,
                    clip: None,
                    max_gradient: None,
                },
            };
            let data = Data::of_numbers(x.clone(), 4, labels.iter().map(number).collect());
            let mut state = unscaled(&net(&settings), &layout, &data, flat(&model["initial"]));
            for step in 1..=10 {
                let team = Team::solo();
                layers::forward(&state.shape, &state.parameters.current, &state.batch, team, &mut state.work, &[]);
                layers::backward(&state.shape, &state.parameters.current, &state.batch, team, &mut state.work);
                let moment = super::Moment { step: 1, steps: 1, progress: 0 };
                let rule = state.parameters.begin(&settings.descent, moment);
                state.parameters.update(&state.shape, &rule, state.work.gradients(), team);
                let snapshots = model[kind]["snapshots"].as_array().unwrap();
                let Some(snapshot) = snapshots.iter().find(|snapshot| snapshot["step"] == step) else { continue };
                let expected = flat(&snapshot["parameters"]);
                assert_eq!(expected.len(), state.parameters.current.len());
                let gaps = expected.iter().zip(state.parameters.current.iter()).map(|(a, b)| f64::from((a - b).abs()));
                let gap = gaps.fold(0.0, f64::max);
                // PyTorch adds in another order and has its own exp and tanh; its distance to its own run in f64 is the measure of
                // what rounding does, never below half an ulp of weights near 1. Adam's division by a small root magnifies both.
                let allowed = 4.0 * snapshot["float64_gap"].as_f64().unwrap().max(6e-8);
                assert!(gap <= allowed, "{name} {kind} step {step}: off by {gap:e}, allowed {allowed:e}");
            }
        }
    }
}

/// A state with these parameters and the whole data as its batch, shift 0 and gain 1.
fn unscaled(net: &Net, layout: &Layout, data: &Data, parameters: Vec<f32>) -> NetState {
    let mut state = net.start(layout, [0; 32]);
    state.parameters.current.copy_from_slice(&parameters);
    let rows = data.rows();
    let places = (0..data.labels.len()).map(|row| (0, row));
    let mut batch = Batch::default();
    batch.gather(&state.columns, &state.scaler, &[Block::of(&rows.features, &state.columns)], places.clone(), Team::solo());
    batch.label(&state.columns, &state.scaler, &[rows.labels], places);
    state.batch = batch;
    state.work = Workspace::default();
    state
}
