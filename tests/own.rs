//! Learners of one's own: programs that run as workers. Bytes against the judge in `oracle/`, whatever happens to the workers.
#![expect(
    clippy::disallowed_methods,
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "a test stops at what it does not expect, and says where"
)]

mod common;
mod oracle;
mod tape;

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use common::{Bench, Row, Setup, StopAfter, rows, without};
use sisa::engine::{
    DeleteRequest, Engine, Error, ErrorKind, Input, Overrides, Quiet, ShardId, TrainReport, TrainRequest, VerifyRequest,
};
use tape::{fault, rewrite, said, setup, sisa, workers};

fn judged(row: &Row) -> oracle::Row {
    let names = ["age", "cost", "site", "town", "level"];
    let mut cells: Vec<String> = row.cells.split(',').map(str::to_owned).collect();
    let label = cells.pop().unwrap();
    oracle::Row {
        subject: Some(row.person.to_string()),
        record: vec![row.person.to_string(), row.year.to_string()],
        cells: names.into_iter().map(str::to_owned).zip(cells).collect(),
        label,
    }
}

/// What differs from the files that training on exactly these rows writes.
fn difference(bench: &Bench, rows: &[Row]) -> Option<String> {
    let engine = bench.engine();
    let workspace = engine.workspace();
    let snapshot = workspace.snapshot().unwrap();
    let (current, _) = workspace.serving(&snapshot).unwrap();
    let shards = workspace.generation_dir(current.generation);
    let checkpoints = workspace.recipe_dir(current.generation, &current.recipe);
    let setup = oracle::Setup {
        handle_key: *workspace.handle_key().unwrap().bytes(),
        model_key: *workspace.serving_model(&snapshot).unwrap().shards.key().bytes(),
        partition_json: fs::read(shards.join("partition.json")).unwrap(),
        recipe_json: fs::read(checkpoints.join("recipe.json")).unwrap(),
    };
    let rows: Vec<oracle::Row> = rows.iter().map(judged).collect();
    oracle::first_difference(&oracle::expected(&setup, &rows), &shards, &checkpoints)
}

fn try_train(bench: &Bench, request: &TrainRequest) -> Result<TrainReport, Error> {
    bench.engine().train(request, &Quiet)
}

#[test]
fn every_file_is_the_one_that_the_judge_computes() {
    for (schedule, keep, slices) in [("cumulative", None, 4), ("replay", Some(1), 4), ("front", None, 1)] {
        let setup = Setup { schedule, keep, slices, ..setup() };
        let table = rows(40);
        let bench = Bench::trained(&setup, &table);
        assert_eq!(difference(&bench, &table), None, "{schedule}");
    }
}

/// Delete, defer, interrupt, cut off, workers that die: 20 of them.
#[test]
fn any_history_ends_where_the_remaining_records_begin() {
    std::thread::scope(|scope| {
        for part in 0..4_u64 {
            scope.spawn(move || (0..20).filter(|seed| seed % 4 == part).for_each(history));
        }
    });
}

fn history(seed: u64) {
    let mut state = seed;
    let mut below = |n: u64| {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % n
    };
    let mut remaining = rows(12 + below(20) as u32);
    let setup = Setup {
        slices: 1 + below(4) as u32,
        schedule: ["cumulative", "replay", "front"][below(3) as usize],
        keep: [None, Some(1)][below(2) as usize],
        ..setup()
    };
    let bench = Bench::new(&setup, &remaining);
    // Some shards first, as if the run had been cut off.
    let first = TrainRequest { only_shards: Some(vec![ShardId(below(2) as u32)]), ..bench.request() };
    try_train(&bench, &first).unwrap();
    let mut history = Vec::new();
    for _ in 0..6 {
        let dice = below(8);
        history.push(dice);
        match dice {
            0 => drop(try_train(&bench, &bench.request())),
            1 => {
                let stop = StopAfter((below(20) as i64).into());
                drop(bench.engine().train(&bench.request(), &stop));
            }
            2 | 3 => {
                let what = ["die", "exit", "print", "fail", "wrong"][below(5) as usize];
                fault(&bench, below(3) as u32, 1 + below(20) as u32, what);
                drop(try_train(&bench, &bench.request()));
                let _ = fs::remove_file(bench.root().join("fault"));
            }
            _ if remaining.is_empty() => {}
            _ => {
                let person = remaining[below(remaining.len() as u64) as usize].person;
                let request = DeleteRequest { subjects: vec![person.to_string()], defer: dice > 5, ..DeleteRequest::default() };
                bench.delete(&request);
                remaining = without(&remaining, |row| row.person == person);
            }
        }
    }
    bench.engine().repair(&Input::new(), false, &Quiet).unwrap();
    let report = bench.train();
    assert!(report.complete, "{report:?}");
    assert_eq!(difference(&bench, &remaining), None, "seed {seed}, {setup:?}: {history:?}");
    assert_eq!(workers(&bench), Vec::<PathBuf>::new(), "a worker outlives its command");
}

