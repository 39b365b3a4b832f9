//! Learners beside each other: the same records, the same ones held out, the same requests.

use super::{
    BenchReport, BenchRequest, DeletionSample, FullSample, MemoryReport, Process,
    copies::Copies,
    median, median_of,
    pick::{Pick, Subjects},
    sizes,
    trial::Base,
};
use crate::{
    config::ConfigError,
    engine::{Error, Observer},
    learn::{Abilities, LearnerSettings},
    propose::Shape,
    source::Input,
    train::{Keep, Recipe},
};

/// What was measured of one learner.
#[derive(Clone, Debug)]
pub struct LearnerReport {
    /// Its kind, as it is written.
    pub kind: &'static str,
    /// Whether it is the one that the whole benchmark is about.
    pub own: bool,
    /// Why it can't learn from these records, and what to do.
    pub refused: Option<String>,
    /// S.
    pub shards: u32,
    /// R.
    pub slices: u32,
    /// Its settings, schedule and kept checkpoints.
    pub recipe: Recipe,
    /// Quality on the held-out rows before any deletion.
    pub quality: Option<f64>,
    /// Quality of one model on everything (S = 1, R = 1).
    pub quality_of_one: Option<f64>,
    /// One model on everything, anew.
    pub one_model: Vec<FullSample>,
    /// The whole ensemble, anew.
    pub ensemble: Vec<FullSample>,
    /// Batches, trial by trial.
    pub deletions: Vec<DeletionSample>,
}

impl LearnerReport {
    /// The batch sizes measured, ascending.
    pub fn sizes(&self) -> Vec<u64> {
        sizes(&self.deletions)
    }

    /// The median of a figure over the trials of one batch size.
    pub fn median(&self, requests: u64, of: impl Fn(&DeletionSample) -> Option<f64>) -> Option<f64> {
        median_of(&self.deletions, requests, of)
    }

    /// Records that the requests of one batch size are about, all trials together.
    pub fn records(&self, requests: u64) -> u64 {
        self.deletions.iter().filter(|d| d.requests == requests).map(|d| d.records).sum()
    }

    /// Median seconds of training the ensemble anew.
    pub fn seconds(&self) -> Option<f64> {
        median(self.ensemble.iter().map(|s| s.seconds))
    }
}

impl BenchReport {
    /// The learner that everything else is about is measured once, and stands among the others too.
    pub(super) fn tell_own(&mut self) {
        for own in self.learners.iter_mut().filter(|l| l.own) {
            (own.quality, own.quality_of_one) = (self.quality, self.quality_of_one);
            own.one_model.clone_from(&self.one_model);
            own.ensemble.clone_from(&self.ensemble);
            own.deletions.clone_from(&self.deletions);
        }
    }
}

/// Refuses a kind that is not there, before anything is copied or trained.
///
/// # Errors
/// Names the first such kind.
pub(super) fn check_kinds(kinds: &[String]) -> Result<(), Error> {
    match kinds.iter().find(|kind| !LearnerSettings::KINDS.contains(&kind.as_str())) {
        Some(unknown) => Err(Error::NoSuchLearner { name: unknown.clone() }),
        None => Ok(()),
    }
}

/// How another learner is to be trained on the records of `own`, and in how many shards and slices: as is advised for its kind. Learners that
/// are trained in passes share S, R and the schedule.
fn rules(own: &Recipe, cut: (u32, u32), kind: &str, shape: &Shape<'_>) -> Result<(Recipe, (u32, u32)), ConfigError> {
    let advice = shape.advice_of(kind)?;
    let in_passes = |learner: &LearnerSettings| Ok::<_, ConfigError>(learner.check()?.abilities() == Abilities::default());
    if in_passes(&advice.learner)? && in_passes(&own.learner)? {
        return Ok((Recipe { learner: advice.learner, ..own.clone() }, cut));
    }
    Ok((Recipe::new(advice.learner, advice.schedule, Keep::All), (advice.shards, advice.slices)))
}

/// A learner with a trained workspace of its own.
pub(super) struct Other {
    /// Its place in the report.
    at: usize,
    base: Base,
}

impl Base {
    /// How a kind of learner is trained on these records, and in how many shards and slices: the own kind as it is, another one as is advised.
    ///
    /// # Errors
    /// There is no such kind, or a slice can't be read.
    pub(super) fn rules_of(&self, kind: &str) -> Result<(Recipe, (u32, u32)), Error> {
        let (own, grid) = (&self.model().recipe, self.model().shards.grid());
        let cut = (grid.shards, grid.slices);
        if own.learner.kind() == kind {
            return Ok((own.clone(), cut));
        }
        let shape = Shape {
            layout: self.model().shards.layout(),
            rows: self.model().plans()?.iter().map(|p| p.rows_upto(p.rows.len() as u32)).sum(),
            subjects: self.subjects(&Pick::Uniform)?.count(),
            threads: self.engine().threads(),
        };
        Ok(rules(own, cut, kind, &shape)?)
    }

