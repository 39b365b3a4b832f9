//! Sums of derivatives by byte of the rows and its value: integers, so the same however rows are grouped.
#![expect(clippy::indexing_slicing, reason = "rows are those that were binned")]

use super::bins::{Binned, Digit};
use crate::num::{Team, cut::Pair, gather};

/// Cells that are worth one task more.
const CELLS_A_TASK: usize = 1 << 16;
/// How many rows ahead the memory is asked.
const AHEAD: usize = 12;

/// The sums of each byte.
pub(super) type Histogram = Vec<[Pair; 256]>;

/// An empty histogram of so many bytes.
pub(super) fn empty(bytes: usize) -> Histogram {
    vec![[Pair::default(); 256]; bytes]
}

/// The sums over some rows, into a used histogram.
pub(super) fn build(binned: &Binned, pairs: &[Pair], rows: &[u32], team: Team, into: &mut Histogram) {
    clear(binned, into);
    let piece = team.piece(rows.len(), 1, CELLS_A_TASK.div_ceil(binned.sizes.len().max(1)));
    let (first, rest) = rows.split_at(piece.min(rows.len()));
    let mut others: Vec<Histogram> = rest.chunks(piece).map(|_| empty(binned.sizes.len())).collect();
    let pieces = std::iter::once(first).chain(rest.chunks(piece)).zip(std::iter::once(&mut *into).chain(&mut others));
    team.run(pieces, |(rows, into)| add(binned, pairs, rows, into));
    for other in &others {
        each(binned, into, other, Pair::plus);
    }
}

/// Takes another's sums out of a histogram.
pub(super) fn subtract(binned: &Binned, from: &mut Histogram, other: &Histogram) {
    each(binned, from, other, Pair::minus);
}

/// The sums of one column's bins.
pub(super) fn column<'a>(histogram: &Histogram, digit: &Digit, size: usize, bins: &'a mut [Pair; 256]) -> &'a [Pair; 256] {
    let first = usize::from(digit.bins[0]);
    if digit.alone {
        bins[..first].fill(Pair::default());
        bins[first..].iter_mut().zip(&histogram[digit.byte]).take(size).for_each(|(bin, &sum)| *bin = sum);
        return bins;
    }
    bins.fill(Pair::default());
    for (&sum, &bin) in histogram[digit.byte].iter().zip(&digit.bins).take(size) {
        bins[usize::from(bin)] = bins[usize::from(bin)].plus(sum);
    }
    bins
}

fn clear(binned: &Binned, into: &mut Histogram) {
    into.iter_mut().zip(&binned.sizes).for_each(|(sums, &size)| sums[..size].fill(Pair::default()));
}

fn each(binned: &Binned, into: &mut Histogram, other: &Histogram, change: impl Fn(Pair, Pair) -> Pair) {
    for ((into, other), &size) in into.iter_mut().zip(other).zip(&binned.sizes) {
        into.iter_mut().zip(other).take(size).for_each(|(into, other)| *into = change(*into, *other));
    }
}

fn add(binned: &Binned, pairs: &[Pair], rows: &[u32], into: &mut Histogram) {
    for (i, &row) in rows.iter().enumerate() {
        if let Some(&ahead) = rows.get(i + AHEAD) {
            gather::prefetch(binned.row(ahead));
        }
        let pair = pairs[row as usize];
        for (&bin, sums) in binned.row(row).iter().zip(into.iter_mut()) {
            let sum = &mut sums[usize::from(bin)];
            *sum = sum.plus(pair);
        }
    }
}
