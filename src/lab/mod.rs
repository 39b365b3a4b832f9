//! Measuring: what deletions cost on this machine, against training anew. Works on scratch copies alone.
//!
//! Stands above the engine: nothing that trains, answers or deletes knows of it.

pub mod compare;
mod copies;
mod growth;
mod learners;
pub mod measures;
mod memory;
pub mod methods;
mod pick;
mod trial;
pub mod tune;

use std::path::{Path, PathBuf};

pub use growth::GrowthReport;
pub use learners::LearnerReport;
pub use memory::MemoryReport;
pub use pick::Pick;

use crate::{
    config::Overrides,
    engine::{Engine, Error, Observer, Quality},
    fs::Stopwatch,
    learn::LearnerSettings,
    plan::CostModel,
    source::Input,
    train::{Keep, Recipe, Schedule, ScheduleKind},
    workspace::WorkspaceError,
};

/// What is measured on: the workspace at hand, or one made from a source in a scratch folder.
#[derive(Clone, Debug, Default)]
struct Start {
    sources: Input,
    config: PathBuf,
    overrides: Overrides,
}

/// What is to be measured.
#[derive(Clone, Debug)]
pub struct BenchRequest {
    /// A source to bench on, instead of the workspace at hand.
    pub sources: Input,
    /// The configuration file, for a source or an empty workspace; empty for `sisa.toml` in the workspace.
    pub config: PathBuf,
    /// Settings that come before its.
    pub overrides: Overrides,
    /// Batch sizes.
    pub requests: Vec<u64>,
    /// Whom the requests are about.
    pub pick: Pick,
    /// Repeats.
    pub trials: u32,
    /// The largest batch that is also deleted one by one.
    pub one_by_one: u64,
    /// Numbers of shards whose accuracy and cost are compared; empty for none.
    pub frontier: Vec<u32>,
    /// Kinds of learners that are measured beside each other on the same records; empty for none.
    pub learners: Vec<String>,
    /// Single records that are deleted from states in memory, where a learner takes rows out; 0 for none.
    pub memory: usize,
    /// Batches that are appended to a part of the records, and what each brings as a share of that part; none by default.
    pub batches: Option<(u32, f64)>,
}

impl Default for BenchRequest {
    /// What a first full measurement takes: five trials of batches of 1, 8 and 64 requests.
    fn default() -> BenchRequest {
        BenchRequest {
            sources: Input::new(),
            config: PathBuf::new(),
            overrides: Overrides::default(),
            requests: vec![1, 8, 64],
            pick: Pick::Uniform,
            trials: 5,
            one_by_one: 8,
            frontier: vec![1, 5, 10, 20],
            learners: Vec::new(),
            memory: 300,
            batches: None,
        }
    }
}

/// Runs a command of the engine as a process of its own on a workspace; returns the seconds from its start to its end.
pub type Process<'a> = dyn Fn(&Path, &[String]) -> Result<f64, Error> + 'a;

/// One training anew.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct FullSample {
    /// Seconds, checkpoints synced.
    pub seconds: f64,
    /// Row-passes.
    pub row_passes: u64,
}

/// One batch of deletions.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct DeletionSample {
    /// Requests.
    pub requests: u64,
    /// Records that they are about.
    pub records: u64,
    /// Seconds from the call to `effective`, opening the workspace included.
    pub effective: f64,
    /// Of these, from the start of writing `accepted` on.
    pub effective_alone: f64,
    /// Seconds from the call to `repaired`.
    pub repaired: f64,
    /// Row-passes that the draft predicted.
    pub predicted: u64,
    /// Row-passes trained.
    pub row_passes: u64,
    /// Bytes of checkpoints written.
    pub bytes: u64,
    /// Quality while only clean prefixes serve; `None` without held-out rows, or when nothing can answer.
    pub quality_meanwhile: Option<f64>,
    /// Quality after repair.
    pub quality_after: Option<f64>,
    /// Seconds of a process of its own that deletes the same, from its start to its end.
    pub process: Option<f64>,
    /// Seconds and row-passes of the same requests one by one, each repaired before the next.
    pub one_by_one: Option<(f64, u64)>,
}

