//! The settings of `linear` and `mlp`.

use serde::{Deserialize, Serialize};

use super::Net;
use crate::learn::error::{SMALLEST, allow, number, number_or_zero, share_below_one};
use crate::learn::settings::Kind;
use crate::learn::{Learner, SettingsError, Task};

/// The share of all updates so far that the averaged weights look back on, where nothing else is said.
const AVERAGE: f32 = 0.05;
/// More hidden layers than this are taken for a mistake.
const HIDDEN_MAX: usize = 16;
/// More units in a layer than this are taken for a mistake.
const WIDTH_MAX: u32 = 65_536;
/// More rows in a batch than this are taken for a mistake.
const BATCH_MAX: u32 = 65_536;
/// Where a proposal cuts inputs: of normal numbers not one is that far from the mean.
const CLIP: f32 = 8.0;
/// What a proposal takes for numbers: a squared error has larger gradients than a cross-entropy, and the rate that suits classes diverges.
const NUMBER_RATE: f32 = 0.01;
const NUMBER_GRADIENT: f32 = 1.0;

/// How weights descend; all there is to set about `linear`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Descent {
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
    /// Number columns are cut to so many deviations from their mean, so that a mistyped cell counts as far away and not as everything. Not cut
    /// where it is left out, as before there was such a setting.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub clip: Option<f32>,
    /// A batch's gradient is at most so long (the root of the sum of squares over all weights), its direction kept (Pascanu, Mikolov and Bengio
    /// 2013, algorithm 1). As long as it is where it is left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_gradient: Option<f32>,
}

/// The settings of `mlp`.
// Tests hold that an unknown field is refused although one is flattened, which serde does not promise.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NetSettings {
    /// The widths of the hidden layers, from the input on.
    pub hidden: Vec<u32>,
    /// What follows each hidden layer.
    pub activation: Activation,
    /// How its weights descend.
    #[serde(flatten)]
    pub descent: Descent,
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

impl Default for Descent {
    fn default() -> Descent {
        Descent {
            optimizer: Optimizer::Sgd { momentum: 0.9 },
            rate: 0.05,
            decay: Decay::Constant,
            l2: 1e-4,
            batch: 64,
            average: AVERAGE,
            clip: Some(CLIP),
            max_gradient: None,
        }
    }
}

impl Default for NetSettings {
    fn default() -> NetSettings {
        NetSettings { hidden: vec![64], activation: Activation::Relu, descent: Descent::default() }
    }
}

fn default_average() -> f32 {
    AVERAGE
}

impl Kind for Descent {
    const KIND: &'static str = "linear";

    fn check(&self) -> Result<Box<dyn Learner>, SettingsError> {
        self.check_values()?;
        // Without hidden layers nothing is activated.
        let settings = NetSettings { hidden: Vec::new(), activation: Activation::Relu, descent: self.clone() };
        Ok(Box::new(Net::of_checked(settings)))
    }

    fn rate(&mut self) -> Option<&mut f32> {
        Some(&mut self.rate)
    }

    fn suit(&mut self, task: Task) {
        if task == Task::Number {
            (self.rate, self.max_gradient) = (NUMBER_RATE, Some(NUMBER_GRADIENT));
        }
    }
}

impl Kind for NetSettings {
    const KIND: &'static str = "mlp";

    fn check(&self) -> Result<Box<dyn Learner>, SettingsError> {
        self.check_hidden()?;
        self.descent.check_values()?;
        Ok(Box::new(Net::of_checked(self.clone())))
    }

    fn rate(&mut self) -> Option<&mut f32> {
        self.descent.rate()
    }

