//! Quality over time: whenever something else is in service, the answers are held against rows whose label is known, and what came of it is
//! written into the audit log, where the page finds it.

use std::{
    collections::VecDeque,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use sisa::{
    engine::{Engine, Epoch, Error, ErrorKind, Input, QualityOf, Stopwatch, utc_now},
    wire::{Evaluated, Measures},
};

use super::{
    audit::{self, Act, Audit},
    log,
    until::Until,
};

/// Between two looks whether something else is in service.
const LOOK: Duration = Duration::from_millis(500);
/// From one measurement to the next at least so many seconds.
const SELDOM: f64 = 2.0;
/// And so many times what the last one took: measuring takes no more than a twentieth of one core.
const SHARE: f64 = 20.0;
/// As many are shown, the newest.
const SHOWN: usize = 200;

/// What a line of the audit log about it is called.
pub(super) const ACT: &str = "quality";

/// How good the answers were at one time.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Found {
    pub(super) time: String,
    /// What was in service, as answers name it.
    pub(super) version: String,
    /// `accuracy`, or `rmse` of numbers.
    pub(super) measure: &'static str,
    pub(super) value: f64,
    pub(super) rows: u64,
    /// Members that voted, and how many of them with their full weight.
    pub(super) members: (usize, usize),
}

impl Found {
    fn new(evaluated: &Evaluated, epoch: &Epoch) -> Found {
        let (measure, value) = match evaluated.measures {
            Measures::Classes { accuracy, .. } => ("accuracy", accuracy),
            Measures::Numbers { rmse, .. } => ("rmse", rmse),
            _ => ("accuracy", f64::NAN),
        };
        let members = (evaluated.members, evaluated.whole_members);
        Found { time: utc_now(), version: epoch.to_string(), measure, value, rows: evaluated.rows, members }
    }

    /// As the audit log has it: `accuracy=0.8125 rows=4852 members=5 whole=4`.
    fn result(&self) -> String {
        let Found { measure, value, rows, members: (members, whole), .. } = self;
        format!("{measure}={value} rows={rows} members={members} whole={whole}")
    }

    /// From a line of the audit log; `None` where it is about something else.
    fn read(line: &str) -> Option<Found> {
        let act: serde_json::Value = serde_json::from_str(line).ok()?;
        let text = |name: &str| act.get(name).and_then(serde_json::Value::as_str);
        if text("what")? != ACT {
            return None;
        }
        let mut parts = text("result")?.split(' ').filter_map(|part| part.split_once('='));
        let (measure, value) = parts.next()?;
        let measure = ["accuracy", "rmse"].into_iter().find(|known| *known == measure)?;
        let mut count = |name: &str| parts.next().filter(|(key, _)| *key == name)?.1.parse::<u64>().ok();
        let (rows, members, whole) = (count("rows")?, count("members")?, count("whole")?);
        Some(Found {
            time: text("time")?.to_owned(),
            version: text("about")?.to_owned(),
            measure,
            value: value.parse().ok().filter(|value: &f64| value.is_finite())?,
            rows,
            members: (members as usize, whole as usize),
        })
    }
}

/// Who measures.
#[derive(Debug, Default)]
pub(super) struct Judge {
    found: Mutex<VecDeque<Found>>,
    /// Counts what was found, for whoever looks.
    measured: AtomicU64,
    stopped: AtomicBool,
}

impl Judge {
    /// What was found, the oldest first.
    pub(super) fn found(&self) -> Vec<Found> {
        self.found.lock().unwrap_or_else(PoisonError::into_inner).iter().cloned().collect()
    }

    pub(super) fn last(&self) -> Option<Found> {
        self.found.lock().unwrap_or_else(PoisonError::into_inner).back().cloned()
    }

    pub(super) fn measured(&self) -> u64 {
        self.measured.load(Ordering::SeqCst)
    }

    pub(super) fn stop(&self) {
        self.stopped.store(true, Ordering::SeqCst);
    }

