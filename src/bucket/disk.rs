//! A workspace in a bucket as the engine's disk.

use std::{
    collections::BTreeSet,
    io,
    path::{Path, PathBuf},
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
};

use super::{
    Objects,
    commit::is_page_gone,
    keep::Kept,
    place::{Place, place, split},
    settle::Transaction,
    view::{Node, View},
};
use crate::fs::{AlignedBuf, Bytes, Disk, EntryKind, FileStat, LockGuard, RealDisk, ScratchFile, Writable};

/// Files from this length on are written into the bucket before the commit that names them, so that they need not stay in memory.
const EARLY_BYTES: usize = 16 << 20;
/// The folder whose lock makes a writer, and whose next name is looked for to learn of others.
const LEDGER: &str = "shards/ledger";

/// A workspace in a bucket. For one [`Engine`](../engine/struct.Engine.html) whose calls come one after the other: whoever would work beside
/// it in the same process takes another disk.
#[derive(Clone, Debug)]
pub struct BucketDisk(Arc<Shared>);

#[derive(Debug)]
pub(super) struct Shared {
    pub(super) bucket: Arc<dyn Objects>,
    root: PathBuf,
    local: PathBuf,
    real: RealDisk,
    pub(super) state: Mutex<State>,
    locked: Mutex<BTreeSet<PathBuf>>,
    unlocked: Condvar,
    pub(super) kept: Mutex<Kept>,
}

/// What changes.
#[derive(Debug, Default)]
pub(super) struct State {
    /// Whether the bucket was asked for its last commit.
    pub(super) opened: bool,
    /// Whether that was so just now.
    pub(super) fresh: bool,
    /// Whether the writer lock is held.
    writing: bool,
    /// How often a commit of somebody else came first.
    pub(super) overtaken: u64,
    pub(super) view: View,
    pub(super) transaction: Option<Transaction>,
}

impl State {
    /// Whether what others publish can be seen at once: nothing was changed beside what is seen, and nobody is about to.
    fn is_idle(&self) -> bool {
        !self.writing && self.view.changes.is_empty()
    }
}

impl Shared {
    /// Looks at names; again, if a page of them is gone because somebody has published meanwhile.
    pub(super) fn viewed<T>(&self, state: &mut State, look: impl Fn(&mut View, &dyn Objects) -> io::Result<T>) -> io::Result<T> {
        loop {
            match look(&mut state.view, &*self.bucket) {
                Err(e) if is_page_gone(&e) => {
                    let seen = state.view.base.number;
                    if !state.is_idle() {
                        return Err(self.overtaken(state));
                    }
                    self.refresh(state)?;
                    if state.view.base.number == seen {
                        return Err(e);
                    }
                }
                looked => return looked,
            }
        }
    }
}

