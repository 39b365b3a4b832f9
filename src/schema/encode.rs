//! Cells to bytes. A pure function of the schema and the row.

use super::{CellError, Kind, Label, Schema, SchemaError};
use crate::{
    num::poly,
    source::{Batch, Cell},
};

/// Encodes the rows of one source.
#[derive(Clone, Debug)]
pub struct Encoder {
    label: Option<(usize, LabelRule)>,
    numbers: Vec<NumberRule>,
    categories: Vec<CategoryRule>,
    bytes: Vec<(usize, String)>,
    missing: Missing,
}

/// Finds the ids of a source's rows.
#[derive(Clone, Debug)]
pub struct Ids {
    subject: Option<(usize, String)>,
    record: Vec<(usize, String)>,
}

#[derive(Clone, Debug)]
enum LabelRule {
    Class(String, Lookup),
    Number(String, bool),
}

#[derive(Clone, Debug)]
struct NumberRule {
    at: usize,
    name: String,
    log1p: bool,
}

#[derive(Clone, Debug)]
struct CategoryRule {
    at: usize,
    values: Option<Lookup>,
    /// The index of a missing value: the last.
    missing: u32,
    buckets: u32,
}

/// Declared values to their indices.
#[derive(Clone, Debug)]
struct Lookup(Vec<(Vec<u8>, u32)>);

impl Lookup {
    fn new(values: &[String]) -> Lookup {
        let mut sorted: Vec<_> = values.iter().zip(0..).map(|(v, i)| (v.trim_ascii().as_bytes().to_vec(), i)).collect();
        sorted.sort();
        Lookup(sorted)
    }

    fn find(&self, value: &[u8]) -> Option<u32> {
        let at = self.0.binary_search_by(|(v, _)| v.as_slice().cmp(value)).ok()?;
        self.0.get(at).map(|v| v.1)
    }
}

#[derive(Clone, Debug)]
struct Missing {
    spellings: Vec<Vec<u8>>,
    /// Whether a spelling also reads as a number; if none does, numbers are tried first.
    numeric: bool,
}

impl Missing {
    fn is(&self, text: &[u8]) -> bool {
        self.spellings.iter().any(|s| s == text)
    }
}

/// The longest decimal form is that of small floats, such as -0.0000000000000000000000000000000000000117549435: 49 bytes.
const NUMBER_BYTES: usize = 64;

/// A cell's text: as it stands in a table, or the decimal form of a binary number.
struct Text<'a> {
    bytes: &'a [u8],
    buffer: [u8; NUMBER_BYTES],
    len: usize,
}

