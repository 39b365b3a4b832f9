//! What a comparison promises: figures that repeat, a workspace that it leaves alone, and exact deletion at the floor.
#![expect(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "tests look at files by hand, and stop at what they do not expect"
)]

mod common;

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
    sync::Mutex,
};

use common::{Bench, Setup, rows};
use serde_json::Value;
use sisa::{
    engine::{DeleteRequest, Engine, ErrorKind, Input, Observer, Overrides, Progress, Quiet},
    lab::compare::{CompareRequest, Forget, compare},
};

fn run(root: &Path, args: &[&str], kernels: Option<&str>) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sisa"));
    command.arg("-w").arg(root).args(["--quiet", "--wait"]).args(args).stdin(Stdio::null());
    if let Some(kernels) = kernels {
        command.env("SISA_KERNELS", kernels);
    }
    command.output().unwrap()
}

/// The lines of a comparison that must succeed.
fn lines(root: &Path, args: &[&str], kernels: Option<&str>) -> Vec<Value> {
    let output = run(root, &[&["compare", "--json"], args].concat(), kernels);
    assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// Everything but times.
fn without_seconds(mut lines: Vec<Value>) -> Vec<Value> {
    for line in &mut lines {
        for key in ["seconds", "seconds_share", "foreseen_seconds"] {
            line.as_object_mut().unwrap().remove(key);
        }
    }
    lines
}

/// Every file with its bytes and when it was written.
fn stamped(root: &Path) -> BTreeMap<PathBuf, (Vec<u8>, std::time::SystemTime)> {
    fn walk(dir: &Path, found: &mut BTreeMap<PathBuf, (Vec<u8>, std::time::SystemTime)>) {
        for entry in std::fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                walk(&path, found);
            } else {
                let written = std::fs::metadata(&path).unwrap().modified().unwrap();
                found.insert(path.clone(), (std::fs::read(&path).unwrap(), written));
            }
        }
    }
    let mut found = BTreeMap::new();
    walk(root, &mut found);
    found
}

fn auc(value: &Value) -> f64 {
    value["auc"].as_f64().unwrap()
}

fn holds_half(value: &Value) -> bool {
    value["low"].as_f64().unwrap() <= 0.5 && value["high"].as_f64().unwrap() >= 0.5
}

#[test]
fn figures_repeat_on_any_threads_and_kernels_and_the_workspace_is_untouched() {
    let bench = Bench::trained(&Setup { epochs: 2, ..Setup::default() }, &rows(260));
    let before = stamped(bench.root());
    let all = "fine-tune,neggrad,neggrad+,random-labels,scrub,reset-head,ssd,clean-teacher,adaptive";
    let asked = ["--models", "6", "--share", "4%", "--methods", all, "--groups", "site", "--relearn", "--samples", "--seed", "7"];
    let first = without_seconds(lines(bench.root(), &[&asked[..], &["--threads", "1"]].concat(), None));
    for (threads, kernels) in [("2", None), ("2", Some("scalar"))] {
        let again = lines(bench.root(), &[&asked[..], &["--threads", threads]].concat(), kernels);
        assert_eq!(without_seconds(again), first, "{threads} threads, {kernels:?}");
    }
    assert!(stamped(bench.root()) == before, "a file was touched");
    let of = |kind: &str| first.iter().filter(|l| l["type"] == kind).count();
    assert_eq!([of("compare_reference"), of("compare_method"), of("compare_exact"), of("compare")], [6, 2 * 11, 2, 1]);
    assert_eq!(of("compare_sample"), 2 * 6 * (3 + 10));
    for exact in first.iter().filter(|l| l["type"] == "compare_exact") {
        assert_eq!((exact["byte_identical"].as_u64(), exact["of"].as_u64()), (Some(3), Some(3)), "{exact}");
        assert_eq!(exact["checkpoints"], 3 * 3 * 4, "three keys, three shards, four slices");
    }
    for method in first.iter().filter(|l| l["type"] == "compare_method") {
        assert!(method["verdict"].is_string() != (method["method"] == "floor"), "{method}");
        assert!(method["relearn"].is_number() != (method["method"] == "floor"), "{method}");
        assert_eq!(method["diverged"], 0);
    }
}

/// Deletes a person as soon as it hears that training has begun.
#[derive(Debug)]
struct Meanwhile(Mutex<Option<Engine>>);

impl Observer for Meanwhile {
    fn progress(&self, _: Progress) {}

