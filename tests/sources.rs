//! The same rows by any road: text, arrays, columnar files and memory give the same slices, answers, evaluation and repair, byte for byte.
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
#[cfg(feature = "parquet")]
#[path = "../src/source/tests/make_columnar.rs"]
mod make_columnar;

use std::{collections::BTreeMap, fs, path::Path};

use common::{MLP, assert_same};
use make::{npy, npz};
use sisa::{
    engine::{Engine, KeySource, Overrides, PlanRequest, Quiet, TrainRequest},
    source::{Comment, Delimiter, Encoding, Input, MemoryTable, TextForm, Values},
};

/// Rows of numbers: two inputs, the first sometimes missing, a class, whose row it is and which.
struct Rows {
    x: [Vec<f32>; 2],
    y: Vec<i64>,
    ids: Vec<i64>,
    subjects: Vec<i64>,
}

fn rows(count: i64) -> Rows {
    let x0 = |i: i64| if i % 11 == 3 { f32::NAN } else { (i * 37 % 101) as f32 / 8.0 };
    Rows {
        x: [(0..count).map(x0).collect(), (0..count).map(|i| (i * i % 53) as f32 * 0.3).collect()],
        y: (0..count).map(|i| i64::from(i * 37 % 101 > 50)).collect(),
        ids: (0..count).collect(),
        subjects: (0..count).map(|i| -(i / 3)).collect(),
    }
}

impl Rows {
    fn csv(&self) -> String {
        let mut text = "x0,x1,y,id,subject\n".to_owned();
        for at in 0..self.y.len() {
            let x0 = if self.x[0][at].is_nan() { String::new() } else { self.x[0][at].to_string() };
            text += &format!("{x0},{},{},{},{}\n", self.x[1][at], self.y[at], self.ids[at], self.subjects[at]);
        }
        text
    }

    fn arrays(&self) -> Vec<u8> {
        let count = self.y.len();
        let x = (0..count).flat_map(|at| [self.x[0][at], self.x[1][at]]).flat_map(f32::to_le_bytes).collect::<Vec<_>>();
        let ints = |values: &[i64]| values.iter().flat_map(|v| v.to_le_bytes()).collect::<Vec<_>>();
        let array = |values: &[i64]| npy("<i8", false, &format!("({count},)"), &ints(values));
        let x = npy("<f4", false, &format!("({count}, 2)"), &x);
        npz(true, &[("X", x), ("y", array(&self.y)), ("ids", array(&self.ids)), ("subjects", array(&self.subjects))])
    }

    /// Columns in another order and of other types that hold the same.
    fn memory(&self) -> MemoryTable {
        let x0: Vec<Option<f64>> = self.x[0].iter().map(|x| (!x.is_nan()).then_some(f64::from(*x))).collect();
        MemoryTable::new("a table")
            .column("subject", self.subjects.iter().map(i64::to_string).collect::<Vec<_>>())
            .column("y", self.y.iter().map(|y| *y == 1).collect::<Vec<_>>())
            .column("x1", self.x[1].clone())
            .column("id", self.ids.clone())
            .column("x0", x0)
    }

    /// Columns in another order and of other types that hold the same.
    #[cfg(feature = "parquet")]
    fn columns(&self) -> Vec<(&'static str, make_columnar::Data)> {
        use make_columnar::Data::{Floats, Ints, Text};
        let some = |values: &[i64]| Ints(values.iter().map(|value| Some(*value)).collect());
        vec![
            ("subject", Text(self.subjects.iter().map(|subject| Some(subject.to_string())).collect())),
            ("x1", Floats(self.x[1].iter().map(|x| Some(*x)).collect())),
            ("y", some(&self.y)),
            ("id", some(&self.ids)),
            ("x0", Floats(self.x[0].iter().map(|x| (!x.is_nan()).then_some(*x)).collect())),
        ]
    }

    /// The roads, each written below `dir` where it is a file.
    fn inputs(&self, dir: &Path) -> Vec<(&'static str, Input)> {
        let file = |name: &str, bytes: &[u8]| {
            let path = dir.join(name);
            fs::write(&path, bytes).unwrap();
            Input::from(path)
        };
        vec![
            ("text", file("t.csv", self.csv().as_bytes())),
            ("arrays", file("t.npz", &self.arrays())),
            ("memory", self.memory().into()),
            #[cfg(feature = "parquet")]
            ("Parquet", file("t.parquet", &make_columnar::parquet(&self.columns(), 100, false))),
            #[cfg(feature = "parquet")]
            ("Parquet with deltas", file("t2.parquet", &make_columnar::parquet(&self.columns(), 1000, true))),
            #[cfg(feature = "parquet")]
            ("Arrow", file("t.arrow", &make_columnar::arrow(&self.columns(), 70))),
        ]
    }
}

fn config() -> String {
    config_of(&TextForm::default())
}

