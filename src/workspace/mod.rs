//! One folder with its keys, generations, recipes and ledger; what is in service, and who may write.

mod current;
mod error;
mod folder;
mod sweep;
mod writing;
mod keys;
mod partition;
mod scratch;
mod snapshot;

pub use current::Current;
pub use error::WorkspaceError;
pub use folder::Workspace;
pub use keys::{KeySource, read as read_key};
pub use partition::Partition;
pub use scratch::{Purpose, ScratchDir};
pub use snapshot::Snapshot;
pub use writing::{Session, Writing};
