//! The schema as people write it, and its resolution against the columns of a source.

use std::{
    borrow::Cow,
    collections::{BTreeMap, BTreeSet},
};

use serde::Deserialize;

use super::format::days_of_text;
use super::{
    Column, DateOrder, DatePart, DateUnit, Exceptions, Kind, Label, MissingLabel, NumberFormat, Places, Schema, SchemaError,
    some_of,
};
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
    /// What becomes of rows and cells that are not as they should be.
    pub exceptions: Exceptions,
    /// How numbers are spelt where their column does not say otherwise.
    pub format: NumberFormat,
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
    /// What becomes of rows without a label.
    #[serde(default)]
    pub missing: MissingLabel,
    /// How a number is spelt, where it is not as under `[data]`.
    pub decimal: Option<char>,
    /// Likewise.
    pub thousands: Option<char>,
    /// Likewise.
    pub symbols: Option<Vec<String>>,
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
    size: Option<u32>,
    indicator: Option<bool>,
    scale: Option<f64>,
    values: Option<Vec<String>>,
    buckets: Option<u32>,
    decimal: Option<char>,
    thousands: Option<char>,
    symbols: Option<Vec<String>>,
    order: Option<DateOrder>,
    unit: Option<DateUnit>,
    origin: Option<String>,
    parts: Option<Vec<DatePart>>,
    missing: Option<Vec<String>>,
}

/// More buckets than this make a first layer that no shard can fill.
const BUCKETS_MAX: u32 = 1 << 20;

/// Numbers of the largest embedding.
const EMBEDDING_MAX: u32 = crate::source::BLOCK_MAX as u32;

/// Spellings as cells are compared with them.
fn trimmed(spellings: &[String]) -> Vec<String> {
    spellings.iter().map(|spelling| spelling.trim_ascii().to_owned()).collect()
}

impl ColumnDeclaration {
    /// Its own spellings of a missing value.
    fn missing(&self) -> Option<Vec<String>> {
        match self {
            ColumnDeclaration::Short(_) => None,
            ColumnDeclaration::Long(options) => options.missing.as_deref().map(trimmed),
        }
    }

