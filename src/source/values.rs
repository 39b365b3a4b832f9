//! Columns of Rust's own types.

use std::ops::Range;
use std::sync::Arc;

use super::batch::{CellKind, Cells, Part, single};
use super::memory::{BadItem, Column};

/// A column's values and which of them are missing; made from a vector of floats, integers, booleans or text, of them or
/// of options.
#[derive(Debug, Clone)]
pub struct Values {
    items: Items,
    /// Row by row, whether a value is missing; empty where all are there.
    missing: Arc<[bool]>,
}

#[derive(Debug, Clone)]
enum Items {
    Floats(Arc<[f32]>),
    Doubles(Arc<[f64]>),
    Ints(Arc<[i64]>),
    Bytes(Arc<[u8]>),
    Text(Arc<[String]>),
}

impl Values {
    /// The same column, with those values missing whose place in `missing` holds true.
    ///
    /// # Panics
    ///
    /// If there are more or fewer of them than values.
    #[must_use]
    pub fn with_missing(self, missing: Vec<bool>) -> Self {
        assert_eq!(missing.len(), self.rows(), "a mask has a place for every row");
        Self { missing: missing.into(), ..self }
    }

    /// The same column, with every NaN missing; other kinds hold none.
    #[must_use]
    pub fn with_nan_missing(self) -> Self {
        let nan = |at: usize| match &self.items {
            Items::Floats(items) => items.get(at).is_some_and(|item| item.is_nan()),
            Items::Doubles(items) => items.get(at).is_some_and(|item| item.is_nan()),
            _ => false,
        };
        if !(0..self.rows()).any(nan) {
            return self;
        }
        let missing = (0..self.rows()).map(|at| nan(at) || self.missing.get(at) == Some(&true)).collect();
        self.with_missing(missing)
    }
}

impl Column for Values {
    fn kind(&self) -> CellKind {
        match self.items {
            Items::Floats(_) | Items::Doubles(_) => CellKind::Float,
            Items::Ints(_) => CellKind::Int,
            Items::Bytes(_) => CellKind::Byte,
            Items::Text(_) => CellKind::Text,
        }
    }

    fn rows(&self) -> usize {
        match &self.items {
            Items::Floats(items) => items.len(),
            Items::Doubles(items) => items.len(),
            Items::Ints(items) => items.len(),
            Items::Bytes(items) => items.len(),
            Items::Text(items) => items.len(),
        }
    }

    fn text_bytes(&self, row: usize) -> usize {
        match &self.items {
            Items::Text(items) => items.get(row).map_or(0, String::len),
            _ => 0,
        }
    }

    fn read(&self, rows: Range<usize>, out: &mut Part) -> Result<(), BadItem> {
        match (&self.items, out.cells()) {
            (Items::Floats(items), Cells::Floats(cells)) => {
                cells.extend(some(items, &rows).iter().map(|item| single(f64::from(*item))));
            }
            (Items::Doubles(items), Cells::Floats(cells)) => cells.extend(some(items, &rows).iter().map(|item| single(*item))),
            (Items::Ints(items), Cells::Ints(cells)) => cells.extend_from_slice(some(items, &rows)),
            (Items::Bytes(items), Cells::Bytes(cells)) => cells.extend_from_slice(some(items, &rows)),
            (Items::Text(items), Cells::Text(text)) => some(items, &rows).iter().for_each(|item| text.push(item.as_bytes())),
            // Not the kind that was declared, which the batch finds.
            _ => {}
        }
        let missing = some(&self.missing, &rows).iter().zip(0..);
        missing.filter(|(missing, _)| **missing).for_each(|(_, at)| out.miss(at));
        Ok(())
    }
}

fn some<'a, T>(items: &'a [T], rows: &Range<usize>) -> &'a [T] {
    items.get(rows.clone()).unwrap_or_default()
}

impl From<Items> for Values {
    fn from(items: Items) -> Self {
        Self { items, missing: Arc::new([]) }
    }
}

/// Makes [`Values`] of vectors, and of vectors of options, of types that become an item by a function.
macro_rules! from_vectors {
    ($($from:ty => $items:ident, $item:expr;)*) => {$(
        impl From<Vec<$from>> for Values {
            fn from(values: Vec<$from>) -> Self {
                Items::$items(values.into_iter().map($item).collect()).into()
            }
        }

        impl From<Vec<Option<$from>>> for Values {
            fn from(values: Vec<Option<$from>>) -> Self {
                let missing = values.iter().map(Option::is_none).collect();
                let values: Vec<$from> = values.into_iter().map(Option::unwrap_or_default).collect();
                Self::from(values).with_missing(missing)
            }
        }
    )*};
}

from_vectors! {
    f32 => Floats, |item| item;
    f64 => Doubles, |item| item;
    i64 => Ints, |item| item;
    i32 => Ints, i64::from;
    u32 => Ints, i64::from;
    u8 => Bytes, |item| item;
    bool => Ints, i64::from;
    String => Text, |item| item;
    &str => Text, str::to_owned;
}
