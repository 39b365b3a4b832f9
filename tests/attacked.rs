//! What an attack on the engine found, each by the steps that showed it.
#![expect(clippy::disallowed_methods, reason = "tests change files by hand")]
#![expect(clippy::unwrap_used, reason = "a test stops at what it does not expect")]

mod common;

use std::{fs, process::Command};

use common::{Bench, LINEAR, RIDGE, Setup, assert_same, csv, rows, without};
use sisa::{
    engine::{DeleteRequest, Engine, ErrorKind, Input, KeySource, Quiet, TrainRequest, VerifyRequest},
    ids::ShardId,
};

fn small() -> Setup {
    Setup { shards: 2, slices: 2, holdout: 0.0, learner: LINEAR, epochs: 1, ..Setup::default() }
}

fn of(person: u32) -> DeleteRequest {
    DeleteRequest { subjects: vec![person.to_string()], request_id: Some(format!("q{person}")), ..DeleteRequest::default() }
}

fn findings(engine: &Engine, retrain: bool) -> usize {
    engine.verify(&VerifyRequest { retrain, ..VerifyRequest::default() }, &Quiet).unwrap().findings.len()
}

/// The soft limit on open files is 1,024 on most systems, and a deletion may taint more checkpoints than that.
#[test]
fn a_deletion_that_taints_more_checkpoints_than_a_process_may_open_is_in_effect_at_once() {
    let all = rows(300);
    for learner in [LINEAR, RIDGE] {
        let setup = Setup { shards: 60, slices: 2, learner, ..small() };
        let bench = Bench::trained(&setup, &all);
        let gone: Vec<String> = (0..200).map(|person: u32| person.to_string()).collect();
        fs::write(bench.root().join("ids"), gone.join("\n")).unwrap();
        let script = r#"ulimit -n 48 && exec "$0" delete --from "$1/ids" -w "$1" --threads 2"#;
        let output = Command::new("sh").args(["-c", script, env!("CARGO_BIN_EXE_sisa")]).arg(bench.root()).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let fresh = Bench::trained(&setup, &without(&all, |row| row.person < 200));
        assert_same(&bench.artefacts(), &fresh.artefacts(), "few files at once");
    }
}

#[test]
fn a_repeated_request_repairs_what_waits() {
    let (all, setup) = (rows(40), small());
    let bench = Bench::trained(&setup, &all);
    let first = bench.delete(&DeleteRequest { defer: true, ..of(3) });
    assert!(!first.repeated && !first.done && first.repair.is_none());
    let status = bench.engine().status().unwrap();
    assert_eq!(status.unrepaired, vec!["q3"]);
    let again = bench.delete(&of(3));
    assert!(again.repeated && again.repair.is_some());
    assert!(bench.engine().status().unwrap().unrepaired.is_empty());
    let third = bench.delete(&of(3));
    assert!(third.repeated && third.done && third.repair.is_none());
    assert_same(&bench.artefacts(), &Bench::trained(&setup, &without(&all, |r| r.person == 3)).artefacts(), "repeated");
}

#[test]
fn a_rekeying_never_discards_a_newer_import() {
    let bench = Bench::trained(&small(), &rows(40));
    fs::write(bench.root().join("table.csv"), csv(&rows(60))).unwrap();
    let fresh = TrainRequest { fresh: true, only_shards: Some(vec![ShardId(0)]), ..bench.request() };
    bench.engine().train(&fresh, &Quiet).unwrap();
    let before = bench.files();
    let refused = bench.engine().rekey(&KeySource::Seed(9), &Quiet).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Input);
    assert_same(&bench.files(), &before, "refused");
    // What the message says works: it is trained, and then there is nothing newer.
    bench.engine().train(&TrainRequest { keys: KeySource::Random, ..bench.request() }, &Quiet).unwrap();
    bench.engine().rekey(&KeySource::Seed(9), &Quiet).unwrap();
    assert_eq!(findings(&bench.engine(), true), 0);
}

/// What an import refused is what was suppressed then, whatever is suppressed now.
#[test]
fn a_slice_comes_back_from_its_source_after_suppressions_that_ended_or_began() {
    let all = rows(40);
    let bench = Bench::trained(&small(), &without(&all, |row| row.person == 7));
    assert!(bench.delete(&of(7)).any_unknown());
    fs::write(bench.root().join("table.csv"), csv(&all)).unwrap();
    let report = bench.engine().train(&TrainRequest { fresh: true, ..bench.request() }, &Quiet).unwrap();
    assert!(report.import.unwrap().refused > 0);
    // Ended: 7. Begun: 900, whom no table has, and 5, whose records are taken away now.
    assert_eq!(bench.engine().unsuppress(&["7".into()], &[]).unwrap(), 1);
    bench.delete(&of(900));
    bench.delete(&of(5));
    let good = bench.artefacts();
    for path in good.keys().filter(|path| path.extension().is_some_and(|e| e == "slice")) {
        fs::write(bench.root().join(path), b"damaged").unwrap();
    }
    bench.engine().repair(&bench.root().join("table.csv").into(), false, &Quiet).unwrap();
    assert_same(&bench.artefacts(), &good, "from the source");
}

/// A backup that is put back, or another machine that is late, brings states that saw somebody who is gone.
#[test]
fn checkpoints_that_arrive_late_are_taken_away_by_whoever_builds() {
    for learner in [LINEAR, RIDGE] {
        let setup = Setup { learner, ..small() };
        let bench = Bench::trained(&setup, &rows(40));
        let before = bench.artefacts();
        bench.delete(&of(3));
        let after = bench.artefacts();
        let late: Vec<_> = before.iter().filter(|(path, _)| !after.contains_key(*path)).collect();
        assert!(!late.is_empty() && late.iter().all(|(path, _)| path.extension().unwrap() == "ckpt"));
        let bring = || late.iter().for_each(|(path, bytes)| fs::write(bench.root().join(path), bytes).unwrap());
        bring();
        assert_eq!(findings(&bench.engine(), false), late.len(), "they are named");
        bench.engine().repair(&Input::new(), false, &Quiet).unwrap();
        assert_same(&bench.artefacts(), &after, "a repair");
        bring();
        bench.train();
        assert_same(&bench.artefacts(), &after, "a training with nothing to do");
    }
}

#[test]
fn an_id_column_is_named_once_and_is_not_the_label() {
    for (from, to) in [
        (r#"record = ["person", "year"]"#, r#"record = ["year", "year"]"#),
        (r#"record = ["person", "year"]"#, r#"record = ["visits"]"#),
        (r#"subject = "person""#, r#"subject = "visits""#),
    ] {
        let setup = Setup { record: true, ..small() };
        let bench = Bench::new(&setup, &rows(20));
        let config = setup.config().replace(from, to);
        assert!(config.contains(to));
        fs::write(bench.root().join("sisa.toml"), config).unwrap();
        let refused = bench.engine().train(&bench.request(), &Quiet).unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::Input, "{to}");
        assert!(bench.artefacts().is_empty(), "{to}");
    }
}
