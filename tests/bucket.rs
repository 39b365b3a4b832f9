//! A workspace in a bucket has the bytes of one in a folder, whoever else is at work and wherever it stops.
#![cfg(feature = "object-store")]
#![expect(clippy::disallowed_methods, reason = "a test writes its tables by hand")]
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test stops at what it does not expect")]

mod common;
mod objects;

use std::{
    collections::{BTreeMap, BTreeSet},
    fs, io,
    path::{Path, PathBuf},
    sync::Arc,
};

use common::{ADAM, Bench, COUNTED, FOREST, LINEAR, RIDGE, Row, Setup, assert_same, csv, rows, without};
use objects::{Fault, Stop, Store};
use sisa::{
    bucket::{BucketDisk, CloudBucket, Listed, Objects, Tag, probe},
    engine::{
        AppendRequest, CorrectRequest, DeleteRequest, Engine, Error, ErrorKind, Input, KeySource, Quiet, TrainRequest,
        VerifyRequest,
    },
    fs::{EntryKind, Files},
};

const ROOT: &str = "mem://bucket/work";

/// A machine: a folder with keys and a configuration, from which buckets are used.
struct Machine(tempfile::TempDir);

impl Machine {
    fn new(setup: &Setup, rows: &[Row]) -> Machine {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("sisa.toml"), setup.config()).unwrap();
        fs::write(dir.path().join("table.csv"), csv(rows)).unwrap();
        Machine(dir)
    }

    fn disk(&self, bucket: Arc<dyn Objects>) -> Arc<BucketDisk> {
        Arc::new(BucketDisk::new(bucket, Path::new(ROOT), self.0.path()))
    }

    fn engine(&self, bucket: Arc<dyn Objects>) -> Engine {
        Engine::builder(ROOT).disk(self.disk(bucket)).threads(2).wait(true).open().unwrap()
    }

    fn train(&self, engine: &Engine) -> Result<(), Error> {
        // Only where nothing is there yet, a table is named.
        let sources = match engine.status() {
            Err(e) if e.kind() == ErrorKind::NotReady => self.0.path().join("table.csv").into(),
            _ => Input::new(),
        };
        engine.train(&TrainRequest { sources, keys: KeySource::Seed(5), ..TrainRequest::default() }, &Quiet).map(|_| ())
    }

    /// Every slice and checkpoint, by path.
    fn artefacts(&self, bucket: Arc<dyn Objects>) -> BTreeMap<PathBuf, Vec<u8>> {
        let files = Files::new(self.disk(bucket));
        let mut found = BTreeMap::new();
        for top in ["shards", "checkpoints"] {
            walk(&files, &Path::new(ROOT).join(top), &mut found);
        }
        found
    }
}

fn walk(files: &Files, folder: &Path, found: &mut BTreeMap<PathBuf, Vec<u8>>) {
    for (name, kind) in files.list(folder).unwrap() {
        let path = folder.join(&name);
        match kind {
            EntryKind::Dir => walk(files, &path, found),
            _ if name.ends_with(".slice") || name.ends_with(".ckpt") => {
                found.insert(path.strip_prefix(ROOT).unwrap().to_owned(), files.read(&path).unwrap().to_vec());
            }
            _ => {}
        }
    }
}

fn of(person: u32) -> DeleteRequest {
    DeleteRequest { subjects: vec![person.to_string()], request_id: Some(format!("q{person}")), ..DeleteRequest::default() }
}

fn small(learner: &'static str) -> Setup {
    Setup { shards: 3, slices: 2, epochs: 1, learner, ..Setup::default() }
}

