//! A file that is read at any place, as the readers of pages ask for it.

use std::io::{self, BufReader, Read, Seek, SeekFrom};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use parquet::errors::ParquetError;
use parquet::file::reader::{ChunkReader, Length};

use super::super::error::SourceError;
use super::super::file::SourceFile;

/// Bytes that are read at once where a page's header is looked for.
const HEADER_BYTES: usize = 512;

/// An opened file, of which all clones share one position.
#[derive(Debug, Clone)]
pub(super) struct Stored {
    file: Arc<Mutex<SourceFile>>,
    len: u64,
}

impl Stored {
    pub(super) fn new(file: &SourceFile) -> Result<Stored, SourceError> {
        let file = file.reopen()?;
        let len = file.stamp().len;
        Ok(Stored { file: Arc::new(Mutex::new(file)), len })
    }

    pub(super) fn bytes(&self) -> u64 {
        self.len
    }

    /// The bytes of a part of the file, if it has them; nothing is allocated before that is known.
    pub(super) fn part(&self, start: u64, bytes: u64) -> io::Result<Vec<u8>> {
        let whole = start.checked_add(bytes).is_some_and(|end| end <= self.len);
        let (true, Ok(count)) = (whole, usize::try_from(bytes)) else {
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "a part lies beyond the end of the file"));
        };
        let mut part = vec![0; count];
        self.locked(start, |file| file.read_exact(&mut part))?;
        Ok(part)
    }

    /// Checks that the file is the one that was opened.
    pub(super) fn verify_unchanged(&self) -> Result<(), SourceError> {
        self.file.lock().unwrap_or_else(PoisonError::into_inner).verify_unchanged()
    }

    fn locked<T>(&self, start: u64, read: impl FnOnce(&mut SourceFile) -> io::Result<T>) -> io::Result<T> {
        let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        file.seek(SeekFrom::Start(start))?;
        read(&mut file)
    }
}

impl Length for Stored {
    fn len(&self) -> u64 {
        self.len
    }
}

impl ChunkReader for Stored {
    type T = BufReader<From>;

    fn get_read(&self, start: u64) -> Result<Self::T, ParquetError> {
        Ok(BufReader::with_capacity(HEADER_BYTES, From { stored: self.clone(), at: start }))
    }

    fn get_bytes(&self, start: u64, length: usize) -> Result<Bytes, ParquetError> {
        Ok(Bytes::from(self.part(start, length as u64)?))
    }
}

/// The bytes from some place on.
#[derive(Debug)]
pub(super) struct From {
    stored: Stored,
    at: u64,
}

impl Read for From {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let count = self.stored.locked(self.at, |file| file.read(out))?;
        self.at += count as u64;
        Ok(count)
    }
}
