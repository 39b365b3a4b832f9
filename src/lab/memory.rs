//! Deletions from states held in memory, without a disk: what taking rows out costs by itself. Only for learners that do.

use rand_core::RngCore;
use rayon::prelude::*;

use super::{median, trial::Base};
use crate::{
    engine::{Error, Observer},
    fs::Stopwatch,
    ids::{Cell, Part, ShardId},
    learn::{Crew, Learner, Removal, Rows, State, Step, Visit},
    num::{Team, stream},
    predict::{Ensemble, PredictError},
    schema::EncodedRows,
    train::{Model, TrainError},
};

/// Records of a batch.
const BATCH: usize = 100;
/// Batches at most.
const BATCHES: usize = 10;
/// Held-out rows are repeated until there are so many to score.
const SCORED: usize = 1 << 15;
/// How often they are scored.
const SCORINGS: usize = 3;

/// What was measured in memory. Seconds of deletions are those of taking rows out alone, on one thread.
#[derive(Clone, Debug, PartialEq)]
pub struct MemoryReport {
    /// The kind of learner.
    pub learner: &'static str,
    /// S.
    pub shards: u32,
    /// R.
    pub slices: u32,
    /// Single records that were deleted, drawn uniformly from all shards.
    pub deletions: usize,
    /// Mean seconds of one.
    pub mean_seconds: f64,
    /// Median seconds.
    pub median_seconds: f64,
    /// What 99 of 100 stay at or below.
    pub p99_seconds: f64,
    /// Records of a batch, over all shards; 0 when there were too few.
    pub batch: usize,
    /// Mean seconds of a batch.
    pub batch_seconds: Option<f64>,
    /// Bytes of all states.
    pub state_bytes: u64,
    /// Seconds of training all shards on one thread.
    pub train_seconds_one_thread: f64,
    /// Seconds on all threads.
    pub train_seconds: f64,
    /// Held-out rows (where there are none: rows of slices) scored a second on all threads.
    pub predict_rows_per_second: Option<f64>,
}

/// A crew of a fixed number of threads, that the person can stop.
#[derive(Debug)]
struct Lanes<'a> {
    team: Team,
    stop: Stop<'a>,
}

/// Observers need not say how they look.
struct Stop<'a>(&'a dyn Observer);

impl std::fmt::Debug for Stop<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Stop")
    }
}

impl Crew for Lanes<'_> {
    fn team(&self) -> Team {
        self.team
    }

    fn visited(&self, _rows: usize) -> bool {
        !self.stop.0.stopped()
    }
}

/// One shard in memory: its slices, and the state of the last step.
struct Shard {
    id: ShardId,
    slices: Vec<EncodedRows>,
    state: Box<dyn State>,
}

impl Shard {
    fn rows(&self) -> usize {
        self.slices.iter().map(EncodedRows::rows).sum()
    }

    /// The slice and row of the `at`-th row.
    fn place(&self, mut at: usize) -> Option<(usize, u32)> {
        for (slice, held) in self.slices.iter().enumerate() {
            if at < held.rows() {
                return Some((slice, at as u32));
            }
            at -= held.rows();
        }
        None
    }

    /// Takes rows out of the state, timed, and then away; `gone` holds for each slice its rows, ascending.
    fn delete(&mut self, gone: &[Vec<u32>]) -> Result<f64, Error> {
        let before: Vec<Rows<'_>> = self.slices.iter().map(EncodedRows::view).collect();
        let removal = Removal { before: &before, gone, team: Team::solo() };
        let clock = Stopwatch::start();
        let done = self.state.downdate(&removal);
        let seconds = clock.seconds();
        done.map_err(|cause| TrainError::State { shard: self.id.0, step: gone.len() as u32, cause })?;
        self.slices.iter_mut().zip(gone).filter(|(_, gone)| !gone.is_empty()).for_each(|(held, gone)| held.remove(gone));
        Ok(seconds)
    }
}

