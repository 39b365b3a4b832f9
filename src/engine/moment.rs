//! Answers as of one moment: what was read, and what went wrong with it, counts only if nothing came into effect meanwhile.

use super::{Engine, Error, ErrorKind};
use crate::workspace::{Snapshot, WorkspaceError};

impl Engine {
    /// Reads as of one moment: again, as long as the workspace moves on meanwhile. Nothing is read while a request is not in effect.
    pub(crate) fn at_one_moment<T>(&self, read: impl Fn(&Snapshot) -> Result<T, Error>) -> Result<(Snapshot, T), Error> {
        loop {
            let snapshot = self.workspace.answering_snapshot()?;
            let found = read(&snapshot);
            match self.workspace.still(&snapshot) {
                Ok(()) => return Ok((snapshot, found?)),
                Err(WorkspaceError::MovedOn) => {}
                Err(e) => return Err(e.into()),
            }
        }
    }

    /// A snapshot in which every accepted request is in effect and every batch in its place: until then slices are on their way to what it says.
    pub(crate) fn settled_snapshot(&self) -> Result<Snapshot, Error> {
        loop {
            let snapshot = self.workspace.snapshot()?;
            if snapshot.history.unfinished().is_empty() && snapshot.history.placing().is_none() {
                return Ok(snapshot);
            }
            // Whoever accepted it brings it into effect before letting the lock go, and if that process is gone, this does.
            self.again(|| Ok(self.open_for_writing()?.done()?))?;
        }
    }

    /// What was done on the ground of a snapshot; if that no longer holds, whatever went wrong is no more than that.
    pub(crate) fn if_still<T>(&self, snapshot: &Snapshot, done: Result<T, Error>) -> Result<T, Error> {
        match done {
            Err(e) if !matches!(e.kind(), ErrorKind::Input | ErrorKind::Interrupted) => {
                self.workspace.still(snapshot)?;
                Err(e)
            }
            Err(e) => Err(e),
            Ok(done) => {
                self.workspace.still(snapshot)?;
                Ok(done)
            }
        }
    }
}
