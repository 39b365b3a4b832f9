//! Folders of copies below `.scratch/`, owned while they are used and swept when they are not.

use std::path::{Path, PathBuf};

use super::{Workspace, WorkspaceError};
use crate::fs::{EntryKind, Files, FsError, LockGuard};

/// How often a folder is made anew because others took the top folder away.
const TRIES: u32 = 64;

/// A folder below `.scratch/`, locked as long as it is ours.
///
/// A writer sweeps what has no living owner, and a deletion takes everything away before it is in effect. Whoever fills the folder
/// from slices looks after making it whether the workspace is [still](Workspace::still) what it was: a deletion that is accepted
/// later than that finds the folder.
pub struct ScratchDir {
    files: Files,
    top: PathBuf,
    dir: PathBuf,
    removed: bool,
    _owner: Box<dyn LockGuard>,
}

impl std::fmt::Debug for ScratchDir {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("ScratchDir").field(&self.dir).finish()
    }
}

/// What a scratch folder is made for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// Copies that a benchmark trains and deletes from.
    Bench,
    /// Checkpoints trained again, to be compared.
    Verify,
}

impl Purpose {
    const ALL: [Purpose; 2] = [Purpose::Bench, Purpose::Verify];

    fn name(self) -> &'static str {
        match self {
            Purpose::Bench => "bench",
            Purpose::Verify => "verify",
        }
    }
}

/// Whether a name in `.scratch/` is one that we give: a purpose, or that of what is being taken away, the process and a number.
pub(super) fn is_scratch(name: &str) -> bool {
    let mut parts = name.split('-');
    let purpose = parts.next().is_some_and(|p| p == "taken" || Purpose::ALL.iter().any(|of| of.name() == p));
    let numbers: Vec<&str> = parts.collect();
    purpose && numbers.len() == 2 && numbers.iter().all(|n| !n.is_empty() && n.bytes().all(|b| b.is_ascii_digit()))
}

impl Workspace {
    /// Takes every scratch folder away, also those that somebody is at work in. Other things in `.scratch/` stay; a link in its place goes,
    /// and what is behind it stays.
    ///
    /// # Errors
    /// The disk refuses.
    pub fn take_scratch_away(&self) -> Result<(), FsError> {
        self.files().take_away(&self.scratch_dir(), is_scratch)
    }

    /// A new, empty folder for a purpose.
    ///
    /// # Errors
    /// `.scratch` is no folder, or the disk refuses.
    pub fn scratch(&self, purpose: Purpose) -> Result<ScratchDir, WorkspaceError> {
        let (files, top) = (self.files(), self.scratch_dir());
        let mut attempt = 0;
        loop {
            // Copies of records must lie where a deletion finds them and may remove them, and it follows no link.
            if files.stat(&top)?.is_some_and(|s| s.kind != EntryKind::Dir) {
                return Err(WorkspaceError::NoScratch { path: top });
            }
            let dir = top.join(format!("{}-{}-{attempt}", purpose.name(), std::process::id()));
            match own(files, &top, &dir) {
                Ok(Some(owner)) => return Ok(ScratchDir { files: files.below(&dir), top, dir, removed: false, _owner: owner }),
                Ok(None) => {}
                // Whoever ended last took the empty top folder away, or a deletion took everything.
                Err(e) if e.is_not_found() && attempt < TRIES => {}
                Err(e) => return Err(e.into()),
            }
            attempt += 1;
        }
    }
}

/// Makes and locks a folder; `None` if there is one of this name already, or it is gone again.
fn own(files: &Files, top: &Path, dir: &Path) -> Result<Option<Box<dyn LockGuard>>, FsError> {
    files.make_dirs(top)?;
    // Sweepers hold this lock too: they would take a folder that is made and not locked yet for an orphan's.
    let _quiet = files.lock(top, true)?;
    if files.stat(dir)?.is_some() {
        return Ok(None);
    }
    // A deletion may have taken the folder above away. Made again, it would be another than the one that is locked.
    files.below(top).make_dirs(dir)?;
    files.lock(dir, true)
}

impl ScratchDir {
    /// The disk, on which nothing is put in this folder's place once it was taken away.
    pub fn files(&self) -> &Files {
        &self.files
    }

