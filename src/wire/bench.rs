use serde::Serialize;

use super::BenchGrowth;
use crate::{
    lab::{BenchReport, DeletionSample, FrontierPoint, FullSample, LearnerReport, MemoryReport},
    train::{Recipe, ScheduleKind},
};

/// One training anew, checkpoints synced.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(tag = "type", rename = "bench_training")]
#[non_exhaustive]
pub struct BenchTraining {
    /// Of what.
    pub what: Training,
    /// Seconds it took.
    pub seconds: f64,
    /// Row-passes it took.
    pub row_passes: u64,
}

/// What was trained anew.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Training {
    /// One model on everything (S = 1, R = 1).
    OneModel,
    /// The ensemble.
    Ensemble,
}

/// One batch of requests, on a fresh copy.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(tag = "type", rename = "bench_deletion")]
#[non_exhaustive]
pub struct BenchDeletion {
    /// Requests in the batch.
    pub requests: u64,
    /// Records that they are about.
    pub records: u64,
    /// Seconds from the call until the batch is in effect, opening the workspace included.
    pub effective_seconds: f64,
    /// Of these, from the start of writing that the request is accepted.
    pub effective_alone_seconds: f64,
    /// Seconds from the call until every shard is trained again.
    pub repaired_seconds: f64,
    /// Row-passes forecast.
    pub predicted_row_passes: u64,
    /// Row-passes trained.
    pub row_passes: u64,
    /// Bytes of the checkpoints written.
    pub bytes: u64,
    /// Quality while only clean prefixes serve; `None` without a holdout, or when nothing can answer.
    pub quality_meanwhile: Option<f64>,
    /// Quality after the repair.
    pub quality_after: Option<f64>,
    /// Seconds of a process of its own for the same batch; `None` when none was run.
    pub process_seconds: Option<f64>,
    /// Seconds of the same requests, each repaired before the next; `None` for large batches.
    pub one_by_one_seconds: Option<f64>,
    /// Row-passes of the same.
    pub one_by_one_row_passes: Option<u64>,
}

/// One learner, on the same records and requests as all others. Figures are medians over the trials.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "type", rename = "bench_learner")]
#[non_exhaustive]
pub struct BenchLearner {
    /// Its kind.
    pub learner: &'static str,
    /// Whether the whole benchmark is about it.
    pub own: bool,
    /// Why it can't learn from these records; all figures are then `None`.
    pub refused: Option<String>,
    /// S.
    pub shards: u32,
    /// R.
    pub slices: u32,
    /// Its settings and schedule, as in `recipe.json`.
    pub recipe: Recipe,
    /// Quality on the held-out rows; `None` without a holdout.
    pub quality: Option<f64>,
    /// Quality of one model on everything.
    pub quality_of_one_model: Option<f64>,
    /// Seconds of training the ensemble anew.
    pub training_seconds: Option<f64>,
    /// Seconds of training one model anew.
    pub one_model_seconds: Option<f64>,
    /// Row-passes of the ensemble.
    pub row_passes: Option<u64>,
    /// Its deletions, by size of batch.
    pub batches: Vec<BenchBatch>,
}

/// Deletions of one learner in batches of one size.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct BenchBatch {
    /// Requests in a batch.
    pub requests: u64,
    /// Trials.
    pub trials: usize,
    /// Records, of all trials together.
    pub records: u64,
    /// Seconds until in effect.
    pub effective_seconds: Option<f64>,
    /// Seconds until repaired.
    pub repaired_seconds: Option<f64>,
    /// Seconds of a process of its own.
    pub process_seconds: Option<f64>,
    /// Row-passes trained.
    pub row_passes: Option<f64>,
}

/// Deletions from states in memory, without a disk.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "type", rename = "bench_memory")]
#[non_exhaustive]
pub struct BenchMemory {
    /// The learner's kind.
    pub learner: &'static str,
    /// S.
    pub shards: u32,
    /// R.
    pub slices: u32,
    /// Single records deleted.
    pub deletions: usize,
    /// Mean seconds of one, on one thread.
    pub mean_seconds: f64,
    /// Median seconds of one.
    pub median_seconds: f64,
    /// What 99 of 100 take at most.
    pub p99_seconds: f64,
    /// Records of a batch over all shards; 0 when there are too few.
    pub batch: usize,
    /// Mean seconds of a batch.
    pub batch_seconds: Option<f64>,
    /// Bytes of all states as they are stored.
    pub state_bytes: u64,
    /// Seconds of training all shards on one thread.
    pub train_seconds_one_thread: f64,
    /// Seconds of training all shards on all threads.
    pub train_seconds: f64,
    /// Rows scored a second by the whole model on all threads.
    pub predict_rows_per_second: Option<f64>,
}

/// The same records cut another way, or trained under another schedule.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(tag = "type", rename = "bench_frontier")]
#[non_exhaustive]
pub struct BenchFrontier {
    /// S.
    pub shards: u32,
    /// R.
    pub slices: u32,
    /// The schedule.
    pub schedule: ScheduleKind,
    /// Quality on the held-out rows.
    pub quality: f64,
    /// Expected row-passes of the joint repair, as a share of training one model anew.
    pub cost: f64,
    /// Requests of that repair.
    pub requests: u64,
}

