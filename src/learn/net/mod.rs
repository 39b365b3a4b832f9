//! Networks of dense layers, trained by mini-batch gradient descent: `linear` (no hidden layer) and `mlp`.

mod layers;
mod model;
mod optimiser;
mod settings;
mod state;

#[cfg(test)]
mod reference;
#[cfg(test)]
mod tests;

use std::fmt;

use layers::{Shape, Workspace};
use optimiser::{Moment, Parameters};

use super::batch::{Batch, Block, Columns};
use super::scaler::Scaler;
use super::{
    Differentiable, Features, Formula, Labels, Layout, Learner, NetFormula, Scorer, State, StateError, Step, StepError, Task,
    Visit,
};
use crate::num::Team;

pub use settings::{Activation, Decay, Descent, NetSettings, Optimizer};

/// Rows that are scored at a time. Each row's scores are chains of its own, so this changes no bit.
const SCORED_ROWS: usize = 256;

/// The learner behind `linear` and `mlp`.
#[derive(Clone, Debug)]
pub(super) struct Net {
    settings: NetSettings,
}

impl Net {
    /// The learner with these settings, which are checked; none hidden is `linear`.
    pub(super) fn of_checked(settings: NetSettings) -> Net {
        Net { settings }
    }

    fn start(&self, layout: &Layout, seed: [u8; 32]) -> NetState {
        let shape = self.shape(layout);
        let parameters = Parameters::init(&shape, &self.settings, seed);
        self.state(layout, shape, (0, Scaler::new(layout), parameters))
    }

    fn shape(&self, layout: &Layout) -> Shape {
        Shape::new(layout, &self.settings.hidden, self.settings.activation)
    }

    fn state(&self, layout: &Layout, shape: Shape, (rows, scaler, parameters): (u64, Scaler, Parameters)) -> NetState {
        NetState {
            settings: self.settings.clone(),
            columns: Columns::of(layout),
            shape,
            rows,
            scaler: scaler.bounded(self.settings.descent.clip),
            parameters,
            batch: Batch::default(),
            work: Workspace::default(),
        }
    }
}

impl Learner for Net {
    fn working_bytes(&self, layout: &Layout) -> u64 {
        // Weights, average, one or two moments; once more as they are written; and the gradient.
        let vectors = match self.settings.descent.optimizer {
            Optimizer::Sgd { .. } => 2 * 3 + 1,
            Optimizer::Adam { .. } => 2 * 4 + 1,
        };
        (self.shape(layout).parameters() as u64).saturating_mul(4 * vectors)
    }

    fn init(&self, layout: &Layout, seed: [u8; 32]) -> Box<dyn State> {
        Box::new(self.start(layout, seed))
    }

    fn decode(&self, layout: &Layout, bytes: &[u8]) -> Result<Box<dyn State>, StateError> {
        let shape = self.shape(layout);
        let parts = state::decode(layout, &shape, &self.settings.descent.optimizer, bytes)?;
        Ok(Box::new(self.state(layout, shape, parts)))
    }
}

/// The state of one network.
struct NetState {
    settings: NetSettings,
    columns: Columns,
    shape: Shape,
    rows: u64,
    scaler: Scaler,
    parameters: Parameters,
    /// Not part of the state: the rows at hand.
    batch: Batch,
    /// Not part of the state: what becomes of them.
    work: Workspace,
}

impl fmt::Debug for NetState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NetState")
            .field("settings", &self.settings)
            .field("rows", &self.rows)
            .field("updates", &self.parameters.updates)
            .finish_non_exhaustive()
    }
}

