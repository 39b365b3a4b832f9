//! `sisa delete`, `sisa repair`, `sisa rekey`, `sisa unsuppress`.

use std::path::PathBuf;

use super::{Engine, Error, Observer};
use crate::{
    delete::{DeleteError, Repair, Targets, bring_into_effect, draft},
    ids::{GenerationId, Handle},
    import::{ImportReport, NewGeneration, rekey_rows},
    ledger::{Accepted, Effective, Event, History, OutcomeKind, RequestRecord, Unsuppressed},
    train::Report,
    workspace::{Current, KeySource, Snapshot, WorkspaceError, WriterLock},
};

/// What `sisa delete` is asked to do.
#[derive(Clone, Debug, Default)]
pub struct DeleteRequest {
    /// Subject ids as in the source.
    pub subjects: Vec<String>,
    /// Record ids as in the source: for each record one text a column.
    pub records: Vec<Vec<String>>,
    /// Subjects by their handles, for whoever has no ids (a benchmark).
    pub handles: Vec<Handle>,
    /// The request's name; made up when there is none.
    pub request_id: Option<String>,
    /// Leave the repair to a later command.
    pub defer: bool,
    /// Do not refuse the ids in later imports.
    pub no_suppress: bool,
}

/// What `sisa delete` did.
#[derive(Clone, Debug)]
pub struct DeleteReport {
    /// What was accepted.
    pub accepted: Accepted,
    /// How it came into effect.
    pub effective: Effective,
    /// Whether this is a repeat of a request that was accepted before.
    pub repeated: bool,
    /// The repair, if it was done.
    pub repair: Option<RepairReport>,
}

/// What a repair did.
#[derive(Clone, Debug)]
pub struct RepairReport {
    /// What was trained.
    pub report: Report,
    /// What the ledger says of it; `None` when there was nothing to say, or a step could not be trained.
    pub repaired: Option<Repair>,
    /// Whether nothing is missing now.
    pub complete: bool,
    /// Checkpoints that were found damaged and built again.
    pub rebuilt: usize,
}

/// What a deletion would do.
#[derive(Clone, Debug)]
pub struct Forecast {
    /// What would be accepted.
    pub accepted: Accepted,
    /// Row-passes a second that this machine trains, measured on a few batches; `None` when nothing could be tried.
    pub row_passes_per_second: Option<f64>,
}

impl DeleteReport {
    /// Whether an id was not known.
    pub fn any_unknown(&self) -> bool {
        self.accepted.outcomes.iter().any(|o| o.outcome == OutcomeKind::NotFound)
    }
}

impl Engine {
    /// Deletes: in effect when `effective` is called back, repaired on return unless deferred.
    ///
    /// # Errors
    /// The ids or the request's name can't be used, another process writes, or the disk refuses. Once `accepted`, a request
    /// is finished by the next command that opens the workspace for writing.
    pub fn delete(
        &self,
        request: &DeleteRequest,
        observer: &dyn Observer,
        effective: impl FnOnce(&Accepted, &Effective, bool),
    ) -> Result<DeleteReport, Error> {
        let (lock, mut snapshot) = self.open_for_writing()?;
        let targets = self.targets(&snapshot, &request.subjects, &request.records, &request.handles)?;
        let key = self.workspace.handle_key()?;
        let name = match &request.request_id {
            Some(name) => checked_name(name)?,
            None => format!("r{:08}-{}", snapshot.history.head.sequence + 1, crate::fs::utc_now().replace([':', '.'], "-")),
        };
        let mut repeated = false;
        let (accepted, came) = match snapshot.history.requests.get(&name) {
            Some(first) if first.accepted.ids != targets.digest(&key) => {
                return Err(DeleteError::OtherIds { request: name }.into());
            }
            Some(RequestRecord { accepted, effective: Some((_, effective)), .. }) => {
                repeated = true;
                (accepted.clone(), effective.clone())
            }
            // Opening for writing has brought every accepted request into effect.
            Some(_) => return Err(WorkspaceError::NotEffective { request: name }.into()),
            None => {
                let draft = draft(&self.workspace, &snapshot, &key, &name, &targets, !request.no_suppress)?;
                let accepted = draft.accepted.clone();
                // States that rows are taken out of use all threads.
                let pool = super::train::rayon_pool(self.threads)?;
                let came = pool.install(|| bring_into_effect(&self.workspace, &lock, &mut snapshot.history, draft))?;
                (accepted, came)
            }
        };
        effective(&accepted, &came, repeated);
        lock.done()?;
        let repair = if request.defer || repeated { None } else { self.repair_serving(&snapshot, false, observer)? };
        Ok(DeleteReport { accepted, effective: came, repeated, repair })
    }

