//! One pass over the sources: what each column holds, in bounded memory and whatever the order of the rows.
#![expect(clippy::indexing_slicing, reason = "columns and candidates index arrays that were made with exactly that shape")]

use std::{borrow::Cow, collections::BTreeMap};

use super::{
    ProposeError,
    sketch::{Distinct, Few, Magnitudes, Unique, hash},
    spelling::{self, ORDERS, SENTINELS, Spelling, Spread},
};
use crate::{
    schema::{DateOrder, NumberFormat, Places},
    source::{Batch, Cell, Place, Source},
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
/// So many texts that are no numbers, in so many rows each, are codes.
const ODD_CODES: u64 = 10;
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
    /// What its items are, if its source has no cells for them.
    pub(super) unread: Option<String>,
    /// Rows by spelling of a missing value, as it is spelt, and those of a form that holds nothing.
    missing: BTreeMap<(usize, Vec<u8>), u64>,
    pub(super) floats: bool,
    /// Whether every cell is an unsigned byte of a binary format.
    pub(super) all_bytes: bool,
    /// Cells that are neither a number nor missing, among them infinite ones and those too large, and the first of them.
    pub(super) odd: u64,
    pub(super) odd_place: Option<Place>,
    /// The texts of those.
    odd_texts: Distinct,
    /// Whether every cell of text is made of digits alone.
    pub(super) digits: bool,
    pub(super) magnitudes: Magnitudes,
    /// Numbers without a point, and those with one, which are other numbers where the point is a mark of thousands.
    unpointed: Spread,
    pointed: Spread,
    /// Rows by number that may stand for what is missing, and the ends of all other numbers.
    sentinels: [u64; SENTINELS.len()],
    others: (f64, f64),
    pub(super) spelling: Spelling,
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
pub(super) fn text_of(cell: Cell<'_>) -> Cow<'_, [u8]> {
    match cell {
        Cell::Text(text) => Cow::Borrowed(text.trim_ascii()),
        Cell::Byte(b) => Cow::Owned(b.to_string().into_bytes()),
        Cell::Int(i) => Cow::Owned(i.to_string().into_bytes()),
        Cell::Float(f) => Cow::Owned(f.to_string().into_bytes()),
        Cell::Missing => Cow::Borrowed(b""),
    }
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
        let per_column = |all: usize, most: usize, least: usize| (all / columns.len().max(1)).clamp(least, most);
        let new = |(index, name): (usize, &String)| ColumnProfile {
            name: name.clone(),
            unread: None,
            missing: BTreeMap::new(),
            floats: false,
            all_bytes: true,
            odd: 0,
            odd_place: None,
            odd_texts: Distinct::new(ODD_HASHES),
            digits: true,
            magnitudes: Magnitudes::default(),
            unpointed: Spread::new(),
            pointed: Spread::new(),
            sentinels: [0; SENTINELS.len()],
            others: (f64::INFINITY, f64::NEG_INFINITY),
            spelling: Spelling::new(),
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
            let odd = column.odd;
            column.see(batch.cell(row, place), subjects);
            if column.odd > odd && column.odd_place.is_none() {
                column.odd_place = Some(batch.place(row));
            }
        }
        self.rows += 1;
    }
}

impl ColumnProfile {
    fn see(&mut self, cell: Cell<'_>, subjects: &[u64]) {
        let bits = match cell {
            Cell::Text(text) => return self.text_cell(text.trim_ascii(), subjects),
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
                self.number(f64::from(b), false, subjects);
                u64::from(b)
            }
            Cell::Int(i) => {
                self.all_bytes = false;
                self.number(i as f64, false, subjects);
                i as u64
            }
            Cell::Float(f) => {
                (self.all_bytes, self.floats) = (false, true);
                if f.is_nan() {
                    self.is_missing(NAN, b"NaN");
                    return;
                }
                if f.is_finite() {
                    self.number(f64::from(f), false, subjects);
                } else {
                    self.odd += 1;
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

    fn is_missing(&mut self, spelling: usize, text: &[u8]) {
        *self.missing.entry((spelling, text.to_owned())).or_default() += 1;
    }

    fn text_cell(&mut self, text: &[u8], subjects: &[u64]) {
        self.all_bytes = false;
        self.digits &= text.iter().all(u8::is_ascii_digit);
        if let Some(spelling) = spelling::missing(text) {
            self.is_missing(spelling, text);
            if !spelling::is_word(spelling) {
                return;
            }
        } else {
            // What is too large for the f32 that is stored would be refused.
            let number = fast_float2::parse::<f64, _>(text).ok();
            let stored = number.filter(|number| (*number as f32).is_finite());
            match stored {
                Some(number) => self.number(number, text.contains(&b'.'), subjects),
                None => {
                    self.odd += 1;
                    self.odd_texts.insert(hash(text));
                }
            }
            if number.is_none() || text.contains(&b'.') || text.len() <= 5 {
                self.spelling.see(text, number, subjects);
            }
        }
        self.value(text, subjects);
    }

    fn may_be_label(&self) -> bool {
        self.values_max == CLASSES_MAX
    }

    #[inline]
    fn number(&mut self, number: f64, pointed: bool, subjects: &[u64]) {
        let number = number + 0.0;
        if number >= 0.0 {
            self.magnitudes.insert(number);
        }
        match SENTINELS.iter().position(|s| *s == number) {
            Some(at) => self.sentinels[at] += 1,
            None => self.others = (self.others.0.min(number), self.others.1.max(number)),
        }
        if pointed { &mut self.pointed } else { &mut self.unpointed }.insert(number, subjects);
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

    /// The numbers that cells spell without any declaration.
    pub(super) fn numbers(&self) -> Spread {
        self.unpointed.and(&self.pointed)
    }

    /// Whether what is not missing is a number, but for a few cells: at most 20 or a fiftieth of them, and never more than a tenth.
    pub(super) fn is_number(&self) -> bool {
        let numbers = self.unpointed.cells + self.pointed.cells;
        let bounded = self.unpointed.least <= self.unpointed.most || numbers > 0;
        bounded && self.few_are_odd(self.odd, numbers + self.odd) && !self.odd_are_codes()
    }

    /// Whether the cells that are no numbers are many texts, each in many rows: codes such as `V55` among numbers are not mistyped.
    fn odd_are_codes(&self) -> bool {
        let texts = self.odd_texts.count();
        texts >= ODD_CODES && self.odd >= ODD_CODES * texts
    }

    /// Whether so few of the cells are odd that they are mistakes.
    pub(super) fn few_are_odd(&self, odd: u64, all: u64) -> bool {
        odd == 0 || odd <= (all / 50).max(20) && odd.saturating_mul(10) <= all
    }

    /// Whether every number is whole.
    pub(super) fn whole(&self) -> bool {
        self.unpointed.whole && self.pointed.whole
    }

    /// Whether whole numbers are spelt with a point, as in `1004.0`.
    pub(super) fn looks_like_floats(&self) -> bool {
        self.is_number() && self.whole() && self.pointed.cells > 0
    }

    /// The ends of all numbers.
    pub(super) fn least(&self) -> f64 {
        self.unpointed.least.min(self.pointed.least)
    }

    /// As [`ColumnProfile::least`].
    pub(super) fn most(&self) -> f64 {
        self.unpointed.most.max(self.pointed.most)
    }

    /// Spellings of numbers with marks under which only few cells are odd: each with all numbers as they are under it, and those cells.
    pub(super) fn formats(&self) -> Vec<(NumberFormat, Spread, u64)> {
        // Under another decimal mark a number with a point is another one, and is among those with marks.
        let with = |(format, marked, own): (NumberFormat, &Spread, u64)| {
            (format, self.unpointed.and(marked), self.odd.saturating_sub(own))
        };
        let few = |(_, all, odd): &(NumberFormat, Spread, u64)| self.few_are_odd(*odd, all.cells + odd);
        self.spelling.formats().into_iter().map(with).filter(few).collect()
    }

    /// Orders under which all texts but few are dates: each with days since 2000-01-01, and the other cells.
    pub(super) fn dates(&self) -> Vec<(DateOrder, &Spread, u64)> {
        let all = self.odd + self.unpointed.cells + self.pointed.cells;
        let with = |(order, dates): (DateOrder, _)| {
            let dates: &Spread = dates;
            (order, dates, all.saturating_sub(dates.cells))
        };
        let few = |(_, dates, odd): &(DateOrder, &Spread, u64)| dates.cells > 0 && self.few_are_odd(*odd, all);
        ORDERS.into_iter().zip(&self.spelling.dates).map(with).filter(few).collect()
    }

    /// Whether every cell says yes or no, in more than one spelling.
    pub(super) fn is_boolean(&self) -> bool {
        let present = self.odd + self.unpointed.cells + self.pointed.cells;
        !self.floats && self.odd > 0 && self.spelling.booleans == present && self.distinct() > 2
    }

    /// Rows whose label is missing, and how that is spelt: of words those that name no class.
    pub(super) fn missing_labels(&self) -> (u64, Vec<String>) {
        let counted = self.missing.iter().filter(|((s, _), _)| self.is_number() || !spelling::names_class(*s));
        let text = |text: &[u8]| String::from_utf8_lossy(text).into_owned();
        counted.fold((0, Vec::new()), |(rows, mut spellings), ((_, spelt), more)| {
            spellings.push(text(spelt));
            (rows + more, spellings)
        })
    }

    /// A number that stands far outside of all others in so many rows.
    pub(super) fn sentinel(&self) -> Option<(f64, u64)> {
        let (low, high) = self.others;
        let far = |number: f64| high > low && (number < low - (high - low) || number > high + (high - low));
        SENTINELS.into_iter().zip(self.sentinels).find(|(number, rows)| *rows > 0 && far(*number))
    }

    /// Whether a spelling of a missing value is one in this column; words are values among texts.
    fn counts_as_missing(&self, spelling: usize, as_text: bool) -> bool {
        !as_text || !spelling::is_word(spelling)
    }

    /// Rows without a value, where the column is text or is not.
    pub(super) fn missing_rows_as(&self, as_text: bool) -> u64 {
        self.missing.iter().filter(|((s, _), _)| self.counts_as_missing(*s, as_text)).map(|(_, rows)| *rows).sum()
    }

    /// Rows without a value.
    pub(super) fn missing_rows(&self) -> u64 {
        self.missing_rows_as(!self.is_number())
    }

    /// The spellings of a missing value that occur, where the column is text or is not.
    pub(super) fn spellings(&self, as_text: bool) -> impl Iterator<Item = String> {
        let counted = self.missing.keys().filter(move |(s, _)| self.counts_as_missing(*s, as_text));
        counted.map(|(_, text)| String::from_utf8_lossy(text).into_owned())
    }

    /// Distinct values: exact while they are few, then an estimate.
    pub(super) fn distinct(&self) -> u64 {
        if self.all_bytes {
            return self.byte_set.iter().filter(|occurs| **occurs).count() as u64;
        }
        let all = self.values.as_ref().map_or_else(|| self.distinct.count(), |values| values.len() as u64);
        let words = self.missing.keys().filter(|(s, _)| spelling::is_word(*s) && self.is_number()).count() as u64;
        all - words.min(all)
    }

    /// The values that are not missing, where they are few.
    pub(super) fn values(&self) -> Option<impl Iterator<Item = (&[u8], &Value)>> {
        let number = self.is_number();
        let values = self.values.as_ref()?.iter().map(|(text, value)| (text.as_slice(), value));
        Some(values.filter(move |(text, _)| !(number && spelling::missing(text).is_some())))
    }

    /// The range that at least ten subjects lie beyond on either side, under the candidate for the subject.
    pub(super) fn range(&self, candidate: usize) -> Option<(f64, f64)> {
        self.numbers().range(candidate)
    }
}
