//! What Python has as a table, as the engine's input: paths, streams of Arrow, and arrays of NumPy.
//!
//! `sisa._tables` decides what is what, and gives a list of parts: a path, or a pair of a name and what makes the table.

mod arrow;
mod numpy;

use std::path::PathBuf;

use pyo3::{exceptions::PyTypeError, prelude::*, types::PyList};
use sisa::{Input, source::MemoryTable};

/// Up to so many rows are answered on the thread that asks.
const FEW_ROWS: usize = 256;

/// Sources, and whether they are so few rows in memory that an answer takes no time to speak of.
#[derive(Default)]
pub(crate) struct Tables {
    pub(crate) input: Input,
    pub(crate) few: bool,
}

/// The parts that `sisa._tables` made of a table.
pub(crate) fn tables(parts: &Bound<'_, PyList>) -> PyResult<Tables> {
    let (mut input, mut rows) = (Input::new(), Some(0));
    for part in parts {
        if let Ok(path) = part.extract::<PathBuf>() {
            (input, rows) = (input.with_file(path), None);
            continue;
        }
        let (name, table): (String, Bound<'_, PyAny>) = part.extract()?;
        let count;
        (input, count) = match table.cast::<PyList>() {
            Ok(columns) => {
                let (table, count): (MemoryTable, usize) = numpy::table(&name, columns)?;
                (input.with(table), count)
            }
            Err(_) => {
                let table = arrow::table(&name, &table)?;
                let count = table.rows();
                (input.with(table), count)
            }
        };
        rows = rows.map(|rows: usize| rows + count);
    }
    Ok(Tables { input, few: rows.is_some_and(|rows| rows <= FEW_ROWS) })
}

/// What is no table.
fn wrong(name: &str, problem: impl std::fmt::Display) -> PyErr {
    PyTypeError::new_err(format!("{name}: {problem}"))
}
