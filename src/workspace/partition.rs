//! `partition.json`: schema, S, R, holdout and cohorts of a generation, frozen.

use serde::{Deserialize, Serialize};

use crate::{
    digest::Digest,
    order::{Chain, Grid, Later},
    schema::{Blocks, Cohorts, ENCODER_VERSION, Schema, SchemaError},
    shard::SLICE_FORMAT,
    source::TextForm,
};

/// The content of `partition.json`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Partition {
    /// The version of slice files.
    pub slice_format: u32,
    /// The version of the encoder and the placement.
    pub encoder: u32,
    /// S; of each cohort, where there are any.
    pub shards: u32,
    /// R.
    pub slices: u32,
    /// The share of subjects held out.
    pub holdout: f64,
    /// What the columns mean.
    pub schema: Schema,
    /// How text sources are written; absent where that is the default.
    #[serde(default, skip_serializing_if = "TextForm::is_default")]
    pub form: TextForm,
    /// How many last slices of one size become one as batches come, where that is declared.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub merge: Option<u32>,
    /// By which date shards are told apart, where that is declared.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cohort: Option<Cohorts>,
}

/// The version of the placement where there are cohorts, which programs before it would place otherwise.
const COHORTS_VERSION: u32 = ENCODER_VERSION + 1;

impl Partition {
    /// A partition of this program's formats, without cohorts.
    pub fn new(grid: Grid, schema: Schema, form: TextForm) -> Partition {
        let (shards, Grid { slices, holdout, .. }) = (grid.shards_of_block(), grid);
        let (slice_format, encoder) = (SLICE_FORMAT, schema.encoder_version());
        Partition { slice_format, encoder, shards, slices, holdout, schema, form, merge: None, cohort: None }
    }

    /// The same, where records of each of these cohorts have shards of their own.
    ///
    /// # Errors
    /// The schema has no such date, or the range is none.
    pub fn with_cohort(self, cohort: Option<Cohorts>) -> Result<Partition, SchemaError> {
        let mut partition = Partition { cohort, ..self };
        partition.encoder = partition.encoder_version();
        partition.blocks()?;
        Ok(partition)
    }

    /// The version of the encoder and the placement that this needs.
    pub fn encoder_version(&self) -> u32 {
        if self.cohort.is_some() { COHORTS_VERSION } else { self.schema.encoder_version() }
    }

    /// Which block of shards a row belongs to.
    ///
    /// # Errors
    /// Never for a partition that was made by [`Partition::with_cohort`].
    pub fn blocks(&self) -> Result<Blocks, SchemaError> {
        self.schema.blocks(self.cohort.as_ref())
    }

    /// The same, where so many last slices of one size become one.
    pub fn with_merge(self, merge: Option<u32>) -> Partition {
        Partition { merge, ..self }
    }

    /// What becomes of the next batch: as of those before, whose slices these are, or as suits the learner.
    pub fn later(&self, (batches, chain): (u32, &Chain), of_sets: bool) -> Later {
        let in_cells = if batches > 1 { chain.later().is_empty() } else { of_sets && self.merge.is_none() };
        match self.merge {
            _ if in_cells => Later::Cells,
            Some(base) => Later::Merge(base),
            None => Later::default(),
        }
    }

    /// All shards, R and the holdout.
    pub fn grid(&self) -> Grid {
        let blocks = self.cohort.as_ref().map_or(1, Cohorts::blocks);
        Grid { shards: self.shards.saturating_mul(blocks), blocks, slices: self.slices, holdout: self.holdout }
    }

    /// The bytes of `partition.json`.
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = serde_json::to_vec_pretty(self).unwrap_or_default();
        bytes.push(b'\n');
        bytes
    }

    /// The digest that every lineage covers.
    pub fn digest(&self) -> Digest {
        Digest::of(&self.encode())
    }
}
