//! Any order of training, appending, correcting, deleting, expiring, deferring and being cut off leaves, once repaired, what importing the first
//! batch, appending the others in order and training once leaves, with corrected records in the place of those they correct: by the judge of `oracle/` for networks, by an engine on an empty disk for all learners, and
//! for learners of sets by one import of all rows.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test stops at what it does not expect")]

mod common;
mod oracle;
mod sim;

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
    sync::{Arc, atomic::AtomicI64},
};

use common::{ADAM, FOREST, LINEAR, RIDGE, Row, Setup, StopAfter, csv};
use sim::{Coin, Fault, Image, SimDisk, workspace};
use sisa::engine::{
    AppendRequest, CorrectError, CorrectRequest, DeleteRequest, Engine, Error, Input, KeySource, Observer, OlderThan,
    OutcomeKind, Overrides, Quiet, TrainRequest, VerifyRequest,
};

/// So many histories, and `SISA_HISTORIES` of them where that is set; `SISA_HISTORY` makes one again.
const HISTORIES: u64 = 24;
/// As many slices of one size become one.
const BASE: u32 = 3;

struct Dice(u64);

impl Dice {
    fn below(&mut self, n: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut x = self.0;
        x = (x ^ x >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        x = (x ^ x >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        (x ^ x >> 31) % n
    }

    fn once_in(&mut self, n: u64) -> bool {
        self.below(n) == 0
    }

    fn pick<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.below(choices.len() as u64) as usize]
    }
}

/// What a record is told by.
type Id = (u32, u32);

/// A request.
#[derive(Clone)]
enum Asked {
    /// Whose records go, or which single one, and whether they are refused from then on.
    Deletion(BTreeSet<u32>, Option<Id>, bool),
    /// What records are to hold.
    Correction(Vec<Row>),
    /// Up to which day records go.
    Expiry(u32),
}

/// What the ledger comes to, by what was asked for.
#[derive(Clone, Default)]
struct Model {
    /// What the ledger names, without those who are gone.
    batches: Vec<Vec<Row>>,
    taken_in: BTreeSet<String>,
    suppressed: BTreeSet<u32>,
    gone_records: BTreeSet<Id>,
}

/// A workspace on a disk that loses what is not synced, and what it must hold.
struct World {
    dice: Dice,
    setup: Setup,
    sources: tempfile::TempDir,
    disk: SimDisk,
    /// Whether the year alone tells a record, so that it may be about somebody else later.
    numbered: bool,
    /// How long cohorts are, where the age is a date and shards are told apart by it.
    cohort: Option<&'static str>,
    /// The years that a person's next record has.
    years: BTreeMap<u32, u32>,
    model: Model,
    /// What the ledger came to, by its last entry: one that a killed process put there is not durable before the next writer says so.
    known: Vec<(u64, Model)>,
    /// By name.
    offered: BTreeMap<String, Vec<Row>>,
    /// By name.
    asked: BTreeMap<String, Asked>,
    log: Vec<String>,
    seen: Seen,
}

/// What histories came to, so that it shows if they come to nothing.
#[derive(Clone, Copy, Debug, Default)]
struct Seen {
    batches: usize,
    merged: usize,
    cut: usize,
    refused: u64,
    /// Deletions that took records of several batches.
    across: usize,
    standing: usize,
    corrected: usize,
    moved: usize,
    /// Corrections to another cohort.
    grew_older: usize,
    /// Records that were too old.
    expired: usize,
    /// Entries that a power failure took.
    lost: usize,
}

fn root() -> PathBuf {
    PathBuf::from("/w")
}

