//! Cells to bytes. A pure function of the schema and the row.

use std::{
    borrow::Cow,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use super::format::{Moment, days_of_text};
use super::number::{parse_number, quick_number};
use super::text::{Text, wrong};
use super::{
    CellError, DateOrder, DatePart, DateUnit, Exceptions, Kind, Label, MissingLabel, NumberFormat, OnBad, Places, Schema,
    SchemaError,
};
use crate::{
    digest::Buckets,
    num::poly,
    source::{Batch, Cell},
};

const NO_LABEL: &str = "the label is missing; a record without a label can't be trained on. Fill the cell, drop the row, or declare \
     `missing = \"skip\"` under [label], which leaves such rows out";
/// The canonical NaN, as which a missing number is stored.
pub(super) const MISSING: f32 = f32::from_bits(0x7fc0_0000);

/// What became of a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It is encoded.
    Kept,
    /// It has no label, and is to be left out.
    NoLabel,
    /// It has a cell that can't be read, and is to be left out.
    Unreadable,
}

/// Encodes the rows of one source.
#[derive(Clone, Debug)]
pub struct Encoder {
    label: Option<(usize, LabelRule)>,
    numbers: Vec<NumberRule>,
    categories: Vec<CategoryRule>,
    bytes: Vec<(usize, String)>,
    buckets: Buckets,
    missing: Arc<Missing>,
    exceptions: Exceptions,
    training: bool,
    /// Cells that could not be read and were taken for missing.
    unreadable: Arc<AtomicU64>,
}

#[derive(Clone, Debug)]
enum LabelRule {
    Class(String, Lookup),
    Number(NumberRule),
}

#[derive(Clone, Debug)]
struct NumberRule {
    at: usize,
    name: String,
    log1p: bool,
    spelling: Spelling,
    missing: Arc<Missing>,
    /// A text that spells a number stands for it, as a finite float does, without a second look.
    quick: bool,
    /// How many rules from this one on are of adjacent columns, all of them quick; or this one alone.
    run: usize,
}

/// Says of each rule how many that follow can be read with it.
fn join(rules: &mut [NumberRule]) {
    let mut next: Option<(usize, usize)> = None;
    for rule in rules.iter_mut().rev() {
        let joined = next.filter(|(at, _)| rule.quick && rule.at + 1 == *at);
        rule.run = 1 + joined.map_or(0, |(_, run)| run);
        next = rule.quick.then_some((rule.at, rule.run));
    }
}

/// How a number is spelt.
#[derive(Clone, Debug)]
enum Spelling {
    Plain,
    Declared(NumberFormat),
    Date { order: DateOrder, unit: DateUnit, origin: i64 },
}

#[derive(Clone, Debug)]
struct CategoryRule {
    at: usize,
    name: String,
    what: Categories,
    spellings: Arc<Missing>,
    /// The index of a missing value: the last.
    missing: u32,
}

#[derive(Clone, Debug)]
enum Categories {
    /// Declared values; any other has the index after them.
    Values(Lookup, u32),
    Buckets(u32),
    Boolean,
    Part(DateOrder, DatePart),
}

/// The usual spellings of no and yes, in lower case.
pub(crate) const BOOLEANS: [&[&str]; 2] =
    [&["false", "f", "no", "n", "off", "0", "0.0"], &["true", "t", "yes", "y", "on", "1", "1.0"]];

/// Declared values to their indices.
#[derive(Clone, Debug)]
pub(super) struct Lookup(Vec<(Vec<u8>, u32)>);

impl Lookup {
    pub(super) fn new(values: &[String]) -> Lookup {
        let mut sorted: Vec<_> = values.iter().zip(0..).map(|(v, i)| (v.trim_ascii().as_bytes().to_vec(), i)).collect();
        sorted.sort();
        Lookup(sorted)
    }

    pub(super) fn find(&self, value: &[u8]) -> Option<u32> {
        let at = self.0.binary_search_by(|(v, _)| v.as_slice().cmp(value)).ok()?;
        self.0.get(at).map(|v| v.1)
    }

    /// As [`Lookup::find`]; a number that is not listed as it is spelt is the listed one of its value, so `1.0` is `1`.
    pub(super) fn find_number(&self, value: &[u8]) -> Option<u32> {
        self.find(value).or_else(|| {
            let number = parse_number(value).filter(|n| n.is_finite())?;
            let mut same = self.0.iter().filter(|(v, _)| parse_number(v) == Some(number)).map(|(_, index)| *index);
            same.next().filter(|_| same.next().is_none())
        })
    }
}

#[derive(Clone, Debug)]
struct Missing {
    spellings: Vec<Vec<u8>>,
    /// Whether a spelling also reads as a finite number; if none does, numbers are tried first.
    numeric: bool,
}

