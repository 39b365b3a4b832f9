//! The chain of entries on disk: one JSON file an entry, a hundred of them a folder, every folder begun with a summary of what was
//! before it.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use super::{
    Accepted, Entry, Event, HandleSet, History, Imported, LEDGER_FORMAT, LEDGER_FORMAT_1, LedgerError, RequestRecord,
    handles::{HANDLE_RECORD, Layer, OUTCOME_RECORD, OUTCOMES_IN_ENTRY, outcome_of, outcome_records},
    summary::{self, HANDLES, REQUEST_RECORD, REQUESTS, SUMMARY, request_key},
    table::{self, Table},
};
use crate::{
    digest::{Digest, SealKey},
    fs::{Durability, EntryKind, Files, utc_now},
    shard::Cells,
};

/// Entries of a folder.
pub const ENTRIES_IN_FOLDER: u64 = 100;

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
    /// Without it entries can be read and not be believed more than their chain says, and none can be written.
    seal: Option<SealKey>,
}

/// Where entries are.
#[derive(Debug, Default)]
struct Listing {
    /// Entries beside the folders, as format 1 has them.
    flat: Vec<u64>,
    /// Folders, ascending.
    folders: Vec<u64>,
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

    fn folder(&self, number: u64) -> PathBuf {
        self.dir.join(folder_name(number))
    }

