//! Plain loops: the reference.

#![expect(clippy::indexing_slicing, reason = "lanes have constant bounds")]

use super::{Quad, Square, Squares, check};
use crate::num::simd::WIDTH;
use crate::num::simd::plain::Plain;

/// Columns whose accumulators are held at a time.
const COLUMNS: usize = 2;

impl Squares for Plain {
    #[inline(always)]
    fn dot(self, a: &[Quad], b: &[Quad]) -> Square<i32> {
        check(a.len(), b.len());
        let mut out = [[0; WIDTH]; WIDTH];
        for (a, b) in a.iter().zip(b) {
            for (b, out) in b.0.as_chunks::<4>().0.iter().zip(&mut out) {
                let b = b.map(i32::from);
                for (a, out) in a.0.as_chunks::<4>().0.iter().zip(out) {
                    let a = a.map(|byte| i32::from(byte.cast_signed()));
                    *out += a[0] * b[0] + a[1] * b[1] + a[2] * b[2] + a[3] * b[3];
                }
            }
        }
        out
    }

    #[inline(always)]
    fn subtract(self, a: &[[f64; WIDTH]], b: &[[f64; WIDTH]], t: &mut Square<f64>) {
        for (columns, t) in t.as_chunks_mut::<COLUMNS>().0.iter_mut().enumerate() {
            for (a, b) in a.iter().zip(b) {
                for (j, t) in t.iter_mut().enumerate() {
                    let b = b[columns * COLUMNS + j];
                    for (t, a) in t.iter_mut().zip(a) {
                        *t -= a * b;
                    }
                }
            }
        }
    }
}
