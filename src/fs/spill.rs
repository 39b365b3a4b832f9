//! Rows sorted into buckets on disk, so that an import needs memory for one bucket, not for all.

use std::{path::Path, sync::Mutex};

use super::{Files, FsError, ScratchFile};

/// What gathers in memory before it is written out: of all buckets together, and of one at least and at most.
const GATHERED_BYTES: usize = 8 << 20;
const FLUSH_BYTES: std::ops::RangeInclusive<usize> = 4 << 10..=256 << 10;

/// Appendable buckets in one unnamed file; a crash leaves nothing of it.
#[derive(Debug)]
pub struct Spill {
    file: Box<dyn ScratchFile>,
    dir: std::path::PathBuf,
    end: Mutex<u64>,
    /// A bucket is written out when this much of it has gathered.
    flush: usize,
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
            flush: (GATHERED_BYTES / buckets.max(1)).clamp(*FLUSH_BYTES.start(), *FLUSH_BYTES.end()),
            buckets: (0..buckets).map(|_| Mutex::default()).collect(),
        })
    }

    /// Appends rows of one width, each to its bucket (modulo the number of buckets).
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn scatter(&self, rows: &[u8], width: usize, buckets: &[u32]) -> Result<(), FsError> {
        let count = self.buckets.len();
        let bucket_of = |bucket: &u32| (*bucket as usize).checked_rem(count).unwrap_or(0);
        // A counting sort: then each bucket is locked once.
        let mut starts = vec![0_u32; count + 1];
        for bucket in buckets {
            if let Some(n) = starts.get_mut(bucket_of(bucket) + 1) {
                *n += 1;
            }
        }
        let mut sum = 0;
        starts.iter_mut().for_each(|n| {
            sum += *n;
            *n = sum;
        });
        let mut ends = starts.clone();
        let mut order = vec![0_u32; buckets.len()];
        for (row, bucket) in (0..).zip(buckets) {
            if let Some(end) = ends.get_mut(bucket_of(bucket)) {
                if let Some(to) = order.get_mut(*end as usize) {
                    *to = row;
                }
                *end += 1;
            }
        }
        for (bucket, range) in self.buckets.iter().zip(starts.windows(2)) {
            let &[start, end] = range else { continue };
            let of_bucket = order.get(start as usize..end as usize).unwrap_or_default();
            if of_bucket.is_empty() {
                continue;
            }
            let full = {
                let pending = &mut lock(bucket).pending;
                for row in of_bucket {
                    let at = *row as usize * width;
                    pending.extend_from_slice(rows.get(at..at + width).unwrap_or_default());
                }
                // Written without the lock, so that nobody waits for the disk who need not.
                if pending.len() >= self.flush { std::mem::take(pending) } else { Vec::new() }
            };
            if !full.is_empty() {
                self.write(bucket, full)?;
            }
        }
        Ok(())
    }

    fn write(&self, bucket: &Mutex<Bucket>, mut bytes: Vec<u8>) -> Result<(), FsError> {
        let offset = {
            let mut end = lock(&self.end);
            let offset = *end;
            *end += bytes.len() as u64;
            offset
        };
        self.file.write_at(&bytes, offset).map_err(FsError::at("write scratch data in", &self.dir))?;
        let mut bucket = lock(bucket);
        bucket.written.push((offset, bytes.len()));
        if bucket.pending.is_empty() {
            // Its memory is used again.
            bytes.clear();
            bucket.pending = bytes;
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
