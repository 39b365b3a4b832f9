//! A proposal that `train` writes says what was trained, and goes on to say it.
#![expect(clippy::disallowed_methods, clippy::unwrap_used, reason = "tests make and change files by hand")]

use std::{fs, path::Path, sync::Mutex};

use sisa::engine::{Engine, KeySource, Observer, Overrides, Progress, Quiet, TrainReport, TrainRequest};

/// Keeps what it is told.
#[derive(Debug, Default)]
struct Told(Mutex<Vec<String>>);

impl Observer for Told {
    fn progress(&self, _: Progress) {}

    fn note(&self, note: &str) {
        self.0.lock().unwrap().push(note.into());
    }

    fn stopped(&self) -> bool {
        false
    }
}

fn train(root: &Path, sources: &[&str], overrides: Overrides, observer: &dyn Observer) -> TrainReport {
    let request = TrainRequest {
        sources: sources.iter().map(|s| root.join(s)).collect::<Vec<_>>().into(),
        config: root.join("sisa.toml"),
        overrides,
        keys: KeySource::Seed(5),
        only_shards: None,
        fresh: false,
    };
    Engine::builder(root).threads(2).wait(true).open().unwrap().train(&request, observer).unwrap()
}

/// Found by trying: the file said `shards = 1` and `kind = "linear"`, and a later edit of `rate` replaced the network by a linear model.
#[test]
fn flags_of_the_first_train_are_in_the_file_that_it_writes() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    let row = |i: usize| format!("p{},{},{},{}\n", i / 2, i * 37 % 61, i * 53 % 47, if i * 37 % 61 > 30 { "yes" } else { "no" });
    fs::write(root.join("visits.csv"), "person,age,dose,sick\n".to_owned() + &(0..400).map(row).collect::<String>()).unwrap();
    let asked = Overrides {
        label: Some("sick".into()),
        shards: Some(4),
        slices: Some(2),
        learner: Some("mlp".into()),
        epochs: Some(2),
        holdout: Some(0.2),
        ..Overrides::default()
    };
    let first = train(root, &["visits.csv"], asked, &Quiet);
    let text = fs::read_to_string(root.join("sisa.toml")).unwrap();
    for line in ["shards = 4", "slices = 2", "holdout = 0.2", "kind = \"mlp\"", "epochs = 2", "subject = \"person\""] {
        assert!(text.lines().any(|l| l == line), "no `{line}` in\n{text}");
    }
    // Nothing is asked for any more, and nothing changes.
    let told = Told::default();
    let second = train(root, &[], Overrides::default(), &told);
    assert_eq!((second.recipe == first.recipe, second.report.shards.iter().all(|s| s.steps == 0)), (true, true));
    assert_eq!(told.0.into_inner().unwrap(), [""; 0]);
    // One setting is edited, and one is what differs.
    fs::write(root.join("sisa.toml"), text.replace("\nrate = 0.05\n", "\nrate = 0.04\n")).unwrap();
    let told = Told::default();
    let third = train(root, &[], Overrides::default(), &told);
    assert_ne!(third.recipe, first.recipe);
    let notes = told.0.into_inner().unwrap().join("\n");
    assert_eq!(notes.matches("->").count(), 1, "{notes}");
    assert!(notes.contains("learner.rate: 0.05 -> 0.04"), "{notes}");
}
