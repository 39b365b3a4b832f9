//! The fields of a columnar table. One that holds vectors is as many columns as these have numbers.

use std::sync::Arc;

use super::super::Block;
use super::super::error::SourceError;
use super::super::limits::{BLOCK_MAX, COLUMNS_MAX};
use super::ROWS_AT_ONCE;

/// Rows of lists that are looked at before they are taken for vectors of one length.
pub(super) const LISTS_SEEN: usize = 256;
/// Cells that are decoded at once, above one row.
const CELLS_AT_ONCE: usize = 1 << 22;

/// What a field is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Shape {
    /// One column.
    One,
    /// So many columns.
    Vector(usize),
    /// As many columns as the first list has floats, of which others have more or fewer: what the items are called. Who asks for them gets
    /// an error at the first such row.
    Uneven(usize, String),
    /// A column that is not read: what its items are called.
    Unread(String),
}

/// A field.
#[derive(Debug, Clone)]
pub(super) struct Field {
    pub(super) name: String,
    pub(super) shape: Shape,
}

impl Field {
    /// How many columns it is.
    pub(super) fn width(&self) -> usize {
        match self.shape {
            Shape::Vector(width) | Shape::Uneven(width, _) => width,
            Shape::One | Shape::Unread(_) => 1,
        }
    }
}

/// All fields, in order.
#[derive(Debug, Clone)]
pub(super) struct Fields(Vec<Field>);

impl Fields {
    /// Fields of a table that is called `file`.
    pub(super) fn new(file: &Arc<str>, fields: Vec<Field>) -> Result<Fields, SourceError> {
        let got = fields.iter().map(|field| field.width() as u64).sum();
        if got > COLUMNS_MAX as u64 {
            return Err(SourceError::TooWide { file: file.clone(), place: "the table".into(), got });
        }
        Ok(Fields(fields))
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Field> {
        self.0.iter()
    }

    /// The first column of each field.
    fn firsts(&self) -> impl Iterator<Item = (usize, &Field)> {
        self.0.iter().scan(0, |next, field| {
            let first = *next;
            *next += field.width();
            Some((first, field))
        })
    }

    /// Which of the columns are vectors.
    pub(super) fn blocks(&self) -> Vec<Block> {
        let block = |(first, field): (usize, &Field)| match field.shape {
            Shape::Vector(width) | Shape::Uneven(width, _) => Some(Block { name: field.name.clone(), first, width }),
            Shape::One | Shape::Unread(_) => None,
        };
        self.firsts().filter_map(block).collect()
    }

    /// The names of the columns.
    pub(super) fn names(&self) -> Vec<String> {
        let names = |field: &Field| -> Vec<String> {
            match field.shape {
                Shape::Vector(width) | Shape::Uneven(width, _) => (0..width).map(|at| format!("{}{at}", field.name)).collect(),
                Shape::One | Shape::Unread(_) => vec![field.name.clone()],
            }
        };
        self.0.iter().flat_map(names).collect()
    }

    /// Of each field, whether one of its columns is looked at.
    pub(super) fn wanted(&self, columns: &[bool]) -> Vec<bool> {
        let any = |(first, field): (usize, &Field)| columns.get(first..first + field.width()).unwrap_or_default().contains(&true);
        self.firsts().map(any).collect()
    }

    /// The columns whose items are not read, and what those are.
    pub(super) fn unread(&self) -> Vec<(usize, String)> {
        let found = |(first, field): (usize, &Field)| -> Vec<(usize, String)> {
            match &field.shape {
                Shape::Unread(found) | Shape::Uneven(_, found) => {
                    (first..first + field.width()).map(|column| (column, found.clone())).collect()
                }
                Shape::One | Shape::Vector(_) => Vec::new(),
            }
        };
        self.firsts().flat_map(found).collect()
    }

    /// How many rows are decoded at once: fewer where they are wide.
    pub(super) fn rows_at_once(&self) -> usize {
        let cells: usize = self.0.iter().map(Field::width).sum();
        (CELLS_AT_ONCE / cells.max(1)).clamp(1, ROWS_AT_ONCE)
    }
}

/// How long the lists of a column are, as far as they were looked at.
#[derive(Debug, Clone, Default)]
pub(super) struct Lengths {
    rows: usize,
    /// The first that is no null, and the first of another length: the row, from 1, and the length.
    first: Option<(usize, usize)>,
    other: Option<(usize, usize)>,
}

impl Lengths {
    /// Looks at the list of the next row; `None` is a null.
    pub(super) fn see(&mut self, list: Option<usize>) {
        self.rows += 1;
        let Some(length) = list else { return };
        match self.first {
            None => self.first = Some((self.rows, length)),
            Some((_, first)) if first != length && self.other.is_none() => self.other = Some((self.rows, length)),
            Some(_) => {}
        }
    }

