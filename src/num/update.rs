//! Fused optimiser steps over flat parameter slices, in one pass: gradient and L2, moments, weight, averaged weight.
//!
//! Elements are independent, so the split over tasks and lanes changes no bit. Each step's operations are listed at its
//! configuration, one line an IEEE operation; `fma` rounds once.

use super::isa::Isa;
use super::simd::{Arith, Kernel, Lanes, WIDTH, on};
use super::team::Team;

/// Stochastic gradient descent with momentum (PyTorch's, dampening 0) and L2. For each element:
///
/// ```text
/// g'  = fma(l2, w, g)
/// v   = fma(momentum, v, g')
/// w   = fma(-rate, v, w)
/// avg = fma(avg_gain, w - avg, avg)
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Sgd {
    /// Learning rate of this step.
    pub rate: f32,
    /// Momentum, 0 for none.
    pub momentum: f32,
    /// L2 coefficient, added to the gradient as `l2 * w`.
    pub l2: f32,
}

/// Adam (Kingma and Ba 2015, algorithm 1, in PyTorch's arrangement). Once a step, `step = rate / corr1`, `root = sqrt(corr2)`,
/// `gain1 = 1 - beta1`, `gain2 = 1 - beta2`; for each element:
///
/// ```text
/// g'  = fma(l2, w, g)
/// m   = fma(gain1, g' - m, m)
/// v   = fma(gain2, g' * g', beta2 * v)
/// w   = fma(-step, m / (sqrt(v) / root + eps), w)
/// avg = fma(avg_gain, w - avg, avg)
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Adam {
    /// Learning rate of this step.
    pub rate: f32,
    /// Decay of the first moment.
    pub beta1: f32,
    /// Decay of the second moment.
    pub beta2: f32,
    /// Added to the root of the second moment.
    pub eps: f32,
    /// L2 coefficient, added to the gradient as `l2 * w`.
    pub l2: f32,
    /// Bias correction of the first moment: [`correction`] of `beta1` and the number of steps, this one included.
    pub corr1: f32,
    /// Bias correction of the second moment, alike.
    pub corr2: f32,
}

/// `1 - beta^step`: the power in `f64` by squaring from the lowest bit of `step`, rounded to `f32` at the end.
pub fn correction(beta: f32, step: u64) -> f32 {
    let (mut power, mut square, mut left) = (1.0f64, f64::from(beta), step);
    while left > 0 {
        if left & 1 == 1 {
            power *= square;
        }
        square *= square;
        left >>= 1;
    }
    (1.0 - power) as f32
}

/// Elements that are worth one task more: about 10 us of work.
const TASK_ELEMENTS: usize = 16_384;

/// One step over parameters: where it runs, and the slices that every optimiser has. An empty `avg` leaves the averages out.
#[derive(Debug)]
pub struct Update<'a> {
    /// The instruction set; changes no bit.
    pub isa: Isa,
    /// How many ways the parameters may be split; changes no bit.
    pub team: Team,
    /// The gain of the averages.
    pub avg_gain: f32,
    /// The weights.
    pub w: &'a mut [f32],
    /// Their gradients.
    pub g: &'a [f32],
    /// Their averages.
    pub avg: &'a mut [f32],
}

