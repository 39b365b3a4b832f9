//! Kernels as fractions of the multiply-add peak measured in the same run, and what a second lane gains.
//!
//! Beside criterion's own report, each line gives the lower quartile of all calls: GFLOP/s and share of the peak of one core for
//! products, ns an element for the rest. The peak is measured again before each group, for the clock drifts.

#![expect(clippy::print_stdout, clippy::disallowed_methods, reason = "a benchmark reads the clock and prints")]
#![expect(clippy::unwrap_used, reason = "a benchmark may stop at the first fault")]

use std::hint::black_box;
use std::time::{Duration, Instant};

use criterion::{Criterion, criterion_group, criterion_main};
use sisa::num::gemm::{Form, Gemm, Packed};
use sisa::num::{Isa, Team, gather, poly, probe, stream, sum, update, update::Update};

const BATCH: usize = 256;

fn values(seed: u8, length: usize) -> Vec<f32> {
    let mut out = vec![0.0; length];
    stream::uniform(&mut stream::stream([seed; 32]), -1.0, 1.0, &mut out);
    out
}

/// Runs a benchmark under criterion and returns the time of one call in seconds: the lower quartile over all calls, each timed
/// alone, because other work on the machine only ever adds.
fn quartile(c: &mut Criterion, name: &str, mut body: impl FnMut()) -> f64 {
    let mut samples = Vec::new();
    c.bench_function(name, |b| {
        b.iter_custom(|count| {
            let mut total = Duration::ZERO;
            for _ in 0..count {
                let begin = Instant::now();
                body();
                let elapsed = begin.elapsed();
                samples.push(elapsed.as_secs_f64());
                total += elapsed;
            }
            total
        });
    });
    fastest(samples, 4)
}

/// The largest of the fastest `1 / part` of the samples.
fn fastest(mut samples: Vec<f64>, part: usize) -> f64 {
    samples.sort_by(f64::total_cmp);
    samples.get(samples.len() / part).copied().unwrap_or(f64::NAN)
}

/// The three layers' products of a network a - b - c: forward twice, dW twice, dX once.
#[derive(Clone)]
struct Network {
    shape: [usize; 3],
    x: Vec<f32>,
    w1: Vec<f32>,
    h: Vec<f32>,
    w2: Vec<f32>,
    z: Vec<f32>,
    dw1: Vec<f32>,
    dw2: Vec<f32>,
    dh: Vec<f32>,
}

impl Network {
    fn new(shape: [usize; 3]) -> Network {
        let [a, b, c] = shape;
        Network {
            shape,
            x: values(1, BATCH * a),
            w1: values(2, a * b),
            h: values(3, BATCH * b),
            w2: values(4, b * c),
            z: values(5, BATCH * c),
            dw1: vec![0.0; a * b],
            dw2: vec![0.0; b * c],
            dh: vec![0.0; BATCH * b],
        }
    }

    fn flops(&self) -> f64 {
        let [a, b, c] = self.shape;
        (2 * BATCH * (2 * a * b + 3 * b * c)) as f64
    }

    fn products(&mut self, team: Team, packed: &mut Packed) {
        let [a, b, c] = self.shape;
        Gemm::of(team, Form::Nn, [BATCH, b, a]).run(packed, &self.x, &self.w1, &mut self.h);
        Gemm::of(team, Form::Nn, [BATCH, c, b]).run(packed, &self.h, &self.w2, &mut self.z);
        Gemm::of(team, Form::Tn, [b, c, BATCH]).run(packed, &self.h, &self.z, &mut self.dw2);
        Gemm::of(team, Form::Nt, [BATCH, b, c]).run(packed, &self.z, &self.w2, &mut self.dh);
        Gemm::of(team, Form::Tn, [a, b, BATCH]).run(packed, &self.x, &self.dh, &mut self.dw1);
    }
}

fn products(c: &mut Criterion) {
    let solo = Team::solo();
    let peak = probe::fma_peak_flops();
    println!("{} kernels, multiply-add peak of one core {:.1} GFLOP/s", Isa::active().name(), peak / 1e9);
    for (m, n, k) in [(256, 128, 600), (256, 128, 784), (256, 100, 128), (256, 10, 128), (256, 256, 256)] {
        let (x, w, dz) = (values(1, m * k), values(2, k * n), values(3, m * n));
        let mut packed = Packed::new();
        let flops = (2 * m * n * k) as f64;
        let report = |name: &str, seconds: f64| {
            println!("  {name}: {:.1} GFLOP/s, {:.0} % of peak", flops / seconds / 1e9, 100.0 * flops / seconds / peak);
        };
        let mut out = vec![0.0; m * n];
        let name = format!("forward {m}x{k}x{n}");
        report(&name, quartile(c, &name, || Gemm::of(solo, Form::Nn, [m, n, k]).run(&mut packed, &x, &w, black_box(&mut out))));
        let mut out = vec![0.0; k * n];
        let name = format!("dW {m}x{k}x{n}");
        report(&name, quartile(c, &name, || Gemm::of(solo, Form::Tn, [k, n, m]).run(&mut packed, &x, &dz, black_box(&mut out))));
        let mut out = vec![0.0; m * k];
        let name = format!("dX {m}x{k}x{n}");
        report(&name, quartile(c, &name, || Gemm::of(solo, Form::Nt, [m, k, n]).run(&mut packed, &dz, &w, black_box(&mut out))));
    }
}

