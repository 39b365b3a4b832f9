//! Matrix products in which every element is one chain.
//!
//! `C[i][j] = fma(a[i][K-1], b[K-1][j], .. fma(a[i][1], b[1][j], fma(a[i][0], b[0][j], start)))`, with `start` +0.0, or the present
//! value of `C[i][j]`. Vector lanes run over j alone, tasks over i alone. The loop over k is cut into blocks for the
//! cache; between blocks the accumulators rest in C as `f32`, which loses nothing, so the chain is the same.
//!
//! All matrices are row-major and dense. B is read in panels of 16 columns: where its rows are whole cache lines, as it lies; otherwise
//! it is first packed ([`Packed`]).

#![expect(clippy::indexing_slicing, reason = "the shapes are asserted before")]

mod block;
mod pack;

#[cfg(test)]
mod tests;

pub use pack::Packed;

use super::floats::Floats;
use super::isa::Isa;
use super::simd::{WIDTH, on};
use super::team::Team;
use block::{Block, Panels};

/// Where the chains of a product start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Start {
    /// From +0.0; what C held is overwritten, not read.
    Zero,
    /// From what C holds: a bias, or the sum of gathered rows.
    Existing,
}

/// Multiply-adds that are worth one task more: about 10 us of work.
const TASK_FMAS: usize = 500_000;

/// B of at most so many columns is used as it lies, if its rows are whole cache lines.
const DIRECT_COLUMNS: usize = 256;
/// So is every such B by at most so many rows of C: packing it would cost more than it gains.
const DIRECT_ROWS: usize = 64;

/// How the operands of `C[m,n]` lie in memory; k runs over what is summed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// `A[m,k] B[k,n]`.
    Nn,
    /// `A^T B[k,n]` with A stored `[k,m]`, as in dW = X^T dZ, where k runs over the rows of a batch.
    Tn,
    /// `A[m,k] B^T` with B stored `[n,k]`, as in dX = dZ W^T.
    Nt,
}

/// Rows of C that [`Gemm::run_in_strips`] computes at a time: whole tiles of every instruction set, few enough to stay in the nearest
/// caches at the usual widths, and for lanes to get nearly equal shares.
pub const STRIP: usize = 24;

/// One product: its form and shape, and where it runs.
#[derive(Debug, Clone, Copy)]
pub struct Gemm<'a> {
    /// The instruction set; changes no bit.
    pub isa: Isa,
    /// How many ways the rows of C may be split; changes no bit.
    pub team: Team,
    /// Where the chains start.
    pub start: Start,
    /// Cells that are read after this product, which the memory is asked for while it runs; changes no bit.
    pub ahead: &'a [&'a [u8]],
    /// How A and B are stored.
    pub form: Form,
    /// Rows of C.
    pub m: usize,
    /// Columns of C.
    pub n: usize,
    /// Links of a chain.
    pub k: usize,
}

