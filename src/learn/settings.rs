//! The kinds of learners, each with its own settings: as typed, and checked.
//!
//! The typed settings go into `recipe.json` field by field in the order written in their learner's room. Unknown fields are refused. Every
//! number is an f32. serde reads a tagged enum through f64, where rounding twice could move a bit; all 501,704,501 values from
//! 1e-12 to 1e6 were once tried and come back from their shortest decimals unchanged, and no other but 0 is allowed here.

use serde::{Deserialize, Serialize};

use super::{
    BoostSettings, Decay, Descent, ExternalSettings, ForestSettings, Learner, NetSettings, RidgeSettings, SettingsError, Task,
};

/// What the settings of a kind of learner can do; their default is what is taken where only the kind is named.
pub(super) trait Kind: Default {
    /// The kind, as it is written.
    const KIND: &'static str;

    /// The learner with these settings.
    ///
    /// # Errors
    /// When a value is not allowed: names the first such setting, its value, and what is allowed.
    fn check(&self) -> Result<Box<dyn Learner>, SettingsError>;

    /// The learning rate, if the learner has one.
    fn rate(&mut self) -> Option<&mut f32> {
        None
    }

    /// Turns default settings into those for what is learnt.
    fn suit(&mut self, _task: Task) {}
}

/// The enum over all kinds and everything that asks which one it is, from one list.
macro_rules! kinds {
    ($($(#[$doc:meta])* $Kind:ident($Settings:ty)),* $(,)?) => {
        /// A learner and its settings as typed. [`LearnerSettings::check`] turns them into one that can be used.
        #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
        #[serde(tag = "kind", rename_all = "lowercase")]
        pub enum LearnerSettings {
            $($(#[$doc])* $Kind($Settings),)*
            /// A program of the person's own, which has no default settings.
            External(Box<ExternalSettings>),
        }

        impl LearnerSettings {
            /// The kinds of learners that this program has, as they are written.
            pub const KINDS: &[&str] = &[$(<$Settings as Kind>::KIND),*];

            /// The kind, as it is written.
            pub fn kind(&self) -> &'static str {
                match self {
                    $(LearnerSettings::$Kind(_) => <$Settings as Kind>::KIND,)*
                    LearnerSettings::External(_) => "external",
                }
            }

            /// The learner with these settings.
            ///
            /// # Errors
            /// When a value is not allowed: names the first such setting, its value, and what is allowed.
            pub fn check(&self) -> Result<Box<dyn Learner>, SettingsError> {
                match self {
                    $(LearnerSettings::$Kind(settings) => Kind::check(settings),)*
                    LearnerSettings::External(settings) => super::external::check(settings),
                }
            }

            fn rate(&mut self) -> Option<&mut f32> {
                match self {
                    $(LearnerSettings::$Kind(settings) => Kind::rate(settings),)*
                    LearnerSettings::External(_) => None,
                }
            }

            /// Turns default settings into those that suit what is learnt.
            pub fn suit(&mut self, task: Task) {
                match self {
                    $(LearnerSettings::$Kind(settings) => Kind::suit(settings, task),)*
                    LearnerSettings::External(_) => {}
                }
            }

            fn default_of(kind: &str) -> Option<LearnerSettings> {
                $(if kind == <$Settings as Kind>::KIND {
                    return Some(LearnerSettings::$Kind(Default::default()));
                })*
                None
            }
        }
    };
}

kinds! {
    /// Softmax regression, or linear regression on a number.
    Linear(Descent),
    /// A network with hidden layers.
    Mlp(NetSettings),
    /// Ridge regression on integer features, from sums that rows can be taken out of.
    Ridge(RidgeSettings),
    /// Extremely randomised trees that are a function of the set of their rows.
    Forest(ForestSettings),
    /// Gradient boosting of trees, by histograms of integers.
    Boost(BoostSettings),
}

impl LearnerSettings {
    /// The default settings of a kind of learner.
    ///
    /// # Errors
    /// There is no such kind.
    pub fn of(kind: &str) -> Result<LearnerSettings, SettingsError> {
        LearnerSettings::default_of(kind).ok_or_else(|| SettingsError {
            setting: "kind",
            value: kind.into(),
            allowed: match LearnerSettings::KINDS {
                [first @ .., last] => format!("{} or {last}", first.join(", ")),
                [] => String::new(),
            },
        })
    }

    /// These settings, or the default ones of another kind of learner.
    ///
    /// # Errors
    /// There is no such kind.
    pub fn of_kind(&self, kind: &str) -> Result<LearnerSettings, SettingsError> {
        if kind == self.kind() { Ok(self.clone()) } else { LearnerSettings::of(kind) }
    }

    /// Whether the learning rate falls to nothing at the last step.
    pub fn decays(&self) -> bool {
        let descent = match self {
            LearnerSettings::Linear(descent) => descent,
            LearnerSettings::Mlp(settings) => &settings.descent,
            LearnerSettings::Ridge(_) | LearnerSettings::Forest(_) | LearnerSettings::Boost(_) | LearnerSettings::External(_) => {
                return false;
            }
        };
        descent.decay == Decay::Linear
    }

    /// Changes the learning rate.
    ///
    /// # Errors
    /// The learner has none.
    pub fn set_rate(&mut self, rate: f32) -> Result<(), SettingsError> {
        let kind = self.kind();
        let Some(own) = self.rate() else {
            let allowed = format!("nothing: `{kind}` has no learning rate");
            return Err(SettingsError { setting: "rate", value: format!("{rate:?}"), allowed });
        };
        *own = rate;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::learn::{Activation, Optimizer};

    fn mlp() -> NetSettings {
        let optimizer = Optimizer::Adam { beta1: 0.9, beta2: 0.999, epsilon: 1e-8 };
        let descent = Descent {
            optimizer,
            rate: 0.003,
            decay: Decay::Linear,
            l2: 1e-4,
            batch: 256,
            average: 0.05,
            clip: None,
            max_gradient: None,
        };
        NetSettings { hidden: vec![128], activation: Activation::Relu, descent }
    }

    #[test]
    fn the_json_is_in_field_order_and_comes_back() {
        let settings = LearnerSettings::Mlp(mlp());
        let json = serde_json::to_string(&settings).unwrap();
        assert_eq!(
            json,
            r#"{"kind":"mlp","hidden":[128],"activation":"relu","optimizer":{"kind":"adam","beta1":0.9,"beta2":0.999,"epsilon":1e-8},"rate":0.003,"decay":"linear","l2":0.0001,"batch":256,"average":0.05}"#
        );
        assert_eq!(serde_json::from_str::<LearnerSettings>(&json).unwrap(), settings);
    }

    #[test]
    fn every_kind_has_defaults_that_are_allowed_and_its_own_name() {
        for &kind in LearnerSettings::KINDS {
            let settings = LearnerSettings::Mlp(mlp()).of_kind(kind).unwrap();
            assert_eq!(settings.kind(), kind);
            assert!(settings.check().is_ok(), "{kind}");
            assert_eq!(serde_json::to_value(&settings).unwrap()["kind"], kind);
        }
        assert!(
            LearnerSettings::Mlp(mlp()).of_kind("tree").unwrap_err().to_string().contains("linear, mlp, ridge, forest or boost")
        );
    }

    #[test]
    fn unknown_fields_and_kinds_are_refused() {
        let settings = serde_json::to_string(&LearnerSettings::Mlp(mlp())).unwrap();
        for (from, to) in [
            (r#""batch""#, r#""batches":1,"batch""#),
            (r#""beta1""#, r#""momentum":0.5,"beta1""#),
            (r#""mlp""#, r#""mpl""#),
            (r#""relu""#, r#""selu""#),
            (r#""kind":"mlp""#, r#""kind":"linear""#),
        ] {
            let changed = settings.replacen(from, to, 1);
            assert_ne!(changed, settings);
            assert!(serde_json::from_str::<LearnerSettings>(&changed).is_err(), "{changed}");
        }
    }
}