    /// The learners that are asked for, each once: those that can learn from these records are trained on them in workspaces of their own.
    pub(super) fn learners(
        &self,
        copies: &Copies,
        request: &BenchRequest,
        observer: &dyn Observer,
        reports: &mut Vec<LearnerReport>,
    ) -> Result<Vec<Other>, Error> {
        let own = self.model().recipe.learner.kind();
        let mut others = Vec::new();
        for kind in &request.learners {
            if reports.iter().any(|r| r.kind == kind) {
                continue;
            }
            let (recipe, (shards, slices)) = self.rules_of(kind)?;
            let kind = recipe.learner.kind();
            let is_own = own == kind;
            let mut report = LearnerReport {
                kind,
                own: is_own,
                refused: None,
                shards,
                slices,
                recipe,
                quality: None,
                quality_of_one: None,
                one_model: Vec::new(),
                ensemble: Vec::new(),
                deletions: Vec::new(),
            };
            if !is_own {
                observer.note(&format!("training `{kind}` on the same records: S = {shards}, R = {slices}"));
                match self.other(copies, &report, observer)? {
                    Ok((base, quality)) => {
                        report.quality = quality;
                        others.push(Other { at: reports.len(), base });
                    }
                    Err(why) => report.refused = Some(why),
                }
            }
            reports.push(report);
        }
        Ok(others)
    }

    /// The same records trained by another learner, with its quality; or why it can't learn from them.
    fn other(
        &self,
        copies: &Copies,
        report: &LearnerReport,
        observer: &dyn Observer,
    ) -> Result<Result<(Base, Option<f64>), String>, Error> {
        if let Err(refusal) = report.recipe.accepts(self.model().shards.layout()) {
            return Ok(Err(refusal.to_string()));
        }
        let folder = format!("learner-{}", report.kind);
        let (engine, model) = self.recut(copies, &folder, report.shards, report.slices, &report.recipe)?;
        let trained = engine.build(&model, &model.plans()?, observer)?;
        if trained.interrupted() {
            return Err(Error::Interrupted);
        }
        if let Some((shard, message)) = trained.diverged().next() {
            return Ok(Err(format!("shard {}: {message}", shard.0)));
        }
        // Everything is there; this makes it durable and says so in the ledger, as it is wherever deletions come.
        engine.repair(&Input::new(), false, observer)?;
        let base = Base::new(engine)?;
        let quality = base.evaluate(base.engine())?.map(|q| q.0);
        Ok(Ok((base, quality)))
    }
}

impl Other {
    /// Its deletions in memory, if it takes rows out.
    pub(super) fn memory(&self, deletions: usize, observer: &dyn Observer) -> Result<Option<MemoryReport>, Error> {
        self.base.memory(deletions, observer)
    }

    /// One trial: training anew, then every batch of the same requests that all other learners get.
    #[expect(clippy::too_many_arguments, reason = "all that a trial is made of, once")]
    pub(super) fn trial(
        &self,
        copies: &Copies,
        request: &BenchRequest,
        subjects: &Subjects,
        trial: u32,
        process: Option<&Process<'_>>,
        observer: &dyn Observer,
        reports: &mut [LearnerReport],
    ) -> Result<(), Error> {
        let Some(report) = reports.get_mut(self.at) else { return Ok(()) };
        observer.note(&format!("trial {}: `{}`", trial + 1, report.kind));
        let (sample, quality) = self.base.one_model(copies, observer)?;
        report.one_model.push(sample);
        report.quality_of_one = report.quality_of_one.or(quality);
        report.ensemble.push(self.base.ensemble(copies, observer)?);
        for requests in &request.requests {
            let targets = subjects.draw(*requests, trial);
            if targets.len() as u64 == *requests {
                report.deletions.push(self.base.deletions(copies, &targets, false, process, observer)?);
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        learn::{Layout, Range, Task},
        train::{Schedule, ScheduleKind},
    };

    fn recipe(kind: &str) -> Recipe {
        let any = LearnerSettings::Forest(Default::default()).of_kind(kind).unwrap();
        let schedule = match kind {
            "mlp" | "linear" => Schedule { kind: ScheduleKind::Front, epochs: 7 },
            _ => Schedule { kind: ScheduleKind::Once, epochs: 1 },
        };
        Recipe::new(any, schedule, Keep::All)
    }

    #[test]
    fn learners_in_passes_share_the_cut_and_the_others_get_their_own() {
        let layout = Layout {
            numbers: 3,
            ranges: vec![Some(Range([0.0, 1.0])); 3],
            indicators: Vec::new(),
            byte_scales: Vec::new(),
            categories: Vec::new(),
            task: Task::Classes(2),
            label_range: None,
        };
        let shape = Shape { layout: &layout, rows: 60_000, subjects: 20_000, threads: 2 };
        let rules = |own: &str, cut, kind| rules(&recipe(own), cut, kind, &shape).unwrap();
        let (linear, cut) = rules("mlp", (3, 4), "linear");
        assert_eq!((cut, linear.schedule.kind, linear.schedule.epochs), ((3, 4), ScheduleKind::Front, 7));
        let (forest, cut) = rules("mlp", (3, 4), "forest");
        assert_eq!((cut, forest.schedule.kind), ((5, 1), ScheduleKind::Once));
        let (ridge, cut) = rules("forest", (3, 1), "ridge");
        assert_eq!((cut, ridge.schedule.kind), ((2, 1), ScheduleKind::Once));
        let (mlp, cut) = rules("forest", (3, 1), "mlp");
        assert_eq!((cut, mlp.schedule.kind, mlp.schedule.epochs), ((10, 10), ScheduleKind::Replay, 20));
        assert_eq!(mlp.learner, shape.advice_of("mlp").unwrap().learner);
    }

    #[test]
    fn an_unknown_kind_is_refused_and_the_known_ones_are_named() {
        assert!(check_kinds(&["mlp".into(), "forest".into()]).is_ok());
        let error = check_kinds(&["mlp".into(), "tree".into()]).unwrap_err().to_string();
        assert!(error.contains("`tree`") && error.contains("linear, mlp, ridge, forest"), "{error}");
    }
}
