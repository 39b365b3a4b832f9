//! AVX-512F: one-line wrappers of intrinsics only, for few development machines can run them.

#![expect(unsafe_code, reason = "intrinsics; the token proves that the CPU has them")]

use std::arch::x86_64::*;

use super::tile::{Tile, by_rows, tile_on};
use super::{Arith, Lanes, WIDTH};

/// AVX-512F: sixteen lanes in one register.
#[derive(Debug, Clone, Copy)]
pub(in crate::num) struct Avx512(pub(super) ());

/// Methods that are one intrinsic.
macro_rules! whole {
    ($($name:ident($($arg:ident: $of:ident),*) -> $out:ident = $call:expr;)*) => {
        $(#[inline(always)]
        fn $name(self, $($arg: Self::$of),*) -> Self::$out {
            // SAFETY: the token proves AVX-512F, and these intrinsics touch no memory.
            unsafe { $call($($arg),*) }
        })*
    };
}

impl Arith for Avx512 {
    type V = __m512;
    type I = __m512i;

    #[inline(always)]
    fn splat(self, x: f32) -> __m512 {
        // SAFETY: the token proves AVX-512F.
        unsafe { _mm512_set1_ps(x) }
    }
    #[inline(always)]
    fn int(self, x: i32) -> __m512i {
        // SAFETY: the token proves AVX-512F.
        unsafe { _mm512_set1_epi32(x) }
    }
    whole! {
        add(a: V, b: V) -> V = _mm512_add_ps;
        sub(a: V, b: V) -> V = _mm512_sub_ps;
        mul(a: V, b: V) -> V = _mm512_mul_ps;
        div(a: V, b: V) -> V = _mm512_div_ps;
        sqrt(a: V) -> V = _mm512_sqrt_ps;
        fma(a: V, b: V, c: V) -> V = _mm512_fmadd_ps;
        fnma(a: V, b: V, c: V) -> V = _mm512_fnmadd_ps;
        min(a: V, b: V) -> V = _mm512_min_ps;
        max(a: V, b: V) -> V = _mm512_max_ps;
        pick_lt(a: V, b: V, yes: V, no: V) -> V = avx512_pick::<_CMP_LT_OQ>;
        pick_le(a: V, b: V, yes: V, no: V) -> V = avx512_pick::<_CMP_LE_OQ>;
        pick_unordered(a: V, b: V, yes: V, no: V) -> V = avx512_pick::<_CMP_UNORD_Q>;
        bits(a: V) -> I = _mm512_castps_si512;
        float(a: I) -> V = _mm512_castsi512_ps;
        int_add(a: I, b: I) -> I = _mm512_add_epi32;
        int_sub(a: I, b: I) -> I = _mm512_sub_epi32;
        int_to_exponent(a: I) -> I = _mm512_slli_epi32::<23>;
        int_half(a: I) -> I = _mm512_srai_epi32::<1>;
    }
}

#[inline]
#[target_feature(enable = "avx512f")]
fn avx512_pick<const TEST: i32>(a: __m512, b: __m512, yes: __m512, no: __m512) -> __m512 {
    _mm512_mask_blend_ps(_mm512_cmp_ps_mask::<TEST>(a, b), no, yes)
}

#[inline(always)]
fn avx512_mask(count: usize) -> __mmask16 {
    u16::MAX.checked_shr(16 - count.min(WIDTH) as u32).unwrap_or(0)
}

impl Lanes for Avx512 {
    #[inline(always)]
    fn load(self, from: &[f32; WIDTH]) -> __m512 {
        // SAFETY: the array is as long as the register; the token proves AVX-512F.
        unsafe { _mm512_loadu_ps(from.as_ptr()) }
    }
    #[inline(always)]
    fn store(self, v: __m512, to: &mut [f32; WIDTH]) {
        // SAFETY: the array is as long as the register; the token proves AVX-512F.
        unsafe { _mm512_storeu_ps(to.as_mut_ptr(), v) }
    }
    #[inline(always)]
    fn load_part(self, from: &[f32]) -> __m512 {
        // SAFETY: only the lanes of the mask are read, all within the slice; the token proves AVX-512F.
        unsafe { _mm512_maskz_loadu_ps(avx512_mask(from.len()), from.as_ptr()) }
    }
    #[inline(always)]
    fn store_part(self, v: __m512, to: &mut [f32]) {
        // SAFETY: only the lanes of the mask are written, all within the slice; the token proves AVX-512F.
        unsafe { _mm512_mask_storeu_ps(to.as_mut_ptr(), avx512_mask(to.len()), v) }
    }
    #[inline(always)]
    fn load_bytes(self, from: &[u8; WIDTH]) -> __m512 {
        // SAFETY: one load of 16 bytes from an array of 16; the token proves AVX-512F.
        unsafe { _mm512_cvtepi32_ps(_mm512_cvtepu8_epi32(_mm_loadu_si128(from.as_ptr().cast()))) }
    }

    const PANELS: usize = 3;
    #[inline(always)]
    fn rows(panels: usize) -> usize {
        match panels {
            3 => 8,
            2 => 12,
            _ => 16,
        }
    }
    #[inline(always)]
    fn tile<const AT: bool>(self, tile: Tile<'_>) {
        match tile.panels {
            3 => by_rows!(tile_avx512, self, tile, 3, AT, [8 7 6 5 4 3 2 1]),
            2 => by_rows!(tile_avx512, self, tile, 2, AT, [12 11 10 9 8 7 6 5 4 3 2 1]),
            _ => by_rows!(tile_avx512, self, tile, 1, AT, [16 15 14 13 12 11 10 9 8 7 6 5 4 3 2 1]),
        }
    }
}

#[inline(never)]
#[target_feature(enable = "avx512f,avx2,fma")]
fn tile_avx512<const ROWS: usize, const PANELS: usize, const AT: bool>(s: Avx512, tile: Tile<'_>) {
    tile_on::<_, ROWS, PANELS, AT>(s, tile);
}
