//! Record batches of Arrow that lie in memory, as Python's tables do, as a table.

use std::sync::Arc;

use arrow_array::{ArrayRef, RecordBatch};
use arrow_schema::{Schema, SchemaRef};

use super::super::Source;
use super::super::error::SourceError;
use super::super::input::Table;
use super::super::memory::{Chunk, Chunks, Column, Pieces};
use super::fields::{Field, Fields, Lengths};
use super::guard::guarded;
use super::{ADVICE, Unread, arrays, lists};

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
        let lengths = || {
            let mut lengths = vec![Lengths::default(); self.schema.fields().len()];
            for batch in self.batches.iter() {
                lengths.iter_mut().zip(batch.columns()).for_each(|(lengths, array)| lists::see(array, lengths));
            }
            Ok(lengths)
        };
        let fields = fields(&self.name, &self.schema, &guarded(&self.name, FORM, lengths)?)?;
        let (names, blocks) = (fields.names(), fields.blocks());
        let reading = Reading { table: self.clone(), fields, batch: 0, at: 0 };
        Ok(Box::new(Chunks::of(&self.name, names, Box::new(reading), self.rows() as u64)?.with_blocks(blocks)))
    }
}

/// A table that is read.
struct Reading {
    table: ArrowTable,
    fields: Fields,
    /// The batch at hand, and how many of its rows are done.
    batch: usize,
    at: usize,
}

impl Pieces for Reading {
    fn next(&mut self, wanted: &[bool]) -> Result<Option<Chunk>, SourceError> {
        let table = &self.table;
        while let Some(batch) = table.batches.get(self.batch) {
            let rows = (batch.num_rows() - self.at).min(self.fields.rows_at_once());
            if rows == 0 {
                (self.batch, self.at) = (self.batch + 1, 0);
                continue;
            }
            let some = batch.slice(self.at, rows);
            self.at += rows;
            let wanted = self.fields.wanted(wanted);
            let columns = some.columns().iter().zip(wanted).map(|(array, wanted)| wanted.then_some(array));
            let chunk = || chunk(&table.name, &self.fields, columns, (rows, table.nan_is_missing));
            return guarded(&table.name, FORM, chunk).map(Some);
        }
        Ok(None)
    }

    fn unread(&self) -> Vec<(usize, String)> {
        self.fields.unread()
    }
}

/// The fields of a schema; of those that are lists, these are the lengths.
pub(super) fn fields(name: &Arc<str>, schema: &Schema, lengths: &[Lengths]) -> Result<Fields, SourceError> {
    let field = |(field, lengths): (&Arc<arrow_schema::Field>, &Lengths)| Field {
        name: field.name().clone(),
        shape: arrays::shape(field.data_type(), lengths),
    };
    Fields::new(name, schema.fields().iter().zip(lengths).map(field).collect())
}

/// Some rows: of each field its items, or nothing where it is not looked at; and whether a NaN is missing.
pub(super) fn chunk<'a>(
    name: &Arc<str>,
    fields: &Fields,
    columns: impl Iterator<Item = Option<&'a ArrayRef>>,
    (rows, nan_is_missing): (usize, bool),
) -> Result<Chunk, SourceError> {
    let column = |(field, array): (&Field, Option<&ArrayRef>)| -> Result<Arc<dyn Column>, SourceError> {
        let Some(array) = array else { return Ok(Arc::new(Unread { rows, width: field.width() })) };
        arrays::column(array, &field.shape, nan_is_missing).map_err(|found| SourceError::ColumnType {
            file: name.clone(),
            column: field.name.clone(),
            found,
            advice: ADVICE,
        })
    };
    Chunk::new(name, fields.iter().zip(columns).map(column).collect::<Result<_, _>>()?)
}

#[cfg(test)]
mod tests {
    use arrow_array::{Float64Array, Int32Array, StringViewArray};
    use arrow_schema::{DataType, Field};

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
