//! Images: orientations of gradients in cells of 4 x 4 pixels, normalised over their neighbours, and means of 2 x 2 pixels.
//!
//! After histograms of oriented gradients (Dalal and Triggs 2005), in integers throughout: roots are floors, divisions of what is never
//! negative. Docs/TRAINING.md has every operation.
#![expect(clippy::indexing_slicing, reason = "cells and pixels are those of an image whose size is asserted on entry")]

/// Pixels of a side of a cell.
const CELL: usize = 4;
/// Orientations, 45 degrees apart.
const WAYS: usize = 8;
/// 64 times the cosine and sine of each orientation, the nearest integers.
const DIRECTIONS: [[i32; 2]; WAYS] = [[64, 0], [45, 45], [0, 64], [-45, 45], [-64, 0], [-45, -45], [0, -64], [45, -45]];
/// 64 times the cosine of 45 degrees: what a gradient must exceed along an orientation to count for it.
const LEAST: i32 = 45;
/// A gradient whose magnitude is below 2 (of 127) says nothing.
const FAINT: i32 = 8;
/// Added to the norm of a neighbourhood, so that faint ones stay faint.
const FLOOR: u64 = 200;
/// Twice the square of the largest level: a share of the norm becomes the level 127 sqrt(2 share).
const GAIN: u64 = 2 * 127 * 127;

/// What a side of an image may be.
pub(super) const ALLOWED: &str = "a multiple of 4 from 8 to 256 (pad the images)";

/// Whether a side of an image may be so long.
pub(in crate::learn) fn allows(side: u32) -> bool {
    (8..=256).contains(&side) && side.is_multiple_of(CELL as u32)
}

/// The kinds of channels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Channel {
    /// How much of the gradients near a cell points one way.
    Orientation,
    /// The mean of 2 x 2 pixels.
    Mean,
}

/// The size of an image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Image {
    width: usize,
    height: usize,
}

impl Image {
    /// An image of a size that is allowed.
    pub(super) fn new(width: u32, height: u32) -> Image {
        assert!(allows(width) && allows(height), "an image of {width} x {height}");
        Image { width: width as usize, height: height as usize }
    }

    /// Width and height.
    pub(super) fn size(self) -> (usize, usize) {
        (self.width, self.height)
    }

    /// Pixels of an image.
    pub(super) fn pixels(width: u32, height: u32) -> usize {
        width as usize * height as usize
    }

    /// Channels of an image.
    pub(super) fn width(width: u32, height: u32) -> usize {
        Image::pixels(width, height) / (CELL * CELL) * WAYS + Image::pixels(width, height) / 4
    }

    /// Channels of this image.
    pub(super) fn channels(self) -> usize {
        self.orientations() + self.width * self.height / 4
    }

    /// The kind of a channel.
    pub(super) fn channel(self, index: usize) -> Channel {
        if index < self.orientations() { Channel::Orientation } else { Channel::Mean }
    }

    fn orientations(self) -> usize {
        self.width * self.height / (CELL * CELL) * WAYS
    }

    /// Writes the channels of an image: cell after cell (rows from the top, each from the left) its orientations, then the means likewise.
    pub(super) fn write(self, pixels: &[u8], out: &mut [u8]) {
        assert!(pixels.len() == self.width * self.height && out.len() == self.channels(), "an image of another size");
        let (orientations, means) = out.split_at_mut(self.orientations());
        self.means(pixels, means);
        self.normalise(&self.histograms(pixels), orientations);
    }

    /// Halves of the pixels, averaged over 2 x 2, halves up.
    fn means(self, pixels: &[u8], out: &mut [u8]) {
        for (rows, out) in pixels.chunks_exact(2 * self.width).zip(out.chunks_exact_mut(self.width / 2)) {
            let (upper, lower) = rows.split_at(self.width);
            for ((a, b), out) in upper.as_chunks::<2>().0.iter().zip(lower.as_chunks::<2>().0).zip(out) {
                let sum: u32 = a.iter().chain(b).map(|&x| u32::from(x >> 1)).sum();
                *out = ((sum + 2) / 4) as u8;
            }
        }
    }

    /// What each cell has of each orientation: gradients, shared between the two nearest cells each way, and the nearest orientations.
    fn histograms(self, pixels: &[u8]) -> Vec<[u32; WAYS]> {
        let (columns, rows) = (self.width / CELL, self.height / CELL);
        let mut out = vec![[0u32; WAYS]; columns * rows];
        for y in 0..self.height {
            let (above, below) = (y.saturating_sub(1), (y + 1).min(self.height - 1));
            let (line, above, below) = (self.line(pixels, y), self.line(pixels, above), self.line(pixels, below));
            let vertical = shares(y, rows);
            for x in 0..self.width {
                let half = |pixel: u8| i32::from(pixel >> 1);
                let across = half(line[(x + 1).min(self.width - 1)]) - half(line[x.saturating_sub(1)]);
                let down = half(below[x]) - half(above[x]);
                // Four times the magnitude; at most 718.
                let magnitude = (16 * (across * across + down * down)).isqrt();
                if magnitude < FAINT {
                    continue;
                }
                let along = DIRECTIONS.map(|[cos, sin]| (4 * (across * cos + down * sin) - magnitude * LEAST).max(0) as u32 >> 4);
                for (row, of_row) in vertical {
                    for (column, of_column) in shares(x, columns) {
                        if of_row * of_column > 0 {
                            let cell = &mut out[row * columns + column];
                            for (sum, along) in cell.iter_mut().zip(along) {
                                *sum += (along * of_row * of_column) >> 4;
                            }
                        }
                    }
                }
            }
        }
        out
    }

    fn line(self, pixels: &[u8], y: usize) -> &[u8] {
        &pixels[y * self.width..][..self.width]
    }

    /// Each cell's orientations as shares of the norm of the cells around it.
    fn normalise(self, cells: &[[u32; WAYS]], out: &mut [u8]) {
        let (columns, rows) = (self.width / CELL, self.height / CELL);
        let energy: Vec<u64> = cells.iter().map(|cell| cell.iter().map(|&x| u64::from(x) * u64::from(x)).sum()).collect();
        for (index, (cell, out)) in cells.iter().zip(out.as_chunks_mut::<WAYS>().0).enumerate() {
            let (x, y) = (index % columns, index / columns);
            let mut around = 0;
            for row in y.saturating_sub(1)..(y + 2).min(rows) {
                around += energy[row * columns + x.saturating_sub(1)..row * columns + (x + 2).min(columns)].iter().sum::<u64>();
            }
            let norm = around.isqrt() + FLOOR;
            for (out, &sum) in out.iter_mut().zip(cell) {
                *out = (u64::from(sum) * GAIN / norm).min(127 * 127).isqrt() as u8;
            }
        }
    }
}

/// The two cells whose centres are nearest to a pixel's, with its shares of them in eighths; a cell that is not there has none.
fn shares(pixel: usize, cells: usize) -> [(usize, u32); 2] {
    // In eighths of a cell from the centre of the cell before the first.
    let from = 2 * pixel + 1 + CELL;
    let (cell, share) = (from / (2 * CELL), (from % (2 * CELL)) as u32);
    let near = if cell == 0 { (0, 0) } else { (cell - 1, 2 * CELL as u32 - share) };
    let far = if cell == cells { (0, 0) } else { (cell, share) };
    [near, far]
}
