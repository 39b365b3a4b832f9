//! Random histories of a workspace, by the real command, with kills and with several commands at once: in the end every byte is what
//! training from scratch on the remaining rows writes.
//!
//! `SISA_HISTORIES` says how many; `SISA_HISTORY` makes one of them again by its number (kills and races fall where the clock lets them).
#![expect(
    clippy::disallowed_methods,
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "a test stops at what it does not expect, and says where"
)]

mod common;

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    time::{Duration, Instant},
};

use common::{FOREST, LINEAR, MLP, RIDGE, Row, Setup, assert_same, csv, rows, without};
use sisa::engine::Engine;

const HISTORIES: u64 = 100;
/// A command that takes longer than this has no end.
const PATIENCE: Duration = Duration::from_secs(120);
/// People who never had a record have numbers from here on.
const NOBODY: u32 = 900;

/// SplitMix64 (Steele, Lea and Flood 2014).
struct Dice(u64);

impl Dice {
    fn below(&mut self, n: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % n
    }

    fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.below(from.len() as u64) as usize]
    }

    /// True once in `n` times.
    fn once_in(&mut self, n: u64) -> bool {
        self.below(n) == 0
    }
}

/// A workspace, and what must be in it.
struct World {
    dice: Dice,
    home: tempfile::TempDir,
    setup: Setup,
    table: Vec<Row>,
    /// The generations that the ledger knows, with the number their keys come from; whether it is from a source, and its people's rows.
    generations: BTreeMap<u32, (u64, bool, Vec<Row>)>,
    suppressed: BTreeSet<u32>,
    /// Requests by name: whom they are about, and whether imports refuse them.
    asked: BTreeMap<String, (BTreeSet<u32>, bool)>,
    taken_in: BTreeSet<String>,
    log: Vec<String>,
}

impl World {
    fn new(number: u64) -> World {
        let mut dice = Dice(number);
        let setup = Setup {
            shards: dice.pick(&[1, 2, 3]),
            slices: dice.pick(&[1, 2, 3, 5]),
            holdout: dice.pick(&[0.0, 0.0, 0.2]),
            learner: dice.pick(&[LINEAR, MLP, FOREST, RIDGE]),
            schedule: dice.pick(&["cumulative", "replay", "front"]),
            epochs: dice.pick(&[1, 2, 20]),
            record: !dice.once_in(3),
            keep: None,
        };
        let table = rows(20 + dice.below(30) as u32);
        let world = World {
            dice,
            home: home(),
            setup,
            table,
            generations: BTreeMap::new(),
            suppressed: BTreeSet::new(),
            asked: BTreeMap::new(),
            taken_in: BTreeSet::new(),
            log: Vec::new(),
        };
        fs::create_dir(world.root()).unwrap();
        fs::write(world.root().join("sisa.toml"), world.setup.config()).unwrap();
        fs::write(world.root().join("table.csv"), csv(&world.table)).unwrap();
        world
    }

    fn root(&self) -> PathBuf {
        self.home.path().join("w")
    }

    fn start(&mut self, args: &[String]) -> Child {
        let kernels = self.dice.pick(&["scalar", ""]);
        let mut command = Command::new(env!("CARGO_BIN_EXE_sisa"));
        if !kernels.is_empty() {
            command.env("SISA_KERNELS", kernels);
        }
        command.arg("-w").arg(self.root()).args(["--quiet", "--threads", self.dice.pick(&["1", "2", "3"])]).args(args);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    }

    /// Waits for the end, and checks the exit code; `None` is that of a killed process.
    fn end(&mut self, args: &[String], child: Child, killed: bool, fine: &[i32]) -> Option<i32> {
        let output = wait(child).unwrap_or_else(|| panic!("{args:?} has no end\n{}", self.log.join("\n")));
        let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
        let code = output.status.code();
        self.log.push(format!("{} -> {code:?} {said}", args.join(" ")));
        let expected = match code {
            Some(code) => fine.contains(&code),
            None => killed,
        };
        assert!(expected && !said.contains("panicked"), "{}", self.log.join("\n"));
        code
    }

