//! The bytes of a file, gunzipped if they were gzipped (RFC 1952; any number of members, zeros after the last).

use std::fmt;
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom};
use std::path::Path;
use std::sync::Arc;

use flate2::bufread::GzDecoder;

use super::error::SourceError;
use super::file::SourceFile;

/// Bytes that are enough to tell the forms apart.
const HEAD: usize = 8;

/// A stream over one source file.
pub(crate) struct Bytes {
    inner: Inner,
    head: [u8; HEAD],
    head_at: usize,
    head_len: usize,
}

enum Inner {
    Plain(BufReader<SourceFile>),
    Gzip(Box<GzDecoder<BufReader<SourceFile>>>),
}

impl Bytes {
    /// Opens a file and looks at its first bytes.
    pub(crate) fn open(path: &Path) -> Result<Self, SourceError> {
        Self::of(SourceFile::open(path)?)
    }

    /// Of a file that is open, from its beginning.
    pub(super) fn of(mut file: SourceFile) -> Result<Self, SourceError> {
        let mut magic = [0; 2];
        let is_gzip = match file.read_exact(&mut magic) {
            Ok(()) => magic == [0x1f, 0x8b],
            Err(cause) if cause.kind() == io::ErrorKind::UnexpectedEof => false,
            Err(cause) => return Err(SourceError::Read { file: file.name().clone(), byte: 0, cause }),
        };
        file.rewind().map_err(|cause| SourceError::Read { file: file.name().clone(), byte: 0, cause })?;
        let buffered = BufReader::with_capacity(1 << 16, file);
        let inner = if is_gzip { Inner::Gzip(Box::new(GzDecoder::new(buffered))) } else { Inner::Plain(buffered) };
        let mut bytes = Self { inner, head: [0; HEAD], head_at: 0, head_len: 0 };
        let mut head = [0; HEAD];
        bytes.head_len = bytes.fill(&mut head)?;
        bytes.head = head;
        Ok(bytes)
    }

    /// The first bytes of the stream, at most eight; only before anything was read.
    pub(crate) fn head(&self) -> &[u8] {
        self.head.get(self.head_at..self.head_len).unwrap_or_default()
    }

    /// Whether the file is gzipped.
    pub(crate) fn is_gzip(&self) -> bool {
        matches!(self.inner, Inner::Gzip(_))
    }

    /// Reads until `out` is full or the stream ends, and returns the count of bytes.
    pub(crate) fn fill(&mut self, out: &mut [u8]) -> Result<usize, SourceError> {
        let head = self.head.get(self.head_at..self.head_len).unwrap_or_default();
        let mut filled = head.len().min(out.len());
        for (to, from) in out.iter_mut().zip(head) {
            *to = *from;
        }
        self.head_at += filled;
        while let Some(rest) = out.get_mut(filled..).filter(|rest| !rest.is_empty()) {
            let read = match &mut self.inner {
                Inner::Plain(reader) => reader.read(rest),
                Inner::Gzip(reader) => reader.read(rest),
            };
            match read {
                Ok(0) if self.next_member()? => {}
                Ok(0) => break,
                Ok(count) => filled += count,
                Err(cause) if cause.kind() == io::ErrorKind::Interrupted => {}
                Err(cause) => return Err(self.failed(cause)),
            }
        }
        Ok(filled)
    }

    /// Goes on to the next member of a gzip stream whose last one came to its end; false where none follows. Zeros after
    /// the last member, with which tapes and some tools fill blocks, belong to no one.
    fn next_member(&mut self) -> Result<bool, SourceError> {
        let (used, total) = (self.used(), self.total());
        if !self.is_gzip() || used == total {
            return Ok(false);
        }
        let mut file = self.file().reopen()?;
        let name = file.name().clone();
        let failed = |cause| SourceError::Read { file: name.clone(), byte: used, cause };
        file.seek(SeekFrom::Start(used)).map_err(failed)?;
        let mut rest = BufReader::with_capacity(1 << 16, file);
        if rest.fill_buf().map_err(failed)?.first() == Some(&0x1f) {
            self.inner = Inner::Gzip(Box::new(GzDecoder::new(rest)));
            return Ok(true);
        }
        loop {
            let zeros = rest.fill_buf().map_err(failed)?;
            let (count, all) = (zeros.len(), zeros.iter().all(|byte| *byte == 0));
            match (count, all) {
                (0, _) => break,
                (_, true) => rest.consume(count),
                (_, false) => return Err(SourceError::AfterGzip { file: name.clone(), byte: used, bytes: total }),
            }
        }
        self.inner = Inner::Plain(rest);
        Ok(false)
    }

