//! Every file that the engine writes is, byte for byte, the one that the judge in `oracle/` computes from the rows.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "helpers of tests")]

mod oracle;

use std::{path::PathBuf, sync::Arc};

use oracle::{Row, Setup, expected, first_difference};
use sisa::{
    digest::{HandleKey, ModelKey},
    fs::{Files, RealDisk, Sync},
    ids::{Cell, GenerationId, Handle, ShardId},
    import,
    ledger::History,
    schema::Schema,
    shard::SliceFile,
    train::{Lane, LineageRoot, Pool, Recipe, Watch, train},
    workspace::{Partition, Workspace},
};

const GENERATION: GenerationId = GenerationId(1);

/// Numbers that look random and are the same in every run (splitmix64).
struct Random(u64);

impl Random {
    fn below(&mut self, n: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut x = self.0;
        x = (x ^ x >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        x = (x ^ x >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        (x ^ x >> 31) % n
    }

    fn of<'a>(&mut self, choices: &[&'a str]) -> &'a str {
        choices[self.below(choices.len() as u64) as usize]
    }

    fn number(&mut self) -> String {
        let number = self.below(2_000_001) as f64 / 1e5 - 10.0;
        match self.below(6) {
            0 => format!(" {number:e} "),
            1 => format!("{}", number as i32),
            2 => format!("+{:.1}", number.abs()),
            _ => format!("{number}"),
        }
    }
}

/// What a configuration's rows look like.
#[derive(Clone, Copy, Debug)]
struct Shape {
    numbers: usize,
    bytes: usize,
    categories: usize,
    /// 0 learns a number.
    classes: usize,
    subject: bool,
    record_columns: usize,
    log1p: bool,
}

const MIXED: Shape = Shape { numbers: 4, bytes: 3, categories: 3, classes: 3, subject: true, record_columns: 1, log1p: false };
/// Wider than a vector everywhere.
const WIDE: Shape = Shape { numbers: 21, bytes: 37, categories: 2, classes: 19, subject: false, record_columns: 2, log1p: false };
const REGRESSION: Shape = Shape { numbers: 3, bytes: 0, categories: 2, classes: 0, subject: true, record_columns: 0, log1p: true };
/// No dense input at all, and rows that only their content and occurrence name.
const CATEGORIES: Shape = Shape { numbers: 0, bytes: 0, categories: 2, classes: 2, subject: false, record_columns: 0, log1p: false };
const BYTES: Shape = Shape { numbers: 0, bytes: 50, categories: 0, classes: 10, subject: false, record_columns: 1, log1p: false };
const SHAPES: [Shape; 5] = [MIXED, WIDE, REGRESSION, CATEGORIES, BYTES];

const VALUES: [&str; 4] = ["red", "NA", "blau und grün", "7"];

impl Shape {
    fn schema(&self) -> Schema {
        let mut columns = Vec::new();
        let mut column = |name: String, kind: serde_json::Value| columns.push(serde_json::json!({ "name": name, "kind": kind }));
        // Kinds take turns, so that the order of the columns is not the order of the kinds.
        for i in 0..self.numbers.max(self.bytes).max(self.categories) {
            if i < self.categories {
                let values = serde_json::json!({ "values": { "values": VALUES } });
                let buckets = serde_json::json!({ "buckets": { "buckets": 1 + 4 * i } });
                column(format!("c{i}"), if i % 2 == 0 { values } else { buckets });
            }
            if i < self.bytes {
                column(format!("b{i}"), serde_json::json!({ "byte": { "scale": 1.0_f32 / (255 - i) as f32 } }));
            }
            if i < self.numbers {
                column(format!("n{i}"), serde_json::json!({ "number": { "log1p": i % 4 == 3, "indicator": i % 3 == 1 } }));
            }
        }
        column("unused".to_owned(), "ignore".into());
        let label = match self.classes {
            0 => serde_json::json!({ "kind": "number", "column": "label", "log1p": self.log1p }),
            n => {
                let values: Vec<String> = (0..n).map(|class| format!("class {class}")).collect();
                serde_json::json!({ "kind": "class", "column": "label", "values": values })
            }
        };
        let record: Vec<String> = (0..self.record_columns).map(|i| format!("id{i}")).collect();
        let subject = self.subject.then_some("person");
        let schema = serde_json::json!({ "subject": subject, "record": record, "label": label, "missing": ["", "NA", "-9"], "columns": columns });
        serde_json::from_value(schema).unwrap()
    }

    fn rows(&self, n: usize, random: &mut Random) -> Vec<Row> {
        (0..n).map(|i| self.row(i, random)).collect()
    }