    fn add(&self, found: Found) {
        let mut all = self.found.lock().unwrap_or_else(PoisonError::into_inner);
        if all.len() == SHOWN {
            all.pop_front();
        }
        all.push_back(found);
        self.measured.fetch_add(1, Ordering::SeqCst);
    }

    /// Measures until it is stopped; the life of a thread. `of` says by which rows.
    ///
    /// It has an engine of its own, with one thread: on the threads of the service a new state would be loaded only after the rows were scored, and
    /// all answers would wait for that. What it loads is let go after each measurement.
    pub(super) fn run(&self, engine: &Engine, audit: &Audit, of: impl Fn() -> QualityOf) {
        let root = engine.workspace().root();
        let own = match Engine::builder(root).threads(1).wait(true).stays(true).open() {
            Ok(own) => own,
            Err(e) => return log::alarm(&format!("quality is not measured: {e}")),
        };
        // What was found before this start. A chain that is broken is told of by whoever asks for it.
        audit::read(engine).unwrap_or_default().lines().filter_map(Found::read).for_each(|found| self.add(found));
        let (clock, mut next, mut told) = (Stopwatch::start(), 0.0, None);
        let mut seen = None;
        while !self.stopped.load(Ordering::SeqCst) {
            std::thread::sleep(LOOK);
            let input = match of() {
                QualityOf::Off => continue,
                QualityOf::Holdout => Input::new(),
                QualityOf::File(path) => path.into(),
            };
            let moved = seen.is_none_or(|entry| own.moved_since(entry).unwrap_or(false));
            if !moved || clock.seconds() < next {
                continue;
            }
            let began = clock.seconds();
            let serving = own.serving_later();
            let measured = serving.quality(&input, &Until(&self.stopped));
            next = clock.seconds() + SELDOM.max(SHARE * (clock.seconds() - began));
            match measured {
                Ok((evaluation, epoch)) => {
                    seen = Some(epoch.entry);
                    told = None;
                    let found = Found::new(&Evaluated::from(&evaluation), &epoch);
                    // A start changes nothing.
                    if self.last().is_some_and(|last| last.version == found.version && last.result() == found.result()) {
                        continue;
                    }
                    let (about, result) = (Some(found.version.clone()), found.result());
                    let act = Act { who: "service".into(), what: ACT.into(), about, result };
                    if let Err(e) = audit.write(engine, act) {
                        log::alarm(&format!("the audit log can't be written: {e}"));
                    }
                    self.add(found);
                }
                Err(e) if is_told(&e) => {
                    let text = format!("quality is not measured: {e}");
                    if told.as_ref() != Some(&text) {
                        log::alarm(&text);
                    }
                    told = Some(text);
                }
                // Nothing was held out, until something else is in service.
                Err(Error::NoHoldout) => seen = serving.epoch().ok().map(|epoch| epoch.entry),
                Err(_) => {}
            }
        }
    }
}

/// Whether it stays so until somebody does something.
fn is_told(error: &Error) -> bool {
    !matches!(error, Error::NoHoldout) && matches!(error.kind(), ErrorKind::Input | ErrorKind::Disk)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_written_is_read_and_what_is_about_something_else_is_passed_over() {
        let found = Found {
            time: "2026-11-26T10:00:00.000Z".into(),
            version: "g0001.257d0dbfa4e41380.4".into(),
            measure: "accuracy",
            value: 0.1 + 0.2,
            rows: 4852,
            members: (5, 4),
        };
        let line = |what: &str, result: &str| {
            serde_json::json!({ "time": found.time, "what": what, "about": found.version, "result": result }).to_string()
        };
        assert_eq!(Found::read(&line(ACT, &found.result())), Some(found.clone()));
        for (what, result) in
            [("delete", "200"), (ACT, "200"), (ACT, "accuracy=NaN rows=1 members=1 whole=1"), (ACT, "accuracy=1")]
        {
            assert_eq!(Found::read(&line(what, result)), None, "{what} {result}");
        }
    }
}
