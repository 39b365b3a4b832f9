//! `sisa append`: a batch of records comes to what is in service.

use super::{Engine, Error, Observer, Progress, RepairReport};
use crate::{
    append::{InPlace, append, open_to_batches},
    ids::GenerationId,
    import::{ImportError, ImportReport, NewGeneration, stage_batch},
    ledger::BatchRecord,
    source::Input,
    workspace::{Snapshot, WorkspaceError},
};

/// What is appended.
#[derive(Clone, Debug, Default)]
pub struct AppendRequest {
    /// The sources of the batch, in the form of what was imported.
    pub sources: Input,
    /// The batch's name, so that it can be told when it comes again; without one it is told by its rows.
    pub name: Option<String>,
    /// Leave the training to a later command.
    pub defer: bool,
}

/// What became of a batch.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct AppendReport {
    /// Its name.
    pub name: String,
    /// What the ledger says of it.
    pub batch: BatchRecord,
    /// How its rows were read; `None` if the batch was there already.
    pub import: Option<ImportReport>,
    /// What was trained; `None` if that was left.
    pub repair: Option<RepairReport>,
}

/// How often a batch is read again because the generation changed meanwhile.
const TRIES: u32 = 4;

impl Engine {
    /// Appends a batch, trains on it unless that is deferred, and goes on with whatever else is missing. Until its steps are trained, what was
    /// whole before serves. `committed` is called when the batch is in the ledger and in its place.
    ///
    /// # Errors
    /// Anything wrong with the rows, the workspace or the disk. A batch that was not committed leaves everything as it was; one that was is
    /// gone on with by the next command that writes.
    pub fn append(
        &self,
        request: &AppendRequest,
        observer: &dyn Observer,
        committed: impl FnOnce(&str, &BatchRecord, Option<&ImportReport>),
    ) -> Result<AppendReport, Error> {
        let InPlace { name, batch, report } = self.again(|| self.appended(request, observer))?;
        committed(&name, &batch, report.as_ref());
        let repair = if request.defer { None } else { self.repair_serving(false, observer)? };
        if repair.as_ref().is_some_and(|repair| repair.report.interrupted()) {
            return Err(Error::Interrupted);
        }
        Ok(AppendReport { name, batch, import: report, repair })
    }

    /// Reads the batch while others may write, then commits it.
    fn appended(&self, request: &AppendRequest, observer: &dyn Observer) -> Result<InPlace, Error> {
        let mut tries = 0;
        loop {
            tries += 1;
            let snapshot = self.settled_snapshot()?;
            let (generation, _) = open_to_batches(&self.workspace, &snapshot)?;
            let plan = self.grown(&snapshot, generation)?;
            let progress = |bytes, total, rows| {
                observer.progress(Progress::Importing { bytes, total, rows });
                !observer.stopped()
            };
            let staged = self.threads.training().install(|| -> Result<_, Error> {
                let mut sources = request.sources.open(&plan.partition.form)?;
                if sources.is_empty() {
                    return Err(ImportError::NoRows.into());
                }
                Ok(stage_batch(&self.workspace, &plan, &mut sources, &progress)?)
            });
            let staged = match staged {
                Err(Error::Import(ImportError::Cell { place, error })) => {
                    return Err(self.bad_cells(&plan, &request.sources, place, error)?);
                }
                staged => staged?,
            };
            let mut writing = self.open_for_writing()?;
            let appended = self.threads.writing()?.install(|| append(&mut writing, &plan, &staged, request.name.as_deref()));
            match appended {
                Err(crate::append::AppendError::Workspace(WorkspaceError::MovedOn)) if tries < TRIES => writing.done()?,
                appended => {
                    let appended = appended?;
                    writing.done()?;
                    return Ok(appended);
                }
            };
        }
    }

    /// The generation that a batch comes to, as an import would make it.
    fn grown(&self, snapshot: &Snapshot, generation: GenerationId) -> Result<NewGeneration, Error> {
        let record = snapshot.history.generations.get(&generation).ok_or(WorkspaceError::MovedOn)?;
        let handle_key = self.workspace.handle_key()?;
        if handle_key.fingerprint() != record.imported.handle_key {
            let path = self.workspace.shards_dir().join("handle.key");
            return Err(WorkspaceError::KeyWrong { path, generation: generation.to_string() }.into());
        }
        Ok(NewGeneration {
            generation,
            rekeys: record.imported.rekeys,
            partition: self.workspace.partition(generation, record)?,
            handle_key,
            model_key: self.workspace.model_key(generation, record)?,
        })
    }
}
