//! Count, mean and deviation of columns.

#![expect(clippy::indexing_slicing, reason = "columns are cut from rows whose width is asserted")]

use super::{
    isa::Isa,
    simd::{Kernel, Lanes, on},
    team::Team,
};

/// Columns that are added up side by side: as many chains as hide the time of an addition.
const WIDE: usize = 32;

/// Count, mean and sum of squared deviations of a column, in `f64`.
///
/// The rule is exact in the sense that it fixes every operation. Within one slice two passes in the order given: `mean` is the
/// chain of additions from +0.0 divided by the count, `m2` the chain of `(x - mean) * (x - mean)` from +0.0. Slices are then
/// merged in their order by [`Moments::merge`]. NaN marks a missing value and is skipped.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Moments {
    /// Values that are present.
    pub count: u64,
    /// Their mean; 0 when there are none.
    pub mean: f64,
    /// The sum of their squared deviations from the mean.
    pub m2: f64,
}

impl Moments {
    /// The moments of every column of one slice, `rows` being rows of `n`, to the bit as [`Moments::of`] gives them one by one:
    /// columns lie side by side in a vector, and what is missing adds +0.0, which changes no chain that began at +0.0.
    ///
    /// # Panics
    ///
    /// When `rows` are not rows of `n`.
    pub fn of_columns(team: Team, n: usize, rows: &[f32]) -> Vec<Moments> {
        assert!(n == 0 || rows.len().is_multiple_of(n), "{} elements are no rows of {n}", rows.len());
        let mut moments = vec![Moments::default(); n];
        let piece = team.piece(n, WIDE, WIDE);
        let pieces = moments.chunks_mut(piece).enumerate();
        team.run(pieces, |(index, out)| on(Isa::active(), Columns { n, first: index * piece, rows, out }));
        moments
    }

    /// The moments of one column of one slice. The iterator is run twice, so it must give the same values again.
    pub fn of(column: impl Iterator<Item = f32> + Clone) -> Moments {
        let (mut count, mut total) = (0u64, 0.0);
        for x in column.clone().filter(|x| !x.is_nan()) {
            count += 1;
            total += f64::from(x);
        }
        if count == 0 {
            return Moments::default();
        }
        let mean = total / count as f64;
        let mut m2 = 0.0;
        for x in column.filter(|x| !x.is_nan()) {
            let deviation = f64::from(x) - mean;
            m2 += deviation * deviation;
        }
        Moments { count, mean, m2 }
    }

    /// Adds the moments of a later slice (Chan, Golub and LeVeque 1979, eq. 2.1), with `d = other.mean - mean`, na and nb
    /// the counts, n = na + nb, and each product taken from the left: `mean += d * (nb / n)`, `m2 += other.m2 + d * d * (na * nb / n)`.
    /// An empty side leaves the other as it is, bit by bit.
    pub fn merge(&mut self, other: &Moments) {
        if other.count == 0 {
            return;
        }
        if self.count == 0 {
            *self = *other;
            return;
        }
        let (na, nb) = (self.count as f64, other.count as f64);
        let n = na + nb;
        let d = other.mean - self.mean;
        self.mean += d * (nb / n);
        self.m2 += other.m2 + d * d * (na * nb / n);
        self.count += other.count;
    }

    /// The variance of the values, m2 / count; 0 when there are none.
    pub fn variance(&self) -> f64 {
        if self.count == 0 { 0.0 } else { self.m2 / self.count as f64 }
    }
}

struct Columns<'a> {
    n: usize,
    /// The column of `out[0]`.
    first: usize,
    rows: &'a [f32],
    out: &'a mut [Moments],
}

impl Kernel for Columns<'_> {
    type Out = ();
    #[inline(always)]
    fn run<L: Lanes>(self, _: L) {
        let Columns { n, first, rows, out } = self;
        // Plain operations of IEEE: the compiler makes vectors of what the instruction set allows, with the same bits.
        for (block, out) in out.chunks_mut(WIDE).enumerate() {
            let from = first + block * WIDE;
            let mut counts = [0_u32; WIDE];
            let mut totals = [0.0_f64; WIDE];
            each(n, from, out.len(), rows, |column, x, present| {
                counts[column] += u32::from(present);
                totals[column] += if present { f64::from(x) } else { 0.0 };
            });
            let mut means = [0.0_f64; WIDE];
            for ((mean, total), count) in means.iter_mut().zip(totals).zip(counts) {
                *mean = if count == 0 { 0.0 } else { total / f64::from(count) };
            }
            let mut squares = [0.0_f64; WIDE];
            each(n, from, out.len(), rows, |column, x, present| {
                let deviation = f64::from(x) - means[column];
                squares[column] += if present { deviation * deviation } else { 0.0 };
            });
            for (((out, mean), m2), count) in out.iter_mut().zip(means).zip(squares).zip(counts) {
                *out = Moments { count: u64::from(count), mean, m2 };
            }
        }
    }
}

/// Calls `then` with every value of the columns `from..from + width`, row by row, and whether it is there.
#[inline(always)]
fn each(n: usize, from: usize, width: usize, rows: &[f32], mut then: impl FnMut(usize, f32, bool)) {
    for row in rows.chunks_exact(n) {
        // A width that the compiler knows, where there is one.
        match row[from..from + width].as_array::<WIDE>() {
            Some(row) => (0..WIDE).for_each(|column| then(column, row[column], !row[column].is_nan())),
            None => row[from..from + width].iter().enumerate().for_each(|(column, x)| then(column, *x, !x.is_nan())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::num::golden::values;

    #[test]
    fn columns_side_by_side_have_the_bits_of_columns_one_by_one() {
        for (rows, n) in [(0, 3), (1, 1), (7, 31), (50, 32), (33, 33), (200, 100)] {
            let mut xs = values("moments", rows * n);
            // Holes, negative zeros, and a column of which nothing is there.
            xs.iter_mut().step_by(7).for_each(|x| *x = f32::NAN);
            xs.iter_mut().skip(3).step_by(11).for_each(|x| *x = -0.0);
            xs.iter_mut().skip(n - 1).step_by(n).for_each(|x| *x = f32::NAN);
            for lanes in [1, 2, 3] {
                let got = Moments::of_columns(Team::of(lanes), n, &xs);
                for (column, got) in got.iter().enumerate() {
                    let expected = Moments::of(xs.iter().skip(column).step_by(n).copied());
                    let bits = |m: &Moments| (m.count, m.mean.to_bits(), m.m2.to_bits());
                    assert_eq!(bits(got), bits(&expected), "{rows} x {n}, column {column}");
                }
            }
        }
    }

    #[test]
    fn moments_skip_missing_values_and_merge() {
        let a = [1.0, f32::NAN, 2.0, 4.0];
        let one = Moments::of(a.iter().copied());
        assert_eq!((one.count, one.mean.to_bits()), (3, (7.0f64 / 3.0).to_bits()));
        let mut merged = one;
        merged.merge(&Moments::of([f32::NAN].into_iter()));
        assert_eq!(merged, one);
        let mut empty = Moments::default();
        empty.merge(&one);
        assert_eq!(empty, one);
        let mut both = Moments::of([1.0, 3.0].into_iter());
        both.merge(&Moments::of([5.0, 7.0].into_iter()));
        assert_eq!(both, Moments { count: 4, mean: 4.0, m2: 20.0 });
        assert_eq!(both.variance(), 5.0);
        assert_eq!(Moments::default().variance(), 0.0);
    }
}
