//! A learner that is a program of the person's own, in any language: a worker process for each constituent in training, and one for answers.
//!
//! A worker computes functions of bytes: a seed to a state, a state and rows to a state, a state and rows to scores. Rows are streamed
//! in the order of their visits, so a worker sees a batch at a time, and no id. Every step begins from the bytes of a state and a seed
//! of its own, whether the worker trained the step before or not: so going on and resuming are the same.

mod answers;
mod frame;
mod probe;
mod rows;
mod seed;
mod settings;
mod worker;

use std::{
    fmt,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, OnceLock, PoisonError, Weak},
};

use super::{Features, Formula, Layout, Learner, LearnerSettings, Scorer, SettingsError, State, StateError, Step, StepError};
use crate::{digest::Digest, num::Team};

use answers::Answers;
pub use probe::FirstStep;
use probe::{Probe, other_machine};
pub use settings::ExternalSettings;
use worker::{Begin, Failure, Worker};

/// A learner outside this program, or its worker, is at fault.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the learner `{name}`: {what}")]
pub struct WorkerError {
    /// What the person calls it.
    pub name: String,
    /// What is wrong, and what to do.
    pub what: String,
}

/// The learner.
#[derive(Debug)]
pub(super) struct External(Arc<Rules>);

/// What all states of a learner share.
#[derive(Debug)]
struct Rules {
    settings: ExternalSettings,
    /// Where the command runs.
    folder: PathBuf,
    /// Whether this machine is the one that the recipe was frozen on, once that was looked at.
    fits: OnceLock<Result<(), WorkerError>>,
    answers: Answers,
}

impl External {
    /// The learner with these settings, which are checked.
    pub(super) fn of_checked(settings: ExternalSettings) -> External {
        External::within(settings, PathBuf::new())
    }

    /// The learner in a folder. All that are the same share what they found out and the worker that answers: a service opens its model again
    /// after every deletion.
    fn within(settings: ExternalSettings, folder: PathBuf) -> External {
        let mut living = LIVING.lock().unwrap_or_else(PoisonError::into_inner);
        living.retain(|rules| rules.strong_count() > 0);
        let same = |rules: &Arc<Rules>| rules.settings == settings && rules.folder == folder;
        if let Some(rules) = living.iter().filter_map(Weak::upgrade).find(same) {
            return External(rules);
        }
        let rules = Arc::new(Rules { settings, folder, fits: OnceLock::new(), answers: Answers::default() });
        living.push(Arc::downgrade(&rules));
        External(rules)
    }

    fn state(&self, layout: &Layout, seed: [u8; 32], rows: u64, state: Option<Vec<u8>>) -> ExternalState {
        let slot = self.0.answers.slot();
        ExternalState {
            rules: self.0.clone(),
            layout: Arc::new(layout.clone()),
            seed,
            rows,
            state,
            slot,
            worker: Mutex::default(),
        }
    }

    fn decoded(&self, layout: &Layout, bytes: &[u8]) -> Result<ExternalState, StateError> {
        let cut = || StateError(format!("it has {} bytes, and the least is {HEAD}", bytes.len()));
        let (rows, rest) = bytes.split_first_chunk::<8>().ok_or_else(cut)?;
        let (seed, rest) = rest.split_first_chunk::<32>().ok_or_else(cut)?;
        let (trained, state) = rest.split_first().ok_or_else(cut)?;
        let rows = u64::from_le_bytes(*rows);
        match (trained, rows) {
            (1, 1..) => Ok(self.state(layout, *seed, rows, Some(state.to_vec()))),
            (0, 0) if state.is_empty() => Ok(self.state(layout, *seed, 0, None)),
            _ => Err(StateError(format!("it says {trained} of whether it was trained, and {rows} of its rows"))),
        }
    }
}

impl Rules {
    /// Looks once whether this machine makes of made-up rows what the one did on which the recipe was frozen.
    fn fit(&self, layout: &Layout) -> Result<(), WorkerError> {
        let Some(probe) = self.settings.probe else { return Ok(()) };
        let look = || match Probe::here(&self.settings, layout, &self.folder)? {
            here if here.digest(&self.settings) == probe => Ok(()),
            here => Err(other_machine(&self.settings, &here)),
        };
        self.fits.get_or_init(look).clone()
    }
}

