//! Rows of one schema as rows of another, without their source: what importing the same records under the other would have made of them.
//!
//! What rows hold counts, not what their source said: a value that was none of those declared stays one, and what was missing stays missing.
//! What can't be had to the bit from an encoded row is refused by name.

use std::collections::BTreeSet;

use super::encode::{BOOLEANS, Lookup, MISSING};
use super::format::Moment;
use super::number::parse_number;
use super::{CellError, Column, DatePart, Exceptions, Kind, Label, MissingSubject, NumberFormat, RowLayout, Schema};
use crate::num::poly;

/// How rows of a schema become rows of another.
#[derive(Clone, Debug)]
pub struct Carry {
    row: RowLayout,
    label: LabelFrom,
    numbers: Vec<NumberFrom>,
    categories: Vec<CategoryFrom>,
    bytes: Vec<usize>,
    /// What differs, in words.
    changes: Vec<String>,
    /// Subject ids that are none under the other schema.
    nobody: Vec<String>,
}

/// Where a label comes from.
#[derive(Clone, Debug, PartialEq)]
enum LabelFrom {
    Same,
    /// The class of each old one.
    Classes(Vec<u32>),
    /// ln(1 + x) of the number of this name.
    Log(String),
}

/// Where a number comes from: of which number of the old row.
#[derive(Clone, Debug, PartialEq)]
enum NumberFrom {
    Missing,
    Same(usize),
    /// ln(1 + x) of the number of this name.
    Log(usize, String),
}

/// Where a category comes from: of which category of the old row.
#[derive(Clone, Debug, PartialEq)]
enum CategoryFrom {
    Always(u32),
    Same(usize),
    /// The index of each old one.
    Indices(usize, Vec<u32>),
}

/// An old column, and where its cells are in a row.
struct Old<'a> {
    column: &'a Column,
    /// Spellings of a missing value.
    missing: &'a [String],
    number: usize,
    category: usize,
    byte: usize,
}

/// What is found on the way from one schema to another.
#[derive(Default)]
struct Draft {
    numbers: Vec<NumberFrom>,
    categories: Vec<CategoryFrom>,
    bytes: Vec<usize>,
    changes: Vec<String>,
    problems: Vec<String>,
}

impl Carry {
    /// The way from one schema to another.
    ///
    /// # Errors
    /// Names everything that can't be had from the rows of the first.
    pub fn new(from: &Schema, to: &Schema) -> Result<Carry, Vec<String>> {
        let mut draft = Draft::default();
        let olds = places(from);
        draft.ids(from, to);
        let label = draft.label(from, to);
        for column in &to.columns {
            let old = olds.iter().find(|old| old.column.name == column.name && old.column.kind != Kind::Ignore);
            draft.column(old, column, column.missing.as_deref().unwrap_or(&to.missing));
        }
        let stays = |name: &str| to.columns.iter().any(|column| column.name == name && column.kind != Kind::Ignore);
        let inputs = from.columns.iter().filter(|column| column.kind != Kind::Ignore);
        draft.changes.extend(inputs.filter(|c| !stays(&c.name)).map(|c| format!("`{}` goes", c.name)));
        let Draft { numbers, categories, bytes, changes, mut problems } = draft;
        let carry = Carry {
            row: from.row(),
            label,
            numbers,
            categories,
            bytes,
            changes,
            nobody: added(nobody(from), nobody(to)).into_iter().filter(|id| !id.is_empty()).cloned().collect(),
        };
        if to.record.is_empty() && !carry.keeps_bytes(to.row()) {
            problems.push("[data] record: without ids a record is named by what it holds, and would be another one".into());
        }
        if problems.is_empty() { Ok(carry) } else { Err(problems) }
    }

    /// What differs, in words; empty if rows stay as they are.
    pub fn changes(&self) -> &[String] {
        &self.changes
    }

    /// Subject ids of the old schema that are none under the other. If a record is about one of them, its row can't be had.
    pub fn nobody(&self) -> &[String] {
        &self.nobody
    }

