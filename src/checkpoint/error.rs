use std::path::PathBuf;

use crate::fs::FsError;

/// What is wrong with a checkpoint file.
#[derive(Debug, thiserror::Error)]
pub enum CheckpointError {
    /// The bytes are not those that were published; training makes them again.
    #[error("{} is damaged at byte {offset}: {what}; training builds it again", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// Where the first wrong field is.
        offset: u64,
        /// What was found and what was expected.
        what: String,
    },
    /// The disk refused.
    #[error(transparent)]
    Fs(#[from] FsError),
}
