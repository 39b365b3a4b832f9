//! Corrections: what becomes of every kind of row, what is refused and by what words, and what is told.
#![expect(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "tests write their tables by hand, start the real binary, and stop at what they do not expect"
)]

mod common;

use std::{
    collections::BTreeMap,
    fs,
    path::PathBuf,
    process::{Command, Output},
    sync::atomic::AtomicI64,
};

use common::{Bench, FOREST, HEADER, LINEAR, RIDGE, Row, Setup, StopAfter, assert_same, csv, rows};
use serde_json::Value;
use sisa::engine::{
    AppendRequest, CorrectError, CorrectReport, CorrectRequest, DeleteError, DeleteRequest, Engine, Error, KeySource,
    OutcomeKind, Quiet, VerifyRequest,
};

/// An age that nobody else has.
const RARE: &str = "77.71875";

/// Rows told by their years alone, the first of which has a rare age.
fn numbered() -> Vec<Row> {
    let mut rows = rows(40);
    rows.iter_mut().zip(1..).for_each(|(row, number)| row.year = number);
    rows[0].cells = format!("{RARE},100.00,a,t1,7,few");
    rows
}

/// A trained workspace of these rows, told by their years.
fn bench(learner: &'static str, rows: &[Row]) -> Bench {
    let setup = Setup { learner, ..Setup::default() };
    let bench = Bench::new(&setup, rows);
    let config = setup.config().replace(r#"["person", "year"]"#, r#"["year"]"#);
    fs::write(bench.root().join("sisa.toml"), config).unwrap();
    assert!(bench.train().complete);
    bench
}

fn table(bench: &Bench, text: &str) -> PathBuf {
    let path = bench.root().join("corrections.csv");
    fs::write(&path, text).unwrap();
    path
}

fn correct(bench: &Bench, rows: &[Row], name: &str) -> Result<CorrectReport, Error> {
    let request =
        CorrectRequest { sources: table(bench, &csv(rows)).into(), request_id: Some(name.into()), ..CorrectRequest::default() };
    bench.engine().correct(&request, &Quiet, |_, _, _| {})
}

fn outcomes(report: &CorrectReport) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    report.accepted.outcomes.iter().for_each(|o| *counts.entry(format!("{:?}", o.outcome)).or_default() += 1);
    counts
}

fn sound(bench: &Bench) {
    let verdict = bench.engine().verify(&VerifyRequest { retrain: true, ..VerifyRequest::default() }, &Quiet).unwrap();
    assert_eq!((verdict.findings, verdict.notes), (vec![], vec![]));
}

fn cells_of(engine: &Engine, person: u32) -> Vec<String> {
    let request = DeleteRequest { subjects: vec![person.to_string()], ..DeleteRequest::default() };
    engine.forecast(&request).unwrap().accepted.cells.iter().map(|change| change.cell.to_string()).collect()
}

/// The first person with a record in a slice, the first that is held out, and another one with a record in another shard's slice.
fn persons(engine: &Engine) -> (u32, u32, u32) {
    let cells: Vec<(u32, Vec<String>)> = (0..40).map(|person| (person, cells_of(engine, person))).collect();
    let find = |what: &dyn Fn(&str) -> bool| cells.iter().find(|(_, cells)| what(&cells[0])).unwrap().0;
    let trained = find(&|cell| !cell.ends_with("holdout"));
    let shard = cells_of(engine, trained)[0][..4].to_owned();
    (trained, find(&|cell| cell.ends_with("holdout")), find(&|cell| !cell.ends_with("holdout") && !cell.starts_with(&shard)))
}

