//! The members of the vote and how they are brought together.
#![expect(clippy::indexing_slicing, reason = "rows and classes index arrays that were made with exactly that shape")]

use std::sync::Arc;

use rayon::prelude::*;

use crate::{
    checkpoint::CheckpointError,
    digest::Digest,
    ids::{ShardId, SliceId},
    learn::{Features, Formula, Scorer, State, Task, WorkerError},
    ledger::Aggregate,
    num::{Team, sum},
    train::{Model, ShardPlan, TrainError},
};

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum PredictError {
    /// Nothing clean is left to answer with.
    #[error(
        "no constituent can answer: {missing} of {shards} shards have no clean checkpoint. \
         Until they are trained again nothing is predicted"
    )]
    NoMembers {
        /// Shards without one.
        missing: usize,
        /// Shards in all.
        shards: usize,
    },
    /// There is nothing to learn from.
    #[error("no records are left to learn from: every step is trained, and all slices are empty")]
    NoRecords,
    /// A learner outside this program gave no scores.
    #[error(transparent)]
    Worker(#[from] WorkerError),
    /// A checkpoint or slice can't be read.
    #[error(transparent)]
    Train(#[from] TrainError),
}

/// One constituent in service.
#[derive(Debug)]
pub struct Member {
    /// Its shard.
    pub shard: ShardId,
    /// The step that it serves.
    pub step: u32,
    /// Its weight: 1 when it is whole, or was before batches came; otherwise (step / steps)^4 (docs/TRAINING.md, section 6).
    pub weight: f32,
    /// The lineage key of that step: members with the same one are the same to the bit.
    pub lineage: Digest,
    /// Its model; none where the states of all members were added up to one.
    scorer: Option<Arc<dyn Scorer>>,
}

/// All constituents in service.
#[derive(Debug)]
pub struct Ensemble {
    members: Vec<Member>,
    /// The one model of all shards, for learners whose states add up.
    merged: Option<Box<dyn State>>,
    aggregate: Aggregate,
    task: Task,
    /// Checkpoints that were found damaged and passed over.
    pub damaged: Vec<String>,
    /// Shards that have no vote.
    pub silent: Vec<ShardId>,
}

/// Scores of some rows.
#[derive(Clone, Debug, PartialEq)]
pub struct Scores {
    /// Classes, or 1 for a number.
    pub outputs: usize,
    /// `rows x outputs`: probabilities, shares of the vote, or the predicted number.
    pub values: Vec<f32>,
    /// The decided class of each row; empty for numbers.
    pub classes: Vec<u32>,
}

/// What a shard can answer with: step, lineage key, whether it has full weight, and state; and the checkpoints above it that are damaged.
struct Deepest {
    found: Option<(u32, Digest, bool, Loaded)>,
    damaged: Vec<String>,
}

/// A member's state: of an ensemble that was loaded before, or read just now.
enum Loaded {
    Shared(Arc<dyn Scorer>),
    Fresh(Box<dyn Scorer>),
    /// To be added to those of the other shards.
    Part(Box<dyn State>),
}

/// Rows that one task scores.
const CHUNK_ROWS: usize = 256;

impl Ensemble {
    /// Loads the deepest sound checkpoint of every shard.
    ///
    /// # Errors
    /// The disk refuses, or no shard has one.
    pub fn load(model: &Model, plans: &[ShardPlan], aggregate: Aggregate) -> Result<Ensemble, PredictError> {
        Ensemble::load_after(model, plans, aggregate, None)
    }

    /// The same, sharing with an ensemble that is loaded already the members that are to be the same. (Where all states are added up
    /// to one model there are none to share.)
    ///
    /// # Errors
    /// As for [`Ensemble::load`].
    pub fn load_after(
        model: &Model,
        plans: &[ShardPlan],
        aggregate: Aggregate,
        before: Option<&Ensemble>,
    ) -> Result<Ensemble, PredictError> {
        let team = Team::of((rayon::current_num_threads() / plans.len().max(1)).max(1));
        let load = |plan: &ShardPlan| {
            let shared =
                |lineage: Digest| before?.members.iter().find(|m| m.shard == plan.shard && m.lineage == lineage)?.scorer.clone();
            let Deepest { found, damaged } = Ensemble::deepest(model, plan, shared)?;
            let found = found.map(|(step, lineage, full, state)| {
                let depth = if full { 1.0 } else { step as f32 / plan.rows.len() as f32 };
                let weight = depth * depth * depth * depth;
                let state = match state {
                    Loaded::Shared(state) => Ok(state),
                    Loaded::Part(state) => Err(state),
                    Loaded::Fresh(mut scorer) => {
                        scorer.prepare(team);
                        Ok(Arc::from(scorer))
                    }
                };
                (Member { shard: plan.shard, step, weight, lineage, scorer: None }, state)
            });
            Ok((found, damaged))
        };
        let loaded: Vec<Result<_, TrainError>> = plans.par_iter().map(load).collect();
        let mut ensemble = Ensemble {
            members: Vec::new(),
            merged: None,
            aggregate,
            task: model.shards.layout().task,
            damaged: Vec::new(),
            silent: Vec::new(),
        };
        for (plan, loaded) in plans.iter().zip(loaded) {
            let (found, damaged) = loaded?;
            ensemble.damaged.extend(damaged);
            match found {
                Some((member, Ok(state))) => ensemble.members.push(Member { scorer: Some(state), ..member }),
                Some((member, Err(state))) => {
                    ensemble.merge(&member, state)?;
                    ensemble.members.push(member);
                }
                None => ensemble.silent.push(plan.shard),
            }
        }
        if plans.iter().all(|plan| plan.rows.iter().all(|rows| *rows == 0)) {
            return Err(PredictError::NoRecords);
        }
        if ensemble.members.is_empty() {
            return Err(PredictError::NoMembers { missing: ensemble.silent.len(), shards: plans.len() });
        }
        if let Some(merged) = &mut ensemble.merged {
            merged.prepare(Team::of(rayon::current_num_threads()));
        }
        Ok(ensemble)
    }

    /// Of constituents that came from elsewhere, each with its shard, step, weight, lineage key and model, in order of their shards.
    ///
    /// # Errors
    /// There is none.
    pub fn of_members(
        (aggregate, task): (Aggregate, Task),
        members: impl IntoIterator<Item = ((ShardId, u32, f32, Digest), Box<dyn Scorer>)>,
    ) -> Result<Ensemble, PredictError> {
        let team = Team::of(rayon::current_num_threads());
        let member = |((shard, step, weight, lineage), mut scorer): (_, Box<dyn Scorer>)| {
            scorer.prepare(team);
            Member { shard, step, weight, lineage, scorer: Some(Arc::from(scorer)) }
        };
        let members: Vec<Member> = members.into_iter().map(member).collect();
        if members.is_empty() {
            return Err(PredictError::NoMembers { missing: 0, shards: 0 });
        }
        Ok(Ensemble { members, merged: None, aggregate, task, damaged: Vec::new(), silent: Vec::new() })
    }

    /// Of the one model that the states of all shards add up to.
    pub fn of_sum(task: Task, mut state: Box<dyn State>) -> Ensemble {
        state.prepare(Team::of(rayon::current_num_threads()));
        let (members, damaged, silent) = (Vec::new(), Vec::new(), Vec::new());
        Ensemble { members, merged: Some(state), aggregate: Aggregate::default(), task, damaged, silent }
    }

    /// Adds a member's state to those of the members before it, which are of lower shards.
    fn merge(&mut self, member: &Member, state: Box<dyn State>) -> Result<(), PredictError> {
        match &mut self.merged {
            None => self.merged = Some(state),
            Some(merged) => merged.merge(&*state).map_err(|cause| {
                let (shard, step) = (member.shard.0, member.step);
                TrainError::State { shard, step, cause }
            })?,
        }
        Ok(())
    }

    /// The deepest step of a shard that has a sound checkpoint, and those passed over because they are damaged.
    fn deepest(
        model: &Model,
        plan: &ShardPlan,
        shared: impl Fn(Digest) -> Option<Arc<dyn Scorer>>,
    ) -> Result<Deepest, TrainError> {
        let mut damaged = Vec::new();
        for (step, lineage, full) in plan.serving() {
            if let Some(state) = shared(lineage) {
                return Ok(Deepest { found: Some((step, lineage, full, Loaded::Shared(state))), damaged });
            }
            let (learner, layout) = (&model.learner, model.shards.layout());
            let decode = |payload: &[u8]| match learner.abilities().merge {
                true => learner.decode(layout, payload).map(Loaded::Part),
                false => learner.scorer(layout, payload).map(Loaded::Fresh),
            };
            match model.checkpoints.read(plan.shard, SliceId(step), lineage, decode) {
                Ok(state) => {
                    let state = state.map_err(|cause| TrainError::State { shard: plan.shard.0, step, cause })?;
                    return Ok(Deepest { found: Some((step, lineage, full, state)), damaged });
                }
                Err(e @ CheckpointError::Damaged { .. }) => damaged.push(e.to_string()),
                Err(CheckpointError::Fs(e)) if e.is_not_found() => {}
                Err(e) => return Err(e.into()),
            }
        }
        Ok(Deepest { found: None, damaged })
    }

    /// The members, by shard.
    pub fn members(&self) -> &[Member] {
        &self.members
    }

    /// How the members are brought together.
    pub fn aggregate(&self) -> Aggregate {
        self.aggregate
    }

    /// Whether the states of all members were added up to one model.
    pub fn is_one(&self) -> bool {
        self.merged.is_some()
    }

    /// What each member computes, with its weight, in order of the shards; or the one model that they were added up to.
    pub fn formulas(&self) -> impl Iterator<Item = (f32, Formula)> {
        let merged = self.merged.iter().map(|merged| (1.0, merged.formula()));
        merged.chain(self.members.iter().filter_map(|m| m.scorer.as_ref().map(|scorer| (m.weight, scorer.formula()))))
    }

    /// Scores rows, in parallel over chunks of them; each row's scores depend on that row alone.
    ///
    /// # Errors
    /// A learner outside this program gives no scores.
    pub fn scores(&self, features: &Features<'_>) -> Result<Scores, WorkerError> {
        self.gather(features, |chunk| self.chunk(chunk))
    }

    /// Scores rows by one member alone; `None` where all states were added up to one model.
    ///
    /// # Errors
    /// As for [`Ensemble::scores`].
    pub fn scores_of(&self, member: &Member, features: &Features<'_>) -> Result<Option<Scores>, WorkerError> {
        let state = member.scorer.as_deref();
        state.map(|state| self.gather(features, |chunk| self.alone(state, chunk))).transpose()
    }

    fn alone(&self, state: &dyn Scorer, chunk: &Features<'_>) -> Result<(Vec<f32>, Vec<u32>), WorkerError> {
        let mut values = vec![0.0; chunk.rows() * self.task.outputs()];
        state.try_scores(chunk, &Team::solo(), &mut values)?;
        let classes = self.decide(&values, &[]);
        Ok((values, classes))
    }

    fn gather(
        &self,
        features: &Features<'_>,
        score: impl Fn(&Features<'_>) -> Result<(Vec<f32>, Vec<u32>), WorkerError> + Sync,
    ) -> Result<Scores, WorkerError> {
        let mut scores = Scores { outputs: self.task.outputs(), values: Vec::new(), classes: Vec::new() };
        if features.rows() <= CHUNK_ROWS {
            (scores.values, scores.classes) = score(features)?;
            return Ok(scores);
        }
        let starts: Vec<usize> = (0..features.rows()).step_by(CHUNK_ROWS).collect();
        let chunks = starts.par_iter().map(|start| {
            let rows = *start..(start + CHUNK_ROWS).min(features.rows());
            score(&features.slice(rows))
        });
        let chunks: Vec<_> = chunks.collect();
        for chunk in chunks {
            let (values, classes) = chunk?;
            scores.values.extend(values);
            scores.classes.extend(classes);
        }
        Ok(scores)
    }

    /// One chunk by all members, in order of their shards.
    fn chunk(&self, features: &Features<'_>) -> Result<(Vec<f32>, Vec<u32>), WorkerError> {
        if let Some(merged) = &self.merged {
            return self.alone(&**merged, features);
        }
        let outputs = self.task.outputs();
        let mut total = vec![0.0_f32; features.rows() * outputs];
        let mut votes = vec![0.0_f32; if self.votes() { total.len() } else { 0 }];
        let mut one = total.clone();
        let mut weights = 0.0_f32;
        for member in &self.members {
            let Some(state) = &member.scorer else { continue };
            state.try_scores(features, &Team::solo(), &mut one)?;
            sum::accumulate(member.weight, &one, &mut total);
            if self.votes() {
                for (row, class) in self.decide(&one, &[]).into_iter().enumerate() {
                    votes[row * outputs + class as usize] += member.weight;
                }
            }
            weights += member.weight;
        }
        let share = |values: Vec<f32>| values.into_iter().map(|v| v / weights).collect::<Vec<f32>>();
        Ok(if self.votes() {
            let classes = self.decide(&votes, &total);
            (share(votes), classes)
        } else {
            let classes = self.decide(&total, &[]);
            (share(total), classes)
        })
    }

    fn votes(&self) -> bool {
        self.aggregate == Aggregate::Vote && self.task != Task::Number
    }

    /// The class of each row: the highest score, then the highest of `ties`, then the lowest index.
    fn decide(&self, values: &[f32], ties: &[f32]) -> Vec<u32> {
        let Task::Classes(classes) = self.task else { return Vec::new() };
        let classes = classes as usize;
        let rows = values.chunks_exact(classes).enumerate().map(|(row, values)| {
            let tie = |class: usize| ties.get(row * classes + class).copied().unwrap_or(0.0);
            let better = |a: usize, b: usize| values[a] > values[b] || (values[a] == values[b] && tie(a) > tie(b));
            (1..classes).fold(0, |best, class| if better(class, best) { class } else { best }) as u32
        });
        rows.collect()
    }
}
