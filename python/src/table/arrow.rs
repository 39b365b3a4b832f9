//! Streams of Arrow, as pandas, polars, PyArrow and DuckDB give them: their buffers are immutable by contract, kept where they lie, and read
//! without Python's lock.

use std::sync::Arc;

use arrow_array::{
    RecordBatch, RecordBatchReader,
    ffi_stream::{FFI_ArrowArrayStream, RecordBatchStreamReader},
};
use pyo3::{prelude::*, types::PyCapsule};
use sisa::source::ArrowTable;

use super::wrong;
use crate::call::call;

/// The table that an object with `__arrow_c_stream__` streams. Every NaN in it is missing.
pub(super) fn table(name: &str, streams: &Bound<'_, PyAny>) -> PyResult<ArrowTable> {
    let reader = reader(name, &call(&streams.getattr("__arrow_c_stream__")?, ())?)?;
    let schema = reader.schema();
    // What streams may run Python, on this thread or another.
    let batches: Result<Vec<RecordBatch>, _> = streams.py().detach(|| reader.collect());
    let batches = batches.map_err(|error| wrong(name, error))?;
    // The numbers of rows, which pandas hands over where they are not 0, 1, 2 ..: no column that anybody made.
    let own = |name: &str| !(name.starts_with("__index_level_") && name.ends_with("__"));
    let kept: Vec<usize> = (0..).zip(schema.fields()).filter(|(_, field)| own(field.name())).map(|(at, _)| at).collect();
    if kept.len() == schema.fields().len() {
        return Ok(ArrowTable::new(name, schema, batches).with_nan_missing());
    }
    let schema = schema.project(&kept).map_err(|error| wrong(name, error))?;
    let batches: Result<_, _> = batches.iter().map(|batch| batch.project(&kept)).collect();
    Ok(ArrowTable::new(name, Arc::new(schema), batches.map_err(|error| wrong(name, error))?).with_nan_missing())
}

#[expect(unsafe_code, reason = "a stream comes as a pointer in a capsule, as the Arrow PyCapsule interface has it")]
fn reader(name: &str, capsule: &Bound<'_, PyAny>) -> PyResult<RecordBatchStreamReader> {
    let capsule = capsule.cast::<PyCapsule>().map_err(|_| wrong(name, "`__arrow_c_stream__` gave no capsule"))?;
    let stream = capsule.pointer_checked(Some(c"arrow_array_stream"))?.cast::<FFI_ArrowArrayStream>();
    // SAFETY: by the Arrow PyCapsule interface a capsule of this name, which was checked, points to an initialised stream. Taking it leaves a
    // released one behind, so that the capsule's destructor, which lives as long as `capsule` at least, releases nothing twice.
    let taken = unsafe { RecordBatchStreamReader::from_raw(stream.as_ptr()) };
    taken.map_err(|error| wrong(name, error))
}
