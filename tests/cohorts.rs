//! Shards of cohorts: what is older than a year goes with whole shards, without training; and every command knows that a person is in several.
#![expect(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "tests write their tables by hand, start the real binary, and stop at what they do not expect"
)]

mod common;

use std::{fmt::Write as _, fs, process::Command};

use common::{Bench, FOREST, LINEAR, MLP, RIDGE, Setup, assert_same};
use sisa::{
    engine::{
        AppendRequest, CorrectRequest, DeleteReport, DeleteRequest, Error, Input, KeySource, MigrateRequest, OlderThan,
        OutcomeKind, PackRequest, PlanRequest, Quiet, ShardId, Status, TrainRequest, VerifyRequest, train_bundle,
    },
    lab::{self, BenchRequest},
};

/// A record: whose, when, and what it holds beside.
#[derive(Clone, Debug, PartialEq)]
struct Visit {
    person: u32,
    number: u32,
    /// As `2021-03-14`; none.
    seen: Option<String>,
    age: u32,
}

/// Of thirty persons, each in all years from 2017 to 2022.
fn visits(first: u32, count: u32) -> Vec<Visit> {
    let seen =
        |n: u32| (n % 13 != 5).then(|| format!("{}-{:02}-{:02}", 2017 + (n * 5 + n / 30) % 6, 1 + n * 7 % 12, 1 + n * 11 % 28));
    (first..first + count).map(|n| Visit { person: n * 7 % 30, number: n, seen: seen(n), age: 20 + n % 50 }).collect()
}

fn csv(visits: &[Visit]) -> String {
    let mut text = String::from("person,visit,seen,age,label\n");
    for Visit { person, number, seen, age } in visits {
        let (seen, label) = (seen.as_deref().unwrap_or(""), if (age + number) % 3 == 0 { "yes" } else { "no" });
        writeln!(text, "{person},{number},{seen},{age},{label}").unwrap();
    }
    text
}

const YEARS: &str = "cohort = { column = \"seen\", unit = \"year\", from = 2018, to = 2024 }\n";
/// Blocks of shards that [`YEARS`] makes: the last is of all other records.
const BLOCKS: u32 = 8;

fn config(learner: &str, cohort: &str, record: bool) -> String {
    let trained = !learner.contains("ridge") && !learner.contains("forest");
    format!(
        "[data]\nsources = [\"table.csv\"]\nsubject = \"person\"\nrecord = {}\nholdout = 0.2\n\n[label]\ncolumn = \"label\"\n\
         values = [\"no\", \"yes\"]\n\n[columns]\n{}age = {{ kind = \"number\", range = [0, 100] }}\n\
         seen = {{ kind = \"date\", order = \"year-month-day\", range = [0, 20000] }}\n\n\
         [shards]\nshards = 2\nslices = 2\n{cohort}\n[learner]\n{learner}\n{}",
        if record { "[\"visit\"]" } else { "[]" },
        if record { "" } else { "visit = \"ignore\"\n" },
        if trained { "[schedule]\nkind = \"replay\"\nepochs = 2\n" } else { "" },
    )
}

fn declared(config: &str, visits: &[Visit]) -> Bench {
    let bench = Bench::new(&Setup::default(), &[]);
    fs::write(bench.root().join("sisa.toml"), config).unwrap();
    fs::write(bench.root().join("table.csv"), csv(visits)).unwrap();
    bench
}

fn trained(learner: &str, cohort: &str, visits: &[Visit]) -> Bench {
    let bench = declared(&config(learner, cohort, true), visits);
    assert!(bench.train().complete);
    bench
}

fn append(bench: &Bench, name: &str, visits: &[Visit], defer: bool) {
    let path = bench.root().join("batch.csv");
    fs::write(&path, csv(visits)).unwrap();
    let request = AppendRequest { sources: path.into(), name: Some(name.into()), defer };
    bench.engine().append(&request, &Quiet, |_, _, _| {}).unwrap();
}

fn before(date: &str) -> DeleteRequest {
    DeleteRequest {
        older_than: Some(OlderThan { date: date.into(), column: None }),
        no_suppress: true,
        ..DeleteRequest::default()
    }
}

fn since(visits: &[Visit], date: &str) -> Vec<Visit> {
    visits.iter().filter(|visit| visit.seen.as_deref().is_none_or(|seen| seen >= date)).cloned().collect()
}

