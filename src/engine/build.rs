//! Brings a model to whole: builds what is missing, puts it into service, closes the requests that waited for it.

use std::collections::BTreeMap;

use super::{Engine, Error, ErrorKind, Observer, observe::TrainingWatch};
use crate::{
    delete::{Repair, can_close, close},
    digest::Digest,
    ids::{Cell, Part, ShardId},
    ledger::{Event, History, Purged, Rekeyed, Trained, WholeShard},
    train::{Model, Report, ShardPlan, ThreadShare, TrainError, lineages_of, train},
    workspace::{Current, Session, Snapshot, WorkspaceError, Writing},
};

/// What is to become whole.
pub(super) struct Goal<'a> {
    /// Which model it is.
    pub(super) target: &'a Current,
    /// The shards to begin with.
    pub(super) shards: &'a [ShardId],
    /// Every checkpoint is read and checked first, also those that are known to be durable.
    pub(super) all: bool,
    /// No other shards than these; without, those follow that the ledger does not call whole.
    pub(super) only: Option<&'a [ShardId]>,
}

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

/// How things are after a turn.
#[derive(Debug, Default)]
pub(super) struct Settled {
    /// Nothing is missing of any shard.
    pub(super) complete: bool,
    /// A shard is no longer what it was when it was built.
    moved: bool,
    /// All that was built was synced.
    pub(super) durable: bool,
    pub(super) repaired: Option<Repair>,
}

/// The shards of complete plans that the ledger does not call whole, with the lineage keys of their last steps; `None` if the recipe is
/// gone. Says if slices `moved` since the plans were made.
fn fresh(
    history: &History,
    model: &Model,
    target: &Current,
    plans: &[ShardPlan],
    moved: &mut bool,
) -> Option<BTreeMap<ShardId, Digest>> {
    let record = history.generations.get(&target.generation)?;
    record.recipes.iter().find(|r| r.recipe == target.recipe)?;
    let mut fresh = BTreeMap::new();
    for plan in plans {
        let wanted = lineages_of(&model.root, plan.shard, &record.cells);
        if wanted != plan.lineages {
            *moved = true;
        } else if !record.is_whole(&target.recipe, plan.shard) {
            fresh.extend(wanted.last().map(|last| (plan.shard, *last)));
        }
    }
    Some(fresh)
}

/// Whether all shards are whole, with these.
fn is_whole(history: &History, target: &Current, fresh: &BTreeMap<ShardId, Digest>) -> bool {
    let record = history.generations.get(&target.generation);
    record.is_some_and(|r| r.not_whole(&target.recipe).iter().all(|shard| fresh.contains_key(shard)))
}

fn serves(snapshot: &Snapshot, target: &Current) -> bool {
    let is = |generation, recipe| generation == target.generation && recipe == &target.recipe;
    match &snapshot.history.serving {
        Some(now) => is(now.generation, &now.recipe),
        None => snapshot.current.as_ref().is_some_and(|now| is(now.generation, &now.recipe)),
    }
}