impl Update<'_> {
    /// One step of [`Sgd`] with momenta `v`.
    ///
    /// # Panics
    ///
    /// When the lengths differ.
    pub fn sgd(self, cfg: Sgd, v: &mut [f32]) {
        let Update { isa, team, avg_gain, w, g, avg } = self;
        let length = w.len();
        assert!([g.len(), v.len()] == [length; 2], "gradient and momentum must match {length} weights");
        assert!(avg.is_empty() || avg.len() == length, "the average must match {length} weights");
        let piece = team.piece(length, WIDTH, TASK_ELEMENTS);
        let pieces = w.chunks_mut(piece).zip(g.chunks(piece)).zip(v.chunks_mut(piece)).zip(or_empty(avg.chunks_mut(piece)));
        team.run(pieces, |(((w, g), v), avg)| on(isa, SgdStep { cfg, avg_gain, w, g, v, avg }));
    }

    /// One step of [`Adam`] with moments `m` and `v`.
    ///
    /// # Panics
    ///
    /// When the lengths differ.
    pub fn adam(self, cfg: Adam, m: &mut [f32], v: &mut [f32]) {
        let Update { isa, team, avg_gain, w, g, avg } = self;
        let length = w.len();
        assert!([g.len(), m.len(), v.len()] == [length; 3], "gradient and moments must match {length} weights");
        assert!(avg.is_empty() || avg.len() == length, "the average must match {length} weights");
        let piece = team.piece(length, WIDTH, TASK_ELEMENTS);
        let moments = m.chunks_mut(piece).zip(v.chunks_mut(piece));
        let pieces = w.chunks_mut(piece).zip(g.chunks(piece)).zip(moments).zip(or_empty(avg.chunks_mut(piece)));
        team.run(pieces, |(((w, g), (m, v)), avg)| on(isa, AdamStep { cfg, avg_gain, w, g, m, v, avg }));
    }
}

/// The pieces, then empty ones without end.
fn or_empty<'a>(pieces: impl Iterator<Item = &'a mut [f32]>) -> impl Iterator<Item = &'a mut [f32]> {
    pieces.chain(std::iter::repeat_with(Default::default))
}

struct SgdStep<'a> {
    cfg: Sgd,
    avg_gain: f32,
    w: &'a mut [f32],
    g: &'a [f32],
    v: &'a mut [f32],
    avg: &'a mut [f32],
}

/// The constants of a step in every lane. Its arithmetic is a method and not a closure, so that it can be inlined always.
struct SgdLanes<A: Arith> {
    rate: A::V,
    momentum: A::V,
    l2: A::V,
}

impl<A: Arith> SgdLanes<A> {
    #[inline(always)]
    fn step(&self, s: A, w: A::V, g: A::V, v: A::V) -> (A::V, A::V) {
        let v = s.fma(self.momentum, v, s.fma(self.l2, w, g));
        (s.fnma(self.rate, v, w), v)
    }
}

/// The average after this step, from that before it.
#[inline(always)]
fn average<A: Arith>(s: A, gain: A::V, w: A::V, avg: A::V) -> A::V {
    s.fma(gain, s.sub(w, avg), avg)
}

impl Kernel for SgdStep<'_> {
    type Out = ();
    #[inline(always)]
    fn run<L: Lanes>(self, s: L) {
        let Sgd { rate, momentum, l2 } = self.cfg;
        let lanes = SgdLanes { rate: s.splat(rate), momentum: s.splat(momentum), l2: s.splat(l2) };
        let gain = s.splat(self.avg_gain);
        let (ws, w_rest) = self.w.as_chunks_mut::<WIDTH>();
        let (gs, g_rest) = self.g.as_chunks::<WIDTH>();
        let (vs, v_rest) = self.v.as_chunks_mut::<WIDTH>();
        let (avgs, avg_rest) = self.avg.as_chunks_mut::<WIDTH>();
        let mut avgs = avgs.iter_mut();
        for ((w, g), v) in ws.iter_mut().zip(gs).zip(vs) {
            let (new_w, new_v) = lanes.step(s, s.load(w), s.load(g), s.load(v));
            s.store(new_w, w);
            s.store(new_v, v);
            if let Some(avg) = avgs.next() {
                s.store(average(s, gain, new_w, s.load(avg)), avg);
            }
        }
        if !w_rest.is_empty() {
            let (new_w, new_v) = lanes.step(s, s.load_part(w_rest), s.load_part(g_rest), s.load_part(v_rest));
            s.store_part(new_w, w_rest);
            s.store_part(new_v, v_rest);
            if !avg_rest.is_empty() {
                s.store_part(average(s, gain, new_w, s.load_part(avg_rest)), avg_rest);
            }
        }
    }
}

