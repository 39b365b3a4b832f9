//! Sorted records in one file, found without reading it whole: every page has its digest in the header, and the header's digest
//! stands in the ledger.

use std::{
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use super::LedgerError;
use crate::{
    digest::Digest,
    fs::{Bytes, Files},
    ids::Handle,
};

const MAGIC: &[u8; 8] = b"\x89SISATB\n";
const VERSION: u32 = 1;
const FIXED_BYTES: usize = 32;
/// A page's first key and its digest.
const PAGE_HEADER_BYTES: usize = 16 + 32;
const PAGE_RECORDS: u32 = 1024;

/// A table on disk. Its records begin with their keys, handles, and ascend.
#[derive(Clone, Debug)]
pub(super) struct Table {
    path: std::path::PathBuf,
    bytes: Bytes,
    record: usize,
    pages: usize,
    count: usize,
    /// The pages that were found to be what their digests say: many keys are looked for in one page.
    sound: Arc<[AtomicBool]>,
}

/// The bytes of a table of ascending records of `record` bytes each, and the digest that names it.
pub(super) fn encode(record: usize, records: &[u8]) -> (Vec<u8>, Digest) {
    let pages = records.chunks((PAGE_RECORDS as usize * record).max(1));
    let mut bytes = Vec::with_capacity(FIXED_BYTES + pages.len() * PAGE_HEADER_BYTES + records.len());
    bytes.extend_from_slice(MAGIC);
    bytes.extend_from_slice(&VERSION.to_le_bytes());
    bytes.extend_from_slice(&(record as u32).to_le_bytes());
    bytes.extend_from_slice(&((records.len() / record) as u64).to_le_bytes());
    bytes.extend_from_slice(&PAGE_RECORDS.to_le_bytes());
    bytes.extend_from_slice(&0_u32.to_le_bytes());
    for page in pages {
        bytes.extend_from_slice(page.get(..16).unwrap_or_default());
        bytes.extend_from_slice(&Digest::of(page).0);
    }
    let name = Digest::of(&bytes);
    bytes.extend_from_slice(records);
    (bytes, name)
}

impl Table {
    /// Opens a table that the ledger names by this digest; its pages are checked when they are read.
    pub(super) fn open(files: &Files, path: &Path, name: Digest, record: usize) -> Result<Table, LedgerError> {
        let damaged = |offset: u64, what: &str| LedgerError::Damaged { path: path.to_owned(), offset, what: what.into() };
        let bytes = match files.read(path) {
            Ok(bytes) => bytes,
            Err(e) if e.is_not_found() => return Err(damaged(0, "the file is missing")),
            Err(e) => return Err(e.into()),
        };
        let fixed = bytes.get(..FIXED_BYTES).ok_or_else(|| damaged(bytes.len() as u64, "the file is cut short"))?;
        let field = |at: usize| fixed.get(at..at + 4).and_then(|f| f.try_into().ok()).map_or(0, u32::from_le_bytes);
        if fixed.get(..8) != Some(MAGIC) || field(8) != VERSION || field(12) as usize != record || field(24) != PAGE_RECORDS {
            return Err(damaged(0, "it is not a table of this kind"));
        }
        let count = u64::from(field(16)) | u64::from(field(20)) << 32;
        let too_many = || damaged(16, "the count of records is absurd");
        let count = usize::try_from(count).map_err(|_| too_many())?;
        let pages = count.div_ceil(PAGE_RECORDS as usize);
        let header = pages.checked_mul(PAGE_HEADER_BYTES).and_then(|h| h.checked_add(FIXED_BYTES)).ok_or_else(too_many)?;
        let len = count.checked_mul(record).and_then(|body| body.checked_add(header)).ok_or_else(too_many)?;
        if bytes.len() != len {
            return Err(damaged(len.min(bytes.len()) as u64, "the file has another length than its header says"));
        }
        if Digest::of(bytes.get(..header).unwrap_or_default()) != name {
            return Err(damaged(0, "its header is not what the ledger names"));
        }
        let sound = (0..pages).map(|_| AtomicBool::new(false)).collect();
        Ok(Table { path: path.to_owned(), bytes, record, pages, count, sound })
    }

    /// How many records there are.
    pub(super) fn len(&self) -> usize {
        self.count
    }

    fn page_header(&self, page: usize) -> &[u8] {
        let at = FIXED_BYTES + page * PAGE_HEADER_BYTES;
        self.bytes.get(at..at + PAGE_HEADER_BYTES).unwrap_or_default()
    }

    /// The records of a page, once they are what its digest says.
    fn page(&self, page: usize) -> Result<&[u8], LedgerError> {
        let from = FIXED_BYTES + self.pages * PAGE_HEADER_BYTES + page * PAGE_RECORDS as usize * self.record;
        let to = (from + PAGE_RECORDS as usize * self.record).min(self.bytes.len());
        let records = self.bytes.get(from..to).unwrap_or_default();
        let sound = self.sound.get(page);
        if sound.is_some_and(|sound| sound.load(Ordering::Relaxed)) {
            return Ok(records);
        }
        if self.page_header(page).get(16..) != Some(&Digest::of(records).0[..]) {
            let what = format!("page {} of its records is not what its digest says", page + 1);
            return Err(LedgerError::Damaged { path: self.path.clone(), offset: from as u64, what });
        }
        if let Some(sound) = sound {
            sound.store(true, Ordering::Relaxed);
        }
        Ok(records)
    }

    /// The record of this key.
    pub(super) fn find(&self, key: Handle) -> Result<Option<&[u8]>, LedgerError> {
        let (mut low, mut high) = (0, self.pages);
        while low < high {
            let middle = low.midpoint(high);
            if self.page_header(middle).get(..16) <= Some(&key.0[..]) { low = middle + 1 } else { high = middle }
        }
        let Some(page) = low.checked_sub(1) else { return Ok(None) };
        let records = self.page(page)?;
        let record = |at: usize| records.get(at * self.record..(at + 1) * self.record).unwrap_or_default();
        let (mut low, mut high) = (0, records.len() / self.record);
        while low < high {
            let middle = low.midpoint(high);
            if record(middle).get(..16) < Some(&key.0[..]) { low = middle + 1 } else { high = middle }
        }
        let found = record(low);
        Ok((found.get(..16) == Some(&key.0[..])).then_some(found))
    }

    /// Shows every record, in order, with every page checked.
    pub(super) fn each(&self, mut show: impl FnMut(&[u8])) -> Result<(), LedgerError> {
        for page in 0..self.pages {
            self.page(page)?.chunks_exact(self.record).for_each(&mut show);
        }
        Ok(())
    }
}

/// The key that a record begins with.
pub(super) fn key_of(record: &[u8]) -> Handle {
    Handle(record.get(..16).and_then(|key| key.try_into().ok()).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fs::{Durability, RealDisk};

    fn key(n: u32) -> Handle {
        let mut key = [0; 16];
        key[..4].copy_from_slice(&n.to_be_bytes());
        Handle(key)
    }

    #[test]
    fn every_key_is_found_and_no_other() {
        let (dir, files) = (tempfile::tempdir().unwrap(), Files::new(Arc::new(RealDisk::new())));
        for count in [0_u32, 1, 1023, 1024, 1025, 5000] {
            let mut records = Vec::new();
            for n in 0..count {
                records.extend_from_slice(&key(2 * n + 1).0);
                records.push(n as u8);
            }
            let (bytes, name) = encode(17, &records);
            let path = dir.path().join("t");
            let _ = files.publish(&path, &[&bytes], Durability::Now).unwrap();
            let table = Table::open(&files, &path, name, 17).unwrap();
            assert_eq!(table.len(), count as usize);
            for n in 0..count {
                assert_eq!(table.find(key(2 * n + 1)).unwrap().map(|r| r[16]), Some(n as u8));
                assert_eq!(table.find(key(2 * n)).unwrap(), None);
            }
            assert_eq!(table.find(key(2 * count + 2)).unwrap(), None);
            let mut seen = Vec::new();
            table.each(|record| seen.extend_from_slice(record)).unwrap();
            assert_eq!(seen, records);
        }
    }

    #[test]
    fn a_changed_byte_anywhere_is_damage_to_whoever_reads_it() {
        let (dir, files) = (tempfile::tempdir().unwrap(), Files::new(Arc::new(RealDisk::new())));
        let records: Vec<u8> = (0..1100).flat_map(|n| key(n).0).collect();
        let (bytes, name) = encode(16, &records);
        let path = dir.path().join("t");
        for at in (0..bytes.len()).step_by(61) {
            let mut other = bytes.clone();
            other[at] ^= 1;
            let _ = files.publish(&path, &[&other], Durability::Later).unwrap();
            let read = Table::open(&files, &path, name, 16).and_then(|table| table.each(|_| {}));
            assert!(matches!(read, Err(LedgerError::Damaged { .. })), "byte {at}");
        }
        for len in [0, 31, 100, bytes.len() - 1] {
            let _ = files.publish(&path, &[&bytes[..len]], Durability::Later).unwrap();
            assert!(matches!(Table::open(&files, &path, name, 16), Err(LedgerError::Damaged { .. })), "{len} bytes");
        }
    }
}
