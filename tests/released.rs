//! Workspaces that older versions wrote: opened, answered from, deleted from, verified by training again.
#![expect(clippy::disallowed_methods, reason = "tests copy files and start the real binary")]
#![expect(clippy::unwrap_used, reason = "a test stops at what it does not expect")]

mod common;

use std::{
    collections::BTreeMap,
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Command, Output},
};

/// The folders of what was stored, the learners there, and how many subjects are suppressed in each.
const STORED: [(&str, &str, u32); 5] = [
    ("workspaces-0.1", "linear", 2),
    ("workspaces-0.1", "mlp", 2),
    ("workspaces-0.1", "forest", 2),
    ("workspaces-0.1", "ridge", 2),
    ("workspaces-ledger-2", "linear", 36),
];

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        let target = to.join(path.file_name().unwrap());
        if path.is_dir() {
            copy(&path, &target);
        } else {
            fs::copy(&path, &target).unwrap();
            // A checkout does not keep this.
            let mode = if path.extension().is_some_and(|e| e == "key") { 0o600 } else { 0o644 };
            fs::set_permissions(&target, fs::Permissions::from_mode(mode)).unwrap();
        }
    }
}

/// A copy of a stored workspace, with the table beside it.
fn opened(version: &str, learner: &str) -> (tempfile::TempDir, PathBuf) {
    let stored = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data").join(version);
    let dir = tempfile::tempdir().unwrap();
    fs::copy(stored.join("table.csv"), dir.path().join("table.csv")).unwrap();
    let root = dir.path().join(learner);
    copy(&stored.join(learner), &root);
    (dir, root)
}

fn sisa(root: &Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_sisa")).args(arguments).arg("-q").current_dir(root).output().unwrap()
}

fn fine(root: &Path, arguments: &[&str]) -> String {
    let output = sisa(root, arguments);
    assert!(output.status.success(), "{arguments:?}: {output:?}");
    String::from_utf8(output.stdout).unwrap()
}

/// Slices and checkpoints by their names.
fn artefacts(root: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    let mut folders = vec![root.join("shards"), root.join("checkpoints")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|e| e == "slice" || e == "ckpt") {
                found.insert(path.strip_prefix(root).unwrap().to_owned(), fs::read(&path).unwrap());
            }
        }
    }
    found
}

#[test]
fn what_older_versions_wrote_answers_as_it_did() {
    for (version, learner, suppressed) in STORED {
        let (_dir, root) = opened(version, learner);
        let before = artefacts(&root);
        fine(&root, &["predict", "../table.csv", "-o", "now.csv"]);
        // Version 0.1 did not repeat ids between the row and its answer.
        let now = fs::read_to_string(root.join("now.csv")).unwrap();
        let without_ids = |line: &str| {
            let cells: Vec<&str> = line.split(',').collect();
            format!("{},{}\n", cells[0], cells[cells.len() - 1])
        };
        let then = fs::read_to_string(root.join("predictions.csv")).unwrap();
        let [now, then]: [String; 2] = [now, then].map(|text| text.lines().map(without_ids).collect());
        assert_eq!(now, then, "{version} {learner}");
        let status: serde_json::Value = serde_json::from_str(&fine(&root, &["status", "--json"])).unwrap();
        assert_eq!(status["unrepaired"], serde_json::json!(["waits"]), "{learner}");
        assert_eq!(status["suppressed"], suppressed, "{version} {learner}");
        fine(&root, &["verify", "--receipt", "receipt.json"]);
        assert_eq!(artefacts(&root), before, "{learner}: reading changed something");
    }
}

#[test]
fn what_older_versions_wrote_is_deleted_from_and_exact() {
    for (version, learner, _) in STORED {
        let (dir, root) = opened(version, learner);
        fine(&root, &["delete", "--subject", "11", "--request-id", "later"]);
        // The first request is known, with its ids.
        fine(&root, &["verify", "--retrain", "--receipt", "receipt.json"]);
        assert_eq!(sisa(&root, &["delete", "--subject", "12", "--request-id", "first"]).status.code(), Some(3), "{learner}");
        let log = fine(&root, &["log", "--json"]);
        for request in ["first", "waits", "later"] {
            assert!(log.contains(request), "{learner}: {log}");
        }
        // From scratch, without the three.
        let fresh = dir.path().join("fresh");
        fs::create_dir(&fresh).unwrap();
        fs::copy(root.join("sisa.toml"), fresh.join("sisa.toml")).unwrap();
        let table = fs::read_to_string(dir.path().join("table.csv")).unwrap();
        let left = table.lines().filter(|line| !["3,", "7,", "11,"].iter().any(|gone| line.starts_with(gone)));
        fs::write(dir.path().join("table.csv"), left.map(|line| format!("{line}\n")).collect::<String>()).unwrap();
        fine(&fresh, &["train", "--seed", "5"]);
        common::assert_same(&artefacts(&root), &artefacts(&fresh), learner);
        // Rekeying reads every slice of the old version.
        fine(&root, &["rekey"]);
        fine(&root, &["verify", "--retrain"]);
    }
}

