//! Ids that are spelt otherwise than they are typed: counted when they are imported, and said when one is not found. The real command is asked.
#![expect(clippy::disallowed_methods, clippy::unwrap_used, reason = "tests make and look at files by hand")]

use std::{
    fs,
    path::Path,
    process::{Command, Stdio},
};

/// The code, stdout and stderr of `sisa`, words apart by blanks.
fn run(dir: &Path, line: &str) -> (i32, String, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sisa"));
    let output = command.current_dir(dir).args(line.split(' ')).args(["--threads", "2"]).stdin(Stdio::null()).output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
}

/// A workspace trained on these persons, three rows each.
fn trained(persons: &[&str], form: &str) -> (tempfile::TempDir, String) {
    let dir = tempfile::tempdir().unwrap();
    let mut text = "person,dose,outcome\n".to_owned();
    for (at, person) in persons.iter().cycle().take(persons.len() * 3).enumerate() {
        text += &format!("{person},{},{}\n", at * 7 % 13, if at % 2 == 0 { "no" } else { "yes" });
    }
    fs::write(dir.path().join("t.csv"), text).unwrap();
    let config = format!(
        "[data]\nsubject = \"person\"\n{form}holdout = 0.2\n[label]\ncolumn = \"outcome\"\nvalues = [\"no\", \"yes\"]\n\
         [columns]\ndose = \"number\"\n[shards]\nshards = 1\nslices = 2\n[learner]\nkind = \"linear\"\n\
         optimizer = {{ kind = \"sgd\", momentum = 0.5 }}\nrate = 0.1\ndecay = \"constant\"\nl2 = 0.0\nbatch = 4\n"
    );
    fs::write(dir.path().join("c.toml"), config).unwrap();
    let (code, out, err) = run(dir.path(), "-w w train t.csv --config c.toml --seed 1");
    assert_eq!(code, 0, "{err}");
    (dir, out)
}

const PERSONS: [&str; 9] = ["1004.0", "1005.0", "00120", "Anna", "anna", "a\u{a0}b", "e\u{301}va", "p7", "p8"];

#[test]
fn ids_that_look_like_others_are_counted_at_the_import() {
    let (dir, out) = trained(&PERSONS, "");
    for told in ["2 ids look like whole numbers with `.0`", "id_form = \"integer\"", "1 id differs from another one only in case"]
    {
        assert!(out.contains(told), "{told}: {out}");
    }
    let (_, json, _) = run(dir.path(), "-w v train t.csv --config c.toml --seed 1 --json");
    assert!(json.contains("\"point_zero_ids\":2,\"alike_ids\":[{\"differs_in\":\"case\",\"ids\":1}]"), "{json}");
    // Joined by their form they are the same, and nothing is told.
    let (_, out) = trained(&["1004.0", "1004", "1005"], "id_form = \"integer\"\n");
    assert!(!out.contains(" id"), "{out}");
}

#[test]
fn an_unknown_id_is_looked_for_in_other_spellings_and_none_is_written_down() {
    let (dir, _) = trained(&PERSONS, "");
    for (typed, told) in [
        ("1004", "1 id; one that differs only in `.0` is there"),
        ("120", "only in leading zeros is there"),
        ("P7", "only in case is there"),
        ("a b", "only in blanks is there"),
        ("\u{e9}va", "only in its Unicode form is there"),
        ("p7\u{a0}", "only in blanks is there"),
        ("01004", "only in `.0` and leading zeros is there"),
        ("\u{c9}VA", "only in case and its Unicode form is there"),
    ] {
        fs::write(dir.path().join("list.txt"), format!("{typed}\np8\n")).unwrap();
        let (_, out, err) = run(dir.path(), "-w w delete --from list.txt --dry-run");
        assert!(out.contains(told), "{typed}: {out}{err}");
    }
    // An id that is like none.
    let (code, out, _) = run(dir.path(), "-w w delete --subject q9 --no-suppress");
    assert!(code == 4 && !out.contains("differs"), "{out}");
    let (code, out, _) = run(dir.path(), "-w w delete --subject 1005 --json");
    assert_eq!(code, 4);
    assert!(out.contains("\"unknown_alike\":[{\"differs_in\":\"point_zero\",\"ids\":1}]"), "{out}");
    let (_, out, _) = run(dir.path(), "-w w delete --subject 01005 --dry-run --json");
    assert!(out.contains("\"unknown_alike\":[{\"differs_in\":\"point_zero\",\"and_in\":\"zeros\",\"ids\":1}]"), "{out}");
    // Nothing was taken for it, and no spelling was suppressed for it.
    let (code, out, _) = run(dir.path(), "-w w delete --subject 1005.0");
    assert!(code == 0 && out.contains("erased: 1 id, 3 records"), "{out}");
    let mut folders = vec![dir.path().join("w")];
    while let Some(folder) = folders.pop() {
        for path in fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
            match path.is_dir() {
                true => folders.push(path),
                false => assert!(!fs::read(&path).unwrap().windows(4).any(|part| part == b"1005"), "{}", path.display()),
            }
        }
    }
}
