//! Parquet and Arrow files of every packing and type give the bytes that the same rows as text give. The files were made by the program
//! in tests/data/columnar/README.md, with the writers of the Arrow project.
#![cfg(feature = "parquet")]
#![expect(clippy::disallowed_methods, clippy::unwrap_used, reason = "tests make and look at files by hand")]

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use sisa::{
    engine::{DeleteRequest, Engine, KeySource, Overrides, Quiet, TrainRequest},
    source::{Batch, Cell, open},
};

const CONFIG: &str = r#"[data]
subject = "person"
record = ["visit"]
holdout = 0.2
missing = [""]

[label]
column = "outcome"
values = ["no", "yes"]

[columns]
age = { kind = "number", indicator = true }
dose = "number"
weight = "number"
smokes = "boolean"
born = { kind = "date", order = "year-month-day" }
seen = { kind = "date", order = "year-month-day", unit = "seconds", origin = "2023-11-01", parts = ["hour", "weekday"] }
price = "number"
ward = { kind = "category", values = ["east", "west"] }

[shards]
shards = 2
slices = 2

[learner]
kind = "linear"
optimizer = { kind = "sgd", momentum = 0.5 }
rate = 0.1
decay = "constant"
l2 = 0.0
batch = 4
"#;

fn file(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/columnar").join(name)
}

/// The slices and checkpoints that training on a file leaves.
fn trained(name: &str) -> BTreeMap<PathBuf, Vec<u8>> {
    artefacts(engine(name).0.path())
}

/// A workspace that is trained on a file.
fn engine(name: &str) -> (tempfile::TempDir, Engine) {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("sisa.toml"), CONFIG).unwrap();
    let engine = Engine::builder(dir.path()).threads(2).open().unwrap();
    let request = TrainRequest {
        sources: file(name).into(),
        config: dir.path().join("sisa.toml"),
        overrides: Overrides::default(),
        keys: KeySource::Seed(5),
        only_shards: None,
        fresh: false,
    };
    assert!(engine.train(&request, &Quiet).unwrap().complete, "{name}");
    (dir, engine)
}

fn artefacts(root: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    let mut folders = vec![root.join("shards/g0001"), root.join("checkpoints")];
    while let Some(folder) = folders.pop() {
        for path in fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
            match path.is_dir() {
                true => folders.push(path),
                false => drop(found.insert(path.strip_prefix(root).unwrap().to_owned(), fs::read(&path).unwrap())),
            }
        }
    }
    found
}

#[test]
fn every_packing_and_type_gives_the_bytes_that_text_gives() {
    let expected = trained("rows.csv");
    for name in [
        "plain.parquet",
        "zstd.parquet",
        "zstd-v2.parquet",
        "snappy.parquet",
        "snappy-v2.parquet",
        "gzip.parquet",
        "lz4.parquet",
        "plain.arrow",
        "lz4.arrow",
    ] {
        let found = trained(name);
        assert!(found.keys().eq(expected.keys()), "{name}: {:?}", found.keys());
        for (path, bytes) in &found {
            assert!(expected.get(path) == Some(bytes), "{name}: {} differs", path.display());
        }
    }
}

#[test]
fn packings_that_are_not_read_are_named_with_what_to_do() {
    for (name, packing, advice) in
        [("brotli.parquet", "Brotli", "packed by Snappy"), ("zstd.arrow", "Zstandard", "with compression LZ4")]
    {
        let mut source = open(&file(name)).unwrap();
        let error = source.next(&mut Batch::new()).unwrap_err().to_string();
        assert!(error.contains(packing) && error.contains(advice), "{error}");
        // After an error the source is spent.
        assert!(source.next(&mut Batch::new()).is_err());
    }
}

