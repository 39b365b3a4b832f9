//! Deletions begin through here, in the order in which they came: at once, but for a moment where one could take the last vote
//! (`desk::begins`).

use std::{
    collections::VecDeque,
    sync::{Condvar, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use sisa::engine::{Engine, Error, ErrorKind, Stopwatch, Votes};

use super::{
    desk::{self, Standing},
    keeper::Keeper,
};

/// Between two looks at the votes.
const LOOK: Duration = Duration::from_millis(2);
/// Seconds between them where none can be lost.
const SELDOM: f64 = 1.0;

/// Where they wait.
#[derive(Debug, Default)]
pub(super) struct Door {
    inside: Mutex<Inside>,
    bell: Condvar,
}

#[derive(Debug, Default)]
struct Inside {
    /// Those that wait, by number, the first first.
    line: VecDeque<u64>,
    next: u64,
    /// Votes that those may take which have begun and are not in effect.
    going: usize,
    votes: Option<(Votes, Stopwatch)>,
}

/// A place in the line; given up on the way out, whatever happens.
struct Place<'a> {
    door: &'a Door,
    own: u64,
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.door.lock().line.retain(|other| *other != self.own);
        self.door.bell.notify_all();
    }
}

/// A deletion that has begun; let go when it is in effect.
#[derive(Debug)]
pub(super) struct Begun<'a> {
    door: &'a Door,
    takes: usize,
}

impl Drop for Begun<'_> {
    fn drop(&mut self) {
        let mut inside = self.door.lock();
        inside.going -= self.takes;
        drop(inside);
        self.door.bell.notify_all();
    }
}

impl Door {
    fn lock(&self) -> MutexGuard<'_, Inside> {
        self.inside.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether none is on its way into effect.
    pub(super) fn is_idle(&self) -> bool {
        self.lock().going == 0
    }

    /// Waits until a deletion of so many ids may begin; `desk::PATIENCE` at most.
    pub(super) fn enter(&self, keeper: &Keeper, engine: &Engine, takes: usize) -> Begun<'_> {
        let clock = Stopwatch::start();
        let mut inside = self.lock();
        let own = inside.next;
        inside.next += 1;
        inside.line.push_back(own);
        drop(inside);
        let place = Place { door: self, own };
        let mut inside = self.lock();
        loop {
            let first = inside.line.front() == Some(&own);
            if first && inside.may_begin(engine, keeper, takes, clock.seconds()) {
                inside.going += takes;
                drop(inside);
                drop(place);
                return Begun { door: self, takes };
            }
            let pause = if first { LOOK } else { Duration::from_secs_f64(desk::PATIENCE) };
            (inside, _) = self.bell.wait_timeout(inside, pause).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

impl Inside {
    fn may_begin(&mut self, engine: &Engine, keeper: &Keeper, takes: usize, waited: f64) -> bool {
        let votes = match (self.votes_now(engine), &self.votes) {
            (Ok(votes), _) => votes,
            // One is on its way into effect: of this process, it is among those that go.
            (Err(e), Some((votes, _))) if e.kind() == ErrorKind::Retry => *votes,
            (Err(e), None) if e.kind() == ErrorKind::Retry => return waited >= desk::PATIENCE,
            // The deletion itself tells what is wrong.
            (Err(_), _) => return true,
        };
        if !votes.may_lose {
            return true;
        }
        let back_in = keeper.outlook().seconds_a_row_pass * votes.row_passes as f64;
        let Votes { voting, shards, of_subject, .. } = votes;
        let (going, takes) = (self.going.saturating_mul(of_subject), takes.saturating_mul(of_subject));
        let behind = self.line.len().saturating_sub(1);
        let begins = desk::begins(&Standing { voting, shards, going, takes, back_in, waited, behind });
        if !begins {
            keeper.wake(false);
        }
        begins
    }

    /// What is in service changes by an entry of the ledger, and not otherwise. Where no vote can be lost it is looked at now and then: another
    /// learner may have taken over.
    fn votes_now(&mut self, engine: &Engine) -> Result<Votes, Error> {
        if let Some((votes, looked)) = &self.votes
            && ((!votes.may_lose && looked.seconds() < SELDOM) || !engine.moved_since(votes.entry)?)
        {
            return Ok(*votes);
        }
        let votes = engine.votes()?;
        self.votes = Some((votes, Stopwatch::start()));
        Ok(votes)
    }
}
