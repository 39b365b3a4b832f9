//! Ridge regression from its normal equations: `(G + lambda I) W = C` by Cholesky's factorisation, in `f64`.
//!
//! Every element is one chain in a fixed order. Of the factor: start from the element of G (plus lambda on the diagonal, but for feature
//! 0), for k ascending subtract the rounded product `L[i][k] L[j][k]`, then divide by `L[j][j]`, or take the root on the diagonal. Forward:
//! start from C, for k ascending subtract `L[i][k] Y[k]`, divide by `L[i][i]`. Backward: start from Y, for k *descending*
//! from the last feature to i + 1 subtract `L[k][i] W[k]`, divide by `L[i][i]`. Lanes and tasks take different elements, so neither
//! blocks, nor widths, nor teams change a bit.
//!
//! A pivot (what stands under the root) that is not above 2^-40 of its diagonal element is rounding noise: its feature says nothing
//! that those before it have not said. It is left out: its pivot's root counts as infinite, and all that is divided by it is 0.

#![expect(clippy::indexing_slicing, reason = "panels and lanes follow from the shape of the sums")]

use super::isa::Isa;
use super::normal::{Normal, start};
use super::simd::{Kernel, Lanes, Square, WIDTH, on};
use super::team::Team;

/// Panels of a block of columns that is finished at a time.
const BLOCK: usize = 16;
/// Panels of one run along k: 16 KiB of each side.
const RUN: usize = 8;
/// The least share of a diagonal element that a pivot must keep: 2^-40.
const KEPT: f64 = 1.0 / (1u64 << 40) as f64;
/// Panels of rows that are worth one task more.
const TASK_PANELS: usize = 4;

/// Weights for sums: `width x 16` for every sixteen outputs, one group after the other; beyond the outputs they are 0.
///
/// Feature 0, the bias, has no penalty.
pub fn solve(isa: Isa, team: Team, sums: &Normal, lambda: f64) -> Vec<[f64; WIDTH]> {
    let (panels, width) = (sums.width().div_ceil(WIDTH), sums.width());
    let mut squares: Vec<Square<f64>> = sums.squares().iter().map(|square| square.map(|c| c.map(|x| x as f64))).collect();
    let mut least = vec![0.0; panels * WIDTH];
    for (i, least) in least.iter_mut().enumerate() {
        let (panel, lane) = (i / WIDTH, i % WIDTH);
        let diagonal = &mut squares[start(panel) + panel][lane][lane];
        if i >= width {
            *diagonal = 1.0;
        } else if i > 0 {
            *diagonal += lambda;
        }
        *least = *diagonal * KEPT;
    }
    factor(isa, team, panels, &mut squares, &least);
    let mut out = Vec::with_capacity(sums.outputs().div_ceil(WIDTH) * width);
    for first in (0..sums.outputs()).step_by(WIDTH) {
        let mut lines = vec![[0.0; WIDTH]; panels * WIDTH];
        for (i, line) in lines.iter_mut().enumerate().take(width) {
            for (output, x) in (first..sums.outputs()).zip(line) {
                *x = sums.cross(i, output) as f64;
            }
        }
        on(isa, Triangles { squares: &squares, lines: &mut lines });
        out.extend_from_slice(&lines[..width]);
    }
    out
}

/// A row panel, at a block of columns: what is finished, and what is not.
struct Panel<'a> {
    done: &'a [Square<f64>],
    open: &'a mut [Square<f64>],
}

/// Factors in place, a block of columns after the other.
fn factor(isa: Isa, team: Team, panels: usize, squares: &mut [Square<f64>], least: &[f64]) {
    for first in (0..panels).step_by(BLOCK) {
        let end = (first + BLOCK).min(panels);
        let mut rest = &mut squares[start(first)..];
        let mut rows = Vec::with_capacity(panels - first);
        for panel in first..panels {
            let (own, below) = rest.split_at_mut(panel + 1);
            let (done, open) = own.split_at_mut(first);
            let columns = open.len().min(end - first);
            rows.push(Panel { done, open: &mut open[..columns] });
            rest = below;
        }
        // All columns before the block, for every row panel.
        let sides: Vec<&[Square<f64>]> = rows[..end - first].iter().map(|row| row.done).collect();
        let piece = team.piece(rows.len(), 1, TASK_PANELS);
        team.run(rows.chunks_mut(piece), |rows| on(isa, Before { rows, sides: &sides }));
        // The block's own columns: its row panels one after the other, then all below.
        let (own, below) = rows.split_at_mut(end - first);
        let least = &least[first * WIDTH..end * WIDTH];
        let mut finished: Vec<&[Square<f64>]> = Vec::with_capacity(own.len());
        for row in own {
            on(isa, Within { row: &mut *row.open, finished: &finished, least });
            finished.push(&*row.open);
        }
        let piece = team.piece(below.len(), 1, TASK_PANELS);
        team.run(below.chunks_mut(piece), |rows| {
            for row in rows {
                on(isa, Within { row: &mut *row.open, finished: &finished, least });
            }
        });
    }
}

