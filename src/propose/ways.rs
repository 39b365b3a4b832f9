//! The ways in which the cells of a column spell numbers with marks and symbols. Every cell is counted under each way that the reader would
//! take it in; which way is meant is asked once all are seen, so a few cells that are spelt otherwise do not decide it.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    spelling::Spread,
    tally::{At, Tally, are_few},
};
use crate::schema::NumberFormat;

/// Decimal marks that are looked for.
const DECIMALS: [char; 2] = ['.', ','];
/// Marks of thousands that are looked for, besides the other decimal mark.
const GROUPS: [char; 6] = [' ', '\u{a0}', '\u{202f}', '\u{2009}', '\'', '\u{2019}'];
/// Symbols that are looked for beside numbers; the spellings of one unit in one line. Those of a single letter stand apart from the number:
/// `3m` may be a code.
const UNITS: [&[&str]; 46] = [
    &["%"],
    &["\u{2030}"],
    &["$", "USD", "US$"],
    &["€", "EUR"],
    &["£", "GBP"],
    &["¥", "JPY", "CNY"],
    &["CHF", "Fr."],
    &["R$", "BRL"],
    &["kr", "kr."],
    &["SEK"],
    &["NOK"],
    &["DKK"],
    &["zł", "PLN"],
    &["₹", "INR"],
    &["₽", "RUB"],
    &["CAD"],
    &["AUD"],
    &["NZD"],
    &["₩", "KRW"],
    &["Kč", "CZK"],
    &["Ft", "HUF"],
    &["₺", "TRY"],
    &["°"],
    &["°C"],
    &["°F"],
    &["kg"],
    &[" g"],
    &["mg"],
    &["µg", "μg"],
    &["lb", "lbs"],
    &["oz"],
    &["km"],
    &[" m"],
    &["cm"],
    &["mm"],
    &[" l", " L"],
    &["ml", "mL"],
    &["ms"],
    &[" s"],
    &["min"],
    &[" h"],
    &["kWh"],
    &["bpm"],
    &["mmHg"],
    &["mg/dl", "mg/dL"],
    &["mmol/l", "mmol/L"],
];
/// The percent sign's place among the units.
const PERCENT: usize = 0;
/// A column has at most so many ways, or none of them is meant.
const WAYS_MAX: usize = 48;

/// One way to spell a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Way {
    decimal: char,
    thousands: Option<char>,
    /// A unit, and one of its spellings.
    symbol: Option<(usize, usize)>,
}

/// The cells that are spelt in one way.
#[derive(Clone, Debug)]
struct Cells {
    spread: Spread,
    tally: Tally,
    /// Those of them with a point or a comma.
    marks: Tally,
    /// Those of them whose comma is read as a decimal mark.
    commas: u64,
}

/// The cells with marks, by the way in which they are spelt.
#[derive(Clone, Debug, Default)]
pub(super) struct Ways {
    cells: BTreeMap<Way, Cells>,
    full: bool,
    /// Cells that are no number under each decimal mark, whatever else is declared.
    unread: [Tally; 2],
    /// Cells that look like a negative number in a form that is not read.
    pub(super) negatives: Tally,
}

/// What a column is as numbers of one format.
#[derive(Clone, Debug)]
pub(super) struct Reading {
    pub(super) format: NumberFormat,
    /// All cells that it reads.
    pub(super) spread: Spread,
    /// All others that are not missing.
    pub(super) odd: Tally,
    /// Cells with a point or a comma, which another decimal mark would make another number; and those with a decimal comma.
    pub(super) marks: Tally,
    pub(super) commas: u64,
    /// Units that stand beside so many cells that they are no mistakes: how they are spelt, and cells.
    pub(super) units: Vec<(String, u64)>,
    /// Whether the only one is the percent sign, and cells with no unit at all.
    pub(super) is_percent: bool,
    pub(super) bare: u64,
}

/// A number with one point that may part thousands, as that number.
fn grouped(text: &[u8], number: f64) -> Option<f64> {
    let digits = text.strip_prefix(b"-").or(text.strip_prefix(b"+")).unwrap_or(text);
    let at = digits.iter().position(|byte| *byte == b'.')?;
    let (whole, rest) = digits.split_at_checked(at)?;
    let all = whole.iter().chain(rest.iter().skip(1)).all(u8::is_ascii_digit);
    (all && rest.len() == 4 && (1..=3).contains(&whole.len()) && whole.first() != Some(&b'0')).then(|| (number * 1000.0).round())
}

