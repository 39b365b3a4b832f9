//! After any history of training and deleting, every file is what a fresh workspace without the records has.
#![expect(clippy::disallowed_methods, reason = "tests damage files by hand")]

mod common;

use std::{collections::BTreeSet, fs};

use common::{ADAM, BOOST, Bench, COUNTED, FOREST, LINEAR, MLP, RIDGE, Row, Setup, assert_same, rows, without};
use proptest::prelude::*;
use sisa::engine::{DeleteRequest, Error, Input, KeySource, OutcomeKind, Overrides, Quiet, TrainRequest, VerifyRequest};

fn persons(ids: &[u32]) -> DeleteRequest {
    DeleteRequest { subjects: ids.iter().map(u32::to_string).collect(), ..DeleteRequest::default() }
}

#[test]
fn a_person_is_in_effect_at_once_and_exact_after_repair() {
    let rows = rows(60);
    for learner in [MLP, ADAM, LINEAR, BOOST] {
        let schedules: &[_] = if learner == BOOST { &["window"] } else { &["cumulative", "replay", "front"] };
        for &schedule in schedules {
            let setup = Setup { learner, schedule, ..Setup::default() };
            let bench = Bench::trained(&setup, &rows);
            let report = bench.delete(&persons(&[7, 21, 40]));
            let repair = report.repair.unwrap();
            assert!(repair.complete);
            // The prediction is counted from the same schedule, so it is exact.
            assert_eq!(report.accepted.predicted.row_passes, repair.report.row_passes());
            let fresh = Bench::trained(&setup, &without(&rows, |r| [7, 21, 40].contains(&r.person)));
            assert_same(&bench.artefacts(), &fresh.artefacts(), &format!("{learner} {schedule}"));
            let verify = VerifyRequest { retrain: true, ..VerifyRequest::default() };
            assert_eq!(bench.engine().verify(&verify, &Quiet).unwrap().findings, vec![]);
        }
    }
}

#[test]
fn rows_are_taken_out_of_states_and_nothing_is_trained_again() {
    let rows = rows(60);
    for (learner, slices, keep) in
        [(FOREST, 1, None), (FOREST, 4, None), (FOREST, 4, Some(1)), (COUNTED, 4, None), (RIDGE, 1, None), (RIDGE, 4, None)]
    {
        let setup = Setup { learner, slices, keep, ..Setup::default() };
        let bench = Bench::trained(&setup, &rows);
        let clean = |gone: &[u32]| Bench::trained(&setup, &without(&rows, |r| gone.contains(&r.person))).artefacts();
        let expected = clean(&[7, 21, 40]);
        // Effective and repaired are the same moment: every file is there.
        let mut seen = None;
        let report = bench.engine().delete(&persons(&[7, 21, 40]), &Quiet, |_, _, _| seen = Some(bench.artefacts())).unwrap();
        assert_same(&seen.unwrap(), &expected, "in effect");
        assert_eq!((report.accepted.predicted.row_passes, report.repair.unwrap().report.row_passes()), (0, 0));
        assert_same(&bench.artefacts(), &expected, "repaired");
        let one = rows.iter().find(|r| r.year == 2 && ![7, 21, 40].contains(&r.person)).unwrap();
        let records = vec![vec![one.person.to_string(), one.year.to_string()]];
        bench.delete(&DeleteRequest { records, ..DeleteRequest::default() });
        let left = without(&rows, |r| [7, 21, 40].contains(&r.person) || r == one);
        assert_same(&bench.artefacts(), &Bench::trained(&setup, &left).artefacts(), "one record");
        let verify = VerifyRequest { retrain: true, ..VerifyRequest::default() };
        assert_eq!(bench.engine().verify(&verify, &Quiet).unwrap().findings, vec![]);
    }
}