/// What the samples before it are about.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "type", rename = "bench")]
#[non_exhaustive]
pub struct Bench {
    /// Records in slices, without those held out.
    pub records: u64,
    /// S.
    pub shards: u32,
    /// R.
    pub slices: u32,
    /// Threads at work.
    pub threads: usize,
    /// The recipe, as in `recipe.json`.
    pub recipe: Recipe,
    /// What every quality is: `accuracy` or `R2`.
    pub quality_is: &'static str,
    /// Quality before any deletion; `None` without a holdout.
    pub quality: Option<f64>,
    /// Quality of one model on everything.
    pub quality_of_one_model: Option<f64>,
    /// Requests whose joint repair is expected to cost as much as one model anew, nearly.
    pub break_even: Option<u64>,
    /// Whether it was stopped early.
    pub interrupted: bool,
}

impl BenchTraining {
    fn of(what: Training, sample: &FullSample) -> BenchTraining {
        BenchTraining { what, seconds: sample.seconds, row_passes: sample.row_passes }
    }
}

impl From<&DeletionSample> for BenchDeletion {
    fn from(d: &DeletionSample) -> BenchDeletion {
        BenchDeletion {
            requests: d.requests,
            records: d.records,
            effective_seconds: d.effective,
            effective_alone_seconds: d.effective_alone,
            repaired_seconds: d.repaired,
            predicted_row_passes: d.predicted,
            row_passes: d.row_passes,
            bytes: d.bytes,
            quality_meanwhile: d.quality_meanwhile,
            quality_after: d.quality_after,
            process_seconds: d.process,
            one_by_one_seconds: d.one_by_one.map(|o| o.0),
            one_by_one_row_passes: d.one_by_one.map(|o| o.1),
        }
    }
}

impl From<&LearnerReport> for BenchLearner {
    fn from(learner: &LearnerReport) -> BenchLearner {
        let batch = |requests: u64| BenchBatch {
            requests,
            trials: learner.deletions.iter().filter(|d| d.requests == requests).count(),
            records: learner.records(requests),
            effective_seconds: learner.median(requests, |d| Some(d.effective)),
            repaired_seconds: learner.median(requests, |d| Some(d.repaired)),
            process_seconds: learner.median(requests, |d| d.process),
            row_passes: learner.median(requests, |d| Some(d.row_passes as f64)),
        };
        BenchLearner {
            learner: learner.kind,
            own: learner.own,
            refused: learner.refused.clone(),
            shards: learner.shards,
            slices: learner.slices,
            recipe: learner.recipe.clone(),
            quality: learner.quality,
            quality_of_one_model: learner.quality_of_one,
            training_seconds: learner.seconds(),
            one_model_seconds: BenchReport::seconds(&learner.one_model),
            row_passes: learner.ensemble.first().map(|s| s.row_passes),
            batches: learner.sizes().into_iter().map(batch).collect(),
        }
    }
}

impl From<&MemoryReport> for BenchMemory {
    fn from(memory: &MemoryReport) -> BenchMemory {
        BenchMemory {
            learner: memory.learner,
            shards: memory.shards,
            slices: memory.slices,
            deletions: memory.deletions,
            mean_seconds: memory.mean_seconds,
            median_seconds: memory.median_seconds,
            p99_seconds: memory.p99_seconds,
            batch: memory.batch,
            batch_seconds: memory.batch_seconds,
            state_bytes: memory.state_bytes,
            train_seconds_one_thread: memory.train_seconds_one_thread,
            train_seconds: memory.train_seconds,
            predict_rows_per_second: memory.predict_rows_per_second,
        }
    }
}

impl BenchFrontier {
    fn of(point: &FrontierPoint, requests: u64) -> BenchFrontier {
        BenchFrontier {
            shards: point.shards,
            slices: point.slices,
            schedule: point.schedule,
            quality: point.quality,
            cost: point.cost,
            requests,
        }
    }
}

impl From<&BenchReport> for Bench {
    fn from(report: &BenchReport) -> Bench {
        Bench {
            records: report.records,
            shards: report.shards,
            slices: report.slices,
            threads: report.threads,
            recipe: report.recipe.clone(),
            quality_is: report.quality_is,
            quality: report.quality,
            quality_of_one_model: report.quality_of_one,
            break_even: report.break_even,
            interrupted: report.interrupted,
        }
    }
}

/// A line of a benchmark.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(untagged)]
#[non_exhaustive]
pub enum BenchLine {
    /// A training.
    Training(BenchTraining),
    /// A batch of deletions.
    Deletion(BenchDeletion),
    /// A learner.
    Learner(BenchLearner),
    /// A learner's deletions in memory.
    Memory(BenchMemory),
    /// Batches that came later.
    Growth(BenchGrowth),
    /// Another way to cut or train.
    Frontier(BenchFrontier),
    /// The summary.
    Bench(Bench),
}

impl BenchLine {
    /// The lines of a benchmark: every sample, then the summary.
    pub fn all(report: &BenchReport) -> Vec<BenchLine> {
        let training = |what: Training| move |sample: &FullSample| BenchLine::Training(BenchTraining::of(what, sample));
        let mut lines: Vec<BenchLine> = report.one_model.iter().map(training(Training::OneModel)).collect();
        lines.extend(report.ensemble.iter().map(training(Training::Ensemble)));
        lines.extend(report.deletions.iter().map(|d| BenchLine::Deletion(d.into())));
        lines.extend(report.learners.iter().map(|l| BenchLine::Learner(l.into())));
        lines.extend(report.memory.iter().map(|m| BenchLine::Memory(m.into())));
        lines.extend(report.growth.iter().map(|g| BenchLine::Growth(g.into())));
        let point = |p: &FrontierPoint| BenchLine::Frontier(BenchFrontier::of(p, report.frontier_requests));
        lines.extend(report.frontier.iter().map(point));
        lines.push(BenchLine::Bench(report.into()));
        lines
    }
}
