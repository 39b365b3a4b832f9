//! What the label is: classes, or a number.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    ProposeError,
    judge::Counts,
    profile::{CLASSES_MAX, ColumnProfile, VALUES_MAX, Value},
    reading::Choice,
    remarks,
    sketch::{Few, SHARED_MIN},
    spelling,
};
use crate::{schema::Likeness, source::Place};

/// A guessed label has at most this many classes that few subjects share: they may be names, not classes.
const RARE_CLASSES_MAX: usize = 10;
/// More classes than this must have more than two rows each, on average.
const FEW_CLASSES: usize = 10;

/// A class of the label.
#[derive(Clone, Debug)]
pub(super) struct Class {
    pub(super) value: String,
    /// Whether at least ten subjects share it.
    pub(super) shared: bool,
}

/// The classes of a label, or `None` if it is a number.
///
/// # Errors
/// It is constant, or what it is has to be asked for.
pub(super) fn classes(column: &ColumnProfile, counts: Counts, guessed: bool) -> Result<Option<Vec<Class>>, ProposeError> {
    let name = || column.name.clone();
    let distinct = column.distinct();
    if distinct < 2 {
        return Err(ProposeError::LabelConstant { column: name(), distinct });
    }
    let asks = |problem: String, place: Option<&Place>| {
        let first = place.map(|place| format!(" (first at {place})")).unwrap_or_default();
        Err(ProposeError::LabelAsks { column: name(), problem: problem + &first })
    };
    let few = distinct <= VALUES_MAX as u64;
    match column.choice(counts.commas) {
        Choice::Text => {}
        Choice::Unclear(readings) => return asks(remarks::unclear_label(&readings, counts), None),
        Choice::Mixed(reading) => return asks(remarks::mixed_label(&reading, counts), None),
        choice @ (Choice::Number(_) | Choice::Doubtful(_)) => {
            if choice.reading().is_some_and(|r| !(r.spread.whole && r.odd.cells == 0 && few)) {
                return Ok(None);
            }
        }
    }
    // Those that only case tells apart are pointed out beside the classes.
    let answers = column.values().into_iter().flatten().map(|value| value.0).filter(|text| spelling::is_boolean(text));
    let folded: BTreeSet<Vec<u8>> = answers.map(<[u8]>::to_ascii_lowercase).collect();
    if !column.is_number() && folded.len() > 2 && column.booleans().is_some() {
        let problem = format!(
            "it says yes and no in {} spellings, each of which would be a class; write one spelling of each in the source, as 1 and 0",
            folded.len()
        );
        return asks(problem, None);
    }
    if !few && !column.dates().is_empty() {
        let problem =
            "it holds dates, and a label is a class or a number; write a number of days into the source, or name another";
        return asks(problem.into(), None);
    }
    if let (false, (Some(why), place)) = (few, remarks::unused(column, counts)) {
        return asks(format!("{why}; mend the source, or name another label"), place.as_ref());
    }
    let too_many = || ProposeError::LabelValues { column: name(), limit: CLASSES_MAX };
    let (mut texts, mut rows) = (Vec::new(), 0);
    let missing = column.missing_labels().1;
    for (bytes, value) in column.values().ok_or_else(too_many)? {
        let written = std::str::from_utf8(bytes).ok().filter(|text| text.trim() == *text);
        let text = written.ok_or_else(|| ProposeError::LabelText { column: name() })?;
        if !missing.iter().any(|spelling| spelling == text) {
            texts.push((text, value));
            rows += value.rows;
        }
    }
    let mut classes = joined(&texts, counts.candidate);
    if classes.len() < 2 {
        return Err(ProposeError::LabelConstant { column: name(), distinct: classes.len() as u64 });
    }
    let rare = classes.iter().filter(|class| !class.shared).count();
    if guessed && rare > RARE_CLASSES_MAX {
        let problem = format!(
            "the likeliest is `{}`, but {rare} of its {} values are shared by fewer than {SHARED_MIN} subjects, as names would be",
            column.name,
            classes.len()
        );
        return Err(ProposeError::LabelUnclear { problem });
    }
    if classes.len() > FEW_CLASSES && classes.len() as u64 * 2 > rows {
        let problem = format!(
            "its {rows} rows have {} different texts, so that most would be a class of their own; name another",
            classes.len()
        );
        return asks(problem, None);
    }
    // Digits in the order of numbers, anything else in that of bytes.
    classes.sort_by_key(|class| (class.value.parse::<i64>().unwrap_or(i64::MAX), class.value.clone()));
    Ok(Some(classes))
}

/// Values as classes, where `1.0` is `1`: a class that is a whole number is spelt without a point, as the reader takes one for the other.
fn joined(values: &[(&str, &Value)], candidate: usize) -> Vec<Class> {
    let number = |text: &str| text.parse::<f32>().ok().filter(|number| number.is_finite()).map(f32::to_bits);
    let without = |text: &str| Likeness::PointZero.folded(text).unwrap_or_else(|| text.to_owned());
    let mut spellings: BTreeMap<u32, Vec<String>> = BTreeMap::new();
    for (text, _) in values {
        number(text).into_iter().for_each(|bits| spellings.entry(bits).or_default().push(without(text)));
    }
    // Where `01` stands beside `1.0`, the reader would not know which is meant.
    let is_one = |text: &str| {
        let of = number(text).and_then(|bits| spellings.get(&bits));
        of.is_some_and(|all| all.iter().all(|other| Some(other) == all.first()))
    };
    let mut classes: BTreeMap<String, (Few, bool)> = BTreeMap::new();
    for (text, value) in values {
        let class = if is_one(text) { without(text) } else { (*text).to_owned() };
        let (few, shared) = classes.entry(class).or_default();
        if let Some(more) = value.shared.get(candidate) {
            more.subjects().for_each(|subject| few.insert(subject));
            *shared |= more.is_shared() || few.is_shared();
        }
    }
    classes.into_iter().map(|(value, (_, shared))| Class { value, shared }).collect()
}

/// What a person should know about a label, a sentence each.
pub(super) fn notes(column: &ColumnProfile, counts: Counts, is_number: bool) -> Vec<String> {
    let choice = column.choice(counts.commas);
    let at = |place: Option<&Place>| place.map(|place| format!(" (first at {place})")).unwrap_or_default();
    let mut notes = Vec::new();
    match choice.reading().filter(|_| is_number) {
        Some(reading) => {
            let odd = remarks::odd_phrase(column, &reading.odd, remarks::NO_NUMBERS).map(|why| why + &at(reading.odd.place()));
            let doubt = match &choice {
                Choice::Doubtful(readings) => {
                    Some(remarks::doubt_label(readings, counts) + &at(readings.iter().find_map(|r| r.marks.place())))
                }
                _ => None,
            };
            notes.extend(odd.into_iter().chain(doubt).chain(remarks::bare(reading)));
        }
        None => {
            if let (Some(why), place) = remarks::unused(column, counts) {
                notes.push(why + &at(place.as_ref()));
            }
        }
    }
    notes.into_iter().map(|note| format!("The label `{}`: {note}.", column.name)).collect()
}
