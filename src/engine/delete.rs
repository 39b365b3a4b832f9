//! `sisa delete` and `sisa unsuppress`.

use super::{Engine, Error, Observer, RepairReport};
use crate::{
    delete::{DeleteError, Targets, bring_into_effect, draft},
    ids::Handle,
    ledger::{Accepted, Effective, Event, OutcomeKind, RequestRecord, Unsuppressed},
    workspace::{Snapshot, WorkspaceError},
};

/// Whose records are to go, and how.
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

/// What a deletion did.
#[derive(Clone, Debug)]
#[non_exhaustive]
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

/// What a deletion would do.
#[derive(Clone, Debug)]
#[non_exhaustive]
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
                let came = self.pool.install(|| bring_into_effect(&self.workspace, &lock, &mut snapshot.history, draft))?;
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
            Some(_) => crate::train::pilot(&self.workspace.serving_model(&snapshot)?, self.threads())?,
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
}

/// Request names go into file names of people's systems and into logs.
fn checked_name(name: &str) -> Result<String, DeleteError> {
    let fine = |c: char| c.is_ascii_alphanumeric() || "-_.:".contains(c);
    if name.is_empty() || name.len() > 128 || !name.chars().all(fine) {
        return Err(DeleteError::BadRequestId { request: name.chars().take(40).collect() });
    }
    Ok(name.into())
}
