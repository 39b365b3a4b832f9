//! What there is to say about cells that are not used as what they look like: how many, what they could be, and the line to write where
//! that is meant. A value is shown only if it is one of a known list.

use std::collections::{BTreeMap, btree_map::Entry};

use super::{
    columns::{ranged, rounded},
    judge::{self, Counts},
    profile::ColumnProfile,
    spelling::{self, Spread},
    tally::Tally,
    ways::Reading,
    write::{kind_text, label_marks, order_name},
};
use crate::{
    schema::{DateOrder, Kind},
    source::Place,
};

/// Why so many cells are no mistakes.
const TOO_MANY: &str = "too many or too often the same to be mistakes (those are 20 or 2 % at most, and never more than a tenth)";

fn cells(count: u64) -> String {
    if count == 1 { "1 cell".to_owned() } else { format!("{count} cells") }
}

/// What cells are that a column can't take: one, and several.
pub(super) const NO_NUMBERS: [&str; 2] = ["no number of this form", "no numbers of this form"];
pub(super) const NOT_STORED: [&str; 2] = ["no number that can be stored", "no numbers that can be stored"];
pub(super) const NO_DATES: [&str; 2] = ["no date in this order", "no dates in this order"];
pub(super) const NO_ANSWERS: [&str; 2] = ["neither yes nor no", "neither yes nor no"];

/// What to say about cells that the column can't take.
pub(super) fn odd_phrase(column: &ColumnProfile, odd: &Tally, [one, several]: [&str; 2]) -> Option<String> {
    let are = if odd.cells == 1 { format!("is {one}") } else { format!("are {several}") };
    let how = ": mend them, list their spelling under `missing`, or set `on_bad`";
    (odd.cells > 0).then(|| format!("{} {are}{}{how}", cells(odd.cells), among(column)))
}

/// What some of the cells that are no numbers are.
fn among(column: &ColumnProfile) -> String {
    let negatives = column.forms.as_ref().map_or(0, |forms| forms.ways.negatives.cells);
    let infinite = (column.infinite > 0).then(|| format!("{} infinite or too large", column.infinite));
    let negative = (negatives > 0)
        .then(|| format!("{negatives} negative in parentheses, with the sign behind or with another sign than `-`: write -1.5"));
    let all: Vec<String> = infinite.into_iter().chain(negative).collect();
    if all.is_empty() { String::new() } else { format!(" ({})", all.join("; ")) }
}

/// A kind with the range that would be proposed for it, as it is written.
fn line(kind: Kind, spread: &Spread, counts: Counts) -> String {
    kind_text(&ranged(&kind, rounded(spread, counts.candidate)))
}

/// The line for numbers that are read so.
fn number_line(reading: &Reading, counts: Counts) -> String {
    let format = reading.format.clone();
    line(Kind::Number { log1p: false, indicator: false, range: None, format }, &reading.spread, counts)
}

/// What to write where the other of two readings is meant.
pub(super) fn doubt(readings: &[Reading; 2], counts: Counts) -> String {
    doubted(readings, &format!("write {}", number_line(&readings[1], counts)))
}

/// The same for a label.
pub(super) fn doubt_label(readings: &[Reading; 2], counts: Counts) -> String {
    doubted(readings, &format!("write {} under [label]", label_line(&readings[1], counts)))
}

fn doubted([taken, other]: &[Reading; 2], then: &str) -> String {
    let marks = cells(taken.marks.cells.max(other.marks.cells));
    let as_what = match taken.format.decimal {
        '.' => "decimal marks here; where it parts thousands",
        _ => "marks of thousands, as other columns have decimal commas; where it is the decimal mark",
    };
    format!("all points (in {marks}) have three digits behind them, and are taken for {as_what}, {then}")
}

/// What to write where the cells do not tell the marks.
pub(super) fn unclear([point, comma]: &[Reading; 2], counts: Counts) -> String {
    let marks = cells(comma.marks.cells.max(point.marks.cells));
    let mark = if comma.commas == 0 { "point" } else { "comma" };
    format!(
        "numbers whose marks the cells do not tell: the {mark} in {marks} can part thousands or decimals; write {} or {}",
        number_line(point, counts),
        number_line(comma, counts)
    )
}

/// What to write under `[label]` for numbers that are read so.
fn label_line(reading: &Reading, counts: Counts) -> String {
    format!("`{}`", label_marks(&reading.format, rounded(&reading.spread, counts.candidate)).join("`, `"))
}

/// Why a label of numbers, whose marks the cells do not tell, can't be proposed.
pub(super) fn unclear_label([point, comma]: &[Reading; 2], counts: Counts) -> String {
    let first = comma.marks.place().map(|place| format!(", first at {place}")).unwrap_or_default();
    let mark = if comma.commas == 0 { "point" } else { "comma" };
    format!(
        "the {mark} of its numbers (in {}{first}) can part thousands or decimals, and the cells do not tell; write them without it in the \
         source, or have a file proposed for another label and write this one there under [label] with either {} or {}",
        cells(comma.marks.cells.max(point.marks.cells)),
        label_line(point, counts),
        label_line(comma, counts)
    )
}