/// Whatever learns: the bytes of a workspace into which the rows came so; and nothing that held the old content is left.
#[test]
fn a_corrected_record_is_as_if_it_had_come_so() {
    for learner in [LINEAR, RIDGE, FOREST] {
        let before = numbered();
        let mut after = before.clone();
        after[0].cells = "41,200.00,b,t2,9,many".into();
        after[9].cells = "?,700.00,c,t4,200,many".into();
        let moved = after.iter().position(|row| row.person == 20).unwrap();
        after[moved].person = 21;
        let bench = bench(learner, &before);
        let old = RARE.parse::<f32>().unwrap().to_le_bytes();
        let holds = |bench: &Bench| bench.artefacts().values().any(|file| file.windows(4).any(|four| four == old));
        assert!(holds(&bench), "the old content would not be seen");
        let changed: Vec<Row> = [0, 9, moved].map(|at| after[at].clone()).to_vec();
        let report = correct(&bench, &changed, "c").unwrap();
        assert_eq!(outcomes(&report), [("Corrected".to_owned(), 3)].into());
        assert!(!holds(&bench));
        let anew = self::bench(learner, &after);
        assert_same(&bench.artefacts(), &anew.artefacts(), learner);
        sound(&bench);
        if learner == RIDGE {
            // Rows are taken out of sums, and others put in.
            let repair = report.repair.unwrap();
            assert_eq!((repair.report.row_passes(), report.accepted.predicted.row_passes), (0, 0));
        }
        let receipt = bench.engine().receipt(Some("c")).unwrap();
        assert!(receipt.repaired_at.is_some() && receipt.cells.iter().all(|change| change.before != change.after));
        assert_eq!(
            receipt.cells.iter().map(|change| (change.records, change.come)).fold((0, 0), |a, b| (a.0 + b.0, a.1 + b.1)),
            (3, 3)
        );
        let seen = receipt.outcomes.iter().map(|o| o.in_slices + o.held_out).sum::<u64>();
        assert_eq!((seen, receipt.outcomes.iter().all(|o| !o.subject)), (3, true));
    }
}

#[test]
fn a_record_goes_to_the_place_of_its_new_subject_in_its_own_batch() {
    let before = numbered();
    let bench = bench(LINEAR, &before);
    let engine = bench.engine();
    let (trained, held_out, elsewhere) = persons(&engine);
    let row = |person, year| Row { person, year, cells: "30,10.00,a,t1,5,few".into() };
    let batch = |bench: &Bench, rows: &[Row]| {
        let path = bench.root().join("batch.csv");
        fs::write(&path, csv(rows)).unwrap();
        let request = AppendRequest { sources: path.into(), name: Some("b".into()), defer: false };
        bench.engine().append(&request, &Quiet, |_, _, _| {}).unwrap();
    };
    let second = [row(trained, 900), row(elsewhere, 901), row(held_out, 902), row(39, 903)];
    batch(&bench, &second);
    let first = before.iter().find(|row| row.person == trained).unwrap().clone();
    let moves = [Row { person: elsewhere, ..first.clone() }, row(elsewhere, 900), row(held_out, 901)];
    correct(&bench, &moves, "moves").unwrap();
    let corrected = |rows: &[Row]| -> Vec<Row> {
        rows.iter().map(|row| moves.iter().find(|moved| moved.year == row.year).unwrap_or(row).clone()).collect()
    };
    let anew = self::bench(LINEAR, &corrected(&before));
    batch(&anew, &corrected(&second));
    assert_same(&bench.artefacts(), &anew.artefacts(), "moved");
    // Nothing says with which batch a record came that is held out.
    let files = bench.files();
    let error = correct(&bench, &[row(trained, 902)], "back").unwrap_err();
    assert!(matches!(error, Error::Correct(CorrectError::NoBatch { .. })), "{error}");
    assert_same(&files, &bench.files(), "refused");
    // Where there is one batch, it came with that.
    let single = self::bench(LINEAR, &before);
    let of_held_out = before.iter().find(|row| row.person == held_out).unwrap().clone();
    let moved = Row { person: trained, ..of_held_out };
    correct(&single, std::slice::from_ref(&moved), "out").unwrap();
    let after: Vec<Row> = before.iter().map(|row| if row.year == moved.year { moved.clone() } else { row.clone() }).collect();
    assert_same(&single.artefacts(), &self::bench(LINEAR, &after).artefacts(), "no longer held out");
}

#[test]
fn rows_that_correct_nothing_are_told_and_leave_everything_as_it_is() {
    let before = numbered();
    let bench = bench(LINEAR, &before);
    let engine = bench.engine();
    let gone = before[3].person;
    let request = DeleteRequest { subjects: vec![gone.to_string()], request_id: Some("d".into()), ..DeleteRequest::default() };
    engine.delete(&request, &Quiet, |_, _, _| {}).unwrap();
    let artefacts = bench.artefacts();
    let there = before.iter().find(|row| row.person != gone).unwrap().clone();
    let other = before.iter().rfind(|row| row.person != gone).unwrap().clone();
    let rows = [
        // As it is.
        there,
        // It would be about somebody who is suppressed.
        Row { person: gone, ..other },
        // It is deleted.
        before[3].clone(),
        // It never was there.
        Row { person: 39, year: 5000, cells: before[0].cells.clone() },
    ];
    let report = correct(&bench, &rows, "c").unwrap();
    let kinds =
        [(OutcomeKind::Unchanged, 1), (OutcomeKind::Refused, 1), (OutcomeKind::AlreadyErased, 1), (OutcomeKind::NotFound, 1)];
    assert_eq!(outcomes(&report), kinds.map(|(kind, count)| (format!("{kind:?}"), count)).into());
    let lines: Vec<(u64, OutcomeKind)> = report.left.iter().map(|row| (row.place.line, row.outcome)).collect();
    assert_eq!(lines, [(3, OutcomeKind::Refused), (4, OutcomeKind::AlreadyErased), (5, OutcomeKind::NotFound)]);
    assert!(report.accepted.cells.is_empty() && report.accepted.purge.is_empty());
    assert_same(&artefacts, &bench.artefacts(), "nothing");
    // Nobody is suppressed by a correction, so the record may come later.
    let path = bench.root().join("later.csv");
    fs::write(&path, csv(&rows[3..])).unwrap();
    let append = AppendRequest { sources: path.into(), ..AppendRequest::default() };
    assert_eq!(engine.append(&append, &Quiet, |_, _, _| {}).unwrap().batch.refused, 0);
    sound(&bench);
}

