//! Every floating-point kernel, reduction, polynomial and random stream of the engine.
//!
//! What it promises: a result is a function of its operands alone. Thread count, vector width, batch split, memory layout and
//! the platform's mathematical library change no bit of it. Three rules carry the promise:
//!
//! 1. Each output element is one chain of IEEE operations in a fixed order. Vector lanes and threads take different
//!    *outputs*; they never share one. The only reductions along a vector are the 16 strided lanes of [`sum`].
//! 2. Only `+ - * /`, `sqrt`, fused multiply-add, comparisons and integer operations are used, all of them exactly
//!    defined by IEEE 754. Transcendental functions are our own polynomials of these ([`poly`]).
//! 3. Subnormals are kept and rounding is to nearest; [`isa::check_float_environment`] tests this at worker start.
//!
//! Not promised: the sign and payload of a NaN. Callers refuse non-finite inputs and weights.
//!
//! Shapes are asserted at the start of each call: a wrong shape is a fault of the program, never of its input.
//! The golden digests in `golden.rs` hold the bits; a change of them is a new numerics version.

pub mod cholesky;
pub mod cut;
mod floats;
pub mod gather;
pub mod gemm;
pub mod isa;
pub mod moments;
pub mod normal;
pub mod poly;
pub mod probe;
pub mod project;
mod simd;
pub mod stream;
pub mod sum;
pub mod team;
pub mod update;

#[cfg(test)]
mod golden;

pub use floats::Floats;
pub use isa::{Isa, IsaError};
pub use team::Team;

/// The version of the arithmetic and of the order of visits. Part of every recipe: whoever changes a bit of any result changes it.
pub const NUMERICS_VERSION: u32 = 2;
