//! Reductions in one fixed order.
//!
//! A sum runs in 16 strided lanes: lane j adds elements j, j + 16, j + 32, .. in order from +0.0. The lanes are then added by a
//! fixed tree: j and j + 8 for j below 8, then j + 4, j + 2, j + 1. Missing elements of the last stride change no lane.

#![expect(clippy::indexing_slicing, reason = "lane numbers are constant")]

use super::isa::Isa;
use super::simd::{Kernel, Lanes, WIDTH, on};
use super::team::Team;

/// The sum of the elements: 16 lanes and the tree. +0.0 when empty.
pub fn sum(xs: &[f32]) -> f32 {
    sum_with(Isa::active(), xs)
}

/// [`sum`] on a given instruction set.
pub fn sum_with(isa: Isa, xs: &[f32]) -> f32 {
    on(isa, Sum { xs })
}

/// The sum of the elements: 16 lanes and the tree. +0.0 when empty.
pub fn sum_f64(xs: &[f64]) -> f64 {
    // Plain additions: the compiler's own vectors give the same bits without a dispatch.
    let (blocks, rest) = xs.as_chunks::<WIDTH>();
    let mut lanes = [0.0; WIDTH];
    for block in blocks {
        for (lane, x) in lanes.iter_mut().zip(block) {
            *lane += x;
        }
    }
    for (lane, x) in lanes.iter_mut().zip(rest) {
        *lane += x;
    }
    tree(lanes)
}

/// The sum of the squares of the elements, in f64: 16 lanes and the tree. A square of an f32 is exact in f64, so each link is rounded once.
pub fn squares(xs: &[f32]) -> f64 {
    let (blocks, rest) = xs.as_chunks::<WIDTH>();
    let mut lanes = [0.0; WIDTH];
    let add = |(lane, x): (&mut f64, &f32)| *lane += f64::from(*x) * f64::from(*x);
    blocks.iter().for_each(|block| lanes.iter_mut().zip(block).for_each(add));
    lanes.iter_mut().zip(rest).for_each(add);
    tree(lanes)
}

/// The sum of products, each lane a chain of fused multiply-adds: 16 lanes and the tree.
///
/// # Panics
///
/// When the lengths differ.
pub fn dot(a: &[f32], b: &[f32]) -> f32 {
    dot_with(Isa::active(), a, b)
}

/// [`dot`] on a given instruction set.
pub fn dot_with(isa: Isa, a: &[f32], b: &[f32]) -> f32 {
    assert_eq!(a.len(), b.len(), "as many left as right factors");
    on(isa, Dot { a, b })
}

/// `out[j] = rows[0][j] + rows[1][j] + ..`: each column one chain over the rows in order, from +0.0. The gradient of a bias.
///
/// # Panics
///
/// When `out` is not of length `n`, or `rows` not rows of `n`.
pub fn columns(team: Team, n: usize, rows: &[f32], out: &mut [f32]) {
    columns_with(Isa::active(), team, n, rows, out);
}

/// [`columns`] on a given instruction set.
pub fn columns_with(isa: Isa, team: Team, n: usize, rows: &[f32], out: &mut [f32]) {
    assert!(n > 0 && rows.len().is_multiple_of(n), "{} elements are no rows of {n}", rows.len());
    assert_eq!(out.len(), n, "one sum for each column");
    let piece = team.piece(n, 4 * WIDTH, (1usize << 17).div_ceil(rows.len() / n + 1));
    let pieces = out.chunks_mut(piece).enumerate();
    team.run(pieces, |(index, out)| on(isa, Columns { n, first: index * piece, rows, out }));
}

/// Adds 16 lanes by the fixed tree.
#[inline(always)]
pub(super) fn tree<T: Copy + std::ops::AddAssign>(mut lanes: [T; WIDTH]) -> T {
    for half in [8, 4, 2, 1] {
        for j in 0..half {
            let other = lanes[j + half];
            lanes[j] += other;
        }
    }
    lanes[0]
}

struct Sum<'a> {
    xs: &'a [f32],
}

impl Kernel for Sum<'_> {
    type Out = f32;
    #[inline(always)]
    fn run<L: Lanes>(self, s: L) -> f32 {
        let (blocks, rest) = self.xs.as_chunks::<WIDTH>();
        let mut total = s.splat(0.0);
        for block in blocks {
            total = s.add(total, s.load(block));
        }
        // The padding adds +0.0, which changes no lane: a lane that began at +0.0 is never -0.0.
        total = s.add(total, s.load_part(rest));
        let mut lanes = [0.0; WIDTH];
        s.store(total, &mut lanes);
        tree(lanes)
    }
}

struct Dot<'a> {
    a: &'a [f32],
    b: &'a [f32],
}

impl Kernel for Dot<'_> {
    type Out = f32;
    #[inline(always)]
    fn run<L: Lanes>(self, s: L) -> f32 {
        let (a, a_rest) = self.a.as_chunks::<WIDTH>();
        let (b, b_rest) = self.b.as_chunks::<WIDTH>();
        let mut total = s.splat(0.0);
        for (a, b) in a.iter().zip(b) {
            total = s.fma(s.load(a), s.load(b), total);
        }
        total = s.fma(s.load_part(a_rest), s.load_part(b_rest), total);
        let mut lanes = [0.0; WIDTH];
        s.store(total, &mut lanes);
        tree(lanes)
    }
}