/// A thread that panicked has left nothing half: what it changed is published by nobody.
pub(super) fn guard<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl BucketDisk {
    /// The workspace in `bucket`, which may be empty. `root` is what it is called: the same path is the root of the engine. Keys and `sisa.toml`
    /// are in the folder `local` of the machine. Nothing is asked of the bucket before somebody asks for a file.
    pub fn new(bucket: Arc<dyn Objects>, root: &Path, local: &Path) -> BucketDisk {
        BucketDisk(Arc::new(Shared {
            bucket,
            root: root.to_owned(),
            local: local.to_owned(),
            real: RealDisk::new(),
            state: Mutex::default(),
            locked: Mutex::default(),
            unlocked: Condvar::new(),
            kept: Mutex::default(),
        }))
    }

    fn place(&self, path: &Path) -> Place {
        place(&self.0.root, &self.0.local, path)
    }

    /// The state, with the last commit read once.
    fn state(&self) -> io::Result<MutexGuard<'_, State>> {
        let mut state = guard(&self.0.state);
        self.0.open(&mut state)?;
        Ok(state)
    }

    /// What is at a name of the bucket. Where the next entry of the ledger is not, somebody else may have put it there.
    fn look(&self, name: &str) -> io::Result<Node> {
        let mut state = self.state()?;
        let mut found = self.0.viewed(&mut state, |view, bucket| view.look(bucket, name))?;
        // Only of the next one, as entries are looked for far behind the last one too, to see that none is missing.
        if found.is_none()
            && state.is_idle()
            && let Some(before) = entry_before(name)
            && self.0.viewed(&mut state, |view, bucket| view.look(bucket, &before))?.is_some()
        {
            self.0.refresh(&mut state)?;
            found = self.0.viewed(&mut state, |view, bucket| view.look(bucket, name))?;
        }
        found.ok_or_else(gone)
    }

    fn object(&self, name: &str, object: &str) -> io::Result<Option<Bytes>> {
        if let Some(bytes) = guard(&self.0.kept).get(object) {
            return Ok(Some(bytes));
        }
        let Some(bytes) = self.0.bucket.get(object, None)? else {
            // Removed by somebody whose commit is newer than what this process sees.
            let mut state = self.state()?;
            if state.is_idle() {
                self.0.refresh(&mut state)?;
                return match self.0.viewed(&mut state, |view, bucket| view.look(bucket, name))? {
                    Some(Node::Object { object: now, .. }) if now == object => Err(gone()),
                    Some(_) => Ok(None),
                    None => Err(gone()),
                };
            }
            return Err(self.0.overtaken(&mut state));
        };
        let bytes = Bytes::owned(AlignedBuf::copy_of(&bytes));
        guard(&self.0.kept).keep(object, &bytes);
        Ok(Some(bytes))
    }

    fn is_there(&self, path: &Path) -> io::Result<()> {
        self.stat(path).map(|_| ())
    }

    fn try_lock(&self, path: &Path, wait: bool) -> Option<Lock> {
        let mut locked = guard(&self.0.locked);
        while locked.contains(path) {
            if !wait {
                return None;
            }
            locked = self.0.unlocked.wait(locked).unwrap_or_else(PoisonError::into_inner);
        }
        locked.insert(path.to_owned());
        Some(Lock { disk: self.clone(), path: path.to_owned() })
    }

    /// Makes the folders of a local file, which are not those of the bucket.
    fn make_local(&self, folder: &Path) -> io::Result<()> {
        if folder.as_os_str().is_empty() || self.0.real.stat(folder).is_ok_and(|stat| stat.kind == EntryKind::Dir) {
            return Ok(());
        }
        if let Some(above) = folder.parent() {
            self.make_local(above)?;
        }
        self.0.real.make_dir(folder)
    }
}

/// The name of the entry before the one that this is the name of; the folder where it is the first.
fn entry_before(name: &str) -> Option<String> {
    let number: u64 = name.strip_prefix(LEDGER)?.strip_prefix('/')?.strip_suffix(".json")?.parse().ok()?;
    Some(if number > 1 { format!("{LEDGER}/{:08}.json", number - 1) } else { LEDGER.to_owned() })
}

fn gone() -> io::Error {
    io::ErrorKind::NotFound.into()
}

/// A name that this process has for itself.
#[derive(Debug)]
struct Lock {
    disk: BucketDisk,
    path: PathBuf,
}

impl LockGuard for Lock {}

impl Drop for Lock {
    fn drop(&mut self) {
        if self.disk.place(&self.path) == Place::Bucket(LEDGER.to_owned()) {
            guard(&self.disk.0.state).writing = false;
        }
        guard(&self.disk.0.locked).remove(&self.path);
        self.disk.0.unlocked.notify_all();
    }
}

/// Nothing to be kept: an object that was read is in memory.
#[derive(Debug)]
struct Held;

impl LockGuard for Held {}

/// A file that is being written.
#[derive(Debug)]
struct Growing {
    bytes: Arc<Mutex<Vec<u8>>>,
    disk: BucketDisk,
    name: String,
    /// How often somebody else had come first when it was begun.
    overtaken: u64,
    #[expect(dead_code, reason = "held, not read")]
    lock: Lock,
}

