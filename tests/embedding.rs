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
    ArrayRef, FixedSizeListArray, Float32Array, Int64Array, LargeListArray, ListArray, RecordBatch,
    types::{Float32Type, Float64Type},
};
use arrow_schema::{DataType, Field};
use common::{FOREST, LINEAR, MLP, assert_same};
use make::{npy, npz};
use parquet::{
    data_type::{FloatType, Int64Type},
    file::{
        properties::{WriterProperties, WriterVersion},
        writer::SerializedFileWriter,
    },
    schema::parser::parse_message_type,
};
use sisa::{
    engine::{DeleteRequest, Engine, KeySource, Overrides, Quiet, TrainRequest},
    source::{ArrowTable, Batch, Block, Input, MemoryTable, Values, open},
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

/// The vector of a row; null where there is none.
fn vector(row: usize) -> Option<Vec<Option<f32>>> {
    (row % 9 != 4).then(|| (0..SIZE).map(|at| number(row, at)).collect())
}

/// As it lies in a table of Arrow.
#[derive(Clone, Copy)]
enum Lists {
    Fixed,
    FixedDoubles,
    Small,
    Large,
}

/// Rows whose missing vectors are nulls, and whose missing numbers are nulls within vectors.
fn batch(lists: Lists) -> RecordBatch {
    let doubles = || {
        let double = |numbers: Vec<Option<f32>>| numbers.into_iter().map(|n| n.map(f64::from)).collect::<Vec<_>>();
        (0..ROWS).map(move |row| vector(row).map(double))
    };
    let singles = (0..ROWS).map(vector);
    let vectors: ArrayRef = match lists {
        Lists::Fixed => Arc::new(FixedSizeListArray::from_iter_primitive::<Float32Type, _, _>(singles, SIZE as i32)),
        Lists::FixedDoubles => Arc::new(FixedSizeListArray::from_iter_primitive::<Float64Type, _, _>(doubles(), SIZE as i32)),
        Lists::Small => Arc::new(ListArray::from_iter_primitive::<Float32Type, _, _>(singles)),
        Lists::Large => Arc::new(LargeListArray::from_iter_primitive::<Float64Type, _, _>(doubles())),
    };
    let ints = |values: Vec<i64>| Arc::new(Int64Array::from(values)) as ArrayRef;
    RecordBatch::try_from_iter_with_nullable([
        ("subject", ints(people()), true),
        ("v", vectors, true),
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

/// The same in a Parquet file with row groups of `each` rows: lists of floats in one of the forms that writers have.
fn parquet_file(form: &str, each: usize, second: bool) -> Vec<u8> {
    let schema =
        format!("message t {{ required int64 subject; {form} required int64 y; required float x0; required int64 id; }}");
    let schema = Arc::new(parse_message_type(&schema).unwrap());
    let version = if second { WriterVersion::PARQUET_2_0 } else { WriterVersion::PARQUET_1_0 };
    // Pages that end within a vector.
    let properties =
        WriterProperties::builder().set_writer_version(version).set_write_batch_size(3).set_data_page_row_count_limit(7);
    let mut out = Vec::new();
    let mut file = SerializedFileWriter::new(&mut out, schema, Arc::new(properties.build())).unwrap();
    for start in (0..ROWS).step_by(each) {
        let rows = start..ROWS.min(start + each);
        let mut group = file.next_row_group().unwrap();
        let mut at = 0;
        while let Some(mut column) = group.next_column().unwrap() {
            match at {
                1 => {
                    let (mut numbers, mut defined, mut repeated) = (Vec::new(), Vec::new(), Vec::new());
                    for row in rows.clone() {
                        let Some(vector) = vector(row) else {
                            defined.push(0);
                            repeated.push(0);
                            continue;
                        };
                        for (at, number) in vector.into_iter().enumerate() {
                            repeated.push(i16::from(at > 0));
                            defined.push(if number.is_some() { 3 } else { 2 });
                            numbers.extend(number);
                        }
                    }
                    column.typed::<FloatType>().write_batch(&numbers, Some(&defined), Some(&repeated)).unwrap();
                }
                3 => drop(column.typed::<FloatType>().write_batch(&ages()[rows.clone()], None, None).unwrap()),
                _ => {
                    let ints = [people(), Vec::new(), classes(), Vec::new(), ids()];
                    column.typed::<Int64Type>().write_batch(&ints[at][rows.clone()], None, None).unwrap();
                }
            }
            column.close().unwrap();
            at += 1;
        }
        group.close().unwrap();
    }
    file.close().unwrap();
    out
}

/// As the specification has it, and as old writers have it.
const FORMS: [&str; 2] = [
    "optional group v (LIST) { repeated group list { optional float element; } }",
    "optional group v (LIST) { repeated group bag { optional float array_element; } }",
];

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
        ("Arrow in memory", Input::new().with(in_pieces(&batch(Lists::Fixed), 41))),
        ("Arrow of doubles in memory", Input::new().with(in_pieces(&batch(Lists::FixedDoubles), ROWS))),
        ("Arrow of lists in memory", Input::new().with(in_pieces(&batch(Lists::Small), 41))),
        ("Arrow of large lists in memory", Input::new().with(in_pieces(&batch(Lists::Large), 4))),
        ("Arrow", file("t.arrow", &ipc(&batch(Lists::Fixed), 70))),
        ("Arrow of lists", file("lists.arrow", &ipc(&batch(Lists::Small), 4))),
        ("Arrow of large lists", file("large.arrow", &ipc(&batch(Lists::Large), 70))),
        ("Parquet", file("t.parquet", &parquet_file(FORMS[0], ROWS, false))),
        ("Parquet of the second version", file("second.parquet", &parquet_file(FORMS[0], 50, true))),
        ("Parquet of old writers", file("old.parquet", &parquet_file(FORMS[1], 4, false))),
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
    assert!(unread[0].1.contains("vectors are lists of 1 to 65536 floats"), "{unread:?}");
}

/// Two rows of numbers `v`, then one of another length, in a file that begins with a row without any.
fn uneven(lengths: &[usize]) -> Vec<(&'static str, Vec<u8>)> {
    let lists = || std::iter::once(None).chain(lengths.iter().map(|length| Some(vec![Some(0.5_f32); *length])));
    let rows = lengths.len() + 1;
    let ints = Arc::new(Int64Array::from((0..rows as i64).map(|row| row % 2).collect::<Vec<_>>())) as ArrayRef;
    let arrow = Arc::new(ListArray::from_iter_primitive::<Float32Type, _, _>(lists())) as ArrayRef;
    let batch = RecordBatch::try_from_iter_with_nullable([("v", arrow, true), ("y", ints, true)]).unwrap();
    let mut ipc = Vec::new();
    let mut file = arrow_ipc::writer::FileWriter::try_new(&mut ipc, &batch.schema()).unwrap();
    file.write(&batch).unwrap();
    file.finish().unwrap();
    drop(file);
    let schema = Arc::new(parse_message_type(&format!("message t {{ {} required int64 y; }}", FORMS[0])).unwrap());
    let mut parquet = Vec::new();
    let mut file = SerializedFileWriter::new(&mut parquet, schema, Arc::new(WriterProperties::builder().build())).unwrap();
    let mut group = file.next_row_group().unwrap();
    let mut column = group.next_column().unwrap().unwrap();
    let (mut numbers, mut defined, mut repeated) = (Vec::new(), Vec::new(), Vec::new());
    for list in lists() {
        let length = list.as_ref().map_or(0, Vec::len);
        defined.extend(if length > 0 { vec![3; length] } else { vec![i16::from(list.is_some())] });
        repeated.extend((0..length.max(1)).map(|at| i16::from(at > 0)));
        numbers.extend(list.into_iter().flatten().flatten());
    }
    column.typed::<FloatType>().write_batch(&numbers, Some(&defined), Some(&repeated)).unwrap();
    column.close().unwrap();
    let mut column = group.next_column().unwrap().unwrap();
    column.typed::<Int64Type>().write_batch(&(0..rows as i64).map(|row| row % 2).collect::<Vec<_>>(), None, None).unwrap();
    column.close().unwrap();
    group.close().unwrap();
    file.close().unwrap();
    vec![("t.arrow", ipc), ("t.parquet", parquet)]
}

/// Who asks for a column of them is told the row; who does not reads the others; and a proposal leaves it out.
#[test]
fn lists_of_several_lengths_are_an_error_with_its_row() {
    for (lengths, row, length) in [(vec![2, 2, 3, 2], 4, 3), (vec![2, 2, 0], 4, 0), ([&[2; 600][..], &[1]].concat(), 602, 1)] {
        for (name, bytes) in uneven(&lengths) {
            let dir = tempfile::tempdir().unwrap();
            let path = dir.path().join(name);
            fs::write(&path, bytes).unwrap();
            let mut source = open(&path).unwrap();
            assert_eq!(source.columns(), ["v0", "v1", "y"]);
            let error = loop {
                match source.next(&mut Batch::new()) {
                    Ok(rows) => assert!(rows > 0, "{name}"),
                    Err(error) => break error.to_string(),
                }
            };
            let says = format!("row {row}: array `v` holds a list of {length} floats where those before have 2");
            assert!(error.contains(&says) && error.contains("\"ignore\""), "{name}: {error}");
            let (mut source, mut batch, mut read) = (open(&path).unwrap(), Batch::new(), 0);
            source.only(&[2]);
            while source.next(&mut batch).unwrap() > 0 {
                read += batch.rows();
            }
            assert_eq!(read, lengths.len() + 1);
            // What is seen at once is told before anything is read. Parquet is looked at no further than it must be.
            let early = lengths.len() < 256 || name == "t.arrow";
            assert_eq!(open(&path).unwrap().unread().len(), if early { 2 } else { 0 }, "{name}");
        }
    }
}