    /// One command alone, killed now and then.
    fn run(&mut self, args: &[&str], fine: &[i32]) -> Option<i32> {
        let args: Vec<String> = args.iter().map(|a| (*a).to_owned()).collect();
        let mut child = self.start(&args);
        let kill = self.dice.once_in(4);
        if kill {
            std::thread::sleep(Duration::from_micros(self.dice.below(40_000)));
            let _ = child.kill();
        }
        let code = self.end(&args, child, kill, fine);
        self.take_in(args.iter().skip_while(|a| *a != "--seed").nth(1).and_then(|seed| seed.parse().ok()));
        code
    }

    /// The same until it was not killed.
    fn run_to_the_end(&mut self, args: &[&str], fine: &[i32]) {
        while self.run(args, fine).is_none() {}
    }

    /// What the ledger has that it had not before.
    fn take_in(&mut self, seed: Option<u64>) {
        let engine = Engine::open(self.root()).unwrap();
        let history = engine.workspace().ledger().read().unwrap();
        let (mut requests, _) = engine.workspace().ledger().requests().unwrap();
        requests.retain(|r| !self.taken_in.contains(&r.accepted.request));
        // A command imports at most once, and before anybody else can ask for a deletion of it.
        if !self.generations.contains_key(&history.last_generation) && history.last_generation > 0 {
            let record = history.generations.values().find(|g| g.imported.generation.0 == history.last_generation).unwrap();
            let rows = match record.imported.rekeys {
                Some(from) => self.generations[&from.0].2.clone(),
                None => without(&self.table, |r| self.suppressed.contains(&r.person)),
            };
            assert_eq!(record.imported.records + record.imported.held_out, rows.len() as u64, "{}", self.log.join("\n"));
            self.generations.insert(history.last_generation, (seed.unwrap(), record.imported.rekeys.is_none(), rows));
        }
        for request in requests {
            let (persons, suppress) = &self.asked[&request.accepted.request];
            self.generations.values_mut().for_each(|g| g.2.retain(|r| !persons.contains(&r.person)));
            if *suppress {
                self.suppressed.extend(persons);
            }
            self.taken_in.insert(request.accepted.request.clone());
        }
    }

    fn person(&mut self) -> u32 {
        self.table[self.dice.below(self.table.len() as u64) as usize].person
    }

    fn deletion(&mut self) -> Vec<String> {
        let mut persons = BTreeSet::new();
        for _ in 0..self.dice.pick(&[1, 1, 2, 3]) {
            let nobody = self.dice.once_in(8);
            let person = self.person();
            persons.insert(if nobody { NOBODY + person } else { person });
        }
        let name = format!("q{}", self.asked.len());
        let mut args = vec!["delete".to_owned(), "--request-id".into(), name.clone()];
        if self.dice.once_in(3) {
            let list = self.home.path().join(&name);
            let end = self.dice.pick(&["\n", "\r\n", "\r"]);
            fs::write(&list, persons.iter().map(|p| format!("{p}{end}")).collect::<String>()).unwrap();
            args.extend(["--from".into(), list.to_str().unwrap().into(), "--yes".into()]);
        } else {
            args.push("--subject".into());
            args.extend(persons.iter().map(u32::to_string));
        }
        let suppress = !self.dice.once_in(4);
        if !suppress {
            args.push("--no-suppress".into());
        }
        if self.dice.once_in(3) {
            args.push("--defer".into());
        }
        self.asked.insert(name, (persons, suppress));
        args
    }

    fn one_deletion(&mut self) {
        let args = self.deletion();
        let args: Vec<&str> = args.iter().map(String::as_str).collect();
        self.run(&args, &[0, 4]);
        if self.dice.once_in(3) {
            self.run(&args, &[0, 4]);
        }
    }

