use std::path::{Path, PathBuf};

use crate::fs::FsError;

/// What is wrong with a slice file.
#[derive(Debug, thiserror::Error)]
pub enum SliceError {
    /// The bytes are not those that were published.
    #[error(
        "{} is damaged at byte {offset}: {what}. Training and serving of its shard stop here until it is written \
         again or given up",
        path.display()
    )]
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

impl SliceError {
    pub(super) fn damaged(path: &Path, offset: u64, what: impl Into<String>) -> SliceError {
        SliceError::Damaged { path: path.to_owned(), offset, what: what.into() }
    }
}
