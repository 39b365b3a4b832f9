//! What kind a column is proposed to be, and why.

use super::{
    figures::{about, share},
    names,
    profile::{ColumnProfile, VALUES_MAX},
    reading::Choice,
    remarks::{self, alike, odd_phrase},
    sketch::SHARED_MIN,
    spelling::{self, Spread},
    tally::Tally,
    ways::Reading,
};
use crate::{
    schema::{DateOrder, DateUnit, Kind, NumberFormat},
    source::Place,
};

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
    /// Where the first cell stands that there is something to say about.
    pub(super) place: Option<Place>,
    /// Whether the column holds something that is not used as what it looks like.
    pub(super) asks: bool,
}

impl Verdict {
    fn new(kind: Kind, comment: Vec<String>) -> Verdict {
        Verdict { kind, comment, spread: None, odd: 0, place: None, asks: false }
    }

    /// What has to be asked for, of cells of which this is the first.
    fn ask(why: String, place: Option<&Place>) -> Verdict {
        Verdict { asks: true, place: place.cloned(), ..Verdict::new(Kind::Ignore, vec![why]) }
    }

    /// The same with cells that the kind can't take.
    fn but_for(self, odd: &Tally) -> Verdict {
        Verdict { odd: odd.cells, place: odd.place().filter(|_| odd.cells > 0).cloned(), ..self }
    }

    /// The same with something that a person should look at.
    fn remarked(mut self, why: Option<String>, place: Option<&Place>) -> Verdict {
        self.asks |= why.is_some();
        if why.is_some() && self.place.is_none() {
            self.place = place.cloned();
        }
        self.comment.extend(why);
        self
    }
}