impl Writable for Growing {
    fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        guard(&self.bytes).extend_from_slice(bytes);
        Ok(())
    }

    fn sync(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for Growing {
    fn drop(&mut self) {
        let mut state = guard(&self.disk.0.state);
        // All that was done beside it was given up: there is nothing for a mark to tell.
        if state.overtaken > self.overtaken {
            state.view.change_here(&self.name, None);
        }
    }
}

impl Disk for BucketDisk {
    fn create(&self, path: &Path, private: bool) -> io::Result<Box<dyn Writable>> {
        let name = match self.place(path) {
            Place::Local(path) => return self.0.real.create(&path, private),
            Place::Bucket(_) => {
                return Err(io::Error::new(io::ErrorKind::Unsupported, "files of a bucket are published, not created"));
            }
            Place::Here(name) => name,
        };
        let mut state = self.state()?;
        if state.view.look_here(&name).is_some() {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        if !self.0.viewed(&mut state, |view, bucket| view.has_above(bucket, &name))? {
            return Err(gone());
        }
        let lock = self.try_lock(path, false).ok_or(io::ErrorKind::AlreadyExists)?;
        let bytes = Arc::new(Mutex::default());
        state.view.change_here(&name, Some(Node::Growing(Arc::clone(&bytes), private)));
        Ok(Box::new(Growing { bytes, disk: self.clone(), name, overtaken: state.overtaken, lock }))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let (from, to) = (self.place(from), self.place(to));
        match (&from, &to) {
            (Place::Local(from), Place::Local(to)) => self.0.real.rename(from, to),
            (Place::Here(from), Place::Here(to)) => {
                if self.state()?.view.rename_here(from, to) {
                    Ok(())
                } else {
                    Err(gone())
                }
            }
            (Place::Here(from), Place::Local(to)) => {
                let Some(Node::Growing(bytes, private)) = self.state()?.view.look_here(from) else { return Err(gone()) };
                self.make_local(to.parent().unwrap_or(Path::new("")))?;
                let temporary = to.with_file_name(split(from).1);
                let mut file = self.0.real.create(&temporary, private)?;
                file.write_all(&guard(&bytes))?;
                file.sync()?;
                drop(file);
                self.0.real.rename(&temporary, to)?;
                self.state()?.view.change_here(from, None);
                Ok(())
            }
            (Place::Here(from), Place::Bucket(to)) => {
                let Some(Node::Growing(bytes, _)) = self.state()?.view.look_here(from) else { return Err(gone()) };
                let bytes = std::mem::take(&mut *guard(&bytes));
                let node = if bytes.len() >= EARLY_BYTES {
                    let object = self.0.upload_one(&bytes)?;
                    Node::Object { object, len: bytes.len() as u64 }
                } else {
                    Node::holding(&bytes)
                };
                let mut state = self.state()?;
                if !self.0.viewed(&mut state, |view, bucket| view.has_above(bucket, to))? {
                    return Err(gone());
                }
                state.view.change_here(from, None);
                state.view.change(to, Some(node));
                Ok(())
            }
            (Place::Bucket(from), Place::Bucket(to)) => {
                let mut state = self.state()?;
                let node = self.0.viewed(&mut state, |view, bucket| view.look(bucket, from))?.ok_or_else(gone)?;
                if node.is_folder() || !self.0.viewed(&mut state, |view, bucket| view.has_above(bucket, to))? {
                    return Err(io::ErrorKind::Unsupported.into());
                }
                state.view.change(from, None);
                state.view.change(to, Some(node));
                Ok(())
            }
            _ => Err(io::Error::new(io::ErrorKind::Unsupported, "what is in a bucket keeps its name")),
        }
    }

    fn unlink(&self, path: &Path) -> io::Result<()> {
        match self.place(path) {
            Place::Local(path) => self.0.real.unlink(&path),
            Place::Here(name) => match self.state()?.view.change_here(&name, None) {
                Some(_) => Ok(()),
                None => Err(gone()),
            },
            Place::Bucket(name) => {
                let mut state = self.state()?;
                match self.0.viewed(&mut state, |view, bucket| view.look(bucket, &name))? {
                    None => Err(gone()),
                    Some(Node::Folder) => Err(io::ErrorKind::IsADirectory.into()),
                    Some(_) => {
                        state.view.change(&name, None);
                        Ok(())
                    }
                }
            }
        }
    }

    fn make_dir(&self, path: &Path) -> io::Result<()> {
        let name = match self.place(path) {
            Place::Local(path) => return self.0.real.make_dir(&path),
            Place::Here(name) => {
                let mut state = self.state()?;
                if !self.0.viewed(&mut state, |view, bucket| view.has_above(bucket, &name))? {
                    return Err(gone());
                }
                if state.view.look_here(&name).is_none() {
                    state.view.change_here(&name, Some(Node::Folder));
                }
                return Ok(());
            }
            Place::Bucket(name) => name,
        };
        let mut state = self.state()?;
        match self.0.viewed(&mut state, |view, bucket| view.look(bucket, &name))? {
            Some(Node::Folder) => Ok(()),
            Some(_) => Err(io::ErrorKind::AlreadyExists.into()),
            None if self.0.viewed(&mut state, |view, bucket| view.has_above(bucket, &name))? => {
                state.view.change(&name, Some(Node::Folder));
                Ok(())
            }
            None => Err(gone()),
        }
    }

    fn remove_dir(&self, path: &Path) -> io::Result<()> {
        let place = self.place(path);
        if let Place::Local(path) = &place {
            return self.0.real.remove_dir(path);
        }
        if !self.list(path)?.is_empty() {
            return Err(io::ErrorKind::DirectoryNotEmpty.into());
        }
        let mut state = self.state()?;
        match place {
            Place::Bucket(name) => {
                state.view.change(&name, None);
                // The folder of its keys; it may be that somebody has put something else there.
                let _ = self.0.real.remove_dir(&self.0.local.join(&name));
            }
            Place::Here(name) => {
                state.view.change_here(&name, None);
            }
            Place::Local(_) => {}
        }
        Ok(())
    }

    fn list(&self, path: &Path) -> io::Result<Vec<(String, EntryKind)>> {
        let (Place::Bucket(name) | Place::Here(name)) = self.place(path) else { return self.0.real.list(path) };
        self.is_there(path)?;
        let mut state = self.state()?;
        if name.starts_with(LEDGER) && state.is_idle() {
            self.0.refresh(&mut state)?;
        }
        let found = self.0.viewed(&mut state, |view, bucket| view.list(bucket, &name))?;
        drop(state);
        let mut names: Vec<(String, EntryKind)> = (found.into_iter())
            .map(|(name, node)| (name, if node.is_folder() { EntryKind::Dir } else { EntryKind::File }))
            .collect();
        if matches!(self.place(path), Place::Bucket(_)) {
            let local = match self.0.real.list(&self.0.local.join(&name)) {
                Err(e) if e.kind() == io::ErrorKind::NotFound => Vec::new(),
                listed => listed?,
            };
            names.extend(
                local
                    .into_iter()
                    .filter(|(file, kind)| *kind == EntryKind::File && matches!(self.place(&path.join(file)), Place::Local(_))),
            );
        }
        names.sort();
        Ok(names)
    }

    fn read(&self, path: &Path) -> io::Result<Bytes> {
        let name = match self.place(path) {
            Place::Local(path) => return self.0.real.read(&path),
            Place::Here(name) => {
                return match self.state()?.view.look_here(&name).ok_or_else(gone)? {
                    Node::Bytes(bytes) => Ok(bytes),
                    Node::Growing(bytes, _) => Ok(Bytes::owned(AlignedBuf::copy_of(&guard(&bytes)))),
                    Node::Folder | Node::Object { .. } => Err(io::ErrorKind::IsADirectory.into()),
                };
            }
            Place::Bucket(name) => name,
        };
        loop {
            match self.look(&name)? {
                Node::Bytes(bytes) => return Ok(bytes),
                Node::Object { object, .. } => {
                    if let Some(bytes) = self.object(&name, &object)? {
                        return Ok(bytes);
                    }
                }
                Node::Folder | Node::Growing(..) => return Err(io::ErrorKind::IsADirectory.into()),
            }
        }
    }

    fn head(&self, path: &Path, len: usize) -> io::Result<(Vec<u8>, u64)> {
        match self.place(path) {
            Place::Local(path) => return self.0.real.head(&path, len),
            Place::Here(_) => {}
            Place::Bucket(name) => {
                if let Node::Object { object, len: whole } = self.look(&name)?
                    && guard(&self.0.kept).get(&object).is_none()
                    && let Some(bytes) = self.0.bucket.get(&object, Some(len.min(usize::try_from(whole).unwrap_or(len))))?
                {
                    return Ok((bytes, whole));
                }
            }
        }
        let bytes = self.read(path)?;
        Ok((bytes.get(..len).unwrap_or(&bytes).to_vec(), bytes.len() as u64))
    }

    fn stat(&self, path: &Path) -> io::Result<FileStat> {
        let node = match self.place(path) {
            Place::Local(path) => return self.0.real.stat(&path),
            Place::Here(name) => self.state()?.view.look_here(&name).ok_or_else(gone)?,
            Place::Bucket(name) => self.look(&name)?,
        };
        Ok(match node {
            Node::Folder => FileStat { kind: EntryKind::Dir, len: 0, mode: 0o755 },
            Node::Bytes(bytes) => FileStat { kind: EntryKind::File, len: bytes.len() as u64, mode: 0o644 },
            Node::Object { len, .. } => FileStat { kind: EntryKind::File, len, mode: 0o644 },
            Node::Growing(bytes, private) => {
                let mode = if private { 0o600 } else { 0o644 };
                FileStat { kind: EntryKind::File, len: guard(&bytes).len() as u64, mode }
            }
        })
    }

    fn sync_file(&self, path: &Path) -> io::Result<()> {
        match self.place(path) {
            Place::Local(path) => self.0.real.sync_file(&path),
            Place::Here(_) | Place::Bucket(_) => self.is_there(path),
        }
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        match self.place(path) {
            Place::Local(path) => self.0.real.sync_dir(&path),
            Place::Here(_) | Place::Bucket(_) => self.is_there(path),
        }
    }

    fn syncs_at_once(&self) -> usize {
        16
    }

    fn lock(&self, path: &Path, wait: bool) -> io::Result<Option<Box<dyn LockGuard>>> {
        let place = self.place(path);
        if let Place::Local(path) = &place {
            return self.0.real.lock(path, wait);
        }
        self.is_there(path)?;
        let Some(lock) = self.try_lock(path, wait) else { return Ok(None) };
        self.is_there(path)?;
        if place == Place::Bucket(LEDGER.to_owned()) {
            let mut state = self.state()?;
            if state.is_idle() && !std::mem::take(&mut state.fresh) {
                self.0.refresh(&mut state)?;
                state.fresh = false;
            }
            state.writing = true;
        }
        Ok(Some(Box::new(lock)))
    }

    fn hold(&self, path: &Path) -> io::Result<Box<dyn LockGuard>> {
        match self.place(path) {
            Place::Local(path) => self.0.real.hold(&path),
            Place::Here(_) | Place::Bucket(_) => self.is_there(path).map(|()| Box::new(Held) as Box<dyn LockGuard>),
        }
    }

    fn scratch(&self, dir: &Path) -> io::Result<Box<dyn ScratchFile>> {
        // Without a name, and gone with this process: rows on their way into slices, which are larger than memory may be.
        match self.place(dir) {
            Place::Local(dir) => self.0.real.scratch(&dir),
            Place::Here(_) | Place::Bucket(_) => {
                self.make_local(&self.0.local)?;
                self.0.real.scratch(&self.0.local)
            }
        }
    }

    fn settle(&self) -> io::Result<()> {
        self.0.settle()
    }

    fn overtaken(&self) -> u64 {
        guard(&self.0.state).overtaken
    }
}
