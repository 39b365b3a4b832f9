//! `sisa eval`: how good what is in service is.

use super::{Engine, Epoch, Error, Observer, Progress, Serving, serving::Loaded};
use crate::{
    ids::{Cell, Part, ShardId, SliceId},
    learn::{Labels, Task},
    predict::{ClassMetrics, ClassReport, Majority, NumberMetrics, NumberReport, PredictError, Scores},
    source::Input,
};

/// How good an ensemble is on some rows.
#[derive(Clone, Debug, PartialEq)]
pub struct Evaluation {
    /// The ensemble's quality.
    pub ensemble: Quality,
    /// What it is compared with; for classes only.
    pub shares: Option<Shares>,
    /// The class names, in order; empty for numbers.
    pub classes: Vec<String>,
    /// Members that voted, and how many of them with their full weight.
    pub members: (usize, usize),
}

impl Evaluation {
    /// Whether something that looks at no row is better: always answering the most frequent class of the training rows (told of the holdout alone),
    /// or the mean of these rows' labels.
    pub fn is_worse_than_constant(&self) -> bool {
        match &self.ensemble {
            Quality::Classes(report) => self.shares.is_some_and(|shares| report.accuracy < shares.majority),
            Quality::Numbers(report) => report.is_worse_than_constant(),
        }
    }

    /// The classes that have rows and are never the answer, with how many rows they have.
    pub fn never_answered(&self) -> impl Iterator<Item = (&str, u64)> {
        let classes = match &self.ensemble {
            Quality::Classes(report) => report.classes.as_slice(),
            Quality::Numbers(_) => &[],
        };
        let never = self.classes.iter().zip(classes).filter(|(_, quality)| quality.is_never_answered());
        never.map(|(name, quality)| (name.as_str(), quality.rows))
    }
}

/// Accuracies to compare with.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Shares {
    /// Mean accuracy of a single constituent; `None` where all shards add up to one model.
    pub constituent: Option<f64>,
    /// Accuracy of always saying the most frequent class of the training rows.
    pub majority: f64,
}

/// Quality by task.
#[derive(Clone, Debug, PartialEq)]
pub enum Quality {
    /// Of classes.
    Classes(ClassReport),
    /// Of numbers.
    Numbers(NumberReport),
}

/// Adds up quality by task.
enum Metrics {
    Classes(Box<ClassMetrics>),
    Numbers(NumberMetrics),
}

impl Metrics {
    fn new(task: Task) -> Metrics {
        match task {
            Task::Classes(n) => Metrics::Classes(Box::new(ClassMetrics::new(n))),
            Task::Number => Metrics::Numbers(NumberMetrics::default()),
        }
    }

    fn add(&mut self, scores: &Scores, labels: &Labels<'_>) {
        match (self, labels) {
            (Metrics::Classes(m), Labels::Classes(labels)) => m.add(scores, labels),
            (Metrics::Numbers(m), Labels::Numbers(labels)) => m.add(scores, labels),
            // A layout has one task, and labels of that task.
            (Metrics::Classes(_), Labels::Numbers(_)) | (Metrics::Numbers(_), Labels::Classes(_)) => {}
        }
    }

    fn report(&self) -> Quality {
        match self {
            Metrics::Classes(m) => Quality::Classes(m.report()),
            Metrics::Numbers(m) => Quality::Numbers(m.report()),
        }
    }
}

impl Engine {
    /// Compares the ensemble with the labels of sources, or of the holdout when there are none.
    ///
    /// # Errors
    /// Nothing can answer, a row is wrong, or there is nothing to compare with.
    pub fn evaluate(&self, sources: &Input, observer: &dyn Observer) -> Result<Evaluation, Error> {
        if sources.is_empty() {
            return self.evaluate_holdout(observer);
        }
        let threads = self.threads.answering()?;
        threads.install(|| {
            let serving = self.loaded(observer)?;
            let mut metrics = Metrics::new(serving.model.shards.layout().task);
            let scored = serving.score(sources, threads, (true, None), observer, |scores, rows, _| {
                metrics.add(scores, &rows.labels);
                Ok(())
            });
            self.if_still(&serving.snapshot, scored)?;
            Ok(serving.evaluation(&metrics, None))
        })
    }

    /// Compares the ensemble with the rows that were held out.
    ///
    /// # Errors
    /// Nothing can answer, or nothing was held out.
    pub fn evaluate_holdout(&self, observer: &dyn Observer) -> Result<Evaluation, Error> {
        self.threads.answering()?.install(|| {
            let serving = self.loaded(observer)?;
            // Every slice is counted here, so every slice is checked first.
            self.workspace.placed(&serving.snapshot)?;
            let evaluated = serving.check_cells(&self.workspace).and_then(|()| serving.of_holdout(observer));
            self.if_still(&serving.snapshot, evaluated)
        })
    }
}

