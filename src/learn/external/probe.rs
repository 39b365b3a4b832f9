//! What this machine makes of a learner: a few steps on rows that nobody has, and the first step of one shard.

use std::{collections::BTreeMap, path::Path};

use super::{
    ExternalSettings, WorkerError,
    answers::ask,
    frame::{DONE, LOAD},
    rows::{MadeUp, batch},
    seed,
    worker::{Begin, Failure, Worker},
};
use crate::{
    digest::Digest,
    learn::{Layout, Rows, Visit},
};

/// Rows of the last batch of a step, which is seldom full.
const FEW: usize = 5;

/// The first step of a shard on its own rows, or as much of it as is to be tried.
#[derive(Clone, Copy, Debug)]
pub struct FirstStep<'a, 'r> {
    /// Of the shard's initial state.
    pub seed: [u8; 32],
    /// Which step, from 1: slices before it are empty.
    pub index: u32,
    /// Steps of the first batch.
    pub of: u32,
    /// Slices 1..=index.
    pub prefix: &'a [Rows<'r>],
    /// Which rows, in which order.
    pub visits: &'a [Visit],
}

/// What one worker process is and makes.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Probe {
    /// What the worker says of itself and where it runs.
    pub(super) environment: BTreeMap<String, String>,
    /// The digests of the states: before any row, after a step, after another.
    states: [Digest; 3],
    /// Of the state after the first step of a shard, where that was asked for. It is no part of the digest: it follows from people's rows.
    first: Option<Digest>,
}

/// What a worker is asked first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Before {
    MadeUp,
    Real,
}

impl Probe {
    /// What is compared where states are to be gone on with: the same made-up steps; of a learner that is not to be replayed only what
    /// its worker says of itself.
    pub(super) fn here(settings: &ExternalSettings, layout: &Layout, folder: &Path) -> Result<Probe, WorkerError> {
        if settings.replay {
            return Probe::run(settings, layout, folder, None, Before::MadeUp);
        }
        let mut worker = Worker::start(settings, layout, folder)?;
        Ok(Probe { environment: std::mem::take(&mut worker.environment), states: [Digest::of(&[]); 3], first: None })
    }

    /// Runs a worker through all that it will be asked.
    fn run(
        settings: &ExternalSettings,
        layout: &Layout,
        folder: &Path,
        first: Option<&FirstStep<'_, '_>>,
        before: Before,
    ) -> Result<Probe, WorkerError> {
        let mut worker = Worker::start(settings, layout, folder)?;
        let mut steps = || match before {
            Before::MadeUp => Ok((made_up(&mut worker, settings, layout)?, real(&mut worker, settings, first)?)),
            Before::Real => {
                let real = real(&mut worker, settings, first)?;
                Ok((made_up(&mut worker, settings, layout)?, real))
            }
        };
        match steps() {
            Ok((states, first)) => Ok(Probe { environment: std::mem::take(&mut worker.environment), states, first }),
            Err(Failure::Worker(error)) => Err(error),
            Err(Failure::Interrupted) => Err(worker.fault("it was interrupted")),
        }
    }

    /// What a recipe holds.
    pub(super) fn digest(&self, settings: &ExternalSettings) -> Digest {
        if !settings.replay {
            let environment = serde_json::to_vec(&self.environment).unwrap_or_default();
            return Digest::derive("sisa 1 worker environment", &[&environment]);
        }
        let [a, b, c] = &self.states;
        Digest::derive("sisa 1 probe", &[&a.0, &b.0, &c.0])
    }

    /// The same in two processes, or why it can't be trained again. One of them sees the made-up rows first, the other the shard's: what a
    /// learner keeps from one step to the next shows too. A learner that is not to be replayed is run once, to see that it runs.
    pub(super) fn twice(
        settings: &ExternalSettings,
        layout: &Layout,
        folder: &Path,
        first: Option<&FirstStep<'_, '_>>,
    ) -> Result<Probe, WorkerError> {
        let one = Probe::run(settings, layout, folder, first.filter(|_| settings.replay), Before::MadeUp)?;
        if !settings.replay {
            return Ok(one);
        }
        let other = Probe::run(settings, layout, folder, first, Before::Real)?;
        let differ = one.states.iter().zip(&other.states).position(|(one, other)| one != other);
        let found = match differ {
            Some(at) => {
                let when = ["before any row", "after one step", "after two steps"].get(at).copied().unwrap_or_default();
                format!("two processes that were given the same made-up rows and seeds have different states {when}")
            }
            None if one.first != other.first => {
                let visits = first.map_or(0, |first| first.visits.len());
                format!(
                    "two processes make the same of made-up rows, and different states of the first {visits} visits of the smallest \
                     shard's rows"
                )
            }
            None => return Ok(one),
        };
        let what = format!(
            "{found}, so nothing that it trains could be trained again. It looks at something else than its rows and seeds: a clock, a \
             generator that is not seeded from the seed of the step, the address of an object, an order of threads, what another step has \
             left behind. Nothing was trained. Make its states follow from rows and seeds alone; or, to do without training again as a \
             check, write `replay = false` under [learner] of sisa.toml (docs/OWN-MODELS.md says what that gives up)"
        );
        Err(WorkerError { name: settings.name.clone(), what })
    }
}

