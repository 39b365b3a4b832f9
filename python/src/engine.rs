//! One workspace, as Python holds it: each method is one of the engine's, and answers with lines of JSON.

use std::{
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

use numpy::{PyArray1, PyArrayMethods};
use pyo3::{
    exceptions::PyValueError,
    prelude::*,
    types::{PyBytes, PyList},
};
use sisa::{
    Answers, AppendRequest, CorrectRequest, DeleteRequest, Error, Input, MigrateRequest, PackRequest, PlanRequest, Quiet,
    Serving, ShardId, TrainRequest, VerifyRequest, engine::ExportFormat, fs::RealDisk, reports::Proposal, wire,
};

use crate::{
    error::raise,
    fork::Own,
    guard::{self, Relay},
    requests::{Asked, Begun, Deletion, Expiry, Planned, configure, keys},
    table::{Tables, tables},
};

/// What a process holds of a workspace once it was asked for something.
#[derive(Debug)]
struct Held {
    engine: Arc<Own<sisa::Engine>>,
    /// From the first answer on.
    serving: Option<Arc<Own<Serving>>>,
}

/// A workspace and how to work on it.
#[pyclass(frozen, module = "sisa._sisa")]
#[derive(Debug)]
pub(crate) struct Engine {
    path: PathBuf,
    threads: Option<usize>,
    wait: bool,
    /// For a folder that goes with the process: no write waits for the disk.
    temporary: bool,
    /// Locked for moments in which no Python runs, by who holds Python's lock, as whoever forks does: no fork finds it locked.
    held: Mutex<Option<Held>>,
}

/// What deletions answer: the lines, and which of the subjects, records and rows asked for are unknown.
type Deleted = (String, Vec<usize>, Vec<usize>, Vec<String>);

impl Engine {
    /// The engine of this process: a forked one makes its own, as it has no threads of its parent's.
    fn engine(&self) -> Result<Arc<Own<sisa::Engine>>, Error> {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(held) = held.as_ref().filter(|held| held.engine.get().is_some()) {
            return Ok(held.engine.clone());
        }
        let builder = sisa::Engine::builder(&self.path).wait(self.wait);
        let builder = match self.threads {
            Some(threads) => builder.threads(threads),
            None => builder,
        };
        let builder = if self.temporary { builder.disk(Arc::new(RealDisk::unsynced())) } else { builder };
        let engine = Arc::new(Own::new(builder.open()?));
        *held = Some(Held { engine: engine.clone(), serving: None });
        Ok(engine)
    }

    /// Does something with the engine while it is listened for signals.
    fn run<T: Send>(
        &self,
        listener: &Bound<'_, PyAny>,
        work: impl FnOnce(&sisa::Engine, &Relay) -> Result<T, Error> + Send,
    ) -> PyResult<T> {
        let engine = self.engine().map_err(|error| raise(listener.py(), &error))?;
        guard::run(listener, |relay| match engine.get() {
            Some(engine) => work(engine, relay),
            // The thread is one of the process that made it.
            None => Err(Error::Interrupted),
        })
    }

    /// Imports as `work` does it. The line of a configuration that was proposed comes before its own.
    fn begin(
        &self,
        parts: &Bound<'_, PyList>,
        begun: Begun,
        listener: &Bound<'_, PyAny>,
        work: impl FnOnce(&sisa::Engine, &TrainRequest, &Relay) -> Result<(Option<Proposal>, String), Error> + Send,
    ) -> PyResult<String> {
        let (config, request) = begun.request(tables(parts)?.input)?;
        self.run(listener, |engine, relay| {
            if let Some((text, over)) = &config {
                configure(engine, text, *over)?;
            }
            let (proposal, lines) = work(engine, &request, relay)?;
            let config = engine.workspace().root().join("sisa.toml");
            let schema = proposal.iter().map(|proposal| wire::line(&wire::Schema::of(&config, proposal)));
            Ok(schema.chain([lines]).collect())
        })
    }

    /// What answers, once it is loaded.
    fn serving(&self) -> Option<Arc<Own<Serving>>> {
        let held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        held.as_ref()?.serving.clone().filter(|serving| serving.get().is_some())
    }

    fn answers(&self, tables: &Tables, listener: &Bound<'_, PyAny>) -> PyResult<Answers> {
        let serving = match self.serving() {
            // A thread and a look at the signals would take longer than the answer.
            Some(serving) if tables.few => {
                let py = listener.py();
                let answers = py.detach(|| serving.get().map(|serving| serving.scores(&tables.input, &Quiet)));
                if let Some(answers) = answers {
                    return answers.map_err(|error| raise(py, &error));
                }
                serving
            }
            Some(serving) => serving,
            None => {
                let serving = Arc::new(Own::new(self.run(listener, |engine, _| engine.serving())?));
                let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
                held.iter_mut().for_each(|held| held.serving = Some(serving.clone()));
                drop(held);
                serving
            }
        };
        self.run(listener, |engine, relay| match serving.get() {
            Some(serving) => serving.scores(&tables.input, relay),
            None => engine.scores(&tables.input, relay),
        })
    }

    #[expect(clippy::type_complexity, reason = "Python takes it apart at once")]
    fn told<'py>(
        &self,
        tables: &Tables,
        listener: &Bound<'py, PyAny>,
    ) -> PyResult<(Vec<String>, Bound<'py, PyAny>, Bound<'py, PyArray1<u32>>, String)> {
        let py = listener.py();
        let Answers { classes, scores, epoch, .. } = self.answers(tables, listener)?;
        let (rows, outputs) = (scores.values.len() / scores.outputs.max(1), scores.outputs);
        let values = PyArray1::from_vec(py, scores.values).reshape([rows, outputs])?.into_any();
        Ok((classes.to_vec(), values, PyArray1::from_vec(py, scores.classes), epoch.to_string()))
    }
}

