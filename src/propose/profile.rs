//! One pass over the sources: what each column holds, in bounded memory and whatever the order of the rows.
#![expect(clippy::indexing_slicing, reason = "columns and candidates index arrays that were made with exactly that shape")]

use std::{borrow::Cow, collections::BTreeMap, sync::Arc};

use super::{
    ProposeError,
    moments::Moments,
    sketch::{Distinct, Few, Magnitudes, Unique, hash},
    spelling::{self, SENTINELS, Spread},
    tally::{At, Tally},
    ways::Ways,
};
use crate::{
    schema::Places,
    source::{Batch, Block, Cell, Source},
};

/// The spelling under which a NaN of a binary format is counted.
const NAN: usize = 11;

/// Values of a column that are told apart exactly; more, and only their count is estimated.
pub(super) const VALUES_MAX: usize = 32;
/// The same for what may be the label.
pub(super) const CLASSES_MAX: usize = 4096;
/// Longer values are not listed.
const VALUE_BYTES_MAX: usize = 100;
/// So many hashes of the texts of cells that are no numbers tell how many different ones there are.
const ODD_HASHES: usize = 256;
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
    /// Whether the decimal mark of some column is clearly a comma.
    pub(super) commas: bool,
}

/// What a column holds.
#[derive(Debug)]
pub(super) struct ColumnProfile {
    pub(super) name: String,
    /// The vector of which it is a number.
    pub(super) vector: Option<Arc<str>>,
    /// What its items are, if its source has no cells for them.
    pub(super) unread: Option<String>,
    /// Rows by spelling of a missing value, as it is spelt, and those of a form that holds nothing.
    pub(super) missing: BTreeMap<(usize, Vec<u8>), u64>,
    pub(super) floats: bool,
    /// Whether every cell is an unsigned byte of a binary format.
    pub(super) all_bytes: bool,
    /// Cells that are neither a number nor missing, among them infinite ones and those too large, and how many these are.
    pub(super) odd: Tally,
    pub(super) infinite: u64,
    /// The texts of those that are no numbers in any spelling.
    pub(super) odd_texts: Distinct,
    /// Whether every cell of text is made of digits alone.
    pub(super) digits: bool,
    pub(super) magnitudes: Magnitudes,
    /// Numbers without a point, and those with one, which are other numbers where the point is a mark of thousands.
    pub(super) unpointed: Spread,
    pub(super) pointed: Spread,
    /// The first of them.
    pub(super) first_plain: Tally,
    /// Those without a point from a thousand on, and those that begin with a zero although more digits follow.
    pub(super) large: u64,
    pub(super) zeros: u64,
    /// Rows by number that may stand for what is missing, and the ends of all other numbers.
    pub(super) sentinels: [u64; SENTINELS.len()],
    pub(super) others: (f64, f64),
    /// Cells that say yes or no, and the first of the others.
    pub(super) booleans: u64,
    pub(super) not_boolean: Tally,
    /// Whether a cell that is not missing has a letter or a digit.
    pub(super) lettered: bool,
    /// What cells with marks, and dates, are: from the first cell on that is no number of digits alone. A table may have a hundred thousand
    /// columns, of which most have none.
    pub(super) forms: Option<Box<Forms>>,
    /// The values, while they are few.
    pub(super) values: Option<BTreeMap<Vec<u8>, Value>>,
    values_max: usize,
    distinct: Distinct,
    /// The byte values that occur.
    byte_set: [bool; 256],
}

/// Cells with more than digits.
#[derive(Clone, Debug)]
pub(super) struct Forms {
    pub(super) ways: Ways,
    pub(super) moments: Moments,
}

/// One value of a column.
#[derive(Clone, Debug)]
pub(super) struct Value {
    pub(super) rows: u64,
    /// By candidate for the subject, each record its own subject first.
    pub(super) shared: Vec<Few>,
}

