//! Id cells to handles.

use super::text::{Text, wrong};
use super::{CellError, IdForm, Likeness, MissingSubject, Schema};
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
    form: IdForm,
    /// What becomes of a row without a subject, and what spells that there is none.
    missing: Option<(MissingSubject, Vec<Vec<u8>>)>,
}

/// Whom the records of a table are about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Subjects {
    /// A column says.
    Column,
    /// There is no such column: each record is its own subject.
    EachRecord,
}

/// Whom a row is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Subject {
    /// Somebody with an id.
    Named(Handle),
    /// Nobody else is it about: there is no subject column, or the id is missing and that is allowed.
    Own,
    /// It has no id, and is to be left out.
    Skip,
}

impl Ids {
    /// The id columns of a source with these columns; the caller has checked that they are there.
    pub fn new(schema: &Schema, columns: &[String], handles: HandleMaker) -> Ids {
        let find = |name: &String| Some((columns.iter().position(|c| c == name)?, name.clone()));
        let record = schema.record.iter().filter_map(find).collect();
        let spellings = || schema.missing.iter().map(|m| m.as_bytes().to_vec()).collect();
        let missing = schema.exceptions.missing_subject.map(|rule| (rule, spellings()));
        Ids { subject: schema.subject.as_ref().and_then(find), record, handles, form: schema.exceptions.id_form, missing }
    }

    /// Whom a row is about.
    ///
    /// # Errors
    /// The cell is empty and has to be filled, a float or not UTF-8.
    pub fn subject(&self, batch: &Batch, row: usize) -> Result<Subject, CellError> {
        let Some((at, name)) = &self.subject else { return Ok(Subject::Own) };
        let cell = batch.cell(row, *at);
        if let Some((rule, spellings)) = &self.missing {
            let text = Text::of(cell);
            let none = matches!(cell, Cell::Missing) || text.get().is_empty() || spellings.iter().any(|s| s == text.get());
            match rule {
                MissingSubject::Skip if none => return Ok(Subject::Skip),
                MissingSubject::Own if none => return Ok(Subject::Own),
                MissingSubject::Error if none => {
                    return wrong(
                        name,
                        "the subject's id is missing, or spelt as what is missing is; fill the cell, drop the row, or declare under [data] \
                         `missing_subject = \"skip\"` (such rows are left out) or `\"own\"` (each is its own subject)"
                            .into(),
                    );
                }
                _ => {}
            }
        }
        Ok(Subject::Named(self.handle(&id(name, cell)?, |bytes| self.handles.subject(bytes))))
    }

    /// The handle that a row's subject would have if it were spelt without what people do not see, and by the places in
    /// [`Likeness::ALL`] as bits what that is. Nothing where ids are no text, or there is no subject column.
    pub fn subject_folded(&self, batch: &Batch, row: usize) -> Option<(Handle, u8)> {
        let (at, _) = self.subject.as_ref()?;
        self.folded(batch.cell(row, *at), |bytes| self.handles.subject(bytes))
    }

    /// As [`Ids::subject_folded`], of records that one column names, which is not that of the subject.
    pub fn record_folded(&self, batch: &Batch, row: usize) -> Option<(Handle, u8)> {
        let [(at, _)] = self.record.as_slice() else { return None };
        let own = self.subject.as_ref().is_none_or(|(subject, _)| subject != at);
        own.then(|| self.folded(batch.cell(row, *at), |bytes| self.handles.record([bytes].into_iter())))?
    }

    fn folded(&self, cell: Cell<'_>, hash: impl FnOnce(&[u8]) -> Handle) -> Option<(Handle, u8)> {
        let Cell::Text(text) = cell else { return None };
        let text = text.trim_ascii();
        if Likeness::is_plain(text) {
            return Some((hash(text), 0));
        }
        let (folded, passed) = Likeness::fold_all(&self.form.of(std::str::from_utf8(text).ok()?));
        Some((hash(folded.as_bytes()), passed))
    }

    /// Hashes an id in its declared form.
    fn handle(&self, id: &Text<'_>, hash: impl FnOnce(&[u8]) -> Handle) -> Handle {
        match (self.form, std::str::from_utf8(id.get())) {
            (IdForm::AsIs, _) | (_, Err(_)) => hash(id.get()),
            (form, Ok(text)) => hash(form.of(text).as_bytes()),
        }
    }

    /// The record's handle. Without record columns it means nothing.
    ///
    /// # Errors
    /// A cell is empty, a float or not UTF-8.
    pub fn record(&self, batch: &Batch, row: usize) -> Result<Handle, CellError> {
        let mut record = self.handles.record_of_columns();
        for (at, name) in &self.record {
            let id = id(name, batch.cell(row, *at))?;
            match (self.form, std::str::from_utf8(id.get())) {
                (IdForm::AsIs, _) | (_, Err(_)) => record.push(id.get()),
                (form, Ok(text)) => record.push(form.of(text).as_bytes()),
            }
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
