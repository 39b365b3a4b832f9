//! Our own exponential and hyperbolic tangent, logarithms, and the activations built from them.
//!
//! The scalar functions and the vectorised loops are one generic body, so they agree in every bit, on every instruction set
//! and target. The worst errors stated were measured against `libm` in `f64`: `exp` and `tanh` over every argument at which they are neither
//! saturated nor the identity, `ln` over every fifth; an ulp is the spacing of `f32` at the true result. NaN gives NaN.

#![expect(clippy::indexing_slicing, reason = "block lengths are constant")]

use super::isa::Isa;
use super::simd::{Arith, Kernel, Lanes, One, WIDTH, on};
use super::sum::tree;
use super::team::Team;

/// e^x, within 1.02 ulp; +inf from 88.72284 on, subnormal below -87.33655, +0.0 below -103.97208.
///
/// Range reduction and polynomial of degree 5 of Cephes (`expf`, Moshier), evaluated with fused multiply-adds.
pub fn exp(x: f32) -> f32 {
    exp_on(One, x)
}

/// The hyperbolic tangent, within 4.9 ulp, odd, and below 1 in magnitude (at most 1 - 2^-24). Neighbouring arguments may come out
/// in the wrong order by a few ulp.
///
/// The rational function of degrees 13 and 6 of Eigen (`generic_fast_tanh_float`), the identity below 0.0004.
pub fn tanh(x: f32) -> f32 {
    tanh_on(One, x)
}

/// The natural logarithm: that of [`ln_f64`] rounded to `f32` (within 0.501 ulp); -inf at 0, NaN below.
pub fn ln(x: f32) -> f32 {
    libm::log(f64::from(x)) as f32
}

/// ln(1 + x), by `libm` in `f64` and rounded to `f32` (within 0.501 ulp); keeps the sign of zero, -inf at -1, NaN below.
pub fn log1p(x: f32) -> f32 {
    libm::log1p(f64::from(x)) as f32
}

/// The natural logarithm for reported losses, by the pinned `libm` crate (Rust code, the same on every target).
pub fn ln_f64(x: f64) -> f64 {
    libm::log(x)
}

/// e^x for reported figures, by the pinned `libm` crate.
pub fn exp_f64(x: f64) -> f64 {
    libm::exp(x)
}

/// The cosine of a share of a turn, cos(2 pi x), by the pinned `libm` crate; for tables of integers.
pub fn cos_turn(x: f64) -> f64 {
    libm::cos(x * std::f64::consts::TAU)
}

#[inline(always)]
pub(super) fn exp_on<A: Arith>(s: A, x: A::V) -> A::V {
    // Past these bounds the result is infinite or zero. The constant comes first so that NaN passes through.
    let x = s.max(s.splat(-104.5), s.min(s.splat(89.0), x));
    // Adding 1.5 * 2^23 rounds to the nearest integer n and leaves it in the low bits; then r = x - n ln 2, with ln 2 in
    // two parts, the first of them 355 / 512, so that its product with n is exact.
    let magic = s.splat(12_582_912.0);
    let shifted = s.fma(x, s.splat(std::f32::consts::LOG2_E), magic);
    let n = s.sub(shifted, magic);
    let r = s.fma(n, s.splat(2.121_944_4e-4), s.fma(n, s.splat(-0.693_359_4), x));
    let mut p = s.splat(1.987_569_1e-4);
    for coefficient in [1.398_199_9e-3, 8.333_452e-3, 4.166_579_6e-2, 1.666_666_6e-1, 0.5] {
        p = s.fma(p, r, s.splat(coefficient));
    }
    let y = s.add(s.fma(p, s.mul(r, r), r), s.splat(1.0));
    // 2^n as two normal factors, so that the one rounding of a subnormal result is that of the last product.
    let n = s.int_sub(s.bits(shifted), s.bits(magic));
    let half = s.int_half(n);
    let rest = s.int_sub(n, half);
    s.mul(s.mul(y, power_of_two(s, half)), power_of_two(s, rest))
}

/// 2^n for n in -126..=127.
#[inline(always)]
fn power_of_two<A: Arith>(s: A, n: A::I) -> A::V {
    s.float(s.int_to_exponent(s.int_add(n, s.int(127))))
}

