//! docs/JSON.md against the types: every field of every answer is in the table of its type, and every field of a table is there.
#![expect(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "tests write their tables by hand, and stop at what they do not expect"
)]

mod common;

use std::collections::{BTreeMap, BTreeSet};

use common::{Bench, LINEAR, RIDGE, Row, Setup, csv, rows};
use serde::Serialize;
use serde_json::Value;
use sisa::{
    engine::{
        AppendRequest, CorrectRequest, DeleteRequest, ExportFormat, KeySource, MigrateRequest, Overrides, PackRequest,
        PlanRequest, Quiet, ShardId, TrainRequest, VerifyRequest, train_bundle,
    },
    lab::{self, BenchRequest, Pick, tune::TuneRequest},
    source::Input,
    wire,
};

/// Objects that another document describes, or whose fields are names from the data.
const ELSEWHERE: [&str; 13] = [
    "bench.recipe",
    "bench_learner.recipe",
    "card.learner",
    "card.quality",
    "card.replay.environment",
    "compare_method.settings",
    "plan.recommended_learner.settings",
    "prediction.ids",
    "prediction.probabilities",
    "receipt.receipt",
    "signature.receipt",
    "tune_candidate.settings",
    "verified.replay.environment",
];

/// Fields by type, as paths.
#[derive(Debug, Default)]
struct Fields(BTreeMap<String, BTreeSet<String>>);

impl Fields {
    fn add(&mut self, answer: &impl Serialize) {
        let text = wire::line(answer);
        assert!(text.ends_with('\n') && text.lines().count() == 1, "{text}");
        let mut value: Value = serde_json::from_str(&text).unwrap();
        let kind = value.as_object_mut().unwrap().remove("type").unwrap();
        self.walk(kind.as_str().unwrap(), "", &value);
    }

    fn walk(&mut self, kind: &str, path: &str, value: &Value) {
        match value {
            Value::Object(_) if ELSEWHERE.contains(&format!("{kind}.{path}").as_str()) => {}
            Value::Object(fields) => {
                for (name, value) in fields {
                    let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
                    self.0.entry(kind.to_owned()).or_default().insert(path.clone());
                    self.walk(kind, &path, value);
                }
            }
            Value::Array(items) => items.iter().for_each(|item| self.walk(kind, &format!("{path}[]"), item)),
            _ => {}
        }
    }
}

/// A shard that is trained elsewhere.
fn elsewhere(fields: &mut Fields) {
    let bench = Bench::new(&Setup { learner: LINEAR, ..Setup::default() }, &rows(20));
    let table = bench.root().join("table.csv");
    let text = std::fs::read_to_string(&table).unwrap() + "01,9,20.5,10.00,a,t1,5,few\n";
    std::fs::write(&table, text).unwrap();
    let engine = bench.engine();
    fields.add(&wire::Import::from(&engine.import(&bench.request(), &Quiet).unwrap()));
    let packed = engine.pack(PackRequest { shard: ShardId(0), serving: false }, &Quiet).unwrap().unwrap();
    fields.add(&wire::Packed::from(&packed));
    let made = train_bundle(&packed.bytes, 1, &Quiet).unwrap();
    fields.add(&wire::ShardTrained::of(&made).unwrap());
    fields.add(&wire::Unpacked::from(&engine.unpack(&made).unwrap()));
}

/// The tables of the document.
fn documented() -> Fields {
    let text = include_str!("../docs/JSON.md");
    let mut fields = Fields::default();
    let mut kind = "";
    for line in text.lines() {
        if let Some(heading) = line.strip_prefix("## ") {
            kind = heading;
        }
        let Some(cell) = line.strip_prefix("| `").and_then(|l| l.split(" | ").next()) else { continue };
        // The table of commands stands before the first heading.
        if kind.is_empty() {
            continue;
        }
        for name in cell.trim_end_matches('`').split("`, `") {
            let new = fields.0.entry(kind.to_owned()).or_default().insert(name.to_owned());
            assert!(new, "{kind}: `{name}` is told twice");
        }
    }
    fields
}

