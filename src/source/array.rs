//! One array of an NPZ container, read some rows at a time.

use std::io::{Read, Seek, SeekFrom};

use super::batch::{CellKind, Cells, Shape, single};
use super::error::SourceError;
use super::file::SourceFile;
use super::member::{Entry, Member};
use super::npy::{ItemKind, Items, NPY_PREFIX_BYTES, NpyError, NpyHeader};

/// Bytes read at a time where an array is read only to check it.
const CHECK_BYTES: usize = 1 << 16;

/// An array whose first index counts rows and whose other indices, in C order, count columns.
#[derive(Debug)]
pub(crate) struct Array {
    member: Member,
    items: Items,
    rows: u64,
    width: usize,
    /// The file and the offset of the first item, if the array lies in columns.
    columns: Option<(SourceFile, u64)>,
    raw: Vec<u8>,
    column: Vec<u8>,
}

impl Array {
    /// Reads the header of the member `entry` of `file` and checks it against the member's size.
    pub(crate) fn new(file: &SourceFile, entry: Entry) -> Result<Self, SourceError> {
        let array = entry.array.clone();
        let npy = |cause: NpyError| SourceError::Npy { file: file.name().clone(), array: array.clone(), cause };
        let (start, deflated) = (entry.start, entry.deflated);
        let mut member = Member::new(file.reopen()?, entry)?;
        // The shortest array is longer than the prefix, so nothing is lost by asking for all of it.
        let mut raw = vec![0; NPY_PREFIX_BYTES];
        if member.left() < NPY_PREFIX_BYTES as u64 {
            return Err(npy(NpyError::Short { expected: NPY_PREFIX_BYTES, got: member.left() as usize }));
        }
        member.fill(&mut raw)?;
        let length = NpyHeader::length(&raw).map_err(npy)?;
        if member.left() < (length - NPY_PREFIX_BYTES) as u64 {
            let got = NPY_PREFIX_BYTES + member.left() as usize;
            return Err(npy(NpyError::Short { expected: length, got }));
        }
        raw.resize(length, 0);
        member.fill(raw.get_mut(NPY_PREFIX_BYTES..).unwrap_or_default())?;
        let header = NpyHeader::parse(&raw).map_err(npy)?;
        let data = header.data_bytes();
        if data != Some(member.left()) {
            let expected = data.map_or_else(|| "more than 2^64".to_owned(), |bytes| bytes.to_string());
            return Err(SourceError::MemberSize { file: file.name().clone(), array, expected, got: member.left() });
        }
        let shape_error = || SourceError::Shape {
            file: file.name().clone(),
            array: array.clone(),
            expected: "rows first, then at least one column".to_owned(),
            got: show_shape(&header.shape),
        };
        let (&rows, others) = header.shape.split_first().ok_or_else(shape_error)?;
        if rows == 0 {
            return Err(SourceError::NoRows { file: file.name().clone() });
        }
        // Each product is bounded by that of all dimensions, which has just been found to fit, unless a later one is 0.
        let width = others.iter().try_fold(1, |width: u64, &length| width.checked_mul(length));
        let width = width.and_then(|width| usize::try_from(width).ok()).filter(|&width| width > 0);
        let width = width.ok_or_else(shape_error)?;
        // One column, or one row, lies the same in both orders.
        let in_columns = header.fortran_order && width > 1 && rows > 1;
        if in_columns && others.len() > 1 {
            return Err(SourceError::Shape {
                file: file.name().clone(),
                array,
                expected: "two dimensions where the array is in Fortran order (use numpy.ascontiguousarray)".to_owned(),
                got: show_shape(&header.shape),
            });
        }
        if in_columns && deflated {
            return Err(SourceError::CompressedColumns { file: file.name().clone(), array });
        }
        let columns = if in_columns { Some((file.reopen()?, start + length as u64)) } else { None };
        let mut array = Self { member, items: header.items, rows, width, columns, raw, column: Vec::new() };
        if array.columns.is_some() {
            array.check()?;
        }
        Ok(array)
    }

    /// Rows of the array.
    pub(crate) fn rows(&self) -> u64 {
        self.rows
    }

    /// Columns of the array.
    pub(crate) fn width(&self) -> usize {
        self.width
    }

    /// The array's name.
    pub(crate) fn name(&self) -> &str {
        &self.member.entry().array
    }

    /// The type of the items.
    pub(crate) fn items(&self) -> Items {
        self.items
    }

    /// The cells that a batch holds of it.
    pub(crate) fn shape(&self) -> Shape {
        let kind = match self.items.kind {
            ItemKind::Unsigned if self.items.bytes == 1 => CellKind::Byte,
            ItemKind::Bool | ItemKind::Int | ItemKind::Unsigned => CellKind::Int,
            ItemKind::Float => CellKind::Float,
            ItemKind::Bytes | ItemKind::Unicode => CellKind::Text,
        };
        Shape { kind, width: self.width }
    }

    /// Bytes of a row, in the file or in a batch, whichever is more.
    pub(crate) fn row_bytes(&self) -> usize {
        self.width.saturating_mul(self.items.bytes.max(8))
    }

    /// Reads all of the array, so that its checksum is known to be right before columns are picked out of it.
    fn check(&mut self) -> Result<(), SourceError> {
        self.raw.resize(CHECK_BYTES, 0);
        while self.member.left() > 0 {
            let count = self.member.left().min(CHECK_BYTES as u64) as usize;
            self.member.fill(self.raw.get_mut(..count).unwrap_or_default())?;
        }
        Ok(())
    }