fn passes(report: &DeleteReport) -> u64 {
    report.repair.as_ref().unwrap().report.row_passes()
}

fn sound(bench: &Bench) {
    let request = VerifyRequest { retrain: true, ..VerifyRequest::default() };
    let verdict = bench.engine().verify(&request, &Quiet).unwrap();
    assert_eq!((verdict.findings, verdict.notes), (vec![], vec![]));
}

fn status(bench: &Bench) -> Status {
    bench.engine().status().unwrap()
}

#[test]
fn expiring_a_cohort_trains_nothing_and_leaves_what_its_absence_would_have() {
    let (first, second) = (visits(0, 240), visits(240, 60));
    for learner in [LINEAR, MLP, FOREST, RIDGE] {
        // A learner with a rate that falls towards the last step takes no batches.
        let batches = learner != MLP;
        let made = |cohort: &str, date: &str| {
            let bench = trained(learner, cohort, &since(&first, date));
            if batches {
                append(&bench, "b", &since(&second, date), false);
            }
            bench
        };
        // The records before 2018 are of no cohort, and go from the shards of all others.
        let bench = made(YEARS, "2018-01-01");
        let forecast = bench.engine().forecast(&before("2020-01-01")).unwrap();
        let report = bench.delete(&before("2020-01-01"));
        assert!(report.accepted.outcomes.len() > 50, "{learner}");
        assert_eq!((forecast.accepted.predicted.row_passes, passes(&report)), (0, 0), "{learner}");
        assert_same(&bench.artefacts(), &made(YEARS, "2020-01-01").artefacts(), learner);
        sound(&bench);
        // Without cohorts everything is trained again, as the forecast says.
        let plain = made("", "2018-01-01");
        let forecast = plain.engine().forecast(&before("2020-01-01")).unwrap();
        let report = plain.delete(&before("2020-01-01"));
        assert_eq!(forecast.accepted.predicted.row_passes, passes(&report));
        let all = status(&plain).full_row_passes;
        assert_eq!(passes(&report), if [FOREST, RIDGE].contains(&learner) { 0 } else { all }, "{learner}");
        assert_same(&plain.artefacts(), &made("", "2020-01-01").artefacts(), learner);
        // Within a cohort its own shards are trained again, and no other.
        let report = bench.delete(&before("2020-07-01"));
        let own: u64 =
            status(&bench).shards.iter().filter(|s| s.cohort.as_deref() == Some("2020")).map(|s| s.shard.0 as u64).sum();
        assert_eq!(own, 4 + 5);
        let trained = &report.repair.as_ref().unwrap().report.shards;
        assert!(trained.iter().filter(|shard| shard.row_passes > 0).all(|shard| [4, 5].contains(&shard.shard.0)), "{trained:?}");
        assert_eq!(passes(&report) > 0, ![FOREST, RIDGE].contains(&learner));
        assert_same(&bench.artefacts(), &made(YEARS, "2020-07-01").artefacts(), learner);
    }
}

#[test]
fn what_is_planned_without_cohorts_is_what_is_trained() {
    let mut all = since(&visits(0, 900), "2018-01-01");
    // Many persons, none of them held out: slices are of one size but for chance, as the plan takes them to be.
    all.iter_mut().for_each(|visit| visit.person = visit.number);
    let trained = |cohort: &str| {
        let bench = declared(&config(LINEAR, cohort, true).replace("holdout = 0.2", "holdout = 0.0"), &all);
        assert!(bench.train().complete);
        bench
    };
    let (cohorts, plain) = (trained(YEARS), trained(""));
    let request = PlanRequest { config: cohorts.root().join("sisa.toml"), pilot: false, ..PlanRequest::default() };
    let plan = cohorts.engine().plan(&request, &Quiet).unwrap();
    assert_eq!(
        plan.expiries.iter().map(|e| e.cohort.as_str()).collect::<Vec<_>>(),
        ["2018", "2019", "2020", "2021", "2022", "2023", "2024"]
    );
    let of_2019 = all.iter().filter(|v| v.seen.as_deref().is_some_and(|seen| seen.starts_with("2019"))).count() as u64;
    let (planned, counted) = (&plan.expiries[1], passes(&plain.delete(&before("2020-01-01"))));
    assert_eq!((planned.records, planned.whole), (of_2019, 0.0));
    let ratio = planned.without / counted as f64;
    assert!((0.93..1.07).contains(&ratio), "planned {} and counted {counted}", planned.without);
    assert_eq!(passes(&cohorts.delete(&before("2020-01-01"))), 0);
    let none = plain
        .engine()
        .plan(&PlanRequest { config: plain.root().join("sisa.toml"), pilot: false, ..PlanRequest::default() }, &Quiet);
    assert!(none.unwrap().expiries.is_empty());
}

