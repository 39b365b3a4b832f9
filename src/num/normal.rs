//! Normal equations of integer features: `G = sum of phi phi^T` and `C = sum of phi y^T`, exact in `i64`.
//!
//! Features are bytes up to 127, targets one integer of one output a row. Sums of integers do not depend on order, so
//! rows can be added in any blocks and on any team, and taken out again.
//!
//! No sum can overflow. Within a block of [`BLOCK_ROWS`] rows the products add up to at most 2,048 * 127^2 = 33,032,192 in an `i32`.
//! Over all rows, of which callers hold at most [`ROWS_MAX`], an element of G is at most 2^39 * 127^2, below 2^53 (so that `f64` holds it
//! exactly), and one of C at most 2^39 * 127 * 2^16, below 2^62.

#![expect(clippy::indexing_slicing, reason = "panels, lanes and outputs are asserted once a call")]

use super::isa::Isa;
use super::simd::{BYTE_MAX, Kernel, Lanes, QUADS_MAX, Quad, Square, WIDTH, on};
use super::team::Team;

/// The most rows that are added at a time.
pub const BLOCK_ROWS: usize = 2048;
/// The most rows that may be in the sums.
pub const ROWS_MAX: u64 = 1 << 39;
/// The largest feature.
pub const FEATURE_MAX: u8 = BYTE_MAX;
/// The largest target.
pub const TARGET_MAX: u32 = 1 << 16;

const _: () = assert!(BLOCK_ROWS.is_multiple_of(4) && BLOCK_ROWS / 4 <= QUADS_MAX);
const _: () = assert!(ROWS_MAX * (FEATURE_MAX as u64 * FEATURE_MAX as u64) < 1 << 53);
const _: () = assert!(ROWS_MAX as u128 * FEATURE_MAX as u128 * TARGET_MAX as u128 <= i64::MAX as u128);

/// Whether rows come or go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sign {
    /// They come.
    Add,
    /// They go.
    Subtract,
}

/// What a row is to teach: this much of this output, at most [`TARGET_MAX`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Target {
    /// Which output.
    pub output: u32,
    /// How much of it.
    pub amount: u32,
}

/// The sums of some rows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Normal {
    width: usize,
    outputs: usize,
    /// The lower triangle of G in squares: row panel p holds the squares (p, 0) to (p, p). Those on the diagonal are whole.
    gram: Vec<Square<i64>>,
    /// C in lines of sixteen features: that of panel p and output k at `p * outputs + k`.
    cross: Vec<[i64; WIDTH]>,
}

/// Where row panel `p` of a triangle of squares starts.
pub(super) fn start(p: usize) -> usize {
    p * (p + 1) / 2
}

/// The length of a row of features in memory: the width up to a whole panel, the rest zeros.
pub fn padded(width: usize) -> usize {
    width.next_multiple_of(WIDTH)
}

impl Normal {
    /// The sums of no rows, for `width` features and so many outputs.
    pub fn new(width: usize, outputs: usize) -> Normal {
        let panels = width.div_ceil(WIDTH);
        let gram = vec![[[0; WIDTH]; WIDTH]; start(panels)];
        Normal { width, outputs, gram, cross: vec![[0; WIDTH]; panels * outputs] }
    }

    /// Features of a row.
    pub fn width(&self) -> usize {
        self.width
    }

    /// Outputs.
    pub fn outputs(&self) -> usize {
        self.outputs
    }

    /// The triangle's squares, row panel after row panel.
    pub(super) fn squares(&self) -> &[Square<i64>] {
        &self.gram
    }

