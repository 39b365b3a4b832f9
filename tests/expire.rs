//! Retention: everything older than a date goes in one request.
#![expect(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "tests write their tables by hand, start the real binary, and stop at what they do not expect"
)]

mod common;

use std::{fmt::Write as _, fs, process::Command};

use common::{Bench, LINEAR, RIDGE, Setup, assert_same};
use serde_json::Value;
use sisa::engine::{
    AppendRequest, DeleteError, DeleteReport, DeleteRequest, Error, OlderThan, OutcomeKind, Quiet, VerifyRequest,
};

/// A record: whose, when, and with which columns to tell it by.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Visit {
    person: u32,
    number: u32,
    /// A day of 2023, or none.
    day: Option<u32>,
}

fn visits(first: u32, count: u32) -> Vec<Visit> {
    let day = |number: u32| (number % 11 != 3).then_some(number * 37 % 360);
    (first..first + count).map(|number| Visit { person: number * 7 % 30, number, day: day(number) }).collect()
}

fn csv(visits: &[Visit], record: bool) -> String {
    let mut text = String::from("person,visit,seen,age,label\n");
    for Visit { person, number, day } in visits {
        let seen = day.map_or(String::new(), |day| format!("2023-{:02}-{:02}", 1 + day / 30, 1 + day % 28));
        // Without ids some hold the same.
        let age = if record { 20 + number % 50 } else { 20 };
        writeln!(text, "{person},{number},{seen},{age},{}", if number % 3 == 0 { "yes" } else { "no" }).unwrap();
    }
    text
}

fn bench(learner: &'static str, record: bool, dates: &str, visits: &[Visit]) -> Bench {
    let bench = Bench::new(&Setup::default(), &[]);
    let schedule = if learner == LINEAR { "[schedule]\nkind = \"replay\"\nepochs = 2\n" } else { "" };
    let config = format!(
        "[data]\nsources = [\"table.csv\"]\nsubject = \"person\"\nrecord = {}\nholdout = 0.2\n\n[label]\ncolumn = \"label\"\n\
         values = [\"no\", \"yes\"]\n\n[columns]\n{}age = {{ kind = \"number\", range = [0, 100] }}\n{dates}\n[shards]\nshards = 2\nslices = 3\n\n[learner]\n{learner}\n{schedule}",
        if record { "[\"visit\"]" } else { "[]" },
        if record { "" } else { "visit = \"ignore\"\n" },
    );
    fs::write(bench.root().join("sisa.toml"), config).unwrap();
    fs::write(bench.root().join("table.csv"), csv(visits, record)).unwrap();
    assert!(bench.train().complete);
    bench
}

const SEEN: &str = "seen = { kind = \"date\", order = \"year-month-day\", range = [0, 20000] }\n";

fn before(date: &str) -> DeleteRequest {
    DeleteRequest {
        older_than: Some(OlderThan { date: date.into(), column: None }),
        request_id: Some("e".into()),
        no_suppress: true,
        ..DeleteRequest::default()
    }
}

fn expire(bench: &Bench, date: &str) -> Result<DeleteReport, Error> {
    bench.engine().delete(&before(date), &Quiet, |_, _, _| {})
}

/// In months of thirty days at most, `day` is before the first of July.
fn stays(visit: &Visit) -> bool {
    visit.day.is_none_or(|day| day >= 180)
}

