//! The real command: exit codes, JSON, and being killed.
#![expect(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "tests damage files by hand, and stop at what they do not expect"
)]

mod common;

use std::{
    io::{BufRead, BufReader},
    process::{Command, Output, Stdio},
};

use common::{Bench, Setup, assert_same, rows, without};

/// Waits for other writers: a child that another test forks just now inherits, for a moment, the locks that this process has let go of.
fn sisa(bench: &Bench, args: &[&str]) -> Command {
    let mut command = impatient(bench, args);
    command.arg("--wait");
    command
}

fn impatient(bench: &Bench, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sisa"));
    command.arg("-w").arg(bench.root()).args(args).stdin(Stdio::null());
    command
}

fn run(bench: &Bench, args: &[&str]) -> Output {
    sisa(bench, args).output().unwrap()
}

fn code(bench: &Bench, args: &[&str]) -> i32 {
    run(bench, args).status.code().unwrap()
}

#[test]
fn exit_codes_are_those_of_the_readme() {
    let bench = Bench::new(&Setup::default(), &rows(40));
    assert_eq!(code(&bench, &["status"]), 9);
    assert_eq!(code(&bench, &["train", "--nonsense"]), 2);
    assert_eq!(code(&bench, &["train", "missing.csv"]), 3);
    assert_eq!(code(&bench, &["train", "--seed", "5"]), 0);
    assert_eq!(code(&bench, &["train"]), 0);
    let table = bench.root().join("table.csv");
    assert_eq!(code(&bench, &["train", table.to_str().unwrap()]), 3);
    assert_eq!(code(&bench, &["delete", "--subject", "7"]), 0);
    assert_eq!(code(&bench, &["delete", "--subject", "8", "12345"]), 4);
    assert_eq!(code(&bench, &["verify", "--retrain"]), 0);
    let slice = bench.artefacts().into_keys().find(|p| p.extension().unwrap() == "slice").unwrap();
    std::fs::write(bench.root().join(slice), b"x").unwrap();
    assert_eq!(code(&bench, &["verify"]), 1);
    assert_eq!(code(&bench, &["eval"]), 6);
}

#[test]
fn every_line_of_json_has_a_type() {
    let bench = Bench::new(&Setup::default(), &rows(40));
    let commands: [&[&str]; 9] = [
        &["train", "--seed", "5"],
        &["status"],
        &["eval"],
        &["delete", "--subject", "3", "--dry-run"],
        &["delete", "--subject", "3", "--request-id", "q"],
        &["log"],
        &["receipt", "q"],
        &["verify"],
        &["repair"],
    ];
    for args in commands {
        let output = run(&bench, &[args, &["--json"]].concat());
        assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
        let text = String::from_utf8(output.stdout).unwrap();
        assert!(!text.is_empty());
        for line in text.lines() {
            let value: serde_json::Value = serde_json::from_str(line).unwrap();
            assert!(value["type"].is_string(), "{args:?}: {line}");
        }
    }
}

#[test]
fn signed_receipts_hold_until_a_byte_changes() {
    let bench = Bench::new(&Setup::default(), &rows(40));
    run(&bench, &["train", "--seed", "5"]);
    run(&bench, &["delete", "--subject", "3", "--request-id", "q"]);
    let path = |name: &str| bench.root().join(name).to_str().unwrap().to_owned();
    assert_eq!(code(&bench, &["keygen", &path("sign.key")]), 0);
    assert_eq!(code(&bench, &["keygen", &path("sign.key")]), 3);
    let signed = run(&bench, &["receipt", "q", "--sign", &path("sign.key")]);
    assert!(signed.status.success());
    std::fs::write(path("signed.json"), &signed.stdout).unwrap();
    let check = ["receipt", "--check", &path("signed.json"), "--pub", &path("sign.key.pub")];
    assert_eq!(code(&bench, &check), 0);
    let text = String::from_utf8(signed.stdout).unwrap();
    let at = text.find("\"payload\":\"").unwrap() + 200;
    let mut forged = text.into_bytes();
    forged[at] = if forged[at] == b'A' { b'B' } else { b'A' };
    std::fs::write(path("signed.json"), forged).unwrap();
    assert_eq!(code(&bench, &check), 3);
    // A key that others can read is refused.
    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(path("sign.key"), std::fs::Permissions::from_mode(0o644)).unwrap();
    assert_eq!(code(&bench, &["receipt", "q", "--sign", &path("sign.key")]), 6);
}

