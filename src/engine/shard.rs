//! A shard's work, sent out and taken back: whoever trains it needs neither the workspace nor its keys (docs/CLUSTER.md).

use std::path::Path;

use super::{Engine, Error, Observer, TrainRequest, build::Goal, observe::TrainingWatch};
use crate::{
    bundle::{self, BundleError, Checkpoint, Checkpoints, Work},
    checkpoint::CheckpointError,
    digest::Digest,
    ids::{GenerationId, RecipeId, ShardId, SliceId},
    ledger::GenerationRecord,
    train::{Committed, Made, Model, Report, ShardPlan, ShardReport, Stop, TrainError, commit},
    workspace::{Current, Session, Snapshot, WorkspaceError},
};

/// Which shard's work is packed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PackRequest {
    /// The shard.
    pub shard: ShardId,
    /// Only of the model in service, as a repair does it; otherwise of the newest one first, as training does it.
    pub serving: bool,
}

/// A shard's work.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Packed {
    /// The generation.
    pub generation: GenerationId,
    /// The recipe.
    pub recipe: RecipeId,
    /// The shard.
    pub shard: ShardId,
    /// Steps to train.
    pub steps: u32,
    /// Row-passes that they take.
    pub row_passes: u64,
    /// The bundle. It holds the shard's rows, and no key of the workspace.
    pub bytes: Vec<u8>,
}

/// What became of checkpoints that were trained elsewhere.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Unpacked {
    /// The generation.
    pub generation: GenerationId,
    /// The recipe.
    pub recipe: RecipeId,
    /// The shard.
    pub shard: ShardId,
    /// Checkpoints put in place.
    pub published: u32,
    /// Checkpoints that were there already.
    pub present: u32,
    /// Checkpoints refused: they do not follow from the slices as they are, since a deletion or a batch came after the shard was packed, or they
    /// are another workspace's.
    pub overtaken: u32,
    /// Why steps are lacking: one diverged.
    pub diverged: Option<String>,
    /// Whether nothing is missing of any shard now.
    pub complete: bool,
    /// Names of the requests that this closed.
    pub repaired: Vec<String>,
}

/// Trains a shard's work: bytes in, bytes out. A pure function: it knows no workspace, and writes nothing anywhere.
///
/// # Errors
/// The bundle is damaged or of another version, or somebody asked to stop.
pub fn train_bundle(bundle: &[u8], threads: usize, observer: &dyn Observer) -> Result<Vec<u8>, Error> {
    let work = Work::decode(bundle)?;
    let total = work.steps.iter().map(|step| step.row_passes).sum();
    let watch = TrainingWatch::new(observer, total, work.steps.iter().filter(|step| step.keep).count() as u64);
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads.max(1)).build();
    let pool = pool.map_err(|e| TrainError::Threads { threads, message: e.to_string() })?;
    Ok(pool.install(|| bundle::train(&work, threads.max(1), &watch))?.encode())
}

impl Engine {
    /// The shards that the ledger does not call whole: of the model in service, or of the newest one.
    ///
    /// # Errors
    /// Nothing was imported, or the ledger is damaged.
    pub fn to_train(&self, serving: bool) -> Result<Vec<ShardId>, Error> {
        let snapshot = self.settled_snapshot()?;
        let models = self.models(&snapshot, serving)?;
        Ok(models.first().map(|(_, record, recipe)| record.not_whole(recipe)).unwrap_or_default())
    }