fn empty(setup: &Setup, numbered: bool, cohort: Option<&str>) -> SimDisk {
    let merge = if setup.of_sets() { String::new() } else { format!("merge = {BASE}\n") };
    let config = setup.config().replace("\n[learner]", &format!("{merge}\n[learner]"));
    let mut config = if numbered { config.replace(r#"["person", "year"]"#, r#"["year"]"#) } else { config };
    if let Some(unit) = cohort {
        let age = config.lines().find(|line| line.starts_with("age = ")).unwrap().to_owned();
        config =
            config.replace(&age, r#"age = { kind = "date", order = "year-month-day", indicator = true, range = [0, 20000] }"#);
        let from = if unit == "year" { 2019 } else { 2020 };
        let cohort = format!("cohort = {{ column = \"age\", unit = \"{unit}\", from = {from}, to = 2020 }}\n\n[learner]");
        config = config.replace("\n[learner]", &cohort);
    }
    let disk = SimDisk::of(Image::new());
    disk.put(&root().join("sisa.toml"), config.as_bytes());
    disk
}

fn engine(disk: &SimDisk, threads: usize) -> Engine {
    Engine::builder(root()).disk(Arc::new(disk.clone())).threads(threads).open().unwrap()
}

fn import(engine: &Engine, source: &Path, observer: &dyn Observer) -> Result<(), Error> {
    let request = TrainRequest {
        sources: source.to_owned().into(),
        config: root().join("sisa.toml"),
        overrides: Overrides::default(),
        keys: KeySource::Seed(5),
        only_shards: None,
        fresh: false,
    };
    engine.train(&request, observer).map(drop)
}

fn train(engine: &Engine) -> Result<(), Error> {
    let request = TrainRequest { config: root().join("sisa.toml"), keys: KeySource::Seed(5), ..TrainRequest::default() };
    engine.train(&request, &Quiet).map(|report| assert!(report.complete))
}

fn append(engine: &Engine, source: &Path, name: &str, defer: bool, observer: &dyn Observer) -> Result<(), Error> {
    let request = AppendRequest { sources: source.to_owned().into(), name: Some(name.into()), defer };
    engine.append(&request, observer, |_, _, _| {}).map(drop)
}

impl World {
    fn new(number: u64) -> World {
        let mut dice = Dice(number);
        let learner = dice.pick(&[LINEAR, LINEAR, ADAM, ADAM, RIDGE, FOREST]);
        let slices = dice.pick(&[1, 2, 3, 5]);
        let setup = Setup {
            shards: dice.pick(&[1, 2, 3]),
            slices,
            holdout: dice.pick(&[0.0, 0.2]),
            learner,
            schedule: "replay",
            epochs: dice.pick(&[1, 2, 7]),
            record: !dice.once_in(3),
            keep: (slices > 2 && dice.once_in(3)).then_some(1),
        };
        let numbered = setup.record && !dice.once_in(3);
        let cohort = dice.pick(&[None, Some("year"), Some("year"), Some("month")]);
        World {
            dice,
            disk: empty(&setup, numbered, cohort),
            setup,
            sources: tempfile::tempdir().unwrap(),
            numbered,
            cohort,
            years: BTreeMap::new(),
            model: Model::default(),
            known: Vec::new(),
            offered: BTreeMap::new(),
            asked: BTreeMap::new(),
            log: Vec::new(),
            seen: Seen::default(),
        }
    }

    fn id(&self, row: &Row) -> Id {
        (if self.numbered { 0 } else { row.person }, row.year)
    }

    fn rows(&mut self, count: u64) -> Vec<Row> {
        let mut rows = Vec::new();
        for _ in 0..count {
            let person = self.dice.below(30) as u32;
            let year = self.years.entry(if self.numbered { 0 } else { person }).or_insert(0);
            *year += 1;
            let (year, cells) = (*year, self.cells());
            rows.push(Row { person, year, cells });
        }
        rows
    }

    fn cells(&mut self) -> String {
        let dice = &mut self.dice;
        let age = match (dice.once_in(7), self.cohort) {
            (true, _) => "?".into(),
            (false, None) => format!("{}", 18 + dice.below(60)),
            (false, Some(_)) => {
                format!("{}{:02}{:02}", dice.pick(&[2018, 2019, 2020, 2020, 2021]), 1 + dice.below(12), 1 + dice.below(28))
            }
        };
        let (cost, site) = (dice.below(1200), dice.pick(&["a", "b", "c"]));
        // Without ids some rows hold the same as others.
        if !self.setup.record && dice.once_in(2) {
            let age = if self.cohort.is_some() { "20200229" } else { "20" };
            return format!("{age},100,a,t1,7,few");
        }
        let visits = if cost > 600 { "many" } else { "few" };
        format!("{age},{cost},{site},t{},{},{visits}", dice.below(20), dice.below(256))
    }

    fn write(&self, name: &str, rows: &[Row]) -> PathBuf {
        let path = self.sources.path().join(format!("{name}.csv"));
        #[expect(clippy::disallowed_methods, reason = "tests write their tables by hand")]
        fs::write(&path, csv(rows)).unwrap();
        path
    }

    /// One command, cut off now and then: by whoever watches it, or by the power.
    fn run(&mut self, what: &str, command: impl Fn(&Engine, &dyn Observer) -> Result<(), Error>) -> bool {
        let threads = self.dice.pick(&[1, 2]);
        let fault = if self.dice.once_in(4) { Fault::Stop(1 + self.dice.below(150)) } else { Fault::None };
        let stops = self.dice.once_in(5);
        let disk = self.disk.restarted(fault);
        let done = match stops {
            true => command(&engine(&disk, threads), &StopAfter(AtomicI64::new(self.dice.below(8) as i64))),
            false => command(&engine(&disk, threads), &Quiet),
        };
        let cut = matches!(fault, Fault::Stop(at) if disk.meter().operations >= at);
        self.log.push(format!("{what}: {:?}{}", done.as_ref().map_err(ToString::to_string), if cut { ", cut off" } else { "" }));
        let unplaced = self.numbered && matches!(done, Err(Error::Correct(CorrectError::NoBatch { .. })));
        let fine = done.is_ok() || cut || unplaced || (stops && matches!(done, Err(Error::Interrupted | Error::Import(_))));
        assert!(fine, "{}", self.log.join("\n"));
        self.seen.cut += usize::from(cut);
        self.disk = match (cut, self.dice.below(3)) {
            (false, _) => disk.restarted(Fault::None),
            (true, 0) => disk.restarted(Fault::None),
            (true, 1) => disk.crashed(Coin::Lost),
            (true, _) => disk.crashed(Coin::Seed(self.dice.below(1 << 40))),
        };
        self.take_in();
        done.is_ok()
    }

    /// What the ledger has that it had not before: at most one thing that matters.
    fn take_in(&mut self) {
        let ledger = workspace(&self.disk).ledger();
        let history = ledger.read().unwrap();
        let head = history.head.sequence;
        while self.known.last().is_some_and(|(entry, _)| *entry > head) {
            self.known.pop();
            self.model = self.known.last().map(|(_, model)| model.clone()).unwrap_or_default();
            self.seen.lost += 1;
        }
        let Some((_, record)) = history.newest() else { return };
        if self.model.batches.is_empty() {
            self.model.batches.push(self.offered["b1"].clone());
        }
        let mut appended: Vec<_> = record.appended.iter().filter(|(name, _)| !self.model.taken_in.contains(*name)).collect();
        appended.sort_by_key(|(_, batch)| batch.batch);
        for (name, batch) in appended {
            let mut rows = self.offered[name].clone();
            let all = rows.len();
            let Model { suppressed, gone_records, .. } = &self.model;
            rows.retain(|row| !suppressed.contains(&row.person) && !gone_records.contains(&self.id(row)));
            let counts = (batch.records + batch.held_out, batch.refused);
            assert_eq!(counts, (rows.len() as u64, (all - rows.len()) as u64), "{name}\n{}", self.log.join("\n"));
            self.model.batches.push(rows);
            self.seen.batches += 1;
            self.seen.refused += batch.refused;
            assert_eq!(batch.batch as usize, self.model.batches.len());
            self.model.taken_in.insert(name.clone());
        }
        for request in ledger.requests().unwrap().0 {
            let name = request.accepted.request;
            if self.model.taken_in.insert(name.clone()) {
                match self.asked[&name].clone() {
                    Asked::Deletion(persons, record, suppress) => self.deleted(&persons, record, suppress),
                    Asked::Expiry(day) => {
                        let old = |row: &Row| date(row).is_some_and(|date| date < day);
                        let count = self.model.batches.iter().flatten().filter(|row| old(row)).count();
                        let told = (request.accepted.outcomes.len(), request.accepted.suppress);
                        assert_eq!((count, false), told, "{name}\n{}", self.log.join("\n"));
                        self.model.batches.iter_mut().for_each(|batch| batch.retain(|row| !old(row)));
                        self.seen.expired += count;
                    }
                    Asked::Correction(rows) => {
                        let counts = self.corrected(rows);
                        let mut told: BTreeMap<String, usize> = BTreeMap::new();
                        for outcome in &request.accepted.outcomes {
                            let gone = outcome.outcome == OutcomeKind::AlreadyErased;
                            let kind = if gone { OutcomeKind::NotFound } else { outcome.outcome };
                            *told.entry(format!("{kind:?}")).or_default() += 1;
                        }
                        assert_eq!(counts, told, "{name}\n{}", self.log.join("\n"));
                    }
                }
            }
        }
        if self.known.last().is_none_or(|(entry, _)| *entry < head) {
            self.known.push((head, self.model.clone()));
        }
    }

    fn deleted(&mut self, persons: &BTreeSet<u32>, record: Option<Id>, suppress: bool) {
        let numbered = self.numbered;
        let id = |row: &Row| (if numbered { 0 } else { row.person }, row.year);
        let gone = |row: &Row| persons.contains(&row.person) || record == Some(id(row));
        let Model { batches, suppressed, gone_records, .. } = &mut self.model;
        self.seen.across += usize::from(batches.iter().filter(|batch| batch.iter().any(gone)).count() > 1);
        batches.iter_mut().for_each(|batch| batch.retain(|row| !gone(row)));
        if suppress {
            suppressed.extend(persons);
            gone_records.extend(record);
        }
    }

    /// How many records came to what.
    fn corrected(&mut self, rows: Vec<Row>) -> BTreeMap<String, usize> {
        let mut counts = BTreeMap::new();
        for row in rows {
            let id = self.id(&row);
            let (numbered, suppressed) = (self.numbered, self.model.suppressed.contains(&row.person));
            let of = |row: &Row| (if numbered { 0 } else { row.person }, row.year);
            let there = self.model.batches.iter_mut().flatten().find(|row| of(row) == id);
            let kind = match there {
                None => OutcomeKind::NotFound,
                Some(there) if *there == row => OutcomeKind::Unchanged,
                Some(_) if suppressed => OutcomeKind::Refused,
                Some(there) => {
                    self.seen.corrected += 1;
                    self.seen.moved += usize::from(there.person != row.person);
                    let year = |row: &Row| date(row).map(|date| date / 10_000);
                    self.seen.grew_older += usize::from(self.cohort.is_some() && year(there) != year(&row));
                    *there = row;
                    OutcomeKind::Corrected
                }
            };
            *counts.entry(format!("{kind:?}")).or_default() += 1;
        }
        counts
    }

    fn correct(&mut self) {
        let mut rows: BTreeMap<Id, Row> = BTreeMap::new();
        let all = self.offered.values().flatten().count() as u64;
        for _ in 0..self.dice.pick(&[1, 1, 4]) {
            let mut row = self.offered.values().flatten().nth(self.dice.below(all) as usize).unwrap().clone();
            if self.numbered && self.dice.once_in(2) {
                row.person = self.dice.below(30) as u32;
            }
            if !self.dice.once_in(5) {
                row.cells = self.cells();
            }
            rows.insert(self.id(&row), row);
        }
        let (name, rows) = (format!("q{}", self.asked.len()), rows.into_values().collect::<Vec<Row>>());
        let defer = self.dice.once_in(2);
        let request = CorrectRequest { sources: self.write(&name, &rows).into(), request_id: Some(name.clone()), defer };
        self.asked.insert(name.clone(), Asked::Correction(rows.clone()));
        let what = format!("correct {name} {rows:?} defer {defer}");
        let run = |world: &mut World| world.run(&what, |e, o| e.correct(&request, o, |_, _, _| {}).map(drop));
        if !run(self) && self.dice.once_in(2) {
            run(self);
        }
    }

    fn append(&mut self) {
        let name = format!("b{}", self.offered.len() + 1);
        let count = self.dice.pick(&[1, 3, 8, 8]);
        let rows = self.rows(count);
        let (source, defer) = (self.write(&name, &rows), self.dice.once_in(2));
        self.offered.insert(name.clone(), rows);
        let whole = self.is_whole();
        let run = |world: &mut World| world.run(&format!("append {name} {defer}"), |e, o| append(e, &source, &name, defer, o));
        if !run(self) && self.dice.once_in(2) {
            run(self);
        }
        if whole {
            // What was whole before a batch serves with full weight until it is again.
            let status = engine(&self.disk, 1).status().unwrap();
            let silent = |shard: &sisa::reports::ShardStatus| shard.serves == 0;
            let fine = status.shards.iter().all(|shard| shard.full || silent(shard));
            assert!(fine, "{:?}\n{}", status.shards, self.log.join("\n"));
            let beyond = |shard: &sisa::reports::ShardStatus| shard.serves as usize > shard.cells.len();
            self.seen.standing += status.shards.iter().filter(|shard| beyond(shard)).count();
        }
        if self.dice.once_in(6) && self.model.taken_in.contains(&name) {
            let others = self.rows(2);
            let source = self.write("others", &others);
            let done = append(&engine(&self.disk, 1), &source, &name, true, &Quiet);
            assert!(matches!(done, Err(Error::Append(_))), "another batch of the same name: {done:?}");
        }
    }

    /// Whether the ledger calls every shard whole.
    fn is_whole(&self) -> bool {
        let snapshot = workspace(&self.disk).snapshot().unwrap();
        let Some(current) = &snapshot.current else { return false };
        snapshot.history.generations[&current.generation].not_whole(&current.recipe).is_empty()
    }

    fn delete(&mut self) {
        let mut request = DeleteRequest { request_id: Some(format!("q{}", self.asked.len())), ..DeleteRequest::default() };
        let (mut persons, mut record) = (BTreeSet::new(), None);
        if self.setup.record && self.dice.once_in(3) {
            let person = self.dice.below(30) as u32;
            let last = self.years.get(if self.numbered { &0 } else { &person }).copied().unwrap_or(1);
            let year = 1 + self.dice.below(u64::from(last)) as u32;
            record = Some(self.id(&Row { person, year, cells: String::new() }));
            request.records.push(if self.numbered { vec![year.to_string()] } else { vec![person.to_string(), year.to_string()] });
        } else {
            for _ in 0..self.dice.pick(&[1, 1, 3]) {
                persons.insert(self.dice.below(30) as u32);
            }
            request.subjects.extend(persons.iter().map(u32::to_string));
        }
        request.defer = self.dice.once_in(2);
        request.no_suppress = self.dice.once_in(3);
        let (name, suppress) = (request.request_id.clone().unwrap(), !request.no_suppress);
        self.asked.insert(name.clone(), Asked::Deletion(persons.clone(), record, suppress));
        let what = format!("delete {name} {persons:?} {record:?} defer {} suppress {suppress}", request.defer);
        self.run(&what, |engine, observer| engine.delete(&request, observer, |_, _, _| {}).map(drop));
    }

    /// Whatever is older than a day goes: a whole cohort's end, and any other.
    fn expire(&mut self) {
        let (name, defer) = (format!("q{}", self.asked.len()), self.dice.once_in(2));
        let day = self.dice.pick(&[20_190_101, 20_190_703, 20_200_101, 20_200_101, 20_200_401, 20_200_820]);
        self.asked.insert(name.clone(), Asked::Expiry(day));
        let date = format!("{:04}-{:02}-{:02}", day / 10_000, day / 100 % 100, day % 100);
        let request = DeleteRequest {
            older_than: Some(OlderThan { date: date.clone(), column: None }),
            request_id: Some(name.clone()),
            no_suppress: true,
            defer,
            ..DeleteRequest::default()
        };
        self.run(&format!("expire {name} before {date} defer {defer}"), |engine, observer| {
            engine.delete(&request, observer, |_, _, _| {}).map(drop)
        });
    }

    fn unsuppress(&mut self) {
        let Some(person) = self.model.suppressed.iter().next().copied() else { return };
        // To the end: the ledger does not say by itself who it was.
        let count = engine(&self.disk, 1).unsuppress(&[person.to_string()], &[]).unwrap();
        assert_eq!(count, 1, "{}", self.log.join("\n"));
        self.log.push(format!("unsuppress {person}"));
        self.model.suppressed.remove(&person);
        self.take_in();
    }

    fn go_on(&mut self) {
        match self.dice.below(16) {
            0..=6 => self.append(),
            7 if self.cohort.is_some() && self.dice.once_in(2) => self.expire(),
            7..=9 => self.delete(),
            10..=11 if self.setup.record => self.correct(),
            10..=12 => drop(self.run("train", |engine, _| train(engine))),
            13 => drop(self.run("repair", |engine, o| engine.repair(&Input::new(), false, o).map(drop))),
            14 => self.unsuppress(),
            _ => {
                let settled = engine(&self.disk, 1);
                settled.unsuppress(&["nobody".into()], &[]).unwrap();
                let findings = settled.verify(&VerifyRequest::default(), &Quiet).unwrap().findings;
                if !findings.is_empty() {
                    // A power failure tears what nothing calls durable; the next training makes it again.
                    assert!(
                        findings.iter().all(|finding| self.is_unsynced(&finding.path)),
                        "{findings:?}\n{}",
                        self.log.join("\n")
                    );
                    train(&settled).unwrap();
                    self.log.push("train what was torn".into());
                    let verdict = settled.verify(&VerifyRequest::default(), &Quiet).unwrap();
                    assert_eq!(verdict.findings, [], "{}", self.log.join("\n"));
                }
            }
        }
    }

    /// Whether a file is a checkpoint of a step that the ledger does not call durable.
    fn is_unsynced(&self, path: &Path) -> bool {
        let snapshot = workspace(&self.disk).snapshot().unwrap();
        let current = snapshot.current.as_ref().unwrap();
        let durable = snapshot.history.generations[&current.generation].durable.get(&current.recipe);
        let names: Vec<&str> = path.iter().rev().take(2).map(|name| name.to_str().unwrap()).collect();
        let (shard, step): (usize, u32) = (names[1].parse().unwrap(), names[0][..2].parse().unwrap());
        names[0].ends_with(".ckpt") && durable.is_none_or(|durable| durable.steps[shard] < step)
    }

    /// Everything that is left to do, and the comparisons.
    fn finish(&mut self) {
        let last = engine(&self.disk, 2);
        train(&last).unwrap();
        last.repair(&Input::new(), false, &Quiet).unwrap();
        let verdict = last.verify(&VerifyRequest { retrain: true, ..VerifyRequest::default() }, &Quiet).unwrap();
        assert_eq!(verdict.findings, [], "{}", self.log.join("\n"));
        let history = workspace(&self.disk).ledger().read().unwrap();
        assert!(history.unrepaired().is_empty() && history.placing().is_none());
        let ours = artefacts(&self.disk);
        let steps = engine(&self.disk, 1).status().unwrap().shards[0].cells.len();
        self.seen.merged = (self.setup.slices as usize + self.model.batches.len() - 1).saturating_sub(steps)
            * usize::from(!self.setup.of_sets());
        if [LINEAR, ADAM].contains(&self.setup.learner) {
            self.judge(&ours);
        }
        // From nothing, with what remains; a source without rows is none.
        if self.model.batches.iter().all(|batch| !batch.is_empty()) {
            let disk = empty(&self.setup, self.numbered, self.cohort);
            let anew = engine(&disk, 1);
            for (number, batch) in (1..).zip(&self.model.batches) {
                let source = self.write("anew", batch);
                match number {
                    1 => import(&anew, &source, &Quiet).unwrap(),
                    _ => append(&anew, &source, &number.to_string(), true, &Quiet).unwrap(),
                }
            }
            train(&anew).unwrap();
            self.same(&ours, &artefacts(&disk), "from nothing");
        }
        if self.setup.of_sets() && !self.model.batches.concat().is_empty() {
            let disk = empty(&self.setup, self.numbered, self.cohort);
            import(&engine(&disk, 1), &self.write("union", &self.model.batches.concat()), &Quiet).unwrap();
            self.same(&ours, &artefacts(&disk), "one import of all");
        }
    }

    fn same(&self, ours: &BTreeMap<PathBuf, Vec<u8>>, theirs: &BTreeMap<PathBuf, Vec<u8>>, what: &str) {
        for path in ours.keys().chain(theirs.keys()) {
            assert!(ours.get(path) == theirs.get(path), "{what}: {} differs\n{}", path.display(), self.log.join("\n"));
        }
    }

    /// Compares with what a second implementation computes from rows and keys.
    fn judge(&self, ours: &BTreeMap<PathBuf, Vec<u8>>) {
        let at = workspace(&self.disk);
        let snapshot = at.snapshot().unwrap();
        let (current, _) = at.serving(&snapshot).unwrap();
        let read = |path: PathBuf| at.files().read(&path).unwrap().to_vec();
        let setup = oracle::Setup {
            handle_key: *at.handle_key().unwrap().bytes(),
            model_key: *at.serving_model(&snapshot).unwrap().shards.key().bytes(),
            partition_json: read(at.generation_dir(current.generation).join("partition.json")),
            recipe_json: read(at.recipe_dir(current.generation, &current.recipe).join("recipe.json")),
        };
        let batches: Vec<Vec<oracle::Row>> =
            self.model.batches.iter().map(|batch| batch.iter().map(|row| self.judged(row)).collect()).collect();
        let short = |path: &PathBuf| {
            let text = path.display().to_string();
            let recipe = format!("w/checkpoints/g0001/{}", current.recipe);
            text.replace("w/shards/g0001", "shards").replace(&recipe, "checkpoints")
        };
        let ours: BTreeMap<String, &Vec<u8>> = ours.iter().map(|(path, bytes)| (short(path), bytes)).collect();
        let theirs = oracle::expected_of(&setup, &batches);
        for name in ours.keys().chain(theirs.keys()) {
            let same = ours.get(name).copied() == theirs.get(name);
            assert!(same, "{name} is not what the judge computes\n{:?}\n{}", self.setup, self.log.join("\n"));
        }
    }

    fn judged(&self, row: &Row) -> oracle::Row {
        let names = ["age", "cost", "site", "town", "level"];
        let texts: Vec<&str> = row.cells.split(',').collect();
        oracle::Row {
            subject: Some(row.person.to_string()),
            record: match (self.setup.record, self.numbered) {
                (false, _) => Vec::new(),
                (true, true) => vec![row.year.to_string()],
                (true, false) => vec![row.person.to_string(), row.year.to_string()],
            },
            cells: names.iter().zip(&texts).map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect(),
            label: texts[5].to_owned(),
        }
    }
}

/// The day that a row's age is, where it is one.
fn date(row: &Row) -> Option<u32> {
    row.cells.split(',').next().and_then(|age| age.parse().ok())
}

/// Slices and checkpoints.
fn artefacts(disk: &SimDisk) -> BTreeMap<PathBuf, Vec<u8>> {
    let (mut files, _) = disk.image().tree();
    files.retain(|path, _| path.extension().is_some_and(|e| e == "slice" || e == "ckpt" || e == "next"));
    files
}

fn history(number: u64) -> Seen {
    let mut world = World::new(number);
    let count = 25 + world.dice.below(30);
    let rows = world.rows(count);
    let source = world.write("b1", &rows);
    world.offered.insert("b1".into(), rows);
    while world.model.batches.is_empty() {
        world.run("import", |engine, observer| import(engine, &source, observer));
    }
    // Batches come only to what serves.
    train(&engine(&world.disk, 1)).unwrap();
    let operations = 4 + world.dice.below(60);
    while world.log.len() < operations as usize && world.model.batches.len() < 40 {
        world.go_on();
    }
    world.finish();
    world.seen
}

#[test]
fn any_history_with_batches_ends_in_the_bytes_of_the_batches_in_order() {
    #[expect(clippy::disallowed_methods, reason = "how much is tested is for whoever tests to say")]
    let asked = |name: &str| std::env::var(name).ok().map(|n| n.parse::<u64>().unwrap());
    let numbers = match asked("SISA_HISTORY") {
        Some(number) => number..number + 1,
        None => 1..1 + asked("SISA_HISTORIES").unwrap_or(HISTORIES),
    };
    let (mut all, count) = (Seen::default(), numbers.end - numbers.start);
    for number in numbers {
        match std::panic::catch_unwind(|| history(number)) {
            Ok(seen) => {
                all.batches += seen.batches;
                all.merged += seen.merged;
                all.cut += seen.cut;
                all.refused += seen.refused;
                all.across += seen.across;
                all.standing += seen.standing;
                all.corrected += seen.corrected;
                all.moved += seen.moved;
                all.grew_older += seen.grew_older;
                all.expired += seen.expired;
                all.lost += seen.lost;
            }
            Err(panic) => {
                eprintln!("history {number} (SISA_HISTORY={number} makes it again)");
                std::panic::resume_unwind(panic);
            }
        }
    }
    eprintln!("{count} histories: {all:?}");
    let Seen { batches, merged, cut, refused, across, standing, corrected, moved, grew_older, expired, lost: _ } = all;
    let counts = [batches, merged, cut, refused as usize, across, standing, corrected, moved, grew_older, expired];
    let least = counts.into_iter().min().unwrap();
    assert!(count < HISTORIES || least >= 10, "histories that come to little show little");
}
