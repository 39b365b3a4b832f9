//! NEON, which every aarch64 has.

#![expect(unsafe_code, reason = "intrinsics; the token proves that the CPU has them")]
#![expect(clippy::indexing_slicing, reason = "parts have constant bounds, and slices are cut to their own length")]

use std::arch::aarch64::*;

use super::tile::{Tile, by_rows, tile_on};
use super::{Arith, Lanes, WIDTH};

/// NEON: sixteen lanes in four registers.
#[derive(Debug, Clone, Copy)]
pub(in crate::num) struct Neon(pub(super) ());

/// The four quarters of sixteen lanes.
#[derive(Debug, Clone, Copy)]
pub(in crate::num) struct Quarters<T>(T, T, T, T);

/// Methods that apply one function to all quarters.
macro_rules! each_quarter {
    ($($name:ident($($arg:ident: $of:ident),*) -> $out:ident = $call:expr;)*) => {
        $(#[inline(always)]
        fn $name(self, $($arg: Self::$of),*) -> Self::$out {
            // SAFETY: the token proves NEON, and these functions touch no memory.
            unsafe { Quarters($call($($arg.0),*), $call($($arg.1),*), $call($($arg.2),*), $call($($arg.3),*)) }
        })*
    };
}

impl Arith for Neon {
    type V = Quarters<float32x4_t>;
    type I = Quarters<int32x4_t>;

    #[inline(always)]
    fn splat(self, x: f32) -> Self::V {
        // SAFETY: the token proves NEON.
        let quarter = unsafe { vdupq_n_f32(x) };
        Quarters(quarter, quarter, quarter, quarter)
    }
    #[inline(always)]
    fn int(self, x: i32) -> Self::I {
        // SAFETY: the token proves NEON.
        let quarter = unsafe { vdupq_n_s32(x) };
        Quarters(quarter, quarter, quarter, quarter)
    }
    each_quarter! {
        add(a: V, b: V) -> V = vaddq_f32;
        sub(a: V, b: V) -> V = vsubq_f32;
        mul(a: V, b: V) -> V = vmulq_f32;
        div(a: V, b: V) -> V = vdivq_f32;
        sqrt(a: V) -> V = vsqrtq_f32;
        fma(a: V, b: V, c: V) -> V = fused;
        fnma(a: V, b: V, c: V) -> V = fused_negated;
        min(a: V, b: V) -> V = lesser;
        max(a: V, b: V) -> V = greater;
        pick_lt(a: V, b: V, yes: V, no: V) -> V = pick_lt;
        pick_le(a: V, b: V, yes: V, no: V) -> V = pick_le;
        pick_unordered(a: V, b: V, yes: V, no: V) -> V = pick_unordered;
        bits(a: V) -> I = vreinterpretq_s32_f32;
        float(a: I) -> V = vreinterpretq_f32_s32;
        int_add(a: I, b: I) -> I = vaddq_s32;
        int_sub(a: I, b: I) -> I = vsubq_s32;
        int_to_exponent(a: I) -> I = vshlq_n_s32::<23>;
        int_half(a: I) -> I = vshrq_n_s32::<1>;
    }
}

/// Functions of one quarter: functions and not closures, as a closure has no target features of its own.
macro_rules! of_quarter {
    ($($name:ident($($arg:ident),*) = $value:expr;)*) => {
        $(#[inline]
        #[target_feature(enable = "neon")]
        fn $name($($arg: float32x4_t),*) -> float32x4_t {
            $value
        })*
    };
}

of_quarter! {
    // The sum comes first in NEON.
    fused(a, b, c) = vfmaq_f32(c, a, b);
    fused_negated(a, b, c) = vfmsq_f32(c, a, b);
    // NEON's own least and greatest are NaN where one side is.
    lesser(a, b) = vbslq_f32(vcltq_f32(a, b), a, b);
    greater(a, b) = vbslq_f32(vcgtq_f32(a, b), a, b);
    pick_lt(a, b, yes, no) = vbslq_f32(vcltq_f32(a, b), yes, no);
    pick_le(a, b, yes, no) = vbslq_f32(vcleq_f32(a, b), yes, no);
    pick_unordered(a, b, yes, no) = vbslq_f32(vandq_u32(vceqq_f32(a, a), vceqq_f32(b, b)), no, yes);
}

impl Lanes for Neon {
    #[inline(always)]
    fn load(self, from: &[f32; WIDTH]) -> Self::V {
        let from = from.as_ptr();
        // SAFETY: the four quarters lie within the array; the token proves NEON.
        unsafe { Quarters(vld1q_f32(from), vld1q_f32(from.add(4)), vld1q_f32(from.add(8)), vld1q_f32(from.add(12))) }
    }
    #[inline(always)]
    fn store(self, v: Self::V, to: &mut [f32; WIDTH]) {
        let to = to.as_mut_ptr();
        // SAFETY: the four quarters lie within the array; the token proves NEON.
        unsafe {
            vst1q_f32(to, v.0);
            vst1q_f32(to.add(4), v.1);
            vst1q_f32(to.add(8), v.2);
            vst1q_f32(to.add(12), v.3);
        }
    }
    #[inline(always)]
    fn load_part(self, from: &[f32]) -> Self::V {
        let mut whole = [0.0; WIDTH];
        whole[..from.len()].copy_from_slice(from);
        self.load(&whole)
    }
    #[inline(always)]
    fn store_part(self, v: Self::V, to: &mut [f32]) {
        let mut whole = [0.0; WIDTH];
        self.store(v, &mut whole);
        to.copy_from_slice(&whole[..to.len()]);
    }
    #[inline(always)]
    fn load_bytes(self, from: &[u8; WIDTH]) -> Self::V {
        // SAFETY: one load of 16 bytes from an array of 16; the token proves NEON.
        unsafe {
            let bytes = vld1q_u8(from.as_ptr());
            let (low, high) = (vmovl_u8(vget_low_u8(bytes)), vmovl_high_u8(bytes));
            Quarters(
                vcvtq_f32_u32(vmovl_u16(vget_low_u16(low))),
                vcvtq_f32_u32(vmovl_high_u16(low)),
                vcvtq_f32_u32(vmovl_u16(vget_low_u16(high))),
                vcvtq_f32_u32(vmovl_high_u16(high)),
            )
        }
    }

    const PANELS: usize = 1;
    /// Six rows of four registers, and four of B: 28 of 32 registers.
    #[inline(always)]
    fn rows(_panels: usize) -> usize {
        6
    }
    #[inline(always)]
    fn tile<const AT: bool>(self, tile: Tile<'_>) {
        by_rows!(tile_neon, self, tile, 1, AT, [6 5 4 3 2 1]);
    }
}

#[inline(never)]
#[target_feature(enable = "neon")]
fn tile_neon<const ROWS: usize, const PANELS: usize, const AT: bool>(s: Neon, tile: Tile<'_>) {
    tile_on::<_, ROWS, PANELS, AT>(s, tile);
}
