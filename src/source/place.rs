//! Where a row stands in its file, for messages.

use std::fmt;
use std::sync::Arc;

/// The place of one row: `visits.csv: line 17` or `x.npz: row 5`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The file, as the user named it.
    pub file: Arc<str>,
    /// The line on which the record starts, or the number of the row; both count from 1.
    pub line: u64,
    /// Which of the two `line` is.
    pub kind: PlaceKind,
}

/// What the number of a [`Place`] counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum PlaceKind {
    /// Lines of a text file, the header's included.
    #[default]
    Line,
    /// Rows of an array.
    Row,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let unit = match self.kind {
            PlaceKind::Line => "line",
            PlaceKind::Row => "row",
        };
        write!(f, "{}: {unit} {}", self.file, self.line)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_reads_as_file_and_number() {
        let mut place = Place { file: "visits.csv".into(), line: 17, kind: PlaceKind::Line };
        assert_eq!(place.to_string(), "visits.csv: line 17");
        place.kind = PlaceKind::Row;
        assert_eq!(place.to_string(), "visits.csv: row 17");
    }
}
