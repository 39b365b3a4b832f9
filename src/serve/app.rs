//! What all connections share.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use sisa::engine::{Engine, ServeConfig, Serving};
use tokio::sync::Semaphore;

use super::{
    audit::{Act, Audit},
    gate::Gate,
    keeper::Keeper,
    keys::{Caller, KeyError, Keys},
    log,
    metrics::{Gauges, Metrics},
    problem::Problem,
    reply::Given,
};

/// Kibibytes of bodies that may lie in memory at once, beside one of the largest size.
const BODIES_KIB: u32 = 256 << 10;

/// The state of the service.
#[derive(Debug)]
pub(super) struct App {
    pub(super) engine: Arc<Engine>,
    pub(super) serving: Serving,
    pub(super) config: ServeConfig,
    pub(super) metrics: Arc<Metrics>,
    pub(super) audit: Audit,
    pub(super) keeper: Arc<Keeper>,
    pub(super) predictions: Gate,
    pub(super) deletions: Gate,
    pub(super) bodies: Arc<Semaphore>,
    pub(super) given: Given,
    /// Only this machine can connect.
    loopback: bool,
    /// A key was seen, or other machines can connect: from now on one is needed.
    locked: AtomicBool,
    stopping: AtomicBool,
}

/// Deletions that are at it at once; more wait in a queue that takes no thread.
const DELETIONS_AT_ONCE: usize = 64;

impl App {
    pub(super) fn new(engine: Arc<Engine>, config: ServeConfig, loopback: bool) -> App {
        let (metrics, answer) = (Arc::new(Metrics::default()), Duration::from_secs(config.answer_seconds.into()));
        App {
            serving: engine.serving_later(),
            keeper: Arc::new(Keeper::new(engine.clone(), metrics.clone(), &config)),
            predictions: Gate::new(engine.threads(), config.queue as usize, answer, "predictions"),
            deletions: Gate::new(DELETIONS_AT_ONCE, config.deletions as usize, answer, "deletions"),
            bodies: Arc::new(Semaphore::new((BODIES_KIB + config.body_mib * 1024) as usize)),
            audit: Audit::default(),
            given: Given::default(),
            locked: AtomicBool::new(!loopback),
            stopping: AtomicBool::new(false),
            engine,
            config,
            metrics,
            loopback,
        }
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
        self.keeper.stop();
    }

    pub(super) fn stopping(&self) -> bool {
        self.stopping.load(Ordering::SeqCst)
    }

    /// Writes down who did what; durable on return.
    pub(super) fn write_down(&self, act: Act) {
        if let Err(e) = self.audit.write(&self.engine, act) {
            log::alarm(&format!("the audit log can't be written: {e}"));
        }
    }

    /// How things stand; may load what is in service.
    pub(super) fn gauges(&self) -> Gauges {
        let waiting = self.engine.waiting().ok();
        let interface = if self.stopping() { None } else { self.serving.interface().ok() };
        let (members, members_whole, shards) = interface.as_ref().map_or((0, 0, 0), |i| i.members);
        Gauges {
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
