//! Arrays of Arrow as columns of cells.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{
    ArrowPrimitiveType, Date32Type, Date64Type, Decimal32Type, Decimal64Type, Decimal128Type, Float16Type, Float32Type,
    Float64Type, Int8Type, Int16Type, Int32Type, Int64Type, TimestampMicrosecondType, TimestampMillisecondType,
    TimestampNanosecondType, TimestampSecondType, UInt8Type, UInt16Type, UInt32Type, UInt64Type,
};
use arrow_array::{Array, ArrayRef, new_empty_array};
use arrow_schema::{DataType, TimeUnit};

use super::super::batch::{CellKind, Cells, Part};
use super::super::limits::BLOCK_MAX;
use super::super::memory::{BadItem, Column};
use super::super::values::Values;
use super::fields::{Lengths, Shape, vector};
use super::{Unread, lists, text};

/// A part of a field of this shape, or what its items are called if they are not read. Texts stay where they are. Where NaN is missing no
/// float is one.
pub(super) fn column(array: &ArrayRef, shape: &Shape, nan_is_missing: bool) -> Result<Arc<dyn Column>, String> {
    match shape {
        Shape::Unread(found) => Err(found.clone()),
        Shape::Vector(width) | Shape::Uneven(width, _) => Ok(Arc::new(lists::vectors(array, *width, nan_is_missing)?)),
        Shape::One => one(array, nan_is_missing),
    }
}

/// What a field of items of this type is; where they are lists of floats, by their lengths.
pub(super) fn shape(kind: &DataType, lengths: &Lengths) -> Shape {
    match kind {
        DataType::FixedSizeList(item, size) if lists::is_float(item.data_type()) => vector(usize::try_from(*size).unwrap_or(0)),
        kind if lists::vary(kind) => lengths.shape(),
        kind => one(&new_empty_array(kind), false).map_or_else(Shape::Unread, |_| Shape::One),
    }
}

fn one(array: &ArrayRef, nan_is_missing: bool) -> Result<Arc<dyn Column>, String> {
    let values = match array.data_type() {
        DataType::Null => return Ok(Arc::new(Unread { rows: array.len(), width: 1 })),
        DataType::Boolean => {
            let bools = array.as_boolean_opt().ok_or("broken")?;
            Values::from((0..bools.len()).map(|at| bools.is_valid(at).then(|| bools.value(at))).collect::<Vec<_>>())
        }
        DataType::Int8 => items::<Int8Type, _>(array, i64::from)?,
        DataType::Int16 => items::<Int16Type, _>(array, i64::from)?,
        DataType::Int32 => items::<Int32Type, _>(array, i64::from)?,
        DataType::Int64 => items::<Int64Type, _>(array, |int| int)?,
        DataType::UInt8 => items::<UInt8Type, _>(array, |byte| byte)?,
        DataType::UInt16 => items::<UInt16Type, _>(array, i64::from)?,
        DataType::UInt32 => items::<UInt32Type, _>(array, i64::from)?,
        // There is no cell for all of them.
        DataType::UInt64 => items::<UInt64Type, _>(array, |int| int.to_string())?,
        DataType::Float16 => items::<Float16Type, _>(array, |float| float.to_f32())?,
        DataType::Float32 => items::<Float32Type, _>(array, |float| float)?,
        DataType::Float64 => items::<Float64Type, _>(array, |float| float)?,
        DataType::Date32 => items::<Date32Type, _>(array, |days| text::day(days.into()))?,
        DataType::Date64 => items::<Date64Type, _>(array, |parts| text::moment(parts, 1_000, false))?,
        DataType::Timestamp(unit, zone) => {
            let utc = zone.is_some();
            match unit {
                TimeUnit::Second => items::<TimestampSecondType, _>(array, |at| text::moment(at, 1, utc))?,
                TimeUnit::Millisecond => items::<TimestampMillisecondType, _>(array, |at| text::moment(at, 1_000, utc))?,
                TimeUnit::Microsecond => items::<TimestampMicrosecondType, _>(array, |at| text::moment(at, 1_000_000, utc))?,
                TimeUnit::Nanosecond => items::<TimestampNanosecondType, _>(array, |at| text::moment(at, 1_000_000_000, utc))?,
            }
        }
        DataType::Decimal32(_, scale) if *scale >= 0 => {
            items::<Decimal32Type, _>(array, |number| text::decimal(number.into(), *scale as usize))?
        }
        DataType::Decimal64(_, scale) if *scale >= 0 => {
            items::<Decimal64Type, _>(array, |number| text::decimal(number.into(), *scale as usize))?
        }
        DataType::Decimal128(_, scale) if *scale >= 0 => {
            items::<Decimal128Type, _>(array, |number| text::decimal(number, *scale as usize))?
        }
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => {
            return Ok(Arc::new(Texts { texts: array.clone(), keys: None }));
        }
        DataType::Dictionary(_, values) if matches!(**values, DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View) => {
            let coded = array.as_any_dictionary_opt().ok_or("broken")?;
            let texts = coded.values().clone();
            let keys = if texts.is_empty() { vec![0; array.len()] } else { coded.normalized_keys() };
            let keys = keys.into_iter().enumerate().map(|(at, key)| (array.is_valid(at) && !texts.is_empty()).then_some(key));
            return Ok(Arc::new(Texts { keys: Some(keys.collect()), texts }));
        }
        DataType::List(_) | DataType::LargeList(_) | DataType::FixedSizeList(..) => {
            return Err(format!("items of type {}, and vectors are lists of 1 to {BLOCK_MAX} floats", array.data_type()));
        }
        other => return Err(format!("items of type {other}")),
    };
    Ok(Arc::new(if nan_is_missing { values.with_nan_missing() } else { values }))
}

