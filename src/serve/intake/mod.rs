//! Requests that are to be kept beside the ledger: because they are not in it yet, because of a day on which they are due, or because somebody
//! is to be told of them. Also legal holds. What is kept are handles, times and addresses.
//!
//! `service/intake/open/` has one file for each request that something is to be done for, `closed/` the others, `holds/` the holds. One service
//! of a workspace has the intake, by a lock on its folder; another one takes over when that ends.

mod hold;
mod record;
mod stored;
#[cfg(test)]
mod tests;

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard,
        atomic::{AtomicU64, Ordering},
    },
};

use serde::Serialize;
use sisa::{
    engine::{Engine, EntryKind, Error, FsError, Handle, LockGuard},
    wire,
};

pub(super) use self::{
    hold::Hold,
    record::{Listener, Record, Stage, Step},
    stored::holds,
};
use super::day;

const FOLDER: [&str; 2] = ["service", "intake"];
const SUFFIX: &str = ".json";
/// So many requests are written at once, each after those of the same name.
const STRIPES: usize = 64;

/// Why the intake can't be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum IntakeError {
    /// Another process has it.
    #[error("another service of this workspace takes these requests; ask there, or again when it has ended")]
    Elsewhere,
    /// A file is not what it should be.
    #[error("{}: {problem}; it is none of ours, move it away", path.display())]
    Damaged { path: PathBuf, problem: String },
    /// The disk refused.
    #[error(transparent)]
    Engine(#[from] Error),
}

impl From<FsError> for IntakeError {
    fn from(error: FsError) -> IntakeError {
        IntakeError::Engine(error.into())
    }
}

/// What came of a request that was brought in.
#[derive(Debug)]
pub(super) enum Received {
    /// It is kept, durably.
    New,
    /// It was there before, so.
    Before(Arc<Record>),
}

/// The intake of a workspace.
#[derive(Debug)]
pub(super) struct Intake {
    engine: Arc<Engine>,
    state: Mutex<Option<Kept>>,
    stripes: Vec<Mutex<()>>,
    /// Whoever puts a request into the ledger reads this, whoever makes a hold writes it: none of the two can overlook the other.
    gate: RwLock<()>,
    /// Counts what changed, for whoever looks.
    changes: AtomicU64,
}

/// What this process has, as long as it has the lock.
#[derive(Debug)]
struct Kept {
    _lock: Box<dyn LockGuard>,
    open: BTreeMap<String, Arc<Record>>,
    holds: BTreeMap<String, Hold>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What a request's file is called: its name may differ from another one in case alone.
fn file_name(request: &str) -> String {
    let digest = blake3::hash(request.as_bytes()).to_hex();
    format!("{}{SUFFIX}", digest.get(..32).unwrap_or_default())
}

impl Intake {
    pub(super) fn new(engine: Arc<Engine>) -> Intake {
        let stripes = (0..STRIPES).map(|_| Mutex::new(())).collect();
        Intake { engine, state: Mutex::new(None), stripes, gate: RwLock::new(()), changes: AtomicU64::new(0) }
    }

    fn folder(&self, part: &str) -> PathBuf {
        stored::folder(&self.engine, part)
    }

    fn open_file(&self, request: &str) -> PathBuf {
        self.folder("open").join(file_name(request))
    }

    fn closed_file(&self, request: &str) -> PathBuf {
        let name = file_name(request);
        self.folder("closed").join(name.get(..2).unwrap_or_default()).join(name)
    }

    fn read_record(&self, path: &Path) -> Result<Option<Record>, IntakeError> {
        let record: Option<Record> = stored::read(&self.engine, path)?;
        match &record {
            Some(Record { format, .. }) if *format != record::FORMAT => {
                let problem = format!("format {format} is not {}, which this version reads", record::FORMAT);
                Err(IntakeError::Damaged { path: path.to_owned(), problem })
            }
            _ => Ok(record),
        }
    }

    fn write(&self, path: &Path, what: &impl Serialize) -> Result<(), IntakeError> {
        if let Some(folder) = path.parent() {
            self.engine.files().make_dirs(folder)?;
        }
        let _ = self.engine.files().publish_private(path, &[wire::line(what).as_bytes()])?;
        self.changes.fetch_add(1, Ordering::SeqCst);
        Ok(())
    }

    /// How often something was written since the start.
    pub(super) fn changes(&self) -> u64 {
        self.changes.load(Ordering::SeqCst)
    }

    fn remove(&self, path: &Path) -> Result<(), IntakeError> {
        self.changes.fetch_add(1, Ordering::SeqCst);
        self.engine.files().unlink(path)?;
        if let Some(folder) = path.parent() {
            self.engine.files().sync_dir(folder)?;
        }
        Ok(())
    }

    /// Makes sure that this process has the intake.
    pub(super) fn take(&self) -> Result<(), IntakeError> {
        let mut state = lock(&self.state);
        if state.is_some() {
            return Ok(());
        }
        let (files, folder) = (self.engine.files(), self.folder(""));
        files.make_dirs(&folder)?;
        let _lock = files.lock(&folder, false)?.ok_or(IntakeError::Elsewhere)?;
        let closed = files.list(&self.folder("closed"))?.into_iter().map(|(name, _)| self.folder("closed").join(name));
        for folder in ["open", "holds"].map(|part| self.folder(part)).into_iter().chain(closed) {
            if files.stat(&folder)?.is_some_and(|stat| stat.kind == EntryKind::Dir) {
                files.sweep(&folder)?;
            }
        }
        let mut open = BTreeMap::new();
        for path in stored::files(&self.engine, "open")? {
            if let Some(record) = self.read_record(&path)? {
                open.insert(record.request.clone(), Arc::new(record));
            }
        }
        *state = Some(Kept { _lock, open, holds: stored::holds(&self.engine)? });
        Ok(())
    }

