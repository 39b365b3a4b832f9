//! The lines under `[columns]`: every column that is not the label or an id, families of alike ones in one line.

use std::{collections::BTreeSet, ops::Range};

use super::{
    figures::ends,
    judge::{Counts, FAMILY_MIN, Verdict, judge, judge_family},
    names,
    profile::ColumnProfile,
    spelling::Spread,
};
use crate::{
    learn,
    schema::{Column, Kind, NumberFormat},
    source::Place,
};

/// One line: what it declares, for which columns.
#[derive(Clone, Debug)]
pub(super) struct Line {
    /// A name, a range or a pattern.
    pub(super) key: String,
    /// What the columns are, with the range that is written down.
    pub(super) kind: Kind,
    /// Whole phrases.
    pub(super) comment: Vec<String>,
    /// The columns' names.
    names: Vec<String>,
    /// Cells that the kind can't take, and where the first cell stands that there is something to say about.
    odd: u64,
    place: Option<Place>,
    /// Whether it holds something that is not used as what it looks like.
    asks: bool,
}

impl Line {
    /// What has to be known about a column that is not used.
    pub(super) fn asked(&self) -> Option<String> {
        let place = self.place.as_ref().map(|place| format!(" (first at {place})")).unwrap_or_default();
        self.asks.then(|| format!("`{}`: {}{place}", self.key, self.comment.join("; ")))
    }
}

/// What became of a column, or of several that share a line.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct ColumnNote {
    /// The column's name, or a range or pattern of names.
    pub column: String,
    /// How many columns those are.
    pub columns: usize,
    /// What it became.
    pub kind: &'static str,
    /// Whether it is not used, or not all of its cells can be taken as what it became.
    pub notable: bool,
    /// Cells that can't be taken so.
    pub odd_cells: u64,
    /// Where the first of them stands, or of those that the remark is about.
    pub place: Option<String>,
    /// What there is to say about it.
    pub remark: String,
}

/// All lines, and the spellings of a missing value that the inputs need.
#[derive(Clone, Debug)]
pub(super) struct Lines {
    pub(super) lines: Vec<Line>,
    pub(super) missing: BTreeSet<String>,
}

impl Lines {
    /// Judges `inputs`, some of `all` columns.
    pub(super) fn of(inputs: &[&ColumnProfile], all: &[ColumnProfile], counts: Counts) -> Lines {
        let (mut lines, mut missing) = (Vec::new(), BTreeSet::from([String::new()]));
        for family in families(inputs) {
            let members = inputs.get(family).unwrap_or_default();
            if let Some(line) = vector(members, counts) {
                missing.extend(members.iter().flat_map(|column| column.spellings(false)));
                lines.push(line);
                continue;
            }
            let together = if members.len() >= FAMILY_MIN { judge_family(members, counts) } else { None };
            let verdicts = together.unwrap_or_else(|| members.iter().map(|c| judge(c, counts)).collect());
            for (column, verdict) in members.iter().zip(&verdicts).filter(|(_, v)| v.kind != Kind::Ignore) {
                missing.extend(column.spellings(matches!(verdict.kind, Kind::Values { .. } | Kind::Buckets { .. })));
            }
            let mut from = 0;
            while let Some(verdict) = verdicts.get(from) {
                let alike = verdicts.iter().skip(from).take_while(|v| v.kind == verdict.kind).count();
                let run = members.get(from..from + alike).unwrap_or_default();
                let common = if alike >= FAMILY_MIN { common_name(run, all) } else { None };
                match common {
                    Some(key) => {
                        let ends =
                            verdicts.iter().skip(from).take(alike).filter_map(|v| rounded(v.spread.as_ref()?, counts.candidate));
                        let ends = ends.reduce(|a, b| learn::Range([a.0[0].min(b.0[0]), a.0[1].max(b.0[1])]));
                        let (kind, names) = (ranged(&verdict.kind, ends), run.iter().map(|c| c.name.clone()).collect());
                        let comment = run_comment(run, verdict);
                        lines.push(Line { key, kind, comment, names, odd: 0, place: None, asks: false });
                    }
                    None => lines.extend(run.iter().zip(verdicts.iter().skip(from)).map(|(column, verdict)| Line {
                        key: column.name.clone(),
                        kind: ranged(&verdict.kind, verdict.spread.as_ref().and_then(|s| rounded(s, counts.candidate))),
                        comment: verdict.comment.clone(),
                        names: vec![column.name.clone()],
                        odd: verdict.odd,
                        place: verdict.place.clone(),
                        asks: verdict.asks,
                    })),
                }
                from += alike;
            }
        }
        Lines { lines, missing }
    }

    /// How many columns are inputs.
    pub(super) fn used(&self) -> usize {
        self.lines.iter().filter(|line| line.kind != Kind::Ignore).map(|line| line.names.len()).sum()
    }

    /// What became of the columns, for whoever does not read the file.
    pub(super) fn table(&self) -> Vec<ColumnNote> {
        let note = |line: &Line| ColumnNote {
            column: line.key.clone(),
            columns: line.names.len(),
            kind: match &line.kind {
                Kind::Number { format, .. } if !format.is_plain() => "number with marks",
                Kind::Number { .. } => "number",
                Kind::Date { .. } => "date",
                Kind::Embedding { .. } => "embedding",
                Kind::Boolean => "boolean",
                Kind::Byte { .. } => "byte",
                Kind::Values { .. } => "category",
                Kind::Buckets { .. } => "hashed category",
                Kind::Ignore => "not used",
            },
            notable: line.kind == Kind::Ignore || line.odd > 0 || line.asks,
            odd_cells: line.odd,
            place: line.place.as_ref().map(ToString::to_string),
            remark: line.comment.join("; "),
        };
        self.lines.iter().map(note).collect()
    }

