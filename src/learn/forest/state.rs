//! The trees of one shard with their rows.

use std::fmt;
use std::sync::OnceLock;

use rand_core::RngCore;

use super::flat::Flat;
use super::outcome::{Outcome, ROWS_MAX};
use super::outline::Outline;
use super::payload::Payload;
use super::table::{self, Table};
use super::tree::Tree;
use super::work::{Rules, Work};
use super::{attribute, payload, work};
use crate::learn::{Features, Formula, Labels, Layout, Removal, Rows, Scorer, State, StateError, Step, StepError};
use crate::num::{Team, stream};

/// Rows times trees are at most this, so that nodes are counted in 32 bits.
const PLACES_MAX: u64 = 1 << 31;
/// Trees that each thread grows before it is asked whether to go on.
const TREES_A_LANE: usize = 2;

/// The state of one shard.
pub(super) struct ForestState<O: Outcome> {
    layout: Layout,
    rules: Rules<O>,
    seed: [u8; 32],
    table: Table,
    trees: Vec<Tree<O>>,
    /// Not part of the state: the trees laid out for answers, once they have been asked.
    flat: OnceLock<Flat>,
}

impl<O: Outcome> fmt::Debug for ForestState<O> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ForestState")
            .field("rules", &self.rules)
            .field("rows", &self.table.rows())
            .field("trees", &self.trees.len())
            .finish_non_exhaustive()
    }
}

impl<O: Outcome> ForestState<O> {
    /// The state of no rows.
    pub(super) fn of_seed(layout: Layout, rules: Rules<O>, trees: usize, seed: [u8; 32]) -> ForestState<O> {
        let trees = keys(seed, trees).map(Tree::of_key).collect();
        let table = Table::default();
        ForestState { layout, rules, seed, table, trees, flat: OnceLock::new() }
    }

    /// The state that the bytes hold.
    pub(super) fn of_bytes(layout: Layout, rules: Rules<O>, trees: usize, bytes: &[u8]) -> Result<ForestState<O>, StateError> {
        let parts = payload::decode(rules.outcome, rules.attributes.len(), trees, rows_max(trees), rules.counts, bytes)?;
        ForestState::of_parts(layout, rules, trees, &parts)
    }

    /// The bytes of the state that the bytes hold, without rows that go. No tree is restored for it.
    pub(super) fn without(
        layout: Layout,
        rules: Rules<O>,
        trees: usize,
        bytes: &[u8],
        removal: &Removal<'_, '_>,
    ) -> Result<Vec<u8>, StateError> {
        let parts = payload::decode(rules.outcome, rules.attributes.len(), trees, rows_max(trees), rules.counts, bytes)?;
        let table = parts.table(rules.outcome, &rules.attributes)?;
        let mut state = ForestState::of_seed(layout, rules, trees, parts.seed);
        state.table = table;
        let gone = state.slots_of(removal)?;
        gone.iter().for_each(|&slot| state.table.take(slot));
        if work::builds_again(parts.rows, gone.len()) {
            state.build(removal.team);
            return Ok(state.encode());
        }
        let (rules, table) = (&state.rules, &state.table);
        let mut rests: Vec<_> = keys(parts.seed, trees).zip(&parts.trees).map(|tree| (tree, Err(""))).collect();
        let piece = removal.team.piece(rests.len(), 1, 1);
        removal.team.run(rests.chunks_mut(piece), |trees| {
            let mut work = Work::new(rules, table);
            trees.iter_mut().for_each(|((key, outline), rest)| *rest = outline.without(&mut work, *key, &gone));
        });
        let of_tree =
            |(i, (_, rest)): (usize, (_, Result<Outline<O>, _>))| rest.map_err(|what| StateError(format!("tree {i} has {what}")));
        let outlines = rests.into_iter().enumerate().map(of_tree).collect::<Result<Vec<_>, _>>()?;
        Ok(payload::encode(rules.outcome, &parts.seed, table, rules.attributes.len(), &outlines))
    }

