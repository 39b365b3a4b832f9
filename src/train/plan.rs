//! What a shard has and what it lacks.

use std::collections::BTreeSet;

use rayon::prelude::*;

use super::{Ground, Known, LineageRoot, Recipe, TrainError, lineages, stale};
use crate::{
    checkpoint::{CheckpointError, CheckpointStore, Found},
    digest::Digest,
    ids::{Cell, Part, ShardId, SliceId},
    learn::{Learner, SettingsError},
    ledger::Standby,
    shard::ShardStore,
};

/// One generation under one recipe: its two stores and the rules. Its constituents together are what answers.
#[derive(Debug)]
pub struct Model {
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
    /// For each step whether it leaves a checkpoint.
    pub kept: Vec<bool>,
    /// What the ledger says of the shards; nothing of a model outside it.
    pub known: Option<Known>,
    /// The ledger that says whether anything has changed; without one, slices are looked at before every step is published.
    pub ground: Option<Ground>,
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
    /// Length of every step's checkpoint; `None` where there is none.
    pub present: Vec<Option<u64>>,
    /// For each step whether it is to leave a checkpoint.
    pub kept: Vec<bool>,
    /// Steps of the first batch.
    pub first: u32,
    /// The state from before batches that are not trained yet.
    pub standby: Option<Standby>,
    /// The first step that has seen all that the standing state has.
    pub past: u32,
}

/// The learner; should it be outside this program, it runs in the workspace's folder, which holds `shards/`, which holds the generation's.
fn settled(recipe: &Recipe, shards: &ShardStore) -> Result<Box<dyn Learner>, SettingsError> {
    let mut learner = recipe.learner.check()?;
    learner.settle(shards.dir().ancestors().nth(2).unwrap_or(shards.dir()));
    Ok(learner)
}

impl Model {
    /// The model that these stores and rules make; `partition` is the digest of `partition.json`. Nothing is known to be durable.
    ///
    /// # Errors
    /// A setting of the learner is not allowed.
    pub fn new(
        shards: ShardStore,
        checkpoints: CheckpointStore,
        recipe: Recipe,
        partition: Digest,
    ) -> Result<Model, SettingsError> {
        let learner = settled(&recipe, &shards)?;
        let root = LineageRoot::new(recipe.digest(), partition, shards.key());
        let kept = recipe.kept(shards.chain());
        Ok(Model { shards, checkpoints, recipe, learner, root, kept, known: None, ground: None })
    }

    /// The same rules with the checkpoints elsewhere, where nothing is known to be durable.
    ///
    /// # Errors
    /// Never for a model that was made from a checked recipe.
    pub fn with_checkpoints(&self, checkpoints: CheckpointStore) -> Result<Model, SettingsError> {
        let learner = settled(&self.recipe, &self.shards)?;
        let (shards, recipe, kept) = (self.shards.clone(), self.recipe.clone(), self.kept.clone());
        let ground = self.ground.clone();
        Ok(Model { shards, checkpoints, recipe, learner, root: self.root, kept, known: None, ground })
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
            let kept = self.kept.get(step.0 as usize - 1).copied().unwrap_or(false);
            let listed = kept && found.binary_search(&Found { step, lineage: *lineage }).is_ok();
            present.push(if listed { self.checkpoints.glance(shard, step, *lineage)? } else { None });
        }
        Ok(self.planned(shard, headers.iter().map(|h| h.0).collect(), keys, present))
    }

    fn planned(&self, shard: ShardId, rows: Vec<u64>, lineages: Vec<Digest>, present: Vec<Option<u64>>) -> ShardPlan {
        let standby = self.known.as_ref().and_then(|known| known.standby(shard));
        let chain = self.shards.chain();
        let past = standby.map_or(chain.steps(), |standby| chain.past(standby.batch));
        ShardPlan { shard, rows, lineages, present, kept: self.kept.clone(), first: chain.first_slices(), standby, past }
    }
}