#[inline(always)]
pub(super) fn tanh_on<A: Arith>(s: A, x: A::V) -> A::V {
    let bound = 7.905_311;
    let t = s.max(s.splat(-bound), s.min(s.splat(bound), x));
    let z = s.mul(t, t);
    let mut p = s.splat(-2.760_768_4e-16);
    for coefficient in [2.000_188e-13, -8.604_672e-11, 5.122_297_3e-8, 1.485_722_35e-5, 6.372_619_5e-4, 4.893_524_6e-3] {
        p = s.fma(p, z, s.splat(coefficient));
    }
    let mut q = s.splat(1.198_258_4e-6);
    for coefficient in [1.185_347_1e-4, 2.268_434_7e-3, 4.893_525e-3] {
        q = s.fma(q, z, s.splat(coefficient));
    }
    let y = s.div(s.mul(t, p), q);
    // x^2 < 0.0004^2: the next term, x^3 / 3, is below half an ulp, and subnormals keep their bits.
    s.pick_lt(z, s.splat(1.6e-7), x, y)
}

/// Elements that are worth one task more: about 10 us of work.
const TASK_ELEMENTS: usize = 32_768;

/// x = tanh(x) for all elements.
pub fn tanh_all(team: Team, xs: &mut [f32]) {
    tanh_all_with(Isa::active(), team, xs);
}

/// [`tanh_all`] on a given instruction set.
pub fn tanh_all_with(isa: Isa, team: Team, xs: &mut [f32]) {
    map(isa, team, xs, Tanh);
}

/// x = max(x, 0) for all elements; NaN and -0.0 stay.
pub fn relu_all(team: Team, xs: &mut [f32]) {
    relu_all_with(Isa::active(), team, xs);
}

/// [`relu_all`] on a given instruction set.
pub fn relu_all_with(isa: Isa, team: Team, xs: &mut [f32]) {
    map(isa, team, xs, Relu);
}

/// x = 1 / (1 + [`exp`](-x)) for all elements.
pub fn sigmoid_all(team: Team, xs: &mut [f32]) {
    sigmoid_all_with(Isa::active(), team, xs);
}

/// [`sigmoid_all`] on a given instruction set.
pub fn sigmoid_all_with(isa: Isa, team: Team, xs: &mut [f32]) {
    map(isa, team, xs, Sigmoid);
}

/// d = d * fma(-y, y, 1), the gradient before a tanh whose output was y.
///
/// # Panics
///
/// When the lengths differ.
pub fn tanh_backward(team: Team, y: &[f32], d: &mut [f32]) {
    tanh_backward_with(Isa::active(), team, y, d);
}

/// [`tanh_backward`] on a given instruction set.
pub fn tanh_backward_with(isa: Isa, team: Team, y: &[f32], d: &mut [f32]) {
    zip(isa, team, y, d, Tanh);
}

/// d = 0 where y <= 0, the gradient before a relu whose output was y.
///
/// # Panics
///
/// When the lengths differ.
pub fn relu_backward(team: Team, y: &[f32], d: &mut [f32]) {
    relu_backward_with(Isa::active(), team, y, d);
}

/// [`relu_backward`] on a given instruction set.
pub fn relu_backward_with(isa: Isa, team: Team, y: &[f32], d: &mut [f32]) {
    zip(isa, team, y, d, Relu);
}

/// Softmax of each row of `classes` logits: subtract the row's maximum, [`exp`], divide by the 16-lane sum.
///
/// # Panics
///
/// When `classes` is 0 or does not divide the length.
pub fn softmax_rows(team: Team, classes: usize, z: &mut [f32]) {
    softmax_rows_with(Isa::active(), team, classes, z);
}

/// [`softmax_rows`] on a given instruction set.
pub fn softmax_rows_with(isa: Isa, team: Team, classes: usize, z: &mut [f32]) {
    assert!(classes > 0 && z.len().is_multiple_of(classes), "{} logits are no rows of {classes}", z.len());
    let rows = team.piece(z.len() / classes, 1, (TASK_ELEMENTS / 4).div_ceil(classes));
    team.run(z.chunks_mut(rows * classes), |z| on(isa, Softmax { classes, z }));
}

