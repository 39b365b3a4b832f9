//! Commands that meet: wherever one stands, another runs from its start to its end, and the first goes on. Then it is done, or says that
//! the workspace moved on; it never speaks of damage or of the disk, it comes to an end, and every byte is as it must be.
//!
//! The moments are spread evenly over all operations on the disk; `SISA_MEETINGS` says how many there are for each pair of commands.
#![expect(clippy::indexing_slicing, clippy::unwrap_used, reason = "a test stops at what it does not expect")]
#![expect(clippy::disallowed_methods, reason = "a test removes an entry by hand")]

mod common;
mod tap;

use std::{
    path::Path,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
};

use common::{Bench, LINEAR, Row, Setup, assert_same, rows, without};
use sisa::engine::{DeleteRequest, Engine, Error, ErrorKind, Input, KeySource, Overrides, Quiet, TrainRequest, VerifyRequest};
use tap::Tap;

/// Of each pair of commands.
const MEETINGS: u64 = 6;

type Act = fn(&Engine, &Path) -> Result<(), Error>;

fn setup() -> Setup {
    Setup { shards: 2, slices: 2, holdout: 0.2, learner: LINEAR, epochs: 1, ..Setup::default() }
}

fn train_at(engine: &Engine, root: &Path, rate: Option<f32>, fresh: bool) -> Result<(), Error> {
    let request = TrainRequest {
        sources: Input::new(),
        config: root.join("sisa.toml"),
        overrides: Overrides { rate, ..Overrides::default() },
        keys: KeySource::Seed(5),
        only_shards: None,
        fresh,
    };
    engine.train(&request, &Quiet).map(|_| ())
}

fn delete(engine: &Engine, person: u32, defer: bool) -> Result<(), Error> {
    let request = DeleteRequest { subjects: vec![person.to_string()], defer, ..DeleteRequest::default() };
    let mut effective = false;
    let deleted = engine.delete(&request, &Quiet, |_, _, _| effective = true);
    assert!(effective || deleted.is_err());
    deleted.map(|_| ())
}

fn verify(engine: &Engine, retrain: bool) -> Result<(), Error> {
    let verdict = engine.verify(&VerifyRequest { retrain, ..VerifyRequest::default() }, &Quiet)?;
    assert!(verdict.findings.is_empty(), "{:?}", verdict.findings);
    Ok(())
}

const WRITERS: [(&str, Act); 6] = [
    ("delete", |engine, _| delete(engine, 3, false)),
    ("delete --defer", |engine, _| delete(engine, 4, true)),
    ("train, other settings", |engine, root| train_at(engine, root, Some(0.03), false)),
    ("repair", |engine, _| engine.repair(&Input::new(), false, &Quiet).map(|_| ())),
    ("rekey", |engine, _| engine.rekey(&KeySource::Seed(9), &Quiet).map(|_| ())),
    ("train --fresh", |engine, root| train_at(engine, root, None, true)),
];

const READERS: [(&str, Act); 5] = [
    ("predict", |engine, root| engine.predict(&Input::from(root.join("table.csv")), &Quiet, |_, _| Ok(())).map(|_| ())),
    ("eval", |engine, _| engine.evaluate(&Input::new(), &Quiet).map(|_| ())),
    ("status", |engine, _| engine.status().map(|_| ())),
    ("verify", |engine, _| verify(engine, false)),
    ("verify --retrain", |engine, _| verify(engine, true)),
];

/// What runs in between; persons and settings that no other command is about.
const MEANWHILE: [(&str, Act); 4] = [
    ("delete", |engine, _| delete(engine, 5, false)),
    ("train, other settings", |engine, root| train_at(engine, root, Some(0.02), false)),
    ("rekey", |engine, _| engine.rekey(&KeySource::Seed(8), &Quiet).map(|_| ())),
    ("train --fresh", |engine, root| train_at(engine, root, None, true)),
];

/// A copy of a workspace.
fn copy(of: &Bench) -> Bench {
    let copy = Bench { dir: tempfile::tempdir().unwrap(), threads: 1 };
    for path in of.files().keys().chain([&"sisa.toml".into(), &"table.csv".into()]) {
        let to = copy.root().join(path);
        std::fs::create_dir_all(to.parent().unwrap()).unwrap();
        std::fs::copy(of.root().join(path), to).unwrap();
    }
    copy
}