impl Model {
    /// What the shard has and what it lacks, for all that the ledger says: its slices are not looked at, and steps that it calls
    /// durable are there. With `look`, their files are looked for, and their lengths are told. Where the ledger says nothing, as
    /// [`Model::plan`].
    ///
    /// # Errors
    /// As there.
    pub fn outlook(&self, shard: ShardId, look: bool) -> Result<ShardPlan, TrainError> {
        let Some(known) = &self.known else { return self.plan(shard) };
        let keys = known.lineages(&self.root, shard);
        let durable = known.durable_steps(shard);
        let mut present = Vec::with_capacity(self.kept.len());
        for ((step, lineage), kept) in (1..).zip(keys.iter().skip(1)).zip(&self.kept) {
            let id = SliceId(step);
            present.push(match (*kept, step <= durable) {
                (false, _) => None,
                (true, true) if !look => Some(0),
                (true, true) => self.checkpoints.len(shard, id, *lineage)?,
                (true, false) => self.checkpoints.glance(shard, id, *lineage)?,
            });
        }
        Ok(self.planned(shard, self.rows(shard)?, keys.to_vec(), present))
    }

    /// The rows of a shard's slices, from the ledger if it has them, from their headers otherwise.
    ///
    /// # Errors
    /// A header has to be read and is missing or damaged.
    pub fn rows(&self, shard: ShardId) -> Result<Vec<u64>, TrainError> {
        match self.known.as_ref().and_then(|known| known.cells.rows_of(shard)) {
            Some(rows) => Ok(rows.to_vec()),
            None => Ok(self.headers(shard, self.shards.grid().slices)?.into_iter().map(|(rows, _)| rows).collect()),
        }
    }

    /// Row-passes that it takes to train everything.
    ///
    /// # Errors
    /// As for [`Model::rows`].
    pub fn row_passes(&self) -> Result<u64, TrainError> {
        let mut passes = 0;
        for shard in self.shards.grid().shards() {
            let rows = self.rows(shard)?;
            let first = self.shards.chain().first_slices();
            let steps = (1..=rows.len()).map(|step| self.recipe.schedule.row_passes(rows.get(..step).unwrap_or_default(), first));
            passes += steps.sum::<u64>();
        }
        Ok(passes)
    }

    /// The seed of a shard's initial state; of learners whose states add up, the same for all shards.
    pub fn seed(&self, shard: ShardId) -> [u8; 32] {
        let key = self.shards.key();
        if self.learner.abilities().merge { key.shared_initial_state() } else { key.initial_state(shard) }
    }

    /// Whether the ledger still has the slices that were planned with; a deletion says so before it touches them.
    ///
    /// # Errors
    /// The ledger is damaged, the recipe is gone, or the disk refuses.
    pub fn stands(&self, plan: &ShardPlan) -> Result<bool, TrainError> {
        let (Some(ground), Some(known)) = (&self.ground, &self.known) else { return Ok(true) };
        let moved = ground.moved(Some(known.sequence), plan.shard)?;
        Ok(moved.is_none_or(|(_, slices)| lineages(&self.root, plan.shard, slices) == plan.lineages))
    }

    /// Whether an entry of the ledger came after what is known of the shards.
    ///
    /// # Errors
    /// The ledger is damaged, the recipe is gone, or the disk refuses.
    pub fn moved(&self) -> Result<bool, TrainError> {
        match (&self.ground, &self.known) {
            (Some(ground), Some(known)) => Ok(ground.moved(Some(known.sequence), ShardId(0))?.is_some()),
            _ => Ok(false),
        }
    }

    /// Whether the ledger says other slices of the shard than those that the plan was made from: they are to be changed, and are not yet.
    ///
    /// # Errors
    /// The ledger is damaged, the recipe is gone, or the disk refuses.
    pub fn awaits_change(&self, plan: &ShardPlan) -> Result<bool, TrainError> {
        let Some(ground) = &self.ground else { return Ok(false) };
        let slices = ground.slices(plan.shard)?.1;
        Ok(lineages(&self.root, plan.shard, slices) != plan.lineages)
    }

    /// Whether a batch came since, so that there are other slices than this model knows.
    ///
    /// # Errors
    /// The ledger is damaged, the recipe is gone, or the disk refuses.
    pub fn outgrown(&self) -> Result<bool, TrainError> {
        self.ground.as_ref().map_or(Ok(false), |ground| ground.outgrew(self.shards.chain()))
    }

