//! One opened source file, and the check that it did not change while it was read.

use std::fmt;
use std::fs::{self, File, Metadata};
use std::io::{self, Cursor, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use super::error::SourceError;

/// A regular file that is open for reading, its name for messages, and its stamp at the time of opening.
#[derive(Debug)]
pub struct SourceFile {
    path: PathBuf,
    name: Arc<str>,
    body: Body,
    stamp: Stamp,
    position: u64,
}

/// Where the bytes are.
#[derive(Debug)]
enum Body {
    File(File),
    /// Not a file at all: bytes of whoever calls, which nobody can change.
    Memory(Cursor<Arc<[u8]>>),
}

/// What tells one state of a file from another without reading it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stamp {
    /// Length in bytes.
    pub len: u64,
    /// Time of the last change, where the file system keeps one.
    pub modified: Option<SystemTime>,
    /// Number of the inode; 0 where there is none.
    pub inode: u64,
}

impl SourceFile {
    /// Whether it is no file but bytes in memory.
    pub(super) fn is_memory(&self) -> bool {
        matches!(self.body, Body::Memory(_))
    }

    /// Opens the regular file at `path`.
    ///
    /// # Errors
    ///
    /// [`SourceError::Open`], and [`SourceError::NotAFile`] for a folder, pipe or device.
    pub fn open(path: &Path) -> Result<Self, SourceError> {
        let name: Arc<str> = path.display().to_string().into();
        let failed = |cause| SourceError::Open { file: name.clone(), cause };
        // The kind is asked before opening, because opening a pipe would wait for its writer.
        let found = fs::metadata(path).map_err(failed)?;
        if !found.is_file() {
            let found = if found.is_dir() { "a folder" } else { "a pipe or device" };
            return Err(SourceError::NotAFile { file: name, found });
        }
        let file = File::open(path).map_err(failed)?;
        let stamp = Stamp::of(&file.metadata().map_err(failed)?);
        Ok(Self { path: path.to_owned(), name, body: Body::File(file), stamp, position: 0 })
    }

    /// Bytes in memory, which are read as a file's would be; `name` stands for them in messages.
    pub(super) fn memory(name: &Arc<str>, bytes: &Arc<[u8]>) -> Self {
        let stamp = Stamp { len: bytes.len() as u64, modified: None, inode: 0 };
        let body = Body::Memory(Cursor::new(bytes.clone()));
        Self { path: PathBuf::new(), name: name.clone(), body, stamp, position: 0 }
    }

    /// Opens the same file again, with a position of its own.
    ///
    /// # Errors
    ///
    /// As [`SourceFile::open`], and [`SourceError::Changed`] if it is no longer the same file.
    pub fn reopen(&self) -> Result<Self, SourceError> {
        let again = match &self.body {
            Body::File(_) => Self::open(&self.path)?,
            Body::Memory(bytes) => Self::memory(&self.name, bytes.get_ref()),
        };
        self.compare(again.stamp)?;
        Ok(again)
    }

    /// The file as the user named it.
    #[must_use]
    pub fn name(&self) -> &Arc<str> {
        &self.name
    }

    /// The path the file was opened by.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The stamp at the time of opening.
    #[must_use]
    pub fn stamp(&self) -> Stamp {
        self.stamp
    }

    /// The offset of the next byte to be read.
    #[must_use]
    pub fn position(&self) -> u64 {
        self.position
    }

    /// Checks that the path still names the file that was opened, with the same length and time of change.
    ///
    /// A replaced file is refused although its old content was read in full: what the path names now is not
    /// what was imported.
    ///
    /// # Errors
    ///
    /// [`SourceError::Changed`] or [`SourceError::Vanished`].
    pub fn verify_unchanged(&self) -> Result<(), SourceError> {
        if matches!(self.body, Body::Memory(_)) {
            return Ok(());
        }
        let now = fs::metadata(&self.path).map_err(|cause| SourceError::Vanished { file: self.name.clone(), cause })?;
        self.compare(Stamp::of(&now))
    }

    fn compare(&self, got: Stamp) -> Result<(), SourceError> {
        if got == self.stamp {
            return Ok(());
        }
        Err(SourceError::Changed { file: self.name.clone(), expected: Box::new(self.stamp), got: Box::new(got) })
    }
}

impl Read for SourceFile {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = match &mut self.body {
            Body::File(file) => file.read(buffer)?,
            Body::Memory(bytes) => bytes.read(buffer)?,
        };
        self.position += count as u64;
        Ok(count)
    }
}

impl Seek for SourceFile {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.position = match &mut self.body {
            Body::File(file) => file.seek(to)?,
            Body::Memory(bytes) => bytes.seek(to)?,
        };
        Ok(self.position)
    }
}

impl Stamp {
    fn of(metadata: &Metadata) -> Self {
        #[cfg(unix)]
        let inode = std::os::unix::fs::MetadataExt::ino(metadata);
        #[cfg(not(unix))]
        let inode = 0;
        Self { len: metadata.len(), modified: metadata.modified().ok(), inode }
    }
}

impl fmt::Display for Stamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes, inode {}", self.len, self.inode)?;
        match self.modified.and_then(|time| time.duration_since(SystemTime::UNIX_EPOCH).ok()) {
            Some(since) => write!(f, ", changed at {}.{:09}", since.as_secs(), since.subsec_nanos()),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::testing::Folder;
    use super::*;

    #[test]
    fn reading_moves_the_position() {
        let folder = Folder::new();
        let mut file = SourceFile::open(&folder.file("a", b"hello")).unwrap();
        let mut two = [0; 2];
        file.read_exact(&mut two).unwrap();
        assert_eq!((&two, file.position(), file.stamp().len), (b"he", 2, 5));
        file.seek(SeekFrom::Start(4)).unwrap();
        assert_eq!(file.position(), 4);
        file.verify_unchanged().unwrap();
    }

    #[test]
    fn a_missing_file_and_a_folder_are_named() {
        let folder = Folder::new();
        let error = SourceFile::open(&folder.path("nothing")).unwrap_err();
        assert!(matches!(error, SourceError::Open { .. }), "{error}");
        let error = SourceFile::open(&folder.path("")).unwrap_err();
        assert!(matches!(error, SourceError::NotAFile { found: "a folder", .. }), "{error}");
    }

    #[test]
    fn growth_replacement_and_loss_are_seen() {
        let folder = Folder::new();
        let path = folder.file("a", b"hello");
        let file = SourceFile::open(&path).unwrap();
        folder.file("a", b"hello!");
        assert!(matches!(file.verify_unchanged(), Err(SourceError::Changed { .. })));
        assert!(matches!(file.reopen(), Err(SourceError::Changed { .. })));
        folder.remove("a");
        assert!(matches!(file.verify_unchanged(), Err(SourceError::Vanished { .. })));
    }
}
