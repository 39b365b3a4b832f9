use crate::{
    fs::FsError,
    ids::Cell,
    schema::{CellError, SchemaError},
    shard::{BuildError, SliceError},
    source::{Place, SourceError},
    workspace::WorkspaceError,
};

/// Why nothing was imported.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// The source can't be read.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// The source does not fit the schema.
    #[error(transparent)]
    Schema(#[from] SchemaError),
    /// A cell is wrong.
    #[error("{place}, {error}")]
    Cell {
        /// Where.
        place: Place,
        /// What.
        error: CellError,
    },
    /// A record id stands twice.
    #[error(
        "{second}: the record id stands already at {first}; record ids are unique. \
         Drop one of the rows, or name more columns under `record`"
    )]
    DuplicateRecord {
        /// Where it stands first.
        first: Place,
        /// Where it stands again.
        second: Place,
    },
    /// A batch brings a record that is there.
    #[error(
        "{place}: a record with this id is there already, in slice {cell}; record ids are unique over all batches. Leave the row out"
    )]
    AlreadyThere {
        /// Where it stands in the batch.
        place: Place,
        /// Where it is.
        cell: Cell,
    },
    /// A record of an older generation can't be had under another schema.
    #[error("{0}; that needs the source. Nothing was changed")]
    NotCarried(CellError),
    /// There are no rows.
    #[error("the sources hold no rows to train on")]
    NoRows,
    /// A shard does not fit in memory.
    #[error("shard {shard}: {cause}; use more shards")]
    TooLarge {
        /// The shard.
        shard: u32,
        /// What is too much.
        cause: BuildError,
    },
    /// The person asked to stop.
    #[error("interrupted; nothing was imported")]
    Interrupted,
    /// An old slice can't be read.
    #[error(transparent)]
    Slice(#[from] SliceError),
    /// The workspace can't be used.
    #[error(transparent)]
    Workspace(#[from] WorkspaceError),
    /// The system gives no threads.
    #[error("no threads to sync with: {message}")]
    Threads {
        /// What the system said.
        message: String,
    },
    /// The disk refused.
    #[error(transparent)]
    Fs(#[from] FsError),
}

impl From<crate::ledger::LedgerError> for ImportError {
    fn from(error: crate::ledger::LedgerError) -> ImportError {
        ImportError::Workspace(error.into())
    }
}