#[pymethods]
impl Engine {
    #[new]
    fn new(path: PathBuf, threads: Option<usize>, wait: bool, temporary: bool) -> Engine {
        Engine { path, threads, wait, temporary, held: Mutex::new(None) }
    }

    /// `schema` if a configuration was proposed, `trained`, `evaluated` if there is something to compare with.
    fn train(&self, parts: &Bound<'_, PyList>, begun: Begun, listener: &Bound<'_, PyAny>) -> PyResult<String> {
        self.begin(parts, begun, listener, |engine, request, relay| {
            let report = engine.train(request, relay)?;
            let evaluated = report.evaluation.iter().map(|evaluation| wire::line(&wire::Evaluated::from(evaluation)));
            let lines = std::iter::once(wire::line(&wire::Trained::from(&report))).chain(evaluated).collect();
            Ok((report.proposal, lines))
        })
    }

    /// `schema` if a configuration was proposed, `imported`.
    fn import_table(&self, parts: &Bound<'_, PyList>, begun: Begun, listener: &Bound<'_, PyAny>) -> PyResult<String> {
        self.begin(parts, begun, listener, |engine, request, relay| {
            let report = engine.import(request, relay)?;
            let line = wire::line(&wire::Import::from(&report));
            Ok((report.proposal, line))
        })
    }

    /// The shards that are to be trained.
    fn to_train(&self, serving: bool, listener: &Bound<'_, PyAny>) -> PyResult<Vec<u32>> {
        self.run(listener, |engine, _| Ok(engine.to_train(serving)?.into_iter().map(|shard| shard.0).collect()))
    }