/// What the bucket has beside commits and what the last one names: nothing may be left of what was dropped or given up.
fn no_leftovers(machine: &Machine, store: &Store) {
    let artefacts = machine.artefacts(store.asked(Fault::Nothing)).len();
    assert!(artefacts > 0);
    let last = store.names().into_iter().filter(|name| name.starts_with("log/")).max().unwrap();
    let last = store.asked(Fault::Nothing).get(&last, None).unwrap().unwrap();
    let mut named: BTreeSet<String> = BTreeSet::new();
    let mut open = vec![String::from_utf8(last).unwrap()];
    while let Some(text) = open.pop() {
        for part in text.split('"').filter(|part| part.starts_with("objects/")) {
            if named.insert(part.to_owned())
                && let Some(Ok(page)) = store.asked(Fault::Nothing).get(part, None).unwrap().map(String::from_utf8)
            {
                open.push(page);
            }
        }
    }
    for name in store.names() {
        let known = name.starts_with("log/") || name == "hint.json" || named.contains(&name);
        // A ticket that came late holds nothing.
        let len = store.asked(Fault::Nothing).get(&name, None).unwrap().unwrap().len();
        assert!(known || len <= 16, "{name} ({len} bytes) is left");
    }
}

#[test]
fn a_history_in_a_bucket_has_the_bytes_of_one_in_a_folder() {
    for learner in [LINEAR, ADAM, RIDGE, FOREST, COUNTED] {
        let (setup, all) = (small(learner), rows(40));
        let batch: Vec<Row> = rows(60).into_iter().filter(|row| row.person >= 40).collect();
        let corrected: Vec<Row> = (all.iter().filter(|row| row.person == 9))
            .map(|row| Row { cells: format!("33,{}.00,a,t3,9,few", row.year), ..row.clone() })
            .collect();
        let folder = Bench::new(&setup, &all);
        let (machine, store) = (Machine::new(&setup, &all), Store::default());
        let (batch_file, corrections) = (folder.root().join("batch.csv"), folder.root().join("corrected.csv"));
        fs::write(&batch_file, csv(&batch)).unwrap();
        fs::write(&corrections, csv(&corrected)).unwrap();
        let story: [&dyn Fn(&Engine); 6] = [
            &|engine| {
                engine.delete(&of(11), &Quiet, |_, _, _| ()).unwrap();
            },
            &|engine| {
                let request = AppendRequest { sources: batch_file.clone().into(), ..AppendRequest::default() };
                engine.append(&request, &Quiet, |_, _, _| ()).unwrap();
            },
            &|engine| {
                let request = DeleteRequest { defer: true, ..of(45) };
                engine.delete(&request, &Quiet, |_, _, _| ()).unwrap();
            },
            &|engine| {
                let request = CorrectRequest { sources: corrections.clone().into(), ..CorrectRequest::default() };
                engine.correct(&request, &Quiet, |_, _, _| ()).unwrap();
            },
            &|engine| {
                engine.rekey(&KeySource::Seed(9), &Quiet).unwrap();
            },
            &|engine| {
                let verdict = engine.verify(&VerifyRequest { retrain: true, ..VerifyRequest::default() }, &Quiet).unwrap();
                assert!(verdict.findings.is_empty(), "{:?}", verdict.findings);
            },
        ];
        folder.train();
        machine.train(&machine.engine(store.asked(Fault::Nothing))).unwrap();
        assert_same(&machine.artefacts(store.asked(Fault::Nothing)), &folder.artefacts(), "trained");
        for (n, act) in story.iter().enumerate() {
            act(&folder.engine());
            // Every command opens the bucket anew, as a process does.
            act(&machine.engine(store.asked(Fault::Nothing)));
            assert_same(&machine.artefacts(store.asked(Fault::Nothing)), &folder.artefacts(), &format!("{learner} act {n}"));
            no_leftovers(&machine, &store);
        }
        assert!(store.names().iter().all(|name| !name.ends_with(".key") && !name.contains("sisa.toml")));
    }
}

