//! Learners: numbers in, numbers out.
//!
//! A learner turns the rows of one shard's slices, visited in an order it does not choose, into a state, and a state
//! into scores. It does not know where rows come from, who they are about, what a file is, or that anything is ever
//! deleted. The same inputs give the same bytes of state, on any number of threads and any vector width.

mod batch;
mod boost;
mod differentiable;
mod error;
mod external;
mod forest;
mod formula;
mod net;
mod ridge;
mod scaler;
mod settings;
#[cfg(test)]
mod testing;

use std::{fmt::Debug, path::Path};

use ndarray::ArrayView2;
use serde::{Deserialize, Serialize};

use crate::num::Team;

pub use boost::{BoostSettings, Growth};
pub use differentiable::{Differentiable, Toward};
pub use error::{SettingsError, StateError, StepError};
pub use external::{ExternalSettings, FirstStep, WorkerError, rest};
pub use forest::{FOREST_SHARDS, ForestSettings};
pub use formula::{
    Ask, DenseLayer, Formula, Leaves, Link, NetFormula, RandomFeatures, RidgeFormula, TreeNode, TreeTest, TreesFormula, greatest,
};
pub use net::{Activation, Decay, Descent, NetSettings, Optimizer};
pub use ridge::{RidgeMap, RidgeSettings};
pub use settings::LearnerSettings;

/// What is learnt: a class or a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Task {
    /// One of this many classes; scores are probabilities, one a class.
    Classes(u32),
    /// A number (regression); the score is the predicted number, in the units of the label.
    Number,
}

impl Task {
    /// Scores a row: one a class, or one.
    pub fn outputs(self) -> usize {
        match self {
            Task::Classes(n) => n as usize,
            Task::Number => 1,
        }
    }
}

/// The declared ends of a number, the lower one first, both finite.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Range(pub [f32; 2]);

/// The shape of a row as the learner sees it; fixed for a generation.
#[derive(Clone, Debug, PartialEq)]
pub struct Layout {
    /// Number columns (f32, NaN where missing).
    pub numbers: usize,
    /// The declared range of each number column, as the column is stored; values beyond it count as its ends.
    pub ranges: Vec<Option<Range>>,
    /// Which number columns have a missing indicator, ascending.
    pub indicators: Vec<u32>,
    /// The declared scale of each byte column.
    pub byte_scales: Vec<f32>,
    /// How many values each category column can take.
    pub categories: Vec<u32>,
    /// What is learnt.
    pub task: Task,
    /// The declared range of a number that is learnt, as it is stored.
    pub label_range: Option<Range>,
}

/// The labels of some rows.
#[derive(Clone, Copy, Debug)]
pub enum Labels<'a> {
    /// Class indices, each below the layout's number of classes.
    Classes(&'a [u32]),
    /// Numbers, finite.
    Numbers(&'a [f32]),
}

/// The features of some rows: zero-copy views of a slice file, or of a batch that is to be scored.
#[derive(Clone, Copy, Debug)]
pub struct Features<'a> {
    /// `rows x numbers`, standard layout.
    pub numbers: ArrayView2<'a, f32>,
    /// `rows x byte columns`, standard layout.
    pub bytes: ArrayView2<'a, u8>,
    /// `rows x category columns`, each below its column's size, standard layout.
    pub categories: ArrayView2<'a, u32>,
}

impl Features<'_> {
    /// How many rows.
    pub fn rows(&self) -> usize {
        self.numbers.nrows()
    }

    /// Some of the rows.
    pub fn slice(&self, rows: std::ops::Range<usize>) -> Features<'_> {
        let rows = ndarray::s![rows, ..];
        Features { numbers: self.numbers.slice(rows), bytes: self.bytes.slice(rows), categories: self.categories.slice(rows) }
    }
}

/// The rows of one slice, in the order of their record handles.
#[derive(Clone, Copy, Debug)]
pub struct Rows<'a> {
    /// The features.
    pub features: Features<'a>,
    /// The labels, as many as rows.
    pub labels: Labels<'a>,
}

