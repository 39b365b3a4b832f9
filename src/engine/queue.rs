//! Deletions of one process that wait for the writer lock come into effect together: each slice is written again once.

use std::{
    fmt,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, TryLockError,
        atomic::{AtomicBool, Ordering},
    },
};

use super::{DeleteReport, DeleteRequest, Engine, Error, RepairReport, delete::Asked};
use crate::{
    delete::{Drafts, Targets, UnknownIds, accept, effect, prepare},
    learn::rest,
    ledger::{Accepted, Effective, RequestRecord},
    workspace::{WorkspaceError, Writing},
};

/// A request that is in effect.
#[derive(Debug)]
pub(super) struct InEffect {
    accepted: Accepted,
    accepted_at: String,
    effective: Effective,
    effective_at: String,
    /// Whether it was accepted before.
    repeated: bool,
    /// Whether it was repaired before.
    pub(super) done: bool,
    unknown: UnknownIds,
    undated: Option<u64>,
}

impl InEffect {
    /// What became of its ids.
    pub(super) fn outcomes(&self) -> &[crate::ledger::Outcome] {
        &self.accepted.outcomes
    }

    /// Tells that it is in effect.
    pub(super) fn tell(&self, told: impl FnOnce(&Accepted, &Effective, bool)) {
        told(&self.accepted, &self.effective, self.repeated);
    }

    /// What a caller is told.
    pub(super) fn report(self, repair: Option<RepairReport>) -> DeleteReport {
        let InEffect { accepted, accepted_at, effective, effective_at, repeated, done, unknown, undated } = self;
        DeleteReport { accepted, accepted_at, effective, effective_at, repeated, done, repair, unknown, undated }
    }
}

/// Hears of a request as soon as it is in the ledger, and since when, on the thread that put it there.
pub(super) type Heard = Arc<dyn Fn(&Accepted, &str) + Send + Sync>;

/// A request that waits for another thread, and what came of it.
struct Ticket {
    request: DeleteRequest,
    heard: Heard,
    outcome: Outcome,
}

impl fmt::Debug for Ticket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ticket").field("request", &self.request.request_id).finish_non_exhaustive()
    }
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
type Asking<'a> = (&'a DeleteRequest, &'a Heard, &'a Outcome);

