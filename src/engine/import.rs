//! From sources to a generation: the configuration, read or proposed, and the import under it.

use super::{Engine, Error, Observer, Progress, TrainRequest};
use crate::{
    config::{Config, ConfigError},
    fs::{Durability, memory_limit},
    ids::GenerationId,
    import::{ImportReport, NewGeneration, import},
    learn::Layout,
    ledger::History,
    train::Recipe,
    workspace::{Partition, WriterLock},
};

impl Engine {
    pub(super) fn config(&self, request: &TrainRequest) -> Result<Option<Config>, Error> {
        if self.workspace.files().stat(&request.config)?.is_none() {
            return Ok(None);
        }
        Ok(Some(Config::read(self.workspace.files(), &request.config)?.with_threads(self.threads())))
    }

    /// Without a configuration one is proposed, written, and said so.
    pub(super) fn propose_config(&self, request: &TrainRequest, observer: &dyn Observer) -> Result<Config, Error> {
        if request.sources.is_empty() {
            return Err(Error::NoConfig { config: request.config.clone() });
        }
        let proposal = self.propose(&request.sources, &request.config, &request.overrides)?;
        let _ = self.workspace.files().publish(&request.config, &[proposal.text.as_bytes()], Durability::Now)?;
        observer.note(&format!("wrote {}: look at it, it is yours from now on", request.config.display()));
        proposal.notes.iter().for_each(|note| observer.note(note));
        Ok(Config::parse(&proposal.text, &request.config)?.with_threads(self.threads()))
    }

    /// Refuses a recipe that can't be trained on such rows, or not within the memory that there is, before anything is read for it.
    pub(super) fn check_recipe(&self, recipe: &Recipe, layout: &Layout, shards: u32) -> Result<(), Error> {
        recipe.accepts(layout).map_err(ConfigError::from)?;
        let learner = recipe.learner.check().map_err(ConfigError::from)?;
        let (each, at_once) = (learner.working_bytes(layout), self.threads().min(shards as usize) as u64);
        match memory_limit() {
            Some(limit) if each.saturating_mul(at_once) > limit => Err(Error::TooLittleMemory { each, at_once, limit }),
            _ => Ok(()),
        }
    }

    pub(super) fn import(
        &self,
        request: &TrainRequest,
        config: &Config,
        lock: &WriterLock,
        history: &mut History,
        observer: &dyn Observer,
    ) -> Result<ImportReport, Error> {
        // What the recipe lacks should be said before hours of import.
        config.recipe()?;
        let mut sources = config.input(&request.sources).open(&config.form())?;
        let Some(first) = sources.first() else {
            return Err(Error::NoSource { config: request.config.clone() });
        };
        let schema = config.declaration()?.resolve(first.name(), first.columns())?;
        let grid = config.grid()?;
        self.check_recipe(&config.recipe()?, &schema.layout(), grid.shards)?;
        let handle_key = self.workspace.handle_key_or_new(&request.keys, history)?;
        let plan = NewGeneration {
            generation: GenerationId(history.last_generation).next(),
            rekeys: None,
            partition: Partition::new(grid, schema, config.form()),
            handle_key,
            model_key: request.keys.model_key(self.workspace.files(), None)?,
        };
        let progress = |bytes, total, rows| {
            observer.progress(Progress::Importing { bytes, total, rows });
            !observer.stopped()
        };
        let report = self.pool.install(|| import(&self.workspace, lock, history, &plan, &mut sources, &progress))?;
        if let Some(subjects) = report.subjects_below_shards {
            observer.note(&format!(
                "there are {} shards and only {subjects} subjects to train on, so some shards stay empty and have no vote; \
                 fewer shards would learn better",
                grid.shards
            ));
        }
        Ok(report)
    }
}
