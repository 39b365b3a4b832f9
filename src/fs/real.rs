//! The operating system's disk.
#![expect(clippy::disallowed_methods, reason = "the one place that opens files")]

use std::{
    fs::{self, File, OpenOptions, TryLockError},
    io::{self, Read, Write},
    os::unix::fs::{DirBuilderExt, FileExt, MetadataExt, OpenOptionsExt, PermissionsExt},
    path::Path,
    sync::atomic::{AtomicU64, Ordering},
};

use super::{AlignedBuf, Bytes, Disk, EntryKind, FileStat, LockGuard, ScratchFile, Writable};

/// Files below this are read, not mapped: a map costs a page fault and an address range.
const MAP_FROM_BYTES: u64 = 64 * 1024;

/// The operating system's disk.
#[derive(Debug, Default)]
pub struct RealDisk {
    /// The process stops for good when it reaches this point, so that a test can kill it there.
    stop_at: Option<String>,
    /// Nothing is waited for until it is durable.
    unsynced: bool,
}

impl RealDisk {
    /// The disk.
    pub fn new() -> RealDisk {
        RealDisk::default()
    }

    /// A disk that says `stopped at POINT` on stderr and waits to be killed when the protocol point is reached.
    pub fn stopping_at(point: String) -> RealDisk {
        RealDisk { stop_at: Some(point), ..RealDisk::default() }
    }

    /// A disk for workspaces that nobody wants to find again after a power failure: it waits for no sync, and what it calls durable
    /// is what the system holds.
    pub fn unsynced() -> RealDisk {
        RealDisk { unsynced: true, ..RealDisk::default() }
    }
}

/// 32 bytes from the operating system's generator.
///
/// # Errors
/// When the system has none.
pub fn random_key() -> io::Result<[u8; 32]> {
    let mut key = [0; 32];
    getrandom::fill(&mut key).map_err(io::Error::other)?;
    Ok(key)
}

#[derive(Debug)]
struct OpenFile(File);

/// A new file, and whether it is waited for until it is durable.
#[derive(Debug)]
struct NewFile {
    lock: Lock,
    synced: bool,
}

/// A locked file. It is unlocked before it is closed: a process that was forked meanwhile has the same open file, and would keep the lock.
#[derive(Debug)]
struct Lock(File);

impl Drop for Lock {
    fn drop(&mut self) {
        // Should it fail, closing does it.
        let _ = self.0.unlock();
    }
}

impl LockGuard for Lock {}

impl Writable for NewFile {
    fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.lock.0.write_all(bytes)
    }

    fn sync(&mut self) -> io::Result<()> {
        if self.synced { self.lock.0.sync_data() } else { Ok(()) }
    }
}

impl ScratchFile for OpenFile {
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.0.write_all_at(bytes, offset)
    }

    fn read_at(&self, out: &mut [u8], offset: u64) -> io::Result<()> {
        self.0.read_exact_at(out, offset)
    }
}

impl LockGuard for OpenFile {}

fn kind(file_type: fs::FileType) -> EntryKind {
    if file_type.is_file() {
        EntryKind::File
    } else if file_type.is_dir() {
        EntryKind::Dir
    } else {
        EntryKind::Other
    }
}

/// Locks a file that was just made under this name.
fn owned(file: File, path: &Path) -> io::Result<Lock> {
    // Who looks whether it has an owner, or takes it for an orphan and removes it, holds the lock for a moment. To leave the file to
    // them would leave it to nobody.
    file.lock()?;
    match fs::metadata(path) {
        Ok(now) if now.ino() == file.metadata()?.ino() => Ok(Lock(file)),
        _ => Err(io::ErrorKind::AlreadyExists.into()),
    }
}