#[test]
fn a_person_goes_from_all_cohorts_at_once() {
    for record in [true, false] {
        let all = visits(0, 300);
        let made = |visits: &[Visit]| {
            let bench = declared(&config(LINEAR, YEARS, record), &visits[..visits.len() - 40.min(visits.len())]);
            assert!(bench.train().complete);
            append(&bench, "b", &visits[visits.len() - 40..], false);
            bench
        };
        let bench = made(&all);
        let request = DeleteRequest { subjects: vec!["3".into()], request_id: Some("a".into()), ..DeleteRequest::default() };
        let report = bench.delete(&request);
        let count = all.iter().filter(|visit| visit.person == 3).count() as u64;
        let outcome = &report.accepted.outcomes[0];
        assert_eq!((outcome.outcome, outcome.in_slices + outcome.held_out), (OutcomeKind::Erased, count));
        let shards: std::collections::BTreeSet<u32> = report.accepted.cells.iter().map(|cell| cell.cell.shard.0 / 2).collect();
        assert!(shards.len() >= 5, "of one cohort alone: {shards:?}");
        sound(&bench);
        let batch = all.len() - 40;
        let left = |visits: &[Visit]| visits.iter().filter(|visit| visit.person != 3).cloned().collect::<Vec<Visit>>();
        let anew = declared(&config(LINEAR, YEARS, record), &left(&all[..batch]));
        assert!(anew.train().complete);
        append(&anew, "b", &left(&all[batch..]), false);
        assert_same(&bench.artefacts(), &anew.artefacts(), "a person gone");
    }
}

#[test]
fn records_named_by_what_they_hold_are_found_in_their_cohort() {
    let twice = |number| Visit { person: 4, number, seen: Some("2019-05-05".into()), age: 30 };
    let mut all = visits(0, 120);
    all.retain(|visit| visit.person != 4);
    // Labels are the same, as the numbers differ by a multiple of three.
    all.extend([twice(300), twice(303)]);
    let bench = declared(&config(LINEAR, YEARS, false), &all);
    assert!(bench.train().complete);
    append(&bench, "b", &[twice(306)], false);
    let path = bench.root().join("rows.csv");
    fs::write(&path, csv(&[twice(303)])).unwrap();
    let report = bench.delete(&DeleteRequest { rows: path.into(), ..DeleteRequest::default() });
    assert_eq!(report.accepted.outcomes.iter().map(|o| o.outcome).collect::<Vec<_>>(), [OutcomeKind::Erased]);
    sound(&bench);
    assert_eq!(
        status(&bench)
            .shards
            .iter()
            .filter(|s| s.cohort.as_deref() == Some("2019"))
            .map(|s| s.held_out + s.cells.iter().map(|c| c.rows).sum::<u64>())
            .sum::<u64>(),
        all.iter().filter(|v| v.seen.as_deref().is_some_and(|s| s.starts_with("2019"))).count() as u64
    );
}

#[test]
fn a_correction_moves_a_record_to_the_shards_of_its_date() {
    for learner in [LINEAR, RIDGE, FOREST] {
        let (mut first, mut second) = (visits(0, 160), visits(160, 40));
        let bench = trained(learner, YEARS, &first);
        append(&bench, "b", &second, false);
        let mut rows = Vec::new();
        for (at, visit) in first.iter_mut().chain(&mut second).enumerate().filter(|(at, _)| at % 9 == 2) {
            // To another year, to none, to one out of range; one is about somebody else too.
            visit.seen = [Some("2021-02-03".to_owned()), None, Some("1999-12-31".to_owned())][at % 3].clone();
            visit.age += 1;
            rows.push(visit.clone());
        }
        let path = bench.root().join("rows.csv");
        fs::write(&path, csv(&rows)).unwrap();
        let request = CorrectRequest { sources: path.into(), request_id: Some("c".into()), defer: false };
        let report = bench.engine().correct(&request, &Quiet, |_, _, _| {}).unwrap();
        assert!(report.left.is_empty() && report.accepted.outcomes.iter().all(|o| o.outcome == OutcomeKind::Corrected));
        sound(&bench);
        let anew = trained(learner, YEARS, &first);
        append(&anew, "b", &second, false);
        assert_same(&bench.artefacts(), &anew.artefacts(), learner);
    }
}

