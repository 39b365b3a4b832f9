//! Parquet files: row groups in order, and of each the columns that are asked for, a few thousand rows at a time.

use std::ops::Range;
use std::sync::Arc;

use parquet::basic::{ConvertedType, LogicalType, TimeUnit, Type};
use parquet::column::reader::{ColumnReader, ColumnReaderImpl, get_column_reader};
use parquet::data_type::{ByteArray, DataType};
use parquet::errors::ParquetError;
use parquet::file::metadata::{ColumnChunkMetaData, ParquetMetaData, ParquetMetaDataReader, RowGroupMetaData};
use parquet::schema::types::ColumnDescriptor;

use super::super::batch::{CellKind, Cells, Part};
use super::super::error::SourceError;
use super::super::file::SourceFile;
use super::super::memory::{BadItem, Chunk, Chunks, Column, Pieces};
use super::super::values::Values;
use super::guard::{guarded, unsound};
use super::pages::Pages;
use super::stored::Stored;
use super::unpack::Packing;
use super::{FOOTER_BYTES_MAX, ROWS_AT_ONCE, Unread, footer, text};

const FORM: &str = "Parquet";
/// What to do about a column that is not read.
const ADVICE: &str = "write it as numbers, text or dates, or declare it \"ignore\" in sisa.toml";

/// Opens a Parquet file.
pub(in super::super) fn open(file: &SourceFile) -> Result<Chunks, SourceError> {
    let name = file.name().clone();
    let stored = Stored::new(file)?;
    let (table, names, rows) = guarded(&name, FORM, || Table::new(&name, stored))?;
    Chunks::of(&name, names, Box::new(table), rows)
}

/// What an item of a column is.
#[derive(Debug, Clone, Copy)]
enum Kind {
    Bool,
    Byte,
    Int,
    /// Unsigned, of 32 and of 64 bits; there is no cell for all of the latter, so they are text.
    Unsigned,
    Long,
    Day,
    /// Parts of a second, and whether in UTC.
    Moment(i64, bool),
    Time(i64),
    Decimal(usize),
    Float,
    Text,
    Uuid,
    /// A moment of Spark and Impala.
    Int96,
}

/// A column of the table: where it lies and what it holds, or what it is that is not read.
type Leaf = Result<(usize, Kind), String>;

/// A file that is read.
struct Table {
    name: Arc<str>,
    stored: Stored,
    metadata: ParquetMetaData,
    names: Vec<String>,
    leaves: Vec<Leaf>,
    /// The row group that comes next, and the rows that are left of the one before.
    group: usize,
    left: usize,
    readers: Vec<Option<ColumnReader>>,
}

impl Table {
    /// Reads the footer; returns names and rows too.
    fn new(name: &Arc<str>, stored: Stored) -> Result<(Table, Vec<String>, u64), SourceError> {
        let failed = |detail: &str| unsound(name, FORM, detail);
        let read = |start, bytes| stored.part(start, bytes).map_err(|cause| failed(&cause.to_string()));
        let tail = stored.bytes().checked_sub(8).ok_or_else(|| failed("it is cut short"))?;
        let end = read(tail, 8)?;
        let (Some(length), true) = (end.first_chunk(), end.ends_with(b"PAR1")) else {
            return Err(failed("it has no footer, as if it were cut short, or is encrypted"));
        };
        let length = u64::from(u32::from_le_bytes(*length));
        let start = tail.checked_sub(length).filter(|_| length <= FOOTER_BYTES_MAX);
        let bytes = read(start.ok_or_else(|| failed("its footer is larger than it can be"))?, length)?;
        if !footer::is_sound(&bytes) {
            return Err(failed("its schema is damaged, or deeper than is read"));
        }
        let metadata = ParquetMetaDataReader::decode_metadata(&bytes).map_err(|cause| unsound(name, FORM, cause))?;
        let schema = metadata.file_metadata().schema_descr();
        let fields = schema.root_schema().get_fields();
        let names: Vec<String> = fields.iter().map(|field| field.name().to_owned()).collect();
        let mut leaves: Vec<Leaf> = fields.iter().map(|_| Err("values within values".to_owned())).collect();
        for (at, column) in schema.columns().iter().enumerate() {
            let root = schema.get_column_root_idx(at);
            let flat = fields.get(root).is_some_and(|field| field.is_primitive()) && column.max_rep_level() == 0;
            if let (true, Some(leaf)) = (flat, leaves.get_mut(root)) {
                *leaf = kind(column).map(|kind| (at, kind));
            }
        }
        let rows =
            total_rows(&metadata, schema.num_columns()).ok_or_else(|| failed("its row groups are not those of its schema"))?;
        let columns = names.clone();
        let table = Table { name: name.clone(), stored, metadata, names, leaves, group: 0, left: 0, readers: Vec::new() };
        Ok((table, columns, rows))
    }

