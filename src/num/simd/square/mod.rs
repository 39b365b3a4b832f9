//! Squares of 16 by 16 elements: the register tiles of integer Gram matrices, of projections, and of the triangular solver.
//!
//! A square is stored by columns, so that a column's sixteen rows are the lanes of a vector. A run of lines is what one
//! side of a product looks like: line k holds what its sixteen rows (or columns) have at k.
//!
//! [`Squares::dot`] is of integers, and exact: how its sums are grouped can't change a bit. [`Squares::subtract`] is one chain an element.

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
#[cfg(target_arch = "aarch64")]
mod neon;
mod plain;

use super::WIDTH;

/// Sixteen columns of sixteen rows.
pub(in crate::num) type Square<T> = [[T; WIDTH]; WIDTH];

/// Four bytes of each of sixteen rows: byte `4 l + t` is that of row l at `4 k + t`.
#[derive(Debug, Clone, Copy)]
#[repr(C, align(64))]
pub(in crate::num) struct Quad(pub(in crate::num) [u8; 4 * WIDTH]);

/// The most that a byte of a product's unsigned side may be: two products with a signed byte then fit into an `i16` (127 * 128 * 2
/// is 32,512), which the AVX2 instruction would otherwise saturate.
pub(in crate::num) const BYTE_MAX: u8 = 127;

/// The most quads of one [`Squares::dot`]: 4 * 32,768 products of at most 127 * 128 add up to 2,130,706,432, below 2^31.
pub(in crate::num) const QUADS_MAX: usize = 32_768;

/// Products of squares on one instruction set.
pub(in crate::num) trait Squares: Copy {
    /// `out[j][l] = sum over k and t of i8(a[k][l, t]) * u8(b[k][j, t])`, for bytes of b up to [`BYTE_MAX`].
    ///
    /// Callers hold `a.len() == b.len() <= QUADS_MAX`; the sums then can't overflow.
    fn dot(self, a: &[Quad], b: &[Quad]) -> Square<i32>;

    /// `t[j][l] = t[j][l] - a[k][l] * b[k][j]` for k ascending: a product, rounded, then a difference, rounded.
    fn subtract(self, a: &[[f64; WIDTH]], b: &[[f64; WIDTH]], t: &mut Square<f64>);
}

fn check(a: usize, b: usize) {
    assert!(a == b && a <= QUADS_MAX, "{a} and {b} quads of one product");
}
