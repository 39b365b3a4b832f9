//! An engine with one thread of each kind, asked for everything at the same time: all of it comes to an end.
#![expect(clippy::unwrap_used, reason = "a test stops at what it does not expect")]

mod common;

use std::{sync::Arc, time::Duration};

use common::{Bench, FOREST, LINEAR, RIDGE, Setup, assert_same, rows, without};
use sisa::engine::{DeleteRequest, Engine, Error, ErrorKind, Input, Quiet, VerifyRequest};

/// Nothing here takes a tenth of that.
const ENOUGH: Duration = Duration::from_secs(120);

fn of(person: u32, defer: bool) -> DeleteRequest {
    DeleteRequest { subjects: vec![person.to_string()], defer, ..DeleteRequest::default() }
}

/// As often as something else came first.
fn again<T>(mut what: impl FnMut() -> Result<T, Error>) -> T {
    loop {
        match what() {
            Err(e) if matches!(e.kind(), ErrorKind::Retry | ErrorKind::NotReady) => std::thread::yield_now(),
            done => return done.unwrap(),
        }
    }
}

#[test]
fn with_one_thread_nobody_waits_for_himself() {
    for learner in [LINEAR, RIDGE, FOREST] {
        let setup = Setup { shards: 3, slices: 2, epochs: 2, holdout: 0.0, learner, ..Setup::default() };
        let all = rows(150);
        let bench = Bench::trained(&setup, &all);
        let engine = Arc::new(Engine::builder(bench.root()).threads(1).wait(true).stays(true).open().unwrap());
        let serving = Arc::new(engine.serving().unwrap());
        // More than are scored by the thread that asks.
        let table = Input::from(bench.root().join("table.csv"));
        assert!(all.len() > 256);
        let root = bench.root().to_owned();
        type Work = Box<dyn FnOnce() + Send>;
        let (a, b, c, d, e) = (engine.clone(), engine.clone(), engine.clone(), engine.clone(), engine.clone());
        let work: [Work; 7] = [
            Box::new(move || (1..=6).for_each(|person| drop(again(|| a.delete(&of(person, true), &Quiet, |_, _, _| ()))))),
            Box::new(move || (11..=14).for_each(|person| drop(again(|| b.delete(&of(person, false), &Quiet, |_, _, _| ()))))),
            // Another process.
            Box::new(move || {
                let other = Engine::builder(root).threads(1).wait(true).open().unwrap();
                (21..=23).for_each(|person| drop(again(|| other.delete(&of(person, false), &Quiet, |_, _, _| ()))));
            }),
            Box::new(move || (0..8).for_each(|_| drop(again(|| c.repair_waiting(&Quiet))))),
            Box::new(move || (0..12).for_each(|_| drop(again(|| serving.scores(&table, &Quiet))))),
            Box::new(move || (0..12).for_each(|_| drop(again(|| d.status())))),
            Box::new(move || {
                let request = VerifyRequest { retrain: true, ..VerifyRequest::default() };
                (0..3).for_each(|_| assert_eq!(again(|| e.verify(&request, &Quiet)).findings, []));
            }),
        ];
        let (end, ended) = std::sync::mpsc::channel();
        let count = work.len();
        for work in work {
            let end = end.clone();
            std::thread::spawn(move || {
                work();
                end.send(()).unwrap();
            });
        }
        for _ in 0..count {
            ended.recv_timeout(ENOUGH).expect("something waits for ever, or failed");
        }
        assert!(again(|| engine.repair_waiting(&Quiet)).unwrap().complete);
        let gone = |person: u32| [1..=6, 11..=14, 21..=23].iter().any(|people| people.contains(&person));
        let fresh = Bench::trained(&setup, &without(&all, |row| gone(row.person)));
        assert_same(&bench.artefacts(), &fresh.artefacts(), learner);
    }
}

/// A file has its name a moment before it is locked by who makes it.
#[test]
fn a_file_that_is_just_being_made_is_no_finding() {
    let bench = Bench::trained(&Setup { shards: 2, slices: 2, holdout: 0.0, learner: LINEAR, ..Setup::default() }, &rows(20));
    let path = bench.root().join("checkpoints/.sisa-tmp-1-1");
    let verify = || bench.engine().verify(&VerifyRequest::default(), &Quiet).unwrap().findings;
    let file = std::fs::File::create_new(&path).unwrap();
    assert_eq!(verify().iter().map(|finding| &finding.path).collect::<Vec<_>>(), [&path], "nobody comes");
    std::thread::scope(|scope| {
        let (made, done) = std::sync::mpsc::channel::<()>();
        scope.spawn(move || {
            std::thread::sleep(Duration::from_millis(100));
            file.lock().unwrap();
            let _ = done.recv();
            drop(file);
        });
        assert_eq!(verify(), []);
        drop(made);
    });
}
