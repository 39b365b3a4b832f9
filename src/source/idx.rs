//! The header of an IDX file: two zero bytes, the item type, the count of dimensions, then each dimension as a
//! big-endian `u32` (LeCun, Cortes and Burges, "The MNIST database", section "File formats").
//!
//! | offset | bytes | content |
//! |---|---|---|
//! | 0 | 2 | zero |
//! | 2 | 1 | item type; 0x08 is an unsigned byte, the only one that is read |
//! | 3 | 1 | count of dimensions, 1 to 3 |
//! | 4 | 4 each | the dimensions; the first is the count of rows |

use super::limits::COLUMNS_MAX;

/// What an IDX header says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IdxHeader {
    /// Count of dimensions: 1 for labels, 2 for a matrix, 3 for images.
    pub dimensions: u8,
    /// Count of rows (labels or images).
    pub rows: u32,
    /// Bytes of a row: 1 for labels, otherwise the product of the other dimensions.
    pub row_bytes: usize,
    /// Bytes of the header; the first row follows.
    pub header_bytes: usize,
}

/// What is wrong with an IDX header.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[expect(missing_docs, reason = "the messages name the fields")]
pub enum IdxError {
    /// The file ends within the header.
    #[error("the IDX header is cut short: expected {expected} bytes, got {got}; fetch the file again")]
    Short { expected: usize, got: usize },
    /// The first two bytes are not zero.
    #[error("is not an IDX file: it starts with bytes {got:02x?}, expected two zeros")]
    Magic { got: [u8; 2] },
    /// Items of another type than unsigned bytes.
    #[error("IDX items of type 0x{got:02x} are not read, expected 0x08 (unsigned bytes); convert the file to NPZ")]
    ItemType { got: u8 },
    /// No dimension, or too many.
    #[error("IDX files of {got} dimensions are not read, expected 1 to 3; reshape the data")]
    Dimensions { got: u8 },
    /// Rows of no bytes or of too many.
    #[error("IDX rows have {got} bytes, expected 1 to {COLUMNS_MAX}; the header is damaged, or the images must be made smaller")]
    RowBytes { got: u64 },
}

/// The most bytes a header can have.
pub const IDX_HEADER_BYTES_MAX: usize = 16;

impl IdxHeader {
    /// Reads the header at the start of `bytes`, of which [`IDX_HEADER_BYTES_MAX`] are always enough.
    ///
    /// # Errors
    ///
    /// Any [`IdxError`].
    pub fn parse(bytes: &[u8]) -> Result<Self, IdxError> {
        let short = |expected| IdxError::Short { expected, got: bytes.len() };
        let &[zero0, zero1, item_type, dimensions] = bytes.first_chunk::<4>().ok_or_else(|| short(4))?;
        if [zero0, zero1] != [0, 0] {
            return Err(IdxError::Magic { got: [zero0, zero1] });
        }
        if item_type != 0x08 {
            return Err(IdxError::ItemType { got: item_type });
        }
        if !(1..=3).contains(&dimensions) {
            return Err(IdxError::Dimensions { got: dimensions });
        }
        let header_bytes = 4 + 4 * usize::from(dimensions);
        let sizes = bytes.get(4..header_bytes).ok_or_else(|| short(header_bytes))?;
        let mut sizes = sizes.chunks_exact(4).map(|size| match *size {
            [a, b, c, d] => u32::from_be_bytes([a, b, c, d]),
            _ => 0,
        });
        let rows = sizes.next().unwrap_or(0);
        // At most two factors below 2^32, so the product fits.
        let row_bytes: u64 = sizes.map(u64::from).product();
        match usize::try_from(row_bytes) {
            Ok(bytes @ 1..=COLUMNS_MAX) => Ok(Self { dimensions, rows, row_bytes: bytes, header_bytes }),
            _ => Err(IdxError::RowBytes { got: row_bytes }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn images_and_labels_parse() {
        let images = [0, 0, 8, 3, 0, 0, 0xea, 0x60, 0, 0, 0, 28, 0, 0, 0, 28, 99];
        let header = IdxHeader { dimensions: 3, rows: 60_000, row_bytes: 784, header_bytes: 16 };
        assert_eq!(IdxHeader::parse(&images), Ok(header));
        let labels = [0, 0, 8, 1, 0, 0, 0, 7];
        let header = IdxHeader { dimensions: 1, rows: 7, row_bytes: 1, header_bytes: 8 };
        assert_eq!(IdxHeader::parse(&labels), Ok(header));
    }

    #[test]
    fn each_fault_has_its_error() {
        assert_eq!(IdxHeader::parse(&[0, 0, 8]), Err(IdxError::Short { expected: 4, got: 3 }));
        assert_eq!(IdxHeader::parse(&[0, 0, 8, 2, 0]), Err(IdxError::Short { expected: 12, got: 5 }));
        assert_eq!(IdxHeader::parse(&[0, 1, 8, 1]), Err(IdxError::Magic { got: [0, 1] }));
        assert_eq!(IdxHeader::parse(&[0, 0, 13, 1]), Err(IdxError::ItemType { got: 13 }));
        assert_eq!(IdxHeader::parse(&[0, 0, 8, 0]), Err(IdxError::Dimensions { got: 0 }));
        assert_eq!(IdxHeader::parse(&[0, 0, 8, 4]), Err(IdxError::Dimensions { got: 4 }));
        let huge = [0, 0, 8, 3, 0, 0, 0, 1, 255, 255, 255, 255, 255, 255, 255, 255];
        assert_eq!(IdxHeader::parse(&huge), Err(IdxError::RowBytes { got: u64::from(u32::MAX).pow(2) }));
        let none = [0, 0, 8, 2, 0, 0, 0, 1, 0, 0, 0, 0];
        assert_eq!(IdxHeader::parse(&none), Err(IdxError::RowBytes { got: 0 }));
    }
}
