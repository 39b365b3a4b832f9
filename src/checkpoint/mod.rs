//! The store of constituent states: one file a step, named by its lineage.
//!
//! Does not know learners (a payload is bytes), slices, or why a state goes away.

mod error;
mod format;
mod store;

pub use error::CheckpointError;
pub use format::CHECKPOINT_FORMAT;
pub use store::{CheckpointStore, Found};
