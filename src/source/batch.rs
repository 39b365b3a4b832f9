//! A batch of rows: the memory that sources fill and encoders read, used again for every call.
#![expect(clippy::indexing_slicing, reason = "cells are addressed by row and column; outside is the caller's bug")]

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
}

/// Some consecutive rows of one source.
#[derive(Debug, Default)]
pub struct Batch {
    file: Arc<str>,
    kind: PlaceKind,
    rows: usize,
    first: u64,
    lines: Vec<u64>,
    parts: Vec<Part>,
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
        let mut index = column;
        for part in &self.parts {
            let width = part.shape.width;
            if index < width {
                return match &part.cells {
                    Cells::Text(text) => Cell::Text(text.cell(row, index, width)),
                    Cells::Bytes(cells) => Cell::Byte(cells[row * width + index]),
                    Cells::Ints(cells) => Cell::Int(cells[row * width + index]),
                    Cells::Floats(cells) => Cell::Float(cells[row * width + index]),
                };
            }
            index -= width;
        }
        panic!("column {column} is outside of the batch");
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
            [Part { cells: Cells::Text(text), shape: Shape { width, .. } }] => {
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

    /// Empties the batch and gives it the shape of a source's rows, keeping the memory where the shape is as before.
    pub(crate) fn begin(&mut self, file: &Arc<str>, kind: PlaceKind, shapes: &[Shape]) {
        self.file = file.clone();
        self.kind = kind;
        self.rows = 0;
        self.lines.clear();
        if self.parts.iter().map(|part| &part.shape).eq(shapes) {
            self.parts.iter_mut().for_each(|part| part.cells.clear());
        } else {
            self.parts = shapes.iter().map(|&shape| Part { shape, cells: Cells::new(shape.kind) }).collect();
        }
    }

    /// The cells of each part, to be filled by a source of arrays, which then calls [`Batch::finish_rows`].
    pub(crate) fn parts(&mut self) -> impl Iterator<Item = &mut Cells> {
        self.parts.iter_mut().map(|part| &mut part.cells)
    }

    /// Declares `rows` rows of which the first is number `first` (from 1) in its file.
    pub(crate) fn finish_rows(&mut self, rows: usize, first: u64) {
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
}

/// Adjacent columns of one kind.
#[derive(Debug)]
struct Part {
    shape: Shape,
    cells: Cells,
}

/// Kind and count of adjacent columns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Shape {
    pub(crate) kind: CellKind,
    pub(crate) width: usize,
}

/// The variants of [`Cell`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum CellKind {
    Text,
    Byte,
    Int,
    Float,
}

/// Cells of one kind, row by row.
#[derive(Debug)]
pub(crate) enum Cells {
    Text(Text),
    Bytes(Vec<u8>),
    Ints(Vec<i64>),
    Floats(Vec<f32>),
}

impl Cells {
    fn new(kind: CellKind) -> Self {
        match kind {
            CellKind::Text => Self::Text(Text::default()),
            CellKind::Byte => Self::Bytes(Vec::new()),
            CellKind::Int => Self::Ints(Vec::new()),
            CellKind::Float => Self::Floats(Vec::new()),
        }
    }

    fn clear(&mut self) {
        match self {
            Self::Text(text) => {
                text.bytes.clear();
                text.starts.clear();
                text.ends.clear();
            }
            Self::Bytes(cells) => cells.clear(),
            Self::Ints(cells) => cells.clear(),
            Self::Floats(cells) => cells.clear(),
        }
    }
}

/// Fields as they stand in a CSV file: one byte (the comma) lies between two fields of a row, anything between rows.
#[derive(Debug, Default)]
pub(crate) struct Text {
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

    /// Adds a row of fields that lie elsewhere.
    pub(crate) fn push_row<'a>(&mut self, fields: impl Iterator<Item = &'a [u8]>) {
        self.starts.push(self.bytes.len() as u32);
        for field in fields {
            self.bytes.extend_from_slice(field);
            self.ends.push(self.bytes.len() as u32);
            self.bytes.push(b',');
        }
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
            batch.begin(&"f".into(), PlaceKind::Row, &shapes);
            for cells in batch.parts() {
                match cells {
                    Cells::Bytes(cells) => cells.extend([1, 2, 3, 4]),
                    Cells::Text(text) => ["", "zz"].iter().for_each(|s| text.push_row([s.as_bytes()].into_iter())),
                    _ => unreachable!(),
                }
            }
            batch.finish_rows(2, 7);
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
        batch.begin(&"f".into(), PlaceKind::Line, &[Shape { kind: CellKind::Text, width: 3 }]);
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
        batch.begin(&"f".into(), PlaceKind::Row, &[Shape { kind: CellKind::Byte, width: 1 }]);
        let _ = batch.cell(0, 1);
    }
}
