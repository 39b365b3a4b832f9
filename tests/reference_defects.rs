//! The six defects of the reference code of SISA (Bourtoule et al. 2021, the code published with the paper), one test each, by name.
#![expect(clippy::disallowed_methods, reason = "tests write their tables by hand")]

mod common;

use std::{collections::BTreeSet, fs};

use common::{ADAM, Bench, MLP, Row, Setup, StopAfter, assert_same, csv, rows, without};
use sisa::engine::{DeleteRequest, Error, Input, Overrides, Quiet, TrainRequest};

fn delete(bench: &Bench, person: u32, defer: bool) {
    bench.delete(&DeleteRequest { subjects: vec![person.to_string()], defer, ..DeleteRequest::default() });
}

/// There, a key covered rows up to slices * floor(rows / slices), and training all of them: a deletion among the last rows changed no
/// key, and the model that saw the row was used again.
#[test]
fn a_row_outside_the_checkpoint_key() {
    // 103 records of one a person in one shard of ten slices: no slice has the same number of rows as the others.
    let rows: Vec<Row> = rows(103).into_iter().filter(|r| r.year == 1).collect();
    assert_eq!(rows.len(), 103);
    let setup = Setup { shards: 1, slices: 10, holdout: 0.0, epochs: 1, ..Setup::default() };
    let names = |bench: &Bench| bench.artefacts().into_keys().collect::<BTreeSet<_>>();
    for row in &rows {
        let bench = Bench::trained(&setup, &rows);
        let before = names(&bench);
        delete(&bench, row.person, false);
        let last = |names: &BTreeSet<std::path::PathBuf>| {
            let step = |p: &&std::path::PathBuf| p.file_name().is_some_and(|n| n.to_string_lossy().starts_with("10-"));
            names.iter().find(step).cloned().unwrap()
        };
        assert_ne!(last(&before), last(&names(&bench)), "the last state has the same key without person {}", row.person);
    }
}

/// There, a key was a hash of positions alone: another rate or number of epochs returned the old model in silence.
#[test]
fn a_key_without_configuration() {
    let rows = rows(40);
    let bench = Bench::trained(&Setup::default(), &rows);
    let request = TrainRequest { overrides: Overrides { rate: Some(0.01), ..Overrides::default() }, ..bench.request() };
    let report = bench.engine().train(&request, &Quiet).unwrap();
    assert!(report.complete && report.report.row_passes() > 0, "nothing was trained at another rate");
    let slower = MLP.replace("rate = 0.05", "rate = 0.01");
    let expected = Bench::trained(&Setup { learner: slower.leak(), ..Setup::default() }, &rows);
    assert_same(&bench.artefacts(), &expected.artefacts(), "another rate");
}

/// There, the checkpoints of models that saw a deleted row stayed in the cache for good.
#[test]
fn tainted_checkpoints_kept() {
    let rows = rows(40);
    let bench = Bench::trained(&Setup::default(), &rows);
    let clean = Bench::trained(&Setup::default(), &without(&rows, |r| r.person == 7)).artefacts();
    delete(&bench, 7, true);
    let left = bench.artefacts();
    let tainted: Vec<_> = left.iter().filter(|(path, bytes)| clean.get(*path) != Some(bytes)).collect();
    assert!(tainted.is_empty() && !left.is_empty(), "{:?}", tainted.first().map(|t| t.0));
}

/// There, only weights were saved: with Adam or momentum a shard that was resumed differed from one that ran through.
#[test]
fn optimiser_state_lost() {
    let rows = rows(60);
    for learner in [ADAM, MLP] {
        let setup = Setup { learner, ..Setup::default() };
        let through = Bench::trained(&setup, &rows);
        let resumed = Bench::new(&setup, &rows);
        let mut stops = 0;
        for batches in (3..).step_by(4) {
            match resumed.engine().train(&resumed.request(), &StopAfter(i64::from(batches).into())) {
                Ok(_) => break,
                Err(Error::Interrupted) => stops += 1,
                Err(e) => panic!("{e}"),
            }
        }
        assert!(stops > 1, "it was never resumed");
        assert_same(&through.artefacts(), &resumed.artefacts(), "resumed");
    }
}

/// There, 2E/(R+1) passes were rounded down: with few epochs and many slices the first stages had none and learnt nothing.
#[test]
fn stages_with_no_epochs() {
    let rows = rows(80);
    for schedule in ["cumulative", "replay", "front"] {
        let setup = Setup { schedule, shards: 1, slices: 12, epochs: 1, ..Setup::default() };
        let bench = Bench::trained(&setup, &rows);
        let states: BTreeSet<Vec<u8>> = bench
            .artefacts()
            .into_iter()
            .filter(|(path, _)| path.extension().is_some_and(|e| e == "ckpt"))
            // The header names the step; the payload begins behind it.
            .map(|(_, bytes)| bytes[96..].to_vec())
            .collect();
        assert_eq!(states.len(), 12, "{schedule}: a step left the state as it was");
    }
}

/// There, a repeated command stopped half way: links that were there could not be made again, and rows that were deleted already
/// were looked for in vain.
#[test]
fn a_rerun_that_fails() {
    let rows = rows(40);
    let bench = Bench::trained(&Setup::default(), &rows);
    let before = bench.files();
    let again = bench.train();
    assert!(again.complete && again.report.shards.is_empty());
    assert_same(&before, &bench.files(), "a second train");
    delete(&bench, 7, false);
    let once = bench.artefacts();
    delete(&bench, 7, false);
    assert!(bench.train().complete);
    assert!(bench.engine().repair(&Input::new(), false, &Quiet).unwrap().complete);
    assert_same(&once, &bench.artefacts(), "a second deletion");
    // The source is still there with the row; importing it anew must not bring the person back.
    fs::write(bench.root().join("table.csv"), csv(&rows)).unwrap();
    let fresh = TrainRequest { fresh: true, sources: bench.root().join("table.csv").into(), ..bench.request() };
    assert!(bench.engine().train(&fresh, &Quiet).unwrap().import.unwrap().refused > 0);
}
