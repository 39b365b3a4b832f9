//! The settings of `forest`, and which layouts they can work with.

use serde::{Deserialize, Serialize};

use super::Forest;
use crate::learn::error::{allow, ranged};
use crate::learn::settings::Kind;
use crate::learn::{Layout, Learner, SettingsError};

/// Shards that suit a forest: each record is in a fifth of the trees, which is what a deletion costs.
pub const FOREST_SHARDS: u32 = 5;

/// The settings of `forest`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ForestSettings {
    /// Trees of a shard.
    pub trees: u32,
    /// Splits above a leaf at most.
    pub depth: u32,
    /// Attributes that a node draws; 0 for twice the square root of how many there are.
    pub attributes: u32,
    /// Thresholds, or sets of categories, that it draws for each.
    pub cuts: u32,
    /// Nodes of fewer rows are leaves.
    pub min_split: u32,
    /// Whether a checkpoint holds what its leaves count, so that answers need not read the rows.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub counts: bool,
}

impl Default for ForestSettings {
    fn default() -> ForestSettings {
        ForestSettings { trees: 20, depth: 12, attributes: 0, cuts: 8, min_split: 10, counts: false }
    }
}

impl ForestSettings {
    pub(super) fn check(&self) -> Result<(), SettingsError> {
        // With these, the names of a node's splits fit in 16 bits, and recursion is shallow.
        for (setting, value, low, high) in [
            ("trees", self.trees, 1, 1000),
            ("depth", self.depth, 1, 64),
            ("attributes", self.attributes, 0, 256),
            ("cuts", self.cuts, 1, 64),
            ("min_split", self.min_split, 2, 1_000_000),
        ] {
            allow((low..=high).contains(&value), setting, || (value.to_string(), format!("a count from {low} to {high}")))?;
        }
        Ok(())
    }

    /// Whether rows of this layout can be learnt from.
    ///
    /// # Errors
    /// Names the number without a declared range.
    pub(super) fn accepts(&self, layout: &Layout) -> Result<(), SettingsError> {
        ranged(Self::KIND, layout, true)
    }
}

impl Kind for ForestSettings {
    const KIND: &'static str = "forest";

    fn check(&self) -> Result<Box<dyn Learner>, SettingsError> {
        ForestSettings::check(self)?;
        Ok(Box::new(Forest::of_checked(self.clone())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::learn::{LearnerSettings, RidgeSettings};

    #[test]
    fn forest_has_defaults_and_no_rate() {
        let settings: LearnerSettings = serde_json::from_str(r#"{"kind":"forest","trees":5}"#).unwrap();
        assert_eq!(settings, LearnerSettings::Forest(ForestSettings { trees: 5, ..ForestSettings::default() }));
        assert!(serde_json::from_str::<LearnerSettings>(r#"{"kind":"forest","rate":0.1}"#).is_err());
        let json = serde_json::to_string(&settings).unwrap();
        assert_eq!(json, r#"{"kind":"forest","trees":5,"depth":12,"attributes":0,"cuts":8,"min_split":10}"#);
        let mut other = LearnerSettings::Ridge(RidgeSettings::default()).of_kind("forest").unwrap();
        assert_eq!(other, LearnerSettings::Forest(ForestSettings::default()));
        assert_eq!(settings.of_kind("forest").unwrap(), settings);
        let error = other.set_rate(0.5).unwrap_err();
        assert!(error.to_string().contains("no learning rate"), "{error}");
        type Change = fn(&mut ForestSettings);
        let cases: [(&str, Change); 8] = [
            ("trees", |s| s.trees = 0),
            ("trees", |s| s.trees = 1001),
            ("depth", |s| s.depth = 0),
            ("depth", |s| s.depth = 65),
            ("attributes", |s| s.attributes = 257),
            ("cuts", |s| s.cuts = 0),
            ("cuts", |s| s.cuts = 65),
            ("min_split", |s| s.min_split = 1),
        ];
        assert!(other.check().is_ok());
        for (setting, change) in cases {
            let mut settings = ForestSettings::default();
            change(&mut settings);
            assert_eq!(LearnerSettings::Forest(settings).check().unwrap_err().setting, setting);
        }
    }
}
