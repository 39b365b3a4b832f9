//! Writing to a workspace: who may, and what there is to go on from.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::{Current, Snapshot, Workspace, WorkspaceError};
use crate::{
    fs::{Files, FsError, LockGuard, Pending},
    ledger::{Appended, Event, Head, History, Imported, LedgerError, Switched},
    shard::Cells,
};

/// A mark of a process at work: a temporary file that stays behind unless the work came to its end with every name made durable. The
/// next writer that finds one without a living owner sweeps and syncs all folders.
#[derive(Debug)]
pub struct Session(Option<Pending>);

impl Session {
    /// Takes the mark away: nothing of ours is left to sweep or to sync.
    ///
    /// # Errors
    /// The disk refuses; all that was done stands.
    pub fn done(mut self) -> Result<(), FsError> {
        self.end()
    }

    fn end(&mut self) -> Result<(), FsError> {
        self.0.take().map_or(Ok(()), Pending::discard)
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        if let Some(mark) = self.0.take() {
            mark.abandon();
        }
    }
}

/// The mark of a writer that came to its end, kept by a process that stays for the next time: making one costs a sync. It says no more
/// than that the process lives, and goes with it.
#[derive(Debug, Default)]
pub(super) struct KeptMark(Mutex<Option<Session>>);

impl KeptMark {
    fn lock(&self) -> MutexGuard<'_, Option<Session>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for KeptMark {
    fn drop(&mut self) {
        if let Some(session) = self.lock().take() {
            // One that stays costs the next writer a sweep, no more.
            let _ = session.done();
        }
    }
}

/// The right to change what is in service.
#[derive(Debug)]
struct WriterLock {
    /// There from the beginning to the end.
    session: Option<Session>,
    /// Where it is kept.
    kept: Option<Arc<KeptMark>>,
    /// Whether the last writer or a builder left its mark.
    unfinished: bool,
    files: Files,
    /// [`Files::changes`] when the work began.
    changes: u64,
    #[expect(dead_code, reason = "held, not read")]
    guard: Box<dyn LockGuard>,
}

impl WriterLock {
    /// Nothing is left to make sure of.
    fn end(&mut self) -> Result<(), FsError> {
        match (self.session.take(), &self.kept) {
            (Some(session), Some(kept)) => *kept.lock() = Some(session),
            (Some(session), None) => session.done()?,
            (None, _) => {}
        }
        Ok(())
    }
}

impl Drop for WriterLock {
    fn drop(&mut self) {
        // A command that was refused before it changed anything leaves the next writer nothing to make sure of.
        if self.files.changes() == self.changes {
            // A mark that stays costs the next writer a sweep, no more.
            let _ = self.end();
        }
    }
}

/// A workspace that is written to: the lock, and what ledger and `CURRENT` say, which only its holder changes. Held for protocols, never
/// for the length of a training run.
///
/// Dropped before [`Writing::done`] (by an error, a panic or the end of the process) it makes the next writer sweep and sync first, unless
/// nothing was changed.
#[derive(Debug)]
pub struct Writing {
    workspace: Workspace,
    snapshot: Snapshot,
    lock: WriterLock,
}

impl Writing {
    /// The workspace.
    pub fn workspace(&self) -> &Workspace {
        &self.workspace
    }

    /// What the ledger and `CURRENT` say now.
    pub fn snapshot(&self) -> &Snapshot {
        &self.snapshot
    }

    /// What the ledger adds up to now.
    pub fn history(&self) -> &History {
        &self.snapshot.history
    }

    /// What is in service now.
    pub fn current(&self) -> Option<&Current> {
        self.snapshot.current.as_ref()
    }

    /// Appends an entry, durably.
    ///
    /// # Errors
    /// When the disk refuses, or somebody else wrote without the lock; nothing is appended then.
    pub fn append(&mut self, event: Event) -> Result<Head, LedgerError> {
        self.workspace.ledger().append(&mut self.snapshot.history, event)
    }

    /// Appends entries in order, durably.
    ///
    /// # Errors
    /// As [`Writing::append`]; entries before the one that could not be appended stand.
    pub fn append_all(&mut self, events: Vec<Event>) -> Result<(), LedgerError> {
        self.workspace.ledger().append_all(&mut self.snapshot.history, events)
    }

    /// Appends the entry of an import, whose cells are these.
    ///
    /// # Errors
    /// As [`Writing::append`].
    pub fn append_import(&mut self, imported: Imported, cells: Cells) -> Result<Head, LedgerError> {
        self.workspace.ledger().append_import(&mut self.snapshot.history, imported, cells)
    }

