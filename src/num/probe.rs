//! What the CPU could do at best, for benchmarks to compare with.

#![expect(clippy::disallowed_methods, reason = "a probe reads the clock; no result of the engine depends on it")]

use std::hint::black_box;
use std::time::Instant;

use super::isa::Isa;
use super::simd::{Kernel, Lanes, WIDTH, on};

/// Floating-point operations a second of one core, when it does nothing but multiply-adds in registers, on the active
/// instruction set: the best of several runs of a few milliseconds. A multiply-add counts as two.
pub fn fma_peak_flops() -> f64 {
    const STEPS: u32 = 400_000;
    let mut best = f64::INFINITY;
    for _ in 0..20 {
        let begin = Instant::now();
        let flops = on(Isa::active(), Chains { steps: black_box(STEPS) });
        best = best.min(begin.elapsed().as_secs_f64() / flops);
    }
    1.0 / best
}

/// Independent chains, enough to hide the latency of an addition and few enough to stay in registers.
struct Chains {
    steps: u32,
}

impl Kernel for Chains {
    type Out = f64;
    #[inline(always)]
    fn run<L: Lanes>(self, s: L) -> f64 {
        // A set whose tiles span panels has one register a vector, and 32 of them.
        if L::PANELS > 1 { chains::<L, 12>(s, self.steps) } else { chains::<L, 6>(s, self.steps) }
    }
}

#[inline(always)]
fn chains<L: Lanes, const COUNT: usize>(s: L, steps: u32) -> f64 {
    let (x, y) = (s.splat(black_box(0.5)), s.splat(black_box(1.0)));
    let mut acc = [s.splat(black_box(0.0)); COUNT];
    for _ in 0..steps {
        for acc in &mut acc {
            *acc = s.fma(*acc, x, y);
        }
    }
    let mut out = [0.0; WIDTH];
    for acc in acc {
        s.store(acc, &mut out);
        black_box(&out);
    }
    f64::from(steps) * (COUNT * WIDTH * 2) as f64
}
