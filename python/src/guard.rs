//! Runs the engine on a thread of its own while the calling thread, which holds Python's lock only now and then, listens for Ctrl-C and
//! hands on progress and notes. So no thread of the engine waits for Python, and Python's callbacks come on the thread that called.

use std::{
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
        mpsc::{Receiver, RecvTimeoutError, Sender, channel},
    },
    thread,
    time::Duration,
};

use pyo3::{exceptions::PyRuntimeError, prelude::*, types::PyDict};
use sisa::{Error, Observer, Progress, Remedy};

use crate::{call::call, error::raise};

/// How often signals are looked for.
const TICK: Duration = Duration::from_millis(20);
/// After so many ticks progress is told again: training has something to tell thousands of times a second.
const TICKS_A_TELLING: u32 = 5;

/// What the thread of the engine says.
enum Event {
    Progress(Progress),
    Note(String, Option<Remedy>),
    Done,
}

/// Hears the engine, and tells it to stop.
#[derive(Debug)]
pub(crate) struct Relay {
    stop: AtomicBool,
    /// Whether progress is to be told.
    due: AtomicBool,
    events: Mutex<Sender<Event>>,
}

// Not derived, as nobody wants to read what is in it.
impl std::fmt::Debug for Event {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Event")
    }
}

impl Relay {
    fn send(&self, event: Event) {
        // Nobody hears it any more if the caller is gone.
        let _ = self.events.lock().unwrap_or_else(PoisonError::into_inner).send(event);
    }
}

impl Observer for Relay {
    fn progress(&self, progress: Progress) {
        if self.due.swap(false, Ordering::Relaxed) {
            self.send(Event::Progress(progress));
        }
    }

    fn note(&self, text: &str) {
        self.send(Event::Note(text.to_owned(), None));
    }

    fn advise(&self, text: &str, remedy: &Remedy) {
        self.send(Event::Note(text.to_owned(), Some(remedy.clone())));
    }

    fn stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }
}

/// Runs `work` and returns what it returns. What a signal or `listener` raises stops it first; what is durable by then stays so.
///
/// `listener` is called with the name of an event and what belongs to it.
pub(crate) fn run<T: Send>(listener: &Bound<'_, PyAny>, work: impl FnOnce(&Relay) -> Result<T, Error> + Send) -> PyResult<T> {
    let py = listener.py();
    let (sender, receiver) = channel();
    let relay = Relay { stop: AtomicBool::new(false), due: AtomicBool::new(true), events: Mutex::new(sender) };
    let listener = listener.clone().unbind();
    let (done, raised) = py.detach(|| {
        thread::scope(|scope| {
            let (relay, receiver) = (&relay, receiver);
            let work = move || {
                let done = work(relay);
                relay.send(Event::Done);
                done
            };
            let worker = thread::Builder::new().name("sisa".into()).spawn_scoped(scope, work)?;
            let raised = listen(relay, &receiver, &listener, || worker.is_finished());
            Ok::<_, std::io::Error>((worker.join(), raised))
        })
    })?;
    match (raised, done) {
        (Some(raised), _) => Err(raised),
        (None, Ok(done)) => done.map_err(|error| raise(py, &error)),
        (None, Err(panic)) => {
            let text = panic.downcast_ref::<String>().cloned();
            let text = text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned())).unwrap_or_default();
            Err(PyRuntimeError::new_err(format!("the engine failed, which is a bug to report: {text}")))
        }
    }
}

/// Listens until the work is done; returns the first exception, after which the work was told to stop.
fn listen(relay: &Relay, events: &Receiver<Event>, listener: &Py<PyAny>, finished: impl Fn() -> bool) -> Option<PyErr> {
    let (mut raised, mut ticks) = (None, 0);
    loop {
        let (event, done) = match events.recv_timeout(TICK) {
            Ok(Event::Done) => (None, true),
            Ok(event) => (Some(event), false),
            // A thread that failed has not said that it is done.
            Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => (None, finished()),
        };
        if event.is_none() {
            ticks += 1;
            if ticks % TICKS_A_TELLING == 0 {
                relay.due.store(true, Ordering::Relaxed);
            }
        }
        let heard = Python::try_attach(|py| {
            py.check_signals()?;
            // After an exception the listener is left alone.
            event.filter(|_| raised.is_none()).map_or(Ok(()), |event| tell(py, listener, event))
        });
        match heard {
            Some(Ok(())) => {}
            Some(Err(error)) => {
                relay.stop.store(true, Ordering::Relaxed);
                raised.get_or_insert(error);
            }
            // Python is coming to its end, and nobody will hear the answer.
            None => relay.stop.store(true, Ordering::Relaxed),
        }
        if done {
            return raised;
        }
    }
}

fn tell(py: Python<'_>, listener: &Py<PyAny>, event: Event) -> PyResult<()> {
    let listener = listener.bind(py);
    match event {
        Event::Progress(progress) => {
            call(listener, ("progress", progress_of(py, progress)?))?;
        }
        Event::Note(text, remedy) => {
            let remedy = remedy.map(|remedy| serde_json::to_string(&remedy));
            let remedy = remedy.transpose().map_err(|error| PyRuntimeError::new_err(error.to_string()))?;
            call(listener, ("note", (text, remedy)))?;
        }
        Event::Done => {}
    }
    Ok(())
}

fn progress_of(py: Python<'_>, progress: Progress) -> PyResult<Bound<'_, PyDict>> {
    let told = PyDict::new(py);
    let (stage, done, total) = match progress {
        Progress::Importing { bytes, total, rows } => {
            told.set_item("rows", rows)?;
            ("importing", bytes, Some(total))
        }
        Progress::Training { row_passes, total, steps, total_steps } => {
            told.set_item("steps", steps)?;
            told.set_item("total_steps", total_steps)?;
            ("training", row_passes, Some(total))
        }
        Progress::Scoring { rows } => ("scoring", rows, None),
        // Something newer than this face.
        _ => ("working", 0, None),
    };
    told.set_item("stage", stage)?;
    told.set_item("done", done)?;
    told.set_item("total", total)?;
    Ok(told)
}
