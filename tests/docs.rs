//! The documents: prose is wrapped, and links between them lead somewhere.
#![expect(clippy::unwrap_used, reason = "tests stop at what they do not expect")]

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

const WIDTH: usize = 100;

fn documents() -> BTreeMap<PathBuf, String> {
    fn walk(dir: &Path, found: &mut BTreeMap<PathBuf, String>) {
        for entry in fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_str().unwrap();
            if path.is_dir() && !["target", ".git"].contains(&name) {
                walk(&path, found);
            } else if path.extension().is_some_and(|e| e == "md") {
                let text = fs::read_to_string(&path).unwrap();
                found.insert(path, text);
            }
        }
    }
    let mut found = BTreeMap::new();
    walk(Path::new(env!("CARGO_MANIFEST_DIR")), &mut found);
    found
}

/// The lines outside of code, each with its number.
fn prose(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let mut code = false;
    text.lines().enumerate().filter_map(move |(at, line)| {
        let fence = line.trim_start().starts_with("```");
        code ^= fence;
        (!code && !fence).then_some((at + 1, line))
    })
}

/// Whether a line is too long although it could be wrapped: tables, headings, indented code and links are excused.
fn too_long(line: &str) -> bool {
    let excused = ["|", "#", "    "].iter().any(|start| line.starts_with(start)) || line.contains("](") || line.contains("http");
    line.chars().count() > WIDTH && !excused
}

/// The anchor of a heading, as the viewers of Markdown make it.
fn anchor(heading: &str) -> String {
    let kept = heading.trim_start_matches('#').trim().to_lowercase();
    let kept = kept.chars().filter(|c| c.is_alphanumeric() || [' ', '-', '_'].contains(c));
    kept.map(|c| if c == ' ' { '-' } else { c }).collect()
}

#[test]
fn prose_is_wrapped() {
    let documents = documents();
    assert!(documents.len() > 8, "{:?}", documents.keys());
    let long: Vec<String> = documents
        .iter()
        .flat_map(|(path, text)| prose(text).filter(|l| too_long(l.1)).map(|l| format!("{}:{}", path.display(), l.0)))
        .collect();
    assert!(long.is_empty(), "longer than {WIDTH} columns; scripts/wrap.py wraps them: {long:#?}");
}

#[test]
fn links_between_documents_lead_somewhere() {
    let documents = documents();
    let mut seen = 0;
    for (path, text) in &documents {
        for (line, text) in prose(text) {
            for link in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
                if link.contains("://") {
                    continue;
                }
                seen += 1;
                let (file, heading) = link.split_once('#').map_or((link, None), |(f, h)| (f, Some(h)));
                let target = if file.is_empty() { path.clone() } else { path.parent().unwrap().join(file) };
                let place = format!("{}:{line}: {link}", path.display());
                assert!(target.exists(), "{place} is not there");
                if let Some(heading) = heading {
                    let text = fs::read_to_string(&target).unwrap();
                    let found = prose(&text).any(|l| l.1.starts_with('#') && anchor(l.1) == heading);
                    assert!(found, "{place}: no such heading");
                }
            }
        }
    }
    assert!(seen > 20, "the reader of links found {seen} only");
}

#[test]
fn the_readers_of_documents_read() {
    let long = "word ".repeat(30);
    assert!(too_long(&long) && !too_long(&format!("| {long}")) && !too_long(&format!("[{long}](x)")));
    assert_eq!(anchor("## What does a deletion cost?"), "what-does-a-deletion-cost");
    let lines: Vec<_> = prose("a\n```text\nb\n```\nc").collect();
    assert_eq!(lines, [(1, "a"), (5, "c")]);
}
