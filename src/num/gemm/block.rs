//! The loops around the register tile.

#![expect(clippy::indexing_slicing, reason = "the products assert the shapes, the tile asserts its bounds")]

use super::super::simd::{Kernel, Lanes, Line, Tile, WIDTH, prefetch_far};
use super::Start;

/// Steps of k between two rests of the accumulators in C: a block of a panel (64 bytes a step) and of a tile's rows of A (24 bytes a
/// step) then stay in a 32 KiB first-level cache.
const DEPTH: usize = 320;

/// B in lines of 16 columns: packed, or as it lies in memory.
#[derive(Debug, Clone, Copy)]
pub(super) struct Panels<'a> {
    pub(super) lines: &'a [Line],
    /// From a panel to the next.
    pub(super) panel: usize,
    /// From a line of a panel to the next.
    pub(super) line: usize,
}

/// A run of rows of C, all of its columns, to be computed by one task.
#[derive(Debug)]
pub(super) struct Block<'a, const AT: bool> {
    /// A from the first row on; element (i, k) at `i * a_step + k`, or at `k * a_step + i` if `AT`.
    pub(super) a: &'a [f32],
    pub(super) a_step: usize,
    pub(super) b: Panels<'a>,
    pub(super) c: &'a mut [f32],
    pub(super) n: usize,
    pub(super) k: usize,
    pub(super) start: Start,
    /// Cells to ask the memory for meanwhile, a few before each tile: more at once than the core can wait for would stop it.
    pub(super) ahead: &'a [&'a [u8]],
}

impl<const AT: bool> Kernel for Block<'_, AT> {
    type Out = ();

    #[inline(always)]
    fn run<L: Lanes>(self, s: L) {
        let Block { a, a_step, b, c, n, k, start, ahead } = self;
        let rows = c.len() / n;
        let of_depth: usize = even(n.div_ceil(WIDTH), L::PANELS).map(|panels| rows.div_ceil(L::rows(panels.len()))).sum();
        let mut ahead = ahead.chunks(ahead.len().div_ceil(of_depth * k.div_ceil(DEPTH)).max(1));
        for depth in even(k, DEPTH) {
            let from_c = start == Start::Existing || depth.start > 0;
            for panels in even(n.div_ceil(WIDTH), L::PANELS) {
                let column = panels.start * WIDTH;
                let width = WIDTH.min(n - (panels.end - 1) * WIDTH);
                for tile in even(rows, L::rows(panels.len())) {
                    ahead.next().unwrap_or_default().iter().for_each(|cells| prefetch_far(cells));
                    s.tile::<AT>(Tile {
                        rows: tile.len(),
                        panels: panels.len(),
                        k: depth.len(),
                        a: if AT { &a[depth.start * a_step + tile.start..] } else { &a[tile.start * a_step + depth.start..] },
                        a_step,
                        b: &b.lines[panels.start * b.panel + depth.start * b.line..],
                        b_step: b.panel,
                        b_line: b.line,
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