fn config_of(form: &TextForm) -> String {
    let form = form.toml().join("\n");
    format!(
        "[data]\n{form}\nsubject = \"subject\"\nrecord = [\"id\"]\nholdout = 0.2\nmissing = [\"\", \"NaN\"]\n\
         [label]\ncolumn = \"y\"\nvalues = [\"0\", \"1\"]\n\
         [columns]\nx0 = {{ kind = \"number\", indicator = true }}\nx1 = \"number\"\n\
         [shards]\nshards = 2\nslices = 3\n[learner]\n{MLP}[schedule]\nkind = \"replay\"\nepochs = 2\n"
    )
}

fn trained(root: &Path, sources: Input) -> Engine {
    trained_as(root, sources, &TextForm::default())
}

fn trained_as(root: &Path, sources: Input, form: &TextForm) -> Engine {
    fs::write(root.join("sisa.toml"), config_of(form)).unwrap();
    let engine = Engine::builder(root).threads(2).open().unwrap();
    let request = TrainRequest {
        sources,
        config: root.join("sisa.toml"),
        overrides: Overrides::default(),
        keys: KeySource::Seed(5),
        only_shards: None,
        fresh: false,
    };
    assert!(engine.train(&request, &Quiet).unwrap().complete);
    engine
}

fn slices(root: &Path) -> BTreeMap<std::path::PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    for shard in fs::read_dir(root.join("shards/g0001")).unwrap().map(|entry| entry.unwrap().path()) {
        for file in fs::read_dir(&shard).into_iter().flatten().map(|entry| entry.unwrap().path()) {
            found.insert(file.strip_prefix(root).unwrap().to_owned(), fs::read(&file).unwrap());
        }
    }
    found
}

#[test]
fn the_same_rows_by_any_road_are_the_same_bytes() {
    let (all, fewer) = (rows(240), rows(50));
    let files = tempfile::tempdir().unwrap();
    let more = tempfile::tempdir().unwrap();
    let questions = fewer.inputs(more.path());
    let mut first = None;
    for (road, sources) in all.inputs(files.path()) {
        let dir = tempfile::tempdir().unwrap();
        let engine = trained(dir.path(), sources.clone());
        let before = slices(dir.path());
        assert_eq!(before.len(), 2 * 4);
        let mut answers = Vec::new();
        for (asked, question) in &questions {
            let scores = engine.scores(question, &Quiet).unwrap();
            assert_eq!((scores.classes.len(), scores.scores.classes.len()), (2, 50), "{road}, asked by {asked}");
            answers.push((scores, engine.evaluate(question, &Quiet).unwrap()));
        }
        assert!(answers.windows(2).all(|pair| pair[0] == pair[1]), "{road}: the road of the question matters");
        let expected = first.get_or_insert_with(|| (before.clone(), answers.clone()));
        assert_same(&before, &expected.0, road);
        assert_eq!(answers, expected.1, "{road}");
        // A damaged slice is written again from the same source, and from the other forms of it.
        for (again, source) in all.inputs(files.path()) {
            let (path, bytes) = before.iter().max_by_key(|(_, bytes)| bytes.len()).unwrap();
            let mut damaged = bytes.clone();
            *damaged.last_mut().unwrap() ^= 1;
            fs::write(dir.path().join(path), damaged).unwrap();
            engine.repair(&source, false, &Quiet).unwrap();
            assert_same(&slices(dir.path()), &before, &format!("{road}, repaired by {again}"));
        }
    }
}

#[test]
fn text_in_any_form_gives_the_same_slices_and_answers() {
    let files = tempfile::tempdir().unwrap();
    let plain = rows(120).csv();
    let dir = tempfile::tempdir().unwrap();
    let expected = trained(dir.path(), rows(120).memory().into());
    let answers = expected.scores(&rows(120).memory().into(), &Quiet).unwrap();
    let usual = TextForm::default();
    let utf16 = |text: &str| format!("\u{feff}{text}").encode_utf16().flat_map(u16::to_le_bytes).collect::<Vec<u8>>();
    let quoted = plain.lines().map(|line| format!("\"{}\"\n", line.replace(',', "\",\""))).collect::<String>();
    let forms = [
        (TextForm { delimiter: Delimiter::Semicolon, ..usual.clone() }, plain.replace(',', ";").into_bytes()),
        (TextForm { encoding: Encoding::Utf16, delimiter: Delimiter::Tab, ..usual.clone() }, utf16(&plain.replace(',', "\t"))),
        (
            TextForm { skip: 1, comment: Some(Comment::HASH), ..usual.clone() },
            format!("a report\n# of 2020\n{plain}").into_bytes(),
        ),
        (TextForm { encoding: Encoding::Windows1252, ..usual.clone() }, quoted.into_bytes()),
    ];
    for (at, (form, bytes)) in forms.iter().enumerate() {
        let path = files.path().join(format!("{at}.csv"));
        fs::write(&path, bytes).unwrap();
        let here = tempfile::tempdir().unwrap();
        let engine = trained_as(here.path(), path.clone().into(), form);
        assert_same(&slices(here.path()), &slices(dir.path()), &format!("{form:?}"));
        assert_eq!(engine.scores(&path.into(), &Quiet).unwrap(), answers, "{form:?}");
    }
}

