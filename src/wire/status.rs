use serde::Serialize;

use super::Export;
use crate::{
    engine::{self, ShardStatus},
    predict::Aggregate,
};

/// A workspace at one moment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "type", rename = "status")]
#[non_exhaustive]
pub struct Status {
    /// The generation in service, as its folder is named.
    pub generation: String,
    /// The recipe in service.
    pub recipe: String,
    /// How scores of constituents become one.
    pub aggregate: Aggregate,
    /// Whether every step exists.
    pub complete: bool,
    /// Names of requests in effect and not repaired.
    pub unrepaired: Vec<String>,
    /// How many batches of records there are; the first is the import.
    pub batches: u32,
    /// The batches of every slice behind those of the import, in order.
    pub later: Vec<Batches>,
    /// Handles that imports refuse, a count.
    pub suppressed: usize,
    /// Number of the ledger's last entry.
    pub ledger_entries: u64,
    /// Row-passes of the missing steps.
    pub missing_row_passes: u64,
    /// Row-passes of training everything.
    pub full_row_passes: u64,
    /// What is being built beside it.
    pub beside: Vec<Beside>,
    /// Copies of models that left, oldest first.
    pub exports: Vec<Export>,
    /// Every shard, in order.
    pub shards: Vec<Shard>,
}

/// Consecutive batches that are one slice of every shard.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Batches {
    /// The first of them.
    pub first: u32,
    /// The last of them.
    pub last: u32,
}

/// A generation and recipe that is being built.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Beside {
    /// The generation, as its folder is named.
    pub generation: String,
    /// The recipe.
    pub recipe: String,
}

/// One shard.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Shard {
    /// Its number.
    pub shard: u32,
    /// The cohort whose records it has, or `others` where they are of none; `None` where there are no cohorts.
    pub cohort: Option<String>,
    /// The step in service; 0 when it has no vote.
    pub serves: u32,
    /// Whether it has full weight: it is the last step, or was before batches came that are not trained yet.
    pub full: bool,
    /// Rows held out.
    pub held_out: u64,
    /// Its slices, in order.
    pub slices: Vec<Slice>,
}

/// One slice and the checkpoint of its step.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Slice {
    /// Rows.
    pub rows: u64,
    /// Bytes of the checkpoint; `None` where it is missing.
    pub checkpoint_bytes: Option<u64>,
    /// Whether the recipe keeps a checkpoint of the step.
    pub kept: bool,
}

impl From<&ShardStatus> for Shard {
    fn from(shard: &ShardStatus) -> Shard {
        let slice = |c: &engine::CellStatus| Slice { rows: c.rows, checkpoint_bytes: c.checkpoint_bytes, kept: c.kept };
        Shard {
            shard: shard.shard.0,
            cohort: shard.cohort.clone(),
            serves: shard.serves,
            full: shard.full,
            held_out: shard.held_out,
            slices: shard.cells.iter().map(slice).collect(),
        }
    }
}

impl From<&engine::Status> for Status {
    fn from(status: &engine::Status) -> Status {
        let beside = status
            .beside
            .iter()
            .map(|(generation, recipe)| Beside { generation: generation.to_string(), recipe: recipe.to_string() });
        Status {
            generation: status.serving.generation.to_string(),
            recipe: status.serving.recipe.to_string(),
            aggregate: status.serving.aggregate,
            complete: status.complete(),
            unrepaired: status.unrepaired.clone(),
            batches: status.batches,
            later: status.later.iter().map(|b| Batches { first: b.first, last: b.last }).collect(),
            suppressed: status.suppressed,
            ledger_entries: status.ledger_entries,
            missing_row_passes: status.missing_row_passes,
            full_row_passes: status.full_row_passes,
            beside: beside.collect(),
            exports: status.exports.iter().map(Export::from).collect(),
            shards: status.shards.iter().map(Shard::from).collect(),
        }
    }
}