    /// Appends what a row of the old schema is under the other.
    ///
    /// # Errors
    /// The row holds what the other schema refuses; names the column. `out` may then end in part of a row.
    pub fn row(&self, old: &[u8], out: &mut Vec<u8>) -> Result<(), CellError> {
        let Some(old) = self.row.split(old) else { return Err(absurd("a row")) };
        let word = |cells: &[u8], at: usize| cells.as_chunks().0.get(at).copied();
        let label = word(old.label, 0).ok_or_else(|| absurd("the label"))?;
        out.extend_from_slice(&match &self.label {
            LabelFrom::Same => label,
            LabelFrom::Classes(classes) => code(classes, label)?,
            LabelFrom::Log(name) => log1p(label, name)?,
        });
        for number in &self.numbers {
            let at = |at: usize| word(old.numbers, at).ok_or_else(|| absurd("a number"));
            out.extend_from_slice(&match number {
                NumberFrom::Missing => MISSING.to_bits().to_le_bytes(),
                NumberFrom::Same(from) => at(*from)?,
                NumberFrom::Log(from, name) => log1p(at(*from)?, name)?,
            });
        }
        for category in &self.categories {
            let at = |at: usize| word(old.categories, at).ok_or_else(|| absurd("a category"));
            out.extend_from_slice(&match category {
                CategoryFrom::Always(index) => index.to_le_bytes(),
                CategoryFrom::Same(from) => at(*from)?,
                CategoryFrom::Indices(from, indices) => code(indices, at(*from)?)?,
            });
        }
        for from in &self.bytes {
            out.push(*old.bytes.get(*from).ok_or_else(|| absurd("a byte"))?);
        }
        Ok(())
    }

    /// Whether every row stays as it is.
    fn keeps_bytes(&self, to: RowLayout) -> bool {
        self.row == to
            && self.label == LabelFrom::Same
            && self.numbers.iter().enumerate().all(|(at, from)| *from == NumberFrom::Same(at))
            && self.categories.iter().enumerate().all(|(at, from)| *from == CategoryFrom::Same(at))
            && self.bytes.iter().enumerate().all(|(at, from)| *from == at)
    }
}

impl Draft {
    fn problem(&mut self, column: &str, what: &str) {
        self.problems.push(format!("[columns] {column}: {what}"));
    }

    /// Rows hold handles, and no ids.
    fn ids(&mut self, from: &Schema, to: &Schema) {
        if (&from.subject, &from.record) != (&to.subject, &to.record) {
            self.problems.push("[data] subject, record: other columns are asked for, and rows hold no ids".into());
        }
        let rule = |e: &Exceptions| (e.id_form, e.missing_subject == Some(MissingSubject::Own));
        let (before, after) = (rule(&from.exceptions), rule(&to.exceptions));
        if before.0 != after.0 {
            self.problems.push("[data] id_form: another one is asked for, and rows hold no ids".into());
        }
        if before.1 && !after.1 {
            self.problems.push("[data] missing_subject: records that are their own subjects would have none".into());
        }
    }

    fn label(&mut self, from: &Schema, to: &Schema) -> LabelFrom {
        let name = to.label.column();
        if name != from.label.column() {
            self.problems.push(format!("[label] column: `{name}` is not what the records were labelled by"));
            return LabelFrom::Same;
        }
        match (&from.label, &to.label) {
            (Label::Class { values: old, .. }, Label::Class { values: new, .. }) if old == new => LabelFrom::Same,
            (Label::Class { values: old, .. }, Label::Class { values: new, .. }) => {
                let classes = Lookup::new(new);
                let mut found = Vec::new();
                for class in old {
                    match classes.find_number(class.as_bytes()) {
                        Some(index) => found.push(index),
                        None => self.problems.push(format!("[label] values: `{class}` is missing, and records may be of it")),
                    }
                }
                self.changes.push(format!("`{name}` has other classes, of which no record is that was not before"));
                if found.iter().zip(0..).all(|(index, at)| *index == at) { LabelFrom::Same } else { LabelFrom::Classes(found) }
            }
            (Label::Number { log1p: old, format, .. }, Label::Number { log1p: new, .. }) => {
                if let Some(spelling) = added(&from.missing, &to.missing).into_iter().find(|text| is_number(format, text)) {
                    self.problems.push(format!("[data] missing: labels that were read from `{spelling}` would be missing"));
                }
                if from.label != to.label {
                    self.changes.push(format!("`{name}` is declared in another way"));
                }
                match (old, new) {
                    (true, false) => {
                        self.problems.push(format!("[label] log1p: {LOGGED}"));
                        LabelFrom::Same
                    }
                    (false, true) => LabelFrom::Log(name.to_owned()),
                    _ => LabelFrom::Same,
                }
            }
            _ => {
                self.problems.push("[label]: a class is no number, and a number no class".into());
                LabelFrom::Same
            }
        }
    }

