//! The chain of entries on disk, read: from the last summary on, or whole.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use super::{
    Accepted, Appended, ENTRIES_IN_FOLDER, Entry, Event, HandleSet, History, Imported, LEDGER_FORMAT, LEDGER_FORMAT_1,
    LedgerError, RequestRecord,
    handles::{HANDLE_RECORD, Layer, OUTCOME_RECORD, outcome_of},
    layout::folder_of,
    summary::{self, HANDLES, REQUEST_RECORD, REQUESTS, SUMMARY, request_key},
    table::{self, Table},
};
use crate::{
    digest::{Digest, SealKey},
    fs::Files,
    shard::Cells,
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
    pub(super) files: Files,
    pub(super) dir: PathBuf,
    /// Without it entries can be read and not be believed more than their chain says, and none can be written.
    pub(super) seal: Option<SealKey>,
}

impl Ledger {
    /// The ledger in `dir`, whose entries are sealed with `seal`.
    pub fn new(files: Files, dir: PathBuf, seal: Option<SealKey>) -> Ledger {
        Ledger { files, dir, seal }
    }

    /// Its folder; a lock on it is the workspace's writer lock.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// What all entries add up to: the last summary is read, and the entries after it.
    ///
    /// # Errors
    /// One of them is missing, changed, unreadable, or contradicts another; names the file.
    pub fn read(&self) -> Result<History, LedgerError> {
        let mut history = self.begun()?;
        self.extend(&mut history)?;
        self.check_end(history.head.sequence + 1)?;
        // One may have come between the last look for a next entry and the one for later ones.
        self.extend(&mut history)?;
        Ok(history)
    }

    /// What the entries before the last folder add up to, by the summary that its first entry names.
    fn begun(&self) -> Result<History, LedgerError> {
        let Some(last) = self.last_begun()? else { return Ok(History::default()) };
        for folder in (1..=last).rev() {
            let first = folder * ENTRIES_IN_FOLDER + 1;
            let Some(path) = self.place(first)? else { return Err(self.gap(first)) };
            let entry = self.entry(&path)?.0;
            if entry.format == LEDGER_FORMAT_1 {
                continue;
            }
            self.check_seal(&entry, &path)?;
            let Some(digest) = entry.summary else { return Err(self.damaged(&path, "it names no summary")) };
            let history = summary::read(&self.files, &self.folder(folder), folder, digest)?;
            self.check_key(history.generations.values().map(|g| g.imported.handle_key))?;
            if history.head.sequence + 1 != first {
                let what = format!("it says what {} entries add up to, and entry {first} is the next", history.head.sequence);
                return Err(LedgerError::Damaged { path: self.folder(folder).join(SUMMARY), offset: 0, what });
            }
            return Ok(history);
        }
        Ok(History::default())
    }

    /// Reads the whole chain, makes every summary again and compares it, and shows every entry with its digest.
    ///
    /// # Errors
    /// As [`Ledger::read`].
    pub fn read_entries(&self, mut show: impl FnMut(&Entry, Digest)) -> Result<History, LedgerError> {
        let mut history = History::default();
        for sequence in self.numbers()? {
            let Some(path) = self.place(sequence)? else { return Err(self.gap(sequence)) };
            let (entry, digest) = self.entry(&path)?;
            let folder = folder_of(sequence);
            // What the entry names is what the entries before add up to.
            let begins = entry.format != LEDGER_FORMAT_1 && sequence > 1 && history.folder != Some(folder);
            let again = if begins { Some(self.check_summary(&history, folder)?) } else { None };
            if entry.summary != again {
                return Err(self.damaged(&path, "it names another summary than that of the entries before it"));
            }
            self.take(&mut history, &entry, digest, &path, true)?;
            show(&entry, digest);
        }
        Ok(history)
    }

    /// Makes a summary again and compares the files.
    fn check_summary(&self, history: &History, folder: u64) -> Result<Digest, LedgerError> {
        let mut digest = Digest([0; 32]);
        for (name, expected) in self.summary_of(history)? {
            let path = self.folder(folder).join(name);
            digest = Digest::of(&expected);
            let bytes = summary::named(&self.files, path.clone(), digest)?;
            if *bytes != *expected {
                return Err(self.damaged(&path, "it is not what the entries before it add up to"));
            }
        }
        Ok(digest)
    }

