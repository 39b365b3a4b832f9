//! Each layer knows only those above it in this list, and a few never know each other.
#![expect(clippy::unwrap_used, reason = "a test that finds something else should stop")]

use std::{collections::BTreeSet, fs, path::Path};

/// From the top down; modules on one line do not know each other unless `ALSO` says so.
const LAYERS: [&[&str]; 21] = [
    &["ids"],
    &["digest", "num"],
    &["fs"],
    &["bucket"],
    &["order"],
    &["learn"],
    &["source"],
    &["schema"],
    &["shard"],
    &["checkpoint"],
    &["ledger"],
    &["train"],
    &["predict", "plan", "bundle"],
    &["workspace", "export"],
    &["import", "delete", "verify", "receipt"],
    &["append", "correct"],
    &["config"],
    &["propose"],
    &["engine"],
    &["lab"],
    &["wire"],
];

/// What a module must not know although it stands above.
const NEVER: [(&str, &str); 7] = [
    ("learn", "fs"),
    ("learn", "order"),
    ("checkpoint", "learn"),
    ("checkpoint", "shard"),
    ("source", "learn"),
    ("delete", "predict"),
    ("verify", "predict"),
];

/// The modules of this crate that a file's code names, tests left out.
fn known(text: &str) -> BTreeSet<String> {
    let code: String = text.lines().filter(|l| !l.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n");
    let code = code.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default();
    let mut found = BTreeSet::new();
    for part in code.split("crate::").skip(1) {
        match part.strip_prefix('{') {
            None => {
                found.insert(part.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect());
            }
            Some(group) => {
                // Names at the first depth of the braces.
                let (mut depth, mut name) = (0, String::new());
                for c in group.chars() {
                    match c {
                        '{' => depth += 1,
                        '}' if depth == 0 => break,
                        '}' => depth -= 1,
                        ',' if depth == 0 => {
                            found.insert(std::mem::take(&mut name).split("::").next().unwrap_or_default().trim().to_owned());
                        }
                        c if depth == 0 => name.push(c),
                        _ => {}
                    }
                }
                found.insert(name.split("::").next().unwrap_or_default().trim().to_owned());
            }
        }
    }
    found
}

fn files(path: &Path, out: &mut Vec<(String, String)>) {
    if path.is_dir() {
        for entry in fs::read_dir(path).unwrap() {
            files(&entry.unwrap().path(), out);
        }
    } else if path.extension().is_some_and(|e| e == "rs") && !path.to_str().unwrap().contains("/tests") {
        out.push((path.display().to_string(), fs::read_to_string(path).unwrap()));
    }
}

#[test]
fn each_layer_knows_only_those_above() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let layer = |name: &str| LAYERS.iter().position(|l| l.contains(&name));
    let mut uses = 0;
    for (at, modules) in LAYERS.iter().enumerate() {
        for module in *modules {
            let mut found = Vec::new();
            let folder = src.join(module);
            files(&if folder.is_dir() { folder } else { src.join(format!("{module}.rs")) }, &mut found);
            assert!(!found.is_empty(), "{module} is not there");
            for (file, text) in found {
                for used in known(&text).iter().filter(|u| u.as_str() != *module) {
                    let Some(other) = layer(used) else { continue };
                    assert!(other < at, "{file}: `{module}` must not know `{used}`");
                    assert!(!NEVER.contains(&(module, used.as_str())), "{file}: `{module}` must never know `{used}`");
                    uses += 1;
                }
            }
        }
    }
    assert!(uses > 100, "the reader of imports found {uses} only");
}

/// Methods of approximate unlearning and what measures them are pure: they know no file, no store, and nothing of real deletions.
#[test]
fn approximate_methods_know_no_store() {
    let lab = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/lab");
    for room in ["methods", "measures"] {
        let mut found = Vec::new();
        files(&lab.join(room), &mut found);
        assert!(found.len() > 5, "{room} is not there");
        for (file, text) in found {
            for used in known(&text) {
                assert!(["", "ids", "digest", "num", "learn", "lab"].contains(&used.as_str()), "{file} knows `{used}`");
            }
        }
    }
}

