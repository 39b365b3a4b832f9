//! The same records, keys and settings give the same bytes, whatever happens on the way.
#![expect(clippy::disallowed_methods, reason = "tests write their tables by hand")]

mod common;

use std::fs;

use common::{ADAM, BOOST, Bench, FOREST, LINEAR, MLP, RIDGE, Setup, StopAfter, assert_same, csv, rows};
use sisa::engine::{Error, KeySource, Overrides, Quiet, ShardId, TrainRequest};

#[test]
fn any_number_of_threads() {
    let rows = rows(60);
    for learner in [MLP, ADAM, LINEAR, FOREST, RIDGE, BOOST] {
        let setup = Setup { learner, ..Setup::default() };
        let reference = Bench::trained(&setup, &rows).artefacts();
        for threads in [1, 4] {
            let mut bench = Bench::new(&setup, &rows);
            bench.threads = threads;
            bench.train();
            assert_same(&reference, &bench.artefacts(), &format!("{threads} threads"));
        }
        // One shard: the constituent uses all threads itself.
        let lone = Setup { shards: 1, slices: 2, ..setup };
        let one = Bench { threads: 1, ..Bench::new(&lone, &rows) };
        let many = Bench { threads: 3, ..Bench::new(&lone, &rows) };
        one.train();
        many.train();
        assert_same(&one.artefacts(), &many.artefacts(), "a lone constituent");
    }
}

#[test]
fn only_some_shards_at_a_time_in_any_order() {
    let rows = rows(50);
    let setup = Setup::default();
    let reference = Bench::trained(&setup, &rows).artefacts();
    let bench = Bench::new(&setup, &rows);
    for (shard, complete) in [(2, false), (0, false), (2, false), (1, true)] {
        let request = TrainRequest { only_shards: Some(vec![ShardId(shard)]), ..bench.request() };
        assert_eq!(bench.engine().train(&request, &Quiet).unwrap().complete, complete);
    }
    assert_same(&reference, &bench.artefacts(), "shards apart");
    let beyond = TrainRequest { only_shards: Some(vec![ShardId(3)]), ..bench.request() };
    assert!(matches!(bench.engine().train(&beyond, &Quiet), Err(Error::NoSuchShard { shard: 3, last: 2 })));
}

#[test]
fn rows_in_another_order_and_in_several_sources() {
    for (record, learner) in [(true, MLP), (false, MLP), (true, FOREST), (false, FOREST), (true, RIDGE), (true, BOOST)] {
        let mut rows = rows(50);
        // Two identical rows of one person, told apart by occurrence where records have no id.
        if !record {
            rows.push(rows[3].clone());
            rows.push(rows[3].clone());
        }
        let setup = Setup { record, learner, ..Setup::default() };
        let reference = Bench::trained(&setup, &rows).artefacts();
        rows.reverse();
        rows.swap(4, 31);
        assert_same(&reference, &Bench::trained(&setup, &rows).artefacts(), "another order");

        let parts = Bench::new(&setup, &rows);
        let (a, b) = rows.split_at(rows.len() / 3);
        fs::write(parts.root().join("a.csv"), csv(a)).unwrap();
        fs::write(parts.root().join("b.csv"), csv(b)).unwrap();
        let sources = vec![parts.root().join("b.csv"), parts.root().join("a.csv")];
        let request = TrainRequest { sources: sources.into(), ..parts.request() };
        parts.engine().train(&request, &Quiet).unwrap();
        assert_same(&reference, &parts.artefacts(), "two sources");
    }
}

#[test]
fn interrupted_again_and_again() {
    let rows = rows(60);
    let setup = Setup { learner: ADAM, ..Setup::default() };
    let reference = Bench::trained(&setup, &rows).artefacts();
    let bench = Bench::new(&setup, &rows);
    let mut interrupted = 0;
    for round in 0..200 {
        match bench.engine().train(&bench.request(), &StopAfter((3 + round).into())) {
            Ok(report) => {
                assert!(report.complete);
                break;
            }
            Err(Error::Interrupted) => interrupted += 1,
            Err(e) => panic!("{e}"),
        }
    }
    assert!(interrupted > 3);
    assert_same(&reference, &bench.artefacts(), "interrupted");
}

