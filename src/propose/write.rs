//! The text of a proposal.

use std::{fmt::Write as _, path::PathBuf};

use super::{
    Declared, ProposeError,
    advice::Advice,
    figures::{about, end, share},
    sketch::SHARED_MIN,
    toml_text::{key, lines, list, quoted},
};
use crate::{
    config::Overrides,
    learn::Range,
    order::Grid,
    predict::Aggregate,
    schema::{DateOrder, IdForm, Kind, NumberFormat},
    train::{Keep, Recipe},
};

/// The share of the subjects that is held out.
const HOLDOUT: f64 = 0.1;

/// A remark as a comment of its own.
fn remark(note: &str) -> String {
    let mut rest = note.chars();
    let first = rest.next().map(|c| c.to_uppercase().to_string()).unwrap_or_default();
    format!("# {first}{}.", rest.as_str())
}

/// A declared range as an option.
fn range(range: Range) -> String {
    let [low, high] = range.0.map(end);
    format!("range = [{low}, {high}]")
}

/// How numbers are spelt, an option each.
fn marks(format: &NumberFormat) -> Vec<String> {
    let decimal = (format.decimal != '.').then(|| format!("decimal = {}", quoted(&format.decimal.to_string())));
    let thousands = format.thousands.map(|mark| format!("thousands = {}", quoted(&mark.to_string())));
    let symbols = || format!("symbols = {}", list(format.symbols.iter().map(String::as_str)));
    let symbols = (!format.symbols.is_empty()).then(symbols);
    decimal.into_iter().chain(thousands).chain(symbols).collect()
}

/// The order of a date as it is written.
pub(super) fn order_name(order: DateOrder) -> &'static str {
    match order {
        DateOrder::YearMonthDay => "year-month-day",
        DateOrder::DayMonthYear => "day-month-year",
        DateOrder::MonthDayYear => "month-day-year",
    }
}

/// How a label that is a number is spelt, and its ends, a line each.
pub(super) fn label_marks(format: &NumberFormat, ends: Option<Range>) -> Vec<String> {
    marks(format).into_iter().chain(ends.map(range)).collect()
}

pub(super) fn kind_text(kind: &Kind) -> String {
    match kind {
        Kind::Number { log1p, indicator, range: ends, format } => {
            let range = ends.map(range).map_or(String::new(), |range| format!(", {range}"));
            let log1p = if *log1p { ", log1p = true" } else { "" };
            let indicator = if *indicator { ", indicator = true" } else { "" };
            let marks: String = marks(format).into_iter().map(|option| format!(", {option}")).collect();
            match format!("{marks}{range}{log1p}{indicator}") {
                options if options.is_empty() => "\"number\"".into(),
                options => format!("{{ kind = \"number\"{options} }}"),
            }
        }
        Kind::Date { order, origin, indicator, range: ends, .. } => {
            let range = ends.map(range).map_or(String::new(), |range| format!(", {range}"));
            let indicator = if *indicator { ", indicator = true" } else { "" };
            let order = order_name(*order);
            format!("{{ kind = \"date\", order = \"{order}\", origin = {}{range}{indicator} }}", quoted(origin))
        }
        Kind::Embedding { size, range: ends, format } => {
            let marks: String = marks(format).into_iter().map(|option| format!(", {option}")).collect();
            format!("{{ kind = \"embedding\", size = {size}, {}{marks} }}", range(*ends))
        }
        Kind::Boolean => "\"boolean\"".into(),
        Kind::Byte { scale } => format!("{{ kind = \"byte\", scale = {scale:?} }}"),
        Kind::Values { values } => format!("{{ kind = \"category\", values = {} }}", list(values.iter().map(String::as_str))),
        Kind::Buckets { buckets } => format!("{{ kind = \"category\", buckets = {buckets} }}"),
        Kind::Ignore => "\"ignore\"".into(),
    }
}

/// The line of a column under `[columns]`.
pub(crate) fn column_line(name: &str, kind: &Kind) -> String {
    format!("{} = {}", key(name), kind_text(kind))
}

/// The line of a declared range.
pub(crate) fn range_line(ends: Range) -> String {
    range(ends)
}

