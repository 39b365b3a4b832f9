//! Record batches of Arrow that lie in memory, as Python's tables do, as a table.

use std::sync::Arc;

use arrow_array::{ArrayRef, RecordBatch};
use arrow_schema::{Field, Schema, SchemaRef};

use super::super::error::SourceError;
use super::super::input::Table;
use super::super::limits::COLUMNS_MAX;
use super::super::memory::{Chunk, Chunks, Column, Pieces};
use super::super::{Block, Source};
use super::guard::guarded;
use super::{ROWS_AT_ONCE, Unread, arrays};

const FORM: &str = "Arrow";

/// Record batches in memory. They are read where they lie, a few thousand rows at a time, and only the columns that are asked for.
///
/// Nulls are missing; other items are as in an Arrow file.
#[derive(Debug, Clone)]
pub struct ArrowTable {
    name: Arc<str>,
    schema: SchemaRef,
    batches: Arc<[RecordBatch]>,
    nan_is_missing: bool,
}

impl ArrowTable {
    /// Batches that all have this schema; `name` stands for the table in messages.
    #[must_use]
    pub fn new(name: &str, schema: SchemaRef, batches: Vec<RecordBatch>) -> Self {
        Self { name: name.into(), schema, batches: batches.into(), nan_is_missing: false }
    }

    /// The same table, with every NaN missing too, as programs mean it that have no other sign.
    #[must_use]
    pub fn with_nan_missing(self) -> Self {
        Self { nan_is_missing: true, ..self }
    }

    /// How many rows there are.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.batches.iter().map(RecordBatch::num_rows).sum()
    }
}

impl Table for ArrowTable {
    fn name(&self) -> &str {
        &self.name
    }

    fn open(&self) -> Result<Box<dyn Source>, SourceError> {
        let (names, blocks) = columns(&self.name, &self.schema)?;
        let reading = Reading { table: self.clone(), batch: 0, at: 0 };
        Ok(Box::new(Chunks::of(&self.name, names, Box::new(reading), self.rows() as u64)?.with_blocks(blocks)))
    }
}

/// A table that is read.
struct Reading {
    table: ArrowTable,
    /// The batch at hand, and how many of its rows are done.
    batch: usize,
    at: usize,
}

impl Pieces for Reading {
    fn next(&mut self, wanted: &[bool]) -> Result<Option<Chunk>, SourceError> {
        let table = &self.table;
        while let Some(batch) = table.batches.get(self.batch) {
            let rows = (batch.num_rows() - self.at).min(ROWS_AT_ONCE);
            if rows == 0 {
                (self.batch, self.at) = (self.batch + 1, 0);
                continue;
            }
            let some = batch.slice(self.at, rows);
            self.at += rows;
            let wanted = wanted_fields(&table.schema, wanted);
            let columns = some.columns().iter().zip(wanted).map(|(array, wanted)| wanted.then_some(array));
            let chunk = || chunk(&table.name, &table.schema, columns, (rows, table.nan_is_missing));
            return guarded(&table.name, FORM, chunk).map(Some);
        }
        Ok(None)
    }

    fn unread(&self) -> Vec<(usize, String)> {
        unread(&self.table.schema)
    }
}

/// Some rows: of each column of the schema its items, or nothing where it is not looked at; and whether a NaN is missing.
pub(super) fn chunk<'a>(
    name: &Arc<str>,
    schema: &Schema,
    columns: impl Iterator<Item = Option<&'a ArrayRef>>,
    (rows, nan_is_missing): (usize, bool),
) -> Result<Chunk, SourceError> {
    let column = |(field, array): (&Arc<Field>, Option<&ArrayRef>)| -> Result<Arc<dyn Column>, SourceError> {
        let width = arrays::width(field.data_type());
        let Some(array) = array else { return Ok(Arc::new(Unread { rows, width })) };
        arrays::column(array, nan_is_missing).map_err(|found| SourceError::ColumnType {
            file: name.clone(),
            column: field.name().clone(),
            found,
            advice: "write it as numbers, text or dates, or declare it \"ignore\" in sisa.toml",
        })
    };
    Chunk::new(name, schema.fields().iter().zip(columns).map(column).collect::<Result<_, _>>()?)
}

/// The first column of each field: one that holds vectors is as many columns as they have numbers.
fn firsts(schema: &Schema) -> impl Iterator<Item = (usize, &Arc<Field>)> {
    schema.fields().iter().scan(0, |next, field| {
        let first = *next;
        *next += arrays::width(field.data_type());
        Some((first, field))
    })
}

