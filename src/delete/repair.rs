//! Cost before, closing after. The work between is training.

use std::collections::{BTreeMap, BTreeSet};

use super::DeleteError;
use crate::{
    digest::Digest,
    ids::{Cell, Part, ShardId},
    ledger::{CellChange, Cost, Event, History, Repaired, ShardRepair},
    train::{Model, Report, ShardPlan, lineages_of},
    workspace::{Snapshot, Workspace, WriterLock},
};

/// What a repair did, once it is in the ledger.
pub type Repair = Repaired;

/// The row-passes that repairing `cells` and what is missing already will take, and those of training everything anew;
/// counted from the schedule on the actual cells of the generation in service.
///
/// # Errors
/// A slice header can't be read.
pub fn predicted(workspace: &Workspace, snapshot: &Snapshot, cells: &[CellChange]) -> Result<Cost, DeleteError> {
    let Some(current) = &snapshot.current else { return Ok(Cost::default()) };
    let model = workspace.serving_model(snapshot)?;
    let mut gone: BTreeMap<Cell, u64> = BTreeMap::new();
    for change in cells.iter().filter(|c| c.generation == current.generation) {
        gone.insert(change.cell, change.records);
    }
    let mut cost = Cost::default();
    for shard in model.shards.grid().shards() {
        let mut plan = model.plan(shard)?;
        let mut hit = false;
        for (step, (rows, present)) in model.shards.grid().slices().zip(plan.rows.iter_mut().zip(&mut plan.present)) {
            if let Some(records) = gone.get(&Cell { shard, part: Part::Slice(step) }) {
                *rows -= records;
                hit = true;
            }
            // A state that rows can be taken out of is not trained again.
            if hit && !model.learner.abilities().downdate {
                *present = None;
            }
        }
        cost.row_passes += plan.missing_row_passes(&model.recipe);
        cost.full_row_passes += plan.row_passes(&model.recipe);
    }
    Ok(cost)
}

/// Records that all requests in effect are repaired. The caller holds the writer lock; `plans` are those of all shards, whole and durable.
/// Returns `None` when there was nothing to record.
///
/// # Errors
/// The disk refuses.
pub fn close(
    workspace: &Workspace,
    _lock: &WriterLock,
    history: &mut History,
    model: &Model,
    plans: &[ShardPlan],
    current: &crate::workspace::Current,
    report: &Report,
) -> Result<Option<Repair>, DeleteError> {
    let requests: Vec<String> = history.unrepaired().iter().map(|r| r.accepted.request.clone()).collect();
    if requests.is_empty() {
        return Ok(None);
    }
    let Some(record) = history.generations.get(&current.generation) else { return Ok(None) };
    // How the slices were before the first of these requests.
    let mut before: BTreeMap<Cell, Digest> = record.cells.clone();
    let mut touched: BTreeSet<ShardId> = report.shards.iter().map(|s| s.shard).collect();
    for request in history.unrepaired().iter().rev() {
        for change in request.accepted.cells.iter().filter(|c| c.generation == current.generation) {
            before.insert(change.cell, change.before);
            if change.cell.part != Part::Holdout {
                touched.insert(change.cell.shard);
            }
        }
    }
    let last = |shard: ShardId, cells: &BTreeMap<Cell, Digest>| {
        lineages_of(&model.root, shard, cells).last().copied().unwrap_or(Digest([0; 32]))
    };
    let mut shards = Vec::new();
    for shard in touched {
        let did = report.shards.iter().find(|s| s.shard == shard);
        shards.push(ShardRepair {
            shard,
            from_step: did.map_or(model.shards.grid().slices, |d| d.from_step),
            before: last(shard, &before),
            after: last(shard, &record.cells),
            steps: did.map_or(0, |d| d.steps),
            row_passes: did.map_or(0, |d| d.row_passes),
        });
    }
    let full = plans.iter().map(|p| p.row_passes(&model.recipe)).sum();
    let repaired = Repaired {
        requests,
        generation: current.generation,
        recipe: current.recipe.clone(),
        shards,
        lineages: plans.iter().filter_map(|p| p.lineages.last().copied()).collect(),
        actual: Cost { row_passes: report.row_passes(), full_row_passes: full },
        seconds: report.seconds,
    };
    workspace.ledger().append(history, Event::Repaired(repaired.clone()))?;
    workspace.files().reached("repaired");
    Ok(Some(repaired))
}
