//! What a person may choose about a learner: as typed, and checked.
//!
//! The typed settings go into `recipe.json` field by field in the order written here. Unknown fields are refused. Every
//! number is an f32. serde reads a tagged enum through f64, where rounding twice could move a bit; all 501,704,501 values from
//! 1e-12 to 1e6 were once tried and come back from their shortest decimals unchanged, and no other but 0 is allowed here.

use serde::{Deserialize, Serialize};

use super::Learner;
use super::forest::Forest;
use super::net::Net;
use super::ridge::Ridge;
pub use super::ridge::{RidgeMap, RidgeSettings};

/// The share of all updates so far that the averaged weights look back on, where nothing else is said.
const AVERAGE: f32 = 0.05;
/// Shards that suit a forest: each record is in a fifth of the trees, which is what a deletion costs.
pub const FOREST_SHARDS: u32 = 5;
/// A smaller number that is not 0 is taken for a mistake.
const SMALLEST: f32 = 1e-12;
/// More hidden layers than this are taken for a mistake.
const HIDDEN_MAX: usize = 16;
/// More units in a layer than this are taken for a mistake.
const WIDTH_MAX: u32 = 65_536;
/// More rows in a batch than this are taken for a mistake.
const BATCH_MAX: u32 = 65_536;

/// A learner and its settings as typed. [`LearnerSettings::check`] turns them into one that can be used.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub enum LearnerSettings {
    /// Softmax regression, or linear regression on a number.
    Linear(LinearSettings),
    /// A network with hidden layers.
    Mlp(NetSettings),
    /// Extremely randomised trees that are a function of the set of their rows.
    Forest(ForestSettings),
    /// Ridge regression on integer features, from sums that rows can be taken out of.
    Ridge(RidgeSettings),
}

/// The settings of `linear`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LinearSettings {
    /// How a gradient becomes a change of the weights.
    pub optimizer: Optimizer,
    /// The learning rate.
    pub rate: f32,
    /// What becomes of the rate over the steps.
    pub decay: Decay,
    /// The penalty on the squared weights: its gradient is `l2 * weight`. Biases have none.
    pub l2: f32,
    /// Visits in a batch.
    pub batch: u32,
    /// The average's gain is 1 / (average * updates), at most 1; 0 serves the last weights themselves.
    #[serde(default = "default_average")]
    pub average: f32,
}

/// The settings of `mlp`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NetSettings {
    /// The widths of the hidden layers, from the input on.
    pub hidden: Vec<u32>,
    /// What follows each hidden layer.
    pub activation: Activation,
    /// How a gradient becomes a change of the weights.
    pub optimizer: Optimizer,
    /// The learning rate.
    pub rate: f32,
    /// What becomes of the rate over the steps.
    pub decay: Decay,
    /// The penalty on the squared weights: its gradient is `l2 * weight`. Biases have none.
    pub l2: f32,
    /// Visits in a batch.
    pub batch: u32,
    /// The average's gain is 1 / (average * updates), at most 1; 0 serves the last weights themselves.
    #[serde(default = "default_average")]
    pub average: f32,
}

/// The settings of `forest`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ForestSettings {
    /// Trees of a shard.
    #[serde(default = "ForestSettings::default_trees")]
    pub trees: u32,
    /// Splits above a leaf at most.
    #[serde(default = "ForestSettings::default_depth")]
    pub depth: u32,
    /// Attributes that a node draws; 0 for twice the square root of how many there are.
    #[serde(default)]
    pub attributes: u32,
    /// Thresholds, or sets of categories, that it draws for each.
    #[serde(default = "ForestSettings::default_cuts")]
    pub cuts: u32,
    /// Nodes of fewer rows are leaves.
    #[serde(default = "ForestSettings::default_min_split")]
    pub min_split: u32,
}

/// What follows a hidden layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Activation {
    /// 0 for what is negative.
    Relu,
    /// The hyperbolic tangent.
    Tanh,
}

/// How a gradient becomes a change of the weights.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase", deny_unknown_fields)]
pub enum Optimizer {
    /// Gradient descent with heavy-ball momentum (0 for none), without dampening.
    Sgd {
        /// The share of the last change that is kept, from 0 to below 1.
        momentum: f32,
    },
    /// Adam (Kingma and Ba 2015, algorithm 1), L2 added to the gradient.
    Adam {
        /// Decay of the mean of gradients, from 0 to below 1.
        beta1: f32,
        /// Decay of the mean of squared gradients, from 0 to below 1.
        beta2: f32,
        /// Added to the root of the mean square.
        epsilon: f32,
    },
}