/// What all columns have in common.
#[derive(Clone, Copy, Debug)]
pub(super) struct Counts {
    pub(super) rows: u64,
    /// The candidate under which the profile counted subjects.
    pub(super) candidate: usize,
    /// Whether the decimal mark of some column is clearly a comma.
    pub(super) commas: bool,
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
    if let Some(odd) = column.booleans() {
        let comment = std::iter::once("yes and no in several spellings".to_owned()).chain(missing_phrase(column, counts, true));
        let comment = comment.chain(odd_phrase(column, &odd, remarks::NO_ANSWERS));
        return Verdict::new(Kind::Boolean, comment.collect()).but_for(&odd);
    }
    let choice = column.choice(counts.commas);
    if !choice.reading().is_some_and(|reading| reading.format.is_plain()) {
        return moment(column, counts).or_else(|| marked(column, counts, &choice)).unwrap_or_else(|| {
            let ids = many && distinct.saturating_mul(10) >= present.saturating_mul(9);
            let text =
                if ids { ignore("nearly every row has another text, as in ids and free text") } else { category(column, counts) };
            let (why, place) = remarks::unused(column, counts);
            text.remarked(why, place.as_ref())
        });
    }
    if column.whole() && many && looks_like_ids(column, distinct, present) {
        return ignore("nearly every row has another whole number, as in ids; if it is a measurement, write \"number\"");
    }
    if column.whole() && is_id && column.floats {
        let why = "named as an id, and of floats, which are no ids: convert it to integers in the source if it is one";
        return Verdict::ask(why.to_owned(), None);
    }
    if column.whole() && is_id {
        if distinct <= BUCKETS_MAX && distinct.saturating_mul(10) <= present {
            return category(column, counts);
        }
        return ignore("named as an id; if it is a measurement, write \"number\"");
    }
    let doubt = match &choice {
        Choice::Doubtful(readings) => Some(readings.as_ref()),
        _ => None,
    };
    number(column, counts).remarked(doubt.map(|d| remarks::doubt(d, counts)), doubt.and_then(|[_, other]| other.marks.place()))
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

/// The kind of dates in an order.
pub(super) fn date(column: &ColumnProfile, counts: Counts, order: DateOrder) -> Kind {
    let indicator = column.missing_rows_as(false).saturating_mul(100) > counts.rows;
    Kind::Date { order, unit: DateUnit::Days, origin: "2000-01-01".to_owned(), parts: Vec::new(), indicator, range: None }
}

/// A column of dates, or one whose order has to be asked for; nothing if it is neither.
fn moment(column: &ColumnProfile, counts: Counts) -> Option<Verdict> {
    let found = column.dates();
    match found.as_slice() {
        [(order, dates, odd)] => {
            let mut comment = vec!["days; `parts` may be \"month\", \"weekday\", \"hour\"".to_owned()];
            comment.extend(missing_phrase(column, counts, false));
            comment.extend(odd_phrase(column, odd, remarks::NO_DATES));
            let verdict = Verdict::new(date(column, counts, *order), comment).but_for(odd);
            Some(Verdict { spread: Some((*dates).clone()), ..verdict })
        }
        [] => None,
        several => {
            let (why, place) = remarks::orders(column, counts, several);
            Some(Verdict::ask(why, place.as_ref()))
        }
    }
}

/// A column of numbers with marks or symbols, or one whose marks have to be asked for; nothing if it is neither.
fn marked(column: &ColumnProfile, counts: Counts, choice: &Choice) -> Option<Verdict> {
    match choice {
        Choice::Text => None,
        Choice::Number(reading) => Some(formatted(column, counts, reading)),
        Choice::Doubtful(readings) => {
            let [reading, _] = readings.as_ref();
            Some(formatted(column, counts, reading).remarked(Some(remarks::doubt(readings, counts)), reading.marks.place()))
        }
        Choice::Unclear(readings) => {
            Some(Verdict::ask(remarks::unclear(readings, counts), readings.last().and_then(|other| other.marks.place())))
        }
        Choice::Mixed(reading) => Some(Verdict::ask(remarks::mixed(reading, counts), None)),
    }
}

/// Numbers with marks or symbols.
fn formatted(column: &ColumnProfile, counts: Counts, reading: &Reading) -> Verdict {
    let indicator = column.missing_rows_as(false).saturating_mul(100) > counts.rows;
    let mut comment: Vec<String> = missing_phrase(column, counts, false).into_iter().collect();
    comment.extend(odd_phrase(column, &reading.odd, remarks::NO_NUMBERS));
    let kind = Kind::Number { log1p: false, indicator, range: None, format: reading.format.clone() };
    let verdict = Verdict::new(kind, comment).but_for(&reading.odd).remarked(remarks::bare(reading), None);
    Verdict { spread: Some(reading.spread.clone()), ..verdict }
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
    comment.extend(odd_phrase(column, &column.odd, remarks::NOT_STORED));
    let codes = column.whole() && column.zeros > 0;
    if codes {
        comment.push(remarks::zeros(column));
    }
    let distinct = column.distinct();
    if column.whole() && (3..=CODES_MAX).contains(&distinct) {
        comment.push(format!("{distinct} whole numbers; if they are codes, make it a category"));
    }
    let kind = Kind::Number { log1p, indicator, range: None, format: NumberFormat::default() };
    let asks = sentinel.is_some() || codes;
    Verdict { spread: Some(column.numbers()), asks, ..Verdict::new(kind, comment).but_for(&column.odd) }
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
            let beside_yes = rare && values.iter().all(|value| spelling::is_boolean(value.as_bytes()));
            let rare = rare.then(|| format!("values of fewer than {SHARED_MIN} subjects are not listed and become \"other\""));
            let words = remarks::words(values.iter().map(String::as_str));
            let alike = alike(&values.iter().map(String::as_str).collect::<Vec<_>>());
            let asks = alike.is_some() || beside_yes;
            let comment = rare.into_iter().chain(words).chain(alike).chain(missing).collect();
            return Verdict { asks, ..Verdict::new(Kind::Values { values }, comment) };
        }
    }
    let buckets = buckets(distinct);
    let count = format!("about {} values, hashed", about(distinct));
    Verdict::new(Kind::Buckets { buckets }, std::iter::once(count).chain(missing).collect())
}

/// As many buckets as values are hashed into.
pub(super) fn buckets(distinct: u64) -> u32 {
    distinct.next_power_of_two().clamp(BUCKETS_MIN, BUCKETS_MAX) as u32
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
    let is_byte =
        |c: &&ColumnProfile| c.digits && c.odd.cells == 0 && c.least() >= 0.0 && c.most() <= 255.0 && c.missing_rows() == 0;
    let pixels = columns.len() >= PIXELS_MIN && columns.iter().all(|c| !c.floats && c.is_number() && is_byte(c));
    if pixels || columns.iter().all(|c| c.all_bytes) {
        return Some(vec![bytes(columns); columns.len()]);
    }
    // A column that is the same in every row stays among its like: the family is one measurement.
    let plain = |c: &&ColumnProfile| matches!(c.choice(counts.commas), Choice::Number(r) if r.format.is_plain());
    columns.iter().all(plain).then(|| columns.iter().map(|c| number(c, counts)).collect())
}
