//! AVX-512, with VNNI where the CPU has it.

#![expect(unsafe_code, reason = "intrinsics; the token proves that the CPU has them")]
#![expect(clippy::indexing_slicing, reason = "accumulators have constant bounds")]
#![expect(clippy::needless_range_loop, reason = "j and part number registers; constant bounds let their loops unroll")]

use std::arch::x86_64::*;

use super::{Quad, Square, Squares, avx2, check};
use crate::num::simd::WIDTH;
use crate::num::simd::avx512::Avx512;

impl Squares for Avx512 {
    #[inline(always)]
    fn dot(self, a: &[Quad], b: &[Quad]) -> Square<i32> {
        if is_x86_feature_detected!("avx512vnni") {
            // SAFETY: VNNI was found a line ago, the token proves AVX-512F.
            unsafe { dot(a, b) }
        } else {
            // SAFETY: the token proves AVX2 too.
            unsafe { avx2::dot(a, b) }
        }
    }
    #[inline(always)]
    fn subtract(self, a: &[[f64; WIDTH]], b: &[[f64; WIDTH]], t: &mut Square<f64>) {
        // SAFETY: the token proves AVX-512F.
        unsafe { subtract(a, b, t) }
    }
}

#[inline(never)]
#[target_feature(enable = "avx512f,avx512vnni")]
fn dot(a: &[Quad], b: &[Quad]) -> Square<i32> {
    check(a.len(), b.len());
    let mut acc = [_mm512_setzero_si512(); WIDTH];
    for (a, b) in a.iter().zip(b) {
        // SAFETY: a quad is as long as a register.
        let a = unsafe { _mm512_loadu_si512(a.0.as_ptr().cast()) };
        for j in 0..WIDTH {
            let b = _mm512_set1_epi32(i32::from_le_bytes([b.0[4 * j], b.0[4 * j + 1], b.0[4 * j + 2], b.0[4 * j + 3]]));
            acc[j] = _mm512_dpbusd_epi32(acc[j], b, a);
        }
    }
    let mut out = [[0; WIDTH]; WIDTH];
    for (out, acc) in out.iter_mut().zip(acc) {
        // SAFETY: a column is as long as a register.
        unsafe { _mm512_storeu_si512(out.as_mut_ptr().cast(), acc) };
    }
    out
}

/// Columns whose accumulators fit into registers beside their operands.
const COLUMNS: usize = 8;

#[inline(never)]
#[target_feature(enable = "avx512f")]
fn subtract(a: &[[f64; WIDTH]], b: &[[f64; WIDTH]], t: &mut Square<f64>) {
    for (group, t) in t.as_chunks_mut::<COLUMNS>().0.iter_mut().enumerate() {
        let mut acc = [[_mm512_setzero_pd(); 2]; COLUMNS];
        for j in 0..COLUMNS {
            // SAFETY: two registers are as long as a column.
            acc[j] = unsafe { [_mm512_loadu_pd(t[j].as_ptr()), _mm512_loadu_pd(t[j].as_ptr().add(8))] };
        }
        for (a, b) in a.iter().zip(b) {
            // SAFETY: two registers are as long as a line.
            let a = unsafe { [_mm512_loadu_pd(a.as_ptr()), _mm512_loadu_pd(a.as_ptr().add(8))] };
            for j in 0..COLUMNS {
                let b = _mm512_set1_pd(b[COLUMNS * group + j]);
                acc[j][0] = _mm512_sub_pd(acc[j][0], _mm512_mul_pd(a[0], b));
                acc[j][1] = _mm512_sub_pd(acc[j][1], _mm512_mul_pd(a[1], b));
            }
        }
        for j in 0..COLUMNS {
            // SAFETY: as above.
            unsafe {
                _mm512_storeu_pd(t[j].as_mut_ptr(), acc[j][0]);
                _mm512_storeu_pd(t[j].as_mut_ptr().add(8), acc[j][1]);
            }
        }
    }
}