    /// Appends the entry of a batch, after which the cells of its generation hold this.
    ///
    /// # Errors
    /// As [`Writing::append`].
    pub fn append_batch(&mut self, appended: Appended, cells: Cells) -> Result<Head, LedgerError> {
        self.workspace.ledger().append_batch(&mut self.snapshot.history, appended, cells)
    }

    /// Puts a generation and recipe into service: the ledger says so first, then `CURRENT`.
    ///
    /// # Errors
    /// The disk refuses.
    pub fn switch(&mut self, current: &Current) -> Result<(), LedgerError> {
        let Current { generation, recipe, aggregate } = current.clone();
        self.append(Event::Switched(Switched { generation, recipe, aggregate }))?;
        self.workspace.files().reached("switching");
        self.workspace.write_current(current)?;
        self.snapshot.current = Some(current.clone());
        Ok(())
    }

    /// Removes what the ledger does not know (any more), and makes every name durable.
    ///
    /// # Errors
    /// The disk refuses.
    pub fn sweep(&self) -> Result<(), WorkspaceError> {
        self.workspace.sweep(&self.snapshot.history, true)
    }

    /// Lets go of the lock, with every name that was changed made durable. Returns what ledger and `CURRENT` say.
    ///
    /// # Errors
    /// The disk refuses; all that the protocol did stands.
    pub fn done(mut self) -> Result<Snapshot, FsError> {
        self.lock.end()?;
        self.workspace.files().settle(self.workspace.root())?;
        Ok(self.snapshot)
    }
}

impl Workspace {
    /// Takes the writer lock and does what every writer does first: sweeps what a crash left, and makes all names durable if the last
    /// writer may not have.
    ///
    /// # Errors
    /// [`WorkspaceError::Busy`] without `wait`; the ledger is damaged, or the disk refuses.
    pub fn write(&self, wait: bool) -> Result<Writing, WorkspaceError> {
        let mut lock = self.lock(wait)?;
        let snapshot = self.snapshot()?;
        self.follow_ledger(&snapshot.history)?;
        // Whoever came to an end left nothing but perhaps scratch, which has owners of its own.
        if lock.unfinished {
            self.sweep(&snapshot.history, true)?;
        } else {
            self.sweep_scratch()?;
        }
        lock.changes = self.files().changes();
        Ok(Writing { workspace: self.clone(), snapshot, lock })
    }

    /// A mark for the time in which files are published. Whoever does so without the writer lock holds one until they are durable.
    ///
    /// # Errors
    /// The disk refuses.
    pub fn begin_session(&self) -> Result<Session, FsError> {
        let dir = self.sessions_dir();
        self.files().make_dirs(&dir)?;
        let session = self.files().begin(&dir.join("session"))?;
        // Temporary files of ours may outlive a power cut, so the mark has to.
        let session = Session(Some(session));
        self.files().sync_dir(&dir)?;
        Ok(session)
    }

    /// Takes the writer lock; makes the folders it needs.
    ///
    /// # Errors
    /// [`WorkspaceError::Busy`] without `wait`, or the disk refuses.
    fn lock(&self, wait: bool) -> Result<WriterLock, WorkspaceError> {
        let dir = self.ledger().dir().to_owned();
        self.files().make_dirs(&dir)?;
        let Some(guard) = self.files().lock(&dir, wait)? else {
            return Err(WorkspaceError::Busy { root: self.root().to_owned() });
        };
        self.files().check_locks(&dir)?;
        // The version before had its marks elsewhere.
        let first = self.files().stat(&self.sessions_dir())?.is_none();
        // Ours first, so that there is one at every moment.
        let kept = self.kept_mark.clone();
        let before = kept.as_ref().and_then(|kept| kept.lock().take());
        let session = Some(before.map_or_else(|| self.begin_session(), Ok)?);
        let unfinished = self.files().sweep(&self.sessions_dir())? || first;
        Ok(WriterLock { session, kept, unfinished, files: self.files().clone(), changes: u64::MAX, guard })
    }

    /// Whether somebody holds the writer lock now; with `wait`, waits until nobody does first.
    ///
    /// # Errors
    /// The disk refuses.
    pub fn is_written(&self, wait: bool) -> Result<bool, WorkspaceError> {
        match self.files().lock(self.ledger().dir(), wait) {
            Ok(free) => Ok(free.is_none()),
            Err(e) if e.is_not_found() => Ok(false),
            Err(e) => Err(e.into()),
        }
    }
}
