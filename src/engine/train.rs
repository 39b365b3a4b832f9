//! `sisa train`: import if nothing is there, freeze, build what is missing, put into service.

use std::path::{Path, PathBuf};

use super::{Engine, Error, Evaluation, Observer, Progress, observe::TrainingWatch};
use crate::{
    config::{Config, ConfigError, Flags},
    delete::{Repair, close},
    digest::Digest,
    fs::Durability,
    ids::{GenerationId, RecipeId, ShardId},
    import::{ImportReport, NewGeneration, import},
    ledger::{Event, History, Purged, RecipeFrozen, Rekeyed, Trained},
    source,
    train::{Model, Recipe, Report, ShardPlan, ThreadShare, train},
    workspace::{Current, KeySource, Partition, Snapshot, WriterLock},
};

/// What `sisa train` is asked to do.
#[derive(Clone, Debug)]
pub struct TrainRequest {
    /// Sources given on the command line.
    pub sources: Vec<PathBuf>,
    /// The configuration file.
    pub config: PathBuf,
    /// Flags that override it.
    pub flags: Flags,
    /// Where new keys come from.
    pub keys: KeySource,
    /// Train only these shards.
    pub only_shards: Option<Vec<ShardId>>,
    /// Start a new generation from a source.
    pub fresh: bool,
}

/// What `sisa train` did.
#[derive(Debug)]
pub struct TrainReport {
    /// The import, if there was one.
    pub import: Option<ImportReport>,
    /// The generation trained.
    pub generation: GenerationId,
    /// The recipe trained.
    pub recipe: RecipeId,
    /// What was built.
    pub report: Report,
    /// Bytes of all checkpoints built.
    pub bytes: u64,
    /// Whether nothing is missing now.
    pub complete: bool,
    /// Requests that this run repaired, if any.
    pub repaired: Option<Repair>,
    /// Quality on the holdout, if something was built and there is a holdout.
    pub evaluation: Option<Evaluation>,
}

impl Engine {
    /// Imports, freezes, trains and puts into service whatever is missing of that.
    ///
    /// # Errors
    /// Anything wrong with the input, the workspace or the disk. What was published stays, and the next call goes on from there.
    pub fn train(&self, request: &TrainRequest, observer: &dyn Observer) -> Result<TrainReport, Error> {
        let (lock, mut snapshot) = self.open_for_writing()?;
        let mut config = self.config(request)?;
        let mut imported = None;
        match snapshot.history.newest() {
            Some((_, record)) if !request.fresh => {
                if let Some(source) = request.sources.first() {
                    return Err(Error::HasRecords {
                        root: self.workspace.root().to_owned(),
                        records: record.imported.records,
                        source_name: source.display().to_string(),
                    });
                }
                self.check_unchanged(request, config.as_ref(), &snapshot.history, observer)?;
            }
            _ => {
                let config = match &mut config {
                    Some(config) => config,
                    None => config.insert(self.propose_config(request, observer)?),
                };
                imported = Some(self.import(request, config, &lock, &mut snapshot.history, observer)?);
            }
        }
        self.check_generations(&snapshot.history)?;
        let Some((generation, _)) = snapshot.history.newest() else {
            return Err(crate::workspace::WorkspaceError::Empty { root: self.workspace.root().to_owned() }.into());
        };
        let recipe = self.freeze(request, config.as_ref(), &lock, &mut snapshot.history, generation, observer)?;
        let aggregate = match (&config, &snapshot.current) {
            (Some(config), _) => config.aggregate(),
            (None, Some(current)) => current.aggregate,
            (None, None) => Default::default(),
        };
        let target = Current { generation, recipe: recipe.clone(), aggregate };
        match &snapshot.current {
            // The first model serves as it grows; later ones take over when they are whole.
            None => self.workspace.switch(&lock, &target)?,
            Some(now) if now.generation == generation && now.recipe == recipe && now.aggregate != aggregate => {
                observer.note(&format!("aggregate: {:?} -> {:?}", now.aggregate, aggregate).to_lowercase());
                self.workspace.switch(&lock, &target)?;
            }
            Some(_) => {}
        }
        let record = snapshot.history.generations.get(&generation);
        let record = record.ok_or(crate::workspace::WorkspaceError::MovedOn)?;
        let model = self.workspace.model(generation, record, &recipe)?;
        lock.done()?;

        let shards = self.shards(&model, request.only_shards.as_deref())?;
        let (plans, _) = self.plans(&model, &shards, false)?;
        let (report, complete, repaired) = self.build_until_whole(&model, plans, &target, observer)?;
        let bytes = report.shards.iter().map(|s| s.bytes).sum();
        if report.interrupted() {
            return Err(Error::Interrupted);
        }
        let built = report.shards.iter().any(|s| s.steps > 0);
        let has_holdout = model.shards.grid().holdout > 0.0;
        let evaluation = match built && complete && has_holdout {
            true => match self.evaluate_holdout(observer) {
                // Chance, or deletions, may leave nobody in the held-out part.
                Err(Error::NoHoldout) => None,
                evaluated => Some(evaluated?),
            },
            false => None,
        };
        Ok(TrainReport { import: imported, generation, recipe, report, bytes, complete, repaired, evaluation })
    }

