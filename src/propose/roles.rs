//! Which columns are the label, the subject and the record: wished for, or guessed from names and what the columns hold.

use std::sync::Arc;

use super::{
    ProposeError,
    judge::Counts,
    label::{self, Class},
    names::{self, IdName},
    profile::{ColumnProfile, Plan, Profile},
    remarks,
    sketch::{SHARED_MIN, UNIQUE_ROWS_MAX},
};

use crate::{config::Overrides, schema::some_of};

/// Candidates for the subject, besides each record being its own.
const SUBJECTS_MAX: usize = 3;
/// Candidates for a column that names the record.
const RECORDS_MAX: usize = 4;
/// Columns that are tried beside the subject, for each of the first two candidates.
const OCCASIONS_MAX: usize = 4;
/// A column of text is taken for the label only with at most this many values.
const TEXT_CLASSES_MAX: usize = 100;

/// What the columns are. Columns are indices.
#[derive(Clone, Debug)]
pub(super) struct Roles {
    pub(super) label: usize,
    pub(super) label_note: Option<String>,
    /// The classes in the order of their indices; `None` for a number.
    pub(super) classes: Option<Vec<Class>>,
    pub(super) subject: Option<usize>,
    pub(super) subject_note: Option<String>,
    pub(super) record: Vec<usize>,
    pub(super) record_note: Option<String>,
    /// The index under which the profile counted the subject; 0 where each record is its own.
    pub(super) candidate: usize,
    pub(super) subjects: u64,
}

/// What has to be found out about columns with these names, some of which are numbers of vectors, and so none of what is looked for.
pub(super) fn plan(columns: &[String], vectors: &[Option<Arc<str>>], wishes: &Overrides) -> Result<Plan, ProposeError> {
    let find = |role: &'static str, name: &String| {
        let missing = || ProposeError::NoColumn { role, column: name.clone(), found: some_of(columns, name) };
        let at = columns.iter().position(|c| c == name).ok_or_else(missing)?;
        match vectors.get(at) {
            Some(Some(vector)) => Err(ProposeError::InVector { role, column: name.clone(), vector: vector.to_string() }),
            _ => Ok(at),
        }
    };
    let alone = |index: usize| vectors.get(index).is_none_or(Option::is_none);
    let wished_label = wishes.label.as_ref().map(|name| find("label", name)).transpose()?;
    let wished_subject = wishes.subject.as_ref().map(|name| find("subject", name)).transpose()?;
    let wished_record = wishes.record.iter().map(|name| find("record", name)).collect::<Result<Vec<_>, _>>()?;
    if let Some(twice) = wished_label.filter(|label| wished_subject == Some(*label) || wished_record.contains(label)) {
        return Err(ProposeError::TwoRoles { column: columns.get(twice).cloned().unwrap_or_default() });
    }
    let is_free = |index: usize| alone(index) && wished_subject != Some(index) && !wished_record.contains(&index);
    let named = |index: usize| columns.get(index).filter(|_| alone(index)).and_then(|name| names::id_name(name));
    let usable = |index: &usize| is_free(*index) && columns.get(*index).is_some_and(|name| !names::is_split(name));

    let by_name = (0..columns.len()).filter(usable);
    let by_name = by_name.filter_map(|i| columns.get(i).and_then(|name| Some((names::label_rank(name)?, i)))).min();
    let labels = match (wished_label, by_name) {
        (Some(label), _) => vec![label],
        (None, Some((_, label))) => vec![label],
        (None, None) => {
            let plain: Vec<usize> = (0..columns.len()).filter(|i| usable(i) && named(*i).is_none()).collect();
            let mut labels: Vec<usize> = plain.last().into_iter().chain(plain.first()).copied().collect();
            labels.dedup();
            labels
        }
    };

    let mut ids: Vec<(IdName, usize)> =
        (0..columns.len()).filter(|i| !labels.contains(i)).filter_map(|i| Some((named(i)?, i))).collect();
    ids.sort();
    let people = ids.iter().filter(|(name, _)| *name != IdName::Row).map(|id| id.1);
    let subjects: Vec<usize> = match wished_subject {
        Some(subject) => vec![subject],
        None => people.take(SUBJECTS_MAX).collect(),
    };
    let mut records: Vec<Vec<usize>> = Vec::new();
    if wished_record.is_empty() {
        let singles = subjects.iter().copied().chain(ids.iter().map(|id| id.1).filter(|i| !subjects.contains(i)));
        records.extend(singles.take(SUBJECTS_MAX + RECORDS_MAX).map(|column| vec![column]));
        let occasion =
            |i: &usize| alone(*i) && labels.first() != Some(i) && columns.get(*i).is_some_and(|name| names::is_occasion(name));
        for &subject in subjects.iter().take(2) {
            let occasions = (0..columns.len()).filter(occasion).filter(|i| *i != subject).take(OCCASIONS_MAX);
            records.extend(occasions.map(|column| vec![subject, column]));
        }
    }
    Ok(Plan { labels, subjects, records })
}

