//! The register tile of the products.

#![expect(unsafe_code, reason = "reads A and B of the tile without a check at every step of k")]
#![expect(clippy::indexing_slicing, reason = "accumulators have constant bounds, and C's are asserted")]

use super::{Lanes, Line, WIDTH};

/// One register tile of a product: `rows` by `panels * 16` elements of C, the last panel cut to `width` columns, each of them
/// one chain over `k` that starts from +0.0 or, with `from_c`, from its present value.
#[derive(Debug)]
pub(in crate::num) struct Tile<'a> {
    pub(in crate::num) rows: usize,
    pub(in crate::num) panels: usize,
    pub(in crate::num) k: usize,
    /// From the tile's first element of A; element (i, k) at `i * a_step + k`, or at `k * a_step + i` if transposed.
    pub(in crate::num) a: &'a [f32],
    pub(in crate::num) a_step: usize,
    /// From the tile's first line of B; line k of panel p at `p * b_step + k * b_line`.
    pub(in crate::num) b: &'a [Line],
    pub(in crate::num) b_step: usize,
    pub(in crate::num) b_line: usize,
    /// From the tile's first element of C; element (i, j) at `i * c_step + j`.
    pub(in crate::num) c: &'a mut [f32],
    pub(in crate::num) c_step: usize,
    pub(in crate::num) width: usize,
    pub(in crate::num) from_c: bool,
}

/// The tile, with its accumulators in registers.
#[inline(always)]
#[expect(clippy::needless_range_loop, reason = "i and p number registers; constant bounds let every loop but that over k unroll")]
pub(super) fn tile_on<L: Lanes, const ROWS: usize, const PANELS: usize, const AT: bool>(s: L, t: Tile<'_>) {
    assert!(t.rows == ROWS && t.panels == PANELS && t.k > 0 && (1..=WIDTH).contains(&t.width));
    let (a_row, a_k) = if AT { (1, t.a_step) } else { (t.a_step, 1) };
    assert!((ROWS - 1) * a_row + (t.k - 1) * a_k < t.a.len());
    assert!((PANELS - 1) * t.b_step + (t.k - 1) * t.b_line < t.b.len());
    assert!((ROWS - 1) * t.c_step + (PANELS - 1) * WIDTH + t.width <= t.c.len());

    let mut acc = [[s.splat(0.0); PANELS]; ROWS];
    if t.from_c {
        for i in 0..ROWS {
            let row = &t.c[i * t.c_step..];
            for p in 0..PANELS {
                acc[i][p] = match row[p * WIDTH..].first_chunk() {
                    Some(full) if p < PANELS - 1 || t.width == WIDTH => s.load(full),
                    _ => s.load_part(&row[p * WIDTH..][..t.width]),
                };
            }
        }
    }
    let (a, b) = (t.a.as_ptr(), t.b.as_ptr());
    for k in 0..t.k {
        let mut line = [s.splat(0.0); PANELS];
        for p in 0..PANELS {
            // SAFETY: `p * b_step + k * b_line` is below `b.len()` by the second assertion on lengths.
            line[p] = s.load(unsafe { &(*b.add(p * t.b_step + k * t.b_line)).0 });
        }
        for i in 0..ROWS {
            // SAFETY: `i * a_row + k * a_k` is below `a.len()` by the first assertion on lengths.
            let x = s.splat(unsafe { *a.add(i * a_row + k * a_k) });
            for p in 0..PANELS {
                acc[i][p] = s.fma(x, line[p], acc[i][p]);
            }
        }
    }
    for i in 0..ROWS {
        let row = &mut t.c[i * t.c_step..];
        for p in 0..PANELS {
            match row[p * WIDTH..].first_chunk_mut() {
                Some(full) if p < PANELS - 1 || t.width == WIDTH => s.store(acc[i][p], full),
                _ => s.store_part(acc[i][p], &mut row[p * WIDTH..][..t.width]),
            }
        }
    }
}

/// Calls `$entry` with the tile's rows as a constant, one of those listed.
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
macro_rules! by_rows {
    ($entry:ident, $token:expr, $tile:ident, $panels:literal, $at:ident, [$($rows:literal)*]) => {
        match $tile.rows {
            // SAFETY: the token proves that the CPU has the features of the entry.
            $($rows => unsafe { $entry::<$rows, $panels, $at>($token, $tile) },)*
            rows => unreachable!("a tile of {rows} rows by {} panels", $panels),
        }
    };
}
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
pub(super) use by_rows;
