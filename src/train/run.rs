//! Builds what is missing.

use rayon::prelude::*;

use super::{Constituent, Model, ShardPlan, ThreadShare, TrainError, Watch, advance, lineages, overtaken::Watchful};
use crate::{
    checkpoint::CheckpointError,
    digest::Digest,
    fs::{Ahead, Durability, Stopwatch},
    ids::{Cell, Part, ShardId, SliceId},
    learn::StepError,
};

/// What a run did to one shard.
#[derive(Clone, Debug, PartialEq)]
pub struct ShardReport {
    /// The shard.
    pub shard: ShardId,
    /// The deepest step it started from; 0 is from nothing.
    pub from_step: u32,
    /// Steps trained.
    pub steps: u32,
    /// Row-passes trained, whether their result was still wanted or not.
    pub row_passes: u64,
    /// Bytes of checkpoints published.
    pub bytes: u64,
    /// Why it is not complete, if it isn't.
    pub stop: Option<Stop>,
}

/// Why a shard is not complete.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Stop {
    /// A step diverged, as the message says; the shard serves its prefix.
    Diverged(String),
    /// Somebody asked to stop.
    Interrupted,
    /// A change of its slices is in the ledger and not done yet: until it is, nothing that is trained would stay.
    Overtaken,
}

/// What a run did.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Report {
    /// Shards that lacked something, in order.
    pub shards: Vec<ShardReport>,
    /// Wall time.
    pub seconds: f64,
}

impl Report {
    /// Whether somebody asked to stop.
    pub fn interrupted(&self) -> bool {
        self.shards.iter().any(|s| s.stop == Some(Stop::Interrupted))
    }

    /// Whether a change of some shard's slices has to be done before the shard can be trained.
    pub fn overtaken(&self) -> bool {
        self.shards.iter().any(|s| s.stop == Some(Stop::Overtaken))
    }

    /// The shards that diverged.
    pub fn diverged(&self) -> impl Iterator<Item = (ShardId, &str)> {
        self.shards.iter().filter_map(|s| match &s.stop {
            Some(Stop::Diverged(what)) => Some((s.shard, what.as_str())),
            _ => None,
        })
    }

    /// Adds what a later run did.
    pub fn merge(&mut self, later: Report) {
        self.seconds += later.seconds;
        for shard in later.shards {
            match self.shards.iter_mut().find(|s| s.shard == shard.shard) {
                None => self.shards.push(shard),
                Some(before) => {
                    before.from_step = before.from_step.min(shard.from_step);
                    before.steps += shard.steps;
                    before.row_passes += shard.row_passes;
                    before.bytes += shard.bytes;
                    before.stop = shard.stop;
                }
            }
        }
        self.shards.sort_by_key(|s| s.shard);
    }

    /// Row-passes of all shards.
    pub fn row_passes(&self) -> u64 {
        self.shards.iter().map(|s| s.row_passes).sum()
    }
}

/// Builds what is missing, in parallel on the threads of the caller's pool, each from the nearest step below. Returns when nothing is missing, or when
/// what is missing can't be built.
///
/// # Errors
/// A slice is damaged or the disk refuses; what was published stays.
pub fn train(model: &Model, mut plans: Vec<ShardPlan>, share: &ThreadShare, watch: &dyn Watch) -> Result<Report, TrainError> {
    let clock = Stopwatch::start();
    // A forced kernel that this processor lacks must not be passed over in silence.
    crate::num::Isa::from_env_checked()?;
    plans.retain(|plan| !plan.is_complete());
    if plans.is_empty() {
        return Ok(Report { shards: Vec::new(), seconds: clock.seconds() });
    }
    model.learner.ready(model.shards.layout())?;
    // The longest first, so that no long one is left over for the end.
    plans.sort_by_key(|p| std::cmp::Reverse(p.missing_row_passes(&model.recipe)));
    let ahead = model.checkpoints.sync_ahead();
    let reports = std::thread::scope(|scope| {
        let sender = ahead.start(scope);
        let work = plans.par_iter().with_max_len(1).map(|plan| build(model, plan, share, watch, &sender));
        let reports = work.collect::<Vec<Result<ShardReport, TrainError>>>();
        // Nothing more comes, so the other thread ends.
        drop(sender);
        reports
    });
    let mut shards = reports.into_iter().collect::<Result<Vec<_>, _>>()?;
    shards.sort_by_key(|s| s.shard);
    Ok(Report { shards, seconds: clock.seconds() })
}