fn networks(c: &mut Criterion) {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(2).build().unwrap();
    for shape in [[600, 128, 100], [784, 128, 10]] {
        let peak = probe::fma_peak_flops();
        let mut network = Network::new(shape);
        let mut packed = Packed::new();
        let name = format!("products of {shape:?}");
        let one = quartile(c, &format!("{name}, one lane"), || {
            network.products(Team::solo(), &mut packed);
            network.dh.fill(0.5);
            network.z.fill(0.5);
        });
        // Lanes are compared without criterion, whose state can't enter the pool, and by the best hundredth of the calls: on a
        // busy machine only these had both cores.
        let mut best = |team| {
            pool.install(|| {
                let mut samples = Vec::new();
                for _ in 0..2000 {
                    let begin = Instant::now();
                    network.products(team, &mut packed);
                    network.dh.fill(0.5);
                    network.z.fill(0.5);
                    samples.push(begin.elapsed().as_secs_f64());
                }
                fastest(samples, 100)
            })
        };
        let (solo, duo) = (best(Team::solo()), best(Team::of(2)));
        let flops = network.flops();
        println!("  {name}: {:.1} GFLOP/s, {:.0} % of peak {:.1}", flops / one / 1e9, 100.0 * flops / one / peak, peak / 1e9);
        println!("  {name}: {:.0} us with one lane, {:.0} us with two, {:.2} times", solo * 1e6, duo * 1e6, solo / duo);
    }
}

fn elements(c: &mut Criterion) {
    let solo = Team::solo();
    let length = BATCH * 128;
    let mut report = |name: &str, count: usize, body: &mut dyn FnMut()| {
        let seconds = quartile(c, name, body);
        println!("  {name}: {:.3} ns an element", seconds * 1e9 / count as f64);
    };
    // In place: repeated tanh and softmax stay in the range of ordinary numbers, and a y of 0.0001 leaves d as it is.
    let source = values(1, length);
    let mut xs = source.clone();
    report("tanh", length, &mut || poly::tanh_all(solo, black_box(&mut xs)));
    report("relu", length, &mut || poly::relu_all(solo, black_box(&mut xs)));
    let (y, mut d) = (vec![1e-4; length], values(2, length));
    report("tanh backward", length, &mut || poly::tanh_backward(solo, &y, black_box(&mut d)));
    for classes in [10, 100] {
        let mut z = values(3, BATCH * classes);
        let name = format!("softmax of {classes}");
        report(&name, BATCH * classes, &mut || poly::softmax_rows(solo, classes, black_box(&mut z)));
    }
    report("sum", length, &mut || {
        black_box(sum::sum(&source));
    });
    let mut out = vec![0.0; 128];
    report("columns of 128", length, &mut || sum::columns(solo, 128, &source, black_box(&mut out)));

    let (isa, team, weights) = (Isa::active(), solo, 784 * 128);
    let g = values(4, weights);
    let (mut w, mut m, mut v, mut avg) = (values(5, weights), vec![0.0; weights], vec![0.0; weights], vec![0.0; weights]);
    let sgd = update::Sgd { rate: 0.01, momentum: 0.9, l2: 1e-4 };
    report("sgd", weights, &mut || {
        Update { isa, team, avg_gain: 0.01, w: black_box(&mut w), g: &g, avg: &mut avg }.sgd(sgd, &mut v)
    });
    let adam = update::Adam { rate: 1e-3, beta1: 0.9, beta2: 0.999, eps: 1e-8, l2: 1e-4, corr1: 0.1, corr2: 0.001 };
    v.fill(1.0);
    report("adam", weights, &mut || {
        Update { isa, team, avg_gain: 0.01, w: black_box(&mut w), g: &g, avg: &mut avg }.adam(adam, &mut m, &mut v)
    });

    let (row, shift, gain) = (values(6, 600), values(7, 600), values(8, 600));
    let mut out = vec![0.0; 600];
    report("scale_f32 of 600", 600, &mut || gather::scale_f32(&row, &shift, &gain, black_box(&mut out)));
    let bytes = vec![77; 600];
    report("scale_u8 of 600", 600, &mut || gather::scale_u8(&bytes, &gain, black_box(&mut out)));
}

fn quick() -> Criterion {
    Criterion::default()
        .sample_size(20)
        .warm_up_time(Duration::from_millis(200))
        .measurement_time(Duration::from_millis(600))
        .without_plots()
}

criterion_group! {
    name = benches;
    config = quick();
    targets = products, networks, elements
}
criterion_main!(benches);
