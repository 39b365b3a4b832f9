//! Whole training steps (scale, gather, forward, backward, update, on shuffled rows) as a fraction of the multiply-add peak.
//!
//! Peak, one lane, two lanes for one constituent, and two constituents side by side are measured in turn, round after round, so that what
//! else the machine does falls on all of them; each figure is the median of its rounds. `SISA_KERNELS` chooses the instruction set.
//! Criterion's own report of one lane comes first, for its comparison with the run before.

#![expect(clippy::print_stdout, clippy::disallowed_methods, reason = "a benchmark reads the clock and prints")]
#![expect(clippy::unwrap_used, reason = "a benchmark may stop at the first fault")]

use std::{hint::black_box, time::Instant};

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use ndarray::Array2;
use sisa::learn::{Activation, Decay, Descent, LearnerSettings, NetSettings, Optimizer, RidgeMap, RidgeSettings};
use sisa::learn::{Crew, Features, Labels, Layout, Removal, Rows, State, Step, Task, Visit};
use sisa::num::{Isa, Team, probe};

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
const ROUNDS: usize = 9;
const SGD: Optimizer = Optimizer::Sgd { momentum: 0.9 };
const ADAM: Optimizer = Optimizer::Adam { beta1: 0.9, beta2: 0.999, epsilon: 1e-8 };

/// A network and how it is trained.
struct Case {
    name: &'static str,
    numbers: usize,
    bytes: usize,
    hidden: usize,
    classes: usize,
    activation: Activation,
    optimizer: Optimizer,
    batch: u32,
}

impl Case {
    /// Two products forward and two for the weights' gradients, one for what goes back through the upper layer.
    fn flops(&self) -> f64 {
        let (a, b, c) = (self.numbers + self.bytes, self.hidden, self.classes);
        (2 * PASSES * ROWS * (2 * a * b + 3 * b * c)) as f64
    }
}

fn median(mut samples: Vec<f64>) -> f64 {
    samples.sort_by(f64::total_cmp);
    samples.get(samples.len() / 2).copied().unwrap_or(f64::NAN)
}

fn bench(c: &mut Criterion, case: &Case) {
    let layout = Layout {
        numbers: case.numbers,
        ranges: vec![None; case.numbers],
        indicators: vec![],
        byte_scales: vec![1.0 / 255.0; case.bytes],
        categories: vec![],
        task: Task::Classes(case.classes as u32),
        label_range: None,
    };
    let mix = |i: usize, j: usize| (i as u32 * 7919 + j as u32 * 104_729).wrapping_mul(0x9e37_79b1) >> 16;
    let x = Array2::from_shape_fn((ROWS, case.numbers), |(i, j)| mix(i, j) as f32 / 65536.0 - 0.5);
    // Half of an image is background.
    let b = Array2::from_shape_fn((ROWS, case.bytes), |(i, j)| if mix(i, j) & 1 == 0 { 0 } else { (mix(j, i) & 255) as u8 });
    let categories = Array2::zeros((ROWS, 0));
    let labels: Vec<u32> = (0..ROWS).map(|i| mix(i, i) % case.classes as u32).collect();
    let features = Features { numbers: x.view(), bytes: b.view(), categories: categories.view() };
    let prefix = [Rows { features, labels: Labels::Classes(&labels) }];
    let visits: Vec<Visit> =
        (0..(PASSES * ROWS) as u32).map(|i| Visit { slice: 0, row: i.wrapping_mul(4099) % ROWS as u32, progress: 0 }).collect();
    let settings = LearnerSettings::Mlp(NetSettings {
        hidden: vec![case.hidden as u32],
        activation: case.activation,
        descent: Descent {
            optimizer: case.optimizer,
            rate: 0.01,
            decay: Decay::Constant,
            l2: 1e-4,
            batch: case.batch,
            average: 0.05,
            clip: None,
            max_gradient: None,
        },
    });
    let learner = settings.check().unwrap();
    let run = |state: &mut dyn State, lanes: usize| {
        let crew = Lanes(lanes);
        let step = Step { index: 1, of: 1, prefix: &prefix, visits: &visits, crew: &crew };
        black_box(state.step(&step)).unwrap();
    };
    let mut states = [learner.init(&layout, [1; 32]), learner.init(&layout, [2; 32])];

    let mut group = c.benchmark_group("train");
    group.throughput(Throughput::Elements((PASSES * ROWS) as u64)).sample_size(10);
    group.bench_function(case.name, |bencher| bencher.iter(|| run(&mut *states[0], 1)));
    group.finish();

    // Profilers look at one lane of one case.
    if std::env::args().any(|arg| arg == "--profile-time") {
        return;
    }
    let pool = rayon::ThreadPoolBuilder::new().num_threads(2).build().unwrap();
    let timed = |work: &mut (dyn FnMut() + Send)| {
        pool.install(|| {
            let begin = Instant::now();
            work();
            begin.elapsed().as_secs_f64()
        })
    };
    let [mut peaks, mut solo, mut duo, mut pair] = [const { Vec::new() }; 4];
    for _ in 0..ROUNDS {
        let [first, second] = &mut states;
        peaks.push(probe::fma_peak_flops());
        solo.push(timed(&mut || run(&mut **first, 1)));
        duo.push(timed(&mut || run(&mut **first, 2)));
        pair.push(timed(&mut || {
            rayon::join(|| run(&mut **first, 1), || run(&mut **second, 1));
        }));
    }
    let (peak, solo, duo, pair) = (median(peaks), median(solo), median(duo), median(pair));
    let rate = case.flops() / solo;
    println!(
        "  {}: {:.0} rows/s, {:.1} GFLOP/s, {:.0} % of the peak {:.1}; two lanes {:.2} times one; two constituents {:.2} times one",
        case.name,
        (PASSES * ROWS) as f64 / solo,
        rate / 1e9,
        100.0 * rate / peak,
        peak / 1e9,
        solo / duo,
        2.0 * solo / pair,
    );
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
    let learner = LearnerSettings::Ridge(RidgeSettings { map, strength: 1e-3, bins: 1 }).check().unwrap();
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
    println!("{} kernels", Isa::active().name());
    let image = Case {
        name: "784-128-10 relu, bytes, sgd, batch 256",
        numbers: 0,
        bytes: 784,
        hidden: 128,
        classes: 10,
        activation: Activation::Relu,
        optimizer: SGD,
        batch: 256,
    };
    let purchase = Case {
        name: "600-128-100 tanh, numbers, sgd, batch 256",
        numbers: 600,
        bytes: 0,
        classes: 100,
        activation: Activation::Tanh,
        ..image
    };
    let bits = Case { name: "600-128-100 tanh, bytes, sgd, batch 256", numbers: 0, bytes: 600, ..purchase };
    let adam = Case { name: "784-128-10 relu, bytes, adam, batch 256", optimizer: ADAM, ..image };
    let small = Case { name: "600-128-100 tanh, bytes, sgd, batch 32", batch: 32, ..bits };
    for case in [image, adam, purchase, bits, small] {
        bench(c, &case);
    }
    ridge(c, 1400);
}

criterion_group!(group, benches);
criterion_main!(group);