/// What becomes of the rate over the steps.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Decay {
    /// It stays.
    Constant,
    /// It falls to 0 at the end of the last step, in a straight line over the steps.
    Linear,
}

/// A setting whose value is not allowed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("learner setting `{setting}` is {value}; allowed is {allowed}: change it and run again")]
pub struct SettingsError {
    /// The setting, as it is written in the recipe.
    pub setting: &'static str,
    /// Its value.
    pub value: String,
    /// What it may be.
    pub allowed: String,
}

impl LearnerSettings {
    /// The learner with these settings.
    ///
    /// # Errors
    /// When a value is not allowed: names the first such setting, its value, and what is allowed.
    pub fn check(&self) -> Result<Box<dyn Learner>, SettingsError> {
        let settings = match self {
            LearnerSettings::Linear(linear) => NetSettings {
                hidden: Vec::new(),
                activation: Activation::Relu,
                optimizer: linear.optimizer,
                rate: linear.rate,
                decay: linear.decay,
                l2: linear.l2,
                batch: linear.batch,
                average: linear.average,
            },
            LearnerSettings::Mlp(settings) => {
                settings.check_hidden()?;
                settings.clone()
            }
            LearnerSettings::Forest(settings) => {
                settings.check()?;
                return Ok(Box::new(Forest::of_checked(settings.clone())));
            }
            LearnerSettings::Ridge(settings) => {
                settings.check()?;
                return Ok(Box::new(Ridge::of_checked(settings.clone())));
            }
        };
        settings.check_descent()?;
        Ok(Box::new(Net::of_checked(settings)))
    }
}

impl LearnerSettings {
    /// The kinds of learners, as they are written.
    pub const KINDS: [&str; 4] = ["linear", "mlp", "ridge", "forest"];

    /// The kind, as it is written.
    pub fn kind(&self) -> &'static str {
        match self {
            LearnerSettings::Linear(_) => "linear",
            LearnerSettings::Mlp(_) => "mlp",
            LearnerSettings::Ridge(_) => "ridge",
            LearnerSettings::Forest(_) => "forest",
        }
    }

    /// These settings, or the default ones of another kind of learner.
    ///
    /// # Errors
    /// There is no such kind.
    pub fn of_kind(&self, kind: &str) -> Result<LearnerSettings, SettingsError> {
        let optimizer = Optimizer::Sgd { momentum: 0.9 };
        let (decay, l2, average) = (Decay::Constant, 1e-4, AVERAGE);
        Ok(match (kind, self) {
            ("linear", LearnerSettings::Linear(_))
            | ("mlp", LearnerSettings::Mlp(_))
            | ("ridge", LearnerSettings::Ridge(_))
            | ("forest", LearnerSettings::Forest(_)) => self.clone(),
            ("forest", _) => LearnerSettings::Forest(ForestSettings::default()),
            ("linear", _) => LearnerSettings::Linear(LinearSettings { optimizer, rate: 0.05, decay, l2, batch: 64, average }),
            ("mlp", _) => LearnerSettings::Mlp(NetSettings {
                hidden: vec![64],
                activation: Activation::Relu,
                optimizer,
                rate: 0.05,
                decay,
                l2,
                batch: 64,
                average,
            }),
            ("ridge", _) => LearnerSettings::Ridge(RidgeSettings::of_tables()),
            _ => {
                let allowed = "linear, mlp, ridge or forest".into();
                return Err(SettingsError { setting: "kind", value: kind.into(), allowed });
            }
        })
    }

    /// Changes the learning rate.
    ///
    /// # Errors
    /// The learner has none.
    pub fn set_rate(&mut self, rate: f32) -> Result<(), SettingsError> {
        match self {
            LearnerSettings::Linear(settings) => settings.rate = rate,
            LearnerSettings::Mlp(settings) => settings.rate = rate,
            LearnerSettings::Ridge(_) | LearnerSettings::Forest(_) => {
                let allowed = "nothing: `ridge` and `forest` have no learning rate".into();
                return Err(SettingsError { setting: "rate", value: format!("{rate:?}"), allowed });
            }
        }
        Ok(())
    }
}

