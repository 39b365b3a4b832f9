//! Columns to encoded features: declared, never learnt from the rows.

mod carry;
mod cohort;
mod dates;
mod declare;
mod encode;
mod error;
mod exceptions;
mod format;
mod ids;
mod likeness;
mod number;
mod places;
mod row;
mod rows;
mod text;

use std::{borrow::Cow, collections::BTreeSet};

use serde::{Deserialize, Serialize};

pub use carry::Carry;
pub use cohort::{Blocks, CohortUnit, Cohorts};
#[cfg(test)]
use dates::tests_of_dates;
pub use dates::{Date, DateColumn};
pub use declare::{ColumnDeclaration, Declaration, LabelDeclaration};
pub(crate) use encode::BOOLEANS;
pub use encode::{Encoder, Fate};
pub use error::{CellError, SchemaError};
pub use exceptions::{Exceptions, IdForm, MissingLabel, MissingSubject, OnBad};
pub use format::{DateOrder, DatePart, DateUnit, NumberFormat};
pub(crate) use format::{Moment, days_of_text};
pub use ids::{Ids, Subject, Subjects};
pub use likeness::{Difference, Likeness};
pub use places::{Places, some_of};
pub use row::{RowLayout, RowRef};
pub use rows::EncodedRows;

use crate::learn::{Layout, Range, Task};
use crate::num::poly;

/// The version of the rules that turn cells into bytes and subjects into places; part of every lineage.
pub const ENCODER_VERSION: u32 = 3;
/// The version of schemas that declare nothing that came with [`ENCODER_VERSION`]; their bytes are the same ever since.
const ENCODER_BEFORE: u32 = 2;

/// What the columns of a generation mean: resolved, frozen, in the order in which they are encoded.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Schema {
    /// The column that says whom a record is about; without it each record is its own subject.
    pub subject: Option<String>,
    /// The columns that name a record; without any, its content does.
    pub record: Vec<String>,
    /// What is learnt.
    pub label: Label,
    /// Spellings of a missing value, compared with the trimmed cell.
    pub missing: Vec<String>,
    /// Every declared column.
    pub columns: Vec<Column>,
    /// What becomes of rows and cells that are not as they should be.
    #[serde(default, skip_serializing_if = "Exceptions::is_default")]
    pub exceptions: Exceptions,
}

/// The label column.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase", deny_unknown_fields)]
pub enum Label {
    /// One of the declared values.
    Class {
        /// Its column.
        column: String,
        /// The classes, in the order of their indices.
        values: Vec<String>,
    },
    /// A number.
    Number {
        /// Its column.
        column: String,
        /// Whether ln(1 + x) is what is learnt and predicted.
        log1p: bool,
        /// The declared ends, in the units of the source.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        range: Option<Range>,
        /// How it is spelt.
        #[serde(default, skip_serializing_if = "NumberFormat::is_plain")]
        format: NumberFormat,
    },
}

/// A declared column.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Column {
    /// As in the source's header.
    pub name: String,
    /// What its cells are.
    pub kind: Kind,
    /// Spellings of a missing value that count here in place of those of the schema.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub missing: Option<Vec<String>>,
}

/// What the cells of a column are.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase", deny_unknown_fields)]
pub enum Kind {
    /// A number, stored as f32, scaled by each constituent.
    Number {
        /// Whether ln(1 + x) is stored.
        log1p: bool,
        /// Whether a missing value is an input of its own.
        indicator: bool,
        /// The declared ends, in the units of the source.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        range: Option<Range>,
        /// How it is spelt.
        #[serde(default, skip_serializing_if = "NumberFormat::is_plain")]
        format: NumberFormat,
    },
    /// A moment: a number of days or seconds since its origin, scaled by each constituent, and parts of it as categories.
    Date {
        /// In which order it is written.
        order: DateOrder,
        /// What is counted.
        unit: DateUnit,
        /// Since when: `2000-01-01`.
        origin: String,
        /// Its parts, in the order of their indices.
        parts: Vec<DatePart>,
        /// Whether a missing value is an input of its own.
        indicator: bool,
        /// The declared ends of the number.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        range: Option<Range>,
    },
    /// Yes or no in any common spelling: a category of two values; missing is a value too.
    Boolean,
    /// A vector of numbers, stored as f32, whose cells are the source's columns `name0`, `name1`, ..; each is a number of one range.
    Embedding {
        /// How many.
        size: u32,
        /// The declared ends of all of them, in the units of the source.
        range: Range,
        /// How they are spelt.
        #[serde(default, skip_serializing_if = "NumberFormat::is_plain")]
        format: NumberFormat,
    },
    /// An integer from 0 to 255, stored as it is, multiplied by `scale` when used.
    Byte {
        /// The factor.
        scale: f32,
    },
    /// One of the declared values; anything else is "other", and missing is a value too.
    Values {
        /// The values, in the order of their indices.
        values: Vec<String>,
    },
    /// Hashed into this many buckets; missing is a value too.
    Buckets {
        /// How many.
        buckets: u32,
    },
    /// Not used.
    Ignore,
}