    /// A shard's work; `None` if nothing is missing.
    fn pack<'py>(&self, shard: u32, serving: bool, listener: &Bound<'py, PyAny>) -> PyResult<Option<Bound<'py, PyBytes>>> {
        let request = PackRequest { shard: ShardId(shard), serving };
        let packed = self.run(listener, |engine, relay| engine.pack(request, relay))?;
        Ok(packed.map(|packed| PyBytes::new(listener.py(), &packed.bytes)))
    }

    /// `unpacked`.
    fn unpack(&self, checkpoints: &[u8], listener: &Bound<'_, PyAny>) -> PyResult<String> {
        self.run(listener, |engine, _| Ok(wire::line(&wire::Unpacked::from(&engine.unpack(checkpoints)?))))
    }

    /// The text of a proposed configuration, and `schema`.
    fn propose(&self, parts: &Bound<'_, PyList>, asked: Asked, listener: &Bound<'_, PyAny>) -> PyResult<(String, String)> {
        let (input, overrides) = (tables(parts)?.input, asked.overrides()?);
        self.run(listener, |engine, _| {
            let path = engine.workspace().root().join("sisa.toml");
            let proposal = engine.propose(&input, &path, &overrides)?;
            Ok((proposal.text.clone(), wire::line(&wire::Schema::of(&path, &proposal))))
        })
    }

    /// What to train on rows with these columns, declared as in `config`: the `recommended_learner` of a plan.
    fn advise(
        &self,
        config: String,
        columns: Vec<String>,
        sizes: (u64, u64),
        kind: Option<String>,
        listener: &Bound<'_, PyAny>,
    ) -> PyResult<String> {
        self.run(listener, |engine, _| {
            let advice = engine.advise(&config, &columns, sizes, kind.as_deref())?;
            Ok(wire::line(&wire::RecommendedLearner::from(&advice)))
        })
    }

    /// The names of the classes (none for numbers), scores row by row, decided classes by their index, and the epoch.
    #[expect(clippy::type_complexity, reason = "Python takes it apart at once")]
    fn scores<'py>(
        &self,
        parts: &Bound<'py, PyList>,
        listener: &Bound<'py, PyAny>,
    ) -> PyResult<(Vec<String>, Bound<'py, PyAny>, Bound<'py, PyArray1<u32>>, String)> {
        self.told(&tables(parts)?, listener)
    }

    /// What the votes of all constituents in service weigh together, and the epoch.
    fn weight(&self, listener: &Bound<'_, PyAny>) -> PyResult<(f64, String)> {
        let interface = self.run(listener, |engine, _| match self.serving().as_deref().and_then(Own::get) {
            Some(serving) => serving.interface(),
            None => engine.serving()?.interface(),
        })?;
        Ok((interface.weight, interface.epoch.to_string()))
    }

    /// The constituents in service as bytes, and the epoch.
    fn constituents<'py>(&self, listener: &Bound<'py, PyAny>) -> PyResult<(Vec<Bound<'py, PyBytes>>, String)> {
        let (lent, epoch) = self.run(listener, |engine, _| engine.serving()?.constituents())?;
        Ok((lent.iter().map(|bytes| PyBytes::new(listener.py(), bytes)).collect(), epoch.to_string()))
    }

    /// The sums of all rows in service as bytes, and the epoch.
    fn sums<'py>(&self, listener: &Bound<'py, PyAny>) -> PyResult<(Bound<'py, PyBytes>, String)> {
        let (sums, epoch) = self.run(listener, |engine, _| engine.serving()?.sums())?;
        Ok((PyBytes::new(listener.py(), &sums), epoch.to_string()))
    }

    /// As `scores`, of a table that says of nobody whom it is about: one that does is refused.
    #[expect(clippy::type_complexity, reason = "Python takes it apart at once")]
    fn scores_of_nobody<'py>(
        &self,
        parts: &Bound<'py, PyList>,
        listener: &Bound<'py, PyAny>,
    ) -> PyResult<(Vec<String>, Bound<'py, PyAny>, Bound<'py, PyArray1<u32>>, String)> {
        let tables = tables(parts)?;
        self.run(listener, |engine, _| match self.serving().as_deref().and_then(Own::get) {
            Some(serving) => serving.refuse_ids(&tables.input),
            None => engine.serving()?.refuse_ids(&tables.input),
        })?;
        self.told(&tables, listener)
    }

    fn evaluate(&self, parts: &Bound<'_, PyList>, listener: &Bound<'_, PyAny>) -> PyResult<String> {
        let input = tables(parts)?.input;
        self.run(listener, |engine, relay| Ok(wire::line(&wire::Evaluated::from(&engine.evaluate(&input, relay)?))))
    }

    /// `effective`, `repaired` unless deferred or done before, `deleted`.
    fn delete(&self, asked: Deletion, rows: &Bound<'_, PyList>, listener: &Bound<'_, PyAny>) -> PyResult<Deleted> {
        let request = deletion(asked, tables(rows)?.input);
        self.run(listener, |engine, relay| {
            let report = engine.delete(&request, relay, |_, _, _| ())?;
            let effective = wire::line(&wire::Effective::of(&report.accepted, report.effective.seconds));
            let repaired = report.repair.iter().map(|repair| wire::line(&wire::Repaired::from(repair)));
            let deleted = wire::line(&wire::Deleted::from(&report));
            let rows = report.unknown.rows.iter().map(ToString::to_string).collect();
            let lines = [effective].into_iter().chain(repaired).chain([deleted]).collect();
            Ok((lines, report.unknown.subjects, report.unknown.records, rows))
        })
    }

    fn forecast(&self, asked: Deletion, rows: &Bound<'_, PyList>, listener: &Bound<'_, PyAny>) -> PyResult<Deleted> {
        let request = deletion(asked, tables(rows)?.input);
        self.run(listener, |engine, _| {
            let forecast = engine.forecast(&request)?;
            let rows = forecast.unknown.rows.iter().map(ToString::to_string).collect();
            Ok((wire::line(&wire::Forecast::from(&forecast)), forecast.unknown.subjects, forecast.unknown.records, rows))
        })
    }

    /// `effective`, `repaired` unless deferred or done before, `deleted`.
    fn expire(&self, asked: Expiry, listener: &Bound<'_, PyAny>) -> PyResult<String> {
        let request = asked.request();
        self.run(listener, |engine, relay| {
            let report = engine.delete(&request, relay, |_, _, _| ())?;
            let effective = wire::line(&wire::Effective::of(&report.accepted, report.effective.seconds));
            let repaired = report.repair.iter().map(|repair| wire::line(&wire::Repaired::from(repair)));
            Ok([effective].into_iter().chain(repaired).chain([wire::line(&wire::Deleted::from(&report))]).collect())
        })
    }

    fn forecast_expiry(&self, asked: Expiry, listener: &Bound<'_, PyAny>) -> PyResult<String> {
        let request = asked.request();
        self.run(listener, |engine, _| Ok(wire::line(&wire::Forecast::from(&engine.forecast(&request)?))))
    }

    /// `effective`, `repaired` unless deferred or done before, `corrected`; and where the rows stand that corrected nothing.
    fn correct(
        &self,
        parts: &Bound<'_, PyList>,
        request_id: Option<String>,
        defer: bool,
        listener: &Bound<'_, PyAny>,
    ) -> PyResult<(String, Vec<String>)> {
        let request = CorrectRequest { sources: tables(parts)?.input, request_id, defer };
        self.run(listener, |engine, relay| {
            let report = engine.correct(&request, relay, |_, _, _| ())?;
            let effective = wire::line(&wire::Effective::of(&report.accepted, report.effective.seconds));
            let repaired = report.repair.iter().map(|repair| wire::line(&wire::Repaired::from(repair)));
            let corrected = wire::line(&wire::Corrected::from(&report));
            let lines = [effective].into_iter().chain(repaired).chain([corrected]).collect();
            Ok((lines, report.left.iter().map(|row| row.place.to_string()).collect()))
        })
    }

    fn forecast_correction(&self, parts: &Bound<'_, PyList>, listener: &Bound<'_, PyAny>) -> PyResult<(String, Vec<String>)> {
        let request = CorrectRequest { sources: tables(parts)?.input, ..CorrectRequest::default() };
        self.run(listener, |engine, _| {
            let forecast = engine.forecast_correction(&request)?;
            let rows = forecast.unknown.rows.iter().map(ToString::to_string).collect();
            Ok((wire::line(&wire::Forecast::from(&forecast)), rows))
        })
    }

    fn unsuppress(&self, asked: Deletion, listener: &Bound<'_, PyAny>) -> PyResult<String> {
        let (subjects, records) = (asked.subjects, asked.records);
        self.run(listener, |engine, _| Ok(wire::line(&wire::Unsuppressed::of(engine.unsuppress(&subjects, &records)?))))
    }

    /// `appended`, then `repaired` unless deferred.
    fn append(
        &self,
        parts: &Bound<'_, PyList>,
        name: Option<String>,
        defer: bool,
        listener: &Bound<'_, PyAny>,
    ) -> PyResult<String> {
        let request = AppendRequest { sources: tables(parts)?.input, name, defer };
        self.run(listener, |engine, relay| {
            let report = engine.append(&request, relay, |_, _, _| ())?;
            let appended = wire::line(&wire::Appended::of(&report.name, &report.batch, report.import.is_some()));
            let repaired = report.repair.iter().map(|repair| wire::line(&wire::Repaired::from(repair)));
            Ok(std::iter::once(appended).chain(repaired).collect())
        })
    }

    fn repair(&self, parts: &Bound<'_, PyList>, drop_slice: bool, listener: &Bound<'_, PyAny>) -> PyResult<String> {
        let from = tables(parts)?.input;
        self.run(listener, |engine, relay| Ok(wire::line(&wire::Repaired::from(&engine.repair(&from, drop_slice, relay)?))))
    }

    fn verify(
        &self,
        retrain: bool,
        sample: Option<u32>,
        receipts: Vec<PathBuf>,
        listener: &Bound<'_, PyAny>,
    ) -> PyResult<String> {
        let request = VerifyRequest { retrain, sample, receipts };
        self.run(listener, |engine, relay| Ok(wire::line(&wire::Verified::from(&engine.verify(&request, relay)?))))
    }

    fn migrate(&self, seed: Option<u64>, key: Option<PathBuf>, listener: &Bound<'_, PyAny>) -> PyResult<String> {
        let request = MigrateRequest { keys: keys(seed, key), ..MigrateRequest::default() };
        self.run(listener, |engine, relay| Ok(wire::line(&wire::Migrated::from(&engine.migrate(&request, relay)?))))
    }

    fn rekey(&self, seed: Option<u64>, key: Option<PathBuf>, listener: &Bound<'_, PyAny>) -> PyResult<String> {
        let keys = keys(seed, key);
        self.run(listener, |engine, relay| {
            let (import, generation, report) = engine.rekey(&keys, relay)?;
            Ok(wire::line(&wire::Rekeyed::of(&import, generation, &report)))
        })
    }

    /// `candidate` for each S and R, then `plan`.
    fn plan(&self, parts: &Bound<'_, PyList>, asked: Asked, planned: Planned, listener: &Bound<'_, PyAny>) -> PyResult<String> {
        let Planned { sizes, requests, pilot, disk, time, least_records, shards, slices, batches } = planned;
        let request = PlanRequest {
            sources: tables(parts)?.input,
            config: PathBuf::new(),
            overrides: asked.overrides()?,
            sizes,
            requests,
            pilot,
            disk,
            time,
            least_records,
            shards,
            slices,
            batches,
        };
        self.run(listener, |engine, relay| {
            Ok(wire::PlanLine::all(&engine.plan(&request, relay)?).iter().map(wire::line).collect())
        })
    }

    /// Writes what is in service to a file.
    fn export(&self, file: PathBuf, format: &str, listener: &Bound<'_, PyAny>) -> PyResult<String> {
        let format: ExportFormat = format.parse().map_err(PyValueError::new_err)?;
        self.run(listener, |engine, relay| Ok(wire::line(&wire::Exported::from(&engine.export(format, &file, relay)?))))
    }

    /// The card as Markdown, and `card`.
    fn card(&self, listener: &Bound<'_, PyAny>) -> PyResult<(String, String)> {
        self.run(listener, |engine, relay| {
            let card = wire::Card::from(&engine.card(relay)?);
            Ok((card.markdown(), wire::line(&card)))
        })
    }

    fn status(&self, listener: &Bound<'_, PyAny>) -> PyResult<String> {
        self.run(listener, |engine, _| Ok(wire::line(&wire::Status::from(&engine.status()?))))
    }

    /// `request` for every request, then `rekey_due` if one is.
    fn log(&self, listener: &Bound<'_, PyAny>) -> PyResult<String> {
        self.run(listener, |engine, _| {
            let requests = engine.log()?;
            let due = engine.rekey_due(&engine.workspace().root().join("sisa.toml"))?;
            let requests = requests.iter().map(|request| wire::line(&wire::Request::from(request)));
            Ok(requests.chain(due.iter().map(|due| wire::line(&wire::RekeyDue::from(due)))).collect())
        })
    }

    /// A receipt, as its file has it; signed with the key in a file, in an envelope.
    fn receipt(&self, request: Option<String>, sign: Option<PathBuf>, listener: &Bound<'_, PyAny>) -> PyResult<String> {
        self.run(listener, |engine, _| match &sign {
            Some(key) => Ok(wire::line(&engine.sign_receipt(request.as_deref(), key)?)),
            None => Ok(wire::line(&wire::Receipt::from(&engine.receipt(request.as_deref())?))),
        })
    }

    fn check_receipt(&self, file: PathBuf, public: PathBuf, listener: &Bound<'_, PyAny>) -> PyResult<String> {
        self.run(listener, |engine, _| Ok(wire::line(&wire::Signature::holds(&engine.check_signed_receipt(&file, &public)?))))
    }

    fn keygen(&self, file: PathBuf, listener: &Bound<'_, PyAny>) -> PyResult<String> {
        self.run(listener, |engine, _| Ok(wire::line(&wire::Keys::of(&file, &engine.keygen(&file)?))))
    }

    /// The columns of ids: the subject's, if there is one, and the record's.
    fn id_columns(&self, listener: &Bound<'_, PyAny>) -> PyResult<(Option<String>, Vec<String>)> {
        self.run(listener, |engine, _| engine.id_columns().map(|columns| (columns.subject, columns.record)))
    }

    #[getter]
    fn path(&self) -> &Path {
        &self.path
    }
}

fn deletion(asked: Deletion, rows: Input) -> DeleteRequest {
    let Deletion { subjects, records, request_id, defer, suppress } = asked;
    DeleteRequest { subjects, records, rows, request_id, defer, no_suppress: !suppress, ..DeleteRequest::default() }
}

/// Trains a shard's work: bytes in, bytes out. Knows no workspace.
#[pyfunction]
pub(crate) fn train_bundle<'py>(bundle: &[u8], threads: usize, listener: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyBytes>> {
    let made = guard::run(listener, |relay| sisa::train_bundle(bundle, threads, relay))?;
    Ok(PyBytes::new(listener.py(), &made))
}