fn engine(bench: &Bench, tap: Tap) -> Engine {
    Engine::builder(bench.root()).disk(Arc::new(tap)).threads(1).wait(true).open().unwrap()
}

/// How many operations a command does while it holds no lock.
fn moments(of: &Bench, act: Act) -> u64 {
    let bench = copy(of);
    let count = Arc::new(AtomicU64::new(0));
    let ear = {
        let count = count.clone();
        move |_: &str, _: &Path| {
            count.fetch_add(1, Ordering::Relaxed);
        }
    };
    act(&engine(&bench, Tap::new(ear)), bench.root()).unwrap();
    count.load(Ordering::Relaxed)
}

/// Runs `first` with `second` in its moment `at`; returns what became of both.
fn meet(bench: &Bench, first: Act, second: Act, at: u64) -> (Result<(), Error>, Result<(), Error>) {
    let count = AtomicU64::new(0);
    let between: Arc<Mutex<Option<Result<(), Error>>>> = Arc::default();
    let root = bench.root().to_owned();
    let other = engine(bench, Tap::default());
    let ear = {
        let between = between.clone();
        move |_: &str, _: &Path| {
            if count.fetch_add(1, Ordering::Relaxed) == at {
                *between.lock().unwrap() = Some(second(&other, &root));
            }
        }
    };
    let outcome = first(&engine(bench, Tap::new(ear)), bench.root());
    let between = between.lock().unwrap().take().unwrap_or(Ok(()));
    (outcome, between)
}

/// A workspace that has something to repair.
fn prepared(rows: &[Row]) -> Bench {
    let bench = Bench::trained(&setup(), rows);
    delete(&bench.engine(), 7, true).unwrap();
    bench
}

fn all_pairs(firsts: &[(&str, Act)]) {
    let rows = rows(24);
    let start = prepared(&rows);
    #[expect(clippy::disallowed_methods, reason = "how much is tested is for whoever tests to say")]
    let meetings = std::env::var("SISA_MEETINGS").map_or(MEETINGS, |n| n.parse().unwrap());
    for (first_name, first) in firsts {
        let all = moments(&start, *first);
        for (second_name, second) in MEANWHILE {
            for n in 0..meetings {
                // Not the same moments for each pair.
                let at = (n * all + (all * second_name.len() as u64) / 23 % all.max(1)) / meetings;
                let what = format!("{first_name} with {second_name} in its moment {at} of {all}");
                let bench = copy(&start);
                let (outcome, between) = meet(&bench, *first, second, at);
                if let Err(e) = &outcome {
                    assert_eq!(e.kind(), ErrorKind::Retry, "{what}: {e}");
                }
                if let Err(e) = &between {
                    assert!(matches!(e, Error::NewerGeneration { .. }), "{what}: the other: {e}");
                }
                check_end(&bench, &rows, &what);
            }
        }
    }
}

/// When nothing is left to do, everything is as training from scratch makes it, and all that was asked for is gone.
fn check_end(bench: &Bench, rows: &[Row], what: &str) {
    let engine = engine(bench, Tap::default());
    // A run that said that the workspace moved on left its part to do.
    let repair = engine.repair(&Input::new(), false, &Quiet).unwrap_or_else(|e| panic!("{what}: {e}"));
    assert!(repair.complete, "{what}");
    let verdict = engine.verify(&VerifyRequest { retrain: true, ..VerifyRequest::default() }, &Quiet).unwrap();
    assert!(verdict.findings.is_empty(), "{what}: {:?}", verdict.findings);
    let status = engine.status().unwrap();
    assert!(status.unrepaired.is_empty(), "{what}");
    let gone: Vec<u32> = engine
        .log()
        .unwrap()
        .iter()
        .filter_map(|r| [3, 4, 5, 7].into_iter().find(|p| handles_of(&engine, *p) == r.accepted.outcomes[0].handle))
        .collect();
    assert!(gone.contains(&7), "{what}");
    let left = without(rows, |r| gone.contains(&r.person)).len() as u64;
    let held: u64 = status.shards.iter().map(|s| s.held_out + s.cells.iter().map(|c| c.rows).sum::<u64>()).sum();
    assert_eq!(held, left, "{what}: records");
    if status.serving.generation.to_string() == "g0001" && status.beside.is_empty() {
        let rate = [None, Some(0.02), Some(0.03)].into_iter().find(|rate| {
            let fresh = Bench::new(&setup(), &without(rows, |r| gone.contains(&r.person)));
            train_at(&engine_of(&fresh), fresh.root(), *rate, false).unwrap();
            let same = engine_of(&fresh).status().unwrap().serving.recipe == status.serving.recipe;
            if same {
                assert_same(&bench.artefacts(), &fresh.artefacts(), what);
            }
            same
        });
        assert!(rate.is_some(), "{what}: of no recipe");
    }
}