#[test]
fn whatever_a_process_was_at_when_it_stopped_the_next_one_finishes() {
    let (setup, all) = (small(LINEAR), rows(30));
    let machine = Machine::new(&setup, &all);
    let begun = Store::default();
    machine.train(&machine.engine(begun.asked(Fault::Nothing))).unwrap();
    let batch = machine.0.path().join("batch.csv");
    let newcomers: Vec<Row> = rows(40).into_iter().filter(|row| row.person >= 30).collect();
    fs::write(&batch, csv(&newcomers)).unwrap();
    let gone = without(&all, |row| row.person == 11);
    let grown = {
        let bench = Bench::trained(&setup, &all);
        bench
            .engine()
            .append(&AppendRequest { sources: batch.clone().into(), ..AppendRequest::default() }, &Quiet, |_, _, _| ())
            .unwrap();
        bench.artefacts()
    };
    type Act<'a> = &'a dyn Fn(&Engine) -> Result<(), Error>;
    let trains: Act<'_> = &|engine| machine.train(engine);
    let deletes: Act<'_> = &|engine| engine.delete(&of(11), &Quiet, |_, _, _| ()).map(|_| ());
    let appends: Act<'_> = &|engine| {
        let request = AppendRequest { sources: batch.clone().into(), name: Some("b2".into()), ..AppendRequest::default() };
        match engine.append(&request, &Quiet, |_, _, _| ()) {
            Ok(_) => Ok(()),
            Err(e) => Err(e),
        }
    };
    type Story<'a> = (&'static str, Store, Act<'a>, BTreeMap<PathBuf, Vec<u8>>);
    let stories: [Story<'_>; 3] = [
        ("train", Store::default(), trains, Bench::trained(&setup, &all).artefacts()),
        ("delete", begun.copy(), deletes, Bench::trained(&setup, &gone).artefacts()),
        ("append", begun.copy(), appends, grown),
    ];
    for (name, before, act, expected) in &stories {
        let whole = before.copy().asked(Fault::Nothing);
        act(&machine.engine(whole.clone())).unwrap();
        assert!(whole.requests() > 10);
        for number in 1..=whole.requests() {
            for how in [Stop::Before, Stop::After, Stop::Late] {
                let store = before.copy();
                let acted = act(&machine.engine(store.asked(Fault::Stops(number, how))));
                let place = format!("{name}, stopped {how:?} request {number}");
                // What is still on its way arrives before or after the next process.
                if number % 2 == 0 {
                    store.settle();
                }
                act(&machine.engine(store.asked(Fault::Nothing))).unwrap_or_else(|e| panic!("{place}: {e} after {acted:?}"));
                store.settle();
                trains(&machine.engine(store.asked(Fault::Nothing))).unwrap();
                assert_same(&machine.artefacts(store.asked(Fault::Nothing)), expected, &place);
                no_leftovers(&machine, &store);
            }
        }
    }
}

/// Some processes at once train, delete and repair, with answers lost and writes late. Whenever a deletion says that it is in effect, no object
/// holds the person's handle.
fn raced(seed: u64) {
    let (setup, all) = (small(if seed.is_multiple_of(3) { RIDGE } else { LINEAR }), rows(24));
    let (machine, store) = (Machine::new(&setup, &all), Store::default());
    machine.train(&machine.engine(store.asked(Fault::Nothing))).unwrap();
    let handle = {
        let workspace = machine.engine(store.asked(Fault::Nothing));
        let key = workspace.workspace().handle_key().unwrap();
        move |person: u32| key.maker().subject(person.to_string().as_bytes())
    };
    let gone: Vec<u32> = (1..=6).collect();
    std::thread::scope(|scope| {
        for worker in 0..4_u64 {
            let (machine, store, handle, gone) = (&machine, &store, &handle, &gone);
            scope.spawn(move || {
                let mut seed = seed * 1000 + worker * 100;
                let mut open = || {
                    seed += 1;
                    machine.engine(store.asked(Fault::Chance(seed)))
                };
                let mut engine = open();
                for round in 0..6 {
                    let person = gone[((round + worker) % 6) as usize];
                    let mut tries = 0;
                    loop {
                        let done = match (round + worker) % 3 {
                            0 => engine.delete(&DeleteRequest { defer: true, ..of(person) }, &Quiet, |_, _, _| ()).map(|_| true),
                            1 => engine.delete(&of(person), &Quiet, |_, _, _| ()).map(|_| true),
                            _ => engine.repair_waiting(&Quiet).map(|_| false),
                        };
                        match done {
                            Ok(true) => {
                                let held = store.holding(&handle(person).0);
                                assert!(held.is_empty(), "{person} is deleted, and in {held:?}");
                                break;
                            }
                            Ok(false) => break,
                            // The process ends, and another begins.
                            Err(e) => assert!(e.kind() == ErrorKind::Disk || e.kind() == ErrorKind::Retry, "{e:?}"),
                        }
                        tries += 1;
                        assert!(tries < 200, "no call comes to its end");
                        engine = open();
                    }
                }
            });
        }
    });
    store.settle();
    let engine = machine.engine(store.asked(Fault::Nothing));
    for person in &gone {
        engine.delete(&of(*person), &Quiet, |_, _, _| ()).unwrap();
    }
    machine.train(&engine).unwrap();
    let requests = engine.log().unwrap();
    let names: BTreeSet<&str> = requests.iter().map(|line| line.accepted.request.as_str()).collect();
    assert_eq!((names.len(), requests.len()), (6, 6), "every request is in the ledger once");
    let expected = Bench::trained(&setup, &without(&all, |row| gone.contains(&row.person))).artefacts();
    assert_same(&machine.artefacts(store.asked(Fault::Nothing)), &expected, &format!("race {seed}"));
    no_leftovers(&machine, &store);
    for person in gone {
        assert_eq!(store.holding(&handle(person).0), Vec::<String>::new());
    }
}

