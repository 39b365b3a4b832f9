use crate::{learn::SettingsError, num::IsaError};

/// Why a bundle can't be used. Nothing was done with it.
#[derive(Debug, thiserror::Error)]
pub enum BundleError {
    /// The bytes are something else.
    #[error("{found}; wanted is {wanted}")]
    Other {
        /// What was to come.
        wanted: &'static str,
        /// What came.
        found: &'static str,
    },
    /// Another version of the program made it.
    #[error("the bundle has {what} {theirs}, and this program has {ours}: what packs and what trains must be of one version")]
    OtherVersion {
        /// What differs.
        what: &'static str,
        /// The bundle's.
        theirs: u32,
        /// This program's.
        ours: u32,
    },
    /// The bytes are not those that were made.
    #[error("the bundle is damaged at byte {offset}: {what}; nothing was done with it")]
    Damaged {
        /// Where.
        offset: u64,
        /// What was found and what was expected.
        what: String,
    },
    /// Two do not belong together.
    #[error("these do not belong together: {what}. Sites that answer as one declare their columns, label and learner alike")]
    Unlike {
        /// How the other differs.
        what: String,
    },
    /// The recipe in it can't be used.
    #[error(transparent)]
    Settings(#[from] SettingsError),
    /// It needs more memory than there is.
    #[error("training this shard would hold {} MB at once, and this process may use {} MB", needed >> 20, limit >> 20)]
    TooLittleMemory {
        /// Bytes needed, at least.
        needed: u64,
        /// Bytes that the process may use.
        limit: u64,
    },
    /// The processor can't do what the claim needs.
    #[error(transparent)]
    Kernels(#[from] IsaError),
    /// Somebody asked to stop.
    #[error("interrupted; the bundle can be trained again, anywhere")]
    Interrupted,
    /// It could not be read to its end.
    #[error("reading the bundle: {0}")]
    Read(std::io::Error),
}

impl BundleError {
    pub(super) fn damaged(offset: usize, what: impl Into<String>) -> BundleError {
        BundleError::Damaged { offset: offset as u64, what: what.into() }
    }
}
