//! What the ledger says of a model's shards, without a look at their files.

use std::sync::OnceLock;

use super::{LineageRoot, lineages};
use crate::{
    digest::Digest,
    ids::ShardId,
    ledger::{Durable, Standby},
    shard::Cells,
};

/// The contents of all cells and the steps that are trained and durable, as of one entry of the ledger.
#[derive(Debug)]
pub struct Known {
    /// The entry.
    pub(super) sequence: u64,
    pub(super) cells: Cells,
    durable: Option<Durable>,
    /// By shard, the lineage keys that its slices ask for, once somebody asked.
    lineages: Vec<OnceLock<Vec<Digest>>>,
}

impl Known {
    /// As the ledger has it after entry `sequence`.
    pub fn new(sequence: u64, cells: Cells, durable: Option<Durable>) -> Known {
        let lineages = (0..cells.shards()).map(|_| OnceLock::new()).collect();
        Known { sequence, cells, durable, lineages }
    }

    /// The contents of all cells.
    pub fn cells(&self) -> &Cells {
        &self.cells
    }

    /// How many steps of a shard, from the first, are trained and durable.
    pub fn durable_steps(&self, shard: ShardId) -> u32 {
        self.durable.as_ref().and_then(|durable| durable.steps.get(shard.0 as usize)).copied().unwrap_or(0)
    }

    /// The state that serves of a shard until its later batches are trained, if there is one.
    pub fn standby(&self, shard: ShardId) -> Option<Standby> {
        self.durable.as_ref()?.standby.get(shard.0 as usize).copied().flatten()
    }

    /// Whether every step of a shard is trained and durable.
    pub fn is_whole(&self, shard: ShardId) -> bool {
        self.durable_steps(shard) == self.cells.slices()
    }

    /// The lineage keys that the slices of a shard ask for: of the initial state, then of every step.
    pub fn lineages(&self, root: &LineageRoot, shard: ShardId) -> &[Digest] {
        let Some(known) = self.lineages.get(shard.0 as usize) else { return &[] };
        known.get_or_init(|| lineages(root, shard, self.cells.slices_of(shard).iter().copied()))
    }
}