    /// Begins the next row group; false where there is none.
    fn begin(&mut self, wanted: &[bool]) -> Result<bool, SourceError> {
        if self.group >= self.metadata.num_row_groups() {
            return Ok(false);
        }
        let group = self.metadata.row_group(self.group);
        let rows = usize::try_from(group.num_rows()).unwrap_or(0);
        let readers = self.leaves.iter().zip(&self.names).zip(wanted);
        let readers = readers.map(|((leaf, name), wanted)| wanted.then(|| self.reader(leaf, name, group, rows)).transpose());
        self.readers = readers.collect::<Result<_, _>>()?;
        (self.left, self.group) = (rows, self.group + 1);
        Ok(true)
    }

    fn reader(&self, leaf: &Leaf, column: &str, group: &RowGroupMetaData, rows: usize) -> Result<ColumnReader, SourceError> {
        let unread =
            |found: String, advice| SourceError::ColumnType { file: self.name.clone(), column: column.to_owned(), found, advice };
        let at = leaf.as_ref().map_err(|found| unread(found.clone(), ADVICE))?.0;
        let meta = group.column(at);
        let packing = Packing::of(meta.compression()).map_err(|found| {
            unread(format!("pages packed by {found}"), "write the file packed by Snappy, Zstandard, gzip or LZ4, or not packed")
        })?;
        let failed = |cause: ParquetError| unsound(&self.name, FORM, cause);
        let pages = Pages::new(&self.stored, meta, packing, rows).map_err(failed)?;
        Ok(get_column_reader(meta.column_descr_ptr(), Box::new(pages)))
    }

    fn read(&mut self, wanted: &[bool]) -> Result<Option<Chunk>, SourceError> {
        while self.left == 0 {
            if !self.begin(wanted)? {
                self.stored.verify_unchanged()?;
                return Ok(None);
            }
        }
        let rows = self.left.min(ROWS_AT_ONCE);
        let mut columns: Vec<Arc<dyn Column>> = Vec::new();
        for (leaf, reader) in self.leaves.iter().zip(&mut self.readers) {
            let (Ok((_, kind)), Some(reader)) = (leaf, reader) else {
                columns.push(Arc::new(Unread { rows, width: 1 }));
                continue;
            };
            let column = items(*kind, reader, rows).map_err(|cause| unsound(&self.name, FORM, cause))?;
            if column.rows() != rows {
                return Err(unsound(&self.name, FORM, "a column holds fewer values than the footer says"));
            }
            columns.push(column);
        }
        self.left -= rows;
        Ok(Some(Chunk::new(&self.name, columns)?))
    }
}

impl Pieces for Table {
    fn next(&mut self, wanted: &[bool]) -> Result<Option<Chunk>, SourceError> {
        let name = self.name.clone();
        guarded(&name, FORM, || self.read(wanted))
    }

    fn unread(&self) -> Vec<(usize, String)> {
        let found = |(at, leaf): (usize, &Leaf)| Some((at, leaf.as_ref().err()?.clone()));
        self.leaves.iter().enumerate().filter_map(found).collect()
    }

    fn file_bytes(&self) -> Option<u64> {
        Some(self.stored.bytes())
    }
}

/// The rows of all groups, if every column of each has as many values as there are rows, in this file.
fn total_rows(metadata: &ParquetMetaData, columns: usize) -> Option<u64> {
    let mut total = 0_i64;
    for group in metadata.row_groups() {
        let rows = group.num_rows();
        let flat = |column: &&ColumnChunkMetaData| column.column_descr().max_rep_level() == 0;
        let here = |column: &ColumnChunkMetaData| column.file_path().is_none() && column.num_values() == rows;
        if rows < 0 || group.num_columns() != columns || !group.columns().iter().filter(flat).all(here) {
            return None;
        }
        total = total.checked_add(rows)?;
    }
    (total == metadata.file_metadata().num_rows()).then_some(total as u64)
}

