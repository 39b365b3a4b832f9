//! Repairs in the background: looks at what waits, asks the desk, and does it, one repair at a time.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Condvar, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use sisa::engine::{Engine, Error, RekeyDue, RepairPolicy, RepairReport, ServeConfig, Stopwatch, Waiting};

use super::{
    book::Book,
    day::{self, age},
    desk::{self, Ground, Next, Rule, Waits},
    door::{Begun, Door},
    intake::Intake,
    log,
    metrics::{self, Metrics},
    until::Until,
};

/// How often the ledger is looked at for what other processes put there.
const LOOK: Duration = Duration::from_millis(500);
/// After a repair that did not come to its end, the next waits so long: at first, and at most.
const BACKOFF: (f64, f64) = (1.0, 300.0);

/// Who repairs.
#[derive(Debug)]
pub(super) struct Keeper {
    engine: Arc<Engine>,
    metrics: Arc<Metrics>,
    intake: Arc<Intake>,
    book: Arc<Book>,
    settings: Mutex<Settings>,
    door: Door,
    /// A deletion has begun, and its repair is not over or put off: what is in service changes any moment.
    moving: AtomicBool,
    /// Something happened, and whether a repair was asked for.
    asked: Mutex<(bool, bool)>,
    bell: Condvar,
    stopped: AtomicBool,
    outlook: Mutex<Outlook>,
}

/// What it goes by.
#[derive(Clone, Copy, Debug)]
struct Settings {
    rule: Rule,
    /// Seconds from acceptance in which a request is to be repaired, of which nothing else is said.
    deadline: f64,
    /// The share of deleted records from which on a rekey is asked for.
    rekey_after: f64,
}

impl From<&ServeConfig> for Settings {
    fn from(config: &ServeConfig) -> Settings {
        let window = f64::from(config.window_minutes) * 60.0;
        Settings {
            rule: Rule { policy: config.repair, window, min_weight: config.min_weight },
            deadline: f64::from(config.deadline_days) * day::DAY,
            rekey_after: config.rekey_after,
        }
    }
}

/// What is done and what comes next, for whoever looks.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Outlook {
    /// A repair is on.
    pub(super) repairing: bool,
    /// One is on, or begins as soon as the last is over: something waits for it, and nothing puts it off.
    pub(super) due: bool,
    /// When the next one begins, in seconds since 1970, if that is put off.
    pub(super) next: Option<f64>,
    /// Seconds of a row-pass in the last repair; 0 before the first.
    pub(super) seconds_a_row_pass: f64,
}

/// What the keeper remembers from one look to the next.
#[derive(Debug, Default)]
struct Memory {
    waiting: Option<Waiting>,
    /// When each request was first seen to wait.
    seen: BTreeMap<String, f64>,
    last_start: Option<f64>,
    /// Not before this time, and how long to wait after the next failure.
    again: (f64, f64),
    /// Seconds of the last repairs, by row-pass.
    seconds_a_row_pass: f64,
    /// As of which entry, and by which setting, it was looked whether a rekey is due, and whether it was.
    rekey: Option<(u64, f64, bool)>,
}

impl Keeper {
    pub(super) fn new(
        engine: Arc<Engine>,
        intake: Arc<Intake>,
        book: Arc<Book>,
        metrics: Arc<Metrics>,
        config: &ServeConfig,
    ) -> Keeper {
        Keeper {
            engine,
            metrics,
            intake,
            book,
            settings: Mutex::new(config.into()),
            door: Door::default(),
            moving: AtomicBool::new(false),
            asked: Mutex::new((true, false)),
            bell: Condvar::new(),
            stopped: AtomicBool::new(false),
            outlook: Mutex::default(),
        }
    }

