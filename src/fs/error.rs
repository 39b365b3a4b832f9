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

    /// Whether there was no room for it.
    pub fn is_full(&self) -> bool {
        matches!(self, FsError::Io { cause, .. } if matches!(cause.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded))
    }

    /// Whether another process published first, so that nothing was changed ([`Overtaken`]).
    pub fn is_overtaken(&self) -> bool {
        matches!(self, FsError::Io { cause, .. } if cause.get_ref().is_some_and(|inner| inner.is::<Overtaken>()))
    }

    pub(crate) fn at<'a>(op: &'static str, path: &'a std::path::Path) -> impl FnOnce(io::Error) -> FsError + 'a {
        move |cause| FsError::Io { op, path: path.to_owned(), cause }
    }
}

/// Why a disk that is shared without locks gave up what was changed: somebody else's change came first. Working it out again helps.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("another process changed the workspace first, and nothing of this was published; run the command again")]
pub struct Overtaken;
