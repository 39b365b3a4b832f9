//! `sisa delete` and `sisa unsuppress`.

use std::sync::Arc;

use super::{Engine, Error, Observer, RepairReport, queue::Heard};
use crate::{
    delete::{Before, DeleteError, Draft, Drafts, RowsAsked, Targets, UnknownIds, alike, draft},
    ids::Handle,
    ledger::{Accepted, Effective, Event, OutcomeKind, RequestRecord, Unsuppressed},
    source::Input,
    workspace::{Partition, Snapshot, WorkspaceError},
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
    /// Tables in the form of the source: each row takes one record that holds the same, of identical ones the last.
    pub rows: Input,
    /// Records whose date is before this one.
    pub older_than: Option<OlderThan>,
    /// Refuse the request, and change nothing, when it has ten ids or more, and more than half of them are unknown.
    pub refuse_mostly_unknown: bool,
    /// The request's name; made up when there is none.
    pub request_id: Option<String>,
    /// Leave the repair to a later command.
    pub defer: bool,
    /// Do not refuse the ids in later imports.
    pub no_suppress: bool,
}

/// Which records are too old.
#[derive(Clone, Debug, Default)]
pub struct OlderThan {
    /// The first date that is not, as in `2023-01-31`.
    pub date: String,
    /// The column of dates; it may be left out where there is one alone.
    pub column: Option<String>,
}

/// What a deletion did.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct DeleteReport {
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
    /// Which ids were not found.
    pub unknown: UnknownIds,
    /// Records that stay as they have no date, where those before one were asked for; `None` also of a request that was accepted before.
    pub undated: Option<u64>,
}

/// What a deletion would do.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Forecast {
    /// What would be accepted.
    pub accepted: Accepted,
    /// Which ids would not be found.
    pub unknown: UnknownIds,
    /// Records that stay as they have no date, where those before one are asked for.
    pub undated: Option<u64>,
    /// Row-passes a second that this machine trains, measured on a few batches; `None` when nothing could be tried.
    pub row_passes_per_second: Option<f64>,
}

/// A request, looked up or worked out.
pub(super) enum Asked {
    /// It was accepted before, and is in effect.
    Before(Box<RequestRecord>),
    /// It is one of those that are accepted and come into effect in a moment.
    Waiting,
    /// What it would do.
    New(Box<Draft>),
}

impl DeleteReport {
    /// Whether an id was not known.
    pub fn any_unknown(&self) -> bool {
        self.accepted.outcomes.iter().any(|o| o.outcome == OutcomeKind::NotFound)
    }
}

