use std::path::PathBuf;

use crate::{
    append::AppendError,
    bundle::BundleError,
    config::ConfigError,
    correct::CorrectError,
    delete::DeleteError,
    export::ExportError,
    fs::FsError,
    ids::GenerationId,
    import::ImportError,
    ledger::LedgerError,
    predict::PredictError,
    propose::ProposeError,
    schema::{CellError, SchemaError},
    shard::SliceError,
    source::{Place, SourceError},
    train::TrainError,
    workspace::WorkspaceError,
};

/// Says between which ends numbers are to be declared to lie.
fn no_ranges(learner: &str, columns: &[String], label: Option<&str>, unknown: &[String]) -> String {
    let mut text = format!("`{learner}` needs to know between which ends numbers lie; nothing was changed. In sisa.toml");
    let line = |text: String, line: &String| text + "\n  " + line;
    if !columns.is_empty() {
        text = columns.iter().fold(text + "\n[columns] lacks, for these rows (in place of the lines of these names):", line);
    }
    if let Some(label) = label {
        text = text + "\n[label] lacks:\n  " + label;
    }
    if !unknown.is_empty() {
        text = unknown.iter().fold(text + "\n`range = [low, high]`, low below high, is lacking for:", line);
    }
    text
}

/// Whom an error concerns. [`Error::remedies`] says what can be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ErrorKind {
    /// Mend the input or the settings.
    Input,
    /// Run again: another process was at work, or the workspace moved on.
    Retry,
    /// Restore or repair files of the workspace.
    Damage,
    /// Look at the disk.
    Disk,
    /// Nothing; the person asked to stop.
    Interrupted,
    /// There is nothing to answer with until training has run.
    NotReady,
}