#[test]
fn what_is_older_goes_and_the_rest_is_as_if_it_had_come_alone() {
    for (learner, record) in [(LINEAR, true), (RIDGE, true), (LINEAR, false)] {
        let (first, second) = (visits(0, 90), visits(90, 30));
        let append = |bench: &Bench, visits: &[Visit]| {
            let path = bench.root().join("batch.csv");
            fs::write(&path, csv(visits, record)).unwrap();
            let request = AppendRequest { sources: path.into(), name: Some("b".into()), defer: false };
            bench.engine().append(&request, &Quiet, |_, _, _| {}).unwrap();
        };
        let bench = bench(learner, record, SEEN, &first);
        append(&bench, &second);
        let forecast = bench.engine().forecast(&before("2023-07-01")).unwrap();
        let report = expire(&bench, "2023-07-01").unwrap();
        let all = [first.as_slice(), &second].concat();
        let old = all.iter().filter(|visit| !stays(visit)).count();
        assert!(old > 20 && report.accepted.outcomes.iter().all(|o| o.outcome == OutcomeKind::Erased && !o.subject));
        assert_eq!(report.accepted.outcomes.len(), old);
        let undated = all.iter().filter(|visit| visit.day.is_none()).count() as u64;
        assert_eq!((report.undated, forecast.undated), (Some(undated), Some(undated)));
        assert_eq!(
            (forecast.accepted.cells, forecast.accepted.predicted),
            (report.accepted.cells.clone(), report.accepted.predicted)
        );
        let left = |visits: &[Visit]| visits.iter().copied().filter(stays).collect::<Vec<Visit>>();
        let anew = self::bench(learner, record, SEEN, &left(&first));
        append(&anew, &left(&second));
        assert_same(&bench.artefacts(), &anew.artefacts(), learner);
        // Nobody asked to be forgotten: what is too old may come again.
        assert_eq!(bench.engine().status().unwrap().suppressed, 0);
        let again = expire(&bench, "2023-07-01").unwrap();
        assert!(again.repeated && again.accepted == report.accepted && again.undated.is_none());
        let other = expire(&bench, "2023-07-02").unwrap_err();
        assert!(matches!(other, Error::Delete(DeleteError::OtherIds { .. })), "{other}");
        let verdict = bench.engine().verify(&VerifyRequest::default(), &Quiet).unwrap();
        assert_eq!((verdict.findings, verdict.notes), (vec![], vec![]));
    }
}

#[test]
fn seconds_are_compared_as_rows_hold_them() {
    let seconds = "seen = { kind = \"date\", order = \"year-month-day\", unit = \"seconds\", origin = \"2023-01-01\" }\n";
    let all = visits(0, 60);
    let bench = bench(LINEAR, true, seconds, &all);
    assert_eq!(expire(&bench, "2023-07-01T00:00:00").unwrap().accepted.outcomes.len(), all.iter().filter(|v| !stays(v)).count());
}

#[test]
fn a_date_or_column_that_is_none_is_refused() {
    let all = visits(0, 60);
    let none = bench(LINEAR, true, "seen = \"ignore\"\n", &all);
    let error = expire(&none, "2023-07-01").unwrap_err();
    assert!(error.to_string().contains("no column is declared a date"), "{error}");
    let bench = bench(LINEAR, true, SEEN, &all);
    for date in ["yesterday", "2023-02-30", ""] {
        let error = expire(&bench, date).unwrap_err();
        assert!(matches!(error, Error::Delete(DeleteError::NoDate { .. })), "{error}");
    }
    let mut request = before("2023-07-01");
    request.older_than = Some(OlderThan { date: "2023-07-01".into(), column: Some("age".into()) });
    let error = bench.engine().delete(&request, &Quiet, |_, _, _| {}).unwrap_err();
    assert!(error.to_string().contains("`age` is not declared a date (there are seen)"), "{error}");
}

#[test]
fn the_command_says_what_it_costs_before_it_repairs() {
    let bench = bench(LINEAR, true, SEEN, &visits(0, 90));
    let sisa = |arguments: &[&str]| {
        let output = Command::new(env!("CARGO_BIN_EXE_sisa")).arg("-w").arg(bench.root()).args(arguments).output().unwrap();
        (String::from_utf8(output.stdout).unwrap(), output.status.code())
    };
    let (text, code) = sisa(&["expire", "--before", "2023-04-01", "--dry-run"]);
    assert!(code == Some(0) && text.contains("nothing was changed") && text.contains("without a date, and left"), "{text}");
    let (text, code) = sisa(&["expire", "--before", "2023-04-01"]);
    let (cost, repaired) = (text.find("repair: ").unwrap(), text.find("repaired: ").unwrap());
    assert!(code == Some(0) && cost < repaired, "{text}");
    let (text, code) = sisa(&["expire", "--before", "2023-04-01", "--request-id", "again", "--json"]);
    let last: Value = serde_json::from_str(text.lines().last().unwrap()).unwrap();
    assert_eq!((code, &last["type"], &last["repaired"]), (Some(0), &"deleted".into(), &true.into()));
}