/// Subtracts the products of the finished columns.
struct Before<'a, 'b> {
    rows: &'a mut [Panel<'b>],
    /// What is finished of the row panels of the block.
    sides: &'a [&'a [Square<f64>]],
}

impl Kernel for Before<'_, '_> {
    type Out = ();

    #[inline(always)]
    fn run<L: Lanes>(self, s: L) {
        let depth = self.sides.first().map_or(0, |side| side.len());
        for from in (0..depth).step_by(RUN) {
            let run = from..(from + RUN).min(depth);
            for row in &mut *self.rows {
                let a = row.done[run.clone()].as_flattened();
                for (square, side) in row.open.iter_mut().zip(self.sides) {
                    s.subtract(a, side[run.clone()].as_flattened(), square);
                }
            }
        }
    }
}

/// Finishes a row panel in the columns of a block, from the block's finished row panels; one more than those is its own diagonal.
struct Within<'a> {
    row: &'a mut [Square<f64>],
    finished: &'a [&'a [Square<f64>]],
    least: &'a [f64],
}

impl Kernel for Within<'_> {
    type Out = ();

    #[inline(always)]
    fn run<L: Lanes>(self, s: L) {
        for column in 0..self.row.len() {
            let (done, open) = self.row.split_at_mut(column);
            let square = &mut open[0];
            match self.finished.get(column) {
                Some(side) => {
                    s.subtract(done.as_flattened(), side[..column].as_flattened(), square);
                    divide(square, &side[column]);
                }
                None => {
                    s.subtract(done.as_flattened(), done.as_flattened(), square);
                    root(square, &self.least[column * WIDTH..]);
                }
            }
        }
    }
}

/// `t L^-T` for a finished square L of the diagonal: the chains within the square, and the division.
#[inline(always)]
fn divide(t: &mut Square<f64>, diagonal: &Square<f64>) {
    for (j, own) in diagonal.iter().enumerate() {
        let (done, open) = t.split_at_mut(j);
        let column = &mut open[0];
        for (side, done) in diagonal.iter().zip(done.iter()) {
            let b = side[j];
            for (x, a) in column.iter_mut().zip(done) {
                *x -= a * b;
            }
        }
        let pivot = own[j];
        column.iter_mut().for_each(|x| *x /= pivot);
    }
}

/// The factor of a square of the diagonal, with zeros above it.
#[inline(always)]
fn root(t: &mut Square<f64>, least: &[f64]) {
    for j in 0..WIDTH {
        let (done, open) = t.split_at_mut(j);
        let column = &mut open[0];
        for done in done.iter() {
            let b = done[j];
            for (x, a) in column.iter_mut().zip(done) {
                *x -= a * b;
            }
        }
        let pivot = if column[j] > least[j] { column[j].sqrt() } else { f64::INFINITY };
        column[..j].fill(0.0);
        column[j] = pivot;
        column[j + 1..].iter_mut().for_each(|x| *x /= pivot);
    }
}

/// Solves with the factor and then with its transpose, for sixteen outputs at a time.
struct Triangles<'a> {
    squares: &'a [Square<f64>],
    lines: &'a mut [[f64; WIDTH]],
}

