//! Key files: 64 hexadecimal digits, readable by their owner alone.

use std::path::{Path, PathBuf};

use super::WorkspaceError;
use crate::{
    digest::{Digest, HandleKey, ModelKey},
    fs::{Files, random_key},
    ids::GenerationId,
};

/// Where new keys come from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum KeySource {
    /// The operating system's generator.
    #[default]
    Random,
    /// Derived from a number, for experiments that others repeat.
    Seed(u64),
    /// Derived from the key in a file.
    File(PathBuf),
}

impl KeySource {
    fn bytes(&self, files: &Files, purpose: &str) -> Result<[u8; 32], WorkspaceError> {
        match self {
            KeySource::Random => random_key().map_err(|cause| {
                let path = Path::new("the system's random generator").to_owned();
                crate::fs::FsError::Io { op: "read", path, cause }.into()
            }),
            KeySource::Seed(seed) => Ok(Digest::derive(purpose, &[&seed.to_le_bytes()]).0),
            KeySource::File(path) => Ok(Digest::derive(purpose, &[&read(files, path)?]).0),
        }
    }

    /// A new handle key.
    ///
    /// # Errors
    /// The key file can't be used.
    pub fn handle_key(&self, files: &Files) -> Result<HandleKey, WorkspaceError> {
        Ok(HandleKey::from_bytes(self.bytes(files, "sisa 1 handle key from seed")?))
    }

    /// A new model key. Derived keys of later generations differ from the first's, so that `rekey` does what it says.
    ///
    /// # Errors
    /// The key file can't be used.
    pub fn model_key(&self, files: &Files, rekeys: Option<GenerationId>) -> Result<ModelKey, WorkspaceError> {
        let bytes = self.bytes(files, "sisa 1 model key from seed")?;
        Ok(match rekeys {
            None => ModelKey::from_bytes(bytes),
            Some(generation) => {
                ModelKey::from_bytes(Digest::derive("sisa 1 rekeyed model key", &[&bytes, &generation.0.to_le_bytes()]).0)
            }
        })
    }
}

/// Reads a key file; refuses one that others can read.
///
/// # Errors
/// The file is missing, malformed or exposed.
pub fn read(files: &Files, path: &Path) -> Result<[u8; 32], WorkspaceError> {
    let Some(stat) = files.stat(path)? else { return Err(WorkspaceError::KeyMissing { path: path.to_owned() }) };
    if stat.mode & 0o077 != 0 {
        return Err(WorkspaceError::KeyExposed { path: path.to_owned(), mode: stat.mode });
    }
    let malformed = || WorkspaceError::KeyMalformed { path: path.to_owned() };
    let (head, len) = files.head(path, 66)?;
    let text = std::str::from_utf8(&head).map_err(|_| malformed())?;
    if len > 66 {
        return Err(malformed());
    }
    Ok(Digest::from_hex(text.trim_end()).ok_or_else(malformed)?.0)
}

/// Publishes a key file.
pub(super) fn write(files: &Files, path: &Path, key: &[u8; 32]) -> Result<(), WorkspaceError> {
    let _ = files.publish_private(path, &[format!("{}\n", Digest(*key)).as_bytes()])?;
    Ok(())
}