#[test]
fn races_leave_no_tainted_state() {
    let rounds = std::env::var("SISA_RACES").map_or(12, |n| n.parse().unwrap());
    (0..rounds).for_each(raced);
}

#[test]
fn requests_of_eight_processes_are_in_the_ledger_once_each() {
    let each: u32 = std::env::var("SISA_REQUESTS").map_or(200, |n| n.parse().unwrap()) / 8;
    let (setup, all) = (small(RIDGE), rows(8 * each + 20));
    let (machine, store) = (Machine::new(&setup, &all), Store::default());
    machine.train(&machine.engine(store.asked(Fault::Nothing))).unwrap();
    std::thread::scope(|scope| {
        for process in 0..8 {
            let (machine, store) = (&machine, &store);
            scope.spawn(move || {
                let engine = machine.engine(store.asked(Fault::Nothing));
                for n in 0..each {
                    engine.delete(&DeleteRequest { defer: true, ..of(process * each + n) }, &Quiet, |_, _, _| ()).unwrap();
                }
            });
        }
    });
    let engine = machine.engine(store.asked(Fault::Nothing));
    engine.repair_waiting(&Quiet).unwrap();
    let requests = engine.log().unwrap();
    let names: BTreeSet<&str> = requests.iter().map(|line| line.accepted.request.as_str()).collect();
    assert_eq!((requests.len(), names.len()), (8 * each as usize, 8 * each as usize));
    let expected = Bench::trained(&setup, &without(&all, |row| row.person < 8 * each)).artefacts();
    assert_same(&machine.artefacts(store.asked(Fault::Nothing)), &expected, "after all requests");
}

#[test]
fn a_deletion_asks_the_bucket_for_little() {
    let more: u32 = std::env::var("SISA_REQUESTS").map_or(150, |n| n.parse().unwrap());
    let (setup, all) = (Setup { shards: 4, slices: 3, epochs: 1, learner: RIDGE, ..Setup::default() }, rows(more + 250));
    let (machine, store) = (Machine::new(&setup, &all), Store::default());
    machine.train(&machine.engine(store.asked(Fault::Nothing))).unwrap();
    let process = store.asked(Fault::Nothing);
    machine.engine(process.clone()).delete(&DeleteRequest { defer: true, ..of(7) }, &Quiet, |_, _, _| ()).unwrap();
    let few = process.requests();
    // The same after many more entries.
    let engine = machine.engine(store.asked(Fault::Nothing));
    for person in 100..100 + more {
        engine.delete(&DeleteRequest { defer: true, ..of(person) }, &Quiet, |_, _, _| ()).unwrap();
    }
    let process = store.asked(Fault::Nothing);
    machine.engine(process.clone()).delete(&DeleteRequest { defer: true, ..of(8) }, &Quiet, |_, _, _| ()).unwrap();
    let deleted = process.requests();
    let process = store.asked(Fault::Nothing);
    machine.engine(process.clone()).waiting().unwrap();
    let opened = process.requests();
    eprintln!("{few} requests a deletion, {deleted} after {more} more, {opened} to open the ledger");
    assert!(few <= 30 && deleted <= 45 && opened <= 40, "{few}, {deleted}, {opened}");
}