/// A cell's text as ids and classes see it: trimmed, or the decimal form of a number.
pub(super) fn text_of(cell: Cell<'_>) -> Cow<'_, [u8]> {
    match cell {
        Cell::Text(text) => Cow::Borrowed(text.trim_ascii()),
        Cell::Byte(b) => Cow::Owned(b.to_string().into_bytes()),
        Cell::Int(i) => Cow::Owned(i.to_string().into_bytes()),
        Cell::Float(f) => Cow::Owned(f.to_string().into_bytes()),
        Cell::Missing => Cow::Borrowed(b""),
    }
}

/// For each column the vector of which it is a number.
pub(super) fn vectors(blocks: &[Block], columns: usize) -> Vec<Option<Arc<str>>> {
    let mut vectors = vec![None; columns];
    for Block { name, first, width } in blocks {
        let name: Arc<str> = name.as_str().into();
        vectors.iter_mut().skip(*first).take(*width).for_each(|vector| *vector = Some(name.clone()));
    }
    vectors
}

/// Leaves out the columns that a source can't read, and returns them.
pub(super) fn only_read(source: &mut dyn Source) -> Vec<(usize, String)> {
    let unread = source.unread();
    if !unread.is_empty() {
        let read = |at: &usize| !unread.iter().any(|(other, _)| other == at);
        source.only(&(0..source.columns().len()).filter(read).collect::<Vec<_>>());
    }
    unread
}

impl Profile {
    /// Reads all sources to their ends.
    pub(super) fn read(sources: &mut [Box<dyn Source>], columns: &[String], plan: &Plan) -> Result<Profile, ProposeError> {
        let blocks = sources.first().map(|source| source.blocks()).unwrap_or_default();
        let vectors = vectors(&blocks, columns.len());
        let per_column = |all: usize, most: usize, least: usize| (all / columns.len().max(1)).clamp(least, most);
        let new = |(index, name): (usize, &String)| ColumnProfile {
            name: name.clone(),
            vector: vectors.get(index).cloned().flatten(),
            unread: None,
            missing: BTreeMap::new(),
            floats: false,
            all_bytes: true,
            odd: Tally::default(),
            infinite: 0,
            odd_texts: Distinct::new(ODD_HASHES),
            digits: true,
            magnitudes: Magnitudes::default(),
            unpointed: Spread::new(),
            pointed: Spread::new(),
            first_plain: Tally::default(),
            large: 0,
            zeros: 0,
            sentinels: [0; SENTINELS.len()],
            others: (f64::INFINITY, f64::NEG_INFINITY),
            booleans: 0,
            not_boolean: Tally::default(),
            lettered: false,
            forms: None,
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
            commas: false,
        };
        let mut batch = Batch::new();
        for source in sources {
            let found = Places::of(source.columns());
            let places: Option<Vec<usize>> = columns.iter().map(|c| found.find(c)).collect();
            // The caller has compared the columns of the sources.
            let places = places.unwrap_or_default();
            for (at, found) in only_read(source.as_mut()) {
                let column = places.iter().position(|place| *place == at).and_then(|column| profile.columns.get_mut(column));
                column.into_iter().for_each(|column| column.unread = Some(found.clone()));
            }
            while source.next(&mut batch)? > 0 {
                for row in 0..batch.rows() {
                    profile.see(&batch, row, &places, plan);
                }
            }
        }
        profile.commas = profile.columns.iter().any(ColumnProfile::has_commas);
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
        let at = At { batch, row, number: self.rows, subjects };
        for (column, &place) in self.columns.iter_mut().zip(places) {
            column.see(batch.cell(row, place), at);
        }
        self.rows += 1;
    }
}

impl ColumnProfile {
    fn see(&mut self, cell: Cell<'_>, at: At<'_>) {
        let bits = match cell {
            Cell::Text(text) => return self.text_cell(text.trim_ascii(), at),
            Cell::Missing => {
                self.all_bytes = false;
                self.is_missing(0, b"");
                return;
            }
            Cell::Byte(b) => {
                self.byte_set[usize::from(b)] = true;
                if !self.may_be_label() {
                    // Pixels are many, and their range is all that is asked for.
                    self.unpointed.bound(f64::from(b));
                    return;
                }
                self.number(f64::from(b), false, at);
                u64::from(b)
            }
            Cell::Int(i) => {
                self.all_bytes = false;
                self.number(i as f64, false, at);
                i as u64
            }
            Cell::Float(f) => {
                (self.all_bytes, self.floats) = (false, true);
                if f.is_nan() {
                    self.is_missing(NAN, b"NaN");
                    return;
                }
                if self.vector.is_some() && f.is_finite() {
                    // They are many, and their ends are all that is asked for.
                    self.unpointed.insert(f64::from(f) + 0.0, at.subjects);
                    return;
                }
                if f.is_finite() {
                    self.number(f64::from(f), false, at);
                } else {
                    self.is_infinite(at);
                }
                u64::from(f.to_bits())
            }
        };
        self.lettered = true;
        if self.may_be_label() {
            self.value(&text_of(cell), at.subjects);
        } else {
            self.forget_values();
            self.distinct.insert(hash(&bits.to_le_bytes()));
        }
    }

    fn is_missing(&mut self, spelling: usize, text: &[u8]) {
        *self.missing.entry((spelling, text.to_owned())).or_default() += 1;
    }

    /// A number that no f32 holds.
    fn is_infinite(&mut self, at: At<'_>) {
        self.infinite += 1;
        self.odd.see(at);
        self.forms().ways.unreadable(at);
    }

    fn forms(&mut self) -> &mut Forms {
        self.forms.get_or_insert_with(|| Box::new(Forms { ways: Ways::default(), moments: Moments::new() }))
    }

    fn text_cell(&mut self, text: &[u8], at: At<'_>) {
        self.all_bytes = false;
        self.digits &= text.iter().all(u8::is_ascii_digit);
        if let Some(spelling) = spelling::missing(text) {
            self.is_missing(spelling, text);
            if !text.is_empty() {
                self.value(text, at.subjects);
            }
            return;
        }
        self.lettered |= text.iter().any(|byte| byte.is_ascii_alphanumeric() || !byte.is_ascii());
        if spelling::is_boolean(text) {
            self.booleans += 1;
        } else if self.not_boolean.cells == 0 {
            self.not_boolean.see(at);
        }
        // What is too large for the f32 that is stored would be refused.
        match fast_float2::parse::<f64, _>(text).ok() {
            Some(number) if (number as f32).is_finite() => {
                let pointed = text.contains(&b'.');
                self.zeros += u64::from(matches!(text, [b'0', b'0'..=b'9', ..]) && !pointed);
                self.number(number, pointed, at);
                if pointed {
                    self.forms().ways.see_pointed(text, number, at);
                }
            }
            Some(_) => {
                self.odd_texts.insert(hash(text));
                self.is_infinite(at);
            }
            None => {
                self.odd.see(at);
                let Forms { ways, moments } = self.forms();
                moments.see(text, at);
                if !ways.see(text, at) {
                    self.odd_texts.insert(hash(text));
                }
            }
        }
        self.value(text, at.subjects);
    }

    fn may_be_label(&self) -> bool {
        self.values_max == CLASSES_MAX
    }

    #[inline]
    fn number(&mut self, number: f64, pointed: bool, at: At<'_>) {
        let number = number + 0.0;
        if self.first_plain.cells == 0 {
            self.first_plain.see(at);
        }
        self.large += u64::from(!pointed && number.abs() >= 1000.0);
        if number >= 0.0 {
            self.magnitudes.insert(number);
        }
        match SENTINELS.iter().position(|s| *s == number) {
            Some(at) => self.sentinels[at] += 1,
            None => self.others = (self.others.0.min(number), self.others.1.max(number)),
        }
        if pointed { &mut self.pointed } else { &mut self.unpointed }.insert(number, at.subjects);
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

    /// Distinct values: exact while they are few, then an estimate.
    pub(super) fn distinct(&self) -> u64 {
        if self.all_bytes {
            return self.byte_set.iter().filter(|occurs| **occurs).count() as u64;
        }
        match &self.values {
            Some(values) => values.keys().filter(|text| self.is_value(text)).count() as u64,
            None => {
                let counted = self.missing.keys().filter(|(s, text)| *s > 0 && !self.is_value(text)).count() as u64;
                self.distinct.count().saturating_sub(counted)
            }
        }
    }

    /// The values that are not missing, where they are few.
    pub(super) fn values(&self) -> Option<impl Iterator<Item = (&[u8], &Value)>> {
        let values = self.values.as_ref()?.iter().map(|(text, value)| (text.as_slice(), value));
        Some(values.filter(move |(text, _)| self.is_value(text)))
    }
}
