//! Whom records are about, told from what the columns hold, where no name of a column says so.
//!
//! Rows of one person have much in common: what a person is stays the same over them (a birthday, a home, a plan), and what tells
//! the rows apart (a visit, a year) never comes twice. A column is taken for the subject if within its values other columns behave so,
//! where they do not in general. A sample of values is looked at, all rows of each: those whose hashes are smallest, so that what is
//! found is a function of the set of rows.

use std::collections::BTreeMap;

use super::{
    names,
    profile::{Profile, only_read, text_of},
    sketch::hash,
};
use crate::{
    schema::Places,
    source::{Batch, Cell, Source, SourceError},
};

/// Columns that are tried, and tables with more columns are not.
const CANDIDATES_MAX: usize = 6;
const COLUMNS_MAX: usize = 128;
/// Values of a candidate that are looked at, with all their rows.
const GROUPS: usize = 1024;
/// A group of more rows is not asked whether a column repeats in it.
const FEW_ROWS: usize = 12;
/// So many values there must be at least, and so many of those looked at with several rows.
const VALUES_MIN: u64 = 20;
const SEVERAL_MIN: usize = 10;
/// Rows of a value at most, on average.
const ROWS_EACH_MAX: u64 = 1000;
/// A column is no attribute if two values agree in it more often than this anyhow.
const AGREE_MAX: f64 = 0.9;
/// Groups in which an attribute may vary, in a thousand: people move, and cells are mistyped.
const VARIES_PER_MILLE: usize = 20;
/// Repeats that chance would bring about, of which next to none is found, tell an occasion.
const REPEATS_MIN: f64 = 30.0;

/// Columns without the name of an id that might say whom a record is about: those whose values repeat, and are many.
pub(super) fn candidates(profile: &Profile, label: usize) -> Vec<usize> {
    if profile.columns.len() > COLUMNS_MAX {
        return Vec::new();
    }
    let rows = profile.rows;
    let could = |at: &usize| {
        let Some(column) = profile.columns.get(*at) else { return false };
        let distinct = column.distinct();
        let is_id = match column.is_number() {
            true => column.whole() && column.odd.cells == 0 && column.least() >= 0.0,
            false => column.is_words(),
        };
        let named = names::is_split(&column.name) || names::is_occasion(&column.name);
        let filled = column.missing_rows().saturating_mul(20) <= rows;
        is_id
            && !named
            && filled
            && !(column.floats || column.all_bytes)
            && distinct >= VALUES_MIN
            && distinct.saturating_mul(10) <= rows.saturating_mul(8)
            && distinct.saturating_mul(ROWS_EACH_MAX) >= rows
    };
    let mut found: Vec<usize> = (0..profile.columns.len()).filter(|at| *at != label).filter(could).collect();
    found.sort_by_key(|at| std::cmp::Reverse(profile.columns.get(*at).map(super::profile::ColumnProfile::distinct)));
    found.truncate(CANDIDATES_MAX);
    found
}

/// What speaks for a column.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Found {
    pub(super) column: usize,
    /// Columns that stay the same within its values.
    pub(super) attributes: Vec<usize>,
    /// Columns that never repeat within them.
    pub(super) occasions: Vec<usize>,
}

impl Found {
    /// Why it is taken.
    pub(super) fn note(&self, columns: &[String]) -> String {
        let some = |which: &[usize]| {
            let names =
                which.iter().take(3).filter_map(|at| columns.get(*at)).map(|name| format!("`{name}`")).collect::<Vec<_>>();
            let more = if which.len() > 3 { format!(" and {} more", which.len() - 3) } else { String::new() };
            names.join(", ") + &more
        };
        let same = (!self.attributes.is_empty()).then(|| format!("{} stay the same", some(&self.attributes)));
        let once = (!self.occasions.is_empty()).then(|| format!("{} never repeat", some(&self.occasions)));
        let why: Vec<String> = same.into_iter().chain(once).collect();
        format!("guessed by what it holds: its values repeat, and within each of them {}", why.join(" and "))
    }
}

