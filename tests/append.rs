//! Batches: what they cost, what is refused, who is found in them, and what answers meanwhile.
#![expect(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "tests write their tables by hand, start the real binary, and stop at what they do not expect"
)]

mod common;
mod sim;

use std::{
    fs,
    io::{BufRead as _, BufReader},
    path::PathBuf,
    process::{Command, Stdio},
    sync::Arc,
};

use common::{ADAM, BOOST, Bench, FOREST, LINEAR, RIDGE, Row, Setup, assert_same, csv, rows, without};
use serde_json::Value;
use sim::{Image, SimDisk};
use sisa::engine::{
    AppendReport, AppendRequest, DeleteRequest, Engine, Error, Input, KeySource, Observer, OutcomeKind, Quiet, TrainRequest,
    VerifyRequest,
};

/// A trained workspace of the first 40 persons.
fn bench(learner: &'static str) -> Bench {
    Bench::trained(&Setup { learner, ..Setup::default() }, &rows(40))
}

/// The table of a batch: these persons, in a year of its own.
fn batch(bench: &Bench, number: u32, persons: impl IntoIterator<Item = u32>) -> PathBuf {
    let row = |person| Row { person, year: 100 + number, cells: format!("3{number},{}.5,b,t3,{person},few", 50 * number) };
    table(bench, &format!("batch-{number}.csv"), &persons.into_iter().map(row).collect::<Vec<_>>())
}

fn table(bench: &Bench, name: &str, rows: &[Row]) -> PathBuf {
    let path = bench.root().join(name);
    fs::write(&path, csv(rows)).unwrap();
    path
}

fn append(bench: &Bench, source: PathBuf, name: Option<&str>) -> Result<AppendReport, Error> {
    let request = AppendRequest { sources: source.into(), name: name.map(str::to_owned), defer: false };
    bench.engine().append(&request, &Quiet, |_, _, _| {})
}

fn sound(bench: &Bench) {
    let verdict = bench.engine().verify(&VerifyRequest { retrain: true, ..VerifyRequest::default() }, &Quiet).unwrap();
    assert_eq!((verdict.findings, verdict.notes), (vec![], vec![]));
}

/// 1 % more a day for a hundred days, counted in visits of rows. Training everything once at the start is 1; calculated are 1.90 in all
/// and 0.16 on the day on which sixteen slices become one.
#[test]
fn a_hundred_batches_cost_less_than_two_trainings() {
    let (persons, days) = (4000_u32, 100);
    let disk = SimDisk::of(Image::new());
    let setup = Setup { shards: 1, slices: 10, holdout: 0.0, learner: LINEAR, epochs: 10, ..Setup::default() };
    disk.put("/w/sisa.toml".as_ref(), setup.config().as_bytes());
    let engine = Engine::builder("/w").disk(Arc::new(disk)).threads(1).open().unwrap();
    let dir = tempfile::tempdir().unwrap();
    let source = dir.path().join("table.csv");
    let write = |persons: std::ops::Range<u32>| {
        let row =
            |person: u32| Row { person, year: 1, cells: format!("{},{},a,t1,{},few", person % 60, person % 997, person % 256) };
        fs::write(&source, csv(&persons.map(row).collect::<Vec<_>>())).unwrap();
        Input::from(source.clone())
    };
    let request = TrainRequest {
        sources: write(0..persons),
        config: "/w/sisa.toml".into(),
        keys: KeySource::Seed(5),
        ..TrainRequest::default()
    };
    let unit = engine.train(&request, &Quiet).unwrap().report.row_passes() as f64;
    assert!((unit / f64::from(persons * 10) - 1.0).abs() < 0.01, "{unit}");
    let mut days_cost = Vec::new();
    for day in 0..days {
        let first = persons + day * persons / 100;
        let request = AppendRequest { sources: write(first..first + persons / 100), name: None, defer: false };
        let report = engine.append(&request, &Quiet, |_, _, _| {}).unwrap();
        days_cost.push(report.repair.unwrap().report.row_passes() as f64 / unit);
    }
    let (all, worst) = (days_cost.iter().sum::<f64>(), days_cost.iter().copied().fold(0.0, f64::max));
    assert!((all - 1.90).abs() < 0.02 && (worst - 0.16).abs() < 0.005, "{all} in all, {worst} on the worst day");
    let status = engine.status().unwrap();
    assert_eq!((status.batches, status.shards[0].cells.len()), (101, 20));
    // A deletion trains what comes after the slice that it hits: of 20 slices on average little more than half.
    let share = |person: u32| {
        let request = DeleteRequest { subjects: vec![person.to_string()], ..DeleteRequest::default() };
        let cost = engine.forecast(&request).unwrap().accepted.predicted;
        cost.row_passes as f64 / cost.full_row_passes as f64
    };
    let drawn: Vec<f64> = (0..80).map(|n| share(n * 100)).collect();
    let mean = drawn.iter().sum::<f64>() / drawn.len() as f64;
    assert!((0.45..0.60).contains(&mean), "{mean}");
}