    fn kind(&self, name: &str, numbers: &NumberFormat) -> Result<Kind, SchemaError> {
        let short;
        let options = match self {
            ColumnDeclaration::Short(kind) => {
                short = ColumnOptions { kind: kind.clone(), ..ColumnOptions::default() };
                &short
            }
            ColumnDeclaration::Long(options) => options,
        };
        let wrong = |problem: String| SchemaError::Declaration { at: format!("[columns] {name}"), problem };
        let ColumnOptions { kind, log1p, range, indicator, scale, values, buckets, .. } = options;
        let allow = |allowed: &[&str]| {
            let given = [
                ("log1p", log1p.is_some()),
                ("range", range.is_some()),
                ("size", options.size.is_some()),
                ("indicator", indicator.is_some()),
                ("scale", scale.is_some()),
                ("values", values.is_some()),
                ("buckets", buckets.is_some()),
                ("decimal", options.decimal.is_some()),
                ("thousands", options.thousands.is_some()),
                ("symbols", options.symbols.is_some()),
                ("order", options.order.is_some()),
                ("unit", options.unit.is_some()),
                ("origin", options.origin.is_some()),
                ("parts", options.parts.is_some()),
                ("missing", options.missing.is_some() && matches!(kind.as_str(), "byte" | "ignore")),
            ];
            match given.iter().find(|(option, given)| *given && !allowed.contains(option)) {
                Some((option, _)) => Err(wrong(format!("`{option}` has no meaning for kind `{kind}`"))),
                None => Ok(()),
            }
        };
        match kind.as_str() {
            "number" => {
                allow(&["log1p", "range", "indicator", "decimal", "thousands", "symbols"])?;
                let log1p = log1p.unwrap_or(false);
                let range = declared_range(*range, log1p).map_err(wrong)?;
                let format = numbers.with(options.decimal, options.thousands, options.symbols.as_ref()).map_err(wrong)?;
                Ok(Kind::Number { log1p, indicator: indicator.unwrap_or(false), range, format })
            }
            "date" => {
                allow(&["range", "indicator", "order", "unit", "origin", "parts"])?;
                let Some(order) = options.order else {
                    let orders = "\"year-month-day\", \"day-month-year\" or \"month-day-year\"";
                    return Err(wrong(format!("a date needs its order: `order = {orders}`")));
                };
                let origin = options.origin.clone().unwrap_or_else(|| "2000-01-01".into());
                if days_of_text(&origin).is_none() {
                    return Err(wrong(format!("`origin` is `{origin}`; write a date such as \"2000-01-01\"")));
                }
                Ok(Kind::Date {
                    order,
                    unit: options.unit.unwrap_or_default(),
                    origin,
                    parts: options.parts.clone().unwrap_or_default(),
                    indicator: indicator.unwrap_or(false),
                    range: declared_range(*range, false).map_err(wrong)?,
                })
            }
            "embedding" => {
                allow(&["range", "size", "decimal", "thousands", "symbols"])?;
                let Some(size) = options.size.filter(|size| (1..=EMBEDDING_MAX).contains(size)) else {
                    return Err(wrong(format!("an embedding needs its count of numbers: `size = N`, from 1 to {EMBEDDING_MAX}")));
                };
                let Some(range) = declared_range(*range, false).map_err(wrong)? else {
                    return Err(wrong("an embedding needs the ends of all its numbers: `range = [low, high]`".into()));
                };
                let format = numbers.with(options.decimal, options.thousands, options.symbols.as_ref()).map_err(wrong)?;
                Ok(Kind::Embedding { size, range, format })
            }
            "boolean" => {
                allow(&[])?;
                Ok(Kind::Boolean)
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
            other => Err(wrong(format!(
                "kind `{other}` is unknown; it is one of number, date, boolean, embedding, byte, category, ignore"
            ))),
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

impl NumberFormat {
    /// This one, with what a column says otherwise.
    fn with(
        &self,
        decimal: Option<char>,
        thousands: Option<char>,
        symbols: Option<&Vec<String>>,
    ) -> Result<NumberFormat, String> {
        let format = NumberFormat {
            decimal: decimal.unwrap_or(self.decimal),
            thousands: thousands.or(self.thousands),
            symbols: symbols.unwrap_or(&self.symbols).clone(),
        };
        let mark = |c: char| !c.is_alphanumeric() && !matches!(c, '+' | '-' | '"');
        if !mark(format.decimal) || !format.thousands.is_none_or(|t| mark(t) && t != format.decimal) {
            return Err("`decimal` and `thousands` are two different marks such as \",\" and \".\"".into());
        }
        let odd = |s: &&String| s.trim().is_empty() || s.contains(|c: char| c.is_ascii_digit() || matches!(c, '+' | '-'));
        match format.symbols.iter().find(odd) {
            Some(odd) => {
                Err(format!("`symbols` has `{odd}`; a symbol stands beside a number, as \"%\" or \"EUR\", and has no digits"))
            }
            None => Ok(format),
        }
    }
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

/// The declared columns, each with its rank and how it is written, without those that an embedding takes from a range or a pattern.
fn without_covered(declared: Vec<(u32, &str, Column)>) -> Result<Vec<Column>, SchemaError> {
    let mut covered: BTreeMap<String, &str> = BTreeMap::new();
    let twice = |a: &str, b: &str, name: &str| SchemaError::Declaration {
        at: "[columns]".into(),
        problem: format!("`{a}` and `{b}` both declare column `{name}`"),
    };
    for (_, text, column) in declared.iter().filter(|d| matches!(d.2.kind, Kind::Embedding { .. })) {
        for name in column.sources() {
            if let Some(other) = covered.insert(name.to_string(), text) {
                return Err(twice(other, text, &name));
            }
        }
    }
    let mut columns = Vec::with_capacity(declared.len());
    for (rank, text, column) in declared {
        match covered.get(&column.name) {
            Some(_) if matches!(column.kind, Kind::Embedding { .. }) => columns.push(column),
            None => columns.push(column),
            Some(embedding) if rank == 0 => return Err(twice(embedding, text, &column.name)),
            Some(_) => {}
        }
    }
    Ok(columns)
}

impl Declaration {
    /// The schema for sources with these columns: every column declared, in the order of the declaration.
    ///
    /// # Errors
    /// A declared column is missing, a column is undeclared or declared twice, or an option is wrong.
    pub fn resolve(&self, source_name: &str, found: &[String]) -> Result<Schema, SchemaError> {
        let wrong = |at: &str, problem: String| SchemaError::Declaration { at: at.into(), problem };
        self.format.with(None, None, None).map_err(|p| wrong("[data]", p))?;
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
            LabelDeclaration { column, values: None, log1p, range, .. } => Label::Number {
                column: column.clone(),
                log1p: *log1p,
                range: declared_range(*range, *log1p).map_err(|p| wrong("[label]", p))?,
                format: {
                    let own = &self.label;
                    self.format.with(own.decimal, own.thousands, own.symbols.as_ref()).map_err(|p| wrong("[label]", p))?
                },
            },
        };

        let places = Places::of(found);
        let mut declared: Vec<(u32, &str, Column)> = Vec::new();
        // Where a name stands in `declared`: a table may have a hundred thousand of them.
        let mut at = BTreeMap::new();
        for (text, declaration) in &self.columns {
            let kind = declaration.kind(text, &self.format)?;
            let (pattern, missing) = (Pattern::parse(text, &places)?, declaration.missing());
            if matches!((&kind, &pattern), (Kind::Embedding { .. }, Pattern::Range { .. } | Pattern::Glob(_))) {
                let problem = "an embedding has one name; its numbers are the columns `name0`, `name1`, ..".to_owned();
                return Err(wrong(&format!("[columns] {text}"), problem));
            }
            for name in pattern.names(found) {
                match at.get(&name).and_then(|at: &usize| declared.get_mut(*at)) {
                    None => {
                        at.insert(name.clone(), declared.len());
                        declared.push((pattern.rank(), text, Column { name, kind: kind.clone(), missing: missing.clone() }));
                    }
                    Some(before) if before.0 == pattern.rank() => {
                        return Err(wrong("[columns]", format!("`{text}` and `{}` both declare column `{name}`", before.1)));
                    }
                    // The more precise one decides the kind and keeps the place of the first mention.
                    Some(before) if before.0 > pattern.rank() => {
                        *before = (pattern.rank(), text, Column { name, kind: kind.clone(), missing: missing.clone() });
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
        let columns = without_covered(declared)?;
        let uses = |column: &str| columns.iter().any(|c| c.kind != Kind::Ignore && c.sources().any(|source| source == column));
        if uses(label.column()) {
            return Err(wrong("[columns]", format!("`{}` is the label; it can't be an input too", label.column())));
        }
        if let Some(subject) = self.subject.as_ref().filter(|subject| uses(subject)) {
            return Err(wrong("[columns]", format!("`{subject}` is the subject; an id must not be an input")));
        }
        if !columns.iter().any(|c| c.kind != Kind::Ignore) {
            return Err(wrong("[columns]", "no column is an input".into()));
        }
        let schema = Schema {
            subject: self.subject.clone(),
            record: self.record.clone(),
            label,
            missing: trimmed(&self.missing),
            columns,
            exceptions: Exceptions { missing_label: self.label.missing, ..self.exceptions },
        };
        schema.check_source(source_name, found, true)?;
        Ok(schema)
    }
}

impl Declaration {
    /// The schema without a source at hand: for the columns that are declared by name, and those of an older schema that patterns match.
    ///
    /// # Errors
    /// As [`Declaration::resolve`].
    pub fn resolve_known(&self, older: &Schema) -> Result<Schema, SchemaError> {
        let roles = |schema: &Schema| schema.subject.iter().chain(&schema.record).cloned().collect::<Vec<String>>();
        let known = older.columns.iter().map(|column| column.name.clone()).chain(roles(older));
        let known: Vec<String> = known.chain([older.label.column().to_owned()]).collect();
        let own = self.subject.iter().chain(&self.record).cloned().chain([self.label.column.clone()]);
        let (places, mut found, mut seen) = (Places::of(&known), Vec::new(), BTreeSet::new());
        let named = self.columns.iter().map(|(text, _)| Ok(Pattern::parse(text, &places)?.names(&known)));
        for name in named.collect::<Result<Vec<_>, SchemaError>>()?.into_iter().flatten().chain(own) {
            if seen.insert(name.clone()) {
                found.push(name);
            }
        }
        self.resolve("sisa.toml", &found)
    }
}

impl Schema {
    /// The columns of a source that nothing declares.
    pub fn undeclared<'a>(&self, found: &'a [String]) -> Vec<&'a str> {
        let ids = self.subject.as_deref().into_iter().chain(self.record.iter().map(String::as_str)).chain([self.label.column()]);
        let known: BTreeSet<Cow<'_, str>> = self.columns.iter().flat_map(Column::sources).chain(ids.map(Cow::Borrowed)).collect();
        let unknown = found.iter().map(String::as_str).filter(|column| !known.contains(*column));
        // A vector that is not used may be called by its name alone.
        let ignored = |name: &str| self.columns.iter().any(|c| c.kind == Kind::Ignore && c.name == name);
        let of_vector = |column: &str| {
            let name = column.trim_end_matches(|c: char| c.is_ascii_digit());
            name.len() < column.len() && ignored(name) && !found.iter().any(|other| other == name)
        };
        unknown.filter(|column| !of_vector(column)).collect()
    }

    /// Checks that a source has every declared column, the ids and the label only for training; and for training no other: a
    /// column that is added to a table has to be decided upon, and one that is only beside what is to be predicted has not.
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
                found: some_of(found, column),
            }),
        };
        if training {
            need(self.label.column(), "the label")?;
            self.subject.iter().try_for_each(|c| need(c, "the subject"))?;
            self.record.iter().try_for_each(|c| need(c, "the record id"))?;
        }
        for column in self.columns.iter().filter(|c| c.kind != Kind::Ignore) {
            let role = if matches!(column.kind, Kind::Embedding { .. }) { "a number of an embedding" } else { "an input" };
            column.sources().try_for_each(|source| need(&source, role))?;
        }
        match self.undeclared(found).first() {
            Some(column) if training => {
                Err(SchemaError::UndeclaredColumn { source_name: source_name.into(), column: (*column).to_owned() })
            }
            _ => Ok(()),
        }
    }
}
