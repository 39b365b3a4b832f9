//! Import: staged, and nothing until `imported` is in the ledger.
//!
//! Memory is bounded by the largest shard and the number of threads, not by the number of rows.

mod alike;
mod batch;
mod error;
mod protocol;
mod stage;

pub use alike::AlikeIds;
pub use batch::{BuiltBatch, StagedBatch, build_batch, stage_batch, stage_kept};
pub use error::ImportError;
pub use protocol::{ImportReport, Kept, NewGeneration, import, rekey_rows, restage};
pub use stage::{Naming, Noted, Rules, Stage};