#[test]
fn a_person_in_five_batches_is_gone_by_one_request() {
    for learner in [ADAM, RIDGE] {
        let bench = bench(learner);
        for number in 2..=5 {
            append(&bench, batch(&bench, number, [7, 8, 50 + number]), None).unwrap();
        }
        let request = DeleteRequest { subjects: vec!["7".into()], ..DeleteRequest::default() };
        let deleted = bench.delete(&request);
        let outcome = &deleted.accepted.outcomes[0];
        let own = rows(40).iter().filter(|row| row.person == 7).count() as u64;
        assert_eq!((outcome.outcome, outcome.in_slices + outcome.held_out), (OutcomeKind::Erased, own + 4));
        assert_eq!(deleted.accepted.cells.len(), if learner == ADAM { 5 } else { 1 }, "{:?}", deleted.accepted.cells);
        let handle = outcome.handle.0;
        let holds = |path: &PathBuf, bytes: &Vec<u8>| {
            let ours = path.extension().is_some_and(|e| e == "slice" || e == "ckpt");
            ours && bytes.windows(16).any(|window| window == handle)
        };
        assert!(!bench.files().iter().any(|(path, bytes)| holds(path, bytes)));
        sound(&bench);
        // The same workspace without the person.
        let without = Bench::trained(&Setup { learner, ..Setup::default() }, &without(&rows(40), |row| row.person == 7));
        for number in 2..=5 {
            append(&without, batch(&without, number, [8, 50 + number]), None).unwrap();
        }
        assert_same(&bench.artefacts(), &without.artefacts(), learner);
    }
}

/// The rows of a batch are added to the sums of a ridge regression; nothing is trained.
#[test]
fn a_batch_costs_a_learner_of_sums_its_rows_alone() {
    let bench = bench(RIDGE);
    let path = batch(&bench, 2, [7, 8, 50, 51]);
    let report = append(&bench, path.clone(), None).unwrap().repair.unwrap();
    assert!(report.complete && report.report.row_passes() == 0, "{:?}", report.report);
    let union = fs::read_to_string(bench.root().join("table.csv")).unwrap()
        + fs::read_to_string(path).unwrap().strip_prefix(common::HEADER).unwrap();
    let fresh = Bench::new(&Setup { learner: RIDGE, ..Setup::default() }, &[]);
    fs::write(fresh.root().join("table.csv"), union).unwrap();
    fresh.train();
    assert_same(&bench.artefacts(), &fresh.artefacts(), "one import of all");
    sound(&bench);
}

#[test]
fn who_comes_back_is_there_with_the_rows_of_that_batch_alone() {
    let bench = bench(ADAM);
    let gone = DeleteRequest { subjects: vec!["7".into(), "8".into()], ..DeleteRequest::default() };
    bench.delete(&gone);
    let refused = append(&bench, batch(&bench, 2, [7, 8, 50]), None).unwrap();
    assert_eq!((refused.batch.records + refused.batch.held_out, refused.batch.refused), (1, 2));
    assert_eq!(bench.engine().unsuppress(&["7".into(), "8".into()], &[]).unwrap(), 2);
    append(&bench, batch(&bench, 3, [7]), None).unwrap();
    sound(&bench);
    let again = bench.delete(&gone);
    let told = |subject: usize| {
        let maker = bench.engine().workspace().handle_key().unwrap().maker();
        let handle = maker.subject(gone.subjects[subject].as_bytes());
        let outcome = again.accepted.outcomes.iter().find(|o| o.handle == handle).unwrap();
        (outcome.outcome, outcome.in_slices + outcome.held_out)
    };
    assert_eq!([told(0), told(1)], [(OutcomeKind::Erased, 1), (OutcomeKind::AlreadyErased, 0)]);
    sound(&bench);
}

