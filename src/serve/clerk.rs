//! Brings what lies in the intake into the ledger, when nothing is in its way, and notices how far it comes there.
//!
//! A request that can't be accepted for now stays where it is and is tried again: none is dropped.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Condvar, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use sisa::engine::{DeleteRequest, Engine, ServeConfig, WholeAt};

use super::{
    book::Book,
    day,
    intake::{Intake, IntakeError, Record, Stage},
    keeper::Keeper,
    log,
    metrics::{Metrics, count},
};

/// Between two looks at what waits.
const LOOK: Duration = Duration::from_millis(500);
/// So many requests come into effect together.
const TOGETHER: usize = 64;
/// After a failure the next try waits so many seconds: at first, and at most.
const BACKOFF: (f64, f64) = (1.0, 300.0);

/// Who does it.
#[derive(Debug)]
pub(super) struct Clerk {
    engine: Arc<Engine>,
    intake: Arc<Intake>,
    book: Arc<Book>,
    keeper: Arc<Keeper>,
    metrics: Arc<Metrics>,
    rule: Mutex<Rule>,
    woken: Mutex<bool>,
    bell: Condvar,
    stopped: AtomicBool,
}

/// When to begin, and when to call it done.
#[derive(Clone, Copy, Debug)]
struct Rule {
    grace: f64,
    whole: WholeAt,
}

impl From<&ServeConfig> for Rule {
    fn from(config: &ServeConfig) -> Rule {
        let desk = config.opendsr.as_ref();
        Rule {
            grace: desk.map_or(0.0, |d| f64::from(d.grace_minutes) * 60.0),
            whole: desk.map_or(WholeAt::default(), |d| d.completed_at),
        }
    }
}

impl Clerk {
    pub(super) fn new(
        engine: Arc<Engine>,
        intake: Arc<Intake>,
        book: Arc<Book>,
        keeper: Arc<Keeper>,
        metrics: Arc<Metrics>,
        config: &ServeConfig,
    ) -> Clerk {
        let rule = Mutex::new(config.into());
        Clerk {
            engine,
            intake,
            book,
            keeper,
            metrics,
            rule,
            woken: Mutex::new(true),
            bell: Condvar::new(),
            stopped: AtomicBool::new(false),
        }
    }

    /// Something came, or has come further.
    pub(super) fn wake(&self) {
        *self.woken.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.bell.notify_all();
    }

    pub(super) fn stop(&self) {
        self.stopped.store(true, Ordering::SeqCst);
        self.wake();
    }

    /// Goes on by these settings.
    pub(super) fn configure(&self, config: &ServeConfig) {
        *self.rule.lock().unwrap_or_else(PoisonError::into_inner) = config.into();
        self.wake();
    }

    fn rule(&self) -> Rule {
        *self.rule.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Works until it is stopped; the life of a thread.
    pub(super) fn run(&self) {
        let mut later = BTreeMap::new();
        let mut told = None;
        while !self.stopped.load(Ordering::SeqCst) {
            let woken = self.woken.lock().unwrap_or_else(PoisonError::into_inner);
            let (mut woken, _) =
                self.bell.wait_timeout_while(woken, LOOK, |woken| !*woken).unwrap_or_else(PoisonError::into_inner);
            *woken = false;
            drop(woken);
            let problem = self.look(&mut later).err().map(|e| e.to_string());
            if problem.is_some() && problem != told {
                log::alarm(&format!("requests that wait are not looked at for now: {}", problem.as_deref().unwrap_or_default()));
            }
            told = problem;
        }
    }

    /// Does once what there is to do. `later` has when those are tried again that could not be accepted, and how long to wait the next time.
    pub(super) fn look(&self, later: &mut BTreeMap<String, (f64, f64)>) -> Result<(), IntakeError> {
        if !self.intake.is_begun()? {
            return Ok(());
        }
        match self.intake.take() {
            Err(IntakeError::Elsewhere) => return Ok(()),
            taken => taken?,
        }
        let (now, rule, open) = (day::now(), self.rule(), self.intake.open());
        later.retain(|name, _| open.iter().any(|record| record.request == *name));
        let ready: Vec<&Record> = open
            .iter()
            .map(|record| &**record)
            .filter(|r| r.stage == Stage::Pending && later.get(&r.request).is_none_or(|(at, _)| *at <= now))
            .filter(|r| day::seconds(&r.received_at).is_none_or(|at| at + rule.grace <= now))
            .collect();
        for together in ready.chunks(TOGETHER) {
            if self.stopped.load(Ordering::SeqCst) {
                return Ok(());
            }
            let done = std::thread::scope(|scope| {
                let threads: Vec<_> =
                    together.iter().map(|record| scope.spawn(|| (&record.request, self.accept(record)))).collect();
                threads.into_iter().filter_map(|thread| thread.join().ok()).collect::<Vec<_>>()
            });
            for (name, done) in done {
                let Err(e) = done else { continue };
                let pause = later.get(name).map_or(BACKOFF.0, |(_, pause)| (pause * 2.0).min(BACKOFF.1));
                later.insert(name.clone(), (now + pause, pause));
                log::Line {
                    request: Some(name),
                    text: Some(&format!("not accepted yet, and tried again: {e}")),
                    ..log::line("alarm")
                }
                .write();
            }
        }
        for record in open.iter().filter(|record| record.stage == Stage::Accepted) {
            self.follow(record, rule.whole)?;
        }
        Ok(())
    }

    /// Brings a request into effect, if it is not held.
    fn accept(&self, record: &Record) -> Result<(), IntakeError> {
        if self.intake.held_by(&record.handles)?.is_some() {
            return Ok(());
        }
        let begun = self.keeper.begin(record.handles.len());
        // Until the end nothing is held and nothing is cancelled.
        let _accepting = self.intake.accepting();
        let pending = self.intake.find(&record.request)?.is_some_and(|r| r.stage == Stage::Pending);
        if !pending || self.intake.held_by(&record.handles)?.is_some() {
            return Ok(());
        }
        let request = DeleteRequest {
            handles: record.handles.clone(),
            request_id: Some(record.request.clone()),
            defer: true,
            no_suppress: record.no_suppress,
            ..DeleteRequest::default()
        };
        let metrics = self.metrics.clone();
        let report = self.engine.begin_deletion(&request, move |_, _| count(&metrics.accepted)).map_err(IntakeError::Engine)?;
        drop(begun);
        if !report.repeated {
            count(&self.metrics.effective);
        }
        let found = self.book.line(&self.engine, &record.request)?.map(|line| (line.records, line.unknown));
        self.intake.change(&record.request, |record| {
            if record.stage == Stage::Pending {
                record.comes_to(Stage::Accepted, found);
            }
        })?;
        self.keeper.wake(false);
        self.wake();
        Ok(())
    }

    /// Notices that a request came to its end.
    fn follow(&self, record: &Record, whole: WholeAt) -> Result<(), IntakeError> {
        let Some(line) = self.book.line(&self.engine, &record.request)? else { return Ok(()) };
        let done = match whole {
            WholeAt::Effective => line.effective.is_some(),
            WholeAt::Repaired => line.repaired.is_some(),
        };
        if done {
            self.intake.change(&record.request, |record| {
                if record.stage == Stage::Accepted {
                    record.comes_to(Stage::Done, Some((line.records, line.unknown)));
                }
            })?;
        }
        Ok(())
    }
}
