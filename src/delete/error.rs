use std::path::PathBuf;

use super::UnknownIds;
use crate::{
    checkpoint::CheckpointError,
    fs::FsError,
    ids::GenerationId,
    ledger::LedgerError,
    schema::{CellError, SchemaError},
    shard::SliceError,
    source::{Place, SourceError},
    train::TrainError,
    workspace::WorkspaceError,
};

/// Why a deletion stopped.
#[derive(Debug, thiserror::Error)]
pub enum DeleteError {
    /// The request's name is taken.
    #[error("request id `{request}` was used for other ids; choose another id, or repeat the ids of the first request")]
    OtherIds {
        /// The name.
        request: String,
    },
    /// The request's name is taken by one that asked for something else of later imports.
    #[error(
        "request id `{request}` was used for the same ids, {}; choose another id, or repeat the request as it was",
        if *suppresses { "and later imports refuse them" } else { "and later imports may bring them again" }
    )]
    OtherSuppression {
        /// The name.
        request: String,
        /// Whether the ids of the first request are refused by later imports.
        suppresses: bool,
    },
    /// The request's name can't be one.
    #[error("request id `{request}` can't be used: it must have 1 to 128 letters, digits, `-`, `_`, `.` or `:`")]
    BadRequestId {
        /// The name.
        request: String,
    },
    /// No ids were given.
    #[error("no ids were given; name subjects or records")]
    NoIds,
    /// Subjects are asked for where there are none.
    #[error("this workspace has no subject column, so each record is its own subject; name records")]
    NoSubjects,
    /// Neither subjects nor records have ids.
    #[error(
        "this workspace has neither a subject column nor record columns, so no record can be named. Import into an empty folder from a \
         table that has ids, and say under [data] which columns they are; or name rows by what they hold"
    )]
    NoIdColumns,
    /// An id is empty.
    #[error("an id is empty; nothing was deleted. Leave it out, or name the one that was meant")]
    EmptyId,
    /// A date is none.
    #[error("`{text}` is no date; write it as in 2023-01-31")]
    NoDate {
        /// What was given, cut short.
        text: String,
    },
    /// No column says how old a record is.
    #[error(
        "{}{}",
        match asked {
            Some(name) => format!("`{name}` is not declared a date"),
            None if columns.is_empty() => "no column is declared a date, so nothing says how old a record is".to_owned(),
            None => "several columns are declared dates; say which one is meant".to_owned(),
        },
        if columns.is_empty() { String::new() } else { format!(" (there are {})", columns.join(", ")) }
    )]
    DateColumn {
        /// The name that was given.
        asked: Option<String>,
        /// The columns that are declared dates.
        columns: Vec<String>,
    },
    /// A table of rows can't be read.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// A table of rows is not in the form of the source.
    #[error(transparent)]
    Schema(#[from] SchemaError),
    /// A cell of a row is wrong.
    #[error("{place}, {error}")]
    Cell {
        /// Where.
        place: Place,
        /// What.
        error: CellError,
    },
    /// A row has the id of a record and not what the record holds.
    #[error(
        "{place}: the record of this id holds something else, so nothing was deleted. Name it by its id to delete it all the same"
    )]
    OtherContent {
        /// Where.
        place: String,
    },
    /// A row has the id of a record that a generation holds under other columns.
    #[error(
        "{place}: generation {generation} holds its records under other columns than the row has, so nothing says whether the record of \
         this id is the same, and nothing was deleted. Train first, until the newer generation is whole, or name the record by its id"
    )]
    OtherColumns {
        /// Where.
        place: String,
        /// The generation.
        generation: GenerationId,
    },
    /// A row is there more often in one generation than in another.
    #[error(
        "{place}: generation {second} does not hold this row as often as generation {first}, so it can't be said which records go. \
         Train first, until the newer one is whole"
    )]
    RowsDiffer {
        /// Where.
        place: String,
        /// A generation.
        first: GenerationId,
        /// Another one.
        second: GenerationId,
    },
    /// More than half of the ids are unknown.
    #[error(
        "{} of the {of} ids are not in this workspace, more than half of them, so nothing was deleted: is it the right list and the \
         right column? Deleting them all the same refuses them in later imports", .unknown.subjects.len() + .unknown.records.len() + .unknown.rows.len()
    )]
    MostlyUnknown {
        /// Which.
        unknown: UnknownIds,
        /// How many there are in all.
        of: usize,
    },
    /// Records are asked for where they have no ids.
    #[error("this workspace has no record columns, so records have no ids; name subjects")]
    NoRecords,
    /// A record id has another number of columns.
    #[error("a record id here has {expected} columns ({columns}), separated by commas; {got} were given")]
    RecordColumns {
        /// How many there are.
        expected: usize,
        /// Their names.
        columns: String,
        /// How many were given.
        got: usize,
    },
    /// A slice is neither as before the request nor as after it.
    #[error(
        "{} is neither as it was before request `{request}` nor as it should be after it (content digest {got}); \
         the request stays accepted and nothing answers until the slice is written again or given up",
        path.display()
    )]
    Neither {
        /// The slice.
        path: PathBuf,
        /// The request.
        request: String,
        /// Its digest now.
        got: String,
    },
    /// The slice that a correction was to put in place is gone.
    #[error(
        "{} is missing, which correction `{request}` was to put in its place; the request stays accepted and nothing answers until the \
         slice is written again or given up",
        path.display()
    )]
    Lost {
        /// The file that waited.
        path: PathBuf,
        /// The request.
        request: String,
    },
    /// A slice can't be used.
    #[error(transparent)]
    Slice(#[from] SliceError),
    /// A checkpoint can't be used.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// The ledger is damaged.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// Planning failed.
    #[error(transparent)]
    Train(#[from] TrainError),
    /// The workspace can't be used.
    #[error(transparent)]
    Workspace(#[from] WorkspaceError),
    /// The disk refused.
    #[error(transparent)]
    Fs(#[from] FsError),
}
