//! Items of Parquet columns as cells.

use std::ops::Range;
use std::sync::Arc;

use parquet::basic::{ConvertedType, LogicalType, TimeUnit, Type};
use parquet::column::reader::{ColumnReader, ColumnReaderImpl};
use parquet::data_type::{ByteArray, DataType};
use parquet::errors::ParquetError;
use parquet::schema::types::ColumnDescriptor;

use super::super::batch::{CellKind, Cells, Part};
use super::super::memory::{BadItem, Column};
use super::super::values::Values;
use super::text;

/// What an item of a column is.
#[derive(Debug, Clone, Copy)]
pub(super) enum Kind {
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

/// What the items of a column are, or what they are called if they are not read.
pub(super) fn kind(column: &ColumnDescriptor) -> Result<Kind, String> {
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
pub(super) fn items(kind: Kind, reader: &mut ColumnReader, rows: usize) -> Result<Arc<dyn Column>, ParquetError> {
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
