//! What this machine makes of a learner: a few steps on rows that nobody has.

use std::{collections::BTreeMap, path::Path};

use super::{
    ExternalSettings, WorkerError,
    answers::ask,
    frame::{DONE, LOAD},
    rows::{MadeUp, batch},
    worker::{Begin, Failure, Worker},
};
use crate::{
    digest::Digest,
    learn::{Layout, Visit},
};

/// Rows of the last batch of a step, which is seldom full.
const FEW: usize = 5;

/// What one worker process is and makes.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Probe {
    /// What the worker says of itself and where it runs.
    pub(super) environment: BTreeMap<String, String>,
    /// The digests of the states: before any row, after a step, after another.
    states: [Digest; 3],
}

impl Probe {
    /// Runs a worker through all that it will be asked, with made-up rows.
    pub(super) fn run(settings: &ExternalSettings, layout: &Layout, folder: &Path) -> Result<Probe, WorkerError> {
        let mut worker = Worker::start(settings, layout, folder)?;
        let size = settings.batch as usize;
        let rows = MadeUp::rows(layout, size + FEW);
        let mut states = [Digest::of(&[]); 3];
        let mut seeds = (0_u8..).map(|number| Digest::derive("sisa 1 probe seed", &[&[number]]).0);
        let mut seed = || seeds.next().unwrap_or_default();
        let mut steps = || {
            let mut state = worker.init(seed(), None)?;
            let [first, trained @ ..] = &mut states;
            *first = Digest::of(&state);
            for (index, digest) in (1..).zip(trained) {
                let visit =
                    |row| Visit { slice: 0, row, progress: (u64::from(row) << 32).div_euclid((size + FEW) as u64) as u32 };
                let visits: Vec<Visit> = (0..(size + FEW) as u32).map(visit).collect();
                let view = [rows.view()];
                let batches = visits.chunks(size).map(|visits| (visits.len(), batch(&view, visits)));
                let begin = Begin { index, of: 2, visits: visits.len() as u64, seed: seed(), state: &state };
                state = worker.step(&begin, batches, None)?;
                *digest = Digest::of(&state);
            }
            // Its answers are looked at before hours of training, but are not compared: they name no state.
            worker.send(LOAD, &[&0_u32.to_le_bytes(), &state]);
            worker.answer(DONE, None)?;
            let view = rows.view();
            ask(&mut worker, 0, &view.features.slice(0..FEW), &mut vec![0.0; FEW * layout.task.outputs()], layout.task)
        };
        match steps() {
            Ok(()) => Ok(Probe { environment: std::mem::take(&mut worker.environment), states }),
            Err(Failure::Worker(error)) => Err(error),
            Err(Failure::Interrupted) => Err(worker.fault("it was interrupted")),
        }
    }

    /// What a recipe holds.
    pub(super) fn digest(&self) -> Digest {
        let [a, b, c] = &self.states;
        Digest::derive("sisa 1 probe", &[&a.0, &b.0, &c.0])
    }

    /// The same in two processes, or why it can't be trained again.
    pub(super) fn twice(settings: &ExternalSettings, layout: &Layout, folder: &Path) -> Result<Probe, WorkerError> {
        let (one, other) = (Probe::run(settings, layout, folder)?, Probe::run(settings, layout, folder)?);
        let differ = one.states.iter().zip(&other.states).position(|(one, other)| one != other);
        let Some(first) = differ else { return Ok(one) };
        let when = ["before any row", "after one step", "after two steps"].get(first).copied().unwrap_or_default();
        let what = format!(
            "two processes that were given the same made-up rows and seeds have different states {when}, so nothing that it trains could \
             be trained again. It looks at something else than its rows and seeds: a clock, a generator that is not seeded from the seed of \
             the step, the address of an object, an order of threads. Nothing was trained"
        );
        Err(WorkerError { name: settings.name.clone(), what })
    }
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
    let what = format!(
        "its states can't be gone on with here: the same made-up rows give other bits than where the recipe was frozen ({differences}). \
         Train there, or make the environment the same; or write another `edition` under [learner] of sisa.toml and train: \
         all shards are then trained anew here, beside the model in service"
    );
    WorkerError { name: settings.name.clone(), what }
}