    fn other_settings(&mut self) {
        let path = self.root().join("sisa.toml");
        let config = fs::read_to_string(&path).unwrap();
        let changed = config.lines().map(|line| match line.split_once(" = ") {
            Some(("rate", _)) => format!("rate = {}", self.dice.pick(&["0.05", "0.02", "0.01"])),
            Some(("trees", _)) => format!("trees = {}", 1 + self.dice.below(4)),
            Some(("strength", _)) => format!("strength = {}", self.dice.pick(&["0.001", "0.1"])),
            _ => line.to_owned(),
        });
        fs::write(&path, changed.collect::<Vec<_>>().join("\n")).unwrap();
        self.run(&["train"], &[0]);
    }

    fn damage(&mut self) {
        let mut found: Vec<PathBuf> = files(&self.root().join("checkpoints"));
        found.retain(|path| path.extension().is_some_and(|e| e == "ckpt"));
        if found.is_empty() {
            return;
        }
        let path = found[self.dice.below(found.len() as u64) as usize].clone();
        let mut bytes = fs::read(&path).unwrap();
        let at = self.dice.below(bytes.len() as u64) as usize;
        match self.dice.below(3) {
            0 => bytes[at] ^= 1 << self.dice.below(8),
            1 => bytes.truncate(at),
            _ => {
                fs::remove_file(&path).unwrap();
                return self.run_to_the_end(&["repair"], &[0]);
            }
        }
        fs::write(&path, bytes).unwrap();
        self.run_to_the_end(&["repair"], &[0]);
    }

    /// Several commands at once; one of them may be killed.
    fn race(&mut self) {
        let mut running: Vec<(Vec<String>, Child)> = Vec::new();
        for _ in 0..2 + self.dice.below(3) {
            let what = self.dice.pick(&["delete", "delete", "train", "repair", "predict", "verify", "status"]);
            let mut args = match what {
                "delete" => self.deletion(),
                "predict" => vec![what.into(), self.root().join("table.csv").to_str().unwrap().into()],
                _ => vec![what.into()],
            };
            if !self.dice.once_in(3) {
                args.push("--wait".into());
            }
            let child = self.start(&args);
            running.push((args, child));
            std::thread::sleep(Duration::from_micros(self.dice.below(20_000)));
        }
        let victim = self.dice.below(8) as usize;
        if let Some((_, child)) = running.get_mut(victim) {
            let _ = child.kill();
        }
        for (at, (args, child)) in running.into_iter().enumerate() {
            let fine: &[i32] = match args[0].as_str() {
                "delete" => &[0, 4, 5],
                // A deletion may leave no shard with a clean step for a moment.
                "predict" => &[0, 5, 9],
                _ => &[0, 5],
            };
            self.end(&args, child, at == victim, fine);
        }
        self.take_in(None);
    }

    fn go_on(&mut self) {
        let seed = self.dice.below(1000).to_string();
        let table = self.root().join("table.csv").to_str().unwrap().to_owned();
        match self.dice.below(16) {
            0..=3 => self.one_deletion(),
            4 => drop(self.run(&["train"], &[0])),
            5 => drop(self.run(&["repair"], &[0])),
            6 | 7 => self.other_settings(),
            // Refused while a newer generation is being built.
            8 => drop(self.run(&["rekey", "--seed", &seed], &[0, 3])),
            9 => drop(self.run(&["train", "--fresh", "--yes", "--seed", &seed], &[0])),
            10 => {
                let person = self.person();
                self.run_to_the_end(&["unsuppress", "--subject", &person.to_string()], &[0]);
                self.suppressed.remove(&person);
            }
            11 => self.damage(),
            12 => drop(self.run(&["predict", &table], &[0, 5, 9])),
            _ => self.race(),
        }
    }

