//! A batch of rows: the memory that sources fill and encoders read, used again for every call.
#![expect(clippy::indexing_slicing, reason = "cells are addressed by row and column; outside is the caller's bug")]

use std::fmt;
use std::sync::Arc;

use super::limits::{BATCH_BYTES, BATCH_ROWS_MAX};
use super::place::{Place, PlaceKind};

/// One value of a table, as its file holds it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Cell<'a> {
    /// A CSV field after unquoting, not trimmed; or a string of an array, in UTF-8 if it was unicode.
    Text(&'a [u8]),
    /// An unsigned byte, such as a pixel.
    Byte(u8),
    /// An integer of any other width, or a boolean as 0 and 1.
    Int(i64),
    /// A float; doubles are rounded to nearest, ties to even (IEEE 754), so large ones become infinite.
    /// Every NaN is the one of bits 0x7fc00000.
    Float(f32),
    /// Nothing: a null of a table in memory or of a columnar file. It is missing whatever is declared to spell that.
    Missing,
}

impl fmt::Display for Cell<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Cell::Text(text) => f.write_str(&String::from_utf8_lossy(text)),
            Cell::Byte(byte) => byte.fmt(f),
            Cell::Int(int) => int.fmt(f),
            Cell::Float(float) => float.fmt(f),
            Cell::Missing => Ok(()),
        }
    }
}

/// The float that stands for a double: rounded to nearest, ties to even. The sign and payload that a conversion gives to
/// a NaN differ between processors, so all NaNs become the one of bits 0x7fc00000; floats of single precision come back
/// as they were.
#[must_use]
pub fn single(value: f64) -> f32 {
    if value.is_nan() { f32::from_bits(0x7fc0_0000) } else { value as f32 }
}

/// Some consecutive rows of one source.
///
/// A [`Source`](super::Source) of one's own fills it by parts, which are adjacent columns of one kind:
///
/// ```
/// use sisa::source::{Batch, Cell, CellKind, Cells, Shape};
///
/// let mut batch = Batch::new();
/// batch.begin(&"doses".into(), &[Shape { kind: CellKind::Float, width: 2 }, Shape { kind: CellKind::Text, width: 1 }]);
/// for part in batch.parts() {
///     match part.cells() {
///         Cells::Floats(cells) => cells.extend([0.5, 1.0, 2.0, 4.0]),
///         Cells::Text(text) => ["p1", "p2"].iter().for_each(|id| text.push(id.as_bytes())),
///         _ => {}
///     }
/// }
/// batch.finish(2, 1);
/// assert_eq!(batch.cell(1, 0), Cell::Float(2.0));
/// assert_eq!(batch.cell(1, 2), Cell::Text(b"p2"));
/// ```
#[derive(Debug, Default)]
pub struct Batch {
    file: Arc<str>,
    kind: PlaceKind,
    rows: usize,
    first: u64,
    lines: Vec<u64>,
    parts: Vec<Part>,
    /// For each column its part and its place there; empty where there is at most one part.
    columns: Vec<(u32, u32)>,
}