#[test]
fn fewer_checkpoints_are_the_same_states_and_cost_what_is_predicted() {
    let rows = rows(60);
    let all = Setup { slices: 6, ..Setup::default() };
    // The state behind the header, which names the recipe.
    let states = |bench: &Bench| -> Vec<Vec<u8>> {
        let files = bench.artefacts().into_iter().filter(|(path, _)| path.extension().is_some_and(|e| e == "ckpt"));
        files.map(|(_, bytes)| bytes[96..].to_vec()).collect()
    };
    let whole = states(&Bench::trained(&all, &rows));
    for keep in [0, 1, 2, 4, 5, 9] {
        let setup = Setup { keep: Some(keep), ..all.clone() };
        let bench = Bench::trained(&setup, &rows);
        let kept = states(&bench);
        assert_eq!(kept.len() as u32, 3 * (keep + 1).min(6));
        assert!(kept.iter().all(|state| whole.contains(state)));
        let report = bench.delete(&persons(&[7, 21]));
        assert_eq!(report.accepted.predicted.row_passes, report.repair.unwrap().report.row_passes());
        let fresh = Bench::trained(&setup, &without(&rows, |r| [7, 21].contains(&r.person)));
        assert_same(&bench.artefacts(), &fresh.artefacts(), &format!("keep = {keep}"));
        // As many as there are is the same recipe as all, and so the same files.
        let same = without(&rows, |r| [7, 21].contains(&r.person));
        assert_eq!(keep >= 5, bench.artefacts() == Bench::trained(&all, &same).artefacts());
        let verify = VerifyRequest { retrain: true, ..VerifyRequest::default() };
        assert_eq!(bench.engine().verify(&verify, &Quiet).unwrap().findings, vec![]);
    }
}

#[test]
fn nothing_that_saw_the_records_is_left_when_it_is_in_effect() {
    let rows = rows(60);
    let setup = Setup::default();
    let bench = Bench::trained(&setup, &rows);
    let before = bench.artefacts();
    let fresh = Bench::trained(&setup, &without(&rows, |r| r.person == 7)).artefacts();
    let request = DeleteRequest { defer: true, ..persons(&[7]) };
    let mut seen = None;
    bench.engine().delete(&request, &Quiet, |_, _, _| seen = Some(bench.artefacts())).unwrap();
    let seen = seen.unwrap();
    // Every file there is at this moment is one that a workspace without the person has too.
    for (path, bytes) in &seen {
        assert_eq!(fresh.get(path), Some(bytes), "{}", path.display());
    }
    assert!(seen.len() < before.len());
    // And it answers meanwhile, from clean prefixes.
    let evaluation = bench.engine().evaluate(&Input::new(), &Quiet).unwrap();
    assert!(evaluation.members.1 < evaluation.members.0);
    assert!(bench.engine().repair(&Input::new(), false, &Quiet).unwrap().complete);
    assert_same(&bench.artefacts(), &fresh, "after repair");
}

#[test]
fn outcomes_repeats_and_suppression() {
    let rows = rows(30);
    let setup = Setup::default();
    let bench = Bench::trained(&setup, &rows);
    let request = DeleteRequest { request_id: Some("a-1".into()), ..persons(&[3, 999]) };
    let report = bench.delete(&request);
    assert!(report.any_unknown());
    let erased = report.accepted.outcomes.iter().find(|o| o.outcome == OutcomeKind::Erased).unwrap();
    assert_eq!(erased.in_slices + erased.held_out, rows.iter().filter(|r| r.person == 3).count() as u64);

    let entries = fs::read_dir(bench.root().join("shards/ledger")).unwrap().count();
    let repeat = bench.delete(&request);
    assert!(repeat.repeated);
    assert_eq!(repeat.accepted, report.accepted);
    assert_eq!(fs::read_dir(bench.root().join("shards/ledger")).unwrap().count(), entries);
    let other = DeleteRequest { request_id: Some("a-1".into()), ..persons(&[4]) };
    assert!(bench.engine().delete(&other, &Quiet, |_, _, _| panic!("applied")).is_err());

    assert_eq!(bench.delete(&persons(&[3])).accepted.outcomes[0].outcome, OutcomeKind::AlreadyErased);
    // A later import refuses both, row by row, and counts them.
    let fresh = TrainRequest { sources: bench.root().join("table.csv").into(), fresh: true, ..bench.request() };
    let import = bench.engine().train(&fresh, &Quiet).unwrap().import.unwrap();
    assert_eq!(import.refused, erased.in_slices + erased.held_out);
    assert_eq!(bench.engine().unsuppress(&["3".into()], &[]).unwrap(), 1);
    let import = bench.engine().train(&fresh, &Quiet).unwrap().import.unwrap();
    assert_eq!(import.refused, 0);
    assert_eq!(bench.delete(&persons(&[3])).accepted.outcomes[0].outcome, OutcomeKind::Erased);
}