    /// A column of the other schema, and the old one of its name.
    fn column(&mut self, old: Option<&Old<'_>>, column: &Column, missing: &[String]) {
        let name = column.name.as_str();
        if column.kind == Kind::Ignore {
            return;
        }
        let Some(old) = old else {
            self.changes.push(format!("`{name}` is new, and missing in the records that are there"));
            return self.new_column(name, &column.kind);
        };
        if let Some(spelling) = added(old.missing, missing).into_iter().find(|text| could_be_a_value(&old.column.kind, text)) {
            self.problem(name, &format!("`{spelling}` is to spell a missing value, and records may hold it as one"));
        }
        if old.column.kind != column.kind {
            self.changes.push(format!("`{name}` is declared in another way"));
        }
        match (&old.column.kind, &column.kind) {
            (Kind::Number { log1p: before, .. }, Kind::Number { log1p: after, .. }) => match (before, after) {
                (true, false) => self.problem(name, LOGGED),
                (false, true) => self.numbers.push(NumberFrom::Log(old.number, name.to_owned())),
                _ => self.numbers.push(NumberFrom::Same(old.number)),
            },
            (Kind::Date { .. }, Kind::Date { .. }) => self.date(old, column),
            (Kind::Embedding { size: before, .. }, Kind::Embedding { size: after, .. }) if before == after => {
                self.numbers.extend((0..*after as usize).map(|at| NumberFrom::Same(old.number + at)));
            }
            (Kind::Embedding { .. }, Kind::Embedding { .. }) => {
                self.problem(name, "a vector of another size is another vector, and rows hold the old one");
            }
            (Kind::Byte { .. }, Kind::Byte { .. }) => self.bytes.push(old.byte),
            (Kind::Boolean, Kind::Boolean) => self.categories.push(CategoryFrom::Same(old.category)),
            (Kind::Buckets { buckets: before }, Kind::Buckets { buckets: after }) if before == after => {
                self.categories.push(CategoryFrom::Same(old.category));
            }
            (Kind::Buckets { .. }, Kind::Buckets { .. }) => {
                self.problem(name, "another number of buckets needs the values, and rows hold their buckets");
            }
            (Kind::Values { values: before }, Kind::Values { values: after }) => self.values(old, (before, after), missing),
            (before, after) => {
                let what = format!("what is a {} can't become a {}", kind_name(before), kind_name(after));
                self.problem(name, &what);
            }
        }
    }

    /// A column that old rows know nothing of.
    fn new_column(&mut self, name: &str, kind: &Kind) {
        match kind {
            Kind::Number { .. } => self.numbers.push(NumberFrom::Missing),
            Kind::Embedding { size, .. } => self.numbers.extend((0..*size).map(|_| NumberFrom::Missing)),
            Kind::Date { parts, .. } => {
                self.numbers.push(NumberFrom::Missing);
                self.categories.extend(parts.iter().map(|part| CategoryFrom::Always(part.count())));
            }
            Kind::Byte { .. } => self.problem(name, "a byte has no form for what is missing; declare it a number"),
            Kind::Values { .. } | Kind::Buckets { .. } | Kind::Boolean => {
                self.categories.extend(kind.category_size().map(|size| CategoryFrom::Always(size - 1)));
            }
            Kind::Ignore => {}
        }
    }

    /// The number of a date follows from unit and origin, and its parts from the moment, which the number tells no more.
    fn date(&mut self, old: &Old<'_>, column: &Column) {
        let (Kind::Date { unit, origin, parts: had, .. }, Kind::Date { unit: new_unit, origin: new_origin, parts, .. }) =
            (&old.column.kind, &column.kind)
        else {
            return;
        };
        if (unit, origin) != (new_unit, new_origin) {
            self.problem(&column.name, "another unit or origin needs the dates, and rows hold numbers");
        }
        self.numbers.push(NumberFrom::Same(old.number));
        let place = |part: &DatePart| had.iter().position(|one| one == part);
        for part in parts {
            match place(part) {
                Some(at) => self.categories.push(CategoryFrom::Same(old.category + at)),
                None => self.problem(&column.name, "another part needs the dates, and rows hold the declared parts"),
            }
        }
    }