/// A person who was deleted without being suppressed is there again when a record is about him.
#[test]
fn an_erased_subject_may_come_back_by_a_correction() {
    let before = numbered();
    let bench = bench(LINEAR, &before);
    let gone = before[3].person;
    let request = DeleteRequest { subjects: vec![gone.to_string()], no_suppress: true, ..DeleteRequest::default() };
    bench.delete(&request);
    let row = before.iter().find(|row| row.person != gone).unwrap();
    let report = correct(&bench, &[Row { person: gone, ..row.clone() }], "c").unwrap();
    assert_eq!((outcomes(&report), report.accepted.returned.len()), ([("Corrected".to_owned(), 1)].into(), 1));
    sound(&bench);
    assert_eq!(bench.delete(&request).accepted.outcomes[0].outcome, OutcomeKind::Erased);
    sound(&bench);
}

#[test]
fn what_can_not_be_meant_is_refused_and_nothing_changes() {
    let before = numbered();
    let bench = bench(LINEAR, &before);
    let files = bench.files();
    let refused = |text: &str, says: &str| {
        let request = CorrectRequest { sources: table(&bench, text).into(), ..CorrectRequest::default() };
        let error = bench.engine().correct(&request, &Quiet, |_, _, _| {}).unwrap_err();
        assert!(error.to_string().contains(says), "{error}");
        assert_same(&files, &bench.files(), says);
    };
    let row = csv(&before[..1]).replace(HEADER, "");
    refused(&format!("{HEADER}{row}{row}"), "line 3: a row before this one has the same record id");
    refused(HEADER, "holds no rows");
    refused(&format!("{HEADER}{}", row.replace(RARE, "old")), "`old` is not a number");
    refused(&format!("{HEADER}{}", row.replace("few", "")), "line 2");
    refused("person,year\n1,1\n", "there is no column `visits`");
    let bad = CorrectRequest { sources: table(&bench, &csv(&before[..1])).into(), request_id: Some("a b".into()), defer: false };
    let error = bench.engine().correct(&bad, &Quiet, |_, _, _| {}).unwrap_err();
    assert!(matches!(error, Error::Delete(DeleteError::BadRequestId { .. })), "{error}");
    // Rows that an import would leave out.
    let skipping = Bench::new(&Setup { learner: LINEAR, ..Setup::default() }, &before);
    let config = fs::read_to_string(skipping.root().join("sisa.toml")).unwrap();
    let config = config.replace("values = [\"few\", \"many\"]", "values = [\"few\", \"many\"]\nmissing = \"skip\"");
    fs::write(skipping.root().join("sisa.toml"), config).unwrap();
    skipping.train();
    let mut row = before[0].clone();
    row.cells = row.cells.replace("few", "");
    let error = correct(&skipping, &[row], "c").unwrap_err();
    assert!(matches!(error, Error::Correct(CorrectError::LeftOut { .. })), "{error}");
    // Records that have no ids.
    let nameless = Bench::trained(&Setup { learner: LINEAR, record: false, ..Setup::default() }, &before);
    let error = correct(&nameless, &before[..1], "c").unwrap_err();
    assert!(matches!(error, Error::Correct(CorrectError::NoRecordIds)), "{error}");
}