#[test]
fn single_records_and_held_out_persons() {
    let rows = rows(60);
    let setup = Setup::default();
    let bench = Bench::trained(&setup, &rows);
    let of_many = rows.iter().find(|r| r.year == 2).unwrap().clone();
    let request = DeleteRequest {
        records: vec![vec![of_many.person.to_string(), format!(" {}", of_many.year)]],
        ..DeleteRequest::default()
    };
    assert_eq!(bench.delete(&request).accepted.outcomes[0].outcome, OutcomeKind::Erased);
    let left = without(&rows, |r| *r == of_many);
    assert_same(&bench.artefacts(), &Bench::trained(&setup, &left).artefacts(), "one record");

    let held_out = (0..60).find(|p| {
        let forecast = bench.engine().forecast(&persons(&[*p])).unwrap();
        forecast.accepted.outcomes[0].held_out > 0
    });
    let held_out = held_out.unwrap();
    let report = bench.delete(&persons(&[held_out]));
    assert_eq!(report.repair.unwrap().report.row_passes(), 0);
    let left = without(&left, |r| r.person == held_out);
    assert_same(&bench.artefacts(), &Bench::trained(&setup, &left).artefacts(), "held out");
}

#[test]
fn no_raw_id_is_in_any_file() {
    let mut rows = rows(30);
    rows.iter_mut().for_each(|r| r.person += 7_650_000);
    let bench = Bench::trained(&Setup::default(), &rows);
    bench.delete(&persons(&[7_650_003, 7_659_999]));
    // In full: four digits of an id are found in some digest every now and then.
    let ids: BTreeSet<Vec<u8>> = rows.iter().map(|r| r.person).chain([7_659_999]).map(|id| id.to_string().into_bytes()).collect();
    for (path, bytes) in bench.files() {
        assert!(!bytes.windows(7).any(|w| ids.contains(w)), "{}", path.display());
    }
}

#[test]
fn rekeying_keeps_the_records_and_the_suppression_and_purges_the_old() {
    let rows = rows(40);
    let setup = Setup::default();
    let bench = Bench::trained(&setup, &rows);
    bench.delete(&persons(&[5]));
    let before = bench.artefacts();
    bench.engine().rekey(&sisa::engine::KeySource::Random, &Quiet).unwrap();
    let after = bench.artefacts();
    assert_eq!(before.len(), after.len());
    assert!(after.keys().all(|p| p.to_str().unwrap().contains("g0002")));
    let verify = VerifyRequest { retrain: true, ..VerifyRequest::default() };
    assert_eq!(bench.engine().verify(&verify, &Quiet).unwrap().findings, vec![]);
    assert_eq!(bench.delete(&persons(&[5])).accepted.outcomes[0].outcome, OutcomeKind::AlreadyErased);
}

#[test]
fn every_shard_hit_in_its_first_slice_means_no_answer() {
    let rows = rows(12);
    let setup = Setup { shards: 1, slices: 1, ..Setup::default() };
    let bench = Bench::trained(&setup, &rows);
    let trained = (0..12).find(|p| bench.engine().forecast(&persons(&[*p])).unwrap().accepted.outcomes[0].in_slices > 0).unwrap();
    bench.delete(&DeleteRequest { defer: true, ..persons(&[trained]) });
    assert!(matches!(bench.engine().evaluate(&Input::new(), &Quiet), Err(Error::Predict(_))));
    bench.engine().repair(&Input::new(), false, &Quiet).unwrap();
    assert!(bench.engine().evaluate(&Input::new(), &Quiet).is_ok());
}

