//! Which settings suit these records: a small grid, each point trained on the training subjects but for a part of them, and measured on that part.
//!
//! Works on scratch copies alone, and looks at no record that the workspace holds out. The choice rests on everybody's rows, and stays when people
//! are deleted: from then on it is a declaration, as the schema is.

mod grid;

use std::path::PathBuf;

use grid::Point;

use super::{Start, copies::Copies, quality, timed, trial::Base};
use crate::{
    config::{ConfigError, Overrides},
    engine::{Engine, Error, Observer, Quality, Quiet},
    fs::Stopwatch,
    plan::CostModel,
    propose::Shape,
    source::Input,
    train::Recipe,
    workspace::WorkspaceError,
};

/// The share of the training subjects that settings are measured on.
pub const VALIDATION: f64 = 0.2;

/// What is to be tried.
#[derive(Clone, Debug, Default)]
pub struct TuneRequest {
    /// A source to tune on, instead of the workspace at hand.
    pub sources: Input,
    /// The configuration file, for a source or an empty workspace; empty for `sisa.toml` in the workspace.
    pub config: PathBuf,
    /// Settings that come before its.
    pub overrides: Overrides,
    /// Kinds of learners to try; that of the workspace where none is named.
    pub learners: Vec<String>,
    /// Seconds after which nothing more is begun; without it the whole grid is tried.
    pub seconds: Option<f64>,
}

/// One point of the grid.
#[derive(Clone, Debug)]
pub struct Candidate {
    /// Learner, schedule, kept checkpoints.
    pub recipe: Recipe,
    /// S.
    pub shards: u32,
    /// R.
    pub slices: u32,
    /// Whether it is what the workspace has.
    pub own: bool,
    /// What became of it; `None` where there was no time for it.
    pub outcome: Option<Outcome>,
}

/// What became of a point that was tried.
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    /// It was trained and measured.
    Measured(Measured),
    /// Its learner can't take these rows, or it diverged: why.
    Refused(String),
}

/// What was measured of a point.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Measured {
    /// Quality on the validation part.
    pub quality: f64,
    /// Seconds of training.
    pub seconds: f64,
    /// Row-passes of training everything, on all training records.
    pub full: f64,
    /// Row-passes expected of repairing one request.
    pub one: f64,
}

/// Everything that was tried.
#[derive(Clone, Debug)]
pub struct TuneReport {
    /// What quality is: accuracy, or R2.
    pub quality_is: &'static str,
    /// Training records.
    pub records: u64,
    /// Those of them that settings were measured on.
    pub validation: u64,
    /// The points, in the order in which they were tried.
    pub candidates: Vec<Candidate>,
    /// Whether the person stopped it early.
    pub interrupted: bool,
}

impl Candidate {
    /// What was measured, if it was.
    pub fn measured(&self) -> Option<&Measured> {
        match &self.outcome {
            Some(Outcome::Measured(measured)) => Some(measured),
            _ => None,
        }
    }
}

impl TuneReport {
    /// The point to take: the best, of equals the one whose deletions cost least, then the one tried first.
    pub fn best(&self) -> Option<&Candidate> {
        let measured = self.candidates.iter().filter_map(|c| Some((c, c.measured()?)));
        let better = |a: &Measured, b: &Measured| a.quality.total_cmp(&b.quality).then(b.one.total_cmp(&a.one));
        let mut best: Option<(&Candidate, &Measured)> = None;
        for (candidate, figures) in measured {
            if best.is_none_or(|(_, so_far)| better(figures, so_far).is_gt()) {
                best = Some((candidate, figures));
            }
        }
        best.map(|(candidate, _)| candidate)
    }
}