/// The digests of the states of made-up steps. Its answers are looked at before hours of training, but are not compared: they name no state.
fn made_up(worker: &mut Worker, settings: &ExternalSettings, layout: &Layout) -> Result<[Digest; 3], Failure> {
    let size = settings.batch as usize;
    let rows = MadeUp::rows(layout, size + FEW);
    let mut states = [Digest::of(&[]); 3];
    let mut seeds = (0_u8..).map(|number| Digest::derive("sisa 1 probe seed", &[&[number]]).0);
    let mut seed = || seeds.next().unwrap_or_default();
    let mut state = worker.init(seed(), None)?;
    let [first, trained @ ..] = &mut states;
    *first = Digest::of(&state);
    for (index, digest) in (1..).zip(trained) {
        let visit = |row| Visit { slice: 0, row, progress: (u64::from(row) << 32).div_euclid((size + FEW) as u64) as u32 };
        let visits: Vec<Visit> = (0..(size + FEW) as u32).map(visit).collect();
        let view = [rows.view()];
        let batches = visits.chunks(size).map(|visits| (visits.len(), batch(&view, visits)));
        let begin = Begin { index, of: 2, visits: visits.len() as u64, seed: seed(), state: &state };
        state = worker.step(&begin, batches, None)?;
        *digest = Digest::of(&state);
    }
    worker.send(LOAD, &[&0_u32.to_le_bytes(), &state]);
    worker.answer(DONE, None)?;
    let view = rows.view();
    ask(worker, 0, &view.features.slice(0..FEW), &mut vec![0.0; FEW * layout.task.outputs()], layout.task)?;
    Ok(states)
}

/// The digest of the state after a shard's first step, which is trained as it will be.
fn real(worker: &mut Worker, settings: &ExternalSettings, first: Option<&FirstStep<'_, '_>>) -> Result<Option<Digest>, Failure> {
    let Some(FirstStep { seed, index, of, prefix, visits }) = first.copied() else { return Ok(None) };
    let before = worker.init(seed::initial(&seed), None)?;
    let seed = seed::step(&seed, index);
    let begin = Begin { index, of, visits: visits.len() as u64, seed, state: &before };
    let batches = visits.chunks(settings.batch as usize).map(|visits| (visits.len(), batch(prefix, visits)));
    Ok(Some(Digest::of(&worker.step(&begin, batches, None)?)))
}

/// Why a machine can't go on with the states of another.
pub(super) fn other_machine(settings: &ExternalSettings, here: &Probe) -> WorkerError {
    let there = &settings.environment;
    let keys: std::collections::BTreeSet<&String> = there.keys().chain(here.environment.keys()).collect();
    let none = "nothing".to_owned();
    let differences = keys.into_iter().filter_map(|key| {
        let (there, here) = (there.get(key).unwrap_or(&none), here.environment.get(key).unwrap_or(&none));
        (there != here).then(|| format!("{key}: {there} there, {here} here"))
    });
    let mut differences = differences.collect::<Vec<_>>().join("; ");
    if differences.is_empty() {
        differences = "what the worker says of its environment is the same, and its arithmetic is not".into();
    }
    let found = if settings.replay {
        "the same made-up rows give other bits than where the recipe was frozen"
    } else {
        "its worker says that it runs in another environment than where the recipe was frozen"
    };
    let what = format!(
        "its states can't be gone on with here: {found} ({differences}). Train there, or make the environment the same; or write another \
         `edition` under [learner] of sisa.toml and train: all shards are then trained anew here, beside the model in service. What holds \
         by construction holds here too, and is verified without training again"
    );
    WorkerError { name: settings.name.clone(), what }
}