/// A workspace of classes: trained, asked, deleted from, repaired, verified, planned for.
fn classes(fields: &mut Fields) {
    let bench = Bench::new(&Setup { schedule: "cumulative", ..Setup::default() }, &rows(60));
    let (engine, table) = (bench.engine(), bench.root().join("table.csv"));
    let trained = bench.train();
    fields.add(&wire::Trained::from(&trained));
    fields.add(&wire::Evaluated::from(trained.evaluation.as_ref().unwrap()));
    let mut asked = false;
    let answered = engine.predict(&table.clone().into(), &Quiet, |classes, scores| {
        let values = &scores.values[..scores.outputs];
        let (columns, ids) = (["person".to_owned()], ["7".to_owned()]);
        let answer = wire::Prediction::of(1, scores.classes.first().copied(), values, classes, true);
        fields.add(&answer.about(&columns, &ids));
        asked = true;
        Ok(())
    });
    assert!(asked);
    fields.add(&wire::Predicted::of(answered.unwrap(), &table));

    // Another recipe, to which batches can be appended, and one that is.
    let path = bench.root().join("sisa.toml");
    let config = std::fs::read_to_string(&path).unwrap();
    let config = config.replace("cumulative", "replay").replace("decay = \"linear\"", "decay = \"constant\"");
    std::fs::write(&path, &config).unwrap();
    bench.train();
    let batch = bench.root().join("batch.csv");
    std::fs::write(&batch, format!("{}900,1,20,10.00,a,t1,5,few\n", common::HEADER)).unwrap();
    let append = AppendRequest { sources: batch.into(), ..AppendRequest::default() };
    let appended = engine.append(&append, &Quiet, |name, batch, import| {
        fields.add(&wire::Appended::of(name, batch, import.is_some()));
    });
    assert!(appended.unwrap().repair.is_some());

    // Another one, of which one shard is trained.
    let config = config.replace("rate = 0.05", "rate = 0.04");
    std::fs::write(bench.root().join("sisa.toml"), config).unwrap();
    let part = TrainRequest { only_shards: Some(vec![ShardId(0)]), ..bench.request() };
    let _ = engine.train(&part, &Quiet).unwrap();
    let copy = engine.export(ExportFormat::Safetensors, &bench.root().join("copy"), &Quiet).unwrap();
    fields.add(&wire::Exported::from(&copy));
    let card = wire::Card::from(&engine.card(&Quiet).unwrap());
    assert!(card.markdown().contains("# Model of `visits`"));
    fields.add(&card);
    // Sound here, and damaged further below.
    fields.add(&wire::Verified::from(&engine.verify(&VerifyRequest::default(), &Quiet).unwrap()));
    fields.add(&wire::Status::from(&engine.status().unwrap()));

    let request = DeleteRequest {
        subjects: vec!["7".into(), "08".into(), "009.0".into()],
        request_id: Some("q".into()),
        ..DeleteRequest::default()
    };
    fields.add(&wire::Forecast::from(&engine.forecast(&request).unwrap()));
    let deleted = engine.delete(&request, &Quiet, |accepted, effective, _| {
        fields.add(&wire::Effective::of(accepted, effective.seconds));
    });
    let deleted = deleted.unwrap();
    let corrections = bench.root().join("corrections.csv");
    std::fs::write(&corrections, format!("{}900,1,30,10.00,a,t1,5,few\n", common::HEADER)).unwrap();
    let correct = CorrectRequest { sources: corrections.into(), ..CorrectRequest::default() };
    fields.add(&wire::Corrected::from(&engine.correct(&correct, &Quiet, |_, _, _| {}).unwrap()));
    fields.add(&wire::Deletion::effective(&deleted));
    fields.add(&wire::Key::of("a".into(), vec!["audit".into()], "t".into(), None, None));
    fields.add(&wire::Listening::of("http://127.0.0.1:1".into(), false));
    fields.add(&wire::Problem::of("no".into(), None));
    fields.add(&wire::Repaired::from(deleted.repair.as_ref().unwrap()));
    fields.add(&wire::Deleted::from(&deleted));
    engine.log().unwrap().iter().for_each(|r| fields.add(&wire::Request::from(r)));
    let receipt = engine.receipt(Some("q")).unwrap();
    fields.add(&wire::Receipt::from(&receipt));
    fields.add(&wire::Signature::holds(&receipt));
    fields.add(&wire::Unsuppressed::of(engine.unsuppress(&["7".into()], &[]).unwrap()));
    let secret = bench.root().join("key");
    fields.add(&wire::Keys::of(&secret, &engine.keygen(&secret).unwrap()));
    let (import, generation, report) = engine.rekey(&KeySource::Seed(6), &Quiet).unwrap();
    fields.add(&wire::Rekeyed::of(&import, generation, &report));
    fields.add(&wire::Migrated::from(&engine.migrate(&MigrateRequest::default(), &Quiet).unwrap()));

    let proposed =
        engine.propose(&table.clone().into(), &secret, &Overrides { label: Some("visits".into()), ..Overrides::default() });
    let proposed = proposed.unwrap();
    fields.add(&wire::Schema::of(&secret, &proposed));
    let plan = PlanRequest {
        sources: Input::new(),
        config: bench.root().join("sisa.toml"),
        overrides: Overrides::default(),
        sizes: None,
        requests: 4,
        pilot: false,
        disk: None,
        time: None,
        least_records: 10,
        shards: Vec::new(),
        slices: Vec::new(),
        batches: Some((20, 0.05)),
    };
    wire::PlanLine::all(&engine.plan(&plan, &Quiet).unwrap()).iter().for_each(|line| fields.add(line));
    // The year of a record is no date, but where it is declared one there are cohorts of it.
    let dated = bench.root().join("dated.toml");
    let text = std::fs::read_to_string(&plan.config).unwrap();
    let text = text.replace("year = \"ignore\"", "year = { kind = \"date\", order = \"year-month-day\" }");
    let text = text.replace("\n[learner]", "cohort = { column = \"year\", from = 2020, to = 2021 }\n\n[learner]");
    std::fs::write(&dated, text.replace("table.csv", "dated.csv")).unwrap();
    let visits: Vec<_> = rows(20).into_iter().map(|row| Row { year: 20_200_000 + 101 * row.year, ..row }).collect();
    std::fs::write(bench.root().join("dated.csv"), csv(&visits)).unwrap();
    let plan = PlanRequest { config: dated, ..plan };
    wire::PlanLine::all(&engine.plan(&plan, &Quiet).unwrap()).iter().for_each(|line| fields.add(line));

    let slice = bench.artefacts().into_keys().find(|p| p.extension().unwrap() == "slice").unwrap();
    std::fs::write(bench.root().join(slice), b"x").unwrap();
    let request = VerifyRequest { retrain: false, sample: None, receipts: Vec::new() };
    fields.add(&wire::Verified::from(&engine.verify(&request, &Quiet).unwrap()));
    let again = engine.train(&TrainRequest { sources: table.into(), ..bench.request() }, &Quiet).unwrap_err();
    fields.add(&wire::Failed::of(3, again.to_string(), Some(&again)));
}

