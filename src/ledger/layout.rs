//! Where the files of the ledger lie: `00000001.json` and so on, an entry each, and a folder for every hundred entries (`0000/`) with
//! the summary of what was before them and the long lists that belong to them.
//!
//! Format 2 had the entries themselves in those folders; they are read where they are.

use std::path::PathBuf;

use super::{
    Ledger, LedgerError,
    summary::{HANDLES, REQUESTS, SUMMARY},
};
use crate::fs::{EntryKind, Files, FsError};

/// Entries of a folder.
pub const ENTRIES_IN_FOLDER: u64 = 100;

impl Ledger {
    pub(super) fn folder(&self, number: u64) -> PathBuf {
        self.dir.join(folder_name(number))
    }

    /// The folders of summaries and lists.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn folders(&self) -> Result<Vec<PathBuf>, LedgerError> {
        let mut folders = Vec::new();
        for (name, kind) in self.files.list(&self.dir)? {
            folders.extend(folder_number(&name, kind).map(|number| self.folder(number)));
        }
        Ok(folders)
    }

    /// A file that belongs to an entry.
    pub(super) fn beside(&self, sequence: u64, extension: &str) -> PathBuf {
        self.folder(folder_of(sequence)).join(format!("{sequence:08}.{extension}"))
    }

    /// The file of an entry.
    pub(super) fn path(&self, sequence: u64) -> PathBuf {
        self.dir.join(format!("{sequence:08}.json"))
    }

    /// The file of an entry, where it is: as format 2 has it, or as all others do.
    pub(super) fn place(&self, sequence: u64) -> Result<Option<PathBuf>, FsError> {
        for path in [self.path(sequence), self.beside(sequence, "json")] {
            if self.files.stat(&path)?.is_some() {
                return Ok(Some(path));
            }
        }
        Ok(None)
    }

    /// The first entry of the last folder that has one and is not the first: looked for by its number, in twice as many looks as that
    /// number has bits, so that opening does not list the whole ledger. Where an entry is missing it may be an earlier one.
    pub(super) fn last_begun(&self) -> Result<Option<u64>, FsError> {
        let first_of = |folder: u64| folder.saturating_mul(ENTRIES_IN_FOLDER).saturating_add(1);
        let (mut there, mut missing) = (0, 1);
        while self.place(first_of(missing))?.is_some() {
            (there, missing) = (missing, missing.saturating_mul(2));
        }
        while there + 1 < missing {
            let middle: u64 = u64::midpoint(there, missing);
            if self.place(first_of(middle))?.is_some() {
                there = middle;
            } else {
                missing = middle;
            }
        }
        Ok(Some(there).filter(|folder| *folder > 0))
    }

    /// Refuses a ledger that has no entry of this number and one of the next hundred. Entries may come while they are looked for.
    pub(super) fn check_end(&self, missing: u64) -> Result<(), LedgerError> {
        for later in missing + 1..=missing + ENTRIES_IN_FOLDER {
            if self.place(later)?.is_some() {
                return match self.place(missing)? {
                    Some(_) => Ok(()),
                    None => Err(self.gap(missing)),
                };
            }
        }
        Ok(())
    }

    /// The numbers of all entries, by a list of what is there. A list that is made while entries are added may have a later one and not the
    /// one before it, so a file that is not in it is looked for.
    pub(super) fn numbers(&self) -> Result<Vec<u64>, LedgerError> {
        let mut listed = Vec::new();
        for (name, kind) in self.files.list(&self.dir)? {
            match folder_number(&name, kind) {
                Some(folder) => {
                    for (name, kind) in self.files.list(&self.folder(folder))? {
                        listed.extend(sequence_of(&name, kind).filter(|sequence| folder_of(*sequence) == folder));
                    }
                }
                None => listed.extend(sequence_of(&name, kind)),
            }
        }
        let last = listed.iter().copied().max().unwrap_or_default();
        listed.sort_unstable();
        listed.dedup();
        let mut listed = listed.into_iter().peekable();
        for sequence in 1..=last {
            if listed.next_if_eq(&sequence).is_none() && self.place(sequence)?.is_none() {
                return Err(self.gap(sequence));
            }
        }
        Ok((1..=last).collect())
    }

    pub(super) fn gap(&self, sequence: u64) -> LedgerError {
        let what = "the entry is missing, and later ones are there".into();
        LedgerError::Damaged { path: self.path(sequence), offset: 0, what }
    }

    /// Files in the ledger's folder that are neither entries, nor what belongs to them, nor temporaries of writers.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn strangers(&self) -> Result<Vec<PathBuf>, LedgerError> {
        let mut strangers = Vec::new();
        for (name, kind) in self.files.list(&self.dir)? {
            let path = self.dir.join(&name);
            if let Some(folder) = folder_number(&name, kind) {
                for (name, kind) in self.files.list(&path)? {
                    if kind != EntryKind::File || !is_ours(&name, folder) {
                        strangers.push(path.join(name));
                    }
                }
            } else if sequence_of(&name, kind).is_none() && !(kind == EntryKind::File && Files::is_temporary(&name)) {
                strangers.push(path);
            }
        }
        Ok(strangers)
    }
}

/// The folder of an entry.
pub(super) fn folder_of(sequence: u64) -> u64 {
    sequence.saturating_sub(1) / ENTRIES_IN_FOLDER
}

fn folder_name(number: u64) -> String {
    format!("{number:04}")
}

fn folder_number(name: &str, kind: EntryKind) -> Option<u64> {
    name.parse().ok().filter(|number| kind == EntryKind::Dir && folder_name(*number) == name)
}

fn sequence_of(name: &str, kind: EntryKind) -> Option<u64> {
    let number = name.strip_suffix(".json").filter(|_| kind == EntryKind::File)?;
    let sequence: u64 = number.parse().ok().filter(|n| *n > 0)?;
    (format!("{sequence:08}") == number).then_some(sequence)
}

/// Whether a file's name is one that this folder may have.
fn is_ours(name: &str, folder: u64) -> bool {
    let of_summary = [SUMMARY, HANDLES, REQUESTS].contains(&name);
    let of_entry = || {
        let (number, extension) = name.split_once('.')?;
        let sequence = sequence_of(&format!("{number}.json"), EntryKind::File)?;
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
