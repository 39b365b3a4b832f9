//! What the cells of a column are, once all of them are seen: numbers in some spelling, dates, yes and no.

use super::{
    moments::{Dates, ORDERS},
    profile::ColumnProfile,
    spelling::{self, SENTINELS, Spread},
    tally::{Tally, are_few},
    ways::Reading,
};
use crate::schema::{DateOrder, NumberFormat};

/// So many texts that are no numbers, in so many rows each, are codes.
const ODD_CODES: u64 = 10;
/// One of two decimal marks is meant if the other one fails in more than one of so many cells with marks.
const DECIDED_BY: u64 = 50;

/// How the numbers of a column are spelt.
#[derive(Clone, Debug)]
pub(super) enum Choice {
    /// They are not numbers, or too many of them are not.
    Text,
    /// But for a few cells they are numbers.
    Number(Box<Reading>),
    /// They are read as the first, and could be meant as the second.
    Doubtful(Box<[Reading; 2]>),
    /// They could be meant as either.
    Unclear(Box<[Reading; 2]>),
    /// They are numbers of several units.
    Mixed(Box<Reading>),
}

impl Choice {
    /// The numbers as they are read, if they are.
    pub(super) fn reading(&self) -> Option<&Reading> {
        match self {
            Choice::Number(reading) => Some(reading),
            Choice::Doubtful(readings) => readings.first(),
            Choice::Text | Choice::Unclear(_) | Choice::Mixed(_) => None,
        }
    }
}

impl ColumnProfile {
    /// The numbers that cells spell without any declaration.
    pub(super) fn numbers(&self) -> Spread {
        self.unpointed.and(&self.pointed)
    }

    /// Cells that are not missing.
    pub(super) fn present(&self) -> u64 {
        self.odd.cells + self.unpointed.cells + self.pointed.cells
    }

    /// Whether what is not missing is a number without any declaration, but for a few cells.
    pub(super) fn is_number(&self) -> bool {
        let numbers = self.unpointed.cells + self.pointed.cells;
        let bounded = self.unpointed.least <= self.unpointed.most || numbers > 0;
        bounded && are_few(self.odd.cells, numbers + self.odd.cells) && !self.are_codes(self.odd.cells)
    }

    /// Whether cells that are no numbers are many texts, each in many rows: codes such as `V55` among numbers are not mistyped.
    fn are_codes(&self, odd: u64) -> bool {
        let texts = self.odd_texts.count();
        texts >= ODD_CODES && odd >= ODD_CODES * texts
    }

    /// Both ways to read marks, the point as the decimal mark first.
    fn readings(&self) -> Option<[Reading; 2]> {
        let ways = &self.forms.as_ref()?.ways;
        let present = self.present();
        Some([ways.reading('.', &self.numbers(), present), ways.reading(',', &self.unpointed, present)])
    }

    /// The way to read marks that takes most cells, where the column is no number in any.
    pub(super) fn nearest(&self) -> Option<Reading> {
        let [point, comma] = self.readings()?;
        Some(if comma.spread.cells > point.spread.cells { comma } else { point })
    }

    /// How its numbers are spelt, in a table with (`commas`) or without other columns whose decimal mark is clearly a comma.
    pub(super) fn choice(&self, commas: bool) -> Choice {
        let Some(readings) = self.readings() else {
            return match self.is_number() {
                true => Choice::Number(Box::new(Reading::plain(self.numbers(), self.odd.clone()))),
                false => Choice::Text,
            };
        };
        let present = self.present();
        let fits = |r: &Reading| r.spread.cells > 0 && are_few(r.odd.cells, present) && !self.are_codes(r.odd.cells);
        let [point, comma] = readings;
        let choice = match (fits(&point), fits(&comma)) {
            (false, false) => Choice::Text,
            (true, false) => Choice::Number(Box::new(point)),
            (false, true) => Choice::Number(Box::new(comma)),
            (true, true) => self.decide(point, comma, commas),
        };
        match choice {
            Choice::Number(reading) if reading.is_mixed(present) => Choice::Mixed(reading),
            other => other,
        }
    }