/// A workspace of numbers whose training diverges.
fn numbers(fields: &mut Fields) {
    let setup = Setup { learner: LINEAR, ..Setup::default() };
    let bench = Bench::new(&setup, &rows(60));
    let config = setup.config().replace("column = \"visits\"\nvalues = [\"few\", \"many\"]", "column = \"cost\"");
    let config = config.replace("cost = { kind = \"number\", log1p = true }", "visits = \"ignore\"");
    std::fs::write(bench.root().join("sisa.toml"), config.replace("rate = 0.1", "rate = 30.0")).unwrap();
    let table = bench.root().join("table.csv");
    let text = std::fs::read_to_string(&table).unwrap() + "01,9,20.5,10.00,a,t1,5,few\n";
    std::fs::write(&table, text).unwrap();
    let report = bench.train();
    assert!(report.report.diverged().next().is_some(), "{report:?}");
    fields.add(&wire::Trained::from(&report));
    fields.add(&wire::Repaired::from(&bench.engine().repair(&Input::new(), false, &Quiet).unwrap()));
    let other = config.replace("rate = 0.1", "rate = 30.0").replace("shards = 3", "shards = 2");
    std::fs::write(bench.root().join("sisa.toml"), other).unwrap();
    fields.add(&wire::Migrated::from(&bench.engine().migrate(&MigrateRequest::default(), &Quiet).unwrap()));
    elsewhere(fields);
    let bench = Bench::new(&setup, &rows(60));
    std::fs::write(bench.root().join("sisa.toml"), config).unwrap();
    fields.add(&wire::Evaluated::from(bench.train().evaluation.as_ref().unwrap()));
}

