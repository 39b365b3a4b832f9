//! Ids as typed to handles.

use std::collections::{BTreeMap, BTreeSet};

use super::{Before, DeleteError, RowsAsked};
use crate::{
    digest::{Digest, HandleKey},
    ids::Handle,
    ledger::{Outcome, OutcomeKind},
    schema::{Difference, Schema, Subjects},
    shard::Slice,
    source::Place,
    workspace::{Snapshot, Workspace},
};

/// One id of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Target {
    /// Whether it names a subject (or one record).
    pub subject: bool,
    /// Its handle.
    pub handle: Handle,
}

/// Which of a request's ids the workspace never had, or not since the last import.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UnknownIds {
    /// Positions among the subjects asked for.
    pub subjects: Vec<usize>,
    /// Positions among the records asked for.
    pub records: Vec<usize>,
    /// Rows for which there is no record.
    pub rows: Vec<Place>,
    /// Of the ids, how many are there in a spelling that differs in one thing, or in two.
    pub alike: Vec<(Difference, usize)>,
}

/// What a request is about; a set, so neither order nor repetition of ids matters.
#[derive(Clone, Debug, PartialEq)]
pub struct Targets {
    /// Ascending, each once. There may be millions.
    ids: Vec<Target>,
    /// The ids as typed: subjects, then records.
    subjects: Vec<Target>,
    records: Vec<Target>,
    rows: RowsAsked,
    before: Option<Before>,
    /// What rows and a date come to, once they are looked for, and the rows for which there is nothing.
    found: BTreeSet<Target>,
    missing: BTreeMap<Target, Place>,
    /// Records without a date.
    undated: Option<u64>,
    /// What was found of unknown ids in other spellings.
    alike: Vec<(Difference, usize)>,
}

