//! AVX2 with FMA.

#![expect(unsafe_code, reason = "intrinsics; the token proves that the CPU has them")]

use std::arch::x86_64::*;

use super::tile::{Tile, by_rows, tile_on};
use super::{Arith, Lanes, WIDTH};

/// AVX2 with FMA: sixteen lanes in two registers.
#[derive(Debug, Clone, Copy)]
pub(in crate::num) struct Avx2(pub(super) ());

/// The low and the high half of sixteen lanes.
#[derive(Debug, Clone, Copy)]
pub(in crate::num) struct Pair<T>(T, T);

/// Methods that apply one intrinsic to both halves.
macro_rules! each_half {
    ($($name:ident($($arg:ident: $of:ident),*) -> $out:ident = $call:expr;)*) => {
        $(#[inline(always)]
        fn $name(self, $($arg: Self::$of),*) -> Self::$out {
            // SAFETY: the token proves AVX2 and FMA, and these intrinsics touch no memory.
            unsafe { Pair($call($($arg.0),*), $call($($arg.1),*)) }
        })*
    };
}

impl Arith for Avx2 {
    type V = Pair<__m256>;
    type I = Pair<__m256i>;

    #[inline(always)]
    fn splat(self, x: f32) -> Self::V {
        // SAFETY: the token proves AVX2.
        let half = unsafe { _mm256_set1_ps(x) };
        Pair(half, half)
    }
    #[inline(always)]
    fn int(self, x: i32) -> Self::I {
        // SAFETY: the token proves AVX2.
        let half = unsafe { _mm256_set1_epi32(x) };
        Pair(half, half)
    }
    each_half! {
        add(a: V, b: V) -> V = _mm256_add_ps;
        sub(a: V, b: V) -> V = _mm256_sub_ps;
        mul(a: V, b: V) -> V = _mm256_mul_ps;
        div(a: V, b: V) -> V = _mm256_div_ps;
        sqrt(a: V) -> V = _mm256_sqrt_ps;
        fma(a: V, b: V, c: V) -> V = _mm256_fmadd_ps;
        fnma(a: V, b: V, c: V) -> V = _mm256_fnmadd_ps;
        min(a: V, b: V) -> V = _mm256_min_ps;
        max(a: V, b: V) -> V = _mm256_max_ps;
        pick_lt(a: V, b: V, yes: V, no: V) -> V = avx2_pick::<_CMP_LT_OQ>;
        pick_le(a: V, b: V, yes: V, no: V) -> V = avx2_pick::<_CMP_LE_OQ>;
        pick_unordered(a: V, b: V, yes: V, no: V) -> V = avx2_pick::<_CMP_UNORD_Q>;
        bits(a: V) -> I = _mm256_castps_si256;
        float(a: I) -> V = _mm256_castsi256_ps;
        int_add(a: I, b: I) -> I = _mm256_add_epi32;
        int_sub(a: I, b: I) -> I = _mm256_sub_epi32;
        int_to_exponent(a: I) -> I = _mm256_slli_epi32::<23>;
        int_half(a: I) -> I = _mm256_srai_epi32::<1>;
    }
}

// A function and not a closure: a closure has no target features of its own, and its intrinsics might stay calls.
#[inline]
#[target_feature(enable = "avx2")]
fn avx2_pick<const TEST: i32>(a: __m256, b: __m256, yes: __m256, no: __m256) -> __m256 {
    _mm256_blendv_ps(no, yes, _mm256_cmp_ps::<TEST>(a, b))
}

/// The mask of the first `count` of each half's lanes.
#[inline(always)]
fn avx2_mask(_proof: Avx2, count: usize) -> Pair<__m256i> {
    let count = i32::try_from(count.min(WIDTH)).unwrap_or(0);
    // SAFETY: the token proves AVX2.
    unsafe {
        let lane = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
        Pair(_mm256_cmpgt_epi32(_mm256_set1_epi32(count), lane), _mm256_cmpgt_epi32(_mm256_set1_epi32(count - 8), lane))
    }
}

impl Lanes for Avx2 {
    #[inline(always)]
    fn load(self, from: &[f32; WIDTH]) -> Self::V {
        // SAFETY: both halves lie within the array; the token proves AVX2.
        unsafe { Pair(_mm256_loadu_ps(from.as_ptr()), _mm256_loadu_ps(from.as_ptr().add(8))) }
    }
    #[inline(always)]
    fn store(self, v: Self::V, to: &mut [f32; WIDTH]) {
        // SAFETY: both halves lie within the array; the token proves AVX2.
        unsafe {
            _mm256_storeu_ps(to.as_mut_ptr(), v.0);
            _mm256_storeu_ps(to.as_mut_ptr().add(8), v.1);
        }
    }
    #[inline(always)]
    fn load_part(self, from: &[f32]) -> Self::V {
        let mask = avx2_mask(self, from.len());
        // SAFETY: only the lanes of the mask are read, all within the slice; `wrapping_add` forms the address of a half
        // that may lie outside without reading it. The token proves AVX2.
        unsafe { Pair(_mm256_maskload_ps(from.as_ptr(), mask.0), _mm256_maskload_ps(from.as_ptr().wrapping_add(8), mask.1)) }
    }
    #[inline(always)]
    fn store_part(self, v: Self::V, to: &mut [f32]) {
        let mask = avx2_mask(self, to.len());
        // SAFETY: only the lanes of the mask are written; otherwise as in `load_part`.
        unsafe {
            _mm256_maskstore_ps(to.as_mut_ptr(), mask.0, v.0);
            _mm256_maskstore_ps(to.as_mut_ptr().wrapping_add(8), mask.1, v.1);
        }
    }
    #[inline(always)]
    fn load_bytes(self, from: &[u8; WIDTH]) -> Self::V {
        // SAFETY: one load of 16 bytes from an array of 16; the token proves AVX2.
        unsafe {
            let bytes = _mm_loadu_si128(from.as_ptr().cast());
            let low = _mm256_cvtepu8_epi32(bytes);
            let high = _mm256_cvtepu8_epi32(_mm_srli_si128::<8>(bytes));
            Pair(_mm256_cvtepi32_ps(low), _mm256_cvtepi32_ps(high))
        }
    }

    const PANELS: usize = 1;
    #[inline(always)]
    fn rows(_panels: usize) -> usize {
        6
    }
    #[inline(always)]
    fn tile<const AT: bool>(self, tile: Tile<'_>) {
        by_rows!(tile_avx2, self, tile, 1, AT, [6 5 4 3 2 1]);
    }
}

#[inline(never)]
#[target_feature(enable = "avx2,fma")]
fn tile_avx2<const ROWS: usize, const PANELS: usize, const AT: bool>(s: Avx2, tile: Tile<'_>) {
    tile_on::<_, ROWS, PANELS, AT>(s, tile);
}