    /// Works a deletion out and changes nothing.
    ///
    /// # Errors
    /// As for [`Engine::delete`].
    pub fn forecast(&self, request: &DeleteRequest) -> Result<Forecast, Error> {
        let snapshot = self.workspace.answering_snapshot()?;
        let targets = self.targets(&snapshot, &request.subjects, &request.records, &request.handles)?;
        let key = self.workspace.handle_key()?;
        let draft = draft(&self.workspace, &snapshot, &key, "dry-run", &targets, !request.no_suppress)?;
        let speed = match &snapshot.current {
            Some(_) => crate::train::pilot(&self.workspace.serving_model(&snapshot)?, self.threads)?,
            None => None,
        };
        Ok(Forecast { accepted: draft.accepted, row_passes_per_second: speed })
    }

    fn targets(
        &self,
        snapshot: &Snapshot,
        subjects: &[String],
        records: &[Vec<String>],
        handles: &[Handle],
    ) -> Result<Targets, Error> {
        let newest = snapshot.history.newest();
        let (generation, record) = newest.ok_or_else(|| WorkspaceError::Empty { root: self.workspace.root().to_owned() })?;
        let schema = self.workspace.partition(generation, record)?.schema;
        let key = self.workspace.handle_key()?;
        if key.fingerprint() != record.imported.handle_key {
            let path = self.workspace.shards_dir().join("handle.key");
            return Err(WorkspaceError::KeyWrong { path, generation: generation.to_string() }.into());
        }
        Ok(Targets::new(&schema, &key, subjects, records, handles)?)
    }

    /// Trains what the generation and recipe in service lack, and closes the requests that waited for it. With `all`, every checkpoint
    /// is read and checked first, also those that are known to be durable.
    pub(super) fn repair_serving(
        &self,
        snapshot: &Snapshot,
        all: bool,
        observer: &dyn Observer,
    ) -> Result<Option<RepairReport>, Error> {
        let Some(current) = &snapshot.current else { return Ok(None) };
        let model = self.workspace.serving_model(snapshot)?;
        let shards: Vec<_> = model.shards.grid().shards().collect();
        let (plans, rebuilt) = self.plans(&model, &shards, all)?;
        let (report, complete, repaired) = self.build_until_whole(&model, plans, current, observer)?;
        Ok(Some(RepairReport { report, repaired, complete, rebuilt }))
    }

    /// Checks every checkpoint in service, builds the damaged and the missing again, and closes waiting requests. Damaged slices
    /// are first written again `from` their source, or emptied with `drop_slice`.
    ///
    /// # Errors
    /// A slice is damaged, or the disk refuses.
    pub fn repair(&self, from: &[PathBuf], drop_slice: bool, observer: &dyn Observer) -> Result<RepairReport, Error> {
        if !from.is_empty() || drop_slice {
            self.mend(from, observer)?;
        }
        let (lock, snapshot) = self.open_for_writing()?;
        self.check_generations(&snapshot.history)?;
        self.workspace.serving(&snapshot)?;
        lock.done()?;
        let report = self.repair_serving(&snapshot, true, observer)?;
        let report = report.ok_or_else(|| WorkspaceError::NoRecipe { root: self.workspace.root().to_owned() })?;
        if report.report.interrupted() {
            return Err(Error::Interrupted);
        }
        Ok(report)
    }

