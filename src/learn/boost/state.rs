//! The trees of one shard.

use std::fmt;
use std::sync::OnceLock;

use super::bins::Binned;
use super::codes::{Cells, Codes};
use super::flat::Flat;
use super::grow::{self, Buffers, Rules};
use super::loss::{Loss, VISITS_MAX};
use super::payload::{self, Payload};
use super::settings::BoostSettings;
use super::tree::Tree;
use crate::learn::{Features, Formula, Layout, Leaves, Scorer, State, Step, StepError, TreesFormula};
use crate::num::{Isa, Team};

/// The state of one shard.
pub(super) struct BoostState {
    settings: BoostSettings,
    isa: Isa,
    codes: Codes,
    loss: Loss,
    payload: Payload,
    /// Not part of the state: the trees laid out for answers, once they have been asked.
    flat: OnceLock<Flat>,
}

impl fmt::Debug for BoostState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BoostState")
            .field("settings", &self.settings)
            .field("rows", &self.payload.rows)
            .field("trees", &self.payload.trees.len())
            .finish_non_exhaustive()
    }
}

/// The trees of one model in a round, with what they need and change.
struct Model<'a> {
    model: usize,
    raw: &'a mut Vec<i64>,
    buffers: &'a mut Buffers,
    tree: Option<Tree>,
}

impl BoostState {
    pub(super) fn of(settings: BoostSettings, isa: Isa, layout: &Layout, payload: Payload) -> BoostState {
        let (codes, loss) = (Codes::of(layout), Loss::of(layout));
        BoostState { settings, isa, codes, loss, payload, flat: OnceLock::new() }
    }

    fn flat(&self) -> &Flat {
        self.flat.get_or_init(|| Flat::of(&self.codes, self.loss.models(), &self.payload.trees))
    }

    /// The raw scores of rows at places: `places x models`.
    fn raw(&self, cells: &[Cells<'_>], count: usize, places: impl Fn(usize) -> (usize, usize) + Sync, team: Team) -> Vec<i64> {
        let mut raw = self.payload.base.repeat(count);
        self.flat().add_to(&self.codes, cells, &places, team, &mut raw);
        raw
    }

    /// Rounds of a step: those of all steps are as even as can be, and together all.
    fn rounds(&self, step: &Step<'_, '_>) -> u32 {
        let up_to = |r: u32| u64::from(self.settings.rounds) * u64::from(r) / u64::from(step.of.max(1));
        (up_to(step.index) - up_to(step.index.saturating_sub(1))) as u32
    }
}

impl State for BoostState {
    fn step(&mut self, step: &Step<'_, '_>) -> Result<(), StepError> {
        let (visits, models) = (step.visits, self.loss.models());
        self.payload.rows = step.prefix.iter().map(|rows| rows.features.rows() as u64).sum();
        if visits.len() > VISITS_MAX {
            return Err(StepError::Full { step: step.index, rows: visits.len() as u64, most: VISITS_MAX as u64 });
        }
        if visits.is_empty() {
            return Ok(());
        }
        let team = step.crew.team();
        let cells: Vec<_> = step.prefix.iter().map(|rows| self.codes.cells(&rows.features)).collect();
        let targets = self.loss.targets(step.prefix, visits);
        if self.payload.trees.is_empty() {
            self.payload.base = self.loss.base(&targets);
        }
        let place = |i: usize| visits.get(i).map_or((0, 0), |visit| (visit.slice as usize, visit.row as usize));
        let of_rows = self.raw(&cells, visits.len(), place, team);
        let mut raw: Vec<Vec<i64>> =
            (0..models).map(|model| of_rows.iter().skip(model).step_by(models).copied().collect()).collect();
        drop(of_rows);
        self.flat = OnceLock::new();
        let binned = Binned::of(&self.codes, self.settings.bins, &cells, visits, team);
        let categories: Vec<bool> = (0..self.codes.columns()).map(|column| self.codes.is_category(column)).collect();
        let rules = Rules { settings: &self.settings, binned: &binned, categories: &categories, isa: self.isa };
        let mut buffers: Vec<Buffers> = Vec::new();
        buffers.resize_with(models, Buffers::default);
        let rounds = self.rounds(step);
        let up_to = |round: u32| visits.len() * round as usize / rounds.max(1) as usize;
        for round in 0..rounds {
            let team = step.crew.team();
            let shares = self.loss.shares(&raw, team);
            // Models side by side where they are enough for all threads, otherwise one after the other on all of them.
            let (across, within) = if models >= 2 * team.lanes() { (team, Team::solo()) } else { (Team::solo(), team) };
            let pieces = raw.iter_mut().zip(&mut buffers).enumerate();
            let mut of_round: Vec<Model<'_>> =
                pieces.map(|(model, (raw, buffers))| Model { model, raw, buffers, tree: None }).collect();
            across.run(of_round.iter_mut(), |Model { model, raw, buffers, tree }| {
                let slopes = self.loss.slopes(*model, raw, &shares, &targets);
                *tree = Some(grow::grow(&rules, &slopes, raw, within, buffers));
            });
            let trees: Vec<Tree> = of_round.into_iter().filter_map(|model| model.tree).collect();
            self.payload.trees.extend(trees);
            if !step.crew.visited(up_to(round + 1) - up_to(round)) {
                return Err(StepError::Interrupted);
            }
        }
        Ok(())
    }

    fn encode(&self) -> Vec<u8> {
        payload::encode(&self.payload)
    }
}

impl Scorer for BoostState {
    fn prepare(&mut self, _team: Team) {
        self.flat();
    }

    fn scores(&self, features: &Features<'_>, team: &Team, out: &mut [f32]) {
        let cells = [self.codes.cells(features)];
        let raw = self.raw(&cells, features.rows(), |row| (0, row), *team);
        assert_eq!(out.len(), features.rows() * self.loss.outputs(), "rows x outputs scores");
        self.loss.scores(&raw, *team, out);
    }

    fn rows(&self) -> u64 {
        self.payload.rows
    }

    fn formula(&self) -> Formula {
        let Payload { base, trees, .. } = &self.payload;
        let mut values = Vec::new();
        let trees = trees.iter().map(|tree| tree.formula(&self.codes, &mut values)).collect();
        let leaves = Leaves::Raw { values, base: base.clone(), link: self.loss.link() };
        Formula::Trees(TreesFormula { asks: self.codes.asks(), trees, leaves })
    }
}
