//! `sisa correct`: records keep their ids and hold something else, in effect and repaired like a deletion.

use super::{
    DeleteReport, Engine, Error, Forecast, Observer, RepairReport,
    delete::request_name,
    queue::{InEffect, before, in_effect},
};
use crate::{
    correct::{CorrectError, Corrections, RowFate, Worked, work_out},
    delete::{DeleteError, Draft, UnknownIds, accept, effect},
    ids::GenerationId,
    learn::rest,
    ledger::{Accepted, Effective},
    source::Input,
    workspace::{Snapshot, WorkspaceError},
};

/// What records are to hold from now on.
#[derive(Clone, Debug, Default)]
pub struct CorrectRequest {
    /// Tables in the form of what was imported: each row is what the record of its id is to hold.
    pub sources: Input,
    /// The request's name; made up when there is none.
    pub request_id: Option<String>,
    /// Leave the repair to a later command.
    pub defer: bool,
}

/// What a correction did.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct CorrectReport {
    /// What was accepted.
    pub accepted: Accepted,
    /// When.
    pub accepted_at: String,
    /// How it came into effect.
    pub effective: Effective,
    /// When.
    pub effective_at: String,
    /// Whether this is a repeat of a request that was accepted before.
    pub repeated: bool,
    /// Whether it was repaired before this call.
    pub done: bool,
    /// The repair, if it was done.
    pub repair: Option<RepairReport>,
    /// The rows that came to nothing, as their records are not there or their subjects are suppressed.
    pub left: Vec<RowFate>,
}

impl Engine {
    /// Corrects records: in effect when `effective` is called back, repaired on return unless deferred. A record whose subject is another
    /// one now goes to that one's shard.
    ///
    /// # Errors
    /// A row can't be used, the request's name belongs to another one, another process writes, or the disk refuses. Once it is accepted, it
    /// is finished by the next command that opens the workspace for writing.
    pub fn correct(
        &self,
        request: &CorrectRequest,
        observer: &dyn Observer,
        effective: impl FnOnce(&Accepted, &Effective, bool),
    ) -> Result<CorrectReport, Error> {
        let (came, left) = self.corrected(request, effective)?;
        let repair = if request.defer || came.done {
            None
        } else {
            let _turn = self.queue.repairs();
            self.repair_serving(false, observer)?
        };
        let DeleteReport { accepted, accepted_at, effective, effective_at, repeated, done, repair, .. } = came.report(repair);
        Ok(CorrectReport { accepted, accepted_at, effective, effective_at, repeated, done, repair, left })
    }

    /// Works a correction out and changes nothing. The rows that would come to nothing are among the unknown ones.
    ///
    /// # Errors
    /// As for [`Engine::correct`].
    pub fn forecast_correction(&self, request: &CorrectRequest) -> Result<Forecast, Error> {
        let (_, forecast) = self.at_one_moment(|snapshot| {
            self.workspace.placed(snapshot)?;
            let Worked { accepted, asked } = self.worked_out(snapshot, request, "dry-run", false)?;
            let rows = asked.left(&accepted.outcomes).into_iter().map(|row| row.place).collect();
            let speed = match &snapshot.current {
                Some(_) => crate::train::pilot(&self.workspace.serving_model(snapshot)?, self.threads())?,
                None => None,
            };
            Ok(Forecast {
                accepted,
                unknown: UnknownIds { rows, ..UnknownIds::default() },
                undated: None,
                row_passes_per_second: speed,
            })
        })?;
        Ok(forecast)
    }

    fn worked_out(&self, snapshot: &Snapshot, request: &CorrectRequest, name: &str, publish: bool) -> Result<Worked, Error> {
        let rows = |generation| self.corrections(snapshot, generation, &request.sources);
        let key = self.workspace.handle_key()?;
        let files = publish.then(|| self.workspace.files());
        Ok(work_out(&self.workspace, snapshot, (&key, name), rows, files)?)
    }

    /// The corrected rows as a generation encodes them.
    fn corrections(&self, snapshot: &Snapshot, generation: GenerationId, sources: &Input) -> Result<Corrections, CorrectError> {
        let record = snapshot.history.generations.get(&generation);
        let record = record.ok_or_else(|| WorkspaceError::Empty { root: self.workspace.root().to_owned() })?;
        let partition = self.workspace.partition(generation, record)?;
        let key = self.workspace.handle_key()?;
        if key.fingerprint() != record.imported.handle_key {
            let path = self.workspace.shards_dir().join("handle.key");
            return Err(WorkspaceError::KeyWrong { path, generation: generation.to_string() }.into());
        }
        Corrections::read(&partition.schema, &key.maker(), sources.open(&partition.form)?)
    }

    fn corrected(
        &self,
        request: &CorrectRequest,
        told: impl FnOnce(&Accepted, &Effective, bool),
    ) -> Result<(InEffect, Vec<RowFate>), Error> {
        let _turn = self.queue.turn();
        let (came, left) = self.again(|| self.corrected_once(request))?;
        came.tell(told);
        Ok((came, left))
    }

    fn corrected_once(&self, request: &CorrectRequest) -> Result<(InEffect, Vec<RowFate>), Error> {
        let mut writing = self.open_for_writing()?;
        let newest = writing.history().newest().map(|(id, _)| id);
        let newest = newest.ok_or_else(|| WorkspaceError::Empty { root: self.workspace.root().to_owned() })?;
        let asked = self.corrections(writing.snapshot(), newest, &request.sources)?;
        let name = request_name(writing.snapshot(), 0, request.request_id.as_deref())?;
        let ledger = self.workspace.ledger();
        let came = match ledger.request_ids(writing.history(), &name)? {
            Some(ids) if ids != asked.digest(&self.workspace.handle_key()?) => {
                return Err(DeleteError::OtherIds { request: name }.into());
            }
            Some(_) => {
                let record = ledger.requests()?.0.into_iter().find(|record| record.accepted.request == name);
                let record = record.ok_or(WorkspaceError::MovedOn)?;
                before(&writing, UnknownIds::default(), record)?
            }
            None => {
                // States that rows are taken out of and put in use all threads.
                let threads = self.threads.writing()?;
                let Worked { accepted, .. } = threads.install(|| self.worked_out(writing.snapshot(), request, &name, true))?;
                self.workspace.files().reached("waiting");
                let pending = accept(&mut writing, Draft::of_waiting(accepted).into())?;
                let came = threads.install(|| effect(&mut writing, pending))?.pop();
                rest(self.workspace.root());
                in_effect(&writing, UnknownIds::default(), came.ok_or(WorkspaceError::MovedOn)?)
            }
        };
        let left = asked.left(came.outcomes());
        writing.done()?;
        Ok((came, left))
    }
}
