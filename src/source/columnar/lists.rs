//! Lists of Arrow whose items are floats, as vectors.

use arrow_array::cast::AsArray;
use arrow_array::types::{ArrowPrimitiveType, Float16Type, Float32Type, Float64Type};
use arrow_array::{Array, ArrayRef, FixedSizeListArray, LargeListArray, ListArray};
use arrow_schema::DataType;

use super::super::values::Values;
use super::fields::Lengths;
use super::vectors::Vectors;

/// Whether items of this type are floats.
pub(super) fn is_float(kind: &DataType) -> bool {
    matches!(kind, DataType::Float16 | DataType::Float32 | DataType::Float64)
}

/// Whether items of this type are lists of floats, each of a length of its own.
pub(super) fn vary(kind: &DataType) -> bool {
    matches!(kind, DataType::List(item) | DataType::LargeList(item) if is_float(item.data_type()))
}

/// Looks at the lists of a column.
pub(super) fn see(array: &ArrayRef, lengths: &mut Lengths) {
    let Some(lists) = Lists::of(array) else { return };
    (0..array.len()).for_each(|row| lengths.see(lists.place(row).map(|(_, length)| length)));
}

/// Lists that all have `width` floats. Of a null all numbers are missing, and nulls among them. Where NaN is missing no float is one.
pub(super) fn vectors(array: &ArrayRef, width: usize, nan_is_missing: bool) -> Result<Vectors, String> {
    let lists = Lists::of(array).ok_or("broken")?;
    let (mut starts, mut odd) = (Vec::with_capacity(array.len()), None);
    for row in 0..array.len() {
        match lists.place(row) {
            None => starts.push(None),
            Some((start, length)) if length == width => starts.push(Some(start)),
            Some((_, length)) => {
                odd = Some((row, length));
                break;
            }
        }
    }
    let items = lists.items();
    let numbers = match items.data_type() {
        DataType::Float16 => numbers::<Float16Type, _>(items, &starts, width, |float| float.to_f32()),
        DataType::Float32 => numbers::<Float32Type, _>(items, &starts, width, |float| float),
        _ => numbers::<Float64Type, _>(items, &starts, width, |float| float),
    };
    let numbers = numbers.ok_or("broken")?;
    let numbers = if nan_is_missing { numbers.with_nan_missing() } else { numbers };
    Ok(Vectors::new(numbers, array.len(), width, odd))
}

/// Lists in any form.
enum Lists<'a> {
    Fixed(&'a FixedSizeListArray),
    Small(&'a ListArray),
    Large(&'a LargeListArray),
}

impl<'a> Lists<'a> {
    fn of(array: &'a ArrayRef) -> Option<Lists<'a>> {
        match array.data_type() {
            DataType::FixedSizeList(..) => array.as_fixed_size_list_opt().map(Lists::Fixed),
            DataType::List(_) => array.as_list_opt().map(Lists::Small),
            DataType::LargeList(_) => array.as_list_opt().map(Lists::Large),
            _ => None,
        }
    }

    fn items(&self) -> &'a ArrayRef {
        match self {
            Lists::Fixed(lists) => lists.values(),
            Lists::Small(lists) => lists.values(),
            Lists::Large(lists) => lists.values(),
        }
    }

    /// Where the list of a row begins and how long it is; `None` for a null.
    fn place(&self, row: usize) -> Option<(usize, usize)> {
        match self {
            Lists::Fixed(lists) => {
                let width = lists.value_length() as usize;
                lists.is_valid(row).then_some((row * width, width))
            }
            Lists::Small(lists) => {
                let start = lists.value_offsets().get(row).copied()? as usize;
                lists.is_valid(row).then(|| (start, lists.value_length(row) as usize))
            }
            Lists::Large(lists) => {
                let start = lists.value_offsets().get(row).copied()? as usize;
                lists.is_valid(row).then(|| (start, lists.value_length(row) as usize))
            }
        }
    }
}

/// The numbers of lists of one length, list after list.
fn numbers<T: ArrowPrimitiveType, U: Clone + Default>(
    items: &ArrayRef,
    starts: &[Option<usize>],
    width: usize,
    to: impl Fn(T::Native) -> U,
) -> Option<Values>
where
    Values: From<Vec<U>>,
{
    let array = items.as_primitive_opt::<T>()?;
    let all = starts.len().checked_mul(width)?;
    let (mut numbers, mut missing) = (Vec::with_capacity(all), Vec::new());
    let any_missing = array.null_count() > 0 || starts.contains(&None);
    for start in starts {
        match start {
            Some(start) => {
                let end = start.checked_add(width)?;
                numbers.extend(array.values().get(*start..end)?.iter().map(|item| to(*item)));
                if any_missing {
                    missing.extend((*start..end).map(|at| array.is_null(at)));
                }
            }
            None => {
                numbers.resize(numbers.len() + width, U::default());
                missing.resize(missing.len() + width, true);
            }
        }
    }
    let numbers = Values::from(numbers);
    Some(if any_missing { numbers.with_missing(missing) } else { numbers })
}
