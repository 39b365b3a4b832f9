//! Rows sorted into buckets on disk, so that an import needs memory for one bucket, not for all.

use std::{path::Path, sync::Mutex};

use super::{Files, FsError, Scratch};

/// A bucket is written out when this much of it has gathered.
const FLUSH_BYTES: usize = 64 * 1024;

/// Appendable buckets in one unnamed file; a crash leaves nothing of it.
#[derive(Debug)]
pub struct Spill {
    file: Box<dyn Scratch>,
    dir: std::path::PathBuf,
    end: Mutex<u64>,
    buckets: Vec<Mutex<Bucket>>,
}

#[derive(Debug, Default)]
struct Bucket {
    pending: Vec<u8>,
    /// Offset and length of what is written.
    written: Vec<(u64, usize)>,
}

impl Spill {
    /// `buckets` empty buckets in a file in `dir`.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn new(files: &Files, dir: &Path, buckets: usize) -> Result<Spill, FsError> {
        Ok(Spill {
            file: files.scratch(dir)?,
            dir: dir.to_owned(),
            end: Mutex::new(0),
            buckets: (0..buckets).map(|_| Mutex::default()).collect(),
        })
    }

    /// Appends to a bucket (modulo the number of buckets).
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn push(&self, bucket: u64, bytes: &[u8]) -> Result<(), FsError> {
        let Some(bucket) = self.bucket(bucket) else { return Ok(()) };
        let mut bucket = lock(bucket);
        bucket.pending.extend_from_slice(bytes);
        if bucket.pending.len() >= FLUSH_BYTES {
            let offset = {
                let mut end = lock(&self.end);
                let offset = *end;
                *end += bucket.pending.len() as u64;
                offset
            };
            self.file.write_at(&bucket.pending, offset).map_err(FsError::at("write scratch data in", &self.dir))?;
            let len = bucket.pending.len();
            bucket.written.push((offset, len));
            bucket.pending.clear();
        }
        Ok(())
    }

    /// Takes all of a bucket, in no order that may be relied on between threads.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn take(&self, bucket: u64) -> Result<Vec<u8>, FsError> {
        let Some(bucket) = self.bucket(bucket) else { return Ok(Vec::new()) };
        let Bucket { pending, written } = std::mem::take(&mut *lock(bucket));
        let before: usize = written.iter().map(|w| w.1).sum();
        let mut out = vec![0; before + pending.len()];
        let mut rest = out.as_mut_slice();
        for (offset, len) in written {
            let (head, tail) = std::mem::take(&mut rest).split_at_mut(len);
            self.file.read_at(head, offset).map_err(FsError::at("read scratch data in", &self.dir))?;
            rest = tail;
        }
        rest.copy_from_slice(&pending);
        Ok(out)
    }

    /// How many buckets.
    pub fn buckets(&self) -> u64 {
        self.buckets.len() as u64
    }

    fn bucket(&self, bucket: u64) -> Option<&Mutex<Bucket>> {
        let index = bucket.checked_rem(self.buckets.len() as u64)?;
        self.buckets.get(usize::try_from(index).ok()?)
    }
}

/// A lock whose holder panicked still guards plain bytes.
fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}
