//! What kind a column is proposed to be, and why.

use std::collections::{BTreeMap, btree_map::Entry};

use super::{
    figures::{about, share},
    names,
    profile::{ColumnProfile, VALUES_MAX},
    sketch::SHARED_MIN,
    spelling::{self, Spread},
};
use crate::schema::{DateUnit, Kind, NumberFormat};

/// A numbered family of at least this many columns is judged as one.
pub(super) const FAMILY_MIN: usize = 16;
/// A family of whole numbers that are to be taken for pixels has at least this many columns.
const PIXELS_MIN: usize = 64;
/// Categories are hashed into at most this many buckets.
const BUCKETS_MAX: u64 = 1024;
const BUCKETS_MIN: u64 = 4;
/// Whole numbers with at most this many values may be codes.
const CODES_MAX: u64 = 12;

/// A column's kind and what to say about it.
#[derive(Clone, Debug)]
pub(super) struct Verdict {
    pub(super) kind: Kind,
    /// Whole phrases.
    pub(super) comment: Vec<String>,
    /// The numbers whose range is to be written down.
    pub(super) spread: Option<Spread>,
    /// Cells that the kind can't take.
    pub(super) odd: u64,
    /// Whether the column holds something that is not used as what it looks like.
    pub(super) asks: bool,
}

impl Verdict {
    fn new(kind: Kind, comment: Vec<String>) -> Verdict {
        Verdict { kind, comment, spread: None, odd: 0, asks: false }
    }
}

/// What all columns have in common.
#[derive(Clone, Copy, Debug)]
pub(super) struct Counts {
    pub(super) rows: u64,
    /// The candidate under which the profile counted subjects.
    pub(super) candidate: usize,
}

/// Judges a column on its own.
pub(super) fn judge(column: &ColumnProfile, counts: Counts) -> Verdict {
    let ignore = |why: &str| Verdict::new(Kind::Ignore, vec![why.to_owned()]);
    if let Some(found) = &column.unread {
        return Verdict { asks: true, ..ignore(&format!("{found}, which are not read")) };
    }
    let missing = column.missing_rows();
    let present = counts.rows.saturating_sub(missing);
    let distinct = column.distinct();
    if present == 0 {
        return ignore("always missing");
    }
    if distinct <= 1 && missing.saturating_mul(100) <= counts.rows {
        return ignore("always the same");
    }
    if is_nearly_constant(column, counts) {
        return ignore("nearly always the same: hardly anyone differs");
    }
    if names::is_split(&column.name) {
        return ignore("someone's own cut of the table, which says nothing about a person");
    }
    if column.all_bytes {
        return bytes(&[column]);
    }
    let many = distinct > VALUES_MAX as u64;
    let is_id = names::id_name(&column.name).is_some();
    if column.is_boolean() {
        let comment = std::iter::once("yes and no in several spellings".to_owned()).chain(missing_phrase(column, counts, true));
        return Verdict::new(Kind::Boolean, comment.collect());
    }
    if !column.is_number() {
        if let Some(verdict) = moment(column, counts).or_else(|| marked(column, counts)) {
            return verdict;
        }
        if many && distinct.saturating_mul(10) >= present.saturating_mul(9) {
            return ignore("nearly every row has another text, as in ids and free text");
        }
        return category(column, counts);
    }
    if column.whole() && many && looks_like_ids(column, distinct, present) {
        return ignore("nearly every row has another whole number, as in ids; if it is a measurement, write \"number\"");
    }
    if column.whole() && is_id && !column.floats {
        if distinct <= BUCKETS_MAX && distinct.saturating_mul(10) <= present {
            return category(column, counts);
        }
        return ignore("named as an id; if it is a measurement, write \"number\"");
    }
    number(column, counts)
}

/// Whether whole numbers tell nearly all rows apart and either count them, are named as ids, or are many.
fn looks_like_ids(column: &ColumnProfile, distinct: u64, present: u64) -> bool {
    let nearly = |share: u64| distinct.saturating_mul(100) >= present.saturating_mul(share);
    let counts_rows = column.most() - column.least() <= 2.0 * present as f64;
    column.least() >= 0.0
        && nearly(90)
        && (counts_rows || names::id_name(&column.name).is_some() || (nearly(98) && present >= 1000))
}

