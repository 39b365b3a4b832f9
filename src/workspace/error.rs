use std::path::PathBuf;

use crate::{fs::FsError, learn::SettingsError, ledger::LedgerError, shard::SliceError};

/// What is wrong with a workspace.
#[derive(Debug, thiserror::Error)]
pub enum WorkspaceError {
    /// Nothing was imported.
    #[error("{} holds no records yet; nothing was imported", root.display())]
    Empty {
        /// The workspace.
        root: PathBuf,
    },
    /// Records, but no model.
    #[error("{} holds records but no recipe yet; training goes on from here", root.display())]
    NoRecipe {
        /// The workspace.
        root: PathBuf,
    },
    /// Another process writes.
    #[error("another sisa is writing to {}; wait until it is done", root.display())]
    Busy {
        /// The workspace.
        root: PathBuf,
    },
    /// A deletion was accepted and is not in effect.
    #[error(
        "deletion request `{request}` was accepted and is not in effect yet, so nothing may answer; \
         whatever writes next brings it into effect"
    )]
    NotEffective {
        /// The request.
        request: String,
    },
    /// A batch was committed and its files are not in their places.
    #[error("a batch that was appended is on its way to its place; whatever writes next puts it there")]
    NotPlaced,
    /// The workspace changed while it was read.
    #[error("the workspace moved on while it was read: a deletion or a new model came into effect")]
    MovedOn,
    /// A link or a file where scratch copies belong.
    #[error(
        "{} is not a folder but a link or a file. Copies of records are made only inside the workspace, where a deletion takes them \
         away; remove it, and do the same again", path.display()
    )]
    NoScratch {
        /// What is in the way.
        path: PathBuf,
    },
    /// A key is missing.
    #[error("{} is missing, and there is data made with it; restore the key. A new key is never made beside existing data", path.display())]
    KeyMissing {
        /// The key file.
        path: PathBuf,
    },
    /// A key file is not one.
    #[error("{} is not a key file: it must hold 64 hexadecimal digits", path.display())]
    KeyMalformed {
        /// The key file.
        path: PathBuf,
    },
    /// A key file can be read by others.
    #[error("{} can be read by others (mode {mode:03o}); run `chmod 600 {}`", path.display(), path.display())]
    KeyExposed {
        /// The key file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// A key is not the one the data was made with.
    #[error("{} is not the key that generation {generation} was made with; restore the right one", path.display())]
    KeyWrong {
        /// The key file.
        path: PathBuf,
        /// The generation.
        generation: String,
    },
    /// A frozen file was changed.
    #[error("{} was changed or damaged at or before byte {offset}: {what}. It is frozen; restore it from a backup; without one, import into an empty folder", path.display())]
    Frozen {
        /// The file.
        path: PathBuf,
        /// Where.
        offset: u64,
        /// What was found.
        what: String,
    },
    /// Another version of this program made what is there.
    #[error(
        "{} says {what} {theirs}, and this program has {ours}, so it can't make the same bytes; go on with the version of sisa \
         that made it, or import and train into an empty folder", path.display())]
    OtherVersion {
        /// The file.
        path: PathBuf,
        /// What has a version.
        what: &'static str,
        /// The file's version.
        theirs: u32,
        /// This program's version.
        ours: u32,
    },
    /// A recipe's settings are not usable by this program.
    #[error(transparent)]
    Settings(#[from] SettingsError),
    /// The ledger is damaged.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// A slice is damaged.
    #[error(transparent)]
    Slice(#[from] SliceError),
    /// The disk refused.
    #[error(transparent)]
    Fs(#[from] FsError),
}
