//! The chain of entries on disk.

use std::path::{Path, PathBuf};

use super::{Entry, Event, History, LEDGER_FORMAT, LedgerError};
use crate::{
    digest::Digest,
    fs::{Durability, EntryKind, Files, utc_now},
};

/// The end of the chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head {
    /// The number of the last entry; 0 when there is none.
    pub sequence: u64,
    /// Its digest; that of nothing when there is none.
    pub digest: Digest,
}

impl Default for Head {
    fn default() -> Head {
        Head { sequence: 0, digest: Digest::of(b"") }
    }
}

/// The ledger of a workspace.
#[derive(Clone, Debug)]
pub struct Ledger {
    files: Files,
    dir: PathBuf,
}

impl Ledger {
    /// The ledger in `dir`.
    pub fn new(files: Files, dir: PathBuf) -> Ledger {
        Ledger { files, dir }
    }

    /// Its folder; a lock on it is the workspace's writer lock.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    fn path(&self, sequence: u64) -> PathBuf {
        self.dir.join(format!("{sequence:08}.json"))
    }

    /// Reads the whole chain.
    ///
    /// # Errors
    /// An entry is missing, changed, unreadable, or contradicts another; names the file.
    pub fn read(&self) -> Result<History, LedgerError> {
        self.read_entries(|_, _| {})
    }

    /// Reads the whole chain and shows every entry with its digest.
    ///
    /// # Errors
    /// As [`Ledger::read`].
    pub fn read_entries(&self, mut show: impl FnMut(&Entry, Digest)) -> Result<History, LedgerError> {
        let mut history = History::default();
        let mut numbers = Vec::new();
        for (name, kind) in self.files.list(&self.dir)? {
            if let Some(sequence) = sequence_of(&name).filter(|_| kind == EntryKind::File) {
                numbers.push(sequence);
            }
        }
        for (expected, found) in (1..).zip(&numbers) {
            if *found != expected {
                return Err(self.damaged(expected, 0, "the entry is missing, and later ones are there"));
            }
        }
        for sequence in numbers {
            let path = self.path(sequence);
            let bytes = self.files.read(&path)?;
            let entry: Entry = serde_json::from_slice(&bytes).map_err(|e| LedgerError::Damaged {
                path: path.clone(),
                offset: offset_of(&bytes, e.line(), e.column()),
                what: format!("not a ledger entry ({e})"),
            })?;
            if entry.format != LEDGER_FORMAT {
                return Err(self.damaged(sequence, 0, &format!("format {} is not {LEDGER_FORMAT}", entry.format)));
            }
            if entry.sequence != sequence {
                return Err(self.damaged(sequence, 0, &format!("it says that it is entry {}", entry.sequence)));
            }
            if entry.previous != history.head.digest {
                let what = "it does not continue the chain: this entry or the one before it was changed";
                return Err(self.damaged(sequence, 0, what));
            }
            // One way to write an entry, so that a changed byte can't hide in white space.
            if encode(&entry) != *bytes {
                return Err(self.damaged(sequence, 0, "its bytes are not as they were written"));
            }
            if seal(&entry) != entry.digest {
                return Err(self.damaged(sequence, 0, "its content is not what its digest says"));
            }
            let digest = Digest::of(&bytes);
            history.take(&entry, digest).map_err(|what| self.damaged(sequence, 0, &what))?;
            show(&entry, digest);
        }
        Ok(history)
    }

    /// The last entry's number and digest, without reading the chain.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn head(&self) -> Result<Head, LedgerError> {
        let names = self.files.list(&self.dir)?;
        let Some(sequence) = names.iter().rev().find_map(|(n, _)| sequence_of(n)) else { return Ok(Head::default()) };
        Ok(Head { sequence, digest: Digest::of(&self.files.read(&self.path(sequence))?) })
    }

    /// Whether an entry follows the one of this number: one look at one name.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn goes_on_after(&self, sequence: u64) -> Result<bool, LedgerError> {
        Ok(self.files.stat(&self.path(sequence + 1))?.is_some())
    }

    /// Appends an entry, durably, and takes it into `history`. The caller holds the writer lock.
    ///
    /// # Errors
    /// When the disk refuses, or somebody else wrote without the lock.
    pub fn append(&self, history: &mut History, event: Event) -> Result<Head, LedgerError> {
        let sequence = history.head.sequence + 1;
        let path = self.path(sequence);
        if self.files.stat(&path)?.is_some() {
            return Err(LedgerError::Raced { path });
        }
        let mut entry = Entry {
            format: LEDGER_FORMAT,
            sequence,
            previous: history.head.digest,
            time: utc_now(),
            event,
            digest: Digest([0; 32]),
        };
        entry.digest = seal(&entry);
        let bytes = encode(&entry);
        // What contradicts the chain must not become part of it.
        let mut next = history.clone();
        next.take(&entry, Digest::of(&bytes)).map_err(|what| self.damaged(sequence, 0, &what))?;
        let _ = self.files.publish(&path, &[&bytes], Durability::Now)?;
        *history = next;
        Ok(history.head)
    }

    /// Files in the folder that are neither entries nor temporaries (a writer at work, or one that was killed, has one here).
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn strangers(&self) -> Result<Vec<PathBuf>, LedgerError> {
        let names = self.files.list(&self.dir)?;
        let strangers =
            names.into_iter().filter(|(n, k)| *k != EntryKind::File || (sequence_of(n).is_none() && !Files::is_temporary(n)));
        Ok(strangers.map(|(n, _)| self.dir.join(n)).collect())
    }

    fn damaged(&self, sequence: u64, offset: u64, what: &str) -> LedgerError {
        LedgerError::Damaged { path: self.path(sequence), offset, what: what.into() }
    }
}

fn encode(entry: &Entry) -> Vec<u8> {
    // The types hold nothing that JSON can't.
    let mut bytes = serde_json::to_vec_pretty(entry).unwrap_or_default();
    bytes.push(b'\n');
    bytes
}

/// The digest of an entry's content.
fn seal(entry: &Entry) -> Digest {
    Digest::of(&encode(&Entry { digest: Digest([0; 32]), ..entry.clone() }))
}

fn sequence_of(name: &str) -> Option<u64> {
    let number = name.strip_suffix(".json")?;
    let sequence: u64 = number.parse().ok().filter(|n| *n > 0)?;
    (format!("{sequence:08}") == number).then_some(sequence)
}

fn offset_of(bytes: &[u8], line: usize, column: usize) -> u64 {
    let before: usize = bytes.split_inclusive(|b| *b == b'\n').take(line.saturating_sub(1)).map(<[u8]>::len).sum();
    (before + column.saturating_sub(1)) as u64
}
