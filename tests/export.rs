//! Models that leave: the same states give the same file, and every deletion names the copies that saw whom it is about.
#![expect(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "tests write their tables by hand, and stop at what they do not expect"
)]

mod common;

use std::{
    fs,
    io::{BufRead, BufReader},
    process::{Command, Stdio},
};

use common::{ADAM, BOOST, Bench, COUNTED, FOREST, HEADER, LINEAR, MLP, RIDGE, Setup, rows, without};
use sisa::engine::{
    AppendRequest, DeleteReport, DeleteRequest, Error, ExportFormat, KeySource, Quiet, Remedy, TrainRequest, VerifyRequest,
};

/// A workspace without the column that can't leave.
fn bench(setup: &Setup, rows: &[common::Row]) -> Bench {
    let bench = Bench::new(setup, rows);
    let config = setup.config().replace("town = { kind = \"category\", buckets = 8 }", "town = \"ignore\"");
    fs::write(bench.root().join("sisa.toml"), config).unwrap();
    assert!(bench.train().complete);
    bench
}

fn export(bench: &Bench, format: ExportFormat) -> Vec<u8> {
    let path = bench.root().join("model");
    let report = bench.engine().export(format, &path, &Quiet).unwrap();
    let bytes = fs::read(path).unwrap();
    assert_eq!(report.bytes, bytes.len() as u64);
    assert_eq!(report.record.exported.digest.to_string(), blake3::hash(&bytes).to_hex().to_string());
    bytes
}

fn delete(bench: &Bench, person: u32) -> DeleteReport {
    bench.delete(&DeleteRequest { subjects: vec![person.to_string()], ..DeleteRequest::default() })
}

/// The entries of the copies that a deletion names, each with whether it is certain.
fn named(report: &DeleteReport) -> Vec<(u64, bool)> {
    report.accepted.exports.iter().map(|seen| (seen.entry, seen.certain)).collect()
}

fn sound(bench: &Bench) {
    assert_eq!(bench.engine().verify(&VerifyRequest::default(), &Quiet).unwrap().findings, vec![]);
}

/// A person with records in slices, and one that is held out.
fn of_both_kinds(bench: &Bench, persons: u32) -> (Vec<u32>, u32) {
    let held_out = |person: &u32| {
        let ask = DeleteRequest { subjects: vec![person.to_string()], ..DeleteRequest::default() };
        bench.engine().forecast(&ask).unwrap().accepted.outcomes[0].held_out > 0
    };
    let (out, within): (Vec<u32>, Vec<u32>) = (0..persons).partition(held_out);
    (within, out[0])
}

#[test]
fn the_same_states_are_the_same_file_also_after_a_deletion() {
    let rows = rows(60);
    for learner in [MLP, ADAM, LINEAR, RIDGE, FOREST, COUNTED, BOOST] {
        let setup = Setup { learner, slices: 2, ..Setup::default() };
        let (all, rest) = (bench(&setup, &rows), bench(&setup, &without(&rows, |r| r.person == 7)));
        let trees = [FOREST, COUNTED, BOOST].contains(&learner);
        for format in [ExportFormat::Onnx, ExportFormat::Safetensors] {
            if trees && format == ExportFormat::Safetensors {
                let path = all.root().join("weights");
                let refused = all.engine().export(format, &path, &Quiet).unwrap_err();
                assert_eq!((refused.remedies(), path.exists()), (vec![Remedy::ExportOnnx], false));
                continue;
            }
            let first = export(&all, format);
            assert!(first == export(&all, format) && first != export(&rest, format), "{learner}");
        }
        let exported = all.engine().exports().unwrap();
        assert_eq!(exported.len(), if trees { 2 } else { 4 });
        let report = delete(&all, 7);
        assert_eq!(named(&report), exported.iter().map(|e| (e.sequence, true)).collect::<Vec<_>>());
        assert!(export(&all, ExportFormat::Onnx) == export(&rest, ExportFormat::Onnx), "{learner}");
        sound(&all);
    }
}

#[test]
fn hashed_buckets_stay_here() {
    let bench = Bench::trained(&Setup::default(), &rows(60));
    let (path, before) = (bench.root().join("model"), bench.files());
    let refused = bench.engine().export(ExportFormat::Onnx, &path, &Quiet).unwrap_err();
    assert!(matches!(&refused, Error::Export(_)) && refused.to_string().contains("`town`"), "{refused}");
    assert_eq!(refused.remedies(), vec![Remedy::TrainFresh { source: None }]);
    assert!(!path.exists() && before == bench.files());
}

#[test]
fn a_deletion_names_the_copies_that_saw_the_person_and_no_others() {
    let setup = Setup { learner: LINEAR, ..Setup::default() };
    let bench = bench(&setup, &rows(60));
    let (within, held_out) = of_both_kinds(&bench, 60);
    assert_eq!(named(&delete(&bench, within[0])), []);
    export(&bench, ExportFormat::Onnx);
    let first = bench.engine().exports().unwrap()[0].clone();
    // What no model sees, no copy saw; nor what is not there, or went before it was made.
    for person in [held_out, 999, within[0]] {
        assert_eq!(named(&delete(&bench, person)), []);
    }
    let dry = DeleteRequest { subjects: vec![within[1].to_string()], ..DeleteRequest::default() };
    assert_eq!(bench.engine().forecast(&dry).unwrap().accepted.exports.len(), 1);
    let repeat = DeleteRequest { request_id: Some("q".into()), ..dry };
    assert_eq!(named(&bench.delete(&repeat)), [(first.sequence, true)]);
    export(&bench, ExportFormat::Safetensors);
    // A copy from afterwards did not see them, however often one asks.
    assert_eq!(named(&bench.delete(&repeat)), [(first.sequence, true)]);
    let receipt = bench.engine().receipt(Some("q")).unwrap();
    assert_eq!(receipt.exports.iter().map(|seen| seen.digest).collect::<Vec<_>>(), [first.exported.digest]);
    let exports = bench.engine().exports().unwrap();
    assert_eq!(exports.iter().map(|e| e.requests).collect::<Vec<_>>(), [1, 0]);
    assert_eq!(bench.engine().status().unwrap().exports, exports);
    sound(&bench);
}