    fn of_parts(layout: Layout, rules: Rules<O>, trees: usize, parts: &Payload<'_, O>) -> Result<ForestState<O>, StateError> {
        let table = parts.table(rules.outcome, &rules.attributes)?;
        let mut state = ForestState::of_seed(layout, rules, trees, parts.seed);
        state.table = table;
        let (rules, table) = (&state.rules, &state.table);
        let mut restored: Vec<_> = state.trees.iter_mut().zip(&parts.trees).map(|pair| (pair, Ok(()))).collect();
        Team::here().split(&mut restored, 1, |_, trees| {
            let mut work = Work::new(rules, table);
            for ((tree, outline), done) in trees {
                *done = tree.restore(&mut work, &outline.names).and_then(|()| {
                    let same = !rules.counts || tree.outline(rules.outcome, table, true).lanes == outline.lanes;
                    if same { Ok(()) } else { Err("counts that are not those of its rows") }
                });
            }
        });
        let wrong = restored.iter().enumerate().find_map(|(i, (_, done))| Some((i, done.err()?)));
        match wrong {
            Some((i, what)) => Err(StateError(format!("tree {i} has {what}"))),
            None => Ok(state),
        }
    }

    /// Grows all trees on the rows of the table.
    fn build(&mut self, team: Team) {
        let (rules, table) = (&self.rules, &self.table);
        let piece = team.piece(self.trees.len(), 1, 1);
        team.run(self.trees.chunks_mut(piece), |trees| {
            let mut work = Work::new(rules, table);
            trees.iter_mut().for_each(|tree| tree.build(&mut work));
        });
    }

    fn outlines(&self, counted: bool) -> Vec<Outline<O>> {
        let mut outlines: Vec<_> = self.trees.iter().map(|_| Outline { names: Vec::new(), lanes: Vec::new() }).collect();
        Team::here().split(&mut outlines, 1, |first, outlines| {
            for (outline, tree) in outlines.iter_mut().zip(self.trees.iter().skip(first)) {
                *outline = tree.outline(self.rules.outcome, &self.table, counted);
            }
        });
        outlines
    }

    fn flat(&self) -> &Flat {
        self.flat.get_or_init(|| {
            let outlines = self.outlines(true);
            let trees = self.trees.iter().map(|tree| tree.root().key).zip(&outlines);
            Flat::of(&self.rules, trees).unwrap_or_else(|what| unreachable!("a grown tree has {what}"))
        })
    }

    /// The slots of the rows that go, after all was checked.
    fn slots_of(&self, removal: &Removal<'_, '_>) -> Result<Vec<u32>, StateError> {
        let misfit = |what: &str| StateError(format!("the removal does not fit: {what}"));
        let before: usize = removal.before.iter().map(|rows| rows.features.rows()).sum();
        if before != self.table.rows() || removal.gone.len() != removal.before.len() {
            return Err(misfit(&format!("it is of {before} rows, and the state has {}", self.table.rows())));
        }
        let places: Vec<u32> = self.table.slots().collect();
        let (mut gone, mut start) = (Vec::new(), 0);
        for (rows, leaving) in removal.before.iter().zip(removal.gone) {
            if !leaving.is_sorted_by(|a, b| a < b) {
                return Err(misfit("rows are not named once and ascending"));
            }
            for &row in leaving {
                let row = row as usize;
                let slot = (row < rows.features.rows()).then(|| places.get(start + row)).flatten();
                let slot = *slot.ok_or_else(|| misfit(&format!("there is no row {row}")))?;
                let labels = match rows.labels {
                    Labels::Classes(classes) => Labels::Classes(classes.get(row..=row).unwrap_or_default()),
                    Labels::Numbers(numbers) => Labels::Numbers(numbers.get(row..=row).unwrap_or_default()),
                };
                let one = [Rows { features: rows.features.slice(row..row + 1), labels }];
                if !self.table.holds(slot, &Table::of_slices(&self.layout, &self.rules.attributes, &one)) {
                    return Err(misfit(&format!("row {row} is not what the state was trained on")));
                }
                gone.push(slot);
            }
            start += rows.features.rows();
        }
        Ok(gone)
    }
}

