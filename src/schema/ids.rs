//! Id cells to handles.

use super::text::{Text, wrong};
use super::{CellError, Schema};
use crate::{
    digest::HandleMaker,
    ids::Handle,
    source::{Batch, Cell},
};

/// Finds the ids of a source's rows, and makes handles of them at once.
#[derive(Clone, Debug)]
pub struct Ids {
    subject: Option<(usize, String)>,
    record: Vec<(usize, String)>,
    handles: HandleMaker,
}

impl Ids {
    /// The id columns of a source with these columns; the caller has checked that they are there.
    pub fn new(schema: &Schema, columns: &[String], handles: HandleMaker) -> Ids {
        let find = |name: &String| Some((columns.iter().position(|c| c == name)?, name.clone()));
        let record = schema.record.iter().filter_map(find).collect();
        Ids { subject: schema.subject.as_ref().and_then(find), record, handles }
    }

    /// The subject's handle, where there is a subject column.
    ///
    /// # Errors
    /// The cell is empty, a float or not UTF-8.
    pub fn subject(&self, batch: &Batch, row: usize) -> Result<Option<Handle>, CellError> {
        let handle = |(at, name): &(usize, String)| Ok(self.handles.subject(id(name, batch.cell(row, *at))?.get()));
        self.subject.as_ref().map(handle).transpose()
    }

    /// The record's handle. Without record columns it means nothing.
    ///
    /// # Errors
    /// A cell is empty, a float or not UTF-8.
    pub fn record(&self, batch: &Batch, row: usize) -> Result<Handle, CellError> {
        let mut record = self.handles.record_of_columns();
        for (at, name) in &self.record {
            record.push(id(name, batch.cell(row, *at))?.get());
        }
        Ok(record.finish())
    }
}

fn id<'a>(name: &str, cell: Cell<'a>) -> Result<Text<'a>, CellError> {
    // No message shows an id.
    if let Cell::Float(_) = cell {
        return wrong(name, "the id is a floating-point number; ids are text or integers. Convert the column".into());
    }
    if let Cell::Missing = cell {
        return wrong(name, "the id is missing; every record needs one. Fill the cell, or drop the row".into());
    }
    let text = Text::of(cell);
    match text.get() {
        [] => wrong(name, "the id is empty; every record needs one. Fill the cell, or drop the row".into()),
        bytes if std::str::from_utf8(bytes).is_err() => {
            wrong(name, "the id is not UTF-8, so nobody could type it in a deletion. Convert the file to UTF-8".into())
        }
        _ => Ok(text),
    }
}