#[test]
fn a_table_with_values_within_values_is_proposed_from_and_trained_without_them() {
    for name in ["nested.parquet", "nested.arrow"] {
        let dir = tempfile::tempdir().unwrap();
        let engine = Engine::builder(dir.path()).threads(1).open().unwrap();
        let request = TrainRequest {
            sources: file(name).into(),
            config: dir.path().join("sisa.toml"),
            overrides: Overrides { label: Some("outcome".into()), subject: Some("person".into()), ..Overrides::default() },
            keys: KeySource::Seed(5),
            only_shards: None,
            fresh: false,
        };
        let report = engine.train(&request, &Quiet).unwrap();
        let columns = report.proposal.unwrap().columns;
        let tags = columns.iter().find(|column| column.column == "tags").unwrap();
        assert!(tags.kind == "not used" && tags.notable && tags.remark.contains("not read"), "{tags:?}");
        assert_eq!(engine.scores(&file(name).into(), &Quiet).unwrap().scores.classes.len(), 90, "{name}");
    }
}

/// Lists as PyArrow writes them, with pages that end within one.
#[test]
fn lists_of_floats_are_vectors_with_the_cells_that_text_has() {
    let cells = |name: &str| -> Vec<[Option<f32>; 5]> {
        let mut source = open(&file(name)).unwrap();
        assert_eq!(source.columns(), ["v0", "v1", "v2", "v3", "at"], "{name}");
        let (mut batch, mut rows) = (Batch::new(), Vec::new());
        while source.next(&mut batch).unwrap() > 0 {
            for row in 0..batch.rows() {
                rows.push([0, 1, 2, 3, 4].map(|column| batch.cell(row, column).to_string().parse().ok()));
            }
        }
        rows
    };
    let expected = cells("lists.csv");
    assert_eq!((expected.len(), expected.iter().filter(|row| row[0].is_none()).count()), (90, 22));
    for name in ["lists.parquet", "lists-v2.parquet", "lists-old.parquet", "lists.arrow"] {
        assert_eq!(cells(name), expected, "{name}");
        assert_eq!(open(&file(name)).unwrap().blocks().len(), 1, "{name}");
    }
}

#[test]
fn columns_that_are_not_asked_for_are_missing_and_not_read() {
    for name in ["zstd.parquet", "lz4.arrow"] {
        let mut source = open(&file(name)).unwrap();
        let place = source.columns().iter().position(|column| column == "price").unwrap();
        source.only(&[place]);
        let mut batch = Batch::new();
        assert!(source.next(&mut batch).unwrap() > 0);
        assert_eq!((batch.cell(1, 0), batch.cell(1, place)), (Cell::Missing, Cell::Text(b"0.25")));
        assert_eq!(
            (batch.cell(0, place), batch.place(1).to_string()),
            (Cell::Missing, format!("{}: row 2", file(name).display()))
        );
    }
    // Of Brotli pages none is looked at.
    let mut source = open(&file("brotli.parquet")).unwrap();
    source.only(&[]);
    assert!(source.next(&mut Batch::new()).unwrap() > 0);
}

/// Rows to be deleted are named by a table in any form, whatever the records came from.
#[test]
fn records_are_deleted_by_the_content_of_rows_of_any_form() {
    let all = engine("plain.parquet").1.status().unwrap();
    let records: u64 = all.shards.iter().map(|s| s.held_out + s.cells.iter().map(|c| c.rows).sum::<u64>()).sum();
    for (source, rows) in [("rows.csv", "zstd.parquet"), ("snappy.parquet", "rows.csv"), ("plain.arrow", "lz4.arrow")] {
        let (_dir, engine) = engine(source);
        let request = DeleteRequest { rows: file(rows).into(), request_id: Some("all".into()), ..DeleteRequest::default() };
        let report = engine.delete(&request, &Quiet, |_, _, _| ()).unwrap();
        let gone: u64 = report.accepted.outcomes.iter().map(|o| o.in_slices + o.held_out).sum();
        assert!(!report.any_unknown() && gone == records && records > 0, "{source} by {rows}: {gone} of {records}");
        let left = engine.status().unwrap().shards;
        assert!(left.iter().all(|s| s.held_out == 0 && s.cells.iter().all(|cell| cell.rows == 0)), "{source} by {rows}");
    }
}
