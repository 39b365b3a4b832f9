use std::path::PathBuf;

use crate::fs::FsError;

/// What is wrong with the ledger.
#[derive(Debug, thiserror::Error)]
pub enum LedgerError {
    /// An entry is missing, changed, or not one.
    #[error(
        "{} is damaged at byte {offset}: {what}. The ledger says what was deleted, so nothing is trusted without it: \
         restore the file from a backup; without one, import into an empty folder",
        path.display()
    )]
    Damaged {
        /// The entry's file.
        path: PathBuf,
        /// Where the first wrong byte is, as far as it can be told.
        offset: u64,
        /// What was found and what was expected.
        what: String,
    },
    /// An entry's number was taken by another process.
    #[error("another process wrote to the ledger at the same time ({} exists)", path.display())]
    Raced {
        /// The entry's file.
        path: PathBuf,
    },
    /// The handle key is another one.
    #[error("the ledger is not sealed with this workspace's handle key; restore the key that the records were made with")]
    OtherKey,
    /// There is no handle key.
    #[error("the handle key can't be read, and without it nothing can be written to the ledger")]
    NoKey,
    /// The disk refused.
    #[error(transparent)]
    Fs(#[from] FsError),
}
