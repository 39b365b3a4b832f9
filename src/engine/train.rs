//! `sisa train`: import if nothing is there, freeze, build what is missing, put into service.

use std::path::PathBuf;

use super::{
    Engine, Error, ErrorKind, Evaluation, Observer, Remedy,
    build::{Built, Goal},
};
use crate::{
    append::AppendError,
    config::{Config, Overrides},
    delete::Repair,
    digest::Digest,
    ids::{GenerationId, RecipeId, ShardId},
    import::ImportReport,
    ledger::{Event, History, RecipeFrozen},
    propose::Proposal,
    schema::Cohorts,
    source::Input,
    train::{Model, Recipe, Report, settled},
    workspace::{Current, KeySource, Writing},
};

/// What a training is asked to do. By default: go on with what the workspace holds.
#[derive(Clone, Debug, Default)]
pub struct TrainRequest {
    /// The sources of a new generation; those that the configuration names when there are none.
    pub sources: Input,
    /// The configuration file; empty for `sisa.toml` in the workspace.
    pub config: PathBuf,
    /// Settings that come before its.
    pub overrides: Overrides,
    /// Where new keys come from.
    pub keys: KeySource,
    /// Train only these shards.
    pub only_shards: Option<Vec<ShardId>>,
    /// Start a new generation from a source.
    pub fresh: bool,
}

/// What a training did.
#[derive(Debug)]
#[non_exhaustive]
pub struct TrainReport {
    /// The configuration that was proposed and written, where there was none.
    pub proposal: Option<Proposal>,
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

/// Records and a recipe that training can begin with.
pub(super) struct Prepared {
    pub(super) proposal: Option<Proposal>,
    pub(super) imported: Option<ImportReport>,
    pub(super) target: Current,
    pub(super) model: Model,
}

impl Engine {
    /// Imports if nothing is there, freezes the recipe, and says what serves as it grows.
    pub(super) fn prepare(&self, request: &TrainRequest, observer: &dyn Observer) -> Result<Prepared, Error> {
        let request = &TrainRequest { config: self.config_file(&request.config), ..request.clone() };
        let mut writing = self.open_for_writing()?;
        // The file, and what is in effect where the request's settings come before its: two values, made once each.
        let mut file = self.config(request)?;
        let (mut imported, mut proposal) = (None, None);
        match writing.history().newest() {
            Some((_, record)) if !request.fresh => {
                if let Some(source) = request.sources.names().next() {
                    return Err(Error::HasRecords {
                        root: self.workspace.root().to_owned(),
                        records: record.imported.records,
                        source_name: source,
                    });
                }
                self.check_unchanged(request, file.as_ref(), writing.history(), observer)?;
            }
            _ => {
                let file = match &mut file {
                    Some(file) => file,
                    None => {
                        let (config, proposed) = self.propose_config(request, observer)?;
                        proposal = Some(proposed);
                        file.insert(config)
                    }
                };
                let effective = file.with(&request.overrides)?;
                imported = Some(self.import_rows(request, &effective, &mut writing, observer)?);
            }
        }
        let Some((generation, _)) = writing.history().newest() else {
            return Err(crate::workspace::WorkspaceError::Empty { root: self.workspace.root().to_owned() }.into());
        };
        let recipe = self.freeze(request, file.as_ref(), &mut writing, generation, observer)?;
        let aggregate = match (&file, writing.current()) {
            (Some(file), _) => file.aggregate(),
            (None, Some(current)) => current.aggregate,
            (None, None) => Default::default(),
        };
        let target = Current { generation, recipe: recipe.clone(), aggregate };
        match writing.current() {
            // The first model serves as it grows; later ones take over when they are whole.
            None => writing.switch(&target)?,
            Some(now) if now.generation == generation && now.recipe == recipe && now.aggregate != aggregate => {
                observer.note(&format!("aggregate: {:?} -> {:?}", now.aggregate, aggregate).to_lowercase());
                writing.switch(&target)?;
            }
            Some(_) => {}
        }
        let record = writing.history().generations.get(&generation);
        let record = record.ok_or(crate::workspace::WorkspaceError::MovedOn)?;
        let model = self.workspace.model(generation, record, &recipe)?;
        writing.done()?;
        Ok(Prepared { proposal, imported, target, model })
    }