    fn row(&self, i: usize, random: &mut Random) -> Row {
        let mut cells = Vec::new();
        for c in 0..self.categories {
            cells.push((format!("c{c}"), random.of(&[" red", "NA", "blau und grün", "7", "new", "", "-9", "11 "]).to_owned()));
        }
        for b in 0..self.bytes {
            cells.push((format!("b{b}"), format!("{} ", random.below(256))));
        }
        for c in 0..self.numbers {
            let text = match random.below(8) {
                0 => random.of(&["NA ", "", "-9"]).to_owned(),
                // A constant column, one of zeros of both signs, and one that log1p takes.
                _ if c == 2 => "2.5".to_owned(),
                _ if c == 6 => random.of(&["-0.0", "0"]).to_owned(),
                _ if c % 4 == 3 => format!("{:e}", random.below(1_000_000) as f64 / 1e3 - 0.9),
                _ => random.number(),
            };
            cells.push((format!("n{c}"), text));
        }
        let label = match self.classes {
            0 => format!("{}", random.below(5000) as f64 / 1e3),
            classes => format!("class {}", random.below(classes as u64)),
        };
        let subject = self.subject.then(|| format!("person {}", random.below(25)));
        let record = (0..self.record_columns).map(|c| format!("{} ", (i / [1, 10][c]) * 7 + c)).collect();
        Row { subject, record, cells, label }
    }

    fn csv(&self, rows: &[Row]) -> String {
        let first = &rows[0];
        let mut header: Vec<String> = first.cells.iter().map(|(name, _)| name.clone()).collect();
        header.extend(first.subject.iter().map(|_| "person".to_owned()));
        header.extend((0..first.record.len()).map(|i| format!("id{i}")));
        header.extend(["label".to_owned(), "unused".to_owned()]);
        let mut text = header.join(",") + "\n";
        for row in rows {
            let mut fields: Vec<&str> = row.cells.iter().map(|(_, text)| text.as_str()).collect();
            fields.extend(row.subject.as_deref());
            fields.extend(row.record.iter().map(String::as_str));
            text += &format!("{},{},x\n", fields.join(","), row.label);
        }
        text
    }
}

#[derive(Debug)]
struct Quiet;

impl Watch for Quiet {
    fn visited(&self, _: ShardId, _: usize) -> bool {
        true
    }
}

/// A workspace with one generation and one recipe.
struct Engine {
    dir: tempfile::TempDir,
    setup: Setup,
    lane: Lane,
    threads: usize,
}

impl Engine {
    /// Imports the rows.
    fn new(shape: &Shape, rows: &[Row], (shards, slices): (u32, u32), recipe: serde_json::Value, seed: u8) -> Engine {
        let dir = tempfile::tempdir().unwrap();
        let files = Files::new(Arc::new(RealDisk::new()));
        let table = dir.path().join("table.csv");
        let _ = files.publish(&table, &[shape.csv(rows).as_bytes()], Sync::Later).unwrap();
        let (handle_key, model_key) = ([seed; 32], [seed.wrapping_add(100); 32]);
        let holdout = f64::from(seed % 3) * 0.11;
        let grid = sisa::order::Grid { shards, slices, holdout };
        let partition = Partition::new(grid, shape.schema());
        let recipe: Recipe = serde_json::from_value(recipe).unwrap();
        let setup = Setup { handle_key, model_key, partition_json: partition.encode(), recipe_json: recipe.encode() };
        let workspace = Workspace::new(files.clone(), dir.path().join("workspace"));
        let key = ModelKey::from_bytes(model_key);
        let plan = import::Plan {
            generation: GENERATION,
            rekeys: None,
            partition: partition.clone(),
            handle_key: HandleKey::from_bytes(handle_key),
            model_key: key.clone(),
        };
        let lock = workspace.lock(false).unwrap();
        let mut sources = vec![sisa::source::open(&table).unwrap()];
        import::import(&workspace, &lock, &mut History::default(), &plan, &mut sources, &["table.csv".to_owned()], &|_, _, _| true).unwrap();
        workspace.write_recipe(GENERATION, &recipe).unwrap();
        let lane = Lane {
            shards: workspace.shard_store_of(GENERATION, &partition, key.clone()),
            checkpoints: sisa::checkpoint::CheckpointStore::new(files, workspace.recipe_dir(GENERATION, &recipe.id())),
            learner: recipe.learner.check().unwrap(),
            root: LineageRoot::new(recipe.digest(), partition.digest(), &key),
            recipe,
        };
        Engine { dir, setup, lane, threads: 1 + usize::from(seed % 3) }
    }

    fn train(&self) {
        let shards: Vec<ShardId> = self.lane.shards.grid().shards().collect();
        train(&self.lane, &shards, &Pool::new(self.threads), &Quiet).unwrap();
    }