#[test]
fn a_workspace_with_batches_is_deleted_from_appended_to_and_exact() {
    let (version, learner) = ("workspaces-batches", "linear");
    let (dir, root) = opened(version, learner);
    let stored = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data").join(version);
    let (then, now) = (fs::read_to_string(root.join("predictions.csv")).unwrap(), root.join("now.csv"));
    fine(&root, &["predict", "../table.csv", "-o", "now.csv"]);
    assert_eq!(fs::read_to_string(now).unwrap(), then);
    fine(&root, &["verify", "--receipt", "receipt.json"]);
    // The last batch is there; a deletion reaches all, and another batch joins what can be joined.
    let without = |name: &str, gone: &[&str]| {
        let text = fs::read_to_string(stored.join(name)).unwrap();
        let left = text.lines().filter(|line| !gone.iter().any(|person| line.starts_with(&format!("{person},"))));
        fs::write(dir.path().join(name), left.map(|line| format!("{line}\n")).collect::<String>()).unwrap();
    };
    without("batch-3.csv", &[]);
    let told = fine(&root, &["append", "../batch-3.csv", "--batch", "three", "--json"]);
    assert!(told.lines().next().unwrap().contains("\"new\":false"), "{told}");
    fine(&root, &["delete", "--subject", "11", "--request-id", "later"]);
    without("batch-4.csv", &[]);
    fine(&root, &["append", "../batch-4.csv"]);
    fine(&root, &["verify", "--retrain", "--receipt", "receipt.json"]);
    // From scratch, without the three.
    let fresh = dir.path().join("fresh");
    fs::create_dir(&fresh).unwrap();
    fs::copy(root.join("sisa.toml"), fresh.join("sisa.toml")).unwrap();
    ["table.csv", "batch-2.csv", "batch-3.csv", "batch-4.csv"].iter().for_each(|name| without(name, &["3", "7", "11"]));
    fine(&fresh, &["train", "--seed", "5"]);
    ["2", "3", "4"].iter().for_each(|batch| drop(fine(&fresh, &["append", &format!("../batch-{batch}.csv"), "--defer"])));
    fine(&fresh, &["train"]);
    common::assert_same(&artefacts(&root), &artefacts(&fresh), learner);
}

#[test]
fn a_workspace_with_a_correction_and_an_export_is_deleted_from_and_exact() {
    let (version, learner) = ("workspaces-corrected", "linear");
    let (dir, root) = opened(version, learner);
    let stored = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data").join(version);
    let then = fs::read_to_string(root.join("predictions.csv")).unwrap();
    fine(&root, &["predict", "../table.csv", "-o", "now.csv"]);
    assert_eq!(fs::read_to_string(root.join("now.csv")).unwrap(), then);
    fine(&root, &["verify", "--receipt", "receipt.json"]);
    assert!(fs::read_to_string(root.join("receipt.json")).unwrap().contains("\"exports\""));
    // The export saw whoever is deleted now, and the correction is known by its name.
    let told = fine(&root, &["delete", "--subject", "11", "--request-id", "later", "--json"]);
    assert!(told.contains("\"format\":\"onnx\""), "{told}");
    fs::copy(stored.join("corrected.csv"), dir.path().join("corrected.csv")).unwrap();
    let told = fine(&root, &["correct", "--from", "../corrected.csv", "--request-id", "mended", "--json"]);
    assert!(told.contains("\"repeated\":true"), "{told}");
    fine(&root, &["verify", "--retrain", "--receipt", "receipt.json"]);
    // From scratch: the corrected record in the place of the one that it corrects, without the three persons.
    let fresh = dir.path().join("fresh");
    fs::create_dir(&fresh).unwrap();
    fs::copy(root.join("sisa.toml"), fresh.join("sisa.toml")).unwrap();
    let corrected = fs::read_to_string(stored.join("corrected.csv")).unwrap();
    let corrected = corrected.lines().nth(1).unwrap();
    let id = corrected.splitn(3, ',').take(2).collect::<Vec<_>>().join(",") + ",";
    for name in ["table.csv", "batch-2.csv"] {
        let text = fs::read_to_string(stored.join(name)).unwrap();
        let left = text.lines().filter(|line| !["3,", "7,", "11,"].iter().any(|gone| line.starts_with(gone)));
        let now = left.map(|line| if line.starts_with(&id) { corrected } else { line });
        fs::write(dir.path().join(name), now.map(|line| format!("{line}\n")).collect::<String>()).unwrap();
    }
    fine(&fresh, &["train", "--seed", "5"]);
    fine(&fresh, &["append", "../batch-2.csv"]);
    common::assert_same(&artefacts(&root), &artefacts(&fresh), learner);
}

