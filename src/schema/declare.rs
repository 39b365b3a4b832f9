//! The schema as people write it, and its resolution against the columns of a source.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;

use super::{Column, Kind, Label, Places, Schema, SchemaError, some_of};
use crate::learn::Range;

/// The parts of `sisa.toml` that declare what the columns mean.
#[derive(Clone, Debug, PartialEq)]
pub struct Declaration {
    /// The subject column.
    pub subject: Option<String>,
    /// The record columns.
    pub record: Vec<String>,
    /// The label.
    pub label: LabelDeclaration,
    /// Spellings of a missing value.
    pub missing: Vec<String>,
    /// Names, ranges (`p0..p783`) and patterns (`lab_*`) with what they are, in the order written.
    pub columns: Vec<(String, ColumnDeclaration)>,
}

/// The label as declared.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LabelDeclaration {
    /// Its column.
    pub column: String,
    /// The classes; without them the label is a number.
    pub values: Option<Vec<String>>,
    /// Whether ln(1 + x) of a number is learnt.
    #[serde(default)]
    pub log1p: bool,
    /// The ends of a number.
    pub range: Option<[f64; 2]>,
}

/// One line under `[columns]`.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(untagged)]
pub enum ColumnDeclaration {
    /// `age = "number"`.
    Short(String),
    /// `age = { kind = "number", log1p = true }`.
    Long(ColumnOptions),
}

/// The options of a column.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ColumnOptions {
    kind: String,
    log1p: Option<bool>,
    range: Option<[f64; 2]>,
    indicator: Option<bool>,
    scale: Option<f64>,
    values: Option<Vec<String>>,
    buckets: Option<u32>,
}

/// More buckets than this make a first layer that no shard can fill.
const BUCKETS_MAX: u32 = 1 << 20;

impl ColumnDeclaration {
    fn kind(&self, name: &str) -> Result<Kind, SchemaError> {
        let short;
        let options = match self {
            ColumnDeclaration::Short(kind) => {
                short = ColumnOptions { kind: kind.clone(), ..ColumnOptions::default() };
                &short
            }
            ColumnDeclaration::Long(options) => options,
        };
        let wrong = |problem: String| SchemaError::Declaration { at: format!("[columns] {name}"), problem };
        let ColumnOptions { kind, log1p, range, indicator, scale, values, buckets } = options;
        let allow = |allowed: &[&str]| {
            let given = [
                ("log1p", log1p.is_some()),
                ("range", range.is_some()),
                ("indicator", indicator.is_some()),
                ("scale", scale.is_some()),
                ("values", values.is_some()),
                ("buckets", buckets.is_some()),
            ];
            match given.iter().find(|(option, given)| *given && !allowed.contains(option)) {
                Some((option, _)) => Err(wrong(format!("`{option}` has no meaning for kind `{kind}`"))),
                None => Ok(()),
            }
        };
        match kind.as_str() {
            "number" => {
                allow(&["log1p", "range", "indicator"])?;
                let log1p = log1p.unwrap_or(false);
                let range = declared_range(*range, log1p).map_err(wrong)?;
                Ok(Kind::Number { log1p, indicator: indicator.unwrap_or(false), range })
            }
            "byte" => {
                allow(&["scale"])?;
                let scale = scale.unwrap_or(1.0 / 255.0) as f32;
                if !(scale.is_finite() && scale > 0.0) {
                    return Err(wrong(format!("`scale` is {scale}; it must be a positive number")));
                }
                Ok(Kind::Byte { scale })
            }
            "category" => {
                allow(&["values", "buckets"])?;
                match (values, buckets) {
                    (Some(values), None) => {
                        distinct(values).map_err(wrong)?;
                        Ok(Kind::Values { values: values.clone() })
                    }
                    (None, Some(buckets)) if (1..=BUCKETS_MAX).contains(buckets) => Ok(Kind::Buckets { buckets: *buckets }),
                    (None, Some(buckets)) => Err(wrong(format!("`buckets` is {buckets}; it must be from 1 to {BUCKETS_MAX}"))),
                    _ => Err(wrong("a category needs either `values = [...]` or `buckets = N`".into())),
                }
            }
            "ignore" => {
                allow(&[])?;
                Ok(Kind::Ignore)
            }
            other => Err(wrong(format!("kind `{other}` is unknown; it is one of number, byte, category, ignore"))),
        }
    }
}