/// Accuracy and cost of another way to cut or train the same records.
#[derive(Clone, Debug, PartialEq)]
pub struct FrontierPoint {
    /// S.
    pub shards: u32,
    /// R.
    pub slices: u32,
    /// The schedule.
    pub schedule: ScheduleKind,
    /// Quality on the held-out rows.
    pub quality: f64,
    /// Expected row-passes of the reference batch, as a share of training one model anew.
    pub cost: f64,
    /// Whether it is the workspace's own.
    pub own: bool,
}

/// Everything that was measured.
#[derive(Clone, Debug)]
pub struct BenchReport {
    /// Records in slices.
    pub records: u64,
    /// S.
    pub shards: u32,
    /// R.
    pub slices: u32,
    /// Learner, schedule, kept checkpoints.
    pub recipe: Recipe,
    /// Threads.
    pub threads: usize,
    /// What quality is: accuracy, or R2.
    pub quality_is: &'static str,
    /// Quality before any deletion.
    pub quality: Option<f64>,
    /// Quality of one model on everything.
    pub quality_of_one: Option<f64>,
    /// One model on everything (S = 1, R = 1), anew.
    pub one_model: Vec<FullSample>,
    /// The whole ensemble, anew.
    pub ensemble: Vec<FullSample>,
    /// Batches, trial by trial.
    pub deletions: Vec<DeletionSample>,
    /// Learners beside each other, in the order in which they were asked for.
    pub learners: Vec<LearnerReport>,
    /// Deletions in memory, for each measured learner that takes rows out.
    pub memory: Vec<MemoryReport>,
    /// Batches that came later, if they were asked for.
    pub growth: Option<GrowthReport>,
    /// Other ways to cut and train.
    pub frontier: Vec<FrontierPoint>,
    /// Requests of the batch that the frontier's costs are for.
    pub frontier_requests: u64,
    /// Rows of every cell: by shard, then by slice.
    pub cells: Vec<Vec<u64>>,
    /// The shards and first slices that the first batch of each size hit.
    pub first_hits: Vec<(u64, Vec<(u32, u32)>)>,
    /// Expected row-passes by number of requests, for a curve.
    pub expected: Vec<(u64, f64)>,
    /// Requests whose joint repair costs as many row-passes as one model anew, nearly.
    pub break_even: Option<u64>,
    /// Whether the person stopped it early.
    pub interrupted: bool,
}

impl BenchReport {
    /// The batch sizes measured, ascending.
    pub fn sizes(&self) -> Vec<u64> {
        sizes(&self.deletions)
    }

    /// The median of a figure over the trials of one batch size.
    pub fn median(&self, requests: u64, of: impl Fn(&DeletionSample) -> Option<f64>) -> Option<f64> {
        median_of(&self.deletions, requests, of)
    }

    /// Median seconds of trainings anew.
    pub fn seconds(samples: &[FullSample]) -> Option<f64> {
        median(samples.iter().map(|s| s.seconds))
    }
}

/// The batch sizes of deletions, ascending.
fn sizes(deletions: &[DeletionSample]) -> Vec<u64> {
    let sizes: std::collections::BTreeSet<u64> = deletions.iter().map(|d| d.requests).collect();
    sizes.into_iter().collect()
}

/// The median of a figure over the trials of one batch size.
fn median_of(deletions: &[DeletionSample], requests: u64, of: impl Fn(&DeletionSample) -> Option<f64>) -> Option<f64> {
    median(deletions.iter().filter(|d| d.requests == requests).filter_map(of))
}

/// The middle one, or the mean of the two in the middle.
pub fn median(samples: impl Iterator<Item = f64>) -> Option<f64> {
    let mut sorted: Vec<f64> = samples.collect();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    let upper = *sorted.get(middle)?;
    if sorted.len() % 2 == 1 { Some(upper) } else { Some(f64::midpoint(*sorted.get(middle - 1)?, upper)) }
}

/// Requests of the batch that the frontier's costs are for.
const FRONTIER_REQUESTS: u64 = 8;

/// Measures on scratch copies, trial by trial, everything in turn. What was measured when the person stops it is returned.
///
/// # Errors
/// There is nothing to bench on, or the disk refuses.
pub fn bench(
    engine: &Engine,
    request: &BenchRequest,
    process: Option<&Process<'_>>,
    observer: &dyn Observer,
) -> Result<BenchReport, Error> {
    learners::check_kinds(&request.learners)?;
    let before = engine.workspace().ledger().read()?;
    let done = copies::Copies::new(engine).and_then(|copies| {
        let done = bench_in(engine, &copies, request, process, observer);
        // What is in there saw every record; it must not outlive the measurement.
        let removed = copies.remove();
        done.and_then(|report| removed.map(|()| report))
    });
    match done {
        // A deletion that came in between took the scratch folder away, and is the better explanation.
        Err(_) if engine.workspace().ledger().is_behind(&before)? => Err(WorkspaceError::MovedOn.into()),
        done => done,
    }
}

