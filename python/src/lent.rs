//! What sites lent, as Python holds it: answers without a workspace.

use std::thread::available_parallelism;

use numpy::{PyArray1, PyArrayMethods};
use pyo3::{
    prelude::*,
    types::{PyBytes, PyList},
};

use crate::{error::raise, guard, table::tables};

/// Constituents of one site, or the sums of any number.
#[pyclass(frozen, module = "sisa._sisa")]
#[derive(Debug)]
pub(crate) struct Lent(sisa::engine::Lent);

#[pymethods]
impl Lent {
    /// Of the constituents of one site.
    #[new]
    fn new(py: Python<'_>, constituents: Vec<Vec<u8>>) -> PyResult<Lent> {
        let lent = py.detach(|| sisa::engine::Lent::open(constituents.iter().map(Vec::as_slice)));
        Ok(Lent(lent.map_err(|error| raise(py, &error))?))
    }

    /// Of sums.
    #[staticmethod]
    fn of_sums(py: Python<'_>, sums: &[u8]) -> PyResult<Lent> {
        let lent = py.detach(|| sisa::engine::Lent::open_sums(sums));
        Ok(Lent(lent.map_err(|error| raise(py, &error))?))
    }

    /// Shard, step, lineage key and weight of each constituent, in order of their shards; none of sums.
    fn members(&self) -> Vec<(u32, u32, String, f32)> {
        self.0.members().iter().map(|m| (m.shard.0, m.step, m.lineage.to_string(), m.weight)).collect()
    }

    /// The names of the classes (none for numbers), and scores row by row.
    fn scores<'py>(
        &self,
        parts: &Bound<'py, PyList>,
        listener: &Bound<'py, PyAny>,
    ) -> PyResult<(Vec<String>, Bound<'py, PyAny>)> {
        let (py, input) = (listener.py(), tables(parts)?.input);
        let threads = available_parallelism().map_or(1, std::num::NonZero::get);
        let (classes, scores) = guard::run(listener, |relay| self.0.scores(&input, threads, relay))?;
        let (rows, outputs) = (scores.values.len() / scores.outputs.max(1), scores.outputs);
        Ok((classes.to_vec(), PyArray1::from_vec(py, scores.values).reshape([rows, outputs])?.into_any()))
    }
}

/// Adds sums up.
#[pyfunction]
pub(crate) fn add_sums<'py>(py: Python<'py>, all: Vec<Vec<u8>>) -> PyResult<Bound<'py, PyBytes>> {
    let sums = py.detach(|| sisa::engine::add_sums(all.iter().map(Vec::as_slice)));
    Ok(PyBytes::new(py, &sums.map_err(|error| raise(py, &error))?))
}
