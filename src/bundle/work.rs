//! A shard's work, read from bytes that nobody vouches for.

use std::path::Path;

use super::{
    BundleError, Kind,
    frame::{Parts, read},
    head::{LayoutHead, SliceHead, StartHead, StepHead, WorkHead},
};
use crate::{
    checkpoint::CHECKPOINT_FORMAT,
    digest::{Digest, Draw},
    fs::{AlignedBuf, Bytes, memory_limit},
    ids::{Cell, GenerationId, Part, ShardId, SliceId},
    learn::{Layout, Learner, Task},
    num::NUMERICS_VERSION,
    order::Batches,
    schema::RowLayout,
    shard::{Slice, SliceError},
    train::{Recipe, Schedule, ScheduleKind},
};

/// What is to be trained of a shard. Everything in it was checked, so that training it can fail by its numbers alone.
#[derive(Debug)]
pub struct Work {
    /// The generation.
    pub generation: GenerationId,
    /// The shard.
    pub shard: ShardId,
    /// The rules.
    pub recipe: Recipe,
    pub(super) learner: Box<dyn Learner>,
    pub(super) layout: Layout,
    /// Steps of the first batch.
    pub(super) first: u32,
    pub(super) initial: Option<[u8; 32]>,
    pub(super) slices: Vec<Slice>,
    pub(super) starts: Vec<(u32, Vec<u8>)>,
    /// The steps to train, ascending.
    pub steps: Vec<WorkStep>,
}

/// A step to be trained.
#[derive(Debug)]
pub struct WorkStep {
    /// Which.
    pub step: u32,
    /// The lineage key of its checkpoint.
    pub lineage: Digest,
    /// Whether it leaves one.
    pub keep: bool,
    /// How many row-passes it takes.
    pub row_passes: u64,
    pub(super) draws: Vec<Draw>,
}

/// More shards or slices than this there are never.
const MOST: u32 = 9_999;
/// Bytes of the bookkeeping of a visit while a step's order is found.
const VISIT_BYTES: u64 = 64;

fn wrong(what: impl std::fmt::Display) -> BundleError {
    BundleError::damaged(64, format!("its head: {what}"))
}

fn same_version(what: &'static str, theirs: u32, ours: u32) -> Result<(), BundleError> {
    if theirs == ours { Ok(()) } else { Err(BundleError::OtherVersion { what, theirs, ours }) }
}

/// Whether the schedule is one that a recipe can have.
fn check_schedule(schedule: Schedule, batches: bool) -> Result<(), BundleError> {
    let Schedule { kind, epochs } = schedule;
    let fits = !batches || !matches!(kind, ScheduleKind::Cumulative | ScheduleKind::Front);
    if fits && (1..=Schedule::EPOCHS_MAX).contains(&epochs) { Ok(()) } else { Err(wrong("there is no such schedule")) }
}

fn check_memory(needed: u64) -> Result<(), BundleError> {
    match memory_limit() {
        Some(limit) if needed > limit => Err(BundleError::TooLittleMemory { needed, limit }),
        _ => Ok(()),
    }
}

impl Work {
    /// From bytes.
    ///
    /// # Errors
    /// They are something else, of another version, or damaged.
    pub fn decode(bytes: &[u8]) -> Result<Work, BundleError> {
        let (head, mut parts) = read::<WorkHead>(bytes, Kind::Work)?;
        let WorkHead { generation, shard, recipe, layout, first, initial, slices, starts, steps } = head;
        same_version("checkpoint format", recipe.checkpoint_format, CHECKPOINT_FORMAT)?;
        same_version("numerics", recipe.numerics, NUMERICS_VERSION)?;
        if shard.0 > MOST || first == 0 || first > MOST || slices.is_empty() || slices.len() > MOST as usize {
            return Err(wrong("there is no such shard or slice"));
        }
        let layout = LayoutHead::layout(&layout)?;
        check_schedule(recipe.schedule, slices.len() > first as usize)?;
        let learner = recipe.learner.check()?;
        learner.accepts(&layout)?;
        check_memory(learner.working_bytes(&layout))?;
        let slices = read_slices(&mut parts, shard, first, &layout, &slices)?;
        let starts = read_starts(&mut parts, &starts)?;
        let rows: Vec<u64> = slices.iter().map(|slice| slice.header().rows).collect();
        let steps = read_steps(&mut parts, recipe.schedule, first, &rows, &steps)?;
        parts.end()?;
        let mut work = Work {
            generation,
            shard,
            recipe,
            learner,
            layout,
            first,
            initial: initial.map(|seed| seed.0),
            slices,
            starts: Vec::new(),
            steps,
        };
        work.check_starts(&starts)?;
        work.starts = starts;
        Ok(work)
    }