struct AdamStep<'a> {
    cfg: Adam,
    avg_gain: f32,
    w: &'a mut [f32],
    g: &'a [f32],
    m: &'a mut [f32],
    v: &'a mut [f32],
    avg: &'a mut [f32],
}

/// The constants of a step in every lane.
struct AdamLanes<A: Arith> {
    step: A::V,
    root: A::V,
    gain1: A::V,
    gain2: A::V,
    beta2: A::V,
    eps: A::V,
    l2: A::V,
}

impl<A: Arith> AdamLanes<A> {
    #[inline(always)]
    fn step(&self, s: A, w: A::V, g: A::V, m: A::V, v: A::V) -> (A::V, A::V, A::V) {
        let g = s.fma(self.l2, w, g);
        let m = s.fma(self.gain1, s.sub(g, m), m);
        let v = s.fma(self.gain2, s.mul(g, g), s.mul(self.beta2, v));
        let w = s.fnma(self.step, s.div(m, s.add(s.div(s.sqrt(v), self.root), self.eps)), w);
        (w, m, v)
    }
}

impl Kernel for AdamStep<'_> {
    type Out = ();
    #[inline(always)]
    fn run<L: Lanes>(self, s: L) {
        let cfg = self.cfg;
        let lanes = AdamLanes {
            step: s.splat(cfg.rate / cfg.corr1),
            root: s.splat(cfg.corr2.sqrt()),
            gain1: s.splat(1.0 - cfg.beta1),
            gain2: s.splat(1.0 - cfg.beta2),
            beta2: s.splat(cfg.beta2),
            eps: s.splat(cfg.eps),
            l2: s.splat(cfg.l2),
        };
        let gain = s.splat(self.avg_gain);
        let (ws, w_rest) = self.w.as_chunks_mut::<WIDTH>();
        let (gs, g_rest) = self.g.as_chunks::<WIDTH>();
        let (ms, m_rest) = self.m.as_chunks_mut::<WIDTH>();
        let (vs, v_rest) = self.v.as_chunks_mut::<WIDTH>();
        let (avgs, avg_rest) = self.avg.as_chunks_mut::<WIDTH>();
        let mut avgs = avgs.iter_mut();
        for (((w, g), m), v) in ws.iter_mut().zip(gs).zip(ms).zip(vs) {
            let (new_w, new_m, new_v) = lanes.step(s, s.load(w), s.load(g), s.load(m), s.load(v));
            s.store(new_w, w);
            s.store(new_m, m);
            s.store(new_v, v);
            if let Some(avg) = avgs.next() {
                s.store(average(s, gain, new_w, s.load(avg)), avg);
            }
        }
        if !w_rest.is_empty() {
            let (w, g) = (s.load_part(w_rest), s.load_part(g_rest));
            let (new_w, new_m, new_v) = lanes.step(s, w, g, s.load_part(m_rest), s.load_part(v_rest));
            s.store_part(new_w, w_rest);
            s.store_part(new_m, m_rest);
            s.store_part(new_v, v_rest);
            if !avg_rest.is_empty() {
                s.store_part(average(s, gain, new_w, s.load_part(avg_rest)), avg_rest);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::disallowed_methods, reason = "the references are written in f32::mul_add")]

    use super::*;
    use crate::num::golden::{bits, values};

    const LENGTHS: [usize; 7] = [0, 1, 15, 16, 33, 1000, 50_001];

    #[test]
    fn sgd_is_its_formula_on_every_element() {
        let (cfg, gain) = (Sgd { rate: 0.05, momentum: 0.9, l2: 1e-3 }, 0.02);
        for length in LENGTHS {
            let (w, g) = (values("w", length), values("g", length));
            let (v, avg) = (values("v", length), values("avg", length));
            let mut expected = [w.clone(), v.clone(), avg.clone()];
            for i in 0..length {
                let gradient = cfg.l2.mul_add(w[i], g[i]);
                let velocity = cfg.momentum.mul_add(v[i], gradient);
                let weight = (-cfg.rate).mul_add(velocity, w[i]);
                expected[0][i] = weight;
                expected[1][i] = velocity;
                expected[2][i] = f32::mul_add(gain, weight - avg[i], avg[i]);
            }
            for isa in Isa::available() {
                for lanes in [1, 2, 3] {
                    let (mut w, mut v, mut avg) = (w.clone(), v.clone(), avg.clone());
                    let team = Team::of(lanes);
                    Update { isa, team, avg_gain: gain, w: &mut w, g: &g, avg: &mut avg }.sgd(cfg, &mut v);
                    for (got, expected) in [w, v, avg].iter().zip(&expected) {
                        assert!(bits(got) == bits(expected), "{isa:?} {length}, {lanes} lanes");
                    }
                }
            }
        }
    }

    #[test]
    fn adam_is_its_formula_on_every_element() {
        let (corr1, corr2) = (correction(0.9, 3), correction(0.999, 3));
        let cfg = Adam { rate: 1e-2, beta1: 0.9, beta2: 0.999, eps: 1e-8, l2: 1e-3, corr1, corr2 };
        let (gain, step, root) = (0.02, cfg.rate / corr1, corr2.sqrt());
        for length in LENGTHS {
            let (w, g, m) = (values("w", length), values("g", length), values("m", length));
            let v: Vec<f32> = values("v", length).iter().map(|x| x * x).collect();
            let avg = values("avg", length);
            let mut expected = [w.clone(), m.clone(), v.clone(), avg.clone()];
            for i in 0..length {
                let gradient = cfg.l2.mul_add(w[i], g[i]);
                let first = (1.0 - cfg.beta1).mul_add(gradient - m[i], m[i]);
                let second = (1.0 - cfg.beta2).mul_add(gradient * gradient, cfg.beta2 * v[i]);
                let weight = (-step).mul_add(first / (second.sqrt() / root + cfg.eps), w[i]);
                expected[0][i] = weight;
                expected[1][i] = first;
                expected[2][i] = second;
                expected[3][i] = f32::mul_add(gain, weight - avg[i], avg[i]);
            }
            for isa in Isa::available() {
                for lanes in [1, 2, 3] {
                    let (mut w, mut m, mut v, mut avg) = (w.clone(), m.clone(), v.clone(), avg.clone());
                    let team = Team::of(lanes);
                    Update { isa, team, avg_gain: gain, w: &mut w, g: &g, avg: &mut avg }.adam(cfg, &mut m, &mut v);
                    for (got, expected) in [w, m, v, avg].iter().zip(&expected) {
                        assert!(bits(got) == bits(expected), "{isa:?} {length}, {lanes} lanes");
                    }
                }
            }
        }
    }

    #[test]
    fn the_first_adam_step_moves_by_the_rate() {
        // m / corr1 = g and sqrt(v / corr2) = |g|, so the step is rate * sign(g) but for roundings.
        let (corr1, corr2) = (correction(0.9, 1), correction(0.999, 1));
        let cfg = Adam { rate: 0.01, beta1: 0.9, beta2: 0.999, eps: 0.0, l2: 0.0, corr1, corr2 };
        let (mut w, g) = ([1.0, 1.0], [0.3, -7.0]);
        let (isa, team) = (Isa::active(), Team::solo());
        let update = Update { isa, team, avg_gain: 1.0, w: &mut w, g: &g, avg: &mut [0.0; 2] };
        update.adam(cfg, &mut [0.0; 2], &mut [0.0; 2]);
        // A few roundings of numbers near 1 and 0.01, and 1 - 0.999f32 is not 0.001 to more than 5 digits.
        assert!((w[0] - 0.99).abs() < 1e-6 && (w[1] - 1.01).abs() < 1e-6, "{w:?}");
    }

    #[test]
    fn corrections_are_those_of_the_power() {
        assert_eq!(correction(0.5, 0), 0.0);
        assert_eq!(correction(0.5, 3), 0.875);
        assert_eq!(correction(0.9, 1_000_000), 1.0);
        assert_eq!(correction(0.0, 1), 1.0);
    }
}