    /// Everything that is left to do, and the comparison.
    fn finish(&mut self) {
        for command in ["train", "repair"] {
            self.run_to_the_end(&[command], &[0]);
        }
        // What a killed verification leaves is found by the next one, until a writer sweeps it.
        while self.run(&["verify", "--retrain"], &[0]).is_none() {
            self.run_to_the_end(&["repair"], &[0]);
        }
        let (newest, (seed, from_source, rows)) = self.generations.last_key_value().map(|(g, of)| (*g, of.clone())).unwrap();
        let oracle = home();
        fs::copy(self.root().join("sisa.toml"), oracle.path().join("sisa.toml")).unwrap();
        let mut rest = rows;
        rest.reverse();
        fs::write(oracle.path().join("table.csv"), csv(&rest)).unwrap();
        let run = |args: &[&str]| {
            let done =
                Command::new(env!("CARGO_BIN_EXE_sisa")).arg("-w").arg(oracle.path()).arg("--quiet").args(args).output().unwrap();
            assert!(done.status.success(), "{args:?}: {}", String::from_utf8_lossy(&done.stderr));
        };
        let (first, seed) = (self.generations[&1].0.to_string(), seed.to_string());
        run(&["train", "--seed", &first]);
        match from_source {
            true if newest > 1 => run(&["train", "--fresh", "--yes", "--seed", &seed]),
            true => {}
            // The key of a rekeying depends on the generation's number too.
            false => (2..=newest).for_each(|_| run(&["rekey", "--seed", &seed])),
        }
        assert_same(&artefacts(&self.root()), &artefacts(oracle.path()), &self.log.join("\n"));
    }
}

/// A folder in the memory of the machine, where there is such a disk: nobody cuts the power.
fn home() -> tempfile::TempDir {
    let top = ["/dev/shm", "/tmp"].into_iter().find(|dir| Path::new(dir).is_dir()).unwrap();
    tempfile::tempdir_in(top).unwrap()
}

/// The output of a process that comes to an end in time.
fn wait(mut child: Child) -> Option<Output> {
    let start = Instant::now();
    // What it says is a line or two, so nobody has to read it meanwhile.
    while child.try_wait().unwrap().is_none() {
        if start.elapsed() > PATIENCE {
            child.kill().unwrap();
            return None;
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    Some(child.wait_with_output().unwrap())
}

fn files(dir: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(dir) else { return Vec::new() };
    let mut found: Vec<PathBuf> = entries.map(|e| e.unwrap().path()).collect();
    let deeper: Vec<PathBuf> = found.iter().filter(|p| p.is_dir()).flat_map(|p| files(p)).collect();
    found.retain(|p| p.is_file());
    found.extend(deeper);
    found.sort();
    found
}

/// Everything that follows from rows, keys and settings, by its path without the generation's number.
fn artefacts(root: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let all = ["shards", "checkpoints"].into_iter().flat_map(|top| files(&root.join(top)));
    let ours = all.filter(|p| p.extension().is_some_and(|e| e == "slice" || e == "ckpt") || p.ends_with("partition.json"));
    ours.map(|path| {
        let parts = path.strip_prefix(root).unwrap().components().enumerate().filter(|(at, _)| *at != 1);
        (parts.map(|(_, part)| part).collect(), fs::read(&path).unwrap())
    })
    .collect()
}

fn history(number: u64) {
    let mut world = World::new(number);
    let seed = world.dice.below(1000).to_string();
    while world.run(&["train", "--seed", &seed], &[0]).is_none() {}
    for _ in 0..3 + world.dice.below(8) {
        world.go_on();
    }
    world.finish();
}

#[test]
fn any_history_ends_in_the_bytes_of_training_without_those_who_are_gone() {
    #[expect(clippy::disallowed_methods, reason = "how much is tested is for whoever tests to say")]
    let asked = |name: &str| std::env::var(name).ok().map(|n| n.parse::<u64>().unwrap());
    let numbers = match asked("SISA_HISTORY") {
        Some(number) => number..number + 1,
        None => 1..1 + asked("SISA_HISTORIES").unwrap_or(HISTORIES),
    };
    for number in numbers {
        let told = std::panic::catch_unwind(|| history(number));
        if let Err(panic) = told {
            eprintln!("history {number} (SISA_HISTORY={number} makes it again)");
            std::panic::resume_unwind(panic);
        }
    }
}