/// A bucket that does not hold what is asked of it.
#[derive(Debug)]
struct Lax(Arc<dyn Objects>, &'static str);

impl Objects for Lax {
    fn get(&self, name: &str, first: Option<usize>) -> io::Result<Option<Vec<u8>>> {
        self.0.get(name, first)
    }

    fn create(&self, name: &str, bytes: &[u8]) -> io::Result<Option<Tag>> {
        if self.1 == "creates twice" || (self.1 == "races" && name.contains("raced")) {
            self.0.put(name, bytes)?;
            return Ok(Some(Tag { e_tag: None, version: None }));
        }
        let tag = self.0.create(name, bytes)?;
        Ok(tag.map(|tag| Tag { version: (self.1 == "versions").then(|| "v1".into()), ..tag }))
    }

    fn replace(&self, name: &str, tag: &Tag, bytes: &[u8]) -> io::Result<bool> {
        if self.1 == "replaces" {
            self.0.put(name, bytes)?;
            return Ok(true);
        }
        self.0.replace(name, tag, bytes)
    }

    fn put(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        self.0.put(name, bytes)
    }

    fn list(&self, prefix: &str, after: Option<&str>) -> io::Result<Vec<Listed>> {
        if self.1 == "lists late" { Ok(Vec::new()) } else { self.0.list(prefix, after) }
    }

    fn delete(&self, names: &[String]) -> io::Result<()> {
        if self.1 == "keeps" { Ok(()) } else { self.0.delete(names) }
    }

    fn keeps_versions(&self, written: &Tag) -> bool {
        self.0.keeps_versions(written)
    }
}

#[test]
fn a_bucket_that_does_not_hold_is_refused() {
    let (setup, all) = (small(LINEAR), rows(20));
    for what in ["creates twice", "races", "versions", "replaces", "lists late", "keeps"] {
        let store = Store::default();
        let bucket: Arc<dyn Objects> = Arc::new(Lax(store.asked(Fault::Nothing), what));
        let refused = probe(&*bucket, "test").unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::Unsupported, "{what}: {refused}");
        let machine = Machine::new(&setup, &all);
        let error = machine.train(&machine.engine(bucket)).unwrap_err();
        assert!(error.to_string().contains("can't hold a workspace"), "{what}: {error}");
        assert!(store.names().iter().all(|name| name.starts_with("probe/")), "{what}: {:?}", store.names());
    }
    probe(&*Store::default().asked(Fault::Nothing), "test").unwrap();
    probe(&CloudBucket::in_memory().unwrap(), "test").unwrap();
}

#[test]
fn the_client_of_buckets_does_the_same() {
    let (setup, all) = (small(LINEAR), rows(40));
    let machine = Machine::new(&setup, &all);
    let bucket: Arc<dyn Objects> = Arc::new(CloudBucket::in_memory().unwrap());
    machine.train(&machine.engine(bucket.clone())).unwrap();
    machine.engine(bucket.clone()).delete(&of(11), &Quiet, |_, _, _| ()).unwrap();
    let expected = Bench::trained(&setup, &without(&all, |row| row.person == 11)).artefacts();
    assert_same(&machine.artefacts(bucket), &expected, "by the client");
}

#[test]
fn readers_answer_from_what_is_published_last() {
    let (setup, all) = (small(LINEAR), rows(40));
    let (machine, store) = (Machine::new(&setup, &all), Store::default());
    machine.train(&machine.engine(store.asked(Fault::Nothing))).unwrap();
    let reader = machine.engine(store.asked(Fault::Nothing));
    let before = reader.log().unwrap();
    machine.engine(store.asked(Fault::Nothing)).delete(&of(11), &Quiet, |_, _, _| ()).unwrap();
    let after = reader.log().unwrap();
    assert_eq!((before.len(), after.len()), (0, 1));
    assert!(reader.status().unwrap().unrepaired.is_empty());
}
