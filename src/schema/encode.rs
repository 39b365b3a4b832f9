//! Cells to bytes. A pure function of the schema and the row.

use super::number::{parse_number, quick_number};
use super::text::{Text, wrong};
use super::{CellError, Kind, Label, Places, Schema, SchemaError};
use crate::{
    digest::Buckets,
    num::poly,
    source::{Batch, Cell},
};

const NO_LABEL: &str = "the label is missing; a record without a label can't be trained on";

/// Encodes the rows of one source.
#[derive(Clone, Debug)]
pub struct Encoder {
    label: Option<(usize, LabelRule)>,
    numbers: Vec<NumberRule>,
    categories: Vec<CategoryRule>,
    bytes: Vec<(usize, String)>,
    buckets: Buckets,
    missing: Missing,
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
    /// A text that spells a number stands for it, without a second look.
    quick: bool,
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
    /// Whether a spelling also reads as a finite number; if none does, numbers are tried first.
    numeric: bool,
}

impl Missing {
    fn is(&self, text: &[u8]) -> bool {
        self.spellings.iter().any(|s| s == text)
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
            buckets: Buckets::default(),
            missing: Missing {
                spellings: schema.missing.iter().map(|m| m.as_bytes().to_vec()).collect(),
                numeric: schema.missing.iter().any(|m| parse_number(m.as_bytes()).is_some_and(f32::is_finite)),
            },
        };
        for column in &schema.columns {
            let Some(at) = position(&column.name) else { continue };
            let name = column.name.clone();
            match &column.kind {
                Kind::Number { log1p, .. } => {
                    let quick = !log1p && !encoder.missing.numeric;
                    encoder.numbers.push(NumberRule { at, name, log1p: *log1p, quick });
                }
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
        let row = batch.row(row);
        let label = match &self.label {
            None => 0_u32,
            Some((at, LabelRule::Class(name, _))) if row.cell(*at) == Cell::Missing => return wrong(name, NO_LABEL.into()),
            Some((at, LabelRule::Class(name, classes))) => {
                let text = Text::of(row.cell(*at));
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
                let number = self.number(name, row.cell(*at), *log1p)?;
                if number.is_nan() {
                    return wrong(name, NO_LABEL.into());
                }
                number.to_bits()
            }
        };
        out.extend_from_slice(&label.to_le_bytes());
        let start = out.len();
        out.resize(start + 4 * self.numbers.len(), 0);
        let (to, _) = out.get_mut(start..).unwrap_or_default().as_chunks_mut();
        for (rule, to) in self.numbers.iter().zip(to) {
            let cell = row.cell(rule.at);
            // Nearly all cells of nearly all tables.
            let quick = if let (true, Cell::Text(text)) = (rule.quick, cell) { quick_number(text) } else { None };
            let number = match quick {
                Some(number) => number + 0.0,
                None => self.number(&rule.name, cell, rule.log1p)?,
            };
            *to = number.to_bits().to_le_bytes();
        }
        for rule in &self.categories {
            out.extend_from_slice(&self.category(rule, row.cell(rule.at)).to_le_bytes());
        }
        for (at, name) in &self.bytes {
            out.push(self.byte(name, row.cell(*at))?);
        }
        Ok(())
    }

    /// The number, the canonical NaN where it is missing; -0 becomes 0 so that equal values are equal bytes.
    fn number(&self, name: &str, cell: Cell<'_>, log1p: bool) -> Result<f32, CellError> {
        let parsed = match cell {
            Cell::Missing => return Ok(f32::from_bits(0x7fc0_0000)),
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
        if cell == Cell::Missing {
            return rule.missing;
        }
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
            None => self.buckets.of(text, rule.buckets),
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