    /// Values by their names; what is no longer declared is "other", as any other value.
    fn values(&mut self, old: &Old<'_>, (before, after): (&[String], &[String]), missing: &[String]) {
        let (found, other) = (Lookup::new(after), after.len() as u32);
        let index = |value: &String| {
            let value = value.trim_ascii();
            let none = missing.iter().any(|spelling| spelling == value);
            found.find(value.as_bytes()).unwrap_or(if none { other + 1 } else { other })
        };
        let indices: Vec<u32> = before.iter().map(index).chain([other, other + 1]).collect();
        if indices.iter().zip(0..).all(|(index, at)| *index == at) {
            self.categories.push(CategoryFrom::Same(old.category));
        } else {
            self.categories.push(CategoryFrom::Indices(old.category, indices));
        }
    }
}

/// Why a logarithm stays one.
const LOGGED: &str = "rows hold ln(1 + x), from which x can't be had to the bit";

/// Every column with the places of its cells.
fn places<'a>(schema: &'a Schema) -> Vec<Old<'a>> {
    let (mut number, mut category, mut byte) = (0, 0, 0);
    let place = |column: &'a Column| {
        let Column { kind, missing, .. } = column;
        let old = Old { column, missing: missing.as_deref().unwrap_or(&schema.missing), number, category, byte };
        match kind {
            Kind::Number { .. } => number += 1,
            Kind::Embedding { size, .. } => number += *size as usize,
            Kind::Date { parts, .. } => (number, category) = (number + 1, category + parts.len()),
            Kind::Values { .. } | Kind::Buckets { .. } | Kind::Boolean => category += 1,
            Kind::Byte { .. } => byte += 1,
            Kind::Ignore => {}
        }
        old
    };
    schema.columns.iter().map(place).collect()
}

/// Spellings of a missing subject, where there are any.
fn nobody(schema: &Schema) -> &[String] {
    if schema.exceptions.missing_subject.is_some() { &schema.missing } else { &[] }
}

/// Spellings that come to those of before.
fn added<'a>(before: &[String], after: &'a [String]) -> Vec<&'a String> {
    let before: BTreeSet<&String> = before.iter().collect();
    after.iter().filter(|spelling| !before.contains(spelling)).collect()
}

/// Whether a cell of this text may have been read as a value.
fn could_be_a_value(kind: &Kind, text: &str) -> bool {
    match kind {
        Kind::Number { format, .. } | Kind::Embedding { format, .. } => is_number(format, text),
        Kind::Date { order, .. } => Moment::parse(*order, text.as_bytes()).is_some(),
        Kind::Boolean => BOOLEANS.iter().any(|spellings| spellings.contains(&text.to_ascii_lowercase().as_str())),
        // A declared value comes before a missing one, and any other is "other" and stays so.
        Kind::Values { .. } | Kind::Byte { .. } | Kind::Ignore => false,
        Kind::Buckets { .. } => true,
    }
}

fn is_number(format: &NumberFormat, text: &str) -> bool {
    // Binary sources have plain numbers, whatever is declared.
    let read = [parse_number(text.as_bytes()), format.parse(text.as_bytes())];
    read.into_iter().flatten().any(f32::is_finite)
}

/// ln(1 + x) of a stored number, as an import stores it.
fn log1p(number: [u8; 4], column: &str) -> Result<[u8; 4], CellError> {
    let number = f32::from_le_bytes(number);
    if number.is_nan() {
        return Ok(MISSING.to_bits().to_le_bytes());
    }
    if number <= -1.0 {
        return Err(CellError {
            column: column.to_owned(),
            problem: "log1p needs numbers above -1, and a record holds another".into(),
        });
    }
    Ok((poly::log1p(number) + 0.0).to_bits().to_le_bytes())
}

/// The new index of an old one.
fn code(indices: &[u32], old: [u8; 4]) -> Result<[u8; 4], CellError> {
    let index = indices.get(u32::from_le_bytes(old) as usize);
    index.map(|index| index.to_le_bytes()).ok_or_else(|| absurd("a category"))
}

/// A row that the old schema can't have made: its slice's digest says that it did.
fn absurd(what: &str) -> CellError {
    CellError { column: what.to_owned(), problem: "an old row holds what its schema does not know".into() }
}

fn kind_name(kind: &Kind) -> &'static str {
    match kind {
        Kind::Number { .. } => "number",
        Kind::Embedding { .. } => "vector",
        Kind::Date { .. } => "date",
        Kind::Boolean => "boolean",
        Kind::Byte { .. } => "byte",
        Kind::Values { .. } => "category of values",
        Kind::Buckets { .. } => "category of buckets",
        Kind::Ignore => "column that is ignored",
    }
}
