//! An ensemble that stays loaded answers as a fresh command would, and never from a state that saw an erased record.
#![expect(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "tests write their tables by hand, and stop at what they do not expect"
)]

mod common;
mod tap;

use std::{
    fs,
    path::Path,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};

use common::{BOOST, Bench, COUNTED, FOREST, LINEAR, MLP, RIDGE, Row, Setup, csv, rows, without};
use sisa::engine::{Answers, DeleteRequest, Engine, Error, Input, Quiet, Serving, VerifyRequest};
use tap::Tap;

/// A workspace with the table that its answers are asked for.
fn bench(learner: &'static str, rows: &[Row]) -> (Bench, Input) {
    let bench = Bench::trained(&Setup { shards: 4, slices: 2, holdout: 0.0, learner, ..Setup::default() }, rows);
    let asked = bench.root().join("asked.csv");
    fs::write(&asked, csv(rows)).unwrap();
    (bench, Input::from(asked))
}

fn erase(person: u32) -> DeleteRequest {
    DeleteRequest { subjects: vec![person.to_string()], ..DeleteRequest::default() }
}

/// What a workspace that never had the person answers.
fn anew(learner: &'static str, rows: &[Row], person: u32, input: &Input) -> Answers {
    let (bench, _) = bench(learner, &without(rows, |row| row.person == person));
    bench.engine().scores(input, &Quiet).unwrap()
}

#[test]
fn rows_are_scored_together_however_few_of_them_a_batch_of_their_source_has() {
    let rows = rows(60);
    let (bench, input) = bench(MLP, &rows);
    let expected = bench.engine().scores(&input, &Quiet).unwrap().scores;
    let narrow = csv(&rows);
    // Sixteen rows of it are a batch.
    let long = "x".repeat(8000);
    let (mut lines, mut notes) = (narrow.lines(), Vec::new());
    let mut wide = format!("{},note\n", lines.next().unwrap());
    for (at, line) in lines.enumerate() {
        notes.push(format!("{at}{long}"));
        wide.push_str(&format!("{line},{at}{long}\n"));
    }
    let asked = bench.root().join("wide.csv");
    fs::write(&asked, wide).unwrap();
    let mut told = Vec::new();
    let ids = ["note".to_owned()];
    let note = |named: &sisa::engine::Named, _: &[String], scores: &sisa::predict::Scores| {
        told.push((named.cells.clone(), scores.clone()));
        Ok(())
    };
    assert_eq!(bench.engine().predict_named(&Input::from(asked), &ids, &Quiet, note).unwrap() as usize, rows.len());
    assert!(told == [(notes, expected)], "in {} parts", told.len());
}

#[test]
fn what_stays_loaded_answers_as_a_command_does_before_and_after_a_deletion_by_another_engine() {
    for learner in [LINEAR, MLP, FOREST, COUNTED, RIDGE, BOOST] {
        let rows = rows(60);
        let (bench, input) = bench(learner, &rows);
        let serving = bench.engine().serving().unwrap();
        let before = serving.scores(&input, &Quiet).unwrap();
        let (mut commands, mut count) = (Vec::new(), 0);
        count += bench
            .engine()
            .predict(&input, &Quiet, |_, s| {
                commands.extend_from_slice(&s.values);
                Ok(())
            })
            .unwrap();
        assert_eq!(count as usize, rows.len());
        assert_eq!(before.scores.values, commands, "{learner}");
        assert_eq!(&*before.classes, ["few", "many"]);
        assert_eq!(serving.scores(&input, &Quiet).unwrap(), before, "asked again");

        bench.delete(&erase(7));
        let after = serving.scores(&input, &Quiet).unwrap();
        assert!(after.epoch.entry > before.epoch.entry);
        assert_eq!((&after.epoch.generation, &after.epoch.recipe), (&before.epoch.generation, &before.epoch.recipe));
        assert_eq!(after.scores, anew(learner, &rows, 7, &input).scores, "{learner}");
        assert_ne!(after.scores, before.scores, "the test would not see a difference");
    }
}

/// Checkpoints read while `work` is done.
fn checkpoints_read(read: &Mutex<Vec<String>>, work: impl FnOnce()) -> Vec<String> {
    read.lock().unwrap().clear();
    work();
    read.lock().unwrap().clone()
}

#[test]
fn a_deletion_loads_one_shard_again_and_an_answer_without_one_loads_nothing() {
    let rows = rows(60);
    let (bench, input) = bench(MLP, &rows);
    let read = Arc::new(Mutex::new(Vec::new()));
    let ear = read.clone();
    let tap = Tap::new(move |what, path: &Path| {
        if what == "read" && path.extension().is_some_and(|e| e == "ckpt") {
            ear.lock().unwrap().push(path.parent().unwrap().file_name().unwrap().to_str().unwrap().to_owned());
        }
    });
    let engine = Engine::builder(bench.root()).disk(Arc::new(tap)).threads(1).open().unwrap();
    let mut serving: Option<Serving> = None;
    let loaded = checkpoints_read(&read, || serving = Some(engine.serving().unwrap()));
    assert_eq!(loaded.len(), 4, "one of each shard: {loaded:?}");
    let serving = serving.unwrap();
    assert!(checkpoints_read(&read, || drop(serving.scores(&input, &Quiet).unwrap())).is_empty());
    bench.delete(&erase(7));
    let loaded = checkpoints_read(&read, || drop(serving.scores(&input, &Quiet).unwrap()));
    assert_eq!(loaded.len(), 1, "{loaded:?}");
}