/// Whether all but very few subjects, and rows, have one value.
fn is_nearly_constant(column: &ColumnProfile, counts: Counts) -> bool {
    let Some(values) = column.values() else { return false };
    let (mut others, mut rows_of_top) = (std::collections::BTreeSet::new(), 0);
    let mut shared = 0;
    for (_, value) in values {
        match value.shared.get(counts.candidate) {
            Some(few) if few.is_shared() => {
                shared += 1;
                rows_of_top = value.rows;
            }
            Some(few) => others.extend(few.subjects()),
            None => {}
        }
    }
    let other_rows = counts.rows.saturating_sub(rows_of_top);
    shared == 1 && others.len() < SHARED_MIN && other_rows.saturating_mul(1000) <= counts.rows
}

fn missing_phrase(column: &ColumnProfile, counts: Counts, as_text: bool) -> Option<String> {
    let missing = column.missing_rows_as(as_text);
    (missing > 0).then(|| format!("{} missing", share(missing, counts.rows)))
}

/// What to say about cells that the column can't take.
fn odd_phrase(odd: u64, what: &str) -> Option<String> {
    let cells = if odd == 1 { "1 cell is".to_owned() } else { format!("{odd} cells are") };
    (odd > 0).then(|| format!("{cells} no {what}: mend them, list their spelling under `missing`, or set `on_bad`"))
}

/// A column of dates, or one whose order has to be asked for; nothing if it is neither.
fn moment(column: &ColumnProfile, counts: Counts) -> Option<Verdict> {
    let found = column.dates();
    match found.as_slice() {
        [(order, dates, odd)] => {
            let indicator = column.missing_rows_as(false).saturating_mul(100) > counts.rows;
            let (order, origin) = (*order, "2000-01-01".to_owned());
            let kind = Kind::Date { order, unit: DateUnit::Days, origin, parts: Vec::new(), indicator, range: None };
            let mut comment = vec!["days; `parts` may be \"month\", \"weekday\", \"hour\"".to_owned()];
            comment.extend(missing_phrase(column, counts, false));
            comment.extend(odd_phrase(*odd, "dates in this order"));
            Some(Verdict { spread: Some((*dates).clone()), odd: *odd, ..Verdict::new(kind, comment) })
        }
        [] => None,
        _ => {
            let why = "dates whose order the cells do not tell: write { kind = \"date\", order = \"day-month-year\" } or \"month-day-year\"";
            Some(Verdict { asks: true, ..Verdict::new(Kind::Ignore, vec![why.to_owned()]) })
        }
    }
}

/// A column of numbers with marks or symbols, or one whose marks have to be asked for; nothing if it is neither.
fn marked(column: &ColumnProfile, counts: Counts) -> Option<Verdict> {
    let mut found = column.formats();
    if found.len() > 1 {
        let why = "numbers whose marks the cells do not tell: write { kind = \"number\", thousands = \",\" } or { kind = \"number\", decimal = \",\" }";
        return Some(Verdict { asks: true, ..Verdict::new(Kind::Ignore, vec![why.to_owned()]) });
    }
    let (format, spread, odd) = found.pop()?;
    let indicator = column.missing_rows_as(false).saturating_mul(100) > counts.rows;
    let comment = missing_phrase(column, counts, false).into_iter().chain(odd_phrase(odd, "numbers of this form")).collect();
    let kind = Kind::Number { log1p: false, indicator, range: None, format };
    Some(Verdict { spread: Some(spread), odd, ..Verdict::new(kind, comment) })
}

/// Whether ln(1 + x) is a better input or target than x: never negative, what ten subjects reach is far above the mean, and
/// the mean far above the median.
pub(super) fn is_skewed(column: &ColumnProfile, counts: Counts) -> bool {
    let Some((_, high)) = column.range(counts.candidate) else { return false };
    let (mean, median) = (column.magnitudes.mean(), column.magnitudes.median());
    column.least() >= 0.0 && high > 10.0 && (high > 50.0 * mean || (high > 10.0 * mean && mean > 2.0 * median))
}

fn number(column: &ColumnProfile, counts: Counts) -> Verdict {
    let log1p = is_skewed(column, counts);
    let indicator = column.missing_rows_as(false).saturating_mul(100) > counts.rows;
    let mut comment = Vec::new();
    if log1p {
        comment.push("skewed, so ln(1 + x) is used".into());
    }
    comment.extend(missing_phrase(column, counts, false));
    let sentinel = column.sentinel();
    if let Some((sentinel, rows)) = sentinel {
        comment.push(format!(
            "{sentinel} stands far outside of the rest in {}; if it spells what is missing, list it under `missing`",
            share(rows, counts.rows)
        ));
    }
    comment.extend(odd_phrase(column.odd, "numbers that can be stored"));
    let distinct = column.distinct();
    if column.whole() && (3..=CODES_MAX).contains(&distinct) {
        comment.push(format!("{distinct} whole numbers; if they are codes, make it a category"));
    }
    let kind = Kind::Number { log1p, indicator, range: None, format: NumberFormat::default() };
    let asks = sentinel.is_some();
    Verdict { spread: Some(column.numbers()), odd: column.odd, asks, ..Verdict::new(kind, comment) }
}

