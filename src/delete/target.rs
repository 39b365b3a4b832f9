//! Ids as typed to handles.

use std::collections::BTreeSet;

use super::DeleteError;
use crate::{
    digest::{Digest, HandleKey},
    ids::Handle,
    ledger::{Outcome, OutcomeKind},
    schema::Schema,
    shard::Slice,
};

/// One id of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Target {
    /// Whether it names a subject (or one record).
    pub subject: bool,
    /// Its handle.
    pub handle: Handle,
}

/// The ids of a request; a set, so neither order nor repetition matters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Targets(BTreeSet<Target>);

impl Targets {
    /// Hashes ids as typed, without ASCII white space around them, as an import does. A record's id is one text a record column.
    /// Handles are of subjects.
    ///
    /// # Errors
    /// There are none, or the workspace has no such ids.
    pub fn new(
        schema: &Schema,
        key: &HandleKey,
        subjects: &[String],
        records: &[Vec<String>],
        handles: &[Handle],
    ) -> Result<Targets, DeleteError> {
        let maker = key.maker();
        let mut targets = BTreeSet::new();
        if subjects.len() + records.len() > 0 && schema.subject.is_none() && schema.record.is_empty() {
            return Err(DeleteError::NoIdColumns);
        }
        if !subjects.is_empty() && schema.subject.is_none() {
            return Err(DeleteError::NoSubjects);
        }
        if !records.is_empty() && schema.record.is_empty() {
            return Err(DeleteError::NoRecords);
        }
        // Without a subject column each record is its own subject, and is named as one.
        targets.extend(handles.iter().map(|handle| Target { subject: schema.subject.is_some(), handle: *handle }));
        for id in subjects {
            targets.insert(Target { subject: true, handle: maker.subject(id.trim_ascii().as_bytes()) });
        }
        for id in records {
            if id.len() != schema.record.len() {
                return Err(DeleteError::RecordColumns {
                    expected: schema.record.len(),
                    columns: schema.record.join(", "),
                    got: id.len(),
                });
            }
            let parts = id.iter().map(|part| part.trim_ascii().as_bytes());
            targets.insert(Target { subject: false, handle: maker.record(parts) });
        }
        if targets.is_empty() { Err(DeleteError::NoIds) } else { Ok(Targets(targets)) }
    }

    /// The targets, in order.
    pub fn iter(&self) -> impl Iterator<Item = Target> + '_ {
        self.0.iter().copied()
    }

    /// A keyed digest of the set, so that a repeated request can be told from another.
    pub fn digest(&self, key: &HandleKey) -> Digest {
        let mut bytes = Vec::new();
        for target in &self.0 {
            bytes.push(u8::from(target.subject));
            bytes.extend_from_slice(&target.handle.0);
        }
        key.request(&bytes)
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

    pub(super) fn of(outcomes: &[Outcome]) -> Gone {
        let mut gone = Gone::default();
        for outcome in outcomes.iter().filter(|o| o.outcome == OutcomeKind::Erased) {
            let set = if outcome.subject { &mut gone.subjects } else { &mut gone.records };
            set.insert(outcome.handle);
        }
        gone
    }
}
