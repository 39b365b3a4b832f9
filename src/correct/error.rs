use crate::{
    delete::DeleteError,
    fs::FsError,
    ids::GenerationId,
    ledger::LedgerError,
    schema::{CellError, SchemaError},
    shard::SliceError,
    source::{Place, SourceError},
    workspace::WorkspaceError,
};

/// Why nothing was corrected.
#[derive(Debug, thiserror::Error)]
pub enum CorrectError {
    /// Records have no ids.
    #[error(
        "records have no ids here, so nothing says which one a row corrects. Delete the rows as they are, and append them as they should \
         be"
    )]
    NoRecordIds,
    /// There is no row.
    #[error("there is no row to correct a record by")]
    NoRows,
    /// Two rows are about one record.
    #[error("{place}: a row before this one has the same record id, so nothing was corrected; leave one of them")]
    Twice {
        /// The second.
        place: Place,
    },
    /// A row is none that an import would take.
    #[error(
        "{place}: an import would leave this row out, as sisa.toml declares (no label, no subject, or a cell that can't be read), so \
         nothing was corrected; fill the cell, or delete the record"
    )]
    LeftOut {
        /// Where.
        place: Place,
    },
    /// A record that is held out would become one that is trained on, and nothing says with which batch it came.
    #[error(
        "{place}: the record is held out in generation {generation}, as its subject is, and that of the row is not. Which batch it came \
         with isn't known, so nothing was corrected; delete the record, and append the row"
    )]
    NoBatch {
        /// The row.
        place: Place,
        /// The generation.
        generation: GenerationId,
    },
    /// A cell of a row is wrong.
    #[error("{place}, {error}")]
    Cell {
        /// Where.
        place: Place,
        /// What.
        error: CellError,
    },
    /// A table can't be read.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// A table is not in the form of the source.
    #[error(transparent)]
    Schema(#[from] SchemaError),
    /// A slice can't be used.
    #[error(transparent)]
    Slice(#[from] SliceError),
    /// What it changes can't be told.
    #[error(transparent)]
    Delete(#[from] DeleteError),
    /// The workspace can't be used.
    #[error(transparent)]
    Workspace(#[from] WorkspaceError),
    /// The ledger is damaged.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// The disk refused.
    #[error(transparent)]
    Fs(#[from] FsError),
}