    /// What is fixed for a generation: a flag that says otherwise is an error, a file that does is worth a word.
    fn check_unchanged(
        &self,
        request: &TrainRequest,
        config: Option<&Config>,
        history: &History,
        observer: &dyn Observer,
    ) -> Result<(), Error> {
        let Some((generation, record)) = history.newest() else { return Ok(()) };
        let keys = &request.keys;
        if *keys != KeySource::Random && keys.handle_key(self.workspace.files())?.fingerprint() != record.imported.handle_key {
            return Err(Error::NeedsFresh { what: "the keys asked for are not those of this workspace".into() });
        }
        let partition = self.workspace.partition(generation, record)?;
        let Some(config) = config else {
            return if request.flags.any_partition() { Err(Error::NoConfig { config: request.config.clone() }) } else { Ok(()) };
        };
        let differs = |config: &Config| -> Result<Option<String>, Error> {
            let (grid, ours) = (config.grid()?, partition.grid());
            if grid != ours {
                let say = |g: crate::order::Grid| format!("S={} R={} holdout={}", g.shards, g.slices, g.holdout);
                return Ok(Some(format!("{} is asked for where there is {}", say(grid), say(ours))));
            }
            let declared = config.declaration()?;
            let schema = &partition.schema;
            let same = declared.subject == schema.subject
                && declared.record == schema.record
                && declared.label.column == schema.label.column();
            Ok((!same).then(|| "another label, subject or record column is asked for".into()))
        };
        let mut with_flags = config.clone();
        with_flags.apply(&request.flags)?;
        match differs(&with_flags)? {
            Some(what) if request.flags.any_partition() => Err(Error::NeedsFresh { what }),
            Some(what) => {
                observer.note(&format!(
                    "note: {what} in {}; it counts from the next `sisa train --fresh` on",
                    request.config.display()
                ));
                Ok(())
            }
            None => Ok(()),
        }
    }

    fn config(&self, request: &TrainRequest) -> Result<Option<Config>, Error> {
        if self.workspace.files().stat(&request.config)?.is_none() {
            return Ok(None);
        }
        Ok(Some(Config::read(self.workspace.files(), &request.config)?.with_threads(self.threads)))
    }

    /// Without a configuration one is proposed, written, and said so.
    fn propose_config(&self, request: &TrainRequest, observer: &dyn Observer) -> Result<Config, Error> {
        if request.sources.is_empty() {
            return Err(Error::NoConfig { config: request.config.clone() });
        }
        let proposal = self.propose(&request.sources, &request.config, &request.flags)?;
        let _ = self.workspace.files().publish(&request.config, &[proposal.text.as_bytes()], Durability::Now)?;
        observer.note(&format!("wrote {}: look at it, it is yours from now on", request.config.display()));
        proposal.notes.iter().for_each(|note| observer.note(note));
        Ok(Config::parse(&proposal.text, &request.config)?.with_threads(self.threads))
    }

