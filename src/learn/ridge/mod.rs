//! Ridge regression on integer features (`ridge`), from sums that any row can be taken out of again.
//!
//! The state is `G = sum of phi phi^T` and `C = sum of phi y^T`, exact integers: a function of the *set* of rows. Weights are one fixed
//! function of the sums ([`crate::num::cholesky`]), solved when they are wanted and never part of the state.

mod going;
mod image;
mod inputs;
mod map;
mod settings;
mod state;
mod targets;

#[cfg(test)]
mod reference;
#[cfg(test)]
mod tests;

use std::any::Any;
use std::fmt;
use std::sync::OnceLock;

use going::Going;
use map::Map;
use targets::Targets;

use super::{
    Abilities, Addition, Features, Formula, Layout, Learner, Removal, RidgeFormula, Rows, Scorer, SettingsError, State,
    StateError, Step, StepError,
};
use crate::num::normal::{BLOCK_ROWS, Normal, Packed, ROWS_MAX, Sign, padded};
use crate::num::{Isa, Team, cholesky};

pub use settings::{RidgeMap, RidgeSettings};

/// Rows that a task scores at a time. Each row's scores are chains of its own, so this changes no bit.
const SCORED_ROWS: usize = 256;

/// Rows that are taken out of the bytes of a state as they lie; more are taken out of its sums in memory, by kernels that add up the products
/// of many rows at once.
const FEW_ROWS: usize = 16;

/// The learner `ridge`.
#[derive(Clone, Debug)]
pub(super) struct Ridge {
    settings: RidgeSettings,
    isa: Isa,
}

impl Ridge {
    /// The learner with these settings, which are checked.
    pub(super) fn of_checked(settings: RidgeSettings) -> Ridge {
        Ridge { settings, isa: Isa::active() }
    }

    fn state(&self, layout: &Layout, seed: [u8; 32], rows: u64, sums: Option<Normal>) -> RidgeState {
        let map = Map::new(self.isa, &self.settings, layout, seed);
        let targets = Targets::of(layout);
        let sums = sums.unwrap_or_else(|| Normal::new(map.width(), targets.outputs()));
        RidgeState { seed, strength: self.settings.strength, isa: self.isa, rows, sums, map, targets, weights: OnceLock::new() }
    }
}

impl Learner for Ridge {
    fn abilities(&self) -> Abilities {
        Abilities { downdate: true, extend: true, merge: true, ..Abilities::default() }
    }

    fn accepts(&self, layout: &Layout) -> Result<(), SettingsError> {
        self.settings.accepts(layout)
    }

    fn init(&self, layout: &Layout, seed: [u8; 32]) -> Box<dyn State> {
        assert_eq!(self.accepts(layout), Ok(()), "the layout is one that was accepted");
        Box::new(self.state(layout, seed, 0, None))
    }

    fn decode(&self, layout: &Layout, bytes: &[u8]) -> Result<Box<dyn State>, StateError> {
        self.accepts(layout).map_err(|error| StateError(error.to_string()))?;
        let (seed, rows, sums) = state::decode(self.settings.features(layout), &Targets::of(layout), bytes)?;
        Ok(Box::new(self.state(layout, seed, rows, Some(sums))))
    }

    fn without(&self, layout: &Layout, bytes: &[u8], removal: &Removal<'_, '_>) -> Result<Vec<u8>, StateError> {
        let places = places_of(removal.before, removal.gone, "go from")?;
        if places.len() > FEW_ROWS {
            let mut state = self.decode(layout, bytes)?;
            state.downdate(removal)?;
            return Ok(state.encode());
        }
        self.accepts(layout).map_err(|error| StateError(error.to_string()))?;
        let targets = Targets::of(layout);
        let state::Parts { seed, .. } = state::parts(self.settings.features(layout), targets.outputs(), bytes)?;
        let map = Map::new(self.isa, &self.settings, layout, seed);
        let tables: Vec<_> = removal.before.iter().map(|rows| map.inputs().table(&rows.features)).collect();
        let gone: Vec<_> = places.iter().map(|&(table, row)| targets.of_label(removal.before.get(table), row)).collect();
        let mut features = Vec::new();
        map.features(removal.team, &tables, &places, &mut features);
        let going = Going { features: &features, stride: padded(map.width()), targets: &gone };
        going::without(map.width(), &targets, bytes, &going, removal.team)
    }
}

/// The sums of a shard's rows, and what makes features of rows.
struct RidgeState {
    seed: [u8; 32],
    strength: f32,
    isa: Isa,
    rows: u64,
    sums: Normal,
    map: Map,
    targets: Targets,
    /// Not part of the state: what the sums are solved to, where that was asked for since they changed.
    weights: OnceLock<Vec<[f64; 16]>>,
}

impl fmt::Debug for RidgeState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RidgeState").field("rows", &self.rows).field("features", &self.sums.width()).finish_non_exhaustive()
    }
}

