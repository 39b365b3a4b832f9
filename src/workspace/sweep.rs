//! What crashes and purges leave behind, taken away.

use std::path::Path;

use super::{Workspace, WorkspaceError, folder::is_recipe, scratch::is_scratch};
use crate::{
    fs::{EntryKind, Files, FsError},
    ids::{GenerationId, ShardId},
    ledger::History,
    shard::is_waiting,
};

impl Workspace {
    /// Removes what a crash left behind: temporaries and scratch without a living owner, generations that were never
    /// published, recipes and generations that were purged; durably. The caller holds the writer lock.
    ///
    /// With `names` it makes every name in the workspace durable: whoever wrote last may have been killed between a rename, an
    /// unlink or a new folder and its sync, and what is seen now and relied on must not be otherwise after a power cut.
    ///
    /// # Errors
    /// The disk refuses.
    pub(super) fn sweep(&self, history: &History, names: bool) -> Result<(), WorkspaceError> {
        let (shards, checkpoints) = (self.shards_dir(), self.checkpoints_dir());
        for folder in self.ledger().folders()? {
            self.sweep_folder(&folder, names, false)?;
        }
        self.sweep_folder(self.ledger().dir(), names, false)?;
        self.sweep_folder(&self.sessions_dir(), names, false)?;
        for (top, is_shards) in [(&shards, true), (&checkpoints, false)] {
            let mut removed = false;
            for (name, kind) in self.files().list(top)? {
                let (EntryKind::Dir, Ok(generation)) = (kind, name.parse::<GenerationId>()) else { continue };
                let dir = top.join(&name);
                match history.generations.get(&generation) {
                    None => {
                        self.remove_shards(generation, &dir)?;
                        removed = true;
                    }
                    Some(_) if is_shards => {
                        if !history.awaits(generation) {
                            self.sweep_waiting(&dir)?;
                        }
                        self.sweep_shards(&dir, names)?;
                    }
                    Some(record) => {
                        let mut removed = false;
                        for (recipe, kind) in self.files().list(&dir)? {
                            let known = record.recipes.iter().any(|r| r.recipe.0 == recipe);
                            match kind {
                                EntryKind::Dir if known => self.sweep_shards(&dir.join(&recipe), names)?,
                                EntryKind::Dir if is_recipe(&recipe) => {
                                    self.remove_shards(generation, &dir.join(&recipe))?;
                                    removed = true;
                                }
                                _ => {}
                            }
                        }
                        self.sweep_folder(&dir, names, removed)?;
                    }
                }
            }
            self.sweep_folder(top, names, removed)?;
        }
        self.sweep_scratch()?;
        Ok(self.sweep_folder(self.root(), names, false)?)
    }

    /// Whether something is there that [`sweep`](Workspace::sweep) takes away, and the next writer will sweep because a process was killed.
    ///
    /// # Errors
    /// The disk refuses.
    pub fn is_left_behind(&self, path: &Path) -> Result<bool, FsError> {
        let Some(name) = path.file_name().and_then(|name| name.to_str()) else { return Ok(false) };
        let (above, checkpoints) = (path.parent(), self.checkpoints_dir());
        let of_generation =
            name.parse::<GenerationId>().is_ok() && (above == Some(&checkpoints) || above == Some(&self.shards_dir()));
        let of_recipe = is_recipe(name) && above.and_then(Path::parent) == Some(&checkpoints);
        let sweeps = match self.files().stat(path)?.map(|s| s.kind) {
            // Swept meanwhile.
            None => return Ok(true),
            Some(EntryKind::File) => Files::is_temporary(name) || is_waiting(name),
            Some(EntryKind::Dir) => of_generation || of_recipe,
            Some(EntryKind::Other) => false,
        };
        Ok(sweeps && self.is_unfinished()?)
    }

    /// Whether a writer or builder was killed and nobody has swept since.
    fn is_unfinished(&self) -> Result<bool, FsError> {
        let marks = self.sessions_dir();
        if self.files().stat(&marks)?.is_none() {
            return Ok(true);
        }
        for (name, kind) in self.files().list(&marks)? {
            if kind == EntryKind::File && Files::is_temporary(&name) && !self.files().is_in_use(&marks.join(name))? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Removes scratch folders without a living owner. Their names need no syncs: what comes back is swept again.
    pub(super) fn sweep_scratch(&self) -> Result<(), FsError> {
        let top = self.scratch_dir();
        // A link is none of ours, and nothing of ours is behind it.
        if self.files().stat(&top)?.is_none_or(|s| s.kind != EntryKind::Dir) {
            return Ok(());
        }
        let gone = |e: FsError| if e.is_not_found() { Ok(None) } else { Err(e) };
        // Who makes a folder holds this lock until the folder is locked itself.
        let Some(_quiet) = self.files().lock(&top, true).or_else(gone)? else { return Ok(()) };
        for (name, kind) in self.files().list(&top)? {
            let dir = top.join(&name);
            if kind == EntryKind::Dir
                && is_scratch(&name)
                && let Some(_orphan) = self.files().lock(&dir, false).or_else(gone)?
            {
                // A process that a killed bench started may still be at work in it.
                self.files().take_away(&dir, |_| true)?;
            }
        }
        Ok(())
    }

    /// Removes a folder of shard folders of a generation, or of one of its recipes, that the ledger does not know. A builder that looked at
    /// the ledger before may be about to publish into it: it comes to its end first, and whoever takes the commit lock after it looks again.
    fn remove_shards(&self, generation: GenerationId, dir: &Path) -> Result<(), FsError> {
        for (name, kind) in self.files().list(dir)? {
            let (EntryKind::Dir, Ok(shard)) = (kind, name.parse().map(ShardId)) else { continue };
            let commit = self.generation_dir(generation).join(shard.to_string());
            // Without the folder nobody can take its lock.
            let _commit = match self.files().lock(&commit, true) {
                Err(e) if e.is_not_found() => None,
                locked => locked?,
            };
            self.files().remove_tree(&dir.join(name))?;
        }
        self.files().remove_tree(dir)
    }

    /// Removes the files of a batch or correction that was not committed, from beside those whose places they were to take.
    fn sweep_waiting(&self, dir: &Path) -> Result<(), FsError> {
        for (shard, kind) in self.files().list(dir)? {
            let shard = dir.join(shard);
            let mut swept = false;
            for (name, _) in if kind == EntryKind::Dir { self.files().list(&shard)? } else { Vec::new() } {
                if is_waiting(&name) {
                    swept |= self.files().unlink(&shard.join(name))?;
                }
            }
            if swept {
                self.files().sync_dir(&shard)?;
            }
        }
        Ok(())
    }

    /// Sweeps a folder of shard folders.
    fn sweep_shards(&self, dir: &Path, names: bool) -> Result<(), FsError> {
        for (name, kind) in self.files().list(dir)? {
            if kind == EntryKind::Dir {
                self.sweep_folder(&dir.join(name), names, false)?;
            }
        }
        self.sweep_folder(dir, names, false)
    }

    /// Sweeps temporaries, and makes the folder's names durable if any of them went, or others did, or it is asked for.
    fn sweep_folder(&self, dir: &Path, names: bool, removed: bool) -> Result<(), FsError> {
        let swept = self.files().sweep(dir)?;
        if (swept || removed || names) && self.files().stat(dir)?.is_some() {
            self.files().sync_dir(dir)?;
        }
        Ok(())
    }
}
