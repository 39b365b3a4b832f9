//! Copies of workspaces to measure on.

use std::path::{Path, PathBuf};

use super::{Start, trial::Base};
use crate::{
    engine::{Engine, Error, Observer, TrainRequest},
    fs::{Durability, EntryKind, Files},
    source::Input,
    workspace::{KeySource, Purpose, ScratchDir},
};

/// A scratch folder with copies.
pub(super) struct Copies(ScratchDir);

impl Copies {
    pub(super) fn new(engine: &Engine) -> Result<Copies, Error> {
        Ok(Copies(engine.workspace().scratch(Purpose::Bench)?))
    }

    pub(super) fn files(&self) -> &Files {
        self.0.files()
    }

    /// A folder of this name, empty.
    pub(super) fn folder(&self, name: &str) -> Result<PathBuf, Error> {
        Ok(self.0.folder(name)?)
    }

    /// Takes everything away.
    pub(super) fn remove(self) -> Result<(), Error> {
        Ok(self.0.remove()?)
    }

    /// An engine on a workspace in a folder of this name, which may be empty.
    pub(super) fn engine(&self, of: &Engine, root: &Path) -> Engine {
        of.on_copy(self.files().clone(), root.to_owned())
    }

    /// The trained workspace that all trials start from: a copy of the one at hand, or one made from a source.
    pub(super) fn base(&self, engine: &Engine, request: &Start, observer: &dyn Observer) -> Result<Base, Error> {
        let root = self.folder("base")?;
        let copy = self.engine(engine, &root);
        let snapshot = engine.workspace().answering_snapshot()?;
        if request.sources.is_empty() && snapshot.current.is_some() {
            observer.note("copying the workspace");
            self.copy(engine.workspace().root(), &root)?;
            engine.workspace().still(&snapshot)?;
        } else {
            let train = TrainRequest {
                sources: request.sources.clone(),
                // The workspace's own, not the copy's.
                config: engine.config_file(&request.config),
                overrides: request.overrides.clone(),
                // So that a benchmark of a source can be repeated.
                keys: KeySource::Seed(1),
                only_shards: None,
                fresh: false,
            };
            observer.note("importing and training");
            copy.train(&train, observer)?;
        }
        // Whatever a copy lacks is trained before anything is measured.
        copy.repair(&Input::new(), false, observer)?;
        Base::new(copy)
    }

    /// Copies the files of a workspace, and nothing that is not its own.
    pub(super) fn copy(&self, from: &Path, to: &Path) -> Result<(), Error> {
        for top in ["shards", "checkpoints"] {
            self.copy_tree(&from.join(top), &to.join(top))?;
        }
        Ok(())
    }

    fn copy_tree(&self, from: &Path, to: &Path) -> Result<(), Error> {
        self.files().make_dirs(to)?;
        for (name, kind) in self.files().list(from)? {
            let (from, to) = (from.join(&name), to.join(&name));
            match kind {
                EntryKind::Dir => self.copy_tree(&from, &to)?,
                EntryKind::File if !Files::is_temporary(&name) => {
                    let private = self.files().stat(&from)?.is_some_and(|s| s.mode & 0o077 == 0);
                    let bytes = self.files().read(&from)?;
                    let _ = if private {
                        self.files().publish_private(&to, &[&bytes])?
                    } else {
                        self.files().publish(&to, &[&bytes], Durability::Later)?
                    };
                }
                EntryKind::File | EntryKind::Other => {}
            }
        }
        Ok(())
    }
}