    /// What a shard lacks, as bytes that anyone can train; `None` if nothing is missing of it, which is then in the ledger too.
    ///
    /// # Errors
    /// There is no such shard, a slice or checkpoint is damaged, or the disk refuses.
    pub fn pack(&self, request: PackRequest, observer: &dyn Observer) -> Result<Option<Packed>, Error> {
        let PackRequest { shard, serving } = request;
        'again: loop {
            let snapshot = self.settled_snapshot()?;
            let (mut last, mut there) = (0, false);
            for (generation, record, recipe) in self.models(&snapshot, serving)? {
                last = last.max(record.cells.shards().saturating_sub(1));
                if shard.0 >= record.cells.shards() {
                    continue;
                }
                there = true;
                if record.is_whole(&recipe, shard) {
                    continue;
                }
                let model = self.workspace.model(generation, record, &recipe)?;
                let plan = self.plan_of(&model, shard)?;
                if plan.is_complete() {
                    // Whoever built it did not come to say so.
                    let target = self.target(&snapshot, generation, &recipe)?;
                    let only = [shard];
                    self.bring_to_whole(
                        &model,
                        &Goal { target: &target, shards: &only, all: false, only: Some(&only) },
                        observer,
                    )?;
                    continue;
                }
                match bundle::pack(&model, generation, &plan) {
                    Ok(Some(bytes)) if model.stands(&plan)? => {
                        let row_passes = plan.missing_row_passes(&model.recipe);
                        let steps = plan.to_train().len() as u32;
                        return Ok(Some(Packed { generation, recipe, shard, steps, row_passes, bytes }));
                    }
                    // What went wrong counts only if nothing came meanwhile.
                    Err(e) if model.stands(&plan)? => return Err(e.into()),
                    _ => continue 'again,
                }
            }
            return if there { Ok(None) } else { Err(Error::NoSuchShard { shard: shard.0, last }) };
        }
    }

    /// Puts checkpoints in place that were trained elsewhere, as far as they follow from the slices as they are now, and says so in the ledger. The
    /// same ones may come any number of times.
    ///
    /// # Errors
    /// The bytes are damaged, their model was replaced, or the disk refuses.
    pub fn unpack(&self, bytes: &[u8]) -> Result<Unpacked, Error> {
        let made = Checkpoints::decode(bytes)?;
        self.again(|| self.put_in_place(&made))
    }

    fn put_in_place(&self, made: &Checkpoints) -> Result<Unpacked, Error> {
        let snapshot = self.settled_snapshot()?;
        let replaced = || TrainError::Replaced { recipe: made.recipe.to_string() };
        let record = snapshot.history.generations.get(&made.generation).ok_or_else(replaced)?;
        record.recipes.iter().find(|r| r.recipe == made.recipe).ok_or_else(replaced)?;
        if made.shard.0 >= record.cells.shards() {
            return Err(Error::NoSuchShard { shard: made.shard.0, last: record.cells.shards().saturating_sub(1) });
        }
        let target = self.target(&snapshot, made.generation, &made.recipe)?;
        let model = self.workspace.model(made.generation, record, &made.recipe)?;
        let plan = self.plan_of(&model, made.shard)?;
        // A state that is none is refused before anything is written.
        let (wanted, overtaken): (Vec<_>, Vec<_>) =
            (made.checkpoints.iter()).partition(|c| plan.lineage(c.step) == Some(c.lineage) && plan.keeps(c.step));
        for checkpoint in &wanted {
            let state = model.learner.decode(model.shards.layout(), &checkpoint.payload);
            state.map_err(|error| BundleError::Damaged { offset: 64, what: format!("step {}: {error}", checkpoint.step) })?;
        }
        let session = self.workspace.begin_session()?;
        model.checkpoints.make_shard_dir(made.shard).map_err(TrainError::from)?;
        let mut unpacked = Unpacked {
            generation: made.generation,
            recipe: made.recipe.clone(),
            shard: made.shard,
            published: 0,
            present: 0,
            overtaken: overtaken.len() as u32,
            diverged: made.diverged.clone(),
            complete: false,
            repaired: Vec::new(),
        };
        let (mut seen, mut written) = (None, 0);
        for checkpoint in wanted {
            let committed = match as_made(&model, &plan, checkpoint)? {
                Some(made) => commit(&model, &plan, &made, &mut seen)?,
                None => Committed::Unwanted,
            };
            match committed {
                Committed::Present => unpacked.present += 1,
                Committed::Published { bytes, .. } => (unpacked.published, written) = (unpacked.published + 1, written + bytes),
                Committed::Unwanted => unpacked.overtaken += 1,
            }
        }
        let report = report_of(made, written);
        self.say(&model, &target, &report, session, &mut unpacked)?;
        Ok(unpacked)
    }

    /// Makes durable what is whole now, and says so in the ledger.
    fn say(
        &self,
        model: &Model,
        target: &Current,
        report: &Report,
        session: Session,
        unpacked: &mut Unpacked,
    ) -> Result<(), Error> {
        let plans = [model.plan(unpacked.shard)?];
        let settled = self.settle(model, target, report, &plans)?;
        if !settled.durable {
            super::build::make_durable(model, &plans)?;
        }
        session.done()?;
        unpacked.complete = settled.complete;
        unpacked.repaired = settled.repaired.map(|repaired| repaired.requests).unwrap_or_default();
        Ok(())
    }

    /// What a shard has and lacks, once what is stale, damaged or goes on from what is missing is gone.
    fn plan_of(&self, model: &Model, shard: ShardId) -> Result<ShardPlan, Error> {
        let (plans, _) = self.plans(model, &[shard], false)?;
        Ok(model.without_orphans(plans.into_iter().next().ok_or(WorkspaceError::MovedOn)?)?)
    }

    /// The newest model and the one in service, those that there are; with `serving` the latter alone.
    fn models<'a>(
        &self,
        snapshot: &'a Snapshot,
        serving: bool,
    ) -> Result<Vec<(GenerationId, &'a GenerationRecord, RecipeId)>, Error> {
        let root = || self.workspace.root().to_owned();
        let (newest, record) = snapshot.history.newest().ok_or_else(|| WorkspaceError::Empty { root: root() })?;
        let mut models = Vec::new();
        if let Some(recipe) = snapshot.history.newest_recipe(newest).filter(|_| !serving) {
            models.push((newest, record, recipe.clone()));
        }
        if let Some(current) = &snapshot.current
            && let Some(record) = snapshot.history.generations.get(&current.generation)
            && models.iter().all(|(generation, _, recipe)| (*generation, recipe) != (current.generation, &current.recipe))
        {
            models.push((current.generation, record, current.recipe.clone()));
        }
        if models.is_empty() { Err(WorkspaceError::NoRecipe { root: root() }.into()) } else { Ok(models) }
    }

    /// What is put into service once it is whole: as it serves, or as the configuration says.
    fn target(&self, snapshot: &Snapshot, generation: GenerationId, recipe: &RecipeId) -> Result<Current, Error> {
        let now = snapshot.current.as_ref();
        if let Some(now) = now.filter(|now| now.generation == generation && now.recipe == *recipe) {
            return Ok(now.clone());
        }
        let request = TrainRequest { config: self.config_file(Path::new("")), ..TrainRequest::default() };
        let file = self.config(&request)?.map(|file| file.aggregate());
        let aggregate = file.or(now.map(|now| now.aggregate)).unwrap_or_default();
        Ok(Current { generation, recipe: recipe.clone(), aggregate })
    }
}