impl Batch {
    /// An empty batch; it takes memory as it is filled.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The count of rows.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// The cell of `row` (from 0 in this batch) and `column` (from 0, as in `Source::columns`).
    ///
    /// # Panics
    ///
    /// If there is no such row or column, which no file can bring about.
    #[inline]
    #[must_use]
    pub fn cell(&self, row: usize, column: usize) -> Cell<'_> {
        let (part, index) = match self.columns.get(column) {
            Some(&(part, index)) => (part as usize, index as usize),
            None => (0, column),
        };
        match self.parts.get(part) {
            Some(part) if index < part.shape.width => part.cell(row, index),
            _ => panic!("column {column} is outside of the batch"),
        }
    }

    /// A row (from 0 in this batch), many of whose cells are wanted.
    ///
    /// # Panics
    ///
    /// If there is no such row.
    #[inline]
    #[must_use]
    pub fn row(&self, row: usize) -> Row<'_> {
        let text = match self.parts.as_slice() {
            [Part { cells: Cells::Text(text), shape: Shape { width, .. }, missing }] if missing.is_empty() => {
                Some(TextRow { bytes: &text.bytes, start: text.starts[row], ends: &text.ends[row * width..][..*width] })
            }
            _ => None,
        };
        Row { batch: self, row, text }
    }

    /// Where `row` (from 0 in this batch) stands in its file.
    ///
    /// # Panics
    ///
    /// If there is no such row.
    #[must_use]
    pub fn place(&self, row: usize) -> Place {
        let (kind, line) = self.line(row);
        Place { file: self.file.clone(), line, kind }
    }

    /// As [`Batch::place`], without the file.
    ///
    /// # Panics
    ///
    /// If there is no such row.
    #[inline]
    #[must_use]
    pub fn line(&self, row: usize) -> (PlaceKind, u64) {
        assert!(row < self.rows, "row {row} is outside of the batch of {}", self.rows);
        let line = match self.kind {
            PlaceKind::Line => self.lines[row],
            PlaceKind::Row => self.first + row as u64,
        };
        (self.kind, line)
    }

    /// Empties the batch for rows of `source` with these shapes, side by side, and keeps the memory where the shapes are as
    /// before. Its rows are counted from 1 in messages.
    pub fn begin(&mut self, source: &Arc<str>, shapes: &[Shape]) {
        self.begin_as(source, PlaceKind::Row, shapes);
    }

    /// As [`Batch::begin`], with the word for a row's place.
    pub(crate) fn begin_as(&mut self, file: &Arc<str>, kind: PlaceKind, shapes: &[Shape]) {
        self.file = file.clone();
        self.kind = kind;
        self.rows = 0;
        self.lines.clear();
        if self.parts.iter().map(|part| &part.shape).eq(shapes) {
            self.parts.iter_mut().for_each(Part::clear);
            return;
        }
        self.parts = shapes.iter().map(|&shape| Part::new(shape)).collect();
        self.columns.clear();
        if self.parts.len() > 1 {
            let places = |(part, shape): (u32, &Shape)| (0..shape.width as u32).map(move |index| (part, index));
            self.columns.extend((0..).zip(shapes).flat_map(places));
        }
    }

    /// The parts, to be filled with the cells of some rows; then comes [`Batch::finish`].
    pub fn parts(&mut self) -> impl Iterator<Item = &mut Part> {
        self.parts.iter_mut()
    }

    /// Declares that the parts hold `rows` rows, of which the first is number `first` (from 1) of its source.
    ///
    /// # Panics
    ///
    /// If a part holds more or fewer cells than that.
    pub fn finish(&mut self, rows: usize, first: u64) {
        for part in &self.parts {
            let (expected, got) = (rows * part.shape.width, part.len());
            assert!(got.is_none_or(|got| got == expected), "a part holds {got:?} cells where {rows} rows have {expected}");
            assert!(part.missing.len() <= expected, "a cell beyond {expected} is missing");
        }
        self.rows = rows;
        self.first = first;
    }

    /// The text of a CSV batch and the lines of its rows; `None` if it was begun with another shape.
    pub(crate) fn text(&mut self) -> Option<TextRows<'_>> {
        match self.parts.first_mut() {
            Some(Part { cells: Cells::Text(text), .. }) => Some(TextRows { text, lines: &mut self.lines, rows: &mut self.rows }),
            _ => None,
        }
    }
}

/// One row of a batch.
#[derive(Debug, Clone, Copy)]
pub struct Row<'a> {
    batch: &'a Batch,
    row: usize,
    /// Where all cells are text.
    text: Option<TextRow<'a>>,
}

#[derive(Debug, Clone, Copy)]
struct TextRow<'a> {
    bytes: &'a [u8],
    start: u32,
    ends: &'a [u32],
}

impl<'a> Row<'a> {
    /// The cell of a column (from 0, as in `Source::columns`).
    ///
    /// # Panics
    ///
    /// If there is no such column, which no file can bring about.
    #[inline]
    #[must_use]
    pub fn cell(&self, column: usize) -> Cell<'a> {
        match &self.text {
            Some(text) => {
                let start = if column == 0 { text.start } else { text.ends[column - 1] + 1 };
                Cell::Text(&text.bytes[start as usize..text.ends[column] as usize])
            }
            None => self.batch.cell(self.row, column),
        }
    }

    /// The cells of so many columns from `first` on, where they are floats that lie side by side and none is missing.
    #[inline]
    pub(crate) fn floats(&self, first: usize, count: usize) -> Option<&'a [f32]> {
        let (part, index) = match self.batch.columns.get(first) {
            Some(&(part, index)) => (part as usize, index as usize),
            None => (0, first),
        };
        let part = self.batch.parts.get(part).filter(|part| index + count <= part.shape.width)?;
        let cells = self.row * part.shape.width + index..self.row * part.shape.width + index + count;
        let missing = part.missing.get(cells.start..cells.end.min(part.missing.len())).unwrap_or_default();
        match &part.cells {
            Cells::Floats(floats) if !missing.contains(&true) => floats.get(cells),
            _ => None,
        }
    }
}