/// Found by trying: the source was refused, because only erased ids were left out and not those suppressed at the import.
#[test]
fn a_slice_comes_back_from_a_source_with_refused_rows() {
    let rows = rows(30);
    let setup = Setup { holdout: 0.0, ..Setup::default() };
    let known = without(&rows, |r| r.person == 7);
    let bench = Bench::trained(&setup, &known);
    bench.delete(&persons(&[7]));
    fs::write(bench.root().join("table.csv"), common::csv(&rows)).unwrap();
    let fresh = TrainRequest { fresh: true, ..bench.request() };
    let refused = bench.engine().train(&fresh, &Quiet).unwrap().import.unwrap().refused;
    assert_eq!(refused, rows.iter().filter(|r| r.person == 7).count() as u64);
    let good = bench.artefacts();
    for path in good.keys().filter(|p| p.extension().is_some_and(|e| e == "slice")) {
        fs::write(bench.root().join(path), b"damaged").unwrap();
    }
    bench.engine().repair(&bench.root().join("table.csv").into(), false, &Quiet).unwrap();
    assert_same(&bench.artefacts(), &good, "from the source");
}

/// Found by trying: flags that a generation can't follow were passed over in silence.
#[test]
fn what_is_fixed_for_a_generation_can_not_be_asked_for() {
    let bench = Bench::trained(&Setup::default(), &rows(30));
    let ask = |overrides: Overrides, keys: KeySource| {
        let request = TrainRequest { overrides, keys, ..bench.request() };
        bench.engine().train(&request, &Quiet)
    };
    let same = Overrides { shards: Some(3), ..Overrides::default() };
    assert!(ask(same, KeySource::Seed(5)).is_ok());
    for overrides in [
        Overrides { shards: Some(4), ..Overrides::default() },
        Overrides { holdout: Some(0.5), ..Overrides::default() },
        Overrides { subject: Some("year".into()), ..Overrides::default() },
    ] {
        assert!(matches!(ask(overrides, KeySource::Seed(5)), Err(Error::NeedsFresh { .. })));
    }
    assert!(matches!(ask(Overrides::default(), KeySource::Seed(6)), Err(Error::NeedsFresh { .. })));
}

/// What can happen to a workspace.
#[derive(Clone, Debug)]
enum Deed {
    Persons(Vec<u32>, bool),
    Record(usize, bool),
    Repair,
    Train,
}

fn deed() -> impl Strategy<Value = Deed> {
    prop_oneof![
        4 => (prop::collection::vec(0..45_u32, 1..4), any::<bool>()).prop_map(|(p, defer)| Deed::Persons(p, defer)),
        2 => (0..1000_usize, any::<bool>()).prop_map(|(r, defer)| Deed::Record(r, defer)),
        1 => Just(Deed::Repair),
        1 => Just(Deed::Train),
    ]
}

