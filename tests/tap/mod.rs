//! The system's disk with an ear on it: counts what is read, and lets a test act at any moment in another engine's work.
#![allow(dead_code, clippy::allow_attributes, reason = "each test uses some of it")]

use std::{
    fmt, io,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
};

use sisa::fs::{Bytes, Disk, EntryKind, FileStat, LockGuard, RealDisk, ScratchFile, Writable};

/// Told of an operation before it is done (`"read"`, `"head"`, `"rename"`, `"lock"`, ..) and of the points of protocols (`"reached"`), with
/// the path or the point's name, at moments at which this disk holds no lock: whatever others do then, they need not wait.
type Ear = Box<dyn Fn(&str, &Path) + Send + Sync>;

pub(crate) struct Tap {
    disk: RealDisk,
    ear: Ear,
    heads: AtomicU64,
    reads: AtomicU64,
    locks: Arc<AtomicU64>,
    blind: Vec<String>,
    renamed: Mutex<Vec<PathBuf>>,
}

#[derive(Debug)]
struct Counted {
    guard: Option<Box<dyn LockGuard>>,
    locks: Arc<AtomicU64>,
}

impl LockGuard for Counted {}

impl Drop for Counted {
    fn drop(&mut self) {
        self.guard = None;
        self.locks.fetch_sub(1, Ordering::SeqCst);
    }
}

impl fmt::Debug for Tap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tap").finish_non_exhaustive()
    }
}

impl Default for Tap {
    fn default() -> Tap {
        Tap::new(|_, _| {})
    }
}

impl Tap {
    pub(crate) fn new(ear: impl Fn(&str, &Path) + Send + Sync + 'static) -> Tap {
        Tap {
            disk: RealDisk::new(),
            ear: Box::new(ear),
            heads: AtomicU64::new(0),
            reads: AtomicU64::new(0),
            locks: Arc::default(),
            blind: Vec::new(),
            renamed: Mutex::default(),
        }
    }

    /// A disk whose lists are without these names, as if they had come while it listed.
    pub(crate) fn blind_to(names: &[String]) -> Tap {
        Tap { blind: names.to_vec(), ..Tap::default() }
    }

    fn tell(&self, what: &str, path: &Path) {
        if self.locks.load(Ordering::SeqCst) == 0 {
            (self.ear)(what, path);
        }
    }

    /// How often the beginning of a file was read.
    pub(crate) fn heads(&self) -> u64 {
        self.heads.load(Ordering::Relaxed)
    }

    /// Where files were put, in order.
    pub(crate) fn renamed(&self) -> Vec<PathBuf> {
        self.renamed.lock().unwrap().clone()
    }

    /// How often a whole file was read.
    pub(crate) fn reads(&self) -> u64 {
        self.reads.load(Ordering::Relaxed)
    }
}

impl Disk for Tap {
    fn create(&self, path: &Path, private: bool) -> io::Result<Box<dyn Writable>> {
        self.tell("create", path);
        self.disk.create(path, private)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.tell("rename", to);
        self.renamed.lock().unwrap().push(to.to_owned());
        self.disk.rename(from, to)
    }

    fn unlink(&self, path: &Path) -> io::Result<()> {
        self.tell("unlink", path);
        self.disk.unlink(path)
    }

    fn make_dir(&self, path: &Path) -> io::Result<()> {
        self.tell("make_dir", path);
        self.disk.make_dir(path)
    }

    fn remove_dir(&self, path: &Path) -> io::Result<()> {
        self.tell("remove_dir", path);
        self.disk.remove_dir(path)
    }

    fn list(&self, path: &Path) -> io::Result<Vec<(String, EntryKind)>> {
        self.tell("list", path);
        let mut listed = self.disk.list(path)?;
        listed.retain(|(name, _)| !self.blind.contains(name));
        Ok(listed)
    }

    fn read(&self, path: &Path) -> io::Result<Bytes> {
        self.tell("read", path);
        self.reads.fetch_add(1, Ordering::Relaxed);
        self.disk.read(path)
    }

    fn head(&self, path: &Path, len: usize) -> io::Result<(Vec<u8>, u64)> {
        self.tell("head", path);
        self.heads.fetch_add(1, Ordering::Relaxed);
        self.disk.head(path, len)
    }

    fn stat(&self, path: &Path) -> io::Result<FileStat> {
        self.tell("stat", path);
        self.disk.stat(path)
    }

    fn sync_file(&self, path: &Path) -> io::Result<()> {
        self.tell("sync_file", path);
        // No power is cut here.
        self.disk.stat(path).map(|_| ())
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        self.tell("sync_dir", path);
        self.disk.stat(path).map(|_| ())
    }

    fn lock(&self, path: &Path, wait: bool) -> io::Result<Option<Box<dyn LockGuard>>> {
        self.tell("lock", path);
        let Some(guard) = self.disk.lock(path, wait)? else { return Ok(None) };
        self.locks.fetch_add(1, Ordering::SeqCst);
        Ok(Some(Box::new(Counted { guard: Some(guard), locks: self.locks.clone() })))
    }

    fn hold(&self, path: &Path) -> io::Result<Box<dyn LockGuard>> {
        self.disk.hold(path)
    }

    fn scratch(&self, dir: &Path) -> io::Result<Box<dyn ScratchFile>> {
        self.disk.scratch(dir)
    }

    fn syncs_at_once(&self) -> usize {
        self.disk.syncs_at_once()
    }

    fn reached(&self, point: &str) {
        self.tell("reached", Path::new(point));
    }
}