impl<'a> Text<'a> {
    fn of(cell: Cell<'a>) -> Text<'a> {
        let mut text = Text { bytes: &[], buffer: [0; NUMBER_BYTES], len: 0 };
        let number = match cell {
            Cell::Text(bytes) => {
                text.bytes = bytes.trim_ascii();
                return text;
            }
            Cell::Byte(b) => i64::from(b).to_string(),
            Cell::Int(i) => i.to_string(),
            Cell::Float(f) => f.to_string(),
        };
        text.len = number.len().min(text.buffer.len());
        text.buffer.iter_mut().zip(number.bytes()).for_each(|(to, from)| *to = from);
        text
    }

    fn get(&self) -> &[u8] {
        if self.len > 0 { self.buffer.get(..self.len).unwrap_or_default() } else { self.bytes }
    }

    fn shown(&self) -> String {
        let text = String::from_utf8_lossy(self.get());
        match text.char_indices().nth(60) {
            Some((end, _)) => format!("{}...", text.get(..end).unwrap_or_default()),
            None => text.into_owned(),
        }
    }
}

fn wrong<T>(column: &str, problem: String) -> Result<T, CellError> {
    Err(CellError { column: column.into(), problem })
}

impl Encoder {
    /// An encoder for a source with these columns. Without `training` the label may be absent.
    ///
    /// # Errors
    /// When a column is missing or undeclared.
    pub fn new(schema: &Schema, source_name: &str, columns: &[String], training: bool) -> Result<Encoder, SchemaError> {
        schema.check_source(source_name, columns, training)?;
        let position = |name: &str| columns.iter().position(|c| c == name);
        let mut encoder = Encoder {
            label: position(schema.label.column()).map(|at| {
                let rule = match &schema.label {
                    Label::Class { column, values } => LabelRule::Class(column.clone(), Lookup::new(values)),
                    Label::Number { column, log1p, .. } => LabelRule::Number(column.clone(), *log1p),
                };
                (at, rule)
            }),
            numbers: Vec::new(),
            categories: Vec::new(),
            bytes: Vec::new(),
            missing: Missing {
                spellings: schema.missing.iter().map(|m| m.as_bytes().to_vec()).collect(),
                numeric: schema.missing.iter().any(|m| parse_number(m.as_bytes()).is_some()),
            },
        };
        for column in &schema.columns {
            let Some(at) = position(&column.name) else { continue };
            let name = column.name.clone();
            match &column.kind {
                Kind::Number { log1p, .. } => encoder.numbers.push(NumberRule { at, name, log1p: *log1p }),
                Kind::Byte { .. } => encoder.bytes.push((at, name)),
                Kind::Values { values } => encoder.categories.push(CategoryRule {
                    at,
                    values: Some(Lookup::new(values)),
                    missing: values.len() as u32 + 1,
                    buckets: values.len() as u32,
                }),
                Kind::Buckets { buckets } => {
                    encoder.categories.push(CategoryRule { at, values: None, missing: *buckets, buckets: *buckets });
                }
                Kind::Ignore => {}
            }
        }
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

    /// Appends row `row` of the batch: label (zero without one), numbers, categories, bytes.
    ///
    /// # Errors
    /// Names the column, the value and what is allowed; `out` may then end in part of a row.
    pub fn encode(&self, batch: &Batch, row: usize, out: &mut Vec<u8>) -> Result<(), CellError> {
        let label = match &self.label {
            None => 0_u32,
            Some((at, LabelRule::Class(name, classes))) => {
                let text = Text::of(batch.cell(row, *at));
                match classes.find(text.get()) {
                    Some(index) => index,
                    None => {
                        return wrong(
                            name,
                            format!(
                                "label `{}` is not one of the declared values; add it under [label], or drop the row",
                                text.shown()
                            ),
                        );
                    }
                }
            }
            Some((at, LabelRule::Number(name, log1p))) => {
                let number = self.number(name, batch.cell(row, *at), *log1p)?;
                if number.is_nan() {
                    return wrong(name, "the label is missing; a record without a label can't be trained on".into());
                }
                number.to_bits()
            }
        };
        out.extend_from_slice(&label.to_le_bytes());
        for rule in &self.numbers {
            let number = self.number(&rule.name, batch.cell(row, rule.at), rule.log1p)?;
            out.extend_from_slice(&number.to_bits().to_le_bytes());
        }
        for rule in &self.categories {
            out.extend_from_slice(&self.category(rule, batch.cell(row, rule.at)).to_le_bytes());
        }
        for (at, name) in &self.bytes {
            out.push(self.byte(name, batch.cell(row, *at))?);
        }
        Ok(())
    }

    /// The number, the canonical NaN where it is missing; -0 becomes 0 so that equal values are equal bytes.
    fn number(&self, name: &str, cell: Cell<'_>, log1p: bool) -> Result<f32, CellError> {
        let parsed = match cell {
            // A number may be a spelling of what is missing, so it has to be looked at as text.
            _ if self.missing.numeric => None,
            Cell::Byte(b) => Some(f32::from(b)),
            Cell::Int(i) => Some(i as f32),
            Cell::Float(f) => Some(f),
            Cell::Text(text) => parse_number(text.trim_ascii()),
        };
        let number = match parsed {
            Some(number) if number.is_finite() => number,
            _ => {
                let text = Text::of(cell);
                if self.missing.is(text.get()) {
                    return Ok(f32::from_bits(0x7fc0_0000));
                }
                match parse_number(text.get()) {
                    Some(number) if number.is_finite() => number,
                    Some(number) => {
                        let why = if number.is_nan() { "not a number" } else { "infinite, or too large for 32 bits" };
                        return wrong(
                            name,
                            format!("`{}` is {why}; mend the cell, or list this spelling under `missing`", text.shown()),
                        );
                    }
                    None => {
                        return wrong(
                            name,
                            format!(
                                "`{}` is not a number; mend the cell, list this spelling under `missing`, or declare the column a category",
                                text.shown()
                            ),
                        );
                    }
                }
            }
        };
        if !log1p {
            return Ok(number + 0.0);
        }
        if number <= -1.0 {
            return wrong(name, format!("log1p needs numbers above -1, and this is {number}"));
        }
        Ok(poly::log1p(number) + 0.0)
    }

    fn category(&self, rule: &CategoryRule, cell: Cell<'_>) -> u32 {
        let text = Text::of(cell);
        let text = text.get();
        match &rule.values {
            // A declared value wins over a missing spelling, so that "NA" can be a category.
            Some(values) => match values.find(text) {
                Some(index) => index,
                None if self.missing.is(text) => rule.missing,
                None => rule.buckets,
            },
            None if self.missing.is(text) => rule.missing,
            None => {
                let hash = crate::digest::Digest::derive("sisa 1 category bucket", &[text]);
                let [a, b, c, d, e, f, g, h, ..] = hash.0;
                (u64::from_le_bytes([a, b, c, d, e, f, g, h]) % u64::from(rule.buckets)) as u32
            }
        }
    }

    fn byte(&self, name: &str, cell: Cell<'_>) -> Result<u8, CellError> {
        if let Cell::Byte(b) = cell {
            return Ok(b);
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

/// Correctly rounded, the whole text.
fn parse_number(text: &[u8]) -> Option<f32> {
    fast_float2::parse(text).ok()
}

impl Ids {
    /// The id columns of a source with these columns; the caller has checked that they are there.
    pub fn new(schema: &Schema, columns: &[String]) -> Ids {
        let find = |name: &String| Some((columns.iter().position(|c| c == name)?, name.clone()));
        Ids { subject: schema.subject.as_ref().and_then(find), record: schema.record.iter().filter_map(find).collect() }
    }

    /// The subject's id text, where there is a subject column.
    ///
    /// # Errors
    /// The cell is empty or a float.
    pub fn subject(&self, batch: &Batch, row: usize) -> Result<Option<Vec<u8>>, CellError> {
        self.subject.as_ref().map(|(at, name)| id(name, batch.cell(row, *at))).transpose()
    }

    /// The record's id texts; none where content names the record.
    ///
    /// # Errors
    /// A cell is empty or a float.
    pub fn record(&self, batch: &Batch, row: usize) -> Result<Vec<Vec<u8>>, CellError> {
        self.record.iter().map(|(at, name)| id(name, batch.cell(row, *at))).collect()
    }
}

fn id(name: &str, cell: Cell<'_>) -> Result<Vec<u8>, CellError> {
    // No message shows an id.
    if let Cell::Float(_) = cell {
        return wrong(name, "the id is a floating-point number; ids are text or integers. Convert the column".into());
    }
    let text = Text::of(cell);
    match text.get() {
        [] => wrong(name, "the id is empty; every record needs one. Fill the cell, or drop the row".into()),
        bytes if std::str::from_utf8(bytes).is_err() => {
            wrong(name, "the id is not UTF-8, so nobody could type it in a deletion. Convert the file to UTF-8".into())
        }
        bytes => Ok(bytes.to_vec()),
    }
}
