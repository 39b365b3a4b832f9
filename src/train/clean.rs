//! Which checkpoints follow from slices as they are, or are to be.

use super::{LineageRoot, lineages};
use crate::{
    checkpoint::{CheckpointStore, Found},
    digest::Digest,
    fs::FsError,
    ids::ShardId,
    ledger::Standby,
    shard::Cells,
};

/// The lineage keys of a shard, of the initial state and of every step, whose slices have the contents that `cells` names.
pub fn lineages_of(root: &LineageRoot, shard: ShardId, cells: &Cells) -> Vec<Digest> {
    lineages(root, shard, cells.slices_of(shard).iter().copied())
}

/// The checkpoints of a shard that do not follow from slices with the contents that `cells` names, and are not what serves until a batch is
/// trained.
///
/// # Errors
/// The disk refuses.
pub fn stale(
    store: &CheckpointStore,
    root: &LineageRoot,
    shard: ShardId,
    cells: &Cells,
    standby: Option<Standby>,
) -> Result<Vec<Found>, FsError> {
    let clean = lineages_of(root, shard, cells);
    let mut found = store.list(shard)?;
    found.retain(|found| {
        let stands_by = standby.is_some_and(|s| (s.step, s.lineage) == (found.step.0, found.lineage));
        clean.get(found.step.0 as usize) != Some(&found.lineage) && !stands_by
    });
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::digest::ModelKey;

    #[test]
    fn the_slices_of_one_shard_count_and_no_holdout() {
        let root = LineageRoot::new(Digest::of(b"r"), Digest::of(b"p"), &ModelKey::from_bytes([1; 32]));
        let names = ["0000/01", "0000/02", "0000/holdout", "0001/01", "0001/02", "0001/holdout"];
        let cells = Cells::new(2, 2, names.map(|name| Digest::of(name.as_bytes())).to_vec(), None).unwrap();
        let slices = [Digest::of(b"0001/01"), Digest::of(b"0001/02")];
        assert_eq!(lineages_of(&root, ShardId(1), &cells), lineages(&root, ShardId(1), slices));
        assert_eq!(lineages_of(&root, ShardId(9), &cells).len(), 1, "of a shard without slices only the initial state");
    }
}
