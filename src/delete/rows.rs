//! Records named by what they hold: a table of rows to be deleted, also where records have no ids.

use std::collections::{BTreeMap, BTreeSet};

use super::{DeleteError, Target};
use crate::{
    digest::HandleMaker,
    ids::{Cell, GenerationId, Handle},
    order::Placement,
    schema::{Encoder, Fate, Ids, Schema, Subject},
    shard::{ShardStore, Slice},
    source::{Batch, Place, Source},
    workspace::{Snapshot, Workspace},
};

/// What a row says of a record.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Content {
    /// Its handle, where records have ids.
    record: Option<Handle>,
    /// Its subject's handle, where there are subjects.
    subject: Option<Handle>,
    /// Its encoded row.
    encoded: Vec<u8>,
}

impl Content {
    /// The record of this content; of several identical ones that of this count.
    fn handle(&self, handles: &HandleMaker, occurrence: u32) -> Handle {
        self.record.unwrap_or_else(|| handles.content(self.subject, occurrence, &self.encoded))
    }
}

/// Rows to be deleted, each content with the places that ask for one record of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RowsAsked(BTreeMap<Content, Vec<Place>>);

/// Where the records of one generation are.
struct Looked {
    store: ShardStore,
    placement: Placement,
    /// Whether its rows have the columns of those that are asked for.
    same_columns: bool,
    slices: BTreeMap<Cell, Slice>,
}

impl RowsAsked {
    /// Reads tables in the form of the source that was imported, label and all.
    ///
    /// # Errors
    /// A table can't be read, does not fit the schema or has a wrong cell.
    pub fn read(schema: &Schema, handles: &HandleMaker, sources: Vec<Box<dyn Source>>) -> Result<RowsAsked, DeleteError> {
        let mut asked = RowsAsked::default();
        for mut source in sources {
            let encoder = Encoder::new(schema, source.name(), source.columns(), true)?;
            let ids = Ids::new(schema, source.columns(), handles.clone());
            source.only(&schema.positions(source.columns()));
            let mut batch = Batch::new();
            while source.next(&mut batch)? > 0 {
                for row in 0..batch.rows() {
                    let located = |error| DeleteError::Cell { place: batch.place(row), error };
                    let mut encoded = Vec::new();
                    let fate = encoder.encode(&batch, row, &mut encoded).map_err(located)?;
                    let about = ids.subject(&batch, row).map_err(located)?;
                    let subject = if let Subject::Named(handle) = about { Some(handle) } else { None };
                    if fate != Fate::Kept || about == Subject::Skip {
                        // An import leaves such a row out, so no record has its content.
                        encoded.clear();
                    }
                    let record = match schema.record.is_empty() {
                        true => None,
                        false => Some(ids.record(&batch, row).map_err(located)?),
                    };
                    asked.0.entry(Content { record, subject, encoded }).or_default().push(batch.place(row));
                }
            }
        }
        Ok(asked)
    }

    /// Whether nothing is asked for.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// What tells these rows from others, whatever the workspace holds: each content by the handle of its first record, and how many.
    pub(super) fn identity(&self, handles: &HandleMaker) -> Vec<u8> {
        let mut bytes = Vec::new();
        for (content, places) in &self.0 {
            bytes.extend_from_slice(&content.handle(handles, 0).0);
            bytes.extend_from_slice(&(places.len() as u64).to_le_bytes());
        }
        bytes
    }

