//! Models and ensembles, trained in memory as the engine trains them on disk.

use rayon::prelude::*;

use super::world::World;
use crate::{
    digest::ModelKey,
    engine::{Error, Observer},
    fs::Stopwatch,
    ids::{Handle, ShardId},
    learn::{Crew, Differentiable, Features, Rows, State, Step, StepError},
    num::{Team, sum},
    schema::EncodedRows,
};

/// One thread, that the person can stop.
struct Alone<'a>(&'a dyn Observer);

impl std::fmt::Debug for Alone<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Alone")
    }
}

impl Crew for Alone<'_> {
    fn team(&self) -> Team {
        Team::solo()
    }

    fn visited(&self, _rows: usize) -> bool {
        !self.0.stopped()
    }
}

/// One model on some rows, neither cut into shards nor into slices.
#[derive(Debug)]
pub(super) struct Trained {
    pub(super) model: Box<dyn Differentiable>,
    pub(super) seconds: f64,
    pub(super) row_passes: u64,
}

/// The models of all shards.
#[derive(Debug)]
pub(super) struct Shards {
    pub(super) states: Vec<Box<dyn State>>,
    pub(super) row_passes: u64,
}

/// Some training rows, by record handle.
pub(super) struct Part {
    pub(super) rows: EncodedRows,
    pub(super) records: Vec<Handle>,
}

impl Part {
    pub(super) fn of(world: &World, rows: &[u32]) -> Part {
        let records = rows.iter().filter_map(|row| world.records.get(*row as usize).copied()).collect();
        Part { rows: world.rows.take(rows), records }
    }
}

/// Trains a shard on its slices, step by step; `each` sees the state after every step that changed it.
pub(super) fn shard(
    world: &World,
    key: &ModelKey,
    id: ShardId,
    slices: &[Part],
    observer: &dyn Observer,
    mut each: impl FnMut(u32, &dyn State),
) -> Result<(Box<dyn State>, u64), Error> {
    let (mut state, of) = (world.learner.init(&world.layout, key.initial_state(id)), slices.len() as u32);
    let views: Vec<Rows<'_>> = slices.iter().map(|part| part.rows.view()).collect();
    let records: Vec<&[Handle]> = slices.iter().map(|part| part.records.as_slice()).collect();
    let mut row_passes = 0;
    for index in 1..=slices.len() {
        let (Some(prefix), Some(names)) = (views.get(..index), records.get(..index)) else { continue };
        // An empty slice changes nothing, but leaves a checkpoint all the same.
        if names.last().is_some_and(|names| !names.is_empty()) {
            let visits = world.schedule.visits(key, id, of, names);
            let step = Step { index: index as u32, of, prefix, visits: &visits, crew: &Alone(observer) };
            state.step(&step).map_err(trouble)?;
            row_passes += visits.len() as u64;
        }
        each(index as u32, &*state);
    }
    Ok((state, row_passes))
}

fn trouble(error: StepError) -> Error {
    match error {
        StepError::Interrupted => Error::Interrupted,
        other => Error::Compare { what: format!("a model without any deletion can't be trained: {other}") },
    }
}

/// One model a key on the same rows, side by side.
///
/// # Errors
/// One diverged, or the person stopped it.
pub(super) fn models(world: &World, rows: &[u32], keys: &[ModelKey], observer: &dyn Observer) -> Result<Vec<Trained>, Error> {
    let part = [Part::of(world, rows)];
    let one = |key: &ModelKey| {
        let clock = Stopwatch::start();
        let (state, row_passes) = shard(world, key, ShardId(0), &part, observer, |_, _| {})?;
        let model = state.differentiable().ok_or_else(|| Error::Compare { what: "the learner has no gradient".into() })?;
        Ok(Trained { model, seconds: clock.seconds(), row_passes })
    };
    keys.par_iter().map(one).collect::<Vec<Result<_, Error>>>().into_iter().collect()
}

/// The constituents of one ensemble, `each` as in [`shard`].
pub(super) fn ensemble(
    world: &World,
    key: &ModelKey,
    cut: (u32, u32),
    rows: &[u32],
    observer: &dyn Observer,
    mut each: impl FnMut(ShardId, u32, &dyn State),
) -> Result<Shards, Error> {
    let mut out = Shards { states: Vec::new(), row_passes: 0 };
    for (id, slices) in (0..).map(ShardId).zip(world.cells(key, cut, rows)) {
        let slices: Vec<Part> = slices.iter().map(|rows| Part::of(world, rows)).collect();
        let (state, row_passes) = shard(world, key, id, &slices, observer, |step, state| each(id, step, state))?;
        out.states.push(state);
        out.row_passes += row_passes;
    }
    Ok(out)
}

impl Shards {
    /// The scores of each shard's model, in order of the shards.
    pub(super) fn scores_each(&self, world: &World, features: &Features<'_>) -> Vec<Vec<f32>> {
        let one = |state: &dyn State| {
            let mut out = vec![0.0; features.rows() * world.outputs()];
            state.scores(features, &Team::solo(), &mut out);
            out
        };
        self.states.iter().map(|state| one(&**state)).collect()
    }

    /// The mean of the shards' scores, as the ensemble answers with; shards without rows have no vote.
    pub(super) fn scores(&self, world: &World, features: &Features<'_>) -> Vec<f32> {
        let each = self.scores_each(world, features);
        let voting = each.into_iter().zip(&self.states).filter(|(_, state)| state.rows() > 0).map(|(scores, _)| scores);
        mean_scores(voting, features.rows() * world.outputs())
    }
}

/// The mean of some scores; zeros of none.
pub(super) fn mean_scores(each: impl Iterator<Item = Vec<f32>>, length: usize) -> Vec<f32> {
    let (mut total, mut weights) = (vec![0.0; length], 0.0_f32);
    for scores in each {
        sum::accumulate(1.0, &scores, &mut total);
        weights += 1.0;
    }
    total.iter_mut().for_each(|score| *score /= weights.max(1.0));
    total
}
