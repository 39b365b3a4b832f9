//! Proposes a commented `sisa.toml` from data, once: people own it from then on.
//!
//! The proposal is a function of the set of rows, of the columns' order, of what is asked for and, for learners whose shards are built in
//! parallel only, of the count of threads. No value that fewer than ten subjects share is written down (classes of the label
//! apart, which must be complete), and each end of a range is one that at least ten subjects reach, rounded (docs: rule 1 of what
//! makes unlearning exact).

mod advice;
mod columns;
mod error;
mod evidence;
mod figures;
mod judge;
mod label;
mod moments;
mod names;
mod profile;
mod reading;
mod remarks;
mod rewrite;
mod roles;
mod sketch;
mod spelling;
mod tally;
#[cfg(test)]
mod tests;
mod toml_text;
mod ways;
mod write;

use std::path::{Path, PathBuf};

pub use advice::{Advice, Shape};
pub use columns::ColumnNote;
pub use error::ProposeError;
pub(crate) use rewrite::rewritten;
pub(crate) use write::{column_line, range_line};

use self::{
    columns::{Line, Lines},
    judge::Counts,
    profile::{ColumnProfile, Profile},
    roles::Roles,
    spelling::Spread,
};
use crate::{
    config::{Config, ConfigError, Overrides},
    learn::Range,
    order::Grid,
    schema::{Exceptions, IdForm, Label, MissingSubject, NumberFormat, Schema},
    source::{Source, SourceError},
    train::{Keep, Recipe},
};

/// A proposed configuration.
#[derive(Clone, Debug, PartialEq)]
pub struct Proposal {
    /// The text of `sisa.toml`, with what was asked for in it.
    pub text: String,
    /// Rows of the sources.
    pub rows: u64,
    /// Subjects: exact up to a million, an estimate within half a per cent above that.
    pub subjects: u64,
    /// What was guessed, a sentence each.
    pub notes: Vec<String>,
    /// What is trained, and why.
    pub advice: Advice,
    /// Whether a column says whom or what a record is; where none does, those that could.
    pub has_ids: bool,
    /// See [`Proposal::has_ids`].
    pub candidates: Vec<String>,
    /// What the columns mean.
    pub schema: Schema,
    /// What became of every column that is not the label or an id, in the order of the file.
    pub columns: Vec<ColumnNote>,
}

/// What is to be proposed from.
#[derive(Debug)]
pub struct Request<'a> {
    /// The paths of the sources, as they are to be written.
    pub names: &'a [PathBuf],
    /// Where the configuration is to lie, for messages.
    pub path: &'a Path,
    /// What the person who asks knows already; it is written in place of what would be guessed or advised.
    pub overrides: &'a Overrides,
    /// Threads of this machine.
    pub threads: usize,
}

/// Opens the sources, the same rows each time.
pub type Open<'a> = dyn Fn() -> Result<Vec<Box<dyn Source>>, SourceError> + 'a;

/// What the columns were found to be.
struct Declared<'a> {
    profile: &'a Profile,
    roles: &'a Roles,
    counts: Counts,
    lines: Lines,
}