fn engine_of(bench: &Bench) -> Engine {
    engine(bench, Tap::default())
}

fn handles_of(engine: &Engine, person: u32) -> sisa::ids::Handle {
    let key = engine.workspace().handle_key().unwrap();
    key.maker().subject(person.to_string().as_bytes())
}

#[test]
fn writers_that_meet_others_come_to_an_end() {
    all_pairs(&WRITERS);
}

#[test]
fn readers_that_meet_writers_answer_or_look_again() {
    all_pairs(&READERS);
}

/// A list of a folder in which entries come meanwhile may have a later one and not the one before it. What is not there is damage all the
/// same.
#[test]
fn an_entry_that_came_while_the_folder_was_listed_is_no_gap() {
    let bench = Bench::trained(&setup(), &rows(40));
    for person in [3, 4] {
        delete(&bench.engine(), person, false).unwrap();
    }
    let entries = bench.engine().status().unwrap().ledger_entries;
    let look = |names: &[String]| {
        let engine = Engine::builder(bench.root()).disk(Arc::new(Tap::blind_to(names))).open().unwrap();
        (engine.status().map(|status| status.ledger_entries), engine.verify(&VerifyRequest::default(), &Quiet))
    };
    let name = |sequence: u64| format!("{sequence:08}.json");
    for missed in (1..entries).map(|n| vec![name(n)]).chain([vec![name(1), name(2)], vec![name(2), name(4)]]) {
        let (status, verdict) = look(&missed);
        assert_eq!(status.unwrap(), entries, "{missed:?}");
        assert_eq!(verdict.unwrap().findings, vec![], "{missed:?}");
    }
    let gone = bench.files().into_keys().find(|path| path.ends_with(name(2))).unwrap();
    std::fs::remove_file(bench.root().join(gone)).unwrap();
    let (status, verdict) = look(&[]);
    assert_eq!(status.unwrap_err().kind(), ErrorKind::Damage);
    assert!(!verdict.unwrap().findings.is_empty());
}

/// Who repairs looks at the workspace without the writer lock, perhaps just when another process has accepted a request and not yet
/// rewritten its slices: they are not damaged.
#[test]
fn a_repair_waits_for_a_request_that_is_on_its_way() {
    let bench = prepared(&rows(40));
    let other = engine(&bench, Tap::default());
    let done = Arc::new(Mutex::new(false));
    let seen = done.clone();
    // The first look of the repair after it let its own lock go: there another process accepts, and stops.
    let root = bench.root().to_owned();
    let tap = Tap::new(move |what, path| {
        let mut done = seen.lock().unwrap();
        if what == "read" && path.ends_with("CURRENT") && !*done {
            *done = true;
            accepted_and_gone(&root, 5);
        }
    });
    engine(&bench, tap).repair(&Input::new(), false, &Quiet).unwrap();
    assert!(*done.lock().unwrap());
    other.repair(&Input::new(), false, &Quiet).unwrap();
    assert!(other.status().unwrap().unrepaired.is_empty());
    verify(&other, true).unwrap();
}

/// A file of a process that was killed may be seen, and be swept with its mark before anybody can tell whose it was.
#[test]
fn what_is_found_has_to_be_found_twice() {
    let bench = Bench::trained(&setup(), &rows(40));
    let looks = AtomicU64::new(0);
    let tap = Tap::new(move |what, path| {
        if what == "list" && path.ends_with("0000") && path.components().any(|part| part.as_os_str() == "checkpoints") {
            let stray = path.join(".sisa-tmp-1-1");
            match looks.fetch_add(1, Ordering::SeqCst) {
                0 => std::fs::write(stray, "x").unwrap(),
                _ => drop(std::fs::remove_file(stray)),
            }
        }
    });
    verify(&engine(&bench, tap), false).unwrap();
}

/// What a test waits for at most before it says that something never comes to an end.
const ENOUGH: std::time::Duration = std::time::Duration::from_secs(120);