fn category(column: &ColumnProfile, counts: Counts) -> Verdict {
    let distinct = column.distinct();
    let missing = missing_phrase(column, counts, true);
    let listable = |text: &[u8]| Some(std::str::from_utf8(text).ok().filter(|t| t.trim() == *t)?.to_owned());
    if let (Some(values), true) = (column.values(), distinct <= VALUES_MAX as u64) {
        let shared = values.filter(|(_, value)| value.shared.get(counts.candidate).is_some_and(|few| few.is_shared()));
        let mut values: Vec<String> = shared.filter_map(|(text, _)| listable(text)).collect();
        if !values.is_empty() {
            values.sort_by_key(|value| (value.parse::<i64>().unwrap_or(i64::MAX), value.clone()));
            let rare = (values.len() as u64) < distinct;
            let rare = rare.then(|| format!("values of fewer than {SHARED_MIN} subjects are not listed and become \"other\""));
            let words: Vec<String> = values.iter().filter(|v| spelling::missing(v.as_bytes()).is_some()).cloned().collect();
            let words = (!words.is_empty()).then(|| {
                let (words, them) = (words.join("`, `"), if words.len() == 1 { "it" } else { "them" });
                format!("`{words}` counts as a value here; take {them} out of the list where {them} is what is missing")
            });
            let alike = alike_phrase(&values.iter().map(String::as_str).collect::<Vec<_>>());
            let asks = alike.is_some();
            let comment = rare.into_iter().chain(words).chain(alike).chain(missing).collect();
            return Verdict { asks, ..Verdict::new(Kind::Values { values }, comment) };
        }
    }
    let buckets = distinct.next_power_of_two().clamp(BUCKETS_MIN, BUCKETS_MAX) as u32;
    let count = format!("about {} values, hashed", about(distinct));
    Verdict::new(Kind::Buckets { buckets }, std::iter::once(count).chain(missing).collect())
}

/// What to say about values that may be meant to be one: the first two that only case, or blanks within them, tell apart, and how many
/// others there are. (Blanks around a value are not part of it.)
pub(super) fn alike_phrase(values: &[&str]) -> Option<String> {
    let mut first: BTreeMap<String, &str> = BTreeMap::new();
    let mut alike = Vec::new();
    for value in values.iter().copied() {
        let folded: String = value.to_lowercase().split_whitespace().collect();
        match first.entry(folded) {
            Entry::Vacant(vacant) => {
                vacant.insert(value);
            }
            Entry::Occupied(known) => alike.push((*known.get(), value)),
        }
    }
    let (a, b) = alike.first()?;
    let what = if a.to_lowercase() == b.to_lowercase() { "case" } else { "case or blanks" };
    let more = alike.len() - 1;
    let more = if more > 0 { format!(", and so do {more} more values from another one") } else { String::new() };
    Some(format!("`{a}` and `{b}` differ in {what} only{more}; where they mean the same, mend the source"))
}

/// Columns of bytes, which share a scale.
fn bytes(columns: &[&ColumnProfile]) -> Verdict {
    let most = columns.iter().map(|c| c.most()).fold(0.0, f64::max) as u32;
    // Rounded up, so that no one's value sets it.
    let most = if most > 127 { 255 } else { most.max(1).next_power_of_two() };
    let comment = vec![format!("whole numbers up to {most}; scale 1/{most}")];
    Verdict::new(Kind::Byte { scale: 1.0 / most as f32 }, comment)
}

/// Judges the columns of a numbered family together, or not at all if they are not of one kind.
pub(super) fn judge_family(columns: &[&ColumnProfile], counts: Counts) -> Option<Vec<Verdict>> {
    let is_byte = |c: &&ColumnProfile| c.digits && c.odd == 0 && c.least() >= 0.0 && c.most() <= 255.0 && c.missing_rows() == 0;
    let pixels = columns.len() >= PIXELS_MIN && columns.iter().all(|c| !c.floats && c.is_number() && is_byte(c));
    if pixels || columns.iter().all(|c| c.all_bytes) {
        return Some(vec![bytes(columns); columns.len()]);
    }
    // A column that is the same in every row stays among its like: the family is one measurement.
    columns.iter().all(|c| c.is_number()).then(|| columns.iter().map(|c| number(c, counts)).collect())
}
