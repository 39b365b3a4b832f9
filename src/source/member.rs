//! One member of a zip container as a stream, with its length and checksum held against the container's word.

use std::fmt;
use std::io::{self, BufReader, Read, Seek, SeekFrom, Take};
use std::sync::Arc;

use flate2::Crc;
use flate2::bufread::DeflateDecoder;

use super::error::SourceError;
use super::file::SourceFile;

/// What the central directory says of a member.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    /// The array's name, without `.npy`.
    pub(crate) array: String,
    pub(crate) deflated: bool,
    /// Offset of the packed bytes in the file.
    pub(crate) start: u64,
    pub(crate) packed_bytes: u64,
    pub(crate) bytes: u64,
    pub(crate) crc: u32,
}

/// A stream over one member.
pub(crate) struct Member {
    name: Arc<str>,
    entry: Entry,
    body: Body,
    done: u64,
    crc: Crc,
}

enum Body {
    Stored(BufReader<Take<SourceFile>>),
    Deflated(Box<DeflateDecoder<BufReader<Take<SourceFile>>>>),
}

impl Member {
    /// Starts to read; `file` is used by this member alone.
    pub(crate) fn new(mut file: SourceFile, entry: Entry) -> Result<Self, SourceError> {
        let name = file.name().clone();
        file.seek(SeekFrom::Start(entry.start)).map_err(|cause| SourceError::Read {
            file: name.clone(),
            byte: entry.start,
            cause,
        })?;
        let packed = BufReader::with_capacity(1 << 16, file.take(entry.packed_bytes));
        let body = if entry.deflated { Body::Deflated(Box::new(DeflateDecoder::new(packed))) } else { Body::Stored(packed) };
        Ok(Self { name, entry, body, done: 0, crc: Crc::new() })
    }

    pub(crate) fn entry(&self) -> &Entry {
        &self.entry
    }

    pub(crate) fn name(&self) -> &Arc<str> {
        &self.name
    }

    /// Bytes that are not yet read.
    pub(crate) fn left(&self) -> u64 {
        self.entry.bytes - self.done
    }

    /// Fills `out`; with the last byte of the member, its end and its checksum are checked.
    pub(crate) fn fill(&mut self, out: &mut [u8]) -> Result<(), SourceError> {
        if out.len() as u64 > self.left() {
            return Err(self.damaged(format!("{} more bytes were expected, {} are left", out.len(), self.left())));
        }
        self.read_exact(out)?;
        self.done += out.len() as u64;
        self.crc.update(out);
        if self.left() == 0 && !out.is_empty() {
            self.finish()?;
        }
        Ok(())
    }

    fn finish(&mut self) -> Result<(), SourceError> {
        match self.read(&mut [0]) {
            Ok(0) => {}
            Ok(_) => return Err(self.damaged("more bytes follow than the container announces".to_owned())),
            Err(cause) => return Err(self.failed(cause)),
        }
        let (expected, got) = (self.entry.crc, self.crc.sum());
        if got != expected {
            let (file, array) = (self.name.clone(), self.entry.array.clone());
            return Err(SourceError::Checksum { file, array, expected, got });
        }
        Ok(())
    }

    fn read_exact(&mut self, mut out: &mut [u8]) -> Result<(), SourceError> {
        while !out.is_empty() {
            match self.read(out) {
                Ok(0) => return Err(self.damaged("the data ends early".to_owned())),
                Ok(count) => out = out.get_mut(count..).unwrap_or_default(),
                Err(cause) if cause.kind() == io::ErrorKind::Interrupted => {}
                Err(cause) => return Err(self.failed(cause)),
            }
        }
        Ok(())
    }

    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        match &mut self.body {
            Body::Stored(reader) => reader.read(out),
            Body::Deflated(reader) => reader.read(out),
        }
    }

    fn failed(&self, cause: io::Error) -> SourceError {
        use io::ErrorKind::{InvalidData, InvalidInput, UnexpectedEof};
        match cause.kind() {
            UnexpectedEof | InvalidData | InvalidInput => self.damaged(cause.to_string()),
            _ => SourceError::Read { file: self.name.clone(), byte: self.entry.start, cause },
        }
    }

    fn damaged(&self, detail: String) -> SourceError {
        SourceError::Member { file: self.name.clone(), array: self.entry.array.clone(), byte: self.done, detail }
    }
}

impl fmt::Debug for Member {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Member").field("entry", &self.entry).field("done", &self.done).finish_non_exhaustive()
    }
}