/// The column that most speaks for, if enough does for any.
pub(super) fn weigh(
    sources: &mut [Box<dyn Source>],
    columns: &[String],
    profile: &Profile,
    candidates: &[usize],
    label: usize,
) -> Result<Option<Found>, SourceError> {
    let mut looks: Vec<Look> = candidates.iter().map(|column| Look::new(*column)).collect();
    let mut batch = Batch::new();
    for source in sources {
        let _ = only_read(source.as_mut());
        let places = Places::of(source.columns());
        // The caller has compared the columns of the sources.
        let places: Vec<usize> = columns.iter().filter_map(|column| places.find(column)).collect();
        while source.next(&mut batch)? > 0 {
            for row in 0..batch.rows() {
                for look in &mut looks {
                    look.see(&batch, row, &places);
                }
            }
        }
    }
    let distinct = |found: &Found| profile.columns.get(found.column).map(super::profile::ColumnProfile::distinct);
    let found = looks.iter().filter_map(|look| look.found(profile, label));
    Ok(found.max_by_key(|found| (found.attributes.len() + 3 * found.occasions.len(), distinct(found), usize::MAX - found.column)))
}

/// A sample of the values of one column.
struct Look {
    column: usize,
    groups: BTreeMap<u64, Group>,
    /// No larger hash can matter.
    bound: u64,
}

/// The rows of one value.
struct Group {
    /// The value as a number, where it is one.
    value: Option<f64>,
    kind: Spelt,
    rows: usize,
    /// By column.
    cells: Vec<Cells>,
}

/// What a value is made of.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Spelt {
    /// Letters and digits, or digits after a zero: nobody measures or says such.
    Code,
    Whole,
    Words,
}

/// The cells of one column in the rows of one value.
#[derive(Default)]
struct Cells {
    first: Option<u64>,
    number: Option<f64>,
    varies: bool,
    repeats: bool,
    /// All of them, while they are few.
    seen: Vec<u64>,
}

impl Look {
    fn new(column: usize) -> Look {
        Look { column, groups: BTreeMap::new(), bound: u64::MAX }
    }

    fn see(&mut self, batch: &Batch, row: usize, places: &[usize]) {
        let Some(place) = places.get(self.column) else { return };
        let text = text_of(batch.cell(row, *place));
        if super::spelling::missing(&text).is_some() {
            return;
        }
        let key = hash(&text);
        if key > self.bound {
            return;
        }
        let new = || Group {
            value: fast_float2::parse(text.as_ref()).ok(),
            kind: spelt(&text),
            rows: 0,
            cells: places.iter().map(|_| Cells::default()).collect(),
        };
        let group = self.groups.entry(key).or_insert_with(new);
        group.rows += 1;
        for (cells, place) in group.cells.iter_mut().zip(places) {
            cells.see(batch.cell(row, *place));
        }
        if self.groups.len() > GROUPS {
            self.groups.pop_last();
            self.bound = self.groups.last_key_value().map_or(0, |(key, _)| *key);
        }
    }

    /// What the groups say, if it is enough.
    fn found(&self, profile: &Profile, label: usize) -> Option<Found> {
        let several: Vec<&Group> = self.groups.values().filter(|group| group.rows > 1).collect();
        if several.len() < SEVERAL_MIN || several.len() * 5 < self.groups.len() {
            return None;
        }
        let others = (0..profile.columns.len()).filter(|at| *at != self.column && *at != label);
        let attributes: Vec<usize> = others.clone().filter(|at| self.is_attribute(&several, *at)).collect();
        let occasions: Vec<usize> = others.filter(|at| self.is_occasion(&several, *at)).collect();
        let most = |kind: Spelt| several.iter().filter(|group| group.kind == kind).count() * 10 >= several.len() * 9;
        // A city has a country, and an age a decade.
        let enough = match (most(Spelt::Code), most(Spelt::Whole)) {
            (true, _) => 1,
            (_, true) => 2,
            _ => (profile.columns.len() / 3).max(3),
        };
        let found = Found { column: self.column, attributes, occasions };
        (found.attributes.len() >= enough || !found.occasions.is_empty()).then_some(found)
    }

