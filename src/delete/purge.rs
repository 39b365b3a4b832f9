//! Takes away the states that no longer follow from the slices.

use std::{collections::BTreeSet, path::PathBuf};

use super::DeleteError;
use crate::{
    checkpoint::CheckpointStore,
    digest::ModelKey,
    fs::LockGuard,
    ids::{GenerationId, ShardId},
    ledger::GenerationRecord,
    train::{LineageRoot, stale},
    workspace::Workspace,
};

/// Unlinks every checkpoint of a shard, of every recipe, that does not follow from the slices as the ledger has them, and syncs. The
/// caller holds the commit lock of the shard. With `again` this process has done so before.
///
/// # Errors
/// The disk refuses. It can be done again.
pub fn purge_stale(
    workspace: &Workspace,
    id: GenerationId,
    record: &GenerationRecord,
    key: &ModelKey,
    shard: ShardId,
    again: bool,
) -> Result<(), DeleteError> {
    let mut names = BTreeSet::new();
    unlink_stale(workspace, (id, record), key, shard, 0, again, &mut names)?;
    Ok(workspace.files().sync_dirs(&names)?)
}

/// As [`purge_stale`], and names the folders that are to be synced. Returns at most `room` handles that keep the unlinked blocks: freeing
/// them takes time, which an effect need not wait for.
///
/// # Errors
/// As there.
pub(super) fn unlink_stale(
    workspace: &Workspace,
    (id, record): (GenerationId, &GenerationRecord),
    key: &ModelKey,
    shard: ShardId,
    room: usize,
    again: bool,
    names: &mut BTreeSet<PathBuf>,
) -> Result<Vec<Box<dyn LockGuard>>, DeleteError> {
    let files = workspace.files();
    let mut held = Vec::new();
    for recipe in &record.recipes {
        let root = LineageRoot::new(recipe.digest, record.imported.partition, key);
        let store = CheckpointStore::new(files.clone(), workspace.recipe_dir(id, &recipe.recipe));
        let dir = store.shard_dir(shard);
        let mut any = files.sweep(&dir)?;
        let standby = record.standby(&recipe.recipe, shard);
        for found in stale(&store, &root, shard, &record.cells, standby)? {
            let path = store.path(shard, found.step, found.lineage);
            if held.len() < room {
                // It saves time, and a process that may open no more files does without.
                held.extend(files.hold(&path).ok().flatten());
            }
            any |= files.unlink(&path)?;
        }
        // Also on a second try: the first may have unlinked and died before it synced.
        if any || (!again && files.stat(&dir)?.is_some()) {
            names.insert(dir);
        }
    }
    Ok(held)
}