    fn suit(&mut self, task: Task) {
        self.descent.suit(task);
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
}

impl Descent {
    fn check_values(&self) -> Result<(), SettingsError> {
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
        number_or_zero("l2", self.l2, SMALLEST, 1e6)?;
        allow((1..=BATCH_MAX).contains(&self.batch), "batch", || {
            (self.batch.to_string(), format!("a count from 1 to {BATCH_MAX}"))
        })?;
        for (setting, bound) in [("clip", self.clip), ("max_gradient", self.max_gradient)] {
            bound.map_or(Ok(()), |bound| number(setting, bound, 1e-6, 1e6))?;
        }
        allow(self.average == 0.0 || (SMALLEST..=1.0).contains(&self.average), "average", || {
            (format!("{:?}", self.average), "0 (which serves the last weights), or a number from 1e-12 to 1".to_owned())
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::learn::LearnerSettings;

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
    fn average_and_the_bounds_may_be_left_out_and_nothing_else() {
        let linear =
            r#"{"kind":"linear","optimizer":{"kind":"sgd","momentum":0.9},"rate":0.1,"decay":"constant","l2":0.0,"batch":32}"#;
        let LearnerSettings::Linear(settings) = serde_json::from_str(linear).unwrap() else {
            panic!("not linear");
        };
        assert_eq!(settings.average.to_bits(), AVERAGE.to_bits());
        // What older recipes do not say is not done, and they come back as they were written.
        assert_eq!((settings.clip, settings.max_gradient), (None, None));
        let written = serde_json::to_string(&LearnerSettings::Linear(settings.clone())).unwrap();
        assert!(!written.contains("clip") && !written.contains("max_gradient"), "{written}");
        let without_batch = linear.replace(r#","batch":32"#, "");
        let error = serde_json::from_str::<LearnerSettings>(&without_batch).unwrap_err();
        assert!(error.to_string().contains("batch"), "{error}");
    }

    #[test]
    fn floats_come_back_with_the_same_bits() {
        // Every 99991st f32 from the smallest to the largest value that a setting may have.
        let (low, high) = (SMALLEST.to_bits(), 1e6f32.to_bits());
        let mut settings = mlp();
        for bits in (low..=high).step_by(99_991) {
            settings.descent.rate = f32::from_bits(bits);
            let json = serde_json::to_string(&LearnerSettings::Mlp(settings.clone())).unwrap();
            let back: LearnerSettings = serde_json::from_str(&json).unwrap();
            let LearnerSettings::Mlp(back) = back else {
                panic!("not mlp");
            };
            assert_eq!(back.descent.rate.to_bits(), bits, "{json}");
        }
    }

    #[test]
    fn wrong_values_are_named() {
        type Change = fn(&mut NetSettings);
        let adam = |beta1, beta2, epsilon| Optimizer::Adam { beta1, beta2, epsilon };
        assert!(LearnerSettings::Mlp(mlp()).check().is_ok());
        let cases: [(&str, &str, Change); 17] = [
            ("hidden", "0 layers", |s| s.hidden = vec![]),
            ("hidden", "17 layers", |s| s.hidden = vec![3; 17]),
            ("hidden", "width of 0", |s| s.hidden = vec![3, 0]),
            ("rate", "NaN", |s| s.descent.rate = f32::NAN),
            ("rate", "0.0", |s| s.descent.rate = 0.0),
            ("rate", "-1.0", |s| s.descent.rate = -1.0),
            ("rate", "inf", |s| s.descent.rate = f32::INFINITY),
            ("l2", "-0.1", |s| s.descent.l2 = -0.1),
            ("l2", "NaN", |s| s.descent.l2 = f32::NAN),
            ("batch", "0", |s| s.descent.batch = 0),
            ("batch", "65537", |s| s.descent.batch = 65_537),
            ("average", "1.5", |s| s.descent.average = 1.5),
            ("average", "NaN", |s| s.descent.average = f32::NAN),
            ("clip", "0.0", |s| s.descent.clip = Some(0.0)),
            ("clip", "NaN", |s| s.descent.clip = Some(f32::NAN)),
            ("max_gradient", "-1.0", |s| s.descent.max_gradient = Some(-1.0)),
            ("optimizer.momentum", "1.0", |s| {
                s.descent.optimizer = Optimizer::Sgd { momentum: 1.0 };
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
            let settings = NetSettings { descent: Descent { optimizer, ..mlp().descent }, ..mlp() };
            let error = LearnerSettings::Mlp(settings).check().unwrap_err();
            assert_eq!(error.setting, setting);
        }
        let zero = NetSettings { descent: Descent { l2: 0.0, ..mlp().descent }, ..mlp() };
        assert!(LearnerSettings::Mlp(zero).check().is_ok());
    }
}
