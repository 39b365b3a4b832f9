//! One pass over the sources: what each column holds, in bounded memory and whatever the order of the rows.
#![expect(clippy::indexing_slicing, reason = "columns and candidates index arrays that were made with exactly that shape")]

use std::{borrow::Cow, collections::BTreeMap};

use super::{
    ProposeError,
    sketch::{Distinct, Few, Magnitudes, Reached, Unique, hash},
};
use crate::{
    schema::Places,
    source::{Batch, Cell, Source},
};

/// Spellings of a missing value that are looked for. The last is a value in columns of text.
pub(super) const MISSING: [&str; 8] = ["", "?", "NA", "N/A", "null", "nan", "NaN", NONE];
const NONE: &str = "None";
/// The spelling under which a NaN of a binary format is looked up.
const NAN: usize = 6;

/// Values of a column that are told apart exactly; more, and only their count is estimated.
pub(super) const VALUES_MAX: usize = 32;
/// The same for what may be the label.
pub(super) const CLASSES_MAX: usize = 4096;
/// Longer values are not listed.
const VALUE_BYTES_MAX: usize = 100;
/// Hashes kept to estimate the distinct values of a column.
const COLUMN_HASHES: usize = 4096;
/// The same over all columns, and for values told apart exactly: wide tables get less each.
const ALL_HASHES: usize = 1 << 22;
const ALL_VALUES: usize = 1 << 17;
/// Hashes kept to count subjects.
const SUBJECT_HASHES: usize = 1 << 20;

/// What the pass has to find out, besides what each column holds. Columns are indices.
#[derive(Clone, Debug, Default)]
pub(super) struct Plan {
    /// What may be the label.
    pub(super) labels: Vec<usize>,
    /// What may be the subject.
    pub(super) subjects: Vec<usize>,
    /// Sets of one or two columns that may name a record.
    pub(super) records: Vec<Vec<usize>>,
}

/// What the pass found.
#[derive(Debug)]
pub(super) struct Profile {
    pub(super) rows: u64,
    pub(super) columns: Vec<ColumnProfile>,
    /// Distinct values of each candidate for the subject.
    pub(super) subjects: Vec<Distinct>,
    /// Whether each candidate names every record.
    pub(super) records: Vec<Unique>,
}

/// What a column holds.
#[derive(Debug)]
pub(super) struct ColumnProfile {
    pub(super) name: String,
    /// Rows by spelling of a missing value.
    pub(super) missing: [u64; MISSING.len()],
    pub(super) floats: bool,
    /// Whether every cell is an unsigned byte of a binary format.
    pub(super) all_bytes: bool,
    /// Whether a cell is neither a number nor missing.
    pub(super) text: bool,
    /// Whether a number of a binary format is infinite.
    pub(super) infinite: bool,
    /// Whether every number is whole.
    pub(super) whole: bool,
    /// Whether every cell of text is made of digits alone.
    pub(super) digits: bool,
    pub(super) least: f64,
    pub(super) most: f64,
    pub(super) magnitudes: Magnitudes,
    /// By candidate for the subject, each record its own subject first: what enough subjects reach, and the same of negated numbers.
    reached: Vec<[Reached; 2]>,
    /// The values, while they are few.
    pub(super) values: Option<BTreeMap<Vec<u8>, Value>>,
    values_max: usize,
    distinct: Distinct,
    /// The byte values that occur.
    byte_set: [bool; 256],
}

/// One value of a column.
#[derive(Clone, Debug)]
pub(super) struct Value {
    pub(super) rows: u64,
    /// By candidate for the subject, each record its own subject first.
    pub(super) shared: Vec<Few>,
}

