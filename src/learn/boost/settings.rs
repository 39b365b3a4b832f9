//! The settings of `boost`, and which layouts it can work with.

use serde::{Deserialize, Serialize};

use super::Boost;
use crate::learn::error::{SMALLEST, allow, number, number_or_zero, ranged};
use crate::learn::settings::Kind;
use crate::learn::{Layout, Learner, SettingsError};

/// The settings of `boost`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct BoostSettings {
    /// Trees of each output, over all steps of a shard.
    pub rounds: u32,
    /// The share of its own step that a tree takes (shrinkage).
    pub rate: f32,
    /// Leaves of a tree at most.
    pub leaves: u32,
    /// Splits above a leaf at most; 0 for as many as `leaves` allow.
    pub depth: u32,
    /// Which leaf is split next.
    pub growth: Growth,
    /// The penalty on squared leaf values.
    pub l2: f32,
    /// The least sum of second derivatives in a leaf.
    pub min_weight: f32,
    /// The least rows of a leaf, estimated by its share of the second derivatives.
    pub min_rows: u32,
    /// Bins of a column at most, missing apart.
    pub bins: u32,
}

/// Which leaf is split next.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Growth {
    /// The one that gains most (best first).
    Leaf,
    /// The highest in the tree (level by level).
    Depth,
}

impl Default for BoostSettings {
    fn default() -> BoostSettings {
        BoostSettings {
            rounds: 100,
            rate: 0.1,
            leaves: 31,
            depth: 0,
            growth: Growth::Leaf,
            l2: 0.1,
            min_weight: 1e-3,
            min_rows: 20,
            bins: 255,
        }
    }
}

impl BoostSettings {
    pub(super) fn check(&self) -> Result<(), SettingsError> {
        for (setting, value, low, high) in [
            ("rounds", self.rounds, 1, 10_000),
            ("leaves", self.leaves, 2, 1024),
            ("depth", self.depth, 0, 64),
            ("min_rows", self.min_rows, 1, 1_000_000),
            ("bins", self.bins, 2, 255),
        ] {
            allow((low..=high).contains(&value), setting, || (value.to_string(), format!("a count from {low} to {high}")))?;
        }
        number("rate", self.rate, 1e-6, 1.0)?;
        number_or_zero("l2", self.l2, SMALLEST, 1e6)?;
        number_or_zero("min_weight", self.min_weight, SMALLEST, 1e6)
    }

    /// Whether rows of this layout can be learnt from.
    ///
    /// # Errors
    /// The label is a number without a declared range.
    pub(super) fn accepts(&self, layout: &Layout) -> Result<(), SettingsError> {
        ranged(Self::KIND, layout, false)
    }
}

impl Kind for BoostSettings {
    const KIND: &'static str = "boost";

    fn check(&self) -> Result<Box<dyn Learner>, SettingsError> {
        BoostSettings::check(self)?;
        Ok(Box::new(Boost::of_checked(self.clone())))
    }

    fn rate(&mut self) -> Option<&mut f32> {
        Some(&mut self.rate)
    }
}