    /// Reads `count` rows after the first `done` into `cells`.
    pub(crate) fn read(&mut self, done: u64, count: usize, cells: &mut Cells) -> Result<(), SourceError> {
        self.raw.resize(count * self.width * self.items.bytes, 0);
        if self.columns.is_some() {
            self.gather(done, count)?;
        } else {
            self.member.fill(&mut self.raw)?;
        }
        if self.items.big_endian {
            self.swap();
        }
        self.convert(done, cells)
    }

    /// Gathers rows out of the columns of a stored array.
    fn gather(&mut self, done: u64, count: usize) -> Result<(), SourceError> {
        let item = self.items.bytes;
        let row = self.width * item;
        let Some((file, start)) = &mut self.columns else {
            return Ok(());
        };
        self.column.resize(count * item, 0);
        for index in 0..self.width {
            // The whole array lies in the file, so its offsets fit.
            let byte = *start + (index as u64 * self.rows + done) * item as u64;
            file.seek(SeekFrom::Start(byte))
                .and_then(|_| file.read_exact(&mut self.column))
                .map_err(|cause| SourceError::Read { file: self.member.name().clone(), byte, cause })?;
            let to = self.raw.chunks_exact_mut(row).filter_map(|row| row.get_mut(index * item..(index + 1) * item));
            for (to, from) in to.zip(self.column.chunks_exact(item)) {
                to.copy_from_slice(from);
            }
        }
        Ok(())
    }

    /// Turns big-endian items, or their characters, into little-endian ones.
    fn swap(&mut self) {
        let unit = match self.items.kind {
            ItemKind::Bytes => 1,
            ItemKind::Unicode => 4,
            _ => self.items.bytes,
        };
        self.raw.chunks_exact_mut(unit).for_each(<[u8]>::reverse);
    }

    fn convert(&self, done: u64, cells: &mut Cells) -> Result<(), SourceError> {
        let raw = self.raw.as_slice();
        match (cells, self.items.kind, self.items.bytes) {
            (Cells::Bytes(cells), ..) => cells.extend_from_slice(raw),
            (Cells::Floats(cells), _, 4) => cells.extend(numbers(raw).map(|bytes| single(f32::from_le_bytes(bytes).into()))),
            (Cells::Floats(cells), ..) => cells.extend(numbers(raw).map(|bytes| single(f64::from_le_bytes(bytes)))),
            (Cells::Ints(cells), ItemKind::Bool, _) => cells.extend(raw.iter().map(|&byte| i64::from(byte != 0))),
            (Cells::Ints(cells), ItemKind::Int, 1) => {
                cells.extend(numbers(raw).map(|bytes| i64::from(i8::from_le_bytes(bytes))));
            }
            (Cells::Ints(cells), ItemKind::Int, 2) => {
                cells.extend(numbers(raw).map(|bytes| i64::from(i16::from_le_bytes(bytes))));
            }
            (Cells::Ints(cells), ItemKind::Int, 4) => {
                cells.extend(numbers(raw).map(|bytes| i64::from(i32::from_le_bytes(bytes))));
            }
            (Cells::Ints(cells), ItemKind::Int, _) => cells.extend(numbers(raw).map(i64::from_le_bytes)),
            (Cells::Ints(cells), _, 2) => cells.extend(numbers(raw).map(|bytes| i64::from(u16::from_le_bytes(bytes)))),
            (Cells::Ints(cells), _, 4) => cells.extend(numbers(raw).map(|bytes| i64::from(u32::from_le_bytes(bytes)))),
            (Cells::Ints(cells), ..) => {
                for (index, bytes) in numbers(raw).enumerate() {
                    let value = u64::from_le_bytes(bytes);
                    cells.push(i64::try_from(value).map_err(|_| {
                        self.bad(done + (index / self.width) as u64, value.to_string(), "use numbers below 2^63")
                    })?);
                }
            }
            (Cells::Text(text), ItemKind::Unicode, size) => {
                let mut utf8 = String::new();
                for (index, item) in raw.chunks_exact(size).enumerate() {
                    utf8.clear();
                    let codes = numbers(trimmed(item, 4)).map(u32::from_le_bytes);
                    for code in codes {
                        utf8.push(char::from_u32(code).ok_or_else(|| {
                            let found = format!("the code {code:#x}, which is no character");
                            self.bad(done + index as u64, found, "write the strings again")
                        })?);
                    }
                    text.push_row(std::iter::once(utf8.as_bytes()));
                }
            }
            (Cells::Missing, ..) => {}
            (Cells::Text(text), _, size) => {
                raw.chunks_exact(size).for_each(|item| text.push_row(std::iter::once(trimmed(item, 1))));
            }
        }
        Ok(())
    }

    fn bad(&self, rows_before: u64, found: String, advice: &'static str) -> SourceError {
        let (file, array) = (self.member.name().clone(), self.name().to_owned());
        SourceError::Item { file, row: rows_before + 1, array, found, advice }
    }
}

/// The items of a row-major buffer, `N` bytes each.
fn numbers<const N: usize>(raw: &[u8]) -> impl Iterator<Item = [u8; N]> {
    raw.as_chunks::<N>().0.iter().copied()
}

/// An item without the zero characters (of `unit` bytes) that pad it.
fn trimmed(item: &[u8], unit: usize) -> &[u8] {
    let used = item.chunks_exact(unit).rposition(|unit| unit.iter().any(|&byte| byte != 0));
    item.get(..used.map_or(0, |last| (last + 1) * unit)).unwrap_or_default()
}

/// A shape as NumPy prints it.
pub(crate) fn show_shape(shape: &[u64]) -> String {
    match shape {
        [one] => format!("({one},)"),
        shape => format!("({})", shape.iter().map(u64::to_string).collect::<Vec<_>>().join(", ")),
    }
}