    pub(super) fn summary_of(&self, history: &History) -> Result<Vec<(String, Vec<u8>)>, LedgerError> {
        Ok(summary::files_of(history, &self.handles(history)?.records()?, &self.request_records(history)?))
    }

    fn request_records(&self, history: &History) -> Result<Vec<u8>, LedgerError> {
        let mut all = BTreeMap::new();
        if let Some(table) = self.request_table(history)? {
            table.each(|record| {
                all.insert(table::key_of(record), record.get(16..).unwrap_or_default().to_vec());
            })?;
        }
        all.extend(history.requests.since.iter().map(|(name, ids)| (request_key(name), ids.0.to_vec())));
        Ok(all.into_iter().flat_map(|(key, ids)| key.0.into_iter().chain(ids)).collect())
    }

    fn request_table(&self, history: &History) -> Result<Option<Table>, LedgerError> {
        let Some((folder, name)) = history.requests.base else { return Ok(None) };
        Table::open(&self.files, &self.folder(folder).join(REQUESTS), name, REQUEST_RECORD).map(Some)
    }

    /// The digest of a request's ids, if there is a request of this name.
    ///
    /// # Errors
    /// A table is damaged, or the disk refuses.
    pub fn request_ids(&self, history: &History, name: &str) -> Result<Option<Digest>, LedgerError> {
        if let Some(ids) = history.requests.since.get(name) {
            return Ok(Some(*ids));
        }
        let Some(table) = self.request_table(history)? else { return Ok(None) };
        let found = table.find(request_key(name))?;
        Ok(found.and_then(|record| record.get(16..)?.try_into().ok()).map(Digest))
    }

    /// All requests, in order, with all their outcomes; reads the whole chain.
    ///
    /// # Errors
    /// As [`Ledger::read`].
    pub fn requests(&self) -> Result<(Vec<RequestRecord>, Head), LedgerError> {
        let mut found: BTreeMap<String, RequestRecord> = BTreeMap::new();
        let history = self.read_entries(|entry, _| match &entry.event {
            Event::Accepted(accepted) => {
                let record = RequestRecord {
                    sequence: entry.sequence,
                    accepted_at: entry.time.clone(),
                    accepted: accepted.clone(),
                    effective: None,
                    repaired: None,
                };
                found.insert(accepted.request.clone(), record);
            }
            Event::Effective(effective) => {
                if let Some(record) = found.get_mut(&effective.request) {
                    record.effective = Some((entry.time.clone(), effective.clone()));
                }
            }
            Event::Repaired(repaired) => {
                for name in &repaired.requests {
                    if let Some(record) = found.get_mut(name) {
                        record.repaired = Some((entry.time.clone(), repaired.clone()));
                    }
                }
            }
            _ => {}
        })?;
        let mut requests: Vec<RequestRecord> = found.into_values().collect();
        requests.sort_by_key(|r| r.sequence);
        for request in &mut requests {
            request.accepted = self.whole(request.sequence, &request.accepted)?;
        }
        Ok((requests, history.head))
    }

    /// Shows the entries that came after `head`, each with its seal and its place in the chain checked, and tells where the chain ends now.
    ///
    /// # Errors
    /// One of them is changed or unreadable, or the disk refuses.
    pub fn entries_after(&self, mut head: Head, mut show: impl FnMut(&Entry)) -> Result<Head, LedgerError> {
        while let Some(path) = self.place(head.sequence + 1)? {
            let (entry, digest) = self.entry(&path)?;
            if entry.sequence != head.sequence + 1 || entry.previous != head.digest {
                return Err(self.damaged(&path, "it does not continue the chain: this entry or the one before it was changed"));
            }
            self.check_seal(&entry, &path)?;
            show(&entry);
            head = Head { sequence: entry.sequence, digest };
        }
        Ok(head)
    }

