//! Approximate unlearning: what tries to turn a model that saw some rows into one that never did, without training anew.
//!
//! Each takes the served weights of a model and gives others back, in memory; nothing here can be written, exported or served. The
//! methods are here to be measured, not to be used. Their cost is counted in row-passes: forward and backward of one row is 1, a forward
//! pass alone 1/3.

mod adaptive;
mod clean_teacher;
mod descent;
mod fine_tune;
mod goals;
mod job;
mod neg_grad;
mod neg_grad_plus;
pub mod newton;
mod none;
mod order;
mod random_labels;
mod relearn;
mod reset_head;
mod scrub;
mod ssd;
#[cfg(test)]
mod testing;

use std::fmt::Debug;

pub use descent::Rules;
pub use job::{Clean, Job, Stop, Unlearned, clip, held_rows, losses};
pub use order::Orders;
pub use relearn::relearn;

use crate::learn::Differentiable;

/// A method with its settings.
pub trait Method: Debug + Send + Sync {
    /// Its name, as it is written.
    fn name(&self) -> &'static str;

    /// Its settings, to be read and set.
    fn settings(&mut self) -> Vec<Setting<'_>>;

    /// Row-passes that it is to be expected to cost, given how many rows stay and go, and how many are in a batch.
    fn expected(&self, retain: f64, forget: f64, batch: f64) -> f64;

    /// Tries to make a model forget.
    fn run(&self, model: &mut dyn Differentiable, job: &Job<'_>) -> Unlearned;
}

/// A setting of a method.
#[derive(Debug)]
pub struct Setting<'a> {
    /// Its name, as it is written.
    pub name: &'static str,
    /// Its value.
    pub value: &'a mut f64,
    /// What it may be, the ends included.
    pub range: (f64, f64),
    /// Whether it must be a whole number.
    pub whole: bool,
}

impl<'a> Setting<'a> {
    /// A count of passes.
    fn passes(name: &'static str, value: &'a mut f64) -> Setting<'a> {
        Setting { name, value, range: (0.0, 1000.0), whole: true }
    }

    /// A rate, as a multiple of the learner's own.
    fn rate(name: &'static str, value: &'a mut f64) -> Setting<'a> {
        Setting { name, value, range: (1e-6, 1e3), whole: false }
    }

    /// Any number from 0 on.
    fn number(name: &'static str, value: &'a mut f64, most: f64) -> Setting<'a> {
        Setting { name, value, range: (0.0, most), whole: false }
    }
}

/// Row-passes of forget batches beside all batches of a pass.
fn beside(retain: f64, forget: f64, batch: f64) -> f64 {
    (retain / batch).ceil() * batch.min(forget)
}

/// The names of all methods that change a network.
pub const NAMES: [&str; 10] =
    ["none", "fine-tune", "neggrad", "neggrad+", "random-labels", "scrub", "reset-head", "ssd", "clean-teacher", "adaptive"];

/// A method by its name, with its own settings.
pub fn method(name: &str) -> Option<Box<dyn Method>> {
    Some(match name {
        "none" => Box::new(none::None),
        "fine-tune" => Box::<fine_tune::FineTune>::default(),
        "neggrad" => Box::<neg_grad::NegGrad>::default(),
        "neggrad+" => Box::<neg_grad_plus::NegGradPlus>::default(),
        "random-labels" => Box::<random_labels::RandomLabels>::default(),
        "scrub" => Box::<scrub::Scrub>::default(),
        "reset-head" => Box::<reset_head::ResetHead>::default(),
        "ssd" => Box::<ssd::Ssd>::default(),
        "clean-teacher" => Box::<clean_teacher::CleanTeacher>::default(),
        "adaptive" => Box::<adaptive::Adaptive>::default(),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_is_a_method_of_that_name_with_settings_in_their_ranges() {
        for name in NAMES {
            let mut method = method(name).unwrap();
            assert_eq!(method.name(), name);
            for setting in method.settings() {
                let (low, high) = setting.range;
                assert!((low..=high).contains(setting.value), "{name}.{}", setting.name);
                assert!(!setting.whole || setting.value.fract() == 0.0, "{name}.{}", setting.name);
            }
        }
        assert!(method("retrain").is_none());
    }
}
