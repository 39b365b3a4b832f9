//! One measurement at a time, on a copy of the trained workspace.

use std::collections::BTreeMap;

use super::{
    BenchReport, DeletionSample, FRONTIER_REQUESTS, FrontierPoint, FullSample, Pick, Process, alone, copies::Copies,
    pick::Subjects, quality, timed,
};
use crate::{
    checkpoint::CheckpointStore,
    digest::ModelKey,
    engine::{DeleteRequest, Engine, Error, Observer},
    ids::{Cell, GenerationId, Handle, Part},
    import::{Kept, NewGeneration, rekey_rows},
    order::Grid,
    plan::CostModel,
    predict::PredictError,
    schema::{Kind, Schema},
    source::TextForm,
    train::{Keep, Model, Recipe, Schedule, ScheduleKind},
    workspace::{Current, KeySource, Partition},
};

/// What the keys of a cut for validation come from.
const VALIDATION_SEED: u64 = 0x7661_6c69_6461_7465;

/// The trained copy that every trial starts from.
pub(super) struct Base {
    engine: Engine,
    model: Model,
    schema: Schema,
    merge: Option<u32>,
    current: Current,
}

impl Base {
    pub(super) fn new(engine: Engine) -> Result<Base, Error> {
        let snapshot = engine.workspace().answering_snapshot()?;
        let (current, record) = engine.workspace().serving(&snapshot)?;
        let model = engine.workspace().model(current.generation, record, &current.recipe)?;
        let Partition { schema, merge, cohort, .. } = engine.workspace().partition(current.generation, record)?;
        if let Some(cohort) = cohort {
            let what = format!(
                "the workspace has {}, and what is measured here cuts the records in other ways, without them, so its figures would be those \
                 of another workspace. A plan, or an expiry that is only worked out, says what expiring costs; for the rest, measure on the \
                 sources in an empty workspace whose configuration has no `cohort`",
                cohort.describe()
            );
            return Err(Error::Compare { what });
        }
        if model.recipe.learner.is_external() {
            let what = "the model in service is a learner of your own, whose program is not taken into scratch copies, so it can't be \
                        measured there. Its training says how fast it is, and an evaluation how good";
            return Err(Error::Compare { what: what.into() });
        }
        let current = current.clone();
        Ok(Base { engine, model, schema, merge, current })
    }

    /// The workspace.
    pub(super) fn engine(&self) -> &Engine {
        &self.engine
    }

    /// What its columns are.
    pub(super) fn schema(&self) -> &Schema {
        &self.schema
    }

    /// Its records, and how they are trained.
    pub(super) fn model(&self) -> &Model {
        &self.model
    }

    /// How constituents are brought together.
    pub(super) fn aggregate(&self) -> crate::predict::Aggregate {
        self.current.aggregate
    }

    /// A report with what is known before anything is measured.
    pub(super) fn describe(&self) -> Result<BenchReport, Error> {
        let plans = self.model.plans()?;
        let records: u64 = plans.iter().map(|p| p.rows_upto(p.rows.len() as u32)).sum();
        let grid = self.model.shards.grid();
        let recipe = &self.model.recipe;
        let cost_model = CostModel::new(records as f64, grid.shards, grid.slices, recipe.schedule, recipe.keep);
        // Eight points for every doubling would be too many to see; a curve of 64 is smooth.
        let most = 4 * u64::from(grid.shards) * u64::from(grid.slices);
        let counts: std::collections::BTreeSet<u64> = (0..64).map(|i| exponential(most, f64::from(i) / 63.0)).collect();
        let (quality, quality_is) = match self.evaluate(&self.engine)? {
            Some((value, what)) => (Some(value), what),
            None => (None, "accuracy"),
        };
        Ok(BenchReport {
            records,
            shards: grid.shards,
            slices: grid.slices,
            recipe: recipe.clone(),
            threads: self.engine.threads(),
            quality_is,
            quality,
            quality_of_one: None,
            one_model: Vec::new(),
            ensemble: Vec::new(),
            deletions: Vec::new(),
            learners: Vec::new(),
            memory: Vec::new(),
            growth: None,
            frontier: Vec::new(),
            frontier_requests: FRONTIER_REQUESTS,
            cells: plans.into_iter().map(|p| p.rows).collect(),
            first_hits: Vec::new(),
            expected: counts.into_iter().map(|k| (k, cost_model.expected(k))).collect(),
            break_even: cost_model.break_even(alone(records, recipe.schedule)),
            interrupted: false,
        })
    }

