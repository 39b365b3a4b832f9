//! What came of a shard's work.

use super::{
    BundleError, Kind,
    frame::{read, write},
    head::{CheckpointHead, MadeHead},
};
use crate::{
    digest::Digest,
    ids::{GenerationId, RecipeId, ShardId},
};

/// The checkpoints of a shard, and how they came to be. The same work gives the same, wherever it is done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checkpoints {
    /// The generation.
    pub generation: GenerationId,
    /// The recipe.
    pub recipe: RecipeId,
    /// The shard.
    pub shard: ShardId,
    /// The deepest step that training started from; 0 is from nothing.
    pub from_step: u32,
    /// Steps trained.
    pub steps: u32,
    /// Row-passes trained.
    pub row_passes: u64,
    /// Why not all steps are there: one diverged, as it says.
    pub diverged: Option<String>,
    /// The checkpoints, by step.
    pub checkpoints: Vec<Checkpoint>,
}

/// The checkpoint of a step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checkpoint {
    /// The step.
    pub step: u32,
    /// The lineage key that it was asked for under.
    pub lineage: Digest,
    /// The learner's state.
    pub payload: Vec<u8>,
    /// Of a learner that is not replayed, the digest of the payload of the checkpoint that it came from, if there is one.
    pub after: Option<Digest>,
}

impl Checkpoints {
    /// As bytes.
    pub fn encode(&self) -> Vec<u8> {
        let head = MadeHead {
            generation: self.generation,
            recipe: self.recipe.clone(),
            shard: self.shard,
            from_step: self.from_step,
            steps: self.steps,
            row_passes: self.row_passes,
            diverged: self.diverged.clone(),
            checkpoints: (self.checkpoints.iter())
                .map(|c| CheckpointHead { step: c.step, lineage: c.lineage, bytes: c.payload.len() as u64, after: c.after })
                .collect(),
        };
        let parts: Vec<&[u8]> = self.checkpoints.iter().map(|c| c.payload.as_slice()).collect();
        write(Kind::Checkpoints, &head, &parts)
    }

    /// From bytes.
    ///
    /// # Errors
    /// They are something else, or damaged.
    pub fn decode(bytes: &[u8]) -> Result<Checkpoints, BundleError> {
        let (head, mut parts) = read::<MadeHead>(bytes, Kind::Checkpoints)?;
        if !head.checkpoints.is_sorted_by(|a, b| a.step < b.step) || head.checkpoints.first().is_some_and(|c| c.step == 0) {
            return Err(BundleError::damaged(64, "its head: the steps do not ascend from 1"));
        }
        let mut checkpoints = Vec::new();
        for CheckpointHead { step, lineage, bytes, after } in head.checkpoints {
            checkpoints.push(Checkpoint { step, lineage, payload: parts.next(bytes)?.to_vec(), after });
        }
        parts.end()?;
        let MadeHead { generation, recipe, shard, from_step, steps, row_passes, diverged, .. } = head;
        Ok(Checkpoints { generation, recipe, shard, from_step, steps, row_passes, diverged, checkpoints })
    }
}