fn bench_in(
    engine: &Engine,
    copies: &copies::Copies,
    request: &BenchRequest,
    process: Option<&Process<'_>>,
    observer: &dyn Observer,
) -> Result<BenchReport, Error> {
    let start = Start { sources: request.sources.clone(), config: request.config.clone(), overrides: request.overrides.clone() };
    let base = copies.base(engine, &start, observer)?;
    let mut report = base.describe()?;
    let measured = measure(copies, &base, request, process, observer, &mut report);
    report.tell_own();
    match measured {
        Ok(()) => Ok(report),
        Err(Error::Interrupted) => Ok(BenchReport { interrupted: true, ..report }),
        Err(e) => Err(e),
    }
}

fn measure(
    copies: &copies::Copies,
    base: &trial::Base,
    request: &BenchRequest,
    process: Option<&Process<'_>>,
    observer: &dyn Observer,
    report: &mut BenchReport,
) -> Result<(), Error> {
    let subjects = base.subjects(&request.pick)?;
    let others = base.learners(copies, request, observer, &mut report.learners)?;
    for trial in 0..request.trials.max(1) {
        observer.note(&format!("trial {} of {}: training anew", trial + 1, request.trials.max(1)));
        let (sample, quality) = base.one_model(copies, observer)?;
        report.one_model.push(sample);
        report.quality_of_one = report.quality_of_one.or(quality);
        report.ensemble.push(base.ensemble(copies, observer)?);
        for requests in &request.requests {
            let targets = subjects.draw(*requests, trial);
            if (targets.len() as u64) < *requests {
                observer.note(&format!("only {} subjects: {requests} requests can't be made", targets.len()));
                continue;
            }
            observer.note(&format!("trial {} of {}: {requests} requests", trial + 1, request.trials.max(1)));
            if trial == 0 {
                report.first_hits.push((*requests, base.first_hits(&targets)?));
            }
            let one_by_one = *requests <= request.one_by_one;
            report.deletions.push(base.deletions(copies, &targets, one_by_one, process, observer)?);
        }
        for other in &others {
            other.trial(copies, request, &subjects, trial, process, observer, &mut report.learners)?;
        }
    }
    report.memory.extend(base.memory(request.memory, observer)?);
    for other in &others {
        report.memory.extend(other.memory(request.memory, observer)?);
    }
    report.growth = base.growth(copies, request, observer)?;
    for shards in &request.frontier {
        for schedule in schedules(&report.recipe.learner)? {
            observer.note(&format!("S = {shards}, {schedule:?}"));
            report.frontier.extend(base.frontier_point(copies, *shards, schedule, report.frontier_requests, observer)?);
        }
    }
    Ok(())
}

/// The schedules that a learner can be trained by.
fn schedules(learner: &LearnerSettings) -> Result<Vec<ScheduleKind>, Error> {
    let abilities = learner.check().map_err(crate::config::ConfigError::from)?.abilities();
    Ok(match (abilities.downdate, abilities.whole) {
        (true, _) => vec![ScheduleKind::Once],
        (false, true) => vec![ScheduleKind::Window],
        (false, false) => vec![ScheduleKind::Cumulative, ScheduleKind::Replay, ScheduleKind::Front],
    })
}

/// One number for how good an evaluation is, and what it is.
fn quality(quality: &Quality) -> (f64, &'static str) {
    match quality {
        Quality::Classes(report) => (report.accuracy, "accuracy"),
        Quality::Numbers(report) => (report.r2, "R2"),
    }
}

/// Row-passes of training one model on everything.
fn alone(records: u64, schedule: Schedule) -> f64 {
    CostModel::new(records as f64, 1, 1, schedule, Keep::All).full()
}

/// Seconds of a piece of work.
fn timed<T>(work: impl FnOnce() -> Result<T, Error>) -> Result<(f64, T), Error> {
    let clock = Stopwatch::start();
    let done = work()?;
    Ok((clock.seconds(), done))
}
