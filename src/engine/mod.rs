//! The facade: one method a command. Prints nothing and asks nothing.

mod absent;
mod append;
mod build;
mod card;
mod correct;
mod delete;
mod error;
mod evaluate;
mod export;
mod import;
mod lend;
mod mend;
mod migrate;
mod moment;
mod observe;
mod plan;
mod predict;
mod propose;
mod queue;
mod ranges;
mod receipt;
mod rekey;
mod remedy;
mod repair;
mod requests;
mod serving;
mod shard;
mod status;
mod threads;
mod train;
mod verify;
mod votes;

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use rayon::ThreadPool;

pub use append::{AppendReport, AppendRequest};
pub use card::{Card, Deletions};
pub use correct::{CorrectReport, CorrectRequest};
pub use delete::{DeleteReport, DeleteRequest, Forecast, OlderThan, checked_name};
pub use error::{Error, ErrorKind};
pub use evaluate::{Evaluation, Quality, Shares};
pub use export::ExportReport;
pub use import::ImportedReport;
pub use lend::{Lent, LentMember, add_sums};
pub use migrate::{MigrateReport, MigrateRequest};
pub use observe::{Observer, Progress, Quiet};
pub use plan::{PlanReport, PlanRequest};
pub use predict::{Answers, Named};
pub use receipt::{KeyUse, RekeyDue};
pub use remedy::Remedy;
pub use repair::{RepairReport, Waiting};
pub use requests::{RequestLine, Requests};
pub use serving::{Epoch, InputKind, Interface, Serving};
pub use shard::{PackRequest, Packed, Unpacked, train_bundle};
pub use status::{CellStatus, ShardStatus, Status};
pub use train::{TrainReport, TrainRequest};
pub use verify::VerifyRequest;
pub use votes::Votes;

#[cfg(feature = "object-store")]
pub use crate::bucket::{BucketDisk, CloudBucket};
// What a caller needs to speak to the engine.
pub use crate::{
    append::AppendError,
    bundle::{BundleError, Kind as BundleKind, receive as receive_bundle},
    config::{DeskConfig, Overrides, QualityOf, RepairPolicy, ServeConfig, TlsConfig, WholeAt},
    correct::{CorrectError, RowFate},
    delete::{DeleteError, UnknownIds},
    fs::{Disk, Durability, EntryKind, Files, FsError, LockGuard, Pending, RealDisk, Stopwatch, utc_now},
    ids::{Handle, ShardId},
    import::{AlikeIds, ImportReport},
    ledger::{
        Accepted, BatchRecord, Cost, Effective, ExportFormat, ExportRecord, ExportSeen, OutcomeKind, Replay, RequestRecord,
    },
    order::Batches,
    plan::{Against, Candidate, CostTable, Expiry, Question},
    predict::Scores,
    propose::{Advice, ColumnNote, Proposal},
    receipt::{Envelope, PREDICATE_TYPE, Receipt},
    schema::{Difference, Likeness},
    source::{Batch, CellKind, Cells, Input, MemoryTable, Shape, Source, SourceError, Table},
    verify::{Finding, Verdict},
    workspace::KeySource,
};

use crate::{
    append::place,
    config::Config,
    delete::recover,
    learn::rest,
    ledger::History,
    workspace::{Workspace, WorkspaceError, Writing},
};

/// The columns of a source that hold ids.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IdColumns {
    /// The subject's, if there is one.
    pub subject: Option<String>,
    /// The record's.
    pub record: Vec<String>,
}

/// A workspace and how to work on it.
#[derive(Debug)]
pub struct Engine {
    workspace: Workspace,
    /// For all work of the engine, for as long as it lives.
    threads: Arc<threads::Threads>,
    wait: bool,
    /// Deletions of this process.
    queue: queue::Queue,
}

/// How an [`Engine`] is to work.
///
/// ```
/// # let folder = std::env::temp_dir().join(format!("sisa-builder-{}", std::process::id()));
/// let engine = sisa::engine::Engine::builder(&folder).threads(2).wait(true).open()?;
/// # Ok::<(), sisa::engine::Error>(())
/// ```
#[derive(Clone, Debug)]
#[must_use = "nothing is opened before `open`"]
pub struct Builder {
    root: PathBuf,
    disk: Option<Arc<dyn Disk>>,
    threads: Option<usize>,
    wait: bool,
    in_scratch: bool,
    stays: bool,
}

impl Builder {
    /// How many threads work; by default as many as the machine has cores.
    pub fn threads(self, threads: usize) -> Builder {
        Builder { threads: Some(threads.max(1)), ..self }
    }

    /// Whether to wait for another writer to come to its end, instead of an error; by default not.
    pub fn wait(self, wait: bool) -> Builder {
        Builder { wait, ..self }
    }

    /// Whether the engine remembers what the ledger said and reads at each look only what came since, however many requests are in it: for a
    /// process that stays. From the first time that it writes it has a mark in the workspace, so it must not leave processes behind that have its
    /// files open. By default not: damage to an older entry is then found by the next look, and otherwise by `verify` or the next process.
    pub fn stays(self, stays: bool) -> Builder {
        Builder { stays, ..self }
    }