impl Missing {
    fn of(spellings: &[String]) -> Arc<Missing> {
        Arc::new(Missing {
            spellings: spellings.iter().map(|m| m.as_bytes().to_vec()).collect(),
            numeric: spellings.iter().any(|m| parse_number(m.as_bytes()).is_some_and(f32::is_finite)),
        })
    }

    fn is(&self, text: &[u8]) -> bool {
        self.spellings.iter().any(|s| s == text)
    }
}

/// What to do about a cell that can't be read.
const OR_MISSING: &str = "; mend the cell, list this spelling under `missing`, declare `on_bad` under [data]";

fn cell_error(column: &str, problem: String) -> CellError {
    CellError { column: column.into(), problem }
}

impl Spelling {
    fn of(format: &NumberFormat) -> Spelling {
        if format.is_plain() { Spelling::Plain } else { Spelling::Declared(format.clone()) }
    }
}

impl Encoder {
    /// An encoder for a source with these columns. Without `training` the label may be absent.
    ///
    /// # Errors
    /// When a column is missing or undeclared.
    pub fn new(schema: &Schema, source_name: &str, columns: &[String], training: bool) -> Result<Encoder, SchemaError> {
        schema.check_source(source_name, columns, training)?;
        let places = Places::of(columns);
        let position = |name: &str| places.find(name);
        let missing = Missing::of(&schema.missing);
        let mut encoder = Encoder {
            label: position(schema.label.column()).map(|at| {
                let rule = match &schema.label {
                    Label::Class { column, values } => LabelRule::Class(column.clone(), Lookup::new(values)),
                    Label::Number { column, log1p, format, .. } => LabelRule::Number(NumberRule {
                        at,
                        name: column.clone(),
                        log1p: *log1p,
                        spelling: Spelling::of(format),
                        missing: missing.clone(),
                        quick: false,
                        run: 1,
                    }),
                };
                (at, rule)
            }),
            numbers: Vec::new(),
            categories: Vec::new(),
            bytes: Vec::new(),
            buckets: Buckets::default(),
            missing: missing.clone(),
            exceptions: schema.exceptions,
            training,
            unreadable: Arc::default(),
        };
        for column in &schema.columns {
            let spellings = column.missing.as_deref().map_or_else(|| missing.clone(), Missing::of);
            if let Kind::Embedding { format, .. } = &column.kind {
                let quick = !spellings.numeric && format.is_plain();
                let number = |name: Cow<'_, str>| {
                    let (at, missing) = (position(&name)?, spellings.clone());
                    Some(NumberRule {
                        at,
                        name: name.into_owned(),
                        log1p: false,
                        spelling: Spelling::of(format),
                        missing,
                        quick,
                        run: 1,
                    })
                };
                encoder.numbers.extend(column.sources().filter_map(number));
                continue;
            }
            let Some(at) = position(&column.name) else { continue };
            let name = column.name.clone();
            match &column.kind {
                Kind::Number { log1p, format, .. } => {
                    let quick = !log1p && !spellings.numeric && format.is_plain();
                    encoder.numbers.push(NumberRule {
                        at,
                        name,
                        log1p: *log1p,
                        spelling: Spelling::of(format),
                        missing: spellings,
                        quick,
                        run: 1,
                    });
                }
                Kind::Date { order, unit, origin, parts, .. } => {
                    let spelling =
                        Spelling::Date { order: *order, unit: *unit, origin: days_of_text(origin).unwrap_or_default() };
                    for part in parts {
                        let what = Categories::Part(*order, *part);
                        encoder.categories.push(CategoryRule {
                            at,
                            name: name.clone(),
                            what,
                            spellings: spellings.clone(),
                            missing: part.count(),
                        });
                    }
                    encoder.numbers.push(NumberRule {
                        at,
                        name,
                        log1p: false,
                        spelling,
                        missing: spellings,
                        quick: false,
                        run: 1,
                    });
                }
                Kind::Byte { .. } => encoder.bytes.push((at, name)),
                Kind::Values { values } => {
                    let what = Categories::Values(Lookup::new(values), values.len() as u32);
                    encoder.categories.push(CategoryRule { at, name, what, spellings, missing: values.len() as u32 + 1 });
                }
                Kind::Buckets { buckets } => {
                    encoder.categories.push(CategoryRule {
                        at,
                        name,
                        what: Categories::Buckets(*buckets),
                        spellings,
                        missing: *buckets,
                    });
                }
                Kind::Boolean => {
                    encoder.categories.push(CategoryRule { at, name, what: Categories::Boolean, spellings, missing: 2 })
                }
                Kind::Embedding { .. } | Kind::Ignore => {}
            }
        }
        join(&mut encoder.numbers);
        Ok(encoder)
    }

    /// Whether the source has the label.
    pub fn has_label(&self) -> bool {
        self.label.is_some()
    }

    /// The same encoder, that does not look at the label.
    pub fn without_label(self) -> Encoder {
        Encoder { label: None, ..self }
    }

    /// How many cells could not be read and were taken for missing, as declared, by this encoder and its clones.
    pub fn unreadable(&self) -> u64 {
        self.unreadable.load(Ordering::Relaxed)
    }

    /// Appends row `row` of the batch: label (zero without one), numbers, categories, bytes.
    ///
    /// Of a row that is not kept `out` may hold a part.
    ///
    /// # Errors
    /// Names the column, the value and what is allowed; `out` may then end in part of a row.
    pub fn encode(&self, batch: &Batch, row: usize, out: &mut Vec<u8>) -> Result<Fate, CellError> {
        let row = batch.row(row);
        let label = match &self.label {
            None => Some(0_u32),
            Some((at, LabelRule::Class(name, classes))) => self.class(name, classes, row.cell(*at))?,
            Some((at, LabelRule::Number(rule))) => {
                let Some(number) = self.or_missing(self.number(rule, row.cell(*at)), MISSING)? else {
                    return Ok(Fate::Unreadable);
                };
                (!number.is_nan()).then_some(number.to_bits())
            }
        };
        let Some(label) = label else {
            return match (self.exceptions.missing_label, &self.label) {
                (MissingLabel::Error, Some((_, LabelRule::Class(name, _) | LabelRule::Number(NumberRule { name, .. })))) => {
                    wrong(name, NO_LABEL.into())
                }
                _ => Ok(Fate::NoLabel),
            };
        };
        out.extend_from_slice(&label.to_le_bytes());
        let start = out.len();
        out.resize(start + 4 * self.numbers.len(), 0);
        let (mut to, _) = out.get_mut(start..).unwrap_or_default().as_chunks_mut();
        let mut rules = self.numbers.as_slice();
        while let Some(first) = rules.first() {
            let (run, later) = rules.split_at(first.run);
            let (cells, rest) = std::mem::take(&mut to).split_at_mut(first.run);
            (rules, to) = (later, rest);
            // Most tables of floats have nothing else: a matrix, or a vector.
            if let Some(floats) = if first.quick { row.floats(first.at, first.run) } else { None }
                && floats.iter().fold(true, |all, float| all & float.is_finite())
            {
                cells.iter_mut().zip(floats).for_each(|(cell, float)| *cell = (float + 0.0).to_bits().to_le_bytes());
                continue;
            }
            for (rule, to) in run.iter().zip(cells) {
                let cell = row.cell(rule.at);
                // Nearly all cells of nearly all tables of text.
                let quick = if let (true, Cell::Text(text)) = (rule.quick, cell) { quick_number(text) } else { None };
                let number = match quick {
                    Some(number) => number + 0.0,
                    None => match self.or_missing(self.number(rule, cell), MISSING)? {
                        Some(number) => number,
                        None => return Ok(Fate::Unreadable),
                    },
                };
                *to = number.to_bits().to_le_bytes();
            }
        }
        for rule in &self.categories {
            let Some(index) = self.or_missing(self.category(rule, row.cell(rule.at)), rule.missing)? else {
                return Ok(Fate::Unreadable);
            };
            out.extend_from_slice(&index.to_le_bytes());
        }
        for (at, name) in &self.bytes {
            match self.byte(name, row.cell(*at)) {
                Ok(byte) => out.push(byte),
                Err(_) if self.exceptions.on_bad == OnBad::SkipRow && self.training => return Ok(Fate::Unreadable),
                // A byte has no form for what is missing.
                Err(error) => return Err(error),
            }
        }
        Ok(Fate::Kept)
    }

    /// What was read; of a cell that can't be read what is declared: what is missing, or nothing where its row is left out.
    #[inline]
    fn or_missing<T>(&self, read: Result<T, CellError>, missing: T) -> Result<Option<T>, CellError> {
        match (read, self.exceptions.on_bad) {
            (Ok(value), _) => Ok(Some(value)),
            (Err(error), OnBad::Error) => Err(error),
            // A row that somebody wants an answer for is not left out.
            (Err(error), OnBad::SkipRow) => {
                if self.training {
                    Ok(None)
                } else {
                    Err(error)
                }
            }
            (Err(_), OnBad::Missing) => {
                self.unreadable.fetch_add(1, Ordering::Relaxed);
                Ok(Some(missing))
            }
        }
    }

    /// The class of a label; nothing where it is missing.
    fn class(&self, name: &str, classes: &Lookup, cell: Cell<'_>) -> Result<Option<u32>, CellError> {
        let text = Text::of(cell);
        match classes.find_number(text.get()) {
            _ if cell == Cell::Missing => Ok(None),
            Some(index) => Ok(Some(index)),
            None if text.get().is_empty() || self.missing.is(text.get()) => Ok(None),
            None => wrong(
                name,
                format!("label `{}` is not one of the declared values; add it under [label], or drop the row", text.shown()),
            ),
        }
    }

    /// The number, the canonical NaN where it is missing; -0 becomes 0 so that equal values are equal bytes.
    fn number(&self, rule: &NumberRule, cell: Cell<'_>) -> Result<f32, CellError> {
        let name = rule.name.as_str();
        let parsed = match (cell, &rule.spelling) {
            (Cell::Missing, _) => return Ok(MISSING),
            // A number may be a spelling of what is missing, so it has to be looked at as text.
            _ if rule.missing.numeric => None,
            (Cell::Byte(b), Spelling::Plain | Spelling::Declared(_)) => Some(f32::from(b)),
            (Cell::Int(i), Spelling::Plain | Spelling::Declared(_)) => Some(i as f32),
            (Cell::Float(f), Spelling::Plain | Spelling::Declared(_)) => Some(f),
            (Cell::Text(text), Spelling::Plain) => parse_number(text.trim_ascii()),
            _ => None,
        };
        let number = match parsed {
            Some(number) if number.is_finite() => number,
            _ => {
                let text = Text::of(cell);
                if rule.missing.is(text.get()) {
                    return Ok(MISSING);
                }
                let binary = !matches!(cell, Cell::Text(_));
                let read = match &rule.spelling {
                    Spelling::Declared(format) if !binary => format.parse(text.get()),
                    Spelling::Plain | Spelling::Declared(_) => parse_number(text.get()),
                    Spelling::Date { order, unit, origin } => {
                        let moment = Moment::parse(*order, text.get());
                        let why = || format!("`{}` is no date in the declared order ({order:?}){OR_MISSING}", text.shown());
                        return moment.map(|m| m.number(*unit, *origin) + 0.0).ok_or_else(|| cell_error(name, why()));
                    }
                };
                match read {
                    Some(number) if number.is_finite() => number,
                    Some(number) => {
                        let why = if number.is_nan() { "not a number" } else { "infinite, or too large for 32 bits" };
                        return wrong(name, format!("`{}` is {why}{OR_MISSING}", text.shown()));
                    }
                    None => {
                        return wrong(
                            name,
                            format!("`{}` is not a number{OR_MISSING}, or declare the column a category", text.shown()),
                        );
                    }
                }
            }
        };
        if !rule.log1p {
            return Ok(number + 0.0);
        }
        if number <= -1.0 {
            return wrong(name, format!("log1p needs numbers above -1, and this is {number}"));
        }
        Ok(poly::log1p(number) + 0.0)
    }

    fn category(&self, rule: &CategoryRule, cell: Cell<'_>) -> Result<u32, CellError> {
        if cell == Cell::Missing {
            return Ok(rule.missing);
        }
        let text = Text::of(cell);
        let text = text.get();
        match &rule.what {
            // A declared value wins over a missing spelling, so that "NA" can be a category.
            Categories::Values(values, other) => Ok(match values.find(text) {
                Some(index) => index,
                None if rule.spellings.is(text) => rule.missing,
                None => *other,
            }),
            _ if rule.spellings.is(text) => Ok(rule.missing),
            Categories::Buckets(buckets) => Ok(self.buckets.of(text, *buckets)),
            Categories::Boolean => {
                let lower = text.to_ascii_lowercase();
                let found = (0..).zip(BOOLEANS).find(|(_, spellings)| spellings.iter().any(|s| s.as_bytes() == lower));
                found.map(|(index, _)| index).ok_or_else(|| {
                    cell_error(&rule.name, format!("`{}` is neither yes nor no{OR_MISSING}", Text::of(cell).shown()))
                })
            }
            // Where it is no date, the number of the same column has said so.
            Categories::Part(order, part) => Ok(Moment::parse(*order, text).map_or(rule.missing, |m| m.part(*part))),
        }
    }

    fn byte(&self, name: &str, cell: Cell<'_>) -> Result<u8, CellError> {
        match cell {
            Cell::Byte(b) => return Ok(b),
            Cell::Missing => {
                return wrong(name, "the value is missing, and a byte has no form for that; declare the column a number".into());
            }
            _ => {}
        }
        let text = Text::of(cell);
        let parsed = std::str::from_utf8(text.get()).ok().and_then(|t| t.parse::<u8>().ok());
        match parsed {
            Some(b) => Ok(b),
            None => wrong(
                name,
                format!("`{}` is not an integer from 0 to 255; mend it, or declare the column a number", text.shown()),
            ),
        }
    }
}
