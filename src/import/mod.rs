//! Import: staged, and nothing until `imported` is in the ledger.
//!
//! Memory is bounded by the largest shard and the number of threads, not by the number of rows.

mod alike;
mod error;
mod protocol;
mod stage;

pub use alike::AlikeIds;
pub use error::ImportError;
pub use protocol::{ImportReport, NewGeneration, import, rekey_rows, restage};
pub use stage::{Naming, Rules, Stage};
