//! `sisa verify`: everything is looked at again.

use std::path::{Path, PathBuf};

use super::{Engine, Error, Observer, observe::TrainingWatch};
use crate::{
    digest::Digest,
    ids::ShardId,
    ledger::Replay,
    receipt::{CLAIMS_BEFORE, RECEIPT_FORMAT, Receipt},
    train::ThreadShare,
    verify::{Finding, Verdict, quick, retrain},
    workspace::{Purpose, Snapshot, WorkspaceError},
};

/// What is to be looked at again.
#[derive(Clone, Debug, Default)]
pub struct VerifyRequest {
    /// Train everything again and compare.
    pub retrain: bool,
    /// Train only this many shards again.
    pub sample: Option<u32>,
    /// Receipts that the ledger must agree with.
    pub receipts: Vec<PathBuf>,
}

/// What is said where there is nothing to compare.
const NOT_REPLAYED: &str = "nothing was trained again: the learner is recorded as not replayable, so other bytes would say nothing. What can be compared \
     was: every byte against its digest, every state's name against the slices that it was trained on, every slice against the ledger";

/// How often it is looked again because somebody was at work, before verification gives up.
const LOOKS: usize = 5;

impl Engine {
    /// Looks at everything again; changes nothing but a scratch folder of its own.
    ///
    /// # Errors
    /// The disk refuses, the workspace moved on, or the person asked to stop. What is wrong is in the verdict.
    pub fn verify(&self, request: &VerifyRequest, observer: &dyn Observer) -> Result<Verdict, Error> {
        let (mut verdict, snapshot) = self.quick()?;
        verdict.by_construction = verdict.findings.is_empty();
        for path in &request.receipts {
            self.check_receipt(path, &mut verdict)?;
        }
        let Some(snapshot) = snapshot else { return Ok(verdict) };
        if let Some(current) = snapshot.current.as_ref().filter(|_| verdict.by_construction) {
            let (_, record) = self.workspace.serving(&snapshot)?;
            let recipe = self.workspace.recipe(current.generation, record, &current.recipe).map_err(Error::from);
            verdict.replay = Some(self.if_still(&snapshot, recipe)?.replay());
        }
        let sound = request.retrain && verdict.findings.is_empty();
        if sound && matches!(verdict.replay, Some(Replay::Nowhere { .. })) {
            verdict.notes.push(NOT_REPLAYED.into());
        } else if sound && verdict.replay.is_some() {
            let model = self.if_still(&snapshot, self.workspace.serving_model(&snapshot).map_err(Error::from))?;
            let mut shards: Vec<ShardId> = model.shards.grid().shards().collect();
            if let Some(sample) = request.sample {
                // Which ones changes with every entry of the ledger, and anyone can tell which.
                let draw =
                    |s: &ShardId| Digest::derive("sisa 1 verify sample", &[&snapshot.history.head.digest.0, &s.0.to_le_bytes()]);
                shards.sort_by_key(draw);
                shards.truncate(sample as usize);
                shards.sort();
            }
            let (mut total, mut steps) = (0, 0);
            for shard in &shards {
                let plan = self.if_still(&snapshot, model.plan(*shard).map_err(Error::from))?;
                total += plan.row_passes(&model.recipe);
                steps += u64::from(model.shards.grid().slices);
            }
            let watch = TrainingWatch::new(observer, total, steps);
            let scratch = self.workspace.scratch(Purpose::Verify)?;
            // A deletion that is accepted from here on finds the folder and takes it away.
            self.workspace.still(&snapshot)?;
            let share = ThreadShare::new(self.threads());
            let done = self.threads.training().install(|| retrain(&model, scratch, &shards, &share, &watch, &mut verdict));
            // A deletion that came in between took the scratch folder away, and is the better explanation.
            self.workspace.still(&snapshot)?;
            if !done? {
                return Err(Error::Interrupted);
            }
        }
        self.workspace.still(&snapshot)?;
        Ok(verdict)
    }

    /// The quick check. What is half done by somebody at work looks like damage, so whatever is found then is looked at again, and what is
    /// found when nobody seems to be has to be found twice: somebody may have swept in between.
    fn quick(&self) -> Result<(Verdict, Option<Snapshot>), Error> {
        let mut last: Option<Vec<Finding>> = None;
        for _ in 0..LOOKS {
            let before = self.workspace.is_written(self.wait)?;
            // Of a ledger that can't be read nothing can be said to have moved.
            let seen = self.workspace.snapshot().ok();
            let looked = quick(&self.workspace);
            let moved = seen.is_some_and(|snapshot| self.workspace.still(&snapshot).is_err());
            let sound = looked.as_ref().is_ok_and(|(verdict, _)| verdict.findings.is_empty());
            let busy = before || self.workspace.is_written(false)?;
            if moved || (busy && !sound) {
                continue;
            }
            match looked {
                Ok((verdict, _)) if !sound && last.as_ref() != Some(&verdict.findings) => last = Some(verdict.findings),
                looked => return Ok(looked?),
            }
        }
        Err(WorkspaceError::MovedOn.into())
    }

    /// The ledger must hold the entry that the receipt names, and what the receipt says of the request.
    fn check_receipt(&self, path: &Path, verdict: &mut Verdict) -> Result<(), Error> {
        let bytes = self.workspace.files().read(path)?;
        let mut find = |what: String| verdict.findings.push(Finding { path: path.to_owned(), offset: None, what });
        let receipt: Receipt = match serde_json::from_slice(&bytes) {
            Ok(receipt) => receipt,
            Err(e) => {
                find(format!("this is not a receipt ({e}); a signed one is checked by its signature instead"));
                return Ok(());
            }
        };
        let mut at = None;
        let read = self.workspace.ledger().read_entries(|entry, digest| {
            if entry.sequence == receipt.ledger_sequence {
                at = Some(digest);
            }
        });
        // The quick check has reported a damaged ledger already.
        let Ok((requests, _)) = read.and_then(|_| self.workspace.ledger().requests()) else { return Ok(()) };
        if at != Some(receipt.ledger_digest) {
            find(format!(
                "the receipt was made when the ledger had {} entries, the last with digest {}; the ledger does not have that entry now",
                receipt.ledger_sequence, receipt.ledger_digest
            ));
        }
        match requests.iter().find(|r| r.accepted.request == receipt.request) {
            None => find(format!("the ledger does not know request `{}`", receipt.request)),
            Some(record) => {
                let head = crate::ledger::Head { sequence: receipt.ledger_sequence, digest: receipt.ledger_digest };
                let mut expected = Receipt::new(record, head).in_format(receipt.format);
                if receipt.format < RECEIPT_FORMAT && CLAIMS_BEFORE.contains(&receipt.claim.as_str()) {
                    expected.claim.clone_from(&receipt.claim);
                }
                // A receipt made before the repair says less than the ledger does now.
                let same = if receipt.repaired_at.is_some() { expected == receipt } else { before_repair(expected) == receipt };
                if !same {
                    find("the receipt does not say what the ledger says of the request".into());
                }
            }
        }
        Ok(())
    }
}

/// A receipt as it was before the repair.
fn before_repair(receipt: Receipt) -> Receipt {
    Receipt {
        replay: None,
        repaired_at: None,
        repair_seconds: None,
        repaired_together: Vec::new(),
        shards: Vec::new(),
        lineages: Vec::new(),
        lineages_root: None,
        actual: None,
        full_retrain_seconds: None,
        ..receipt
    }
}
