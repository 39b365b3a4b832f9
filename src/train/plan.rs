//! What a shard has and what it lacks.

use rayon::prelude::*;

use super::{LineageRoot, Recipe, TrainError, lineages};
use crate::{
    checkpoint::{CheckpointError, CheckpointStore},
    digest::Digest,
    ids::{Cell, Part, ShardId, SliceId},
    learn::Learner,
    shard::ShardStore,
};

/// Where one generation is trained under one recipe: the two stores and the rules.
#[derive(Debug)]
pub struct Lane {
    /// The slices.
    pub shards: ShardStore,
    /// The checkpoints.
    pub checkpoints: CheckpointStore,
    /// The rules.
    pub recipe: Recipe,
    /// The learner that the recipe describes.
    pub learner: Box<dyn Learner>,
    /// What all lineages have in common.
    pub root: LineageRoot,
    /// The lineage key of every shard's last step when all of them were last known to be durable; empty if they never were.
    pub durable: Vec<Digest>,
}

/// The lineage of a shard as its slices are on disk now, and which of its steps exist.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShardPlan {
    /// The shard.
    pub shard: ShardId,
    /// Rows of every slice, in order.
    pub rows: Vec<u64>,
    /// Lineage keys: of the initial state, then of every step.
    pub lineages: Vec<Digest>,
    /// Length of every step's checkpoint; `None` where it is missing.
    pub present: Vec<Option<u64>>,
}

impl Lane {
    /// The recipe's learner, made once more.
    ///
    /// # Errors
    /// Never for a lane that was made from a checked recipe.
    pub fn learner_again(&self) -> Result<Box<dyn Learner>, TrainError> {
        Ok(self.recipe.learner.check()?)
    }

    /// The rows and content digests of slices 1..=upto, from their headers.
    ///
    /// # Errors
    /// A slice is missing or its header is damaged.
    pub fn headers(&self, shard: ShardId, upto: u32) -> Result<Vec<(u64, Digest)>, TrainError> {
        let slices = (1..=upto).map(|r| Cell { shard, part: Part::Slice(SliceId(r)) });
        let headers = slices.map(|cell| self.shards.header(cell).map(|h| (h.rows, h.content)));
        Ok(headers.collect::<Result<_, _>>()?)
    }

    /// What every shard has and what it lacks.
    ///
    /// # Errors
    /// As for one.
    pub fn plans(&self) -> Result<Vec<ShardPlan>, TrainError> {
        self.shards.grid().shards().map(|shard| self.plan(shard)).collect()
    }

    /// What the shard has and what it lacks.
    ///
    /// # Errors
    /// A slice is missing or its header is damaged, or the disk refuses.
    pub fn plan(&self, shard: ShardId) -> Result<ShardPlan, TrainError> {
        let headers = self.headers(shard, self.shards.grid().slices)?;
        let keys = lineages(&self.root, shard, headers.iter().map(|h| h.1));
        let found = self.checkpoints.list(shard)?;
        let mut present = Vec::with_capacity(headers.len());
        for (step, lineage) in self.shards.grid().slices().zip(keys.iter().skip(1)) {
            let listed = found.iter().any(|f| f.step == step && f.lineage == *lineage);
            present.push(if listed { self.checkpoints.glance(shard, step, *lineage)? } else { None });
        }
        Ok(ShardPlan { shard, rows: headers.iter().map(|h| h.0).collect(), lineages: keys, present })
    }
}

impl Lane {
    /// Whether all that the shard is to have was once known to be durable.
    pub fn is_durable(&self, plan: &ShardPlan) -> bool {
        plan.lineages.len() > 1 && self.durable.get(plan.shard.0 as usize) == plan.lineages.last()
    }

    /// Makes the checkpoints of those shards durable of which that is not known.
    ///
    /// # Errors
    /// The disk refuses.
    pub fn make_durable(&self, plans: &[ShardPlan]) -> Result<(), TrainError> {
        let unknown: Vec<&ShardPlan> = plans.iter().filter(|plan| !self.is_durable(plan)).collect();
        // Together, so that the disk can do several at once.
        unknown.par_iter().try_for_each(|plan| self.checkpoints.sync(plan.shard))?;
        if !unknown.is_empty() {
            self.checkpoints.sync_names()?;
        }
        Ok(())
    }

    /// Reads every checkpoint of a shard whole and removes the damaged ones. The caller holds the shard's commit lock.
    ///
    /// # Errors
    /// The disk refuses.
    pub fn discard_damaged(&self, shard: ShardId) -> Result<usize, TrainError> {
        let mut damaged = 0;
        for found in self.checkpoints.list(shard)? {
            match self.checkpoints.read(shard, found.step, found.lineage, |_| ()) {
                Ok(()) => {}
                Err(CheckpointError::Damaged { .. }) => {
                    self.checkpoints.discard(shard, found.step, found.lineage)?;
                    damaged += 1;
                }
                Err(e) => return Err(e.into()),
            }
        }
        Ok(damaged)
    }
}

impl ShardPlan {
    /// Whether no step is missing.
    pub fn is_complete(&self) -> bool {
        self.missing().next().is_none()
    }

    /// The lineage key of a step; that of the initial state for 0.
    pub fn lineage(&self, step: u32) -> Option<Digest> {
        self.lineages.get(step as usize).copied()
    }

    /// Whether a step exists; the initial state always does.
    pub fn has(&self, step: u32) -> bool {
        step == 0 || self.present.get(step as usize - 1).is_some_and(Option::is_some)
    }

    /// The steps that are missing, ascending.
    pub fn missing(&self) -> impl Iterator<Item = u32> {
        (1..).zip(&self.present).filter(|(_, p)| p.is_none()).map(|(step, _)| step)
    }

    /// The deepest step that exists; 0 when there is none.
    pub fn deepest(&self) -> u32 {
        (1..).zip(&self.present).filter(|(_, p)| p.is_some()).map(|(step, _)| step).last().unwrap_or(0)
    }

    /// Rows that a step's state has been trained on.
    pub fn rows_upto(&self, step: u32) -> u64 {
        self.rows.iter().take(step as usize).sum()
    }

    /// Row-passes of the missing steps, counted from the schedule.
    pub fn missing_row_passes(&self, recipe: &Recipe) -> u64 {
        self.missing().map(|step| self.step_row_passes(recipe, step)).sum()
    }

    /// Row-passes of all steps.
    pub fn row_passes(&self, recipe: &Recipe) -> u64 {
        (1..=self.rows.len() as u32).map(|step| self.step_row_passes(recipe, step)).sum()
    }

    fn step_row_passes(&self, recipe: &Recipe, step: u32) -> u64 {
        recipe.schedule.row_passes(self.rows.get(..step as usize).unwrap_or_default(), self.rows.len() as u32)
    }
}
