use serde::Serialize;

use super::Error;
use crate::{
    append::AppendError, bundle::BundleError, checkpoint::CheckpointError, correct::CorrectError, delete::DeleteError,
    export::ExportError, fs::FsError, import::ImportError, ledger::LedgerError, predict::PredictError, propose::ProposeError,
    receipt::SealError, shard::SliceError, train::TrainError, workspace::WorkspaceError,
};

/// What to do about an error. A message says what is wrong; each face says in its own terms how this is done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "do", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Remedy {
    /// Train with the records that are there: [`Engine::train`](super::Engine::train) without a source.
    Train,
    /// Name a source, or list sources in the configuration, and train.
    Import,
    /// Start a new generation: [`TrainRequest::fresh`](super::TrainRequest::fresh).
    TrainFresh {
        /// From this source; `None`: from those that the configuration lists.
        source: Option<String>,
    },
    /// Bring the records that are there under the configuration: [`Engine::migrate`](super::Engine::migrate).
    Migrate,
    /// Mend the table; or declare columns in another way, for a new generation: [`TrainRequest::fresh`](super::TrainRequest::fresh).
    MendOrRedeclare,
    /// Have a configuration proposed: [`Engine::propose`](super::Engine::propose).
    Propose,
    /// Say which column is the label.
    NameLabel,
    /// Say which column holds the subject or the record, or that none does and none is wanted.
    NameIdColumns,
    /// Give ids, of subjects or of records.
    NameIds,
    /// Give ids of subjects.
    NameSubjects,
    /// Give ids of records.
    NameRecords,
    /// Give rows of a table: [`DeleteRequest::rows`](super::DeleteRequest::rows).
    NameRows,
    /// Delete records by what they hold: [`DeleteRequest::rows`](super::DeleteRequest::rows).
    DeleteRows,
    /// Delete a record by its id: [`DeleteRequest::records`](super::DeleteRequest::records).
    DeleteRecord,
    /// Say that it is meant.
    Confirm,
    /// Name the batch: [`AppendRequest::name`](super::AppendRequest::name).
    NameBatch,
    /// Answer without comparing: [`Engine::predict`](super::Engine::predict).
    Predict,
    /// Export as ONNX: [`Engine::export`](super::Engine::export).
    ExportOnnx,
    /// Evaluate on a source that was not trained on.
    EvaluateSource,
    /// Look which requests there are: [`Engine::log`](super::Engine::log).
    Log,
    /// Train what is missing, and bring accepted requests into effect: [`Engine::repair`](super::Engine::repair).
    Repair,
    /// Repair, and write damaged slices again from the source that they came from.
    RepairFrom,
    /// Repair, and give the records of damaged slices up.
    DropSlice,
    /// Name a learner that descends, in the same request.
    NameNetwork,
    /// Name the linear learner, in the same request.
    NameLinear,
    /// Measure what deletions cost, learner by learner.
    BenchLearners,
    /// Make a pair of keys: [`Engine::keygen`](super::Engine::keygen).
    Keygen,
    /// Train everything again and compare: [`Engine::verify`](super::Engine::verify).
    Retrain,
    /// Wait until the other writer is done: [`Builder::wait`](super::Builder::wait).
    Wait,
    /// Pack the shard again: [`Engine::pack`](super::Engine::pack).
    PackAgain,
    /// Do the same again.
    RunAgain,
    /// Tell the authors of this program.
    Report,
}

impl Error {
    /// What can be done about it, the likeliest first; empty where the message says it all.
    pub fn remedies(&self) -> Vec<Remedy> {
        match self {
            Error::HasRecords { source_name, .. } => {
                vec![Remedy::Train, Remedy::TrainFresh { source: Some(source_name.clone()) }]
            }
            Error::NewerGeneration { .. }
            | Error::Append(AppendError::NewerGeneration { .. })
            | Error::Delete(DeleteError::RowsDiffer { .. }) => vec![Remedy::Train],
            Error::Delete(DeleteError::OtherColumns { .. }) => vec![Remedy::Train, Remedy::NameRecords],
            Error::Correct(CorrectError::NoRecordIds) => vec![Remedy::DeleteRows],
            Error::Correct(CorrectError::LeftOut { .. } | CorrectError::NoBatch { .. }) => vec![Remedy::DeleteRecord],
            Error::Append(AppendError::OtherContent { .. } | AppendError::BadName { .. }) => vec![Remedy::NameBatch],
            Error::Append(AppendError::Fixed(_) | AppendError::NoFurther(_)) => vec![Remedy::Train],
            Error::Predict(PredictError::NoRecords) => vec![Remedy::TrainFresh { source: None }],
            Error::Delete(DeleteError::NoIdColumns) => vec![Remedy::NameRows],
            Error::Delete(DeleteError::OtherContent { .. }) => vec![Remedy::NameRecords],
            Error::Delete(DeleteError::MostlyUnknown { .. }) => vec![Remedy::Confirm],
            Error::NeedsFresh { .. } | Error::NotMigrated { .. } => vec![Remedy::TrainFresh { source: None }],
            Error::Cell { .. } => vec![Remedy::MendOrRedeclare],
            Error::NoSource { .. } => vec![Remedy::Import],
            Error::NoConfig { .. } => vec![Remedy::Propose],
            Error::NoLabel { .. } => vec![Remedy::Predict],
            Error::Export(ExportError::Buckets { .. }) => vec![Remedy::TrainFresh { source: None }],
            Error::Export(ExportError::Trees { .. }) => vec![Remedy::ExportOnnx],
            Error::NoIds { .. } => vec![Remedy::NameIdColumns],
            Error::NoHoldout => vec![Remedy::EvaluateSource],
            Error::InMemory { .. } => vec![Remedy::Retrain, Remedy::Report],
            Error::NothingToApproximate { .. } => vec![Remedy::NameNetwork, Remedy::BenchLearners],
            Error::NoGradient { .. } => vec![Remedy::NameNetwork],
            Error::NotConvex { .. } => vec![Remedy::NameLinear],
            Error::NoSuchRequest { .. } => vec![Remedy::Log],
            Error::OtherSource { .. } => vec![Remedy::RepairFrom, Remedy::DropSlice],
            Error::Interrupted => vec![Remedy::RunAgain],
            Error::Propose(
                ProposeError::LabelUnclear { .. }
                | ProposeError::LabelConstant { .. }
                | ProposeError::LabelAsks { .. }
                | ProposeError::LabelValues { .. },
            ) => vec![Remedy::NameLabel],
            Error::Import(e) => import(e),
            Error::Train(e) => train(e),
            Error::Bundle(BundleError::Damaged { .. }) => vec![Remedy::PackAgain],
            Error::Predict(PredictError::NoMembers { .. }) => vec![Remedy::Repair],
            Error::Predict(PredictError::Train(e)) => train(e),
            Error::Delete(e) => delete(e),
            Error::Workspace(e) => workspace(e),
            Error::Seal(SealError::Key) => vec![Remedy::Keygen],
            Error::Seal(SealError::NotRepaired(_)) => vec![Remedy::Repair],
            Error::Slice(e) => slice(e),
            Error::Ledger(e) => ledger(e),
            Error::Fs(e) => disk(e),
            _ => Vec::new(),
        }
    }
}

