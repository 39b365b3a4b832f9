//! The store of what was asked and done: one JSON entry a file, each with the digest of the one before.
//!
//! Does not know how anything is done, only that it was.

mod append;
mod durable;
mod entry;
mod error;
mod exports;
mod handles;
mod history;
mod layout;
mod replay;
mod store;
mod summary;
mod table;

pub use durable::{Durable, Standby};
pub use entry::{
    Accepted, Aggregate, Appended, CellChange, Cost, Effective, Entry, Event, Imported, LEDGER_FORMAT, LEDGER_FORMAT_1, Mended,
    Outcome, OutcomeKind, Placed, Purged, RecipeFrozen, Rekeyed, Repaired, ShardRepair, Switched, Trained, Unsuppressed,
    WholeShard,
};
pub use error::LedgerError;
pub use exports::{ExportFormat, ExportRecord, ExportSeen, Exported};
pub use handles::HandleSet;
pub use history::{BatchRecord, GenerationRecord, History, RequestRecord};
pub use layout::ENTRIES_IN_FOLDER;
pub use replay::Replay;
pub use store::{Head, Ledger};