    /// Row i of G up to its diagonal, for reading.
    pub fn gram_row(&self, i: usize) -> impl Iterator<Item = i64> + '_ {
        assert!(i < self.width, "row {i} of {}", self.width);
        let (panel, lane) = (i / WIDTH, i % WIDTH);
        self.gram[start(panel)..][..=panel].iter().flatten().map(move |column| column[lane]).take(i + 1)
    }

    /// The diagonal of G.
    pub fn diagonal(&self) -> impl Iterator<Item = i64> + '_ {
        (0..self.width).map(|i| self.gram[start(i / WIDTH) + i / WIDTH][i % WIDTH][i % WIDTH])
    }

    /// Sets row i of G up to its diagonal, and by symmetry what the square on the diagonal holds twice.
    pub fn set_gram_row(&mut self, i: usize, row: impl Iterator<Item = i64>) {
        assert!(i < self.width, "row {i} of {}", self.width);
        let (panel, lane) = (i / WIDTH, i % WIDTH);
        let squares = &mut self.gram[start(panel)..][..=panel];
        for (column, x) in squares.as_flattened_mut().iter_mut().take(i + 1).zip(row) {
            column[lane] = x;
        }
        let (before, own) = squares[panel].split_at_mut(lane);
        for (mirrored, column) in own[0].iter_mut().zip(before) {
            *mirrored = column[lane];
        }
    }

    /// Element (i, output) of C.
    pub fn cross(&self, i: usize, output: usize) -> i64 {
        self.cross[i / WIDTH * self.outputs + output][i % WIDTH]
    }

    /// Sets element (i, output) of C.
    pub fn set_cross(&mut self, i: usize, output: usize, x: i64) {
        self.cross[i / WIDTH * self.outputs + output][i % WIDTH] = x;
    }

    /// Adds the sums of other rows.
    ///
    /// # Panics
    ///
    /// When the shapes differ.
    pub fn merge(&mut self, other: &Normal) {
        assert_eq!((self.width, self.outputs), (other.width, other.outputs), "sums of another shape");
        let ours = self.gram.as_flattened_mut().as_flattened_mut().iter_mut().chain(self.cross.as_flattened_mut());
        let theirs = other.gram.as_flattened().as_flattened().iter().chain(other.cross.as_flattened());
        ours.zip(theirs).for_each(|(a, b)| *a += b);
    }

    /// Adds or takes out at most [`BLOCK_ROWS`] rows: `features` is `rows x padded(width)`, each at most [`FEATURE_MAX`], with zeros beyond
    /// the width; `targets` is one a row.
    ///
    /// # Panics
    ///
    /// When a length or an output does not fit.
    pub fn update(&mut self, team: Team, sign: Sign, packed: &mut Packed, features: &[u8], targets: &[Target]) {
        self.update_with(Isa::active(), team, sign, packed, features, targets);
    }

    /// [`Normal::update`] on a given instruction set.
    ///
    /// # Panics
    ///
    /// As [`Normal::update`], and when the CPU lacks the instruction set.
    pub fn update_with(&mut self, isa: Isa, team: Team, sign: Sign, packed: &mut Packed, features: &[u8], targets: &[Target]) {
        let (panels, outputs) = (self.width.div_ceil(WIDTH), self.outputs);
        assert!(targets.len() <= BLOCK_ROWS, "{} rows at a time", targets.len());
        assert_eq!(features.len(), targets.len() * panels * WIDTH, "features are rows x padded width");
        assert!(targets.iter().all(|t| (t.output as usize) < outputs && t.amount <= TARGET_MAX), "a target out of bounds");
        if targets.is_empty() {
            return;
        }
        packed.fill(team, panels, features);
        let packed = &*packed;
        team.run(shares(team, panels, &mut self.gram).into_iter(), |share| on(isa, Update { share, packed, sign }));
        let piece = team.piece(panels, 1, 64);
        team.run(self.cross.chunks_mut(piece * outputs.max(1)).enumerate(), |(first, lines)| {
            for (row, target) in features.chunks_exact(panels * WIDTH).zip(targets) {
                let amount = match sign {
                    Sign::Add => i64::from(target.amount),
                    Sign::Subtract => -i64::from(target.amount),
                };
                let row = &row[first * piece * WIDTH..];
                for (panel, features) in lines.chunks_exact_mut(outputs).zip(row.as_chunks::<WIDTH>().0) {
                    for (sum, &x) in panel[target.output as usize].iter_mut().zip(features) {
                        *sum += amount * i64::from(x);
                    }
                }
            }
        });
    }
}

/// Row panels that are worked on together, so that a column panel is read once for all of them: 8 panels of a whole block are
/// 256 KiB, which a second-level cache holds.
const GROUP: usize = 8;

/// One group of row panels: the first panel's number, and the squares of each.
type Group<'a> = (usize, Vec<&'a mut [Square<i64>]>);