/// A cell's text as ids and classes see it: trimmed, or the decimal form of a number.
fn text_of(cell: Cell<'_>) -> Cow<'_, [u8]> {
    match cell {
        Cell::Text(text) => Cow::Borrowed(text.trim_ascii()),
        Cell::Byte(b) => Cow::Owned(b.to_string().into_bytes()),
        Cell::Int(i) => Cow::Owned(i.to_string().into_bytes()),
        Cell::Float(f) => Cow::Owned(f.to_string().into_bytes()),
        Cell::Missing => Cow::Borrowed(b""),
    }
}

impl Profile {
    /// Reads all sources to their ends.
    pub(super) fn read(sources: &mut [Box<dyn Source>], columns: &[String], plan: &Plan) -> Result<Profile, ProposeError> {
        let candidates = 1 + plan.subjects.len();
        let per_column = |all: usize, most: usize, least: usize| (all / columns.len().max(1)).clamp(least, most);
        let new = |(index, name): (usize, &String)| ColumnProfile {
            name: name.clone(),
            missing: [0; MISSING.len()],
            floats: false,
            all_bytes: true,
            text: false,
            infinite: false,
            whole: true,
            digits: true,
            least: f64::INFINITY,
            most: f64::NEG_INFINITY,
            magnitudes: Magnitudes::default(),
            reached: vec![Default::default(); candidates],
            values: Some(BTreeMap::new()),
            values_max: if plan.labels.contains(&index) { CLASSES_MAX } else { per_column(ALL_VALUES, VALUES_MAX, 2) },
            distinct: Distinct::new(per_column(ALL_HASHES, COLUMN_HASHES, 64)),
            byte_set: [false; 256],
        };
        let mut profile = Profile {
            rows: 0,
            columns: columns.iter().enumerate().map(new).collect(),
            subjects: vec![Distinct::new(SUBJECT_HASHES); plan.subjects.len()],
            records: vec![Unique::new(); plan.records.len()],
        };
        let mut batch = Batch::new();
        for source in sources {
            let found = Places::of(source.columns());
            let places: Option<Vec<usize>> = columns.iter().map(|c| found.find(c)).collect();
            // The caller has compared the columns of the sources.
            let places = places.unwrap_or_default();
            while source.next(&mut batch)? > 0 {
                for row in 0..batch.rows() {
                    profile.see(&batch, row, &places, plan);
                }
            }
        }
        Ok(profile)
    }

    fn see(&mut self, batch: &Batch, row: usize, places: &[usize], plan: &Plan) {
        let id = |column: usize| hash(&text_of(batch.cell(row, places[column])));
        let mut subjects = [self.rows; 8];
        let subjects = &mut subjects[..=plan.subjects.len()];
        for ((&column, distinct), subject) in plan.subjects.iter().zip(&mut self.subjects).zip(&mut subjects[1..]) {
            *subject = id(column);
            distinct.insert(*subject);
        }
        for (columns, unique) in plan.records.iter().zip(&mut self.records) {
            if !unique.holds() {
                continue;
            }
            let key = match columns.as_slice() {
                [one] => id(*one),
                several => hash(&several.iter().flat_map(|&column| id(column).to_le_bytes()).collect::<Vec<_>>()),
            };
            unique.insert(self.rows, key);
        }
        for (column, &place) in self.columns.iter_mut().zip(places) {
            column.see(batch.cell(row, place), subjects);
        }
        self.rows += 1;
    }
}

impl ColumnProfile {
    fn see(&mut self, cell: Cell<'_>, subjects: &[u64]) {
        let bits = match cell {
            Cell::Text(text) => return self.text_cell(text.trim_ascii(), subjects),
            Cell::Missing => return self.text_cell(b"", subjects),
            Cell::Byte(b) => {
                self.byte_set[usize::from(b)] = true;
                if !self.may_be_label() {
                    // Pixels are many, and their range is all that is asked for.
                    self.bound(f64::from(b));
                    return;
                }
                self.number(f64::from(b), subjects);
                u64::from(b)
            }
            Cell::Int(i) => {
                self.all_bytes = false;
                self.number(i as f64, subjects);
                i as u64
            }
            Cell::Float(f) => {
                (self.all_bytes, self.floats) = (false, true);
                if f.is_nan() {
                    self.missing[NAN] += 1;
                    return;
                }
                self.infinite |= f.is_infinite();
                if f.is_finite() {
                    self.number(f64::from(f), subjects);
                }
                u64::from(f.to_bits())
            }
        };
        if self.may_be_label() {
            self.value(&text_of(cell), subjects);
        } else {
            self.forget_values();
            self.distinct.insert(hash(&bits.to_le_bytes()));
        }
    }

    fn text_cell(&mut self, text: &[u8], subjects: &[u64]) {
        self.all_bytes = false;
        self.digits &= text.iter().all(u8::is_ascii_digit);
        if let Some(spelling) = MISSING.iter().position(|m| m.as_bytes() == text) {
            self.missing[spelling] += 1;
            if MISSING[spelling] != NONE {
                return;
            }
        } else if !self.text {
            match fast_float2::parse::<f64, _>(text) {
                // What is too large for the f32 that is stored would be refused.
                Ok(number) if (number as f32).is_finite() => self.number(number, subjects),
                _ => self.text = true,
            }
        }
        self.value(text, subjects);
    }

    fn may_be_label(&self) -> bool {
        self.values_max == CLASSES_MAX
    }

    fn bound(&mut self, number: f64) {
        self.least = self.least.min(number);
        self.most = self.most.max(number);
    }

    #[inline]
    fn number(&mut self, number: f64, subjects: &[u64]) {
        let number = number + 0.0;
        self.bound(number);
        self.whole &= number.fract() == 0.0;
        if number >= 0.0 {
            self.magnitudes.insert(number);
        }
        for ([high, low], &subject) in self.reached.iter_mut().zip(subjects) {
            high.insert(number, subject);
            low.insert(-number, subject);
        }
    }

    fn value(&mut self, text: &[u8], subjects: &[u64]) {
        let Some(values) = &mut self.values else {
            self.distinct.insert(hash(text));
            return;
        };
        if let Some(value) = values.get_mut(text) {
            value.rows += 1;
            value.shared.iter_mut().zip(subjects).for_each(|(few, &subject)| few.insert(subject));
            return;
        }
        if values.len() < self.values_max && text.len() <= VALUE_BYTES_MAX {
            let mut shared = vec![Few::default(); subjects.len()];
            shared.iter_mut().zip(subjects).for_each(|(few, &subject)| few.insert(subject));
            values.insert(text.to_owned(), Value { rows: 1, shared });
            return;
        }
        self.forget_values();
        self.distinct.insert(hash(text));
    }

    /// From here on values are only counted.
    fn forget_values(&mut self) {
        for known in self.values.take().iter().flat_map(BTreeMap::keys) {
            self.distinct.insert(hash(known));
        }
    }

    /// Whether all that is not missing is a number.
    pub(super) fn is_number(&self) -> bool {
        !self.text && self.least <= self.most
    }

    /// Rows without a value, `None` counted where the others are numbers.
    pub(super) fn missing_rows(&self) -> u64 {
        let used = if self.is_number() { MISSING.len() } else { MISSING.len() - 1 };
        self.missing.iter().take(used).sum()
    }

    /// The spellings of a missing value that occur.
    pub(super) fn spellings(&self) -> impl Iterator<Item = &'static str> {
        let used = if self.is_number() { MISSING.len() } else { MISSING.len() - 1 };
        MISSING.iter().zip(self.missing).take(used).filter(|(_, rows)| *rows > 0).map(|(spelling, _)| *spelling)
    }

    /// Distinct values: exact while they are few, then an estimate.
    pub(super) fn distinct(&self) -> u64 {
        if self.all_bytes {
            return self.byte_set.iter().filter(|occurs| **occurs).count() as u64;
        }
        let all = self.values.as_ref().map_or_else(|| self.distinct.count(), |values| values.len() as u64);
        all - u64::from(self.is_number() && self.missing.last().is_some_and(|rows| *rows > 0)).min(all)
    }

    /// The values that are not missing, where they are few.
    pub(super) fn values(&self) -> Option<impl Iterator<Item = (&[u8], &Value)>> {
        let skip_none = self.is_number();
        let values = self.values.as_ref()?.iter().map(|(text, value)| (text.as_slice(), value));
        Some(values.filter(move |(text, _)| !(skip_none && *text == NONE.as_bytes())))
    }

    /// The range that at least ten subjects lie beyond on either side, under the candidate for the subject.
    pub(super) fn range(&self, candidate: usize) -> Option<(f64, f64)> {
        let [high, low] = self.reached.get(candidate)?;
        Some((-low.get()?, high.get()?))
    }
}
