//! States of learners that are not to be replayed: each goes on from the one before it that is there, and from no other.

use super::{Made, Model, ShardPlan, TrainError};
use crate::{checkpoint::Found, digest::Digest, ids::SliceId};

impl Model {
    /// The plan of a shard; of a learner that is not replayed without the checkpoints behind one that is missing, which are removed, durably:
    /// the one that will be trained is another state than the one that they go on from.
    ///
    /// # Errors
    /// A slice's header is damaged, or the disk refuses.
    pub(crate) fn without_orphans(&self, plan: ShardPlan) -> Result<ShardPlan, TrainError> {
        if self.recipe.learner.is_replayed() || orphans(&plan).next().is_none() {
            return Ok(plan);
        }
        let _commit = self.shards.lock(plan.shard)?;
        let plan = self.plan(plan.shard)?;
        for (step, lineage) in orphans(&plan) {
            self.checkpoints.discard(plan.shard, SliceId(step), lineage)?;
        }
        self.checkpoints.sync_names(plan.shard)?;
        self.plan(plan.shard)
    }

    /// Whether a state that is about to be published goes on from the checkpoint before it that is on the disk, and no checkpoint is there that goes on
    /// from another one in its place. A lineage key tells neither of a learner that is not replayed: since the state was begun, the one before it
    /// may have been removed and made again, to other bytes under the same name. Of one that is replayed nothing is looked at. `lineages` are those
    /// that the slices ask for now. The caller holds the shard's commit lock.
    ///
    /// # Errors
    /// The disk refuses.
    pub(super) fn continues(&self, plan: &ShardPlan, made: &Made<'_>, lineages: &[Digest]) -> Result<bool, TrainError> {
        if self.recipe.learner.is_replayed() {
            return Ok(true);
        }
        let before = match (plan.kept_before(made.step), made.after) {
            (0, None) => true,
            (step, Some(after)) => match plan.lineage(step).filter(|_| step > 0) {
                Some(lineage) => self.checkpoints.digest(plan.shard, SliceId(step), lineage)? == Some(after),
                None => false,
            },
            (_, None) => false,
        };
        // A batch brought other steps, of which the plan knows nothing.
        if !before || lineages.len() != plan.lineages.len() {
            return Ok(false);
        }
        let found = self.checkpoints.list(plan.shard)?;
        let clean = |found: &Found| plan.keeps(found.step.0) && lineages.get(found.step.0 as usize) == Some(&found.lineage);
        for found in found.iter().filter(|found| found.step.0 > made.step && clean(found)) {
            if self.checkpoints.glance(plan.shard, found.step, found.lineage)?.is_some() {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

/// The checkpoints that are there behind one that is missing.
fn orphans(plan: &ShardPlan) -> impl Iterator<Item = (u32, Digest)> {
    let last = plan.rows.len() as u32;
    let first = plan.missing().next().unwrap_or(last);
    let behind = (first + 1..=last).filter(|step| plan.has(*step));
    behind.filter_map(|step| Some((step, plan.lineage(step)?)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::ShardId;

    #[test]
    fn what_goes_on_from_a_missing_state_is_an_orphan() {
        let plan = |present: [Option<u64>; 4], kept: [bool; 4]| {
            let lineages = (0..5_u8).map(|n| Digest::of(&[n])).collect();
            let shard = ShardId(0);
            let plan = ShardPlan {
                shard,
                rows: vec![1; 4],
                lineages,
                present: present.into(),
                kept: kept.into(),
                first: 4,
                standby: None,
                past: 4,
            };
            orphans(&plan).map(|(step, _)| step).collect::<Vec<_>>()
        };
        let (here, gone, all) = (Some(1), None, [true; 4]);
        assert!(plan([here, here, here, here], all).is_empty());
        assert!(plan([here, here, gone, gone], all).is_empty());
        assert_eq!(plan([here, gone, here, here], all), [3, 4]);
        assert_eq!(plan([gone, here, gone, here], all), [2, 4]);
        // One that is not to be there is not missing.
        assert!(plan([here, gone, here, here], [true, false, true, true]).is_empty());
    }
}
