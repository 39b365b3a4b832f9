//! NEON, with its dot products of bytes where the CPU has them.

#![expect(unsafe_code, reason = "intrinsics; the token proves that the CPU has them")]
#![expect(clippy::indexing_slicing, reason = "accumulators have constant bounds")]
#![expect(clippy::needless_range_loop, reason = "j and part number registers; constant bounds let their loops unroll")]

use std::arch::{aarch64::*, asm, is_aarch64_feature_detected};

use super::{Quad, Square, Squares, check};
use crate::num::simd::WIDTH;
use crate::num::simd::neon::Neon;

impl Squares for Neon {
    #[inline(always)]
    fn dot(self, a: &[Quad], b: &[Quad]) -> Square<i32> {
        if is_aarch64_feature_detected!("dotprod") {
            // SAFETY: dot products were found a line ago, the token proves NEON.
            unsafe { dot(a, b) }
        } else {
            // SAFETY: the token proves NEON.
            unsafe { dot_by_pairs(a, b) }
        }
    }
    #[inline(always)]
    fn subtract(self, a: &[[f64; WIDTH]], b: &[[f64; WIDTH]], t: &mut Square<f64>) {
        // SAFETY: the token proves NEON.
        unsafe { subtract(a, b, t) }
    }
}

/// Columns of integers whose accumulators fit into registers beside their operands.
const INTEGERS: usize = 4;
/// Registers of a column, and of a quad.
const PARTS: usize = 4;

#[inline(never)]
#[target_feature(enable = "neon,dotprod")]
fn dot(a: &[Quad], b: &[Quad]) -> Square<i32> {
    check(a.len(), b.len());
    let mut out = [[0; WIDTH]; WIDTH];
    for (group, out) in out.as_chunks_mut::<INTEGERS>().0.iter_mut().enumerate() {
        let mut acc = [[vdupq_n_s32(0); PARTS]; INTEGERS];
        for (a, b) in a.iter().zip(b) {
            for j in 0..INTEGERS {
                // Bytes of b are at most 127, so they are the same with a sign.
                let b = column(b, INTEGERS * group + j);
                for part in 0..PARTS {
                    acc[j][part] = dot_of_fours(acc[j][part], quarter(a, part), b);
                }
            }
        }
        for (acc, out) in acc.into_iter().zip(out) {
            store(acc, out);
        }
    }
    out
}

/// `acc[l] + sum over t of a[4 l + t] * b[4 l + t]`, for four lanes l. (The intrinsic is not stable.)
#[inline]
#[target_feature(enable = "neon,dotprod")]
fn dot_of_fours(mut acc: int32x4_t, a: int8x16_t, b: int8x16_t) -> int32x4_t {
    // SAFETY: one instruction on registers, which the CPU has by the feature of this function.
    unsafe {
        asm!("sdot {acc:v}.4s, {a:v}.16b, {b:v}.16b", acc = inout(vreg) acc, a = in(vreg) a, b = in(vreg) b,
             options(pure, nomem, nostack, preserves_flags));
    }
    acc
}

/// Without dot products: products of bytes fit into 16 bits, and pairs of them are added up in 32.
#[inline(never)]
#[target_feature(enable = "neon")]
fn dot_by_pairs(a: &[Quad], b: &[Quad]) -> Square<i32> {
    /// Two halves of each part take twice the accumulators.
    const COLUMNS: usize = 2;
    check(a.len(), b.len());
    let mut out = [[0; WIDTH]; WIDTH];
    for (group, out) in out.as_chunks_mut::<COLUMNS>().0.iter_mut().enumerate() {
        let mut low = [[vdupq_n_s32(0); PARTS]; COLUMNS];
        let mut high = low;
        for (a, b) in a.iter().zip(b) {
            for j in 0..COLUMNS {
                let b = column(b, COLUMNS * group + j);
                for part in 0..PARTS {
                    let a = quarter(a, part);
                    low[j][part] = vpadalq_s16(low[j][part], vmull_s8(vget_low_s8(a), vget_low_s8(b)));
                    high[j][part] = vpadalq_s16(high[j][part], vmull_high_s8(a, b));
                }
            }
        }
        for (j, out) in out.iter_mut().enumerate() {
            let mut acc = low[j];
            for part in 0..PARTS {
                acc[part] = vpaddq_s32(low[j][part], high[j][part]);
            }
            store(acc, out);
        }
    }
    out
}

/// Four rows of a quad.
#[inline]
#[target_feature(enable = "neon")]
fn quarter(quad: &Quad, part: usize) -> int8x16_t {
    let bytes = &quad.0.as_chunks::<16>().0[part];
    // SAFETY: a quarter of a quad is as long as a register.
    unsafe { vreinterpretq_s8_u8(vld1q_u8(bytes.as_ptr())) }
}

/// The four bytes of one row of a quad, four times.
#[inline]
#[target_feature(enable = "neon")]
fn column(quad: &Quad, at: usize) -> int8x16_t {
    vreinterpretq_s8_s32(vdupq_n_s32(i32::from_le_bytes(quad.0.as_chunks::<4>().0[at])))
}

#[inline]
#[target_feature(enable = "neon")]
fn store(acc: [int32x4_t; PARTS], out: &mut [i32; WIDTH]) {
    for (acc, out) in acc.into_iter().zip(out.as_chunks_mut::<4>().0) {
        // SAFETY: a quarter of a column is as long as a register.
        unsafe { vst1q_s32(out.as_mut_ptr(), acc) };
    }
}

/// Columns of floats whose accumulators fit into registers beside their operands.
const FLOATS: usize = 2;
/// Registers of a column of floats.
const PAIRS: usize = 8;

#[inline(never)]
#[target_feature(enable = "neon")]
fn subtract(a: &[[f64; WIDTH]], b: &[[f64; WIDTH]], t: &mut Square<f64>) {
    for (group, t) in t.as_chunks_mut::<FLOATS>().0.iter_mut().enumerate() {
        let mut acc = [[vdupq_n_f64(0.0); PAIRS]; FLOATS];
        for j in 0..FLOATS {
            for part in 0..PAIRS {
                // SAFETY: eight registers are as long as a column.
                acc[j][part] = unsafe { vld1q_f64(t[j].as_ptr().add(2 * part)) };
            }
        }
        for (a, b) in a.iter().zip(b) {
            for j in 0..FLOATS {
                let b = vdupq_n_f64(b[FLOATS * group + j]);
                for part in 0..PAIRS {
                    // SAFETY: eight registers are as long as a line.
                    let a = unsafe { vld1q_f64(a.as_ptr().add(2 * part)) };
                    acc[j][part] = vsubq_f64(acc[j][part], vmulq_f64(a, b));
                }
            }
        }
        for j in 0..FLOATS {
            for part in 0..PAIRS {
                // SAFETY: as above.
                unsafe { vst1q_f64(t[j].as_mut_ptr().add(2 * part), acc[j][part]) };
            }
        }
    }
}