impl NetState {
    /// One batch: gather, forward, backward, update. Meanwhile the memory is asked for the rows of the batch after it, `ahead`.
    fn descend<'a>(
        &mut self,
        step: &Step<'_, '_>,
        (blocks, labels): (&[Block<'a>], &[Labels<'_>]),
        visits: &[Visit],
        ahead: &[&'a [u8]],
    ) {
        let team = layers::team(&self.shape, visits.len(), step.crew.team());
        let places = visits.iter().map(|v| (v.slice as usize, v.row as usize));
        self.batch.gather(&self.columns, &self.scaler, blocks, places.clone(), team);
        self.batch.label(&self.columns, &self.scaler, labels, places);
        let (shape, descent, work) = (&self.shape, &self.settings.descent, &mut self.work);
        let (early, late) = ahead.split_at(ahead.len() / 2);
        layers::forward(shape, &self.parameters.current, &self.batch, team, work, early);
        let moment = Moment { step: step.index, steps: step.of, progress: visits.first().map_or(0, |visit| visit.progress) };
        let rule = self.parameters.begin(descent, moment);
        match descent.max_gradient {
            None => layers::descend(shape, &mut self.parameters, &rule, &self.batch, team, work, late),
            Some(most) => {
                // How long the gradient is, is known when all of it is.
                layers::backward(shape, &self.parameters.current, &self.batch, team, work);
                optimiser::shorten(work.gradients_mut(), most);
                self.parameters.update(shape, &rule, work.gradients(), team);
            }
        }
    }
}

impl Scorer for NetState {
    fn scores(&self, features: &Features<'_>, team: &Team, out: &mut [f32]) {
        let block = [Block::of(features, &self.columns)];
        let width = self.columns.task().outputs();
        assert_eq!(out.len(), features.rows() * width, "rows x outputs scores");
        let (mut batch, mut work) = (Batch::default(), Workspace::default());
        let starts = (0..features.rows()).step_by(SCORED_ROWS);
        for (start, out) in starts.zip(out.chunks_mut(SCORED_ROWS * width)) {
            let rows = start..features.rows().min(start + SCORED_ROWS);
            let places = rows.map(|row| (0, row));
            batch.gather(&self.columns, &self.scaler, &block, places, *team);
            let average = &self.parameters.average;
            layers::forward(&self.shape, average, &batch, *team, &mut work, &[]);
            out.copy_from_slice(work.outputs());
            if self.columns.task() == Task::Number {
                let target = self.scaler.target();
                out.iter_mut().for_each(|score| *score = target.undo(*score));
            }
        }
    }

    fn rows(&self) -> u64 {
        self.rows
    }

    fn formula(&self) -> Formula {
        let target = self.scaler.target();
        Formula::Net(NetFormula {
            shifts: self.scaler.shifts().to_vec(),
            gains: self.scaler.gains().to_vec(),
            bound: self.scaler.bound(),
            layers: self.shape.parts(&self.parameters.average),
            activation: self.settings.activation,
            target: (target.shift, target.gain),
        })
    }
}

impl State for NetState {
    fn differentiable(&self) -> Option<Box<dyn Differentiable>> {
        Some(Box::new(model::NetModel::of(self)))
    }

    fn step(&mut self, step: &Step<'_, '_>) -> Result<(), StepError> {
        if let Some(new) = step.prefix.last() {
            self.scaler.take_in(new, step.crew.team());
        }
        let rows = step.prefix.iter();
        let blocks: Vec<_> = rows.clone().map(|rows| Block::of(&rows.features, &self.columns)).collect();
        let labels: Vec<_> = rows.map(|rows| rows.labels).collect();
        self.rows = blocks.iter().map(|block| block.rows() as u64).sum();
        let mut batches = step.visits.chunks(self.settings.descent.batch.max(1) as usize).peekable();
        let mut ahead = Vec::new();
        while let Some(visits) = batches.next() {
            ahead.clear();
            for next in batches.peek().copied().unwrap_or_default() {
                let block = blocks.get(next.slice as usize);
                block.into_iter().for_each(|block| block.cells(next.row as usize, &self.columns, &mut ahead));
            }
            self.descend(step, (&blocks, &labels), visits, &ahead);
            if !step.crew.visited(visits.len()) {
                return Err(StepError::Interrupted);
            }
        }
        self.parameters.settle();
        let bad = self.parameters.not_finite().map(str::to_owned);
        match self.scaler.not_finite().or(bad) {
            None => Ok(()),
            Some(what) => Err(StepError::Diverged { step: step.index, what, updates: self.parameters.updates }),
        }
    }

    fn encode(&self) -> Vec<u8> {
        state::encode(self.rows, &self.scaler, &self.parameters)
    }
}
