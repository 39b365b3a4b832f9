//! The Python package's native half: the engine for callers who hold Python's lock.
//!
//! It hands over what Python has no words for (tables, threads, signals) and answers with lines of the JSON that docs/JSON.md
//! promises; `python/sisa` makes methods, arrays and exceptions of them. `unsafe` is in two places, `call.rs` and `table/arrow.rs`.

mod call;
mod engine;
mod error;
mod fork;
mod guard;
mod lent;
mod requests;
mod table;

use pyo3::prelude::*;

#[pymodule]
fn _sisa(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<engine::Engine>()?;
    module.add_class::<lent::Lent>()?;
    module.add_function(wrap_pyfunction!(lent::add_sums, module)?)?;
    module.add_function(wrap_pyfunction!(engine::train_bundle, module)?)
}