/// Copies a folder.
fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap().map(|entry| entry.unwrap()) {
        let to = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() { copy(&entry.path(), &to) } else { assert!(fs::copy(entry.path(), to).is_ok()) }
    }
}

#[test]
fn a_worker_that_is_killed_at_any_message_leaves_its_shard_at_its_prefix() {
    let table = rows(30);
    let frozen = Bench::new(&setup(), &table);
    frozen.engine().import(&frozen.request(), &Quiet).unwrap();
    let whole = Bench::trained(&setup(), &table).artefacts();
    let mut at = 0;
    loop {
        at += 1;
        let bench = Bench { dir: tempfile::tempdir().unwrap(), threads: 1 };
        copy(frozen.root(), bench.root());
        // The first worker is the probe's.
        fault(&bench, 1, at, "die");
        let report = bench.train();
        if report.complete {
            assert!(at > 12, "only {at} frames");
            break;
        }
        let stops: Vec<(ShardId, String)> = report.report.diverged().map(|(shard, what)| (shard, what.to_owned())).collect();
        assert_eq!(stops.len(), 1, "the other shard is whole");
        assert!(stops[0].1.contains("signal 9"), "{stops:?}");
        // What is there is what is wanted, of fewer steps.
        for (path, bytes) in bench.artefacts() {
            assert_eq!(Some(&bytes), whole.get(&path), "{} after a kill at {at}", path.display());
        }
        assert!(bench.artefacts().len() < whole.len());
        assert!(bench.train().complete);
        common::assert_same(&bench.artefacts(), &whole, "afterwards");
    }
}

#[test]
fn what_a_worker_does_wrong_is_said_and_is_one_shards_error() {
    let table = rows(14);
    let run = |lines: &str, at: u32, what: &str| {
        let bench = Bench::new(&setup(), &table);
        rewrite(&bench, "seconds = 60", lines);
        bench.engine().import(&bench.request(), &Quiet).unwrap();
        fault(&bench, 1, at, what);
        let output = sisa(&bench, &std::env::var("PATH").unwrap(), &["--threads", "1", "train"]);
        assert_eq!(output.status.code(), Some(8), "{what}: {}", said(&output));
        assert!(bench.train().complete);
        assert_eq!(difference(&bench, &table), None);
        said(&output) + &String::from_utf8_lossy(&output.stdout)
    };
    let patient = "seconds = 60";
    let expected = [
        (patient, "exit", "(exit code 1); its last words: out of sorts"),
        (patient, "print", "something else may have been printed to its output"),
        (patient, "fail", "it says: no more"),
        (patient, "wrong", "it answered by a frame 'Z' where 'K' is due"),
        ("seconds = 5", "hang", "no answer within `seconds` = 5"),
        ("seconds = 60\nmemory_mb = 500", "eat", "MemoryError"),
    ];
    std::thread::scope(|scope| {
        for (lines, what, message) in expected {
            scope.spawn(move || {
                let text = run(lines, 4, what);
                assert!(text.contains(message), "{what}: {text}");
            });
        }
    });
}

