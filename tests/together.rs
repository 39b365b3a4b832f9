//! Deletions that wait for the writer lock come into effect together.
#![expect(clippy::disallowed_methods, reason = "a test writes a table by hand")]
#![expect(clippy::unwrap_used, reason = "a test stops at what it does not expect")]

mod common;
mod tap;

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use common::{Bench, COUNTED, FOREST, LINEAR, RIDGE, Setup, assert_same, rows, without};
use sisa::engine::{DeleteError, DeleteReport, DeleteRequest, Engine, Error, ErrorKind, Quiet};
use tap::Tap;

fn of(person: u32, name: &str) -> DeleteRequest {
    DeleteRequest { subjects: vec![person.to_string()], request_id: Some(name.into()), ..DeleteRequest::default() }
}

/// Starts a thread for each request while another writer holds the lock, and lets go once all of them wait.
fn all_at_once(engine: &Engine, requests: &[DeleteRequest]) -> Vec<Result<DeleteReport, Error>> {
    let writing = engine.workspace().write(true).unwrap();
    std::thread::scope(|scope| {
        let delete = |request| scope.spawn(move || engine.delete(request, &Quiet, |_, _, _| ()));
        let threads: Vec<_> = requests.iter().map(delete).collect();
        while engine.waiting_deletions() < requests.len() {
            std::thread::yield_now();
        }
        writing.done().unwrap();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    })
}

#[test]
fn each_slice_is_written_once_and_every_request_has_its_entries() {
    for learner in [LINEAR, RIDGE, FOREST, COUNTED] {
        let setup = Setup { shards: 2, slices: 2, epochs: 1, learner, ..Setup::default() };
        let all = rows(80);
        let bench = Bench::trained(&setup, &all);
        let tap = Arc::new(Tap::default());
        let engine = Engine::builder(bench.root()).disk(tap.clone()).threads(2).wait(true).open().unwrap();
        let people: Vec<u32> = (1..=12).collect();
        let requests: Vec<DeleteRequest> = people.iter().map(|person| of(*person, &format!("q{person}"))).collect();
        for (report, request) in all_at_once(&engine, &requests).into_iter().zip(&requests) {
            let report = report.unwrap();
            assert_eq!(Some(&report.accepted.request), request.request_id.as_ref());
            assert!(!report.repeated && !report.any_unknown(), "{report:?}");
        }
        let mut slices = tap.renamed();
        slices.retain(|path| path.extension().is_some_and(|e| e == "slice"));
        let count = slices.len();
        slices.sort();
        slices.dedup();
        assert!(count > 0 && slices.len() == count, "{count} renames of {} slices", slices.len());
        let fresh = Bench::trained(&setup, &without(&all, |row| people.contains(&row.person)));
        assert_same(&bench.artefacts(), &fresh.artefacts(), "all at once");
        let requests = engine.log().unwrap();
        assert!(requests.len() == people.len() && requests.iter().all(|r| r.effective.is_some() && r.repaired.is_some()));
    }
}

#[test]
fn one_request_sent_many_times_is_accepted_once() {
    let setup = Setup { shards: 2, slices: 2, learner: LINEAR, epochs: 1, ..Setup::default() };
    let bench = Bench::trained(&setup, &rows(40));
    let engine = Engine::builder(bench.root()).threads(2).wait(true).open().unwrap();
    // One of the name with other ids, and one that nobody knows, stand in nobody's way.
    let mut requests = vec![of(3, "q"); 8];
    requests.push(of(900, "unknown"));
    let answers = all_at_once(&engine, &requests);
    let repeated = answers[..8].iter().filter(|report| report.as_ref().unwrap().repeated).count();
    assert_eq!(repeated, 7);
    assert!(answers[8].as_ref().unwrap().any_unknown());
    let answers = all_at_once(&engine, &[of(4, "q"), of(4, "r")]);
    assert_eq!(answers[0].as_ref().unwrap_err().kind(), ErrorKind::Input);
    assert!(!answers[1].as_ref().unwrap().repeated);
    let fresh = Bench::trained(&setup, &without(&rows(40), |row| [3, 4].contains(&row.person)));
    assert_same(&bench.artefacts(), &fresh.artefacts(), "many times");
}

