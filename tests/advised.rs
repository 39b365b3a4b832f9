//! What the program advises works: settings that it names can be pasted, and what it tunes can be trained.
#![expect(clippy::disallowed_methods, clippy::unwrap_used, reason = "tests make files by hand and start the real binary")]

use std::{fs, path::Path, process::Command};

use serde_json::Value;

/// Runs the binary in a folder: exit code, standard output, standard error.
fn sisa(root: &Path, words: &[&str]) -> (i32, String, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_sisa")).current_dir(root).args(words).output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
}

/// Persons with an age, hours that few tell, and what a line through them gives.
fn table(root: &Path, label: impl Fn(u32) -> String) {
    let row = |i: u32| {
        let hours = if i.is_multiple_of(7) { String::new() } else { (i * 5 % 60).to_string() };
        format!("{},{},{hours},{}\n", i / 2, 20 + i * 3 % 50, label(i))
    };
    fs::write(root.join("t.csv"), "person,age,hours,y\n".to_owned() + &(0..600).map(row).collect::<String>()).unwrap();
}

fn config(root: &Path, label: &str, learner: &str) {
    let text = format!(
        "[data]\nsources = [\"t.csv\"]\nsubject = \"person\"\nholdout = 0.2\n[label]\ncolumn = \"y\"\n{label}\n[columns]\nage = \"number\"\n\
         hours = {{ kind = \"number\", indicator = true }}\n[shards]\nshards = 2\nslices = 2\n[learner]\n{learner}\n"
    );
    fs::write(root.join("sisa.toml"), text).unwrap();
}

#[test]
fn numbers_without_a_range_are_named_with_lines_that_work() {
    for (kind, is_class) in [("forest", true), ("ridge", false), ("boost", false)] {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path();
        let number = |i: u32| (i * 3 % 50 + i % 5).to_string();
        table(root, |i| if is_class { ["a", "b"][i as usize / 5 % 2].into() } else { number(i) });
        let values = if is_class { "values = [\"a\", \"b\"]" } else { "" };
        let learner = match kind {
            "ridge" => "kind = \"ridge\"\nmap = { kind = \"bins\" }\nstrength = 0.01".to_owned(),
            _ => format!("kind = \"{kind}\""),
        };
        config(root, values, &learner);
        let (code, _, said) = sisa(root, &["train"]);
        assert_eq!(code, 3, "{said}");
        let mut text = fs::read_to_string(root.join("sisa.toml")).unwrap();
        if kind != "boost" {
            for name in ["age", "hours"] {
                let line = said.lines().find(|line| line.trim_start().starts_with(&format!("{name} = "))).unwrap();
                assert!(line.contains("range = ["), "{said}");
                let old = text.lines().find(|line| line.starts_with(&format!("{name} = "))).unwrap().to_owned();
                text = text.replace(&old, line.trim_start());
            }
            assert!(text.contains("indicator = true"), "what was declared beside it stays: {text}");
        }
        if !is_class {
            let line = said.lines().find(|line| line.trim_start().starts_with("range = ")).unwrap();
            text = text.replace("column = \"y\"", &format!("column = \"y\"\n{}", line.trim_start()));
        }
        fs::write(root.join("sisa.toml"), text).unwrap();
        let (code, _, said) = sisa(root, &["train", "--quiet"]);
        assert_eq!(code, 0, "{kind}: {said}");
    }
}

#[test]
fn what_is_said_after_a_divergence_ends_it() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path();
    // One mistyped label, far beyond all others.
    table(root, |i| if i == 77 { "1e9".into() } else { (i * 3 % 50).to_string() });
    let learner = "kind = \"mlp\"\nhidden = [8]\nactivation = \"relu\"\noptimizer = { kind = \"sgd\", momentum = 0.9 }\nrate = 3.0\n\
                   decay = \"constant\"\nl2 = 0.0\nbatch = 8";
    config(root, "", learner);
    let (code, said, _) = sisa(root, &["train", "--seed", "1", "--quiet"]);
    assert_eq!(code, 8, "{said}");
    let settings: Vec<&str> = said.split('`').filter(|part| part.contains(" = ") && !part.contains('\n')).collect();
    assert!(settings.contains(&"clip = 8.0") && settings.contains(&"max_gradient = 1.0"), "{said}");
    let text = fs::read_to_string(root.join("sisa.toml")).unwrap();
    fs::write(root.join("sisa.toml"), text + "clip = 8.0\nmax_gradient = 1.0\n").unwrap();
    let (code, said, _) = sisa(root, &["train"]);
    assert_eq!(code, 0, "{said}");
    assert_eq!(sisa(root, &["verify", "--retrain"]).0, 0);
}