#[test]
fn what_needs_no_learner_works_where_its_program_is_not() {
    let table = rows(30);
    let bench = Bench::trained(&setup(), &table);
    let nowhere = "/nonexistent";
    let fine = |args: &[&str]| {
        let output = sisa(&bench, nowhere, args);
        assert!(output.status.success(), "{args:?}: {}", said(&output));
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    fine(&["status"]);
    fine(&["delete", "--subject", "3", "--request-id", "r", "--defer"]);
    assert!(fine(&["log"]).contains('r'));
    assert!(fine(&["receipt", "r"]).contains("effective"));
    fine(&["verify"]);
    fine(&["status"]);
    // What trains says what it lacks, and the request stays effective.
    let output = sisa(&bench, nowhere, &["train"]);
    let text = said(&output);
    assert!(!output.status.success() && text.contains("`python3` can't be started"), "{text}");
    assert!(bench.train().complete);
    assert_eq!(difference(&bench, &without(&table, |row| row.person == 3)), None);
}

#[test]
fn a_learner_that_reads_the_clock_is_refused_before_anything_is_trained() {
    let bench = Bench::new(&setup(), &rows(14));
    rewrite(&bench, "seconds = 60", "seconds = 60\nsettings = { clock = true }");
    let error = try_train(&bench, &bench.request()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Input);
    assert!(error.to_string().contains("different states before any row"), "{error}");
    assert!(bench.artefacts().keys().all(|path| path.extension().unwrap() != "ckpt"));
    // Mended, the same rows are trained.
    rewrite(&bench, "clock = true", "clock = false");
    assert!(bench.train().complete);
}

#[test]
fn another_machine_refuses_to_go_on_and_says_how() {
    let table = rows(30);
    let bench = Bench::trained(&setup(), &table);
    let before = bench.artefacts();
    fs::write(bench.root().join("machine"), "two").unwrap();
    // Nothing is missing, so nothing is asked.
    assert!(bench.train().complete);
    bench.delete(&DeleteRequest { subjects: vec!["3".into()], defer: true, ..DeleteRequest::default() });
    // Another process, as on another machine.
    let error = said(&sisa(&bench, &std::env::var("PATH").unwrap(), &["train"]));
    assert!(error.contains("machine: one there, two here") && error.contains("another `edition`"), "{error}");
    // The advice works.
    rewrite(&bench, "seconds = 60", "seconds = 60\nedition = 2");
    assert!(bench.train().complete);
    let old = |path: &&PathBuf| path.extension().is_some_and(|e| e == "ckpt") && before.contains_key(*path);
    assert_eq!(bench.artefacts().keys().filter(old).count(), 0);
    let again = VerifyRequest { retrain: true, sample: None, receipts: Vec::new() };
    assert!(bench.engine().verify(&again, &Quiet).unwrap().findings.is_empty());
}

#[test]
fn code_that_changed_is_not_run_for_states_of_the_old_one() {
    let table = rows(30);
    let bench = Bench::new(&setup(), &table);
    fs::copy(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/tape.py"), bench.root().join("own.py")).unwrap();
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/tape.py");
    let config = bench.root().join("sisa.toml");
    fs::write(&config, fs::read_to_string(&config).unwrap().replace(path, "own.py")).unwrap();
    let first = bench.train();
    assert!(first.complete, "a file of the workspace's folder, by its name there");
    assert_eq!(difference(&bench, &table), None);
    let code = fs::read_to_string(bench.root().join("own.py")).unwrap();
    fs::write(bench.root().join("own.py"), code.replace("sum_ & 0xFFFFFFFF), batches", "sum_ + 1 & 0xFFFFFFFF), batches"))
        .unwrap();
    bench.delete(&DeleteRequest { subjects: vec!["3".into()], defer: true, ..DeleteRequest::default() });
    let output = sisa(&bench, &std::env::var("PATH").unwrap(), &["repair"]);
    let error = said(&output);
    assert_eq!(output.status.code(), Some(3), "{error}");
    assert!(error.contains("own.py is not what the recipe was frozen with"), "{error}");
    let second = bench.train();
    assert!(second.complete && second.recipe != first.recipe);
}

#[test]
fn a_worker_that_answers_ends_with_what_it_knew() {
    let table = rows(30);
    let bench = Bench::trained(&setup(), &table);
    let engine = bench.engine();
    let serving = engine.serving().unwrap();
    let input = Input::from(bench.root().join("table.csv").as_path());
    let before = serving.scores(&input, &Quiet).unwrap();
    // Another that answers leaves, and with it the worker, which knew its states.
    assert_eq!(before, engine.scores(&input, &Quiet).unwrap());
    assert_eq!(workers(&bench), Vec::<PathBuf>::new());
    assert_eq!(serving.scores(&input, &Quiet).unwrap(), before);
    let [first] = &workers(&bench)[..] else { panic!("one worker for all states") };
    // It may be killed: it is started again, and answers the same.
    Command::new("kill").args(["-9", first.file_name().unwrap().to_str().unwrap()]).status().unwrap();
    assert_eq!(serving.scores(&input, &Quiet).unwrap(), before);
    let [second] = &workers(&bench)[..] else { panic!("one worker again") };
    assert_ne!(first, second);
    bench.delete(&DeleteRequest { subjects: vec!["3".into()], defer: true, ..DeleteRequest::default() });
    let after = serving.scores(&input, &Quiet).unwrap();
    assert!(after.scores != before.scores && !workers(&bench).contains(second));
    drop((serving, engine));
    assert_eq!(workers(&bench), Vec::<PathBuf>::new());
}

#[test]
fn settings_of_learners_of_ones_own_are_their_own() {
    let bench = Bench::new(&setup(), &rows(14));
    let error = |request: TrainRequest| try_train(&bench, &request).unwrap_err().to_string();
    let rate = Overrides { rate: Some(0.1), ..Overrides::default() };
    assert!(error(TrainRequest { overrides: rate, ..bench.request() }).contains("`external` has no learning rate"));
    rewrite(&bench, "seconds = 60", "probe = \"00\"");
    assert!(error(bench.request()).contains("sisa.toml"));
    rewrite(&bench, "probe = \"00\"", "environment = { machine = \"one\" }");
    assert!(error(bench.request()).contains("environment is written down"));
    rewrite(&bench, "environment = { machine = \"one\" }", "seconds = 60");
    rewrite(&bench, "code = [\"", "code = [\"no such file\", \"");
    assert!(error(bench.request()).contains("no such file"));
    let _ = Engine::open(bench.root()).unwrap();
}