    /// Quality on the held-out rows; `None` when there are none, or nothing can answer.
    pub(super) fn evaluate(&self, engine: &Engine) -> Result<Option<(f64, &'static str)>, Error> {
        match engine.evaluate_holdout(&crate::engine::Quiet) {
            Ok(evaluation) => Ok(Some(quality(&evaluation.ensemble))),
            Err(Error::NoHoldout | Error::Predict(PredictError::NoMembers { .. } | PredictError::NoRecords)) => Ok(None),
            Err(e) => Err(e),
        }
    }

    /// The subjects with records in slices, weighted.
    pub(super) fn subjects(&self, pick: &Pick) -> Result<Subjects, Error> {
        let column = match pick {
            Pick::Risk(name) => Some(self.number_column(name)?),
            Pick::Uniform | Pick::Zipf => None,
        };
        let mut weights: BTreeMap<Handle, f64> = BTreeMap::new();
        let grid = self.model.shards.grid();
        for cell in grid.cells().filter(|c| c.part != Part::Holdout) {
            let slice = self.model.shards.open(cell)?;
            let rows = slice.rows();
            for (row, subject) in slice.subjects().iter().enumerate() {
                let value = match column {
                    Some((true, at)) => rows.features.numbers.get((row, at)).map_or(0.0, |x| f64::from(*x)),
                    Some((false, at)) => rows.features.bytes.get((row, at)).map_or(0.0, |x| f64::from(*x)),
                    None => 1.0,
                };
                let weight = weights.entry(*subject).or_insert(f64::NEG_INFINITY);
                // A missing value is no risk.
                *weight = weight.max(if value.is_nan() { f64::NEG_INFINITY } else { value });
            }
        }
        let least = weights.values().copied().filter(|w| w.is_finite()).fold(f64::INFINITY, f64::min);
        let weigh = |(rank, (handle, value)): (usize, (Handle, f64))| {
            let weight = match pick {
                Pick::Uniform => 1.0,
                // Handles are hashes, so their order means nothing.
                Pick::Zipf => 1.0 / (rank + 1) as f64,
                Pick::Risk(_) if value.is_finite() => value - least,
                Pick::Risk(_) => 0.0,
            };
            (handle, weight)
        };
        Ok(Subjects::new(weights.into_iter().enumerate().map(weigh).collect()))
    }

    /// Whether a column is a number (or byte) column, and its place among them.
    fn number_column(&self, name: &str) -> Result<(bool, usize), Error> {
        let (mut numbers, mut bytes) = (0, 0);
        for column in &self.schema.columns {
            let (is_number, at) = match column.kind {
                Kind::Number { .. } | Kind::Date { .. } | Kind::Embedding { .. } => (true, &mut numbers),
                Kind::Byte { .. } => (false, &mut bytes),
                Kind::Values { .. } | Kind::Buckets { .. } | Kind::Boolean | Kind::Ignore => continue,
            };
            for source in column.sources() {
                if source == name {
                    return Ok((is_number, *at));
                }
                *at += 1;
            }
        }
        Err(Error::NoSuchColumn { column: name.to_owned() })
    }

    /// The shards that deleting these would hit, with the first slice.
    pub(super) fn first_hits(&self, subjects: &[Handle]) -> Result<Vec<(u32, u32)>, Error> {
        let snapshot = self.engine.workspace().snapshot()?;
        let (_, record) = self.engine.workspace().serving(&snapshot)?;
        let key = self.engine.workspace().handle_key()?;
        let placement = self.engine.workspace().placement(self.current.generation, record, &key)?;
        let mut first: BTreeMap<u32, u32> = BTreeMap::new();
        for subject in subjects {
            for cell in placement.cells(*subject) {
                let Cell { shard, part: Part::Slice(slice) } = cell else { continue };
                let hit = first.entry(shard.0).or_insert(slice.0);
                *hit = (*hit).min(slice.0);
            }
        }
        Ok(first.into_iter().collect())
    }

    /// The whole ensemble, trained anew from its slices into an empty folder, and synced.
    pub(super) fn ensemble(&self, copies: &Copies, observer: &dyn Observer) -> Result<FullSample, Error> {
        let folder = copies.folder("anew")?;
        let store = CheckpointStore::new(copies.files().clone(), folder);
        let model = self.model.with_checkpoints(store).map_err(crate::train::TrainError::from)?;
        train_all(&self.engine, &model, observer)
    }