#[test]
fn a_proposal_declares_how_its_source_is_written_and_can_be_trained_and_asked_at_once() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("t.csv");
    fs::write(&path, format!("# made by hand\n{}", rows(300).csv().replace(',', ";"))).unwrap();
    let engine = Engine::builder(dir.path()).threads(2).open().unwrap();
    let request = TrainRequest {
        sources: path.clone().into(),
        config: dir.path().join("sisa.toml"),
        overrides: Overrides { label: Some("y".into()), subject: Some("subject".into()), ..Overrides::default() },
        keys: KeySource::Seed(5),
        only_shards: None,
        fresh: false,
    };
    assert!(engine.train(&request, &Quiet).unwrap().complete);
    let text = fs::read_to_string(dir.path().join("sisa.toml")).unwrap();
    assert!(text.contains("\ndelimiter = \";\"\ncomment = \"#\"\n"), "{text}");
    assert_eq!(engine.scores(&path.into(), &Quiet).unwrap().scores.classes.len(), 300);
    let commas = dir.path().join("commas.csv");
    fs::write(&commas, rows(3).csv()).unwrap();
    let error = engine.scores(&commas.into(), &Quiet).unwrap_err().to_string();
    assert!(error.contains("seem to be separated by commas, and semicolons are declared"), "{error}");
}

#[test]
fn a_table_without_rows_has_an_answer_without_rows() {
    let dir = tempfile::tempdir().unwrap();
    let engine = trained(dir.path(), rows(60).memory().into());
    let empty = dir.path().join("empty.csv");
    fs::write(&empty, "x0,x1\n").unwrap();
    for nothing in [Input::from(empty), rows(0).memory().into()] {
        assert!(engine.scores(&nothing, &Quiet).unwrap().scores.values.is_empty());
    }
}

#[test]
fn a_table_in_memory_is_proposed_from_and_planned_for() {
    let dir = tempfile::tempdir().unwrap();
    let engine = Engine::builder(dir.path()).threads(1).open().unwrap();
    let config = dir.path().join("sisa.toml");
    let overrides = Overrides { label: Some("y".into()), subject: Some("subject".into()), ..Overrides::default() };
    let table: Input = rows(240).memory().into();
    let proposal = engine.propose(&table, &config, &overrides).unwrap();
    assert_eq!((proposal.rows, proposal.subjects), (240, 80));
    let request = PlanRequest {
        sources: table,
        config,
        overrides,
        sizes: None,
        requests: 1,
        pilot: false,
        disk: None,
        time: None,
        least_records: 1,
        shards: vec![2],
        slices: vec![2],
        batches: None,
    };
    let report = engine.plan(&request, &Quiet).unwrap();
    assert!(report.question.records > 150 && report.question.subjects > 50, "{:?}", report.question);
}

#[test]
fn what_is_wrong_with_a_source_is_said_of_that_source() {
    let files = tempfile::tempdir().unwrap();
    let dir = tempfile::tempdir().unwrap();
    let engine = trained(dir.path(), rows(60).memory().into());
    let good = files.path().join("good.csv");
    fs::write(&good, rows(4).csv()).unwrap();
    let lame = MemoryTable::new("lame").column("x0", vec![1.0_f32]);
    let sources = Input::from(good).with(lame);
    let names_it = |error: sisa::engine::Error| {
        let text = error.to_string();
        assert!(text.starts_with("lame: there is no column `x1`"), "{text}");
    };
    names_it(engine.scores(&sources, &Quiet).unwrap_err());
    names_it(engine.evaluate(&sources, &Quiet).unwrap_err());
    let unlabelled = MemoryTable::new("blank").column("x0", vec![1.0_f32]).column("x1", vec![1.0_f32]);
    let error = engine.evaluate(&Input::from(unlabelled), &Quiet).unwrap_err().to_string();
    assert!(error.starts_with("blank has no label column `y`"), "{error}");
}

#[test]
fn a_missing_id_or_label_is_an_error_with_its_row() {
    for (column, expected) in
        [("subject", "row 2, column `subject`: the id is missing"), ("y", "row 2, column `y`: the label is missing")]
    {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("sisa.toml"), config()).unwrap();
        let all = rows(3);
        let or_none = |name: &str, values: &[i64]| -> Values {
            values.iter().enumerate().map(|(at, v)| (name != column || at != 1).then_some(*v)).collect::<Vec<_>>().into()
        };
        let table = MemoryTable::new("t")
            .column("x0", all.x[0].clone())
            .column("x1", all.x[1].clone())
            .column("y", or_none("y", &all.y))
            .column("id", all.ids.clone())
            .column("subject", or_none("subject", &all.subjects));
        let engine = Engine::builder(dir.path()).threads(2).open().unwrap();
        let request = TrainRequest {
            sources: table.into(),
            config: dir.path().join("sisa.toml"),
            overrides: Overrides::default(),
            keys: KeySource::Seed(5),
            only_shards: None,
            fresh: false,
        };
        let error = engine.train(&request, &Quiet).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    }
}