/// An activation and its derivative by its output.
trait Activation: Copy + Send + Sync {
    fn forward<L: Lanes>(self, s: L, x: L::V) -> L::V;
    fn backward<L: Lanes>(self, s: L, y: L::V, d: L::V) -> L::V;
}

#[derive(Clone, Copy)]
struct Tanh;

impl Activation for Tanh {
    #[inline(always)]
    fn forward<L: Lanes>(self, s: L, x: L::V) -> L::V {
        tanh_on(s, x)
    }
    #[inline(always)]
    fn backward<L: Lanes>(self, s: L, y: L::V, d: L::V) -> L::V {
        s.mul(d, s.fnma(y, y, s.splat(1.0)))
    }
}

#[derive(Clone, Copy)]
struct Sigmoid;

impl Activation for Sigmoid {
    #[inline(always)]
    fn forward<L: Lanes>(self, s: L, x: L::V) -> L::V {
        s.div(s.splat(1.0), s.add(s.splat(1.0), exp_on(s, s.sub(s.splat(0.0), x))))
    }
    #[inline(always)]
    fn backward<L: Lanes>(self, s: L, y: L::V, d: L::V) -> L::V {
        s.mul(d, s.mul(y, s.sub(s.splat(1.0), y)))
    }
}

#[derive(Clone, Copy)]
struct Relu;

impl Activation for Relu {
    #[inline(always)]
    fn forward<L: Lanes>(self, s: L, x: L::V) -> L::V {
        s.max(s.splat(0.0), x)
    }
    #[inline(always)]
    fn backward<L: Lanes>(self, s: L, y: L::V, d: L::V) -> L::V {
        s.pick_le(y, s.splat(0.0), s.splat(0.0), d)
    }
}

fn map<F: Activation>(isa: Isa, team: Team, xs: &mut [f32], f: F) {
    let piece = team.piece(xs.len(), WIDTH, TASK_ELEMENTS);
    team.run(xs.chunks_mut(piece), |xs| on(isa, Map { xs, f }));
}

fn zip<F: Activation>(isa: Isa, team: Team, y: &[f32], d: &mut [f32], f: F) {
    assert_eq!(y.len(), d.len(), "as many outputs as gradients");
    let piece = team.piece(d.len(), WIDTH, TASK_ELEMENTS);
    team.run(y.chunks(piece).zip(d.chunks_mut(piece)), |(y, d)| on(isa, Zip { y, d, f }));
}

struct Map<'a, F> {
    xs: &'a mut [f32],
    f: F,
}

impl<F: Activation> Kernel for Map<'_, F> {
    type Out = ();
    #[inline(always)]
    fn run<L: Lanes>(self, s: L) {
        let (blocks, rest) = self.xs.as_chunks_mut::<WIDTH>();
        for block in blocks {
            s.store(self.f.forward(s, s.load(block)), block);
        }
        if !rest.is_empty() {
            s.store_part(self.f.forward(s, s.load_part(rest)), rest);
        }
    }
}

struct Zip<'a, F> {
    y: &'a [f32],
    d: &'a mut [f32],
    f: F,
}

impl<F: Activation> Kernel for Zip<'_, F> {
    type Out = ();
    #[inline(always)]
    fn run<L: Lanes>(self, s: L) {
        let (ys, y_rest) = self.y.as_chunks::<WIDTH>();
        let (ds, d_rest) = self.d.as_chunks_mut::<WIDTH>();
        for (y, d) in ys.iter().zip(ds) {
            s.store(self.f.backward(s, s.load(y), s.load(d)), d);
        }
        if !d_rest.is_empty() {
            s.store_part(self.f.backward(s, s.load_part(y_rest), s.load_part(d_rest)), d_rest);
        }
    }
}

struct Softmax<'a> {
    classes: usize,
    z: &'a mut [f32],
}

