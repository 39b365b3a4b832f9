//! Verification: everything looked at again, by other code than deletion's.
//!
//! Shares with deletion only the stores and `train::advance`. **It does not know how a deletion is done.**

mod files;
mod retrain;

use std::path::PathBuf;

pub use files::quick;
pub use retrain::retrain;

use crate::ledger::Replay;

/// Something that is not as it must be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// Which file.
    pub path: PathBuf,
    /// The first byte that is wrong, where one can be named.
    pub offset: Option<u64>,
    /// What is wrong.
    pub what: String,
}

/// What was looked at and what was found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Verdict {
    /// Files whose every byte was checked.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Steps that were trained again and compared.
    pub retrained: u64,
    /// Steps that are there and could not be trained again to be compared: the worker of a learner outside this program failed.
    pub stopped: u64,
    /// Whether no slice holds a deleted record, and no state on the disk was trained on one, for all that every byte says.
    pub by_construction: bool,
    /// Where training again gives the same bytes, as the recipe in service was frozen; `None` where nothing is in service, or something is wrong.
    pub replay: Option<Replay>,
    /// What is wrong.
    pub findings: Vec<Finding>,
    /// What is not wrong and still worth saying.
    pub notes: Vec<String>,
}

impl Verdict {
    /// Whether all that was trained again has the same bytes; `None` where nothing was, or not all that was asked for could be.
    pub fn by_replay(&self) -> Option<bool> {
        let differs = self.by_construction && !self.findings.is_empty();
        (self.retrained > 0 && (differs || self.stopped == 0)).then_some(self.findings.is_empty())
    }

    fn find(&mut self, path: impl Into<PathBuf>, offset: Option<u64>, what: impl Into<String>) {
        self.findings.push(Finding { path: path.into(), offset, what: what.into() });
    }

    fn checked(&mut self, bytes: usize) {
        self.files += 1;
        self.bytes += bytes as u64;
    }
}