    /// The opened file.
    pub(crate) fn file(&self) -> &SourceFile {
        self.buffered().get_ref()
    }

    /// The name of the file.
    pub(crate) fn name(&self) -> &Arc<str> {
        self.file().name()
    }

    /// Bytes of the file, as stored, that were used.
    pub(crate) fn used(&self) -> u64 {
        let ahead = self.buffered().buffer().len() as u64;
        self.file().position().saturating_sub(ahead)
    }

    /// Bytes of the file, as stored.
    pub(crate) fn total(&self) -> u64 {
        self.file().stamp().len
    }

    fn buffered(&self) -> &BufReader<SourceFile> {
        match &self.inner {
            Inner::Plain(reader) => reader,
            Inner::Gzip(reader) => reader.get_ref(),
        }
    }

    fn failed(&self, cause: io::Error) -> SourceError {
        let file = self.name().clone();
        let byte = self.used();
        let found = match cause.kind() {
            io::ErrorKind::UnexpectedEof => "cut short",
            io::ErrorKind::InvalidInput | io::ErrorKind::InvalidData => "corrupt",
            _ => return SourceError::Read { file, byte, cause },
        };
        if self.is_gzip() {
            SourceError::Gzip { file, byte, bytes: self.total(), found, cause }
        } else {
            SourceError::Read { file, byte, cause }
        }
    }
}

impl fmt::Debug for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Bytes").field("file", self.file()).field("gzip", &self.is_gzip()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::make::gzip;
    use super::super::tests::testing::Folder;
    use super::*;

    fn all(bytes: &[u8]) -> Result<Vec<u8>, SourceError> {
        let folder = Folder::new();
        let mut stream = Bytes::open(&folder.file("a", bytes))?;
        let mut out = vec![0; 1 << 20];
        let filled = stream.fill(&mut out)?;
        assert_eq!((stream.used(), stream.total()), (bytes.len() as u64, bytes.len() as u64));
        out.truncate(filled);
        Ok(out)
    }

    #[test]
    fn plain_and_gzipped_bytes_are_the_same() {
        for text in [&b""[..], b"a", b"abcdefgh", b"abcdefghijkl"] {
            assert_eq!(all(text).unwrap(), text);
            assert_eq!(all(&gzip(text)).unwrap(), text);
        }
    }

    #[test]
    fn members_follow_each_other() {
        let both = [gzip(b"abc"), gzip(b""), gzip(b"de")].concat();
        assert_eq!(all(&both).unwrap(), b"abcde");
    }

    #[test]
    fn every_cut_of_a_gzip_is_an_error_with_the_byte_reached() {
        let text: Vec<u8> = (0..5000u32).flat_map(|i| (i.wrapping_mul(2_654_435_761)).to_le_bytes()).collect();
        let whole = gzip(&text);
        for cut in [3, 10, 11, whole.len() / 2, whole.len() - 8, whole.len() - 1] {
            match all(&whole[..cut]) {
                Err(SourceError::Gzip { byte, found: "cut short", .. }) => assert_eq!(byte, cut as u64),
                other => panic!("{cut}: {other:?}"),
            }
        }
    }

    #[test]
    fn a_flipped_byte_and_trailing_bytes_are_errors() {
        let mut whole = gzip(b"some text that is long enough to be packed, packed, packed");
        let last = whole.len() - 5;
        whole[last] ^= 1;
        assert!(matches!(all(&whole), Err(SourceError::Gzip { found: "corrupt", .. })));
        for junk in [&b"not a member of the stream"[..], b"\0\0x", b"\0\x1f\x8b"] {
            let trailing = [&gzip(b"abc"), junk].concat();
            let byte_after = gzip(b"abc").len() as u64;
            match all(&trailing) {
                Err(SourceError::AfterGzip { byte, bytes, .. }) => assert_eq!((byte, bytes), (byte_after, trailing.len() as u64)),
                other => panic!("{junk:?}: {other:?}"),
            }
        }
        assert!(matches!(all(&[&gzip(b"abc"), &b"\x1fx"[..]].concat()), Err(SourceError::Gzip { .. })));
    }

    #[test]
    fn zeros_that_fill_a_block_belong_to_no_one() {
        for zeros in [1, 511, 200_000] {
            assert_eq!(all(&[gzip(b"abc"), gzip(b"de"), vec![0; zeros]].concat()).unwrap(), b"abcde", "{zeros}");
        }
    }
}
