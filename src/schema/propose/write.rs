//! The text of a proposal.

use std::{collections::BTreeSet, fmt::Write as _, ops::Range, path::PathBuf};

use super::{
    ProposeError,
    judge::{Counts, FAMILY_MIN, Verdict, is_skewed, judge, judge_family},
    names,
    profile::{ColumnProfile, Profile},
    roles::Roles,
    sketch::SHARED_MIN,
};
use crate::{learn::NETWORK_SUBJECTS, schema::Kind};

/// The share of the subjects that is held out.
const HOLDOUT: f64 = 0.1;

/// A number in two significant digits.
fn two_digits(number: f64) -> String {
    let short = format!("{number:.1e}");
    // What was just written is a number.
    let rounded: f64 = short.parse().unwrap_or(number);
    match rounded.abs() {
        0.0 => "0".into(),
        size if (1e-4..1e9).contains(&size) => rounded.to_string(),
        _ => short,
    }
}

/// A count in two significant digits, its thousands apart.
pub(super) fn about(count: u64) -> String {
    let digits = two_digits(count as f64);
    let mut out = String::new();
    for (left, digit) in (0..digits.len()).rev().zip(digits.chars()) {
        out.push(digit);
        if left % 3 == 0 && left > 0 && !digits.contains('e') {
            out.push(',');
        }
    }
    out
}

/// A remark as a comment of its own.
fn remark(note: &str) -> String {
    let mut rest = note.chars();
    let first = rest.next().map(|c| c.to_uppercase().to_string()).unwrap_or_default();
    format!("# {first}{}.", rest.as_str())
}

/// A range in two significant digits, as an option; nothing where the ends are one.
fn range((low, high): (f64, f64)) -> Option<String> {
    let (low, high) = (two_digits(low), two_digits(high));
    (low != high).then(|| format!("range = [{low}, {high}]"))
}

/// A share in two significant digits.
pub(super) fn share(part: u64, whole: u64) -> String {
    let percent = 100.0 * part as f64 / whole.max(1) as f64;
    if percent < 0.1 { "under 0.1 %".into() } else { format!("{} %", two_digits(percent)) }
}

