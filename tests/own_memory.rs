//! No deleted row stays in a worker, a temporary file or the workspace once its deletion is in effect: sentinels are looked for in all of them.
#![expect(clippy::disallowed_methods, clippy::unwrap_used, reason = "a test stops at what it does not expect, and says where")]

mod common;
mod tape;

use std::{
    env, fs,
    io::{Read, Seek, SeekFrom},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use common::{Bench, Row, Setup, rows, without};
use sisa::engine::{DeleteRequest, Input, Quiet, Serving};
use tape::{TAPE, fault, rewrite, sisa, workers};

/// An age that nobody else has, and that no other bytes are by chance.
const SENTINEL: f32 = 31_337.127;
const PERSON: u32 = 7;

/// One shard of one slice, so that every batch has all rows; states hold them.
fn bench() -> (Bench, Vec<Row>) {
    let mut table = without(&rows(30), |row| row.person == PERSON);
    table.push(Row { person: PERSON, year: 1, cells: format!("{SENTINEL},7.00,a,t1,7,few") });
    let setup = Setup { shards: 1, slices: 1, holdout: 0.0, learner: TAPE, epochs: 1, ..Setup::default() };
    let bench = Bench::new(&setup, &table);
    rewrite(&bench, "batch = 8", "batch = 4096\nsettings = { keeps = true }");
    (bench, table)
}

fn has(bytes: &[u8]) -> bool {
    bytes.windows(4).any(|four| four == SENTINEL.to_le_bytes())
}

/// Whether a process has the sentinel in memory; one that is gone has not.
fn remembers(process: &Path) -> bool {
    let Ok(maps) = fs::read_to_string(process.join("maps")) else { return false };
    let Ok(mut memory) = fs::File::open(process.join("mem")) else { return false };
    maps.lines().filter(|line| line.split(' ').nth(1).is_some_and(|rights| rights.starts_with('r'))).any(|line| {
        let (from, to) = line.split(' ').next().unwrap().split_once('-').unwrap();
        let (from, to) = (u64::from_str_radix(from, 16).unwrap(), u64::from_str_radix(to, 16).unwrap());
        let mut bytes = vec![0; (to - from) as usize];
        // Some regions of the kernel's can't be read.
        memory.seek(SeekFrom::Start(from)).is_ok() && memory.read_exact(&mut bytes).is_ok() && has(&bytes)
    })
}

fn remembering(bench: &Bench) -> Vec<PathBuf> {
    workers(bench).into_iter().filter(|process| remembers(process)).collect()
}

/// Files of a folder that hold it, but for the table, which is the person's own.
fn files_with(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files_with(&path));
        } else if fs::read(&path).is_ok_and(|bytes| has(&bytes)) {
            found.push(path);
        }
    }
    found
}

/// Waits until something is so.
fn until(mut so: impl FnMut() -> bool) {
    let since = Instant::now();
    while !so() {
        assert!(since.elapsed() < Duration::from_secs(120), "it never is");
        thread::sleep(Duration::from_millis(20));
    }
}

fn deletion(defer: bool) -> DeleteRequest {
    DeleteRequest { subjects: vec![PERSON.to_string()], defer, ..DeleteRequest::default() }
}

/// What answers, by a worker that is at it, and what it was asked: about nobody who goes.
fn answering(bench: &Bench, table: &[Row]) -> (Serving, Input) {
    let serving = bench.engine().serving().unwrap();
    let asked = bench.root().join("asked.csv");
    fs::write(&asked, common::csv(&without(table, |row| row.person == PERSON))).unwrap();
    let input = Input::from(asked.as_path());
    serving.scores(&input, &Quiet).unwrap();
    (serving, input)
}

#[test]
fn a_worker_that_answers_ends_before_a_deletion_of_its_process_is_told() {
    for defer in [true, false] {
        let (bench, table) = bench();
        assert!(bench.train().complete);
        let (serving, input) = answering(&bench, &table);
        // What is looked for can be found: the state that answers holds the row.
        assert_eq!(remembering(&bench).len(), 1);
        assert!(!files_with(bench.root()).is_empty());
        let told = |_: &_, _: &_, _: bool| {
            assert_eq!(workers(&bench), Vec::<PathBuf>::new(), "none lives when it is in effect");
            assert_eq!(files_with(bench.root()), Vec::<PathBuf>::new());
        };
        bench.engine().delete(&deletion(defer), &Quiet, told).unwrap();
        // Whoever asks next is answered by a worker that never had it, or by nobody.
        let answered = serving.scores(&input, &Quiet).is_ok();
        assert_eq!(answered, !defer, "there is one shard alone, and it is not trained yet");
        assert_eq!((workers(&bench).len(), remembering(&bench)), (usize::from(answered), Vec::new()));
        assert_eq!(files_with(bench.root()), Vec::<PathBuf>::new());
    }
}

#[test]
fn a_worker_that_answers_elsewhere_ends_with_the_next_question() {
    let (bench, table) = bench();
    assert!(bench.train().complete);
    let (serving, input) = answering(&bench, &table);
    assert_eq!(remembering(&bench).len(), 1);
    let output = sisa(&bench, &env::var("PATH").unwrap(), &["delete", "--subject", &PERSON.to_string()]);
    assert!(output.status.success());
    serving.scores(&input, &Quiet).unwrap();
    assert_eq!((workers(&bench).len(), remembering(&bench)), (1, Vec::new()));
}

/// A worker hangs in a step with all rows in its memory. A deletion of another process, or of this one, does not wait for it; whoever trains
/// ends it, throws the step away, and trains what remains.
#[test]
fn a_worker_that_trains_ends_when_a_deletion_is_in_effect() {
    for (defer, elsewhere) in [(true, true), (false, true), (true, false)] {
        let (bench, _) = bench();
        let temporary = tempfile::tempdir().unwrap();
        bench.engine().import(&bench.request(), &Quiet).unwrap();
        // After the probe's: hello, init, step, and all rows.
        fault(&bench, 1, 5, "hang");
        let mut trains = Command::new(env!("CARGO_BIN_EXE_sisa"))
            .arg("-w")
            .arg(bench.root())
            .args(["--wait", "train"])
            .env("TMPDIR", temporary.path())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        until(|| !bench.root().join("fault").exists() && remembering(&bench).len() == 1);
        if elsewhere {
            let mut args = vec!["--wait", "delete", "--subject", "7"];
            args.extend(defer.then_some("--defer"));
            assert!(sisa(&bench, &env::var("PATH").unwrap(), &args).status.success());
        } else {
            bench.delete(&deletion(defer));
        }
        until(|| remembering(&bench).is_empty());
        assert!(trains.wait().unwrap().success(), "it goes on with what remains");
        assert_eq!(remembering(&bench), Vec::<PathBuf>::new());
        assert_eq!(files_with(bench.root()), Vec::<PathBuf>::new());
        assert_eq!(files_with(temporary.path()), Vec::<PathBuf>::new());
        // And that is what training without the person writes.
        let fresh = Bench { dir: tempfile::tempdir().unwrap(), threads: 1 };
        let table = fs::read_to_string(bench.root().join("table.csv")).unwrap();
        let left = table.lines().filter(|line| !line.starts_with("7,")).map(|line| format!("{line}\n"));
        fs::write(fresh.root().join("table.csv"), left.collect::<String>()).unwrap();
        fs::copy(bench.root().join("sisa.toml"), fresh.root().join("sisa.toml")).unwrap();
        assert!(fresh.train().complete);
        common::assert_same(&bench.artefacts(), &fresh.artefacts(), "after the deletion");
    }
}
