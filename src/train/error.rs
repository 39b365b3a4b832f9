use crate::{checkpoint::CheckpointError, fs::FsError, learn::StateError, shard::SliceError};

/// Why training stopped.
#[derive(Debug, thiserror::Error)]
pub enum TrainError {
    /// A slice can't be used.
    #[error(transparent)]
    Slice(#[from] SliceError),
    /// A checkpoint can't be used.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// A checkpoint's payload is sound and yet not a state of this learner.
    #[error("the checkpoint of step {step} of shard {shard} holds a state of another learner ({cause}); this is a bug")]
    State {
        /// The shard.
        shard: u32,
        /// The step.
        step: u32,
        /// What is wrong.
        cause: StateError,
    },
    /// The disk refused.
    #[error(transparent)]
    Fs(#[from] FsError),
    /// A learner outside this program can't be run, or not on this machine.
    #[error(transparent)]
    Worker(#[from] crate::learn::WorkerError),
    /// The recipe's settings can't be used.
    #[error(transparent)]
    Settings(#[from] crate::learn::SettingsError),
    /// The ledger is damaged, or the disk refused.
    #[error(transparent)]
    Ledger(#[from] crate::ledger::LedgerError),
    /// What was to be trained was replaced meanwhile, and its files are gone.
    #[error("recipe {recipe} was replaced by a newer one while it was being trained")]
    Replaced {
        /// The recipe.
        recipe: String,
    },
    /// The thread pool could not be made.
    #[error("can't start {threads} worker threads: {message}")]
    Threads {
        /// How many.
        threads: usize,
        /// What the system said.
        message: String,
    },
    /// The processor can't do what the claim needs.
    #[error(transparent)]
    Kernels(#[from] crate::num::IsaError),
}