    /// Whether there is something to be taken over: requests or holds of a service before.
    pub(super) fn is_begun(&self) -> Result<bool, IntakeError> {
        Ok(self.engine.files().stat(&self.folder(""))?.is_some())
    }

    fn stripe(&self, request: &str) -> MutexGuard<'_, ()> {
        let at = usize::from(*blake3::hash(request.as_bytes()).as_bytes().first().unwrap_or(&0)) % STRIPES;
        #[expect(clippy::indexing_slicing, reason = "the remainder is below the number of stripes")]
        lock(&self.stripes[at])
    }

    /// The one of this name, open or closed.
    pub(super) fn find(&self, request: &str) -> Result<Option<Arc<Record>>, IntakeError> {
        if let Some(kept) = &*lock(&self.state)
            && let Some(record) = kept.open.get(request)
        {
            return Ok(Some(record.clone()));
        }
        // Of another process, or closed; it is closed before it is no longer open.
        for path in [self.open_file(request), self.closed_file(request)] {
            if let Some(record) = self.read_record(&path)? {
                return Ok(Some(Arc::new(record)));
            }
        }
        Ok(None)
    }

    /// Keeps a request; durable on return.
    pub(super) fn receive(&self, record: Record) -> Result<Received, IntakeError> {
        self.take()?;
        let _turn = self.stripe(&record.request);
        if let Some(before) = self.find(&record.request)? {
            return Ok(Received::Before(before));
        }
        self.write(&self.open_file(&record.request), &record)?;
        if let Some(kept) = &mut *lock(&self.state) {
            kept.open.insert(record.request.clone(), Arc::new(record));
        }
        Ok(Received::New)
    }

    /// Changes an open request; durable on return. `None` where none is open.
    pub(super) fn change<T>(&self, request: &str, change: impl FnOnce(&mut Record) -> T) -> Result<Option<T>, IntakeError> {
        self.take()?;
        let _turn = self.stripe(request);
        let Some(before) = lock(&self.state).as_ref().and_then(|kept| kept.open.get(request).cloned()) else { return Ok(None) };
        let mut record = (*before).clone();
        let done = change(&mut record);
        if record == *before {
            return Ok(Some(done));
        }
        if record.is_closed() {
            self.write(&self.closed_file(request), &record)?;
            self.remove(&self.open_file(request))?;
        } else {
            self.write(&self.open_file(request), &record)?;
        }
        if let Some(kept) = &mut *lock(&self.state) {
            if record.is_closed() {
                kept.open.remove(request);
            } else {
                kept.open.insert(request.to_owned(), Arc::new(record));
            }
        }
        Ok(Some(done))
    }

    /// As [`Intake::change`], while nothing is put into the ledger.
    pub(super) fn change_alone<T>(&self, request: &str, change: impl FnOnce(&mut Record) -> T) -> Result<Option<T>, IntakeError> {
        let _alone = self.holding();
        self.change(request, change)
    }

    /// All for which something is to be done; none where another process has them.
    pub(super) fn open(&self) -> Vec<Arc<Record>> {
        lock(&self.state).as_ref().map(|kept| kept.open.values().cloned().collect()).unwrap_or_default()
    }

    /// When a request is due, in seconds since 1970, if a day was named.
    pub(super) fn due(&self, request: &str) -> Option<f64> {
        lock(&self.state).as_ref()?.open.get(request).map(|record| record.due())
    }

    /// Whoever has this puts requests into the ledger that were found not to be held.
    pub(super) fn accepting(&self) -> RwLockReadGuard<'_, ()> {
        self.gate.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn holding(&self) -> RwLockWriteGuard<'_, ()> {
        self.gate.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// All holds, also those that have ended.
    pub(super) fn holds(&self) -> Result<Vec<Hold>, IntakeError> {
        match &*lock(&self.state) {
            Some(kept) => Ok(kept.holds.values().cloned().collect()),
            None => Ok(stored::holds(&self.engine)?.into_values().collect()),
        }
    }

    /// The name of a hold on one of these subjects.
    pub(super) fn held_by(&self, handles: &[Handle]) -> Result<Option<String>, IntakeError> {
        let now = day::now();
        let named =
            |holds: &BTreeMap<String, Hold>| holds.values().find(|hold| hold.holds(handles, now)).map(|hold| hold.name.clone());
        match &*lock(&self.state) {
            Some(kept) => Ok(named(&kept.holds)),
            None => Ok(named(&stored::holds(&self.engine)?)),
        }
    }

    /// Makes a hold, or another one of the same name; durable on return, and from then on nothing of its subjects is accepted.
    pub(super) fn hold(&self, hold: Hold) -> Result<(), IntakeError> {
        self.take()?;
        let _alone = self.holding();
        self.write(&self.folder("holds").join(file_name(&hold.name)), &hold)?;
        if let Some(kept) = &mut *lock(&self.state) {
            kept.holds.insert(hold.name.clone(), hold);
        }
        Ok(())
    }

    /// Ends a hold; tells whether there was one.
    pub(super) fn release(&self, name: &str) -> Result<bool, IntakeError> {
        self.take()?;
        let _alone = self.holding();
        let there = lock(&self.state).as_ref().is_some_and(|kept| kept.holds.contains_key(name));
        if there {
            self.remove(&self.folder("holds").join(file_name(name)))?;
            if let Some(kept) = &mut *lock(&self.state) {
                kept.holds.remove(name);
            }
        }
        Ok(there)
    }
}