impl Roles {
    /// Decides, once the sources have been read.
    pub(super) fn choose(profile: &Profile, plan: &Plan, wishes: &Overrides) -> Result<Roles, ProposeError> {
        let (label, label_note) = choose_label(profile, plan, wishes)?;
        let (subject, subject_note) = choose_subject(profile, plan, wishes);
        let candidate = subject.and_then(|s| plan.subjects.iter().position(|c| *c == s)).map_or(0, |at| at + 1);
        let counted = candidate.checked_sub(1).and_then(|at| profile.subjects.get(at));
        let subjects = counted.map_or(profile.rows, |distinct| distinct.count().min(profile.rows));
        let (record, record_note) = choose_record(profile, plan, wishes, subject, label);
        let column = column(profile, label)?;
        let counts = Counts { rows: profile.rows, candidate, commas: profile.commas };
        let classes = label::classes(column, counts, label_note.is_some())?;
        Ok(Roles { label, label_note, classes, subject, subject_note, record, record_note, candidate, subjects })
    }
}

impl Roles {
    /// Whether the name of the subject's column says that it is about people, or its values repeat.
    pub(super) fn names_people(&self, profile: &Profile) -> bool {
        let subject = self.subject.and_then(|at| profile.columns.get(at));
        subject.is_some_and(|subject| names::id_name(&subject.name) == Some(IdName::Person))
            || self.subject.is_some() && self.subjects < profile.rows
    }

    /// Whether the classes are whole numbers that may be meant as such.
    pub(super) fn is_ordinal(&self) -> bool {
        let whole = |class: &Class| class.value.parse::<i64>().is_ok();
        self.classes.as_ref().is_some_and(|classes| classes.len() > 2 && classes.iter().all(whole))
    }