impl Disk for RealDisk {
    fn create(&self, path: &Path, private: bool) -> io::Result<Box<dyn Writable>> {
        let mode = if private { 0o600 } else { 0o644 };
        let file = OpenOptions::new().write(true).create_new(true).mode(mode).open(path)?;
        Ok(Box::new(NewFile { lock: owned(file, path)?, synced: !self.unsynced }))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    fn unlink(&self, path: &Path) -> io::Result<()> {
        fs::remove_file(path)
    }

    fn make_dir(&self, path: &Path) -> io::Result<()> {
        match fs::DirBuilder::new().mode(0o755).create(path) {
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists && path.is_dir() => Ok(()),
            other => other,
        }
    }

    fn remove_dir(&self, path: &Path) -> io::Result<()> {
        fs::remove_dir(path)
    }

    fn list(&self, path: &Path) -> io::Result<Vec<(String, EntryKind)>> {
        let mut names = Vec::new();
        for entry in fs::read_dir(path)? {
            let entry = entry?;
            // A name that is not text is none of ours; show it as it can be shown.
            names.push((entry.file_name().to_string_lossy().into_owned(), kind(entry.file_type()?)));
        }
        names.sort();
        Ok(names)
    }

    fn read(&self, path: &Path) -> io::Result<Bytes> {
        let mut file = File::open(path)?;
        let len = file.metadata()?.len();
        if len >= MAP_FROM_BYTES {
            return Bytes::map(&file);
        }
        let mut buf = AlignedBuf::zeroed(len as usize);
        file.read_exact(buf.as_mut())?;
        Ok(Bytes::owned(buf))
    }

    fn head(&self, path: &Path, len: usize) -> io::Result<(Vec<u8>, u64)> {
        let file = File::open(path)?;
        let whole = file.metadata()?.len();
        let mut out = vec![0; len.min(usize::try_from(whole).unwrap_or(usize::MAX))];
        file.read_exact_at(&mut out, 0)?;
        Ok((out, whole))
    }

    fn stat(&self, path: &Path) -> io::Result<FileStat> {
        let meta = fs::symlink_metadata(path)?;
        Ok(FileStat { kind: kind(meta.file_type()), len: meta.len(), mode: meta.permissions().mode() & 0o7777 })
    }

    fn sync_file(&self, path: &Path) -> io::Result<()> {
        let file = File::open(path)?;
        if self.unsynced { Ok(()) } else { file.sync_data() }
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        let file = File::open(path)?;
        if self.unsynced { Ok(()) } else { file.sync_all() }
    }

    fn syncs_at_once(&self) -> usize {
        16
    }

    fn lock(&self, path: &Path, wait: bool) -> io::Result<Option<Box<dyn LockGuard>>> {
        loop {
            let file = File::open(path)?;
            if wait {
                file.lock()?;
            } else {
                match file.try_lock() {
                    Ok(()) => {}
                    Err(TryLockError::WouldBlock) => return Ok(None),
                    Err(TryLockError::Error(e)) => return Err(e),
                }
            }
            // Something else may have this name by now; a lock on what had it keeps nobody out.
            let (ours, named) = (file.metadata()?, fs::metadata(path)?);
            if (ours.dev(), ours.ino()) == (named.dev(), named.ino()) {
                return Ok(Some(Box::new(Lock(file))));
            }
        }
    }

    fn hold(&self, path: &Path) -> io::Result<Box<dyn LockGuard>> {
        Ok(Box::new(OpenFile(File::open(path)?)))
    }

    fn scratch(&self, dir: &Path) -> io::Result<Box<dyn ScratchFile>> {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let n = COUNT.fetch_add(1, Ordering::Relaxed);
        let path = dir.join(format!("{}{}-spill-{n}", super::files::TEMPORARY, std::process::id()));
        let file = OpenOptions::new().read(true).write(true).create_new(true).mode(0o600).open(&path)?;
        fs::remove_file(&path)?;
        Ok(Box::new(OpenFile(file)))
    }

    #[expect(clippy::print_stderr, reason = "speaks to the test that asked for the stop")]
    fn reached(&self, point: &str) {
        if self.stop_at.as_deref() == Some(point) {
            eprintln!("stopped at {point}");
            loop {
                std::thread::park();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lock_ends_with_its_holder_although_another_process_has_the_file() {
        let dir = tempfile::tempdir().unwrap();
        let file = File::open(dir.path()).unwrap();
        file.try_lock().unwrap();
        // A second descriptor of the same open file, as a forked process has it.
        let twin = file.try_clone().unwrap();
        let disk = RealDisk::new();
        assert!(disk.lock(dir.path(), false).unwrap().is_none());
        drop(Lock(file));
        assert!(disk.lock(dir.path(), false).unwrap().is_some());
        drop(twin);
    }

    /// Whoever looks between the making and the locking of a file holds the lock: it is waited for.
    #[test]
    fn a_new_file_that_somebody_looks_at_is_not_left_without_an_owner() {
        let dir = tempfile::tempdir().unwrap();
        let disk = RealDisk::new();
        for removes in [false, true] {
            let path = dir.path().join(format!("{removes}"));
            let file = File::create_new(&path).unwrap();
            let guard = disk.lock(&path, false).unwrap().unwrap();
            let looker = std::thread::spawn({
                let path = path.clone();
                move || {
                    std::thread::sleep(std::time::Duration::from_millis(100));
                    if removes {
                        fs::remove_file(&path).unwrap();
                    }
                    drop(guard);
                }
            });
            let lock = owned(file, &path);
            looker.join().unwrap();
            match removes {
                true => assert_eq!(lock.err().unwrap().kind(), io::ErrorKind::AlreadyExists),
                false => assert!(lock.is_ok() && disk.lock(&path, false).unwrap().is_none()),
            }
        }
    }
}
