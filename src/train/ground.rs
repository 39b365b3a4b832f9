//! What a builder relies on while it builds: the generation and recipe are those of the ledger, and no entry may have changed a slice.

use super::TrainError;
use crate::{
    digest::Digest,
    ids::{GenerationId, RecipeId, ShardId},
    ledger::Ledger,
    order::Chain,
};

/// The ledger that a model stands on. Every change of a slice, and the end of every recipe, is an entry before it is done.
#[derive(Clone, Debug)]
pub struct Ground {
    ledger: Ledger,
    generation: GenerationId,
    recipe: RecipeId,
}

impl Ground {
    /// A generation and recipe of this ledger.
    pub fn new(ledger: Ledger, generation: GenerationId, recipe: RecipeId) -> Ground {
        Ground { ledger, generation, recipe }
    }

    /// Looks whether anything was done since the entry `seen`; if so, returns the number of the last entry, and what the slices of the
    /// shard hold, or are to hold in a moment: a deletion says so before it touches them.
    ///
    /// # Errors
    /// [`TrainError::Replaced`] if the recipe or its generation is gone; the ledger is damaged, or the disk refuses.
    pub fn moved(&self, seen: Option<u64>, shard: ShardId) -> Result<Option<(u64, Vec<Digest>)>, TrainError> {
        if let Some(seen) = seen
            && !self.ledger.goes_on_after(seen)?
        {
            return Ok(None);
        }
        self.slices(shard).map(Some)
    }

    /// The number of the last entry, and what the slices of the shard hold by then, or are to hold in a moment.
    ///
    /// # Errors
    /// As [`Ground::moved`].
    pub fn slices(&self, shard: ShardId) -> Result<(u64, Vec<Digest>), TrainError> {
        let history = self.ledger.read()?;
        let record = history.generations.get(&self.generation).filter(|g| g.recipes.iter().any(|r| r.recipe == self.recipe));
        let record = record.ok_or_else(|| TrainError::Replaced { recipe: self.recipe.to_string() })?;
        Ok((history.head.sequence, record.cells.slices_of(shard).to_vec()))
    }

    /// Whether the shards have other slices by now than these: a batch came.
    ///
    /// # Errors
    /// As [`Ground::moved`].
    pub fn outgrew(&self, chain: &Chain) -> Result<bool, TrainError> {
        let history = self.ledger.read()?;
        let record = history.generations.get(&self.generation).filter(|g| g.recipes.iter().any(|r| r.recipe == self.recipe));
        let record = record.ok_or_else(|| TrainError::Replaced { recipe: self.recipe.to_string() })?;
        Ok(record.cells.chain() != chain)
    }
}
