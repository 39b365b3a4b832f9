//! Commands that meet, as in `meet.rs`: those that bring, change and take rows, where rows are taken out of states and where not. What the
//! ledger says was done is done, and every byte is as if those rows alone had come.
#![expect(clippy::unwrap_used, reason = "a test stops at what it does not expect")]
#![expect(clippy::disallowed_methods, reason = "a test writes tables by hand")]

mod common;
mod tap;

use std::{
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
};

use common::{Bench, LINEAR, RIDGE, Row, Setup, assert_same, csv, rows, without};
use sisa::engine::{
    AppendRequest, CorrectRequest, DeleteRequest, Engine, Error, ErrorKind, Input, PackRequest, Quiet, VerifyRequest,
    train_bundle,
};
use tap::Tap;

/// Of each pair of commands; `SISA_MEETINGS` says another number.
const MEETINGS: u64 = 3;

type Act = fn(&Engine) -> Result<(), Error>;

fn table(engine: &Engine, name: &str, rows: &[Row]) -> PathBuf {
    let path = engine.workspace().root().join(name);
    std::fs::write(&path, csv(rows)).unwrap();
    path
}

fn delete(engine: &Engine, person: u32, defer: bool) -> Result<(), Error> {
    let request = DeleteRequest {
        subjects: vec![person.to_string()],
        request_id: Some(format!("d{person}")),
        defer,
        ..DeleteRequest::default()
    };
    engine.delete(&request, &Quiet, |_, _, _| ()).map(|_| ())
}

/// The first record of a person, as it is to be.
fn corrected(person: u32) -> Row {
    let row = rows(PERSONS).into_iter().find(|row| row.person == person).unwrap();
    Row { cells: "33.3,77.77,b,t3,9,few".into(), ..row }
}

fn correct(engine: &Engine, person: u32) -> Result<(), Error> {
    let sources = table(engine, &format!("c{person}.csv"), &[corrected(person)]).into();
    let request = CorrectRequest { sources, request_id: Some(format!("c{person}")), ..CorrectRequest::default() };
    engine.correct(&request, &Quiet, |_, _, _| ()).map(|_| ())
}

/// New people, and more of some who may be deleted meanwhile.
fn batch() -> Vec<Row> {
    let of = |person, year| Row { person, year, cells: format!("4{year}.5,{person}.25,a,t{year},7,many") };
    (100..112).map(|person| of(person, 1)).chain([3, 5, 8].map(|person| of(person, 9))).collect()
}

fn append(engine: &Engine) -> Result<(), Error> {
    let request = AppendRequest {
        sources: table(engine, "batch.csv", &batch()).into(),
        name: Some("b".into()),
        ..AppendRequest::default()
    };
    engine.append(&request, &Quiet, |_, _, _| ()).map(|_| ())
}

/// What is missing is trained elsewhere.
fn elsewhere(engine: &Engine) -> Result<(), Error> {
    for shard in engine.to_train(true)? {
        if let Some(packed) = engine.pack(PackRequest { shard, serving: true }, &Quiet)? {
            engine.unpack(&train_bundle(&packed.bytes, 1, &Quiet)?)?;
        }
    }
    Ok(())
}

const FIRSTS: [(&str, Act); 6] = [
    ("delete", |engine| delete(engine, 3, false)),
    ("correct", |engine| correct(engine, 8)),
    ("append", append),
    ("repair", |engine| engine.repair(&Input::new(), false, &Quiet).map(|_| ())),
    ("elsewhere", elsewhere),
    ("unsuppress", |engine| engine.unsuppress(&["7".into()], &[]).map(|_| ())),
];

const MEANWHILE: [(&str, Act); 3] =
    [("delete", |engine| delete(engine, 5, false)), ("correct", |engine| correct(engine, 9)), ("append", append)];

const PERSONS: u32 = 40;

fn setup(learner: &'static str) -> Setup {
    Setup { shards: 2, slices: 2, holdout: 0.2, learner, epochs: 1, ..Setup::default() }
}

fn engine(root: &Path, tap: Tap) -> Engine {
    Engine::builder(root).disk(Arc::new(tap)).threads(1).wait(true).open().unwrap()
}