#[test]
fn people_of_later_batches_were_not_seen_by_earlier_copies() {
    let setup = Setup { learner: LINEAR, holdout: 0.0, ..Setup::default() };
    let bench = bench(&setup, &rows(60));
    export(&bench, ExportFormat::Onnx);
    let batch = bench.root().join("batch.csv");
    fs::write(&batch, format!("{HEADER}900,1,20,10.00,a,t1,5,few\n901,1,30,20.00,b,t1,6,many\n")).unwrap();
    let append = AppendRequest { sources: batch.into(), ..AppendRequest::default() };
    bench.engine().append(&append, &Quiet, |_, _, _| ()).unwrap();
    export(&bench, ExportFormat::Onnx);
    let [first, second] = [0, 1].map(|at: usize| bench.engine().exports().unwrap()[at].sequence);
    assert_eq!(named(&delete(&bench, 900)), [(second, true)]);
    assert_eq!(named(&delete(&bench, 7)), [(first, true), (second, true)]);
    sound(&bench);
}

#[test]
fn copies_of_generations_that_went_on_are_known_and_of_lost_ones_nobody_can_tell() {
    let setup = Setup { learner: LINEAR, holdout: 0.0, ..Setup::default() };
    let bench = bench(&setup, &rows(60));
    export(&bench, ExportFormat::Onnx);
    let entry = bench.engine().exports().unwrap()[0].sequence;
    bench.engine().rekey(&KeySource::Seed(6), &Quiet).unwrap();
    assert_eq!(named(&delete(&bench, 7)), [(entry, true)]);
    let fresh = TrainRequest { fresh: true, keys: KeySource::Seed(7), ..bench.request() };
    assert!(bench.engine().train(&fresh, &Quiet).unwrap().complete);
    assert_eq!(named(&delete(&bench, 8)), [(entry, false)]);
    sound(&bench);
}

#[test]
fn a_summary_of_the_ledger_knows_the_copies() {
    let bench = bench(&Setup { learner: LINEAR, holdout: 0.0, shards: 1, slices: 1, ..Setup::default() }, &rows(20));
    for _ in 0..105 {
        export(&bench, ExportFormat::Safetensors);
    }
    let summary = fs::read_to_string(bench.root().join("shards/ledger/0001/summary.json")).unwrap();
    assert!(summary.contains("\"exports\""));
    assert_eq!(delete(&bench, 7).accepted.exports.len(), 105);
    sound(&bench);
}

fn sisa(bench: &Bench, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sisa"));
    command.arg("-w").arg(bench.root()).args(args);
    command
}

#[test]
fn the_ledger_knows_of_a_copy_before_it_is_there() {
    let bench = bench(&Setup { learner: LINEAR, holdout: 0.0, ..Setup::default() }, &rows(40));
    let path = bench.root().join("model.onnx");
    let file = path.to_str().unwrap();
    let mut stopped =
        sisa(&bench, &["export", file]).env("SISA_STOP_AT", "exported").stderr(Stdio::piped()).stdout(Stdio::null()).spawn();
    let child = stopped.as_mut().unwrap();
    let reached = BufReader::new(child.stderr.take().unwrap()).lines().map_while(Result::ok).any(|l| l.contains("stopped at"));
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(reached && !path.exists());
    let told = sisa(&bench, &["delete", "--subject", "7"]).output().unwrap();
    let told = String::from_utf8(told.stdout).unwrap();
    assert!(told.contains("1 exported copy saw this data: onnx ") && told.contains("; withdraw it\n"), "{told}");
    sound(&bench);
    // A request that was accepted and is not in effect comes first.
    let delete = ["delete", "--subject", "8", "--request-id", "k"];
    let mut child =
        sisa(&bench, &delete).env("SISA_STOP_AT", "accepted").stderr(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
    let reached = BufReader::new(child.stderr.take().unwrap()).lines().map_while(Result::ok).any(|l| l.contains("stopped at"));
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(reached);
    assert_eq!(sisa(&bench, &["export", file]).output().unwrap().status.code(), Some(5));
    assert!(!path.exists());
    assert_eq!(sisa(&bench, &["repair"]).output().unwrap().status.code(), Some(0));
    // Over an older copy, and over nothing else.
    for _ in 0..2 {
        assert_eq!(sisa(&bench, &["export", file]).output().unwrap().status.code(), Some(0));
    }
    assert_eq!(sisa(&bench, &["export", "--format", "safetensors", file]).output().unwrap().status.code(), Some(0));
    let table = bench.root().join("table.csv");
    assert_eq!(sisa(&bench, &["export", table.to_str().unwrap()]).output().unwrap().status.code(), Some(3));
}