    /// Removes the checkpoints of a shard that do not follow from its slices, durably; they came late, by a copy or from another
    /// machine. The caller holds the shard's commit lock, and no entry of the ledger came after what is known.
    ///
    /// # Errors
    /// The disk refuses.
    pub fn discard_stale(&self, shard: ShardId) -> Result<usize, TrainError> {
        let Some(known) = &self.known else { return Ok(0) };
        let stale = stale(&self.checkpoints, &self.root, shard, &known.cells, known.standby(shard))?;
        for found in &stale {
            self.checkpoints.discard(shard, found.step, found.lineage)?;
        }
        if !stale.is_empty() {
            self.checkpoints.sync_names(shard)?;
        }
        Ok(stale.len())
    }

    /// Whether checkpoints are there that do not follow from the shard's slices.
    ///
    /// # Errors
    /// The disk refuses.
    pub fn has_stale(&self, shard: ShardId) -> Result<bool, TrainError> {
        match &self.known {
            Some(known) => Ok(!stale(&self.checkpoints, &self.root, shard, &known.cells, known.standby(shard))?.is_empty()),
            None => Ok(false),
        }
    }

    /// Removes the state that stood by until a shard's batches were trained, unless it is one of the shard's own, durably. The caller holds the
    /// shard's commit lock.
    ///
    /// # Errors
    /// The disk refuses.
    pub fn discard_standby(&self, plan: &ShardPlan, standby: Standby) -> Result<(), TrainError> {
        let step = SliceId(standby.step);
        if plan.lineage(standby.step) != Some(standby.lineage) && self.checkpoints.discard(plan.shard, step, standby.lineage)? {
            self.checkpoints.sync_names(plan.shard)?;
        }
        Ok(())
    }

    /// Whether a step's checkpoint was once known to be durable.
    pub fn is_durable(&self, shard: ShardId, step: u32, lineage: Digest) -> bool {
        self.known.as_ref().is_some_and(|known| {
            step <= known.durable_steps(shard) && known.lineages(&self.root, shard).get(step as usize) == Some(&lineage)
        })
    }

    /// Whether all that a shard is to have was once known to be durable: the last lineage key covers all before it.
    pub fn is_all_durable(&self, plan: &ShardPlan) -> bool {
        let last = plan.rows.len() as u32;
        last > 0 && plan.lineage(last).is_some_and(|lineage| self.is_durable(plan.shard, last, lineage))
    }

    /// Makes the checkpoints durable of which that is not known, as many at once as the disk is good for.
    ///
    /// # Errors
    /// The disk refuses.
    pub fn make_durable(&self, plans: &[ShardPlan]) -> Result<(), TrainError> {
        let mut unknown = Vec::new();
        let mut shards = BTreeSet::new();
        for plan in plans {
            for (step, lineage) in (0..).zip(&plan.lineages).filter(|(step, _)| plan.keeps(*step)) {
                if !self.is_durable(plan.shard, step, *lineage) {
                    unknown.push((plan.shard, SliceId(step), *lineage));
                    shards.insert(plan.shard);
                }
            }
        }
        if unknown.is_empty() {
            return Ok(());
        }
        let at_once = self.checkpoints.syncs_at_once();
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(at_once)
            .build()
            .map_err(|e| TrainError::Threads { threads: at_once, message: e.to_string() })?;
        pool.install(|| {
            let sync =
                |(shard, step, lineage): &(ShardId, SliceId, Digest)| match self.checkpoints.sync_file(*shard, *step, *lineage) {
                    // A deletion took it away; whoever relies on the plan looks again.
                    Err(e) if e.is_not_found() => Ok(()),
                    done => done,
                };
            unknown.par_iter().try_for_each(sync)?;
            shards.par_iter().try_for_each(|shard| self.checkpoints.sync_names(*shard))
        })?;
        Ok(self.checkpoints.sync_shard_names()?)
    }