fn import(error: &ImportError) -> Vec<Remedy> {
    match error {
        ImportError::Slice(e) => slice(e),
        ImportError::Workspace(e) => workspace(e),
        ImportError::Fs(e) => disk(e),
        ImportError::Interrupted => vec![Remedy::RunAgain],
        ImportError::NotCarried(_) => vec![Remedy::TrainFresh { source: None }],
        _ => Vec::new(),
    }
}

fn train(error: &TrainError) -> Vec<Remedy> {
    match error {
        TrainError::Slice(e) => slice(e),
        TrainError::Checkpoint(e) => checkpoint(e),
        TrainError::State { .. } => vec![Remedy::Report],
        TrainError::Ledger(e) => ledger(e),
        TrainError::Replaced { .. } => vec![Remedy::RunAgain],
        TrainError::Fs(e) => disk(e),
        _ => Vec::new(),
    }
}

fn delete(error: &DeleteError) -> Vec<Remedy> {
    match error {
        DeleteError::NoIds => vec![Remedy::NameIds],
        DeleteError::NoSubjects => vec![Remedy::NameRecords],
        DeleteError::NoRecords => vec![Remedy::NameSubjects],
        DeleteError::Neither { .. } | DeleteError::Lost { .. } => vec![Remedy::RepairFrom, Remedy::DropSlice],
        DeleteError::Slice(e) => slice(e),
        DeleteError::Checkpoint(e) => checkpoint(e),
        DeleteError::Ledger(e) => ledger(e),
        DeleteError::Train(e) => train(e),
        DeleteError::Workspace(e) => workspace(e),
        DeleteError::Fs(e) => disk(e),
        _ => Vec::new(),
    }
}

fn workspace(error: &WorkspaceError) -> Vec<Remedy> {
    match error {
        WorkspaceError::Empty { .. } => vec![Remedy::Import],
        WorkspaceError::NoRecipe { .. } => vec![Remedy::Train],
        WorkspaceError::Busy { .. } => vec![Remedy::Wait],
        WorkspaceError::NotEffective { .. } | WorkspaceError::NotPlaced => vec![Remedy::Repair],
        WorkspaceError::MovedOn => vec![Remedy::RunAgain],
        WorkspaceError::Ledger(e) => ledger(e),
        WorkspaceError::Slice(e) => slice(e),
        WorkspaceError::Fs(e) => disk(e),
        _ => Vec::new(),
    }
}

fn ledger(error: &LedgerError) -> Vec<Remedy> {
    match error {
        LedgerError::Raced { .. } => vec![Remedy::RunAgain],
        LedgerError::Fs(e) => disk(e),
        LedgerError::Damaged { .. } | LedgerError::OtherKey | LedgerError::NoKey => Vec::new(),
    }
}

fn slice(error: &SliceError) -> Vec<Remedy> {
    match error {
        SliceError::Damaged { .. } => vec![Remedy::RepairFrom, Remedy::DropSlice],
        SliceError::Fs(e) => disk(e),
    }
}

fn checkpoint(error: &CheckpointError) -> Vec<Remedy> {
    match error {
        CheckpointError::Damaged { .. } => vec![Remedy::Repair],
        CheckpointError::Fs(e) => disk(e),
    }
}

fn disk(error: &FsError) -> Vec<Remedy> {
    match error {
        FsError::Poisoned => vec![Remedy::RunAgain],
        FsError::Io { .. } | FsError::NoLocks { .. } => Vec::new(),
    }
}
