//! Vectors of numbers as one declared column: the same bytes by any road, and the same models as of numbers that are declared one by one.
#![cfg(feature = "parquet")]
#![expect(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "tests write their tables by hand, and stop at what they do not expect"
)]

mod common;
#[path = "../src/source/tests/make.rs"]
#[expect(dead_code, reason = "the readers' own tests use the rest")]
mod make;

use std::{collections::BTreeMap, fs, path::Path, sync::Arc};

use arrow_array::{
    ArrayRef, FixedSizeListArray, Float32Array, Int64Array, RecordBatch,
    types::{Float32Type, Float64Type},
};
use arrow_schema::{DataType, Field};
use common::{FOREST, LINEAR, MLP, assert_same};
use make::{npy, npz};
use sisa::{
    engine::{DeleteRequest, Engine, KeySource, Overrides, Quiet, TrainRequest},
    source::{ArrowTable, Block, Input, MemoryTable, Values, open},
};

/// Numbers of a vector.
const SIZE: usize = 5;
const ROWS: usize = 180;

/// Number `at` of the vector of a row: of every ninth row there is none, and of every seventh one number is missing.
fn number(row: usize, at: usize) -> Option<f32> {
    let missing = row % 9 == 4 || (row % 7 == 2 && at == row % SIZE);
    (!missing).then(|| ((row * 37 + at * 61) % 101) as f32 / 16.0 - 3.0)
}

fn numbers() -> Vec<Option<f32>> {
    (0..ROWS).flat_map(|row| (0..SIZE).map(move |at| number(row, at))).collect()
}

fn ages() -> Vec<f32> {
    (0..ROWS).map(|row| (row * 13 % 50) as f32).collect()
}

fn classes() -> Vec<i64> {
    (0..ROWS).map(|row| i64::from((row * 37 + 61) % 101 > 40)).collect()
}

fn ids() -> Vec<i64> {
    (0..ROWS as i64).collect()
}

fn people() -> Vec<i64> {
    (0..ROWS as i64).map(|row| 1000 + row / 2).collect()
}

fn csv() -> Vec<u8> {
    let names: String = (0..SIZE).map(|at| format!("v{at},")).collect();
    let mut text = format!("{names}x0,y,id,subject\n");
    for row in 0..ROWS {
        for at in 0..SIZE {
            text += &number(row, at).map(|number| number.to_string()).unwrap_or_default();
            text += ",";
        }
        text += &format!("{},{},{},{}\n", ages()[row], classes()[row], ids()[row], people()[row]);
    }
    text.into_bytes()
}

fn arrays() -> Vec<u8> {
    let ints = |values: &[i64]| {
        npy("<i8", false, &format!("({ROWS},)"), &values.iter().flat_map(|v| v.to_le_bytes()).collect::<Vec<_>>())
    };
    let floats = |values: Vec<f32>, width: usize| {
        npy("<f4", false, &format!("({ROWS}, {width})"), &values.into_iter().flat_map(f32::to_le_bytes).collect::<Vec<_>>())
    };
    let vectors = floats(numbers().into_iter().map(|n| n.unwrap_or(f32::NAN)).collect(), SIZE);
    let members =
        [("v", vectors), ("y", ints(&classes())), ("X", floats(ages(), 1)), ("ids", ints(&ids())), ("subjects", ints(&people()))];
    npz(true, &members)
}

/// Rows whose missing vectors are nulls, and whose missing numbers are nulls within vectors.
fn batch(doubles: bool) -> RecordBatch {
    let vector = |row: usize| (row % 9 != 4).then(|| (0..SIZE).map(|at| number(row, at)).collect::<Vec<_>>());
    let vectors = match doubles {
        true => FixedSizeListArray::from_iter_primitive::<Float64Type, _, _>(
            (0..ROWS)
                .map(vector)
                .map(|vector| vector.map(|numbers| numbers.into_iter().map(|n| n.map(f64::from)).collect::<Vec<_>>())),
            SIZE as i32,
        ),
        false => FixedSizeListArray::from_iter_primitive::<Float32Type, _, _>((0..ROWS).map(vector), SIZE as i32),
    };
    let ints = |values: Vec<i64>| Arc::new(Int64Array::from(values)) as ArrayRef;
    RecordBatch::try_from_iter_with_nullable([
        ("subject", ints(people()), true),
        ("v", Arc::new(vectors) as ArrayRef, true),
        ("y", ints(classes()), true),
        ("x0", Arc::new(Float32Array::from(ages())) as ArrayRef, true),
        ("id", ints(ids()), true),
    ])
    .unwrap()
}

