//! Deletions of one process that wait for the writer lock come into effect together: each slice is written again once.

use std::sync::{
    Arc, Mutex, MutexGuard, PoisonError, TryLockError,
    atomic::{AtomicBool, Ordering},
};

use super::{DeleteRequest, Engine, Error, delete::Asked};
use crate::{
    delete::{Pending, Targets, UnknownIds, accept, effect},
    ledger::{Accepted, Effective},
    workspace::{WorkspaceError, Writing},
};

/// A request that is in effect.
#[derive(Debug)]
pub(super) struct InEffect {
    pub(super) accepted: Accepted,
    pub(super) effective: Effective,
    /// Whether it was accepted before.
    pub(super) repeated: bool,
    /// Whether it was repaired before.
    pub(super) done: bool,
    pub(super) unknown: UnknownIds,
}

/// A request that waits for another thread, and what came of it.
#[derive(Debug)]
struct Ticket {
    request: DeleteRequest,
    outcome: Outcome,
}

/// What came of a request, once it is known.
#[derive(Debug, Default)]
struct Outcome(Mutex<Option<Result<InEffect, Error>>>);

impl Outcome {
    fn tell(&self, outcome: Result<InEffect, Error>) {
        *lock(&self.0) = Some(outcome);
    }

    fn take(&self) -> Option<Result<InEffect, Error>> {
        lock(&self.0).take()
    }

    fn is_known(&self) -> bool {
        lock(&self.0).is_some()
    }
}

/// A request that is brought into effect now: of this thread, or of one that waits.
type Asking<'a> = (&'a DeleteRequest, &'a Outcome);

/// The requests that wait in this process.
#[derive(Debug, Default)]
pub(super) struct Queue {
    waiting: Mutex<Vec<Arc<Ticket>>>,
    /// Whoever has it brings all that wait into effect.
    turn: Mutex<()>,
    /// Whether somebody has the turn and waits for the writer lock.
    first: AtomicBool,
    /// Repairs one after the other: what one of them trains, the next finds done.
    repairs: Mutex<()>,
}

impl Queue {
    fn enter(&self, request: &DeleteRequest) -> Arc<Ticket> {
        let ticket = Arc::new(Ticket { request: request.clone(), outcome: Outcome::default() });
        lock(&self.waiting).push(ticket.clone());
        ticket
    }

    fn leave(&self, ticket: &Arc<Ticket>) {
        lock(&self.waiting).retain(|other| !Arc::ptr_eq(other, ticket));
    }

    fn take(&self) -> Vec<Arc<Ticket>> {
        std::mem::take(&mut *lock(&self.waiting))
    }

    /// The turn to repair.
    pub(super) fn repairs(&self) -> MutexGuard<'_, ()> {
        lock(&self.repairs)
    }
}

/// A thread that panicked has changed nothing half: what it owed is asked for again.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Engine {
    /// How many deletions of this process wait for the writer lock.
    pub fn waiting_deletions(&self) -> usize {
        lock(&self.queue.waiting).len() + usize::from(self.queue.first.load(Ordering::SeqCst))
    }

    /// Brings a request into effect, and those of other threads that wait with it.
    pub(super) fn in_effect(
        &self,
        request: &DeleteRequest,
        effective: impl FnOnce(&Accepted, &Effective, bool),
    ) -> Result<InEffect, Error> {
        let _turn = match self.queue.turn.try_lock() {
            Ok(turn) => turn,
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            Err(TryLockError::WouldBlock) => {
                let ticket = self.queue.enter(request);
                let turn = lock(&self.queue.turn);
                if let Some(outcome) = ticket.outcome.take() {
                    let came = outcome?;
                    effective(&came.accepted, &came.effective, came.repeated);
                    return Ok(came);
                }
                self.queue.leave(&ticket);
                turn
            }
        };
        self.queue.first.store(true, Ordering::SeqCst);
        let writing = self.open_for_writing();
        self.queue.first.store(false, Ordering::SeqCst);
        let (mut writing, mut others, own) = (writing?, self.queue.take(), Outcome::default());
        let asking: Vec<Asking<'_>> =
            std::iter::once((request, &own)).chain(others.iter().map(|other| (&other.request, &other.outcome))).collect();
        if let Err(e) = self.together(&mut writing, &asking) {
            // Those of other threads are tried again, each in its turn.
            others.retain(|other| !other.outcome.is_known());
            lock(&self.queue.waiting).extend(others);
            return Err(e);
        }
        let came = own.take().unwrap_or_else(|| Err(WorkspaceError::MovedOn.into()));
        if let Ok(came) = &came {
            effective(&came.accepted, &came.effective, came.repeated);
        }
        // Also where nothing was changed: the next writer then has nothing to make sure of.
        writing.done()?;
        came
    }

    /// Accepts requests one after the other, then brings them into effect at once, and tells each what came of it.
    fn together(&self, writing: &mut Writing, asking: &[Asking<'_>]) -> Result<(), Error> {
        let mut waits: Vec<(&Outcome, Targets, Pending)> = Vec::new();
        let mut repeats = Vec::new();
        for (request, outcome) in asking {
            // Rows are looked for by what is on the disk, which must be what it is to be.
            if !request.rows.is_empty() {
                self.bring_into_effect(writing, &mut waits)?;
            }
            let pending: Vec<&Pending> = waits.iter().map(|(_, _, pending)| pending).collect();
            match self.work_out(writing.snapshot(), request, &pending) {
                Ok((targets, Asked::New(draft))) => {
                    let draft = if asking.len() > 1 { draft.one_of_several() } else { *draft };
                    waits.push((outcome, targets, accept(writing, draft)?));
                }
                Ok((targets, Asked::Before(came))) => outcome.tell(Ok(in_effect(writing, &targets, *came, true))),
                Ok((_, Asked::Waiting)) => repeats.push((request, outcome)),
                Err(e) => outcome.tell(Err(e)),
            }
        }
        self.bring_into_effect(writing, &mut waits)?;
        for (request, outcome) in repeats {
            outcome.tell(match self.work_out(writing.snapshot(), request, &[]) {
                Ok((targets, Asked::Before(came))) => Ok(in_effect(writing, &targets, *came, true)),
                Ok(_) => Err(WorkspaceError::MovedOn.into()),
                Err(e) => Err(e),
            });
        }
        Ok(())
    }

    fn bring_into_effect(&self, writing: &mut Writing, waits: &mut Vec<(&Outcome, Targets, Pending)>) -> Result<(), Error> {
        if waits.is_empty() {
            return Ok(());
        }
        let (told, pending): (Vec<_>, Vec<_>) =
            waits.drain(..).map(|(outcome, targets, pending)| ((outcome, targets), pending)).unzip();
        // States that rows are taken out of use all threads.
        let came = self.pool.install(|| effect(writing, pending))?;
        for ((outcome, targets), came) in told.into_iter().zip(came) {
            outcome.tell(Ok(in_effect(writing, &targets, came, false)));
        }
        Ok(())
    }
}

fn in_effect(writing: &Writing, targets: &Targets, (accepted, effective): (Accepted, Effective), repeated: bool) -> InEffect {
    // A repeated request may have been stopped before it was repaired.
    let done = !writing.history().unrepaired().iter().any(|r| r.accepted.request == accepted.request);
    let unknown = targets.unknown(&accepted.outcomes);
    InEffect { accepted, effective, repeated, done, unknown }
}