impl Kernel for Triangles<'_> {
    type Out = ();

    #[inline(always)]
    fn run<L: Lanes>(self, s: L) {
        let panels = self.lines.len() / WIDTH;
        for panel in 0..panels {
            let (before, own) = self.lines.split_at_mut(panel * WIDTH);
            let Some(own) = own.first_chunk_mut::<WIDTH>() else { continue };
            let row = &self.squares[start(panel)..][..=panel];
            s.subtract(before, row[..panel].as_flattened(), own);
            divide(own, &row[panel]);
        }
        for panel in (0..panels).rev() {
            let (before, own) = self.lines.split_at_mut(panel * WIDTH);
            let Some(own) = own.first_chunk_mut::<WIDTH>() else { continue };
            let row = &self.squares[start(panel)..][..=panel];
            back(own, &row[panel]);
            let solved: Square<f64> = std::array::from_fn(|k| own[WIDTH - 1 - k]);
            for (lines, square) in before.as_chunks_mut::<WIDTH>().0.iter_mut().zip(row) {
                let side: Square<f64> = std::array::from_fn(|k| square.map(|column| column[WIDTH - 1 - k]));
                s.subtract(&solved, &side, lines);
            }
        }
    }
}

/// The backward chains within a square of the diagonal, and their division.
#[inline(always)]
fn back(own: &mut Square<f64>, diagonal: &Square<f64>) {
    for i in (0..WIDTH).rev() {
        let (open, solved) = own.split_at_mut(i + 1);
        let line = &mut open[i];
        for (k, solved) in (i + 1..WIDTH).zip(solved.iter()).rev() {
            let b = diagonal[i][k];
            for (x, a) in line.iter_mut().zip(solved) {
                *x -= a * b;
            }
        }
        let pivot = diagonal[i][i];
        line.iter_mut().for_each(|x| *x /= pivot);
    }
}

/// `phi W` for rows of features: `take` is given, for each group of at most sixteen rows and outputs, the first row, the first output, and
/// the sums: `sums[row][output]`. Each is one chain over the features ascending: from +0.0, subtract the rounded product; then the sign is changed.
///
/// `features` is `rows x stride`, of which the first `width` of each row count; `weights` are as [`solve`] gives them.
///
/// # Panics
///
/// When a length does not fit.
pub fn scores(
    isa: Isa,
    (width, stride): (usize, usize),
    weights: &[[f64; WIDTH]],
    features: &[u8],
    take: impl FnMut(usize, usize, &[[f64; WIDTH]]),
) {
    assert!(width > 0 && width <= stride && features.len().is_multiple_of(stride), "features are rows x {stride}");
    assert!(weights.len().is_multiple_of(width), "weights are groups of {width} lines");
    on(isa, Scores { width, stride, weights, features, take });
}

struct Scores<'a, F> {
    width: usize,
    stride: usize,
    weights: &'a [[f64; WIDTH]],
    features: &'a [u8],
    take: F,
}