    fn import(
        &self,
        request: &TrainRequest,
        config: &mut Config,
        lock: &WriterLock,
        history: &mut History,
        observer: &dyn Observer,
    ) -> Result<ImportReport, Error> {
        config.apply(&request.flags)?;
        // What the recipe lacks should be said before hours of import.
        config.recipe()?;
        let paths = if request.sources.is_empty() { config.sources() } else { request.sources.clone() };
        let mut sources = source::open_all(&paths)?;
        let (Some(first), Some(first_path)) = (sources.first(), paths.first()) else {
            return Err(Error::NoSource { config: request.config.clone() });
        };
        let names: Vec<String> = source_names(&paths, sources.len());
        let first_name = first_path.display().to_string();
        let schema = config.declaration()?.resolve(&first_name, first.columns())?;
        config.recipe()?.accepts(&schema.layout()).map_err(ConfigError::from)?;
        let grid = config.grid()?;
        let handle_key = self.workspace.handle_key_or_new(&request.keys, history)?;
        let plan = NewGeneration {
            generation: GenerationId(history.last_generation).next(),
            rekeys: None,
            partition: Partition::new(grid, schema),
            handle_key,
            model_key: request.keys.model_key(self.workspace.files(), None)?,
        };
        let progress = |bytes, total, rows| {
            observer.progress(Progress::Importing { bytes, total, rows });
            !observer.stopped()
        };
        let pool = rayon_pool(self.threads)?;
        let report = pool.install(|| import(&self.workspace, lock, history, &plan, &mut sources, &names, &progress))?;
        if let Some(subjects) = report.subjects_below_shards {
            observer.note(&format!(
                "there are {} shards and only {subjects} subjects to train on, so some shards stay empty and have no vote; \
                 fewer shards would learn better",
                grid.shards
            ));
        }
        Ok(report)
    }

    /// The recipe to train: the frozen one, or a new one where the settings changed.
    fn freeze(
        &self,
        request: &TrainRequest,
        config: Option<&Config>,
        _lock: &WriterLock,
        history: &mut History,
        generation: GenerationId,
        observer: &dyn Observer,
    ) -> Result<RecipeId, Error> {
        let frozen = history.generations.get(&generation).and_then(|g| g.recipes.last()).cloned();
        let Some(config) = config else {
            return frozen.map(|f| f.recipe).ok_or_else(|| Error::NoConfig { config: request.config.clone() });
        };
        // Read anew, because an import may have applied flags to it.
        let declared = match self.config(request)? {
            Some(file) => file.recipe()?,
            None => config.recipe()?,
        };
        let mut with_flags = config.clone();
        with_flags.apply(&request.flags)?;
        let wanted = with_flags.recipe()?;
        if let Some(frozen) = &frozen {
            let file_unchanged = frozen.declared == declared.digest();
            let keep = if request.flags.any_training() { frozen.digest == wanted.digest() } else { file_unchanged };
            if keep {
                return Ok(frozen.recipe.clone());
            }
            if let Some(record) = history.generations.get(&generation) {
                let old = self.workspace.recipe(generation, record, &frozen.recipe)?;
                let differences = wanted.differences(&old);
                if differences.is_empty() {
                    return Ok(frozen.recipe.clone());
                }
                observer.note(&format!(
                    "the settings differ from the recipe in service, so a new model is built beside it and takes over when it is whole:\n  {}",
                    differences.join("\n  ")
                ));
            }
        }
        if let Some(record) = history.generations.get(&generation) {
            wanted.accepts(&self.workspace.partition(generation, record)?.schema.layout()).map_err(ConfigError::from)?;
        }
        self.publish_recipe_as(history, generation, &wanted, declared.digest())
    }