    fn note(&self, text: &str) {
        if text.contains("originals")
            && let Some(engine) = self.0.lock().unwrap().take()
        {
            let request = DeleteRequest { subjects: vec!["17".into()], ..DeleteRequest::default() };
            engine.delete(&request, &Quiet, |_, _, _| {}).unwrap();
        }
    }

    fn stopped(&self) -> bool {
        false
    }
}

fn request(bench: &Bench) -> CompareRequest {
    CompareRequest {
        sources: Input::new(),
        config: bench.root().join("sisa.toml"),
        overrides: Overrides::default(),
        learner: None,
        forget: vec![Forget::Random],
        share: 0.05,
        methods: vec!["fine-tune".into()],
        settings: Vec::new(),
        models: 4,
        rows: 0,
        groups: Vec::new(),
        relearn: false,
        exact: false,
        requests: None,
        seed: 1,
    }
}

#[test]
fn a_deletion_that_comes_in_drops_the_results() {
    let bench = Bench::trained(&Setup { epochs: 1, ..Setup::default() }, &rows(120));
    let quiet = compare(&bench.engine(), &request(&bench), &Quiet).unwrap();
    assert_eq!((quiet.sets.len(), quiet.interrupted), (1, false));
    let meanwhile = Meanwhile(Mutex::new(Some(bench.engine())));
    let error = compare(&bench.engine(), &request(&bench), &meanwhile).unwrap_err();
    // Which the command line turns into exit code 5.
    assert_eq!(error.kind(), ErrorKind::Retry, "{error}");
}

#[test]
fn what_can_not_be_compared_is_refused_with_what_to_do() {
    let bench = Bench::trained(&Setup { epochs: 1, ..Setup::default() }, &rows(120));
    for (args, expected) in [
        (&["--methods", "retrain"][..], "there is no method `retrain`"),
        (&["--methods", "newton"], "--learner linear"),
        (&["--set", "scrub.pull=1"], "no setting `pull`"),
        (&["--set", "scrub.alpha=-1"], "a number from"),
        (&["--set", "adaptive.check=1.5"], "a whole number"),
        (&["--methods", "none", "--set", "scrub.alpha=1"], "not among the methods"),
        (&["--forget", "group=site:z"], "0 of"),
        (&["--forget", "nobody.txt"], "a file of ids"),
        (&["--groups", "town"], "no column"),
        (&["--learner", "ridge"], "nothing to approximate"),
    ] {
        let output = run(bench.root(), &[&["compare", "--models", "4"], args].concat(), None);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(3), "{args:?}: {said}");
        assert!(said.contains(expected), "{args:?}: {said}");
    }
    // No command that trains, deletes or answers names a method.
    for command in ["train", "delete", "predict", "repair", "rekey"] {
        let help = run(bench.root(), &[command, "--help"], None);
        assert!(!String::from_utf8_lossy(&help.stdout).contains("fine-tune"), "{command}");
    }
}

#[test]
fn the_log_warns_when_more_than_its_share_was_deleted_under_one_key() {
    let bench = Bench::trained(&Setup { epochs: 1, ..Setup::default() }, &rows(40));
    let delete = |people: std::ops::Range<u32>| {
        let subjects = people.map(|p| p.to_string()).collect();
        bench.delete(&DeleteRequest { subjects, ..DeleteRequest::default() });
    };
    let due = || {
        let output = run(bench.root(), &["log", "--json"], None);
        assert!(output.status.success());
        let text = String::from_utf8(output.stdout).unwrap();
        let last: Value = serde_json::from_str(text.lines().last().unwrap()).unwrap();
        (last["type"] == "rekey_due").then(|| last["share"].as_f64().unwrap())
    };
    delete(0..8);
    assert_eq!(due(), None);
    delete(8..30);
    assert!(due().is_some_and(|share| share > 0.5 && share < 0.95), "{:?}", due());
    assert!(String::from_utf8_lossy(&run(bench.root(), &["log"], None).stdout).contains("sisa rekey"));
    let config = bench.root().join("sisa.toml");
    let text = std::fs::read_to_string(&config).unwrap();
    std::fs::write(&config, format!("{text}\n[guard]\nrekey_after = 0.99\n")).unwrap();
    assert_eq!(due(), None);
    std::fs::write(&config, format!("{text}\n[guard]\nrekey_after = 1.5\n")).unwrap();
    assert_eq!(run(bench.root(), &["log"], None).status.code(), Some(3));
    std::fs::write(&config, text).unwrap();
    // A fresh key begins to count anew.
    assert!(run(bench.root(), &["rekey", "--seed", "6"], None).status.success());
    assert_eq!(due(), None);
}

