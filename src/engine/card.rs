//! `sisa card`: what is known of the model in service, for who is to decide whether to use it. No id is in it.

use super::{Engine, Error, Evaluation, Observer};
use crate::{
    ids::{Cell, Part},
    learn::LearnerSettings,
    ledger::{ExportRecord, Head, OutcomeKind, Replay},
    schema::Schema,
    workspace::{Current, Snapshot},
};

/// What is known of the model in service.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Card {
    /// What is in service.
    pub serving: Current,
    /// What was declared of the data.
    pub schema: Schema,
    /// The learner and its settings.
    pub learner: LearnerSettings,
    /// Where training again under its recipe gives the same bytes.
    pub replay: Replay,
    /// S and R, the latter without the slices of later batches.
    pub grid: (u32, u32),
    /// Constituents that vote.
    pub members: usize,
    /// Records in slices, and held out.
    pub records: (u64, u64),
    /// How many batches of records there are; the first is the import.
    pub batches: u32,
    /// Its quality on what was held out, if anything was.
    pub quality: Option<Evaluation>,
    /// Deletion requests so far.
    pub deletions: Deletions,
    /// Copies of models that left, oldest first.
    pub exports: Vec<ExportRecord>,
    /// The ledger's last entry.
    pub head: Head,
}

/// Deletion requests, added up.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Deletions {
    /// How many.
    pub requests: u64,
    /// Those that are in effect and not repaired.
    pub unrepaired: u64,
    /// Ids whose records were erased.
    pub ids: u64,
    /// Records that were erased.
    pub records: u64,
    /// When the last one came into effect.
    pub last: Option<String>,
}

impl Engine {
    /// What is known of the model in service, its quality measured on what was held out.
    ///
    /// # Errors
    /// Nothing can answer, or the workspace is damaged.
    pub fn card(&self, observer: &dyn Observer) -> Result<Card, Error> {
        let quality = match self.evaluate_holdout(observer) {
            Ok(quality) => Some(quality),
            Err(Error::NoHoldout) => None,
            Err(error) => return Err(error),
        };
        let members = self.serving()?.interface()?.members.0;
        let (_, card) = self.at_one_moment(|snapshot| self.card_of(snapshot, members))?;
        Ok(Card { quality, ..card })
    }

    fn card_of(&self, snapshot: &Snapshot, members: usize) -> Result<Card, Error> {
        let (current, record) = self.workspace.serving(snapshot)?;
        let model = self.workspace.model(current.generation, record, &current.recipe)?;
        let schema = self.workspace.partition(current.generation, record)?.schema;
        let (mut records, grid) = ((0, 0), model.shards.grid());
        for shard in grid.shards() {
            records.0 += model.outlook(shard, false)?.rows.iter().sum::<u64>();
            let holdout = Cell { shard, part: Part::Holdout };
            records.1 += match record.cells.rows(&holdout) {
                Some(rows) => rows,
                None => model.shards.header(holdout)?.rows,
            };
        }
        Ok(Card {
            serving: current.clone(),
            schema,
            learner: model.recipe.learner.clone(),
            replay: model.recipe.replay(),
            grid: (grid.shards, record.cells.chain().first_slices()),
            members,
            records,
            batches: record.batches,
            quality: None,
            deletions: self.deletions(snapshot)?,
            exports: snapshot.history.exports().to_vec(),
            head: snapshot.history.head,
        })
    }

    fn deletions(&self, snapshot: &Snapshot) -> Result<Deletions, Error> {
        let mut all = Deletions::default();
        for request in self.workspace.ledger().requests()?.0 {
            let erased = request.accepted.outcomes.iter().filter(|o| o.outcome == OutcomeKind::Erased);
            all.requests += 1;
            for outcome in erased {
                all.ids += 1;
                all.records += outcome.in_slices + outcome.held_out;
            }
            all.last = request.effective.map(|(at, _)| at).or(all.last);
        }
        all.unrepaired = snapshot.history.unrepaired().len() as u64;
        Ok(all)
    }
}