/// Deals the row panels to the lanes of a team, the longest first and back and forth, so that all get about the same.
fn shares(team: Team, panels: usize, mut squares: &mut [Square<i64>]) -> Vec<Vec<Group<'_>>> {
    let mut groups: Vec<Group<'_>> = Vec::new();
    for panel in 0..panels {
        let (own, rest) = squares.split_at_mut(panel + 1);
        squares = rest;
        match groups.last_mut() {
            Some(group) if group.1.len() < GROUP => group.1.push(own),
            _ => groups.push((panel, vec![own])),
        }
    }
    let lanes = team.lanes().min(groups.len()).max(1);
    let mut out: Vec<Vec<Group<'_>>> = (0..lanes).map(|_| Vec::new()).collect();
    for (turn, group) in groups.into_iter().rev().enumerate() {
        let (round, place) = (turn / lanes, turn % lanes);
        out[if round % 2 == 0 { place } else { lanes - 1 - place }].push(group);
    }
    out
}

/// Adds a block's products to some row panels.
struct Update<'a> {
    share: Vec<Group<'a>>,
    packed: &'a Packed,
    sign: Sign,
}

impl Kernel for Update<'_> {
    type Out = ();

    #[inline(always)]
    fn run<L: Lanes>(self, s: L) {
        for (first, mut panels) in self.share {
            let last = first + panels.len();
            for column in 0..last {
                let b = self.packed.panel(column);
                for (panel, squares) in (first..).zip(&mut panels) {
                    let Some(square) = squares.get_mut(column) else { continue };
                    let products = s.dot(self.packed.panel(panel), b);
                    let sums = square.as_flattened_mut().iter_mut().zip(products.as_flattened());
                    match self.sign {
                        Sign::Add => sums.for_each(|(sum, &x)| *sum += i64::from(x)),
                        Sign::Subtract => sums.for_each(|(sum, &x)| *sum -= i64::from(x)),
                    }
                }
            }
        }
    }
}

/// A block of rows in panels of sixteen features and quads of rows. The buffer stays from block to block.
#[derive(Clone, Debug, Default)]
pub struct Packed {
    quads: Vec<Quad>,
    /// Quads of a panel.
    depth: usize,
}

impl Packed {
    fn panel(&self, panel: usize) -> &[Quad] {
        &self.quads[panel * self.depth..][..self.depth]
    }