/// One visit of one row in a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Visit {
    /// Index into the step's prefix of slices.
    pub slice: u32,
    /// Row in that slice.
    pub row: u32,
    /// How far into the step this visit is, as a fraction of 2^32.
    pub progress: u32,
}

/// Everything a step may look at.
///
/// The rows have a lifetime of their own (`'r`): ndarray's views, once in a struct, can't be shortened to that of a crew.
#[derive(Debug)]
pub struct Step<'a, 'r> {
    /// Which step, from 1.
    pub index: u32,
    /// Steps of the first batch (R); later batches have further ones.
    pub of: u32,
    /// Slices 1..=index. The last one is new to the state and not empty.
    pub prefix: &'a [Rows<'r>],
    /// Which rows, in which order.
    pub visits: &'a [Visit],
    /// How many ways kernels may split their outputs; asked anew for every batch, changes no bit.
    pub crew: &'a dyn Crew,
}

/// Says how many threads are free for one constituent right now, and hears of progress.
pub trait Crew: Debug + Sync {
    /// The team for the next batch.
    fn team(&self) -> Team;
    /// `rows` more visits are done. Returns false when the step should be given up (the person interrupted).
    fn visited(&self, rows: usize) -> bool;
}

/// What a learner can do with its states beside training them on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Abilities {
    /// A state is a function of the *set* of its rows, and rows can be taken out of it again ([`State::downdate`]). Steps then visit each new
    /// row once, and no other.
    pub downdate: bool,
    /// States of several shards add up to one model ([`State::merge`]). Their seed is then the same for all shards.
    pub merge: bool,
    /// Rows can be added to a state beside those that it has seen, whichever slices they belong to ([`State::extend`]).
    pub extend: bool,
    /// A state holds its rows: whoever has the one has the others.
    pub holds_rows: bool,
    /// A step looks at all its visits many times over, not at one after the other: what is visited is its data, not its work.
    pub whole: bool,
}

/// Rows that leave the state of a prefix.
#[derive(Debug)]
pub struct Removal<'a, 'r> {
    /// Slices 1..=index as the state has seen them.
    pub before: &'a [Rows<'r>],
    /// For each of those slices the rows that go, ascending.
    pub gone: &'a [Vec<u32>],
    /// How many ways the work may be split; changes no bit.
    pub team: Team,
}

/// Rows that come to the state of a prefix.
#[derive(Debug)]
pub struct Addition<'a, 'r> {
    /// Slices 1..=index as they are with these rows.
    pub after: &'a [Rows<'r>],
    /// For each of those slices the rows that come, ascending.
    pub come: &'a [Vec<u32>],
    /// How many ways the work may be split; changes no bit.
    pub team: Team,
}

/// A kind of model with its settings.
pub trait Learner: Debug + Send + Sync {
    /// What the states of this learner can do.
    fn abilities(&self) -> Abilities {
        Abilities::default()
    }

    /// Whether the learner can work with such rows.
    ///
    /// # Errors
    /// Names the setting or the declaration that stands in the way, and what to do.
    fn accepts(&self, _layout: &Layout) -> Result<(), SettingsError> {
        Ok(())
    }

    /// Bytes that the training of one constituent holds at least beside its rows; 0 where that is little.
    fn working_bytes(&self, _layout: &Layout) -> u64 {
        0
    }

    /// Says in which folder programs run that learners outside this one are; others need none.
    fn settle(&mut self, _folder: &Path) {}

    /// Whether states can be trained here: of a learner outside this program, whether it runs, and computes what it did where its recipe
    /// was frozen.
    ///
    /// # Errors
    /// It does not; says what to do.
    fn ready(&self, _layout: &Layout) -> Result<(), WorkerError> {
        Ok(())
    }

    /// The state before any row, from a derived seed.
    fn init(&self, layout: &Layout, seed: [u8; 32]) -> Box<dyn State>;

    /// The state that `bytes` hold ([`State::encode`]'s inverse).
    ///
    /// # Errors
    /// When the bytes are not a state of this learner and layout; never panics, never allocates more than a small multiple of `bytes`.
    fn decode(&self, layout: &Layout, bytes: &[u8]) -> Result<Box<dyn State>, StateError>;