impl Learner for External {
    fn settle(&mut self, folder: &Path) {
        *self = External::within(self.0.settings.clone(), folder.to_owned());
    }

    fn ready(&self, layout: &Layout) -> Result<(), WorkerError> {
        self.0.fit(layout)
    }

    fn init(&self, layout: &Layout, seed: [u8; 32]) -> Box<dyn State> {
        Box::new(self.state(layout, seed, 0, None))
    }

    fn decode(&self, layout: &Layout, bytes: &[u8]) -> Result<Box<dyn State>, StateError> {
        Ok(Box::new(self.decoded(layout, bytes)?))
    }

    fn scorer(&self, layout: &Layout, bytes: &[u8]) -> Result<Box<dyn Scorer>, StateError> {
        Ok(Box::new(self.decoded(layout, bytes)?))
    }
}

/// What learners of this process share.
static LIVING: Mutex<Vec<Weak<Rules>>> = Mutex::new(Vec::new());

/// Ends the workers of this process that answer for a folder, but for one that is at it just now: they have states and rows in memory. They
/// are started again when somebody asks.
pub fn rest(folder: &Path) {
    let living: Vec<Arc<Rules>> =
        LIVING.lock().unwrap_or_else(PoisonError::into_inner).iter().filter_map(Weak::upgrade).collect();
    living.iter().filter(|rules| rules.folder == folder).for_each(|rules| rules.answers.rest());
}

/// The learner whose recipe was frozen last.
static SETTLED: Mutex<Option<Arc<Rules>>> = Mutex::new(None);

/// Rows, the seed of the initial state, whether anything was trained.
const HEAD: usize = 8 + 32 + 1;

/// The state of a constituent: bytes of its worker, and what they are a state of.
struct ExternalState {
    rules: Arc<Rules>,
    layout: Arc<Layout>,
    /// Of the initial state; those of the steps are derived from it.
    seed: [u8; 32],
    rows: u64,
    /// None before the first row: then no worker was asked for anything.
    state: Option<Vec<u8>>,
    /// By which the worker that answers knows it.
    slot: u32,
    /// Stays from step to step, and ends with the state. Behind a lock only because its pipes are for one thread.
    worker: Mutex<Option<Worker>>,
}

impl fmt::Debug for ExternalState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bytes = self.state.as_ref().map_or(0, Vec::len);
        f.debug_struct("ExternalState").field("rows", &self.rows).field("bytes", &bytes).finish_non_exhaustive()
    }
}

impl Drop for ExternalState {
    fn drop(&mut self) {
        self.rules.answers.forget(self.slot);
    }
}

impl ExternalState {
    fn train(&mut self, step: &Step<'_, '_>) -> Result<Vec<u8>, Failure> {
        self.rules.fit(&self.layout)?;
        let settings = &self.rules.settings;
        let mut worker = match self.worker.get_mut().unwrap_or_else(PoisonError::into_inner).take() {
            Some(worker) => worker,
            None => Worker::start(settings, &self.layout, &self.rules.folder)?,
        };
        let crew = Some(step.crew);
        let before = match self.state.take() {
            Some(state) => state,
            None => worker.init(seed::initial(&self.seed), crew)?,
        };
        let seed = seed::step(&self.seed, step.index);
        let begin = Begin { index: step.index, of: step.of, visits: step.visits.len() as u64, seed, state: &before };
        let batches = step.visits.chunks(settings.batch as usize);
        let batches = batches.map(|visits| (visits.len(), rows::batch(step.prefix, visits)));
        let after = worker.step(&begin, batches, crew)?;
        // One that failed is ended, and the state is thrown away.
        *self.worker.get_mut().unwrap_or_else(PoisonError::into_inner) = Some(worker);
        Ok(after)
    }
}

impl Scorer for ExternalState {
    fn scores(&self, features: &Features<'_>, team: &Team, out: &mut [f32]) {
        if self.try_scores(features, team, out).is_err() {
            out.fill(f32::NAN);
        }
    }