    /// Which of two decimal marks is meant, where both are possible.
    fn decide(&self, point: Reading, comma: Reading, commas: bool) -> Choice {
        let marks = (point.marks.cells + self.pointed.cells).max(comma.marks.cells);
        let enough = |evidence: u64| evidence > 0 && evidence.saturating_mul(DECIDED_BY) >= marks;
        if marks == 0 {
            return Choice::Number(Box::new(point));
        }
        if enough(point.odd.cells.saturating_sub(comma.odd.cells)) {
            return Choice::Number(Box::new(comma));
        }
        // Where thousands have a mark, no number above them is without.
        let against = comma.odd.cells.saturating_sub(point.odd.cells);
        if enough(if comma.commas == 0 { against + self.large } else { against }) {
            return Choice::Number(Box::new(point));
        }
        let unmarked = comma.spread.cells.saturating_sub(comma.marks.cells);
        match (comma.commas, commas) {
            (0, true) => Choice::Doubtful(Box::new([comma, point])),
            (0, false) if unmarked == 0 || are_few(marks, self.present()) => Choice::Doubtful(Box::new([point, comma])),
            _ => Choice::Unclear(Box::new([point, comma])),
        }
    }

    /// Whether its decimal mark is clearly a comma.
    pub(super) fn has_commas(&self) -> bool {
        self.forms.is_some() && self.choice(false).reading().is_some_and(|r| r.format.decimal == ',' && r.commas > 0)
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

    /// Every order with the dates that are read in it, and all other cells.
    pub(super) fn all_dates(&self) -> Vec<(DateOrder, &Spread, Tally)> {
        let mut all = Vec::new();
        for (order, dates) in self.forms.iter().flat_map(|forms| ORDERS.into_iter().zip(&forms.moments.dates)) {
            let Dates { spread, others } = dates;
            let mut others = others.and(&self.first_plain);
            others.cells = self.present().saturating_sub(spread.cells);
            if spread.cells > 0 {
                all.push((order, spread, others));
            }
        }
        all
    }

    /// Orders under which all texts but few are dates: each with days since 2000-01-01, and the other cells.
    pub(super) fn dates(&self) -> Vec<(DateOrder, &Spread, Tally)> {
        self.all_dates().into_iter().filter(|(_, _, odd)| are_few(odd.cells, self.present())).collect()
    }

    /// The cells that say neither yes nor no, where all others do, in more than one spelling, and these are few.
    pub(super) fn booleans(&self) -> Option<Tally> {
        let mut odd = self.not_boolean.clone();
        odd.cells = self.present().saturating_sub(self.booleans);
        let mixed = !self.floats && self.odd.cells > odd.cells && self.distinct().saturating_sub(odd.cells) > 2;
        (mixed && are_few(odd.cells, self.present())).then_some(odd)
    }

    /// Whether its cells are texts and nothing else: no numbers with marks, dates, yes or no.
    pub(super) fn is_words(&self) -> bool {
        matches!(self.choice(false), Choice::Text) && self.dates().is_empty() && self.booleans().is_none()
    }

    /// Whether no cell has a letter or a digit, so that `-` beside `+` is a value.
    pub(super) fn is_signs(&self) -> bool {
        !self.lettered && self.odd.cells > 0
    }

    /// Rows whose label is missing, and how that is spelt: of words those that name no class.
    pub(super) fn missing_labels(&self) -> (u64, Vec<String>) {
        let is_number = self.is_number();
        let missing = |s: usize| is_number || !spelling::names_class(s) && (s == 0 || !self.is_signs());
        let counted = self.missing.iter().filter(|((s, _), _)| missing(*s));
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

    /// Whether a spelling of a missing value is one in this column: words are values among texts, and signs among signs.
    fn counts_as_missing(&self, spelling: usize, as_text: bool) -> bool {
        !as_text || !(spelling::is_word(spelling) || spelling > 0 && self.is_signs())
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

    /// Whether a text of a column of text is a value in it.
    pub(super) fn is_value(&self, text: &[u8]) -> bool {
        let as_text = !self.is_number();
        spelling::missing(text).is_none_or(|s| !self.counts_as_missing(s, as_text))
    }

    /// The range that at least ten subjects lie beyond on either side, under the candidate for the subject.
    pub(super) fn range(&self, candidate: usize) -> Option<(f64, f64)> {
        self.numbers().range(candidate)
    }
}

impl Reading {
    /// Numbers that need no declaration, and the other cells.
    fn plain(spread: Spread, odd: Tally) -> Reading {
        let (format, marks) = (NumberFormat::default(), Tally::default());
        Reading { bare: spread.cells, format, spread, odd, marks, commas: 0, units: Vec::new(), is_percent: false }
    }

    /// Whether numbers of several units are in it; a share and the percent of it are two.
    fn is_mixed(&self, present: u64) -> bool {
        self.units.len() > 1 || self.is_percent && !are_few(self.bare, present)
    }
}