impl Engine {
    /// Deletes: in effect when `effective` is called back, repaired on return unless deferred. Requests of other threads with the same engine
    /// that come while one waits for the writer lock come into effect together with it.
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
        let nobody: Heard = Arc::new(|_, _| ());
        let came = self.in_effect(request, &nobody, effective)?;
        let repair = if request.defer || came.done {
            None
        } else {
            let _turn = self.queue.repairs();
            self.repair_serving(false, observer)?
        };
        Ok(came.report(repair))
    }

    /// As [`Engine::delete`] of a deferred request, and calls back with the time of its acceptance as soon as the request is durable in the ledger: from then on it is
    /// finished whatever becomes of this process. Of a request that was accepted before nothing is called back. Whoever asks for this repairs by
    /// [`Engine::repair_waiting`].
    ///
    /// # Errors
    /// As [`Engine::delete`].
    pub fn begin_deletion(
        &self,
        request: &DeleteRequest,
        accepted: impl Fn(&Accepted, &str) + Send + Sync + 'static,
    ) -> Result<DeleteReport, Error> {
        let heard: Heard = Arc::new(accepted);
        Ok(self.in_effect(request, &heard, |_, _, _| ())?.report(None))
    }

    /// A request that was accepted, and how far it has come; `None` where none has the name. Of one that is not repaired yet no more is read than
    /// the end of the ledger.
    ///
    /// # Errors
    /// The ledger is damaged.
    pub fn deletion(&self, name: &str) -> Result<Option<RequestRecord>, Error> {
        let (snapshot, ledger) = (self.workspace.snapshot()?, self.workspace.ledger());
        if let Some(record) = snapshot.history.open_request(name) {
            let accepted = ledger.whole(record.sequence, &record.accepted)?;
            return Ok(Some(RequestRecord { accepted, ..record.clone() }));
        }
        match ledger.request_ids(&snapshot.history, name)? {
            None => Ok(None),
            Some(_) => Ok(ledger.requests()?.0.into_iter().find(|r| r.accepted.request == name)),
        }
    }

    /// What a request comes to, before anything is changed. `earlier` are requests that are worked out and will be accepted before it.
    pub(super) fn work_out(
        &self,
        snapshot: &Snapshot,
        request: &DeleteRequest,
        earlier: &Drafts,
    ) -> Result<(Targets, Asked), Error> {
        let targets = self.targets(snapshot, request)?;
        let key = self.workspace.handle_key()?;
        let name = request_name(snapshot, earlier.len(), request.request_id.as_deref())?;
        let ledger = self.workspace.ledger();
        let soon = earlier.ids(&name);
        match soon.map_or_else(|| ledger.request_ids(&snapshot.history, &name), |ids| Ok(Some(ids)))? {
            Some(ids) if ids != targets.digest(&key) => Err(DeleteError::OtherIds { request: name }.into()),
            Some(_) if soon.is_some() => Ok((targets, Asked::Waiting)),
            Some(_) => match ledger.requests()?.0.into_iter().find(|r| r.accepted.request == name) {
                Some(record) if record.accepted.suppress == request.no_suppress => {
                    Err(DeleteError::OtherSuppression { request: name, suppresses: record.accepted.suppress }.into())
                }
                Some(record) if record.effective.is_some() => Ok((targets, Asked::Before(Box::new(record)))),
                // Opening for writing has brought every accepted request into effect.
                _ => Err(WorkspaceError::NotEffective { request: name }.into()),
            },
            None => {
                let targets = targets.resolved(&self.workspace, snapshot, &key)?;
                let draft = draft(&self.workspace, snapshot, &key, &name, &targets, !request.no_suppress, earlier)?;
                let unknown = self.unknown(snapshot, request, &targets, &draft.accepted)?;
                if request.refuse_mostly_unknown {
                    refuse_mostly_unknown(&unknown, &draft.accepted)?;
                }
                Ok((targets.also_there(unknown.alike), Asked::New(Box::new(draft))))
            }
        }
    }

    /// Works a deletion out and changes nothing.
    ///
    /// # Errors
    /// As for [`Engine::delete`].
    pub fn forecast(&self, request: &DeleteRequest) -> Result<Forecast, Error> {
        Ok(self.at_one_moment(|snapshot| self.forecast_of(snapshot, request))?.1)
    }

    fn forecast_of(&self, snapshot: &Snapshot, request: &DeleteRequest) -> Result<Forecast, Error> {
        self.workspace.placed(snapshot)?;
        let key = self.workspace.handle_key()?;
        let targets = self.targets(snapshot, request)?.resolved(&self.workspace, snapshot, &key)?;
        let draft = draft(&self.workspace, snapshot, &key, "dry-run", &targets, !request.no_suppress, &Drafts::default())?;
        let speed = match &snapshot.current {
            Some(_) => crate::train::pilot(&self.workspace.serving_model(snapshot)?, self.threads())?,
            None => None,
        };
        let unknown = self.unknown(snapshot, request, &targets, &draft.accepted)?;
        Ok(Forecast { accepted: draft.accepted, unknown, undated: targets.undated(), row_passes_per_second: speed })
    }

    /// The unknown ids of a request that is not in effect yet, also as other spellings of them.
    fn unknown(
        &self,
        snapshot: &Snapshot,
        request: &DeleteRequest,
        targets: &Targets,
        accepted: &Accepted,
    ) -> Result<UnknownIds, Error> {
        let mut unknown = targets.unknown(&accepted.outcomes);
        if let (false, Some((generation, record))) =
            (unknown.subjects.is_empty() && unknown.records.is_empty(), snapshot.history.newest())
        {
            let schema = self.workspace.partition(generation, record)?.schema;
            let (key, typed) = (self.workspace.handle_key()?, (request.subjects.as_slice(), request.records.as_slice()));
            unknown.alike = alike(&self.workspace, snapshot, &key, &schema, typed, &unknown)?;
        }
        Ok(unknown)
    }

    pub(super) fn targets(&self, snapshot: &Snapshot, request: &DeleteRequest) -> Result<Targets, Error> {
        let newest = snapshot.history.newest();
        let (generation, record) = newest.ok_or_else(|| WorkspaceError::Empty { root: self.workspace.root().to_owned() })?;
        let Partition { schema, form, .. } = self.workspace.partition(generation, record)?;
        let key = self.workspace.handle_key()?;
        if key.fingerprint() != record.imported.handle_key {
            let path = self.workspace.shards_dir().join("handle.key");
            return Err(WorkspaceError::KeyWrong { path, generation: generation.to_string() }.into());
        }
        let DeleteRequest { subjects, records, handles, rows, older_than, .. } = request;
        let rows = RowsAsked::read(&schema, &key.maker(), rows.open(&form)?)?;
        let before = older_than.as_ref().map(|older| Before::new(&schema, older.column.as_deref(), &older.date)).transpose()?;
        Ok(Targets::new(&schema, &key, subjects, records, handles, (rows, before))?)
    }

    /// Takes ids off the list of those that imports refuse. Returns how many were on it.
    ///
    /// # Errors
    /// The ids can't be used, another process writes, or the disk refuses.
    pub fn unsuppress(&self, subjects: &[String], records: &[Vec<String>]) -> Result<usize, Error> {
        self.again(|| self.take_back(subjects, records))
    }

    fn take_back(&self, subjects: &[String], records: &[Vec<String>]) -> Result<usize, Error> {
        let mut writing = self.open_for_writing()?;
        let ids = DeleteRequest { subjects: subjects.to_vec(), records: records.to_vec(), ..DeleteRequest::default() };
        let targets = self.targets(writing.snapshot(), &ids)?;
        let known = self.workspace.ledger().handles(writing.history())?;
        let mut handles = Vec::new();
        for target in targets.iter() {
            if known.is_suppressed(target.handle)? {
                handles.push(target.handle);
            }
        }
        drop(known);
        let count = handles.len();
        if count > 0 {
            writing.append(Event::Unsuppressed(Unsuppressed { handles }))?;
        }
        writing.done()?;
        Ok(count)
    }
}