impl Targets {
    /// Hashes ids as typed, without ASCII white space around them and in the declared form, as an import does. A record's id is one text a record column.
    /// Handles are of subjects.
    ///
    /// # Errors
    /// There are none, one is empty, or the workspace has no such ids.
    pub fn new(
        schema: &Schema,
        key: &HandleKey,
        subjects: &[String],
        records: &[Vec<String>],
        handles: &[Handle],
        (rows, before): (RowsAsked, Option<Before>),
    ) -> Result<Targets, DeleteError> {
        let (maker, form) = (key.maker(), schema.exceptions.id_form);
        if subjects.len() + records.len() > 0 && schema.subjects() == Subjects::EachRecord && schema.record.is_empty() {
            return Err(DeleteError::NoIdColumns);
        }
        if !subjects.is_empty() && schema.subjects() == Subjects::EachRecord {
            return Err(DeleteError::NoSubjects);
        }
        if !records.is_empty() && schema.record.is_empty() {
            return Err(DeleteError::NoRecords);
        }
        // An import refuses empty ids, so one in a request is a slip.
        let part = |id: &'_ str| -> Result<Vec<u8>, DeleteError> {
            let id = form.of(id);
            if id.is_empty() { Err(DeleteError::EmptyId) } else { Ok(id.into_bytes()) }
        };
        let subject = |id: &String| Ok(Target { subject: true, handle: maker.subject(&part(id)?) });
        let record = |id: &Vec<String>| {
            if id.len() != schema.record.len() {
                let columns = schema.record.join(", ");
                return Err(DeleteError::RecordColumns { expected: schema.record.len(), columns, got: id.len() });
            }
            let parts: Vec<Vec<u8>> = id.iter().map(|id| part(id)).collect::<Result<_, _>>()?;
            Ok(Target { subject: false, handle: maker.record(parts.iter().map(Vec::as_slice)) })
        };
        let subjects: Vec<Target> = subjects.iter().map(subject).collect::<Result<_, DeleteError>>()?;
        let records: Vec<Target> = records.iter().map(record).collect::<Result<_, DeleteError>>()?;
        // Without a subject column each record is its own subject, and is named as one.
        let named = schema.subjects() == Subjects::Column;
        let handles = handles.iter().map(|handle| Target { subject: named, handle: *handle });
        let mut ids: Vec<Target> = subjects.iter().chain(&records).copied().chain(handles).collect();
        ids.sort_unstable();
        ids.dedup();
        if ids.is_empty() && rows.is_empty() && before.is_none() {
            return Err(DeleteError::NoIds);
        }
        Ok(Targets { ids, subjects, records, rows, before, ..Targets::of(BTreeSet::new()) })
    }

    /// These alone, whoever they are.
    pub(super) fn of(ids: BTreeSet<Target>) -> Targets {
        let (rows, found, missing) = (RowsAsked::default(), BTreeSet::new(), BTreeMap::new());
        let ids = ids.into_iter().collect();
        let (subjects, records, alike) = (Vec::new(), Vec::new(), Vec::new());
        Targets { ids, subjects, records, rows, before: None, found, missing, undated: None, alike }
    }

    /// The same, of which so many that are unknown are there in another spelling.
    pub fn also_there(self, alike: Vec<(Difference, usize)>) -> Targets {
        Targets { alike, ..self }
    }

    /// How many records have no date, where those before one are asked for.
    pub fn undated(&self) -> Option<u64> {
        self.undated
    }

    /// The same with the records that rows and a date come to, as the workspace is now.
    ///
    /// # Errors
    /// A row can't be matched with records, a slice is damaged, or the disk refuses.
    pub fn resolved(self, workspace: &Workspace, snapshot: &Snapshot, key: &HandleKey) -> Result<Targets, DeleteError> {
        let mut resolved = self;
        if !resolved.rows.is_empty() {
            (resolved.found, resolved.missing) = resolved.rows.resolve(workspace, snapshot, key)?;
        }
        if let Some(before) = &resolved.before {
            let older = before.resolve(workspace, snapshot)?;
            resolved.found.extend(older.records);
            resolved.undated = Some(older.undated);
        }
        Ok(resolved)
    }

    /// The targets, in order.
    pub fn iter(&self) -> impl Iterator<Item = Target> + '_ {
        let (mut ids, mut found) = (self.ids.iter().copied().peekable(), self.found.iter().copied().peekable());
        std::iter::from_fn(move || match (ids.peek(), found.peek()) {
            (Some(id), Some(row)) if row < id => found.next(),
            (Some(id), Some(row)) if row == id => {
                found.next();
                ids.next()
            }
            (None, _) => found.next(),
            _ => ids.next(),
        })
    }

    /// At least as many as the targets are.
    pub(super) fn len(&self) -> usize {
        self.ids.len() + self.found.len()
    }

    /// A keyed digest of what is asked for, whatever the workspace holds, so that a repeated request can be told from another.
    pub fn digest(&self, key: &HandleKey) -> Digest {
        let mut bytes = Vec::new();
        for target in &self.ids {
            bytes.push(u8::from(target.subject));
            bytes.extend_from_slice(&target.handle.0);
        }
        if !self.rows.is_empty() {
            bytes.push(2);
            bytes.extend_from_slice(&self.rows.identity(&key.maker()));
        }
        if let Some(before) = &self.before {
            bytes.push(4);
            bytes.extend_from_slice(&before.identity());
        }
        key.request(&bytes)
    }

    /// Those of which an outcome says that they were not found.
    pub fn unknown(&self, outcomes: &[Outcome]) -> UnknownIds {
        let lost = outcomes.iter().filter(|o| o.outcome == OutcomeKind::NotFound);
        let mut lost: Vec<Target> = lost.map(|o| Target { subject: o.subject, handle: o.handle }).collect();
        lost.sort_unstable();
        let is_lost = |target: &Target| lost.binary_search(target).is_ok();
        let at = |ids: &[Target]| ids.iter().zip(0..).filter(|(id, _)| is_lost(id)).map(|(_, at)| at).collect();
        let rows = self.missing.iter().filter(|(target, _)| is_lost(target)).map(|(_, place)| place.clone());
        UnknownIds { subjects: at(&self.subjects), records: at(&self.records), rows: rows.collect(), alike: self.alike.clone() }
    }
}

/// The handles that an accepted request takes away.
#[derive(Clone, Debug, Default)]
pub(super) struct Gone {
    pub(super) subjects: BTreeSet<Handle>,
    pub(super) records: BTreeSet<Handle>,
}

impl Gone {
    /// The rows of a slice that go, ascending.
    pub(super) fn rows_of(&self, slice: &Slice) -> Vec<u32> {
        let rows = (0..).zip(slice.records().iter().zip(slice.subjects()));
        rows.filter(|(_, (r, s))| self.subjects.contains(s) || self.records.contains(r)).map(|(at, _)| at).collect()
    }

    /// Their record handles.
    pub(super) fn records_of(&self, slice: &Slice) -> BTreeSet<Handle> {
        self.rows_of(slice).into_iter().filter_map(|row| slice.records().get(row as usize).copied()).collect()
    }

    pub(super) fn of<'a>(outcomes: impl IntoIterator<Item = &'a Outcome>) -> Gone {
        let mut gone = Gone::default();
        gone.add(outcomes);
        gone
    }

    pub(super) fn add<'a>(&mut self, outcomes: impl IntoIterator<Item = &'a Outcome>) {
        for outcome in outcomes.into_iter().filter(|o| o.outcome == OutcomeKind::Erased) {
            let set = if outcome.subject { &mut self.subjects } else { &mut self.records };
            set.insert(outcome.handle);
        }
    }

    /// Whether it is one of them, a subject or a record.
    pub(super) fn has(&self, handle: Handle) -> bool {
        self.subjects.contains(&handle) || self.records.contains(&handle)
    }
}
