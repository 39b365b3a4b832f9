//! Parquet and Arrow files, made in memory by the writers of their crates.

use std::sync::Arc;

use arrow_array::{ArrayRef, Float32Array, Int64Array, RecordBatch, StringArray};
use parquet::{
    data_type::{ByteArray, ByteArrayType, FloatType, Int64Type},
    file::{
        properties::{WriterProperties, WriterVersion},
        writer::SerializedFileWriter,
    },
    schema::parser::parse_message_type,
};

/// The cells of a column; what is `None` is a null.
pub(crate) enum Data {
    Ints(Vec<Option<i64>>),
    Floats(Vec<Option<f32>>),
    Text(Vec<Option<String>>),
}

impl Data {
    fn rows(&self) -> usize {
        match self {
            Data::Ints(cells) => cells.len(),
            Data::Floats(cells) => cells.len(),
            Data::Text(cells) => cells.len(),
        }
    }
}

/// A Parquet file with row groups of `each` rows; in the second version with delta encodings in place of dictionaries.
pub(crate) fn parquet(columns: &[(&str, Data)], each: usize, second: bool) -> Vec<u8> {
    let declared = columns.iter().map(|(name, data)| match data {
        Data::Ints(_) => format!("optional int64 {name};"),
        Data::Floats(_) => format!("optional float {name};"),
        Data::Text(_) => format!("optional binary {name} (string);"),
    });
    let schema = Arc::new(parse_message_type(&format!("message t {{ {} }}", declared.collect::<String>())).unwrap());
    let version = if second { WriterVersion::PARQUET_2_0 } else { WriterVersion::PARQUET_1_0 };
    let properties = WriterProperties::builder().set_writer_version(version).set_dictionary_enabled(!second).build();
    let mut out = Vec::new();
    let mut file = SerializedFileWriter::new(&mut out, schema, Arc::new(properties)).unwrap();
    let rows = columns[0].1.rows();
    for start in (0..rows).step_by(each) {
        let some = start..rows.min(start + each);
        let mut group = file.next_row_group().unwrap();
        for (_, data) in columns {
            let mut column = group.next_column().unwrap().unwrap();
            match data {
                Data::Ints(cells) => {
                    let (values, levels) = apart(&cells[some.clone()], |int| *int);
                    column.typed::<Int64Type>().write_batch(&values, Some(&levels), None).unwrap();
                }
                Data::Floats(cells) => {
                    let (values, levels) = apart(&cells[some.clone()], |float| *float);
                    column.typed::<FloatType>().write_batch(&values, Some(&levels), None).unwrap();
                }
                Data::Text(cells) => {
                    let (values, levels) = apart(&cells[some.clone()], |text| ByteArray::from(text.as_str()));
                    column.typed::<ByteArrayType>().write_batch(&values, Some(&levels), None).unwrap();
                }
            }
            column.close().unwrap();
        }
        group.close().unwrap();
    }
    file.close().unwrap();
    out
}

fn apart<T, U>(cells: &[Option<T>], to: impl Fn(&T) -> U) -> (Vec<U>, Vec<i16>) {
    (cells.iter().flatten().map(to).collect(), cells.iter().map(|cell| i16::from(cell.is_some())).collect())
}

/// An Arrow IPC file with record batches of `each` rows.
pub(crate) fn arrow(columns: &[(&str, Data)], each: usize) -> Vec<u8> {
    let array = |data: &Data| -> ArrayRef {
        match data {
            Data::Ints(cells) => Arc::new(Int64Array::from(cells.clone())),
            Data::Floats(cells) => Arc::new(Float32Array::from(cells.clone())),
            Data::Text(cells) => Arc::new(StringArray::from(cells.clone())),
        }
    };
    let batch = RecordBatch::try_from_iter_with_nullable(columns.iter().map(|(name, data)| (*name, array(data), true))).unwrap();
    let mut out = Vec::new();
    let mut file = arrow_ipc::writer::FileWriter::try_new(&mut out, &batch.schema()).unwrap();
    for start in (0..batch.num_rows()).step_by(each) {
        file.write(&batch.slice(start, each.min(batch.num_rows() - start))).unwrap();
    }
    file.finish().unwrap();
    drop(file);
    out
}