impl<F: FnMut(usize, usize, &[[f64; WIDTH]])> Kernel for Scores<'_, F> {
    type Out = ();

    #[inline(always)]
    fn run<L: Lanes>(mut self, s: L) {
        let mut lines = vec![[0.0; WIDTH]; self.width];
        for (group, rows) in self.features.chunks(WIDTH * self.stride).enumerate() {
            let count = rows.len() / self.stride;
            for (row, x) in rows.chunks_exact(self.stride).enumerate() {
                for (line, &x) in lines.iter_mut().zip(x) {
                    line[row] = f64::from(x);
                }
            }
            for (outputs, weights) in self.weights.chunks_exact(self.width).enumerate() {
                let mut sums = [[0.0; WIDTH]; WIDTH];
                s.subtract(weights, &lines, &mut sums);
                sums.as_flattened_mut().iter_mut().for_each(|x| *x = -*x);
                (self.take)(group * WIDTH, outputs * WIDTH, &sums[..count]);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::normal::{Packed, Sign, Target, padded};
    use super::*;

    /// Sums of derived rows, some of whose features are always 0, and one of which repeats another.
    fn sums(rows: usize, width: usize, outputs: usize) -> (Normal, Vec<u8>) {
        let stride = padded(width);
        let mut x = vec![0; rows * stride];
        for (i, row) in x.chunks_exact_mut(stride).enumerate() {
            for (j, x) in row[..width].iter_mut().enumerate() {
                let h = (i as u32 * 7919 + j as u32 * 104_729 + 1).wrapping_mul(0x9e37_79b1) >> 16;
                *x = if j == 0 {
                    127
                } else if j % 11 == 3 {
                    0
                } else {
                    h as u8 & 127
                };
            }
            if width > 9 {
                row[9] = row[5];
            }
        }
        let targets: Vec<Target> = (0..rows as u32).map(|i| Target { output: i * 7 % outputs as u32, amount: 1 }).collect();
        let mut sums = Normal::new(width, outputs);
        sums.update(Team::solo(), Sign::Add, &mut Packed::default(), &x, &targets);
        (sums, x)
    }

    /// The chains as the module describes them, an element at a time.
    fn plain(sums: &Normal, lambda: f64) -> Vec<Vec<f64>> {
        let width = sums.width();
        let mut l: Vec<Vec<f64>> = (0..width).map(|i| sums.gram_row(i).map(|x| x as f64).collect()).collect();
        for j in 0..width {
            if j > 0 {
                l[j][j] += lambda;
            }
            let least = l[j][j] * KEPT;
            for i in j..width {
                for k in 0..j {
                    l[i][j] -= l[i][k] * l[j][k];
                }
                if i == j {
                    l[j][j] = if l[j][j] > least { l[j][j].sqrt() } else { f64::INFINITY };
                } else {
                    l[i][j] /= l[j][j];
                }
            }
        }
        let solve = |output| {
            let mut w: Vec<f64> = (0..width).map(|i| sums.cross(i, output) as f64).collect();
            for i in 0..width {
                for k in 0..i {
                    w[i] -= l[i][k] * w[k];
                }
                w[i] /= l[i][i];
            }
            for i in (0..width).rev() {
                for k in (i + 1..width).rev() {
                    w[i] -= l[k][i] * w[k];
                }
                w[i] /= l[i][i];
            }
            w
        };
        (0..sums.outputs()).map(solve).collect()
    }

    #[test]
    fn weights_are_those_of_the_plain_chains_on_every_set_and_team() {
        // 300 features are two blocks of columns and a part of a panel; without a penalty some are left out.
        for (width, outputs, lambda) in [(1, 1, 1.0), (16, 2, 100.0), (40, 17, 0.0), (300, 3, 5000.0)] {
            let (sums, _) = sums(350, width, outputs);
            let expected = plain(&sums, lambda);
            assert!(expected.iter().flatten().all(|w| w.is_finite()));
            for isa in Isa::available() {
                for lanes in [1, 2, 5] {
                    let got = solve(isa, Team::of(lanes), &sums, lambda);
                    assert_eq!(got.len(), outputs.div_ceil(WIDTH) * width);
                    for (k, expected) in expected.iter().enumerate() {
                        for (i, w) in expected.iter().enumerate() {
                            let got = got[k / WIDTH * width + i][k % WIDTH];
                            assert_eq!(got.to_bits(), w.to_bits(), "{isa:?}, {lanes} lanes, feature {i}, output {k}");
                        }
                    }
                }
            }
        }
    }

    #[test]
    fn the_weights_solve_the_equations() {
        let (sums, _) = sums(350, 70, 2);
        let lambda = 1000.0;
        let weights = solve(Isa::active(), Team::solo(), &sums, lambda);
        let gram = |i: usize, j: usize| sums.gram_row(i.max(j)).nth(i.min(j)).unwrap() as f64;
        for i in 0..70 {
            let left: f64 =
                (0..70).map(|j| gram(i, j) * weights[j][0]).sum::<f64>() + if i > 0 { lambda * weights[i][0] } else { 0.0 };
            // Rounding: sums of 70 products of about 2e6.
            assert!((left - sums.cross(i, 0) as f64).abs() < 1e-6, "row {i}: {left}");
        }
    }

    #[test]
    fn scores_are_chains_over_the_features() {
        let (sums, x) = sums(37, 40, 17);
        let weights = solve(Isa::active(), Team::solo(), &sums, 10.0);
        for isa in Isa::available() {
            let mut seen = 0;
            scores(isa, (40, padded(40)), &weights, &x, |row, output, sums| {
                for (i, sums) in sums.iter().enumerate() {
                    for (k, sum) in sums.iter().enumerate() {
                        let mut chain = 0.0;
                        for (j, x) in x[(row + i) * padded(40)..][..40].iter().enumerate() {
                            chain -= weights[output / WIDTH * 40 + j][k] * f64::from(*x);
                        }
                        assert_eq!(sum.to_bits(), (-chain).to_bits());
                        seen += 1;
                    }
                }
            });
            assert_eq!(seen, 37 * 32);
        }
    }
}
