//! The rows of a correction, as a generation encodes them.

use std::collections::BTreeMap;

use super::CorrectError;
use crate::{
    digest::{Digest, HandleKey, HandleMaker},
    ids::Handle,
    ledger::OutcomeKind,
    schema::{Encoder, Fate, Ids, Schema, Subject},
    source::{Batch, Place, Source},
};

/// What a record is to hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Row {
    pub(super) subject: Handle,
    pub(super) encoded: Vec<u8>,
    pub(super) place: Place,
}

/// What records are to hold, by their handles.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Corrections(pub(super) BTreeMap<Handle, Row>);

/// What became of a row that corrected nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RowFate {
    /// The row.
    pub place: Place,
    /// Why.
    pub outcome: OutcomeKind,
}

impl Corrections {
    /// Reads tables in the form of the source that was imported, label and all.
    ///
    /// # Errors
    /// A table can't be read, does not fit the schema, has a wrong cell or two rows of one record; or records have no ids.
    pub fn read(schema: &Schema, handles: &HandleMaker, sources: Vec<Box<dyn Source>>) -> Result<Corrections, CorrectError> {
        if schema.record.is_empty() {
            return Err(CorrectError::NoRecordIds);
        }
        let mut asked = BTreeMap::new();
        for mut source in sources {
            let encoder = Encoder::new(schema, source.name(), source.columns(), true)?;
            let ids = Ids::new(schema, source.columns(), handles.clone());
            source.only(&schema.positions(source.columns()));
            let mut batch = Batch::new();
            while source.next(&mut batch)? > 0 {
                for row in 0..batch.rows() {
                    let located = |error| CorrectError::Cell { place: batch.place(row), error };
                    let place = batch.place(row);
                    let mut encoded = Vec::new();
                    let fate = encoder.encode(&batch, row, &mut encoded).map_err(located)?;
                    let about = ids.subject(&batch, row).map_err(located)?;
                    if fate != Fate::Kept || about == Subject::Skip {
                        return Err(CorrectError::LeftOut { place });
                    }
                    let record = ids.record(&batch, row).map_err(located)?;
                    let subject = if let Subject::Named(handle) = about { handle } else { record };
                    if asked.insert(record, Row { subject, encoded, place: place.clone() }).is_some() {
                        return Err(CorrectError::Twice { place });
                    }
                }
            }
        }
        if asked.is_empty() { Err(CorrectError::NoRows) } else { Ok(Corrections(asked)) }
    }

    /// A keyed digest of what is asked for, whatever the workspace holds, so that a repeated request can be told from another.
    pub fn digest(&self, key: &HandleKey) -> Digest {
        // No list of ids begins so.
        let mut bytes = vec![3];
        for (record, row) in &self.0 {
            bytes.extend_from_slice(&record.0);
            bytes.extend_from_slice(&row.subject.0);
            bytes.extend_from_slice(&row.encoded);
        }
        key.request(&bytes)
    }

    /// The rows that came to nothing, by what became of their records, in the order of the tables' lines.
    pub fn left(&self, outcomes: &[crate::ledger::Outcome]) -> Vec<RowFate> {
        let nothing = [OutcomeKind::NotFound, OutcomeKind::AlreadyErased, OutcomeKind::Refused];
        let left = outcomes.iter().filter(|o| nothing.contains(&o.outcome));
        let mut left: Vec<RowFate> =
            left.filter_map(|o| Some(RowFate { place: self.0.get(&o.handle)?.place.clone(), outcome: o.outcome })).collect();
        left.sort_by(|a, b| (&a.place.file, a.place.line).cmp(&(&b.place.file, b.place.line)));
        left
    }
}