/// Proposes a configuration for the sources, which are read to their ends and are parts of one table. They are read again where no name of
/// a column says whom the records are about and the columns' values may: once to look, and once more where they do.
///
/// Memory does not grow with the rows: it is bounded for each column (less for each the more there are), by a million hashes
/// for each of at most three candidates for the subject, and by 2,000,000 hashes for each set of columns that still tells
/// all rows apart.
///
/// # Errors
/// A source can't be read, a column that was asked for is not there, the label can't be guessed or learnt, nothing else is left, or a
/// setting that was asked for does not go with the learner.
pub fn propose(open: &Open<'_>, request: &Request<'_>) -> Result<Proposal, ProposeError> {
    let (overrides, names) = (request.overrides, request.names);
    let mut sources = open()?;
    let columns = common_columns(&sources)?;
    let vectors = profile::vectors(&sources.first().map(|source| source.blocks()).unwrap_or_default(), columns.len());
    let plan = roles::plan(&columns, &vectors, overrides)?;
    let mut profile = Profile::read(&mut sources, &columns, &plan)?;
    if profile.rows == 0 {
        return Err(ProposeError::NoRows);
    }
    let mut roles = Roles::choose(&profile, &plan, overrides)?;
    if let Some(found) = subject_by_evidence(open, &columns, &profile, &roles, overrides)? {
        let named = Overrides {
            subject: columns.get(found.column).cloned(),
            label: columns.get(roles.label).cloned(),
            ..overrides.clone()
        };
        let (plan, label_note) = (roles::plan(&columns, &vectors, &named)?, roles.label_note.take());
        profile = Profile::read(&mut open()?, &columns, &plan)?;
        roles = Roles::choose(&profile, &plan, &named)?;
        (roles.label_note, roles.subject_note) = (label_note, Some(found.note(&columns)));
    }
    let declared = Declared::of(&profile, &roles)?;
    let schema = declared.schema();
    let layout = schema.layout();
    let (rows, subjects) = (profile.rows, roles.subjects);
    let shape = Shape { layout: &layout, rows, subjects, threads: request.threads };
    let advice = match &overrides.learner {
        None => shape.advice(),
        Some(kind) => shape.advice_of(kind),
    };
    let advice = advice.map_err(ConfigError::from)?;

    // First as advised; then what was asked for is put into it by the one function that does so, and it is written for good.
    let sections = write::declared(&declared, names, overrides)?;
    let grid = Grid::new(advice.shards, advice.slices, 0.0);
    let recipe = Recipe::new(advice.learner.clone(), advice.schedule, Keep::All);
    let advised = sections.clone() + &write::settings(grid, &recipe, Default::default(), &advice, subjects);
    let config = Config::parse(&advised, request.path)?.with_threads(request.threads).with(overrides)?;
    let (grid, recipe) = (config.grid()?, config.recipe()?);
    recipe.accepts(&layout).map_err(ConfigError::from)?;
    let text = sections + &write::settings(grid, &recipe, config.aggregate(), &advice, subjects);
    let mut notes = roles.notes(&profile);
    if overrides.learner.is_none() {
        notes.push(format!("The learner: {}", advice.sentence()));
    }
    if declared.id_form() == IdForm::Integer {
        notes.push("Ids look like whole numbers with a point (as `1004.0`), so they are compared by their value (`id_form = \"integer\"`).".into());
    }
    let has_ids = roles.subject.is_some() || !roles.record.is_empty();
    let candidates = if has_ids { Vec::new() } else { roles::could_be_ids(&profile, roles.label) };
    if !has_ids {
        let which =
            if candidates.is_empty() { String::new() } else { format!(" (it could be one of: {})", candidates.join(", ")) };
        notes.push(format!("Nothing can be deleted by an id later, as no column says whom or what a record is{which} (see `subject` and `record` under [data])."));
    }
    Ok(Proposal { text, rows, subjects, notes, advice, has_ids, candidates, schema, columns: declared.lines.table() })
}

/// The column that says whom records are about by what it holds, where none does by its name.
fn subject_by_evidence(
    open: &Open<'_>,
    columns: &[String],
    profile: &Profile,
    roles: &Roles,
    overrides: &Overrides,
) -> Result<Option<evidence::Found>, ProposeError> {
    // Whoever says that a record has an id, or none, has thought about it.
    let said = overrides.subject.is_some() || !overrides.record.is_empty() || overrides.no_ids;
    if said || roles.names_people(profile) {
        return Ok(None);
    }
    let candidates = evidence::candidates(profile, roles.label);
    let candidates: Vec<usize> = candidates.into_iter().filter(|at| !roles.record.contains(at)).collect();
    if candidates.is_empty() {
        return Ok(None);
    }
    Ok(evidence::weigh(&mut open()?, columns, profile, &candidates, roles.label)?)
}

impl Proposal {
    /// What became of the columns, a line each: of those that are not used, or not all of whose cells can be, why.
    pub fn told(&self) -> Vec<String> {
        let width = self.columns.iter().map(|c| c.column.chars().count()).max().unwrap_or_default().min(32);
        let line = |c: &ColumnNote| {
            let place = c.place.as_ref().map(|place| format!(" (first at {place})")).unwrap_or_default();
            let why = if c.notable { format!(": {}{place}", c.remark) } else { String::new() };
            format!("  {:width$}  {}{why}", c.column, c.kind)
        };
        std::iter::once("The columns:".to_owned()).chain(self.columns.iter().map(line)).collect()
    }
}

