//! Rows a second of training: gather, forward, backward and update, on shuffled rows.
//!
//! A row is 6 x weights floating-point operations. `SISA_KERNELS` chooses the instruction set.

use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use ndarray::Array2;
use sisa::learn::settings::{Activation, Decay, LearnerSettings, NetSettings, Optimizer, RidgeMap, RidgeSettings};
use sisa::learn::{Crew, Features, Labels, Layout, Removal, Rows, Step, Task, Visit};
use sisa::num::Team;

#[derive(Debug)]
struct Lanes(usize);

impl Crew for Lanes {
    fn team(&self) -> Team {
        Team::of(self.0)
    }

    fn visited(&self, _rows: usize) -> bool {
        true
    }
}

const ROWS: usize = 8192;
/// Visits of each row in a step, as a schedule gives the rows of a slice and its replay.
const PASSES: usize = 4;
const SGD: Optimizer = Optimizer::Sgd { momentum: 0.9 };
const ADAM: Optimizer = Optimizer::Adam { beta1: 0.9, beta2: 0.999, epsilon: 1e-8 };

/// Numbers, byte columns, hidden width, classes.
type Size = (usize, usize, u32, u32);

fn bench(c: &mut Criterion, name: &str, (numbers, bytes, hidden, classes): Size, activation: Activation, optimizer: Optimizer) {
    let layout = Layout {
        numbers,
        ranges: vec![None; numbers],
        indicators: vec![],
        byte_scales: vec![1.0 / 255.0; bytes],
        categories: vec![],
        task: Task::Classes(classes),
        label_range: None,
    };
    let mix = |i: usize, j: usize| (i as u32 * 7919 + j as u32 * 104_729).wrapping_mul(0x9e37_79b1) >> 16;
    let x = Array2::from_shape_fn((ROWS, numbers), |(i, j)| mix(i, j) as f32 / 65536.0 - 0.5);
    // Half of an image is background.
    let b = Array2::from_shape_fn((ROWS, bytes), |(i, j)| if mix(i, j) & 1 == 0 { 0 } else { (mix(j, i) & 255) as u8 });
    let categories = Array2::zeros((ROWS, 0));
    let labels: Vec<u32> = (0..ROWS).map(|i| mix(i, i) % classes).collect();
    let features = Features { numbers: x.view(), bytes: b.view(), categories: categories.view() };
    let prefix = [Rows { features, labels: Labels::Classes(&labels) }];
    let visits: Vec<Visit> =
        (0..(PASSES * ROWS) as u32).map(|i| Visit { slice: 0, row: i.wrapping_mul(4099) % ROWS as u32, progress: 0 }).collect();
    let settings = LearnerSettings::Mlp(NetSettings {
        hidden: vec![hidden],
        activation,
        optimizer,
        rate: 0.01,
        decay: Decay::Constant,
        l2: 1e-4,
        batch: 256,
        average: 0.05,
    });
    let Ok(learner) = settings.check() else { unreachable!("the settings are allowed") };
    let mut group = c.benchmark_group(name);
    group.throughput(Throughput::Elements((PASSES * ROWS) as u64)).sample_size(10);
    for lanes in [1, 2] {
        let mut state = learner.init(&layout, [1; 32]);
        let crew = Lanes(lanes);
        let step = Step { index: 1, of: 1, prefix: &prefix, visits: &visits, crew: &crew };
        group.bench_function(BenchmarkId::from_parameter(lanes), |bencher| bencher.iter(|| black_box(state.step(&step).is_ok())));
    }
    group.finish();
}

/// Ridge regression on images of 28 x 28: rows a second into the sums, one row out of them, and the weights that follow.
fn ridge(c: &mut Criterion, dimension: u32) {
    let layout = Layout {
        numbers: 0,
        ranges: vec![],
        indicators: vec![],
        byte_scales: vec![1.0 / 255.0; 784],
        categories: vec![],
        task: Task::Classes(10),
        label_range: None,
    };
    let mix = |i: usize, j: usize| (i as u32 * 7919 + j as u32 * 104_729).wrapping_mul(0x9e37_79b1) >> 16;
    let bytes = Array2::from_shape_fn((ROWS, 784), |(i, j)| if mix(i, j) & 1 == 0 { 0 } else { (mix(j, i) & 255) as u8 });
    let (numbers, categories) = (Array2::zeros((ROWS, 0)), Array2::zeros((ROWS, 0)));
    let labels: Vec<u32> = (0..ROWS).map(|i| mix(i, i) % 10).collect();
    let features = Features { numbers: numbers.view(), bytes: bytes.view(), categories: categories.view() };
    let prefix = [Rows { features, labels: Labels::Classes(&labels) }];
    let map = RidgeMap::Image { width: 28, height: 28, dimension };
    let Ok(learner) = LearnerSettings::Ridge(RidgeSettings { map, strength: 1e-3, bins: 1 }).check() else {
        unreachable!("the settings are allowed")
    };
    let mut group = c.benchmark_group(format!("ridge/image {dimension}"));
    group.sample_size(10);
    for lanes in [1, 2] {
        let (mut state, crew) = (learner.init(&layout, [1; 32]), Lanes(lanes));
        let step = Step { index: 1, of: 1, prefix: &prefix, visits: &[], crew: &crew };
        group.throughput(Throughput::Elements(ROWS as u64));
        group.bench_function(BenchmarkId::new("add", lanes), |bencher| bencher.iter(|| black_box(state.step(&step).is_ok())));
        group.throughput(Throughput::Elements(1));
        let (gone, team) = ([vec![7]], Team::of(lanes));
        let removal = Removal { before: &prefix, gone: &gone, team };
        // Adding left many times the rows that are taken out; the same row goes again and again, which sums can't tell.
        group.bench_function(BenchmarkId::new("remove", lanes), |bencher| {
            bencher.iter(|| black_box(state.downdate(&removal).is_ok()))
        });
        group.bench_function(BenchmarkId::new("solve", lanes), |bencher| {
            bencher.iter(|| {
                // A removal of nothing forgets the weights.
                let nothing = Removal { before: &prefix, gone: &[vec![]], team };
                black_box(state.downdate(&nothing).is_ok());
                state.prepare(team);
            });
        });
    }
    group.finish();
}

fn benches(c: &mut Criterion) {
    bench(c, "train/784-128-10 relu u8 sgd", (0, 784, 128, 10), Activation::Relu, SGD);
    bench(c, "train/784-128-10 relu u8 adam", (0, 784, 128, 10), Activation::Relu, ADAM);
    bench(c, "train/600-128-100 tanh f32 sgd", (600, 0, 128, 100), Activation::Tanh, SGD);
    ridge(c, 1400);
}

criterion_group!(group, benches);
criterion_main!(group);