    /// Whether enough rows were looked at to take the lists for what they seem.
    pub(super) fn are_known(&self) -> bool {
        self.other.is_some() || self.first.is_some() && self.rows >= LISTS_SEEN
    }

    /// Whether there was a list.
    pub(super) fn are_any(&self) -> bool {
        self.first.is_some()
    }

    /// What a column of such lists of floats is.
    pub(super) fn shape(&self) -> Shape {
        let Some((row, length)) = self.first else {
            return Shape::Unread("lists of floats, none of which says how long they are".to_owned());
        };
        match (vector(length), self.other) {
            (Shape::Vector(width), Some((other_row, other))) => {
                let found = format!("lists of floats of several lengths ({length} in row {row}, {other} in row {other_row})");
                Shape::Uneven(width, found)
            }
            (shape, _) => shape,
        }
    }
}

/// What a column of lists of so many floats is.
pub(super) fn vector(length: usize) -> Shape {
    match length {
        1..=BLOCK_MAX => Shape::Vector(length),
        _ => Shape::Unread(format!("lists of {length} floats, and vectors have 1 to {BLOCK_MAX}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lengths(lists: &[Option<usize>]) -> Lengths {
        let mut lengths = Lengths::default();
        lists.iter().for_each(|list| lengths.see(*list));
        lengths
    }

    #[test]
    fn lists_of_one_length_are_vectors_whatever_is_missing() {
        assert_eq!(lengths(&[None, Some(3), None, Some(3)]).shape(), Shape::Vector(3));
        for (lists, says) in [
            (&[][..], "none of which"),
            (&[None, None], "none of which"),
            (&[Some(0), Some(0)], "lists of 0 floats"),
            (&[Some(BLOCK_MAX + 1)], "65537 floats"),
        ] {
            let Shape::Unread(found) = lengths(lists).shape() else { panic!("{lists:?}") };
            assert!(found.contains(says), "{found}");
        }
        let uneven = lengths(&[None, Some(3), Some(3), Some(4), Some(5)]).shape();
        assert_eq!(uneven, Shape::Uneven(3, "lists of floats of several lengths (3 in row 2, 4 in row 4)".into()));
        assert!(!lengths(&[None; 500]).are_known() && !lengths(&[Some(2); 255]).are_known());
        assert!(lengths(&[Some(2); 256]).are_known() && lengths(&[Some(2), Some(1)]).are_known());
    }

    #[test]
    fn columns_follow_one_another() {
        let field = |name: &str, shape| Field { name: name.into(), shape };
        let fields = vec![
            field("a", Shape::One),
            field("v", Shape::Vector(2)),
            field("l", Shape::Unread("lists".into())),
            field("u", Shape::Uneven(2, "uneven".into())),
        ];
        let fields = Fields::new(&"t".into(), fields).unwrap();
        assert_eq!(fields.names(), ["a", "v0", "v1", "l", "u0", "u1"]);
        let block = |name: &str, first| Block { name: name.into(), first, width: 2 };
        assert_eq!(fields.blocks(), [block("v", 1), block("u", 4)]);
        let uneven = |at| (at, "uneven".to_owned());
        assert_eq!(fields.unread(), [(3, "lists".to_owned()), uneven(4), uneven(5)]);
        assert_eq!(fields.wanted(&[false, false, true, false, false, false]), [false, true, false, false]);
        assert_eq!(fields.rows_at_once(), ROWS_AT_ONCE);
        let wide = Fields::new(&"t".into(), vec![field("v", Shape::Vector(BLOCK_MAX))]).unwrap();
        assert_eq!(wide.rows_at_once(), 64);
        assert!(
            Fields::new(&"t".into(), vec![field("v", Shape::Vector(BLOCK_MAX)), field("w", Shape::Vector(BLOCK_MAX + 1))])
                .is_err()
        );
    }
}