/// A request that is worked out: whom to tell, and what it is about.
type Waits<'a> = (&'a Outcome, &'a Heard, Targets);

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
    fn enter(&self, request: &DeleteRequest, heard: Heard) -> Arc<Ticket> {
        let ticket = Arc::new(Ticket { request: request.clone(), heard, outcome: Outcome::default() });
        lock(&self.waiting).push(ticket.clone());
        ticket
    }

    fn leave(&self, ticket: &Arc<Ticket>) {
        lock(&self.waiting).retain(|other| !Arc::ptr_eq(other, ticket));
    }

    fn take(&self) -> Vec<Arc<Ticket>> {
        std::mem::take(&mut *lock(&self.waiting))
    }

    /// The turn to bring requests into effect.
    pub(super) fn turn(&self) -> MutexGuard<'_, ()> {
        lock(&self.turn)
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
        heard: &Heard,
        effective: impl FnOnce(&Accepted, &Effective, bool),
    ) -> Result<InEffect, Error> {
        let _turn = match self.queue.turn.try_lock() {
            Ok(turn) => turn,
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            Err(TryLockError::WouldBlock) => {
                let ticket = self.queue.enter(request, heard.clone());
                let turn = lock(&self.queue.turn);
                if let Some(outcome) = ticket.outcome.take() {
                    let came = outcome?;
                    came.tell(effective);
                    return Ok(came);
                }
                self.queue.leave(&ticket);
                turn
            }
        };
        let came = self.again(|| self.in_effect_with_others(request, heard))?;
        came.tell(effective);
        Ok(came)
    }

    /// Has the turn: takes the writer lock, and brings into effect what waits by then.
    fn in_effect_with_others(&self, request: &DeleteRequest, heard: &Heard) -> Result<InEffect, Error> {
        self.queue.first.store(true, Ordering::SeqCst);
        let writing = self.open_for_writing();
        self.queue.first.store(false, Ordering::SeqCst);
        let (mut writing, mut others, own) = (writing?, self.queue.take(), Outcome::default());
        let of_others = others.iter().map(|other| (&other.request, &other.heard, &other.outcome));
        let asking: Vec<Asking<'_>> = std::iter::once((request, heard, &own)).chain(of_others).collect();
        if let Err(e) = self.together(&mut writing, &asking) {
            // Those of other threads are tried again, each in its turn.
            others.retain(|other| !other.outcome.is_known());
            lock(&self.queue.waiting).extend(others);
            return Err(e);
        }
        let came = own.take().unwrap_or_else(|| Err(WorkspaceError::MovedOn.into()));
        // Also where nothing was changed: the next writer then has nothing to make sure of.
        writing.done()?;
        came
    }

    /// Works requests out one after the other, accepts all of them, brings them into effect at once, and tells each what came of it.
    fn together(&self, writing: &mut Writing, asking: &[Asking<'_>]) -> Result<(), Error> {
        let (mut waits, mut drafts) = (Vec::new(), Drafts::default());
        let mut repeats = Vec::new();
        for (request, heard, outcome) in asking {
            // Rows and dates are looked for by what is on the disk, which must be what it is to be.
            if !request.rows.is_empty() || request.older_than.is_some() {
                self.bring_into_effect(writing, &mut waits, &mut drafts)?;
            }
            match self.work_out(writing.snapshot(), request, &drafts) {
                Ok((targets, Asked::New(draft))) => {
                    drafts.add(*draft);
                    waits.push((*outcome, *heard, targets));
                }
                Ok((targets, Asked::Before(came))) => {
                    outcome.tell(before(writing, targets.unknown(&came.accepted.outcomes), *came))
                }
                Ok((_, Asked::Waiting)) => repeats.push((request, outcome)),
                Err(e) => outcome.tell(Err(e)),
            }
        }
        self.bring_into_effect(writing, &mut waits, &mut drafts)?;
        for (request, outcome) in repeats {
            outcome.tell(match self.work_out(writing.snapshot(), request, &Drafts::default()) {
                Ok((targets, Asked::Before(came))) => before(writing, targets.unknown(&came.accepted.outcomes), *came),
                Ok(_) => Err(WorkspaceError::MovedOn.into()),
                Err(e) => Err(e),
            });
        }
        Ok(())
    }

    /// Writes what requests will put in place, accepts them, and puts it there.
    fn bring_into_effect(&self, writing: &mut Writing, waits: &mut Vec<Waits<'_>>, drafts: &mut Drafts) -> Result<(), Error> {
        if waits.is_empty() {
            return Ok(());
        }
        let (waits, drafts) = (std::mem::take(waits), std::mem::take(drafts));
        // States that rows are taken out of use all threads.
        let came = self.threads.writing()?.install(|| -> Result<_, Error> {
            let drafts = prepare(writing.workspace(), writing.history(), drafts)?;
            let pending = accept(writing, drafts)?;
            for (accepted, (_, heard, _)) in pending.accepted().iter().zip(&waits) {
                if let Some(record) = writing.history().open_request(&accepted.request) {
                    heard(accepted, &record.accepted_at);
                }
            }
            Ok(effect(writing, pending)?)
        })?;
        // Before anybody is told: what a worker of this process that answers has in memory goes with it.
        rest(self.workspace.root());
        for ((outcome, _, targets), came) in waits.into_iter().zip(came) {
            let came = in_effect(writing, targets.unknown(&came.0.outcomes), came);
            outcome.tell(Ok(InEffect { undated: targets.undated(), ..came }));
        }
        Ok(())
    }
}

/// A request that came into effect just now, or is not repaired yet.
pub(super) fn in_effect(writing: &Writing, unknown: UnknownIds, (accepted, effective): (Accepted, Effective)) -> InEffect {
    let record = writing.history().open_request(&accepted.request);
    let accepted_at = record.map(|r| r.accepted_at.clone()).unwrap_or_default();
    let effective_at = record.and_then(|r| r.effective.as_ref()).map(|e| e.0.clone()).unwrap_or_default();
    InEffect { accepted, accepted_at, effective, effective_at, repeated: false, done: record.is_none(), unknown, undated: None }
}

/// A request that was accepted before, as the ledger tells it.
pub(super) fn before(writing: &Writing, unknown: UnknownIds, record: RequestRecord) -> Result<InEffect, Error> {
    let RequestRecord { accepted, accepted_at, effective, .. } = record;
    let Some((effective_at, effective)) = effective else {
        return Err(WorkspaceError::NotEffective { request: accepted.request }.into());
    };
    // It may have been stopped before it was repaired.
    let done = writing.history().open_request(&accepted.request).is_none();
    Ok(InEffect { accepted, accepted_at, effective, effective_at, repeated: true, done, unknown, undated: None })
}
