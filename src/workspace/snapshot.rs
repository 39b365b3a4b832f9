//! A consistent view of a workspace.

use std::sync::PoisonError;

use super::{Current, Workspace, WorkspaceError};
use crate::{
    ids::GenerationId,
    ledger::{GenerationRecord, History},
    train::Model,
};

/// What the ledger and `CURRENT` said at one moment.
#[derive(Clone, Debug)]
pub struct Snapshot {
    /// What the ledger adds up to.
    pub history: History,
    /// What is in service.
    pub current: Option<Current>,
}

impl Snapshot {
    /// What the ledger adds up to; `file` is what `CURRENT` says, which counts where no entry does.
    pub fn of(history: History, file: Option<Current>) -> Snapshot {
        let current = history.serving.as_ref().map(Current::from).or(file);
        Snapshot { history, current }
    }
}

impl Workspace {
    /// Reads the ledger and `CURRENT`.
    ///
    /// # Errors
    /// Either is damaged, or the disk refuses.
    pub fn snapshot(&self) -> Result<Snapshot, WorkspaceError> {
        let Some(known) = &self.known else { return self.read_snapshot() };
        let known = || known.lock().unwrap_or_else(PoisonError::into_inner);
        let before = known().clone();
        if let Some(mut now) = before {
            match self.follow(&mut now) {
                Ok(false) => return Ok(now),
                Ok(true) => {
                    *known() = Some(now.clone());
                    return Ok(now);
                }
                // Read as if nothing were known, it says what is wrong.
                Err(_) => *known() = None,
            }
        }
        let now = self.read_snapshot()?;
        // What an older ledger does not say, `CURRENT` says, which has to be read each time.
        *known() = Some(now.clone()).filter(|now| now.history.serving.is_some());
        Ok(now)
    }

    fn read_snapshot(&self) -> Result<Snapshot, WorkspaceError> {
        // CURRENT is switched after the entries that it rests on, so read it first.
        loop {
            let current = self.current()?;
            let history = self.ledger().read()?;
            if history.serving.is_some() || self.current()? == current {
                return Ok(Snapshot::of(history, current));
            }
        }
    }

    /// Takes into a snapshot what came into the ledger since; returns whether anything did.
    ///
    /// # Errors
    /// Either is damaged, or the disk refuses.
    pub fn follow(&self, snapshot: &mut Snapshot) -> Result<bool, WorkspaceError> {
        if self.ledger().extend(&mut snapshot.history)? == 0 {
            return Ok(false);
        }
        snapshot.current = snapshot.history.serving.as_ref().map(Current::from).or(self.current()?);
        Ok(true)
    }

    /// As [`Workspace::snapshot`], for a command that answers: refuses while an accepted request is not in effect.
    ///
    /// # Errors
    /// As there, and [`WorkspaceError::NotEffective`].
    pub fn answering_snapshot(&self) -> Result<Snapshot, WorkspaceError> {
        let snapshot = self.snapshot()?;
        match snapshot.history.unfinished().first() {
            Some(request) => Err(WorkspaceError::NotEffective { request: request.accepted.request.clone() }),
            None => Ok(snapshot),
        }
    }

    /// Refuses to look at slices while a batch is on its way to its place.
    ///
    /// # Errors
    /// [`WorkspaceError::NotPlaced`].
    pub fn placed(&self, snapshot: &Snapshot) -> Result<(), WorkspaceError> {
        if snapshot.history.placing().is_some() { Err(WorkspaceError::NotPlaced) } else { Ok(()) }
    }

    /// Whether nothing came into effect since the snapshot was taken.
    ///
    /// # Errors
    /// [`WorkspaceError::MovedOn`], or the disk refuses.
    pub fn still(&self, snapshot: &Snapshot) -> Result<(), WorkspaceError> {
        // What is in service changes by an entry, in a ledger that knows such entries.
        let same = snapshot.history.serving.is_some() || self.current()? == snapshot.current;
        if same && !self.ledger().is_behind(&snapshot.history)? { Ok(()) } else { Err(WorkspaceError::MovedOn) }
    }

    /// The model in service.
    ///
    /// # Errors
    /// Nothing is in service, or its files can't be used.
    pub fn serving_model(&self, snapshot: &Snapshot) -> Result<Model, WorkspaceError> {
        let (current, record) = self.serving(snapshot)?;
        self.model(current.generation, record, &current.recipe)
    }

    /// What is in service, with its generation's record.
    ///
    /// # Errors
    /// Nothing is.
    pub fn serving<'a>(&self, snapshot: &'a Snapshot) -> Result<(&'a Current, &'a GenerationRecord), WorkspaceError> {
        let Some(current) = &snapshot.current else {
            let root = self.root().to_owned();
            return Err(if snapshot.history.generations.is_empty() {
                WorkspaceError::Empty { root }
            } else {
                WorkspaceError::NoRecipe { root }
            });
        };
        Ok((current, generation(&snapshot.history, current.generation)?))
    }
}

/// A generation's record.
pub(super) fn generation(history: &History, id: GenerationId) -> Result<&GenerationRecord, WorkspaceError> {
    history.generations.get(&id).ok_or_else(|| WorkspaceError::Frozen {
        path: "shards/CURRENT".into(),
        offset: 0,
        what: format!("it names generation {id}, which the ledger does not know"),
    })
}
