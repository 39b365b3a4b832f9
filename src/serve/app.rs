//! What all connections share.

use std::{
    sync::{
        Arc, Mutex, PoisonError, RwLock,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use sisa::engine::{Engine, Epoch, ServeConfig, Serving};
use tokio::sync::Semaphore;

use super::{
    ServeError,
    audit::{Act, Audit},
    book::Book,
    callback::Trust,
    clerk::Clerk,
    day,
    gate::Gate,
    intake::{Intake, Record, Stage},
    judge::Judge,
    keeper::Keeper,
    keys::{Caller, KeyError, Keys},
    log,
    metrics::{DeskGauges, Gauges, Metrics},
    problem::Problem,
    quota::Quota,
    reply::Given,
    signer::Signer,
};

/// Kibibytes of bodies that may lie in memory at once, beside one of the largest size.
const BODIES_KIB: u32 = 256 << 10;

/// The state of the service.
#[derive(Debug)]
pub(super) struct App {
    pub(super) engine: Arc<Engine>,
    pub(super) serving: Serving,
    /// What the configuration says, as it was read last.
    settings: RwLock<Settings>,
    pub(super) intake: Arc<Intake>,
    pub(super) book: Arc<Book>,
    pub(super) clerk: Arc<Clerk>,
    pub(super) quota: Quota,
    pub(super) watchers: Arc<Semaphore>,
    pub(super) metrics: Arc<Metrics>,
    pub(super) audit: Audit,
    pub(super) keeper: Arc<Keeper>,
    pub(super) judge: Judge,
    pub(super) predictions: Gate,
    pub(super) deletions: Gate,
    pub(super) bodies: Arc<Semaphore>,
    pub(super) given: Given,
    /// Microseconds that the last small answer took.
    pub(super) last_small: AtomicU64,
    /// What the last answer stood on, with what is told of its members.
    stood_on: Mutex<Option<(Epoch, String)>>,
    /// Only this machine can connect.
    loopback: bool,
    /// A key was seen, or other machines can connect: from now on one is needed.
    locked: AtomicBool,
    stopping: AtomicBool,
}

/// Pages that are kept up to date at once.
const WATCHERS: usize = 64;

/// The settings with what is made of them.
#[derive(Clone, Debug)]
struct Settings {
    config: Arc<ServeConfig>,
    signer: Arc<Signer>,
    trust: Trust,
}

impl Settings {
    fn of(engine: &Engine, config: ServeConfig) -> Result<Settings, ServeError> {
        let signer = Arc::new(Signer::of(engine, config.opendsr.as_ref())?);
        #[cfg(feature = "tls")]
        let trust = match &config.opendsr {
            Some(desk) => Trust { client: super::tls::Client::of(engine, desk)? },
            None => Trust::default(),
        };
        #[cfg(not(feature = "tls"))]
        let trust = Trust::default();
        Ok(Settings { config: Arc::new(config), signer, trust })
    }
}

/// Deletions that are at it at once; more wait in a queue that takes no thread.
const DELETIONS_AT_ONCE: usize = 64;

impl App {
    pub(super) fn new(engine: Arc<Engine>, config: ServeConfig, loopback: bool) -> Result<App, ServeError> {
        let (metrics, answer) = (Arc::new(Metrics::default()), Duration::from_secs(config.answer_seconds.into()));
        let (intake, book) = (Arc::new(Intake::new(engine.clone())), Arc::new(Book::default()));
        let keeper = Arc::new(Keeper::new(engine.clone(), intake.clone(), book.clone(), metrics.clone(), &config));
        Ok(App {
            serving: engine.serving_later(),
            clerk: Arc::new(Clerk::new(engine.clone(), intake.clone(), book.clone(), keeper.clone(), metrics.clone(), &config)),
            predictions: Gate::new(engine.threads(), config.queue as usize, answer, "predictions"),
            deletions: Gate::new(DELETIONS_AT_ONCE, config.deletions as usize, answer, "deletions"),
            bodies: Arc::new(Semaphore::new((BODIES_KIB + config.body_mib * 1024) as usize)),
            audit: Audit::default(),
            judge: Judge::default(),
            given: Given::default(),
            last_small: AtomicU64::new(0),
            stood_on: Mutex::default(),
            quota: Quota::default(),
            watchers: Arc::new(Semaphore::new(WATCHERS)),
            locked: AtomicBool::new(!loopback),
            stopping: AtomicBool::new(false),
            settings: RwLock::new(Settings::of(&engine, config)?),
            intake,
            book,
            keeper,
            engine,
            metrics,
            loopback,
        })
    }

    fn settings(&self) -> Settings {
        self.settings.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The settings as they were read last.
    pub(super) fn config(&self) -> Arc<ServeConfig> {
        self.settings.read().unwrap_or_else(PoisonError::into_inner).config.clone()
    }

    /// What signs answers to privacy desks.
    pub(super) fn signer(&self) -> Arc<Signer> {
        self.settings().signer
    }

    /// How servers of callbacks are trusted.
    pub(super) fn trust(&self) -> Trust {
        self.settings().trust
    }

    /// Reads the settings again. Of those that are wrong nothing is taken. Where it listens, how many connections and bodies it takes, stay
    /// as they were at the start.
    pub(super) fn configure(&self) -> Result<Arc<ServeConfig>, ServeError> {
        let before = self.config();
        let mut config = self.engine.serve_config()?;
        config.listen.clone_from(&before.listen);
        (config.connections, config.body_mib) = (before.connections, before.body_mib);
        let settings = Settings::of(&self.engine, config)?;
        let config = settings.config.clone();
        *self.settings.write().unwrap_or_else(PoisonError::into_inner) = settings;
        let patience = Duration::from_secs(config.answer_seconds.into());
        self.predictions.configure(config.queue as usize, patience);
        self.deletions.configure(config.deletions as usize, patience);
        self.keeper.configure(&config);
        self.clerk.configure(&config);
        Ok(config)
    }

    /// Whether a key is needed.
    pub(super) fn locked(&self) -> Result<bool, KeyError> {
        if !self.locked.load(Ordering::SeqCst) && Keys(&self.engine).any()? {
            self.locked.store(true, Ordering::SeqCst);
        }
        Ok(self.locked.load(Ordering::SeqCst))
    }

    /// Who asks, by the key that was sent.
    pub(super) fn caller(&self, key: Option<&str>) -> Result<Option<Caller>, Problem> {
        let refused = |e: KeyError| {
            log::alarm(&e.to_string());
            Problem::unavailable("the keys can't be read; whoever runs the service is told by its log")
        };
        if !self.locked().map_err(refused)? {
            return Ok(Some(Caller::local()));
        }
        match key {
            Some(key) => Keys(&self.engine).caller(key).map_err(refused),
            None => Ok(None),
        }
    }

    /// Whether only this machine can connect, and without a key: browsers on it are then kept from asking on behalf of other pages.
    pub(super) fn is_open(&self) -> bool {
        self.loopback && !self.locked.load(Ordering::SeqCst)
    }

    pub(super) fn stop(&self) {
        self.stopping.store(true, Ordering::SeqCst);
        self.clerk.stop();
        self.keeper.stop();
        self.judge.stop();
    }

    pub(super) fn stopping(&self) -> bool {
        self.stopping.load(Ordering::SeqCst)
    }

    /// Whether what the last answer stood on is in service: one look at one name. If so, an answer waits for nothing.
    pub(super) fn is_current(&self) -> bool {
        let stood_on = self.stood_on.lock().unwrap_or_else(PoisonError::into_inner).as_ref().map(|(epoch, _)| epoch.entry);
        stood_on.is_some_and(|entry| self.engine.moved_since(entry).is_ok_and(|moved| !moved))
    }

    /// What is told of the members of an answer that stands on this: how many of all shards vote with their full weight.
    pub(super) fn members(&self, epoch: &Epoch) -> Option<String> {
        let stood_on = || self.stood_on.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((before, members)) = &*stood_on()
            && before == epoch
        {
            return Some(members.clone());
        }
        // It may be loaded first, and nobody waits for that who has no need to.
        let interface = self.serving.interface().ok().filter(|interface| interface.epoch == *epoch)?;
        let members = format!("{}/{}", interface.members.1, interface.members.2);
        *stood_on() = Some((epoch.clone(), members.clone()));
        Some(members)
    }

    /// Writes down who did what; durable on return.
    pub(super) fn write_down(&self, act: Act) {
        if let Err(e) = self.audit.write(&self.engine, act) {
            log::alarm(&format!("the audit log can't be written: {e}"));
        }
    }

    fn desk_gauges(&self) -> DeskGauges {
        let (open, now) = (self.intake.open(), day::now());
        let count = |of: &dyn Fn(&Record) -> bool| open.iter().filter(|record| of(record)).count();
        DeskGauges {
            pending: count(&|r| r.stage == Stage::Pending),
            held: count(&|r| r.stage == Stage::Pending && self.intake.held_by(&r.handles).is_ok_and(|h| h.is_some())),
            overdue: count(&|r| !r.is_over() && r.due() < now),
            untold: open.iter().map(|r| r.listeners.iter().filter(|l| l.next < r.steps.len()).count()).sum(),
        }
    }

    /// How things stand; may load what is in service.
    pub(super) fn gauges(&self) -> Gauges {
        let waiting = self.engine.waiting().ok();
        let interface = if self.stopping() { None } else { self.serving.interface().ok() };
        let (members, members_whole, shards) = interface.as_ref().map_or((0, 0, 0), |i| i.members);
        let desk = self.desk_gauges();
        let used = self.book.key_use(&self.engine).ok().flatten();
        Gauges {
            desk,
            quality: self.judge.last().map(|found| (found.measure, found.value)),
            deleted_share: used.map_or(0.0, |used| used.share()),
            rekey_due: used.is_some_and(|used| used.due(self.config().rekey_after).is_some()),
            ready: interface.is_some(),
            members,
            members_whole,
            shards,
            ledger_entries: waiting.as_ref().map_or(0, |w| w.entry),
            unrepaired: waiting.as_ref().map_or(0, |w| w.unrepaired.len()),
            predictions_waiting: self.predictions.waiting(),
            deletions_waiting: self.deletions.waiting(),
        }
    }
}
