//! Publishing, sweeping and unlinking: every durable change of the engine is one of these.

use std::{
    collections::BTreeSet,
    io,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

use super::{Bytes, Disk, EntryKind, FileStat, FsError, LockGuard, ScratchFile, ahead::all_at_once};

/// How the names of our temporary files begin; nothing else is ever swept.
pub(super) const TEMPORARY: &str = ".sisa-tmp-";

/// How the names begin that things have while they are taken away.
const TAKEN: &str = "taken-";

/// Whether a published file is made durable before the call returns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Durability {
    /// File and folder are synced.
    Now,
    /// A digest will expose it if it is torn; somebody syncs later.
    Later,
}

/// Proof that a file is in place.
#[derive(Debug)]
#[must_use]
pub struct Published {
    /// Its length in bytes.
    pub bytes: u64,
}

/// A file on its way to its place; dropped before [`Pending::publish`] it leaves nothing.
#[derive(Debug)]
pub struct Pending {
    files: Files,
    path: PathBuf,
    temporary: Option<PathBuf>,
    file: Box<dyn super::Writable>,
    bytes: u64,
}

impl Pending {
    /// Appends bytes.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn write(&mut self, bytes: &[u8]) -> Result<(), FsError> {
        self.files.trusted()?;
        self.bytes += bytes.len() as u64;
        self.file.write_all(bytes).map_err(FsError::at("write", &self.path))
    }

    /// Makes what was written durable, under a name that means nothing yet: whoever puts the file in its place later has only the name left
    /// to sync.
    ///
    /// # Errors
    /// When the disk refuses; nothing more is written then.
    pub fn sync(&mut self) -> Result<(), FsError> {
        self.files.trusted()?;
        let synced = self.file.sync();
        self.files.synced(synced, &self.path)
    }

    /// Removes the temporary file.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn discard(mut self) -> Result<(), FsError> {
        match self.temporary.take() {
            Some(temporary) => self.files.unlink(&temporary).map(|_| ()),
            None => Ok(()),
        }
    }

    /// Leaves the temporary file where it is, for somebody else to find and sweep.
    pub fn abandon(mut self) {
        self.temporary = None;
    }

    /// Puts the file in its place.
    ///
    /// # Errors
    /// When the disk refuses; nothing is at the place that was not there before, unless the last sync failed.
    pub fn publish(mut self, sync: Durability) -> Result<Published, FsError> {
        self.files.trusted()?;
        if sync == Durability::Now {
            self.sync()?;
        }
        if let Some(temporary) = &self.temporary {
            self.files.disk.rename(temporary, &self.path).map_err(FsError::at("rename into place", &self.path))?;
        }
        self.temporary = None;
        if sync == Durability::Now {
            self.files.sync_dir(parent(&self.path))?;
        }
        Ok(Published { bytes: self.bytes })
    }
}

impl Drop for Pending {
    fn drop(&mut self) {
        // After a failed sync nothing changes the disk any more; the next open sweeps.
        if let Some(temporary) = self.temporary.as_ref().filter(|_| self.files.trusted().is_ok()) {
            // Leaving no half file behind is worth a try; open sweeps it otherwise.
            let _ = self.files.disk.unlink(temporary);
        }
    }
}

/// A disk, and whether it can still be trusted. Cheap to clone; clones share the trust.
#[derive(Clone, Debug)]
pub struct Files {
    disk: Arc<dyn Disk>,
    poisoned: Arc<AtomicBool>,
    counter: Arc<AtomicU64>,
    changes: Arc<AtomicU64>,
    /// Folders are made only below this one.
    floor: Option<Arc<Path>>,
}

impl Files {
    /// Files on `disk`.
    pub fn new(disk: Arc<dyn Disk>) -> Files {
        Files { disk, poisoned: Arc::default(), counter: Arc::default(), changes: Arc::default(), floor: None }
    }

    /// How often something was changed, or tried to be, through this and its clones: whoever sees the same number twice has changed nothing.
    pub fn changes(&self) -> u64 {
        self.changes.load(Ordering::Relaxed)
    }

    fn changed(&self) {
        self.changes.fetch_add(1, Ordering::Relaxed);
    }

    /// Puts a file at `path`, whole or not at all: temporary file in the same folder, write, sync, rename, sync folder.
    ///
    /// # Errors
    /// When the disk refuses; nothing is at `path` that was not there before, unless the last sync failed.
    pub fn publish(&self, path: &Path, parts: &[&[u8]], sync: Durability) -> Result<Published, FsError> {
        self.publish_as(path, parts, sync, false)
    }