fn items<T: ArrowPrimitiveType, U>(array: &ArrayRef, to: impl Fn(T::Native) -> U) -> Result<Values, String>
where
    Values: From<Vec<U>> + From<Vec<Option<U>>>,
{
    let array = array.as_primitive_opt::<T>().ok_or("broken")?;
    if array.null_count() == 0 {
        return Ok(Values::from(array.values().iter().map(|item| to(*item)).collect::<Vec<_>>()));
    }
    Ok(Values::from((0..array.len()).map(|at| array.is_valid(at).then(|| to(array.value(at)))).collect::<Vec<_>>()))
}

/// Texts that lie in their array, one for each row or named by keys.
struct Texts {
    texts: ArrayRef,
    keys: Option<Vec<Option<usize>>>,
}

impl Texts {
    fn get(&self, row: usize) -> Option<&str> {
        let at = match &self.keys {
            Some(keys) => keys.get(row).copied().flatten()?,
            None => row,
        };
        if at >= self.texts.len() || self.texts.is_null(at) {
            return None;
        }
        match self.texts.data_type() {
            DataType::Utf8 => self.texts.as_string_opt::<i32>().map(|texts| texts.value(at)),
            DataType::LargeUtf8 => self.texts.as_string_opt::<i64>().map(|texts| texts.value(at)),
            _ => self.texts.as_string_view_opt().map(|texts| texts.value(at)),
        }
    }
}

impl Column for Texts {
    fn kind(&self) -> CellKind {
        CellKind::Text
    }

    fn rows(&self) -> usize {
        self.keys.as_ref().map_or_else(|| self.texts.len(), Vec::len)
    }

    fn text_bytes(&self, row: usize) -> usize {
        self.get(row).map_or(0, str::len)
    }

    fn read(&self, rows: Range<usize>, out: &mut Part) -> Result<(), BadItem> {
        for (at, row) in rows.enumerate() {
            let item = self.get(row);
            if let Cells::Text(text) = out.cells() {
                text.push(item.unwrap_or_default().as_bytes());
            }
            if item.is_none() {
                out.miss(at);
            }
        }
        Ok(())
    }
}

impl fmt::Debug for Texts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Texts").field("rows", &self.rows()).finish_non_exhaustive()
    }
}
