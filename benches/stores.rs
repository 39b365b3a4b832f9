//! The stores: publishing and opening slices and checkpoints, and reading a CSV into a workspace.
//! Each is beside the bandwidth of plain writing or hashing measured in the same run.
#![expect(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "a bench writes its tables by hand and stops at what it does not expect"
)]

use std::{hint::black_box, path::Path, sync::Arc};

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use sisa::{
    checkpoint::CheckpointStore,
    digest::{Digest, ModelKey},
    engine::{DeleteRequest, Engine, Input, KeySource, Overrides, Quiet, RealDisk, TrainRequest},
    fs::{Durability, Files},
    ids::{Cell, Handle, Part, ShardId, SliceId},
    learn::{Layout, Task},
    order::Grid,
    schema::RowLayout,
    shard::{ShardStore, SliceFile},
};

const COLUMNS: usize = 600;
const ROWS: usize = 250;

fn slice_store(dir: &Path) -> ShardStore {
    let layout = Layout {
        numbers: 0,
        ranges: Vec::new(),
        indicators: Vec::new(),
        byte_scales: vec![1.0; COLUMNS],
        categories: Vec::new(),
        task: Task::Classes(100),
        label_range: None,
    };
    let row = RowLayout { numbers: 0, bytes: COLUMNS as u32, categories: 0, class_label: true };
    let grid = Grid::new(1, 1, 0.0);
    ShardStore::new(Files::new(Arc::new(RealDisk::new())), dir.to_owned(), ModelKey::from_bytes([1; 32]), layout, row, grid)
}

fn stores(c: &mut Criterion) {
    let dir = tempfile::tempdir().unwrap();
    std::fs::create_dir_all(dir.path().join("0000")).unwrap();
    let store = slice_store(dir.path());
    let cell = Cell { shard: ShardId(0), part: Part::Slice(SliceId(1)) };
    // Class 0, then the columns.
    let encoded = [vec![0; 4], vec![1_u8; COLUMNS]].concat();
    let handle = |i: usize| Handle(Digest::of(&i.to_le_bytes()).0.first_chunk().copied().unwrap());
    let rows: Vec<_> = (0..ROWS).map(|i| (handle(i), handle(i), encoded.as_slice())).collect();
    let build = || SliceFile::build(store.named(cell), store.row(), &rows, store.key()).unwrap();
    let file = build();
    let payload = vec![7_u8; 1_100_000];
    let checkpoints = CheckpointStore::new(Files::new(Arc::new(RealDisk::new())), dir.path().to_owned());

    let mut group = c.benchmark_group("stores");
    group.throughput(Throughput::Bytes(file.bytes().len() as u64));
    group.bench_function("hash, for scale", |b| b.iter(|| black_box(Digest::of(file.bytes()))));
    group.bench_function("build a slice of 250 x 600", |b| b.iter(|| black_box(build())));
    group.bench_function("publish it, durably", |b| b.iter(|| store.publish(&file, Durability::Now).unwrap()));
    group.bench_function("publish it, synced later", |b| b.iter(|| store.publish(&file, Durability::Later).unwrap()));
    group.bench_function("open and check it", |b| b.iter(|| black_box(store.open(cell).unwrap())));
    group.bench_function("read its header", |b| b.iter(|| black_box(store.header(cell).unwrap())));
    group.throughput(Throughput::Bytes(payload.len() as u64));
    let (shard, step, lineage) = (ShardId(0), SliceId(1), Digest::of(b"l"));
    group.bench_function("hash a checkpoint, for scale", |b| b.iter(|| black_box(Digest::of(&payload))));
    group.bench_function("publish a checkpoint, synced later", |b| {
        b.iter(|| checkpoints.publish(shard, step, lineage, &payload, Durability::Later).unwrap());
    });
    group.bench_function("read and check a checkpoint", |b| {
        b.iter(|| checkpoints.read(shard, step, lineage, <[u8]>::len).unwrap());
    });
    group.finish();
}

/// A workspace of 20 shards and 50 slices that a small model is trained on.
fn engine(dir: &Path, rows: usize) -> Engine {
    let mut csv = String::from("id,");
    (0..20).for_each(|i| csv += &format!("x{i},"));
    csv += "y\n";
    for row in 0..rows {
        csv += &format!("{row},");
        (0..20).for_each(|i| csv += &format!("{:.4},", ((row * 31 + i * 17) % 1000) as f64 / 7.0));
        csv += &format!("{}\n", row % 3);
    }
    std::fs::write(dir.join("t.csv"), csv).unwrap();
    let config = "[data]\nsources = [\"t.csv\"]\nsubject = \"id\"\nrecord = [\"id\"]\n[label]\ncolumn = \"y\"\nvalues = [\"0\", \"1\", \"2\"]\n\
                  [columns]\n\"x0..x19\" = \"number\"\n[shards]\nshards = 20\nslices = 50\n[learner]\nkind = \"linear\"\nrate = 0.05\n\
                  optimizer = { kind = \"sgd\", momentum = 0.9 }\ndecay = \"constant\"\nl2 = 0.0\nbatch = 64\n[schedule]\nkind = \"replay\"\nepochs = 2\n";
    std::fs::write(dir.join("sisa.toml"), config).unwrap();
    Engine::builder(dir).threads(2).wait(true).open().unwrap()
}

fn commands(c: &mut Criterion) {
    let dir = tempfile::tempdir().unwrap();
    let engine = engine(dir.path(), 20_000);
    let request = TrainRequest {
        sources: Input::new(),
        config: dir.path().join("sisa.toml"),
        overrides: Overrides::default(),
        keys: KeySource::Seed(1),
        only_shards: None,
        fresh: false,
    };
    engine.train(&request, &Quiet).unwrap();
    let mut group = c.benchmark_group("commands, 20 x 50 cells");
    group.sample_size(10);
    group.bench_function("train with nothing to do", |b| b.iter(|| engine.train(&request, &Quiet).unwrap()));
    let mut person = 0;
    group.bench_function("delete one person, deferred (opening the workspace included)", |b| {
        b.iter(|| {
            person += 1;
            let delete = DeleteRequest { subjects: vec![person.to_string()], defer: true, ..DeleteRequest::default() };
            engine.delete(&delete, &Quiet, |_, _, _| {}).unwrap()
        });
    });
    group.bench_function("delete one person and repair", |b| {
        b.iter(|| {
            person += 1;
            let delete = DeleteRequest { subjects: vec![person.to_string()], ..DeleteRequest::default() };
            engine.delete(&delete, &Quiet, |_, _, _| {}).unwrap()
        });
    });
    group.throughput(Throughput::Elements(20_000));
    let table = dir.path().join("t.csv").into();
    group.bench_function("predict 20,000 rows of a CSV", |b| {
        b.iter(|| {
            engine
                .predict(&table, &Quiet, |_, scores| {
                    black_box(scores);
                    Ok(())
                })
                .unwrap()
        });
    });
    group.bench_function("import and train 20,000 rows of a CSV", |b| {
        b.iter(|| {
            let anew = tempfile::tempdir().unwrap();
            let request = TrainRequest { config: dir.path().join("sisa.toml"), ..request.clone() };
            Engine::builder(anew.path()).threads(2).wait(true).open().unwrap().train(&request, &Quiet).unwrap()
        });
    });
    group.finish();
}

criterion_group!(benches, stores, commands);
criterion_main!(benches);
