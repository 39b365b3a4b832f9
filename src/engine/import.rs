//! From sources to a generation: the configuration, read or proposed, and the import under it.

use super::{Engine, Error, Observer, Progress, TrainRequest, train::Prepared};
use crate::{
    config::{Config, ConfigError},
    fs::{Durability, memory_limit},
    ids::{GenerationId, RecipeId, ShardId},
    import::{ImportError, ImportReport, NewGeneration, import},
    learn::Layout,
    propose::Proposal,
    schema::{CellError, Encoder, Ids, Schema},
    source::{Batch, Input, Place},
    train::Recipe,
    workspace::{Partition, WorkspaceError, Writing},
};

/// What an import under this configuration freezes of a schema.
pub(super) fn partition_of(config: &Config, schema: Schema) -> Result<Partition, Error> {
    let partition = Partition::new(config.grid()?, schema, config.form()).with_merge(config.merge()?);
    Ok(partition.with_cohort(config.cohort().cloned())?)
}

/// What an import came to.
#[derive(Debug)]
#[non_exhaustive]
pub struct ImportedReport {
    /// The configuration that was proposed and written, where there was none.
    pub proposal: Option<Proposal>,
    /// The import; `None` where the records were there already.
    pub import: Option<ImportReport>,
    /// The generation.
    pub generation: GenerationId,
    /// The recipe that is frozen.
    pub recipe: RecipeId,
    /// The shards that are to be trained.
    pub to_train: Vec<ShardId>,
}

impl Engine {
    /// As [`Engine::train`] begins: imports if nothing is there and freezes the recipe. Trains nothing.
    ///
    /// # Errors
    /// Anything wrong with the input, the workspace or the disk.
    pub fn import(&self, request: &TrainRequest, observer: &dyn Observer) -> Result<ImportedReport, Error> {
        let Prepared { proposal, imported, target, .. } = self.again(|| self.prepare(request, observer))?;
        let snapshot = self.workspace.snapshot()?;
        let record = snapshot.history.generations.get(&target.generation).ok_or(WorkspaceError::MovedOn)?;
        let to_train = record.not_whole(&target.recipe);
        Ok(ImportedReport { proposal, import: imported, generation: target.generation, recipe: target.recipe, to_train })
    }

    pub(super) fn config(&self, request: &TrainRequest) -> Result<Option<Config>, Error> {
        if self.workspace.files().stat(&request.config)?.is_none() {
            return Ok(None);
        }
        Ok(Some(Config::read(self.workspace.files(), &request.config)?.with_threads(self.threads())))
    }

    /// Without a configuration one is proposed, written, and said so.
    pub(super) fn propose_config(&self, request: &TrainRequest, observer: &dyn Observer) -> Result<(Config, Proposal), Error> {
        if request.sources.is_empty() {
            return Err(Error::NoConfig { config: request.config.clone() });
        }
        let proposal = self.propose(&request.sources, &request.config, &request.overrides)?;
        if !proposal.has_ids && !request.overrides.no_ids {
            // How the table was read may be why: a first line that is no header has no names.
            proposal.notes.iter().for_each(|note| observer.note(note));
            return Err(Error::NoIds { candidates: proposal.candidates });
        }
        let _ = self.workspace.files().publish(&request.config, &[proposal.text.as_bytes()], Durability::Now)?;
        observer.note(&format!("wrote {}: look at it, it is yours from now on", request.config.display()));
        proposal.notes.iter().for_each(|note| observer.note(note));
        proposal.told().iter().for_each(|line| observer.note(line));
        let config = Config::parse(&proposal.text, &request.config)?.with_threads(self.threads());
        Ok((config, proposal))
    }

    /// Refuses a recipe that can't be trained within the memory that there is, before anything is read for it.
    pub(super) fn check_memory(&self, recipe: &Recipe, layout: &Layout, shards: u32) -> Result<(), Error> {
        let learner = recipe.learner.check().map_err(ConfigError::from)?;
        let (each, at_once) = (learner.working_bytes(layout), self.threads().min(shards as usize) as u64);
        match memory_limit() {
            Some(limit) if each.saturating_mul(at_once) > limit => Err(Error::TooLittleMemory { each, at_once, limit }),
            _ => Ok(()),
        }
    }

    pub(super) fn import_rows(
        &self,
        request: &TrainRequest,
        config: &Config,
        writing: &mut Writing,
        observer: &dyn Observer,
    ) -> Result<ImportReport, Error> {
        // What the recipe lacks should be said before hours of import.
        config.recipe()?;
        let mut sources = config.input(&request.sources).open(&config.form())?;
        let Some(first) = sources.first() else {
            return Err(Error::NoSource { config: request.config.clone() });
        };
        let schema = config.declaration()?.resolve(first.name(), first.columns())?;
        let partition = partition_of(config, schema)?;
        let schema = &partition.schema;
        self.check_rows(&config.recipe()?, schema, Some(config), &request.sources)?;
        self.check_memory(&config.recipe()?, &schema.layout(), partition.grid().shards)?;
        let handle_key = self.workspace.handle_key_or_new(&request.keys, writing.history())?;
        let plan = NewGeneration {
            generation: GenerationId(writing.history().last_generation).next(),
            rekeys: None,
            partition,
            handle_key,
            model_key: request.keys.model_key(self.workspace.files(), None)?,
        };
        let progress = |bytes, total, rows| {
            observer.progress(Progress::Importing { bytes, total, rows });
            !observer.stopped()
        };
        let report = self.threads.writing()?.install(|| import(writing, &plan, &mut sources, &progress));
        let report = match report {
            Err(ImportError::Cell { place, error }) => {
                return Err(self.bad_cells(&plan, &config.input(&request.sources), place, error)?);
            }
            report => report?,
        };
        if let Some(subjects) = report.subjects_below_shards {
            observer.note(&format!(
                "there are {} shards and only {subjects} subjects to train on, so some shards stay empty and have no vote; \
                 fewer shards would learn better",
                plan.partition.grid().shards
            ));
        }
        Ok(report)
    }

    /// What is wrong with the first cell that can't be read, and with some after it.
    pub(super) fn bad_cells(&self, plan: &NewGeneration, input: &Input, place: Place, error: CellError) -> Result<Error, Error> {
        let (rows, others) = bad_rows(plan, input)?;
        Ok(Error::Cells { place, error, others, rows })
    }
}

/// So many cells that can't be read are named; the others are counted.
const NAMED: u64 = 5;

/// How many rows of the sources an import would stop at, and what is wrong with some after the first.
fn bad_rows(plan: &NewGeneration, input: &Input) -> Result<(u64, Vec<String>), Error> {
    let schema = &plan.partition.schema;
    let (mut bad, mut others) = (0, Vec::new());
    for mut source in input.open_ahead(&plan.partition.form)? {
        let encoder = Encoder::new(schema, source.name(), source.columns(), true)?;
        let ids = Ids::new(schema, source.columns(), plan.handle_key.maker());
        source.only(&schema.positions(source.columns()));
        let (mut batch, mut encoded) = (Batch::new(), Vec::new());
        while source.next(&mut batch)? > 0 {
            for row in 0..batch.rows() {
                encoded.clear();
                let subject = ids.subject(&batch, row).map(drop);
                let read = subject.and_then(|()| encoder.encode(&batch, row, &mut encoded).map(drop));
                if let Err(error) = read.and_then(|()| ids.record(&batch, row).map(drop)) {
                    bad += 1;
                    if (2..=NAMED).contains(&bad) {
                        others.push(format!("{}, {error}", batch.place(row)));
                    }
                }
            }
        }
    }
    Ok((bad, others))
}
