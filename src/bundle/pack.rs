//! From a model's stores to a bundle.

use super::{
    Kind,
    frame::write,
    head::{LayoutHead, SliceHead, StartHead, StepHead, WorkHead},
};
use crate::{
    digest::Digest,
    ids::{Cell, GenerationId, Part, SliceId},
    train::{Model, ShardPlan, TrainError, lineages},
};

/// Everything that training what a shard lacks takes: its slices as far as they are needed, without the handles of subjects; the
/// nearest checkpoints below what is missing; and keys derived for the streams of these very steps. `None` if the slices are no longer those that
/// were planned with.
///
/// # Errors
/// A slice or checkpoint is damaged, or the disk refuses.
pub fn pack(model: &Model, generation: GenerationId, plan: &ShardPlan) -> Result<Option<Vec<u8>>, TrainError> {
    let to_train = plan.to_train();
    let chain = model.shards.chain();
    let (mut slices, mut contents, mut rows, mut heads) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for step in 1..=to_train.last().copied().unwrap_or(0) {
        let cell = Cell { shard: plan.shard, part: Part::Slice(SliceId(step)) };
        let slice = model.shards.open(cell)?;
        contents.push(slice.header().content);
        rows.push(slice.header().rows);
        let mut bytes = slice.bytes().to_vec();
        // Whom a record is about decides where it lies, and nothing in its training.
        if let Some(subjects) = bytes.get_mut(slice.subjects_at()) {
            subjects.fill(0);
        }
        let batches = chain.batches(cell.part).map(|batches| [batches.first, batches.last]);
        heads.push(SliceHead { bytes: bytes.len() as u64, batches });
        slices.push(bytes);
    }
    if !lineages(&model.root, plan.shard, contents).iter().zip(&plan.lineages).all(|(now, planned)| now == planned) {
        return Ok(None);
    }
    let (mut starts, mut start_heads, mut steps, mut keys) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    let mut before = 0;
    for &step in &to_train {
        let Some(lineage) = plan.lineage(step) else { continue };
        if step > 1 && before + 1 != step {
            let from = plan.lineage(step - 1).unwrap_or(lineage);
            let payload = model.checkpoints.read(plan.shard, SliceId(step - 1), from, <[u8]>::to_vec)?;
            start_heads.push(StartHead { step: step - 1, bytes: payload.len() as u64 });
            starts.push(payload);
        }
        let passes = model.recipe.schedule.passes(rows.get(..step as usize).unwrap_or_default(), chain.first_slices());
        let draws = (0..passes as u32).map(|pass| model.shards.key().pass(plan.shard, SliceId(step), pass).key());
        keys.push(draws.flatten().collect::<Vec<u8>>());
        steps.push(StepHead { step, lineage, keep: plan.keeps(step), passes });
        before = step;
    }
    let head = WorkHead {
        generation,
        shard: plan.shard,
        recipe: model.recipe.clone(),
        layout: LayoutHead::of(model.shards.layout()),
        first: chain.first_slices(),
        initial: (to_train.first() == Some(&1)).then(|| Digest(model.seed(plan.shard))),
        slices: heads,
        starts: start_heads,
        steps,
    };
    let parts: Vec<&[u8]> = [&slices, &starts, &keys].into_iter().flatten().map(Vec::as_slice).collect();
    Ok(Some(write(Kind::Work, &head, &parts)))
}
