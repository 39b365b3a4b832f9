//! `sisa plan`: what S and R would cost, from a look at the source and a moment of training.

use std::path::PathBuf;

use super::{Engine, Error, Observer, Progress};
use crate::{
    append::AppendError,
    config::{Config, ConfigError, Overrides},
    digest::HandleKey,
    ids::Block,
    learn::Layout,
    order::MERGE,
    plan::{Ages, Arrivals, CostTable, Expiry, Growth, Question, growth},
    propose::{Advice, ProposeError, Shape},
    schema::{Cohorts, EncodedRows, Encoder, Fate, Ids, Subject},
    source::{Batch, Input},
    train::{Keep, Schedule, ScheduleKind, pilot_on},
};

/// What a plan is to be about.
#[derive(Clone, Debug)]
pub struct PlanRequest {
    /// Sources to look at; those of the configuration when there are none.
    pub sources: Input,
    /// The configuration file; empty for `sisa.toml` in the workspace.
    pub config: PathBuf,
    /// Settings that come before its.
    pub overrides: Overrides,
    /// Records and subjects, instead of counting them.
    pub sizes: Option<(u64, u64)>,
    /// Requests that are repaired together.
    pub requests: u64,
    /// Whether to measure the speed of this machine.
    pub pilot: bool,
    /// Bytes that checkpoints may take.
    pub disk: Option<u64>,
    /// Seconds that the repair may take.
    pub time: Option<f64>,
    /// Records that a shard should have at least.
    pub least_records: u64,
    /// Candidates for S; a default row when there are none.
    pub shards: Vec<u32>,
    /// Candidates for R; a default row when there are none.
    pub slices: Vec<u32>,
    /// Batches that will come, and what each brings as a share of the records.
    pub batches: Option<(u32, f64)>,
}

impl Default for PlanRequest {
    /// Eight requests repaired together, at least a thousand records a shard, on the speed of this machine.
    fn default() -> PlanRequest {
        PlanRequest {
            sources: Input::new(),
            config: PathBuf::new(),
            overrides: Overrides::default(),
            sizes: None,
            requests: 8,
            pilot: true,
            disk: None,
            time: None,
            least_records: 1000,
            shards: Vec::new(),
            slices: Vec::new(),
            batches: None,
        }
    }
}

/// The answer, with what it was made from.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct PlanReport {
    /// What was asked, sizes and speed filled in.
    pub question: Question,
    /// Records of the largest subject; 0 when they were not counted.
    pub largest_subject: u64,
    /// The table and the recommendation.
    pub plan: CostTable,
    /// What the batches that were asked about will cost with the recommended R; `None` for a learner that has no steps of theirs.
    pub growth: Option<Growth>,
    /// Whether batches were asked about.
    pub batches: bool,
    /// The cohorts that the configuration declares, in words.
    pub cohorts: Option<String>,
    /// What expiring each of them costs, with the S and R of the configuration.
    pub expiries: Vec<Expiry>,
    /// The kind of learner that it is for.
    pub learner: &'static str,
    /// Which learner to take; `None` when no source was looked at.
    pub advice: Option<Advice>,
}

/// Candidates where none are named.
const SHARDS: [u32; 6] = [1, 5, 10, 20, 50, 100];
const SLICES: [u32; 5] = [1, 5, 10, 20, 50];
/// Rows that the pilot trains on.
const PILOT_ROWS: usize = 4096;

/// What a look at the source gives.
struct Look {
    records: u64,
    subjects: u64,
    largest: u64,
    /// Row-passes a second of one thread, and bytes of a state.
    pilot: Option<(f64, u64)>,
    layout: Option<Layout>,
    schedule: Schedule,
    keep: Keep,
    /// Records by cohort, where there are any.
    ages: Option<Ages>,
}

impl Engine {
    /// What each S and R would cost, and which to take. Writes nothing.
    ///
    /// # Errors
    /// A source can't be read, or there is no configuration and none can be proposed.
    pub fn plan(&self, request: &PlanRequest, observer: &dyn Observer) -> Result<PlanReport, Error> {
        let request = &PlanRequest { config: self.config_file(&request.config), ..request.clone() };
        let mut config = match self.workspace.files().stat(&request.config)? {
            Some(_) => Config::read(self.workspace.files(), &request.config)?,
            None if request.sources.is_empty() => return Err(Error::NoConfig { config: request.config.clone() }),
            None => {
                let proposal = self.propose(&request.sources, &request.config, &request.overrides)?;
                Config::parse(&proposal.text, &request.config)?
            }
        };
        config = config.with_threads(self.threads()).with(&request.overrides)?;
        let look = self.look(request, &config, observer)?;
        let some = |given: &[u32], default: &[u32]| if given.is_empty() { default.to_vec() } else { given.to_vec() };
        let question = Question {
            records: look.records,
            subjects: look.subjects,
            requests: request.requests,
            schedule: look.schedule,
            keep: match look.keep {
                Keep::All => None,
                Keep::Best(count) => Some(count),
            },
            state_bytes: look.pilot.map(|p| p.1),
            speed: look.pilot.filter(|_| request.pilot).map(|p| p.0 * self.threads() as f64),
            disk: request.disk,
            time: request.time,
            least_records: request.least_records,
            shards: some(&request.shards, &SHARDS),
            slices: some(&request.slices, &SLICES),
        };
        let plan = question.answer();
        let growth = match request.batches {
            Some((batches, share)) if !matches!(look.schedule.kind, ScheduleKind::Once) => {
                config.recipe()?.goes_on().map_err(AppendError::Fixed)?;
                let recommended = plan.recommended.and_then(|at| plan.candidates.get(at)).or(plan.candidates.first());
                let merge = config.merge()?.unwrap_or(MERGE);
                recommended.map(|c| growth(look.schedule, c.slices, Arrivals { batches, share, merge }))
            }
            _ => None,
        };
        let grid = config.grid()?;
        let cut = (grid.shards_of_block(), grid.slices);
        let expiries = look.ages.map_or(Vec::new(), |ages| ages.costs(cut, look.schedule, look.keep));
        let learner = config.recipe()?.learner.kind();
        let advice = look.layout.map(|layout| {
            Shape { layout: &layout, rows: look.records, subjects: look.subjects, threads: self.threads() }.advice()
        });
        let advice = advice.transpose().map_err(ConfigError::from)?;
        Ok(PlanReport {
            question,
            largest_subject: look.largest,
            plan,
            growth,
            batches: request.batches.is_some(),
            cohorts: config.cohort().map(Cohorts::describe),
            expiries,
            learner,
            advice,
        })
    }

