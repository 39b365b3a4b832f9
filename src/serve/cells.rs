//! Rows of a request as a table of text, so that cells meet the same encoder as those of a CSV file: a number is its own digits, and never a double.

use std::{borrow::Cow, fmt, sync::Arc};

use serde::{
    Deserialize, Deserializer,
    de::{MapAccess, Visitor},
};
use serde_json::value::RawValue;
use sisa::engine::{Batch, CellKind, Cells, Shape, Source, SourceError, Table};

use super::problem::Problem;

/// What the rows are called in messages.
pub(super) const NAME: &str = "the request";
/// Rows of a batch, and bytes of its text at most, but for one row.
const BATCH_ROWS: usize = 4_096;
const BATCH_BYTES: usize = 1 << 20;

/// Cells row by row.
#[derive(Debug, Default)]
pub(super) struct Grid {
    columns: Vec<String>,
    text: Vec<u8>,
    ends: Vec<u32>,
    /// Numbers of the cells that are missing, ascending.
    missing: Vec<u32>,
    rows: usize,
    most: usize,
}

impl Grid {
    /// A grid without rows, which takes `most` of them.
    pub(super) fn new(columns: Vec<String>, most: u32) -> Grid {
        Grid { columns, most: most as usize, ..Grid::default() }
    }

    /// A place for a row, whose cells follow.
    pub(super) fn begin_row(&mut self) -> Result<(), Problem> {
        if self.rows >= self.most {
            return Err(Problem::too_large(format!("more than {} rows; send them in several requests", self.most)));
        }
        self.rows += 1;
        Ok(())
    }

    /// Adds a cell; `None` is missing.
    pub(super) fn push(&mut self, cell: Option<&[u8]>) {
        match cell {
            Some(text) => self.text.extend_from_slice(text),
            None => self.missing.push(self.ends.len() as u32),
        }
        self.ends.push(self.text.len() as u32);
    }

    /// Adds a cell as JSON has it: text, a number as its digits, `true`, `false`, or `null` for a missing one.
    pub(super) fn push_json(&mut self, cell: &RawValue) -> Result<(), Problem> {
        let text = cell.get();
        match text.bytes().next() {
            Some(b'"') => {
                let text: Cow<'_, str> = serde_json::from_str::<Text<'_>>(text).map_err(|e| Problem::input(e.to_string()))?.0;
                self.push(Some(text.as_bytes()));
            }
            Some(b'n') => self.push(None),
            Some(b'[' | b'{') => {
                let at = self.ends.len() % self.columns.len().max(1);
                let column = self.columns.get(at).map_or("", String::as_str);
                return Err(Problem::input(format!("row {}, column `{column}`: a list or an object is no cell", self.rows)));
            }
            _ => self.push(Some(text.as_bytes())),
        }
        Ok(())
    }

    fn cell(&self, at: usize) -> &[u8] {
        let start = at.checked_sub(1).and_then(|before| self.ends.get(before)).copied().unwrap_or(0) as usize;
        let end = self.ends.get(at).copied().unwrap_or(0) as usize;
        self.text.get(start..end).unwrap_or_default()
    }
}

/// A text, borrowed where it has no escape.
#[derive(Deserialize)]
struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

/// A grid that is read as a source.
#[derive(Debug)]
pub(super) struct Rows(Arc<Grid>);

impl From<Grid> for Rows {
    fn from(grid: Grid) -> Rows {
        Rows(Arc::new(grid))
    }
}

impl Table for Rows {
    fn name(&self) -> &str {
        NAME
    }

    fn open(&self) -> Result<Box<dyn Source>, SourceError> {
        let mut columns: Vec<&String> = self.0.columns.iter().collect();
        columns.sort();
        if let Some([twice, _]) = columns.windows(2).find(|pair| pair.first() == pair.last()) {
            let problem = format!("two columns are named `{twice}`; rename one of them");
            return Err(SourceError::Table { file: NAME.into(), problem });
        }
        Ok(Box::new(Reader { grid: self.0.clone(), name: NAME.into(), at: 0 }))
    }
}

struct Reader {
    grid: Arc<Grid>,
    name: Arc<str>,
    /// Rows that were read.
    at: usize,
}

impl Source for Reader {
    fn name(&self) -> &Arc<str> {
        &self.name
    }

    fn columns(&self) -> &[String] {
        &self.grid.columns
    }

    fn next(&mut self, batch: &mut Batch) -> Result<usize, SourceError> {
        let (grid, width) = (&self.grid, self.grid.columns.len());
        batch.begin(&self.name, &[Shape { kind: CellKind::Text, width }]);
        let first = self.at;
        for part in batch.parts() {
            let mut bytes = 0;
            if let Cells::Text(text) = part.cells() {
                while self.at < grid.rows && self.at - first < BATCH_ROWS && bytes < BATCH_BYTES {
                    let cells = self.at * width..(self.at + 1) * width;
                    bytes += cells.clone().map(|at| grid.cell(at).len() + 1).sum::<usize>();
                    text.push_row(cells.map(|at| grid.cell(at)));
                    self.at += 1;
                }
            }
            let (from, to) = ((first * width) as u32, (self.at * width) as u32);
            let begin = grid.missing.partition_point(|cell| *cell < from);
            for cell in grid.missing.iter().skip(begin).take_while(|cell| **cell < to) {
                part.miss((cell - from) as usize);
            }
        }
        batch.finish(self.at - first, first as u64 + 1);
        Ok(self.at - first)
    }

