//! How the cells of a column spell numbers and dates: everything that all of them agree with.

use super::sketch::Reached;
use crate::schema::{BOOLEANS, DateOrder, Moment, NumberFormat};

/// Spellings of a missing value that are looked for, in lower case. Where a column is text, those of letters are values like any other.
pub(super) const MISSING: [&str; 17] = [
    "", "-", "--", ".", "?", "\\n", "#n/a", "#div/0!", "#value!", "na", "n/a", "nan", "none", "null", "unknown", "missing", "nil",
];
/// The first of them that may also be a value.
const WORDS: usize = 9;

/// The index of a spelling of a missing value.
pub(super) fn missing(text: &[u8]) -> Option<usize> {
    if text.len() > 8 {
        return None;
    }
    let lower = text.to_ascii_lowercase();
    MISSING.iter().position(|m| m.as_bytes() == lower)
}

/// Whether a spelling may also be a value.
pub(super) fn is_word(spelling: usize) -> bool {
    spelling >= WORDS
}

/// Whether a spelling is more likely that of a class than that of a missing label.
pub(super) fn names_class(spelling: usize) -> bool {
    MISSING.get(spelling).is_some_and(|m| ["none", "unknown", "missing"].contains(m))
}

/// Numbers that stand for what is missing in some tables.
pub(super) const SENTINELS: [f64; 10] = [-9.0, -99.0, -999.0, -9999.0, -99_999.0, 99.0, 999.0, 9999.0, 99_999.0, 999_999.0];

/// Decimal marks and marks of thousands that are looked for.
const MARKS: [(char, Option<char>); 4] = [('.', Some(',')), (',', Some('.')), (',', Some(' ')), ('.', Some('\''))];
/// Symbols that are looked for beside numbers.
const SYMBOLS: [&str; 8] = ["%", "$", "€", "£", "¥", "EUR", "USD", "CHF"];
/// In which order the parts of a date may stand.
pub(super) const ORDERS: [DateOrder; 3] = [DateOrder::YearMonthDay, DateOrder::DayMonthYear, DateOrder::MonthDayYear];
/// Days from 1970-01-01 to 2000-01-01, from which dates are counted.
const ORIGIN: i64 = 10_957;

/// Numbers of one kind.
#[derive(Clone, Debug)]
pub(super) struct Spread {
    pub(super) cells: u64,
    pub(super) whole: bool,
    pub(super) least: f64,
    pub(super) most: f64,
    /// By candidate for the subject: what enough subjects reach, and the same of negated numbers. Empty without numbers: a table may have
    /// a hundred thousand columns, of which most are spelt in one way.
    reached: Vec<[Reached; 2]>,
}

impl Spread {
    pub(super) fn new() -> Spread {
        Spread { cells: 0, whole: true, least: f64::INFINITY, most: f64::NEG_INFINITY, reached: Vec::new() }
    }

    pub(super) fn insert(&mut self, number: f64, subjects: &[u64]) {
        self.cells += 1;
        self.bound(number);
        self.whole &= number.fract() == 0.0;
        if self.reached.is_empty() {
            self.reached.resize(subjects.len(), Default::default());
        }
        for ([high, low], &subject) in self.reached.iter_mut().zip(subjects) {
            high.insert(number, subject);
            low.insert(-number, subject);
        }
    }

    pub(super) fn bound(&mut self, number: f64) {
        self.least = self.least.min(number);
        self.most = self.most.max(number);
    }

    /// Both together.
    pub(super) fn and(&self, other: &Spread) -> Spread {
        let mut all = self.clone();
        all.cells += other.cells;
        all.whole &= other.whole;
        (all.least, all.most) = (all.least.min(other.least), all.most.max(other.most));
        if all.reached.is_empty() {
            all.reached.clone_from(&other.reached);
            return all;
        }
        for (to, from) in all.reached.iter_mut().flatten().zip(other.reached.iter().flatten()) {
            to.take_in(from);
        }
        all
    }

    /// The range that at least ten subjects lie beyond on either side, under the candidate for the subject.
    pub(super) fn range(&self, candidate: usize) -> Option<(f64, f64)> {
        let [high, low] = self.reached.get(candidate)?;
        Some((-low.get()?, high.get()?))
    }
}

/// One way to spell numbers, and whether all cells with marks or symbols agree with it.
#[derive(Clone, Debug)]
struct Marked {
    format: NumberFormat,
    holds: bool,
    /// Cells with marks; those without are numbers anyhow.
    spread: Spread,
    /// Those of them that are no numbers without it.
    own: u64,
    /// Whether one has a decimal mark that is not the point, and whether one has a mark of thousands.
    has_decimal: bool,
    is_grouped: bool,
}

