//! The operations that everything durable is made of, so that a test can stand in for the disk.

use std::{fmt::Debug, io, path::Path};

use super::Bytes;

/// A file being written.
pub trait Writable: Debug + Send + Sync {
    /// Appends all of `bytes`.
    ///
    /// # Errors
    /// As the system says.
    fn write_all(&mut self, bytes: &[u8]) -> io::Result<()>;

    /// Makes what was written durable.
    ///
    /// # Errors
    /// As the system says; nothing is known about the file then.
    fn sync(&mut self) -> io::Result<()>;
}

/// An unnamed file, gone when dropped or when the process ends.
pub trait ScratchFile: Debug + Send + Sync {
    /// Writes all of `bytes` at `offset`.
    ///
    /// # Errors
    /// As the system says.
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()>;

    /// Fills `out` from `offset`.
    ///
    /// # Errors
    /// As the system says.
    fn read_at(&self, out: &mut [u8], offset: u64) -> io::Result<()>;
}

/// A lock, or an open handle that keeps a file's blocks; let go when dropped.
pub trait LockGuard: Debug + Send + Sync {}

/// What a name stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum EntryKind {
    /// A regular file.
    File,
    /// A folder.
    Dir,
    /// Anything else.
    Other,
}

/// What is known about a file without reading it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FileStat {
    /// File, folder or other.
    pub kind: EntryKind,
    /// Length in bytes.
    pub len: u64,
    /// Permission bits.
    pub mode: u32,
}

/// A disk. [`super::RealDisk`] is the operating system's; tests bring one that tears, reorders and fails.
pub trait Disk: Debug + Send + Sync {
    /// Creates a new file, locked by this process as long as it is open; an error when the name is taken. `private` files are 0600 from the start.
    ///
    /// # Errors
    /// As the system says.
    fn create(&self, path: &Path, private: bool) -> io::Result<Box<dyn Writable>>;
    /// Renames within one folder, atomically, over an existing file if there is one.
    ///
    /// # Errors
    /// As the system says.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;
    /// Removes a file's name.
    ///
    /// # Errors
    /// As the system says.
    fn unlink(&self, path: &Path) -> io::Result<()>;
    /// Creates one folder; fine when it is there.
    ///
    /// # Errors
    /// As the system says.
    fn make_dir(&self, path: &Path) -> io::Result<()>;
    /// Removes an empty folder.
    ///
    /// # Errors
    /// As the system says.
    fn remove_dir(&self, path: &Path) -> io::Result<()>;
    /// Names in a folder, sorted.
    ///
    /// # Errors
    /// As the system says.
    fn list(&self, path: &Path) -> io::Result<Vec<(String, EntryKind)>>;
    /// A file's bytes, mapped where that pays.
    ///
    /// # Errors
    /// As the system says.
    fn read(&self, path: &Path) -> io::Result<Bytes>;
    /// At most the first `len` bytes of a file, and its whole length.
    ///
    /// # Errors
    /// As the system says.
    fn head(&self, path: &Path, len: usize) -> io::Result<(Vec<u8>, u64)>;
    /// Kind, length and permissions.
    ///
    /// # Errors
    /// As the system says.
    fn stat(&self, path: &Path) -> io::Result<FileStat>;
    /// Makes an existing file's content durable.
    ///
    /// # Errors
    /// As the system says.
    fn sync_file(&self, path: &Path) -> io::Result<()>;
    /// Makes a folder's names durable.
    ///
    /// # Errors
    /// As the system says.
    fn sync_dir(&self, path: &Path) -> io::Result<()>;
    /// Locks a file or folder for this handle alone; `None` when another holds it and `wait` is false. What is locked has this name
    /// when the call returns.
    ///
    /// # Errors
    /// As the system says; nothing has this name any more.
    fn lock(&self, path: &Path, wait: bool) -> io::Result<Option<Box<dyn LockGuard>>>;
    /// Keeps a file's blocks from being freed while the guard lives, so that unlinking costs no time.
    ///
    /// # Errors
    /// As the system says.
    fn hold(&self, path: &Path) -> io::Result<Box<dyn LockGuard>>;
    /// An unnamed file in `dir`.
    ///
    /// # Errors
    /// As the system says.
    fn scratch(&self, dir: &Path) -> io::Result<Box<dyn ScratchFile>>;
    /// How many syncs are worth having under way at once: one disk's journal serves several as fast as one.
    fn syncs_at_once(&self) -> usize {
        1
    }
    /// A protocol came to its end: what was changed is to be seen by everybody from now on. A disk on which it is at once has nothing to do.
    ///
    /// # Errors
    /// As the system says; [`super::Overtaken`] where somebody else's change came first and all since the last call is given up.
    fn settle(&self) -> io::Result<()> {
        Ok(())
    }
    /// How often that was so: whoever sees another number than before works out again what he was about to do.
    fn overtaken(&self) -> u64 {
        0
    }
    /// A named point of a protocol was reached; tests stop here.
    fn reached(&self, _point: &str) {}
}
