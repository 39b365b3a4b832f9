//! Cost before, closing after. The work between is training.

use std::collections::{BTreeMap, BTreeSet};

use super::DeleteError;
use crate::{
    digest::Digest,
    ids::{Cell, GenerationId, Part, ShardId},
    ledger::{CellChange, Cost, Event, GenerationRecord, History, Repaired, RequestRecord, ShardRepair},
    train::{Model, Report, lineages},
    workspace::{Current, Snapshot, Workspace, Writing},
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
    let mut changes: BTreeMap<Cell, (u64, u64)> = BTreeMap::new();
    for change in cells.iter().filter(|c| c.generation == current.generation) {
        changes.insert(change.cell, (change.records, change.come));
    }
    let abilities = model.learner.abilities();
    let carries = abilities.downdate && (abilities.extend || changes.values().all(|(_, come)| *come == 0));
    let mut cost = Cost::default();
    for shard in model.shards.grid().shards() {
        let mut plan = model.outlook(shard, false)?;
        let mut hit = false;
        for (step, (rows, present)) in model.shards.grid().slices().zip(plan.rows.iter_mut().zip(&mut plan.present)) {
            if let Some((gone, come)) = changes.get(&Cell { shard, part: Part::Slice(step) }) {
                *rows = rows.saturating_sub(*gone).saturating_add(*come);
                hit = true;
            }
            // A state that rows can be taken out of, and put in, is not trained again.
            if hit && !carries {
                *present = None;
            }
        }
        cost.row_passes += plan.missing_row_passes(&model.recipe);
        cost.full_row_passes += plan.row_passes(&model.recipe);
    }
    Ok(cost)
}

/// Records that the requests in effect are repaired whose shards are whole. `whole` are shards that are
/// whole and durable now and that the ledger does not call so yet, with the lineage keys of their last steps. Returns `None` when
/// there was nothing to record.
///
/// # Errors
/// The disk refuses.
pub fn close(
    writing: &mut Writing,
    model: &Model,
    whole: &BTreeMap<ShardId, Digest>,
    current: &Current,
    report: &Report,
) -> Result<Option<Repair>, DeleteError> {
    let history = writing.history();
    let Some(record) = history.generations.get(&current.generation) else { return Ok(None) };
    let closing: Vec<&RequestRecord> =
        history.unrepaired().into_iter().filter(|request| is_whole(request, record, current, whole)).collect();
    if closing.is_empty() {
        return Ok(None);
    }
    let mut touched: BTreeSet<ShardId> = whole.keys().copied().collect();
    touched.extend(closing.iter().flat_map(|request| shards_of(request, current.generation)));
    let did = |shard: ShardId| report.shards.iter().find(|s| s.shard == shard);
    let mut shards = Vec::new();
    for shard in touched {
        let now = record.cells.slices_of(shard);
        // How the slices were before the first of these requests; if a batch came since, the shard's last step before it says.
        let grew = closing.iter().any(|request| request.sequence < record.appended_at);
        let mut before = now.to_vec();
        for change in closing.iter().rev().flat_map(|r| &r.accepted.cells) {
            if let Part::Slice(slice) = change.cell.part
                && (change.generation, change.cell.shard) == (current.generation, shard)
                && let Some(digest) = before.get_mut((slice.0 as usize).saturating_sub(1))
            {
                *digest = change.before;
            }
        }
        let last = |slices: &[Digest]| lineages(&model.root, shard, slices.iter().copied()).last().copied();
        let known = record.durable.get(&current.recipe).and_then(|d| d.lineages.get(shard.0 as usize)).copied();
        let before = if grew { known } else { last(&before) };
        let (Some(before), Some(after)) = (before, last(now)) else { continue };
        let did = did(shard);
        shards.push(ShardRepair {
            shard,
            from_step: did.map_or(model.shards.grid().slices, |d| d.from_step),
            before,
            after,
            steps: did.map_or(0, |d| d.steps),
            row_passes: did.map_or(0, |d| d.row_passes),
        });
    }
    let root = history.lineages_root(current.generation, &current.recipe, shards.iter().map(|s| (s.shard, s.after)));
    let repaired = Repaired {
        requests: closing.iter().map(|r| r.accepted.request.clone()).collect(),
        generation: current.generation,
        recipe: current.recipe.clone(),
        shards,
        root,
        lineages: Vec::new(),
        actual: Cost { row_passes: report.row_passes(), full_row_passes: model.row_passes()? },
        seconds: report.seconds,
        replay: model.recipe.replay(),
    };
    writing.append(Event::Repaired(repaired.clone()))?;
    writing.workspace().files().reached("repaired");
    Ok(Some(repaired))
}

/// Whether requests wait that can be closed now; arguments as of [`close`].
pub fn can_close(history: &History, whole: &BTreeMap<ShardId, Digest>, current: &Current) -> bool {
    let Some(record) = history.generations.get(&current.generation) else { return false };
    history.unrepaired().into_iter().any(|request| is_whole(request, record, current, whole))
}

/// The shards of a generation whose states a request touches.
fn shards_of(request: &RequestRecord, generation: GenerationId) -> impl Iterator<Item = ShardId> {
    let changes = request.accepted.cells.iter().filter(move |c| c.generation == generation);
    changes.filter(|c| c.cell.part != Part::Holdout).map(|c| c.cell.shard)
}

/// Whether all shards of a request are whole.
fn is_whole(request: &RequestRecord, record: &GenerationRecord, current: &Current, whole: &BTreeMap<ShardId, Digest>) -> bool {
    shards_of(request, current.generation).all(|shard| whole.contains_key(&shard) || record.is_whole(&current.recipe, shard))
}
