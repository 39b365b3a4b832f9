//! `sisa repair`: what is damaged or missing is made again, and waiting requests are closed.

use super::{
    Engine, Error, ErrorKind, Observer,
    build::{Built, Goal},
};
use crate::{delete::Repair, ids::ShardId, ledger::RecipeFrozen, source::Input, train::Report, workspace::WorkspaceError};

/// What a repair did.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct RepairReport {
    /// What was trained.
    pub report: Report,
    /// What the ledger says of it; `None` when there was nothing to say, or a step could not be trained.
    pub repaired: Option<Repair>,
    /// Whether nothing is missing now.
    pub complete: bool,
    /// Checkpoints that were found damaged and built again.
    pub rebuilt: usize,
}

/// Requests that are not at their end.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Waiting {
    /// The ledger's last entry, of which this is as of.
    pub entry: u64,
    /// How many are accepted and not in effect.
    pub unfinished: usize,
    /// The names of those that are in effect and not repaired, with the time of their acceptance, in that order.
    pub unrepaired: Vec<(String, String)>,
}

impl Engine {
    /// Trains what the generation and recipe in service lack, and closes the requests that waited for it. If another model takes their place
    /// meanwhile, it is that one. With `all`, every checkpoint is read and checked first, also those that are known to be durable.
    pub(crate) fn repair_serving(&self, all: bool, observer: &dyn Observer) -> Result<Option<RepairReport>, Error> {
        loop {
            let snapshot = self.settled_snapshot()?;
            let Some(current) = &snapshot.current else { return Ok(None) };
            let repaired = self.workspace.serving(&snapshot).map_err(Error::from).and_then(|(_, record)| {
                let model = self.workspace.serving_model(&snapshot)?;
                // Where the ledger calls a shard whole there is nothing to look for.
                let shards = if all { model.shards.grid().shards().collect() } else { record.not_whole(&current.recipe) };
                self.bring_to_whole(&model, &Goal { target: current, shards: &shards, all, only: None }, observer)
            });
            match repaired {
                Err(_) if self.workspace.snapshot()?.current != snapshot.current => {}
                repaired => {
                    let Built { report, complete, repaired, rebuilt } = repaired?;
                    return Ok(Some(RepairReport { report, repaired, complete, rebuilt }));
                }
            }
        }
    }

    /// Trains what deletions left missing of what is in service, and closes the requests that wait for it; brings into effect before
    /// that what a process that is gone left accepted. `None` where nothing is in service. Unlike [`Engine::repair`] it reads no more than
    /// what it builds upon.
    ///
    /// # Errors
    /// A slice is damaged, the disk refuses, or another process writes and this engine does not wait.
    pub fn repair_waiting(&self, observer: &dyn Observer) -> Result<Option<RepairReport>, Error> {
        let _turn = self.queue.repairs();
        self.repair_serving(false, observer)
    }

    /// What waits, as the ledger says it now. Reads no checkpoint and no slice.
    ///
    /// # Errors
    /// The ledger is damaged.
    pub fn waiting(&self) -> Result<Waiting, Error> {
        let snapshot = self.workspace.snapshot()?;
        let history = &snapshot.history;
        Ok(Waiting {
            entry: history.head.sequence,
            unfinished: history.unfinished().len(),
            unrepaired: history.unrepaired().iter().map(|r| (r.accepted.request.clone(), r.accepted_at.clone())).collect(),
        })
    }

    /// Whether something came into the ledger after the entry of this number: one look at one name.
    ///
    /// # Errors
    /// The disk refuses.
    pub fn moved_since(&self, entry: u64) -> Result<bool, Error> {
        Ok(self.workspace.ledger().goes_on_after(entry)?)
    }

    /// Brings into effect what a process that is gone left accepted; waits for one that is at it.
    ///
    /// # Errors
    /// The disk refuses, or another process writes and this engine does not wait.
    pub fn finish_accepted(&self) -> Result<(), Error> {
        self.settled_snapshot().map(|_| ())
    }

    /// Removes the damaged checkpoints of models that are not in service, which training goes on with. Returns how many there were.
    fn discard_damaged_elsewhere(&self) -> Result<usize, Error> {
        let snapshot = self.settled_snapshot()?;
        let mut removed = 0;
        for (generation, record) in &snapshot.history.generations {
            for RecipeFrozen { recipe, .. } in &record.recipes {
                if snapshot.current.as_ref().is_some_and(|now| now.generation == *generation && now.recipe == *recipe) {
                    continue;
                }
                let looked = self.workspace.model(*generation, record, recipe).map_err(Error::from).and_then(|model| {
                    let shards: Vec<ShardId> = model.shards.grid().shards().collect();
                    self.plans(&model, &shards, true)
                });
                match self.if_still(&snapshot, looked) {
                    Ok((_, damaged)) => removed += damaged,
                    // Somebody else is at work, and looks for himself.
                    Err(e) if e.kind() == ErrorKind::Retry => return Ok(removed),
                    Err(e) => return Err(e),
                }
            }
        }
        Ok(removed)
    }

    /// Checks every checkpoint in service, removes damaged ones of models that are not, builds the damaged and the missing again, and closes waiting requests. Damaged slices
    /// are first written again `from` their source, or emptied with `drop_slice`.
    ///
    /// # Errors
    /// A slice is damaged, or the disk refuses.
    pub fn repair(&self, from: &Input, drop_slice: bool, observer: &dyn Observer) -> Result<RepairReport, Error> {
        if !from.is_empty() || drop_slice {
            self.again(|| self.mend(from, observer))?;
        }
        self.again(|| {
            let writing = self.open_for_writing()?;
            self.check_generations(writing.history())?;
            self.workspace.serving(writing.snapshot())?;
            Ok(writing.done()?)
        })?;
        let report = self.repair_serving(true, observer)?;
        let report = report.ok_or_else(|| WorkspaceError::NoRecipe { root: self.workspace.root().to_owned() })?;
        if report.report.interrupted() {
            return Err(Error::Interrupted);
        }
        let removed = self.discard_damaged_elsewhere()?;
        if removed > 0 {
            observer.note(&format!(
                "{removed} damaged checkpoints of a model that is not in service yet are removed; training builds them"
            ));
        }
        Ok(report)
    }
}
