//! Brings a model to whole: builds what is missing, puts it into service, closes the requests that waited for it.

use super::{Engine, Error, ErrorKind, Observer, observe::TrainingWatch};
use crate::{
    delete::{Repair, close},
    ids::ShardId,
    ledger::{Event, History, Purged, Rekeyed, Trained},
    train::{Model, Report, ShardPlan, ThreadShare, TrainError, train},
    workspace::{Current, Snapshot, WorkspaceError, WriterLock},
};

/// What came of bringing a model to whole.
pub(super) struct Built {
    /// What was trained.
    pub(super) report: Report,
    /// Whether nothing is missing now.
    pub(super) complete: bool,
    /// What the ledger says of requests that waited for it.
    pub(super) repaired: Option<Repair>,
    /// Checkpoints that were found damaged and built again.
    pub(super) rebuilt: usize,
}

impl Engine {
    /// What these shards have and lack. Checkpoints that are there and damaged are removed, so that they count as missing: a power cut can
    /// leave a file with its header and its length and other bytes in between, and a plan looks no further than those two. What was
    /// once known to be durable is not read again, unless `all` is. Also returns how many were damaged.
    pub(super) fn plans(&self, model: &Model, shards: &[ShardId], all: bool) -> Result<(Vec<ShardPlan>, usize), Error> {
        let mut damaged = 0;
        let mut plans = Vec::with_capacity(shards.len());
        for shard in shards {
            let mut plan = model.plan(*shard)?;
            if all || !model.is_all_durable(&plan) {
                let _commit = model.shards.lock(*shard)?;
                let found = model.discard_damaged(*shard, all)?;
                if found > 0 {
                    plan = model.plan(*shard)?;
                    damaged += found;
                }
            }
            plans.push(plan);
        }
        Ok((plans, damaged))
    }

    /// Builds what is missing of these shards.
    pub(crate) fn build(&self, model: &Model, plans: &[ShardPlan], observer: &dyn Observer) -> Result<Report, Error> {
        let total = plans.iter().map(|plan| plan.missing_row_passes(&model.recipe)).sum();
        let steps = plans.iter().map(|plan| plan.missing().count() as u64).sum();
        let watch = TrainingWatch::new(observer, total, steps);
        Ok(self.pool.install(|| train(model, plans.to_vec(), &ThreadShare::new(self.threads()), &watch))?)
    }

    /// Brings shards of a model to whole, `target` naming the model: builds what they lack and settles, again as long as deletions come in
    /// between. With `all`, every checkpoint is read and checked first, also those that are known to be durable.
    ///
    /// # Errors
    /// [`WorkspaceError::MovedOn`] when another model took its place meanwhile: the files are gone then, whatever it was that failed.
    pub(super) fn bring_to_whole(
        &self,
        model: &Model,
        shards: &[ShardId],
        all: bool,
        target: &Current,
        observer: &dyn Observer,
    ) -> Result<Built, Error> {
        let built = self.build_and_settle(model, shards, all, target, observer);
        match built {
            Err(e) if e.kind() != ErrorKind::Interrupted && !is_known(&self.workspace.snapshot()?.history, target) => {
                Err(WorkspaceError::MovedOn.into())
            }
            built => built,
        }
    }

    fn build_and_settle(
        &self,
        model: &Model,
        shards: &[ShardId],
        all: bool,
        target: &Current,
        observer: &dyn Observer,
    ) -> Result<Built, Error> {
        let every = shards.len() as u32 == model.shards.grid().shards;
        let (mut plans, rebuilt) = self.plans(model, shards, all)?;
        let report = self.build(model, &plans, observer)?;
        let mut built = Built { report, complete: false, repaired: None, rebuilt };
        loop {
            if built.report.interrupted() {
                return Ok(built);
            }
            if !every || !built.report.shards.is_empty() {
                plans = model.plans()?;
            }
            (built.complete, built.repaired) = self.settle(model, target, &built.report, &plans)?;
            if built.complete || !every || built.report.diverged().next().is_some() {
                return Ok(built);
            }
            (plans, _) = self.plans(model, shards, false)?;
            built.report.merge(self.build(model, &plans, observer)?);
        }
    }