    /// What the entry of this number accepted, with all outcomes in it.
    ///
    /// # Errors
    /// Their file is damaged, or the disk refuses.
    pub fn whole(&self, sequence: u64, accepted: &Accepted) -> Result<Accepted, LedgerError> {
        let mut whole = accepted.clone();
        if let Some(list) = whole.list.take() {
            let table = Table::open(&self.files, &self.beside(sequence, "outcomes"), list, OUTCOME_RECORD)?;
            whole.outcomes.reserve(table.len());
            table.each(|record| whole.outcomes.push(outcome_of(record)))?;
        }
        Ok(whole)
    }

    /// All handles that were named in requests.
    ///
    /// # Errors
    /// A table is damaged, or the disk refuses.
    pub fn handles<'a>(&self, history: &'a History) -> Result<HandleSet<'a>, LedgerError> {
        let base = match history.handles.base {
            Some((folder, name)) => Some(Table::open(&self.files, &self.folder(folder).join(HANDLES), name, HANDLE_RECORD)?),
            None => None,
        };
        let mut layers = Vec::with_capacity(history.handles.layers.len());
        for layer in &history.handles.layers {
            let table = match layer {
                Layer::Many { sequence, list, .. } => {
                    Some(Table::open(&self.files, &self.beside(*sequence, "outcomes"), *list, OUTCOME_RECORD)?)
                }
                Layer::Few(_) | Layer::Imported => None,
            };
            layers.push((layer, table));
        }
        Ok(HandleSet { base, layers })
    }

    /// Whether an entry follows those that a history was made of: one look, however long the ledger is.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn is_behind(&self, history: &History) -> Result<bool, LedgerError> {
        Ok(self.next(history)?.is_some())
    }

    /// Whether an entry follows the one of this number: one look at one name, at two as long as an older version may have written it.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn goes_on_after(&self, sequence: u64) -> Result<bool, LedgerError> {
        Ok(self.place(sequence + 1)?.is_some())
    }

    /// The file of the next entry, if it is there.
    pub(super) fn next(&self, history: &History) -> Result<Option<PathBuf>, LedgerError> {
        let sequence = history.head.sequence + 1;
        // Older versions refuse what this one has begun to write, and write no more.
        if history.format == LEDGER_FORMAT {
            let path = self.path(sequence);
            return Ok(self.files.stat(&path)?.map(|_| path));
        }
        Ok(self.place(sequence)?)
    }

    /// Takes the entries into a history that came since it was read. Returns how many.
    ///
    /// # Errors
    /// As [`Ledger::read`]; the history then holds the entries before that one.
    pub fn extend(&self, history: &mut History) -> Result<u64, LedgerError> {
        let before = history.head.sequence;
        while let Some(path) = self.next(history)? {
            let (entry, digest) = self.entry(&path)?;
            self.take(history, &entry, digest, &path, false)?;
        }
        Ok(history.head.sequence - before)
    }

    /// Takes an entry into the history, which it must continue.
    fn take(&self, history: &mut History, entry: &Entry, digest: Digest, path: &Path, thorough: bool) -> Result<(), LedgerError> {
        let sequence = history.head.sequence + 1;
        if entry.sequence != sequence {
            return Err(self.damaged(path, &format!("it says that it is entry {}", entry.sequence)));
        }
        if entry.previous != history.head.digest {
            return Err(self.damaged(path, "it does not continue the chain: this entry or the one before it was changed"));
        }
        if entry.format == LEDGER_FORMAT_1 && history.sealed {
            return Err(self.damaged(path, "it is sealed without the key, and entries before it are sealed with it"));
        }
        if entry.format < history.format {
            return Err(self.damaged(path, "its format is older than that of the entry before it"));
        }
        if let Event::Imported(imported) = &entry.event {
            self.check_key([imported.handle_key].into_iter().filter(|_| entry.format != LEDGER_FORMAT_1))?;
        } else if !history.sealed && entry.format != LEDGER_FORMAT_1 {
            self.check_key(history.generations.values().map(|g| g.imported.handle_key))?;
        }
        self.check_seal(entry, path)?;
        let cells = self.cells(entry)?;
        history.check(entry, cells.as_ref(), thorough).map_err(|what| self.damaged(path, &what))?;
        if thorough && let Event::Accepted(Accepted { list: Some(list), .. }) = entry.event {
            Table::open(&self.files, &self.beside(sequence, "outcomes"), list, OUTCOME_RECORD)?.each(|_| {})?;
        }
        history.apply(entry, digest, cells);
        history.folder = (entry.format != LEDGER_FORMAT_1).then(|| folder_of(sequence));
        history.format = entry.format;
        Ok(())
    }

    /// Reads one entry, which must be as it was written, and its file's digest.
    fn entry(&self, path: &Path) -> Result<(Entry, Digest), LedgerError> {
        let bytes = self.files.read(path)?;
        let entry: Entry = serde_json::from_slice(&bytes).map_err(|e| LedgerError::Damaged {
            path: path.to_owned(),
            offset: offset_of(&bytes, e.line(), e.column()),
            what: format!("not a ledger entry ({e})"),
        })?;
        if !(LEDGER_FORMAT_1..=LEDGER_FORMAT).contains(&entry.format) {
            let what =
                format!("format {} is none of {LEDGER_FORMAT_1} to {LEDGER_FORMAT}, which this version reads", entry.format);
            return Err(self.damaged(path, &what));
        }
        // One way to write an entry, so that a changed byte can't hide in white space.
        if encode(&entry) != *bytes {
            return Err(self.damaged(path, "its bytes are not as they were written"));
        }
        Ok((entry, Digest::of(&bytes)))
    }

    fn check_seal(&self, entry: &Entry, path: &Path) -> Result<(), LedgerError> {
        let unsealed = encode(&Entry { digest: Digest([0; 32]), ..entry.clone() });
        let expected = match (entry.format, &self.seal) {
            (LEDGER_FORMAT_1, _) => Digest::of(&unsealed),
            (_, Some(seal)) => seal.seal(&unsealed),
            // Who has no key sees the chain, and nothing more.
            (_, None) => return Ok(()),
        };
        if expected == entry.digest { Ok(()) } else { Err(self.damaged(path, "its content is not what its digest says")) }
    }

    /// Refuses a handle key that is not the one of these generations: no seal would hold under it.
    fn check_key(&self, mut of: impl Iterator<Item = Digest>) -> Result<(), LedgerError> {
        let Some(seal) = &self.seal else { return Ok(()) };
        if of.any(|key| key != seal.fingerprint()) { Err(LedgerError::OtherKey) } else { Ok(()) }
    }

    /// What the cells of a new generation hold, or those of one that a batch came to.
    fn cells(&self, entry: &Entry) -> Result<Option<Cells>, LedgerError> {
        let list = match &entry.event {
            Event::Imported(Imported { list: None, cells, .. }) => return Ok(Cells::of_digests(cells)),
            Event::Imported(Imported { list, .. }) | Event::Appended(Appended { list, .. }) => list,
            _ => return Ok(None),
        };
        let Some(list) = list else { return Ok(None) };
        let path = self.beside(entry.sequence, "cells");
        let bytes = summary::named(&self.files, path.clone(), *list)?;
        Cells::decode(&bytes).map(Some).ok_or_else(|| self.damaged(&path, "it is not a file of cells"))
    }

    pub(super) fn damaged(&self, path: &Path, what: &str) -> LedgerError {
        LedgerError::Damaged { path: path.to_owned(), offset: 0, what: what.into() }
    }
}

pub(super) fn encode(entry: &Entry) -> Vec<u8> {
    // The types hold nothing that JSON can't.
    let mut bytes = serde_json::to_vec_pretty(entry).unwrap_or_default();
    bytes.push(b'\n');
    bytes
}

fn offset_of(bytes: &[u8], line: usize, column: usize) -> u64 {
    let before: usize = bytes.split_inclusive(|b| *b == b'\n').take(line.saturating_sub(1)).map(<[u8]>::len).sum();
    (before + column.saturating_sub(1)) as u64
}
