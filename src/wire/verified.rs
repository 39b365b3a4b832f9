use std::collections::BTreeMap;

use serde::Serialize;

use crate::{
    digest::Digest,
    ledger,
    verify::{self, Verdict},
};

/// What was looked at again, and what is not as the ledger says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "type", rename = "verified")]
#[non_exhaustive]
pub struct Verified {
    /// Whether there are no findings.
    pub same: bool,
    /// Slices and checkpoints whose every byte was checked.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Steps trained again and compared.
    pub retrained: u64,
    /// Steps that are there and could not be trained again.
    pub stopped: u64,
    /// Whether it holds by construction.
    pub by_construction: bool,
    /// Whether it holds by replay; `None` where that was not looked at, or could not be.
    pub by_replay: Option<bool>,
    /// Where it is to hold by replay; `None` where nothing is in service, or something is wrong.
    pub replay: Option<Replay>,
    /// What is wrong.
    pub findings: Vec<Finding>,
    /// Sentences about what is not wrong and still worth saying.
    pub notes: Vec<String>,
}

/// Where training again gives the same bytes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Replay {
    /// `everywhere`, `environment` or `nowhere`.
    #[serde(rename = "where")]
    pub place: &'static str,
    /// The name of the learner, if it is one outside this program.
    pub learner: Option<String>,
    /// What such a learner says of itself and where it runs.
    pub environment: BTreeMap<String, String>,
    /// The digest of what it makes of made-up rows there.
    pub probe: Option<Digest>,
}

impl From<&ledger::Replay> for Replay {
    fn from(replay: &ledger::Replay) -> Replay {
        let (place, learner, environment, probe) = match replay {
            ledger::Replay::Everywhere => ("everywhere", None, BTreeMap::new(), None),
            ledger::Replay::Environment { learner, environment, probe } => {
                ("environment", Some(learner.clone()), environment.clone(), Some(*probe))
            }
            ledger::Replay::Nowhere { learner, environment } => ("nowhere", Some(learner.clone()), environment.clone(), None),
        };
        Replay { place, learner, environment, probe }
    }
}

/// One difference.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Finding {
    /// The file.
    pub file: String,
    /// The byte; `None` where none can be named.
    pub offset: Option<u64>,
    /// What is wrong.
    pub what: String,
}

impl From<&verify::Finding> for Finding {
    fn from(finding: &verify::Finding) -> Finding {
        Finding { file: finding.path.display().to_string(), offset: finding.offset, what: finding.what.clone() }
    }
}

impl From<&Verdict> for Verified {
    fn from(verdict: &Verdict) -> Verified {
        Verified {
            same: verdict.findings.is_empty(),
            files: verdict.files,
            bytes: verdict.bytes,
            retrained: verdict.retrained,
            stopped: verdict.stopped,
            by_construction: verdict.by_construction,
            by_replay: verdict.by_replay(),
            replay: verdict.replay.as_ref().map(Replay::from),
            findings: verdict.findings.iter().map(Finding::from).collect(),
            notes: verdict.notes.clone(),
        }
    }
}