impl NetSettings {
    fn check_hidden(&self) -> Result<(), SettingsError> {
        let depth = self.hidden.len();
        allow((1..=HIDDEN_MAX).contains(&depth), "hidden", || {
            (
                format!("{:?}, {depth} layers", self.hidden),
                format!("1 to {HIDDEN_MAX} layers (`linear` is the learner with none)"),
            )
        })?;
        self.hidden.iter().try_for_each(|width| {
            allow((1..=WIDTH_MAX).contains(width), "hidden", || {
                (format!("{:?}, with a width of {width}", self.hidden), format!("widths from 1 to {WIDTH_MAX}"))
            })
        })
    }

    fn check_descent(&self) -> Result<(), SettingsError> {
        match self.optimizer {
            Optimizer::Sgd { momentum } => share_below_one("optimizer.momentum", momentum)?,
            Optimizer::Adam { beta1, beta2, epsilon } => {
                share_below_one("optimizer.beta1", beta1)?;
                share_below_one("optimizer.beta2", beta2)?;
                // Not 0: the quotient would be 0 / 0 wherever a gradient has always been 0.
                number("optimizer.epsilon", epsilon, SMALLEST, 1.0)?;
            }
        }
        number("rate", self.rate, SMALLEST, 1e6)?;
        if self.l2 != 0.0 {
            number("l2", self.l2, SMALLEST, 1e6)?;
        }
        allow((1..=BATCH_MAX).contains(&self.batch), "batch", || {
            (self.batch.to_string(), format!("a count from 1 to {BATCH_MAX}"))
        })?;
        allow(self.average == 0.0 || (SMALLEST..=1.0).contains(&self.average), "average", || {
            (format!("{:?}", self.average), "0 (which serves the last weights), or a number from 1e-12 to 1".to_owned())
        })
    }
}

impl Default for ForestSettings {
    fn default() -> ForestSettings {
        ForestSettings {
            trees: ForestSettings::default_trees(),
            depth: ForestSettings::default_depth(),
            attributes: 0,
            cuts: ForestSettings::default_cuts(),
            min_split: ForestSettings::default_min_split(),
        }
    }
}

impl ForestSettings {
    fn default_trees() -> u32 {
        20
    }

    fn default_depth() -> u32 {
        12
    }

    fn default_cuts() -> u32 {
        8
    }

    fn default_min_split() -> u32 {
        10
    }