/// A table that does something when it is opened for the nth time.
struct Trigger<F> {
    input: Input,
    opened: AtomicUsize,
    at: usize,
    act: F,
}

#[test]
fn an_answer_that_a_deletion_overtakes_is_computed_again() {
    let rows = rows(60);
    let (bench, input) = bench(LINEAR, &rows);
    let before = bench.engine().scores(&input, &Quiet).unwrap();
    // The deletion comes into effect after the rows were opened to be scored, and so after the first look.
    let act = {
        let root = bench.root().to_owned();
        move || {
            let engine = Engine::builder(&root).threads(1).wait(true).open().unwrap();
            engine.delete(&erase(7), &Quiet, |_, _, _| {}).unwrap();
        }
    };
    let table = Trigger { input: input.clone(), opened: AtomicUsize::new(0), at: 1, act };
    let serving = bench.engine().serving().unwrap();
    let answers = serving.scores(&Input::new().with(table), &Quiet).unwrap();
    assert_eq!(answers.scores, anew(LINEAR, &rows, 7, &input).scores);
    assert!(answers.epoch.entry > before.epoch.entry);
    assert_ne!(answers.scores, before.scores);
}

impl<F> std::fmt::Debug for Trigger<F> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Trigger").finish_non_exhaustive()
    }
}

impl<F: Fn() + Send + Sync> sisa::engine::Table for Trigger<F> {
    fn name(&self) -> &str {
        "trigger"
    }

    fn open(&self) -> Result<Box<dyn sisa::engine::Source>, sisa::engine::SourceError> {
        let mut opened = self.input.open(&sisa::source::TextForm::default())?;
        if self.opened.fetch_add(1, Ordering::SeqCst) + 1 == self.at {
            (self.act)();
        }
        Ok(opened.remove(0))
    }
}

#[test]
fn what_can_not_be_loaded_leaves_no_old_answer() {
    let rows = rows(40);
    let bench = Bench::trained(&Setup { shards: 1, slices: 1, holdout: 0.0, learner: LINEAR, ..Setup::default() }, &rows);
    let asked = bench.root().join("asked.csv");
    fs::write(&asked, csv(&rows)).unwrap();
    let input = Input::from(asked);
    let serving = bench.engine().serving().unwrap();
    let before = serving.scores(&input, &Quiet).unwrap();
    bench.delete(&DeleteRequest { defer: true, ..erase(3) });
    for _ in 0..2 {
        assert!(matches!(serving.scores(&input, &Quiet), Err(Error::Predict(_))), "no clean checkpoint is left");
        assert!(serving.epoch().is_err());
    }
    bench.engine().repair(&Input::new(), false, &Quiet).unwrap();
    let after = serving.scores(&input, &Quiet).unwrap();
    assert!(after.epoch.entry > before.epoch.entry && after.scores != before.scores);
}

#[test]
fn a_process_that_stays_reads_each_entry_of_the_ledger_once() {
    let rows = rows(60);
    let (bench, input) = bench(RIDGE, &rows);
    let read = Arc::new(Mutex::new(0));
    let ear = read.clone();
    let tap = Tap::new(move |what, path: &Path| {
        let entry = path.extension().is_some_and(|e| e == "json") && path.parent().is_some_and(|p| p.ends_with("ledger"));
        if what == "read" && entry {
            *ear.lock().unwrap() += 1;
        }
    });
    let engine = Engine::builder(bench.root()).disk(Arc::new(tap)).threads(1).stays(true).open().unwrap();
    let reads = |person| {
        *read.lock().unwrap() = 0;
        engine.delete(&DeleteRequest { defer: true, ..erase(person) }, &Quiet, |_, _, _| {}).unwrap();
        *read.lock().unwrap()
    };
    reads(0);
    let few = reads(1);
    (2..20).for_each(|person| assert_eq!(reads(person), few, "{person} requests behind it"));
    // What others write is noticed, and the next entry continues theirs.
    bench.delete(&DeleteRequest { defer: true, ..erase(20) });
    assert_eq!(engine.waiting().unwrap(), bench.engine().waiting().unwrap());
    reads(21);
    bench.delete(&erase(22));
    assert_eq!(engine.status().unwrap().ledger_entries, bench.engine().status().unwrap().ledger_entries);
    assert_eq!(engine.scores(&input, &Quiet).unwrap(), bench.engine().scores(&input, &Quiet).unwrap());
    let verdict = bench.engine().verify(&VerifyRequest { retrain: true, ..VerifyRequest::default() }, &Quiet).unwrap();
    assert_eq!(verdict.findings, vec![]);
    // An entry that is damaged is no longer passed over once somebody looks at it.
    let mut entries: Vec<_> =
        fs::read_dir(bench.root().join("shards/ledger")).unwrap().map(|entry| entry.unwrap().path()).collect();
    entries.retain(|path| path.extension().is_some_and(|e| e == "json"));
    entries.sort();
    fs::write(entries.last().unwrap(), b"{}").unwrap();
    assert!(bench.engine().waiting().is_err());
}
