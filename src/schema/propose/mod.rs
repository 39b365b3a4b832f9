//! Proposes a commented `sisa.toml` from data, once: people own it from then on.
//!
//! The proposal is a function of the set of rows, of the columns' order and of what is wished for. No value that fewer
//! than ten subjects share is written down (classes of the label apart, which must be complete), and each end of a range is
//! one that at least ten subjects reach, rounded (docs: rule 1 of what makes unlearning exact).

mod judge;
mod names;
mod profile;
mod roles;
mod sketch;
#[cfg(test)]
mod tests;
mod write;

use std::path::PathBuf;

use self::{profile::Profile, roles::Roles};
use crate::source::{Source, SourceError};

/// What the person who asks for a proposal knows already.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Wishes {
    /// The label's column; guessed without one.
    pub label: Option<String>,
    /// The subject's column; guessed without one.
    pub subject: Option<String>,
    /// The columns that name a record; guessed where empty.
    pub record: Vec<String>,
}

/// A proposed configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proposal {
    /// The text of `sisa.toml`.
    pub text: String,
    /// Rows of the sources.
    pub rows: u64,
    /// Subjects: exact up to a million, an estimate within half a per cent above that.
    pub subjects: u64,
    /// What was guessed, a sentence each.
    pub notes: Vec<String>,
}

/// Why there is no proposal.
#[derive(Debug, thiserror::Error)]
pub enum ProposeError {
    /// A source can't be read.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// There are no sources, or they have no rows.
    #[error("there is nothing to propose from: name at least one source with rows")]
    NoRows,
    /// The sources are not parts of one table.
    #[error(
        "source {number} of {of} has no column `{column}`, or has it and the first has not; propose from sources with the same columns"
    )]
    Columns {
        /// Which source, from 1.
        number: usize,
        /// How many there are.
        of: usize,
        /// The column.
        column: String,
    },
    /// A wished for column is not there.
    #[error("there is no column `{column}` to be the {role}; the columns are: {found}")]
    NoColumn {
        /// What it was to be.
        role: &'static str,
        /// Its name.
        column: String,
        /// The columns of the sources.
        found: String,
    },
    /// A column was wished for as the label and as an id.
    #[error("column `{column}` can't be the label and an id at once; name another for one of them")]
    TwoRoles {
        /// The column.
        column: String,
    },
    /// No label can be guessed.
    #[error("which column is the label can't be guessed ({problem}); name it with --label")]
    LabelUnclear {
        /// Why not.
        problem: String,
    },
    /// There is nothing to learn in the label.
    #[error("the label `{column}` has {distinct} distinct values; at least two are needed. Name another with --label")]
    LabelConstant {
        /// The column.
        column: String,
        /// How many values it has.
        distinct: u64,
    },
    /// The label is text, but not classes.
    #[error("the label `{column}` is text with more than {limit} values; name another with --label, or group the values")]
    LabelValues {
        /// The column.
        column: String,
        /// How many values are allowed.
        limit: usize,
    },
    /// A class can't be written down.
    #[error(
        "the label `{column}` has a value that is not UTF-8 text, or that begins or ends in a blank beyond ASCII; mend it in the source"
    )]
    LabelText {
        /// The column.
        column: String,
    },
    /// No column is left to learn from.
    #[error("no column is left as an input: all are ids, constants or the label; add columns, or write sisa.toml by hand")]
    NoInputs,
    /// A column's name means something else in a configuration.
    #[error("column `{column}` can't be declared: `..` and `*` in a name stand for several columns; rename it in the source")]
    Name {
        /// The column.
        column: String,
    },
    /// A path can't be written down.
    #[error("the path {} is not UTF-8 text, so sisa.toml can't hold it; rename the file", path.display())]
    Path {
        /// The path.
        path: PathBuf,
    },
}

/// Proposes a configuration for the sources, which are read to their ends and are parts of one table; `names` are their
/// paths as they are to be written.
///
/// Memory does not grow with the rows: it is bounded for each column (less for each the more there are), by a million hashes
/// for each of at most three candidates for the subject, and by 2,000,000 hashes for each set of columns that still tells
/// all rows apart.
///
/// # Errors
/// A source can't be read, a wished for column is not there, the label can't be guessed or learnt, or nothing else is left.
pub fn propose(sources: &mut [Box<dyn Source>], names: &[PathBuf], wishes: &Wishes) -> Result<Proposal, ProposeError> {
    let columns = common_columns(sources)?;
    let plan = roles::plan(&columns, wishes)?;
    let profile = Profile::read(sources, &columns, &plan)?;
    if profile.rows == 0 {
        return Err(ProposeError::NoRows);
    }
    let roles = Roles::choose(&profile, &plan, wishes)?;
    let text = write::text(&profile, &roles, names)?;
    Ok(Proposal { text, rows: profile.rows, subjects: roles.subjects, notes: roles.notes(&profile) })
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
