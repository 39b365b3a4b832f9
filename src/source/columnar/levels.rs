//! Lists of floats in a Parquet column: which items are those of one row, and which are missing, is told by levels.
//!
//! The level of repetition is 0 where a row begins and 1 where its list goes on. The level of definition says how far there is something: a
//! list, an item of it, a number.

use parquet::basic::{ConvertedType, LogicalType, Repetition, Type as Physical};
use parquet::column::reader::{ColumnReader, ColumnReaderImpl};
use parquet::data_type::DataType;
use parquet::errors::ParquetError;
use parquet::schema::types::{ColumnDescriptor, Type};

use super::super::values::Values;
use super::fields::Lengths;
use super::vectors::Vectors;

/// The levels of definition of a column.
#[derive(Debug, Clone, Copy)]
pub(super) struct Levels {
    /// From which on there is an item. One less is an empty list, and two less none.
    item: i16,
    /// At which the item is a number.
    number: i16,
}

/// The levels of a column if it is all of a field that holds lists of floats.
pub(super) fn of(field: &Type, column: &ColumnDescriptor) -> Option<Levels> {
    let float = matches!(column.physical_type(), Physical::FLOAT | Physical::DOUBLE);
    let depth = is_list(field)?;
    let optional = i16::from(repetition(field) == Some(Repetition::OPTIONAL));
    (float && column.max_rep_level() == 1 && column.path().parts().len() == depth)
        .then(|| Levels { item: optional + 1, number: column.max_def_level() })
}

/// How deep the items of a list lie, in one of the forms that writers have: `optional group v (LIST) { repeated group list { optional float
/// element; } }`, the same without the inner group, or `repeated float v`.
fn is_list(field: &Type) -> Option<usize> {
    if field.is_primitive() {
        return (repetition(field) == Some(Repetition::REPEATED)).then_some(1);
    }
    let info = field.get_basic_info();
    let declared = info.logical_type_ref() == Some(&LogicalType::List) || info.converted_type() == ConvertedType::LIST;
    let [repeated] = field.get_fields() else { return None };
    if !declared || repetition(field) == Some(Repetition::REPEATED) || repetition(repeated) != Some(Repetition::REPEATED) {
        return None;
    }
    if repeated.is_primitive() {
        return Some(2);
    }
    let [item] = repeated.get_fields() else { return None };
    // By these names old writers mean a structure of one value.
    let structure = repeated.name() == "array" || repeated.name() == format!("{}_tuple", field.name());
    (!structure && item.is_primitive() && repetition(item) != Some(Repetition::REPEATED)).then_some(3)
}

fn repetition(field: &Type) -> Option<Repetition> {
    let info = field.get_basic_info();
    info.has_repetition().then(|| info.repetition())
}

/// Looks at the first lists of a column chunk, one after the other, as far as is needed.
pub(super) fn see(reader: &mut ColumnReader, levels: Levels, lengths: &mut Lengths) -> Result<(), ParquetError> {
    match reader {
        ColumnReader::FloatColumnReader(reader) => see_in(reader, levels, lengths),
        ColumnReader::DoubleColumnReader(reader) => see_in(reader, levels, lengths),
        _ => Err(no_floats()),
    }
}

/// The next `rows` lists as vectors; fewer at the end.
pub(super) fn vectors(reader: &mut ColumnReader, levels: Levels, width: usize, rows: usize) -> Result<Vectors, ParquetError> {
    match reader {
        ColumnReader::FloatColumnReader(reader) => read(reader, levels, width, rows),
        ColumnReader::DoubleColumnReader(reader) => read(reader, levels, width, rows),
        _ => Err(no_floats()),
    }
}

fn no_floats() -> ParquetError {
    ParquetError::General("a column holds something else than floats".to_owned())
}

fn see_in<T: DataType>(reader: &mut ColumnReaderImpl<T>, levels: Levels, lengths: &mut Lengths) -> Result<(), ParquetError> {
    while !lengths.are_known() {
        let (mut defined, mut repeated, mut numbers) = (Vec::new(), Vec::new(), Vec::new());
        if reader.read_records(1, Some(&mut defined), Some(&mut repeated), &mut numbers)?.0 == 0 {
            break;
        }
        lengths.see(levels.length(&defined));
    }
    Ok(())
}

fn read<T: DataType>(reader: &mut ColumnReaderImpl<T>, levels: Levels, width: usize, rows: usize) -> Result<Vectors, ParquetError>
where
    Values: From<Vec<T::T>>,
{
    let (mut defined, mut repeated, mut numbers) = (Vec::new(), Vec::new(), Vec::new());
    let rows = reader.read_records(rows, Some(&mut defined), Some(&mut repeated), &mut numbers)?.0;
    let whole = rows.saturating_mul(width);
    if numbers.len() == whole && defined.len() == whole && starts_every(&repeated, width) {
        return Ok(Vectors::new(Values::from(numbers), rows, width, None));
    }
    let (mut all, mut missing, mut odd) = (Vec::new(), Vec::new(), None);
    let mut numbers = numbers.into_iter();
    let pairs: Vec<(i16, i16)> = repeated.into_iter().zip(defined).collect();
    for (row, list) in pairs.chunk_by(|_, next| next.0 != 0).enumerate() {
        let list: Vec<i16> = list.iter().map(|pair| pair.1).collect();
        match levels.length(&list) {
            None => {
                all.resize(all.len() + width, T::T::default());
                missing.resize(missing.len() + width, true);
            }
            Some(length) if length == width => {
                for level in list {
                    let there = level == levels.number;
                    missing.push(!there);
                    all.push(if there { numbers.next().unwrap_or_default() } else { T::T::default() });
                }
            }
            Some(length) => {
                odd = Some((row, length));
                break;
            }
        }
    }
    Ok(Vectors::new(Values::from(all).with_missing(missing), rows, width, odd))
}

/// Whether lists begin at every so many levels, and nowhere else.
fn starts_every(repeated: &[i16], width: usize) -> bool {
    repeated.chunks(width.max(1)).all(|list| list.iter().enumerate().all(|(at, level)| (*level == 0) == (at == 0)))
}

impl Levels {
    /// How long the list of a row with these levels is; `None` for a null.
    fn length(self, defined: &[i16]) -> Option<usize> {
        match defined {
            [level] if *level < self.item => (*level + 1 == self.item).then_some(0),
            items => Some(items.len()),
        }
    }
}
