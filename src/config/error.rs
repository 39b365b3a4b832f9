use std::path::PathBuf;

use crate::{fs::FsError, learn::SettingsError};

/// What is wrong with the configuration.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file is not what it should be.
    #[error("{}: {message}", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// What, with line and column.
        message: String,
    },
    /// A setting is out of range.
    #[error("{setting} is {value}; allowed is {allowed}")]
    Setting {
        /// Which setting.
        setting: &'static str,
        /// Its value.
        value: String,
        /// What it may be.
        allowed: &'static str,
    },
    /// A learner setting is out of range.
    #[error(transparent)]
    Learner(#[from] SettingsError),
    /// The file is not text.
    #[error("{} is not UTF-8 text (byte {offset})", path.display())]
    NotText {
        /// The file.
        path: PathBuf,
        /// The first wrong byte.
        offset: usize,
    },
    /// The disk refused.
    #[error(transparent)]
    Fs(#[from] FsError),
}
