//! An ensemble that stays loaded: one row of a table in memory, by learner; and the look at the ledger that every answer takes twice, beside
//! short and long ledgers. Set `SISA_BENCH_ENTRIES` for a longer one than 1,000 requests (two entries each).
#![expect(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a bench writes its tables by hand and stops at what it does not expect"
)]

use std::{fmt::Write, hint::black_box, path::Path};

use criterion::{Criterion, criterion_group, criterion_main};
use sisa::engine::{DeleteRequest, Engine, Input, KeySource, MemoryTable, Quiet, TrainRequest};

/// Numbers of a row; two categories more.
const NUMBERS: usize = 8;
const ROWS: usize = 20_000;

/// A trained workspace of 5 shards.
fn engine(dir: &Path, learner: &str) -> Engine {
    let mut csv = String::from("id,town,job,");
    (0..NUMBERS).for_each(|i| write!(csv, "x{i},").unwrap());
    csv += "y\n";
    for row in 0..ROWS {
        write!(csv, "{row},t{},j{},", row % 7, row % 11).unwrap();
        (0..NUMBERS).for_each(|i| write!(csv, "{:.3},", ((row * 31 + i * 17) % 1000) as f64 / 10.0).unwrap());
        writeln!(csv, "{}", ["no", "yes"][row / 3 % 2]).unwrap();
    }
    std::fs::write(dir.join("t.csv"), csv).unwrap();
    let config = format!(
        "[data]\nsources = [\"t.csv\"]\nsubject = \"id\"\n[label]\ncolumn = \"y\"\nvalues = [\"no\", \"yes\"]\n[columns]\n\
         \"x0..x{}\" = {{ kind = \"number\", range = [0, 100] }}\ntown = {{ kind = \"category\", buckets = 8 }}\n\
         job = {{ kind = \"category\", buckets = 16 }}\n[shards]\nshards = 5\nslices = 1\n{learner}",
        NUMBERS - 1
    );
    std::fs::write(dir.join("sisa.toml"), config).unwrap();
    let engine = Engine::builder(dir).threads(2).wait(true).open().unwrap();
    let request = TrainRequest {
        sources: Input::new(),
        config: dir.join("sisa.toml"),
        overrides: Default::default(),
        keys: KeySource::Seed(1),
        only_shards: None,
        fresh: false,
    };
    assert!(engine.train(&request, &Quiet).unwrap().complete);
    engine
}

fn one_row() -> Input {
    let table = MemoryTable::new("row").column("town", vec!["t3".to_owned()]).column("job", vec!["j4".to_owned()]);
    Input::new().with((0..NUMBERS).fold(table, |table, i| table.column(&format!("x{i}"), vec![i as f32 * 7.5])))
}

const SGD: &str = "optimizer = { kind = \"sgd\", momentum = 0.9 }\nrate = 0.05\ndecay = \"constant\"\nl2 = 0.0\nbatch = 64\n\
                   [schedule]\nkind = \"cumulative\"\nepochs = 1\n";

fn answers(c: &mut Criterion) {
    let mut group = c.benchmark_group("one row, in memory");
    for (name, learner) in [
        ("linear", format!("[learner]\nkind = \"linear\"\n{SGD}")),
        ("mlp of 128", format!("[learner]\nkind = \"mlp\"\nhidden = [128]\nactivation = \"relu\"\n{SGD}")),
        ("forest of 20 trees a shard", "[learner]\nkind = \"forest\"\ncounts = true\n".into()),
    ] {
        let dir = tempfile::tempdir().unwrap();
        let engine = engine(dir.path(), &learner);
        let (serving, row) = (engine.serving().unwrap(), one_row());
        group.bench_function(name, |b| b.iter(|| black_box(serving.scores(&row, &Quiet).unwrap())));
    }
    group.finish();
}

fn looks(c: &mut Criterion) {
    let dir = tempfile::tempdir().unwrap();
    let engine = engine(dir.path(), &format!("[learner]\nkind = \"linear\"\n{SGD}"));
    let requests = std::env::var("SISA_BENCH_ENTRIES").ok().and_then(|n| n.parse().ok()).unwrap_or(1000);
    let serving = engine.serving().unwrap();
    let mut group = c.benchmark_group("what an answer would stand on now");
    group.bench_function("few entries", |b| b.iter(|| black_box(serving.epoch().unwrap())));
    for n in 0..requests {
        let delete = DeleteRequest { subjects: vec![format!("nobody {n}")], ..DeleteRequest::default() };
        engine.delete(&delete, &Quiet, |_, _, _| {}).unwrap();
    }
    let entries = serving.epoch().unwrap().entry;
    group.bench_function(format!("{entries} entries"), |b| b.iter(|| black_box(serving.epoch().unwrap())));
    group.finish();
}

criterion_group!(benches, answers, looks);
criterion_main!(benches);