#[test]
fn a_workspace_with_cohorts_is_expired_from_appended_to_and_exact() {
    let (version, learner) = ("workspaces-cohorts", "linear");
    let (dir, root) = opened(version, learner);
    let stored = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data").join(version);
    let then = fs::read_to_string(root.join("predictions.csv")).unwrap();
    fine(&root, &["predict", "../table.csv", "-o", "now.csv"]);
    assert_eq!(fs::read_to_string(root.join("now.csv")).unwrap(), then);
    fine(&root, &["verify", "--receipt", "receipt.json"]);
    // Of 2020 nothing is left, of 2021 and 2022 all but one person's, and the shards of 2019 are empty already.
    fine(&root, &["repair"]);
    let told = fine(&root, &["expire", "--before", "2021-01-01", "--request-id", "later", "--json"]);
    assert!(told.contains("\"row_passes\":0"), "{told}");
    fine(&root, &["verify", "--retrain", "--receipt", "receipt.json"]);
    // From scratch, without what is too old and without the person.
    let fresh = dir.path().join("fresh");
    fs::create_dir(&fresh).unwrap();
    fs::copy(root.join("sisa.toml"), fresh.join("sisa.toml")).unwrap();
    for name in ["table.csv", "batch-2.csv"] {
        let text = fs::read_to_string(stored.join(name)).unwrap();
        let old =
            |line: &str| ["2019-", "2020-"].contains(&line.split(',').nth(2).and_then(|seen| seen.get(..5)).unwrap_or("none"));
        let left = text.lines().filter(|line| !line.starts_with("7,") && !old(line));
        fs::write(dir.path().join(name), left.map(|line| format!("{line}\n")).collect::<String>()).unwrap();
    }
    fine(&fresh, &["train", "--seed", "5"]);
    fine(&fresh, &["append", "../batch-2.csv", "--batch", "two"]);
    common::assert_same(&artefacts(&root), &artefacts(&fresh), learner);
}

#[test]
fn a_workspace_with_a_learner_of_ones_own_is_deleted_from_and_exact() {
    let (version, learner) = ("workspaces-own", "tape");
    let (dir, root) = opened(version, learner);
    let then = fs::read_to_string(root.join("predictions.csv")).unwrap();
    fine(&root, &["predict", "../table.csv", "-o", "now.csv"]);
    assert_eq!(fs::read_to_string(root.join("now.csv")).unwrap(), then);
    let receipt = fs::read_to_string(root.join("receipt.json")).unwrap();
    assert!(receipt.contains("\"format\": 3") && receipt.contains("\"where\": \"environment\""), "{receipt}");
    fine(&root, &["delete", "--subject", "11", "--request-id", "later"]);
    let told = fine(&root, &["verify", "--retrain", "--receipt", "receipt.json", "--json"]);
    assert!(told.contains("\"by_replay\":true") && told.contains("\"machine\":\"one\""), "{told}");
    // From scratch, without the three.
    let fresh = dir.path().join("fresh");
    fs::create_dir(&fresh).unwrap();
    for name in ["sisa.toml", "tape.py"] {
        fs::copy(root.join(name), fresh.join(name)).unwrap();
    }
    let table = fs::read_to_string(dir.path().join("table.csv")).unwrap();
    let left = table.lines().filter(|line| !["3,", "7,", "11,"].iter().any(|gone| line.starts_with(gone)));
    fs::write(dir.path().join("table.csv"), left.map(|line| format!("{line}\n")).collect::<String>()).unwrap();
    fine(&fresh, &["train", "--seed", "5"]);
    common::assert_same(&artefacts(&root), &artefacts(&fresh), learner);
}

/// What 0.1 wrote takes batches: a forest and sums where their rows belong, networks behind the others.
#[test]
fn what_older_versions_wrote_takes_batches() {
    for (version, learner, _) in STORED {
        let (dir, root) = opened(version, learner);
        let table = fs::read_to_string(dir.path().join("table.csv")).unwrap();
        let mut lines = table.lines();
        let (header, first) = (lines.next().unwrap(), lines.next().unwrap());
        let rest = first.splitn(3, ',').nth(2).unwrap();
        fs::write(dir.path().join("batch.csv"), format!("{header}\n800,1,{rest}\n801,1,{rest}\n")).unwrap();
        let output = sisa(&root, &["append", "../batch.csv"]);
        let text = fs::read_to_string(root.join("sisa.toml")).unwrap();
        if text.contains("decay = \"linear\"") || text.contains("\"cumulative\"") || text.contains("\"front\"") {
            assert_eq!(output.status.code(), Some(3), "{version} {learner}: {output:?}");
            continue;
        }
        assert!(output.status.success(), "{version} {learner}: {output:?}");
        fine(&root, &["verify", "--retrain"]);
    }
}