/// Why a run of steps ended.
enum End {
    /// The shard is complete, as far as the plan knew.
    Complete,
    /// The slices changed under the builder, or a checkpoint turned out damaged: plan again.
    Again,
    Stop(Stop),
}

fn build(
    model: &Model,
    plan: &ShardPlan,
    share: &ThreadShare,
    watch: &dyn Watch,
    ahead: &Ahead<'_>,
) -> Result<ShardReport, TrainError> {
    crate::num::isa::check_float_environment()?;
    let worker = share.enter(plan.shard, watch);
    model.checkpoints.make_shard_dir(plan.shard)?;
    let from_step = |plan: &ShardPlan| plan.missing().next().map(|first| plan.start_of(first));
    let mut report =
        ShardReport { shard: plan.shard, from_step: from_step(plan).unwrap_or(0), steps: 0, row_passes: 0, bytes: 0, stop: None };
    let mut plan = model.without_orphans(plan.clone())?;
    loop {
        let end = segments(model, &plan, &worker, watch, ahead, &mut report);
        // Whoever asked for this looks at what there is to be built now.
        if !matches!(end, Ok(End::Complete | End::Stop(_))) && model.outgrown()? {
            return Ok(report);
        }
        match end? {
            End::Complete => {}
            End::Again => {
                plan = model.plan(plan.shard)?;
                // Whoever is to make the slices what the ledger says may be gone, and may need what this thread holds on to.
                if model.awaits_change(&plan)? {
                    report.stop = Some(Stop::Overtaken);
                    return Ok(report);
                }
                plan = model.without_orphans(plan)?;
                if let Some(from) = from_step(&plan) {
                    report.from_step = report.from_step.min(from);
                    continue;
                }
            }
            End::Stop(stop) => report.stop = Some(stop),
        }
        return Ok(report);
    }
}

/// Trains what leads to every missing checkpoint, each from the checkpoint before it.
fn segments(
    model: &Model,
    plan: &ShardPlan,
    crew: &dyn crate::learn::Crew,
    watch: &dyn Watch,
    ahead: &Ahead<'_>,
    report: &mut ShardReport,
) -> Result<End, TrainError> {
    let mut constituent: Option<Constituent> = None;
    // The ledger's entry up to which nothing has changed since the plan was made; a thousand shards need not read the ledger once each.
    let known = model.known.as_ref().filter(|known| known.lineages(&model.root, plan.shard) == plan.lineages);
    let mut seen = known.map(|known| known.sequence);
    for step in plan.to_train() {
        // A run goes on from the step just trained; a new run starts from the checkpoint below.
        let mut current = match constituent.take().filter(|c| c.step() + 1 == step) {
            Some(current) => current,
            None => match resume(model, plan, step - 1)? {
                Some(current) => current,
                None => return Ok(End::Again),
            },
        };
        let watchful = Watchful::new(crew, model, plan, step, seen);
        let crew: &dyn crate::learn::Crew = if model.recipe.learner.is_external() { &watchful } else { crew };
        match advance(model, &mut current, crew)? {
            Ok(row_passes) => report.row_passes += row_passes,
            Err(StepError::Interrupted) if watchful.is_overtaken() => return Ok(End::Again),
            Err(StepError::Interrupted) => return Ok(End::Stop(Stop::Interrupted)),
            Err(error) => return Ok(End::Stop(Stop::Diverged(error.to_string()))),
        }
        report.steps += 1;
        let mut lost = false;
        if plan.keeps(step) {
            let payload = current.state().encode();
            let made = Made { step, lineage: current.lineage(), payload: &payload, after: current.kept() };
            let bytes = match commit(model, plan, &made, &mut seen)? {
                Committed::Published { bytes, digest } => {
                    current.keep(digest);
                    bytes
                }
                Committed::Present => {
                    // Somebody else was faster. Where training again gives other bytes, what follows goes on from theirs.
                    lost = !model.recipe.learner.is_replayed();
                    0
                }
                Committed::Unwanted => return Ok(End::Again),
            };
            report.bytes += bytes;
            if let Some(lineage) = plan.lineage(step) {
                ahead.published(model.checkpoints.path(plan.shard, SliceId(step), lineage));
            }
            watch.built(plan.shard, SliceId(step), bytes);
        }
        constituent = Some(current).filter(|_| !lost);
    }
    Ok(End::Complete)
}

