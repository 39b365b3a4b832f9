//! The text of a cell.

use super::CellError;
use crate::source::Cell;

/// The longest decimal form is that of small floats, such as -0.0000000000000000000000000000000000000117549435: 49 bytes.
const NUMBER_BYTES: usize = 64;

/// A cell's text: as it stands in a table, or the decimal form of a binary number.
pub(super) struct Text<'a> {
    bytes: &'a [u8],
    buffer: [u8; NUMBER_BYTES],
    len: usize,
}

impl<'a> Text<'a> {
    /// The text of a cell.
    pub(super) fn of(cell: Cell<'a>) -> Text<'a> {
        let mut text = Text { bytes: &[], buffer: [0; NUMBER_BYTES], len: 0 };
        let number = match cell {
            Cell::Text(bytes) => {
                text.bytes = bytes.trim_ascii();
                return text;
            }
            Cell::Byte(b) => i64::from(b).to_string(),
            Cell::Int(i) => i.to_string(),
            Cell::Float(f) => f.to_string(),
        };
        text.len = number.len().min(text.buffer.len());
        text.buffer.iter_mut().zip(number.bytes()).for_each(|(to, from)| *to = from);
        text
    }

    /// Its bytes.
    pub(super) fn get(&self) -> &[u8] {
        if self.len > 0 { self.buffer.get(..self.len).unwrap_or_default() } else { self.bytes }
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