/// Buffers that stay from block to block.
#[derive(Default)]
struct Buffers {
    features: Vec<u8>,
    packed: Packed,
}

impl RidgeState {
    /// Adds or takes out rows, each a table and a row of it; at most [`BLOCK_ROWS`].
    fn update(&mut self, team: Team, sign: Sign, rows: &[Rows<'_>], places: &[(usize, usize)], buffers: &mut Buffers) {
        let tables: Vec<_> = rows.iter().map(|rows| self.map.inputs().table(&rows.features)).collect();
        let targets: Vec<_> = places.iter().map(|&(table, row)| self.targets.of_label(rows.get(table), row)).collect();
        self.map.features(team, &tables, places, &mut buffers.features);
        self.sums.update_with(self.isa, team, sign, &mut buffers.packed, &buffers.features, &targets);
    }

    fn solve(&self, team: Team) -> Vec<[f64; 16]> {
        cholesky::solve(self.isa, team, &self.sums, self.lambda())
    }

    /// The penalty: `strength` times the mean of G's diagonal but for the bias, at least 1.
    fn lambda(&self) -> f64 {
        let width = self.sums.width();
        let trace: i128 = self.sums.diagonal().skip(1).map(i128::from).sum();
        let mean = trace as f64 / (width - 1).max(1) as f64;
        (f64::from(self.strength) * mean).max(1.0)
    }
}

impl Scorer for RidgeState {
    fn prepare(&mut self, team: Team) {
        if self.weights.get().is_none() {
            self.weights = OnceLock::from(self.solve(team));
        }
    }

    fn scores(&self, features: &Features<'_>, team: &Team, out: &mut [f32]) {
        let outputs = self.targets.outputs();
        assert_eq!(out.len(), features.rows() * outputs, "rows x outputs scores");
        // One thread: others may wait for this initialiser, and tasks of theirs would wait for themselves.
        let weights = self.weights.get_or_init(|| self.solve(Team::solo()));
        let tables = [self.map.inputs().table(features)];
        let (width, stride) = (self.map.width(), padded(self.map.width()));
        team.split(out, outputs, |first, out| {
            let (mut phi, mut raw) = (Vec::new(), vec![0.0; SCORED_ROWS * outputs]);
            let starts = (first / outputs..).step_by(SCORED_ROWS);
            for (start, out) in starts.zip(out.chunks_mut(SCORED_ROWS * outputs)) {
                let places: Vec<_> = (start..start + out.len() / outputs).map(|row| (0, row)).collect();
                self.map.features(Team::solo(), &tables, &places, &mut phi);
                cholesky::scores(self.isa, (width, stride), weights, &phi, |row, output, sums| {
                    for (sums, raw) in sums.iter().zip(raw.chunks_exact_mut(outputs).skip(row)) {
                        raw.iter_mut().skip(output).zip(sums).for_each(|(raw, sum)| *raw = *sum);
                    }
                });
                for (raw, out) in raw.chunks_exact(outputs).zip(out.chunks_exact_mut(outputs)) {
                    self.targets.score(raw, out);
                }
            }
        });
    }

    fn rows(&self) -> u64 {
        self.rows
    }

    fn formula(&self) -> Formula {
        let (width, outputs) = (self.map.width(), self.targets.outputs());
        let solved = self.weights.get_or_init(|| self.solve(Team::solo()));
        // Of each group of sixteen outputs a line a feature.
        let weight = |feature: usize, output: usize| {
            solved.get(output / 16 * width + feature).and_then(|line| line.get(output % 16)).copied().unwrap_or(0.0)
        };
        let weights = (0..width).flat_map(|feature| (0..outputs).map(move |output| weight(feature, output))).collect();
        let (shares, target) = self.targets.formula();
        Formula::Ridge(RidgeFormula { random: self.map.random(), weights, shares, target, ..self.map.inputs().formula() })
    }
}

impl State for RidgeState {
    fn step(&mut self, step: &Step<'_, '_>) -> Result<(), StepError> {
        let Some(new) = step.prefix.last() else { return Ok(()) };
        let (count, mut buffers) = (new.features.rows(), Buffers::default());
        self.weights = OnceLock::new();
        let rows = self.rows.saturating_add(count as u64);
        if rows > ROWS_MAX {
            let what = format!("a sum of products of {rows} rows (at most {ROWS_MAX} fit)");
            return Err(StepError::Diverged { step: step.index, what, updates: self.rows });
        }
        // Sums do not depend on order, and the visits are those of every new row once.
        for start in (0..count).step_by(BLOCK_ROWS) {
            let places: Vec<_> = (start..count.min(start + BLOCK_ROWS)).map(|row| (0, row)).collect();
            self.update(step.crew.team(), Sign::Add, std::slice::from_ref(new), &places, &mut buffers);
            if !step.crew.visited(places.len()) {
                return Err(StepError::Interrupted);
            }
        }
        self.rows = rows;
        Ok(())
    }