#[test]
fn a_changed_setting_or_cell_changes_exactly_the_names_that_it_must() {
    let rows = rows(50);
    let names = |bench: &Bench| {
        let files = bench.artefacts();
        files
            .into_keys()
            .filter(|p| p.extension().unwrap() == "ckpt")
            .map(|p| p.file_name().unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    let setup = Setup::default();
    let reference = names(&Bench::trained(&setup, &rows));
    for other in [
        Setup { epochs: 4, ..setup.clone() },
        Setup { schedule: "front", ..setup.clone() },
        Setup { learner: LINEAR, ..setup.clone() },
        Setup { slices: 5, ..setup.clone() },
        Setup { shards: 4, ..setup.clone() },
        Setup { holdout: 0.25, ..setup.clone() },
    ] {
        let common = names(&Bench::trained(&other, &rows)).iter().filter(|n| reference.contains(n)).count();
        assert_eq!(common, 0, "{other:?}");
    }
    let other_key = Bench::new(&setup, &rows);
    let request = TrainRequest { keys: KeySource::Seed(6), ..other_key.request() };
    other_key.engine().train(&request, &Quiet).unwrap();
    assert!(names(&other_key).iter().all(|n| !reference.contains(n)));

    // One cell of one row: the steps of its shard from its slice on, and no other.
    let before = Bench::trained(&setup, &rows);
    let mut changed = rows.clone();
    let row = changed.iter_mut().find(|r| r.cells.ends_with("few")).unwrap();
    row.cells = row.cells.replace("few", "many");
    let after = Bench::trained(&setup, &changed);
    let (a, b) = (before.artefacts(), after.artefacts());
    let slices: Vec<_> = a.keys().filter(|p| p.extension().unwrap() == "slice" && a.get(*p) != b.get(*p)).collect();
    assert_eq!(slices.len(), 1);
    let slice = slices[0].to_str().unwrap();
    let (shard, part) = (&slice[slice.len() - 13..slice.len() - 9], &slice[slice.len() - 8..slice.len() - 6]);
    for path in a.keys().filter(|p| p.extension().unwrap() == "ckpt") {
        let text = path.to_str().unwrap();
        let step = &path.file_name().unwrap().to_str().unwrap()[..2];
        let hit = text.contains(&format!("/{shard}/")) && step >= part && slice.ends_with(".slice") && !slice.contains("holdout");
        assert_eq!(b.contains_key(path), !hit, "{text} after a change in {slice}");
    }
}

#[test]
fn a_new_recipe_is_built_beside_the_old_and_replaces_it() {
    let rows = rows(40);
    let setup = Setup::default();
    let bench = Bench::trained(&setup, &rows);
    let request = TrainRequest { overrides: Overrides { epochs: Some(5), ..Overrides::default() }, ..bench.request() };
    assert!(bench.engine().train(&request, &Quiet).unwrap().complete);
    let expected = Bench::trained(&Setup { epochs: 5, ..setup }, &rows);
    assert_same(&bench.artefacts(), &expected.artefacts(), "epochs by flag");
    // The file did not change, so a plain run keeps what the flag made.
    let again = bench.train();
    assert!(again.complete && again.report.shards.is_empty());
    assert_same(&bench.artefacts(), &expected.artefacts(), "a plain run");
}

#[test]
fn a_model_that_adds_up_does_not_depend_on_the_number_of_shards() {
    let rows = rows(60);
    let scores = |shards| {
        let bench = Bench::trained(&Setup { learner: RIDGE, shards, slices: 2, holdout: 0.0, ..Setup::default() }, &rows);
        let mut values = Vec::new();
        let source = bench.root().join("table.csv").into();
        bench
            .engine()
            .predict(&source, &Quiet, |_, scores| {
                values.extend(scores.values.iter().map(|v| v.to_bits()));
                Ok(())
            })
            .unwrap();
        values
    };
    let one = scores(1);
    assert!(!one.is_empty());
    for shards in [2, 5] {
        assert_eq!(one, scores(shards), "{shards} shards");
    }
}

/// Holds on every machine and with every kernel (`SISA_KERNELS`); another digest is another numerics version, or another format.
#[test]
fn golden_digests_of_whole_workspaces() {
    let rows = rows(60);
    let digests = [(MLP, "replay"), (ADAM, "cumulative"), (LINEAR, "front")].map(|(learner, schedule)| {
        let bench = Bench::trained(&Setup { learner, schedule, ..Setup::default() }, &rows);
        let mut hasher = blake3::Hasher::new();
        for (path, bytes) in bench.artefacts() {
            hasher.update(path.to_str().unwrap().as_bytes());
            hasher.update(&bytes);
        }
        hasher.finalize().to_hex().to_string()
    });
    let golden = [
        "249fb507d97145c2e87d58fb1f1e37601ec56b3c83023d7144b1e359465f0238",
        "53ce9d27b00eacbe479536af69f088cd6e6ba0d40833dc4cfd23e868816f4cfc",
        "9816d22601a42825ad7432c620441eaf1de648442b5a06ce272687d0c00aa035",
    ];
    assert_eq!(digests, golden);
}
