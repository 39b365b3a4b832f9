//! The text of a cell.

use super::CellError;
use crate::source::Cell;

/// The longest decimal form is that of small floats, such as -0.0000000000000000000000000000000000000117549435: 49 bytes.
const NUMBER_BYTES: usize = 64;

/// A cell's text.
pub(super) enum Text<'a> {
    /// As it stands in a table.
    Given(&'a [u8]),
    /// The decimal form of a binary number, and its length.
    Spelled([u8; NUMBER_BYTES], usize),
}

impl<'a> Text<'a> {
    /// The text of a cell.
    #[inline]
    pub(super) fn of(cell: Cell<'a>) -> Text<'a> {
        let number = match cell {
            Cell::Text(bytes) => return Text::Given(bytes.trim_ascii()),
            Cell::Missing => return Text::Given(&[]),
            Cell::Byte(b) => i64::from(b).to_string(),
            Cell::Int(i) => i.to_string(),
            Cell::Float(f) => f.to_string(),
        };
        let mut buffer = [0; NUMBER_BYTES];
        buffer.iter_mut().zip(number.bytes()).for_each(|(to, from)| *to = from);
        Text::Spelled(buffer, number.len())
    }

    /// Its bytes.
    #[inline]
    pub(super) fn get(&self) -> &[u8] {
        match self {
            Text::Given(bytes) => bytes,
            Text::Spelled(buffer, len) => buffer.get(..*len).unwrap_or(buffer),
        }
    }

    /// As much of it as fits in a message.
    pub(super) fn shown(&self) -> String {
        let text = String::from_utf8_lossy(self.get());
        match text.char_indices().nth(60) {
            Some((end, _)) => format!("{}...", text.get(..end).unwrap_or_default()),
            None => text.into_owned(),
        }
    }
}

/// The error of a cell in this column.
pub(super) fn wrong<T>(column: &str, problem: String) -> Result<T, CellError> {
    Err(CellError { column: column.into(), problem })
}