/// What the cells of text agree with.
#[derive(Clone, Debug)]
pub(super) struct Spelling {
    /// Every way, from the first cell with a mark on.
    marked: Vec<Marked>,
    symbols: [bool; SYMBOLS.len()],
    pub(super) dates: [Spread; 3],
    pub(super) booleans: u64,
}

impl Spelling {
    pub(super) fn new() -> Spelling {
        let dates = [(); 3].map(|()| Spread::new());
        Spelling { marked: Vec::new(), symbols: [false; SYMBOLS.len()], dates, booleans: 0 }
    }

    fn every_way() -> Vec<Marked> {
        let symbols: Vec<String> = SYMBOLS.iter().map(ToString::to_string).collect();
        let ways = MARKS.map(|(decimal, thousands)| Marked {
            format: NumberFormat { decimal, thousands, symbols: symbols.clone() },
            holds: true,
            spread: Spread::new(),
            own: 0,
            has_decimal: false,
            is_grouped: false,
        });
        ways.into()
    }

    /// Takes in a cell that is not missing; `plain` is the number that it spells without any declaration.
    pub(super) fn see(&mut self, text: &[u8], plain: Option<f64>, subjects: &[u64]) {
        if text.len() <= 5 {
            let lower = text.to_ascii_lowercase();
            self.booleans += u64::from(BOOLEANS.iter().any(|s| s.iter().any(|s| s.as_bytes() == lower)));
        }
        // A cell that is no number in any way is odd, and says nothing about how the others are spelt.
        if !text.iter().any(u8::is_ascii_digit) {
            return;
        }
        let has_mark = plain.is_none() || text.contains(&b'.');
        if has_mark {
            if self.marked.is_empty() {
                self.marked = Spelling::every_way();
            }
            for marked in self.marked.iter_mut().filter(|m| m.holds) {
                match marked.format.parse(text) {
                    Some(number) if number.is_finite() => {
                        let has = |mark: Option<char>| mark.is_some_and(|mark| text.contains(&(mark as u8)));
                        let decimal = Some(marked.format.decimal).filter(|decimal| *decimal != '.');
                        marked.has_decimal |= has(decimal);
                        marked.is_grouped |= has(marked.format.thousands);
                        marked.spread.insert(f64::from(number), subjects);
                        marked.own += u64::from(plain.is_none());
                    }
                    _ => marked.holds = false,
                }
            }
        }
        if plain.is_some() {
            return;
        }
        for (seen, symbol) in self.symbols.iter_mut().zip(SYMBOLS) {
            *seen |= text.windows(symbol.len()).any(|w| w == symbol.as_bytes());
        }
        if (8..=35).contains(&text.len()) && text.first().is_some_and(u8::is_ascii_digit) {
            for (order, dates) in ORDERS.into_iter().zip(&mut self.dates) {
                if let Some(moment) = Moment::parse(order, text) {
                    dates.insert((moment.days - ORIGIN) as f64 + moment.seconds / 86_400.0, subjects);
                }
            }
        }
    }

    /// The ways to spell numbers that all cells with marks agree with, with what those are, and how many are no numbers otherwise.
    pub(super) fn formats(&self) -> Vec<(NumberFormat, &Spread, u64)> {
        let used = |marked: &&Marked| marked.holds && marked.own > 0;
        let decides = |marked: &&Marked| marked.has_decimal || marked.is_grouped;
        let decided: Vec<&Marked> = self.marked.iter().filter(used).filter(decides).collect();
        let any: Vec<&Marked> = match decided.is_empty() {
            // Symbols alone: the marks are those of every number.
            true => self.marked.iter().filter(used).take(1).collect(),
            false => decided,
        };
        let symbols = || SYMBOLS.iter().zip(self.symbols).filter(|(_, seen)| *seen).map(|(s, _)| (*s).to_owned()).collect();
        let own = |m: &Marked| NumberFormat {
            decimal: m.format.decimal,
            thousands: m.format.thousands.filter(|_| m.is_grouped),
            symbols: symbols(),
        };
        let mut formats: Vec<(NumberFormat, &Spread, u64)> = any.into_iter().map(|m| (own(m), &m.spread, m.own)).collect();
        // Without a mark of thousands in any cell, those that differ in it alone are one.
        formats.dedup_by(|a, b| a.0 == b.0);
        formats
    }
}