    fn check(&self) -> Result<(), SettingsError> {
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
}

fn default_average() -> f32 {
    AVERAGE
}

fn share_below_one(setting: &'static str, value: f32) -> Result<(), SettingsError> {
    allow(value == 0.0 || (SMALLEST..1.0).contains(&value), setting, || {
        (format!("{value:?}"), "0, or a number from 1e-12 to below 1".to_owned())
    })
}

fn number(setting: &'static str, value: f32, low: f32, high: f32) -> Result<(), SettingsError> {
    allow((low..=high).contains(&value), setting, || {
        (format!("{value:?}"), format!("a number from {low:?} to {high:?}{}", if setting == "l2" { ", or 0" } else { "" }))
    })
}

fn allow(allowed: bool, setting: &'static str, describe: impl FnOnce() -> (String, String)) -> Result<(), SettingsError> {
    if allowed {
        return Ok(());
    }
    let (value, allowed) = describe();
    Err(SettingsError { setting, value, allowed })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mlp() -> NetSettings {
        NetSettings {
            hidden: vec![128],
            activation: Activation::Relu,
            optimizer: Optimizer::Adam { beta1: 0.9, beta2: 0.999, epsilon: 1e-8 },
            rate: 0.003,
            decay: Decay::Linear,
            l2: 1e-4,
            batch: 256,
            average: 0.05,
        }
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
        for kind in LearnerSettings::KINDS {
            let settings = LearnerSettings::Mlp(mlp()).of_kind(kind).unwrap();
            assert_eq!(settings.kind(), kind);
            assert!(settings.check().is_ok(), "{kind}");
        }
        assert!(LearnerSettings::Mlp(mlp()).of_kind("tree").unwrap_err().to_string().contains("linear, mlp, ridge or forest"));
    }

    #[test]
    fn average_may_be_left_out_and_nothing_else() {
        let linear =
            r#"{"kind":"linear","optimizer":{"kind":"sgd","momentum":0.9},"rate":0.1,"decay":"constant","l2":0.0,"batch":32}"#;
        let LearnerSettings::Linear(settings) = serde_json::from_str(linear).unwrap() else {
            panic!("not linear");
        };
        assert_eq!(settings.average.to_bits(), AVERAGE.to_bits());
        let without_batch = linear.replace(r#","batch":32"#, "");
        let error = serde_json::from_str::<LearnerSettings>(&without_batch).unwrap_err();
        assert!(error.to_string().contains("batch"), "{error}");
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

    #[test]
    fn floats_come_back_with_the_same_bits() {
        // Every 99991st f32 from the smallest to the largest value that a setting may have.
        let (low, high) = (SMALLEST.to_bits(), 1e6f32.to_bits());
        let mut settings = mlp();
        for bits in (low..=high).step_by(99_991) {
            settings.rate = f32::from_bits(bits);
            let json = serde_json::to_string(&LearnerSettings::Mlp(settings.clone())).unwrap();
            let back: LearnerSettings = serde_json::from_str(&json).unwrap();
            let LearnerSettings::Mlp(back) = back else {
                panic!("not mlp");
            };
            assert_eq!(back.rate.to_bits(), bits, "{json}");
        }
    }

    #[test]
    fn forest_has_defaults_and_no_rate() {
        let settings: LearnerSettings = serde_json::from_str(r#"{"kind":"forest","trees":5}"#).unwrap();
        assert_eq!(settings, LearnerSettings::Forest(ForestSettings { trees: 5, ..ForestSettings::default() }));
        assert!(serde_json::from_str::<LearnerSettings>(r#"{"kind":"forest","rate":0.1}"#).is_err());
        let json = serde_json::to_string(&settings).unwrap();
        assert_eq!(json, r#"{"kind":"forest","trees":5,"depth":12,"attributes":0,"cuts":8,"min_split":10}"#);
        let mut other = LearnerSettings::Mlp(mlp()).of_kind("forest").unwrap();
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

    #[test]
    fn wrong_values_are_named() {
        type Change = fn(&mut NetSettings);
        let adam = |beta1, beta2, epsilon| Optimizer::Adam { beta1, beta2, epsilon };
        assert!(LearnerSettings::Mlp(mlp()).check().is_ok());
        let cases: [(&str, &str, Change); 14] = [
            ("hidden", "0 layers", |s| s.hidden = vec![]),
            ("hidden", "17 layers", |s| s.hidden = vec![3; 17]),
            ("hidden", "width of 0", |s| s.hidden = vec![3, 0]),
            ("rate", "NaN", |s| s.rate = f32::NAN),
            ("rate", "0.0", |s| s.rate = 0.0),
            ("rate", "-1.0", |s| s.rate = -1.0),
            ("rate", "inf", |s| s.rate = f32::INFINITY),
            ("l2", "-0.1", |s| s.l2 = -0.1),
            ("l2", "NaN", |s| s.l2 = f32::NAN),
            ("batch", "0", |s| s.batch = 0),
            ("batch", "65537", |s| s.batch = 65_537),
            ("average", "1.5", |s| s.average = 1.5),
            ("average", "NaN", |s| s.average = f32::NAN),
            ("optimizer.momentum", "1.0", |s| {
                s.optimizer = Optimizer::Sgd { momentum: 1.0 };
            }),
        ];
        for (setting, value, change) in cases {
            let mut settings = mlp();
            change(&mut settings);
            let error = LearnerSettings::Mlp(settings).check().unwrap_err();
            assert_eq!(error.setting, setting);
            assert!(error.value.contains(value), "{error}");
        }
        for (setting, optimizer) in [
            ("optimizer.beta1", adam(-0.1, 0.9, 1e-8)),
            ("optimizer.beta2", adam(0.9, 1.0, 1e-8)),
            ("optimizer.epsilon", adam(0.9, 0.9, 0.0)),
        ] {
            let settings = NetSettings { optimizer, ..mlp() };
            let error = LearnerSettings::Mlp(settings).check().unwrap_err();
            assert_eq!(error.setting, setting);
        }
        let zero = NetSettings { l2: 0.0, ..mlp() };
        assert!(LearnerSettings::Mlp(zero).check().is_ok());
    }
}
