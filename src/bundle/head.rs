//! Heads of bundles: what they say in JSON. Numbers that must keep every bit are told as their bits.

use serde::{Deserialize, Serialize};

use super::BundleError;
use crate::{
    digest::Digest,
    ids::{GenerationId, RecipeId, ShardId},
    learn::{Layout, Range, Task},
    train::Recipe,
};

/// Of a shard's work. The parts are the slices, the states to start from, and the keys of the passes of every step.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct WorkHead {
    pub(super) generation: GenerationId,
    pub(super) shard: ShardId,
    pub(super) recipe: Recipe,
    pub(super) layout: LayoutHead,
    /// Steps of the first batch.
    pub(super) first: u32,
    /// The seed of the initial state, where a step starts from it: 64 hexadecimal digits.
    pub(super) initial: Option<Digest>,
    pub(super) slices: Vec<SliceHead>,
    pub(super) starts: Vec<StartHead>,
    pub(super) steps: Vec<StepHead>,
}

/// A slice, from the first on.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SliceHead {
    pub(super) bytes: u64,
    /// Of a slice of later batches the first and the last of them.
    pub(super) batches: Option<[u32; 2]>,
}

/// A state that steps start from.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct StartHead {
    pub(super) step: u32,
    pub(super) bytes: u64,
}

/// A step to be trained.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct StepHead {
    pub(super) step: u32,
    pub(super) lineage: Digest,
    pub(super) keep: bool,
    pub(super) passes: u64,
}

/// Of the checkpoints that came of it. The parts are their payloads.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct MadeHead {
    pub(super) generation: GenerationId,
    pub(super) recipe: RecipeId,
    pub(super) shard: ShardId,
    pub(super) from_step: u32,
    pub(super) steps: u32,
    pub(super) row_passes: u64,
    pub(super) diverged: Option<String>,
    pub(super) checkpoints: Vec<CheckpointHead>,
}

/// A checkpoint.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct CheckpointHead {
    pub(super) step: u32,
    pub(super) lineage: Digest,
    pub(super) bytes: u64,
    /// Of a learner that is not replayed, the digest of the payload of the checkpoint that it came from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) after: Option<Digest>,
}

/// [`Layout`], with its floats as bits.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct LayoutHead {
    ranges: Vec<Option<[u32; 2]>>,
    indicators: Vec<u32>,
    byte_scales: Vec<u32>,
    categories: Vec<u32>,
    /// How many classes; none where a number is learnt.
    classes: Option<u32>,
    label_range: Option<[u32; 2]>,
}

fn bits(range: Range) -> [u32; 2] {
    range.0.map(f32::to_bits)
}

fn range(bits: [u32; 2]) -> Option<Range> {
    let [low, high] = bits.map(f32::from_bits);
    (low.is_finite() && high.is_finite() && low <= high).then_some(Range([low, high]))
}

impl LayoutHead {
    pub(super) fn of(layout: &Layout) -> LayoutHead {
        LayoutHead {
            ranges: layout.ranges.iter().map(|range| range.map(bits)).collect(),
            indicators: layout.indicators.clone(),
            byte_scales: layout.byte_scales.iter().map(|scale| scale.to_bits()).collect(),
            categories: layout.categories.clone(),
            classes: match layout.task {
                Task::Classes(classes) => Some(classes),
                Task::Number => None,
            },
            label_range: layout.label_range.map(bits),
        }
    }

    /// The layout, if it is one.
    pub(super) fn layout(&self) -> Result<Layout, BundleError> {
        let wrong = |what: &str| BundleError::damaged(64, format!("its head: {what}"));
        let declared = |bits: &Option<[u32; 2]>| match bits {
            None => Ok(None),
            Some(bits) => range(*bits).map(Some).ok_or_else(|| wrong("a range is none")),
        };
        let ranges = self.ranges.iter().map(declared).collect::<Result<Vec<_>, _>>()?;
        let byte_scales: Vec<f32> = self.byte_scales.iter().map(|scale| f32::from_bits(*scale)).collect();
        let ascending = self.indicators.is_sorted_by(|a, b| a < b);
        if !ascending || self.indicators.last().is_some_and(|last| *last as usize >= ranges.len()) {
            return Err(wrong("a missing indicator is of no column"));
        }
        if byte_scales.iter().any(|scale| !scale.is_finite()) || self.categories.contains(&0) || self.classes == Some(0) {
            return Err(wrong("a column or the label has no values"));
        }
        Ok(Layout {
            numbers: ranges.len(),
            ranges,
            indicators: self.indicators.clone(),
            byte_scales,
            categories: self.categories.clone(),
            task: self.classes.map_or(Task::Number, Task::Classes),
            label_range: declared(&self.label_range)?,
        })
    }
}