/// The state after all slices, each of whose rows is visited once.
fn train(
    model: &Model,
    learner: &dyn Learner,
    id: ShardId,
    slices: &[EncodedRows],
    crew: &dyn Crew,
) -> Result<Box<dyn State>, Error> {
    let key = model.shards.key();
    let seed = if learner.abilities().merge { key.shared_initial_state() } else { key.initial_state(id) };
    let mut state = learner.init(model.shards.layout(), seed);
    let views: Vec<Rows<'_>> = slices.iter().map(EncodedRows::view).collect();
    for index in 1..=views.len() {
        let prefix = views.get(..index).unwrap_or_default();
        let rows = prefix.last().map_or(0, |rows| rows.features.rows() as u32);
        if rows == 0 {
            continue;
        }
        let visits: Vec<Visit> = (0..rows).map(|row| Visit { slice: index as u32 - 1, row, progress: 0 }).collect();
        let step = Step { index: index as u32, of: views.len() as u32, prefix, visits: &visits, crew };
        state.step(&step).map_err(|e| match e {
            crate::learn::StepError::Interrupted => Error::Interrupted,
            other => Error::InMemory { what: format!("shard {}: {other}", id.0) },
        })?;
    }
    Ok(state)
}

impl Base {
    /// Measures deletions from states in memory; `None` for learners that are trained again, and where there are too few records.
    ///
    /// # Errors
    /// A slice can't be read, the person stopped it, or a state differs from one trained on what remains.
    pub(super) fn memory(&self, deletions: usize, observer: &dyn Observer) -> Result<Option<MemoryReport>, Error> {
        let (model, pool) = (self.model(), self.engine().pool());
        let learner = &*model.learner;
        if !learner.abilities().downdate || deletions == 0 {
            return Ok(None);
        }
        let grid = model.shards.grid();
        let read = |id: ShardId| -> Result<(ShardId, Vec<EncodedRows>), Error> {
            let slices = grid
                .slices()
                .map(|slice| Ok(EncodedRows::copy(&model.shards.open(Cell { shard: id, part: Part::Slice(slice) })?.rows())));
            Ok((id, slices.collect::<Result<_, Error>>()?))
        };
        let records = grid.shards().map(read).collect::<Result<Vec<_>, Error>>()?;
        let total: usize = records.iter().flat_map(|(_, slices)| slices).map(EncodedRows::rows).sum();
        // At least half of them stay, so that a state is still one of many rows.
        let (deletions, batch) = (deletions.min(total / 4), BATCH.min(total / 8));
        if deletions == 0 {
            return Ok(None);
        }
        observer.note(&format!("`{}`: {deletions} deletions in memory", model.recipe.learner.kind()));
        let solo = Lanes { team: Team::solo(), stop: Stop(observer) };
        let clock = Stopwatch::start();
        let states =
            records.iter().map(|(id, slices)| train(model, learner, *id, slices, &solo)).collect::<Result<Vec<_>, Error>>()?;
        let train_seconds_one_thread = clock.seconds();
        let (train_seconds, again) = anew(model, &records, pool, observer)?;
        let mut shards: Vec<Shard> =
            records.into_iter().zip(states).map(|((id, slices), state)| Shard { id, slices, state }).collect();
        same(&shards, &again)?;
        drop(again);
        let state_bytes = shards.iter().map(|s| s.state.encode().len() as u64).sum();

        let mut random = stream::stream([0x6d; 32]);
        let mut singles = Vec::with_capacity(deletions);
        for _ in 0..deletions {
            singles.push(delete(&mut shards, 1, &mut random)?);
            if observer.stopped() {
                return Err(Error::Interrupted);
            }
        }
        let batches = if batch < 2 { 0 } else { BATCHES.min((total / 4) / batch) };
        let mut together = Vec::with_capacity(batches);
        for _ in 0..batches {
            together.push(delete(&mut shards, batch, &mut random)?);
            if observer.stopped() {
                return Err(Error::Interrupted);
            }
        }
        // What remains, trained from nothing, is what is left in memory, to the byte.
        let rest: Vec<(ShardId, Vec<EncodedRows>)> = shards.iter().map(|s| (s.id, s.slices.clone())).collect();
        same(&shards, &anew(model, &rest, pool, observer)?.1)?;
        singles.sort_by(f64::total_cmp);
        let p99 = (singles.len() * 99).div_ceil(100).saturating_sub(1);
        Ok(Some(MemoryReport {
            learner: model.recipe.learner.kind(),
            shards: grid.shards,
            slices: grid.slices,
            deletions,
            mean_seconds: mean(&singles).unwrap_or_default(),
            median_seconds: median(singles.iter().copied()).unwrap_or_default(),
            p99_seconds: singles.get(p99).copied().unwrap_or_default(),
            batch: if batches > 0 { batch } else { 0 },
            batch_seconds: mean(&together),
            state_bytes,
            train_seconds_one_thread,
            train_seconds,
            predict_rows_per_second: self.scoring()?,
        }))
    }