struct Columns<'a> {
    n: usize,
    /// The column of `out[0]`.
    first: usize,
    rows: &'a [f32],
    out: &'a mut [f32],
}

impl Kernel for Columns<'_> {
    type Out = ();
    #[inline(always)]
    fn run<L: Lanes>(self, s: L) {
        let Columns { n, first, rows, out } = self;
        // Four vectors at a time: one chain a column would wait for each addition.
        const WIDE: usize = 4 * WIDTH;
        let (wide, rest) = out.as_chunks_mut::<WIDE>();
        let mut column = first;
        for out in wide {
            let mut total = [s.splat(0.0); 4];
            for row in rows.chunks_exact(n) {
                let (blocks, _) = row[column..column + WIDE].as_chunks::<WIDTH>();
                for (total, block) in total.iter_mut().zip(blocks) {
                    *total = s.add(*total, s.load(block));
                }
            }
            for (out, total) in out.as_chunks_mut::<WIDTH>().0.iter_mut().zip(total) {
                s.store(total, out);
            }
            column += WIDE;
        }
        for out in rest.chunks_mut(WIDTH) {
            let mut total = s.splat(0.0);
            for row in rows.chunks_exact(n) {
                total = s.add(total, s.load_part(&row[column..][..out.len()]));
            }
            s.store_part(total, out);
            column += WIDTH;
        }
    }
}

/// `total += weight * values`, element by element: a product, then an addition.
pub fn accumulate(weight: f32, values: &[f32], total: &mut [f32]) {
    assert_eq!(values.len(), total.len(), "a value for every sum");
    for (sum, value) in total.iter_mut().zip(values) {
        *sum += weight * value;
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::disallowed_methods, reason = "the reference is a loop of f32::mul_add")]

    use super::*;
    use crate::num::golden::{bits, values};

    fn lanes_of(terms: impl Iterator<Item = f32>, step: impl Fn(f32, f32) -> f32) -> f32 {
        let mut lanes = [0.0; 16];
        for (i, x) in terms.enumerate() {
            lanes[i % 16] = step(lanes[i % 16], x);
        }
        let eight: [f32; 8] = std::array::from_fn(|j| lanes[j] + lanes[j + 8]);
        let four: [f32; 4] = std::array::from_fn(|j| eight[j] + eight[j + 4]);
        (four[0] + four[2]) + (four[1] + four[3])
    }

    #[test]
    fn sums_and_dots_are_16_lanes_and_the_tree() {
        for length in (0..100).chain([1000, 4099]) {
            let (a, b) = (values("sum a", length), values("sum b", length));
            let sum = lanes_of(a.iter().copied(), |lane, x| lane + x);
            let mut lanes = [0.0f32; 16];
            for i in 0..length {
                lanes[i % 16] = a[i].mul_add(b[i], lanes[i % 16]);
            }
            let dot = lanes_of(lanes.into_iter(), |_, x| x);
            for isa in Isa::available() {
                assert_eq!(sum_with(isa, &a).to_bits(), sum.to_bits(), "{isa:?} {length}");
                assert_eq!(dot_with(isa, &a, &b).to_bits(), dot.to_bits(), "{isa:?} {length}");
            }
            // Sums of f32 values in f64 have other bits in general, so the f64 sum has its own reference.
            let wide: Vec<f64> = a.iter().map(|&x| f64::from(x)).collect();
            let mut lanes = [0.0f64; 16];
            for (i, x) in wide.iter().enumerate() {
                lanes[i % 16] += x;
            }
            let eight: [f64; 8] = std::array::from_fn(|j| lanes[j] + lanes[j + 8]);
            let four: [f64; 4] = std::array::from_fn(|j| eight[j] + eight[j + 4]);
            assert_eq!(sum_f64(&wide).to_bits(), ((four[0] + four[2]) + (four[1] + four[3])).to_bits());
        }
    }

    #[test]
    fn the_order_shows_in_the_bits() {
        // One chain from the left would lose the 1: the lanes keep it. A test that can fail if the order changes.
        let mut xs = [0.0f32; 32];
        (xs[0], xs[1], xs[16]) = (1e8, 1.0, -1e8);
        assert_eq!(sum(&xs), 1.0);
        assert_eq!(sum(&[-0.0]).to_bits(), 0);
    }

    #[test]
    fn columns_are_chains_over_the_rows() {
        for (rows, n) in [(0, 5), (1, 1), (3, 16), (7, 17), (256, 10), (33, 100), (64, 128), (2000, 200)] {
            let xs = values("columns", rows * n);
            let mut expected = vec![0.0f32; n];
            for row in xs.chunks(n) {
                for (sum, x) in expected.iter_mut().zip(row) {
                    *sum += x;
                }
            }
            for isa in Isa::available() {
                for lanes in [1, 2, 3] {
                    let mut got = vec![f32::NAN; n];
                    columns_with(isa, Team::of(lanes), n, &xs, &mut got);
                    assert!(bits(&got) == bits(&expected), "{isa:?} {rows} x {n}, {lanes} lanes");
                }
            }
        }
    }
}
