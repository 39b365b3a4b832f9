//! What replay means for learners of one's own: which of them are refused, what is claimed of those that can't be replayed, and what is said.
#![expect(clippy::disallowed_methods, clippy::unwrap_used, reason = "a test stops at what it does not expect, and says where")]

mod common;
mod tape;

use std::{collections::BTreeMap, env, fs, path::PathBuf};

use common::{Bench, Setup, rows};
use serde_json::Value;
use sisa::engine::{
    DeleteRequest, ErrorKind, Input, MigrateRequest, PackRequest, Quiet, Replay, ShardId, VerifyRequest, train_bundle,
};
use tape::{fault, rewrite, said, setup, sisa};

fn path() -> String {
    env::var("PATH").unwrap()
}

/// A workspace whose learner has these lines more. Everybody is trained on, in more than three batches a step.
fn with(lines: &str) -> Bench {
    let bench = Bench::new(&Setup { holdout: 0.0, ..setup() }, &rows(150));
    rewrite(&bench, "seconds = 60", &format!("seconds = 60\n{lines}"));
    bench
}

fn checkpoints(bench: &Bench) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut all = bench.artefacts();
    all.retain(|path, _| path.extension().is_some_and(|e| e == "ckpt"));
    all
}

/// The one line that a command answers with `--json`.
fn told(bench: &Bench, args: &[&str]) -> (Option<i32>, Value) {
    let output = sisa(bench, &path(), &[&["--json"], args].concat());
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let line = text.lines().last().unwrap_or_else(|| panic!("{args:?}: {}", said(&output)));
    (output.status.code(), serde_json::from_str(line).unwrap())
}

fn delete(bench: &Bench, person: &str, name: &str, defer: bool) {
    let request =
        DeleteRequest { subjects: vec![person.into()], request_id: Some(name.into()), defer, ..DeleteRequest::default() };
    bench.delete(&request);
}

#[test]
fn what_differs_on_real_rows_alone_is_refused_before_a_recipe_is_frozen() {
    for (setting, message) in [
        ("third = true", "different states of the first"),
        ("above = 1.5", "different states of the first"),
        // It may show in either: one process has trained more steps than the other.
        ("leaks = true", "different states"),
    ] {
        let bench = with(&format!("settings = {{ {setting} }}"));
        let error = bench.engine().train(&bench.request(), &Quiet).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Input);
        let text = error.to_string();
        assert!(text.contains(message) && text.contains("`replay = false`"), "{setting}: {text}");
        assert_eq!(checkpoints(&bench).len(), 0);
        assert!(bench.files().keys().all(|path| !path.ends_with("recipe.json")), "nothing is frozen");
        // The advice works: mended, or as one that is not to be replayed.
        rewrite(&bench, "seconds = 60", "seconds = 60\nreplay = false");
        assert!(bench.train().complete, "{setting}");
    }
}

#[test]
fn a_generation_that_is_made_from_another_is_tried_too() {
    let bench = Bench::trained(&setup(), &rows(150));
    rewrite(&bench, "shards = 2", "shards = 3");
    let migrated = bench.engine().migrate(&MigrateRequest::default(), &Quiet).unwrap();
    assert!(migrated.complete);
    let recipes: Vec<String> = (bench.files().into_iter())
        .filter(|(path, _)| path.ends_with("recipe.json"))
        .map(|(_, bytes)| String::from_utf8(bytes).unwrap())
        .collect();
    assert!(recipes.len() == 1 && recipes[0].contains("\"probe\"") && recipes[0].contains("\"machine\""), "{recipes:?}");
    // What was found is taken over: nothing is missing, and nothing is frozen again.
    let again = bench.train();
    assert!(again.complete && again.report.shards.is_empty());
    rewrite(&bench, "shards = 3", "shards = 2");
    rewrite(&bench, "seconds = 60", "seconds = 60\nsettings = { third = true }");
    let error = bench.engine().migrate(&MigrateRequest::default(), &Quiet).unwrap_err().to_string();
    assert!(error.contains("different states of the first"), "{error}");
}

