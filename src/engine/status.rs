//! `sisa status`: what is there, what serves, what is missing.

use rayon::prelude::*;

use super::{Engine, Error};
use crate::{
    ids::{Cell, GenerationId, Part, RecipeId, ShardId},
    ledger::ExportRecord,
    order::Batches,
    schema::Cohorts,
    train::ShardPlan,
    workspace::{Current, Snapshot},
};

/// One slice and the checkpoint of its step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct CellStatus {
    /// Rows of the slice.
    pub rows: u64,
    /// Bytes of the step's checkpoint; `None` where it is missing.
    pub checkpoint_bytes: Option<u64>,
    /// Whether the recipe keeps a checkpoint of the step.
    pub kept: bool,
}

/// One shard.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ShardStatus {
    /// Which.
    pub shard: ShardId,
    /// The cohort whose records it has, or `others` where they are of none; `None` where there are no cohorts.
    pub cohort: Option<String>,
    /// The step that serves; 0 when the shard has no vote. Until a batch is trained it may be one of the slices from before it.
    pub serves: u32,
    /// Whether it has full weight.
    pub full: bool,
    /// Its slices, in order.
    pub cells: Vec<CellStatus>,
    /// Rows held out.
    pub held_out: u64,
}

/// A workspace at one moment.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Status {
    /// What is in service.
    pub serving: Current,
    /// Its shards.
    pub shards: Vec<ShardStatus>,
    /// Generations and recipes that are being built beside it.
    pub beside: Vec<(GenerationId, RecipeId)>,
    /// Requests in effect and not repaired.
    pub unrepaired: Vec<String>,
    /// How many batches of records there are; the first is the import.
    pub batches: u32,
    /// The batches of every slice behind those of the import, in order.
    pub later: Vec<Batches>,
    /// Copies of models that left, oldest first.
    pub exports: Vec<ExportRecord>,
    /// Handles that imports refuse.
    pub suppressed: usize,
    /// The ledger's last entry.
    pub ledger_entries: u64,
    /// Row-passes that are missing.
    pub missing_row_passes: u64,
    /// Row-passes of training everything.
    pub full_row_passes: u64,
}

impl ShardStatus {
    /// Whether it has records to learn from: a shard of a cohort that is expired, or has not begun, has none, and never a vote.
    pub fn has_rows(&self) -> bool {
        self.cells.iter().any(|cell| cell.rows > 0)
    }
}

impl Status {
    /// Whether every step exists.
    pub fn complete(&self) -> bool {
        self.shards.iter().all(|s| s.cells.iter().all(|c| c.checkpoint_bytes.is_some() || !c.kept))
    }
}

impl Engine {
    /// Looks at the workspace; changes nothing.
    ///
    /// # Errors
    /// Nothing is in service, or the workspace is damaged.
    pub fn status(&self) -> Result<Status, Error> {
        Ok(self.at_one_moment(|snapshot| self.status_of(snapshot))?.1)
    }

    fn status_of(&self, snapshot: &Snapshot) -> Result<Status, Error> {
        let (current, record) = self.workspace.serving(snapshot)?;
        let model = self.workspace.model(current.generation, record, &current.recipe)?;
        let mut status = Status {
            serving: current.clone(),
            shards: Vec::new(),
            beside: Vec::new(),
            unrepaired: snapshot.history.unrepaired().iter().map(|r| r.accepted.request.clone()).collect(),
            batches: record.batches,
            later: record.cells.chain().later().to_vec(),
            exports: snapshot.history.exports().to_vec(),
            suppressed: self.workspace.ledger().handles(&snapshot.history)?.count_suppressed()?,
            ledger_entries: snapshot.history.head.sequence,
            missing_row_passes: 0,
            full_row_passes: 0,
        };
        // Most of the time goes into asking the disk for every checkpoint's size.
        let shards: Vec<ShardId> = model.shards.grid().shards().collect();
        let plans = self
            .threads
            .answering()?
            .install(|| shards.par_iter().map(|shard| model.outlook(*shard, true)).collect::<Result<Vec<_>, _>>())?;
        let cohorts = self.workspace.partition(current.generation, record)?.cohort;
        for (shard, plan) in shards.into_iter().zip(plans) {
            status.missing_row_passes += plan.missing_row_passes(&model.recipe);
            status.full_row_passes += plan.row_passes(&model.recipe);
            let holdout = Cell { shard, part: Part::Holdout };
            let held_out = match record.cells.rows(&holdout) {
                Some(rows) => rows,
                None => model.shards.header(holdout)?.rows,
            };
            let block = model.shards.grid().block(shard);
            let cohort = cohorts.as_ref().map(|cohorts: &Cohorts| cohorts.name(block).unwrap_or_else(|| "others".into()));
            status.shards.push(ShardStatus { cohort, ..shard_status(&plan, held_out) });
        }
        for (generation, record) in &snapshot.history.generations {
            let beside = record.recipes.iter().filter(|r| *generation != current.generation || r.recipe != current.recipe);
            status.beside.extend(beside.map(|r| (*generation, r.recipe.clone())));
        }
        Ok(status)
    }
}

fn shard_status(plan: &ShardPlan, held_out: u64) -> ShardStatus {
    let serves = plan.serving().next();
    ShardStatus {
        shard: plan.shard,
        cohort: None,
        serves: serves.map_or(0, |(step, _, _)| step),
        full: serves.is_some_and(|(_, _, full)| full),
        cells: plan
            .rows
            .iter()
            .zip(plan.present.iter().zip(&plan.kept))
            .map(|(rows, (present, kept))| CellStatus { rows: *rows, checkpoint_bytes: *present, kept: *kept })
            .collect(),
        held_out,
    }
}