    /// Imports, freezes, trains and puts into service whatever is missing of that.
    ///
    /// # Errors
    /// Anything wrong with the input, the workspace or the disk. What was published stays, and the next call goes on from there.
    pub fn train(&self, request: &TrainRequest, observer: &dyn Observer) -> Result<TrainReport, Error> {
        let Prepared { proposal, imported, target, model } = self.again(|| self.prepare(request, observer))?;
        let shards = self.shards(&model, request.only_shards.as_deref())?;
        let goal = Goal { target: &target, shards: &shards, all: false, only: request.only_shards.as_deref() };
        let Built { report, complete, repaired, .. } = self.bring_to_whole(&model, &goal, observer)?;
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
                // All is trained that was asked for. Since then a deletion came in, or there is nothing to learn from.
                Err(e) if matches!(e.kind(), ErrorKind::Retry | ErrorKind::NotReady) => {
                    observer.note(&format!("not evaluated: {e}"));
                    None
                }
                evaluated => Some(evaluated?),
            },
            false => None,
        };
        let Current { generation, recipe, .. } = target;
        Ok(TrainReport { proposal, import: imported, generation, recipe, report, bytes, complete, repaired, evaluation })
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
            return if request.overrides.any_partition() {
                Err(Error::NoConfig { config: request.config.clone() })
            } else {
                Ok(())
            };
        };
        let differs = |config: &Config| -> Result<Option<String>, Error> {
            if config.cohort() != partition.cohort.as_ref() {
                let say = |cohort: Option<&Cohorts>| cohort.map_or("no cohorts".into(), Cohorts::describe);
                let (asked, there) = (say(config.cohort()), say(partition.cohort.as_ref()));
                return Ok(Some(format!("{asked} are asked for where there are {there}")));
            }
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
        // Columns that can't be resolved are for whoever makes the next generation to mend.
        let columns = |config: &Config| -> bool {
            let resolved = config.declaration().ok().and_then(|declared| declared.resolve_known(&partition.schema).ok());
            resolved.is_some_and(|schema| schema != partition.schema)
        };
        match differs(&config.with(&request.overrides.partition())?)? {
            None if columns(config) => {
                let text = format!(
                    "note: {} declares other columns than the records have; that counts from the next generation on",
                    request.config.display()
                );
                observer.advise(&text, &Remedy::Migrate);
                Ok(())
            }
            Some(what) if request.overrides.any_partition() => Err(Error::NeedsFresh { what }),
            Some(what) => {
                let text = format!("note: {what} in {}; it counts from the next generation on", request.config.display());
                observer.advise(&text, &Remedy::TrainFresh { source: None });
                Ok(())
            }
            None => Ok(()),
        }
    }

    /// The recipe to train: the frozen one, or a new one where the settings changed.
    fn freeze(
        &self,
        request: &TrainRequest,
        file: Option<&Config>,
        writing: &mut Writing,
        generation: GenerationId,
        observer: &dyn Observer,
    ) -> Result<RecipeId, Error> {
        let history = writing.history();
        let frozen = history.generations.get(&generation).and_then(|g| g.recipes.last()).cloned();
        let Some(file) = file else {
            return frozen.map(|f| f.recipe).ok_or_else(|| Error::NoConfig { config: request.config.clone() });
        };
        let (declared, mut wanted) = (file.recipe()?, file.with(&request.overrides)?.recipe()?);
        if let Some(frozen) = &frozen {
            // What was found by running the learner is no setting.
            if let (true, Some(record)) = (wanted.learner.is_external(), history.generations.get(&generation)) {
                wanted.learner = wanted.learner.settled_like(&self.workspace.recipe(generation, record, &frozen.recipe)?.learner);
            }
            let file_unchanged = frozen.declared == declared.digest();
            let keep = if request.overrides.any_training() { frozen.digest == wanted.digest() } else { file_unchanged };
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
            let partition = self.workspace.partition(generation, record)?;
            if !record.cells.chain().later().is_empty() {
                wanted.goes_on().map_err(AppendError::NoFurther)?;
            }
            self.check_rows(&wanted, &partition.schema, Some(file), &request.sources)?;
            self.check_memory(&wanted, &partition.schema.layout(), partition.grid().shards)?;
            let store = self.workspace.shard_store(generation, record)?;
            wanted.learner = settled(&wanted, &store, &record.cells, self.workspace.root())?;
        }
        self.publish_recipe_as(writing, generation, &wanted, declared.digest())
    }

    /// The recipe with what is found by running a learner outside this program, for a generation that may know it already.
    pub(super) fn settled(&self, history: &History, generation: GenerationId, recipe: Recipe) -> Result<Recipe, Error> {
        let Some(record) = history.generations.get(&generation).filter(|_| !recipe.learner.is_settled()) else {
            return Ok(recipe);
        };
        let mut learner = recipe.learner.clone();
        for frozen in record.recipes.iter().rev() {
            learner = learner.settled_like(&self.workspace.recipe(generation, record, &frozen.recipe)?.learner);
        }
        let recipe = Recipe { learner, ..recipe };
        let learner = settled(&recipe, &self.workspace.shard_store(generation, record)?, &record.cells, self.workspace.root())?;
        Ok(Recipe { learner, ..recipe })
    }

    pub(crate) fn publish_recipe_as(
        &self,
        writing: &mut Writing,
        generation: GenerationId,
        recipe: &Recipe,
        declared: Digest,
    ) -> Result<RecipeId, Error> {
        self.workspace.write_recipe(generation, recipe)?;
        let frozen = RecipeFrozen { generation, recipe: recipe.id(), digest: recipe.digest(), declared };
        writing.append(Event::Recipe(frozen))?;
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
}