    /// The folder.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// An empty folder of this name in it.
    ///
    /// # Errors
    /// The disk refuses, or the whole was taken away.
    pub fn folder(&self, name: &str) -> Result<PathBuf, FsError> {
        let path = self.dir.join(name);
        if self.files.stat(&path)?.is_some() {
            self.files.remove_tree(&path)?;
        }
        self.files.make_dirs(&path)?;
        Ok(path)
    }

    /// Takes everything away.
    ///
    /// # Errors
    /// The disk refuses.
    pub fn remove(mut self) -> Result<(), FsError> {
        self.removed = true;
        self.clear()
    }

    fn clear(&self) -> Result<(), FsError> {
        self.files.remove_tree(&self.dir)?;
        // Under the lock of those who make folders in it and sweep it: they rely on its being the same one.
        match self.files.lock(&self.top, true) {
            Ok(_quiet) => self.files.remove_dir(&self.top).map(|_| ()),
            Err(e) if e.is_not_found() => Ok(()),
            Err(e) => Err(e),
        }
    }
}

impl Drop for ScratchDir {
    fn drop(&mut self) {
        // After an error of its user, which is the one to tell; what can't go now is swept by the next writer.
        if !self.removed {
            let _ = self.clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    };

    use super::*;
    use crate::{
        fs::{Durability, RealDisk},
        ledger::History,
    };

    /// Writers at work beside it take a folder for an orphan's until it is locked, and one that is used may end at any moment.
    #[test]
    fn sweepers_and_scratch_do_not_hinder_each_other() {
        let root = tempfile::tempdir().unwrap();
        let files = Files::new(Arc::new(RealDisk::new()));
        let workspace = Workspace::new(files.clone(), root.path().to_owned());
        let done = AtomicBool::new(false);
        std::thread::scope(|scope| {
            let sweeper = scope.spawn(|| {
                let mut sweeps = 0;
                while !done.load(Ordering::Relaxed) {
                    workspace.sweep(&History::default(), false).unwrap();
                    sweeps += 1;
                }
                sweeps
            });
            let user = || {
                for _ in 0..100 {
                    let scratch = workspace.scratch(Purpose::Verify).unwrap();
                    let file = scratch.folder("inner").unwrap().join("file");
                    let _ = scratch.files().publish(&file, &[b"ours"], Durability::Later).unwrap();
                    std::thread::yield_now();
                    assert_eq!(scratch.files().read(&file).unwrap()[..], b"ours"[..]);
                    scratch.remove().unwrap();
                }
            };
            let users = [scope.spawn(user), scope.spawn(user)].map(std::thread::ScopedJoinHandle::join);
            done.store(true, Ordering::Relaxed);
            assert!(sweeper.join().unwrap() > 0);
            for used in users {
                used.unwrap();
            }
        });
    }

    #[test]
    fn nothing_is_put_in_the_place_of_what_was_taken_away() {
        let root = tempfile::tempdir().unwrap();
        let files = Files::new(Arc::new(RealDisk::new()));
        let workspace = Workspace::new(files.clone(), root.path().to_owned());
        let scratch = workspace.scratch(Purpose::Verify).unwrap();
        scratch.folder("before").unwrap();
        workspace.take_scratch_away().unwrap();
        assert!(scratch.folder("after").unwrap_err().is_not_found());
        assert!(!workspace.scratch_dir().exists());
        scratch.remove().unwrap();
    }

    #[test]
    fn no_copies_are_made_behind_a_link() {
        let (root, elsewhere) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let workspace = Workspace::new(Files::new(Arc::new(RealDisk::new())), root.path().to_owned());
        std::os::unix::fs::symlink(elsewhere.path(), workspace.scratch_dir()).unwrap();
        assert!(matches!(workspace.scratch(Purpose::Bench), Err(WorkspaceError::NoScratch { .. })));
        assert_eq!(elsewhere.path().read_dir().unwrap().count(), 0);
    }

    #[test]
    fn only_names_of_ours_are_swept_or_taken_away() {
        for (name, ours) in [
            ("verify-12-0", true),
            ("bench-1-63", true),
            ("taken-1-2", true),
            ("verify", false),
            ("verify-12", false),
            ("verify-12-", false),
            ("verify-12-0-1", false),
            ("verify-a-0", false),
            ("other-1-2", false),
            ("", false),
        ] {
            assert_eq!(is_scratch(name), ours, "{name}");
        }
    }
}
