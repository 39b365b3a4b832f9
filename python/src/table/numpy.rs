//! Arrays of NumPy. Other threads of Python may write to them, so each batch is copied while Python's lock is held, and nothing else is.

use std::{fmt, ops::Range, sync::Arc};

use numpy::{Element, PyArray2, PyArrayMethods, PyUntypedArrayMethods, ndarray::s};
use pyo3::{
    prelude::*,
    types::{PyList, PyTuple},
};
use sisa::source::{BadItem, Block, CellKind, Cells, Column, MemoryTable, Part, Values, single};

use super::wrong;

/// What the columns of an array are called.
#[derive(FromPyObject)]
enum Names {
    /// Each has a name.
    Columns(Vec<String>),
    /// They are one vector.
    Vector(String),
}

/// An item of an array as a cell.
trait Item: Element + Copy {
    const KIND: CellKind;

    /// Appends these items, row by row, and says which of them are missing.
    fn cells(items: impl Iterator<Item = Self>, out: &mut Part);
}

/// A matrix: columns of one kind, side by side.
struct Matrix<T> {
    array: Py<PyArray2<T>>,
    rows: usize,
    width: usize,
}

impl<T> fmt::Debug for Matrix<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Matrix").field("rows", &self.rows).field("width", &self.width).finish_non_exhaustive()
    }
}

impl<T: Item> Column for Matrix<T> {
    fn kind(&self) -> CellKind {
        T::KIND
    }

    fn width(&self) -> usize {
        self.width
    }

    fn rows(&self) -> usize {
        self.rows
    }

    fn read(&self, rows: Range<usize>, out: &mut Part) -> Result<(), BadItem> {
        let bad = |found: &str, advice| BadItem { row: rows.start, found: found.to_owned(), advice };
        let read = Python::try_attach(|py| {
            let array = self.array.bind(py);
            // It may have been resized in place since it was given.
            if array.shape() != [self.rows, self.width] {
                return Err(bad("of another shape than before", "leave the array alone until the call is done"));
            }
            let array = array.try_readonly().map_err(|_| bad("being written to", "wait for the other thread"))?;
            let array = array.as_array();
            let some = array.slice(s![rows.clone(), ..]);
            match some.as_slice() {
                Some(items) => T::cells(items.iter().copied(), out),
                None => T::cells(some.iter().copied(), out),
            }
            Ok(())
        });
        read.unwrap_or_else(|| Err(bad("gone, as Python is ending", "wait for the call before the program ends")))
    }
}

/// Floats: a NaN is missing.
macro_rules! floats {
    ($($item:ty),*) => {$(
        impl Item for $item {
            const KIND: CellKind = CellKind::Float;

            fn cells(items: impl Iterator<Item = Self>, out: &mut Part) {
                let Cells::Floats(cells) = out.cells() else { return };
                cells.extend(items.map(|item| single(item.into())));
                // All at once, as nearly no batch has one.
                if cells.iter().fold(false, |any, cell| any | cell.is_nan()) {
                    let missing: Vec<_> = (0..).zip(&*cells).filter(|(_, cell)| cell.is_nan()).map(|(at, _)| at).collect();
                    missing.into_iter().for_each(|at| out.miss(at));
                }
            }
        }
    )*};
}

macro_rules! whole {
    ($($item:ty),*) => {$(
        impl Item for $item {
            const KIND: CellKind = CellKind::Int;

            fn cells(items: impl Iterator<Item = Self>, out: &mut Part) {
                if let Cells::Ints(cells) = out.cells() {
                    cells.extend(items.map(i64::from));
                }
            }
        }
    )*};
}

floats!(f32, f64);
whole!(i8, i16, i32, i64, u16, u32, bool);

impl Item for u8 {
    const KIND: CellKind = CellKind::Byte;

    fn cells(items: impl Iterator<Item = Self>, out: &mut Part) {
        if let Cells::Bytes(cells) = out.cells() {
            cells.extend(items);
        }
    }
}

/// A table of arrays side by side, and how many rows it has: for each of `columns` the names of its columns, and a matrix or a list of
/// texts. A matrix with one name is of vectors.
pub(super) fn table(name: &str, columns: &Bound<'_, PyList>) -> PyResult<(MemoryTable, usize)> {
    let (mut names, mut parts, mut blocks) = (Vec::new(), Vec::new(), Vec::new());
    for column in columns {
        let (of, items): (Names, Bound<'_, PyAny>) = column.cast::<PyTuple>()?.extract()?;
        let part = match items.cast::<PyList>() {
            Ok(texts) => Arc::new(Values::from(texts.extract::<Vec<Option<String>>>()?)) as Arc<dyn Column>,
            Err(_) => matrix(&items).ok_or_else(|| {
                let kind = items.getattr("dtype").map_or_else(|_| String::from("no array"), |kind| kind.to_string());
                wrong(
                    name,
                    format!(
                        "array `{}` has items of type {kind}, which are not read; cast it to float64, int64 or str",
                        match &of {
                            Names::Vector(name) => name.clone(),
                            Names::Columns(names) => names.join(", "),
                        }
                    ),
                )
            })?,
        };
        match of {
            Names::Columns(of) => names.extend(of),
            Names::Vector(of) => {
                let block = Block { name: of, first: names.len(), width: part.width() };
                names.extend(block.columns());
                blocks.push(block);
            }
        }
        parts.push(part);
    }
    let rows = parts.first().map_or(0, |part| part.rows());
    Ok((MemoryTable::of_chunks(name, names, vec![parts]).with_blocks(blocks), rows))
}

fn matrix(items: &Bound<'_, PyAny>) -> Option<Arc<dyn Column>> {
    of::<f32>(items)
        .or_else(|| of::<f64>(items))
        .or_else(|| of::<i64>(items))
        .or_else(|| of::<i32>(items))
        .or_else(|| of::<u8>(items))
        .or_else(|| of::<bool>(items))
        .or_else(|| of::<i8>(items))
        .or_else(|| of::<i16>(items))
        .or_else(|| of::<u16>(items))
        .or_else(|| of::<u32>(items))
}

fn of<T: Item + 'static>(items: &Bound<'_, PyAny>) -> Option<Arc<dyn Column>> {
    let array = items.cast::<PyArray2<T>>().ok()?;
    let (rows, width) = (array.shape().first().copied()?, array.shape().get(1).copied()?);
    Some(Arc::new(Matrix { array: array.clone().unbind(), rows, width }))
}