    /// Every run of steps has what it starts from, and nothing else came.
    fn check_starts(&self, starts: &[(u32, Vec<u8>)]) -> Result<(), BundleError> {
        let (mut before, mut from_nothing, mut wanted) = (None, false, Vec::new());
        for step in self.steps.iter().map(|step| step.step) {
            if step == 1 {
                from_nothing = true;
            } else if before != Some(step - 1) {
                wanted.push(step - 1);
            }
            before = Some(step);
        }
        let found: Vec<u32> = starts.iter().map(|start| start.0).collect();
        if found != wanted || from_nothing != self.initial.is_some() {
            return Err(wrong("the states to start from are not those of its steps"));
        }
        Ok(())
    }
}

fn read_slices(
    parts: &mut Parts<'_>,
    shard: ShardId,
    first: u32,
    layout: &Layout,
    heads: &[SliceHead],
) -> Result<Vec<Slice>, BundleError> {
    let row = RowLayout {
        numbers: layout.numbers as u32,
        bytes: layout.byte_scales.len() as u32,
        categories: layout.categories.len() as u32,
        class_label: matches!(layout.task, Task::Classes(_)),
    };
    let mut slices = Vec::new();
    for (step, SliceHead { bytes, batches }) in (1_u32..).zip(heads) {
        if batches.is_some() != (step > first) {
            return Err(wrong("a slice of later batches is not behind those of the first"));
        }
        let at = parts.at();
        let bytes = Bytes::owned(AlignedBuf::copy_of(parts.next(*bytes)?));
        let cell = Cell { shard, part: Part::Slice(SliceId(step)) };
        let batches = batches.map(|[first, last]| Batches { first, last });
        let slice = Slice::without_key(bytes, Path::new("slice"), (cell, batches), layout, row);
        slices.push(slice.map_err(|error| match error {
            SliceError::Damaged { offset, what, .. } => {
                BundleError::damaged(at + offset as usize, format!("slice {step}: {what}"))
            }
            SliceError::Fs(error) => BundleError::damaged(at, error.to_string()),
        })?);
    }
    Ok(slices)
}

fn read_starts(parts: &mut Parts<'_>, heads: &[StartHead]) -> Result<Vec<(u32, Vec<u8>)>, BundleError> {
    heads.iter().map(|start| Ok((start.step, parts.next(start.bytes)?.to_vec()))).collect()
}

fn read_steps(
    parts: &mut Parts<'_>,
    schedule: Schedule,
    first: u32,
    rows: &[u64],
    heads: &[StepHead],
) -> Result<Vec<WorkStep>, BundleError> {
    if heads.is_empty() || !heads.is_sorted_by(|a, b| a.step < b.step) {
        return Err(wrong("the steps to train do not ascend"));
    }
    let mut steps = Vec::new();
    for StepHead { step, lineage, keep, passes } in heads {
        let upto = rows.get(..*step as usize).filter(|_| *step > 0).ok_or_else(|| wrong("a step has no slice"))?;
        if *passes != schedule.passes(upto, first) {
            return Err(wrong("the passes of a step are not those of its schedule"));
        }
        let keys = parts.next(passes.saturating_mul(16))?;
        let draws = keys.as_chunks::<16>().0.iter().map(|key| Draw::from_key(*key)).collect();
        let row_passes = schedule.row_passes(upto, first);
        check_memory(row_passes.saturating_mul(VISIT_BYTES))?;
        steps.push(WorkStep { step: *step, lineage: *lineage, keep: *keep, row_passes, draws });
    }
    Ok(steps)
}