/// Starts a command that stands still at a point of a protocol, and kills it there. `false` when it never came there.
fn killed_at(bench: &Bench, point: &str, args: &[&str]) -> bool {
    let mut child = sisa(bench, args).env("SISA_STOP_AT", point).stderr(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
    let reached = BufReader::new(child.stderr.take().unwrap()).lines().map_while(Result::ok).any(|l| l.contains("stopped at"));
    if reached {
        child.kill().unwrap();
    }
    child.wait().unwrap();
    reached
}

#[test]
fn killed_at_every_point_of_a_deletion() {
    let rows = rows(40);
    let setup = Setup::default();
    let fresh = Bench::trained(&setup, &without(&rows, |r| [3, 9, 11].contains(&r.person))).artefacts();
    for point in ["accepted", "purged", "rewritten", "effective", "synced", "repaired"] {
        let bench = Bench::trained(&setup, &rows);
        let delete = ["delete", "--subject", "3", "9", "11", "--request-id", "k"];
        assert!(killed_at(&bench, point, &delete), "{point} is never reached");
        // Nothing answers while an accepted request is not in effect, and nothing is judged.
        let expected = if ["accepted", "purged", "rewritten"].contains(&point) { 5 } else { 0 };
        for reader in ["eval", "verify"] {
            assert_eq!(code(&bench, &[reader]), expected, "{reader} after {point}");
        }
        // What has nothing to do with it is found all the same.
        let stray = bench.root().join("shards/stray");
        std::fs::write(&stray, "x").unwrap();
        assert_eq!(code(&bench, &["verify"]), 1, "{point}");
        std::fs::remove_file(stray).unwrap();
        assert_eq!(code(&bench, &["repair"]), 0, "{point}");
        assert_same(&bench.artefacts(), &fresh, point);
        assert_eq!(code(&bench, &["verify"]), 0, "{point}");
        // The same request again reports the first outcome.
        let again = run(&bench, &[&delete[..], &["--json"]].concat());
        assert!(String::from_utf8_lossy(&again.stdout).contains("\"repeated\":true"), "{point}");
    }
}

#[test]
fn killed_at_every_point_of_an_import_and_a_switch() {
    let rows = rows(40);
    let setup = Setup::default();
    let reference = Bench::trained(&setup, &rows).artefacts();
    for point in ["founded", "sliced", "imported", "recipe", "switched"] {
        let bench = Bench::new(&setup, &rows);
        assert!(killed_at(&bench, point, &["train", "--seed", "5"]), "{point} is never reached");
        // What a killed process left behind is no damage.
        assert_eq!(code(&bench, &["verify"]), 0, "{point}");
        assert_eq!(code(&bench, &["train", "--seed", "5"]), 0, "{point}");
        assert_same(&bench.artefacts(), &reference, point);
        assert_eq!(code(&bench, &["verify"]), 0, "{point}");
    }
    let other = Bench::trained(&Setup { epochs: 5, ..setup.clone() }, &rows).artefacts();
    for point in ["recipe", "switched", "purging"] {
        let bench = Bench::trained(&setup, &rows);
        assert!(killed_at(&bench, point, &["train", "--epochs", "5"]), "{point} is never reached");
        assert_eq!(code(&bench, &["verify"]), 0, "{point}");
        assert_eq!(code(&bench, &["train", "--epochs", "5"]), 0, "{point}");
        assert_same(&bench.artefacts(), &other, point);
        assert_eq!(code(&bench, &["verify"]), 0, "{point}");
    }
}

/// A temporary file of a process that is gone, in a workspace whose last writer came to its end, is nobody's.
#[test]
fn a_temporary_file_without_a_killed_process_is_a_finding() {
    let bench = Bench::trained(&Setup::default(), &rows(40));
    let stray = bench.root().join("checkpoints/g0001/.sisa-tmp-1-1");
    std::fs::write(&stray, "x").unwrap();
    assert_eq!(code(&bench, &["verify"]), 1);
    // With the mark of one that was killed it is left over, and the next writer takes it away.
    std::fs::write(bench.root().join("shards/session/.sisa-tmp-1-0"), "").unwrap();
    assert_eq!(code(&bench, &["verify"]), 0);
    assert_eq!(code(&bench, &["repair"]), 0);
    assert!(!stray.exists());
}

/// Starts a command and kills it, later and later, until it comes to its end; returns how often it was killed.
fn killed_until_done(bench: &Bench, args: &[&str]) -> u32 {
    for round in 0..4000_u32 {
        let mut child = sisa(bench, args).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        // Later rounds get more time, so that the work ends.
        std::thread::sleep(std::time::Duration::from_micros(u64::from(300 + round * 250 + round * 7919 % 3000)));
        match child.try_wait().unwrap() {
            Some(status) => {
                assert!(status.success(), "{args:?}: {status}");
                return round;
            }
            None => {
                child.kill().unwrap();
                child.wait().unwrap();
            }
        }
    }
    panic!("{args:?} never ends");
}

#[test]
fn killed_at_random_hundreds_of_times() {
    let rows = rows(120);
    let setup = Setup { epochs: 12, ..Setup::default() };
    let gone = [3, 9, 11, 20, 33, 47, 58, 61];
    let fresh = Bench::trained(&setup, &without(&rows, |r| gone.contains(&r.person))).artefacts();
    let mut killed = 0;
    // A fast machine gets further in one round, and needs more of them.
    for _ in 0..40 {
        let bench = Bench::new(&setup, &rows);
        killed += killed_until_done(&bench, &["train", "--seed", "5"]);
        for (n, person) in gone.iter().enumerate() {
            killed += killed_until_done(&bench, &["delete", "--subject", &person.to_string(), "--request-id", &format!("r{n}")]);
        }
        killed += killed_until_done(&bench, &["repair"]);
        assert_same(&bench.artefacts(), &fresh, "killed at random");
        assert_eq!(code(&bench, &["verify", "--retrain"]), 0);
        if killed >= 200 {
            return;
        }
    }
    panic!("only {killed} kills");
}

#[test]
fn a_second_writer_is_told_and_can_wait() {
    let bench = Bench::trained(&Setup::default(), &rows(40));
    let mut first = sisa(&bench, &["delete", "--subject", "3"])
        .env("SISA_STOP_AT", "accepted")
        .stderr(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(first.stderr.take().unwrap()).lines();
    lines.find(|l| l.as_ref().unwrap().contains("stopped at")).unwrap().unwrap();
    let second = impatient(&bench, &["delete", "--subject", "4"]).output().unwrap();
    assert_eq!(second.status.code(), Some(5));
    assert!(String::from_utf8_lossy(&second.stderr).contains("--wait"));
    let mut waiting = sisa(&bench, &["delete", "--subject", "4"]).stdout(Stdio::null()).spawn().unwrap();
    std::thread::sleep(std::time::Duration::from_millis(50));
    assert!(waiting.try_wait().unwrap().is_none());
    first.kill().unwrap();
    first.wait().unwrap();
    assert!(waiting.wait().unwrap().success());
    // The waiting one brought the first request into effect on its way.
    let fresh = Bench::trained(&Setup::default(), &without(&rows(40), |r| r.person == 3 || r.person == 4));
    assert_same(&bench.artefacts(), &fresh.artefacts(), "both");
}

#[test]
fn a_builder_at_work_on_an_old_slice_cannot_publish() {
    // A train that is overtaken by a deletion in another process, again and again at other moments.
    let rows = rows(150);
    let setup = Setup { epochs: 40, shards: 2, ..Setup::default() };
    let fresh = Bench::trained(&setup, &without(&rows, |r| r.person == 3)).artefacts();
    for moment in 0..12 {
        let bench = Bench::new(&setup, &rows);
        let mut train = sisa(&bench, &["train", "--seed", "5"]).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        while !bench.root().join("shards/CURRENT").exists() {
            std::thread::yield_now();
        }
        std::thread::sleep(std::time::Duration::from_millis(moment * 4));
        let delete = run(&bench, &["delete", "--subject", "3", "--defer"]);
        assert!(delete.status.success(), "{}", String::from_utf8_lossy(&delete.stderr));
        for (path, bytes) in bench.artefacts() {
            // A rename may still be under way in the builder; what is there must be clean.
            assert_eq!(fresh.get(&path), Some(&bytes), "{} at moment {moment}", path.display());
        }
        train.wait().unwrap();
        assert_eq!(code(&bench, &["repair"]), 0);
        assert_same(&bench.artefacts(), &fresh, "overtaken");
    }
}

/// When a deletion is in effect, no copy of the person is left in what a bench has under way, and none comes back.
#[test]
fn a_deletion_takes_the_copies_of_a_bench_away() {
    let rows = rows(150);
    let disk = sisa::fs::Files::new(std::sync::Arc::new(sisa::engine::RealDisk::new()));
    let handle = sisa::engine::KeySource::Seed(5).handle_key(&disk).unwrap().maker().subject(b"3");
    for moment in 0..10 {
        let bench = Bench::trained(&Setup { epochs: 20, ..Setup::default() }, &rows);
        assert!(bench.artefacts().values().any(|b| b.windows(16).any(|w| w == handle.0)));
        let args = ["bench", "--trials", "50", "--requests", "1", "--frontier", "0", "--quiet"];
        let mut measuring = sisa(&bench, &args).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        while !bench.root().join(".scratch").exists() {
            std::thread::yield_now();
        }
        std::thread::sleep(std::time::Duration::from_millis(moment * 9));
        assert_eq!(code(&bench, &["delete", "--subject", "3", "--defer"]), 0);
        // The ledger names handles, and nothing else does.
        let ledger = |path: &std::path::Path| path.starts_with("shards/ledger");
        let left = || bench.files().into_iter().filter(|(p, _)| !ledger(p)).find(|(_, b)| b.windows(16).any(|w| w == handle.0));
        assert_eq!(left().map(|l| l.0), None, "at moment {moment}");
        assert_eq!(measuring.wait().unwrap().code(), Some(5), "at moment {moment}");
        assert_eq!(left().map(|l| l.0), None, "after the bench, at moment {moment}");
    }
}

#[test]
fn a_killed_bench_is_swept() {
    let bench = Bench::trained(&Setup::default(), &rows(60));
    let args = ["bench", "--trials", "50", "--requests", "1", "--frontier", "0", "--quiet"];
    let mut measuring = sisa(&bench, &args).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    while !bench.files().keys().any(|path| path.starts_with(".scratch")) {
        std::thread::yield_now();
    }
    measuring.kill().unwrap();
    measuring.wait().unwrap();
    assert_eq!(code(&bench, &["train"]), 0);
    assert!(!bench.files().keys().any(|path| path.starts_with(".scratch")));
}

/// A process that a bench started may outlive the copy it works on, and must not put anything in its place.
#[test]
fn a_copy_that_was_taken_away_is_not_made_again() {
    let bench = Bench::new(&Setup::default(), &rows(60));
    let (config, table) = (bench.root().join("sisa.toml"), bench.root().join("table.csv"));
    let copy = bench.root().join(".scratch").join("copy");
    let train = |scratch: bool| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_sisa"));
        command.arg("-w").arg(&copy).args(["train", "--seed", "5", "--config"]).arg(&config).arg(&table).stdin(Stdio::null());
        if scratch { command.env("SISA_IN_SCRATCH", "1") } else { &mut command }.output().unwrap().status.code()
    };
    assert_eq!(train(true), Some(7));
    assert!(!copy.exists());
    assert_eq!(train(false), Some(0));
}

#[test]
fn a_bench_writes_a_page_and_leaves_the_workspace_alone() {
    let bench = Bench::new(&Setup::default(), &rows(120));
    assert_eq!(code(&bench, &["train", "--seed", "5"]), 0);
    let before = bench.artefacts();
    let page = bench.root().join("page.html");
    let asked = ["bench", "--json", "--requests", "1,2", "--trials", "1", "--frontier", "2", "--report", page.to_str().unwrap()];
    let output = run(&bench, &asked);
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    let lines: Vec<serde_json::Value> =
        String::from_utf8(output.stdout).unwrap().lines().map(|l| serde_json::from_str(l).unwrap()).collect();
    let count = |kind: &str| lines.iter().filter(|l| l["type"] == kind).count();
    assert_eq!([count("bench_training"), count("bench_deletion"), count("bench")], [2, 2, 1], "{lines:?}");
    let page = std::fs::read_to_string(page).unwrap();
    for id in ["cost", "frontier", "times", "cells", "quality"] {
        assert!(page.contains(&format!("<svg id=\"{id}\"")), "{id}");
    }
    assert_eq!(before, bench.artefacts(), "what is benched is a copy");
}

/// Told to use the other flag, a person would go back and forth between the two.
#[test]
fn records_without_any_id_can_not_be_named_and_the_message_says_so() {
    let bench = Bench::new(&Setup::default(), &rows(40));
    let config = std::fs::read_to_string(bench.root().join("sisa.toml")).unwrap();
    let nameless: String = config
        .lines()
        .filter(|line| !line.starts_with("subject") && !line.starts_with("record"))
        .map(|line| if line == "[columns]" { "[columns]\nperson = \"ignore\"" } else { line }.to_owned() + "\n")
        .collect();
    assert_ne!(config, nameless);
    std::fs::write(bench.root().join("sisa.toml"), nameless).unwrap();
    let trained = run(&bench, &["train", "--seed", "5"]);
    assert!(trained.status.success(), "{}", String::from_utf8_lossy(&trained.stderr));
    for flag in ["--subject", "--record"] {
        let refused = run(&bench, &["delete", flag, "7"]);
        let message = String::from_utf8_lossy(&refused.stderr).into_owned();
        assert_ne!(refused.status.code(), Some(0), "{message}");
        assert!(
            message.contains("neither a subject column nor record columns")
                && !message.contains("--subject")
                && !message.contains("--record"),
            "{message}"
        );
    }
}

/// The lines of JSON of one type.
fn lines_of(output: &Output, kind: &str) -> Vec<serde_json::Value> {
    let text = String::from_utf8_lossy(&output.stdout);
    let lines = text.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
    lines.filter(|line| line["type"] == kind).collect()
}

#[test]
fn learners_are_benched_beside_each_other_on_the_same_requests() {
    let bench = Bench::trained(&Setup { learner: common::FOREST, slices: 1, ..Setup::default() }, &rows(60));
    let before = bench.artefacts();
    let asked = ["bench", "--learners", "mlp,linear,ridge,forest,boost", "--requests", "1,5", "--trials", "2", "--frontier", "0"];
    let output = run(&bench, &[&asked[..], &["--json"]].concat());
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let lines = lines_of(&output, "bench_learner");
    let kinds: Vec<&str> = lines.iter().map(|l| l["learner"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["mlp", "linear", "ridge", "forest", "boost"]);
    let records = |line: &serde_json::Value| -> Vec<u64> {
        line["batches"].as_array().unwrap().iter().map(|b| b["records"].as_u64().unwrap()).collect()
    };
    for line in &lines {
        assert!(line["refused"].is_null() && line["quality"].is_number() && line["quality_of_one_model"].is_number(), "{line}");
        let sets = ["ridge", "forest"].contains(&line["learner"].as_str().unwrap());
        assert_eq!(line["own"].as_bool().unwrap(), line["learner"] == "forest");
        let batches = line["batches"].as_array().unwrap();
        assert_eq!(batches.len(), 2);
        for batch in batches {
            assert_eq!(batch["trials"], 2);
            assert_eq!(
                batch["row_passes"].as_f64().unwrap() == 0.0,
                sets,
                "only learners of passes train anything again: {line}"
            );
            assert!(
                batch["repaired_seconds"].as_f64() >= batch["effective_seconds"].as_f64() && batch["process_seconds"].is_number()
            );
        }
        assert_eq!(records(line), records(&lines[0]), "the same subjects are deleted from all: {line}");
    }
    assert!(records(&lines[0])[0] >= 2 && records(&lines[0])[1] >= 10, "{:?}", records(&lines[0]));
    let memory = lines_of(&output, "bench_memory");
    let kinds: Vec<&str> = memory.iter().map(|m| m["learner"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["forest", "ridge"], "of those that take rows out, the bench's own first");
    for line in &memory {
        assert!(line["deletions"].as_u64().unwrap() >= 20 && line["batch"].as_u64().unwrap() >= 10, "{line}");
        assert!(
            line["mean_seconds"].as_f64().unwrap() > 0.0 && line["p99_seconds"].as_f64() >= line["median_seconds"].as_f64(),
            "{line}"
        );
        assert!(line["batch_seconds"].is_number() && line["state_bytes"].as_u64().unwrap() > 0, "{line}");
        assert!(line["predict_rows_per_second"].as_f64().unwrap() > 0.0, "{line}");
    }
    assert_same(&bench.artefacts(), &before, "a benchmark changes nothing");
    assert_eq!(code(&bench, &["bench", "--learners", "mlp,tree"]), 3);
    let refusal = run(&bench, &["bench", "--learners", "mlp,tree"]);
    assert!(
        String::from_utf8_lossy(&refusal.stderr)
            .contains("`tree`, which is no learner; write some of linear, mlp, ridge, forest, boost")
    );
}

#[test]
fn a_learner_that_cannot_take_the_records_says_why_and_the_others_are_measured() {
    // Without ranges, which the set learners need.
    let bench = Bench::new(&Setup::default(), &rows(40));
    let asked = ["bench", "--learners", "linear,forest,mlp,boost", "--requests", "1", "--trials", "1", "--frontier", "0"];
    let output = run(&bench, &asked);
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    for start in ["linear  ", "mlp  ", "boost  ", "forest    not measured: "] {
        assert!(text.lines().any(|line| line.starts_with(start)), "{start}: {text}");
    }
    let refused = text.lines().find(|line| line.starts_with("forest")).unwrap();
    assert!(refused.contains("range = [low, high]"), "{refused}");
}

#[test]
fn plan_says_which_learner_to_take() {
    let bench = Bench::new(&Setup { learner: common::FOREST, slices: 1, ..Setup::default() }, &rows(40));
    let recommended = |bench: &Bench| lines_of(&run(bench, &["plan", "--no-pilot", "--json"]), "plan").remove(0);
    let plan = recommended(&bench);
    assert_eq!(
        (plan["learner"].as_str(), plan["recommended_learner"]["kind"].as_str()),
        (Some("forest"), Some("forest")),
        "{plan}"
    );
    assert_eq!(plan["recommended_learner"]["shards"], 1, "too few subjects for more");
    assert_eq!(plan["recommended_learner"]["settings"]["trees"], 100);
    // Without ranges no set learner can take the table.
    let unranged = Bench::new(&Setup::default(), &rows(40));
    let plan = recommended(&unranged);
    assert_eq!((plan["learner"].as_str(), plan["recommended_learner"]["kind"].as_str()), (Some("mlp"), Some("linear")), "{plan}");
    assert!(plan["recommended_learner"]["reason"].as_str().unwrap().contains("no declared `range`"));
    let text = String::from_utf8(run(&unranged, &["plan", "--no-pilot"]).stdout).unwrap();
    assert!(text.contains("Learner (this plan is for another): `linear` is recommended: "), "{text}");
}

#[test]
fn nothing_is_planned_for_no_records() {
    let bench = Bench::new(&Setup::default(), &rows(40));
    let config = bench.root().join("sisa.toml");
    let declared = std::fs::read_to_string(&config).unwrap();
    let without: Vec<&str> = declared.lines().filter(|line| !line.starts_with("sources")).collect();
    std::fs::write(&config, without.join("\n")).unwrap();
    let refused = run(&bench, &["plan", "--no-pilot"]);
    assert!(refused.status.code() == Some(3) && text(&refused).contains("no source is named"), "{}", text(&refused));
    let table = std::fs::read_to_string(bench.root().join("table.csv")).unwrap();
    let empty = bench.root().join("empty.csv");
    std::fs::write(&empty, table.lines().take(1).collect::<String>() + "\n").unwrap();
    let refused = run(&bench, &["plan", "--no-pilot", empty.to_str().unwrap()]);
    assert!(refused.status.code() == Some(3) && text(&refused).contains("no rows"), "{}", text(&refused));
}

fn text(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

/// Files of an editor, a spreadsheet and a shell: each names persons 3 and 4, and each deletes both.
#[test]
fn a_list_of_ids_is_read_whatever_wrote_it() {
    for list in [
        "\u{feff}3\n4\n",
        "3\r4\r",
        "\"3\"\r\n\"4\"\r\n",
        "PERSON;x\n3;1\n4;2\n",
        "# both\n\n3\n4\n",
        "\u{feff}person\t\n4\t\n3\t\n",
        "------------\n|Person|name |\n|------|-----|\n|3|Ode|\n|4|Meier|\n",
    ] {
        let bench = Bench::trained(&Setup::default(), &rows(10));
        let path = bench.root().join("ids.txt");
        std::fs::write(&path, list).unwrap();
        let output = run(&bench, &["delete", "--from", path.to_str().unwrap()]);
        assert_eq!(output.status.code(), Some(0), "{list:?}: {}", text(&output));
        let expected = Bench::trained(&Setup::default(), &without(&rows(10), |r| [3, 4].contains(&r.person)));
        assert_same(&bench.artefacts(), &expected.artefacts(), list);
    }
}

#[test]
fn a_list_that_may_be_misread_deletes_and_suppresses_nothing() {
    let bench = Bench::trained(&Setup::default(), &rows(10));
    let path = bench.root().join("ids.txt");
    let list = path.to_str().unwrap();
    let before = bench.files();
    for (text_of, expected) in [
        ("mail,x\n3,1\n", "--column"),
        ("x,person\n1,3\n2,\n", "line 3 has an empty id"),
        ("3\n\"4\n", "line 2 opens a quote"),
        ("301\n3\n302\n303\n304\n305\n306\n307\n308\n309\n", "9 of the 10 ids"),
    ] {
        std::fs::write(&path, text_of).unwrap();
        let output = run(&bench, &["delete", "--from", list]);
        assert_eq!(output.status.code(), Some(3), "{text_of:?}: {}", text(&output));
        assert!(text(&output).contains(expected), "{}", text(&output));
        assert_same(&bench.files(), &before, text_of);
    }
    assert_eq!(code(&bench, &["delete", "--subject", ""]), 3);
    assert_same(&bench.files(), &before, "an empty id");
    // A few can be looked at.
    let short = bench.root().join("short.txt");
    std::fs::write(&short, "401\n402\n403\n").unwrap();
    let output = run(&bench, &["delete", "--from", short.to_str().unwrap(), "--no-suppress"]);
    assert_eq!(output.status.code(), Some(4));
    assert!(text(&output).contains("short.txt: line 1\n"), "{}", text(&output));
    // The last list, which is meant.
    let output = run(&bench, &["delete", "--from", list, "--yes"]);
    assert_eq!(output.status.code(), Some(4));
    for line in [1, 3, 10] {
        assert!(text(&output).contains(&format!("ids.txt: line {line}\n")), "{}", text(&output));
    }
    assert!(!text(&output).contains("ids.txt: line 2\n"));
    std::fs::write(&path, "x;mail\n1;5\n").unwrap();
    assert_eq!(code(&bench, &["delete", "--from", list, "--column", "mail"]), 0);
    let expected = Bench::trained(&Setup::default(), &without(&rows(10), |r| [3, 5].contains(&r.person)));
    assert_same(&bench.artefacts(), &expected.artefacts(), "lists");
}

#[test]
fn rows_that_are_mostly_not_there_are_asked_about() {
    let bench = Bench::trained(&Setup::default(), &rows(10));
    let others: Vec<_> = rows(60).into_iter().filter(|row| row.person > 8).collect();
    let path = bench.root().join("others.csv");
    std::fs::write(&path, common::csv(&others)).unwrap();
    let before = bench.files();
    let output = run(&bench, &["delete", "--rows", path.to_str().unwrap()]);
    assert!(output.status.code() == Some(3) && text(&output).contains("more than half"), "{}", text(&output));
    assert_same(&bench.files(), &before, "nothing was deleted or suppressed");
}

#[test]
fn whoever_closes_an_output_stops_nothing() {
    let bench = Bench::new(&Setup::default(), &rows(40));
    // Notes, and an error, to a reader that has gone.
    for (args, expected) in
        [(&["train", "--seed", "5"][..], 0), (&["train", "missing.csv"], 3), (&["--json", "eval", "missing.csv"], 3)]
    {
        let mut child = sisa(&bench, args).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        drop((child.stdout.take(), child.stderr.take()));
        assert_eq!(child.wait().unwrap().code(), Some(expected), "{args:?}");
    }
}

#[test]
fn an_id_may_be_a_negative_number_and_threads_have_bounds() {
    let bench = Bench::trained(&Setup::default(), &rows(10));
    assert_eq!(code(&bench, &["delete", "--subject", "-5", "3", "--defer"]), 4);
    assert_eq!(code(&bench, &["delete", "--subject=-x"]), 4);
    for threads in ["0", "1025", "100000"] {
        assert_eq!(code(&bench, &["status", "--threads", threads]), 2, "{threads}");
    }
    assert_eq!(code(&bench, &["status", "--threads", "64"]), 0);
}

#[test]
fn answers_are_never_written_over_something_else() {
    let bench = Bench::trained(&Setup::default(), &rows(10));
    let before = bench.files();
    let path = |name: &str| bench.root().join(name).to_str().unwrap().to_owned();
    let table = path("table.csv");
    std::os::unix::fs::symlink(&table, path("link")).unwrap();
    for target in ["table.csv", "sisa.toml", "link", "shards", "shards/handle.key", "shards/g0001/new.csv", "checkpoints/new.csv"]
    {
        let output = run(&bench, &["predict", &table, "-o", &path(target)]);
        assert_eq!(output.status.code(), Some(3), "{target}: {}", text(&output));
    }
    assert_same(&bench.files(), &before, "refused outputs");
    for json in [false, true] {
        let args = ["predict", &table, "-o", &path("out"), "--json"];
        // Twice: an older answer is what may be written over.
        for _ in 0..2 {
            assert_eq!(code(&bench, args.get(..4 + usize::from(json)).unwrap()), 0);
        }
    }
}

/// Refused before a row is read, not by the system in the middle of training.
#[test]
fn a_network_that_no_memory_holds_is_refused_before_the_import() {
    let setup = Setup {
        learner: "kind = \"mlp\"\nhidden = [65536, 65536, 65536, 65536]\nactivation = \"relu\"\noptimizer = { kind = \"sgd\", momentum = 0.9 }\nrate = 0.05\ndecay = \"linear\"\nl2 = 0.001\nbatch = 8\n",
        ..Setup::default()
    };
    let bench = Bench::new(&setup, &rows(10));
    // 13 G parameters, 360 GB: more than this machine has, or is allowed.
    let output = run(&bench, &["train", "--threads", "1"]);
    assert_eq!(output.status.code(), Some(3), "{}", text(&output));
    assert!(text(&output).contains("GB at once"), "{}", text(&output));
    assert!(!bench.root().join("shards/g0001").exists());
}

/// The commands between backticks.
fn commands(text: &str) -> Vec<&str> {
    text.split('`').skip(1).step_by(2).filter(|code| code.starts_with("sisa ")).collect()
}

#[test]
fn advice_works_when_it_is_pasted() {
    let root = tempfile::tempdir().unwrap();
    let workspace = root.path().join("it's a workspace");
    std::fs::create_dir(&workspace).unwrap();
    std::fs::write(workspace.join("my table.csv"), common::csv(&rows(40))).unwrap();
    std::fs::write(workspace.join("sisa.toml"), Setup::default().config().replace("table.csv", "my table.csv")).unwrap();
    let bin = std::path::Path::new(env!("CARGO_BIN_EXE_sisa")).parent().unwrap();
    let shell = |line: &str| {
        let path = format!("{}:/usr/bin:/bin", bin.display());
        Command::new("sh").args(["-c", line]).env("PATH", path).stdin(Stdio::null()).output().unwrap()
    };
    let quoted = "'".to_owned() + &workspace.display().to_string().replace('\'', r"'\''") + "'";
    let refused = |line: String| {
        let output = shell(&line);
        assert!(!output.status.success(), "{line}");
        String::from_utf8(output.stderr).unwrap()
    };
    // Nothing is there: train, with a source of the person's.
    let empty = refused(format!("sisa -w {quoted} status"));
    let [train] = commands(&empty)[..] else { panic!("{empty}") };
    assert!(shell(&train.replace(" SOURCE", &format!(" {quoted}/'my table.csv'"))).status.success(), "{train}");
    // Something is there: go on, or start anew.
    let full = refused(format!("sisa -w {quoted} train {quoted}/'my table.csv'"));
    let advised = commands(&full);
    assert_eq!(advised.len(), 2, "{full}");
    for line in advised {
        let output = shell(&format!("{line}{}", if line.contains("--fresh") { " --yes" } else { "" }));
        assert!(output.status.success(), "{line}: {}", String::from_utf8_lossy(&output.stderr));
    }
    // A mistake of suppression is taken back, with an id in the place of ID.
    let suppressed = shell(&format!("sisa -w {quoted} delete --subject 777"));
    let suppressed = String::from_utf8(suppressed.stdout).unwrap();
    let taken_back = commands(&suppressed).into_iter().find(|line| line.starts_with("sisa unsuppress")).unwrap();
    assert!(shell(&taken_back.replace(" ID", " 777")).status.success(), "{taken_back}");
    // A cell that can't be read: the table is mended, or a new generation is declared.
    std::fs::write(workspace.join("odd.csv"), format!("{}1,1,twenty,10.00,a,t1,5,few\n", common::HEADER)).unwrap();
    let cell = refused(format!("sisa -w {quoted} predict {quoted}/odd.csv"));
    assert!(commands(&cell).iter().any(|line| line.contains(" --fresh SOURCE")), "{cell}");
    // A request that is not there: the list of those that are. As values too.
    let unknown = refused(format!("sisa -w {quoted} receipt nobody"));
    let [log] = commands(&unknown)[..] else { panic!("{unknown}") };
    assert!(shell(log).status.success(), "{log}");
    let output = shell(&format!("sisa -w {quoted} --json receipt nobody"));
    let line: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((&line["kind"], &line["remedies"][0]["do"]), (&"input".into(), &"log".into()), "{line}");
}
