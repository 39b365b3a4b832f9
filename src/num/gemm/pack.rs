//! The packed form of B.

#![expect(clippy::indexing_slicing, reason = "lengths are asserted by the products that call this")]

use super::super::simd::{Line, WIDTH};
use super::super::team::Team;

/// A reusable buffer for B in panels of 16 columns: line k of panel p holds `B[k][16 p ..]`, padded with +0.0, on one cache
/// line. It grows to the largest product it has served and keeps that size.
#[derive(Debug, Default)]
pub struct Packed {
    lines: Vec<Line>,
}

/// How B lies in memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stored {
    /// `[k, n]`.
    Rows,
    /// `[n, k]`.
    Columns,
}

/// Lines that are worth one task more.
const TASK_LINES: usize = 1024;

impl Packed {
    /// An empty buffer.
    pub fn new() -> Packed {
        Packed::default()
    }

    /// The panels of a B of this shape, as [`Packed::fill`] left them.
    pub(super) fn lines(&self, n: usize, k: usize) -> &[Line] {
        &self.lines[..n.div_ceil(WIDTH) * k]
    }

    /// Packs B, with the panels split over the team.
    pub(super) fn fill(&mut self, team: Team, n: usize, k: usize, b: &[f32], stored: Stored) {
        let panels = n.div_ceil(WIDTH);
        if panels * k == 0 {
            return;
        }
        if self.lines.len() < panels * k {
            self.lines.resize(panels * k, Line([0.0; WIDTH]));
        }
        let lines = &mut self.lines[..panels * k];
        let piece = team.piece(panels, 1, TASK_LINES.div_ceil(k));
        team.run(lines.chunks_mut(piece * k).enumerate(), |(index, lines)| match stored {
            Stored::Rows => rows(index * piece, n, k, b, lines),
            Stored::Columns => columns(index * piece, n, k, b, lines),
        });
    }
}

/// Panels from `first` on of a B stored `[k, n]`.
fn rows(first: usize, n: usize, k: usize, b: &[f32], lines: &mut [Line]) {
    for (panel, lines) in (first..).zip(lines.chunks_exact_mut(k)) {
        let column = panel * WIDTH;
        let width = WIDTH.min(n - column);
        for (line, row) in lines.iter_mut().zip(b.chunks_exact(n)) {
            match row[column..].first_chunk() {
                Some(full) => line.0 = *full,
                None => {
                    line.0 = [0.0; WIDTH];
                    line.0[..width].copy_from_slice(&row[column..]);
                }
            }
        }
    }
}

/// Panels from `first` on of a B stored `[n, k]`.
fn columns(first: usize, n: usize, k: usize, b: &[f32], lines: &mut [Line]) {
    for (panel, lines) in (first..).zip(lines.chunks_exact_mut(k)) {
        let column = panel * WIDTH;
        let rows = &b[column * k..(column + WIDTH).min(n) * k];
        if rows.len() == WIDTH * k {
            let row: [&[f32]; WIDTH] = std::array::from_fn(|j| &rows[j * k..][..k]);
            for (i, line) in lines.iter_mut().enumerate() {
                line.0 = std::array::from_fn(|j| row[j][i]);
            }
        } else {
            for (i, line) in lines.iter_mut().enumerate() {
                line.0 = std::array::from_fn(|j| rows.get(j * k + i).copied().unwrap_or(0.0));
            }
        }
    }
}