    /// Reads checkpoints of a shard whole and removes the damaged ones: those that are not known to be durable, or all. The caller holds the
    /// shard's commit lock.
    ///
    /// # Errors
    /// The disk refuses.
    pub fn discard_damaged(&self, shard: ShardId, all: bool) -> Result<usize, TrainError> {
        let mut damaged = 0;
        for found in self.checkpoints.list(shard)? {
            if !all && self.is_durable(shard, found.step.0, found.lineage) {
                continue;
            }
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

    /// The steps whose checkpoint is missing, ascending.
    pub fn missing(&self) -> impl Iterator<Item = u32> {
        let steps = (1..).zip(self.present.iter().zip(&self.kept));
        steps.filter(|(_, (present, kept))| present.is_none() && **kept).map(|(step, _)| step)
    }

    /// The steps that have to be trained to get the missing checkpoints, ascending: each of those, and the steps before it back to the
    /// next checkpoint that is there.
    pub fn to_train(&self) -> Vec<u32> {
        let mut steps = Vec::new();
        let mut needed = false;
        for (index, (present, kept)) in self.present.iter().zip(&self.kept).enumerate().rev() {
            if *kept {
                needed = present.is_none();
            }
            if needed {
                steps.push(index as u32 + 1);
            }
        }
        steps.reverse();
        steps
    }

    /// The deepest step before this one that exists; 0 is the initial state.
    pub fn start_of(&self, step: u32) -> u32 {
        (0..step).rev().find(|s| self.has(*s)).unwrap_or(0)
    }

    /// Whether a step is to leave a checkpoint.
    pub fn keeps(&self, step: u32) -> bool {
        (step as usize).checked_sub(1).and_then(|index| self.kept.get(index)).copied().unwrap_or(false)
    }

    /// The last step before this one that is to leave a checkpoint; 0 is the initial state.
    pub fn kept_before(&self, step: u32) -> u32 {
        (1..step).rev().find(|before| self.keeps(*before)).unwrap_or(0)
    }

    /// What a shard may answer with, the best first: step, lineage key, and whether it has full weight. A state from before batches that are
    /// not trained yet comes before steps that have seen less.
    pub fn serving(&self) -> impl Iterator<Item = (u32, Digest, bool)> {
        let last = self.rows.len() as u32;
        let steps = |range: std::ops::RangeInclusive<u32>| {
            range
                .rev()
                .filter(|step| self.has(*step) && self.rows_upto(*step) > 0)
                .filter_map(|step| Some((step, self.lineage(step)?)))
        };
        let (after, before) = (steps(self.past.max(1)..=last), steps(1..=self.past.saturating_sub(1)));
        let full = move |step| step == last || self.standby.is_some();
        // What stands by of a shard that had no rows then has seen none: a cohort that has just begun.
        let standby = self.standby.iter().filter(|_| self.rows_upto(self.past) > 0);
        let standby = standby.map(|standby| (standby.step, standby.lineage, true));
        let after = after.map(move |(step, lineage)| (step, lineage, full(step)));
        after.chain(standby).chain(before.map(|(step, lineage)| (step, lineage, false)))
    }

    /// The deepest step that exists; 0 when there is none.
    pub fn deepest(&self) -> u32 {
        (1..).zip(&self.present).filter(|(_, p)| p.is_some()).map(|(step, _)| step).last().unwrap_or(0)
    }

    /// Rows that a step's state has been trained on.
    pub fn rows_upto(&self, step: u32) -> u64 {
        self.rows.iter().take(step as usize).sum()
    }

    /// Row-passes that it takes to get the missing checkpoints, counted from the schedule.
    pub fn missing_row_passes(&self, recipe: &Recipe) -> u64 {
        self.to_train().into_iter().map(|step| self.step_row_passes(recipe, step)).sum()
    }

    /// Row-passes of all steps.
    pub fn row_passes(&self, recipe: &Recipe) -> u64 {
        (1..=self.rows.len() as u32).map(|step| self.step_row_passes(recipe, step)).sum()
    }

    fn step_row_passes(&self, recipe: &Recipe, step: u32) -> u64 {
        recipe.schedule.row_passes(self.rows.get(..step as usize).unwrap_or_default(), self.first)
    }
}