/// What to say about numbers of several units.
pub(super) fn mixed(reading: &Reading, counts: Counts) -> String {
    format!("{}; where the unit does not matter, write {}", of_units(reading), number_line(reading, counts))
}

/// Why a label of numbers of several units can't be proposed.
pub(super) fn mixed_label(reading: &Reading, counts: Counts) -> String {
    let how =
        "where the unit does not matter, have a file proposed for another label and write this one there under [label] with";
    format!("it holds {}; {how} {}", of_units(reading), label_line(reading, counts))
}

fn of_units(reading: &Reading) -> String {
    let mut units: Vec<String> = reading.units.iter().map(|(unit, count)| format!("`{unit}` in {}", cells(*count))).collect();
    if reading.bare > 0 {
        units.push(format!("none in {}", cells(reading.bare)));
    }
    format!("numbers of several units ({}): make them one in the source", units.join(", "))
}

/// What to say about numbers without a unit among those with one.
pub(super) fn bare(reading: &Reading) -> Option<String> {
    let (unit, _) = reading.units.first().filter(|_| reading.bare > 0)?;
    let mean =
        if reading.is_percent { "; where 0.12 means 12 %, mend them" } else { "; where they are of another unit, mend them" };
    Some(format!("`{unit}` is missing in {}, which are taken as if it were there{mean}", cells(reading.bare)))
}

/// What to say about whole numbers that begin with zeros.
pub(super) fn zeros(column: &ColumnProfile) -> String {
    let buckets = judge::buckets(column.distinct());
    let line = kind_text(&Kind::Buckets { buckets });
    format!("{} begin with a 0, as codes do; if they are codes, write {line}", cells(column.zeros))
}

/// What to say about dates whose order the cells do not tell.
pub(super) fn orders(column: &ColumnProfile, counts: Counts, found: &[(DateOrder, &Spread, Tally)]) -> (String, Option<Place>) {
    let unclear = column.forms.as_ref().map(|forms| forms.moments.unclear.clone()).unwrap_or_default();
    let lines: Vec<String> =
        found.iter().map(|(order, spread, _)| line(judge::date(column, counts, *order), spread, counts)).collect();
    let only = |(order, spread, _): &(DateOrder, &Spread, Tally)| {
        let own = spread.cells.saturating_sub(unclear.cells);
        (own > 0).then(|| format!(", {} fit {} only", cells(own), order_name(*order)))
    };
    let only: String = found.iter().filter_map(only).collect();
    let why = format!(
        "dates whose order the cells do not tell ({} fit both{only}): write {}",
        cells(unclear.cells),
        lines.join(" or ")
    );
    (why, unclear.place().cloned())
}

/// Why a column of text is none of what most of its cells look like, with what to write, and the first of the others.
pub(super) fn unused(column: &ColumnProfile, counts: Counts) -> (Option<String>, Option<Place>) {
    let present = column.present();
    let most = |cells: u64| cells.saturating_mul(2) > present;
    let Some(forms) = &column.forms else { return (None, None) };
    let unread = &forms.moments.unread;
    if most(unread.cells) {
        let why = format!(
            "{} of {} look like dates or times in a form that is not read: write dates as 2024-03-31, with a time as 2024-03-31 07:05, and times \
             of day as a number of minutes",
            unread.cells,
            cells(present)
        );
        return (Some(why), unread.place().cloned());
    }
    let dates = column.all_dates().into_iter().max_by_key(|(_, dates, _)| dates.cells);
    if let Some((order, dates, odd)) = dates.filter(|(_, dates, _)| most(dates.cells)) {
        let what = format!("dates ({})", order_name(order));
        return (
            Some(too_many(column, &what, &odd, &line(judge::date(column, counts, order), dates, counts))),
            odd.place().cloned(),
        );
    }
    match column.nearest().filter(|reading| most(reading.spread.cells)) {
        Some(reading) => {
            let place = reading.odd.place().cloned();
            (Some(too_many(column, "numbers", &reading.odd, &number_line(&reading, counts))), place)
        }
        None => (None, None),
    }
}

fn too_many(column: &ColumnProfile, what: &str, odd: &Tally, line: &str) -> String {
    format!(
        "all but {} of {} are {what}{}, {TOO_MANY}: mend them or list their spelling under `missing`, and write {line}; as they are, they are text",
        odd.cells,
        cells(column.present()),
        among(column)
    )
}

/// What to say about values that may spell what is missing.
pub(super) fn words<'a>(values: impl Iterator<Item = &'a str>) -> Option<String> {
    let words: Vec<&str> = values.filter(|value| spelling::missing(value.as_bytes()).is_some()).collect();
    let them = if words.len() == 1 { "it" } else { "them" };
    let words = words.join("`, `");
    (!words.is_empty())
        .then(|| format!("`{words}` counts as a value here; take {them} out of the list where {them} is what is missing"))
}

/// What to say about values that may be meant to be one: the first two that only case, or blanks within them, tell apart, and how many
/// others there are. (Blanks around a value are not part of it.)
pub(super) fn alike(values: &[&str]) -> Option<String> {
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