    /// The folders of entries.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn folders(&self) -> Result<Vec<PathBuf>, LedgerError> {
        Ok(self.listing()?.folders.into_iter().map(|number| self.folder(number)).collect())
    }

    /// The file of an entry, or beside it, in its folder.
    fn beside(&self, sequence: u64, extension: &str) -> PathBuf {
        self.folder(folder_of(sequence)).join(format!("{sequence:08}.{extension}"))
    }

    fn path(&self, sequence: u64) -> PathBuf {
        self.beside(sequence, "json")
    }

    /// The file of an entry of format 1.
    fn flat_path(&self, sequence: u64) -> PathBuf {
        self.dir.join(format!("{sequence:08}.json"))
    }

    fn listing(&self) -> Result<Listing, LedgerError> {
        let mut listing = Listing::default();
        for (name, kind) in self.files.list(&self.dir)? {
            match kind {
                EntryKind::File => listing.flat.extend(sequence_of(&name)),
                EntryKind::Dir => listing.folders.extend(name.parse().ok().filter(|number| folder_name(*number) == name)),
                EntryKind::Other => {}
            }
        }
        listing.folders.sort_unstable();
        listing.flat = self.gapless(listing.flat, 1, |sequence| self.flat_path(sequence))?;
        Ok(listing)
    }

    /// The numbers of the entries in a folder, which follow each other.
    fn numbers(&self, folder: u64) -> Result<Vec<u64>, LedgerError> {
        let mut numbers = Vec::new();
        for (name, kind) in self.files.list(&self.folder(folder))? {
            numbers.extend(sequence_of(&name).filter(|n| kind == EntryKind::File && folder_of(*n) == folder));
        }
        self.gapless(numbers, folder * ENTRIES_IN_FOLDER + 1, |sequence| self.path(sequence))
    }

    /// The numbers that were listed, and those between them. A list that is made while entries are added may have a later one and not the
    /// one before it, so a file that is not in it is looked for. There may be none before the first, down to number `from`.
    fn gapless(&self, listed: Vec<u64>, from: u64, path: impl Fn(u64) -> PathBuf) -> Result<Vec<u64>, LedgerError> {
        let (Some(mut first), Some(last)) = (listed.first().copied(), listed.last().copied()) else { return Ok(listed) };
        let mut listed = listed.into_iter().peekable();
        for sequence in first..=last {
            if listed.next_if_eq(&sequence).is_none() && self.files.stat(&path(sequence))?.is_none() {
                return Err(self.gap(path(sequence)));
            }
        }
        while first > from && self.files.stat(&path(first - 1))?.is_some() {
            first -= 1;
        }
        Ok((first..=last).collect())
    }

    fn gap(&self, path: PathBuf) -> LedgerError {
        LedgerError::Damaged { path, offset: 0, what: "the entry is missing, and later ones are there".into() }
    }

    /// What all entries add up to: the last summary is read, and the entries after it.
    ///
    /// # Errors
    /// One of them is missing, changed, unreadable, or contradicts another; names the file.
    pub fn read(&self) -> Result<History, LedgerError> {
        let listing = self.listing()?;
        for folder in listing.folders.iter().rev() {
            let numbers = self.numbers(*folder)?;
            // A folder is made before its first entry.
            let Some(first) = numbers.first().copied() else { continue };
            let mut history = self.before(*folder, first)?;
            for sequence in numbers {
                self.take(&mut history, sequence, self.path(sequence), false)?;
            }
            return Ok(history);
        }
        let mut history = History::default();
        for sequence in listing.flat {
            self.take(&mut history, sequence, self.flat_path(sequence), false)?;
        }
        Ok(history)
    }

    /// What the entries before a folder add up to, by the summary that its first entry names.
    fn before(&self, folder: u64, first: u64) -> Result<History, LedgerError> {
        if first == 1 {
            return Ok(History::default());
        }
        let path = self.path(first);
        let entry = self.entry(&path)?.0;
        self.check_seal(&entry, &path)?;
        let Some(digest) = entry.summary else {
            return Err(self.gap(self.path(first - 1)));
        };
        let history = summary::read(&self.files, &self.folder(folder), folder, digest)?;
        self.check_key(history.generations.values().map(|g| g.imported.handle_key))?;
        if history.head.sequence + 1 != first {
            let what = format!("it says what {} entries add up to, and entry {first} is the next", history.head.sequence);
            return Err(LedgerError::Damaged { path: self.folder(folder).join(SUMMARY), offset: 0, what });
        }
        Ok(history)
    }

    /// Reads the whole chain, makes every summary again and compares it, and shows every entry with its digest.
    ///
    /// # Errors
    /// As [`Ledger::read`].
    pub fn read_entries(&self, mut show: impl FnMut(&Entry, Digest)) -> Result<History, LedgerError> {
        let listing = self.listing()?;
        let mut history = History::default();
        for sequence in listing.flat {
            let entry = self.take(&mut history, sequence, self.flat_path(sequence), true)?;
            show(&entry, history.head.digest);
        }
        // A list that is made while a folder is added may be without the one before it.
        let ends = listing.folders.first().copied().zip(listing.folders.last().copied());
        for folder in ends.into_iter().flat_map(|(first, last)| first..=last) {
            for sequence in self.numbers(folder)? {
                if sequence != history.head.sequence + 1 {
                    return Err(self.gap(self.path(history.head.sequence + 1)));
                }
                // What the entry names is what the entries before add up to.
                let again = match history.folder == Some(folder) || sequence == 1 {
                    true => None,
                    false => Some(self.check_summary(&history, folder)?),
                };
                let entry = self.take(&mut history, sequence, self.path(sequence), true)?;
                if entry.summary != again {
                    return Err(self.damaged(&self.path(sequence), "it names another summary than that of the entries before it"));
                }
                show(&entry, history.head.digest);
            }
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

    fn summary_of(&self, history: &History) -> Result<Vec<(String, Vec<u8>)>, LedgerError> {
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

    /// Whether an entry follows the one of this number: one look at one name, at two as long as the version before may have written it.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn goes_on_after(&self, sequence: u64) -> Result<bool, LedgerError> {
        let next = sequence + 1;
        Ok(self.files.stat(&self.path(next))?.is_some() || self.files.stat(&self.flat_path(next))?.is_some())
    }

    /// The file of the next entry, if it is there.
    fn next(&self, history: &History) -> Result<Option<PathBuf>, LedgerError> {
        let sequence = history.head.sequence + 1;
        let path = self.path(sequence);
        if self.files.stat(&path)?.is_some() {
            return Ok(Some(path));
        }
        // As long as no entry is sealed, the version before may write on.
        let flat = self.flat_path(sequence);
        Ok(if !history.sealed && self.files.stat(&flat)?.is_some() { Some(flat) } else { None })
    }

    /// Takes the entries into a history that came since it was read. Returns how many.
    ///
    /// # Errors
    /// As [`Ledger::read`]; the history then holds the entries before that one.
    pub fn extend(&self, history: &mut History) -> Result<u64, LedgerError> {
        let before = history.head.sequence;
        while let Some(path) = self.next(history)? {
            self.take(history, history.head.sequence + 1, path, false)?;
        }
        Ok(history.head.sequence - before)
    }

    /// Reads one entry and takes it into the history.
    fn take(&self, history: &mut History, sequence: u64, path: PathBuf, thorough: bool) -> Result<Entry, LedgerError> {
        let (entry, digest) = self.entry(&path)?;
        if entry.sequence != sequence {
            return Err(self.damaged(&path, &format!("it says that it is entry {}", entry.sequence)));
        }
        if entry.previous != history.head.digest {
            return Err(self.damaged(&path, "it does not continue the chain: this entry or the one before it was changed"));
        }
        if entry.format == LEDGER_FORMAT_1 && history.sealed {
            return Err(self.damaged(&path, "it is sealed without the key, and entries before it are sealed with it"));
        }
        if let Event::Imported(imported) = &entry.event {
            self.check_key([imported.handle_key].into_iter().filter(|_| entry.format != LEDGER_FORMAT_1))?;
        } else if !history.sealed && entry.format != LEDGER_FORMAT_1 {
            self.check_key(history.generations.values().map(|g| g.imported.handle_key))?;
        }
        self.check_seal(&entry, &path)?;
        let cells = self.cells(&entry)?;
        history.check(&entry, cells.as_ref(), thorough).map_err(|what| self.damaged(&path, &what))?;
        if thorough && let Event::Accepted(Accepted { list: Some(list), .. }) = entry.event {
            Table::open(&self.files, &self.beside(sequence, "outcomes"), list, OUTCOME_RECORD)?.each(|_| {})?;
        }
        history.apply(&entry, digest, cells);
        history.folder = (entry.format != LEDGER_FORMAT_1).then(|| folder_of(sequence));
        Ok(entry)
    }

    /// Reads one entry, which must be as it was written, and its file's digest.
    fn entry(&self, path: &Path) -> Result<(Entry, Digest), LedgerError> {
        let bytes = self.files.read(path)?;
        let entry: Entry = serde_json::from_slice(&bytes).map_err(|e| LedgerError::Damaged {
            path: path.to_owned(),
            offset: offset_of(&bytes, e.line(), e.column()),
            what: format!("not a ledger entry ({e})"),
        })?;
        if ![LEDGER_FORMAT_1, LEDGER_FORMAT].contains(&entry.format) {
            return Err(self.damaged(path, &format!("format {} is neither {LEDGER_FORMAT_1} nor {LEDGER_FORMAT}", entry.format)));
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

    /// What the cells of a new generation hold.
    fn cells(&self, entry: &Entry) -> Result<Option<Cells>, LedgerError> {
        let Event::Imported(Imported { list, cells, .. }) = &entry.event else { return Ok(None) };
        let Some(list) = list else { return Ok(Cells::of_digests(cells)) };
        let path = self.beside(entry.sequence, "cells");
        let bytes = summary::named(&self.files, path.clone(), *list)?;
        Cells::decode(&bytes).map(Some).ok_or_else(|| self.damaged(&path, "it is not a file of cells"))
    }

    /// Appends the entry of a new generation whose cells hold this.
    ///
    /// # Errors
    /// As [`Ledger::append`].
    pub fn append_import(&self, history: &mut History, imported: Imported, cells: Cells) -> Result<Head, LedgerError> {
        self.append_with(history, Event::Imported(imported), Some(cells))
    }

    /// Appends an entry, durably, and takes it into `history`, which is as it was if that fails. The caller holds the writer lock.
    ///
    /// # Errors
    /// When the disk refuses, or somebody else wrote without the lock.
    pub fn append(&self, history: &mut History, event: Event) -> Result<Head, LedgerError> {
        self.append_with(history, event, None)
    }

    fn append_with(&self, history: &mut History, mut event: Event, cells: Option<Cells>) -> Result<Head, LedgerError> {
        let Some(seal) = &self.seal else { return Err(LedgerError::NoKey) };
        let sequence = history.head.sequence + 1;
        if let Some(path) = self.next(history)? {
            return Err(LedgerError::Raced { path });
        }
        if let Event::Accepted(accepted) = &event
            && self.request_ids(history, &accepted.request)?.is_some()
        {
            return Err(self.damaged(&self.path(sequence), "a request was accepted twice"));
        }
        let folder = folder_of(sequence);
        let mut summary = None;
        if history.folder != Some(folder) {
            self.files.make_dirs(&self.folder(folder))?;
            if sequence > 1 {
                summary = summary::publish(&self.files, &self.folder(folder), &self.summary_of(history)?)?;
                self.files.reached("summarised");
            }
        }
        self.spill(sequence, &mut event, cells.as_ref())?;
        let unsealed = Entry {
            format: LEDGER_FORMAT,
            sequence,
            previous: history.head.digest,
            summary,
            time: utc_now(),
            event,
            digest: Digest([0; 32]),
        };
        let entry = Entry { digest: seal.seal(&encode(&unsealed)), ..unsealed };
        let (bytes, path) = (encode(&entry), self.path(sequence));
        // What contradicts the chain must not become part of it.
        history.check(&entry, cells.as_ref(), false).map_err(|what| self.damaged(&path, &what))?;
        let _ = self.files.publish(&path, &[&bytes], Durability::Now)?;
        history.apply(&entry, Digest::of(&bytes), cells);
        history.folder = Some(folder);
        Ok(history.head)
    }

    /// Puts long lists of an event into files beside its entry, durably.
    fn spill(&self, sequence: u64, event: &mut Event, cells: Option<&Cells>) -> Result<(), LedgerError> {
        match event {
            Event::Accepted(accepted) if accepted.outcomes.len() > OUTCOMES_IN_ENTRY => {
                let outcomes = std::mem::take(&mut accepted.outcomes);
                let (bytes, name) = table::encode(OUTCOME_RECORD, &outcome_records(&outcomes));
                accepted.list = Some(name);
                let _ = self.files.publish(&self.beside(sequence, "outcomes"), &[&bytes], Durability::Now)?;
            }
            Event::Imported(imported) => {
                let bytes = cells.map(Cells::encode).unwrap_or_default();
                imported.list = Some(Digest::of(&bytes));
                let _ = self.files.publish(&self.beside(sequence, "cells"), &[&bytes], Durability::Now)?;
            }
            _ => {}
        }
        Ok(())
    }

    /// Files in the folder that are neither entries, nor what belongs to them, nor temporaries of writers.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn strangers(&self) -> Result<Vec<PathBuf>, LedgerError> {
        let mut strangers = Vec::new();
        for (name, kind) in self.files.list(&self.dir)? {
            let path = self.dir.join(&name);
            let folder = name.parse().ok().filter(|number| kind == EntryKind::Dir && folder_name(*number) == name);
            match folder {
                Some(folder) => {
                    for (name, kind) in self.files.list(&path)? {
                        if kind != EntryKind::File || !is_ours(&name, folder) {
                            strangers.push(path.join(name));
                        }
                    }
                }
                None if kind == EntryKind::File && (sequence_of(&name).is_some() || Files::is_temporary(&name)) => {}
                None => strangers.push(path),
            }
        }
        Ok(strangers)
    }

    fn damaged(&self, path: &Path, what: &str) -> LedgerError {
        LedgerError::Damaged { path: path.to_owned(), offset: 0, what: what.into() }
    }
}

/// The folder of an entry.
fn folder_of(sequence: u64) -> u64 {
    sequence.saturating_sub(1) / ENTRIES_IN_FOLDER
}

fn folder_name(number: u64) -> String {
    format!("{number:04}")
}

/// Whether a file's name is one that this folder may have.
fn is_ours(name: &str, folder: u64) -> bool {
    let of_summary = [SUMMARY, HANDLES, REQUESTS].contains(&name);
    let of_entry = || {
        let (number, extension) = name.split_once('.')?;
        let sequence = sequence_of(&format!("{number}.json"))?;
        (folder_of(sequence) == folder && ["json", "cells", "outcomes"].contains(&extension)).then_some(())
    };
    let of_generation = || {
        let (generation, recipe) = match name.strip_suffix(".durable") {
            Some(stem) => stem.split_once('-').map(|(g, r)| (g, Some(r)))?,
            None => (name.strip_suffix(".cells")?, None),
        };
        generation.parse::<crate::ids::GenerationId>().ok()?;
        recipe.is_none_or(|r| r.bytes().all(|b| b.is_ascii_hexdigit())).then_some(())
    };
    of_summary || of_entry().is_some() || of_generation().is_some() || Files::is_temporary(name)
}

fn encode(entry: &Entry) -> Vec<u8> {
    // The types hold nothing that JSON can't.
    let mut bytes = serde_json::to_vec_pretty(entry).unwrap_or_default();
    bytes.push(b'\n');
    bytes
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