fn setup() -> impl Strategy<Value = Setup> {
    let learner = prop_oneof![Just(MLP), Just(ADAM), Just(LINEAR), Just(FOREST), Just(RIDGE), Just(BOOST)];
    let schedule = prop_oneof![Just("cumulative"), Just("replay"), Just("front")];
    let keep = prop_oneof![Just(None), (0..7_u32).prop_map(Some)];
    (1..=8_u32, 1..=8_u32, learner, schedule, 1..4_u32, prop_oneof![Just(0.0), Just(0.3)], keep).prop_map(
        |(shards, slices, learner, schedule, epochs, holdout, keep)| Setup {
            shards,
            slices,
            learner,
            schedule,
            epochs,
            holdout,
            record: true,
            keep,
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn any_history(setup in setup(), deeds in prop::collection::vec(deed(), 1..6), threads in 1..3_usize) {
        let rows = rows(40);
        let mut bench = Bench::trained(&setup, &rows);
        bench.threads = threads;
        let mut persons_gone: BTreeSet<u32> = BTreeSet::new();
        let mut records_gone: Vec<Row> = Vec::new();
        for deed in deeds {
            match deed {
                Deed::Persons(ids, defer) => {
                    bench.delete(&DeleteRequest { defer, ..persons(&ids) });
                    persons_gone.extend(ids);
                }
                Deed::Record(at, defer) => {
                    let row = &rows[at % rows.len()];
                    let records = vec![vec![row.person.to_string(), row.year.to_string()]];
                    bench.delete(&DeleteRequest { records, defer, ..DeleteRequest::default() });
                    records_gone.push(row.clone());
                }
                Deed::Repair => { bench.engine().repair(&Input::new(), false, &Quiet).unwrap(); }
                Deed::Train => { bench.train(); }
            }
        }
        prop_assert!(bench.engine().repair(&Input::new(), false, &Quiet).unwrap().complete);
        let left = without(&rows, |r| persons_gone.contains(&r.person) || records_gone.contains(r));
        let fresh = Bench::trained(&setup, &left);
        assert_same(&bench.artefacts(), &fresh.artefacts(), "any history");
        prop_assert_eq!(bench.engine().verify(&VerifyRequest::default(), &Quiet).unwrap().findings, vec![]);
    }
}

/// Rows named by what they hold, of workspaces with ids of records, with subjects alone, and with neither.
#[test]
fn rows_are_deleted_by_what_they_hold() {
    for (subject, record) in [(true, true), (true, false), (false, false)] {
        let mut table = rows(30);
        // Some rows three times, but for the id that would tell them apart.
        for at in [4, 9, 20] {
            let twin = table[at].clone();
            table.extend([twin.clone(), twin].into_iter().enumerate().map(|(n, row)| Row { year: 50 + n as u32, ..row }));
        }
        let setup = Setup { record, ..Setup::default() };
        let make = |rows: &[Row]| {
            let bench = Bench::new(&setup, rows);
            if !subject {
                let path = bench.root().join("sisa.toml");
                let config = fs::read_to_string(&path).unwrap();
                let config =
                    config.replace("subject = \"person\"\n", "").replace("[columns]\n", "[columns]\nperson = \"ignore\"\n");
                fs::write(&path, config).unwrap();
            }
            assert!(bench.train().complete);
            bench
        };
        let bench = make(&table);
        // One of each of two triples, two of the third, and one that there is once.
        let n = table.len() - 6;
        let gone = [2, 20, n, n + 2, n + 4];
        let asked: Vec<Row> = gone.iter().map(|at| table[*at].clone()).collect();
        let list = bench.root().join("gone.csv");
        fs::write(&list, common::csv(&asked)).unwrap();
        let request =
            DeleteRequest { rows: Input::from(list.clone()), request_id: Some("rows".into()), ..DeleteRequest::default() };
        let forecast = bench.engine().forecast(&request).unwrap();
        let report = bench.delete(&request);
        assert_eq!(forecast.accepted.outcomes, report.accepted.outcomes);
        assert!(!report.any_unknown() && report.accepted.outcomes.len() == asked.len());
        let rest: Vec<Row> = table.iter().enumerate().filter(|(at, _)| !gone.contains(at)).map(|(_, r)| r.clone()).collect();
        assert_same(&bench.artefacts(), &make(&rest).artefacts(), &format!("subject {subject} record {record}"));
        // The same request does nothing more; another one takes another record of the same content, or finds none.
        let before = bench.artefacts();
        assert!(bench.delete(&request).repeated);
        assert_same(&bench.artefacts(), &before, "repeated");
        let again = bench.delete(&DeleteRequest { request_id: Some("again".into()), ..request.clone() });
        let kinds: Vec<_> = again.accepted.outcomes.iter().map(|o| o.outcome).collect();
        assert_eq!(kinds.contains(&OutcomeKind::Erased), !record, "{kinds:?}");
        assert!(kinds.contains(&OutcomeKind::AlreadyErased), "{kinds:?}");
        // A row that never was.
        let stranger = Row { year: 99, cells: "1.5,2.5,a,t1,3,few".into(), ..table[0].clone() };
        fs::write(&list, common::csv(&[stranger])).unwrap();
        let report = bench.delete(&DeleteRequest { request_id: Some("stranger".into()), ..request.clone() });
        assert!(report.any_unknown());
        assert_eq!(report.unknown.rows.len(), 1);
        assert_eq!(report.unknown.rows[0].line, 2);
        if record {
            // The id of a record and something else in it: nothing is deleted.
            let other = Row { cells: "1.5,2.5,a,t1,3,few".into(), ..table[0].clone() };
            fs::write(&list, common::csv(&[other])).unwrap();
            let refused = bench.engine().delete(&DeleteRequest { request_id: None, ..request }, &Quiet, |_, _, _| {});
            assert!(refused.unwrap_err().to_string().contains("holds something else"));
        }
        let verdict = bench.engine().verify(&VerifyRequest { retrain: true, ..VerifyRequest::default() }, &Quiet).unwrap();
        assert!(verdict.findings.is_empty(), "{:?}", verdict.findings);
    }
}
