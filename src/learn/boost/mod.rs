//! Gradient boosting by histograms: `boost`.
//!
//! After Friedman 2001, "Greedy function approximation", and LightGBM (Ke et al. 2017). Here every sum is one of integers, so a state is a function of
//! the visits alone, whatever their order, the threads and the vector width: cells are codes by declaration ([`codes`]), a step bins them by its own
//! rows' counts ([`bins`]), derivatives are integers that cannot overflow ([`loss`]), and ties have an order ([`split`]).
//!
//! A step adds its share of the rounds, grown on its visits; a row that is visited twice counts twice.

mod bins;
mod codes;
mod flat;
mod grow;
mod histogram;
mod loss;
mod payload;
mod settings;
mod split;
mod state;
mod tree;

#[cfg(test)]
mod fixture;
#[cfg(test)]
mod oracle;
#[cfg(test)]
mod tests;

use codes::Codes;
use loss::Loss;
use payload::{Limits, Payload};
use state::BoostState;

use super::{Abilities, Layout, Learner, SettingsError, State, StateError};
use crate::num::Isa;

pub use settings::{BoostSettings, Growth};

/// The learner behind `boost`.
#[derive(Clone, Debug)]
pub(super) struct Boost {
    settings: BoostSettings,
    isa: Isa,
}

impl Boost {
    /// The learner with these settings, which are checked.
    pub(super) fn of_checked(settings: BoostSettings) -> Boost {
        Boost { settings, isa: Isa::active() }
    }

    fn limits(&self, loss: Loss) -> Limits {
        Limits { models: loss.models(), rounds: self.settings.rounds as usize, leaves: self.settings.leaves as usize }
    }

    fn state(&self, layout: &Layout, payload: Payload) -> Box<dyn State> {
        Box::new(BoostState::of(self.settings.clone(), self.isa, layout, payload))
    }
}

impl Learner for Boost {
    fn abilities(&self) -> Abilities {
        Abilities { whole: true, ..Abilities::default() }
    }

    fn accepts(&self, layout: &Layout) -> Result<(), SettingsError> {
        self.settings.accepts(layout)
    }

    /// Nothing is drawn: the seed is not used.
    fn init(&self, layout: &Layout, _seed: [u8; 32]) -> Box<dyn State> {
        let base = vec![0; Loss::of(layout).models()];
        self.state(layout, Payload { rows: 0, base, trees: Vec::new() })
    }

    fn decode(&self, layout: &Layout, bytes: &[u8]) -> Result<Box<dyn State>, StateError> {
        let payload = payload::decode(&Codes::of(layout), self.limits(Loss::of(layout)), bytes)?;
        Ok(self.state(layout, payload))
    }
}