/// The names of the columns, and which of them are vectors.
pub(super) fn columns(name: &Arc<str>, schema: &Schema) -> Result<(Vec<String>, Vec<Block>), SourceError> {
    let total = schema.fields().iter().map(|field| arrays::width(field.data_type()) as u64).sum();
    if total > COLUMNS_MAX as u64 {
        return Err(SourceError::TooWide { file: name.clone(), place: "the table".into(), got: total });
    }
    let vector = |(first, field): (usize, &Arc<Field>)| {
        let (name, width) = (field.name().clone(), arrays::width(field.data_type()));
        arrays::is_vector(field.data_type()).then_some(Block { name, first, width })
    };
    let names = |field: &Arc<Field>| -> Vec<String> {
        match arrays::is_vector(field.data_type()) {
            true => (0..arrays::width(field.data_type())).map(|at| format!("{}{at}", field.name())).collect(),
            false => vec![field.name().clone()],
        }
    };
    Ok((schema.fields().iter().flat_map(names).collect(), firsts(schema).filter_map(vector).collect()))
}

/// Whether a column of each field is looked at.
pub(super) fn wanted_fields(schema: &Schema, wanted: &[bool]) -> Vec<bool> {
    let any = |(first, field): (usize, &Arc<Field>)| {
        wanted.get(first..first + arrays::width(field.data_type())).unwrap_or_default().contains(&true)
    };
    firsts(schema).map(any).collect()
}

/// The columns whose items are not read, and what those are.
pub(super) fn unread(schema: &Schema) -> Vec<(usize, String)> {
    firsts(schema).filter_map(|(first, field)| Some((first, arrays::unread(field.data_type())?))).collect()
}

#[cfg(test)]
mod tests {
    use arrow_array::{Float64Array, Int32Array, StringViewArray};
    use arrow_schema::DataType;

    use super::super::super::batch::{Batch, Cell};
    use super::*;

    fn table() -> ArrowTable {
        let schema = Arc::new(Schema::new(vec![
            Field::new("dose", DataType::Float64, true),
            Field::new("person", DataType::Utf8View, true),
            Field::new("visits", DataType::Int32, true),
        ]));
        let batch = |first: i32, rows: i32| {
            let at = || first..first + rows;
            let columns: Vec<ArrayRef> = vec![
                Arc::new(
                    at().map(|i| (i % 5 != 1).then_some(if i % 5 == 2 { f64::NAN } else { i.into() })).collect::<Float64Array>(),
                ),
                Arc::new(at().map(|i| Some(format!("a person of a long name {i}"))).collect::<StringViewArray>()),
                Arc::new(at().map(|i| (i % 7 != 3).then_some(i)).collect::<Int32Array>()),
            ];
            RecordBatch::try_new(schema.clone(), columns).unwrap()
        };
        ArrowTable::new("visits", schema.clone(), vec![batch(0, 0), batch(0, 5000), batch(5000, 0), batch(5000, 1)])
    }

    fn cells(table: &ArrowTable, wanted: &[usize]) -> Vec<Vec<String>> {
        let mut source = table.open().unwrap();
        source.only(wanted);
        let (mut batch, mut found) = (Batch::new(), Vec::new());
        while source.next(&mut batch).unwrap() > 0 {
            for row in 0..batch.rows() {
                let spelt = |cell: Cell<'_>| if cell == Cell::Missing { "-".to_owned() } else { cell.to_string() };
                found.push((0..3).map(|column| spelt(batch.cell(row, column))).collect());
            }
        }
        found
    }

    #[test]
    fn batches_are_read_in_order_as_often_as_is_asked_for() {
        let table = table().with_nan_missing();
        assert_eq!(table.rows(), 5001);
        let found = cells(&table, &[0, 1, 2]);
        assert_eq!(found, cells(&table, &[0, 1, 2]));
        assert_eq!(found.len(), 5001);
        for (at, row) in found.iter().enumerate() {
            let dose = if matches!(at % 5, 1 | 2) { "-".into() } else { at.to_string() };
            let visits = if at % 7 == 3 { "-".into() } else { at.to_string() };
            assert_eq!(row, &[dose, format!("a person of a long name {at}"), visits], "row {at}");
        }
    }

    #[test]
    fn a_nan_is_a_number_unless_it_is_said_to_be_missing_and_columns_that_are_not_asked_for_are_not_read() {
        assert_eq!(cells(&table(), &[0, 2])[2], ["NaN", "-", "2"]);
        assert_eq!(cells(&table().with_nan_missing(), &[0])[4], ["4", "-", "-"]);
    }
}
