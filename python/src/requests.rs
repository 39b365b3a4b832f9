//! What is asked of the engine, as `sisa._workspace` writes it: dictionaries with every field.

use std::path::PathBuf;

use pyo3::{exceptions::PyValueError, prelude::*};
use sisa::{DeleteRequest, Error, Input, KeySource, OlderThan, Overrides, TrainRequest, config::Config, fs::Durability};

/// Settings that come before the configuration's.
#[derive(FromPyObject)]
#[pyo3(from_item_all)]
pub(crate) struct Asked {
    label: Option<String>,
    subject: Option<String>,
    record: Vec<String>,
    holdout: Option<f64>,
    shards: Option<u32>,
    slices: Option<u32>,
    learner: Option<String>,
    epochs: Option<u32>,
    schedule: Option<String>,
    checkpoints: Option<u32>,
    rate: Option<f32>,
    no_ids: bool,
}

/// How an import begins.
#[derive(FromPyObject)]
#[pyo3(from_item_all)]
pub(crate) struct Begun {
    /// The text of a configuration that is to be written, and whether over one that is there.
    config: Option<(String, bool)>,
    asked: Asked,
    seed: Option<u64>,
    key: Option<PathBuf>,
    fresh: bool,
}

/// Which records are too old, and how they go.
#[derive(FromPyObject)]
#[pyo3(from_item_all)]
pub(crate) struct Expiry {
    before: String,
    column: Option<String>,
    request_id: Option<String>,
    defer: bool,
}

/// Whose records are to go, and how.
#[derive(FromPyObject)]
#[pyo3(from_item_all)]
pub(crate) struct Deletion {
    pub(crate) subjects: Vec<String>,
    pub(crate) records: Vec<Vec<String>>,
    pub(crate) request_id: Option<String>,
    pub(crate) defer: bool,
    pub(crate) suppress: bool,
}

/// What a plan is to be about.
#[derive(FromPyObject)]
#[pyo3(from_item_all)]
pub(crate) struct Planned {
    pub(crate) sizes: Option<(u64, u64)>,
    pub(crate) requests: u64,
    pub(crate) pilot: bool,
    pub(crate) disk: Option<u64>,
    pub(crate) time: Option<f64>,
    pub(crate) least_records: u64,
    pub(crate) shards: Vec<u32>,
    pub(crate) slices: Vec<u32>,
    pub(crate) batches: Option<(u32, f64)>,
}

impl Asked {
    pub(crate) fn overrides(self) -> PyResult<Overrides> {
        let Asked { label, subject, record, holdout, shards, slices, learner, epochs, checkpoints, rate, no_ids, .. } = self;
        let schedule = self.schedule.as_deref().map(str::parse).transpose().map_err(PyValueError::new_err)?;
        Ok(Overrides { label, subject, record, holdout, shards, slices, learner, epochs, schedule, checkpoints, rate, no_ids })
    }
}

impl Begun {
    /// The configuration, and what is asked for beside it.
    pub(crate) fn request(self, sources: Input) -> PyResult<(Option<(String, bool)>, TrainRequest)> {
        let Begun { config, asked, seed, key, fresh } = self;
        let (overrides, keys) = (asked.overrides()?, keys(seed, key));
        Ok((config, TrainRequest { sources, overrides, keys, fresh, ..TrainRequest::default() }))
    }
}

impl Expiry {
    /// A deletion of records that suppresses nobody: nobody asked to be forgotten.
    pub(crate) fn request(self) -> DeleteRequest {
        let Expiry { before: date, column, request_id, defer } = self;
        let older_than = Some(OlderThan { date, column });
        DeleteRequest { older_than, request_id, defer, no_suppress: true, ..DeleteRequest::default() }
    }
}

/// Where new keys come from.
pub(crate) fn keys(seed: Option<u64>, file: Option<PathBuf>) -> KeySource {
    match (seed, file) {
        (Some(seed), _) => KeySource::Seed(seed),
        (None, Some(file)) => KeySource::File(file),
        (None, None) => KeySource::Random,
    }
}

/// Writes the configuration of a workspace, if the text is one; over a file that is there only if that is ours.
pub(crate) fn configure(engine: &sisa::Engine, text: &str, over: bool) -> Result<(), Error> {
    let path = engine.workspace().root().join("sisa.toml");
    Config::parse(text, &path)?;
    let files = engine.files();
    if files.stat(&path)?.is_some() {
        if &*files.read(&path)? == text.as_bytes() {
            return Ok(());
        }
        if !over {
            return Err(Error::Exists { path });
        }
    }
    files.make_dirs(engine.workspace().root())?;
    let _ = files.publish(&path, &[text.as_bytes()], Durability::Now)?;
    Ok(())
}