/// `[data]`, `[label]` and `[columns]`.
pub(super) fn declared(declared: &Declared<'_>, names: &[PathBuf], overrides: &Overrides) -> Result<String, ProposeError> {
    let Declared { profile, roles, lines, .. } = declared;
    let name = |index: usize| profile.columns.get(index).map_or("", |c| c.name.as_str());
    let mut out = String::new();
    let mut line = |text: String| {
        out.push_str(&text);
        out.push('\n');
    };
    line(format!("# Proposed by sisa from {} rows of {} subjects.", about(profile.rows), about(roles.subjects)));
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
    if roles.subject.is_some() {
        line("# Rows without a subject's id: \"error\", \"skip\" (left out) or \"own\" (each is its own subject).".into());
        line("missing_subject = \"error\"".into());
    }
    if declared.id_form() == IdForm::Integer {
        line("# Ids look like whole numbers with a point; `1004.0` and `1004` are one id.".into());
        line("id_form = \"integer\"".into());
    }
    line("# The columns that name a record among all.".into());
    if let Some(note) = &roles.record_note {
        line(remark(note));
    }
    if !roles.record.is_empty() {
        line(format!("record = {}", list(roles.record.iter().map(|i| name(*i)))));
    }
    line("# The share of the subjects that is never trained on, to measure with; 0 for none.".into());
    line(format!("holdout = {}", overrides.holdout.unwrap_or(HOLDOUT)));
    line("# Spellings of a missing value.".into());
    line(format!("missing = {}", list(lines.missing.iter().map(String::as_str))));
    line("# A cell that its column can't take: \"error\", \"missing\" or \"skip-row\".".into());
    line("on_bad = \"error\"".into());
    line("\n[label]".into());
    label_text(declared, &mut line)?;
    line("\n# What each column is: \"number\", \"date\", \"boolean\", \"byte\", \"category\" or \"ignore\". The order is that of the inputs.".into());
    line("[columns]".into());
    for column in &lines.lines {
        match column.comment.is_empty() {
            true => line(column_line(&column.key, &column.kind)),
            false => line(format!("{} = {}  # {}", key(&column.key), kind_text(&column.kind), column.comment.join("; "))),
        }
    }
    Ok(out)
}

fn label_text(declared: &Declared<'_>, line: &mut impl FnMut(String)) -> Result<(), ProposeError> {
    let Declared { profile, roles, counts, .. } = declared;
    let label = profile.columns.get(roles.label).ok_or(ProposeError::NoInputs)?;
    if let Some(note) = &roles.label_note {
        line(remark(&format!("{note}; if it is another, name it and have this file proposed again")));
    }
    line(format!("column = {}", quoted(&label.name)));
    let (missing, _) = label.missing_labels();
    if missing > 0 {
        line(format!(
            "# {} of the rows have no label. \"error\" would stop the import at the first of them.",
            share(missing, counts.rows)
        ));
        line("missing = \"skip\"".into());
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
            if roles.is_ordinal() {
                line("# Whole numbers, taken for classes; without `values` the label is a number.".into());
            }
            line(format!("values = {}", list(classes.iter().map(|c| c.value.as_str()))));
        }
        None => {
            let format = declared.label_numbers().map(|numbers| numbers.0).unwrap_or_default();
            line("# A number. Beyond its range, `ridge` and `forest` take it for the end.".into());
            label_marks(&format, declared.label_range()).into_iter().for_each(&mut *line);
            if declared.is_skewed(label) {
                line("# Skewed, so ln(1 + x) is learnt.".into());
                line("log1p = true".into());
            }
        }
    }
    Ok(())
}

/// `[shards]`, `[learner]`, `[schedule]` and, where it says something, `[checkpoints]`.
pub(super) fn settings(grid: Grid, recipe: &Recipe, aggregate: Aggregate, advice: &Advice, subjects: u64) -> String {
    let each = about(subjects / u64::from(grid.shards.max(1)));
    let shards = format!("More shards make a deletion cheaper and each constituent weaker. About {each} subjects a shard.");
    let mut out = sections(grid, recipe, aggregate, &shards, &format!("Why this kind: {}.", advice.reason), "");
    if let Keep::Best(count) = recipe.keep {
        // Writing to a string can't fail.
        let _ = writeln!(out, "\n[checkpoints]\nkeep = {count}");
    }
    out
}

/// `[shards]`, `[learner]` and `[schedule]`, with the reason for them; `later` are lines of the first that stay.
pub(super) fn chosen(grid: Grid, recipe: &Recipe, aggregate: Aggregate, why: &str, later: &str) -> String {
    sections(grid, recipe, aggregate, "More shards make a deletion cheaper and each constituent weaker.", why, later)
}

fn sections(grid: Grid, recipe: &Recipe, aggregate: Aggregate, shards: &str, why: &str, later: &str) -> String {
    let (aggregate, kinds) = (format!("{aggregate:?}").to_lowercase(), crate::learn::LearnerSettings::KINDS.join(", "));
    let (learner, schedule) = (lines(&recipe.learner).join("\n"), lines(&recipe.schedule).join("\n"));
    format!(
        "
# {shards}
[shards]
shards = {}
slices = {}
aggregate = \"{aggregate}\"
{later}
# {why}
# Kinds are {kinds}; have this file proposed again for another one to see what that would have (docs/CONFIG.md).
[learner]
{learner}

# Which rows a step visits, and how many passes all steps amount to.
[schedule]
{schedule}
",
        grid.shards, grid.slices,
    )
}
