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

/// `C[m,n] = A[m,k] B[k,n]`, on the active instruction set.
///
/// # Panics
///
/// When a slice is not as long as its shape says.
#[expect(clippy::too_many_arguments, reason = "shape and operands in the order of BLAS")]
pub fn nn(team: Team, packed: &mut Packed, m: usize, n: usize, k: usize, a: &[f32], b: &[f32], c: &mut [f32]) {
    nn_with(Isa::active(), Start::Zero, team, packed, m, n, k, a, b, c);
}

/// `C[m,n] = A^T B[k,n]` with A stored `[k,m]`, as in dW = X^T dZ, where k runs over the rows of a batch.
///
/// # Panics
///
/// As [`nn`].
#[expect(clippy::too_many_arguments, reason = "shape and operands in the order of BLAS")]
pub fn tn(team: Team, packed: &mut Packed, m: usize, n: usize, k: usize, a: &[f32], b: &[f32], c: &mut [f32]) {
    tn_with(Isa::active(), Start::Zero, team, packed, m, n, k, a, b, c);
}

/// `C[m,n] = A[m,k] B^T` with B stored `[n,k]`, as in dX = dZ W^T.
///
/// # Panics
///
/// As [`nn`].
#[expect(clippy::too_many_arguments, reason = "shape and operands in the order of BLAS")]
pub fn nt(team: Team, packed: &mut Packed, m: usize, n: usize, k: usize, a: &[f32], b: &[f32], c: &mut [f32]) {
    nt_with(Isa::active(), Start::Zero, team, packed, m, n, k, a, b, c);
}

/// [`nn`] with the instruction set and the chains' start given.
///
/// # Panics
///
/// As [`nn`], and when the CPU lacks the instruction set.
#[expect(clippy::too_many_arguments, reason = "shape and operands in the order of BLAS")]
pub fn nn_with(
    isa: Isa,
    start: Start,
    team: Team,
    packed: &mut Packed,
    m: usize,
    n: usize,
    k: usize,
    a: &[f32],
    b: &[f32],
    c: &mut [f32],
) {
    check(m, n, k, a, b, c);
    packed.fill(team, n, k, b, pack::Stored::Rows);
    multiply::<false>(isa, start, team, packed, m, n, k, a, c);
}

/// [`tn`] with the instruction set and the chains' start given.
///
/// # Panics
///
/// As [`nn_with`].
#[expect(clippy::too_many_arguments, reason = "shape and operands in the order of BLAS")]
pub fn tn_with(
    isa: Isa,
    start: Start,
    team: Team,
    packed: &mut Packed,
    m: usize,
    n: usize,
    k: usize,
    a: &[f32],
    b: &[f32],
    c: &mut [f32],
) {
    check(m, n, k, a, b, c);
    packed.fill(team, n, k, b, pack::Stored::Rows);
    multiply::<true>(isa, start, team, packed, m, n, k, a, c);
}

/// [`nt`] with the instruction set and the chains' start given.
///
/// # Panics
///
/// As [`nn_with`].
#[expect(clippy::too_many_arguments, reason = "shape and operands in the order of BLAS")]
pub fn nt_with(
    isa: Isa,
    start: Start,
    team: Team,
    packed: &mut Packed,
    m: usize,
    n: usize,
    k: usize,
    a: &[f32],
    b: &[f32],
    c: &mut [f32],
) {
    check(m, n, k, a, b, c);
    packed.fill(team, n, k, b, pack::Stored::Columns);
    multiply::<false>(isa, start, team, packed, m, n, k, a, c);
}

fn check(m: usize, n: usize, k: usize, a: &[f32], b: &[f32], c: &[f32]) {
    assert_eq!(Some(a.len()), m.checked_mul(k), "the length of A is not m * k for m = {m}, k = {k}");
    assert_eq!(Some(b.len()), k.checked_mul(n), "the length of B is not k * n for k = {k}, n = {n}");
    assert_eq!(Some(c.len()), m.checked_mul(n), "the length of C is not m * n for m = {m}, n = {n}");
}

/// Multiply-adds that are worth one task more: about 10 us of work.
const TASK_FMAS: usize = 500_000;

/// Multiplies the packed B, with the rows of C split over the team.
#[expect(clippy::too_many_arguments, reason = "shape and operands in the order of BLAS")]
fn multiply<const AT: bool>(
    isa: Isa,
    start: Start,
    team: Team,
    packed: &Packed,
    m: usize,
    n: usize,
    k: usize,
    a: &[f32],
    c: &mut [f32],
) {
    if m == 0 || n == 0 {
        return;
    }
    if k == 0 {
        if start == Start::Zero {
            c.fill(0.0);
        }
        return;
    }
    let rows = team.piece(m, 1, TASK_FMAS.div_ceil(n * k));
    let blocks = c.chunks_mut(rows * n).enumerate().map(|(index, c)| {
        let first = index * rows;
        let (a, a_step) = if AT { (a.get(first..), m) } else { (a.get(first * k..), k) };
        Block::<AT> { a: a.unwrap_or_default(), a_step, b: packed.lines(n, k), c, n, k, start }
    });
    team.run(blocks, |block| on(isa, block));
}
