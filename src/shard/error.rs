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

/// Why rows do not become a slice file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BuildError {
    /// The file would not fit an address space.
    #[error("{rows} rows of this width are more than an address space holds")]
    TooLarge {
        /// How many there are.
        rows: u64,
    },
    /// A row that was counted is not there, or is cut short; one of zeros must not take its place.
    #[error("of {rows} rows one is missing or cut short")]
    Missing {
        /// How many were counted.
        rows: u64,
    },
}

impl SliceError {
    pub(super) fn damaged(path: &Path, offset: u64, what: impl Into<String>) -> SliceError {
        SliceError::Damaged { path: path.to_owned(), offset, what: what.into() }
    }
}