    /// Held-out rows scored a second, by everything in service on all threads; where nothing is held out, rows of slices. `None` without rows.
    fn scoring(&self) -> Result<Option<f64>, Error> {
        let model = self.model();
        let copy = |cells: &mut dyn Iterator<Item = Cell>| -> Result<Option<EncodedRows>, Error> {
            let mut rows: Option<EncodedRows> = None;
            for cell in cells {
                let part = EncodedRows::copy(&model.shards.open(cell)?.rows());
                match &mut rows {
                    Some(rows) => rows.append(&part),
                    None => rows = Some(part),
                }
            }
            Ok(rows.filter(|rows| rows.rows() > 0))
        };
        let grid = model.shards.grid();
        let held_out = copy(&mut grid.cells().filter(|cell| cell.part == Part::Holdout))?;
        let Some(mut rows) = held_out.map_or_else(|| copy(&mut grid.cells()), |rows| Ok(Some(rows)))? else { return Ok(None) };
        let once = rows.clone();
        while rows.rows() < SCORED {
            rows.append(&once);
        }
        self.engine().pool().install(|| {
            let ensemble = Ensemble::load(model, &model.plans()?, self.aggregate())?;
            let view = rows.view();
            let runs = (0..SCORINGS).map(|_| {
                let clock = Stopwatch::start();
                let scores = ensemble.scores(&view.features).map_err(PredictError::from)?;
                debug_assert_eq!(scores.values.len(), rows.rows() * scores.outputs);
                Ok(clock.seconds())
            });
            let runs = runs.collect::<Result<Vec<f64>, Error>>()?;
            Ok(median(runs.into_iter()).filter(|s| *s > 0.0).map(|seconds| rows.rows() as f64 / seconds))
        })
    }
}

/// All shards trained from nothing, side by side on all threads, and the seconds that took.
fn anew(
    model: &Model,
    records: &[(ShardId, Vec<EncodedRows>)],
    pool: &rayon::ThreadPool,
    observer: &dyn Observer,
) -> Result<(f64, Vec<Box<dyn State>>), Error> {
    let crew = Lanes { team: Team::of(pool.current_num_threads() / records.len().max(1)), stop: Stop(observer) };
    let clock = Stopwatch::start();
    let states = pool.install(|| {
        let trained = records.par_iter().map(|(id, slices)| train(model, &*model.learner, *id, slices, &crew));
        trained.collect::<Vec<Result<_, Error>>>()
    });
    let seconds = clock.seconds();
    Ok((seconds, states.into_iter().collect::<Result<_, Error>>()?))
}

/// Deletes `count` different records drawn from all shards; returns the seconds of taking them out.
fn delete(shards: &mut [Shard], count: usize, random: &mut impl RngCore) -> Result<f64, Error> {
    let total: usize = shards.iter().map(Shard::rows).sum();
    let mut drawn = std::collections::BTreeSet::new();
    while drawn.len() < count.min(total) {
        drawn.insert((random.next_u64() % total as u64) as usize);
    }
    let (mut seconds, mut start) = (0.0, 0);
    for shard in shards {
        let rows = shard.rows();
        let mut gone = vec![Vec::new(); shard.slices.len()];
        for at in drawn.range(start..start + rows) {
            if let Some((slice, row)) = shard.place(at - start)
                && let Some(gone) = gone.get_mut(slice)
            {
                gone.push(row);
            }
        }
        start += rows;
        if gone.iter().any(|g| !g.is_empty()) {
            seconds += shard.delete(&gone)?;
        }
    }
    Ok(seconds)
}

/// Refuses states that differ in a byte.
fn same(shards: &[Shard], expected: &[Box<dyn State>]) -> Result<(), Error> {
    match shards.iter().zip(expected).find(|(shard, expected)| shard.state.encode() != expected.encode()) {
        Some((shard, _)) => Err(Error::InMemory {
            what: format!("the state of shard {} is not, byte for byte, that of training on the same records", shard.id.0),
        }),
        None => Ok(()),
    }
}

fn mean(seconds: &[f64]) -> Option<f64> {
    (!seconds.is_empty()).then(|| seconds.iter().fold(0.0, |sum, s| sum + s) / seconds.len() as f64)
}
