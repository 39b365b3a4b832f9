//! The full check: train from the slices in a scratch folder and compare every byte.

use super::Verdict;
use crate::{
    checkpoint::CheckpointStore,
    ids::{ShardId, SliceId},
    train::{Model, ThreadShare, TrainError, Watch, train},
    workspace::ScratchDir,
};

/// Trains `shards` of a model again from nothing, in a folder of its own, and compares every checkpoint byte by byte; `false` if the
/// person stopped it.
///
/// # Errors
/// A slice is damaged, or the disk refuses (also because a deletion took the scratch folder away).
pub fn retrain(
    model: &Model,
    folder: ScratchDir,
    shards: &[ShardId],
    pool: &ThreadShare,
    watch: &dyn Watch,
    verdict: &mut Verdict,
) -> Result<bool, TrainError> {
    let scratch = model.with_checkpoints(CheckpointStore::new(folder.files().clone(), folder.dir().to_owned()))?;
    let outcome = (|| {
        let plans = shards.iter().map(|shard| scratch.plan(*shard)).collect::<Result<Vec<_>, _>>()?;
        let report = train(&scratch, plans, pool, watch)?;
        if report.interrupted() {
            return Ok(false);
        }
        // A worker that failed says nothing of the bytes that are there.
        let stopped: Vec<(ShardId, &str)> = report.diverged().filter(|_| model.recipe.learner.is_external()).collect();
        for shard in shards {
            let why = stopped.iter().find(|(stopped, _)| stopped == shard).map(|(_, why)| *why);
            compare(model, &scratch, *shard, why, verdict)?;
        }
        Ok(true)
    })();
    // What was trained here saw every record; it must not outlive the comparison.
    folder.remove()?;
    outcome
}

/// Compares all steps of a shard, present or not, on either side; `stopped` is why a worker did not get to its end.
fn compare(
    model: &Model,
    scratch: &Model,
    shard: ShardId,
    stopped: Option<&str>,
    verdict: &mut Verdict,
) -> Result<(), TrainError> {
    if let Some(why) = stopped {
        verdict.notes.push(format!("shard {shard} was not trained again to its end: {why}"));
    }
    let plan = model.plan(shard)?;
    for step in 1..=plan.rows.len() as u32 {
        let Some(lineage) = plan.lineage(step) else { continue };
        let ours = model.checkpoints.path(shard, SliceId(step), lineage);
        let anew = scratch.checkpoints.bytes(shard, SliceId(step), lineage)?;
        let kept = model.checkpoints.bytes(shard, SliceId(step), lineage)?;
        match (anew, kept) {
            (Some(anew), Some(kept)) => {
                verdict.retrained += 1;
                if let Some(at) = first_difference(&anew, &kept) {
                    verdict.find(ours, Some(at), "training again gives another byte here");
                }
            }
            (Some(_), None) => verdict.notes.push(format!("step {step} of shard {shard} is not trained yet")),
            (None, Some(_)) if stopped.is_some() => verdict.stopped += 1,
            (None, Some(_)) => {
                verdict.find(ours, None, "training again does not get this far (it diverges), and yet the file is there")
            }
            (None, None) => {}
        }
    }
    Ok(())
}

/// Where two files differ first: a byte, or the end of the shorter.
fn first_difference(a: &[u8], b: &[u8]) -> Option<u64> {
    let differs = a.iter().zip(b).position(|(a, b)| a != b);
    differs.or((a.len() != b.len()).then_some(a.len().min(b.len()))).map(|at| at as u64)
}
