//! Reading what is kept, for the service and for whoever looks without one.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use serde::de::DeserializeOwned;
use sisa::engine::{Engine, EntryKind};

use super::{FOLDER, Hold, IntakeError, SUFFIX};

/// Where a part of what is kept lies.
pub(super) fn folder(engine: &Engine, part: &str) -> PathBuf {
    FOLDER.iter().fold(engine.workspace().root().to_owned(), |path, part| path.join(part)).join(part)
}

/// A file, if it is there.
pub(super) fn read<T: DeserializeOwned>(engine: &Engine, path: &Path) -> Result<Option<T>, IntakeError> {
    let bytes = match engine.files().read(path) {
        Ok(bytes) => bytes,
        Err(e) if e.is_not_found() => return Ok(None),
        Err(e) => return Err(e.into()),
    };
    let damaged = |e: serde_json::Error| IntakeError::Damaged { path: path.to_owned(), problem: e.to_string() };
    serde_json::from_slice(&bytes).map(Some).map_err(damaged)
}

/// Our files of a part.
pub(super) fn files(engine: &Engine, part: &str) -> Result<Vec<PathBuf>, IntakeError> {
    let folder = folder(engine, part);
    if engine.files().stat(&folder)?.is_none() {
        return Ok(Vec::new());
    }
    let found = engine.files().list(&folder)?.into_iter();
    let ours = found.filter(|(name, kind)| *kind == EntryKind::File && name.ends_with(SUFFIX));
    Ok(ours.map(|(name, _)| folder.join(name)).collect())
}

/// All legal holds by name, also those that have ended.
pub(in super::super) fn holds(engine: &Engine) -> Result<BTreeMap<String, Hold>, IntakeError> {
    let mut holds = BTreeMap::new();
    for path in files(engine, "holds")? {
        if let Some(hold) = read::<Hold>(engine, &path)? {
            holds.insert(hold.name.clone(), hold);
        }
    }
    Ok(holds)
}
