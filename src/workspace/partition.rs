//! `partition.json`: schema, S, R and holdout of a generation, frozen.

use serde::{Deserialize, Serialize};

use crate::{
    digest::Digest,
    order::{Chain, Grid, Later},
    schema::Schema,
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
    /// S.
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
    /// What becomes of later batches; absent where that is the default.
    #[serde(default, skip_serializing_if = "Later::is_default")]
    pub later: Later,
}

impl Partition {
    /// A partition of this program's formats.
    pub fn new(grid: Grid, schema: Schema, form: TextForm) -> Partition {
        let Grid { shards, slices, holdout } = grid;
        let (slice_format, encoder) = (SLICE_FORMAT, schema.encoder_version());
        Partition { slice_format, encoder, shards, slices, holdout, schema, form, later: Later::default() }
    }

    /// The same with other rules for later batches.
    pub fn with_later(self, later: Later) -> Partition {
        Partition { later, ..self }
    }

    /// The slices of a shard once there are so many batches.
    pub fn chain(&self, batches: u32) -> Chain {
        Chain::of(self.slices, batches, self.later)
    }

    /// S, R and the holdout.
    pub fn grid(&self) -> Grid {
        Grid { shards: self.shards, slices: self.slices, holdout: self.holdout }
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