fn ipc(batch: &RecordBatch, each: usize) -> Vec<u8> {
    let mut out = Vec::new();
    let mut file = arrow_ipc::writer::FileWriter::try_new(&mut out, &batch.schema()).unwrap();
    for start in (0..ROWS).step_by(each) {
        file.write(&batch.slice(start, each.min(ROWS - start))).unwrap();
    }
    file.finish().unwrap();
    drop(file);
    out
}

fn memory() -> MemoryTable {
    let column = |at: usize| Values::from((0..ROWS).map(|row| number(row, at)).collect::<Vec<_>>());
    let table = (0..SIZE).fold(MemoryTable::new("a table"), |table, at| table.column(&format!("v{at}"), column(at)));
    let table = table.column("x0", ages()).column("y", classes()).column("id", ids()).column("subject", people());
    table.with_blocks(vec![Block { name: "v".into(), first: 0, width: SIZE }])
}

fn in_pieces(batch: &RecordBatch, each: usize) -> ArrowTable {
    let some = (0..ROWS).step_by(each).map(|start| batch.slice(start, each.min(ROWS - start)));
    ArrowTable::new("a table of Arrow", batch.schema(), some.collect())
}

/// The roads, each written below `dir` where it is a file.
fn roads(dir: &Path) -> Vec<(&'static str, Input)> {
    let file = |name: &str, bytes: &[u8]| {
        let path = dir.join(name);
        fs::write(&path, bytes).unwrap();
        Input::from(path)
    };
    vec![
        ("text", file("t.csv", &csv())),
        ("arrays", file("t.npz", &arrays())),
        ("memory", memory().into()),
        ("Arrow in memory", Input::new().with(in_pieces(&batch(false), 41))),
        ("Arrow of doubles in memory", Input::new().with(in_pieces(&batch(true), ROWS))),
        ("Arrow", file("t.arrow", &ipc(&batch(false), 70))),
    ]
}

const VECTOR: &str = "v = { kind = \"embedding\", size = 5, range = [-3, 3.3] }\n";
const ONE_BY_ONE: &str = "\"v0..v4\" = { kind = \"number\", range = [-3, 3.3] }\n";

fn config(columns: &str, learner: &str) -> String {
    format!(
        "[data]\nsubject = \"subject\"\nrecord = [\"id\"]\nmissing = [\"\", \"NaN\"]\n[label]\ncolumn = \"y\"\nvalues = [\"0\", \"1\"]\n\
         [columns]\n{columns}x0 = {{ kind = \"number\", range = [0, 50] }}\n[shards]\nshards = 2\nslices = 1\n[learner]\n{learner}"
    )
}

fn trained(root: &Path, sources: &Input, config: &str) -> Engine {
    fs::write(root.join("sisa.toml"), config).unwrap();
    let engine = Engine::builder(root).threads(2).open().unwrap();
    let request = TrainRequest {
        sources: sources.clone(),
        config: root.join("sisa.toml"),
        overrides: Overrides::default(),
        keys: KeySource::Seed(5),
        only_shards: None,
        fresh: false,
    };
    assert!(engine.train(&request, &Quiet).unwrap().complete);
    engine
}

fn refused(columns: &str) -> String {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("sisa.toml"), config(columns, FOREST)).unwrap();
    let engine = Engine::builder(dir.path()).threads(1).open().unwrap();
    let request = TrainRequest {
        sources: memory().into(),
        config: dir.path().join("sisa.toml"),
        overrides: Overrides::default(),
        keys: KeySource::Seed(5),
        only_shards: None,
        fresh: false,
    };
    engine.train(&request, &Quiet).unwrap_err().to_string()
}