/// The keys of the trees that a seed gives.
pub(super) fn keys(seed: [u8; 32], trees: usize) -> impl Iterator<Item = u64> {
    let mut keys = stream::stream(seed);
    (0..trees).map(move |_| keys.next_u64())
}

/// The most rows of a state with so many trees.
pub(super) fn rows_max(trees: usize) -> u64 {
    ROWS_MAX.min(PLACES_MAX / (trees as u64).max(1))
}

impl<O: Outcome> State for ForestState<O> {
    fn step(&mut self, step: &Step<'_, '_>) -> Result<(), StepError> {
        let rows: u64 = step.prefix.iter().map(|rows| rows.features.rows() as u64).sum();
        let most = rows_max(self.trees.len());
        if rows > most {
            return Err(StepError::Full { step: step.index, rows, most });
        }
        self.flat = OnceLock::new();
        self.table = Table::of_slices(&self.layout, &self.rules.attributes, step.prefix);
        table::check_labels(self.rules.outcome, &self.table);
        let (rules, table) = (&self.rules, &self.table);
        let (mut told, mut grown, trees) = (0, 0, self.trees.len());
        let mut rest = self.trees.as_mut_slice();
        while !rest.is_empty() {
            let team = step.crew.team();
            let (now, later) = rest.split_at_mut(rest.len().min(team.lanes() * TREES_A_LANE));
            rest = later;
            grown += now.len();
            let piece = team.piece(now.len(), 1, 1);
            team.run(now.chunks_mut(piece), |trees| {
                let mut work = Work::new(rules, table);
                trees.iter_mut().for_each(|tree| tree.build(&mut work));
            });
            let due = step.visits.len() * grown / trees;
            if !step.crew.visited(due - told) {
                return Err(StepError::Interrupted);
            }
            told = due;
        }
        Ok(())
    }

    fn downdate(&mut self, removal: &Removal<'_, '_>) -> Result<(), StateError> {
        let gone = self.slots_of(removal)?;
        if gone.is_empty() {
            return Ok(());
        }
        self.flat = OnceLock::new();
        let before = self.table.rows();
        gone.iter().for_each(|&slot| self.table.take(slot));
        if work::builds_again(before, gone.len()) {
            self.build(removal.team);
            return Ok(());
        }
        let (rules, table) = (&self.rules, &self.table);
        let piece = removal.team.piece(self.trees.len(), 1, 1);
        removal.team.run(self.trees.chunks_mut(piece), |trees| {
            let mut work = Work::new(rules, table);
            let mut gone = gone.clone();
            trees.iter_mut().for_each(|tree| tree.downdate(&mut work, &mut gone));
        });
        Ok(())
    }

    fn encode(&self) -> Vec<u8> {
        let outlines = self.outlines(self.rules.counts);
        payload::encode(self.rules.outcome, &self.seed, &self.table, self.rules.attributes.len(), &outlines)
    }
}

impl<O: Outcome> Scorer for ForestState<O> {
    fn prepare(&mut self, _team: Team) {
        self.flat();
    }

    fn scores(&self, features: &Features<'_>, team: &Team, out: &mut [f32]) {
        attribute::check(&self.layout, features);
        assert_eq!(out.len(), features.rows() * self.rules.outcome.outputs(), "rows x outputs scores");
        self.flat().scores(&self.rules.attributes, features, *team, out);
    }

    fn rows(&self) -> u64 {
        self.table.rows() as u64
    }

    fn formula(&self) -> Formula {
        Formula::Trees(self.flat().formula(&self.layout, &self.rules.attributes))
    }
}
