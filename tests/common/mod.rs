//! Small workspaces for tests, and how to compare them.
#![allow(dead_code, clippy::allow_attributes, reason = "each test uses some of it")]
#![expect(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "tests write their tables by hand, and stop at what they do not expect"
)]

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use sisa::engine::{
    DeleteReport, DeleteRequest, Engine, Input, KeySource, Observer, Overrides, Progress, Quiet, TrainReport, TrainRequest,
};

/// One learner and schedule, and how the table is cut.
#[derive(Clone, Debug)]
pub(crate) struct Setup {
    pub(crate) shards: u32,
    pub(crate) slices: u32,
    pub(crate) holdout: f64,
    pub(crate) learner: &'static str,
    pub(crate) schedule: &'static str,
    pub(crate) epochs: u32,
    pub(crate) record: bool,
    /// Steps before the last that leave a checkpoint.
    pub(crate) keep: Option<u32>,
}

impl Default for Setup {
    fn default() -> Setup {
        Setup { shards: 3, slices: 4, holdout: 0.2, learner: MLP, schedule: "replay", epochs: 3, record: true, keep: None }
    }
}

pub(crate) const MLP: &str = r#"kind = "mlp"
hidden = [6]
activation = "relu"
optimizer = { kind = "sgd", momentum = 0.9 }
rate = 0.05
decay = "linear"
l2 = 0.001
batch = 8
"#;

pub(crate) const ADAM: &str = r#"kind = "mlp"
hidden = [5, 4]
activation = "tanh"
optimizer = { kind = "adam", beta1 = 0.9, beta2 = 0.999, epsilon = 1e-8 }
rate = 0.01
decay = "constant"
l2 = 0.0
batch = 16
"#;

pub(crate) const LINEAR: &str = r#"kind = "linear"
optimizer = { kind = "sgd", momentum = 0.5 }
rate = 0.1
decay = "constant"
l2 = 0.0
batch = 4
"#;

/// Needs declared ranges, and is trained on every row once.
pub(crate) const FOREST: &str = r#"kind = "forest"
trees = 3
depth = 5
attributes = 3
cuts = 4
min_split = 3
"#;

/// The same with the counts of its leaves, from which it answers.
pub(crate) const COUNTED: &str = r#"kind = "forest"
trees = 3
depth = 5
attributes = 3
cuts = 4
min_split = 3
counts = true
"#;

/// Likewise, and the states of all shards add up to one model.
pub(crate) const RIDGE: &str = r#"kind = "ridge"
strength = 0.001
bins = 4
map = { kind = "relu", dimension = 24 }
"#;

/// Looks at the rows of a step together, and takes a schedule of its own.
pub(crate) const BOOST: &str = r#"kind = "boost"
rounds = 9
leaves = 6
min_rows = 3
"#;

impl Setup {
    /// Whether the learner is a function of the set of rows.
    pub(crate) fn of_sets(&self) -> bool {
        self.learner.contains("forest") || self.learner.contains("ridge")
    }

    pub(crate) fn config(&self) -> String {
        // Only where they are needed: they are part of the partition, and so of every lineage.
        let [age, cost] = if self.of_sets() { [", range = [18, 80]", ", range = [0, 1300]"] } else { [""; 2] };
        let schedule = if self.of_sets() {
            String::new()
        } else {
            let kind = if self.learner == BOOST { "window" } else { self.schedule };
            format!("[schedule]\nkind = \"{kind}\"\nepochs = {}\n", self.epochs)
        };
        let record = if self.record { "[\"person\", \"year\"]" } else { "[]" };
        format!(
            r#"[data]
sources = ["table.csv"]
subject = "person"
record = {record}
holdout = {holdout}
missing = ["", "?"]

[label]
column = "visits"
values = ["few", "many"]

[columns]
age = {{ kind = "number", indicator = true{age} }}
cost = {{ kind = "number", log1p = true{cost} }}
site = {{ kind = "category", values = ["a", "b"] }}
town = {{ kind = "category", buckets = 8 }}
level = {{ kind = "byte", scale = 0.01 }}
year = "ignore"

[shards]
shards = {shards}
slices = {slices}

[learner]
{learner}
{schedule}{keep}"#,
            holdout = self.holdout,
            shards = self.shards,
            slices = self.slices,
            learner = self.learner,
            keep = self.keep.map_or(String::new(), |keep| format!("[checkpoints]\nkeep = {keep}\n")),
        )
    }
}

/// A row of the test table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Row {
    pub(crate) person: u32,
    pub(crate) year: u32,
    pub(crate) cells: String,
}

pub(crate) const HEADER: &str = "person,year,age,cost,site,town,level,visits\n";