    /// As [`Files::publish`], durable and readable by its owner alone.
    ///
    /// # Errors
    /// As there.
    pub fn publish_private(&self, path: &Path, parts: &[&[u8]]) -> Result<Published, FsError> {
        self.publish_as(path, parts, Durability::Now, true)
    }

    fn publish_as(&self, path: &Path, parts: &[&[u8]], sync: Durability, private: bool) -> Result<Published, FsError> {
        let mut pending = self.begin_as(path, private)?;
        for part in parts {
            pending.write(part)?;
        }
        pending.publish(sync)
    }

    /// Begins a file that is too large to be held in memory; nothing is at `path` until [`Pending::publish`].
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn begin(&self, path: &Path) -> Result<Pending, FsError> {
        self.begin_as(path, false)
    }

    fn begin_as(&self, path: &Path, private: bool) -> Result<Pending, FsError> {
        self.trusted()?;
        let (temporary, file) = self.create_temporary(parent(path), private)?;
        Ok(Pending { files: self.clone(), path: path.to_owned(), temporary: Some(temporary), file, bytes: 0 })
    }

    fn create_temporary(&self, dir: &Path, private: bool) -> Result<(PathBuf, Box<dyn super::Writable>), FsError> {
        loop {
            let n = self.counter.fetch_add(1, Ordering::Relaxed);
            let path = dir.join(format!("{TEMPORARY}{}-{n}", std::process::id()));
            match self.disk.create(&path, private) {
                Ok(file) => {
                    self.changed();
                    return Ok((path, file));
                }
                Err(e) if e.kind() == io::ErrorKind::AlreadyExists && n < 1 << 20 => {}
                Err(e) => return Err(FsError::at("create", &path)(e)),
            }
        }
    }

