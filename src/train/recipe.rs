//! How constituents are trained: resolved, frozen, hashed into every lineage.

use serde::{Deserialize, Serialize};

use super::{Keep, Schedule, ScheduleKind};
use crate::{
    checkpoint::CHECKPOINT_FORMAT,
    digest::Digest,
    ids::RecipeId,
    learn::{Layout, LearnerSettings, SettingsError},
    ledger::Replay,
    order::Chain,
};

pub use crate::num::NUMERICS_VERSION;

/// The content of `recipe.json`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Recipe {
    /// The version of checkpoint files.
    pub checkpoint_format: u32,
    /// The version of the arithmetic; another one gives other bits.
    pub numerics: u32,
    /// The learner and its settings.
    pub learner: LearnerSettings,
    /// Which rows a step visits.
    pub schedule: Schedule,
    /// Which steps leave a checkpoint.
    pub keep: Keep,
}

impl Recipe {
    /// A recipe of this program's formats and arithmetic.
    pub fn new(learner: LearnerSettings, schedule: Schedule, keep: Keep) -> Recipe {
        Recipe { checkpoint_format: CHECKPOINT_FORMAT, numerics: NUMERICS_VERSION, learner, schedule, keep }
    }

    /// For each step of these slices whether it leaves a checkpoint: of the first batch those that [`Keep`] chooses, then all.
    pub fn kept(&self, chain: &Chain) -> Vec<bool> {
        let mut kept = self.keep.steps(self.schedule, chain.first_slices());
        kept.resize(chain.steps() as usize, true);
        kept
    }

    /// Refuses a recipe to which batches can't be appended: its steps follow from how many there will be, so that none can come after the
    /// last; or, of a learner that looks at a step as a whole, steps of few rows make it worse.
    ///
    /// # Errors
    /// Names the setting.
    pub fn goes_on(&self) -> Result<(), SettingsError> {
        if matches!(self.schedule.kind, ScheduleKind::Cumulative | ScheduleKind::Front) {
            let value = format!("{:?}", self.schedule.kind).to_lowercase();
            return Err(SettingsError {
                setting: "schedule.kind",
                value,
                allowed: "replay, to which batches can be appended".into(),
            });
        }
        if self.schedule.kind == ScheduleKind::Window {
            let allowed = "one that is trained in passes or a function of the set of rows, to which batches can be appended: \
                           trees grown on few rows make this one worse";
            return Err(SettingsError { setting: "kind", value: self.learner.kind().into(), allowed: allowed.into() });
        }
        if self.learner.decays() {
            let allowed = "constant, to which batches can be appended".into();
            return Err(SettingsError { setting: "learner.decay", value: "linear".into(), allowed });
        }
        Ok(())
    }

    /// Whether the learner can work with such rows.
    ///
    /// # Errors
    /// Names the setting or the declaration that stands in the way.
    pub fn accepts(&self, layout: &Layout) -> Result<(), SettingsError> {
        self.learner.check()?.accepts(layout)
    }

    /// Where training again under this recipe gives the same bytes.
    pub fn replay(&self) -> Replay {
        let Some(settings) = self.learner.external() else { return Replay::Everywhere };
        let (learner, environment) = (settings.name.clone(), settings.environment.clone());
        match settings.probe.filter(|_| settings.replay) {
            Some(probe) => Replay::Environment { learner, environment, probe },
            None => Replay::Nowhere { learner, environment },
        }
    }

    /// The bytes of `recipe.json`.
    pub fn encode(&self) -> Vec<u8> {
        // The types hold nothing that JSON can't; non-finite settings are refused when they are checked.
        let mut bytes = serde_json::to_vec_pretty(self).unwrap_or_default();
        bytes.push(b'\n');
        bytes
    }

    /// The digest that every lineage covers.
    pub fn digest(&self) -> Digest {
        Digest::of(&self.encode())
    }

    /// The folder's name.
    pub fn id(&self) -> RecipeId {
        RecipeId(self.digest().to_string().chars().take(16).collect())
    }

    /// The settings that differ from `other`'s, as `path: theirs -> ours`.
    pub fn differences(&self, other: &Recipe) -> Vec<String> {
        // From the text: it has the shortest decimals of an f32, and a value made directly has those of the f64 beside it.
        let value = |r: &Recipe| serde_json::from_slice::<serde_json::Value>(&r.encode()).unwrap_or_default();
        let mut found = Vec::new();
        differences("", &value(other), &value(self), &mut found);
        found
    }
}

fn differences(path: &str, old: &serde_json::Value, new: &serde_json::Value, found: &mut Vec<String>) {
    use serde_json::Value::Object;
    if let (Object(a), Object(b)) = (old, new) {
        let keys: std::collections::BTreeSet<&String> = a.keys().chain(b.keys()).collect();
        for key in keys {
            let null = serde_json::Value::Null;
            let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
            differences(&path, a.get(key).unwrap_or(&null), b.get(key).unwrap_or(&null), found);
        }
    } else if old != new {
        found.push(format!("{path}: {old} -> {new}"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::learn::ForestSettings;

    #[test]
    fn differences_are_shown_as_they_are_written() {
        let of = |rate: f32| {
            let mut learner = LearnerSettings::Forest(ForestSettings::default()).of_kind("linear").unwrap();
            learner.set_rate(rate).unwrap();
            Recipe::new(learner, Schedule { kind: ScheduleKind::Replay, epochs: 20 }, Keep::All)
        };
        assert_eq!(of(0.04).differences(&of(0.05)), ["learner.rate: 0.05 -> 0.04"]);
        assert_eq!(of(1e-7).differences(&of(0.1)), ["learner.rate: 0.1 -> 1e-7"]);
        let mut fewer = of(0.05);
        fewer.keep = Keep::Best(3);
        assert_eq!(fewer.differences(&of(0.05)).len(), 1);
        assert!(of(0.05).differences(&of(0.05)).is_empty());
    }
}