impl Serving {
    /// How good the answers are on the rows of labelled sources, or on those that were held out when there are none, and what that stands on.
    ///
    /// # Errors
    /// As [`Serving::scores`]; or a source has no labels, or nothing was held out.
    pub fn quality(&self, sources: &Input, observer: &dyn Observer) -> Result<(Evaluation, Epoch), Error> {
        self.answer(|loaded| {
            // What stays is measured, and rows that are held out go only then.
            loaded.is_effective()?;
            let mut metrics = Metrics::new(loaded.model.shards.layout().task);
            let rows = if sources.is_empty() {
                self.pool()?.install(|| loaded.add_holdout(&mut metrics))?
            } else {
                loaded.score(sources, self.pool()?, (true, None), observer, |scores, rows, _| {
                    metrics.add(scores, &rows.labels);
                    Ok(())
                })?
            };
            if rows == 0 {
                return Err(Error::NoHoldout);
            }
            Ok(loaded.evaluation(&metrics, None))
        })
    }
}

impl Loaded {
    /// Adds the rows that are held out; returns how many. Unlike [`Loaded::of_holdout`] it looks at no other slice.
    fn add_holdout(&self, metrics: &mut Metrics) -> Result<u64, Error> {
        let (store, mut rows) = (&self.model.shards, 0);
        for shard in store.grid().shards() {
            let slice = store.open(Cell { shard, part: Part::Holdout })?;
            let part = slice.rows();
            metrics.add(&self.ensemble.scores(&part.features).map_err(PredictError::from)?, &part.labels);
            rows += slice.header().rows;
        }
        Ok(rows)
    }

    fn of_holdout(&self, observer: &dyn Observer) -> Result<Evaluation, Error> {
        let store = &self.model.shards;
        let task = store.layout().task;
        let mut metrics = Metrics::new(task);
        let members = self.ensemble.members();
        let mut majority = self.majority()?;
        // Rows that the majority class, and each member by itself, would answer rightly.
        let (mut hits, mut singles) = (0_u64, vec![0_u64; members.len()]);
        let (mut rows, mut apart) = (0_u64, false);
        for shard in store.grid().shards() {
            let slice = store.open(Cell { shard, part: Part::Holdout })?;
            let part = slice.rows();
            metrics.add(&self.ensemble.scores(&part.features).map_err(PredictError::from)?, &part.labels);
            if let (Some(class), Labels::Classes(labels)) = (&mut majority, part.labels) {
                hits += labels.iter().filter(|l| **l == *class).count() as u64;
                for (member, right) in members.iter().zip(&mut singles) {
                    if let Some(scores) = self.ensemble.scores_of(member, &part.features).map_err(PredictError::from)? {
                        *right += scores.classes.iter().zip(labels).filter(|(answer, label)| answer == label).count() as u64;
                        apart = true;
                    }
                }
            }
            rows += slice.header().rows;
            observer.progress(Progress::Scoring { rows });
        }
        if rows == 0 {
            return Err(Error::NoHoldout);
        }
        let share = |hits: u64| hits as f64 / rows as f64;
        let mean = singles.iter().fold(0.0, |sum, right| sum + share(*right)) / singles.len().max(1) as f64;
        let shares = majority.map(|_| Shares { constituent: apart.then_some(mean), majority: share(hits) });
        Ok(self.evaluation(&metrics, shares))
    }

    fn evaluation(&self, metrics: &Metrics, shares: Option<Shares>) -> Evaluation {
        let members = self.ensemble.members();
        let whole = members.iter().filter(|m| m.weight >= 1.0).count();
        Evaluation { ensemble: metrics.report(), shares, classes: self.classes.to_vec(), members: (members.len(), whole) }
    }

    /// The most frequent class of the training rows; `None` for numbers.
    fn majority(&self) -> Result<Option<u32>, Error> {
        let Task::Classes(n) = self.model.shards.layout().task else { return Ok(None) };
        let mut majority = Majority::new(n);
        let grid = self.model.shards.grid();
        for shard in grid.shards() {
            for slice in grid.slices() {
                if let Labels::Classes(labels) = self.slice_rows(shard, slice)?.rows().labels {
                    majority.add(labels);
                }
            }
        }
        Ok(Some(majority.class()))
    }

    fn slice_rows(&self, shard: ShardId, slice: SliceId) -> Result<crate::shard::Slice, Error> {
        Ok(self.model.shards.open(Cell { shard, part: Part::Slice(slice) })?)
    }
}