    /// The columns as declared.
    pub(super) fn columns(&self) -> Vec<Column> {
        let of_line = |line: &Line| {
            let kind = line.kind.clone();
            if matches!(kind, Kind::Embedding { .. }) {
                return vec![Column { name: line.key.clone(), kind, missing: None }];
            }
            line.names
                .iter()
                .map(move |name| Column { name: name.clone(), kind: kind.clone(), missing: None })
                .collect::<Vec<_>>()
        };
        self.lines.iter().flat_map(of_line).collect()
    }
}

/// Two ends, rounded as [`ends`] does; nothing where they are beyond what is stored.
pub(super) fn rounded(column: &Spread, candidate: usize) -> Option<learn::Range> {
    column.range(candidate).and_then(|(low, high)| {
        // Where ten subjects reach one value only, those few beyond it count as it.
        let beyond = if column.most > high { (low, low + 1.0) } else { (low - 1.0, low) };
        ends(if low < high { (low, high) } else { beyond })
    })
}

/// The line of a vector: its ends are those of all its numbers. One that is not read is ignored by its own name. Nothing where it is none,
/// or too few subjects reach any end.
fn vector(members: &[&ColumnProfile], counts: Counts) -> Option<Line> {
    let key = members.first()?.vector.as_ref()?.to_string();
    if let Some(found) = members.iter().find_map(|column| column.unread.as_ref()) {
        let (names, comment) = (vec![key.clone()], vec![format!("{found}, which are not read")]);
        return Some(Line { key, kind: Kind::Ignore, comment, names, odd: 0, place: None, asks: true });
    }
    let ends = members.iter().filter_map(|column| rounded(&column.numbers(), counts.candidate));
    let range = ends.reduce(|a, b| learn::Range([a.0[0].min(b.0[0]), a.0[1].max(b.0[1])]))?;
    let kind = Kind::Embedding { size: u32::try_from(members.len()).ok()?, range, format: NumberFormat::default() };
    let (odd, first) = (members.iter().map(|c| c.odd.cells).sum(), members.iter().find(|c| c.odd.cells > 0));
    let mut comment = vec!["a vector; the range is of all its numbers".to_owned()];
    comment.extend((odd > 0).then(|| format!("{odd} numbers are infinite or too large")));
    let names = members.iter().map(|c| c.name.clone()).collect();
    Some(Line { key, kind, comment, names, odd, place: first.and_then(|c| c.odd.place().cloned()), asks: false })
}

/// A number's kind with the ends that are written down.
pub(super) fn ranged(kind: &Kind, range: Option<learn::Range>) -> Kind {
    match kind {
        Kind::Number { log1p, indicator, format, .. } => {
            Kind::Number { log1p: *log1p, indicator: *indicator, range, format: format.clone() }
        }
        Kind::Date { order, unit, origin, parts, indicator, .. } => {
            let (origin, parts) = (origin.clone(), parts.clone());
            Kind::Date { order: *order, unit: *unit, origin, parts, indicator: *indicator, range }
        }
        other => other.clone(),
    }
}

/// Cuts columns into families of neighbours with one name and successive numbers, and into vectors; one without like is its own.
fn families(columns: &[&ColumnProfile]) -> Vec<Range<usize>> {
    let numbers: Vec<_> = columns.iter().map(|c| names::numbered(&c.name)).collect();
    let is_next = |at: usize| match (at.checked_sub(1).and_then(|b| numbers.get(b)), numbers.get(at)) {
        (Some(Some((stem_before, before, _))), Some(Some((stem, number, _)))) => {
            stem_before == stem && before.checked_add(1) == Some(*number)
        }
        _ => false,
    };
    let vector = |at: usize| columns.get(at).and_then(|column| column.vector.as_ref());
    let follows = |at: usize| match (at.checked_sub(1).and_then(vector), vector(at)) {
        (None, None) => is_next(at),
        (before, this) => before == this,
    };
    let mut families: Vec<Range<usize>> = Vec::new();
    for at in 0..columns.len() {
        match families.last_mut() {
            Some(family) if follows(at) => family.end = at + 1,
            _ => families.push(at..at + 1),
        }
    }
    families
}

/// A range or a pattern for the columns `from..to`, if there is one that means just them.
fn common_name(columns: &[&ColumnProfile], all: &[ColumnProfile]) -> Option<String> {
    let (first, last) = (columns.first()?, columns.last()?);
    let padded = columns.iter().any(|c| names::numbered(&c.name).is_some_and(|n| n.2));
    if !padded {
        return Some(format!("{}..{}", first.name, last.name));
    }
    let (stem, ..) = names::numbered(&first.name)?;
    let matching = all.iter().filter(|c| c.name.starts_with(stem)).count();
    (!stem.is_empty() && matching == columns.len()).then(|| format!("{stem}*"))
}

/// What to say about columns that share a line.
fn run_comment(run: &[&ColumnProfile], verdict: &Verdict) -> Vec<String> {
    let mut comment = vec![format!("{} columns", run.len())];
    if let Kind::Byte { .. } = verdict.kind {
        comment.extend(verdict.comment.iter().cloned());
    }
    comment
}