impl Engine {
    /// What these shards have and lack. Their slices are checked against the ledger. Checkpoints that are there and damaged are
    /// removed, so that they count as missing: a power cut can leave a file with its header and its length and other bytes in between,
    /// and a plan looks no further than those two. What was once known to be durable is not read again, unless `all` is. Those
    /// that do not follow from the slices are removed too: a copy or another machine brought them late. Also returns how many were
    /// damaged.
    pub(super) fn plans(&self, model: &Model, shards: &[ShardId], all: bool) -> Result<(Vec<ShardPlan>, usize), Error> {
        let mut damaged = 0;
        let mut plans = Vec::with_capacity(shards.len());
        for shard in shards {
            let mut plan = model.plan(*shard)?;
            if let Some(known) = &model.known {
                let holdout = Cell { shard: *shard, part: Part::Holdout };
                let holdout_is =
                    model.shards.header(holdout).is_ok_and(|header| known.cells().get(&holdout) == Some(&header.content));
                // A deletion that came meanwhile explains every difference; whoever goes on plans again.
                if (!holdout_is || plan.lineages != known.lineages(&model.root, *shard)) && !model.moved()? {
                    self.workspace.check_shard(&model.shards, known.cells(), *shard)?;
                }
            }
            if model.has_stale(*shard)? {
                let _commit = model.shards.lock(*shard)?;
                // What a deletion that was accepted since has put in place is not stale.
                if !model.moved()? {
                    model.discard_stale(*shard)?;
                }
            }
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
        Ok(self.threads.training().install(|| train(model, plans.to_vec(), &ThreadShare::new(self.threads()), &watch))?)
    }

    /// Brings shards of a model to whole: builds what they lack and settles, again as long as deletions come in between.
    ///
    /// # Errors
    /// [`WorkspaceError::MovedOn`] when another model took its place meanwhile: the files are gone then, whatever it was that failed.
    pub(super) fn bring_to_whole(&self, model: &Model, goal: &Goal<'_>, observer: &dyn Observer) -> Result<Built, Error> {
        let overtaken = || self.files().overtaken();
        let (mut before, mut built) = (overtaken(), self.build_and_settle(model, goal, observer));
        loop {
            match built {
                // What was built and not published before another process's change goes on from there, on what there is now.
                Err(e) if e.kind() != ErrorKind::Interrupted && overtaken() != before => {
                    before = overtaken();
                    let snapshot = self.settled_snapshot()?;
                    if !is_known(&snapshot.history, goal.target) {
                        return Err(WorkspaceError::MovedOn.into());
                    }
                    let record = snapshot.history.generations.get(&goal.target.generation).ok_or(WorkspaceError::MovedOn)?;
                    let model = self.workspace.model(goal.target.generation, record, &goal.target.recipe)?;
                    built = self.build_and_settle(&model, goal, observer);
                }
                Err(e) if e.kind() != ErrorKind::Interrupted => {
                    if !is_known(&self.workspace.snapshot()?.history, goal.target) {
                        return Err(WorkspaceError::MovedOn.into());
                    }
                    let Some((grown, shards)) = self.grown_since(model, goal)? else { return Err(e) };
                    built = self.build_and_settle(&grown, &Goal { shards: &shards, ..*goal }, observer);
                    if built.is_err() && !grown.outgrown()? {
                        return built;
                    }
                }
                built => return built,
            }
        }
    }

    /// The model with the slices that there are now, and the shards to go on with, if a batch came since it was made.
    fn grown_since(&self, model: &Model, goal: &Goal<'_>) -> Result<Option<(Model, Vec<ShardId>)>, Error> {
        if !model.outgrown()? {
            return Ok(None);
        }
        let snapshot = self.settled_snapshot()?;
        let Some(record) = snapshot.history.generations.get(&goal.target.generation) else { return Ok(None) };
        let mut shards = record.not_whole(&goal.target.recipe);
        shards.retain(|shard| goal.only.is_none_or(|only| only.contains(shard)));
        Ok(Some((self.workspace.model(goal.target.generation, record, &goal.target.recipe)?, shards)))
    }

    fn build_and_settle(&self, model: &Model, goal: &Goal<'_>, observer: &dyn Observer) -> Result<Built, Error> {
        let Goal { target, shards, all, only } = *goal;
        let (mut plans, rebuilt) = self.plans(model, shards, all)?;
        let done = |report, complete, repaired| Ok(Built { report, complete, repaired, rebuilt });
        let mut again: Option<Model> = None;
        let mut whole: Option<Report> = None;
        // What is built is not durable before it is settled, and a crash may bring its temporary files back until then. The mark
        // makes the next writer sweep them.
        let mut session: Option<Session> = None;
        loop {
            let model = again.as_ref().unwrap_or(model);
            if session.is_none() && !plans.iter().all(ShardPlan::is_complete) {
                session = Some(self.workspace.begin_session()?);
            }
            let built = self.build(model, &plans, observer)?;
            let (interrupted, diverged) = (built.interrupted(), built.diverged().next().is_some());
            let overtaken = built.overtaken();
            // Whoever wants to stop does not wait until what is there has been looked at.
            if !interrupted && !built.shards.is_empty() {
                plans = plans.iter().map(|plan| model.plan(plan.shard)).collect::<Result<_, _>>()?;
            }
            let report = match whole.take() {
                None => built,
                Some(mut before) => {
                    before.merge(built);
                    before
                }
            };
            if interrupted {
                self.files().settle(self.workspace.root())?;
                return done(report, false, None);
            }
            let Settled { complete, moved, durable, repaired } = self.settle(model, target, &report, &plans)?;
            if overtaken {
                // Whoever accepted the change is at work on it; if that process is gone, the next snapshot does it.
                self.workspace.is_written(true)?;
            }
            let moved = moved || overtaken;
            if !durable {
                // Shards that stopped early, or were overtaken by a deletion.
                make_durable(model, &plans)?;
            }
            if complete || diverged {
                session.take().map_or(Ok(()), Session::done)?;
                return done(report, complete, repaired);
            }
            let snapshot = self.settled_snapshot()?;
            let replaced = || TrainError::Replaced { recipe: target.recipe.to_string() };
            let record = snapshot.history.generations.get(&target.generation).ok_or_else(replaced)?;
            let mut shards = record.not_whole(&target.recipe);
            if let Some(only) = only {
                shards.retain(|shard| only.contains(shard));
            }
            // What is missing elsewhere is not for this call to build.
            if shards.is_empty() || (!moved && plans.iter().map(|plan| plan.shard).eq(shards.iter().copied())) {
                session.take().map_or(Ok(()), Session::done)?;
                return done(report, complete, repaired);
            }
            let next = self.workspace.model(target.generation, record, &target.recipe)?;
            (plans, _) = self.plans(&next, &shards, false)?;
            again = Some(next);
            whole = Some(report);
        }
    }

    /// Makes durable what is whole of `plans`, and says so in the ledger; closes the requests whose shards are whole. Once all shards are,
    /// puts the model into service and purges what it replaces.
    pub(super) fn settle(&self, model: &Model, target: &Current, report: &Report, plans: &[ShardPlan]) -> Result<Settled, Error> {
        let complete: Vec<ShardPlan> = plans.iter().filter(|plan| plan.is_complete()).cloned().collect();
        let snapshot = self.workspace.snapshot()?;
        check_wanted(&snapshot, target)?;
        let replaced = || TrainError::Replaced { recipe: target.recipe.to_string() };
        let mut settled = Settled::default();
        let mut fresh = fresh(&snapshot.history, model, target, &complete, &mut settled.moved).ok_or_else(replaced)?;
        if fresh.is_empty() && !self.is_behind(&snapshot, &fresh, target) {
            settled.complete = is_whole(&snapshot.history, target, &fresh) && !settled.moved;
            return Ok(settled);
        }
        // The long part, while others may still write.
        if !make_durable(model, &complete)? {
            return Ok(Settled { moved: true, ..settled });
        }
        settled.durable = complete.len() == plans.len();
        self.workspace.files().reached("synced");
        let mut writing = self.open_for_writing()?;
        check_wanted(writing.snapshot(), target)?;
        // A deletion may have come in between; then there is something to train again, and the caller's next turn does it.
        let mut still = Vec::with_capacity(complete.len());
        for plan in complete {
            if model.plan(plan.shard)? == plan {
                still.push(plan);
            } else {
                settled.moved = true;
            }
        }
        fresh = match self::fresh(writing.history(), model, target, &still, &mut settled.moved) {
            Some(fresh) => fresh,
            None => {
                writing.done()?;
                return Err(replaced().into());
            }
        };
        settled.complete = is_whole(writing.history(), target, &fresh);
        discard_standby(&writing, model, target, &still, &fresh)?;
        if settled.complete {
            if !serves(writing.snapshot(), target) {
                writing.switch(target)?;
            }
            self.purge_replaced(&mut writing, target)?;
        }
        if serves(writing.snapshot(), target) {
            settled.repaired = close(&mut writing, model, &fresh, target, report)?;
        }
        if settled.repaired.is_none() && !fresh.is_empty() {
            let root = writing.history().lineages_root(target.generation, &target.recipe, fresh.iter().map(|(s, l)| (*s, *l)));
            let shards = fresh.into_iter().map(|(shard, lineage)| WholeShard { shard, lineage }).collect();
            let (generation, recipe) = (target.generation, target.recipe.clone());
            let trained = Trained { generation, recipe, shards, root, lineages: Vec::new() };
            writing.append(Event::Trained(trained))?;
        }
        writing.done()?;
        settled.complete &= !settled.moved;
        Ok(settled)
    }

    /// Whether something is left to say or to do although no shard became whole.
    fn is_behind(&self, snapshot: &Snapshot, fresh: &BTreeMap<ShardId, Digest>, target: &Current) -> bool {
        let history = &snapshot.history;
        let serves = serves(snapshot, target);
        let takes_over = is_whole(history, target, fresh) && (!serves || self.leftovers(history, target));
        takes_over || !history.unfinished().is_empty() || (serves && can_close(history, fresh, target))
    }

    /// Whether generations or recipes are on disk that `target` replaces.
    fn leftovers(&self, history: &History, target: &Current) -> bool {
        let Purged { generations, recipes } = replaced(history, target);
        !generations.is_empty() || !recipes.is_empty()
    }

    /// Takes everything that `target` replaces out of the ledger, then off the disk.
    fn purge_replaced(&self, writing: &mut Writing, target: &Current) -> Result<(), Error> {
        if !self.leftovers(writing.history(), target) {
            return Ok(());
        }
        let purged = replaced(writing.history(), target);
        let record = writing.history().generations.get(&target.generation);
        if let Some(from) = record.and_then(|r| r.imported.rekeys).filter(|from| purged.generations.contains(from)) {
            writing.append(Event::Rekeyed(Rekeyed { from, to: target.generation }))?;
        }
        writing.append(Event::Purged(purged))?;
        self.workspace.files().reached("purging");
        Ok(writing.sweep()?)
    }
}

/// Takes away the states that stood by until the batches of these shards were trained: they are, durably, and answer better.
fn discard_standby(
    writing: &Writing,
    model: &Model,
    target: &Current,
    plans: &[ShardPlan],
    whole: &BTreeMap<ShardId, Digest>,
) -> Result<(), TrainError> {
    let Some(record) = writing.history().generations.get(&target.generation) else { return Ok(()) };
    for plan in plans.iter().filter(|plan| whole.contains_key(&plan.shard)) {
        if let Some(standby) = record.standby(&target.recipe, plan.shard) {
            let _commit = model.shards.lock(plan.shard)?;
            model.discard_standby(plan, standby)?;
        }
    }
    Ok(())
}

/// Makes the checkpoints of these plans durable; `false` if a deletion took a folder of them away.
pub(super) fn make_durable(model: &Model, plans: &[ShardPlan]) -> Result<bool, TrainError> {
    match model.make_durable(plans) {
        Err(TrainError::Fs(e)) if e.is_not_found() => Ok(false),
        done => done.map(|()| true),
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