/// Every file of slices and checkpoints.
fn artefacts(root: &Path) -> BTreeMap<std::path::PathBuf, Vec<u8>> {
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
fn vectors_by_any_road_are_the_same_bytes() {
    let files = tempfile::tempdir().unwrap();
    let roads = roads(files.path());
    let mut first = None;
    for (road, sources) in &roads {
        let dir = tempfile::tempdir().unwrap();
        let engine = trained(dir.path(), sources, &config(VECTOR, FOREST));
        let before = artefacts(dir.path());
        let scores: Vec<_> = roads.iter().map(|(_, question)| engine.scores(question, &Quiet).unwrap().scores.values).collect();
        assert!(scores.windows(2).all(|pair| pair[0] == pair[1]), "{road}: the road of the question matters");
        let (expected, answers) = first.get_or_insert_with(|| (before.clone(), scores[0].clone()));
        assert_same(&before, expected, road);
        assert_eq!(&scores[0], answers, "{road}");
    }
}

#[test]
fn every_learner_takes_a_vector_as_numbers_that_are_declared_one_by_one() {
    let ridge = "kind = \"ridge\"\nmap = { kind = \"relu\", dimension = 20 }\nstrength = 1e-3\nbins = 2\n";
    let some: Vec<String> = (1000..1020).map(|person| person.to_string()).collect();
    for learner in [FOREST, "kind = \"boost\"\nrounds = 6\n", ridge, LINEAR, MLP] {
        let mut answers = Vec::new();
        for columns in [VECTOR, ONE_BY_ONE] {
            let dir = tempfile::tempdir().unwrap();
            let engine = trained(dir.path(), &memory().into(), &config(columns, learner));
            let before = engine.scores(&memory().into(), &Quiet).unwrap().scores.values;
            engine.delete(&DeleteRequest { subjects: some.clone(), ..DeleteRequest::default() }, &Quiet, |_, _, _| {}).unwrap();
            let after = engine.scores(&memory().into(), &Quiet).unwrap().scores.values;
            assert!(before != after, "{learner}: the deletion changed nothing");
            let same = engine.verify(&sisa::engine::VerifyRequest { retrain: true, ..Default::default() }, &Quiet).unwrap();
            assert!(same.findings.is_empty(), "{learner}");
            answers.push((before, after));
        }
        assert!(answers[0] == answers[1], "{learner}");
    }
}

#[test]
fn a_vector_is_proposed_as_one_column_and_never_as_the_label_or_an_id() {
    let files = tempfile::tempdir().unwrap();
    for (road, sources) in roads(files.path()).into_iter().filter(|(road, _)| *road != "text") {
        let dir = tempfile::tempdir().unwrap();
        let engine = Engine::builder(dir.path()).threads(1).open().unwrap();
        let ask = |overrides: Overrides| engine.propose(&sources, &dir.path().join("sisa.toml"), &overrides);
        let label = |name: &str| Overrides { label: Some(name.to_owned()), ..Overrides::default() };
        let text = ask(label("y")).unwrap().text;
        assert!(text.contains("\nv = { kind = \"embedding\", size = 5, range = [-2.7, 2.9] }  # "), "{road}: {text}");
        assert!(text.contains("\nsubject = \"subject\"\n"), "{road}: {text}");
        let error = ask(label("v3")).unwrap_err().to_string();
        assert!(error.contains("`v3` is a number of the vector `v`, and can't be the label"), "{road}: {error}");
        // As it is proposed it is trained on.
        let text = ask(Overrides { learner: Some("ridge".into()), ..label("y") }).unwrap().text;
        trained(dir.path(), &sources, &text);
    }
}

#[test]
fn what_a_vector_can_not_be_is_named() {
    for (columns, what) in [
        (
            "v = { kind = \"embedding\", size = 6, range = [-3, 3] }\n",
            "no column `v5`, which the schema declares as a number of an embedding",
        ),
        ("v = { kind = \"embedding\", size = 4, range = [-3, 3] }\n", "column `v4` is not declared"),
        ("v = { kind = \"embedding\", size = 0, range = [-3, 3] }\n", "`size = N`, from 1 to 65536"),
        ("v = { kind = \"embedding\", size = 5 }\n", "`range = [low, high]`"),
        ("v = { kind = \"embedding\", size = 5, range = [1, 1] }\n", "the lower one first"),
        (
            "v = { kind = \"embedding\", size = 5, range = [-3, 3], log1p = true }\n",
            "`log1p` has no meaning for kind `embedding`",
        ),
        ("\"v*\" = { kind = \"embedding\", size = 5, range = [-3, 3] }\n", "an embedding has one name"),
        ("v = { kind = \"embedding\", size = 5, range = [-3, 3] }\nv2 = \"number\"\n", "both declare column `v2`"),
    ] {
        let error = refused(columns);
        assert!(error.contains(what), "{columns}: {error}");
    }
    // A range or a pattern is less precise, and a vector that is not used may be called by its name.
    for columns in [format!("\"v*\" = \"number\"\n{VECTOR}"), "v = \"ignore\"\n".to_owned()] {
        trained(tempfile::tempdir().unwrap().path(), &memory().into(), &config(&columns, FOREST));
    }
}

#[test]
fn lists_that_are_no_vectors_are_not_read_and_say_what_would_be() {
    let item = Arc::new(Field::new_list_field(DataType::Int64, true));
    let whole = FixedSizeListArray::new(item, 2, Arc::new(Int64Array::from((0..2 * ROWS as i64).collect::<Vec<_>>())), None);
    let batch = RecordBatch::try_from_iter([("whole", Arc::new(whole) as ArrayRef)]).unwrap();
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("t.arrow"), ipc(&batch, ROWS)).unwrap();
    let source = open(&dir.path().join("t.arrow")).unwrap();
    assert_eq!((source.columns().len(), source.blocks().len()), (1, 0));
    let unread = source.unread();
    assert!(unread[0].1.contains("vectors are fixed-size lists of 1 to 65536 floats"), "{unread:?}");
}