impl Kernel for Softmax<'_> {
    type Out = ();
    #[inline(always)]
    fn run<L: Lanes>(self, s: L) {
        for row in self.z.chunks_exact_mut(self.classes) {
            let (blocks, rest) = row.as_chunks_mut::<WIDTH>();
            // The maximum does not depend on the order, but for the sign of a zero, which the subtraction forgets.
            let mut most = s.splat(f32::NEG_INFINITY);
            for block in blocks.iter() {
                most = s.max(s.load(block), most);
            }
            let mut lanes = [0.0; WIDTH];
            s.store(most, &mut lanes);
            let most = lanes.iter().chain(rest.iter()).fold(f32::NEG_INFINITY, |most, &x| if x > most { x } else { most });
            let most = s.splat(most);
            let mut total = s.splat(0.0);
            for block in blocks.iter_mut() {
                let e = exp_on(s, s.sub(s.load(block), most));
                s.store(e, block);
                total = s.add(total, e);
            }
            if !rest.is_empty() {
                let mut e = [0.0; WIDTH];
                s.store(exp_on(s, s.sub(s.load_part(rest), most)), &mut e);
                e[rest.len()..].fill(0.0);
                rest.copy_from_slice(&e[..rest.len()]);
                total = s.add(total, s.load(&e));
            }
            s.store(total, &mut lanes);
            let total = s.splat(tree(lanes));
            for block in blocks {
                s.store(s.div(s.load(block), total), block);
            }
            if !rest.is_empty() {
                s.store_part(s.div(s.load_part(rest), total), rest);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::num::golden::{bits, values};

    /// The distance of `got` from the true value, in units of the spacing of `f32` at the true value.
    fn ulps(got: f32, truth: f64) -> f64 {
        let exponent = truth.abs().max(f64::from(f32::MIN_POSITIVE)).log2().floor();
        (f64::from(got) - truth).abs() / (exponent - 23.0).exp2()
    }

    /// A dense sample of all arguments: every 9973rd bit pattern (a prime, so that all low bits occur).
    fn arguments() -> impl Iterator<Item = f32> {
        (0..=u32::MAX).step_by(9973).map(f32::from_bits).filter(|x| x.is_finite())
    }

    fn worst(f: fn(f32) -> f32, truth: fn(f64) -> f64, domain: impl Fn(f32) -> bool) -> (f64, f32) {
        arguments()
            .filter(|&x| domain(x))
            .map(|x| (ulps(f(x), truth(f64::from(x))), x))
            .fold((0.0, 0.0), |a, b| if b.0 > a.0 { b } else { a })
    }

    #[test]
    fn errors_stay_within_those_stated() {
        let (error, at) = worst(exp, libm::exp, |x| x < 88.72);
        assert!(error < 1.02, "exp: {error} ulp at {at}");
        let (error, at) = worst(tanh, libm::tanh, |_| true);
        assert!(error < 4.9, "tanh: {error} ulp at {at}");
        let (error, at) = worst(ln, libm::log, |x| x > 0.0);
        assert!(error < 0.501, "ln: {error} ulp at {at}");
        let (error, at) = worst(log1p, libm::log1p, |x| x > -1.0);
        assert!(error < 0.501, "log1p: {error} ulp at {at}");
    }

    #[test]
    fn special_values() {
        assert_eq!((exp(0.0), exp(-0.0), exp(f32::INFINITY)), (1.0, 1.0, f32::INFINITY));
        assert_eq!(exp(f32::NEG_INFINITY).to_bits(), 0);
        assert_eq!((exp(88.722_84), exp(1e30)), (f32::INFINITY, f32::INFINITY));
        assert!(exp(88.722_83).is_finite());
        assert_eq!((exp(-103.97).to_bits(), exp(-104.0).to_bits(), exp(-1e30).to_bits()), (1, 0, 0));
        assert!(exp(-90.0) > 0.0 && exp(-90.0) < f32::MIN_POSITIVE);
        assert_eq!(exp(f32::from_bits(1)), 1.0);

        assert_eq!((tanh(0.0).to_bits(), tanh(-0.0).to_bits()), (0, 0x8000_0000));
        assert_eq!(tanh(f32::from_bits(1)).to_bits(), 1);
        assert_eq!(tanh(f32::INFINITY), tanh(100.0));
        assert_eq!(tanh(f32::NEG_INFINITY), -tanh(f32::INFINITY));
        for x in arguments() {
            assert!(tanh(x).abs() <= 1.0 && tanh(-x).to_bits() == (-tanh(x)).to_bits(), "{x}");
        }

        assert_eq!((ln(1.0), ln(0.0), ln(-0.0)), (0.0, f32::NEG_INFINITY, f32::NEG_INFINITY));
        assert_eq!((ln(f32::INFINITY), log1p(f32::INFINITY), log1p(-1.0)), (f32::INFINITY, f32::INFINITY, f32::NEG_INFINITY));
        assert_eq!((log1p(-0.0).to_bits(), log1p(f32::from_bits(3)).to_bits()), (0x8000_0000, 3));
        assert!(ln(-1.0).is_nan() && log1p(-1.5).is_nan());
        for f in [exp, tanh, ln, log1p] {
            assert!(f(f32::NAN).is_nan());
        }
    }

    /// Equal bits, or both NaN.
    fn same(a: f32, b: f32) -> bool {
        a.to_bits() == b.to_bits() || a.is_nan() && b.is_nan()
    }

    #[test]
    fn loops_agree_with_the_scalar_functions() {
        let specials = [0.0, -0.0, f32::NAN, f32::INFINITY, f32::NEG_INFINITY, 1e-45, -1e-40, 7.9, -8.0, 1e-4, 3.9e-4, 4.1e-4];
        for length in (0..40).chain([1000, 70_001]) {
            let xs: Vec<f32> = (values("activations", length).iter().enumerate())
                .map(|(i, x)| if i % 5 == 0 { specials[i / 5 % specials.len()] } else { x * 9.0 })
                .collect();
            let ds = values("gradients", length);
            for isa in Isa::available() {
                for lanes in [1, 2, 3] {
                    let team = Team::of(lanes);
                    let mut y = xs.clone();
                    tanh_all_with(isa, team, &mut y);
                    assert!(y.iter().zip(&xs).all(|(&y, &x)| same(y, tanh(x))), "{isa:?} {length}");
                    let mut d = ds.clone();
                    tanh_backward_with(isa, team, &y, &mut d);
                    let expected = |d: f32, y: f32| d * One.fma(-y, y, 1.0);
                    assert!(
                        d.iter().zip(ds.iter().zip(&y)).all(|(&got, (&d, &y))| same(got, expected(d, y))),
                        "{isa:?} {length}"
                    );

                    let mut y = xs.clone();
                    relu_all_with(isa, team, &mut y);
                    assert!(y.iter().zip(&xs).all(|(&y, &x)| same(y, if x < 0.0 { 0.0 } else { x })), "{isa:?} {length}");
                    let mut d = ds.clone();
                    relu_backward_with(isa, team, &y, &mut d);
                    let expected = |d: f32, y: f32| if y <= 0.0 { 0.0 } else { d };
                    assert!(
                        d.iter().zip(ds.iter().zip(&y)).all(|(&got, (&d, &y))| same(got, expected(d, y))),
                        "{isa:?} {length}"
                    );
                }
            }
        }
    }

    #[test]
    fn softmax_is_its_definition_row_by_row() {
        for classes in (1..40).chain([100, 128]) {
            let rows = 40_000 / classes.max(900) + 3;
            let z: Vec<f32> = values("logits", rows * classes).iter().map(|x| x * 30.0).collect();
            let mut expected = z.clone();
            for row in expected.chunks_mut(classes) {
                let most = row.iter().copied().fold(f32::NEG_INFINITY, f32::max);
                row.iter_mut().for_each(|x| *x = exp(*x - most));
                let mut lanes = [0.0; 16];
                for (i, x) in row.iter().enumerate() {
                    lanes[i % 16] += x;
                }
                let total = tree(lanes);
                row.iter_mut().for_each(|x| *x /= total);
            }
            for isa in Isa::available() {
                for lanes in [1, 3] {
                    let mut got = z.clone();
                    softmax_rows_with(isa, Team::of(lanes), classes, &mut got);
                    assert!(bits(&got) == bits(&expected), "{isa:?} {classes} classes, {lanes} lanes");
                }
            }
        }
        // Logits far apart: no overflow, and the far ones are exactly 0. A NaN spoils its own row only.
        let mut z = [1e30, 0.0, -1e30, f32::NAN, 0.0, 1.0];
        softmax_rows(Team::solo(), 3, &mut z);
        assert_eq!(z[..3], [1.0, 0.0, 0.0]);
        assert!(z[3..].iter().all(|x| x.is_nan()));
    }
}
