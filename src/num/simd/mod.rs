//! The one folder with `unsafe`: vectors of 16 `f32` lanes on each instruction set, the register tile of the products, and
//! squares of integers and `f64`.
//!
//! Each set has a token ([`Plain`], [`Avx2`], [`Avx512`], [`Neon`](neon::Neon)) that only [`on`] makes, after it has found that the CPU has the set.
//! A token is therefore the proof that its intrinsics may run, and the trait methods that take one are safe to call.
//! Kernels are generic over the token, marked `#[inline(always)]`, and reach their instructions by being inlined into a
//! `#[target_feature]` function here.
//!
//! Every operation acts on each lane alone, and is the same IEEE operation in every set, so the sets agree in every bit
//! (the payload of a NaN excepted). AVX-512 code can't run on every development machine: its part is kept to one-line wrappers of
//! intrinsics, and the generic code above them is proven by the other two sets. `scripts/avx512.sh` runs it in an emulator.

#![cfg_attr(
    any(target_arch = "x86_64", target_arch = "aarch64"),
    expect(unsafe_code, reason = "calls functions with target features once the CPU is known to have them")
)]

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
#[cfg(all(test, target_arch = "x86_64"))]
pub(super) mod control;
#[cfg(target_arch = "aarch64")]
mod neon;
mod plain;
mod prefetch;
mod square;
mod tile;

#[cfg(target_arch = "x86_64")]
use avx2::Avx2;
#[cfg(target_arch = "x86_64")]
use avx512::Avx512;
#[cfg(target_arch = "aarch64")]
use neon::Neon;
use plain::Plain;

use super::isa::Isa;
pub(super) use plain::One;
pub(super) use prefetch::{prefetch, prefetch_far};
use square::Squares;
pub(super) use square::{BYTE_MAX, QUADS_MAX, Quad, Square};
pub(super) use tile::Tile;

/// Lanes of a vector, and columns of a packed panel.
pub(super) const WIDTH: usize = 16;

/// Sixteen values on a cache line: one row of a packed panel.
#[derive(Debug, Clone, Copy, bytemuck::Pod, bytemuck::Zeroable)]
#[repr(C, align(64))]
pub(super) struct Line(pub(super) [f32; WIDTH]);

/// A loop over slices, to be run on any instruction set. `run` must be `#[inline(always)]`.
pub(super) trait Kernel {
    /// What the loop returns.
    type Out;
    /// The loop.
    fn run<L: Lanes>(self, s: L) -> Self::Out;
}

/// Runs a kernel on an instruction set.
///
/// # Panics
///
/// When the CPU lacks the set: [`Isa::available`] lists those it has.
#[inline]
pub(super) fn on<K: Kernel>(isa: Isa, kernel: K) -> K::Out {
    assert!(isa.is_available(), "the {} kernels need a CPU that has these instructions", isa.name());
    match isa {
        Isa::Scalar => kernel.run(Plain(())),
        #[cfg(target_arch = "x86_64")]
        // SAFETY: the assertion above found the features of this function.
        Isa::Avx2 => unsafe { on_avx2(kernel) },
        #[cfg(target_arch = "x86_64")]
        // SAFETY: as above.
        Isa::Avx512 => unsafe { on_avx512(kernel) },
        #[cfg(target_arch = "aarch64")]
        // SAFETY: as above.
        Isa::Neon => unsafe { on_neon(kernel) },
        _ => unreachable!("the assertion above refuses the sets of other architectures"),
    }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
fn on_avx2<K: Kernel>(kernel: K) -> K::Out {
    kernel.run(Avx2(()))
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx2,fma")]
fn on_avx512<K: Kernel>(kernel: K) -> K::Out {
    kernel.run(Avx512(()))
}

#[cfg(target_arch = "aarch64")]
#[target_feature(enable = "neon")]
fn on_neon<K: Kernel>(kernel: K) -> K::Out {
    kernel.run(Neon(()))
}

/// Lane-wise arithmetic. The polynomials need only this, so that the scalar functions are the same code on one lane.
pub(super) trait Arith: Copy {
    /// Floats.
    type V: Copy;
    /// 32-bit integers.
    type I: Copy;

    fn splat(self, x: f32) -> Self::V;
    fn add(self, a: Self::V, b: Self::V) -> Self::V;
    fn sub(self, a: Self::V, b: Self::V) -> Self::V;
    fn mul(self, a: Self::V, b: Self::V) -> Self::V;
    fn div(self, a: Self::V, b: Self::V) -> Self::V;
    fn sqrt(self, a: Self::V) -> Self::V;
    /// `a * b + c`, rounded once.
    fn fma(self, a: Self::V, b: Self::V, c: Self::V) -> Self::V;
    /// `c - a * b`, rounded once.
    fn fnma(self, a: Self::V, b: Self::V, c: Self::V) -> Self::V;
    /// `if a < b { a } else { b }`: `b` when either is NaN or both are zero.
    fn min(self, a: Self::V, b: Self::V) -> Self::V;
    /// `if a > b { a } else { b }`: `b` when either is NaN or both are zero.
    fn max(self, a: Self::V, b: Self::V) -> Self::V;
    /// `if a < b { yes } else { no }`: `no` for NaN.
    fn pick_lt(self, a: Self::V, b: Self::V, yes: Self::V, no: Self::V) -> Self::V;
    /// `if a <= b { yes } else { no }`: `no` for NaN.
    fn pick_le(self, a: Self::V, b: Self::V, yes: Self::V, no: Self::V) -> Self::V;
    /// `if a or b is NaN { yes } else { no }`.
    fn pick_unordered(self, a: Self::V, b: Self::V, yes: Self::V, no: Self::V) -> Self::V;

    fn bits(self, a: Self::V) -> Self::I;
    fn float(self, a: Self::I) -> Self::V;
    fn int(self, x: i32) -> Self::I;
    /// Wrapping.
    fn int_add(self, a: Self::I, b: Self::I) -> Self::I;
    /// Wrapping.
    fn int_sub(self, a: Self::I, b: Self::I) -> Self::I;
    /// `a << 23`: an integer to the place of the exponent.
    fn int_to_exponent(self, a: Self::I) -> Self::I;
    /// `a >> 1`, keeping the sign.
    fn int_half(self, a: Self::I) -> Self::I;
}

/// Vectors of [`WIDTH`] lanes in memory, and the register tile.
pub(super) trait Lanes: Arith + Squares {
    fn load(self, from: &[f32; WIDTH]) -> Self::V;
    fn store(self, v: Self::V, to: &mut [f32; WIDTH]);
    /// The first `from.len() <= WIDTH` lanes; the others are +0.0.
    fn load_part(self, from: &[f32]) -> Self::V;
    /// The first `to.len() <= WIDTH` lanes.
    fn store_part(self, v: Self::V, to: &mut [f32]);
    fn load_bytes(self, from: &[u8; WIDTH]) -> Self::V;

    /// The most panels that one tile spans.
    const PANELS: usize;
    /// The most rows of a tile of so many panels.
    fn rows(panels: usize) -> usize;
    /// Computes one tile. `AT` tells whether A is stored transposed.
    fn tile<const AT: bool>(self, tile: Tile<'_>);
}