#[test]
fn a_repeated_correction_is_told_from_another_one() {
    let before = numbered();
    let bench = bench(LINEAR, &before);
    let row = |cells: &str| Row { cells: cells.into(), ..before[0].clone() };
    let first = correct(&bench, &[row("41,200.00,b,t2,9,many")], "c").unwrap();
    let files = bench.files();
    let again = correct(&bench, &[row("41,200.00,b,t2,9,many")], "c").unwrap();
    assert!((!first.repeated, again.repeated, again.done) == (true, true, true) && first.accepted == again.accepted);
    let other = correct(&bench, &[row("42,200.00,b,t2,9,many")], "c").unwrap_err();
    assert!(matches!(other, Error::Delete(DeleteError::OtherIds { .. })), "{other}");
    let deletion = DeleteRequest { subjects: vec!["1".into()], request_id: Some("c".into()), ..DeleteRequest::default() };
    assert!(bench.engine().delete(&deletion, &Quiet, |_, _, _| {}).is_err());
    assert_same(&files, &bench.files(), "repeated");
    // A dry run says what would be, and leaves no file.
    let request =
        CorrectRequest { sources: table(&bench, &csv(&[row("43,1.00,b,t2,9,few")])).into(), ..CorrectRequest::default() };
    let forecast = bench.engine().forecast_correction(&request).unwrap();
    assert_same(&files, &bench.files(), "a dry run");
    let report = bench.engine().correct(&request, &Quiet, |_, _, _| {}).unwrap();
    assert_eq!((forecast.accepted.cells, forecast.accepted.purge), (report.accepted.cells, report.accepted.purge));
    assert_eq!(forecast.accepted.predicted, report.accepted.predicted);
}

/// A generation that is being built has the correction as the one that serves has.
#[test]
fn every_generation_is_corrected() {
    let before = numbered();
    let bench = bench(LINEAR, &before);
    let engine = bench.engine();
    let (trained, _, elsewhere) = persons(&engine);
    assert!(engine.rekey(&KeySource::Seed(9), &StopAfter(AtomicI64::new(1))).is_err());
    let mut after = before.clone();
    let at = after.iter().position(|row| row.person == trained).unwrap();
    after[at] = Row { person: elsewhere, cells: "41,200.00,b,t2,9,many".into(), ..after[at].clone() };
    let report = correct(&bench, &after[at..=at], "c").unwrap();
    let generations: Vec<String> = report.accepted.cells.iter().map(|change| change.generation.to_string()).collect();
    assert!(generations.contains(&"g0001".into()) && generations.contains(&"g0002".into()), "{generations:?}");
    bench.train();
    sound(&bench);
    let anew = self::bench(LINEAR, &after);
    anew.engine().rekey(&KeySource::Seed(9), &Quiet).unwrap();
    assert_same(&bench.artefacts(), &anew.artefacts(), "rekeyed");
}

/// The real program: what it prints, and its exit codes.
#[test]
fn the_command_says_what_became_of_the_rows() {
    let before = numbered();
    let bench = bench(LINEAR, &before);
    let sisa = |arguments: &[&str]| -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_sisa"));
        command.arg("-w").arg(bench.root()).args(arguments).output().unwrap()
    };
    let row = Row { cells: "41,200.00,b,t2,9,many".into(), ..before[0].clone() };
    let unknown = Row { year: 5000, ..row.clone() };
    let from = table(&bench, &csv(&[row.clone(), unknown])).display().to_string();
    let dry = sisa(&["correct", "--from", &from, "--dry-run"]);
    let text = String::from_utf8(dry.stdout).unwrap();
    assert!(dry.status.success() && text.contains("1 records go, 1 come") && text.contains("not corrected: "), "{text}");
    let done = sisa(&["correct", "--from", &from, "--request-id", "c", "--json"]);
    assert_eq!(done.status.code(), Some(4));
    let text = String::from_utf8(done.stdout).unwrap();
    let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let kinds: Vec<&str> = lines.iter().map(|line| line["type"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["effective", "repaired", "corrected"]);
    assert_eq!(
        (&lines[2]["records"], &lines[2]["left_lines"], &lines[2]["repaired"]),
        (&1.into(), &vec![3].into(), &true.into())
    );
    let log = String::from_utf8(sisa(&["log"]).stdout).unwrap();
    assert!(log.contains("corrected: 1 record") && log.contains("not found: 1 record"), "{log}");
    let receipt = sisa(&["receipt", "c"]);
    assert!(String::from_utf8(receipt.stdout).unwrap().contains("\"come\": 1"));
    assert!(sisa(&["status"]).status.success());
    let fine = table(&bench, &csv(&[row])).display().to_string();
    let again = sisa(&["correct", "--from", &fine, "--defer"]);
    let text = String::from_utf8(again.stdout).unwrap();
    assert!(again.status.success() && text.contains("held this before: 1 record"), "{text}");
}