impl<'a> Gemm<'a> {
    /// A product of shape `[m, n, k]` from zero on the active instruction set.
    pub fn of(team: Team, form: Form, [m, n, k]: [usize; 3]) -> Gemm<'a> {
        Gemm { isa: Isa::active(), team, start: Start::Zero, ahead: &[], form, m, n, k }
    }

    /// Computes C; `packed` holds B meanwhile.
    ///
    /// # Panics
    ///
    /// When a slice is not as long as the shape says, and when the CPU lacks the instruction set.
    pub fn run(&self, packed: &mut Packed, a: &[f32], b: &[f32], c: &mut [f32]) {
        let Gemm { m, n, k, .. } = *self;
        assert_eq!(Some(c.len()), m.checked_mul(n), "the length of C is not m * n for m = {m}, n = {n}");
        let panels = self.panels(packed, a, b);
        if c.is_empty() {
            return;
        }
        let rows = self.team.piece(m, 1, TASK_FMAS.div_ceil((n * k).max(1)));
        let tasks = m.div_ceil(rows);
        let pieces = c.chunks_mut(rows * n).enumerate().map(|(task, c)| (task * rows, self.share(task, tasks), c));
        self.team.run(pieces, |(first, ahead, c)| self.block(panels, a, first, ahead, c));
    }

    /// Computes C from zero, [`STRIP`] rows at a time, and gives each strip away: to `then`, with its item of `pieces`. C is never there as
    /// a whole; what uses it finds it in the nearest cache. `packed` holds B meanwhile.
    ///
    /// # Panics
    ///
    /// When A or B is not as long as the shape says, and when the CPU lacks the instruction set.
    pub fn run_in_strips<P: Send>(
        &self,
        packed: &mut Packed,
        a: &[f32],
        b: &[f32],
        mut pieces: impl Iterator<Item = P>,
        then: impl Fn(&[f32], P) + Sync,
    ) {
        let Gemm { m, n, k, .. } = *self;
        let panels = self.panels(packed, a, b);
        let product = Gemm { start: Start::Zero, ..*self };
        let rows = self.team.piece(m, STRIP, TASK_FMAS.div_ceil((n * k).max(1)));
        let tasks = m.div_ceil(rows);
        let of_tasks = (0..tasks).map(|task| (task, pieces.by_ref().take(rows / STRIP).collect::<Vec<P>>()));
        self.team.run(of_tasks, |(task, pieces)| {
            let mut strip = Floats::zeros(STRIP.min(m) * n);
            let (ahead, strips) = (self.share(task, tasks), pieces.len().max(1));
            let mut ahead = ahead.chunks(ahead.len().div_ceil(strips).max(1));
            for (first, piece) in (task * rows..m).step_by(STRIP).zip(pieces) {
                let c = &mut strip[..STRIP.min(m - first) * n];
                product.block(panels, a, first, ahead.next().unwrap_or_default(), c);
                then(c, piece);
            }
        });
    }

    /// B in lines: as it lies in memory where that is fast enough, otherwise packed.
    fn panels<'b>(&self, packed: &'b mut Packed, a: &[f32], b: &'b [f32]) -> Panels<'b> {
        let Gemm { m, n, k, .. } = *self;
        assert_eq!(Some(a.len()), m.checked_mul(k), "the length of A is not m * k for m = {m}, k = {k}");
        assert_eq!(Some(b.len()), k.checked_mul(n), "the length of B is not k * n for k = {k}, n = {n}");
        // Rows of whole lines need no packing while a panel's lines, `n` apart, don't push each other out of the cache, or few rows of A
        // would use what was packed.
        let direct = self.form != Form::Nt && n.is_multiple_of(WIDTH) && (n <= DIRECT_COLUMNS || m <= DIRECT_ROWS);
        if direct && let Ok(lines) = bytemuck::try_cast_slice(b) {
            return Panels { lines, panel: 1, line: n / WIDTH };
        }
        let stored = if self.form == Form::Nt { pack::Stored::Columns } else { pack::Stored::Rows };
        packed.fill(self.team, n, k, b, stored);
        Panels { lines: packed.lines(n, k), panel: k, line: 1 }
    }

    /// What one of so many tasks asks the memory for.
    fn share(&self, task: usize, tasks: usize) -> &'a [&'a [u8]] {
        self.ahead.chunks(self.ahead.len().div_ceil(tasks).max(1)).nth(task).unwrap_or_default()
    }

    /// Computes the rows of C from `first` on.
    fn block(&self, b: Panels<'_>, a: &[f32], first: usize, ahead: &[&[u8]], c: &mut [f32]) {
        let Gemm { isa, start, m, n, k, .. } = *self;
        if n == 0 || k == 0 {
            if start == Start::Zero {
                c.fill(0.0);
            }
            return;
        }
        match self.form {
            Form::Tn => on(isa, Block::<true> { a: &a[first..], a_step: m, b, c, n, k, start, ahead }),
            Form::Nn | Form::Nt => on(isa, Block::<false> { a: &a[first * k..], a_step: k, b, c, n, k, start, ahead }),
        }
    }
}