#[test]
fn a_proposal_for_numbers_neither_diverges_nor_is_led_away_by_two_cells() {
    for kind in ["linear", "mlp"] {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path();
        table(root, |i| (i * 3 % 50 + 20).to_string());
        let text = fs::read_to_string(root.join("t.csv")).unwrap();
        fs::write(root.join("t.csv"), text.replacen(",35,", ",3.5e30,", 1).replacen(",41,", ",-4e25,", 1)).unwrap();
        let words = ["train", "t.csv", "--label", "y", "--subject", "person", "--learner", kind, "--seed", "1", "--json", "-q"];
        let (code, out, said) = sisa(root, &words);
        assert_eq!(code, 0, "{kind}: {said}");
        let evaluated: Value = serde_json::from_str(out.lines().last().unwrap()).unwrap();
        assert!(evaluated["r2"].as_f64().unwrap() > -1.0, "{kind}: {out}");
    }
}

#[test]
fn a_model_worse_than_the_mean_and_a_class_that_is_never_answered_are_said_in_words() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path();
    table(root, |i| if i % 47 == 3 { "rare".into() } else { "common".into() });
    config(root, "values = [\"common\", \"rare\"]", "kind = \"forest\"");
    let text = fs::read_to_string(root.join("sisa.toml")).unwrap();
    let text = text.replace("age = \"number\"", "age = { kind = \"number\", range = [20, 70] }");
    fs::write(root.join("sisa.toml"), text.replace("indicator = true", "range = [0, 60]")).unwrap();
    let (code, said, problem) = sisa(root, &["train", "--seed", "1"]);
    assert_eq!(code, 0, "{problem}");
    assert!(said.contains("The model never answers `rare`"), "{said}");
    // Labels that have nothing to do with those that were learnt.
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path();
    table(root, |i| (i * 3 % 50 + 20).to_string());
    let words = ["train", "t.csv", "--label", "y", "--subject", "person", "--learner", "linear", "--seed", "1", "-q"];
    let (code, said, problem) = sisa(root, &words);
    assert_eq!((code, said.as_str()), (0, ""), "nothing was asked for: {problem}");
    table(root, |i| (1000 + i % 3).to_string());
    let (code, said, _) = sisa(root, &["eval", "t.csv"]);
    assert!(code == 0 && said.contains("worse than always answering the mean"), "{said}");
}

#[test]
fn what_tune_writes_is_trained_and_the_held_out_part_is_not_looked_at() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path();
    table(root, |i| ["a", "b"][i as usize * 3 % 50 / 25].into());
    let words = ["train", "t.csv", "--label", "y", "--subject", "person", "--learner", "linear", "--seed", "1", "-q"];
    assert_eq!(sisa(root, &words).0, 0);
    let status = sisa(root, &["status", "--json"]).1;
    let (code, out, said) = sisa(root, &["tune", "--learners", "forest", "--write", "--json"]);
    assert_eq!(code, 0, "{said}");
    let lines: Vec<Value> = out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let (end, candidates) = lines.split_last().unwrap();
    // What is there, and the grid of the kind that was asked for.
    assert_eq!((candidates.len(), candidates[0]["own"].as_bool()), (5, Some(true)), "{out}");
    assert!(candidates.iter().all(|c| c["quality"].is_number()), "{out}");
    let held_out: u64 = serde_json::from_str::<Value>(&status).unwrap()["shards"]
        .as_array()
        .unwrap()
        .iter()
        .map(|shard| shard["held_out"].as_u64().unwrap())
        .sum();
    assert_eq!(end["records"].as_u64().unwrap() + held_out, 600, "{out}");
    let share = end["validation_records"].as_u64().unwrap() as f64 / end["records"].as_u64().unwrap() as f64;
    assert!((0.1..0.3).contains(&share), "{out}");
    let best = &candidates[end["best"].as_u64().unwrap() as usize];
    assert!(candidates.iter().all(|c| c["quality"].as_f64() <= best["quality"].as_f64()), "{out}");
    assert_eq!(sisa(root, &["status", "--json"]).1, status, "the workspace is as it was");
    let (code, _, said) = sisa(root, &["train", "t.csv", "--fresh", "--yes", "--seed", "1"]);
    assert_eq!(code, 0, "{said}");
    let config = fs::read_to_string(root.join("sisa.toml")).unwrap();
    assert!(config.contains("Chosen by `sisa tune`") && config.contains("[columns]"), "{config}");
    let kind = best["settings"]["kind"].as_str().unwrap();
    assert!(config.contains(&format!("kind = \"{kind}\"")), "{config}");
    assert_eq!(sisa(root, &["verify", "--retrain"]).0, 0);
}