    fn try_scores(&self, features: &Features<'_>, _team: &Team, out: &mut [f32]) -> Result<(), WorkerError> {
        let state = self.state.as_deref().unwrap_or_default();
        self.rules.answers.scores(&self.rules, &self.layout, (self.slot, state), features, out)
    }

    fn rows(&self) -> u64 {
        self.rows
    }

    fn formula(&self) -> Formula {
        Formula::Unknown
    }
}

impl State for ExternalState {
    fn step(&mut self, step: &Step<'_, '_>) -> Result<(), StepError> {
        let after = self.train(step).map_err(|failure| match failure {
            Failure::Interrupted => StepError::Interrupted,
            Failure::Worker(error) => StepError::Worker { step: step.index, error },
        })?;
        self.rules.answers.forget(self.slot);
        self.state = Some(after);
        self.rows = step.prefix.iter().map(|rows| rows.features.rows() as u64).sum();
        Ok(())
    }

    fn encode(&self) -> Vec<u8> {
        let state = self.state.as_deref();
        [&self.rows.to_le_bytes()[..], &self.seed, &[u8::from(state.is_some())], state.unwrap_or_default()].concat()
    }
}

impl LearnerSettings {
    /// Whether training needs a program of the person's own.
    pub fn is_external(&self) -> bool {
        self.external().is_some()
    }

    /// Whether what is found by running the learner is there, if it is one outside this program.
    pub fn is_settled(&self) -> bool {
        self.external().is_none_or(ExternalSettings::is_settled)
    }

    /// Whether training again is to give the same bytes: where it does not, the person has said so.
    pub fn is_replayed(&self) -> bool {
        self.external().is_none_or(|settings| settings.replay)
    }

    /// The settings of a learner outside this program.
    pub fn external(&self) -> Option<&ExternalSettings> {
        match self {
            LearnerSettings::External(settings) => Some(settings),
            _ => None,
        }
    }

    /// The same with what is found by running a learner outside this program twice: what it says of itself, and what it makes of made-up
    /// rows; what it makes of the first step of a shard is only compared. Others are as they are.
    ///
    /// # Errors
    /// It can't be run in `folder`, or two runs of it differ.
    pub fn settled(
        &self,
        layout: &Layout,
        folder: &Path,
        first: Option<&FirstStep<'_, '_>>,
    ) -> Result<LearnerSettings, WorkerError> {
        match self {
            LearnerSettings::External(settings) if !settings.is_settled() => {
                let probe = Probe::twice(settings, layout, folder, first)?;
                let digest = Some(probe.digest(settings));
                let settled = ExternalSettings { environment: probe.environment, probe: digest, ..(**settings).clone() };
                // Training is what follows, and need not look again.
                let External(rules) = External::within(settled.clone(), folder.to_owned());
                let _ = rules.fits.set(Ok(()));
                *SETTLED.lock().unwrap_or_else(PoisonError::into_inner) = Some(rules);
                Ok(LearnerSettings::External(Box::new(settled)))
            }
            same => Ok(same.clone()),
        }
    }

    /// The same with what another one holds that was found by running it, if they are the same but for that.
    pub fn settled_like(self, other: &LearnerSettings) -> LearnerSettings {
        match (self, other) {
            (LearnerSettings::External(settings), LearnerSettings::External(other)) => {
                LearnerSettings::External(Box::new(settings.settled_like(other)))
            }
            (same, _) => same,
        }
    }

    /// The same with the digests of the files that a learner outside this program consists of.
    ///
    /// # Errors
    /// As `digest`, which finds one of a file.
    pub fn with_code<E>(self, digest: impl FnMut(&String) -> Result<Digest, E>) -> Result<LearnerSettings, E> {
        match self {
            LearnerSettings::External(settings) => {
                let digests = settings.code.iter().map(digest).collect::<Result<_, E>>()?;
                Ok(LearnerSettings::External(Box::new(ExternalSettings { digests, ..*settings })))
            }
            same => Ok(same),
        }
    }
}

/// The learner of checked settings.
pub(super) fn check(settings: &ExternalSettings) -> Result<Box<dyn Learner>, SettingsError> {
    settings.checked()?;
    Ok(Box::new(External::of_checked(settings.clone())))
}