#[test]
fn what_can_not_be_appended_is_refused_and_changes_nothing() {
    let bench = bench(ADAM);
    append(&bench, batch(&bench, 2, [50, 51]), Some("two")).unwrap();
    let before = bench.files();
    let unchanged = |bench: &Bench| {
        let files = bench.files();
        let kept = |path: &PathBuf| !path.starts_with("shards/session");
        assert!(before.keys().chain(files.keys()).filter(|p| kept(p)).all(|path| before.get(path) == files.get(path)));
    };
    // A record of the import and one of the batch before; the first in the table is named.
    let old = rows(40)[5].clone();
    let of_two = Row { person: 50, year: 102, cells: "1,2,a,t1,1,few".into() };
    let fine = Row { person: 60, year: 1, cells: "1,2,a,t1,1,few".into() };
    for (twice, line) in [(vec![fine.clone(), of_two.clone(), old.clone()], 3), (vec![fine.clone(), fine.clone(), old], 3)] {
        let error = append(&bench, table(&bench, "twice.csv", &twice), None).unwrap_err();
        assert!(error.to_string().contains(&format!("twice.csv: line {line}")), "{error}");
    }
    for bad in ["70,1,young,2,a,t1,1,few\n", "70,1,1,2,a,t1,300,few\n", ""] {
        let path = bench.root().join("bad.csv");
        fs::write(&path, format!("{}{bad}", common::HEADER)).unwrap();
        append(&bench, path, None).unwrap_err();
    }
    let other = batch(&bench, 9, [80]);
    assert!(matches!(append(&bench, other.clone(), Some("two")), Err(Error::Append(_))));
    assert!(matches!(append(&bench, other.clone(), Some("a b")), Err(Error::Append(_))));
    unchanged(&bench);
    // What is there already is done, in whichever order its rows come.
    let done = append(&bench, batch(&bench, 2, [51, 50]), Some("two")).unwrap();
    assert!(done.import.is_none() && done.batch.batch == 2);
    // Once batches are there, steps can't follow from which one is the last.
    let config = bench.root().join("sisa.toml");
    let text = fs::read_to_string(&config).unwrap();
    for (from, to) in [("\"replay\"", "\"cumulative\""), ("decay = \"constant\"", "decay = \"linear\"")] {
        fs::write(&config, text.replace(from, to)).unwrap();
        let error = bench.engine().train(&bench.request(), &Quiet).unwrap_err().to_string();
        assert!(error.contains(&to.replace("decay = ", "").replace('"', "")), "{error}");
    }
    fs::write(&config, text).unwrap();
    // While another generation is being built, batches have to wait for it.
    let fresh = TrainRequest {
        sources: bench.root().join("table.csv").into(),
        fresh: true,
        only_shards: Some(Vec::new()),
        ..bench.request()
    };
    bench.engine().train(&fresh, &Quiet).unwrap();
    assert!(append(&bench, other.clone(), None).unwrap_err().to_string().contains("g0002"));
    bench.train();
    append(&bench, other, None).unwrap();
    sound(&bench);
}

#[test]
fn what_takes_no_batches_is_refused_by_name() {
    for (setup, name) in [
        (Setup { learner: LINEAR, schedule: "cumulative", ..Setup::default() }, "cumulative"),
        (Setup { learner: LINEAR, schedule: "front", ..Setup::default() }, "front"),
        (Setup::default(), "linear"),
        (Setup { learner: BOOST, ..Setup::default() }, "boost"),
    ] {
        let bench = Bench::trained(&setup, &rows(40));
        let error = append(&bench, batch(&bench, 2, [50]), None).unwrap_err().to_string();
        assert!(error.contains(name), "{error}");
    }
}