/// A basic string of TOML.
fn quoted(text: &str) -> String {
    let mut out = String::from('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\t' => out.push_str("\\t"),
            // Also those beyond ASCII, which some readers refuse or show as a line's end.
            c if c.is_control() || matches!(c, '\u{2028}' | '\u{2029}') => {
                // Writing to a string can't fail.
                let _ = write!(out, "\\u{:04X}", u32::from(c));
            }
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

fn list<'a>(items: impl Iterator<Item = &'a str>) -> String {
    format!("[{}]", items.map(quoted).collect::<Vec<_>>().join(", "))
}

/// A key of TOML, quoted where it has to be.
fn key(name: &str) -> String {
    let is_bare = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    if !name.is_empty() && name.chars().all(is_bare) { name.to_owned() } else { quoted(name) }
}

fn kind_text(kind: &Kind, ends: Option<(f64, f64)>) -> String {
    match kind {
        Kind::Number { log1p, indicator, .. } => {
            let range = ends.and_then(range).map_or(String::new(), |range| format!(", {range}"));
            let log1p = if *log1p { ", log1p = true" } else { "" };
            let indicator = if *indicator { ", indicator = true" } else { "" };
            match format!("{range}{log1p}{indicator}") {
                options if options.is_empty() => "\"number\"".into(),
                options => format!("{{ kind = \"number\"{options} }}"),
            }
        }
        Kind::Byte { scale } => format!("{{ kind = \"byte\", scale = {scale:?} }}"),
        Kind::Values { values } => format!("{{ kind = \"category\", values = {} }}", list(values.iter().map(String::as_str))),
        Kind::Buckets { buckets } => format!("{{ kind = \"category\", buckets = {buckets} }}"),
        Kind::Ignore => "\"ignore\"".into(),
    }
}

/// Cuts columns into families of neighbours with one name and successive numbers; one without like is its own.
fn families(columns: &[&ColumnProfile]) -> Vec<Range<usize>> {
    let numbers: Vec<_> = columns.iter().map(|c| names::numbered(&c.name)).collect();
    let follows = |at: usize| match (at.checked_sub(1).and_then(|b| numbers.get(b)), numbers.get(at)) {
        (Some(Some((stem_before, before, _))), Some(Some((stem, number, _)))) => {
            stem_before == stem && before.checked_add(1) == Some(*number)
        }
        _ => false,
    };
    let mut families: Vec<Range<usize>> = Vec::new();
    for at in 0..columns.len() {
        match families.last_mut() {
            Some(family) if follows(at) => family.end = at + 1,
            _ => families.push(at..at + 1),
        }
    }
    families
}

/// A range or a pattern for the columns `from..to`, if there is one that means just them.
fn common_name(columns: &[&ColumnProfile], all: &[ColumnProfile]) -> Option<String> {
    let (first, last) = (columns.first()?, columns.last()?);
    let padded = columns.iter().any(|c| names::numbered(&c.name).is_some_and(|n| n.2));
    if !padded {
        return Some(format!("{}..{}", first.name, last.name));
    }
    let (stem, ..) = names::numbered(&first.name)?;
    let matching = all.iter().filter(|c| c.name.starts_with(stem)).count();
    (!stem.is_empty() && matching == columns.len()).then(|| format!("{stem}*"))
}

/// Settings that follow from the count of subjects and the width of a row.
struct Size {
    shards: u64,
    network: bool,
    hidden: u32,
    batch: u32,
}

impl Size {
    fn of(rows: u64, subjects: u64, inputs: usize) -> Size {
        /// Subjects that each shard of a network needs.
        const NETWORK: u64 = 2000;
        /// Subjects that a linear model needs.
        const LINEAR: u64 = 500;
        let round = |shards: u64| [20, 16, 12, 10, 8, 5, 4, 3, 2].into_iter().find(|s| *s <= shards).unwrap_or(1);
        let network = subjects >= NETWORK_SUBJECTS;
        let shards = round(subjects / if network { NETWORK } else { LINEAR });
        let batch = if rows / shards >= 20_000 { 256 } else { 64 };
        Size { shards, network, hidden: if inputs >= 256 { 128 } else { 64 }, batch }
    }
}

/// Writes the proposal.
pub(super) fn text(profile: &Profile, roles: &Roles, names: &[PathBuf]) -> Result<String, ProposeError> {
    let counts = Counts { rows: profile.rows, candidate: roles.candidate };
    let name = |index: usize| profile.columns.get(index).map_or("", |c| c.name.as_str());
    // The label, the subject and a column that names the record alone need no line.
    let is_input = |index: usize| index != roles.label && Some(index) != roles.subject && roles.record != [index];
    let inputs: Vec<&ColumnProfile> = profile.columns.iter().enumerate().filter(|(i, _)| is_input(*i)).map(|(_, c)| c).collect();
    if let Some(odd) = inputs.iter().find(|c| c.name.contains("..") || c.name.contains('*')) {
        return Err(ProposeError::Name { column: odd.name.clone() });
    }
    let (columns, missing, used) = columns_text(&inputs, &profile.columns, counts);
    if used == 0 {
        return Err(ProposeError::NoInputs);
    }
    let mut out = String::new();
    let mut line = |text: String| {
        out.push_str(&text);
        out.push('\n');
    };
    line(format!("# Proposed by `sisa schema` from {} rows of {} subjects.", about(profile.rows), about(roles.subjects)));
    line("# It is yours from here on: nothing is inferred again, and what was guessed is said to be.".into());
    line(format!(
        "# A value is listed only if at least {SHARED_MIN} subjects share it; ranges are rounded and leave out the extremes."
    ));
    line("\n[data]".into());
    let paths = names.iter().map(|path| path.to_str().ok_or_else(|| ProposeError::Path { path: path.clone() }));
    let paths = paths.collect::<Result<Vec<_>, _>>()?;
    line(format!("sources = {}", list(paths.into_iter())));
    line("# Whom a record is about. All records of a subject lie in one slice and are deleted together.".into());
    if let Some(note) = &roles.subject_note {
        line(remark(note));
    }
    if let Some(subject) = roles.subject {
        line(format!("subject = {}", quoted(name(subject))));
    }
    line("# The columns that name a record among all.".into());
    if let Some(note) = &roles.record_note {
        line(remark(note));
    }
    if !roles.record.is_empty() {
        line(format!("record = {}", list(roles.record.iter().map(|i| name(*i)))));
    }
    line("# The share of the subjects that is never trained on, to measure with; 0 for none.".into());
    line(format!("holdout = {HOLDOUT}"));
    line("# Spellings of a missing value.".into());
    line(format!("missing = {}", list(missing.into_iter())));
    line("\n[label]".into());
    label_text(profile, roles, counts, &mut line)?;
    line("\n# What each column is: \"number\", \"byte\", \"category\" or \"ignore\". The order is that of the inputs.".into());
    line("[columns]".into());
    out.push_str(&columns);
    settings_text(&Size::of(profile.rows, roles.subjects, used), roles, &mut out);
    Ok(out)
}

fn label_text(profile: &Profile, roles: &Roles, counts: Counts, line: &mut impl FnMut(String)) -> Result<(), ProposeError> {
    let label = profile.columns.get(roles.label).ok_or(ProposeError::NoInputs)?;
    if let Some(note) = &roles.label_note {
        line(remark(&format!("{note}; if it is another, `sisa schema --label NAME` proposes again")));
    }
    line(format!("column = {}", quoted(&label.name)));
    let missing = label.missing_rows();
    if missing > 0 {
        line(format!(
            "# {} of the rows have no label; import stops at such a row, so fill or drop them.",
            share(missing, counts.rows)
        ));
    }
    match &roles.classes {
        Some(classes) => {
            let rare: Vec<String> = classes.iter().filter(|c| !c.shared).map(|c| quoted(&c.value)).collect();
            if !rare.is_empty() {
                line(format!(
                    "# Warning: fewer than {SHARED_MIN} subjects have {}; such a class can point to a person.",
                    rare.join(", ")
                ));
            }
            line(format!("values = {}", list(classes.iter().map(|c| c.value.as_str()))));
        }
        None => {
            line("# A number. Beyond its range, `ridge` and `forest` take it for the end.".into());
            if let Some(range) = label.range(counts.candidate).and_then(range) {
                line(range);
            }
            if is_skewed(label, counts) {
                line("# Skewed, so ln(1 + x) is learnt.".into());
                line("log1p = true".into());
            }
        }
    }
    Ok(())
}

/// The lines under `[columns]`, the spellings of a missing value that the inputs need, and the count of inputs.
fn columns_text(inputs: &[&ColumnProfile], all: &[ColumnProfile], counts: Counts) -> (String, BTreeSet<&'static str>, usize) {
    let mut out = String::new();
    let mut missing = BTreeSet::from([""]);
    let mut used = 0;
    for family in families(inputs) {
        let members = inputs.get(family).unwrap_or_default();
        let together = if members.len() >= FAMILY_MIN { judge_family(members, counts) } else { None };
        let verdicts = together.unwrap_or_else(|| members.iter().map(|c| judge(c, counts)).collect());
        for (column, verdict) in members.iter().zip(&verdicts) {
            if verdict.kind != Kind::Ignore {
                used += 1;
                missing.extend(column.spellings());
            }
        }
        let mut from = 0;
        while let Some(verdict) = verdicts.get(from) {
            let alike = verdicts.iter().skip(from).take_while(|v| v.kind == verdict.kind).count();
            let run = members.get(from..from + alike).unwrap_or_default();
            let common = if alike >= FAMILY_MIN { common_name(run, all) } else { None };
            match common {
                Some(common) => {
                    let ends = run.iter().filter_map(|c| c.range(counts.candidate));
                    let ends = ends.reduce(|a, b| (a.0.min(b.0), a.1.max(b.1)));
                    write_line(&mut out, &common, &verdict.kind, ends, &run_comment(run, verdict));
                }
                None => {
                    for (column, verdict) in run.iter().zip(verdicts.iter().skip(from)) {
                        write_line(&mut out, &column.name, &verdict.kind, column.range(counts.candidate), &verdict.comment);
                    }
                }
            }
            from += alike;
        }
    }
    (out, missing, used)
}

/// What to say about columns that share a line.
fn run_comment(run: &[&ColumnProfile], verdict: &Verdict) -> Vec<String> {
    let mut comment = vec![format!("{} columns", run.len())];
    if let Kind::Byte { .. } = verdict.kind {
        comment.extend(verdict.comment.iter().cloned());
    }
    comment
}

fn write_line(out: &mut String, name: &str, kind: &Kind, ends: Option<(f64, f64)>, comment: &[String]) {
    // Writing to a string can't fail.
    let _ = match comment.is_empty() {
        true => writeln!(out, "{} = {}", key(name), kind_text(kind, ends)),
        false => writeln!(out, "{} = {}  # {}", key(name), kind_text(kind, ends), comment.join("; ")),
    };
}

fn settings_text(size: &Size, roles: &Roles, out: &mut String) {
    let Size { shards, network, hidden, batch } = size;
    let each = about(roles.subjects / shards);
    let why = match network {
        true => "fewer would make a network lose",
        false => "too few for a network, so the learner is linear",
    };
    let learner = match network {
        true => format!("kind = \"mlp\"\nhidden = [{hidden}]\nactivation = \"relu\""),
        false => "kind = \"linear\"".to_owned(),
    };
    // Writing to a string can't fail.
    let _ = write!(
        out,
        "
# More shards make a deletion cheaper and each constituent weaker. About {each} subjects a shard: {why}.
[shards]
shards = {shards}
slices = 10
aggregate = \"mean\"

# Kinds are linear, mlp, forest and ridge. The last two need the ranges above, have settings of their own (docs/CONFIG.md), and
# delete without training. What is recommended for these columns stands at the end.
[learner]
{learner}
optimizer = {{ kind = \"sgd\", momentum = 0.9 }}
rate = 0.05
decay = \"constant\"
l2 = 0.0001
batch = {batch}

# `replay` visits each new slice twice and spends the rest of the epochs on those before it.
[schedule]
kind = \"replay\"
epochs = 20
"
    );
}