#[test]
fn verify_and_receipts_say_which_claim_holds_where() {
    let bench = Bench::trained(&setup(), &rows(30));
    delete(&bench, "3", "r", true);
    let (_, receipt) = told(&bench, &["receipt", "r"]);
    let before = receipt["receipt"].clone();
    assert_eq!((&before["format"], &before["by_construction"]), (&3.into(), &true.into()));
    assert!(before.get("replay").is_none(), "nothing of replay before the repair");
    fs::write(bench.root().join("before.json"), before.to_string()).unwrap();
    let (_, quick) = told(&bench, &["verify"]);
    assert_eq!((&quick["by_construction"], &quick["by_replay"]), (&true.into(), &Value::Null));
    assert!(bench.train().complete);
    let (code, again) = told(&bench, &["verify", "--retrain", "--receipt", bench.root().join("before.json").to_str().unwrap()]);
    assert_eq!((code, &again["same"], &again["by_replay"]), (Some(0), &true.into(), &true.into()), "{again}");
    let replay = &again["replay"];
    assert_eq!((&replay["where"], &replay["learner"]), (&"environment".into(), &"tape".into()));
    assert_eq!(replay["environment"]["machine"], "one");
    let (_, receipt) = told(&bench, &["receipt", "r"]);
    assert_eq!(
        receipt["receipt"]["replay"],
        serde_json::json!({
            "where": "environment", "learner": "tape", "environment": { "machine": "one" }, "probe": replay["probe"],
        })
    );
    let text = String::from_utf8(sisa(&bench, &path(), &["verify", "--retrain"]).stdout).unwrap();
    assert!(text.contains("by construction: ") && text.contains("by replay in this environment: every file"), "{text}");
    assert!(text.contains("learner tape, machine one, probe "), "{text}");
    // On another machine it can't be looked at. What holds by construction needs no learner.
    fs::write(bench.root().join("machine"), "two").unwrap();
    let output = sisa(&bench, &path(), &["verify", "--retrain"]);
    assert_eq!(output.status.code(), Some(3));
    assert!(
        said(&output).contains("machine: one there, two here") && said(&output).contains("verified without"),
        "{}",
        said(&output)
    );
    let (code, quick) = told(&bench, &["verify"]);
    assert_eq!((code, &quick["by_construction"]), (Some(0), &true.into()));
    // A receipt that claims more than the ledger does.
    let mut more = receipt["receipt"].clone();
    more["replay"] = serde_json::json!({ "where": "everywhere" });
    fs::write(bench.root().join("more.json"), more.to_string()).unwrap();
    let (code, _) = told(&bench, &["verify", "--receipt", bench.root().join("more.json").to_str().unwrap()]);
    assert_eq!(code, Some(1));
}

#[test]
fn learners_of_this_program_are_replayed_everywhere() {
    let bench = Bench::trained(&Setup::default(), &rows(30));
    delete(&bench, "3", "r", false);
    let (_, again) = told(&bench, &["verify", "--retrain"]);
    assert_eq!((&again["by_replay"], &again["replay"]["where"]), (&true.into(), &"everywhere".into()));
    let (_, receipt) = told(&bench, &["receipt", "r"]);
    assert_eq!(receipt["receipt"]["replay"], serde_json::json!({ "where": "everywhere" }));
    let text = String::from_utf8(sisa(&bench, &path(), &["verify", "--retrain"]).stdout).unwrap();
    assert!(text.contains("by replay on any machine: every file is bit-identical"), "{text}");
}

#[test]
fn a_worker_that_fails_in_a_verification_is_no_damage() {
    let bench = Bench::trained(&setup(), &rows(30));
    // The first worker is the probe's.
    fault(&bench, 1, 6, "die");
    let (code, verdict) = told(&bench, &["--threads", "1", "verify", "--retrain"]);
    assert_eq!((code, &verdict["same"], &verdict["by_replay"]), (Some(8), &true.into(), &Value::Null), "{verdict}");
    assert!(verdict["stopped"].as_u64().unwrap() > 0 && verdict["retrained"].as_u64().unwrap() > 0);
    assert!(verdict["notes"].to_string().contains("signal 9"), "{verdict}");
    assert_eq!(told(&bench, &["verify", "--retrain"]).0, Some(0));
}

/// Its states follow from the clock, and the person insists.
fn insisted() -> Bench {
    let bench = with("replay = false\nsettings = { clock = true }");
    assert!(bench.train().complete);
    bench
}

