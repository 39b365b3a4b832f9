use serde::Serialize;

use crate::{
    digest::Digest,
    engine::ExportReport,
    ledger::{ExportFormat, ExportRecord, ExportSeen},
};

/// A copy of what is in service was written to a file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "type", rename = "exported")]
#[non_exhaustive]
pub struct Exported {
    /// The file.
    pub path: String,
    /// Its bytes.
    pub bytes: u64,
    /// What the ledger says of it.
    #[serde(flatten)]
    pub export: Export,
    /// Constituents that vote in it.
    pub members: usize,
    /// Those of them that are whole.
    pub whole: usize,
    /// How many shards there are.
    pub shards: u32,
}

/// A copy, as the ledger tells it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Export {
    /// The number of its entry in the ledger.
    pub entry: u64,
    /// When that was written.
    pub time: String,
    /// The form of the file: `onnx` or `safetensors`.
    pub format: ExportFormat,
    /// The BLAKE3 digest of the file's bytes.
    pub digest: Digest,
    /// The generation that was in service, as its folder is named.
    pub generation: String,
    /// The recipe that was in service.
    pub recipe: String,
    /// Root digest of the records.
    pub records: Digest,
    /// Requests since that took away records which it saw, or may have seen.
    pub requests: u64,
}

/// A copy that saw what a request takes away.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct SeenBy {
    /// The number of its entry in the ledger.
    pub entry: u64,
    /// When that was written.
    pub time: String,
    /// The form of the file: `onnx` or `safetensors`.
    pub format: ExportFormat,
    /// The BLAKE3 digest of the file's bytes.
    pub digest: Digest,
    /// Whether that it saw a record is known; not where its generation is gone.
    pub certain: bool,
}

impl From<&ExportRecord> for Export {
    fn from(record: &ExportRecord) -> Export {
        let exported = &record.exported;
        Export {
            entry: record.sequence,
            time: record.time.clone(),
            format: exported.format,
            digest: exported.digest,
            generation: exported.generation.to_string(),
            recipe: exported.recipe.to_string(),
            records: exported.records,
            requests: record.requests,
        }
    }
}

impl From<&ExportReport> for Exported {
    fn from(report: &ExportReport) -> Exported {
        let (members, whole, shards) = report.members;
        let path = report.path.display().to_string();
        Exported { path, bytes: report.bytes, export: Export::from(&report.record), members, whole, shards }
    }
}

impl SeenBy {
    pub(super) fn all(seen: &[ExportSeen]) -> Vec<SeenBy> {
        let one = |s: &ExportSeen| SeenBy {
            entry: s.entry,
            time: s.time.clone(),
            format: s.format,
            digest: s.digest,
            certain: s.certain,
        };
        seen.iter().map(one).collect()
    }
}
