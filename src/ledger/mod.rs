//! The store of what was asked and done: one JSON entry a file, each with the digest of the one before.
//!
//! Does not know how anything is done, only that it was.

mod entry;
mod error;
mod history;
mod store;

pub use entry::{
    Accepted, CellChange, Cost, Effective, Entry, Event, Imported, LEDGER_FORMAT, Mended, Outcome, OutcomeKind, Purged,
    RecipeFrozen, Rekeyed, Repaired, ShardRepair, Trained, Unsuppressed,
};
pub use error::LedgerError;
pub use history::{Durable, GenerationRecord, History, RequestRecord};
pub use store::{Head, Ledger};