    /// Whether a column stays the same within values, differs between them, and is not worked out from them.
    fn is_attribute(&self, several: &[&Group], at: usize) -> bool {
        let cells = || several.iter().filter_map(|group| group.cells.get(at)).filter(|cells| cells.first.is_some());
        let (all, varying) = (cells().count(), cells().filter(|cells| cells.varies).count());
        if all < SEVERAL_MIN || varying * 1000 > all * VARIES_PER_MILLE {
            return false;
        }
        let firsts = self.groups.values().filter_map(|group| group.cells.get(at)?.first);
        agreement(firsts) <= AGREE_MAX && !self.is_monotone(at)
    }

    /// Whether a column rises or falls with the values.
    fn is_monotone(&self, at: usize) -> bool {
        let pair = |group: &Group| Some((group.value?, group.cells.get(at)?.number?));
        let mut pairs: Vec<(f64, f64)> = self.groups.values().filter_map(pair).collect();
        if pairs.len() * 2 < self.groups.len() {
            return false;
        }
        pairs.sort_by(|a, b| a.0.total_cmp(&b.0));
        let steps = || pairs.iter().zip(pairs.iter().skip(1)).map(|(a, b)| b.1 - a.1);
        let against = |sign: f64| steps().filter(|step| step * sign < 0.0).count() * 100 <= pairs.len();
        against(1.0) || against(-1.0)
    }

    /// Whether a column hardly repeats within values where by chance it would.
    fn is_occasion(&self, several: &[&Group], at: usize) -> bool {
        let small =
            || several.iter().filter(|group| group.rows <= FEW_ROWS).filter_map(|group| Some((group, group.cells.get(at)?)));
        let all = small().flat_map(|(_, cells)| cells.seen.iter().copied());
        let by_chance = agreement(all);
        let pairs: usize = small().map(|(_, cells)| cells.seen.len() * cells.seen.len().saturating_sub(1) / 2).sum();
        let repeating = small().filter(|(_, cells)| cells.repeats).count();
        by_chance * pairs as f64 >= REPEATS_MIN && repeating * 100 <= small().count()
    }
}

impl Cells {
    fn see(&mut self, cell: Cell<'_>) {
        let text = text_of(cell);
        if text.is_empty() {
            return;
        }
        let key = hash(&text);
        match self.first {
            None => (self.first, self.number) = (Some(key), fast_float2::parse(text.as_ref()).ok()),
            Some(first) => self.varies |= first != key,
        }
        if self.seen.len() < FEW_ROWS {
            self.repeats |= self.seen.contains(&key);
            self.seen.push(key);
        }
    }
}

/// How often two of them are the same.
fn agreement(keys: impl Iterator<Item = u64>) -> f64 {
    let (mut counts, mut all) = (BTreeMap::<u64, f64>::new(), 0.0);
    for key in keys {
        *counts.entry(key).or_default() += 1.0;
        all += 1.0;
    }
    // In the order of keys, so that it is one sum.
    let mut same = 0.0;
    for count in counts.values() {
        same += count * (count - 1.0);
    }
    if all > 1.0 { same / (all * (all - 1.0)) } else { 1.0 }
}

fn spelt(text: &[u8]) -> Spelt {
    let digits = text.iter().filter(|byte| byte.is_ascii_digit()).count();
    match digits {
        0 => Spelt::Words,
        all if all == text.len() => {
            if text.len() > 1 && text.starts_with(b"0") {
                Spelt::Code
            } else {
                Spelt::Whole
            }
        }
        _ if text.contains(&b' ') || text.contains(&b'.') => Spelt::Words,
        _ => Spelt::Code,
    }
}