/// What stands beside a number: nothing where the text is none in any way, and no symbol where it is only marks and digits.
fn symbol_of(text: &str) -> Option<Option<(usize, usize)>> {
    let is_digit = |c: char| c.is_ascii_digit();
    let (first, last) = (text.find(is_digit)?, text.rfind(is_digit)?);
    let within = |c: char| c.is_ascii_digit() || matches!(c, '.' | ',' | 'e' | 'E' | '+' | '-') || GROUPS.contains(&c);
    if !text.get(first..=last)?.chars().all(within) {
        return None;
    }
    let before = text.get(..first)?.trim_start_matches(['-', '+', ' ']);
    let (before, after) =
        (before.trim_end_matches(['-', '+', '.', ',', ' ']), text.get(last + 1..)?.trim_start_matches(['.', ',']));
    let find = |text: &str, behind: bool| {
        let all = UNITS.iter().enumerate().flat_map(|(unit, all)| all.iter().enumerate().map(move |(at, s)| ((unit, at), *s)));
        let is = |s: &str| {
            s == text || s.trim_start() == text.trim_start() && (behind && text.starts_with(' ') || !s.starts_with(' '))
        };
        all.into_iter().find(|(_, s)| is(s)).map(|(which, _)| Some(which))
    };
    match (before.is_empty(), after.is_empty()) {
        (true, true) => Some(None),
        (false, true) => find(before, false),
        (true, false) => find(&after.replace(['\u{a0}', '\u{202f}'], " "), true),
        (false, false) => None,
    }
}

fn spelt((unit, at): (usize, usize)) -> &'static str {
    UNITS.get(unit).and_then(|all| all.get(at)).map_or("", |s| s.trim_start())
}

/// Whether a text is a negative number as some programs write it, and the reader does not: in parentheses, or with the sign behind it or
/// of another form.
fn is_other_negative(text: &str) -> bool {
    let inner = text.strip_prefix('(').and_then(|rest| rest.trim_end().strip_suffix(')'));
    let marked = inner.or(text.strip_suffix('-')).or(text.strip_prefix(['\u{2212}', '\u{2013}']));
    let numeric = |c: char| c.is_ascii_digit() || " .,'\u{a0}\u{202f}%$€£¥".contains(c);
    marked.is_some_and(|rest| rest.contains(|c: char| c.is_ascii_digit()) && rest.chars().all(numeric))
}

impl Ways {
    /// Takes in a cell that is neither missing nor a number without any declaration; whether it is one in some way.
    pub(super) fn see(&mut self, text: &[u8], at: At<'_>) -> bool {
        let digits = || text.iter().any(u8::is_ascii_digit);
        let Some(text) = std::str::from_utf8(text).ok().map(str::trim).filter(|_| digits()) else {
            self.unreadable(at);
            return false;
        };
        let mut any = false;
        if is_other_negative(text) {
            self.negatives.see(at);
        }
        let Some(symbol) = symbol_of(text) else {
            self.unreadable(at);
            return false;
        };
        let symbols: Vec<String> = symbol.iter().map(|s| spelt(*s).to_owned()).collect();
        let leading_zero = text.bytes().find(u8::is_ascii_digit) == Some(b'0');
        for (decimal, index) in DECIMALS.into_iter().zip(0..) {
            let parse = |thousands| {
                let format = NumberFormat { decimal, thousands, symbols: symbols.clone() };
                format.parse(text.as_bytes()).filter(|number| number.is_finite()).map(|number| (thousands, number))
            };
            let other = if decimal == '.' { ',' } else { '.' };
            let present = |mark: &char| !leading_zero && text.contains(*mark);
            let found = parse(None).or_else(|| GROUPS.into_iter().chain([other]).filter(present).find_map(|t| parse(Some(t))));
            match found {
                Some((thousands, number)) => {
                    any = true;
                    let commas = decimal == ',' && text.contains(',');
                    let way = Way { decimal, thousands, symbol };
                    self.put(way, f64::from(number), text.contains(['.', ',']), commas, at);
                }
                None => self.unread_under(index, at),
            }
        }
        any
    }