    /// What was guessed, a sentence each.
    pub(super) fn notes(&self, profile: &Profile) -> Vec<String> {
        let name = |index: usize| profile.columns.get(index).map_or("", |c| c.name.as_str());
        let mut notes = Vec::new();
        if let Some(note) = &self.label_note {
            notes.push(format!("The label is `{}`: {note}.", name(self.label)));
        }
        if let Some(note) = &self.subject_note {
            let what =
                self.subject.map_or_else(|| "There is no subject column".into(), |s| format!("The subject is `{}`", name(s)));
            notes.push(format!("{what}: {note}."));
        }
        if let Some(note) = &self.record_note {
            let columns: Vec<&str> = self.record.iter().map(|i| name(*i)).collect();
            let what = match columns.is_empty() {
                true => "There are no record columns".into(),
                false => format!("A record is named by `{}`", columns.join("`, `")),
            };
            notes.push(format!("{what}: {note}."));
        }
        if let Some((rows, _)) = profile.columns.get(self.label).map(ColumnProfile::missing_labels).filter(|(rows, _)| *rows > 0)
        {
            notes.push(format!("{rows} rows have no label and are left out (`missing = \"skip\"` under [label])."));
        }
        if self.is_ordinal() {
            notes.push(format!(
                "`{}` holds whole numbers, which are taken for classes; to learn a number, take `values` out of [label].",
                name(self.label)
            ));
        }
        if let Some(subject) = self.subject.and_then(|at| profile.columns.get(at)) {
            let (none, floats) = (subject.missing_rows_as(false), subject.floats);
            if none > 0 && !floats {
                let rows = if none == 1 { "1 row has".to_owned() } else { format!("{none} rows have") };
                notes.push(format!(
                    "{rows} no `{}`, which stops the import until `missing_subject` under [data] is \"skip\" (they are left out) or \"own\" \
                     (each is its own subject).",
                    subject.name
                ));
            }
        }
        let values: Vec<&str> = self.classes.iter().flatten().map(|class| class.value.as_str()).collect();
        if let Some(column) = profile.columns.get(self.label) {
            let counts = Counts { rows: profile.rows, candidate: self.candidate, commas: profile.commas };
            notes.extend(label::notes(column, counts, self.classes.is_none()));
        }
        notes.extend(remarks::alike(&values).map(|phrase| format!("Classes of `{}`: {phrase}.", name(self.label))));
        notes
            .extend(remarks::words(values.iter().copied()).map(|phrase| format!("Classes of `{}`: {phrase}.", name(self.label))));
        let rare = self.classes.iter().flatten().filter(|class| !class.shared).count();
        if rare > 0 {
            notes.push(format!(
                "{rare} classes are shared by fewer than {SHARED_MIN} subjects; such a class can point to a person."
            ));
        }
        notes
    }
}

fn column(profile: &Profile, index: usize) -> Result<&ColumnProfile, ProposeError> {
    profile.columns.get(index).ok_or(ProposeError::NoInputs)
}

fn choose_label(profile: &Profile, plan: &Plan, wishes: &Overrides) -> Result<(usize, Option<String>), ProposeError> {
    let unclear = || ProposeError::LabelUnclear { problem: "no column has the name of one".into() };
    let &last = plan.labels.first().ok_or_else(unclear)?;
    if wishes.label.is_some() {
        return Ok((last, None));
    }
    let chosen = column(profile, last)?;
    if names::label_rank(&chosen.name).is_some() {
        return Ok((last, Some("guessed by its name".into())));
    }
    // Some tables have the class in front, as the only text.
    let text = |c: &&ColumnProfile| {
        c.vector.is_none() && !c.is_number() && names::id_name(&c.name).is_none() && !names::is_split(&c.name)
    };
    if let Some(&first) = plan.labels.get(1)
        && profile.columns.iter().filter(text).count() == 1
        && let Some(values) = profile.columns.get(first).filter(text).and_then(|c| c.values.as_ref())
        && (2..=TEXT_CLASSES_MAX).contains(&values.len())
    {
        return Ok((first, Some("guessed, as it comes first and is the only text".into())));
    }
    Ok((last, Some("guessed, as it comes last".into())))
}

/// Whether every row has a value that can be an id.
fn fills(column: &ColumnProfile) -> bool {
    column.missing_rows_as(true) == 0 && !column.floats
}

/// Whether so many rows have a value that those without may be mistakes: of what is named after people half of them, as `missing_subject` says
/// what becomes of the others.
fn nearly_fills(column: &ColumnProfile, rows: u64) -> bool {
    let allowed = if names::id_name(&column.name) == Some(IdName::Person) { 2 } else { 20 };
    column.missing_rows_as(true).saturating_mul(allowed) <= rows
}