    /// One model on everything, trained anew and synced, and its quality.
    pub(super) fn one_model(&self, copies: &Copies, observer: &dyn Observer) -> Result<(FullSample, Option<f64>), Error> {
        let recipe = Recipe { keep: Keep::All, ..self.model.recipe.clone() };
        let (engine, model) = self.recut(copies, "one", 1, 1, &recipe)?;
        let sample = train_all(&engine, &model, observer)?;
        Ok((sample, self.evaluate(&engine)?.map(|q| q.0)))
    }

    /// Quality and cost with other shards and another schedule; `None` where there is nothing held out to measure on.
    pub(super) fn frontier_point(
        &self,
        copies: &Copies,
        shards: u32,
        schedule: ScheduleKind,
        requests: u64,
        observer: &dyn Observer,
    ) -> Result<Option<FrontierPoint>, Error> {
        let own = &self.model.recipe;
        let slices = self.model.shards.grid().slices;
        let recipe = Recipe { schedule: Schedule { kind: schedule, ..own.schedule }, ..own.clone() };
        let (engine, model) = self.recut(copies, "frontier", shards, slices, &recipe)?;
        train_all(&engine, &model, observer)?;
        let records: u64 = model.plans()?.iter().map(|p| p.rows_upto(slices)).sum();
        let cost_model = CostModel::new(records as f64, shards, slices, recipe.schedule, recipe.keep);
        let own = shards == self.model.shards.grid().shards && schedule == own.schedule.kind;
        let cost = cost_model.expected(requests) / alone(records, recipe.schedule);
        Ok(self.evaluate(&engine)?.map(|(quality, _)| FrontierPoint { shards, slices, schedule, quality, cost, own }))
    }

    /// The same records cut another way, in a workspace of its own, not trained yet.
    pub(super) fn recut(
        &self,
        copies: &Copies,
        name: &str,
        shards: u32,
        slices: u32,
        recipe: &Recipe,
    ) -> Result<(Engine, Model), Error> {
        let key = KeySource::Seed(1).model_key(copies.files(), None)?;
        self.recut_under(copies, name, (shards, slices), recipe, key)
    }

    /// The training records cut another way, without those held out: a share of their subjects, other ones than a draw under the workspace's own key
    /// gives, is held out in their place.
    pub(super) fn recut_for_validation(
        &self,
        copies: &Copies,
        (shards, slices): (u32, u32),
        recipe: &Recipe,
        holdout: f64,
    ) -> Result<(Engine, Model), Error> {
        // Not one that a workspace is likely to have: under its own key those who would be held out are those who are.
        let keys = KeySource::Seed(VALIDATION_SEED);
        let plan = NewGeneration {
            generation: GenerationId(1),
            rekeys: None,
            partition: Partition::new(Grid::new(shards, slices, holdout), self.schema.clone(), TextForm::default()),
            handle_key: keys.handle_key(copies.files())?,
            model_key: keys.model_key(copies.files(), None)?,
        };
        let trained_on: Vec<Cell> = self.model.shards.grid().cells().filter(|cell| cell.part != Part::Holdout).collect();
        self.recut_as(copies, "validation", &plan, recipe, &Kept::all(&self.model.shards, &trained_on))
    }

    /// The same under a model key.
    pub(super) fn recut_under(
        &self,
        copies: &Copies,
        name: &str,
        cut: (u32, u32),
        recipe: &Recipe,
        model_key: ModelKey,
    ) -> Result<(Engine, Model), Error> {
        let cells: Vec<Cell> = self.model.shards.grid().cells().collect();
        self.recut_as(copies, name, &self.plan_of(cut, model_key)?, recipe, &Kept::all(&self.model.shards, &cells))
    }

    /// A generation of the same records, cut another way.
    pub(super) fn plan_of(&self, (shards, slices): (u32, u32), model_key: ModelKey) -> Result<NewGeneration, Error> {
        let grid = Grid::new(shards, slices, self.model.shards.grid().holdout);
        Ok(NewGeneration {
            generation: GenerationId(1),
            rekeys: None,
            partition: Partition::new(grid, self.schema.clone(), TextForm::default()).with_merge(self.merge),
            handle_key: self.engine.workspace().handle_key()?,
            model_key,
        })
    }