    fn bytes_read(&self) -> u64 {
        self.at as u64
    }

    /// Rows, and few of them: nobody is to read them ahead in a thread.
    fn bytes_total(&self) -> u64 {
        0
    }
}

/// The fields of a JSON object in their order, repeated ones included.
#[derive(Debug)]
pub(super) struct Fields<'a>(pub(super) Vec<(Cow<'a, str>, &'a RawValue)>);

impl<'de: 'a, 'a> Deserialize<'de> for Fields<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Collect;

        impl<'de> Visitor<'de> for Collect {
            type Value = Fields<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Fields<'de>, A::Error> {
                let mut fields = Vec::with_capacity(map.size_hint().unwrap_or(0));
                while let Some((name, value)) = map.next_entry::<Text<'de>, &'de RawValue>()? {
                    fields.push((name.0, value));
                }
                Ok(Fields(fields))
            }
        }

        deserializer.deserialize_map(Collect)
    }
}

/// Adds rows that are objects. All have the columns of the first, in any order.
pub(super) fn of_records(records: &[Fields<'_>], most: u32) -> Result<Grid, Problem> {
    let columns = records.first().map(|Fields(fields)| fields.iter().map(|(name, _)| name.to_string()).collect());
    let mut grid = Grid::new(columns.unwrap_or_default(), most);
    for Fields(fields) in records {
        grid.begin_row()?;
        if fields.len() != grid.columns.len() {
            let (row, got, expected) = (grid.rows, fields.len(), grid.columns.len());
            return Err(Problem::input(format!("row {row} has {got} columns where the first has {expected}; give all the same")));
        }
        for at in 0..fields.len() {
            let name = grid.columns.get(at).map_or("", String::as_str);
            let here = fields.get(at).filter(|(found, _)| found == name);
            let Some((_, cell)) = here.or_else(|| fields.iter().find(|(found, _)| found == name)) else {
                return Err(Problem::input(format!("row {} has no column `{name}`, which the first has", grid.rows)));
            };
            grid.push_json(cell)?;
        }
    }
    Ok(grid)
}

/// Adds rows that are lists.
pub(super) fn of_lists(columns: Vec<String>, rows: &[Vec<&RawValue>], most: u32) -> Result<Grid, Problem> {
    let mut grid = Grid::new(columns, most);
    for row in rows {
        grid.begin_row()?;
        if row.len() != grid.columns.len() {
            let (at, got, expected) = (grid.rows, row.len(), grid.columns.len());
            return Err(Problem::input(format!("row {at} has {got} cells where there are {expected} columns")));
        }
        row.iter().try_for_each(|cell| grid.push_json(cell))?;
    }
    Ok(grid)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cells(rows: Rows) -> Vec<String> {
        let mut source = rows.open().unwrap();
        let (mut batch, mut found) = (Batch::new(), Vec::new());
        loop {
            let count = source.next(&mut batch).unwrap();
            if count == 0 {
                return found;
            }
            for row in 0..count {
                found.extend((0..source.columns().len()).map(|c| format!("{:?}", batch.cell(row, c))));
            }
        }
    }

    #[test]
    fn numbers_keep_their_digits_and_null_is_missing() {
        let text = r#"[{"a": 0.30000001192092896, "b": "x\ny"}, {"b": null, "a": 1e3}, {"a": true, "b": ""}]"#;
        let records: Vec<Fields<'_>> = serde_json::from_str(text).unwrap();
        let found = cells(of_records(&records, 9).unwrap().into());
        let text = |t: &str| format!("{:?}", sisa::source::Cell::Text(t.as_bytes()));
        let missing = format!("{:?}", sisa::source::Cell::Missing);
        assert_eq!(found, [text("0.30000001192092896"), text("x\ny"), text("1e3"), missing, text("true"), text("")]);
    }

    #[test]
    fn rows_come_in_batches_and_missing_cells_keep_their_places() {
        let mut grid = Grid::new(vec!["a".into()], 100_000);
        for row in 0..10_000 {
            grid.begin_row().unwrap();
            grid.push((row % 7 != 0).then_some(b"x".as_slice()));
        }
        let found = cells(grid.into());
        assert_eq!(found.len(), 10_000);
        assert!(found.iter().enumerate().all(|(row, cell)| (cell == "Missing") == (row % 7 == 0)));
    }

    #[test]
    fn what_is_no_row_is_named() {
        let of = |text: &str, most| {
            let records: Vec<Fields<'_>> = serde_json::from_str(text).unwrap();
            of_records(&records, most).map(|_| ()).unwrap_err().body.error
        };
        assert!(of(r#"[{"a": 1}, {"b": 1}]"#, 9).contains("row 2 has no column `a`"));
        assert!(of(r#"[{"a": 1}, {"a": 1, "b": 1}]"#, 9).contains("row 2 has 2 columns"));
        assert!(of(r#"[{"a": [1]}]"#, 9).contains("column `a`"));
        assert!(of(r#"[{"a": 1}, {"a": 1}]"#, 1).contains("more than 1 rows"));
        let twice: Vec<Fields<'_>> = serde_json::from_str(r#"[{"a": 1, "a": 2}]"#).unwrap();
        assert!(Rows::from(of_records(&twice, 9).unwrap()).open().is_err());
    }
}