fn choose_subject(profile: &Profile, plan: &Plan, wishes: &Overrides) -> (Option<usize>, Option<String>) {
    if wishes.subject.is_some() {
        return (plan.subjects.first().copied(), None);
    }
    let mut found: Option<(IdName, bool, usize)> = None;
    for (&index, distinct) in plan.subjects.iter().zip(&profile.subjects) {
        let Some(column) = profile.columns.get(index) else { continue };
        let Some(name) = names::id_name(&column.name) else { continue };
        let (count, rows) = (distinct.count(), profile.rows);
        // A person has some rows; a code has many.
        let rows_each_max = match name {
            IdName::Person => 1000,
            IdName::Plain => 50,
            IdName::Named | IdName::Row => 20,
        };
        let plausible = nearly_fills(column, rows) && !column.floats && count >= 2 && count.saturating_mul(rows_each_max) >= rows;
        let is_fraction = column.is_number() && !column.whole();
        if plausible && !is_fraction {
            // Of two names as likely, the one whose values repeat says more of who is who.
            let filled = rows.saturating_sub(column.missing_rows_as(true));
            let unique = is_unique(profile, plan, &[index]) || count >= filled;
            let this = (name, unique, index);
            found = Some(found.map_or(this, |before| before.min(this)));
        }
    }
    match found {
        Some((_, unique, index)) => {
            let how = if unique { "every row has its own" } else { "its values repeat" };
            (Some(index), Some(format!("guessed by its name; {how}")))
        }
        None => (None, Some("no column looks like an id of people, so each record is its own subject".into())),
    }
}

fn is_unique(profile: &Profile, plan: &Plan, columns: &[usize]) -> bool {
    let names = |set: &Vec<usize>| set.as_slice() == columns;
    let filled = columns.iter().all(|i| profile.columns.get(*i).is_some_and(fills));
    filled && plan.records.iter().zip(&profile.records).any(|(set, unique)| names(set) && unique.holds())
}

fn choose_record(
    profile: &Profile,
    plan: &Plan,
    wishes: &Overrides,
    subject: Option<usize>,
    label: usize,
) -> (Vec<usize>, Option<String>) {
    if !wishes.record.is_empty() {
        let find = |name: &String| profile.columns.iter().position(|c| c.name == *name);
        return (wishes.record.iter().filter_map(find).collect(), None);
    }
    if profile.rows > UNIQUE_ROWS_MAX {
        let note = format!("not looked for in more than {UNIQUE_ROWS_MAX} rows; if columns name each record, list them here");
        return (Vec::new(), Some(note));
    }
    let fits = |set: &&Vec<usize>| match set.as_slice() {
        [_] => true,
        [first, second] => Some(*first) == subject && *second != label,
        _ => false,
    };
    let own = subject.map(|s| vec![s]);
    let mut sets = own.iter().chain(plan.records.iter().filter(fits));
    match sets.find(|set| is_unique(profile, plan, set)) {
        Some(set) => (set.clone(), Some("guessed, as no two rows have the same".into())),
        None => (Vec::new(), Some("no column names each record, so its content does".into())),
    }
}

/// Columns without the name of an id whose values repeat as ids of people do, or tell all rows apart.
pub(super) fn could_be_ids(profile: &Profile, label: usize) -> Vec<String> {
    let could = |column: &&ColumnProfile| {
        let (distinct, rows) = (column.distinct(), profile.rows);
        let is_id = if column.is_number() { column.whole() && column.odd.cells == 0 } else { column.is_words() };
        // Floats are no ids until they are cast, and are told by their name alone.
        let could = !column.floats || names::id_name(&column.name).is_some();
        column.vector.is_none()
            && is_id
            && could
            && nearly_fills(column, rows)
            && distinct >= 10
            && distinct.saturating_mul(100) >= rows
    };
    let others = profile.columns.iter().enumerate().filter(|(at, _)| *at != label).map(|(_, column)| column);
    others.filter(could).map(|column| column.name.clone()).collect()
}