/// A benchmark of a learner that deletes in memory too, beside another.
fn measured(fields: &mut Fields) {
    let setup = Setup { learner: RIDGE, ..Setup::default() };
    let bench = Bench::trained(&setup, &rows(60));
    let request = BenchRequest {
        sources: Input::new(),
        config: bench.root().join("sisa.toml"),
        overrides: Overrides::default(),
        requests: vec![2],
        pick: Pick::Uniform,
        trials: 1,
        one_by_one: 2,
        frontier: vec![2],
        learners: vec!["ridge".into()],
        memory: 3,
        batches: Some((2, 0.2)),
    };
    let report = lab::bench(&bench.engine(), &request, None, &Quiet).unwrap();
    wire::BenchLine::all(&report).iter().for_each(|line| fields.add(line));
    let request = TuneRequest { config: bench.root().join("sisa.toml"), seconds: Some(1e-9), ..TuneRequest::default() };
    let mut report = lab::tune::tune(&bench.engine(), &request, &Quiet).unwrap();
    assert!(report.candidates.iter().all(|c| c.outcome.is_none()), "there was no time for any");
    wire::TuneLine::all(&report, None).iter().for_each(|line| fields.add(line));
    report = lab::tune::tune(&bench.engine(), &TuneRequest { seconds: None, ..request }, &Quiet).unwrap();
    assert!(report.best().is_some());
    wire::TuneLine::all(&report, None).iter().for_each(|line| fields.add(line));
    compared(fields);
}

/// Every kind of comparison.
fn compared(fields: &mut Fields) {
    let bench = Bench::trained(&Setup { epochs: 1, ..Setup::default() }, &rows(260));
    let request = lab::compare::CompareRequest {
        sources: Input::new(),
        config: bench.root().join("sisa.toml"),
        overrides: Overrides::default(),
        learner: Some("linear".into()),
        forget: vec![lab::compare::Forget::Random],
        share: 0.05,
        methods: vec!["fine-tune".into(), "newton".into()],
        settings: Vec::new(),
        models: 4,
        rows: 0,
        groups: vec!["site".into()],
        relearn: true,
        exact: true,
        requests: None,
        seed: 1,
    };
    let report = lab::compare::compare(&bench.engine(), &request, &Quiet).unwrap();
    wire::CompareLine::all(&report, true).iter().for_each(|line| fields.add(line));
    let requests = lab::compare::RequestsRequest { shares: vec![0.1], trials: 2, rows: 0 };
    let report =
        lab::compare::compare(&bench.engine(), &lab::compare::CompareRequest { requests: Some(requests), ..request }, &Quiet);
    wire::CompareLine::all(&report.unwrap(), false).iter().for_each(|line| fields.add(line));
    let subjects = (0..200).map(|p| p.to_string()).collect();
    bench.delete(&DeleteRequest { subjects, ..DeleteRequest::default() });
    let due = bench.engine().rekey_due(&bench.root().join("sisa.toml")).unwrap().unwrap();
    fields.add(&wire::RekeyDue::from(&due));
}

#[test]
fn the_page_of_json_lists_every_field_of_every_answer_and_no_other() {
    let mut fields = Fields::default();
    classes(&mut fields);
    numbers(&mut fields);
    measured(&mut fields);
    let page = documented();
    let types = |fields: &Fields| fields.0.keys().cloned().collect::<BTreeSet<_>>();
    assert_eq!(types(&fields), types(&page));
    for (kind, found) in &fields.0 {
        let told = &page.0[kind];
        let [untold, absent]: [Vec<_>; 2] = [found.difference(told).collect(), told.difference(found).collect()];
        assert!(untold.is_empty() && absent.is_empty(), "{kind}: not on the page: {untold:?}; on the page alone: {absent:?}");
    }
}