#[test]
fn a_migration_makes_cohorts_and_takes_them_away() {
    let all = visits(0, 200);
    let bench = trained(LINEAR, "", &all);
    let migrate = |bench: &Bench, cohort: &str| {
        fs::write(bench.root().join("sisa.toml"), config(LINEAR, cohort, true)).unwrap();
        let request = MigrateRequest { keys: KeySource::Seed(5), ..MigrateRequest::default() };
        bench.engine().migrate(&request, &Quiet).unwrap()
    };
    let serving = |bench: &Bench| {
        let generation = status(bench).serving.generation.to_string();
        let mut files = bench.files();
        files.retain(|path, _| {
            path.iter().any(|part| part == generation.as_str()) && path.extension().is_some_and(|e| e == "slice" || e == "ckpt")
        });
        assert!(!files.is_empty());
        files
    };
    let report = migrate(&bench, YEARS);
    assert!(
        report.complete
            && report
                .changes
                .iter()
                .any(|c| c.contains("cohorts by year of `seen` from 2018 to 2024 instead of no cohorts: 16 shards instead of 2")),
        "{:?}",
        report.changes
    );
    assert_eq!(status(&bench).shards.len() as u32, 2 * BLOCKS);
    sound(&bench);
    // What is made has the bytes of an import under the key of this generation; so has what follows from another way to it.
    let other = trained(LINEAR, "cohort = { column = \"seen\", unit = \"month\", from = 2020, to = 2020 }\n", &all);
    assert!(migrate(&other, YEARS).complete);
    assert_same(&serving(&bench), &serving(&other), "to cohorts");
    assert!(passes(&bench.delete(&before("2018-01-01"))) > 0);
    assert_eq!(passes(&bench.delete(&before("2021-01-01"))), 0);
    assert!(migrate(&bench, "").complete);
    let anew = trained(LINEAR, YEARS, &since(&all, "2021-01-01"));
    assert!(migrate(&anew, "").complete);
    // Those without a date stay in both.
    let rows = |bench: &Bench| status(bench).shards.iter().flat_map(|s| s.cells.iter().map(|c| c.rows)).collect::<Vec<_>>();
    assert_eq!((status(&bench).shards.len(), rows(&bench).iter().sum::<u64>()), (2, rows(&anew).iter().sum::<u64>()));
    sound(&bench);
    let (_, _, report) = bench.engine().rekey(&KeySource::Seed(8), &Quiet).unwrap();
    assert!(report.row_passes() > 0);
    sound(&bench);
}

#[test]
fn a_rekey_keeps_the_cohorts_and_a_shard_is_trained_elsewhere_like_any_other() {
    let bench = trained(LINEAR, YEARS, &visits(0, 200));
    bench.engine().rekey(&KeySource::Seed(8), &Quiet).unwrap();
    assert!(status(&bench).shards.iter().all(|shard| shard.cohort.is_some()) && status(&bench).shards.len() == 16);
    sound(&bench);
    let elsewhere = declared(&config(LINEAR, YEARS, true), &visits(0, 200));
    let here = trained(LINEAR, YEARS, &visits(0, 200));
    elsewhere.engine().import(&elsewhere.request(), &Quiet).unwrap();
    for shard in (0..16).map(ShardId) {
        let packed = elsewhere.engine().pack(PackRequest { shard, serving: false }, &Quiet).unwrap().unwrap();
        let made = train_bundle(&packed.bytes, 1, &Quiet).unwrap();
        elsewhere.engine().unpack(&made).unwrap();
    }
    assert!(status(&elsewhere).complete());
    assert_same(&elsewhere.artefacts(), &here.artefacts(), "trained elsewhere");
}

