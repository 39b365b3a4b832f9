//! Deletions of one process that wait for the writer lock come into effect together: each slice is written again once.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

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

/// A request that waits, and what came of it.
#[derive(Debug)]
struct Ticket {
    request: DeleteRequest,
    outcome: Mutex<Option<Result<InEffect, Error>>>,
}

impl Ticket {
    fn tell(&self, outcome: Result<InEffect, Error>) {
        *lock(&self.outcome) = Some(outcome);
    }

    fn outcome(&self) -> Option<Result<InEffect, Error>> {
        lock(&self.outcome).take()
    }
}

/// The requests that wait in this process.
#[derive(Debug, Default)]
pub(super) struct Queue {
    waiting: Mutex<Vec<Arc<Ticket>>>,
    /// Whoever has it brings all that wait into effect.
    turn: Mutex<()>,
    /// Repairs one after the other: what one of them trains, the next finds done.
    repairs: Mutex<()>,
}

impl Queue {
    fn enter(&self, request: &DeleteRequest) -> Arc<Ticket> {
        let ticket = Arc::new(Ticket { request: request.clone(), outcome: Mutex::new(None) });
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
    /// How many deletions of this process wait for their turn.
    pub fn waiting_deletions(&self) -> usize {
        lock(&self.queue.waiting).len()
    }

    /// Brings a request into effect, and those of other threads that wait with it.
    pub(super) fn in_effect(
        &self,
        request: &DeleteRequest,
        effective: impl FnOnce(&Accepted, &Effective, bool),
    ) -> Result<InEffect, Error> {
        let ticket = self.queue.enter(request);
        let _turn = lock(&self.queue.turn);
        if let Some(outcome) = ticket.outcome() {
            let came = outcome?;
            effective(&came.accepted, &came.effective, came.repeated);
            return Ok(came);
        }
        let mut writing = match self.open_for_writing() {
            Ok(writing) => writing,
            Err(e) => {
                self.queue.leave(&ticket);
                return Err(e);
            }
        };
        let mut tickets = self.queue.take();
        if let Err(e) = self.together(&mut writing, &tickets) {
            // Those of other threads are tried again, each in its turn.
            tickets.retain(|other| !Arc::ptr_eq(other, &ticket) && lock(&other.outcome).is_none());
            lock(&self.queue.waiting).extend(tickets);
            return Err(e);
        }
        let came = ticket.outcome().unwrap_or_else(|| Err(WorkspaceError::MovedOn.into()));
        if let Ok(came) = &came {
            effective(&came.accepted, &came.effective, came.repeated);
        }
        // Also where nothing was changed: the next writer then has nothing to make sure of.
        writing.done()?;
        came
    }

    /// Accepts requests one after the other, then brings them into effect at once, and tells each what came of it.
    fn together(&self, writing: &mut Writing, tickets: &[Arc<Ticket>]) -> Result<(), Error> {
        let mut waits: Vec<(&Ticket, Targets, Pending)> = Vec::new();
        let mut repeats = Vec::new();
        for ticket in tickets {
            // Rows are looked for by what is on the disk, which must be what it is to be.
            if !ticket.request.rows.is_empty() {
                self.bring_into_effect(writing, &mut waits)?;
            }
            let pending: Vec<&Pending> = waits.iter().map(|(_, _, pending)| pending).collect();
            match self.work_out(writing.snapshot(), &ticket.request, &pending) {
                Ok((targets, Asked::New(draft))) => {
                    let draft = if tickets.len() > 1 { draft.one_of_several() } else { *draft };
                    waits.push((ticket, targets, accept(writing, draft)?));
                }
                Ok((targets, Asked::Before(came))) => ticket.tell(Ok(in_effect(writing, &targets, *came, true))),
                Ok((_, Asked::Waiting)) => repeats.push(ticket),
                Err(e) => ticket.tell(Err(e)),
            }
        }
        self.bring_into_effect(writing, &mut waits)?;
        for ticket in repeats {
            ticket.tell(match self.work_out(writing.snapshot(), &ticket.request, &[]) {
                Ok((targets, Asked::Before(came))) => Ok(in_effect(writing, &targets, *came, true)),
                Ok(_) => Err(WorkspaceError::MovedOn.into()),
                Err(e) => Err(e),
            });
        }
        Ok(())
    }

    fn bring_into_effect(&self, writing: &mut Writing, waits: &mut Vec<(&Ticket, Targets, Pending)>) -> Result<(), Error> {
        if waits.is_empty() {
            return Ok(());
        }
        let (mut tickets, mut pending) = (Vec::new(), Vec::new());
        for (ticket, targets, accepted) in waits.drain(..) {
            tickets.push((ticket, targets, accepted.accepted().clone()));
            pending.push(accepted);
        }
        // States that rows are taken out of use all threads.
        let came = self.pool.install(|| effect(writing, pending))?;
        for ((ticket, targets, accepted), effective) in tickets.into_iter().zip(came) {
            ticket.tell(Ok(in_effect(writing, &targets, (accepted, effective), false)));
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