/// Adjacent columns of one kind.
#[derive(Debug)]
pub struct Part {
    shape: Shape,
    cells: Cells,
    /// Row by row, whether a cell is missing; short where the rest is there.
    missing: Vec<bool>,
}

/// Kind and count of adjacent columns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shape {
    /// What their cells are.
    pub kind: CellKind,
    /// How many columns.
    pub width: usize,
}

/// The variants of [`Cell`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CellKind {
    /// [`Cell::Text`].
    Text,
    /// [`Cell::Byte`].
    Byte,
    /// [`Cell::Int`].
    Int,
    /// [`Cell::Float`].
    Float,
    /// [`Cell::Missing`] in every row, as of columns that were not read.
    Missing,
}

/// Cells of one kind, row by row.
#[derive(Debug)]
pub enum Cells {
    /// Text.
    Text(Text),
    /// Unsigned bytes.
    Bytes(Vec<u8>),
    /// Integers.
    Ints(Vec<i64>),
    /// Floats, made with [`single`] where they may be NaN.
    Floats(Vec<f32>),
    /// None at all.
    Missing,
}

impl Part {
    fn new(shape: Shape) -> Self {
        let cells = match shape.kind {
            CellKind::Text => Cells::Text(Text::default()),
            CellKind::Byte => Cells::Bytes(Vec::new()),
            CellKind::Int => Cells::Ints(Vec::new()),
            CellKind::Float => Cells::Floats(Vec::new()),
            CellKind::Missing => Cells::Missing,
        };
        Self { shape, cells, missing: Vec::new() }
    }

    /// Kind and count of the columns.
    #[must_use]
    pub fn shape(&self) -> Shape {
        self.shape
    }

    /// The cells, row by row; a missing one has a place there too, and what is in it does not matter.
    pub fn cells(&mut self) -> &mut Cells {
        &mut self.cells
    }

    /// Declares cell number `at` (row times width plus column, from 0 in this batch) missing.
    pub fn miss(&mut self, at: usize) {
        if self.missing.len() <= at {
            self.missing.resize(at + 1, false);
        }
        self.missing[at] = true;
    }

    #[inline]
    fn cell(&self, row: usize, column: usize) -> Cell<'_> {
        let width = self.shape.width;
        let at = row * width + column;
        if self.missing.get(at) == Some(&true) {
            return Cell::Missing;
        }
        match &self.cells {
            Cells::Text(text) => Cell::Text(text.cell(row, column, width)),
            Cells::Bytes(cells) => Cell::Byte(cells[at]),
            Cells::Ints(cells) => Cell::Int(cells[at]),
            Cells::Floats(cells) => Cell::Float(cells[at]),
            Cells::Missing => Cell::Missing,
        }
    }

    /// The count of cells; any will do where there are none.
    fn len(&self) -> Option<usize> {
        match &self.cells {
            Cells::Text(text) => Some(text.ends.len()),
            Cells::Bytes(cells) => Some(cells.len()),
            Cells::Ints(cells) => Some(cells.len()),
            Cells::Floats(cells) => Some(cells.len()),
            Cells::Missing => None,
        }
    }

    fn clear(&mut self) {
        self.missing.clear();
        match &mut self.cells {
            Cells::Text(text) => {
                text.bytes.clear();
                text.starts.clear();
                text.ends.clear();
            }
            Cells::Bytes(cells) => cells.clear(),
            Cells::Ints(cells) => cells.clear(),
            Cells::Floats(cells) => cells.clear(),
            Cells::Missing => {}
        }
    }
}

/// Fields as they stand in a CSV file: one byte (the comma) lies between two fields of a row, anything between rows.
#[derive(Debug, Default)]
pub struct Text {
    /// The bytes of all fields, and of what lies between them.
    pub(crate) bytes: Vec<u8>,
    /// For each row, the offset of its first field.
    pub(crate) starts: Vec<u32>,
    /// For each row and column, the offset of the field's end; the next field starts one byte later.
    pub(crate) ends: Vec<u32>,
}

impl Text {
    #[inline]
    fn cell(&self, row: usize, column: usize, width: usize) -> &[u8] {
        let at = row * width + column;
        let start = if column == 0 { self.starts[row] } else { self.ends[at - 1] + 1 };
        &self.bytes[start as usize..self.ends[at] as usize]
    }

    /// Adds the text of a row, where there is one column.
    pub fn push(&mut self, text: &[u8]) {
        self.push_row(std::iter::once(text));
    }