/// Why a command stopped.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A source is given where records are already.
    #[error(
        "{} holds {records} records already, so {source_name} was not read", root.display()
    )]
    HasRecords {
        /// The workspace.
        root: PathBuf,
        /// Its records.
        records: u64,
        /// The source.
        source_name: String,
    },
    /// Something is asked for that a generation can't change.
    #[error("{what}, and that is fixed for a generation; another one has it as asked for")]
    NeedsFresh {
        /// What differs from the generation at hand.
        what: String,
    },
    /// Another generation made of what serves would discard what was imported last.
    #[error(
        "generation {newer} was imported after {serving}, which serves, and is not whole yet; another one made from {serving} would \
         discard it. Train first, until it is whole"
    )]
    NewerGeneration {
        /// The one that is not whole.
        newer: GenerationId,
        /// The one in service.
        serving: GenerationId,
    },
    /// The configuration asks for what can't be had from the records as they are held.
    #[error(
        "this can't be made of the records that are there, as it takes more than rows hold; nothing was changed:{}",
        changes.iter().map(|change| format!("\n  {change}")).collect::<String>()
    )]
    NotMigrated {
        /// What, each with its place in the configuration.
        changes: Vec<String>,
    },
    /// Training needs more memory than there is.
    #[error(
        "training would hold {:.1} GB at once ({at_once} shards of {:.1} GB each), and this process may use {:.1} GB. Take fewer threads, \
         fewer or narrower hidden layers, or more memory; nothing was changed",
        gigabytes(each.saturating_mul(*at_once)), gigabytes(*each), gigabytes(*limit)
    )]
    TooLittleMemory {
        /// Bytes of one constituent in training, at least.
        each: u64,
        /// Constituents in training side by side.
        at_once: u64,
        /// Bytes that the process may use.
        limit: u64,
    },
    /// No source is named.
    #[error("no source is named, and none is listed under `sources` in {}", config.display())]
    NoSource {
        /// The configuration file.
        config: PathBuf,
    },
    /// There is no configuration.
    #[error("{} does not exist; a configuration can be proposed from a source", config.display())]
    NoConfig {
        /// The configuration file.
        config: PathBuf,
    },
    /// A cell of a source is wrong.
    #[error("{place}, {error}")]
    Cell {
        /// Where.
        place: Place,
        /// What.
        error: CellError,
    },
    /// Cells of a source that is imported are wrong.
    #[error(
        "{place}, {error}{}\n{}; nothing was imported",
        others.iter().map(|other| format!("\n{other}")).collect::<String>(),
        if *rows == 1 { "it is the only such row".to_owned() } else { format!("{rows} rows in all have such a cell") }
    )]
    Cells {
        /// Where the first one is.
        place: Place,
        /// What it is.
        error: CellError,
        /// The next ones.
        others: Vec<String>,
        /// Rows with one.
        rows: u64,
    },
    /// Numbers have no range, and the learner needs one.
    #[error("{}", no_ranges(learner, columns, label.as_deref(), unknown))]
    NoRanges {
        /// The kind of learner.
        learner: &'static str,
        /// The lines to write under `[columns]`.
        columns: Vec<String>,
        /// The line to write under `[label]`.
        label: Option<String>,
        /// The columns for which the rows tell no range.
        unknown: Vec<String>,
    },
    /// Nothing says whom or what a record is.
    #[error(
        "no column says whom or what a record is, so nothing could be deleted by an id later{}; nothing was imported",
        if candidates.is_empty() { String::new() } else { format!(" (it could be one of: {})", candidates.join(", ")) }
    )]
    NoIds {
        /// Columns that could.
        candidates: Vec<String>,
    },
    /// A source has no label to compare with.
    #[error("{name} has no label column `{column}` to compare with; rows can be answered without one")]
    NoLabel {
        /// The source.
        name: String,
        /// The label's column.
        column: String,
    },
    /// There is no holdout.
    #[error("nothing was held out (holdout = 0), so there is nothing to compare with; evaluate on a source of its own")]
    NoHoldout,
    /// A shard is named that isn't there.
    #[error("shard {shard} is to be trained and there is none; this workspace has shards 0 to {last}")]
    NoSuchShard {
        /// The shard.
        shard: u32,
        /// The last one.
        last: u32,
    },
    /// A column is to be repeated beside the answers, and is not there.
    #[error("{source_name}: there is no column `{column}` to repeat beside the answers; the columns are: {columns}")]
    NoIdColumn {
        /// The column.
        column: String,
        /// The table.
        source_name: String,
        /// Those that there are.
        columns: String,
    },
    /// A column is named that is not there, or no number.
    #[error(
        "requests can't be drawn by the risk in `{column}`: there is no number or byte column of this name; name one that the schema declares so"
    )]
    NoSuchColumn {
        /// The column.
        column: String,
    },
    /// A learner is named that is not there.
    #[error("to be measured is `{name}`, which is no learner; write some of {}", crate::learn::LearnerSettings::KINDS.join(", "))]
    NoSuchLearner {
        /// What is named.
        name: String,
    },
    /// A measurement in memory found what must not be.
    #[error("deleting in memory: {what}. Nothing on disk is touched, but this must never happen")]
    InMemory {
        /// What.
        what: String,
    },
    /// A comparison can't be made as it was asked for.
    #[error("{what}")]
    Compare {
        /// What stands in the way, and what to do.
        what: String,
    },
    /// The learner deletes exactly without training.
    #[error("`{kind}` deletes exactly without training, so there is nothing to approximate")]
    NothingToApproximate {
        /// The kind of learner.
        kind: &'static str,
    },
    /// The learner has no weights that methods could follow a gradient in.
    #[error("`{kind}` has no gradient in its weights, which all methods follow")]
    NoGradient {
        /// The kind of learner.
        kind: &'static str,
    },
    /// Questions to others say whom they are about.
    #[error(
        "{name}: its column `{column}` says whom the rows are about, which no answer needs; leave it out of what is sent to others"
    )]
    Identified {
        /// The table.
        name: String,
        /// The column.
        column: String,
    },
    /// States of this learner are not lent, or do not add up with those of others.
    #[error("`{kind}`: {what}")]
    NotLent {
        /// The kind of learner.
        kind: &'static str,
        /// Why, and what goes in its place.
        what: String,
    },
    /// A step of Newton is asked of a learner whose loss is not convex.
    #[error("the method `newton` is for convex losses, and that of `{kind}` is not")]
    NotConvex {
        /// The kind of learner.
        kind: &'static str,
    },
    /// A process of our own failed.
    #[error("a process of its own that should delete failed: {what}")]
    Process {
        /// What it said.
        what: String,
    },
    /// A request is named that isn't there.
    #[error("the ledger has no request `{request}`")]
    NoSuchRequest {
        /// The name.
        request: String,
    },
    /// A file is in the way.
    #[error("{} exists and is not overwritten; name another file, or move it away", path.display())]
    Exists {
        /// The file.
        path: PathBuf,
    },
    /// A source does not bring a damaged slice back.
    #[error(
        "{} can't be written again: the rows of the source that belong in it have content digest {got}, the ledger says {expected}. \
         It is not the source that was imported; name that one, or give the slice's records up",
        path.display()
    )]
    OtherSource {
        /// The damaged slice.
        path: PathBuf,
        /// What the source gives.
        got: String,
        /// What the ledger says.
        expected: String,
    },
    /// The person asked to stop.
    #[error("interrupted; what is done stays done")]
    Interrupted,
    /// The configuration is wrong.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// Nothing can be proposed.
    #[error(transparent)]
    Propose(#[from] ProposeError),
    /// A source can't be read.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// A source does not fit the schema.
    #[error(transparent)]
    Schema(#[from] SchemaError),
    /// The import failed.
    #[error(transparent)]
    Import(#[from] ImportError),
    /// A batch was not appended.
    #[error(transparent)]
    Append(AppendError),
    /// Nothing was corrected.
    #[error(transparent)]
    Correct(CorrectError),
    /// Training failed.
    #[error(transparent)]
    Train(#[from] TrainError),
    /// What is in service has no form in the format that was asked for.
    #[error(transparent)]
    Export(#[from] ExportError),
    /// A shard's work, or what came of it, can't be used.
    #[error(transparent)]
    Bundle(#[from] BundleError),
    /// Answering failed.
    #[error(transparent)]
    Predict(#[from] PredictError),
    /// Deleting failed.
    #[error(transparent)]
    Delete(#[from] DeleteError),
    /// The workspace can't be used.
    #[error(transparent)]
    Workspace(#[from] WorkspaceError),
    /// A signed receipt or its key can't be used.
    #[error(transparent)]
    Seal(#[from] crate::receipt::SealError),
    /// A slice can't be used.
    #[error(transparent)]
    Slice(#[from] SliceError),
    /// The ledger can't be used.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// The disk refused.
    #[error(transparent)]
    Fs(#[from] FsError),
}

impl From<AppendError> for Error {
    /// What is wrong with rows, files or the disk is no other error because a batch brought it.
    fn from(error: AppendError) -> Error {
        match error {
            AppendError::Import(e) => e.into(),
            AppendError::Slice(e) => e.into(),
            AppendError::Delete(e) => e.into(),
            AppendError::Train(e) => e.into(),
            AppendError::Workspace(e) => e.into(),
            AppendError::Ledger(e) => e.into(),
            AppendError::Fs(e) => e.into(),
            e @ (AppendError::OtherContent { .. }
            | AppendError::BadName { .. }
            | AppendError::Fixed(_)
            | AppendError::NoFurther(_)
            | AppendError::NewerGeneration { .. }) => Error::Append(e),
        }
    }
}

impl From<CorrectError> for Error {
    /// What is wrong with tables, files or the disk is no other error because a correction came upon it.
    fn from(error: CorrectError) -> Error {
        match error {
            CorrectError::Cell { place, error } => Error::Cell { place, error },
            CorrectError::Source(e) => e.into(),
            CorrectError::Schema(e) => e.into(),
            CorrectError::Slice(e) => e.into(),
            CorrectError::Delete(e) => e.into(),
            CorrectError::Workspace(e) => e.into(),
            CorrectError::Ledger(e) => e.into(),
            CorrectError::Fs(e) => e.into(),
            e @ (CorrectError::NoRecordIds
            | CorrectError::NoRows
            | CorrectError::Twice { .. }
            | CorrectError::LeftOut { .. }
            | CorrectError::NoBatch { .. }) => Error::Correct(e),
        }
    }
}

impl Error {
    /// What is wrong with a cell, and where it is.
    pub(crate) fn cell((place, error): (Place, CellError)) -> Error {
        Error::Cell { place, error }
    }

    /// Whom it concerns.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Error::HasRecords { .. }
            | Error::NoSource { .. }
            | Error::NeedsFresh { .. }
            | Error::NewerGeneration { .. }
            | Error::NotMigrated { .. }
            | Error::TooLittleMemory { .. }
            | Error::NoConfig { .. }
            | Error::Cell { .. }
            | Error::Cells { .. }
            | Error::NoIds { .. }
            | Error::NoRanges { .. }
            | Error::NoLabel { .. }
            | Error::NoHoldout
            | Error::NoSuchShard { .. }
            | Error::NoSuchRequest { .. }
            | Error::NoIdColumn { .. }
            | Error::NoSuchColumn { .. }
            | Error::NoSuchLearner { .. }
            | Error::Compare { .. }
            | Error::NothingToApproximate { .. }
            | Error::NoGradient { .. }
            | Error::NotConvex { .. }
            | Error::NotLent { .. }
            | Error::Identified { .. }
            | Error::Exists { .. }
            | Error::OtherSource { .. }
            | Error::Append(_)
            | Error::Export(_)
            | Error::Correct(_)
            | Error::Propose(_)
            | Error::Seal(_)
            | Error::Source(_)
            | Error::Schema(_) => ErrorKind::Input,
            Error::Interrupted => ErrorKind::Interrupted,
            Error::InMemory { .. } => ErrorKind::Damage,
            Error::Config(e) => config(e),
            Error::Import(e) => import(e),
            Error::Train(e) => train(e),
            Error::Bundle(BundleError::Interrupted) => ErrorKind::Interrupted,
            Error::Bundle(BundleError::Read(_)) => ErrorKind::Disk,
            Error::Bundle(_) => ErrorKind::Input,
            Error::Predict(PredictError::NoMembers { .. } | PredictError::NoRecords) => ErrorKind::NotReady,
            Error::Predict(PredictError::Worker(_)) => ErrorKind::Input,
            Error::Predict(PredictError::Train(e)) => train(e),
            Error::Delete(e) => delete(e),
            Error::Workspace(e) => workspace(e),
            Error::Slice(e) => slice(e),
            Error::Ledger(e) => ledger(e),
            Error::Fs(e) => disk(e),
            Error::Process { .. } => ErrorKind::Disk,
        }
    }
}

fn disk(error: &FsError) -> ErrorKind {
    if error.is_overtaken() { ErrorKind::Retry } else { ErrorKind::Disk }
}

fn config(error: &ConfigError) -> ErrorKind {
    match error {
        ConfigError::Fs(e) if !e.is_not_found() => ErrorKind::Disk,
        _ => ErrorKind::Input,
    }
}

fn import(error: &ImportError) -> ErrorKind {
    match error {
        ImportError::Slice(e) => slice(e),
        ImportError::Workspace(e) => workspace(e),
        ImportError::Fs(e) => disk(e),
        ImportError::Interrupted => ErrorKind::Interrupted,
        _ => ErrorKind::Input,
    }
}

fn train(error: &TrainError) -> ErrorKind {
    match error {
        TrainError::Slice(e) => slice(e),
        TrainError::Checkpoint(crate::checkpoint::CheckpointError::Damaged { .. }) | TrainError::State { .. } => {
            ErrorKind::Damage
        }
        TrainError::Checkpoint(crate::checkpoint::CheckpointError::Fs(e)) | TrainError::Fs(e) => disk(e),
        TrainError::Ledger(e) => ledger(e),
        TrainError::Threads { .. } | TrainError::Replaced { .. } => ErrorKind::Retry,
        TrainError::Kernels(_) | TrainError::Settings(_) | TrainError::Worker(_) => ErrorKind::Input,
    }
}

fn delete(error: &DeleteError) -> ErrorKind {
    match error {
        DeleteError::Neither { .. } | DeleteError::Lost { .. } | DeleteError::Checkpoint(_) => ErrorKind::Damage,
        DeleteError::Slice(e) => slice(e),
        DeleteError::Ledger(e) => ledger(e),
        DeleteError::Train(e) => train(e),
        DeleteError::Workspace(e) => workspace(e),
        DeleteError::Fs(e) => disk(e),
        _ => ErrorKind::Input,
    }
}

fn workspace(error: &WorkspaceError) -> ErrorKind {
    match error {
        WorkspaceError::Empty { .. } | WorkspaceError::NoRecipe { .. } => ErrorKind::NotReady,
        WorkspaceError::Busy { .. }
        | WorkspaceError::NotEffective { .. }
        | WorkspaceError::NotPlaced
        | WorkspaceError::MovedOn => ErrorKind::Retry,
        WorkspaceError::KeyMissing { .. }
        | WorkspaceError::KeyMalformed { .. }
        | WorkspaceError::KeyWrong { .. }
        | WorkspaceError::KeyExposed { .. }
        | WorkspaceError::Frozen { .. } => ErrorKind::Damage,
        WorkspaceError::Settings(_) | WorkspaceError::OtherVersion { .. } | WorkspaceError::NoScratch { .. } => ErrorKind::Input,
        WorkspaceError::Ledger(e) => ledger(e),
        WorkspaceError::Slice(e) => slice(e),
        WorkspaceError::Fs(e) => disk(e),
    }
}

fn ledger(error: &LedgerError) -> ErrorKind {
    match error {
        LedgerError::Damaged { .. } | LedgerError::OtherKey | LedgerError::NoKey => ErrorKind::Damage,
        LedgerError::Raced { .. } => ErrorKind::Retry,
        LedgerError::Fs(e) => disk(e),
    }
}

fn slice(error: &SliceError) -> ErrorKind {
    match error {
        SliceError::Damaged { .. } => ErrorKind::Damage,
        SliceError::Fs(e) => disk(e),
    }
}

fn gigabytes(bytes: u64) -> f64 {
    bytes as f64 / 1e9
}