impl<'a> Declared<'a> {
    fn of(profile: &'a Profile, roles: &'a Roles) -> Result<Declared<'a>, ProposeError> {
        let counts = Counts { rows: profile.rows, candidate: roles.candidate, commas: profile.commas };
        // The label, the subject and a column that names the record alone need no line.
        let is_input = |index: usize| index != roles.label && Some(index) != roles.subject && roles.record != [index];
        let inputs = profile.columns.iter().enumerate().filter(|(i, _)| is_input(*i)).map(|(_, c)| c).collect::<Vec<_>>();
        let mut lines = Lines::of(&inputs, &profile.columns, counts);
        let label = profile.columns.get(roles.label);
        lines.missing.extend(label.map(|label| label.missing_labels().1).unwrap_or_default());
        // What spells that there is no value is nobody's id, also where it is a word.
        let subject = roles.subject.and_then(|at| profile.columns.get(at));
        lines.missing.extend(subject.into_iter().flat_map(|subject| subject.spellings(false)));
        if lines.used() == 0 {
            let asks: Vec<String> = lines.lines.iter().filter_map(Line::asked).collect();
            return Err(if asks.is_empty() { ProposeError::NoInputs } else { ProposeError::InputsAsk { asks: asks.join("; ") } });
        }
        Ok(Declared { profile, roles, counts, lines })
    }

    /// The form in which ids are to be compared: whole numbers that look like floats are to be found as they are typed.
    fn id_form(&self) -> IdForm {
        let ids = self.roles.subject.iter().chain(&self.roles.record).filter_map(|id| self.profile.columns.get(*id));
        if ids.into_iter().any(ColumnProfile::looks_like_floats) { IdForm::Integer } else { IdForm::AsIs }
    }

    /// How a label that is a number is spelt, and its numbers.
    fn label_numbers(&self) -> Option<(NumberFormat, Spread)> {
        let label = self.profile.columns.get(self.roles.label)?;
        let choice = label.choice(self.counts.commas);
        choice.reading().map(|reading| (reading.format.clone(), reading.spread.clone()))
    }

    /// Whether ln(1 + x) of a label that is a number without marks is learnt.
    fn is_skewed(&self, label: &ColumnProfile) -> bool {
        self.label_numbers().is_some_and(|numbers| numbers.0.is_plain()) && judge::is_skewed(label, self.counts)
    }

    /// The ends of a label that is a number.
    fn label_range(&self) -> Option<Range> {
        columns::rounded(&self.label_numbers()?.1, self.roles.candidate)
    }

    /// What the columns mean, as they are written.
    fn schema(&self) -> Schema {
        let name = |index: &usize| self.profile.columns.get(*index).map(|c| c.name.clone()).unwrap_or_default();
        let column = name(&self.roles.label);
        let label = match &self.roles.classes {
            Some(classes) => Label::Class { column, values: classes.iter().map(|c| c.value.clone()).collect() },
            None => {
                let of_label = self.profile.columns.get(self.roles.label);
                let log1p = of_label.is_some_and(|label| self.is_skewed(label));
                let format = self.label_numbers().map(|n| n.0).unwrap_or_default();
                Label::Number { column, log1p, range: self.label_range(), format }
            }
        };
        Schema {
            subject: self.roles.subject.as_ref().map(name),
            record: self.roles.record.iter().map(name).collect(),
            label,
            missing: self.lines.missing.iter().cloned().collect(),
            columns: self.lines.columns(),
            exceptions: Exceptions {
                missing_subject: self.roles.subject.map(|_| MissingSubject::Error),
                id_form: self.id_form(),
                ..Exceptions::default()
            },
        }
    }
}

/// The columns of the first source, which the others must have too, in any order.
fn common_columns(sources: &[Box<dyn Source>]) -> Result<Vec<String>, ProposeError> {
    let columns = sources.first().ok_or(ProposeError::NoRows)?.columns().to_vec();
    let sorted = |names: &[String]| {
        let mut names = names.to_vec();
        names.sort();
        names
    };
    let expected = sorted(&columns);
    for (number, source) in (1..).zip(sources) {
        let found = sorted(source.columns());
        if found != expected {
            let of_one = |a: &[String], b: &[String]| a.iter().find(|c| b.binary_search(c).is_err()).cloned();
            let column = of_one(&expected, &found).or_else(|| of_one(&found, &expected)).unwrap_or_default();
            return Err(ProposeError::Columns { number, of: sources.len(), column });
        }
    }
    Ok(columns)
}