    /// Packs `rows x panels * 16` features; rows up to the next four are zeros.
    fn fill(&mut self, team: Team, panels: usize, features: &[u8]) {
        let stride = panels * WIDTH;
        self.depth = (features.len() / stride).div_ceil(4);
        self.quads.resize(panels * self.depth, Quad([0; 4 * WIDTH]));
        let (depth, piece) = (self.depth, team.piece(panels, 1, 4));
        team.run(self.quads.chunks_mut(piece * depth).enumerate(), |(index, quads)| {
            for (k, rows) in features.chunks(4 * stride).enumerate() {
                for (panel, quads) in quads.chunks_exact_mut(depth).enumerate() {
                    let at = (index * piece + panel) * WIDTH;
                    let mut lines = [[0; WIDTH]; 4];
                    for (line, row) in lines.iter_mut().zip(rows.chunks_exact(stride)) {
                        line.copy_from_slice(&row[at..at + WIDTH]);
                    }
                    for (lane, quad) in quads[k].0.as_chunks_mut::<4>().0.iter_mut().enumerate() {
                        *quad = [lines[0][lane], lines[1][lane], lines[2][lane], lines[3][lane]];
                    }
                }
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn features(rows: usize, width: usize, seed: u32) -> Vec<u8> {
        let stride = padded(width);
        let mut out = vec![0; rows * stride];
        for (i, row) in out.chunks_exact_mut(stride).enumerate() {
            for (j, x) in row[..width].iter_mut().enumerate() {
                let h = (i as u32 * 7919 + j as u32 * 104_729 + seed).wrapping_mul(0x9e37_79b1);
                *x = if h & 3 == 0 { 127 } else { (h >> 20) as u8 & 127 };
            }
        }
        out
    }

    fn targets(rows: usize, outputs: u32) -> Vec<Target> {
        (0..rows as u32).map(|i| Target { output: i * 5 % outputs, amount: 1 + i % 3 * 32_767 }).collect()
    }

    /// The sums by their definition.
    fn plain(rows: &[u8], targets: &[Target], width: usize, outputs: usize) -> (Vec<Vec<i64>>, Vec<Vec<i64>>) {
        let (mut gram, mut cross) = (vec![vec![0; width]; width], vec![vec![0; outputs]; width]);
        for (row, target) in rows.chunks_exact(padded(width)).zip(targets) {
            for i in 0..width {
                for j in 0..width {
                    gram[i][j] += i64::from(row[i]) * i64::from(row[j]);
                }
                cross[i][target.output as usize] += i64::from(row[i]) * i64::from(target.amount);
            }
        }
        (gram, cross)
    }

    fn same(got: &Normal, (gram, cross): &(Vec<Vec<i64>>, Vec<Vec<i64>>)) {
        for i in 0..got.width() {
            assert!(got.gram_row(i).eq(gram[i][..=i].iter().copied()), "row {i}");
            assert!((0..got.outputs()).all(|k| got.cross(i, k) == cross[i][k]), "row {i}");
        }
        assert!(got.diagonal().eq((0..got.width()).map(|i| gram[i][i])));
    }

    #[test]
    fn sums_are_those_of_the_definition_on_every_set_and_team() {
        for (rows, width, outputs) in [(1, 1, 1), (3, 16, 2), (101, 150, 3), (2048, 17, 1)] {
            let (x, y) = (features(rows, width, 1), targets(rows, outputs as u32));
            let expected = plain(&x, &y, width, outputs);
            let mut first: Option<Normal> = None;
            for isa in Isa::available() {
                for lanes in [1, 2, 5] {
                    let mut got = Normal::new(width, outputs);
                    got.update_with(isa, Team::of(lanes), Sign::Add, &mut Packed::default(), &x, &y);
                    same(&got, &expected);
                    assert_eq!(*first.get_or_insert_with(|| got.clone()), got);
                }
            }
        }
    }

    #[test]
    fn rows_that_go_leave_what_never_held_them() {
        let (width, outputs) = (150, 3);
        let (a, b) = (features(60, width, 1), features(41, width, 2));
        let (ya, yb) = (targets(60, 3), targets(41, 3));
        let (mut packed, team) = (Packed::default(), Team::of(2));
        let mut alone = Normal::new(width, outputs);
        alone.update(team, Sign::Add, &mut packed, &a, &ya);
        let mut both = Normal::new(width, outputs);
        both.update(team, Sign::Add, &mut packed, &b, &yb);
        both.update(team, Sign::Add, &mut packed, &a, &ya);
        let mut merged = Normal::new(width, outputs);
        merged.update(team, Sign::Add, &mut packed, &b, &yb);
        merged.merge(&alone);
        assert_eq!(merged, both);
        both.update(team, Sign::Subtract, &mut packed, &b, &yb);
        assert_eq!(both, alone);
    }

    #[test]
    fn the_largest_block_of_the_largest_features_does_not_overflow() {
        let x = vec![FEATURE_MAX; BLOCK_ROWS * WIDTH];
        let y = vec![Target { output: 0, amount: TARGET_MAX }; BLOCK_ROWS];
        for isa in Isa::available() {
            let mut got = Normal::new(WIDTH, 1);
            got.update_with(isa, Team::solo(), Sign::Add, &mut Packed::default(), &x, &y);
            assert!(got.gram_row(15).all(|x| x == 2048 * 127 * 127));
            assert_eq!(got.cross(0, 0), 2048 * 127 * 65_536);
        }
    }

    #[test]
    fn rows_that_are_set_are_the_rows_that_are_read() {
        let mut from = Normal::new(37, 2);
        from.update(Team::solo(), Sign::Add, &mut Packed::default(), &features(50, 37, 3), &targets(50, 2));
        let mut to = Normal::new(37, 2);
        for i in 0..37 {
            to.set_gram_row(i, from.gram_row(i));
            (0..2).for_each(|k| to.set_cross(i, k, from.cross(i, k)));
        }
        assert_eq!(to, from);
    }
}
