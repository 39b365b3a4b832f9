use serde::Serialize;

use crate::{
    engine::PlanReport,
    learn::LearnerSettings,
    plan::{self, Against},
    propose::Advice,
};

/// One S and R.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "type", rename = "candidate")]
#[non_exhaustive]
pub struct Candidate {
    /// S.
    pub shards: u32,
    /// R.
    pub slices: u32,
    /// Row-passes of training everything.
    pub full_row_passes: f64,
    /// Row-passes expected for one request.
    pub one_row_passes: f64,
    /// Row-passes expected for all requests together.
    pub batch_row_passes: f64,
    /// What 95 of 100 such batches stay below.
    pub batch_row_passes_p95: f64,
    /// How many times cheaper the batch is than training one model on everything.
    pub speed_up: f64,
    /// How many times dearer the requests would be one by one.
    pub coalesced: f64,
    /// Requests whose joint repair costs as much as training one model anew; `None` when none do.
    pub break_even: Option<u64>,
    /// Bytes of all checkpoints; `None` when unknown.
    pub checkpoint_bytes: Option<u64>,
    /// Expected seconds of the joint repair; `None` when unknown.
    pub seconds: Option<f64>,
    /// Expected seconds of training everything; `None` when unknown.
    pub full_seconds: Option<f64>,
    /// Why it is not to be recommended: `FewRecords`, `FewSubjects`, `Disk` or `Time`.
    pub against: Option<&'static str>,
}

/// What the candidates are for, and which to take.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "type", rename = "plan")]
#[non_exhaustive]
pub struct Plan {
    /// Records to train on.
    pub records: u64,
    /// Their subjects.
    pub subjects: u64,
    /// Records of the largest subject; 0 when not counted.
    pub largest_subject: u64,
    /// Requests repaired together.
    pub requests: u64,
    /// Steps before the last that leave a checkpoint; `None`: all.
    pub keep: Option<u32>,
    /// Bytes of one checkpoint; `None` when not measured.
    pub state_bytes: Option<u64>,
    /// Of all threads; `None` when not measured.
    pub row_passes_per_second: Option<f64>,
    /// The recommended S.
    pub shards: Option<u32>,
    /// The recommended R.
    pub slices: Option<u32>,
    /// Why these.
    pub reason: String,
    /// What batches that come later will cost, if that was asked and they have steps of their own.
    pub growth: Option<Growth>,
    /// What expiring each cohort costs, in order of time; empty where the configuration has none.
    pub expiries: Vec<Expiry>,
    /// The kind of learner that the plan is for.
    pub learner: &'static str,
    /// By the shape of the rows; `None` when no source was looked at.
    pub recommended_learner: Option<RecommendedLearner>,
}

/// What batches cost, in trainings of everything as it is now.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Growth {
    /// How many.
    pub batches: u32,
    /// What each brings, as a share of the records.
    pub share: f64,
    /// Training on all of them as they come.
    pub all: f64,
    /// The dearest of them.
    pub worst: f64,
    /// Training everything anew with each of them, instead.
    pub anew: f64,
    /// The first batch with which all of them together cost more than training anew once then; `None` if there is none.
    pub anew_pays: Option<u32>,
    /// Slices of a shard once all are there.
    pub slices: u32,
    /// A deletion's mean cost, of training its shard anew, before the first.
    pub deletion_before: f64,
    /// The same once all are there.
    pub deletion_after: f64,
}

/// What expiring a cohort costs, and all before it.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Expiry {
    /// Which.
    pub cohort: String,
    /// Its records to train on.
    pub records: u64,
    /// Row-passes of expiring up to its end.
    pub whole_row_passes: f64,
    /// Row-passes of expiring up to a day within it, at most.
    pub within_row_passes: f64,
    /// Row-passes of expiring up to its end with as many shards in all, and no cohorts.
    pub without_row_passes: f64,
}

impl From<&plan::Expiry> for Expiry {
    fn from(expiry: &plan::Expiry) -> Expiry {
        let plan::Expiry { cohort, records, whole, within, without } = expiry;
        Expiry {
            cohort: cohort.clone(),
            records: *records,
            whole_row_passes: *whole,
            within_row_passes: *within,
            without_row_passes: *without,
        }
    }
}

/// A learner that suits the rows.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct RecommendedLearner {
    /// Its kind.
    pub kind: &'static str,
    /// Why it.
    pub reason: String,
    /// S.
    pub shards: u32,
    /// R.
    pub slices: u32,
    /// Its settings, as in a recipe.
    pub settings: LearnerSettings,
}

impl From<&plan::Growth> for Growth {
    fn from(growth: &plan::Growth) -> Growth {
        let plan::Growth { arrivals, all, worst, anew, anew_pays, slices, deletion_before, deletion_after } = *growth;
        let (batches, share) = (arrivals.batches, arrivals.share);
        Growth { batches, share, all, worst, anew, anew_pays, slices, deletion_before, deletion_after }
    }
}

impl From<&plan::Candidate> for Candidate {
    fn from(c: &plan::Candidate) -> Candidate {
        Candidate {
            shards: c.shards,
            slices: c.slices,
            full_row_passes: c.full,
            one_row_passes: c.one,
            batch_row_passes: c.batch,
            batch_row_passes_p95: c.batch_p95,
            speed_up: c.speed_up,
            coalesced: c.coalesced,
            break_even: c.break_even,
            checkpoint_bytes: c.checkpoint_bytes,
            seconds: c.seconds,
            full_seconds: c.full_seconds,
            against: c.against.map(|against| match against {
                Against::FewRecords => "FewRecords",
                Against::FewSubjects => "FewSubjects",
                Against::Disk => "Disk",
                Against::Time => "Time",
            }),
        }
    }
}

impl From<&Advice> for RecommendedLearner {
    fn from(advice: &Advice) -> RecommendedLearner {
        RecommendedLearner {
            kind: advice.kind(),
            reason: advice.reason.clone(),
            shards: advice.shards,
            slices: advice.slices,
            settings: advice.learner.clone(),
        }
    }
}

impl From<&PlanReport> for Plan {
    fn from(report: &PlanReport) -> Plan {
        let question = &report.question;
        let recommended = report.plan.recommended.and_then(|at| report.plan.candidates.get(at));
        Plan {
            records: question.records,
            subjects: question.subjects,
            largest_subject: report.largest_subject,
            requests: question.requests,
            keep: question.keep,
            state_bytes: question.state_bytes,
            row_passes_per_second: question.speed,
            shards: recommended.map(|c| c.shards),
            slices: recommended.map(|c| c.slices),
            reason: report.plan.reason.clone(),
            growth: report.growth.as_ref().map(Growth::from),
            expiries: report.expiries.iter().map(Expiry::from).collect(),
            learner: report.learner,
            recommended_learner: report.advice.as_ref().map(RecommendedLearner::from),
        }
    }
}

/// A line of a plan.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(untagged)]
#[non_exhaustive]
pub enum PlanLine {
    /// One S and R.
    Candidate(Candidate),
    /// What they are for, and which to take.
    Plan(Box<Plan>),
}

impl PlanLine {
    /// The lines of a plan: every candidate, then the plan.
    pub fn all(report: &PlanReport) -> Vec<PlanLine> {
        let candidates = report.plan.candidates.iter().map(|c| PlanLine::Candidate(c.into()));
        candidates.chain([PlanLine::Plan(Box::new(report.into()))]).collect()
    }
}
