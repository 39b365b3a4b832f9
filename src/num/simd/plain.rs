//! One lane, and the scalar set built from it.

#![expect(clippy::disallowed_methods, reason = "the scalar set is built from f32::mul_add")]
#![expect(clippy::indexing_slicing, reason = "lanes have constant bounds")]

use std::array::from_fn;

use super::tile::{Tile, tile_on};
use super::{Arith, Lanes, WIDTH};

/// One lane: the scalar functions.
#[derive(Debug, Clone, Copy)]
pub(in crate::num) struct One;

impl Arith for One {
    type V = f32;
    type I = i32;

    #[inline(always)]
    fn splat(self, x: f32) -> f32 {
        x
    }
    #[inline(always)]
    fn add(self, a: f32, b: f32) -> f32 {
        a + b
    }
    #[inline(always)]
    fn sub(self, a: f32, b: f32) -> f32 {
        a - b
    }
    #[inline(always)]
    fn mul(self, a: f32, b: f32) -> f32 {
        a * b
    }
    #[inline(always)]
    fn div(self, a: f32, b: f32) -> f32 {
        a / b
    }
    #[inline(always)]
    fn sqrt(self, a: f32) -> f32 {
        a.sqrt()
    }
    #[inline(always)]
    fn fma(self, a: f32, b: f32, c: f32) -> f32 {
        a.mul_add(b, c)
    }
    #[inline(always)]
    fn fnma(self, a: f32, b: f32, c: f32) -> f32 {
        (-a).mul_add(b, c)
    }
    #[inline(always)]
    fn min(self, a: f32, b: f32) -> f32 {
        if a < b { a } else { b }
    }
    #[inline(always)]
    fn max(self, a: f32, b: f32) -> f32 {
        if a > b { a } else { b }
    }
    #[inline(always)]
    fn pick_lt(self, a: f32, b: f32, yes: f32, no: f32) -> f32 {
        if a < b { yes } else { no }
    }
    #[inline(always)]
    fn pick_le(self, a: f32, b: f32, yes: f32, no: f32) -> f32 {
        if a <= b { yes } else { no }
    }
    #[inline(always)]
    fn pick_unordered(self, a: f32, b: f32, yes: f32, no: f32) -> f32 {
        if a.is_nan() || b.is_nan() { yes } else { no }
    }
    #[inline(always)]
    fn bits(self, a: f32) -> i32 {
        a.to_bits().cast_signed()
    }
    #[inline(always)]
    fn float(self, a: i32) -> f32 {
        f32::from_bits(a.cast_unsigned())
    }
    #[inline(always)]
    fn int(self, x: i32) -> i32 {
        x
    }
    #[inline(always)]
    fn int_add(self, a: i32, b: i32) -> i32 {
        a.wrapping_add(b)
    }
    #[inline(always)]
    fn int_sub(self, a: i32, b: i32) -> i32 {
        a.wrapping_sub(b)
    }
    #[inline(always)]
    fn int_to_exponent(self, a: i32) -> i32 {
        a << 23
    }
    #[inline(always)]
    fn int_half(self, a: i32) -> i32 {
        a >> 1
    }
}

/// The scalar set: sixteen lanes in an array.
#[derive(Debug, Clone, Copy)]
pub(in crate::num) struct Plain(pub(super) ());

/// Methods that apply the method of [`One`] to each lane.
macro_rules! each_lane {
    ($($name:ident($($arg:ident: $of:ident),*) -> $out:ident;)*) => {
        $(#[inline(always)]
        fn $name(self, $($arg: Self::$of),*) -> Self::$out {
            from_fn(|lane| One.$name($($arg[lane]),*))
        })*
    };
}

impl Arith for Plain {
    type V = [f32; WIDTH];
    type I = [i32; WIDTH];

    #[inline(always)]
    fn splat(self, x: f32) -> Self::V {
        [x; WIDTH]
    }
    #[inline(always)]
    fn int(self, x: i32) -> Self::I {
        [x; WIDTH]
    }
    each_lane! {
        add(a: V, b: V) -> V;
        sub(a: V, b: V) -> V;
        mul(a: V, b: V) -> V;
        div(a: V, b: V) -> V;
        sqrt(a: V) -> V;
        fma(a: V, b: V, c: V) -> V;
        fnma(a: V, b: V, c: V) -> V;
        min(a: V, b: V) -> V;
        max(a: V, b: V) -> V;
        pick_lt(a: V, b: V, yes: V, no: V) -> V;
        pick_le(a: V, b: V, yes: V, no: V) -> V;
        pick_unordered(a: V, b: V, yes: V, no: V) -> V;
        bits(a: V) -> I;
        float(a: I) -> V;
        int_add(a: I, b: I) -> I;
        int_sub(a: I, b: I) -> I;
        int_to_exponent(a: I) -> I;
        int_half(a: I) -> I;
    }
}

impl Lanes for Plain {
    #[inline(always)]
    fn load(self, from: &[f32; WIDTH]) -> Self::V {
        *from
    }
    #[inline(always)]
    fn store(self, v: Self::V, to: &mut [f32; WIDTH]) {
        *to = v;
    }
    #[inline(always)]
    fn load_part(self, from: &[f32]) -> Self::V {
        let mut v = [0.0; WIDTH];
        v[..from.len()].copy_from_slice(from);
        v
    }
    #[inline(always)]
    fn store_part(self, v: Self::V, to: &mut [f32]) {
        to.copy_from_slice(&v[..to.len()]);
    }
    #[inline(always)]
    fn load_bytes(self, from: &[u8; WIDTH]) -> Self::V {
        from.map(f32::from)
    }

    const PANELS: usize = 1;
    #[inline(always)]
    fn rows(_panels: usize) -> usize {
        6
    }
    fn tile<const AT: bool>(self, tile: Tile<'_>) {
        match tile.rows {
            6 => tile_on::<_, 6, 1, AT>(self, tile),
            5 => tile_on::<_, 5, 1, AT>(self, tile),
            4 => tile_on::<_, 4, 1, AT>(self, tile),
            3 => tile_on::<_, 3, 1, AT>(self, tile),
            2 => tile_on::<_, 2, 1, AT>(self, tile),
            1 => tile_on::<_, 1, 1, AT>(self, tile),
            rows => unreachable!("a tile of {rows} rows"),
        }
    }
}