    /// Lets a deletion of so many ids begin, after a moment if it could take the last vote.
    pub(super) fn begin(&self, ids: usize) -> Begun<'_> {
        let begun = self.door.enter(self, &self.engine, ids);
        self.moving.store(true, Ordering::SeqCst);
        begun
    }

    /// Whether this process is about to change what is in service, as far as it knows.
    pub(super) fn is_moving(&self) -> bool {
        self.moving.load(Ordering::SeqCst)
    }

    /// Nothing is on its way here but what is put off.
    fn rests(&self) {
        if self.door.is_idle() {
            self.moving.store(false, Ordering::SeqCst);
        }
    }

    /// What is done and what comes next.
    pub(super) fn outlook(&self) -> Outlook {
        *self.outlook.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn tell(&self, change: impl FnOnce(&mut Outlook)) {
        change(&mut self.outlook.lock().unwrap_or_else(PoisonError::into_inner));
    }

    /// Goes on by these settings.
    pub(super) fn configure(&self, config: &ServeConfig) {
        *self.settings.lock().unwrap_or_else(PoisonError::into_inner) = config.into();
        self.wake(false);
    }

    /// Something came into effect, or is on its way; with `repair`, a repair is asked for.
    pub(super) fn wake(&self, repair: bool) {
        let mut asked = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
        *asked = (true, asked.1 || repair);
        self.bell.notify_all();
    }

    pub(super) fn stop(&self) {
        self.stopped.store(true, Ordering::SeqCst);
        self.wake(false);
    }

    fn is_stopped(&self) -> bool {
        self.stopped.load(Ordering::SeqCst)
    }

    /// Repairs until it is stopped; the life of a thread.
    pub(super) fn run(&self) {
        let clock = Stopwatch::start();
        let mut memory = Memory { again: (0.0, BACKOFF.0), ..Memory::default() };
        while !self.is_stopped() {
            let asked = self.sleep();
            if self.is_stopped() {
                return;
            }
            if let Err(e) = self.look(&clock, asked, &mut memory) {
                if self.is_stopped() {
                    return;
                }
                metrics::count(&self.metrics.repairs_failed);
                self.tell(|outlook| outlook.due = false);
                log::alarm(&format!("a repair did not come to its end, and is tried again: {e}"));
                let (_, pause) = memory.again;
                memory.again = (clock.seconds() + pause, (pause * 2.0).min(BACKOFF.1));
                memory.waiting = None;
            }
        }
    }

    /// Waits until it is woken, or for the time between two looks; tells whether a repair was asked for.
    fn sleep(&self) -> bool {
        let asked = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
        let (mut asked, _) =
            self.bell.wait_timeout_while(asked, LOOK, |(woken, _)| !*woken).unwrap_or_else(PoisonError::into_inner);
        std::mem::take(&mut *asked).1
    }

    fn look(&self, clock: &Stopwatch, asked: bool, memory: &mut Memory) -> Result<(), Error> {
        let now = clock.seconds();
        if now < memory.again.0 && !asked {
            return Ok(());
        }
        let moved = match &memory.waiting {
            Some(waiting) => self.engine.moved_since(waiting.entry)?,
            None => true,
        };
        if moved {
            memory.waiting = Some(self.engine.waiting()?);
        }
        let Some(waiting) = &memory.waiting else { return Ok(()) };
        let Settings { rule, deadline, rekey_after } = *self.settings.lock().unwrap_or_else(PoisonError::into_inner);
        if memory.rekey.is_none_or(|(entry, limit, _)| (entry, limit) != (waiting.entry, rekey_after)) {
            let due = self.book.rekey_due(&self.engine, rekey_after)?;
            if let Some(due) = due.filter(|_| !memory.rekey.is_some_and(|(_, _, before)| before)) {
                log::alarm(&told(&due));
            }
            memory.rekey = Some((waiting.entry, rekey_after, due.is_some()));
        }
        if waiting.unfinished > 0 {
            // Its process is at it and has the lock, or is gone.
            self.engine.finish_accepted()?;
            memory.waiting = None;
            self.wake(asked);
            return Ok(());
        }
        memory.seen.retain(|name, _| waiting.unrepaired.iter().any(|(other, _)| other == name));
        for (name, _) in &waiting.unrepaired {
            memory.seen.entry(name.clone()).or_insert(now);
        }
        if waiting.unrepaired.is_empty() {
            self.tell(|outlook| outlook.due = false);
            self.rests();
            return Ok(());
        }
        let (today, due) = (day::now(), |name: &str| self.intake.due(name));
        let waits: Vec<Waits> = waiting
            .unrepaired
            .iter()
            .map(|(name, accepted_at)| Waits {
                since: memory.seen.get(name).copied().unwrap_or(now),
                // The clock of the day says how old it is, and a clock that only goes on what is left.
                due: now + due(name).map_or_else(|| deadline - age(accepted_at).unwrap_or(0.0), |due| due - today),
            })
            .collect();
        let ground = self.ground(now, rule.policy, asked, memory)?;
        let next = desk::next(&rule, &waits, &ground);
        let at = if let Next::Until(at) = next { Some(today + at - now) } else { None };
        self.tell(|outlook| (outlook.next, outlook.due) = (at, next == Next::Repair));
        if next == Next::Repair {
            self.tell(|outlook| outlook.repairing = true);
            let repaired = self.repair(clock, memory);
            let seconds_a_row_pass = memory.seconds_a_row_pass;
            self.tell(|outlook| *outlook = Outlook { repairing: false, next: None, seconds_a_row_pass, ..*outlook });
            repaired?;
        } else {
            self.rests();
        }
        Ok(())
    }

    fn ground(&self, now: f64, policy: RepairPolicy, asked: bool, memory: &Memory) -> Result<Ground, Error> {
        let mut ground = Ground { now, last_start: memory.last_start, weight: 1.0, cost: 0.0, seconds: 0.0, asked };
        if policy != RepairPolicy::Eager {
            let status = self.engine.status()?;
            // The weight of a member that serves step r of R is (r / R)^4 (docs/TRAINING.md, section 6).
            let share = |serves: u32, slices: usize| (f64::from(serves) / slices.max(1) as f64).powi_4();
            let voting: Vec<_> = status.shards.iter().filter(|shard| shard.has_rows()).collect();
            let weights: f64 = voting.iter().map(|s| share(s.serves, s.cells.len())).fold(0.0, |sum, w| sum + w);
            ground.weight = if voting.is_empty() { 1.0 } else { weights / voting.len() as f64 };
            ground.cost = status.missing_row_passes as f64 / status.full_row_passes.max(1) as f64;
            ground.seconds = status.missing_row_passes as f64 * memory.seconds_a_row_pass;
        }
        Ok(ground)
    }

    fn repair(&self, clock: &Stopwatch, memory: &mut Memory) -> Result<(), Error> {
        let begun = clock.seconds();
        memory.last_start = Some(begun);
        memory.waiting = None;
        let report = self.engine.repair_waiting(&Until(&self.stopped))?;
        let Some(RepairReport { report, repaired, complete, .. }) = report else { return Ok(()) };
        if report.interrupted() {
            return Ok(());
        }
        let seconds = clock.seconds() - begun;
        if let Some(diverged) = report.diverged().next() {
            let text = format!("a step diverged, and its shard serves what is before it: {diverged:?}");
            log::alarm(&text.chars().take(300).collect::<String>());
        }
        if complete {
            metrics::count(&self.metrics.repairs);
            memory.again = (0.0, BACKOFF.0);
        } else {
            metrics::count(&self.metrics.repairs_failed);
            self.tell(|outlook| outlook.due = false);
            let (_, pause) = memory.again;
            memory.again = (clock.seconds() + pause, (pause * 2.0).min(BACKOFF.1));
        }
        if report.row_passes() > 0 {
            memory.seconds_a_row_pass = seconds / report.row_passes() as f64;
        }
        if repaired.is_some() {
            log::Line { seconds: Some(seconds), ..log::line("repair") }.write();
        }
        // What came meanwhile is looked at without a pause.
        self.wake(false);
        Ok(())
    }
}

/// What a person is told when a rekey is due.
pub(super) fn told(due: &RekeyDue) -> String {
    format!(
        "{} records, {:.1} % of those imported under this model key, are deleted (the limit is {:.1} %, `rekey_after` in sisa.toml). Requests \
         that were chosen by what the models say give something of the key away, and only those; `sisa rekey` draws a fresh one",
        due.deleted,
        100.0 * due.share,
        100.0 * due.limit
    )
}

/// Powers by multiplication alone.
trait Powers {
    fn powi_4(self) -> Self;
}

impl Powers for f64 {
    fn powi_4(self) -> f64 {
        let square = self * self;
        square * square
    }
}
