//! Records named by their date: all that are older than a day.

use std::collections::BTreeSet;

use super::{DeleteError, Target};
use crate::{
    schema::{Date, DateColumn, Schema},
    workspace::{Snapshot, Workspace},
};

/// Records whose date is before another one.
#[derive(Clone, Debug, PartialEq)]
pub struct Before {
    column: String,
    date: Date,
}

/// The records that are older than a date, and how many of those in service have none.
pub(super) struct Older {
    pub(super) records: BTreeSet<Target>,
    pub(super) undated: u64,
}

impl Before {
    /// What is asked for by a column's name, which may be left out where one column alone is declared a date, and by a date.
    ///
    /// # Errors
    /// The date is none, or the column is not declared one.
    pub fn new(schema: &Schema, column: Option<&str>, date: &str) -> Result<Before, DeleteError> {
        let columns = schema.date_columns();
        let date = Date::parse(date).ok_or_else(|| DeleteError::NoDate { text: date.chars().take(40).collect() })?;
        let found = match (column, columns.as_slice()) {
            (None, [only]) => Some(only),
            (None, _) => None,
            (Some(name), columns) => columns.iter().find(|c| c.name == name),
        };
        let Some(found) = found else {
            let names = columns.into_iter().map(|column| column.name).collect();
            return Err(DeleteError::DateColumn { asked: column.map(str::to_owned), columns: names });
        };
        Ok(Before { column: found.name.clone(), date })
    }

    /// What tells it from other requests.
    pub(super) fn identity(&self) -> Vec<u8> {
        [self.date.identity().as_slice(), self.column.as_bytes()].concat()
    }

    fn in_schema(&self, schema: &Schema) -> Result<DateColumn, DeleteError> {
        let columns = schema.date_columns();
        let found = columns.iter().find(|column| column.name == self.column).cloned();
        found.ok_or_else(|| DeleteError::DateColumn {
            asked: Some(self.column.clone()),
            columns: columns.into_iter().map(|column| column.name).collect(),
        })
    }

    /// The records of all generations that are older. Those without a date are not.
    ///
    /// # Errors
    /// A generation has no such column, a slice is damaged, or the disk refuses.
    pub(super) fn resolve(&self, workspace: &Workspace, snapshot: &Snapshot) -> Result<Older, DeleteError> {
        let history = &snapshot.history;
        let newest = history.newest().map(|(id, _)| id);
        let serving = snapshot.current.as_ref().map(|current| current.generation).or(newest);
        let mut older = Older { records: BTreeSet::new(), undated: 0 };
        for (generation, record) in &history.generations {
            let schema = workspace.partition(*generation, record)?.schema;
            let column = self.in_schema(&schema)?;
            let bound = column.of(&self.date);
            let store = workspace.shard_store(*generation, record)?;
            for cell in store.grid().cells() {
                let slice = store.open(cell)?;
                let rows = slice.rows();
                let numbers = rows.features.numbers.column(column.number);
                for (record, number) in slice.records().iter().zip(numbers) {
                    if *number < bound {
                        older.records.insert(Target { subject: false, handle: *record });
                    }
                    older.undated += u64::from(number.is_nan() && Some(*generation) == serving);
                }
            }
        }
        Ok(older)
    }
}
