use serde::Serialize;

use super::Imported;
use crate::{
    bundle::{BundleError, Checkpoints},
    engine,
    ids::ShardId,
};

/// An import that trained nothing.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "type", rename = "imported")]
#[non_exhaustive]
pub struct Import {
    /// The generation, as its folder is named.
    pub generation: String,
    /// The recipe that is frozen.
    pub recipe: String,
    /// What was read; `None` where the records were there already.
    pub imported: Option<Imported>,
    /// The shards that are to be trained.
    pub to_train: Vec<u32>,
}

impl From<&engine::ImportedReport> for Import {
    fn from(report: &engine::ImportedReport) -> Import {
        Import {
            generation: report.generation.to_string(),
            recipe: report.recipe.to_string(),
            imported: report.import.map(Imported::from),
            to_train: report.to_train.iter().map(|shard| shard.0).collect(),
        }
    }
}

/// A shard's work that was packed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "type", rename = "packed")]
#[non_exhaustive]
pub struct Packed {
    /// The shard.
    pub shard: u32,
    /// Steps to train; 0 where nothing is missing.
    pub steps: u32,
    /// Row-passes that they take.
    pub row_passes: u64,
    /// Bytes of the bundle.
    pub bytes: u64,
}

impl Packed {
    /// Nothing is missing of a shard.
    pub fn nothing(shard: ShardId) -> Packed {
        Packed { shard: shard.0, steps: 0, row_passes: 0, bytes: 0 }
    }
}

impl From<&engine::Packed> for Packed {
    fn from(packed: &engine::Packed) -> Packed {
        let engine::Packed { shard, steps, row_passes, bytes, .. } = packed;
        Packed { shard: shard.0, steps: *steps, row_passes: *row_passes, bytes: bytes.len() as u64 }
    }
}

/// A bundle that was trained.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "type", rename = "shard_trained")]
#[non_exhaustive]
pub struct ShardTrained {
    /// The shard.
    pub shard: u32,
    /// Steps trained.
    pub steps: u32,
    /// Row-passes trained.
    pub row_passes: u64,
    /// Bytes of all that came of it.
    pub bytes: u64,
    /// Why steps are lacking: one diverged.
    pub diverged: Option<String>,
}

impl ShardTrained {
    /// What [`train_bundle`](crate::engine::train_bundle) returned.
    ///
    /// # Errors
    /// It is something else.
    pub fn of(bytes: &[u8]) -> Result<ShardTrained, BundleError> {
        let Checkpoints { shard, steps, row_passes, diverged, .. } = Checkpoints::decode(bytes)?;
        Ok(ShardTrained { shard: shard.0, steps, row_passes, bytes: bytes.len() as u64, diverged })
    }
}

/// What became of checkpoints that were trained elsewhere.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "type", rename = "unpacked")]
#[non_exhaustive]
pub struct Unpacked {
    /// The generation, as its folder is named.
    pub generation: String,
    /// The recipe.
    pub recipe: String,
    /// The shard.
    pub shard: u32,
    /// Checkpoints put in place.
    pub published: u32,
    /// Checkpoints that were there already.
    pub present: u32,
    /// Checkpoints refused, as they do not follow from the slices as they are now.
    pub overtaken: u32,
    /// Why steps are lacking: one diverged.
    pub diverged: Option<String>,
    /// Whether nothing is missing of any shard now.
    pub complete: bool,
    /// Names of the requests that this closed.
    pub repaired: Vec<String>,
}

impl From<&engine::Unpacked> for Unpacked {
    fn from(unpacked: &engine::Unpacked) -> Unpacked {
        Unpacked {
            generation: unpacked.generation.to_string(),
            recipe: unpacked.recipe.to_string(),
            shard: unpacked.shard.0,
            published: unpacked.published,
            present: unpacked.present,
            overtaken: unpacked.overtaken,
            diverged: unpacked.diverged.clone(),
            complete: unpacked.complete,
            repaired: unpacked.repaired.clone(),
        }
    }
}