    fn look(&self, request: &PlanRequest, config: &Config, observer: &dyn Observer) -> Result<Look, Error> {
        let recipe = config.recipe()?;
        let holdout = config.grid()?.holdout;
        let keep = request.overrides.checkpoints.map_or(recipe.keep, Keep::Best);
        let nothing = |(records, subjects)| Look {
            records,
            subjects,
            largest: 0,
            pilot: None,
            layout: None,
            schedule: recipe.schedule,
            keep,
            ages: None,
        };
        let sources = config.input(&request.sources);
        if sources.is_empty() {
            return match request.sizes {
                Some(sizes) => Ok(nothing(sizes)),
                None => Err(Error::NoSource { config: request.config.clone() }),
            };
        }
        let (mut rows, mut subjects, mut pilot, mut layout) = (0_u64, Vec::new(), None, None);
        let cohorts = config.cohort().filter(|_| request.sizes.is_none());
        let mut by_block = vec![0_u64; cohorts.map_or(0, |cohorts| cohorts.blocks() as usize)];
        for mut source in sources.open_ahead(&config.form())? {
            let schema = config.declaration()?.resolve(source.name(), source.columns())?;
            self.check_rows(&recipe, &schema, Some(config), &request.sources)?;
            layout = Some(schema.layout());
            let blocks = schema.blocks(cohorts)?;
            let encoder = Encoder::new(&schema, source.name(), source.columns(), true)?;
            source.only(&schema.positions(source.columns()));
            let ids = Ids::new(&schema, source.columns(), HandleKey::from_bytes([0; 32]).maker());
            let (mut batch, mut table, mut encoded) = (Batch::new(), EncodedRows::new(schema.row()), Vec::new());
            while source.next(&mut batch)? > 0 {
                if pilot.is_none() {
                    table.add(&encoder, &batch, PILOT_ROWS).map_err(Error::cell)?;
                    if table.rows() >= PILOT_ROWS && request.sizes.is_some() {
                        break;
                    }
                }
                for row in 0..batch.rows() {
                    let located = |error| Error::Cell { place: batch.place(row), error };
                    if cohorts.is_some() {
                        encoded.clear();
                        let kept = encoder.encode(&batch, row, &mut encoded).map_err(located)? == Fate::Kept;
                        let count = by_block.get_mut(blocks.of(&encoded).0 as usize).filter(|_| kept);
                        count.into_iter().for_each(|count| *count += 1);
                    }
                    // The number of different halves of handles is that of different ids, near enough; any key will do.
                    if let Subject::Named(handle) = ids.subject(&batch, row).map_err(located)? {
                        subjects.extend(handle.0.first_chunk().map(|half| u64::from_le_bytes(*half)));
                    }
                }
                rows += batch.rows() as u64;
                observer.progress(Progress::Scoring { rows });
                if observer.stopped() {
                    return Err(Error::Interrupted);
                }
            }
            if pilot.is_none() {
                pilot = pilot_on(&*recipe.learner.check().map_err(ConfigError::from)?, &schema.layout(), table.view());
            }
        }
        if rows == 0 {
            return Err(ProposeError::NoRows.into());
        }
        let (count, largest) = distinct(&mut subjects);
        let count = if subjects.is_empty() { rows } else { count };
        let trained_on = |n: u64| (n as f64 * (1.0 - holdout)).round() as u64;
        let (records, subjects) = request.sizes.unwrap_or((trained_on(rows), trained_on(count)));
        let ages = cohorts.map(|cohorts| {
            let named = (0..).zip(&by_block).filter_map(|(block, rows)| Some((cohorts.name(Block(block))?, trained_on(*rows))));
            Ages { cohorts: named.collect(), others: by_block.last().map_or(0, |rows| trained_on(*rows)) }
        });
        Ok(Look { largest, pilot, layout, ages, ..nothing((records, subjects)) })
    }
}

/// How many different numbers there are, and how often the most frequent one is.
fn distinct(numbers: &mut [u64]) -> (u64, u64) {
    numbers.sort_unstable();
    let runs = numbers.chunk_by(|a, b| a == b).map(|run| run.len() as u64);
    runs.fold((0, 0), |(count, largest), run| (count + 1, largest.max(run)))
}