    /// Trains anew under a fresh model key, beside the ensemble in service, which serves until the new one is whole and is then purged.
    ///
    /// # Errors
    /// A slice is damaged, or the disk refuses. Run again, it goes on where it was.
    pub fn rekey(&self, keys: &KeySource, observer: &dyn Observer) -> Result<(ImportReport, GenerationId, Report), Error> {
        let (lock, mut snapshot) = self.open_for_writing()?;
        self.check_generations(&snapshot.history)?;
        let (current, _) = self.workspace.serving(&snapshot)?;
        let current = current.clone();
        // A rekeying that was interrupted is newer than what serves, and goes on.
        let begun = snapshot.history.newest().filter(|(_, g)| g.imported.rekeys == Some(current.generation)).map(|(id, g)| {
            let imported = &g.imported;
            let report = ImportReport {
                records: imported.records,
                held_out: imported.held_out,
                refused: imported.refused,
                ..ImportReport::default()
            };
            (id, report)
        });
        let (generation, import) = match begun {
            Some(begun) => begun,
            None => self.rekey_import(keys, &lock, &mut snapshot.history, &current)?,
        };
        let record = snapshot.history.generations.get(&current.generation).ok_or(WorkspaceError::MovedOn)?;
        let recipe = self.workspace.recipe(current.generation, record, &current.recipe)?;
        let declared = record.recipes.iter().find(|r| r.recipe == current.recipe).map(|r| r.declared);
        if snapshot.history.newest_recipe(generation).is_none() {
            self.publish_recipe_as(&mut snapshot.history, generation, &recipe, declared.unwrap_or(recipe.digest()))?;
        }
        let target = Current { generation, recipe: recipe.id(), aggregate: current.aggregate };
        let record = snapshot.history.generations.get(&generation).ok_or(WorkspaceError::MovedOn)?;
        let model = self.workspace.model(generation, record, &target.recipe)?;
        lock.done()?;
        let shards: Vec<_> = model.shards.grid().shards().collect();
        let (plans, _) = self.plans(&model, &shards, false)?;
        let (report, _, _) = self.build_until_whole(&model, plans, &target, observer)?;
        if report.interrupted() {
            return Err(Error::Interrupted);
        }
        Ok((import, generation, report))
    }

    fn rekey_import(
        &self,
        keys: &KeySource,
        lock: &WriterLock,
        history: &mut History,
        current: &Current,
    ) -> Result<(GenerationId, ImportReport), Error> {
        let record = history.generations.get(&current.generation).ok_or(WorkspaceError::MovedOn)?;
        let from = self.workspace.shard_store(current.generation, record)?;
        let generation = GenerationId(history.last_generation).next();
        let plan = NewGeneration {
            generation,
            rekeys: Some(current.generation),
            partition: self.workspace.partition(current.generation, record)?,
            handle_key: self.workspace.handle_key()?,
            model_key: keys.model_key(self.workspace.files(), Some(generation))?,
        };
        let pool = super::train::rayon_pool(self.threads)?;
        let report = pool.install(|| rekey_rows(&self.workspace, lock, history, &plan, &from))?;
        Ok((generation, report))
    }

    /// Takes ids off the list of those that imports refuse. Returns how many were on it.
    ///
    /// # Errors
    /// The ids can't be used, another process writes, or the disk refuses.
    pub fn unsuppress(&self, subjects: &[String], records: &[Vec<String>]) -> Result<usize, Error> {
        let (lock, mut snapshot) = self.open_for_writing()?;
        let targets = self.targets(&snapshot, subjects, records, &[])?;
        let handles: Vec<_> = targets.iter().map(|t| t.handle).filter(|h| snapshot.history.suppressed.contains(h)).collect();
        let count = handles.len();
        if count > 0 {
            self.workspace.ledger().append(&mut snapshot.history, Event::Unsuppressed(Unsuppressed { handles }))?;
        }
        lock.done()?;
        Ok(count)
    }

    /// The requests in the ledger, in order.
    ///
    /// # Errors
    /// The ledger is damaged.
    pub fn log(&self) -> Result<Vec<RequestRecord>, Error> {
        let mut requests: Vec<_> = self.workspace.ledger().read()?.requests.into_values().collect();
        requests.sort_by_key(|r| r.sequence);
        Ok(requests)
    }
}

/// Request names go into file names of people's systems and into logs.
fn checked_name(name: &str) -> Result<String, DeleteError> {
    let fine = |c: char| c.is_ascii_alphanumeric() || "-_.:".contains(c);
    if name.is_empty() || name.len() > 128 || !name.chars().all(fine) {
        return Err(DeleteError::BadRequestId { request: name.chars().take(40).collect() });
    }
    Ok(name.into())
}
