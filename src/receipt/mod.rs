//! Receipts: what was asked, what was done, and what everything is named now.
//!
//! Made from the ledger alone. The JSON schema is in docs/RECEIPT.md.

mod dsse;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

pub use dsse::{Envelope, PREDICATE_TYPE, PublicKey, SealError, SigningKey, public_key_file, secret_key_file};

use crate::{
    digest::Digest,
    ledger::{CellChange, Cost, ExportSeen, Outcome, Replay, RequestRecord, ShardRepair},
};

/// The version of receipts.
pub const RECEIPT_FORMAT: u32 = 3;

/// What is claimed, in every receipt.
pub const CLAIM: &str = "By construction, from its effect on: no slice holds a deleted record, or what a record held before its correction; every checkpoint is \
     named by the slices that it was trained on, and those that saw such a record are gone. By replay, once repaired, where `replay` says: every slice file \
     and every checkpoint of the generation and recipe in service is bit-identical to importing the remaining records as they were \
     corrected, appending those of later batches in order, and training from scratch with the same keys and recipe; anyone who holds the \
     workspace can replay it there (`sisa verify --retrain`).";

/// What was claimed before: before a receipt said which of the two claims holds where, before records could be corrected, and before batches could be
/// appended. Such receipts hold on.
pub const CLAIMS_BEFORE: [&str; 3] = [CLAIM_OF_CORRECTIONS, CLAIM_OF_BATCHES, CLAIM_OF_ONE_IMPORT];

const CLAIM_OF_CORRECTIONS: &str = "Once repaired, every slice file and every checkpoint of the generation and recipe in service is bit-identical to importing \
     the remaining records as they were corrected, appending those of later batches in order, and training from scratch with the same keys \
     and recipe; anyone who holds the workspace can replay it (`sisa verify --retrain`).";

const CLAIM_OF_BATCHES: &str = "Once repaired, every slice file and every checkpoint of the generation and recipe in service is bit-identical to importing \
     the remaining records, appending those of later batches in order, and training from scratch with the same keys and recipe; anyone \
     who holds the workspace can replay it (`sisa verify --retrain`).";

const CLAIM_OF_ONE_IMPORT: &str = "Once repaired, every slice file and every checkpoint of the generation and recipe in service is bit-identical to importing \
     the remaining records and training from scratch with the same keys and recipe; anyone who holds the workspace can replay it \
     (`sisa verify --retrain`).";

/// What is not claimed, in every receipt.
pub const NOT_CLAIMED: &str = "Not claimed: anything about copies outside the workspace (the source, backups, exports, freed disk blocks), about models \
     published before the deletion, or about requests chosen by looking at published models (`sisa rekey` is the remedy).";

/// The receipt of one request.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Receipt {
    /// [`RECEIPT_FORMAT`].
    pub format: u32,
    /// [`CLAIM`].
    pub claim: String,
    /// [`NOT_CLAIMED`].
    pub not_claimed: String,
    /// Whether it holds by construction: it is in effect. Left out before format 3.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by_construction: Option<bool>,
    /// Where it holds by replay; left out before the repair, and before format 3.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replay: Option<Replay>,
    /// The request's name.
    pub request: String,
    /// When it was accepted (UTC).
    pub accepted_at: String,
    /// When it came into effect (UTC).
    pub effective_at: Option<String>,
    /// Seconds from acceptance to effect.
    pub effective_seconds: Option<f64>,
    /// When it was repaired (UTC).
    pub repaired_at: Option<String>,
    /// Seconds of training that the repair took, with the requests repaired together.
    pub repair_seconds: Option<f64>,
    /// Requests repaired together.
    pub repaired_together: Vec<String>,
    /// What became of every id, by handle.
    pub outcomes: Vec<Outcome>,
    /// Every slice file that changed.
    pub cells: Vec<CellChange>,
    /// Checkpoint files that were purged, relative to the workspace.
    pub purged: Vec<String>,
    /// Copies of models that saw what went, by the ledger's entries of them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub exports: Vec<ExportSeen>,
    /// What was trained again.
    pub shards: Vec<ShardRepair>,
    /// One digest over the lineage keys of the last steps of all shards that were whole after the repair.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lineages_root: Option<Digest>,
    /// The lineage key of every shard's last step after the repair, in format 1.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub lineages: Vec<Digest>,
    /// Root digests of all slice files, by generation, when it came into effect.
    #[serde(with = "crate::ids::by_name")]
    pub roots: BTreeMap<crate::ids::GenerationId, Digest>,
    /// Row-passes predicted at acceptance.
    pub predicted: Cost,
    /// Row-passes taken.
    pub actual: Option<Cost>,
    /// Seconds that training everything again would have taken at the repair's speed.
    pub full_retrain_seconds: Option<f64>,
    /// The number of the ledger's last entry when the receipt was made.
    pub ledger_sequence: u64,
    /// Its digest.
    pub ledger_digest: Digest,
}

impl Receipt {
    /// The receipt of a request, given the ledger's head.
    pub fn new(record: &RequestRecord, head: crate::ledger::Head) -> Receipt {
        let accepted = &record.accepted;
        let effective = record.effective.as_ref();
        let repaired = record.repaired.as_ref();
        let actual = repaired.map(|r| r.1.actual);
        let full_retrain_seconds = repaired.and_then(|(_, r)| {
            let passes = r.actual.row_passes;
            (passes > 0).then(|| r.seconds * r.actual.full_row_passes as f64 / passes as f64)
        });
        Receipt {
            format: RECEIPT_FORMAT,
            claim: CLAIM.into(),
            not_claimed: NOT_CLAIMED.into(),
            by_construction: Some(effective.is_some()),
            replay: repaired.map(|r| r.1.replay.clone()),
            request: accepted.request.clone(),
            accepted_at: record.accepted_at.clone(),
            effective_at: effective.map(|e| e.0.clone()),
            effective_seconds: effective.map(|e| e.1.seconds),
            repaired_at: repaired.map(|r| r.0.clone()),
            repair_seconds: repaired.map(|r| r.1.seconds),
            repaired_together: repaired.map(|r| r.1.requests.clone()).unwrap_or_default(),
            outcomes: accepted.outcomes.clone(),
            cells: accepted.cells.clone(),
            purged: accepted.purge.clone(),
            exports: accepted.exports.clone(),
            shards: repaired.map(|r| r.1.shards.clone()).unwrap_or_default(),
            lineages_root: repaired.and_then(|r| r.1.root),
            lineages: repaired.map(|r| r.1.lineages.clone()).unwrap_or_default(),
            roots: effective.map(|e| e.1.roots.clone()).unwrap_or_default(),
            predicted: accepted.predicted,
            actual,
            full_retrain_seconds,
            ledger_sequence: head.sequence,
            ledger_digest: head.digest,
        }
    }

    /// The same as an older format has it: without what only later ones say.
    #[must_use]
    pub fn in_format(self, format: u32) -> Receipt {
        if format >= RECEIPT_FORMAT {
            return self;
        }
        Receipt { format, by_construction: None, replay: None, ..self }
    }

    /// The receipt as JSON.
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = serde_json::to_vec_pretty(self).unwrap_or_default();
        bytes.push(b'\n');
        bytes
    }
}
