//! `sisa migrate`: the records that are there under another configuration, without their source.

use std::path::PathBuf;

use super::{Engine, Error, Observer, build::Built, import::partition_of, rekey::Anew};
use crate::{
    config::Config,
    ids::GenerationId,
    import::ImportReport,
    schema::{Carry, Cohorts},
    source::Input,
    train::Report,
    workspace::{KeySource, Partition},
};

/// How records are brought under another configuration.
#[derive(Clone, Debug, Default)]
pub struct MigrateRequest {
    /// The configuration file; empty for `sisa.toml` in the workspace.
    pub config: PathBuf,
    /// Where the new model key comes from.
    pub keys: KeySource,
}

/// What a migration did.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct MigrateReport {
    /// The generation that has the records as the configuration declares them.
    pub generation: GenerationId,
    /// What differs from before, in words; empty where nothing does, and no generation was made.
    pub changes: Vec<String>,
    /// How many records there are; `None` where no generation was made.
    pub import: Option<ImportReport>,
    /// What was trained.
    pub report: Report,
    /// Whether the generation is whole, and serves.
    pub complete: bool,
}

impl Engine {
    /// Makes a generation of the records that are there, as the configuration declares columns, shards and slices now, without their source.
    /// What is new is missing in them. What serves goes on serving until the new one is whole, and deletions reach both.
    ///
    /// # Errors
    /// What is declared can't be had from the records as they are held, a slice is damaged, or the disk refuses. Run again, it goes on where it
    /// was.
    pub fn migrate(&self, request: &MigrateRequest, observer: &dyn Observer) -> Result<MigrateReport, Error> {
        self.again(|| self.migrated(request, observer))
    }

    fn migrated(&self, request: &MigrateRequest, observer: &dyn Observer) -> Result<MigrateReport, Error> {
        let path = self.config_file(&request.config);
        if self.workspace.files().stat(&path)?.is_none() {
            return Err(Error::NoConfig { config: path });
        }
        let config = Config::read(self.workspace.files(), &path)?.with_threads(self.threads());
        let writing = self.open_for_writing()?;
        self.check_generations(writing.history())?;
        let (current, record) = self.workspace.serving(writing.snapshot())?;
        let old = self.workspace.partition(current.generation, record)?;
        let schema = config.declaration()?.resolve_known(&old.schema)?;
        let partition = partition_of(&config, schema)?;
        if partition == old {
            // Another one may be newer, and would not be what was asked for.
            self.begun(writing.history(), current, &partition)?;
            // What was stopped when it served already is tidied up.
            let target = current.clone();
            let Built { report, complete, .. } = self.whole(writing, &target, observer)?;
            return Ok(MigrateReport { generation: target.generation, changes: Vec::new(), import: None, report, complete });
        }
        let carry = Carry::new(&old.schema, &partition.schema).map_err(|changes| Error::NotMigrated { changes })?;
        let recipe = config.recipe()?;
        self.check_rows(&recipe, &partition.schema, Some(&config), &Input::new())?;
        self.check_memory(&recipe, &partition.schema.layout(), partition.grid().shards)?;
        let changes = changes(&old, &partition, &carry);
        changes.iter().for_each(|change| observer.note(change));
        let (declared, aggregate) = (recipe.digest(), config.aggregate());
        let anew = Anew { keys: &request.keys, partition, carry: Some(carry), recipe, declared, aggregate };
        let (import, generation, built) = self.build_anew(writing, anew, observer)?;
        Ok(MigrateReport { generation, changes, import: Some(import), report: built.report, complete: built.complete })
    }
}

/// What differs, in words.
fn changes(old: &Partition, new: &Partition, carry: &Carry) -> Vec<String> {
    let (from, to) = (old.grid(), new.grid());
    let mut changes = carry.changes().to_vec();
    if (from.shards_of_block(), from.slices) != (to.shards_of_block(), to.slices) {
        let say = |grid: crate::order::Grid| format!("S={} R={}", grid.shards_of_block(), grid.slices);
        changes.push(format!("{} instead of {}", say(to), say(from)));
    }
    if old.cohort != new.cohort {
        let say = |partition: &Partition| partition.cohort.as_ref().map_or("no cohorts".into(), Cohorts::describe);
        changes.push(format!("{} instead of {}: {} shards instead of {}", say(new), say(old), to.shards, from.shards));
    }
    if from.holdout != to.holdout {
        changes.push(format!("a share of {} is held out instead of {}", to.holdout, from.holdout));
    }
    if changes.is_empty() {
        changes.push("tables that come from now on are read in another way".into());
    }
    changes
}