    /// Removes a file's name; fine when it is gone already. Not durable until the folder is synced.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn unlink(&self, path: &Path) -> Result<bool, FsError> {
        self.trusted()?;
        self.changed();
        match self.disk.unlink(path) {
            Ok(()) => Ok(true),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(e) => Err(FsError::at("remove", path)(e)),
        }
    }

    /// Gives a durable file the name of another in the same folder, in whose place it is then. Not durable until the folder is synced.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn replace(&self, from: &Path, to: &Path) -> Result<(), FsError> {
        self.trusted()?;
        self.changed();
        self.disk.rename(from, to).map_err(FsError::at("rename into place", to))
    }

    /// Keeps a file's blocks while the guard lives; `None` when the file is gone.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn hold(&self, path: &Path) -> Result<Option<Box<dyn LockGuard>>, FsError> {
        absent_is_none(self.disk.hold(path)).map_err(FsError::at("open", path))
    }

    /// The same disk, on which no folder is made but below `floor`: once that is taken away, nothing is put in its place.
    pub fn below(&self, floor: &Path) -> Files {
        Files { floor: Some(floor.into()), ..self.clone() }
    }

    /// Makes a folder and those above it, durably.
    ///
    /// # Errors
    /// When the disk refuses, or the folder is not below the floor ([`Files::below`]).
    pub fn make_dirs(&self, path: &Path) -> Result<(), FsError> {
        self.trusted()?;
        if self.stat(path)?.is_some_and(|s| s.kind == EntryKind::Dir) {
            return Ok(());
        }
        if self.floor.as_deref().is_some_and(|floor| path == floor || !path.starts_with(floor)) {
            return Err(FsError::at("make folder", path)(io::ErrorKind::NotFound.into()));
        }
        let above = parent(path);
        if above != path && !above.as_os_str().is_empty() {
            self.make_dirs(above)?;
        }
        self.changed();
        self.disk.make_dir(path).map_err(FsError::at("make folder", path))?;
        self.sync_dir(above)
    }

    /// Removes an empty folder; `false` when it is not empty or gone.
    ///
    /// # Errors
    /// When the disk refuses for another reason.
    pub fn remove_dir(&self, path: &Path) -> Result<bool, FsError> {
        self.trusted()?;
        self.changed();
        match self.disk.remove_dir(path) {
            Ok(()) => Ok(true),
            Err(e) if matches!(e.kind(), io::ErrorKind::NotFound | io::ErrorKind::DirectoryNotEmpty) => Ok(false),
            Err(e) => Err(FsError::at("remove folder", path)(e)),
        }
    }

    /// Names in a folder, sorted; none when the folder is not there.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn list(&self, path: &Path) -> Result<Vec<(String, EntryKind)>, FsError> {
        Ok(absent_is_none(self.disk.list(path)).map_err(FsError::at("list", path))?.unwrap_or_default())
    }

    /// A file's bytes.
    ///
    /// # Errors
    /// When the disk refuses, or the file is not there.
    pub fn read(&self, path: &Path) -> Result<Bytes, FsError> {
        self.disk.read(path).map_err(FsError::at("read", path))
    }

    /// At most the first `len` bytes of a file, and its whole length.
    ///
    /// # Errors
    /// When the disk refuses, or the file is not there.
    pub fn head(&self, path: &Path, len: usize) -> Result<(Vec<u8>, u64), FsError> {
        self.disk.head(path, len).map_err(FsError::at("read", path))
    }

    /// Kind, length and permissions; `None` when nothing is there.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn stat(&self, path: &Path) -> Result<Option<FileStat>, FsError> {
        absent_is_none(self.disk.stat(path)).map_err(FsError::at("look at", path))
    }

    /// Makes an existing file's content durable.
    ///
    /// # Errors
    /// When the disk refuses; nothing more is written then.
    pub fn sync_file(&self, path: &Path) -> Result<(), FsError> {
        self.trusted()?;
        self.synced(self.disk.sync_file(path), path)
    }

    /// Makes a folder's names durable.
    ///
    /// # Errors
    /// When the disk refuses; nothing more is written then.
    pub fn sync_dir(&self, path: &Path) -> Result<(), FsError> {
        self.trusted()?;
        let path = if path.as_os_str().is_empty() { Path::new(".") } else { path };
        self.synced(self.disk.sync_dir(path), path)
    }

    /// Makes the names of several folders durable, many at once where the disk is good for that.
    ///
    /// # Errors
    /// When the disk refuses; nothing more is written then.
    pub fn sync_dirs(&self, paths: &BTreeSet<PathBuf>) -> Result<(), FsError> {
        all_at_once(self.syncs_at_once(), paths.iter().collect(), |path| self.sync_dir(path))
    }

    /// Makes several files durable that are on their way to their places, many at once where the disk is good for that.
    ///
    /// # Errors
    /// When the disk refuses; nothing more is written then.
    pub fn sync_pending<'a>(&self, pending: impl IntoIterator<Item = &'a mut Pending>) -> Result<(), FsError> {
        all_at_once(self.syncs_at_once(), pending.into_iter().collect(), Pending::sync)
    }

    /// How many files the disk may well sync at once.
    pub fn syncs_at_once(&self) -> usize {
        self.disk.syncs_at_once().max(1)
    }

    /// Locks a file or folder; `None` when another holds it and `wait` is false.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn lock(&self, path: &Path, wait: bool) -> Result<Option<Box<dyn LockGuard>>, FsError> {
        self.disk.lock(path, wait).map_err(FsError::at("lock", path))
    }

    /// Refuses a file system that lets two handles hold one lock. The caller holds a lock on `path`.
    ///
    /// # Errors
    /// [`FsError::NoLocks`], or when the disk refuses.
    pub fn check_locks(&self, path: &Path) -> Result<(), FsError> {
        match self.lock(path, false)? {
            None => Ok(()),
            Some(_) => Err(FsError::NoLocks { path: path.to_owned() }),
        }
    }

    /// An unnamed file in `dir`, gone when dropped.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn scratch(&self, dir: &Path) -> Result<Box<dyn ScratchFile>, FsError> {
        self.trusted()?;
        self.disk.scratch(dir).map_err(FsError::at("create a scratch file in", dir))
    }

    /// Removes temporary files of ours in `dir` whose writer is gone; returns whether any was there.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn sweep(&self, dir: &Path) -> Result<bool, FsError> {
        let mut any = false;
        for (name, kind) in self.list(dir)? {
            if kind != EntryKind::File || !Files::is_temporary(&name) {
                continue;
            }
            let path = dir.join(name);
            match self.lock(&path, false) {
                // Unlinked while locked: a writer that is just starting sees that the name is no longer its own.
                Ok(Some(guard)) => {
                    any |= self.unlink(&path)?;
                    drop(guard);
                }
                Ok(None) => {}
                Err(e) if e.is_not_found() => {}
                Err(e) => return Err(e),
            }
        }
        Ok(any)
    }

    /// Whether a file or folder has an owner at work, or is gone by now.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn is_in_use(&self, path: &Path) -> Result<bool, FsError> {
        match self.stat(path)?.map(|s| s.kind) {
            None => return Ok(true),
            // Opening a pipe may wait for ever.
            Some(EntryKind::Other) => return Ok(false),
            Some(EntryKind::File | EntryKind::Dir) => {}
        }
        match self.lock(path, false) {
            Ok(free) => Ok(free.is_none()),
            Err(e) if e.is_not_found() => Ok(true),
            Err(e) => Err(e),
        }
    }

    /// Removes a folder of ours with all in it, names first, deepest last to first. Of a link only the link itself goes.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn remove_tree(&self, path: &Path) -> Result<(), FsError> {
        if !self.is_folder_or_unlink(path)? {
            return Ok(());
        }
        for (name, kind) in self.list(path)? {
            let child = path.join(name);
            match kind {
                EntryKind::Dir => self.remove_tree(&child)?,
                EntryKind::File | EntryKind::Other => {
                    self.unlink(&child)?;
                }
            }
        }
        self.remove_dir(path)?;
        Ok(())
    }

    /// Takes a folder of ours away although others may be at work in it: everything in it that has a name of `ours` goes first under another
    /// name, so that no path of theirs leads there any more, then until nothing of it is left. What has no such name stays, and so does
    /// the folder with it. Of a link only the link itself goes.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn take_away(&self, path: &Path, ours: impl Fn(&str) -> bool) -> Result<(), FsError> {
        loop {
            if !self.is_folder_or_unlink(path)? {
                return Ok(());
            }
            for (name, kind) in self.list(path)?.into_iter().filter(|(name, _)| ours(name) || name.starts_with(TAKEN)) {
                let n = self.counter.fetch_add(1, Ordering::Relaxed);
                let (from, to) = (path.join(name), path.join(format!("{TAKEN}{}-{n}", std::process::id())));
                self.changed();
                match self.disk.rename(&from, &to) {
                    Ok(()) if kind == EntryKind::Dir => self.remove_tree(&to)?,
                    Ok(()) => {
                        self.unlink(&to)?;
                    }
                    Err(e) if e.kind() == io::ErrorKind::NotFound => {}
                    Err(e) => return Err(FsError::at("rename", &from)(e)),
                }
            }
            if self.remove_dir(path)? || !self.list(path)?.iter().any(|(name, _)| ours(name)) {
                return Ok(());
            }
        }
    }

    /// Whether a folder is there. Anything else of this name, a link above all, is unlinked: what is behind it is not ours.
    fn is_folder_or_unlink(&self, path: &Path) -> Result<bool, FsError> {
        match self.stat(path)?.map(|s| s.kind) {
            None => Ok(false),
            Some(EntryKind::Dir) => Ok(true),
            Some(EntryKind::File | EntryKind::Other) => self.unlink(path).map(|_| false),
        }
    }

    /// How a file is named from a folder: relative where it lies below, as given if it is absolute or can't be said.
    pub fn name_from(&self, file: &Path, folder: &Path) -> PathBuf {
        if file.is_absolute() {
            return file.to_owned();
        }
        let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
        let (Ok(whole), Ok(base)) = (std::path::absolute(file), std::path::absolute(folder)) else { return file.to_owned() };
        match whole.strip_prefix(&base) {
            Ok(relative) => relative.to_owned(),
            Err(_) => whole,
        }
    }

    /// Whether a file's name is one of our temporaries.
    pub fn is_temporary(name: &str) -> bool {
        name.strip_prefix(TEMPORARY).is_some_and(|rest| {
            let mut parts = rest.split('-');
            parts.all(|p| p == "spill" || (!p.is_empty() && p.bytes().all(|b| b.is_ascii_digit())))
        })
    }

    /// Publishes what a protocol that came to its end has changed, where the disk does so only then ([`Disk::settle`]).
    ///
    /// # Errors
    /// When the disk refuses; [`FsError::is_overtaken`] where somebody else came first.
    pub fn settle(&self, root: &Path) -> Result<(), FsError> {
        self.trusted()?;
        let settled = self.disk.settle().map_err(FsError::at("publish what changed in", root));
        // Whether it was published may not be known.
        if settled.as_ref().is_err_and(|e| !e.is_overtaken()) {
            self.poisoned.store(true, Ordering::SeqCst);
        }
        settled
    }

    /// How often somebody else came first, so that what was changed was given up.
    pub fn overtaken(&self) -> u64 {
        self.disk.overtaken()
    }

    /// A named point of a protocol was reached.
    pub fn reached(&self, point: &str) {
        self.disk.reached(point);
    }

    fn trusted(&self) -> Result<(), FsError> {
        if self.poisoned.load(Ordering::SeqCst) { Err(FsError::Poisoned) } else { Ok(()) }
    }

    fn synced(&self, result: io::Result<()>, path: &Path) -> Result<(), FsError> {
        // What is gone was not synced in vain: somebody took it away, and nothing is unknown about the disk.
        if result.as_ref().is_err_and(|e| e.kind() != io::ErrorKind::NotFound) {
            self.poisoned.store(true, Ordering::SeqCst);
        }
        result.map_err(FsError::at("sync", path))
    }
}

fn parent(path: &Path) -> &Path {
    path.parent().unwrap_or(path)
}

fn absent_is_none<T>(result: io::Result<T>) -> io::Result<Option<T>> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(e) => Err(e),
    }
}
