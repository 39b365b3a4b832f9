//! The store of records: one file a slice, and one for the held-out part of each shard.
//!
//! Does not know learners, checkpoints, or why records go away.

mod build;
mod cells;
mod error;
mod format;
mod slice;
mod staged;
mod store;

pub use build::{SliceFile, SortKey, sort_key};
pub use cells::Cells;
pub use error::{BuildError, SliceError};
pub use format::{Header, SLICE_FORMAT, SliceLayout, is_waiting};
pub use slice::Slice;
pub use staged::StagedRow;
pub use store::ShardStore;