/// The constituent as its checkpoint of `step` left it; `None` when that turns out damaged (it is then removed).
fn resume(model: &Model, plan: &ShardPlan, step: u32) -> Result<Option<Constituent>, TrainError> {
    if step == 0 {
        return Ok(Some(Constituent::initial(model, plan.shard)));
    }
    let Some(lineage) = plan.lineage(step) else { return Ok(None) };
    let decode = |digest: Digest, payload: &[u8]| (digest, model.learner.decode(model.shards.layout(), payload));
    let state = match model.checkpoints.read_as(plan.shard, SliceId(step), lineage, decode) {
        Ok((digest, state)) => (digest, state.map_err(|cause| TrainError::State { shard: plan.shard.0, step, cause })?),
        Err(CheckpointError::Damaged { .. }) => {
            let _lock = model.shards.lock(plan.shard)?;
            model.checkpoints.discard(plan.shard, SliceId(step), lineage)?;
            return Ok(None);
        }
        Err(CheckpointError::Fs(e)) if e.is_not_found() => return Ok(None),
        Err(e) => return Err(e.into()),
    };
    let cells = (1..=step).map(|r| Cell { shard: plan.shard, part: Part::Slice(SliceId(r)) });
    let slices = cells.map(|cell| model.shards.open(cell)).collect::<Result<Vec<_>, _>>()?;
    Ok(Some(Constituent::resumed(model, plan.shard, state, slices)))
}

/// A state that was made, here or elsewhere.
#[derive(Clone, Copy, Debug)]
pub struct Made<'a> {
    /// Its step.
    pub step: u32,
    /// The lineage key of the slices that it was trained on.
    pub lineage: Digest,
    /// The state.
    pub payload: &'a [u8],
    /// The digest of the last checkpoint that it came from, if there is one; only of learners that are not replayed.
    pub after: Option<Digest>,
}

/// What became of a state that was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Committed {
    /// It was put in place.
    Published {
        /// Bytes of the checkpoint.
        bytes: u64,
        /// The digest in its header.
        digest: Digest,
    },
    /// There was one in its place already.
    Present,
    /// The slices moved, or, of a learner that is not replayed, the states beside it did.
    Unwanted,
}

/// Publishes a step if it was trained on the slices that were planned with, and they are still those of the shard; of a learner that is not
/// replayed only behind the very state that it came from, and before no other. `seen` is the ledger's entry up to which the slices are known.
///
/// # Errors
/// The recipe is gone, the ledger is damaged, or the disk refuses.
pub fn commit(model: &Model, plan: &ShardPlan, made: &Made<'_>, seen: &mut Option<u64>) -> Result<Committed, TrainError> {
    let Made { step, payload, .. } = *made;
    let Some(lineage) = plan.lineage(step).filter(|planned| *planned == made.lineage) else { return Ok(Committed::Unwanted) };
    let _lock = model.shards.lock(plan.shard)?;
    // What the slices are, or are to be once a deletion is done that is in the ledger: all of them are looked at, but only once for an
    // entry, or this would take time with the square of the slices.
    let now = match &model.ground {
        Some(ground) => ground.moved(*seen, plan.shard)?.map(|(last, slices)| (Some(last), slices)),
        None => {
            let headers = model.headers(plan.shard, plan.rows.len() as u32)?;
            Some((None, headers.into_iter().map(|(_, content)| content).collect()))
        }
    };
    let now = now.map(|(last, slices)| (last, lineages(&model.root, plan.shard, slices)));
    if let Some((last, now)) = &now {
        if now.get(step as usize) != Some(&lineage) {
            return Ok(Committed::Unwanted);
        }
        *seen = last.filter(|_| *now == plan.lineages);
    }
    if model.checkpoints.glance(plan.shard, SliceId(step), lineage)?.is_some() {
        // Somebody else was faster, and may have made it durable; nothing is put over it.
        return Ok(Committed::Present);
    }
    if !model.continues(plan, made, now.as_ref().map_or(&plan.lineages, |(_, now)| now))? {
        return Ok(Committed::Unwanted);
    }
    // What was once known to be durable may not become less than that.
    let sync = if model.is_durable(plan.shard, step, lineage) { Durability::Now } else { Durability::Later };
    let (bytes, digest) = model.checkpoints.publish(plan.shard, SliceId(step), lineage, payload, sync)?;
    Ok(Committed::Published { bytes, digest })
}