#[test]
fn a_cohort_without_records_has_no_vote() {
    let all = since(&visits(0, 240), "2018-01-01");
    let bench = trained(LINEAR, YEARS, &all);
    let votes = |bench: &Bench| {
        let voting = status(bench).shards.into_iter().filter(|shard| shard.serves > 0);
        voting.map(|shard| shard.cohort.unwrap()).collect::<std::collections::BTreeSet<_>>().into_iter().collect::<Vec<_>>()
    };
    assert_eq!(votes(&bench), ["2018", "2019", "2020", "2021", "2022", "others"]);
    let members = || bench.engine().evaluate(&Input::new(), &Quiet).unwrap().members;
    // Chance may leave one of two shards empty.
    let full = |bench: &Bench| status(bench).shards.iter().filter(|s| s.cells.iter().any(|cell| cell.rows > 0)).count();
    let of = full(&bench);
    assert_eq!((members(), of < 16), ((of, of), true));
    // One deletion may take a vote of each cohort, which the service has to reckon with.
    let counted = bench.engine().votes().unwrap();
    assert_eq!((counted.voting, counted.shards, counted.of_subject as u32), (of, of, BLOCKS));
    // A cohort that begins with a batch votes when it has been trained: what stands by of it has seen nothing.
    let new: Vec<Visit> =
        (0..40).map(|n| Visit { person: n, number: 1000 + n, seen: Some("2024-03-01".into()), age: 30 + n }).collect();
    append(&bench, "new", &new, true);
    assert_eq!((votes(&bench).len(), members(), full(&bench)), (6, (of, of), of + 2));
    assert!(bench.train().complete);
    assert_eq!((votes(&bench).len(), members()), (7, (of + 2, of + 2)));
    bench.delete(&before("2020-01-01"));
    let left = full(&bench);
    assert!(left < of);
    assert_eq!((votes(&bench), members()), (["2020", "2021", "2022", "2024", "others"].map(String::from).to_vec(), (left, left)));
}

#[test]
fn what_has_no_meaning_with_cohorts_is_refused_by_name() {
    let all = visits(0, 120);
    let refused = |cohort: &str| {
        let bench = declared(&config(LINEAR, cohort, true), &all);
        let error = bench.engine().train(&bench.request(), &Quiet).unwrap_err().to_string();
        assert!(bench.artefacts().is_empty(), "{error}");
        error
    };
    for (cohort, says) in [
        ("cohort = { column = \"age\", from = 2018, to = 2020 }\n", "`age` is not declared a date (those that are: seen)"),
        ("cohort = { column = \"seen\", from = 2021, to = 2020 }\n", "from 2021 to 2020 is no range of years"),
        ("cohort = { column = \"seen\", from = 0, to = 2020 }\n", "from 0 to 2020 is no range of years"),
        (
            "cohort = { column = \"seen\", unit = \"month\", from = 1600, to = 2020 }\n",
            "2 for each of 5053 blocks (5052 cohorts, and one",
        ),
        (
            "cohort = { column = \"seen\", unit = \"week\", from = 2019, to = 2020 }\n",
            "unknown variant `week`, expected `year` or `month`",
        ),
        ("cohort = { column = \"seen\", from = 2019 }\n", "missing field `to`"),
    ] {
        let error = refused(cohort);
        assert!(error.contains(says), "{error}");
    }
    let bench = trained(LINEAR, YEARS, &all);
    let error = lab::bench(&bench.engine(), &BenchRequest::default(), None, &Quiet).unwrap_err();
    assert!(error.to_string().contains("the workspace has cohorts by year of `seen` from 2018 to 2024"), "{error}");
    // Other cohorts in the file are for the next generation; the note says so, and nothing is trained.
    fs::write(bench.root().join("sisa.toml"), config(LINEAR, "", true)).unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_sisa")).arg("-w").arg(bench.root()).arg("train").output().unwrap();
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(
        output.status.success() && text.contains("no cohorts are asked for where there are cohorts by year of `seen`"),
        "{text}"
    );
}

#[test]
fn a_workspace_without_one_cohort_left_says_that_nothing_is_left() {
    let all: Vec<Visit> = visits(0, 80).into_iter().filter(|visit| visit.seen.is_some()).collect();
    let bench = trained(LINEAR, YEARS, &all);
    bench.delete(&before("2030-01-01"));
    let error = bench.engine().evaluate(&Input::new(), &Quiet).unwrap_err();
    assert!(error.to_string().contains("no records are left to learn from"), "{error}");
    sound(&bench);
    assert!(matches!(
        bench.engine().train(&TrainRequest { fresh: false, ..bench.request() }, &Quiet),
        Ok(_) | Err(Error::NoHoldout)
    ));
}