    /// Another disk than that of the machine, for tests.
    pub fn disk(self, disk: Arc<dyn Disk>) -> Builder {
        Builder { disk: Some(disk), ..self }
    }

    /// The workspace is a copy: once its folder is taken away it is not made again.
    pub fn in_scratch(self, in_scratch: bool) -> Builder {
        Builder { in_scratch, ..self }
    }

    /// The engine. The folder need not be there yet, and nothing of it is read or locked before it is asked for something.
    ///
    /// # Errors
    /// The threads can't be started.
    pub fn open(self) -> Result<Engine, Error> {
        let threads = self.threads.unwrap_or_else(|| std::thread::available_parallelism().map_or(1, usize::from));
        let threads = Arc::new(threads::Threads::start(threads)?);
        let files = Files::new(self.disk.unwrap_or_else(|| Arc::new(RealDisk::new())));
        let files = if self.in_scratch { files.below(&self.root) } else { files };
        let workspace = Workspace::new(files, self.root);
        Ok(Engine {
            workspace: if self.stays { workspace.staying() } else { workspace },
            threads,
            wait: self.wait,
            queue: queue::Queue::default(),
        })
    }
}

impl Engine {
    /// An engine on the workspace in `root`, which may be empty, with all threads of the machine.
    ///
    /// # Errors
    /// The threads can't be started.
    pub fn open(root: impl Into<PathBuf>) -> Result<Engine, Error> {
        Engine::builder(root).open()
    }

    /// An engine on the workspace in `root` that is to work otherwise than by default.
    pub fn builder(root: impl Into<PathBuf>) -> Builder {
        Builder { root: root.into(), disk: None, threads: None, wait: false, in_scratch: false, stays: false }
    }

    /// An engine that works with the same threads on a copy of a workspace, on the files that the copy's owner uses.
    pub(crate) fn on_copy(&self, files: Files, root: PathBuf) -> Engine {
        Engine {
            workspace: Workspace::new(files, root),
            threads: self.threads.clone(),
            wait: true,
            queue: queue::Queue::default(),
        }
    }

    /// The workspace.
    pub fn workspace(&self) -> &Workspace {
        &self.workspace
    }

    /// The disk, for files of the person's own: outside the workspace's folders, put in place whole or not at all.
    pub fn files(&self) -> &Files {
        self.workspace.files()
    }

    /// How many threads work.
    pub fn threads(&self) -> usize {
        self.threads.count()
    }

    /// The configuration file that is meant: `sisa.toml` in the workspace, if none is named.
    pub(crate) fn config_file(&self, given: &Path) -> PathBuf {
        if given.as_os_str().is_empty() { self.workspace.root().join("sisa.toml") } else { given.to_owned() }
    }

    /// What `sisa.toml` says under `[serve]`; the defaults where there is no such file. It is read anew at every call.
    ///
    /// # Errors
    /// The file is wrong.
    pub fn serve_config(&self) -> Result<ServeConfig, Error> {
        let path = self.config_file(Path::new(""));
        Ok(match self.files().stat(&path)? {
            Some(_) => Config::read(self.files(), &path)?.serve()?,
            None => ServeConfig::default(),
        })
    }

    /// The threads for what takes long.
    pub(crate) fn pool(&self) -> &ThreadPool {
        self.threads.training()
    }

    /// The columns that hold ids.
    ///
    /// # Errors
    /// Nothing was imported, or the workspace is damaged.
    pub fn id_columns(&self) -> Result<IdColumns, Error> {
        let empty = || WorkspaceError::Empty { root: self.workspace.root().to_owned() };
        loop {
            let snapshot = self.workspace.snapshot()?;
            let (generation, record) = snapshot.history.newest().ok_or_else(empty)?;
            let schema = self.workspace.partition(generation, record).map(|partition| partition.schema);
            // It may be replaced by a newer one meanwhile, and be gone.
            if schema.is_ok() || self.workspace.still(&snapshot).is_ok() {
                let schema = schema?;
                return Ok(IdColumns { subject: schema.subject, record: schema.record });
            }
        }
    }

    /// Opens the workspace for writing: takes the lock, sweeps what a crash left, puts a committed batch in place, brings
    /// accepted requests into effect.
    fn open_for_writing(&self) -> Result<Writing, Error> {
        let mut writing = self.workspace.write(self.wait)?;
        place(&mut writing)?;
        if recover(&mut writing)? > 0 {
            rest(self.workspace.root());
        }
        Ok(writing)
    }

    /// Does something, and again as long as somebody else's change comes first, on a disk where that undoes what was done meanwhile.
    fn again<T>(&self, mut what: impl FnMut() -> Result<T, Error>) -> Result<T, Error> {
        loop {
            let before = self.files().overtaken();
            match what() {
                Err(e) if e.kind() == ErrorKind::Retry && self.files().overtaken() != before => {}
                done => return done,
            }
        }
    }

    /// Refuses a workspace whose slices are not what the ledger says.
    fn check_generations(&self, history: &History) -> Result<(), Error> {
        for (generation, record) in &history.generations {
            let store = self.workspace.shard_store(*generation, record)?;
            self.workspace.check_cells(&store, &record.cells)?;
        }
        Ok(())
    }
}