#[test]
fn a_batch_is_not_lost_by_a_rekeying_and_not_appended_twice() {
    for learner in [ADAM, FOREST] {
        let bench = bench(learner);
        let source = batch(&bench, 2, [7, 50]);
        append(&bench, source.clone(), Some("two")).unwrap();
        let records = bench.engine().status().unwrap().shards.iter().flat_map(|s| &s.cells).map(|c| c.rows).sum::<u64>();
        bench.engine().rekey(&KeySource::Seed(9), &Quiet).unwrap();
        let status = bench.engine().status().unwrap();
        assert_eq!(status.shards.iter().flat_map(|s| &s.cells).map(|c| c.rows).sum::<u64>(), records);
        assert_eq!((status.batches, status.later.len()), (1, 0));
        assert!(append(&bench, source, Some("two")).unwrap().import.is_none());
        append(&bench, batch(&bench, 3, [51]), None).unwrap();
        sound(&bench);
    }
}

/// Damage in a slice of later batches is mended from their tables, or given up.
#[test]
fn a_damaged_slice_of_a_batch_is_written_again_from_it() {
    let bench = bench(ADAM);
    let sources = [2, 3].map(|number| batch(&bench, number, 50..90));
    sources.iter().for_each(|source| drop(append(&bench, source.clone(), None).unwrap()));
    let intact = bench.artefacts();
    let damage = |step: u32| fs::write(bench.root().join(format!("shards/g0001/0001/{step:02}.slice")), b"x").unwrap();
    damage(5);
    damage(6);
    // Of two sources each mends its own.
    assert!(bench.engine().repair(&sources[0].clone().into(), false, &Quiet).is_err());
    bench.engine().repair(&sources[1].clone().into(), false, &Quiet).unwrap();
    assert_same(&bench.artefacts(), &intact, "mended");
    damage(6);
    bench.engine().repair(&Input::new(), true, &Quiet).unwrap();
    sound(&bench);
}

/// Persons who were erased, and came back with a batch: their rows are in its slices, and not in those of the import.
#[test]
fn a_damaged_slice_with_somebody_who_came_back_is_written_again() {
    let bench = bench(ADAM);
    let gone =
        |person: &str, no_suppress| DeleteRequest { subjects: vec![person.into()], no_suppress, ..DeleteRequest::default() };
    bench.delete(&gone("7", true));
    bench.delete(&gone("8", false));
    let second = batch(&bench, 2, [7, 8, 50, 51, 52, 53, 54]);
    assert_eq!(append(&bench, second.clone(), None).unwrap().batch.refused, 1);
    bench.engine().unsuppress(&["8".into()], &[]).unwrap();
    let third = batch(&bench, 3, [7, 8, 60, 61, 62, 63, 64]);
    append(&bench, third.clone(), None).unwrap();
    // Whoever goes now is in no slice of the batches before.
    bench.delete(&gone("61", true));
    let intact = bench.artefacts();
    let import = bench.root().join("table.csv");
    for (step, source) in [("02", import.clone()), ("05", second), ("06", third)] {
        for shard in 0..3 {
            fs::write(bench.root().join(format!("shards/g0001/{shard:04}/{step}.slice")), b"x").unwrap();
        }
        bench.engine().repair(&source.into(), false, &Quiet).unwrap();
        assert_same(&bench.artefacts(), &intact, step);
    }
    sound(&bench);
}

#[derive(Debug)]
struct Never;

impl Observer for Never {
    fn progress(&self, _: sisa::Progress) {}
    fn note(&self, _: &str) {}
    fn stopped(&self) -> bool {
        true
    }
}

/// An ensemble that stays loaded answers at every moment of an append, and from the batch once it is trained.
#[test]
fn what_stays_loaded_goes_on_answering_through_an_append() {
    for learner in [ADAM, FOREST] {
        let bench = bench(learner);
        let engine = bench.engine();
        let asked = Input::from(bench.root().join("table.csv"));
        let serving = engine.serving().unwrap();
        let before = serving.scores(&asked, &Quiet).unwrap();
        let source = batch(&bench, 2, 50..90);
        let request = AppendRequest { sources: source.into(), name: None, defer: true };
        let meanwhile = |_: &str, _: &sisa::reports::BatchRecord, _: Option<&sisa::reports::ImportReport>| {
            // Committed and not trained: what was whole serves, with full weight.
            assert_eq!(serving.scores(&asked, &Quiet).unwrap().scores, before.scores);
        };
        engine.append(&request, &Quiet, meanwhile).unwrap();
        assert!(matches!(engine.repair(&Input::new(), false, &Never), Err(Error::Interrupted) | Ok(_)));
        bench.train();
        let after = serving.scores(&asked, &Quiet).unwrap();
        assert!(after.scores != before.scores && after == engine.scores(&asked, &Quiet).unwrap());
    }
}