/// What the items of a column are, or what they are called if they are not read.
fn kind(column: &ColumnDescriptor) -> Result<Kind, String> {
    let parts = |unit: &TimeUnit| match unit {
        TimeUnit::MILLIS => 1_000,
        TimeUnit::MICROS => 1_000_000,
        TimeUnit::NANOS => 1_000_000_000,
    };
    let physical = column.physical_type();
    let scale = || usize::try_from(column.type_scale()).unwrap_or(0);
    let declared = match (column.logical_type_ref(), column.converted_type()) {
        (Some(LogicalType::Date), _) | (None, ConvertedType::DATE) => Some(Kind::Day),
        (Some(LogicalType::Timestamp(stamp)), _) => Some(Kind::Moment(parts(&stamp.unit), stamp.is_adjusted_to_u_t_c)),
        (None, ConvertedType::TIMESTAMP_MILLIS) => Some(Kind::Moment(1_000, true)),
        (None, ConvertedType::TIMESTAMP_MICROS) => Some(Kind::Moment(1_000_000, true)),
        (Some(LogicalType::Time(time)), _) => Some(Kind::Time(parts(&time.unit))),
        (None, ConvertedType::TIME_MILLIS) => Some(Kind::Time(1_000)),
        (None, ConvertedType::TIME_MICROS) => Some(Kind::Time(1_000_000)),
        (Some(LogicalType::Decimal(_)), _) | (None, ConvertedType::DECIMAL) => Some(Kind::Decimal(scale())),
        (Some(LogicalType::Uuid), _) => Some(Kind::Uuid),
        (Some(LogicalType::Integer(int)), _) if !int.is_signed => {
            Some(if int.bit_width == 8 { Kind::Byte } else { Kind::Unsigned })
        }
        (None, ConvertedType::UINT_8) => Some(Kind::Byte),
        (None, ConvertedType::UINT_16 | ConvertedType::UINT_32 | ConvertedType::UINT_64) => Some(Kind::Unsigned),
        _ => None,
    };
    let plain = match physical {
        Type::BOOLEAN => Kind::Bool,
        Type::INT32 => Kind::Int,
        Type::INT64 => Kind::Long,
        Type::INT96 => Kind::Int96,
        Type::FLOAT | Type::DOUBLE => Kind::Float,
        Type::BYTE_ARRAY => Kind::Text,
        Type::FIXED_LEN_BYTE_ARRAY if declared.is_some() => Kind::Text,
        Type::FIXED_LEN_BYTE_ARRAY => return Err(format!("items of {} bytes", column.type_length())),
    };
    Ok(declared.unwrap_or(plain))
}