    /// Adds the texts of a row, one for each column.
    ///
    /// # Panics
    ///
    /// If a batch would hold 4 GiB of text.
    pub fn push_row<'a>(&mut self, fields: impl Iterator<Item = &'a [u8]>) {
        self.starts.push(self.bytes.len() as u32);
        for field in fields {
            self.bytes.extend_from_slice(field);
            self.ends.push(self.bytes.len() as u32);
            self.bytes.push(b',');
        }
        assert!(u32::try_from(self.bytes.len()).is_ok(), "a batch of text is beyond 4 GiB");
    }
}

/// A CSV batch while it is filled.
#[derive(Debug)]
pub(crate) struct TextRows<'a> {
    pub(crate) text: &'a mut Text,
    pub(crate) lines: &'a mut Vec<u64>,
    pub(crate) rows: &'a mut usize,
}

impl TextRows<'_> {
    /// Whether another row, after `pending` bytes that are not yet copied, would go beyond the bounds.
    pub(crate) fn full(&self, pending: usize) -> bool {
        self.lines.len() >= BATCH_ROWS_MAX || self.text.bytes.len() + pending >= BATCH_BYTES
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_lie_side_by_side() {
        let mut batch = Batch::new();
        let shapes = [Shape { kind: CellKind::Byte, width: 2 }, Shape { kind: CellKind::Text, width: 1 }];
        for _ in 0..2 {
            batch.begin(&"f".into(), &shapes);
            for part in batch.parts() {
                match part.cells() {
                    Cells::Bytes(cells) => cells.extend([1, 2, 3, 4]),
                    Cells::Text(text) => ["", "zz"].iter().for_each(|s| text.push_row([s.as_bytes()].into_iter())),
                    _ => unreachable!(),
                }
            }
            batch.finish(2, 7);
            assert_eq!(batch.cell(1, 0), Cell::Byte(3));
            assert_eq!(batch.cell(0, 2), Cell::Text(b""));
            assert_eq!(batch.cell(1, 2), Cell::Text(b"zz"));
            assert_eq!(batch.row(1).cell(2), Cell::Text(b"zz"));
            assert_eq!(batch.place(1).to_string(), "f: row 8");
        }
    }

    #[test]
    fn rows_of_text_have_the_cells_of_the_batch() {
        let mut batch = Batch::new();
        batch.begin_as(&"f".into(), PlaceKind::Line, &[Shape { kind: CellKind::Text, width: 3 }]);
        let rows = [["a", "", "bcd"], ["", "", ""], ["é", "x", "y"]];
        for row in rows {
            batch.text().unwrap().text.push_row(row.iter().map(|cell| cell.as_bytes()));
        }
        for (at, row) in rows.iter().enumerate() {
            for (column, cell) in row.iter().enumerate() {
                assert_eq!(batch.row(at).cell(column), Cell::Text(cell.as_bytes()));
                assert_eq!(batch.cell(at, column), Cell::Text(cell.as_bytes()));
            }
        }
    }

    #[test]
    #[should_panic(expected = "column 1 is outside")]
    fn a_column_outside_is_a_bug() {
        let mut batch = Batch::new();
        batch.begin(&"f".into(), &[Shape { kind: CellKind::Byte, width: 1 }]);
        let _ = batch.cell(0, 1);
    }

    #[test]
    fn a_missing_cell_is_missing_whatever_lies_in_its_place() {
        let mut batch = Batch::new();
        let shapes = [Shape { kind: CellKind::Int, width: 2 }, Shape { kind: CellKind::Missing, width: 1 }];
        for missed in [Some(2), None] {
            batch.begin(&"f".into(), &shapes);
            for part in batch.parts() {
                if let Cells::Ints(cells) = part.cells() {
                    cells.extend([1, 2, 3, 4]);
                    missed.iter().for_each(|at| part.miss(*at));
                }
            }
            batch.finish(2, 1);
            let expected = if missed.is_some() { Cell::Missing } else { Cell::Int(3) };
            assert_eq!([batch.cell(1, 0), batch.cell(1, 1), batch.row(0).cell(2)], [expected, Cell::Int(4), Cell::Missing]);
        }
    }

    #[test]
    #[should_panic(expected = "where 2 rows have 4")]
    fn a_part_of_another_length_is_a_bug() {
        let mut batch = Batch::new();
        batch.begin(&"f".into(), &[Shape { kind: CellKind::Byte, width: 2 }]);
        batch.finish(2, 1);
    }
}