    fn difference(&self, rows: &[Row]) -> Option<String> {
        first_difference(&expected(&self.setup, rows), self.lane.shards.dir(), self.lane.checkpoints.dir())
    }
}

fn recipe(learner: serde_json::Value, schedule: &str, epochs: u64) -> serde_json::Value {
    serde_json::json!({
        "checkpoint_format": 1, "numerics": sisa::train::NUMERICS_VERSION, "learner": learner,
        "schedule": { "kind": schedule, "epochs": epochs }, "keep": "all",
    })
}

/// All learners, optimisers and decays, with settings that vary with `random`.
fn learners(random: &mut Random) -> Vec<serde_json::Value> {
    let mut learners = Vec::new();
    for (momentum, adam) in [(0.0, false), (0.9, false), (0.0, true)] {
        for (kind, activation) in [("linear", ""), ("mlp", "relu"), ("mlp", "tanh")] {
            let optimizer = match adam {
                true => serde_json::json!({ "kind": "adam", "beta1": 0.9, "beta2": 0.99, "epsilon": 1e-7 }),
                false => serde_json::json!({ "kind": "sgd", "momentum": momentum }),
            };
            let (l2, average) = ([0.0, 1e-4, 0.01][random.below(3) as usize], [0.05, 0.3, 0.0][random.below(3) as usize]);
            let mut learner = serde_json::json!({
                "kind": kind, "optimizer": optimizer, "rate": 0.03, "decay": random.of(&["constant", "linear"]),
                "l2": l2, "batch": 1 + random.below(24), "average": average,
            });
            if kind == "mlp" {
                learner["activation"] = activation.into();
                learner["hidden"] = [vec![7], vec![18], vec![5, 20], vec![1, 2, 3]][random.below(4) as usize].clone().into();
            }
            learners.push(learner);
        }
    }
    learners
}

#[test]
fn the_engine_writes_what_the_judge_computes() {
    let mut random = Random(1);
    let mut seed = 0_u8;
    for schedule in ["cumulative", "replay", "front"] {
        for learner in learners(&mut random) {
            for shape in SHAPES {
                seed = seed.wrapping_add(1);
                let rows = shape.rows(30 + random.below(150) as usize, &mut random);
                let grid = (1 + random.below(4) as u32, 1 + random.below(4) as u32);
                let recipe = recipe(learner.clone(), schedule, 1 + random.below(4));
                let engine = Engine::new(&shape, &rows, grid, recipe.clone(), seed);
                engine.train();
                let difference = engine.difference(&rows);
                assert!(difference.is_none(), "{difference:?}\nseed {seed}, {} rows, {grid:?}, {shape:?}, {recipe}", rows.len());
            }
        }
    }
}

#[test]
fn so_do_steps_that_start_from_a_checkpoint_after_a_person_was_taken_away() {
    let mut random = Random(2);
    for (schedule, learner) in ["replay", "front", "cumulative"].into_iter().zip(learners(&mut random).into_iter().skip(4)) {
        let rows = MIXED.rows(150, &mut random);
        let engine = Engine::new(&MIXED, &rows, (2, 4), recipe(learner, schedule, 3), 9);
        engine.train();
        let gone = "person 3";
        let remaining: Vec<Row> = rows.iter().filter(|row| row.subject.as_deref() != Some(gone)).cloned().collect();
        assert!(engine.difference(&remaining).is_some());
        let handle = HandleKey::from_bytes(engine.setup.handle_key).maker().subject(gone.as_bytes());
        take_away(&engine, handle);
        engine.train();
        assert_eq!(engine.difference(&remaining), None);
    }
}

/// What a deletion comes to: the slice without the person, and no state that saw it.
fn take_away(engine: &Engine, subject: Handle) {
    let Lane { shards, checkpoints, .. } = &engine.lane;
    let cells: Vec<Cell> = shards.grid().cells().collect();
    for cell in cells {
        let slice = shards.open(cell).unwrap();
        let gone = slice.records_of(subject).collect::<std::collections::BTreeSet<_>>();
        if gone.is_empty() {
            continue;
        }
        let file = SliceFile::without(&slice, &gone, shards.key()).unwrap();
        let _ = shards.publish(&file, Sync::Later).unwrap();
        for found in checkpoints.list(cell.shard).unwrap() {
            if found.step.0 >= cell.part.number() && cell.part.number() > 0 {
                let path: PathBuf = checkpoints.path(cell.shard, found.step, found.lineage);
                assert!(Files::new(Arc::new(RealDisk::new())).unlink(&path).unwrap());
            }
        }
    }
}
