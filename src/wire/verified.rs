use serde::Serialize;

use crate::verify::{self, Verdict};

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
    /// What is wrong.
    pub findings: Vec<Finding>,
    /// Sentences about what is not wrong and still worth saying.
    pub notes: Vec<String>,
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
            findings: verdict.findings.iter().map(Finding::from).collect(),
            notes: verdict.notes.clone(),
        }
    }
}