fn sisa(bench: &Bench, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sisa"));
    command.arg("-w").arg(bench.root()).args(args);
    command
}

/// Runs a command that must end with this code; its lines of JSON.
fn lines(bench: &Bench, args: &[&str], code: i32) -> Vec<Value> {
    let output = sisa(bench, &[args, &["--json"]].concat()).output().unwrap();
    assert_eq!(output.status.code(), Some(code), "{args:?}: {output:?}");
    String::from_utf8(output.stdout).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn the_command_says_what_became_of_a_batch() {
    let bench = bench(ADAM);
    bench.delete(&DeleteRequest { subjects: vec!["9".into()], ..DeleteRequest::default() });
    let path = |number| batch(&bench, number, [9, 50, 51]).to_str().unwrap().to_owned();
    let told = lines(&bench, &["append", &path(2), "--batch", "day-2"], 0);
    assert_eq!((told[0]["type"].as_str(), told[0]["new"].as_bool()), (Some("appended"), Some(true)));
    assert_eq!(
        (told[0]["batch"].as_u64(), told[0]["name"].as_str(), told[0]["refused"].as_u64()),
        (Some(2), Some("day-2"), Some(1))
    );
    assert_eq!((told[1]["type"].as_str(), told[1]["complete"].as_bool()), (Some("repaired"), Some(true)));
    assert_eq!(lines(&bench, &["append", &path(2), "--batch", "day-2"], 0)[0]["new"].as_bool(), Some(false));
    assert_eq!(lines(&bench, &["append", &path(3), "--batch", "day-2"], 3)[0]["type"], "error");
    let text = |args: &[&str]| String::from_utf8(sisa(&bench, args).output().unwrap().stdout).unwrap();
    let said = text(&["append", &path(3), "--defer"]);
    assert!(said.contains("number 3") && said.contains("refused 1 rows") && said.contains("deferred"), "{said}");
    let said = text(&["status"]);
    assert!(said.contains("before") && said.contains("3 batches; slice 5: batch 2, slice 6: batch 3"), "{said}");
    assert_eq!(text(&["append", &path(4), "--quiet"]), "");
    assert_eq!(lines(&bench, &["append", &bench.root().join("absent.csv").display().to_string()], 3)[0]["type"], "error");
    sound(&bench);
}

#[test]
fn killed_at_every_point_of_an_append() {
    for learner in [ADAM, FOREST] {
        let fresh = bench(learner);
        append(&fresh, batch(&fresh, 2, 45..60), None).unwrap();
        for point in ["waiting", "appended", "placing", "placed", "synced"] {
            let bench = bench(learner);
            let source = batch(&bench, 2, 45..60).display().to_string();
            let mut child = sisa(&bench, &["append", &source])
                .env("SISA_STOP_AT", point)
                .stderr(Stdio::piped())
                .stdout(Stdio::null())
                .spawn()
                .unwrap();
            let mut said = BufReader::new(child.stderr.take().unwrap()).lines().map_while(Result::ok);
            assert!(said.any(|line| line.contains("stopped at")), "{point} is never reached");
            child.kill().unwrap();
            child.wait().unwrap();
            // Answers need no slice; what looks at slices waits for a writer.
            let code = |args: &[&str]| sisa(&bench, args).output().unwrap().status.code();
            assert_eq!(code(&["predict", &source]), Some(0), "{point}");
            let on_its_way = ["appended", "placing"].contains(&point);
            assert_eq!(code(&["verify"]), Some(if on_its_way { 5 } else { 0 }), "{point}");
            assert_eq!(code(&["append", &source]), Some(0), "{point}");
            assert_same(&bench.artefacts(), &fresh.artefacts(), point);
            sound(&bench);
        }
    }
}