/// `persons` people with one to four yearly rows each; the same for the same arguments.
pub(crate) fn rows(persons: u32) -> Vec<Row> {
    let mut rows = Vec::new();
    let mut x = 88_172_645_463_325_252_u64;
    let mut next = move |n: u64| {
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        x % n
    };
    for person in 0..persons {
        for year in 1..=1 + next(4) as u32 {
            let age = if next(7) == 0 { "?".into() } else { format!("{}.{}", 18 + next(60), next(10)) };
            let cost = next(9000) as f64 / 7.0;
            let site = ["a", "b", "c"][next(3) as usize];
            let visits = if cost > 600.0 { "many" } else { "few" };
            let cells = format!("{age},{cost:.2},{site},t{},{},{visits}", next(20), next(256));
            rows.push(Row { person, year, cells });
        }
    }
    rows
}

pub(crate) fn csv(rows: &[Row]) -> String {
    let mut text = String::from(HEADER);
    for row in rows {
        text += &format!("{},{},{}\n", row.person, row.year, row.cells);
    }
    text
}

pub(crate) fn without(rows: &[Row], gone: impl Fn(&Row) -> bool) -> Vec<Row> {
    rows.iter().filter(|r| !gone(r)).cloned().collect()
}

/// A workspace in a temporary folder.
pub(crate) struct Bench {
    pub(crate) dir: tempfile::TempDir,
    pub(crate) threads: usize,
}

impl Bench {
    /// An empty workspace with a configuration and a table.
    pub(crate) fn new(setup: &Setup, rows: &[Row]) -> Bench {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("sisa.toml"), setup.config()).unwrap();
        fs::write(dir.path().join("table.csv"), csv(rows)).unwrap();
        Bench { dir, threads: 2 }
    }

    /// A workspace that is trained.
    pub(crate) fn trained(setup: &Setup, rows: &[Row]) -> Bench {
        let bench = Bench::new(setup, rows);
        assert!(bench.train().complete);
        bench
    }

    pub(crate) fn root(&self) -> &Path {
        self.dir.path()
    }

    pub(crate) fn engine(&self) -> Engine {
        Engine::builder(self.root()).threads(self.threads).wait(true).open().unwrap()
    }

    pub(crate) fn request(&self) -> TrainRequest {
        TrainRequest {
            sources: Input::new(),
            config: self.root().join("sisa.toml"),
            overrides: Overrides::default(),
            keys: KeySource::Seed(5),
            only_shards: None,
            fresh: false,
        }
    }

    pub(crate) fn train(&self) -> TrainReport {
        self.engine().train(&self.request(), &Quiet).unwrap()
    }

    pub(crate) fn delete(&self, request: &DeleteRequest) -> DeleteReport {
        self.engine().delete(request, &Quiet, |_, _, _| {}).unwrap()
    }

    /// Every slice and checkpoint file, by path.
    pub(crate) fn artefacts(&self) -> BTreeMap<PathBuf, Vec<u8>> {
        let mut found = self.files();
        found.retain(|path, _| path.extension().is_some_and(|e| e == "slice" || e == "ckpt"));
        found
    }

    /// Every file of the workspace but the person's own, by path.
    pub(crate) fn files(&self) -> BTreeMap<PathBuf, Vec<u8>> {
        let mut found = BTreeMap::new();
        for top in ["shards", "checkpoints", ".scratch"] {
            walk(self.root(), &self.root().join(top), &mut found);
        }
        found
    }
}

fn walk(root: &Path, dir: &Path, found: &mut BTreeMap<PathBuf, Vec<u8>>) {
    let Ok(entries) = fs::read_dir(dir) else { return };
    for entry in entries {
        let path = entry.unwrap().path();
        if path.is_dir() {
            walk(root, &path, found);
        } else {
            match fs::read(&path) {
                Ok(bytes) => found.insert(path.strip_prefix(root).unwrap().to_owned(), bytes),
                // Another process renamed it meanwhile.
                Err(e) if e.kind() == std::io::ErrorKind::NotFound => None,
                Err(e) => panic!("{}: {e}", path.display()),
            };
        }
    }
}

/// Two sets of files are the same to the byte; names the first difference.
pub(crate) fn assert_same(a: &BTreeMap<PathBuf, Vec<u8>>, b: &BTreeMap<PathBuf, Vec<u8>>, what: &str) {
    assert!(!a.is_empty());
    for path in a.keys().chain(b.keys()) {
        let (Some(x), Some(y)) = (a.get(path), b.get(path)) else {
            panic!("{what}: {} is only on one side ({} and {} files)", path.display(), a.len(), b.len())
        };
        if let Some(at) = x.iter().zip(y).position(|(x, y)| x != y) {
            panic!("{what}: {} differs first at byte {at}", path.display());
        }
        assert_eq!(x.len(), y.len(), "{what}: {} has another length", path.display());
    }
}

/// Asks to stop after some batches.
#[derive(Debug)]
pub(crate) struct StopAfter(pub(crate) std::sync::atomic::AtomicI64);

impl Observer for StopAfter {
    fn progress(&self, progress: Progress) {
        if matches!(progress, Progress::Training { .. }) {
            self.0.fetch_sub(1, std::sync::atomic::Ordering::SeqCst);
        }
    }

    fn note(&self, _: &str) {}

    fn stopped(&self) -> bool {
        self.0.load(std::sync::atomic::Ordering::SeqCst) <= 0
    }
}
