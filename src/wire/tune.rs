use serde::Serialize;

use crate::{
    lab::tune::{Outcome, TuneReport},
    learn::LearnerSettings,
};

/// One point of the grid of a tuning.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "type", rename = "tune_candidate")]
#[non_exhaustive]
pub struct TuneCandidate {
    /// The learner with all its settings.
    pub settings: LearnerSettings,
    /// Passes over a shard's rows, all steps together.
    pub epochs: u32,
    /// S.
    pub shards: u32,
    /// R.
    pub slices: u32,
    /// Whether it is what the workspace has.
    pub own: bool,
    /// Quality on the validation part; null where it was not measured.
    pub quality: Option<f64>,
    /// Why it could not be measured; null otherwise.
    pub refused: Option<String>,
    /// Seconds of training; null where it was not measured.
    pub seconds: Option<f64>,
    /// Row-passes of training everything.
    pub full_row_passes: Option<f64>,
    /// Row-passes expected of repairing one request.
    pub one_row_passes: Option<f64>,
}

/// What was tuned on, and what to take.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "type", rename = "tune")]
#[non_exhaustive]
pub struct Tune {
    /// `accuracy` or `R2`.
    pub quality_is: &'static str,
    /// Training records.
    pub records: u64,
    /// Those of them that settings were measured on.
    pub validation_records: u64,
    /// Points that were not tried for lack of time.
    pub untried: usize,
    /// The place of the best among the candidates, from 0; null where none was measured.
    pub best: Option<usize>,
    /// The file that the best was written to.
    pub written: Option<String>,
    /// Whether it was stopped early.
    pub interrupted: bool,
}

/// A line of a tuning's answer.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(untagged)]
#[non_exhaustive]
pub enum TuneLine {
    /// A point.
    Candidate(Box<TuneCandidate>),
    /// The end.
    Tune(Tune),
}

impl TuneLine {
    /// All lines, in order.
    pub fn all(report: &TuneReport, written: Option<String>) -> Vec<TuneLine> {
        let candidate = |c: &crate::lab::tune::Candidate| {
            let measured = c.measured();
            TuneLine::Candidate(Box::new(TuneCandidate {
                settings: c.recipe.learner.clone(),
                epochs: c.recipe.schedule.epochs,
                shards: c.shards,
                slices: c.slices,
                own: c.own,
                quality: measured.map(|m| m.quality),
                refused: match &c.outcome {
                    Some(Outcome::Refused(why)) => Some(why.clone()),
                    _ => None,
                },
                seconds: measured.map(|m| m.seconds),
                full_row_passes: measured.map(|m| m.full),
                one_row_passes: measured.map(|m| m.one),
            }))
        };
        let end = Tune {
            quality_is: report.quality_is,
            records: report.records,
            validation_records: report.validation,
            untried: report.candidates.iter().filter(|c| c.outcome.is_none()).count(),
            best: report.best().and_then(|best| report.candidates.iter().position(|c| std::ptr::eq(c, best))),
            written,
            interrupted: report.interrupted,
        };
        report.candidates.iter().map(candidate).chain([TuneLine::Tune(end)]).collect()
    }
}
