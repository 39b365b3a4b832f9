use std::path::PathBuf;

use crate::{config::ConfigError, source::SourceError};

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
    /// A wished for column is a number of a vector.
    #[error("column `{column}` is a number of the vector `{vector}`, and can't be the {role}; name another")]
    InVector {
        /// What it was to be.
        role: &'static str,
        /// Its name.
        column: String,
        /// The vector.
        vector: String,
    },
    /// A column was wished for as the label and as an id.
    #[error("column `{column}` can't be the label and an id at once; name another for one of them")]
    TwoRoles {
        /// The column.
        column: String,
    },
    /// No label can be guessed.
    #[error("which column is the label can't be guessed ({problem}); name it")]
    LabelUnclear {
        /// Why not.
        problem: String,
    },
    /// There is nothing to learn in the label.
    #[error("the label `{column}` has {distinct} distinct values; at least two are needed; name another")]
    LabelConstant {
        /// The column.
        column: String,
        /// How many values it has.
        distinct: u64,
    },
    /// What the label is has to be asked for.
    #[error("the label `{column}` can't be proposed: {problem}")]
    LabelAsks {
        /// The column.
        column: String,
        /// Why not, and what to do.
        problem: String,
    },
    /// The label is text, but not classes.
    #[error("the label `{column}` is text with more than {limit} values; name another, or group the values")]
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
    /// No column is left until it is said what some are.
    #[error(
        "no column is left as an input until it is known what these are: {asks}; mend the source, or write sisa.toml by hand"
    )]
    InputsAsk {
        /// The columns, with what could be meant.
        asks: String,
    },
    /// A path can't be written down.
    #[error("the path {} is not UTF-8 text, so sisa.toml can't hold it; rename the file", path.display())]
    Path {
        /// The path.
        path: PathBuf,
    },
    /// A configuration is not written as sections whose lines could be taken out.
    #[error("{} is not written in sections, so its settings are not put in by lines; write there yourself:\n{settings}", path.display())]
    NotRewritten {
        /// The file.
        path: PathBuf,
        /// What it is to say.
        settings: String,
    },
    /// A setting that was asked for does not go with the others.
    #[error(transparent)]
    Config(#[from] ConfigError),
}