    /// Takes in a cell with a point that is a number without any declaration.
    pub(super) fn see_pointed(&mut self, text: &[u8], number: f64, at: At<'_>) {
        match grouped(text, number) {
            Some(number) => self.put(Way { decimal: ',', thousands: Some('.'), symbol: None }, number, true, false, at),
            None => self.unread_under(1, at),
        }
    }

    /// Takes in a cell that is no number in any way.
    pub(super) fn unreadable(&mut self, at: At<'_>) {
        self.unread.iter_mut().for_each(|tally| tally.see(at));
    }

    fn unread_under(&mut self, decimal: usize, at: At<'_>) {
        self.unread.iter_mut().skip(decimal).take(1).for_each(|tally| tally.see(at));
    }

    fn put(&mut self, way: Way, number: f64, mark: bool, comma: bool, at: At<'_>) {
        if self.full {
            return;
        }
        let new = || Cells { spread: Spread::new(), tally: Tally::default(), marks: Tally::default(), commas: 0 };
        let cells = self.cells.entry(way).or_insert_with(new);
        cells.spread.insert(number, at.subjects);
        cells.tally.see(at);
        cells.commas += u64::from(comma);
        if mark {
            cells.marks.see(at);
        }
        if self.cells.len() > WAYS_MAX {
            (self.full, self.cells) = (true, BTreeMap::new());
        }
    }

    /// What `present` cells are as numbers with this decimal mark, of which `plain` need no declaration.
    pub(super) fn reading(&self, decimal: char, plain: &Spread, present: u64) -> Reading {
        let of_mark = || self.cells.iter().filter(move |(way, _)| way.decimal == decimal);
        let mut units: BTreeMap<usize, u64> = BTreeMap::new();
        for (way, cells) in of_mark() {
            way.symbol.iter().for_each(|(unit, _)| *units.entry(*unit).or_default() += cells.tally.cells);
        }
        units.retain(|_, cells| !are_few(*cells, present));
        let unit_kept = |way: &Way| way.symbol.is_none_or(|(unit, _)| units.contains_key(&unit));
        let mut groups: BTreeMap<char, u64> = BTreeMap::new();
        for (way, cells) in of_mark().filter(|(way, _)| unit_kept(way)) {
            way.thousands.iter().for_each(|mark| *groups.entry(*mark).or_default() += cells.tally.cells);
        }
        let thousands = groups.into_iter().max_by_key(|(mark, cells)| (*cells, *mark)).map(|(mark, _)| mark);
        let chosen = |way: &Way| unit_kept(way) && (way.thousands.is_none() || way.thousands == thousands);

        let (mut spread, mut marks, mut commas) = (plain.clone(), Tally::default(), 0);
        let mut odd = self.unread.iter().zip(DECIMALS).find(|(_, d)| *d == decimal).map(|(t, _)| t.clone()).unwrap_or_default();
        let (mut symbols, mut bare) = (BTreeSet::new(), plain.cells);
        for (way, cells) in of_mark() {
            if !chosen(way) {
                odd = odd.and(&cells.tally);
                continue;
            }
            (spread, marks, commas) = (spread.and(&cells.spread), marks.and(&cells.marks), commas + cells.commas);
            match way.symbol {
                Some(symbol) => drop(symbols.insert(symbol)),
                None => bare += cells.tally.cells,
            }
        }
        if self.full {
            odd.cells = present.saturating_sub(spread.cells);
        }
        let named = |unit: &usize| symbols.iter().find(|(of, _)| of == unit).map_or("", |s| spelt(*s)).to_owned();
        let is_percent = units.len() == 1 && units.contains_key(&PERCENT);
        let units = units.iter().map(|(unit, cells)| (named(unit), *cells)).collect();
        let mut symbols: Vec<String> = symbols.into_iter().map(|s| spelt(s).to_owned()).collect();
        // The reader takes the first that fits, and `kr` is the end of others.
        symbols.sort_by(|a, b| (b.len(), a).cmp(&(a.len(), b)));
        let format = NumberFormat { decimal, thousands, symbols };
        Reading { format, spread, odd, marks, commas, units, is_percent, bare }
    }
}
