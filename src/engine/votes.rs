//! Which shards have a vote: for whoever must not leave none of them.

use super::{Engine, Error};
use crate::{train::ShardPlan, workspace::Snapshot};

/// The vote of what is in service, as of one entry of the ledger.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Votes {
    /// The ledger's last entry, of which this is as of.
    pub entry: u64,
    /// Shards that have a state to answer with.
    pub voting: usize,
    /// Shards that have records, and so a vote once they are whole.
    pub shards: usize,
    /// The most shards that one subject's records may be in: one of each cohort.
    pub of_subject: usize,
    /// Row-passes of training one of these shards, on average.
    pub row_passes: u64,
    /// Whether a deletion can take a shard's vote away until that is trained again: not where rows are taken out of states.
    pub may_lose: bool,
}

impl Engine {
    /// Counts the votes; reads no checkpoint and no slice.
    ///
    /// # Errors
    /// Nothing is in service, an accepted deletion is not yet in effect, or the workspace is damaged.
    pub fn votes(&self) -> Result<Votes, Error> {
        Ok(self.at_one_moment(|snapshot| self.votes_of(snapshot))?.1)
    }

    fn votes_of(&self, snapshot: &Snapshot) -> Result<Votes, Error> {
        let model = self.workspace.serving_model(snapshot)?;
        let shards = model.shards.grid().shards().map(|shard| model.outlook(shard, false));
        let plans = shards.collect::<Result<Vec<ShardPlan>, _>>()?;
        let row_passes: u64 = plans.iter().map(|plan| plan.row_passes(&model.recipe)).sum();
        let with_rows = plans.iter().filter(|plan| plan.rows.iter().any(|rows| *rows > 0)).count();
        Ok(Votes {
            entry: snapshot.history.head.sequence,
            voting: plans.iter().filter(|plan| plan.serving().next().is_some()).count(),
            shards: with_rows,
            of_subject: model.shards.grid().blocks as usize,
            row_passes: row_passes / with_rows.max(1) as u64,
            may_lose: !model.learner.abilities().downdate,
        })
    }
}