/// In a list that is shorter, one looks at the lines that are told, and `unsuppress` takes them back.
const LONG_LIST: usize = 10;

/// A list of other people's ids, or of another column, is a slip that would be refused in imports for good.
fn refuse_mostly_unknown(unknown: &UnknownIds, accepted: &Accepted) -> Result<(), DeleteError> {
    let (of, lost) = (accepted.outcomes.len(), |o: &&crate::ledger::Outcome| o.outcome == OutcomeKind::NotFound);
    let lost = accepted.outcomes.iter().filter(lost).count();
    if of >= LONG_LIST && lost * 2 > of {
        return Err(DeleteError::MostlyUnknown { unknown: unknown.clone(), of });
    }
    Ok(())
}

/// A request's name, made up where there is none: of one that is accepted after so many others.
pub(super) fn request_name(snapshot: &Snapshot, after: usize, given: Option<&str>) -> Result<String, DeleteError> {
    match given {
        Some(name) => checked_name(name),
        None => Ok(format!(
            "r{:08}-{}",
            snapshot.history.head.sequence + 1 + after as u64,
            crate::fs::utc_now().replace([':', '.'], "-")
        )),
    }
}

/// A name that a request can have: names go into file names of people's systems and into logs.
///
/// # Errors
/// [`DeleteError::BadRequestId`].
pub fn checked_name(name: &str) -> Result<String, DeleteError> {
    let fine = |c: char| c.is_ascii_alphanumeric() || "-_.:".contains(c);
    if name.is_empty() || name.len() > 128 || !name.chars().all(fine) {
        return Err(DeleteError::BadRequestId { request: name.chars().take(40).collect() });
    }
    Ok(name.into())
}