    /// Once nothing is missing: makes it durable, puts it into service, purges what it replaces, closes repairs. `plans` are those of all shards.
    pub(super) fn settle(
        &self,
        model: &Model,
        target: &Current,
        report: &Report,
        plans: &[ShardPlan],
    ) -> Result<(bool, Option<Repair>), Error> {
        if !plans.iter().all(ShardPlan::is_complete) {
            return Ok((false, None));
        }
        let serves = |snapshot: &Snapshot| {
            snapshot.current.as_ref().is_some_and(|c| c.generation == target.generation && c.recipe == target.recipe)
        };
        let snapshot = self.workspace.snapshot()?;
        check_wanted(&snapshot, target)?;
        let durable = plans.iter().all(|plan| model.is_all_durable(plan));
        if serves(&snapshot)
            && durable
            && snapshot.history.unrepaired().is_empty()
            && snapshot.history.unfinished().is_empty()
            && !self.leftovers(&snapshot.history, target)
        {
            return Ok((true, None));
        }
        // The long part, while others may still write.
        match model.make_durable(plans) {
            // A deletion took a checkpoint away.
            Err(TrainError::Fs(e)) if e.is_not_found() => return Ok((false, None)),
            done => done?,
        }
        self.workspace.files().reached("synced");
        let (lock, mut snapshot) = self.open_for_writing()?;
        check_wanted(&snapshot, target)?;
        // A deletion may have come in between; then there is something to train again, and the caller's next run does it.
        if model.plans()? != plans {
            lock.done()?;
            return Ok((false, None));
        }
        if !serves(&snapshot) {
            let aggregate = target.aggregate;
            self.workspace.switch(&lock, &Current { aggregate, ..target.clone() })?;
        }
        self.purge_replaced(&lock, &mut snapshot.history, target)?;
        let repaired = close(&self.workspace, &lock, &mut snapshot.history, model, plans, target, report)?;
        if repaired.is_none() && !durable {
            let lineages = plans.iter().filter_map(|p| p.lineages.last().copied()).collect();
            let trained = Trained { generation: target.generation, recipe: target.recipe.clone(), lineages };
            self.workspace.ledger().append(&mut snapshot.history, Event::Trained(trained))?;
        }
        lock.done()?;
        Ok((true, repaired))
    }

    /// Whether generations or recipes are on disk that `target` replaces.
    fn leftovers(&self, history: &History, target: &Current) -> bool {
        let Purged { generations, recipes } = replaced(history, target);
        !generations.is_empty() || !recipes.is_empty()
    }

    /// Takes everything that `target` replaces out of the ledger, then off the disk.
    fn purge_replaced(&self, lock: &WriterLock, history: &mut History, target: &Current) -> Result<(), Error> {
        if !self.leftovers(history, target) {
            return Ok(());
        }
        let purged = replaced(history, target);
        let record = history.generations.get(&target.generation);
        if let Some(from) = record.and_then(|r| r.imported.rekeys).filter(|from| purged.generations.contains(from)) {
            self.workspace.ledger().append(history, Event::Rekeyed(Rekeyed { from, to: target.generation }))?;
        }
        self.workspace.ledger().append(history, Event::Purged(purged))?;
        self.workspace.files().reached("purging");
        self.workspace.sweep(lock, history, true)?;
        Ok(())
    }
}

/// Whether the ledger still knows what is to be put into service.
fn is_known(history: &History, target: &Current) -> bool {
    place_of(history, target).is_some()
}

/// Which of its generation's recipes it is, oldest first.
fn place_of(history: &History, model: &Current) -> Option<usize> {
    history.generations.get(&model.generation)?.recipes.iter().position(|r| r.recipe == model.recipe)
}

/// Refuses to put a model into service whose files are gone, or in whose place a newer one serves already.
fn check_wanted(snapshot: &Snapshot, target: &Current) -> Result<(), WorkspaceError> {
    let order = |model: &Current| place_of(&snapshot.history, model).map(|place| (model.generation, place));
    let Some(ours) = order(target) else { return Err(WorkspaceError::MovedOn) };
    match snapshot.current.as_ref().and_then(order) {
        Some(serving) if serving > ours => Err(WorkspaceError::MovedOn),
        _ => Ok(()),
    }
}

/// What `target` replaces: older generations, and older recipes of its own. What is newer is being built and will replace it.
fn replaced(history: &History, target: &Current) -> Purged {
    let generations = history.generations.keys().copied().filter(|g| *g < target.generation).collect();
    let newest = history.generations.keys().all(|g| *g <= target.generation);
    let own = history.generations.get(&target.generation).map(|g| g.recipes.as_slice()).unwrap_or_default();
    // The ledger purges a recipe from all generations, so those go only when no newer generation may use them.
    let at = own.iter().position(|r| r.recipe == target.recipe).filter(|_| newest).unwrap_or(0);
    Purged { generations, recipes: own.iter().take(at).map(|r| r.recipe.clone()).collect() }
}