/// Accepts a deletion in another process, which is gone before it has changed anything.
fn accepted_and_gone(root: &Path, person: u32) {
    let mut child = std::process::Command::new(env!("CARGO_BIN_EXE_sisa"))
        .args(["delete", "--wait", "--subject", &person.to_string(), "-w"])
        .arg(root)
        .env("SISA_STOP_AT", "accepted")
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = std::io::BufRead::lines(std::io::BufReader::new(child.stderr.take().unwrap()));
    assert!(lines.any(|line| line.unwrap().contains("stopped at")));
    child.kill().unwrap();
    child.wait().unwrap();
}

/// Does something as soon as there is training, in the thread that trains.
struct AtTraining(Mutex<Option<Box<dyn FnOnce() + Send>>>);

impl AtTraining {
    fn new(then: impl FnOnce() + Send + 'static) -> AtTraining {
        AtTraining(Mutex::new(Some(Box::new(then))))
    }
}

impl std::fmt::Debug for AtTraining {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("AtTraining")
    }
}

impl sisa::engine::Observer for AtTraining {
    fn progress(&self, progress: sisa::engine::Progress) {
        if !matches!(progress, sisa::engine::Progress::Training { .. }) {
            return;
        }
        let then = self.0.lock().unwrap().take();
        if let Some(then) = then {
            then();
        }
    }

    fn note(&self, _: &str) {}

    fn stopped(&self) -> bool {
        false
    }
}

/// A builder finds that its slices are to change, and whoever was to change them is gone: it does that, and does not train for ever what
/// nobody wants.
#[test]
fn training_comes_to_an_end_where_a_request_was_accepted_and_nobody_goes_on_with_it() {
    let setup = Setup { shards: 1, slices: 3, holdout: 0.0, learner: LINEAR, epochs: 1, ..Setup::default() };
    let all = rows(40);
    let bench = Bench::new(&setup, &all);
    let root = bench.root().to_owned();
    let observer = AtTraining::new(move || accepted_and_gone(&root, 5));
    let (engine, request) = (engine(&bench, Tap::default()), bench.request());
    let (end, ended) = std::sync::mpsc::channel();
    let thread = std::thread::spawn(move || {
        let trained = engine.train(&request, &observer).map(|report| report.complete);
        end.send(trained).unwrap();
        engine
    });
    assert!(ended.recv_timeout(ENOUGH).expect("training never comes to an end").unwrap());
    let engine = thread.join().unwrap();
    assert!(engine.log().unwrap().iter().all(|request| request.repaired.is_some()) && engine.log().unwrap().len() == 1);
    verify(&engine, true).unwrap();
    let fresh = Bench::new(&setup, &without(&all, |row| row.person == 5));
    fresh.train();
    assert_same(&bench.artefacts(), &fresh.artefacts(), "accepted while it was trained");
}

/// All threads train, and stay at it: a deletion has to come into effect all the same, and to be answered without.
#[test]
fn neither_a_deletion_nor_an_answer_waits_for_threads_that_train() {
    for learner in [LINEAR, common::MLP] {
        let setup = Setup { shards: 2, slices: 2, learner, epochs: 1, ..Setup::default() };
        let bench = Bench::trained(&setup, &rows(80));
        let engine = Arc::new(Engine::builder(bench.root()).threads(1).wait(true).open().unwrap());
        let first = DeleteRequest { subjects: vec!["4".into()], defer: true, ..DeleteRequest::default() };
        engine.delete(&first, &Quiet, |_, _, _| ()).unwrap();
        let other = engine.clone();
        let observer = AtTraining::new(move || {
            let (tell, told) = std::sync::mpsc::channel();
            std::thread::spawn(move || {
                let request = DeleteRequest { subjects: vec!["5".into()], defer: true, ..DeleteRequest::default() };
                other.delete(&request, &Quiet, |_, _, _| ()).unwrap();
                // What is in service is loaded, and answers.
                let answers = other.scores(&Input::from(other.workspace().root().join("table.csv")), &Quiet);
                tell.send(answers.map(|answers| answers.scores.classes.len())).unwrap();
            });
            told.recv_timeout(ENOUGH).expect("a deletion or an answer waits for the training").unwrap();
        });
        engine.repair(&Input::new(), false, &observer).unwrap();
        engine.repair(&Input::new(), false, &Quiet).unwrap();
        assert!(observer.0.lock().unwrap().is_none(), "nothing was trained");
        verify(&engine, true).unwrap();
    }
}