#[test]
fn what_is_recorded_as_not_replayable_holds_by_construction_alone() {
    let bench = insisted();
    delete(&bench, "3", "r", false);
    let (code, quick) = told(&bench, &["verify"]);
    assert_eq!((code, &quick["by_construction"], &quick["replay"]["where"]), (Some(0), &true.into(), &"nowhere".into()));
    // No worker is started for what says nothing.
    let output = sisa(&bench, "/nonexistent", &["verify", "--retrain"]);
    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(0), "{text}");
    assert!(text.contains("recorded as not replayable") && text.contains("nothing was trained again"), "{text}");
    let (_, verdict) = told(&bench, &["verify", "--retrain"]);
    assert_eq!((&verdict["same"], &verdict["by_replay"], &verdict["retrained"]), (&true.into(), &Value::Null, &0.into()));
    let (_, receipt) = told(&bench, &["receipt", "r"]);
    assert_eq!(receipt["receipt"]["replay"]["where"], "nowhere");
    // What went is gone: no state of before is there.
    let states = checkpoints(&bench);
    assert_eq!(states.len(), 6);
    delete(&bench, "5", "s", true);
    assert!(checkpoints(&bench).len() < 6, "states that saw the person are unlinked");
    assert!(bench.train().complete);
    let changed = |(path, bytes): &(&PathBuf, &Vec<u8>)| states.get(*path) != Some(bytes);
    assert!(checkpoints(&bench).iter().filter(changed).count() > 0);
    assert_eq!(told(&bench, &["verify"]).0, Some(0));
    // In another environment states would be mixed in silence: it is refused, and the advice works.
    delete(&bench, "6", "t", true);
    fs::write(bench.root().join("machine"), "two").unwrap();
    let error = said(&sisa(&bench, &path(), &["train"]));
    assert!(error.contains("another environment") && error.contains("machine: one there, two here"), "{error}");
    rewrite(&bench, "seconds = 60", "seconds = 60\nedition = 2");
    assert!(bench.train().complete);
    assert_eq!(told(&bench, &["verify", "--retrain"]).0, Some(0));
}

#[test]
fn states_that_are_not_replayable_go_on_from_those_that_are_there() {
    let bench = insisted();
    let before = checkpoints(&bench);
    // A damaged state: it is trained again, to other bytes, and so is what went on from it.
    let step = |bench: &Bench, step: &str| {
        let of = |path: &PathBuf| {
            path.parent().unwrap().ends_with("0000") && path.file_name().unwrap().to_str().unwrap().starts_with(step)
        };
        checkpoints(bench).into_keys().find(of).unwrap()
    };
    let damaged = bench.root().join(step(&bench, "01-"));
    let mut bytes = fs::read(&damaged).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    fs::remove_file(&damaged).unwrap();
    fs::write(&damaged, bytes).unwrap();
    let report = bench.engine().repair(&Input::new(), false, &Quiet).unwrap();
    assert!(report.complete);
    let after = checkpoints(&bench);
    assert!(after.keys().eq(before.keys()));
    for (path, bytes) in &after {
        let other = path.parent().unwrap().ends_with("0001");
        assert_eq!(before[path] == *bytes, other, "{}", path.display());
    }
    assert_eq!(told(&bench, &["verify", "--retrain"]).0, Some(0));
}

#[test]
fn what_another_machine_trained_is_not_put_behind_other_states() {
    let bench = with("replay = false\nsettings = { clock = true }");
    bench.engine().import(&bench.request(), &Quiet).unwrap();
    let engine = bench.engine();
    let pack = |shard| engine.pack(PackRequest { shard: ShardId(shard), serving: false }, &Quiet).unwrap().unwrap().bytes;
    let (one, other) = (train_bundle(&pack(0), 1, &Quiet).unwrap(), train_bundle(&pack(0), 1, &Quiet).unwrap());
    let unpacked = engine.unpack(&one).unwrap();
    assert_eq!((unpacked.published, unpacked.present, unpacked.overtaken), (3, 0, 0));
    let before = checkpoints(&bench);
    // The same comes again, then another training of the same.
    let unpacked = engine.unpack(&one).unwrap();
    assert_eq!((unpacked.published, unpacked.present, unpacked.overtaken), (0, 3, 0));
    let unpacked = engine.unpack(&other).unwrap();
    assert_eq!((unpacked.published, unpacked.present, unpacked.overtaken), (0, 1, 2));
    assert_eq!(checkpoints(&bench), before);
    assert!(bench.train().complete);
    let verdict = engine.verify(&VerifyRequest { retrain: true, ..VerifyRequest::default() }, &Quiet).unwrap();
    assert!(verdict.findings.is_empty() && matches!(verdict.replay, Some(Replay::Nowhere { .. })), "{verdict:?}");
}