/// Tries a grid of settings. What was measured when the person stops it is returned.
///
/// # Errors
/// There is nothing to tune on, a kind of learner is not known, or the disk refuses.
pub fn tune(engine: &Engine, request: &TuneRequest, observer: &dyn Observer) -> Result<TuneReport, Error> {
    super::learners::check_kinds(&request.learners)?;
    let before = engine.workspace().ledger().read()?;
    let done = Copies::new(engine).and_then(|copies| {
        let done = tune_in(engine, &copies, request, observer);
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

fn tune_in(engine: &Engine, copies: &Copies, request: &TuneRequest, observer: &dyn Observer) -> Result<TuneReport, Error> {
    let clock = Stopwatch::start();
    let start = Start { sources: request.sources.clone(), config: request.config.clone(), overrides: request.overrides.clone() };
    let base = copies.base(engine, &start, observer)?;
    let points = points(&base, request)?;
    let records: u64 = base.model().plans()?.iter().map(|p| p.rows_upto(p.rows.len() as u32)).sum();
    let untried = |point: &Point| Candidate {
        recipe: point.recipe.clone(),
        shards: point.shards,
        slices: point.slices,
        own: point.own,
        outcome: None,
    };
    let mut report = TuneReport {
        quality_is: "accuracy",
        records,
        validation: 0,
        candidates: points.iter().map(untried).collect(),
        interrupted: false,
    };
    let count = report.candidates.len();
    for at in 0..count {
        if request.seconds.is_some_and(|seconds| clock.seconds() >= seconds) {
            observer.note(&format!("time is up: {} of {count} were not tried", count - at));
            break;
        }
        let Some(candidate) = report.candidates.get(at).cloned() else { break };
        observer.note(&format!("{} of {count}: {}", at + 1, grid::named(&candidate)));
        match one(&base, copies, &candidate, observer) {
            Ok((outcome, validation, quality_is)) => {
                report.validation = report.validation.max(validation);
                report.quality_is = quality_is.unwrap_or(report.quality_is);
                if let Some(candidate) = report.candidates.get_mut(at) {
                    candidate.outcome = Some(outcome);
                }
            }
            Err(Error::Interrupted) if at > 0 => return Ok(TuneReport { interrupted: true, ..report }),
            Err(error) => return Err(error),
        }
    }
    Ok(report)
}

/// The grid around what the workspace has, and around what is advised for other kinds.
fn points(base: &Base, request: &TuneRequest) -> Result<Vec<Point>, Error> {
    let (model, subjects) = (base.model(), base.subjects(&super::Pick::Uniform)?.count());
    let (own, cut) = (&model.recipe, model.shards.grid());
    let rows = model.plans()?.iter().map(|p| p.rows_upto(p.rows.len() as u32)).sum();
    let shape = Shape { layout: model.shards.layout(), rows, subjects, threads: base.engine().threads() };
    let at_hand = Point { recipe: own.clone(), shards: cut.shards, slices: cut.slices, own: true };
    let named = |kind: &str| request.learners.is_empty() || request.learners.iter().any(|named| named == kind);
    // Without a grid of its own it is what others are held against.
    let mut points = if named(own.learner.kind()) { Vec::new() } else { vec![at_hand.clone()] };
    let kinds = if request.learners.is_empty() { vec![own.learner.kind().to_owned()] } else { request.learners.clone() };
    for kind in &kinds {
        let from = if kind == own.learner.kind() {
            at_hand.clone()
        } else {
            let advice = shape.advice_of(kind).map_err(ConfigError::from)?;
            let recipe = Recipe::new(advice.learner, advice.schedule, own.keep);
            Point { recipe, shards: advice.shards, slices: advice.slices, own: false }
        };
        points.extend(from.around());
    }
    Ok(points)
}

/// Trains and measures one point: what became of it, the rows that it was measured on, and what quality is.
fn one(
    base: &Base,
    copies: &Copies,
    candidate: &Candidate,
    observer: &dyn Observer,
) -> Result<(Outcome, u64, Option<&'static str>), Error> {
    let refused = |why: String| Ok((Outcome::Refused(why), 0, None));
    let recipe = &candidate.recipe;
    if let Err(refusal) = recipe.accepts(base.model().shards.layout()) {
        return refused(refusal.to_string());
    }
    let (engine, model) = base.recut_for_validation(copies, (candidate.shards, candidate.slices), recipe, VALIDATION)?;
    let (seconds, report) = timed(|| engine.build(&model, &model.plans()?, observer))?;
    if report.interrupted() {
        return Err(Error::Interrupted);
    }
    if let Some((shard, message)) = report.diverged().next() {
        return refused(format!("shard {}: {message}", shard.0));
    }
    let evaluation = match engine.evaluate_holdout(&Quiet) {
        Err(Error::NoHoldout) => return refused("too few subjects for a validation part".into()),
        evaluated => evaluated?,
    };
    let rows = match &evaluation.ensemble {
        Quality::Classes(report) => report.rows,
        Quality::Numbers(report) => report.rows,
    };
    let (quality, quality_is) = quality(&evaluation.ensemble);
    let records: u64 = base.model().plans()?.iter().map(|p| p.rows_upto(p.rows.len() as u32)).sum();
    let costs = CostModel::new(records as f64, candidate.shards, candidate.slices, recipe.schedule, recipe.keep);
    let measured = Measured { quality, seconds, full: costs.full(), one: costs.expected(1) };
    Ok((Outcome::Measured(measured), rows, Some(quality_is)))
}