/// A name is that of a request, and whether later imports may bring the ids again is part of it.
#[test]
fn a_repeat_that_asks_for_another_suppression_is_told_so() {
    let setup = Setup { shards: 2, slices: 2, learner: LINEAR, epochs: 1, ..Setup::default() };
    let bench = Bench::trained(&setup, &rows(40));
    let engine = Engine::builder(bench.root()).threads(2).wait(true).open().unwrap();
    let refused = |answer: &Result<DeleteReport, Error>| matches!(answer, Err(Error::Delete(DeleteError::OtherSuppression { suppresses, .. })) if !suppresses);
    let weak = |person, name| DeleteRequest { no_suppress: true, ..of(person, name) };
    assert!(!engine.delete(&weak(3, "q"), &Quiet, |_, _, _| ()).unwrap().repeated);
    assert!(refused(&engine.delete(&of(3, "q"), &Quiet, |_, _, _| ())));
    assert!(engine.delete(&weak(3, "q"), &Quiet, |_, _, _| ()).unwrap().repeated);
    assert!(!engine.delete(&of(3, "r"), &Quiet, |_, _, _| ()).unwrap().repeated);
    assert_eq!(engine.status().unwrap().suppressed, 1);
    // Also of those that come into effect together.
    let answers = all_at_once(&engine, &[weak(4, "s"), of(4, "s")]);
    assert_eq!(
        answers.iter().filter(|answer| matches!(answer, Err(Error::Delete(DeleteError::OtherSuppression { .. })))).count(),
        1
    );
}

/// Rows are taken by their content: of two requests for the same record, one takes it.
#[test]
fn requests_by_content_among_them_take_what_the_others_leave() {
    let setup = Setup { shards: 2, slices: 2, learner: LINEAR, epochs: 1, ..Setup::default() };
    let bench = Bench::trained(&setup, &rows(40));
    let engine = Engine::builder(bench.root()).threads(2).wait(true).open().unwrap();
    let row = bench.root().join("row.csv");
    let text = std::fs::read_to_string(bench.root().join("table.csv")).unwrap();
    let lines: Vec<&str> = text.lines().take(2).collect();
    std::fs::write(&row, lines.join("\n")).unwrap();
    let by_content =
        |name: &str| DeleteRequest { rows: row.clone().into(), request_id: Some(name.into()), ..DeleteRequest::default() };
    let person: u32 = lines[1].split(',').next().unwrap().parse().unwrap();
    let answers = all_at_once(&engine, &[by_content("a"), of(person % 40 + 1, "b"), by_content("c")]);
    let taken = |at: usize| answers[at].as_ref().unwrap().accepted.outcomes.iter().map(|o| o.in_slices + o.held_out).sum::<u64>();
    assert_eq!(taken(0) + taken(2), 1, "{answers:?}");
    assert_eq!(
        engine.verify(&sisa::engine::VerifyRequest { retrain: true, ..Default::default() }, &Quiet).unwrap().findings,
        vec![]
    );
}

/// Where another process writes and nobody is to wait, every one of them is told so, and none is left in the queue.
#[test]
fn busy_is_busy_for_all() {
    let bench = Bench::trained(&Setup { learner: LINEAR, epochs: 1, ..Setup::default() }, &rows(40));
    let engine = Engine::builder(bench.root()).threads(2).open().unwrap();
    let writing = engine.workspace().write(true).unwrap();
    let busy = AtomicBool::new(true);
    std::thread::scope(|scope| {
        for person in 1..5 {
            let (engine, busy) = (&engine, &busy);
            scope.spawn(move || {
                let told = engine.delete(&of(person, &format!("q{person}")), &Quiet, |_, _, _| ());
                busy.fetch_and(told.unwrap_err().kind() == ErrorKind::Retry, Ordering::SeqCst);
            });
        }
    });
    assert!(busy.into_inner());
    assert_eq!(engine.waiting_deletions(), 0);
    drop(writing);
}