    /// The bytes of the state that `bytes` hold, without rows that go: they are taken out of it, or it is made again of the rows that
    /// stay, whichever is predicted to be less work. Both give the same bytes.
    ///
    /// # Errors
    /// As for [`Learner::decode`] and [`State::downdate`].
    fn without(&self, layout: &Layout, bytes: &[u8], removal: &Removal<'_, '_>) -> Result<Vec<u8>, StateError> {
        let mut state = self.decode(layout, bytes)?;
        state.downdate(removal)?;
        Ok(state.encode())
    }

    /// What answers as the state that `bytes` hold, with nothing in memory that answers do not need.
    ///
    /// # Errors
    /// As for [`Learner::decode`].
    fn scorer(&self, layout: &Layout, bytes: &[u8]) -> Result<Box<dyn Scorer>, StateError> {
        Ok(self.decode(layout, bytes)?)
    }
}

/// What answers of one constituent.
pub trait Scorer: Debug + Send + Sync {
    /// Does what the first call of [`Scorer::scores`] would otherwise have to do, such as solving for weights.
    fn prepare(&mut self, _team: Team) {}

    /// Writes `rows x outputs` scores, row-major.
    fn scores(&self, features: &Features<'_>, team: &Team, out: &mut [f32]);

    /// The same, of learners that may fail to score: a worker process of theirs may. [`Scorer::scores`] gives NaN then.
    ///
    /// # Errors
    /// There are no scores; says why.
    fn try_scores(&self, features: &Features<'_>, team: &Team, out: &mut [f32]) -> Result<(), WorkerError> {
        self.scores(features, team, out);
        Ok(())
    }

    /// Rows of the prefix that the state has been trained on; 0 means it has no vote.
    fn rows(&self) -> u64;

    /// What [`Scorer::scores`] computes, in parts.
    fn formula(&self) -> Formula;
}

/// The state of one constituent. `Any`, so that [`State::merge`] can tell its own kind.
pub trait State: Scorer + std::any::Any {
    /// Trains one step.
    ///
    /// # Errors
    /// When it diverges or is interrupted; the state is then to be thrown away.
    fn step(&mut self, step: &Step<'_, '_>) -> Result<(), StepError>;

    /// Takes rows out: the state is then, to the bit, that of training on the rest. Only for learners whose [`Abilities`] say so.
    ///
    /// # Errors
    /// The removal does not fit the state (or nothing can be taken out of it); the state is then to be thrown away.
    fn downdate(&mut self, _removal: &Removal<'_, '_>) -> Result<(), StateError> {
        Err(StateError("its learner does not take rows out".into()))
    }

    /// Adds rows: the state is then, to the bit, that of training on all. Only for learners whose [`Abilities`] say so.
    ///
    /// # Errors
    /// The addition does not fit the state (or nothing can be added to it); the state is then to be thrown away.
    fn extend(&mut self, _addition: &Addition<'_, '_>) -> Result<(), StateError> {
        Err(StateError("its learner does not add rows".into()))
    }

    /// Adds the state of another shard: one model of the rows of both. Only for learners whose [`Abilities`] say so.
    ///
    /// # Errors
    /// The other is not a state of the same learner and layout.
    fn merge(&mut self, _other: &dyn State) -> Result<(), StateError> {
        Err(StateError("its learner does not merge states".into()))
    }

    /// Forgets the seed that it was begun with, so that it adds up with states that were begun with others.
    ///
    /// # Errors
    /// What it computes follows from the seed, or its states do not add up.
    fn without_seed(&mut self) -> Result<(), StateError> {
        Err(StateError("its learner does not merge states".into()))
    }

    /// The model in service as a function of its weights; `None` where its loss has no gradient.
    fn differentiable(&self) -> Option<Box<dyn Differentiable>> {
        None
    }

    /// Everything needed to continue, as bytes; the same state gives the same bytes.
    fn encode(&self) -> Vec<u8>;
}
