//! Names of states: a hash of everything that produced them (docs/TRAINING.md, section 5).

use crate::{
    digest::{Digest, ModelKey},
    ids::ShardId,
};

/// What all lineages of a generation and recipe have in common.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LineageRoot {
    recipe: Digest,
    partition: Digest,
    key: Digest,
}

impl LineageRoot {
    /// From the digests of `recipe.json` and `partition.json` and the model key.
    pub fn new(recipe: Digest, partition: Digest, key: &ModelKey) -> LineageRoot {
        LineageRoot { recipe, partition, key: key.fingerprint() }
    }
}

/// The lineage keys of a shard: of the initial state, then of every step, given the content digests of its slices in order.
pub fn lineages(root: &LineageRoot, shard: ShardId, slices: impl IntoIterator<Item = Digest>) -> Vec<Digest> {
    let mut keys = vec![lineage_of_none(root, shard)];
    let mut parent = lineage_of_none(root, shard);
    for (step, content) in (1_u32..).zip(slices) {
        parent = lineage_after(parent, step, content);
        keys.push(parent);
    }
    keys
}

/// The lineage key of a shard's initial state.
pub(super) fn lineage_of_none(root: &LineageRoot, shard: ShardId) -> Digest {
    let LineageRoot { recipe, partition, key } = root;
    Digest::derive("sisa 1 lineage root", &[&recipe.0, &partition.0, &key.0, &shard.0.to_le_bytes()])
}

/// The lineage key of a step, from that of the step before it and the content digest of the slice that it adds.
pub(super) fn lineage_after(parent: Digest, step: u32, content: Digest) -> Digest {
    Digest::derive("sisa 1 lineage step", &[&parent.0, &step.to_le_bytes(), &content.0])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_changed_input_changes_exactly_the_keys_below_it() {
        let root = LineageRoot::new(Digest::of(b"r"), Digest::of(b"p"), &ModelKey::from_bytes([1; 32]));
        let slices = [Digest::of(b"1"), Digest::of(b"2"), Digest::of(b"3")];
        let keys = lineages(&root, ShardId(0), slices);
        assert_eq!(keys.len(), 4);
        for changed in 0..3 {
            let mut other = slices;
            other[changed] = Digest::of(b"x");
            let new = lineages(&root, ShardId(0), other);
            for (step, (a, b)) in keys.iter().zip(&new).enumerate() {
                assert_eq!(a == b, step <= changed, "slice {} step {step}", changed + 1);
            }
        }
        let others = [
            LineageRoot { recipe: Digest::of(b"x"), ..root },
            LineageRoot { partition: Digest::of(b"x"), ..root },
            LineageRoot { key: Digest::of(b"x"), ..root },
        ];
        for other in others {
            assert!(lineages(&other, ShardId(0), slices).iter().zip(&keys).all(|(a, b)| a != b));
        }
        assert!(lineages(&root, ShardId(1), slices).iter().zip(&keys).all(|(a, b)| a != b));
    }
}