/// The next `rows` items of a column; fewer at the end.
fn items(kind: Kind, reader: &mut ColumnReader, rows: usize) -> Result<Arc<dyn Column>, ParquetError> {
    use ColumnReader as R;
    let wrong = || ParquetError::General(format!("a column holds something else than {kind:?}"));
    let values = match (kind, reader) {
        (Kind::Bool, R::BoolColumnReader(reader)) => Values::from(take(reader, rows)?),
        (Kind::Byte, R::Int32ColumnReader(reader)) => Values::from(map(take(reader, rows)?, |int| int as u8)),
        (Kind::Int, R::Int32ColumnReader(reader)) => Values::from(take(reader, rows)?),
        (Kind::Unsigned, R::Int32ColumnReader(reader)) => Values::from(map(take(reader, rows)?, |int| int as u32)),
        (Kind::Unsigned, R::Int64ColumnReader(reader)) => Values::from(map(take(reader, rows)?, |int| (int as u64).to_string())),
        (Kind::Long, R::Int64ColumnReader(reader)) => Values::from(take(reader, rows)?),
        (Kind::Day, R::Int32ColumnReader(reader)) => Values::from(map(take(reader, rows)?, |days| text::day(days.into()))),
        (Kind::Moment(parts, utc), R::Int64ColumnReader(reader)) => {
            Values::from(map(take(reader, rows)?, |at| text::moment(at, parts, utc)))
        }
        (Kind::Time(parts), R::Int32ColumnReader(reader)) => {
            Values::from(map(take(reader, rows)?, |at| text::time(at.into(), parts)))
        }
        (Kind::Time(parts), R::Int64ColumnReader(reader)) => Values::from(map(take(reader, rows)?, |at| text::time(at, parts))),
        (Kind::Int96, R::Int96ColumnReader(reader)) => {
            Values::from(map(take(reader, rows)?, |at| text::moment(at.to_nanos(), 1_000_000_000, false)))
        }
        (Kind::Decimal(scale), R::Int32ColumnReader(reader)) => {
            Values::from(map(take(reader, rows)?, |number| text::decimal(number.into(), scale)))
        }
        (Kind::Decimal(scale), R::Int64ColumnReader(reader)) => {
            Values::from(map(take(reader, rows)?, |number| text::decimal(number.into(), scale)))
        }
        (Kind::Decimal(scale), R::ByteArrayColumnReader(reader)) => {
            decimals(map(take(reader, rows)?, |b| b.data().to_vec()), scale)?
        }
        (Kind::Decimal(scale), R::FixedLenByteArrayColumnReader(reader)) => {
            decimals(map(take(reader, rows)?, |b| b.data().to_vec()), scale)?
        }
        (Kind::Uuid, R::FixedLenByteArrayColumnReader(reader)) => {
            Values::from(map(take(reader, rows)?, |b| text::uuid(b.data())))
        }
        (Kind::Float, R::FloatColumnReader(reader)) => Values::from(take(reader, rows)?),
        (Kind::Float, R::DoubleColumnReader(reader)) => Values::from(take(reader, rows)?),
        (Kind::Text, R::ByteArrayColumnReader(reader)) => return Ok(Arc::new(Texts(take(reader, rows)?))),
        _ => return Err(wrong()),
    };
    Ok(Arc::new(values))
}

fn map<T, U>(items: Vec<Option<T>>, to: impl Fn(T) -> U) -> Vec<Option<U>> {
    items.into_iter().map(|item| item.map(&to)).collect()
}

fn decimals(items: Vec<Option<Vec<u8>>>, scale: usize) -> Result<Values, ParquetError> {
    let spelt = |bytes: Vec<u8>| text::whole(&bytes).map(|number| text::decimal(number, scale));
    let long = || ParquetError::General("a decimal has more than 38 digits".to_owned());
    let one = |item: Option<Vec<u8>>| item.map(|bytes| spelt(bytes).ok_or_else(long)).transpose();
    Ok(Values::from(items.into_iter().map(one).collect::<Result<Vec<_>, _>>()?))
}

/// Items with nulls at their places.
fn take<T: DataType>(reader: &mut ColumnReaderImpl<T>, rows: usize) -> Result<Vec<Option<T::T>>, ParquetError> {
    let (mut levels, mut values) = (Vec::new(), Vec::new());
    reader.read_records(rows, Some(&mut levels), None, &mut values)?;
    if levels.is_empty() {
        return Ok(values.into_iter().map(Some).collect());
    }
    let mut values = values.into_iter();
    Ok(levels.iter().map(|level| if *level > 0 { values.next() } else { None }).collect())
}

/// Texts that lie in their pages.
#[derive(Debug)]
struct Texts(Vec<Option<ByteArray>>);

impl Column for Texts {
    fn kind(&self) -> CellKind {
        CellKind::Text
    }

    fn rows(&self) -> usize {
        self.0.len()
    }

    fn text_bytes(&self, row: usize) -> usize {
        self.0.get(row).and_then(Option::as_ref).map_or(0, ByteArray::len)
    }

    fn read(&self, rows: Range<usize>, out: &mut Part) -> Result<(), BadItem> {
        for (at, item) in self.0.get(rows.clone()).unwrap_or_default().iter().enumerate() {
            let bytes = item.as_ref().map_or(&b""[..], ByteArray::data);
            if std::str::from_utf8(bytes).is_err() {
                let (row, found) = (rows.start + at, "bytes that are no UTF-8 text".to_owned());
                return Err(BadItem { row, found, advice: "write the column as text, or leave it out" });
            }
            if let Cells::Text(text) = out.cells() {
                text.push(bytes);
            }
            if item.is_none() {
                out.miss(at);
            }
        }
        Ok(())
    }
}
