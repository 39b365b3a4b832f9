//! Writing entries: sealed, one after the other, never over one that is there.

use std::path::PathBuf;

use super::{
    Appended, Entry, Event, Head, History, Imported, LEDGER_FORMAT, Ledger, LedgerError,
    handles::{OUTCOME_RECORD, OUTCOMES_IN_ENTRY, outcome_records},
    layout::folder_of,
    store::encode,
    summary, table,
};
use crate::{
    digest::Digest,
    fs::{Durability, open_files_limit, utc_now},
    shard::Cells,
};

/// Entries that are written at once at most: each is an open file.
const AT_ONCE: usize = 32;

impl Ledger {
    /// Appends the entry of a new generation whose cells hold this.
    ///
    /// # Errors
    /// As [`Ledger::append`].
    pub fn append_import(&self, history: &mut History, imported: Imported, cells: Cells) -> Result<Head, LedgerError> {
        self.append_with(history, Event::Imported(imported), Some(cells))
    }

    /// Appends the entry of a batch, after which the cells of its generation hold this.
    ///
    /// # Errors
    /// As [`Ledger::append`].
    pub fn append_batch(&self, history: &mut History, appended: Appended, cells: Cells) -> Result<Head, LedgerError> {
        self.append_with(history, Event::Appended(appended), Some(cells))
    }

    /// Appends an entry, durably, and takes it into `history`, which is as it was if that fails. The caller holds the writer lock.
    ///
    /// # Errors
    /// When the disk refuses, or somebody else wrote without the lock.
    pub fn append(&self, history: &mut History, event: Event) -> Result<Head, LedgerError> {
        self.append_with(history, event, None)
    }

    fn append_with(&self, history: &mut History, event: Event, cells: Option<Cells>) -> Result<Head, LedgerError> {
        let (entry, bytes, path) = self.sealed(history, event, cells.as_ref())?;
        let _ = self.files.publish(&path, &[&bytes], Durability::Now)?;
        self.taken(history, &entry, &bytes, cells);
        Ok(history.head)
    }

    /// Appends entries in order, durably: they are written and synced many at once, and get their names one after the other, each when that of
    /// the one before is durable, so that no power cut leaves a gap. The caller holds the writer lock.
    ///
    /// # Errors
    /// As [`Ledger::append`]; entries before the one that could not be appended stand, and are not in `history`.
    pub fn append_all(&self, history: &mut History, events: Vec<Event>) -> Result<(), LedgerError> {
        let at_once = open_files_limit().map_or(AT_ONCE, |files| AT_ONCE.min(files as usize / 8));
        let mut events = events.into_iter().peekable();
        while let Some(event) = events.next() {
            // The first of a folder has a summary of those before it, which are durable by then.
            let begins = |history: &History| history.folder != Some(folder_of(history.head.sequence + 1));
            if begins(history) || events.peek().is_none() {
                self.append(history, event)?;
                continue;
            }
            let (mut then, mut written, mut next) = (history.clone(), Vec::new(), Some(event));
            while let Some(event) = next {
                let (entry, bytes, path) = self.sealed(&then, event, None)?;
                let mut file = self.files.begin(&path)?;
                file.write(&bytes)?;
                written.push(file);
                self.taken(&mut then, &entry, &bytes, None);
                next = if begins(&then) || written.len() >= at_once { None } else { events.next() };
            }
            self.files.sync_pending(&mut written)?;
            for file in written {
                let _ = file.publish(Durability::Later)?;
                self.files.sync_dir(&self.dir)?;
            }
            *history = then;
        }
        Ok(())
    }

    /// The next entry with its bytes and its file; what belongs beside it is durable.
    fn sealed(
        &self,
        history: &History,
        mut event: Event,
        cells: Option<&Cells>,
    ) -> Result<(Entry, Vec<u8>, PathBuf), LedgerError> {
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
        self.spill(sequence, &mut event, cells)?;
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
        history.check(&entry, cells, false).map_err(|what| self.damaged(&path, &what))?;
        Ok((entry, bytes, path))
    }

    /// Takes an entry into the history that is in its place, or will be.
    fn taken(&self, history: &mut History, entry: &Entry, bytes: &[u8], cells: Option<Cells>) {
        history.apply(entry, Digest::of(bytes), cells);
        (history.folder, history.format) = (Some(folder_of(entry.sequence)), LEDGER_FORMAT);
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
            Event::Imported(Imported { list, .. }) | Event::Appended(Appended { list, .. }) => {
                let bytes = cells.map(Cells::encode).unwrap_or_default();
                *list = Some(Digest::of(&bytes));
                let _ = self.files.publish(&self.beside(sequence, "cells"), &[&bytes], Durability::Now)?;
            }
            _ => {}
        }
        Ok(())
    }
}
