//! Which checkpoints follow from slices as they are, or are to be.

use std::collections::BTreeMap;

use super::{LineageRoot, lineages};
use crate::{
    checkpoint::{CheckpointStore, Found},
    digest::Digest,
    fs::FsError,
    ids::{Cell, Part, ShardId, SliceId},
};

/// The lineage keys of a shard, of the initial state and of every step, whose slices have the contents that `cells` names.
pub fn lineages_of(root: &LineageRoot, shard: ShardId, cells: &BTreeMap<Cell, Digest>) -> Vec<Digest> {
    let cell = |part| Cell { shard, part };
    let slices = cells.range(cell(Part::Slice(SliceId(0)))..cell(Part::Holdout));
    lineages(root, shard, slices.map(|(_, content)| *content))
}

/// The checkpoints of a shard that do not follow from slices with the contents that `cells` names.
///
/// # Errors
/// The disk refuses.
pub fn stale(
    store: &CheckpointStore,
    root: &LineageRoot,
    shard: ShardId,
    cells: &BTreeMap<Cell, Digest>,
) -> Result<Vec<Found>, FsError> {
    let clean = lineages_of(root, shard, cells);
    let mut found = store.list(shard)?;
    found.retain(|found| clean.get(found.step.0 as usize) != Some(&found.lineage));
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::digest::ModelKey;

    #[test]
    fn the_slices_of_one_shard_count_and_no_holdout() {
        let root = LineageRoot::new(Digest::of(b"r"), Digest::of(b"p"), &ModelKey::from_bytes([1; 32]));
        let mut cells = BTreeMap::new();
        for shard in 0..3 {
            for part in (0..=2).map(Part::from_number) {
                let cell = Cell { shard: ShardId(shard), part };
                cells.insert(cell, Digest::of(cell.to_string().as_bytes()));
            }
        }
        let slices = [Digest::of(b"0001/01"), Digest::of(b"0001/02")];
        assert_eq!(lineages_of(&root, ShardId(1), &cells), lineages(&root, ShardId(1), slices));
        assert_eq!(lineages_of(&root, ShardId(9), &cells).len(), 1, "of a shard without slices only the initial state");
    }
}
