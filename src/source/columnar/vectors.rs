//! Vectors of one length, each of whose numbers is a column.

use std::ops::Range;

use super::super::batch::{CellKind, Part};
use super::super::memory::{BadItem, Column};
use super::super::values::Values;

/// Some rows of vectors.
#[derive(Debug)]
pub(super) struct Vectors {
    /// One vector after the other.
    numbers: Values,
    rows: usize,
    width: usize,
    /// The first row whose list has another length, and that length. No later row is read.
    odd: Option<(usize, usize)>,
}

impl Vectors {
    pub(super) fn new(numbers: Values, rows: usize, width: usize, odd: Option<(usize, usize)>) -> Vectors {
        Vectors { numbers, rows, width, odd }
    }
}

impl Column for Vectors {
    fn kind(&self) -> CellKind {
        CellKind::Float
    }

    fn width(&self) -> usize {
        self.width
    }

    fn rows(&self) -> usize {
        self.rows
    }

    fn read(&self, rows: Range<usize>, out: &mut Part) -> Result<(), BadItem> {
        match self.odd {
            Some((row, length)) if row < rows.end => Err(BadItem {
                row,
                found: format!("a list of {length} floats where those before have {}", self.width),
                advice: "give all rows as many, or a null; or declare the column \"ignore\" in sisa.toml",
            }),
            _ => self.numbers.read(rows.start * self.width..rows.end * self.width, out),
        }
    }
}
