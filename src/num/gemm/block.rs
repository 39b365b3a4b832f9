//! The loops around the register tile.

#![expect(clippy::indexing_slicing, reason = "the products assert the shapes, the tile asserts its bounds")]

use super::super::simd::{Kernel, Lanes, Line, Tile, WIDTH};
use super::Start;

/// Steps of k between two rests of the accumulators in C: a block of a panel (64 bytes a step) and of a tile's rows of A (24 bytes a
/// step) then stay in a 32 KiB first-level cache.
const DEPTH: usize = 320;

/// A run of rows of C, all of its columns, to be computed by one task.
#[derive(Debug)]
pub(super) struct Block<'a, const AT: bool> {
    /// A from the first row on; element (i, k) at `i * a_step + k`, or at `k * a_step + i` if `AT`.
    pub(super) a: &'a [f32],
    pub(super) a_step: usize,
    /// The packed B.
    pub(super) b: &'a [Line],
    pub(super) c: &'a mut [f32],
    pub(super) n: usize,
    pub(super) k: usize,
    pub(super) start: Start,
}

impl<const AT: bool> Kernel for Block<'_, AT> {
    type Out = ();

    #[inline(always)]
    fn run<L: Lanes>(self, s: L) {
        let Block { a, a_step, b, c, n, k, start } = self;
        let rows = c.len() / n;
        for depth in even(k, DEPTH) {
            let from_c = start == Start::Existing || depth.start > 0;
            for panels in even(n.div_ceil(WIDTH), L::PANELS) {
                let column = panels.start * WIDTH;
                let width = WIDTH.min(n - (panels.end - 1) * WIDTH);
                for tile in even(rows, L::rows(panels.len())) {
                    s.tile::<AT>(Tile {
                        rows: tile.len(),
                        panels: panels.len(),
                        k: depth.len(),
                        a: if AT { &a[depth.start * a_step + tile.start..] } else { &a[tile.start * a_step + depth.start..] },
                        a_step,
                        b: &b[panels.start * k + depth.start..],
                        b_step: k,
                        c: &mut c[tile.start * n + column..],
                        c_step: n,
                        width,
                        from_c,
                    });
                }
            }
        }
    }
}

/// Cuts `0..length` into the fewest ranges of at most `most`, as equal as can be: a last tile of one row would waste most of
/// its registers.
#[inline(always)]
fn even(length: usize, most: usize) -> impl Iterator<Item = std::ops::Range<usize>> {
    let count = length.div_ceil(most).max(1);
    let (base, longer) = (length / count, length % count);
    (0..count).map(move |index| {
        let start = index * base + index.min(longer);
        start..start + base + usize::from(index < longer)
    })
}

#[cfg(test)]
mod tests {
    use super::even;

    #[test]
    fn even_ranges_are_in_order_complete_and_differ_by_at_most_one() {
        for length in 1..100 {
            for most in 1..20 {
                let ranges: Vec<_> = even(length, most).collect();
                let mut next = 0;
                for range in &ranges {
                    assert_eq!(range.start, next);
                    assert!(!range.is_empty() && range.len() <= most && range.len() >= length / ranges.len());
                    next = range.end;
                }
                assert_eq!((next, ranges.len()), (length, length.div_ceil(most)));
            }
        }
    }
}