/// A state that was trained elsewhere, as it is to be published; `None` if training again gives other bytes, and it came from another
/// checkpoint than the one that is there.
fn as_made<'a>(model: &Model, plan: &ShardPlan, made: &'a Checkpoint) -> Result<Option<Made<'a>>, TrainError> {
    let as_made = |after| Made { step: made.step, lineage: made.lineage, payload: &made.payload, after };
    let step = plan.kept_before(made.step);
    if model.recipe.learner.is_replayed() || (step == 0 && made.after.is_none()) {
        return Ok(Some(as_made(None)));
    }
    let Some(before) = plan.lineage(step).filter(|_| step > 0) else { return Ok(None) };
    let same = |digest: Digest, payload: &[u8]| (Some(Digest::of(payload)) == made.after).then_some(digest);
    match model.checkpoints.read_as(plan.shard, SliceId(step), before, same) {
        Ok(there) => Ok(there.map(|digest| as_made(Some(digest)))),
        Err(CheckpointError::Damaged { .. }) => Ok(None),
        Err(CheckpointError::Fs(e)) if e.is_not_found() => Ok(None),
        Err(e) => Err(e.into()),
    }
}

/// What was done elsewhere, as a run of our own would tell it; how long it took, nobody says.
fn report_of(made: &Checkpoints, bytes: u64) -> Report {
    let shard = ShardReport {
        shard: made.shard,
        from_step: made.from_step,
        steps: made.steps,
        row_passes: made.row_passes,
        bytes,
        stop: made.diverged.clone().map(Stop::Diverged),
    };
    Report { shards: vec![shard], seconds: 0.0 }
}