/// Two ends in order, as f32, that the column can take.
fn declared_range(range: Option<[f64; 2]>, log1p: bool) -> Result<Option<Range>, String> {
    let Some([low, high]) = range else { return Ok(None) };
    let range = Range([low as f32, high as f32]);
    if !range.0.iter().all(|end| end.is_finite()) || range.0[0] >= range.0[1] {
        return Err(format!("`range` is [{low}, {high}]; write two finite numbers, the lower one first"));
    }
    if log1p && range.0[0] <= -1.0 {
        return Err(format!("`range` begins at {low}; log1p needs numbers above -1"));
    }
    Ok(Some(range))
}

fn distinct(values: &[String]) -> Result<(), String> {
    let mut seen = BTreeSet::new();
    match values.iter().find(|v| !seen.insert(v.trim_ascii())) {
        Some(twice) => Err(format!("value `{twice}` is listed twice")),
        None if values.is_empty() => Err("`values` is empty".into()),
        None => Ok(()),
    }
}

/// What a name under `[columns]` stands for.
enum Pattern<'a> {
    Name(&'a str),
    Range { prefix: &'a str, from: u64, to: u64 },
    Glob(&'a str),
}

impl<'a> Pattern<'a> {
    /// What `text` stands for, among the columns that were found: one that is called so is meant itself.
    fn parse(text: &'a str, found: &Places<'_>) -> Result<Pattern<'a>, SchemaError> {
        if found.find(text).is_some() {
            return Ok(Pattern::Name(text));
        }
        let wrong = |problem: &str| SchemaError::Declaration { at: format!("[columns] {text}"), problem: problem.into() };
        if let Some((low, high)) = text.split_once("..") {
            let digits = |s: &'a str| s.split_at(s.trim_end_matches(|c: char| c.is_ascii_digit()).len());
            let ((prefix, from), (prefix_high, to)) = (digits(low), digits(high));
            if prefix != prefix_high {
                return Err(wrong("a range repeats its prefix on both sides, as in `p0..p783`"));
            }
            let number = |s: &str| s.parse().map_err(|_| wrong("a range ends in numbers, as in `p0..p783`"));
            let (from, to) = (number(from)?, number(to)?);
            if from > to || to - from >= 1 << 20 {
                return Err(wrong("a range goes from low to high and has at most 1,048,576 columns"));
            }
            return Ok(Pattern::Range { prefix, from, to });
        }
        match text.split_once('*') {
            Some((_, rest)) if rest.contains('*') => Err(wrong("a pattern has one `*`")),
            Some(_) => Ok(Pattern::Glob(text)),
            None => Ok(Pattern::Name(text)),
        }
    }

    /// Declarations that name more precisely win.
    fn rank(&self) -> u32 {
        match self {
            Pattern::Name(_) => 0,
            Pattern::Range { .. } => 1,
            Pattern::Glob(_) => 2,
        }
    }

    /// The columns it stands for, in natural order; those of a glob come from the source.
    fn names(&self, found: &[String]) -> Vec<String> {
        match self {
            Pattern::Name(name) => vec![(*name).to_owned()],
            Pattern::Range { prefix, from, to } => (*from..=*to).map(|i| format!("{prefix}{i}")).collect(),
            Pattern::Glob(glob) => {
                let (before, after) = glob.split_once('*').unwrap_or((glob, ""));
                let matches = |n: &&String| n.len() >= before.len() + after.len() && n.starts_with(before) && n.ends_with(after);
                let mut names: Vec<String> = found.iter().filter(matches).cloned().collect();
                names.sort_by_cached_key(|n| natural(n));
                names
            }
        }
    }
}

/// A sort key under which `p2` comes before `p10`, whatever the order of the source.
fn natural(name: &str) -> (String, u128, String) {
    let stem = name.trim_end_matches(|c: char| c.is_ascii_digit());
    let number = name.get(stem.len()..).and_then(|d| d.parse().ok()).unwrap_or(0);
    (stem.to_owned(), number, name.to_owned())
}

impl Declaration {
    /// The schema for sources with these columns: every column declared, in the order of the declaration.
    ///
    /// # Errors
    /// A declared column is missing, a column is undeclared or declared twice, or an option is wrong.
    pub fn resolve(&self, source_name: &str, found: &[String]) -> Result<Schema, SchemaError> {
        let wrong = |at: &str, problem: String| SchemaError::Declaration { at: at.into(), problem };
        let label = match &self.label {
            LabelDeclaration { values: Some(_), range: Some(_), .. } => {
                return Err(wrong("[label]", "`range` is for numbers; a label with `values` is a class".into()));
            }
            LabelDeclaration { values: Some(_), log1p: true, .. } => {
                return Err(wrong("[label]", "`log1p` is for numbers; a label with `values` is a class".into()));
            }
            LabelDeclaration { column, values: Some(values), .. } => {
                distinct(values).map_err(|p| wrong("[label]", p))?;
                if values.len() < 2 {
                    return Err(wrong("[label]", "a class label needs at least two values".into()));
                }
                Label::Class { column: column.clone(), values: values.iter().map(|v| v.trim_ascii().to_owned()).collect() }
            }
            LabelDeclaration { column, values: None, log1p, range } => Label::Number {
                column: column.clone(),
                log1p: *log1p,
                range: declared_range(*range, *log1p).map_err(|p| wrong("[label]", p))?,
            },
        };

        let places = Places::of(found);
        let mut declared: Vec<(u32, &str, Column)> = Vec::new();
        // Where a name stands in `declared`: a table may have a hundred thousand of them.
        let mut at = BTreeMap::new();
        for (text, declaration) in &self.columns {
            let kind = declaration.kind(text)?;
            let pattern = Pattern::parse(text, &places)?;
            for name in pattern.names(found) {
                match at.get(&name).and_then(|at: &usize| declared.get_mut(*at)) {
                    None => {
                        at.insert(name.clone(), declared.len());
                        declared.push((pattern.rank(), text, Column { name, kind: kind.clone() }));
                    }
                    Some(before) if before.0 == pattern.rank() => {
                        return Err(wrong("[columns]", format!("`{text}` and `{}` both declare column `{name}`", before.1)));
                    }
                    // The more precise one decides the kind and keeps the place of the first mention.
                    Some(before) if before.0 > pattern.rank() => {
                        *before = (pattern.rank(), text, Column { name, kind: kind.clone() });
                    }
                    Some(_) => {}
                }
            }
        }
        let mut roles = BTreeSet::new();
        if let Some(twice) = self.record.iter().find(|column| !roles.insert(column.as_str())) {
            return Err(wrong("[data] record", format!("`{twice}` is listed twice; a record's id would have to be typed twice")));
        }
        if let Some(label) = self.record.iter().chain(&self.subject).find(|column| *column == label.column()) {
            let problem = format!("`{label}` is the label; an id column says whom or what a row is about, and is never learnt");
            return Err(wrong("[data]", problem));
        }
        let columns: Vec<Column> = declared.into_iter().map(|d| d.2).collect();
        if let Some(used) = columns.iter().find(|c| c.kind != Kind::Ignore && c.name == label.column()) {
            return Err(wrong("[columns]", format!("`{}` is the label; it can't be an input too", used.name)));
        }
        if let Some(used) = columns.iter().find(|c| c.kind != Kind::Ignore && Some(&c.name) == self.subject.as_ref()) {
            return Err(wrong("[columns]", format!("`{}` is the subject; an id must not be an input", used.name)));
        }
        if !columns.iter().any(|c| c.kind != Kind::Ignore) {
            return Err(wrong("[columns]", "no column is an input".into()));
        }
        let schema = Schema {
            subject: self.subject.clone(),
            record: self.record.clone(),
            label,
            missing: self.missing.iter().map(|m| m.trim_ascii().to_owned()).collect(),
            columns,
        };
        schema.check_source(source_name, found, true)?;
        Ok(schema)
    }
}

impl Schema {
    /// Checks that a source has every declared column (the ids and the label only where they are needed) and no other.
    ///
    /// # Errors
    /// Names the first column that is missing or undeclared.
    pub fn check_source(&self, source_name: &str, found: &[String], training: bool) -> Result<(), SchemaError> {
        let present: BTreeSet<&str> = found.iter().map(String::as_str).collect();
        let need = |column: &str, role: &'static str| match present.contains(column) {
            true => Ok(()),
            false => Err(SchemaError::MissingColumn {
                source_name: source_name.into(),
                column: column.into(),
                role,
                found: some_of(found),
            }),
        };
        if training {
            need(self.label.column(), "the label")?;
            self.subject.iter().try_for_each(|c| need(c, "the subject"))?;
            self.record.iter().try_for_each(|c| need(c, "the record id"))?;
        }
        for column in self.columns.iter().filter(|c| c.kind != Kind::Ignore) {
            need(&column.name, "an input")?;
        }
        let known = self.columns.iter().map(|c| c.name.as_str()).chain([self.label.column()]);
        let known: BTreeSet<&str> = known.chain(self.subject.as_deref()).chain(self.record.iter().map(String::as_str)).collect();
        match found.iter().find(|c| !known.contains(c.as_str())) {
            Some(column) => Err(SchemaError::UndeclaredColumn { source_name: source_name.into(), column: column.clone() }),
            None => Ok(()),
        }
    }
}