    /// The records that go, and those of the rows for which there is none, with their places. Of identical records the last ones in
    /// their count go, so that those that stay are named as if the others had never been.
    ///
    /// # Errors
    /// A slice is damaged, two generations hold a row in other numbers, or the disk refuses.
    pub(super) fn resolve(
        &self,
        workspace: &Workspace,
        snapshot: &Snapshot,
        key: &crate::digest::HandleKey,
    ) -> Result<(BTreeSet<Target>, BTreeMap<Target, Place>), DeleteError> {
        let handles = key.maker();
        let mut generations: Vec<(GenerationId, Looked)> = Vec::new();
        let newest = snapshot.history.newest().map(|(id, record)| workspace.partition(id, record)).transpose()?;
        for (id, record) in &snapshot.history.generations {
            let schema = workspace.partition(*id, record)?.schema;
            let same_columns = newest.as_ref().is_some_and(|newest| newest.schema == schema);
            let placement = workspace.placement(*id, record, key)?;
            let store = workspace.shard_store(*id, record)?;
            generations.push((*id, Looked { store, placement, same_columns, slices: BTreeMap::new() }));
        }
        let ledger = workspace.ledger();
        let known = ledger.handles(&snapshot.history)?;
        // All of it is checked, so that no look-up fails later.
        known.check()?;
        let was_there = |handle: &Handle| known.is_gone(*handle).unwrap_or(true);
        let (mut targets, mut missing) = (BTreeSet::new(), BTreeMap::new());
        for (content, places) in &self.0 {
            // Where records have ids there is one of each.
            let enough = if content.record.is_some() { 1 } else { places.len() };
            let mut agreed: Option<(GenerationId, Occurrences)> = None;
            for (id, looked) in &mut generations {
                let found = looked.occurrences(content, &handles, enough, was_there)?;
                let found = found.ok_or_else(|| match looked.same_columns {
                    true => DeleteError::OtherContent { place: place_of(places) },
                    false => DeleteError::OtherColumns { place: place_of(places), generation: *id },
                })?;
                match &agreed {
                    None => agreed = Some((*id, found)),
                    Some((_, before)) if before.there == found.there => {}
                    Some((first, _)) => {
                        return Err(DeleteError::RowsDiffer { place: place_of(places), first: *first, second: *id });
                    }
                }
            }
            let Some((_, Occurrences { there, gone })) = agreed else { continue };
            let target = |occurrence: &u32| Target { subject: false, handle: content.handle(&handles, *occurrence) };
            targets.extend(there.iter().rev().take(enough).map(target));
            for (occurrence, place) in gone.iter().take(enough).zip(places.iter().skip(there.len())) {
                missing.insert(target(occurrence), place.clone());
            }
        }
        targets.extend(missing.keys().copied());
        Ok((targets, missing))
    }
}

/// Of the records that one content may have, by their count: those that are there, and others that are not.
struct Occurrences {
    there: Vec<u32>,
    gone: Vec<u32>,
}

impl Looked {
    /// Looks for the records of a content, until `enough` are found missing and none is left that ever was; `None` when the record of
    /// its id holds something else.
    fn occurrences(
        &mut self,
        content: &Content,
        handles: &HandleMaker,
        enough: usize,
        was_there: impl Fn(&Handle) -> bool,
    ) -> Result<Option<Occurrences>, DeleteError> {
        let mut found = Occurrences { there: Vec::new(), gone: Vec::new() };
        for occurrence in 0.. {
            let record = content.handle(handles, occurrence);
            let encoded = self.find(record, content.subject.unwrap_or(record))?;
            if content.record.is_some() && encoded.as_ref().is_some_and(|encoded| *encoded != content.encoded) {
                return Ok(None);
            }
            // Earlier deletions may have taken records from their midst.
            let over = encoded.is_none() && !was_there(&record) && found.gone.len() + 1 >= enough;
            match encoded {
                Some(_) => found.there.push(occurrence),
                None => found.gone.push(occurrence),
            }
            if over || content.record.is_some() {
                break;
            }
        }
        Ok(Some(found))
    }

    /// The encoded row of a record, if it is there.
    fn find(&mut self, record: Handle, subject: Handle) -> Result<Option<Vec<u8>>, DeleteError> {
        for cell in self.store.cells_with(self.placement.cells(subject)) {
            if let Some(encoded) = self.find_in(cell, record)? {
                return Ok(Some(encoded));
            }
        }
        Ok(None)
    }

    fn find_in(&mut self, cell: Cell, record: Handle) -> Result<Option<Vec<u8>>, DeleteError> {
        let slice = match self.slices.entry(cell) {
            std::collections::btree_map::Entry::Occupied(slice) => slice.into_mut(),
            std::collections::btree_map::Entry::Vacant(free) => free.insert(self.store.open(cell)?),
        };
        let mut encoded = Vec::new();
        Ok(slice.records().binary_search(&record).ok().map(|at| {
            slice.encoded_row(at, &mut encoded);
            encoded
        }))
    }
}

fn place_of(places: &[Place]) -> String {
    places.first().map(ToString::to_string).unwrap_or_default()
}