    pub(super) fn publish_recipe_as(
        &self,
        history: &mut History,
        generation: GenerationId,
        recipe: &Recipe,
        declared: Digest,
    ) -> Result<RecipeId, Error> {
        self.workspace.write_recipe(generation, recipe)?;
        let frozen = RecipeFrozen { generation, recipe: recipe.id(), digest: recipe.digest(), declared };
        self.workspace.ledger().append(history, Event::Recipe(frozen))?;
        self.workspace.files().reached("recipe");
        Ok(recipe.id())
    }

    fn shards(&self, model: &Model, only: Option<&[ShardId]>) -> Result<Vec<ShardId>, Error> {
        let count = model.shards.grid().shards;
        match only {
            None => Ok(model.shards.grid().shards().collect()),
            Some(only) => match only.iter().find(|s| s.0 >= count) {
                Some(beyond) => Err(Error::NoSuchShard { shard: beyond.0, last: count - 1 }),
                None => Ok(only.to_vec()),
            },
        }
    }

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
    pub(super) fn build(&self, model: &Model, plans: &[ShardPlan], observer: &dyn Observer) -> Result<Report, Error> {
        let total = plans.iter().map(|plan| plan.missing_row_passes(&model.recipe)).sum();
        let steps = plans.iter().map(|plan| plan.missing().count() as u64).sum();
        let watch = TrainingWatch::new(observer, total, steps);
        Ok(train(model, plans.to_vec(), &ThreadShare::new(self.threads), &watch)?)
    }

    /// Builds and settles, again as long as deletions come in between.
    pub(super) fn build_until_whole(
        &self,
        model: &Model,
        mut plans: Vec<ShardPlan>,
        target: &Current,
        observer: &dyn Observer,
    ) -> Result<(Report, bool, Option<Repair>), Error> {
        let shards: Vec<ShardId> = plans.iter().map(|plan| plan.shard).collect();
        let all = shards.len() as u32 == model.shards.grid().shards;
        let mut whole = self.build(model, &plans, observer)?;
        loop {
            if whole.interrupted() {
                return Ok((whole, false, None));
            }
            if !all || !whole.shards.is_empty() {
                plans = model.plans()?;
            }
            let (complete, repaired) = self.settle(model, target, &whole, &plans)?;
            if complete || !all || whole.diverged().next().is_some() {
                return Ok((whole, complete, repaired));
            }
            (plans, _) = self.plans(model, &shards, false)?;
            let more = self.build(model, &plans, observer)?;
            whole.merge(more);
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
        model.make_durable(plans)?;
        self.workspace.files().reached("synced");
        let (lock, mut snapshot) = self.open_for_writing()?;
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

/// What `target` replaces: older generations, and older recipes of its own. What is newer is being built and will replace it.
fn replaced(history: &History, target: &Current) -> Purged {
    let generations = history.generations.keys().copied().filter(|g| *g < target.generation).collect();
    let newest = history.generations.keys().all(|g| *g <= target.generation);
    let own = history.generations.get(&target.generation).map(|g| g.recipes.as_slice()).unwrap_or_default();
    // The ledger purges a recipe from all generations, so those go only when no newer generation may use them.
    let at = own.iter().position(|r| r.recipe == target.recipe).filter(|_| newest).unwrap_or(0);
    Purged { generations, recipes: own.iter().take(at).map(|r| r.recipe.clone()).collect() }
}

/// One name a table, for messages; a pair of IDX files is one table.
fn source_names(paths: &[PathBuf], tables: usize) -> Vec<String> {
    let name = |p: &Path| p.display().to_string();
    if paths.len() == tables {
        return paths.iter().map(|p| name(p)).collect();
    }
    let all = paths.iter().map(|p| name(p)).collect::<Vec<_>>().join(" + ");
    vec![all; tables]
}

pub(super) fn rayon_pool(threads: usize) -> Result<rayon::ThreadPool, Error> {
    rayon::ThreadPoolBuilder::new()
        .num_threads(threads)
        .build()
        .map_err(|e| crate::train::TrainError::Threads { threads, message: e.to_string() }.into())
}
