//! Extremely randomised trees that are a function of the set of their rows: `forest`.
//!
//! After Geurts, Ernst and Wehenkel 2006, "Extremely randomized trees", with one change that makes rows removable to the bit: what a
//! node may ask is a hash of where it is, never of its rows, and which of these it asks is the exact maximum of integer counts. So
//! a tree is the only one that its key and its rows allow, however they came together; taking a row out changes the counts on its way down
//! and grows again only what stands below a node that now asks something else.

mod answers;
mod attribute;
mod draw;
mod flat;
mod hash;
mod outcome;
mod outline;
mod payload;
mod prune;
mod region;
mod settings;
mod shape;
mod state;
mod table;
mod tally;
mod tree;
mod work;

#[cfg(test)]
mod fixture;
#[cfg(test)]
mod oracle;
#[cfg(test)]
mod tests;

use answers::ForestAnswers;
use draw::Width;
use outcome::{Classes, Outcome};
use state::ForestState;
use work::Rules;

use super::{Abilities, Layout, Learner, Removal, Scorer, SettingsError, State, StateError, Task};

pub use settings::{FOREST_SHARDS, ForestSettings};

/// The learner behind `forest`.
#[derive(Clone, Debug)]
pub(super) struct Forest {
    settings: ForestSettings,
}

impl Forest {
    /// The learner with these settings, which are checked.
    pub(super) fn of_checked(settings: ForestSettings) -> Forest {
        Forest { settings }
    }

    fn rules<O: Outcome>(&self, layout: &Layout, outcome: O) -> Rules<O> {
        let attributes = attribute::of(layout);
        let drawn = match self.settings.attributes {
            0 => (4 * attributes.len()).isqrt(),
            drawn => drawn as usize,
        };
        Rules {
            outcome,
            width: Width { attributes: drawn.clamp(1, 256).min(attributes.len().max(1)), cuts: self.settings.cuts as usize },
            depth: self.settings.depth,
            min_split: self.settings.min_split,
            attributes,
            counts: self.settings.counts,
        }
    }

    fn start<O: Outcome>(&self, layout: &Layout, outcome: O, seed: [u8; 32]) -> Box<dyn State> {
        let rules = self.rules(layout, outcome);
        Box::new(ForestState::of_seed(layout.clone(), rules, self.settings.trees as usize, seed))
    }

    fn restore<O: Outcome>(&self, layout: &Layout, outcome: O, bytes: &[u8]) -> Result<Box<dyn State>, StateError> {
        let rules = self.rules(layout, outcome);
        Ok(Box::new(ForestState::of_bytes(layout.clone(), rules, self.settings.trees as usize, bytes)?))
    }

    fn remainder<O: Outcome>(
        &self,
        layout: &Layout,
        outcome: O,
        bytes: &[u8],
        removal: &Removal<'_, '_>,
    ) -> Result<Vec<u8>, StateError> {
        ForestState::without(layout.clone(), self.rules(layout, outcome), self.settings.trees as usize, bytes, removal)
    }

    fn answers<O: Outcome>(&self, layout: &Layout, outcome: O, bytes: &[u8]) -> Result<Box<dyn Scorer>, StateError> {
        let rules = self.rules(layout, outcome);
        Ok(Box::new(ForestAnswers::of_bytes(layout.clone(), rules, self.settings.trees as usize, bytes)?))
    }
}

impl Learner for Forest {
    fn abilities(&self) -> Abilities {
        Abilities { downdate: true, holds_rows: true, ..Abilities::default() }
    }

    fn accepts(&self, layout: &Layout) -> Result<(), SettingsError> {
        self.settings.accepts(layout)
    }

    fn init(&self, layout: &Layout, seed: [u8; 32]) -> Box<dyn State> {
        match layout.task {
            Task::Classes(2) => self.start(layout, Classes::<2> { count: 2 }, seed),
            Task::Classes(count) => self.start(layout, Classes::<0> { count: count as usize }, seed),
            Task::Number => self.start(layout, table::number(layout), seed),
        }
    }

    fn decode(&self, layout: &Layout, bytes: &[u8]) -> Result<Box<dyn State>, StateError> {
        match layout.task {
            Task::Classes(2) => self.restore(layout, Classes::<2> { count: 2 }, bytes),
            Task::Classes(count) => self.restore(layout, Classes::<0> { count: count as usize }, bytes),
            Task::Number => self.restore(layout, table::number(layout), bytes),
        }
    }

    fn without(&self, layout: &Layout, bytes: &[u8], removal: &Removal<'_, '_>) -> Result<Vec<u8>, StateError> {
        match layout.task {
            Task::Classes(2) => self.remainder(layout, Classes::<2> { count: 2 }, bytes, removal),
            Task::Classes(count) => self.remainder(layout, Classes::<0> { count: count as usize }, bytes, removal),
            Task::Number => self.remainder(layout, table::number(layout), bytes, removal),
        }
    }

    fn scorer(&self, layout: &Layout, bytes: &[u8]) -> Result<Box<dyn Scorer>, StateError> {
        if !self.settings.counts {
            return Ok(self.decode(layout, bytes)?);
        }
        match layout.task {
            Task::Classes(2) => self.answers(layout, Classes::<2> { count: 2 }, bytes),
            Task::Classes(count) => self.answers(layout, Classes::<0> { count: count as usize }, bytes),
            Task::Number => self.answers(layout, table::number(layout), bytes),
        }
    }
}