    /// Some records as another generation, in a workspace of its own, not trained yet.
    pub(super) fn recut_as(
        &self,
        copies: &Copies,
        name: &str,
        plan: &NewGeneration,
        recipe: &Recipe,
        kept: &Kept<'_>,
    ) -> Result<(Engine, Model), Error> {
        let engine = copies.engine(&self.engine, &copies.folder(name)?);
        let mut writing = engine.workspace().write(true)?;
        engine.workspace().keep_handle_key(&plan.handle_key)?;
        engine.pool().install(|| rekey_rows(&mut writing, plan, kept))?;
        let id = engine.publish_recipe_as(&mut writing, plan.generation, recipe, recipe.digest())?;
        let current = Current { generation: plan.generation, recipe: id, aggregate: self.current.aggregate };
        writing.switch(&current)?;
        let snapshot = writing.done()?;
        let record = snapshot.history.generations.get(&plan.generation).ok_or(crate::workspace::WorkspaceError::MovedOn)?;
        let model = engine.workspace().model(plan.generation, record, &current.recipe)?;
        Ok((engine, model))
    }

    /// Deletes subjects from a fresh copy: together, by a process of its own, and one by one.
    pub(super) fn deletions(
        &self,
        copies: &Copies,
        subjects: &[Handle],
        one_by_one: bool,
        process: Option<&Process<'_>>,
        observer: &dyn Observer,
    ) -> Result<DeletionSample, Error> {
        let copy = || -> Result<Engine, Error> {
            let root = copies.folder("trial")?;
            copies.copy(self.engine.workspace().root(), &root)?;
            Ok(copies.engine(&self.engine, &root))
        };
        let engine = copy()?;
        let request = DeleteRequest { handles: subjects.to_vec(), defer: true, ..DeleteRequest::default() };
        let (seconds, deleted) = timed(|| engine.delete(&request, observer, |_, _, _| {}))?;
        let quality_meanwhile = self.evaluate(&engine)?.map(|q| q.0);
        let (repair_seconds, repair) = timed(|| engine.repair_serving(false, observer))?;
        let repair = repair.ok_or(crate::workspace::WorkspaceError::MovedOn)?;
        if repair.report.interrupted() {
            return Err(Error::Interrupted);
        }
        let mut sample = DeletionSample {
            requests: subjects.len() as u64,
            records: deleted.accepted.outcomes.iter().map(|o| o.in_slices + o.held_out).sum(),
            effective: seconds,
            effective_alone: deleted.effective.seconds,
            repaired: seconds + repair_seconds,
            predicted: deleted.accepted.predicted.row_passes,
            row_passes: repair.report.row_passes(),
            bytes: repair.report.shards.iter().map(|s| s.bytes).sum(),
            quality_meanwhile,
            quality_after: self.evaluate(&engine)?.map(|q| q.0),
            process: None,
            one_by_one: None,
        };
        if let Some(process) = process {
            let engine = copy()?;
            let handles: Vec<String> = subjects.iter().map(ToString::to_string).collect();
            sample.process = Some(process(engine.workspace().root(), &handles)?);
        }
        if one_by_one {
            let engine = copy()?;
            let one = |subject: &Handle| {
                let request = DeleteRequest { handles: vec![*subject], ..DeleteRequest::default() };
                let report = engine.delete(&request, observer, |_, _, _| {})?;
                let repair = report.repair.filter(|r| !r.report.interrupted()).ok_or(Error::Interrupted)?;
                Ok(repair.report.row_passes())
            };
            let (seconds, costs) = timed(|| subjects.iter().map(one).collect::<Result<Vec<u64>, Error>>())?;
            sample.one_by_one = Some((seconds, costs.into_iter().sum()));
        }
        Ok(sample)
    }
}

/// Trains everything that a model lacks, and syncs it.
fn train_all(engine: &Engine, model: &Model, observer: &dyn Observer) -> Result<FullSample, Error> {
    let plans = model.plans()?;
    let (seconds, report) = timed(|| {
        let report = engine.build(model, &plans, observer)?;
        model.make_durable(&plans)?;
        Ok(report)
    })?;
    if report.interrupted() {
        return Err(Error::Interrupted);
    }
    Ok(FullSample { seconds, row_passes: report.row_passes() })
}

/// From 1 to `most`, even steps of `share` being even factors.
fn exponential(most: u64, share: f64) -> u64 {
    // Halving the interval of exponents needs no logarithm.
    let (mut low, mut high, mut value) = (0.0_f64, 1.0_f64, (1.0, most as f64));
    for _ in 0..24 {
        let middle = f64::midpoint(low, high);
        let root = (value.0 * value.1).sqrt();
        if share < middle {
            (high, value.1) = (middle, root);
        } else {
            (low, value.0) = (middle, root);
        }
    }
    value.0.round() as u64
}