impl Kind {
    /// How many indices a category column can take; `None` for other kinds.
    pub fn category_size(&self) -> Option<u32> {
        match self {
            Kind::Values { values } => Some(values.len() as u32 + 2),
            Kind::Buckets { buckets } => Some(buckets + 1),
            Kind::Boolean => Some(3),
            Kind::Number { .. } | Kind::Date { .. } | Kind::Embedding { .. } | Kind::Byte { .. } | Kind::Ignore => None,
        }
    }
}

impl Column {
    /// The columns of a source that it stands for, in order: of an embedding one for each of its numbers, of anything else one.
    pub fn sources(&self) -> impl Iterator<Item = Cow<'_, str>> {
        let (numbers, own) = match self.kind {
            Kind::Embedding { size, .. } => (0..size, None),
            _ => (0..0, Some(Cow::Borrowed(self.name.as_str()))),
        };
        own.into_iter().chain(numbers.map(|at| Cow::Owned(format!("{}{at}", self.name))))
    }
}

impl Label {
    /// The label's column.
    pub fn column(&self) -> &str {
        match self {
            Label::Class { column, .. } | Label::Number { column, .. } => column,
        }
    }
}

impl Schema {
    /// Whom records are about.
    pub fn subjects(&self) -> Subjects {
        if self.subject.is_some() { Subjects::Column } else { Subjects::EachRecord }
    }

    /// The version of the encoder that this schema needs: an older one where it declares nothing that is new.
    pub fn encoder_version(&self) -> u32 {
        let is_new = |kind: &Kind| match kind {
            Kind::Number { format, .. } => !format.is_plain(),
            Kind::Date { .. } | Kind::Boolean | Kind::Embedding { .. } => true,
            Kind::Byte { .. } | Kind::Values { .. } | Kind::Buckets { .. } | Kind::Ignore => false,
        };
        let new_label = matches!(&self.label, Label::Number { format, .. } if !format.is_plain());
        let new_column = |column: &Column| is_new(&column.kind) || column.missing.is_some();
        let any = !self.exceptions.is_default() || new_label || self.columns.iter().any(new_column);
        if any { ENCODER_VERSION } else { ENCODER_BEFORE }
    }

    /// The shape of a row as learners see it.
    pub fn layout(&self) -> Layout {
        let mut layout = Layout {
            numbers: 0,
            ranges: Vec::new(),
            indicators: Vec::new(),
            byte_scales: Vec::new(),
            categories: Vec::new(),
            task: match &self.label {
                Label::Class { values, .. } => Task::Classes(values.len() as u32),
                Label::Number { .. } => Task::Number,
            },
            label_range: match &self.label {
                Label::Number { log1p, range, .. } => range.map(|r| encoded(r, *log1p)),
                Label::Class { .. } => None,
            },
        };
        for column in &self.columns {
            match &column.kind {
                Kind::Date { parts, indicator, range, .. } => {
                    layout.ranges.push(*range);
                    if *indicator {
                        layout.indicators.push(layout.numbers as u32);
                    }
                    layout.numbers += 1;
                    layout.categories.extend(parts.iter().map(|part| part.count() + 1));
                }
                Kind::Number { log1p, indicator, range, .. } => {
                    layout.ranges.push(range.map(|r| encoded(r, *log1p)));
                    if *indicator {
                        layout.indicators.push(layout.numbers as u32);
                    }
                    layout.numbers += 1;
                }
                Kind::Embedding { size, range, .. } => {
                    layout.ranges.extend((0..*size).map(|_| Some(*range)));
                    layout.numbers += *size as usize;
                }
                Kind::Byte { scale } => layout.byte_scales.push(*scale),
                Kind::Values { .. } | Kind::Buckets { .. } | Kind::Boolean => {
                    layout.categories.extend(column.kind.category_size())
                }
                Kind::Ignore => {}
            }
        }
        layout
    }

    /// Where in a source's columns those are that are used: inputs, the label and ids, as far as they are there.
    pub fn positions(&self, columns: &[String]) -> Vec<usize> {
        let inputs = self.columns.iter().filter(|c| c.kind != Kind::Ignore).flat_map(Column::sources);
        let ids = self.subject.iter().chain(&self.record).map(String::as_str).chain([self.label.column()]);
        let used: BTreeSet<Cow<'_, str>> = inputs.chain(ids.map(Cow::Borrowed)).collect();
        (0..).zip(columns).filter(|(_, name)| used.contains(name.as_str())).map(|(at, _)| at).collect()
    }

    /// The sizes of an encoded row.
    pub fn row(&self) -> RowLayout {
        let layout = self.layout();
        RowLayout {
            numbers: layout.numbers as u32,
            bytes: layout.byte_scales.len() as u32,
            categories: layout.categories.len() as u32,
            class_label: matches!(self.label, Label::Class { .. }),
        }
    }
}

/// A declared range as its column is stored.
fn encoded(range: Range, log1p: bool) -> Range {
    if log1p { Range(range.0.map(|end| poly::log1p(end) + 0.0)) } else { range }
}