#[test]
fn only_the_command_line_prints_and_faces_know_the_engine_the_lab_and_the_wire_alone() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut all = Vec::new();
    files(&src, &mut all);
    let mut faced = 0;
    for (file, text) in all {
        let faces: [(&str, &[&str]); 2] = [("/src/cli/", &["engine", "lab", "wire"]), ("/src/serve/", &["engine", "wire"])];
        if let Some((_, known)) = faces.iter().find(|(folder, _)| file.contains(folder)) {
            faced += 1;
            // What tests of a face look at is their own business.
            let text = text.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default();
            assert!(!text.contains("use sisa::{self"), "{file}");
            // `use sisa::{engine::.., lab::..}` is looked at room by room.
            let grouped =
                text.split("use sisa::{\n").skip(1).flat_map(|group| group.lines().take_while(|l| !l.starts_with("};")));
            let rooms = grouped.filter(|l| l.starts_with("    ") && !l.starts_with("     ") && !l.starts_with("    }"));
            for room in rooms {
                assert!(known.iter().any(|known| room.trim().starts_with(known)), "{file} knows more: {room}");
            }
            let text = text.replace("use sisa::{\n", "");
            for part in text.split("sisa::").skip(1) {
                let known = known.iter().any(|room| part.starts_with(room));
                assert!(known, "{file} knows more than it may: sisa::{}", &part[..part.len().min(20)]);
            }
        }
        let asynchronous = ["tokio::", "axum::", "hyper::", "hyper_util::", "http_body_util::", "async fn"];
        let runtime = asynchronous.iter().find(|word| text.contains(**word));
        // The client of a bucket is asynchronous below, and waited for where it is called.
        let own = file.contains("/src/serve/") || file.ends_with("/src/bucket/cloud.rs");
        assert!(own || runtime.is_none(), "{file} knows of an asynchronous runtime");
        if !file.contains("/src/cli/") && !file.ends_with("fs/real.rs") {
            let prints =
                ["println!(", "eprintln!(", "print!("].iter().any(|p| text.lines().any(|l| l.trim_start().starts_with(p)));
            assert!(!prints || file.contains("reference") || file.contains("probe"), "{file} prints");
        }
    }
    assert!(faced > 30, "{faced} files of faces only");
}

/// Texts that name a command on purpose: a receipt and a card are read by people, far from any face.
const NAMES_COMMANDS: [&str; 2] = ["src/receipt/mod.rs", "src/wire/card/markdown.rs"];
const COMMANDS: [&str; 18] = [
    "train",
    "append",
    "schema",
    "plan",
    "predict",
    "eval",
    "status",
    "delete",
    "repair",
    "rekey",
    "unsuppress",
    "log",
    "receipt",
    "keygen",
    "verify",
    "bench",
    "export",
    "card",
];

/// The string literals of a file, comments and tests left out.
fn literals(text: &str) -> Vec<String> {
    let text = text.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default();
    let (mut found, mut rest) = (Vec::new(), text);
    while let Some(at) = rest.find(['"', '/', '\'']) {
        let (here, after) = (&rest[at..], &rest[at + 1..]);
        if here.starts_with("//") {
            rest = here.split_once('\n').map_or("", |(_, next)| next);
        } else if here.starts_with("'\"'") || here.starts_with("'\\\"'") {
            rest = &here[here[1..].find('\'').unwrap() + 2..];
        } else if here.starts_with('"') {
            let (raw, hashes) =
                (rest[..at].trim_end_matches('#').ends_with('r'), rest[..at].len() - rest[..at].trim_end_matches('#').len());
            let (mut end, mut escaped) = (0, false);
            for (i, c) in after.char_indices() {
                end = i;
                match c {
                    '"' if raw && after[i + 1..].starts_with(&"#".repeat(hashes)) => break,
                    '"' if !raw && !escaped => break,
                    _ => escaped = c == '\\' && !escaped,
                }
            }
            found.push(after[..end].to_owned());
            rest = &after[end + 1..];
        } else {
            rest = after;
        }
    }
    found
}

/// The first command or flag of the command line in a text.
fn command_in(text: &str) -> Option<&str> {
    let command = text.match_indices("sisa ").find(|(at, name)| {
        let word = text[at + name.len()..].split(|c: char| !c.is_ascii_lowercase()).next().unwrap_or_default();
        COMMANDS.contains(&word)
    });
    let flag = || text.match_indices("--").find(|(at, _)| text[at + 2..].starts_with(|c: char| c.is_ascii_lowercase()));
    command.or_else(flag).map(|(at, _)| &text[at..])
}

#[test]
fn no_message_of_the_library_names_a_command() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let (mut all, mut read) = (Vec::new(), 0);
    files(&root.join("src"), &mut all);
    for (file, text) in all {
        if file.contains("/src/cli/") || file.contains("/src/serve/") || NAMES_COMMANDS.iter().any(|name| file.ends_with(name)) {
            continue;
        }
        for literal in literals(&text) {
            read += 1;
            assert_eq!(command_in(&literal), None, "{file}: a face words what to do, by `Remedy`: {literal}");
        }
    }
    assert!(read > 1000, "the reader of literals found {read} only");
}

#[test]
fn the_reader_of_literals_reads() {
    let text = r##"let a = 'x'; // "no"
        f("one \" --more", '"', r#"two" "#, "three");"##;
    assert_eq!(literals(text), ["one \\\" --more", "two\" ", "three"]);
    assert_eq!(command_in("run `sisa train` now"), Some("sisa train` now"));
    assert_eq!(command_in("or add --yes"), Some("--yes"));
    assert_eq!(command_in("sisa needs it -- always"), None);
}

#[test]
fn the_reader_of_imports_reads() {
    let text = "use crate::{\n    a::{b, c},\n    d::E,\n    f,\n};\nuse crate::g::H;\n// crate::no\n";
    let names: Vec<_> = known(text).into_iter().collect();
    assert_eq!(names, ["", "a", "d", "f", "g"]);
}
