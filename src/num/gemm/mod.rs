//! Matrix products in which every element is one chain.
//!
//! `C[i][j] = fma(a[i][K-1], b[K-1][j], .. fma(a[i][1], b[1][j], fma(a[i][0], b[0][j], start)))`, with `start` +0.0, or the present
//! value of `C[i][j]`. Vector lanes run over j alone, tasks over i alone. The loop over k is cut into blocks for the
//! cache; between blocks the accumulators rest in C as `f32`, which loses nothing, so the chain is the same.
//!
//! All matrices are row-major and dense. B is first packed into panels of 16 columns ([`Packed`]).

mod block;
mod pack;

#[cfg(test)]
mod tests;

pub use pack::Packed;

use super::isa::Isa;
use super::simd::on;
use super::team::Team;
use block::Block;

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

/// One product: its form and shape, and where it runs.
#[derive(Debug, Clone, Copy)]
pub struct Gemm {
    /// The instruction set; changes no bit.
    pub isa: Isa,
    /// How many ways the rows of C may be split; changes no bit.
    pub team: Team,
    /// Where the chains start.
    pub start: Start,
    /// How A and B are stored.
    pub form: Form,
    /// Rows of C.
    pub m: usize,
    /// Columns of C.
    pub n: usize,
    /// Links of a chain.
    pub k: usize,
}

impl Gemm {
    /// A product of shape `[m, n, k]` from zero on the active instruction set.
    pub fn of(team: Team, form: Form, [m, n, k]: [usize; 3]) -> Gemm {
        Gemm { isa: Isa::active(), team, start: Start::Zero, form, m, n, k }
    }

    /// Computes C; `packed` holds B meanwhile.
    ///
    /// # Panics
    ///
    /// When a slice is not as long as the shape says, and when the CPU lacks the instruction set.
    pub fn run(&self, packed: &mut Packed, a: &[f32], b: &[f32], c: &mut [f32]) {
        let Gemm { m, n, k, .. } = *self;
        assert_eq!(Some(a.len()), m.checked_mul(k), "the length of A is not m * k for m = {m}, k = {k}");
        assert_eq!(Some(b.len()), k.checked_mul(n), "the length of B is not k * n for k = {k}, n = {n}");
        assert_eq!(Some(c.len()), m.checked_mul(n), "the length of C is not m * n for m = {m}, n = {n}");
        let stored = if self.form == Form::Nt { pack::Stored::Columns } else { pack::Stored::Rows };
        packed.fill(self.team, n, k, b, stored);
        match self.form {
            Form::Tn => self.multiply::<true>(packed, a, c),
            Form::Nn | Form::Nt => self.multiply::<false>(packed, a, c),
        }
    }

    /// Multiplies the packed B, with the rows of C split over the team.
    fn multiply<const AT: bool>(&self, packed: &Packed, a: &[f32], c: &mut [f32]) {
        let Gemm { isa, start, m, n, k, .. } = *self;
        if m == 0 || n == 0 {
            return;
        }
        if k == 0 {
            if start == Start::Zero {
                c.fill(0.0);
            }
            return;
        }
        let rows = self.team.piece(m, 1, TASK_FMAS.div_ceil(n * k));
        let blocks = c.chunks_mut(rows * n).enumerate().map(|(index, c)| {
            let first = index * rows;
            let (a, a_step) = if AT { (a.get(first..), m) } else { (a.get(first * k..), k) };
            Block::<AT> { a: a.unwrap_or_default(), a_step, b: packed.lines(n, k), c, n, k, start }
        });
        self.team.run(blocks, |block| on(isa, block));
    }
}
