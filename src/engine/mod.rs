//! The facade: one method a command. Prints nothing and asks nothing.

mod answer;
mod audit;
pub mod bench;
mod erase;
mod error;
mod mend;
mod observe;
mod plan;
mod propose;
mod status;
mod table;
mod train;

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

pub use answer::{Evaluation, Quality, Shares};
pub use audit::VerifyRequest;
pub use erase::{DeleteReport, DeleteRequest, Forecast, RepairReport};
pub use error::{Error, ErrorKind};
pub use observe::{Observer, Progress, Quiet};
pub use plan::{PlanReport, PlanRequest};
pub use status::{CellStatus, ShardStatus, Status};
pub use train::{TrainReport, TrainRequest};

// What a caller needs to speak to the engine.
pub use crate::{
    config::Flags,
    fs::{Pending, RealDisk},
    ids::ShardId,
    learn::Advice,
    ledger::{Accepted, OutcomeKind, RequestRecord},
    plan::{Against, Candidate, CostTable, Question},
    predict::Scores,
    receipt::{Envelope, Receipt},
    schema::Proposal,
    verify::{Finding, Verdict},
    workspace::KeySource,
};

use crate::{
    delete::recover,
    fs::{Disk, Durability, Files},
    ledger::History,
    workspace::{Snapshot, Workspace, WorkspaceError, WriterLock},
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
    threads: usize,
    wait: bool,
}

impl Engine {
    /// An engine on the workspace in `root`, which may be empty. `wait` says whether to wait for another writer.
    pub fn new(disk: Arc<dyn Disk>, root: PathBuf, threads: usize, wait: bool) -> Engine {
        Engine { workspace: Workspace::new(Files::new(disk), root), threads: threads.max(1), wait }
    }

    /// The same on a workspace that is a copy: once its folder is taken away it is not made again.
    #[must_use]
    pub fn in_scratch(self) -> Engine {
        let (files, root) = (self.workspace.files().below(self.workspace.root()), self.workspace.root().to_owned());
        Engine { workspace: Workspace::new(files, root), ..self }
    }

    /// The workspace.
    pub fn workspace(&self) -> &Workspace {
        &self.workspace
    }

    /// The columns that hold ids.
    ///
    /// # Errors
    /// Nothing was imported, or the workspace is damaged.
    pub fn id_columns(&self) -> Result<IdColumns, Error> {
        let history = self.workspace.ledger().read()?;
        let empty = || WorkspaceError::Empty { root: self.workspace.root().to_owned() };
        let (generation, record) = history.newest().ok_or_else(empty)?;
        let schema = self.workspace.partition(generation, record)?.schema;
        Ok(IdColumns { subject: schema.subject, record: schema.record })
    }

    /// Begins a file of the person's, outside the workspace's own.
    ///
    /// # Errors
    /// The disk refuses.
    pub fn begin_file(&self, path: &Path) -> Result<Pending, Error> {
        Ok(self.workspace.files().begin(path)?)
    }

    /// Puts such a file in place.
    ///
    /// # Errors
    /// The disk refuses.
    pub fn end_file(&self, file: Pending) -> Result<(), Error> {
        let _ = file.publish(Durability::Now)?;
        Ok(())
    }

    /// How many threads it may use.
    pub fn threads(&self) -> usize {
        self.threads
    }

    /// Writes a small file of the person's, over an older one if there is one.
    ///
    /// # Errors
    /// The disk refuses.
    pub fn write_over(&self, path: &Path, bytes: &[u8]) -> Result<(), Error> {
        let _ = self.workspace.files().publish(path, &[bytes], Durability::Now)?;
        Ok(())
    }

    /// Writes a small file of the person's; never over an existing one.
    ///
    /// # Errors
    /// The file exists, or the disk refuses.
    pub fn write_new(&self, path: &Path, bytes: &[u8]) -> Result<(), Error> {
        if self.workspace.files().stat(path)?.is_some() {
            return Err(Error::Exists { path: path.to_owned() });
        }
        let _ = self.workspace.files().publish(path, &[bytes], Durability::Now)?;
        Ok(())
    }

    /// Opens the workspace for writing: takes the lock, sweeps what a crash left, brings accepted requests into effect.
    fn open_for_writing(&self) -> Result<(WriterLock, Snapshot), Error> {
        let lock = self.workspace.lock(self.wait)?;
        let mut snapshot = self.workspace.snapshot()?;
        self.workspace.tidy(&lock, &snapshot.history)?;
        recover(&self.workspace, &lock, &mut snapshot.history)?;
        Ok((lock, snapshot))
    }

    /// Refuses a workspace whose slices are not what the ledger says.
    fn check_generations(&self, history: &History) -> Result<(), Error> {
        for (generation, record) in &history.generations {
            let store = self.workspace.shard_store(*generation, record)?;
            self.workspace.check_cells(&store, record)?;
        }
        Ok(())
    }
}
