//! What messages say, they say once; commands that are given no file of theirs say so at once.
#![expect(clippy::disallowed_methods, clippy::unwrap_used, reason = "a test that finds something else should stop")]

use std::{fs, path::Path, process::Command};

/// The files below a folder.
fn files(path: &Path, out: &mut Vec<(String, String)>) {
    for entry in fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path()) {
        if entry.is_dir() {
            files(&entry, out);
        } else if entry.extension().is_some_and(|extension| extension == "rs") {
            out.push((entry.display().to_string(), fs::read_to_string(&entry).unwrap()));
        }
    }
}

/// The fields that a variant's message shows although they are its source, whose message follows in a chain.
fn said_twice(code: &str) -> Vec<String> {
    let mut found = Vec::new();
    for variant in code.split("#[error(").skip(1) {
        let Some((message, body)) = variant.split_once(")]") else { continue };
        let body = body.split("\n    },").next().unwrap_or_default();
        let marked = body.split("#[source]").skip(1).chain(body.split("#[from]").skip(1));
        let marked = marked.filter_map(|rest| rest.trim_start().split(':').next());
        let named = body.lines().filter_map(|line| line.trim().strip_prefix("source:")).map(|_| "source");
        for field in marked.chain(named) {
            if message.contains(&format!("{{{field}}}")) {
                found.push(format!("{field} in {message}"));
            }
        }
    }
    found
}

#[test]
fn no_message_holds_that_of_its_source() {
    let mut all = Vec::new();
    files(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut all);
    let mut messages = 0;
    for (file, code) in &all {
        messages += code.matches("#[error(").count();
        assert_eq!(said_twice(code), Vec::<String>::new(), "{file}");
    }
    assert!(messages > 100, "{messages} messages were looked at");
    let twice = "#[error(\"can't: {cause}\")]\n    A {\n        #[source]\n        cause: io::Error,\n    },\n";
    assert_eq!(said_twice(twice).len(), 1);
    assert_eq!(said_twice(&twice.replace("#[source]\n        cause", "source").replace("{cause}", "{source}")).len(), 1);
    assert_eq!(said_twice(&twice.replace("{cause}", "")).len(), 0);
}

fn sisa(root: &Path, args: &[&str]) -> (Option<i32>, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_sisa")).arg("-w").arg(root).args(args).output().unwrap();
    (output.status.code(), String::from_utf8(output.stderr).unwrap())
}

#[test]
fn what_the_system_says_is_said_once() {
    let dir = tempfile::tempdir().unwrap();
    let (code, said) = sisa(dir.path(), &["train", "nothing.csv", "--label", "y"]);
    assert_eq!((code, said.matches("No such file").count()), (Some(3), 1), "{said}");
}

#[cfg(unix)]
#[test]
fn a_pipe_is_refused_at_once_wherever_a_file_is_asked_for() {
    let dir = tempfile::tempdir().unwrap();
    let pipe = dir.path().join("pipe");
    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let table = dir.path().join("t.csv");
    let rows = (0..60).map(|i| format!("{},{},{}\n", i / 2, i % 7, ["a", "b"][i / 3 % 2]));
    fs::write(&table, "person,x,y\n".to_owned() + &rows.collect::<String>()).unwrap();
    let (pipe, table) = (pipe.to_str().unwrap(), table.to_str().unwrap());
    // None of these would come back if it were opened.
    let (code, said) = sisa(dir.path(), &["train", table, "--config", pipe]);
    assert!(code == Some(3) && said.contains("pipe: is a folder, pipe or device"), "{code:?} {said}");
    let (code, said) = sisa(dir.path(), &["train", table, "--label", "y", "--subject", "person"]);
    assert_eq!(code, Some(0), "{said}");
    let (code, said) = sisa(dir.path(), &["delete", "--from", pipe]);
    assert!(code == Some(3) && said.contains("not a file of ids"), "{code:?} {said}");
}
