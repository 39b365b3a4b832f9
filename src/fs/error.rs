use std::{io, path::PathBuf};

/// What went wrong with a file.
#[derive(Debug, thiserror::Error)]
pub enum FsError {
    /// The operating system refused.
    #[error("can't {op} {}: {cause}", path.display())]
    Io {
        /// What was tried.
        op: &'static str,
        /// On which file.
        path: PathBuf,
        /// What the system said.
        cause: io::Error,
    },
    /// An earlier sync failed; nothing is known about the disk until the workspace is opened again.
    #[error(
        "a sync failed earlier in this process, so what is on the disk is unknown; nothing more is written. \
         Check the disk, then open the workspace again and repeat the call; a deletion under the same request id"
    )]
    Poisoned,
    /// The file system does not keep locks.
    #[error("{} is on a file system without working locks; sisa needs them to keep builders and deletions apart. Use a local disk", path.display())]
    NoLocks {
        /// The folder tried.
        path: PathBuf,
    },
}

impl FsError {
    /// Whether the file was not there.
    pub fn is_not_found(&self) -> bool {
        matches!(self, FsError::Io { cause, .. } if cause.kind() == io::ErrorKind::NotFound)
    }

    pub(crate) fn at<'a>(op: &'static str, path: &'a std::path::Path) -> impl FnOnce(io::Error) -> FsError + 'a {
        move |cause| FsError::Io { op, path: path.to_owned(), cause }
    }
}
