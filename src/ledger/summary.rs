//! What the entries before a folder add up to, in files of their own, so that they need not be read again.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

use super::{
    BatchRecord, Durable, ExportRecord, GenerationRecord, Head, History, Imported, LedgerError, RecipeFrozen, RequestRecord,
    Switched,
    handles::{HANDLE_RECORD, Touched},
    history::Requests,
    table,
};
use crate::{
    digest::Digest,
    fs::{Durability, Files},
    ids::{Handle, RecipeId},
    shard::Cells,
};

const SUMMARY_FORMAT: u32 = 1;
/// The name's hash and the digest of the request's ids.
pub(super) const REQUEST_RECORD: usize = 48;
pub(super) const SUMMARY: &str = "summary.json";
pub(super) const HANDLES: &str = "handles.table";
pub(super) const REQUESTS: &str = "requests.table";

/// `summary.json`.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Summary {
    format: u32,
    sequence: u64,
    head: Digest,
    sealed: bool,
    last_generation: u32,
    serving: Option<Switched>,
    generations: Vec<Generation>,
    open: Vec<RequestRecord>,
    /// Copies of models that left.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    exports: Vec<ExportRecord>,
    /// Names `handles.table`.
    handles: Digest,
    /// Names `requests.table`.
    requests: Digest,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Generation {
    imported: Imported,
    /// Of `g0001.cells`.
    cells: Digest,
    recipes: Vec<RecipeFrozen>,
    /// Of `g0001-RECIPE.durable`, by recipe.
    durable: BTreeMap<RecipeId, Digest>,
    /// Of a generation that batches came to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    later: Option<LaterBatches>,
}

/// The batches after the import.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct LaterBatches {
    batches: u32,
    appended: BTreeMap<String, BatchRecord>,
    placing: bool,
    appended_at: u64,
}

/// The key of a request's name in the table.
pub(super) fn request_key(name: &str) -> Handle {
    let mut key = [0; 16];
    key.iter_mut().zip(Digest::of(name.as_bytes()).0).for_each(|(to, from)| *to = from);
    Handle(key)
}

/// The files of the summary of a history, by name, `summary.json` last; `handles` and `requests` are the records of its tables.
pub(super) fn files_of(history: &History, handles: &[u8], requests: &[u8]) -> Vec<(String, Vec<u8>)> {
    let mut files = Vec::new();
    let mut generations = Vec::new();
    for (id, record) in &history.generations {
        let cells = record.cells.encode();
        let mut durable = BTreeMap::new();
        for (recipe, known) in &record.durable {
            let bytes = known.encode();
            durable.insert(recipe.clone(), Digest::of(&bytes));
            files.push((format!("{id}-{recipe}.durable"), bytes));
        }
        let (imported, recipes) = (record.imported.clone(), record.recipes.clone());
        let later = (record.batches > 1 || !record.appended.is_empty()).then(|| LaterBatches {
            batches: record.batches,
            appended: record.appended.clone(),
            placing: record.placing,
            appended_at: record.appended_at,
        });
        generations.push(Generation { imported, cells: Digest::of(&cells), recipes, durable, later });
        files.push((format!("{id}.cells"), cells));
    }
    let (handles, handles_name) = table::encode(HANDLE_RECORD, handles);
    let (requests, requests_name) = table::encode(REQUEST_RECORD, requests);
    files.push((HANDLES.into(), handles));
    files.push((REQUESTS.into(), requests));
    let mut open: Vec<RequestRecord> = history.open.values().cloned().collect();
    open.sort_by_key(|r| r.sequence);
    let summary = Summary {
        format: SUMMARY_FORMAT,
        sequence: history.head.sequence,
        head: history.head.digest,
        sealed: history.sealed,
        last_generation: history.last_generation,
        serving: history.serving.clone(),
        generations,
        open,
        exports: history.exports.clone(),
        handles: handles_name,
        requests: requests_name,
    };
    let mut bytes = serde_json::to_vec_pretty(&summary).unwrap_or_default();
    bytes.push(b'\n');
    files.push((SUMMARY.into(), bytes));
    files
}

/// Publishes them durably; returns the digest that names the summary.
pub(super) fn publish(files: &Files, dir: &Path, summary: &[(String, Vec<u8>)]) -> Result<Option<Digest>, LedgerError> {
    for (name, bytes) in summary {
        let _ = files.publish(&dir.join(name), &[bytes], Durability::Now)?;
    }
    Ok(summary.last().map(|(_, bytes)| Digest::of(bytes)))
}

/// Reads the summary in the folder `number` at `dir`, which an entry names by `digest`.
pub(super) fn read(files: &Files, dir: &Path, number: u64, digest: Digest) -> Result<History, LedgerError> {
    let bytes = named(files, dir.join(SUMMARY), digest)?;
    let damaged = |path: &Path, what: String| LedgerError::Damaged { path: path.to_owned(), offset: 0, what };
    let path = dir.join(SUMMARY);
    let summary: Summary = serde_json::from_slice(&bytes).map_err(|e| damaged(&path, format!("not a summary ({e})")))?;
    if summary.format != SUMMARY_FORMAT {
        return Err(damaged(&path, format!("format {} is not {SUMMARY_FORMAT}", summary.format)));
    }
    let mut generations = BTreeMap::new();
    for part in summary.generations {
        let id = part.imported.generation;
        let path = dir.join(format!("{id}.cells"));
        let cells = named(files, path.clone(), part.cells)?;
        let cells = Cells::decode(&cells).ok_or_else(|| damaged(&path, "it is not a file of cells".into()))?;
        let mut durable = BTreeMap::new();
        for (recipe, digest) in part.durable {
            let path = dir.join(format!("{id}-{recipe}.durable"));
            let known = Durable::decode(&named(files, path.clone(), digest)?, cells.shards());
            durable.insert(recipe, known.ok_or_else(|| damaged(&path, "it is not a file of durable steps".into()))?);
        }
        let (imported, recipes, as_of) = (part.imported, part.recipes, summary.sequence);
        let none = LaterBatches { batches: 1, appended: BTreeMap::new(), placing: false, appended_at: 0 };
        let LaterBatches { batches, appended, placing, appended_at } = part.later.unwrap_or(none);
        let record = GenerationRecord { imported, as_of, cells, recipes, durable, batches, appended, placing, appended_at };
        generations.insert(id, record);
    }
    Ok(History {
        head: Head { sequence: summary.sequence, digest: summary.head },
        generations,
        last_generation: summary.last_generation,
        serving: summary.serving,
        exports: summary.exports,
        open: summary.open.into_iter().map(|record| (record.accepted.request.clone(), record)).collect(),
        requests: Requests { base: Some((number, summary.requests)), since: BTreeMap::new() },
        handles: Touched { base: Some((number, summary.handles)), layers: Vec::new() },
        folder: None,
        sealed: summary.sealed,
        format: 0,
    })
}

/// A file's bytes, which must have this digest.
pub(super) fn named(files: &Files, path: PathBuf, digest: Digest) -> Result<crate::fs::Bytes, LedgerError> {
    let bytes = match files.read(&path) {
        Ok(bytes) => bytes,
        Err(e) if e.is_not_found() => return Err(LedgerError::Damaged { path, offset: 0, what: "the file is missing".into() }),
        Err(e) => return Err(e.into()),
    };
    let got = Digest::of(&bytes);
    if got == digest {
        return Ok(bytes);
    }
    let what = format!("its digest is {got}, the ledger says {digest}");
    Err(LedgerError::Damaged { path, offset: 0, what })
}