fn copy(of: &Bench) -> Bench {
    let copy = Bench { dir: tempfile::tempdir().unwrap(), threads: 1 };
    for path in of.files().keys().chain([&"sisa.toml".into(), &"table.csv".into()]) {
        let to = copy.root().join(path);
        std::fs::create_dir_all(to.parent().unwrap()).unwrap();
        std::fs::copy(of.root().join(path), to).unwrap();
    }
    copy
}

/// Runs `first`, and `second` at its operation `at` of those at which it holds no lock. Returns what became of both, and how many there were.
fn meet(bench: &Bench, first: Act, second: Option<Act>, at: u64) -> (Result<(), Error>, Result<(), Error>, u64) {
    let count = Arc::new(AtomicU64::new(0));
    let between: Arc<Mutex<Option<Result<(), Error>>>> = Arc::default();
    let other = engine(bench.root(), Tap::default());
    let ear = {
        let (between, count) = (between.clone(), count.clone());
        move |_: &str, _: &Path| {
            if count.fetch_add(1, Ordering::SeqCst) == at
                && let Some(second) = second
            {
                *between.lock().unwrap() = Some(second(&other));
            }
        }
    };
    let outcome = first(&engine(bench.root(), Tap::new(ear)));
    let between = between.lock().unwrap().take().unwrap_or(Ok(()));
    (outcome, between, count.load(Ordering::SeqCst))
}

fn check_end(bench: &Bench, learner: &'static str, what: &str) {
    let engine = engine(bench.root(), Tap::default());
    assert!(engine.repair(&Input::new(), false, &Quiet).unwrap_or_else(|e| panic!("{what}: {e}")).complete, "{what}");
    let verdict = engine.verify(&VerifyRequest { retrain: true, ..VerifyRequest::default() }, &Quiet).unwrap();
    assert!(verdict.findings.is_empty(), "{what}: {:?}", verdict.findings);
    let status = engine.status().unwrap();
    assert!(status.unrepaired.is_empty(), "{what}");
    let done = |name: String| engine.deletion(&name).unwrap().is_some();
    let gone = |row: &Row| [3, 5, 7].contains(&row.person) && done(format!("d{}", row.person));
    let stands = |row: Row| {
        let new = corrected(row.person);
        if row.year == new.year && done(format!("c{}", row.person)) { new } else { row }
    };
    let fresh = Bench::trained(&setup(learner), &without(&rows(PERSONS), gone).into_iter().map(stands).collect::<Vec<_>>());
    if status.batches == 2 {
        let left = table(&fresh.engine(), "batch.csv", &without(&batch(), gone));
        let request = AppendRequest { sources: left.into(), name: Some("b".into()), ..AppendRequest::default() };
        fresh.engine().append(&request, &Quiet, |_, _, _| ()).unwrap();
    }
    assert_same(&bench.artefacts(), &fresh.artefacts(), what);
}

fn all_pairs(learner: &'static str) {
    let start = Bench::trained(&setup(learner), &rows(PERSONS));
    delete(&start.engine(), 7, true).unwrap();
    #[expect(clippy::disallowed_methods, reason = "how much is tested is for whoever tests to say")]
    let meetings = std::env::var("SISA_MEETINGS").map_or(MEETINGS, |n| n.parse().unwrap());
    for (first_name, first) in FIRSTS {
        let (alone, _, all) = meet(&copy(&start), first, None, 0);
        alone.unwrap();
        for (second_name, second) in MEANWHILE.into_iter().filter(|second| (first_name, second.0) != ("append", "append")) {
            for n in 0..meetings {
                let at = (n * all + (all * second_name.len() as u64) / 23 % all.max(1)) / meetings;
                let what = format!("{learner}: {first_name} with {second_name} in its moment {at} of {all}");
                let bench = copy(&start);
                let (outcome, between, _) = meet(&bench, first, Some(second), at);
                if let Err(e) = &outcome {
                    assert_eq!(e.kind(), ErrorKind::Retry, "{what}: {e}");
                }
                between.unwrap_or_else(|e| panic!("{what}: the other: {e}"));
                check_end(&bench, learner, &what);
            }
        }
    }
}

#[test]
fn where_shards_are_trained_again() {
    all_pairs(LINEAR);
}

#[test]
fn where_rows_are_taken_out_of_states() {
    all_pairs(RIDGE);
}