/// The embedded data, trained as the repository's own configuration says.
fn embedded() -> tempfile::TempDir {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let dir = tempfile::tempdir().unwrap();
    let (config, table) = (here.join("sisa.toml"), here.join("data/health_visits.csv.gz"));
    let args = ["train", table.to_str().unwrap(), "--config", config.to_str().unwrap(), "--seed", "1"];
    let output = run(dir.path(), &args, None);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    dir
}

/// With 16 models a side instead of 64, so with wider bands than docs/COMPARE.md has.
#[test]
fn on_the_embedded_data_exact_deletion_is_at_the_floor_and_nothing_done_is_not() {
    let dir = embedded();
    let lines = lines(dir.path(), &["--models", "16", "--methods", "fine-tune,adaptive"], None);
    let row = |forget: &str, name: &str| {
        let of = |l: &&Value| l["type"] == "compare_method" && l["forget"] == forget && l["method"] == name;
        lines.iter().find(of).unwrap().clone()
    };
    for forget in ["random", "hardest"] {
        let floor = row(forget, "floor");
        assert!(holds_half(&floor["set_auc"]) && (0.46..=0.54).contains(&auc(&floor["row_auc"])), "{floor}");
        let quality = floor["forgetting_quality"].as_f64().unwrap();
        assert!((0.15..=0.35).contains(&quality) && floor["shown_epsilon"] == 0.0, "{floor}");
        let exact = lines.iter().find(|l| l["type"] == "compare_exact" && l["forget"] == forget).unwrap();
        assert!(holds_half(&exact["set_auc"]), "{exact}");
        assert_eq!((exact["byte_identical"].as_u64(), exact["of"].as_u64()), (Some(3), Some(3)));
        assert!(auc(&exact["nothing_deleted"]) > 0.7, "{exact}");
        assert!((0.85..=1.0).contains(&exact["row_passes_share"].as_f64().unwrap()), "{exact}");
        assert!((0.08..=0.15).contains(&exact["one_person_share"].as_f64().unwrap()), "{exact}");
        let none = row(forget, "none");
        assert!(auc(&none["told_apart"]) > 0.9 && none["verdict"] == "told apart", "{none}");
        assert!(none["population_mia"].as_f64().unwrap() < 0.04, "averages do not see it: {none}");
        // Nobody is taught what is to go.
        let gap = |row: &Value| row["forget_gap"]["accuracy"]["value"].as_f64().unwrap();
        let adaptive = row(forget, "adaptive");
        assert!(gap(&adaptive) < gap(&none), "{adaptive}");
        let stopped = ["stopped_by_itself", "stopped_by_budget"].map(|key| adaptive[key].as_u64().unwrap());
        assert_eq!(stopped[0] + stopped[1], 16);
        let tuned = row(forget, "fine-tune");
        assert!((0.149..=0.151).contains(&tuned["row_passes_share"].as_f64().unwrap()), "{tuned}");
        assert!(tuned["held_out_gap"]["accuracy"]["value"].as_f64().unwrap() > -0.006, "{tuned}");
    }
    let none = row("hardest", "none");
    assert!(auc(&none["row_auc"]) > 0.8 && none["tpr_at_1"].as_f64().unwrap() > 0.15, "{none}");
    assert!(auc(&row("hardest", "fine-tune")["remembered"]) > 0.9);
    let reference = lines.iter().find(|l| l["role"] == "retrained" && l["forget"] == "hardest").unwrap();
    let ratio = row("hardest", "adaptive")["forget_loss"].as_f64().unwrap() / reference["forget_loss"].as_f64().unwrap();
    assert!((0.88..=1.15).contains(&ratio), "{ratio}");
}

#[test]
fn requests_that_depend_on_published_models_show_and_a_rekey_ends_it() {
    let dir = embedded();
    let lines = lines(dir.path(), &["--adaptive", "--trials", "10", "--shares", "10%"], None);
    let attack = lines.iter().find(|l| l["attacker"] == "constituents").unwrap();
    let away = |name: &str| attack[name].as_f64().unwrap() / attack[format!("{name}_error")].as_f64().unwrap();
    assert!(away("difference").abs() > 3.0 && attack["shows"] == true, "{attack}");
    assert!(away("rekeyed_difference").abs() < 3.5, "{attack}");
    assert!(attack["guessed"].as_f64().unwrap() > attack["chance"].as_f64().unwrap(), "{attack}");
    assert_eq!(lines.iter().filter(|l| l["type"] == "compare_adaptive").count(), 2);
}