    fn extend(&mut self, addition: &Addition<'_, '_>) -> Result<(), StateError> {
        let (after, come) = (addition.after, addition.come);
        let places = places_of(after, come, "come to")?;
        let rows = self.rows.saturating_add(places.len() as u64);
        if rows > ROWS_MAX {
            return Err(StateError(format!("with those that come it would be of {rows} rows, and at most {ROWS_MAX} fit")));
        }
        self.rows = rows;
        self.weights = OnceLock::new();
        let mut buffers = Buffers::default();
        for places in places.chunks(BLOCK_ROWS) {
            self.update(addition.team, Sign::Add, after, places, &mut buffers);
        }
        Ok(())
    }

    fn downdate(&mut self, removal: &Removal<'_, '_>) -> Result<(), StateError> {
        let (before, gone) = (removal.before, removal.gone);
        let places = places_of(before, gone, "go from")?;
        let rows = self.rows.checked_sub(places.len() as u64);
        let left = rows.ok_or_else(|| StateError(format!("{} rows are to go from {}", places.len(), self.rows)))?;
        let all: usize = before.iter().map(|rows| rows.features.rows()).sum();
        self.weights = OnceLock::new();
        if all as u64 == self.rows && sums_again(self.rows, places.len() as u64) {
            self.sum_again(removal.team, before, &places);
            self.rows = left;
            return Ok(());
        }
        self.rows = left;
        let mut buffers = Buffers::default();
        for places in places.chunks(BLOCK_ROWS) {
            self.update(removal.team, Sign::Subtract, before, places, &mut buffers);
        }
        // A row that was never added can't be told in general; a sum of squares below 0 tells of one.
        match self.sums.diagonal().all(|square| square >= 0) {
            true => Ok(()),
            false => Err(StateError("rows were to go that it does not hold".into())),
        }
    }

    fn merge(&mut self, other: &dyn State) -> Result<(), StateError> {
        let other: &dyn Any = other;
        let Some(other) = other.downcast_ref::<RidgeState>() else {
            return Err(StateError("the other is of another learner".into()));
        };
        if self.seed != other.seed {
            return Err(StateError("the other has random features of another seed".into()));
        }
        if (self.sums.width(), self.sums.outputs()) != (other.sums.width(), other.sums.outputs()) {
            return Err(StateError("the other has other features or outputs".into()));
        }
        let rows = self.rows.saturating_add(other.rows);
        if rows > ROWS_MAX {
            return Err(StateError(format!("together they hold {rows} rows, and at most {ROWS_MAX} fit")));
        }
        self.rows = rows;
        self.sums.merge(&other.sums);
        self.weights = OnceLock::new();
        Ok(())
    }

    fn without_seed(&mut self) -> Result<(), StateError> {
        if self.map.random().is_some() {
            return Err(StateError("its features are drawn from its seed; those of `map = { kind = \"bins\" }` are not".into()));
        }
        self.seed = [0; 32];
        Ok(())
    }

    fn encode(&self) -> Vec<u8> {
        state::encode(self.seed, self.rows, &self.sums)
    }
}

/// Whether the sums of so many rows are made again of those that stay: a row costs the same, whether it is added or taken out.
fn sums_again(rows: u64, gone: u64) -> bool {
    gone > rows - gone.min(rows)
}

impl RidgeState {
    /// Becomes the sums of the rows of these slices but for those of `gone`, which ascend.
    fn sum_again(&mut self, team: Team, slices: &[Rows<'_>], gone: &[(usize, usize)]) {
        let all = slices.iter().enumerate().flat_map(|(slice, rows)| (0..rows.features.rows()).map(move |row| (slice, row)));
        let stay: Vec<(usize, usize)> = all.filter(|place| gone.binary_search(place).is_err()).collect();
        self.sums = Normal::new(self.sums.width(), self.sums.outputs());
        let mut buffers = Buffers::default();
        for places in stay.chunks(BLOCK_ROWS) {
            self.update(team, Sign::Add, slices, places, &mut buffers);
        }
    }
}

/// Slice and row of rows that come to slices or go from them, which are named ascending.
fn places_of(slices: &[Rows<'_>], named: &[Vec<u32>], what: &str) -> Result<Vec<(usize, usize)>, StateError> {
    if slices.len() != named.len() {
        return Err(StateError(format!("rows are to {what} {} slices, and the state is of {}", named.len(), slices.len())));
    }
    let mut places = Vec::new();
    for (slice, (rows, named)) in slices.iter().zip(named).enumerate() {
        let (count, ascending) = (rows.features.rows(), named.is_sorted_by(|a, b| a < b));
        if !ascending || named.last().is_some_and(|&row| row as usize >= count) {
            let slice = slice + 1;
            return Err(StateError(format!("the rows that are to {what} slice {slice} are not ascending rows of its {count}")));
        }
        places.extend(named.iter().map(|&row| (slice, row as usize)));
    }
    Ok(places)
}
