//! AVX2.

#![expect(unsafe_code, reason = "intrinsics; the token proves that the CPU has them")]
#![expect(clippy::indexing_slicing, reason = "accumulators have constant bounds")]
#![expect(clippy::needless_range_loop, reason = "j and part number registers; constant bounds let their loops unroll")]

use std::arch::x86_64::*;

use super::{Quad, Square, Squares, check};
use crate::num::simd::WIDTH;
use crate::num::simd::avx2::Avx2;

impl Squares for Avx2 {
    #[inline(always)]
    fn dot(self, a: &[Quad], b: &[Quad]) -> Square<i32> {
        // SAFETY: the token proves AVX2.
        unsafe { dot(a, b) }
    }
    #[inline(always)]
    fn subtract(self, a: &[[f64; WIDTH]], b: &[[f64; WIDTH]], t: &mut Square<f64>) {
        // SAFETY: the token proves AVX2.
        unsafe { subtract(a, b, t) }
    }
}

/// Columns of integers whose accumulators fit into registers beside their operands.
const INTEGERS: usize = 4;

/// [`Squares::dot`], also for AVX-512 without VNNI.
#[inline(never)]
#[target_feature(enable = "avx2")]
pub(super) fn dot(a: &[Quad], b: &[Quad]) -> Square<i32> {
    check(a.len(), b.len());
    let mut out = [[0; WIDTH]; WIDTH];
    let ones = _mm256_set1_epi16(1);
    for (group, out) in out.as_chunks_mut::<INTEGERS>().0.iter_mut().enumerate() {
        let mut low = [_mm256_setzero_si256(); INTEGERS];
        let mut high = low;
        for (a, b) in a.iter().zip(b) {
            let from: *const __m256i = a.0.as_ptr().cast();
            // SAFETY: a quad is as long as two registers.
            let (a_low, a_high) = unsafe { (_mm256_loadu_si256(from), _mm256_loadu_si256(from.add(1))) };
            for j in 0..INTEGERS {
                let at = 4 * (INTEGERS * group + j);
                let b = _mm256_set1_epi32(i32::from_le_bytes([b.0[at], b.0[at + 1], b.0[at + 2], b.0[at + 3]]));
                low[j] = _mm256_add_epi32(low[j], _mm256_madd_epi16(_mm256_maddubs_epi16(b, a_low), ones));
                high[j] = _mm256_add_epi32(high[j], _mm256_madd_epi16(_mm256_maddubs_epi16(b, a_high), ones));
            }
        }
        for (j, out) in out.iter_mut().enumerate() {
            let to: *mut __m256i = out.as_mut_ptr().cast();
            // SAFETY: a column is as long as two registers.
            unsafe {
                _mm256_storeu_si256(to, low[j]);
                _mm256_storeu_si256(to.add(1), high[j]);
            }
        }
    }
    out
}

/// Columns of floats whose accumulators fit into registers beside their operands.
const FLOATS: usize = 2;
/// Registers of a column.
const PARTS: usize = 4;

#[inline(never)]
#[target_feature(enable = "avx2")]
fn subtract(a: &[[f64; WIDTH]], b: &[[f64; WIDTH]], t: &mut Square<f64>) {
    for (group, t) in t.as_chunks_mut::<FLOATS>().0.iter_mut().enumerate() {
        let mut acc = [[_mm256_setzero_pd(); PARTS]; FLOATS];
        for j in 0..FLOATS {
            for part in 0..PARTS {
                // SAFETY: four registers are as long as a column.
                acc[j][part] = unsafe { _mm256_loadu_pd(t[j].as_ptr().add(4 * part)) };
            }
        }
        for (a, b) in a.iter().zip(b) {
            for j in 0..FLOATS {
                let b = _mm256_set1_pd(b[FLOATS * group + j]);
                for part in 0..PARTS {
                    // SAFETY: four registers are as long as a line.
                    let a = unsafe { _mm256_loadu_pd(a.as_ptr().add(4 * part)) };
                    acc[j][part] = _mm256_sub_pd(acc[j][part], _mm256_mul_pd(a, b));
                }
            }
        }
        for j in 0..FLOATS {
            for part in 0..PARTS {
                // SAFETY: as above.
                unsafe { _mm256_storeu_pd(t[j].as_mut_ptr().add(4 * part), acc[j][part]) };
            }
        }
    }
}
