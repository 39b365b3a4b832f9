//! Names and files of a workspace.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, OnceLock, PoisonError},
};

use serde::de::DeserializeOwned;

use super::{Current, KeySource, Partition, Snapshot, WorkspaceError, keys, writing::KeptMark};
use crate::{
    checkpoint::{CHECKPOINT_FORMAT, CheckpointStore},
    digest::{Digest, HandleKey, ModelKey, SealKey},
    fs::{Durability, Files, FsError},
    ids::{Cell, GenerationId, RecipeId, ShardId},
    ledger::{GenerationRecord, History, Ledger},
    order::Placement,
    shard::{Cells, SLICE_FORMAT, ShardStore},
    train::{Ground, Known, Model, NUMERICS_VERSION, Recipe},
};

/// One folder with everything in it. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Workspace {
    files: Files,
    root: PathBuf,
    /// Read once.
    seal: Arc<OnceLock<SealKey>>,
    /// What was said at the last look, for a process that stays.
    pub(super) known: Option<Arc<Mutex<Option<Snapshot>>>>,
    /// Its mark, between two times that it writes.
    pub(super) kept_mark: Option<Arc<KeptMark>>,
    /// What it has read of frozen partitions, by their digests.
    partitions: Option<Arc<Mutex<BTreeMap<Digest, Partition>>>>,
}

impl Workspace {
    /// The workspace in `root`, which may be empty.
    pub fn new(files: Files, root: PathBuf) -> Workspace {
        Workspace { files, root, seal: Arc::default(), known: None, kept_mark: None, partitions: None }
    }

    /// The same, which remembers what the ledger and frozen partitions said, and reads at each look only what came since.
    pub fn staying(self) -> Workspace {
        let (known, kept_mark, partitions) = (Some(Arc::default()), Some(Arc::default()), Some(Arc::default()));
        Workspace { known, kept_mark, partitions, ..self }
    }

    /// The disk.
    pub fn files(&self) -> &Files {
        &self.files
    }

    /// The folder.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// `shards/`.
    pub fn shards_dir(&self) -> PathBuf {
        self.root.join("shards")
    }

    /// `checkpoints/`.
    pub fn checkpoints_dir(&self) -> PathBuf {
        self.root.join("checkpoints")
    }

    /// `.scratch/`.
    pub fn scratch_dir(&self) -> PathBuf {
        self.root.join(".scratch")
    }

    /// The folder of a generation's slices.
    pub fn generation_dir(&self, generation: GenerationId) -> PathBuf {
        self.shards_dir().join(generation.to_string())
    }

    /// The folder of a generation's checkpoints under a recipe.
    pub fn recipe_dir(&self, generation: GenerationId, recipe: &RecipeId) -> PathBuf {
        self.checkpoints_dir().join(generation.to_string()).join(recipe.to_string())
    }

    /// The ledger.
    pub fn ledger(&self) -> Ledger {
        Ledger::new(self.files.clone(), self.shards_dir().join("ledger"), self.seal())
    }

    /// What ledger entries are sealed with, if the handle key can be read: who has none may still read what is open to them.
    fn seal(&self) -> Option<SealKey> {
        if self.seal.get().is_none()
            && let Ok(key) = self.handle_key()
        {
            return Some(*self.seal.get_or_init(|| key.seal()));
        }
        self.seal.get().copied()
    }

    /// The folder of the marks that writers and builders leave while they are at work.
    pub(super) fn sessions_dir(&self) -> PathBuf {
        self.shards_dir().join("session")
    }

    /// What is in service, if anything.
    ///
    /// # Errors
    /// The file is malformed, or the disk refuses.
    pub fn current(&self) -> Result<Option<Current>, WorkspaceError> {
        let path = self.shards_dir().join("CURRENT");
        match self.files.read(&path) {
            Ok(bytes) => frozen(&path, &bytes).map(Some),
            Err(e) if e.is_not_found() => Ok(None),
            Err(e) => Err(e.into()),
        }
    }

    /// Makes `CURRENT` say what the ledger does; a crash may have come between the two.
    pub(super) fn follow_ledger(&self, history: &History) -> Result<(), WorkspaceError> {
        let Some(switched) = &history.serving else { return Ok(()) };
        let current = Current::from(switched);
        match self.files.read(&self.shards_dir().join("CURRENT")) {
            Ok(bytes) if *bytes == *current.encode() => Ok(()),
            Ok(_) => Ok(self.write_current(&current)?),
            Err(e) if e.is_not_found() => Ok(self.write_current(&current)?),
            Err(e) => Err(e.into()),
        }
    }

    pub(super) fn write_current(&self, current: &Current) -> Result<(), FsError> {
        let _ = self.files.publish(&self.shards_dir().join("CURRENT"), &[&current.encode()], Durability::Now)?;
        self.files.reached("switched");
        Ok(())
    }

    fn handle_key_path(&self) -> PathBuf {
        self.shards_dir().join("handle.key")
    }

    /// The handle key.
    ///
    /// # Errors
    /// The file is missing, malformed or exposed.
    pub fn handle_key(&self) -> Result<HandleKey, WorkspaceError> {
        Ok(HandleKey::from_bytes(keys::read(&self.files, &self.handle_key_path())?))
    }

    /// The handle key, made from `source` if the workspace never held anything.
    ///
    /// # Errors
    /// The file is missing beside existing data, malformed or exposed.
    pub fn handle_key_or_new(&self, source: &KeySource, history: &History) -> Result<HandleKey, WorkspaceError> {
        let path = self.handle_key_path();
        if self.files.stat(&path)?.is_none() {
            if history.head.sequence > 0 {
                return Err(WorkspaceError::KeyMissing { path });
            }
            keys::write(&self.files, &path, source.handle_key(&self.files)?.bytes())?;
        }
        self.handle_key()
    }

    /// Puts a handle key in place in a workspace that has none.
    ///
    /// # Errors
    /// The disk refuses.
    pub fn keep_handle_key(&self, key: &HandleKey) -> Result<(), WorkspaceError> {
        keys::write(&self.files, &self.handle_key_path(), key.bytes())
    }

    fn model_key_path(&self, generation: GenerationId) -> PathBuf {
        self.generation_dir(generation).join("model.key")
    }

    /// Puts a new generation's key and partition in place. They count for nothing until `imported` is in the ledger.
    ///
    /// # Errors
    /// The disk refuses.
    pub fn found(&self, generation: GenerationId, key: &ModelKey, partition: &Partition) -> Result<(), WorkspaceError> {
        let dir = self.generation_dir(generation);
        self.files.make_dirs(&dir)?;
        for shard in partition.grid().shards() {
            self.files.make_dirs(&dir.join(shard.to_string()))?;
        }
        keys::write(&self.files, &self.model_key_path(generation), key.bytes())?;
        let _ = self.files.publish(&dir.join("partition.json"), &[&partition.encode()], Durability::Now)?;
        Ok(())
    }

    /// A generation's partition, checked against the ledger.
    ///
    /// # Errors
    /// The file was changed or is missing, or another version of this program made it.
    pub fn partition(&self, generation: GenerationId, record: &GenerationRecord) -> Result<Partition, WorkspaceError> {
        let kept = self.partitions.as_ref().map(|kept| kept.lock().unwrap_or_else(PoisonError::into_inner));
        if let Some(partition) = kept.as_ref().and_then(|kept| kept.get(&record.imported.partition)) {
            return Ok(partition.clone());
        }
        let path = self.generation_dir(generation).join("partition.json");
        let partition: Partition = self.frozen(&path, record.imported.partition)?;
        same_version(&path, "slice format", partition.slice_format, SLICE_FORMAT)?;
        same_version(&path, "encoder", partition.encoder, partition.encoder_version())?;
        if let Some(mut kept) = kept {
            kept.insert(record.imported.partition, partition.clone());
        }
        Ok(partition)
    }

    fn frozen<T: DeserializeOwned>(&self, path: &Path, digest: Digest) -> Result<T, WorkspaceError> {
        let bytes = match self.files.read(path) {
            Ok(bytes) => bytes,
            Err(e) if e.is_not_found() => {
                return Err(WorkspaceError::Frozen { path: path.to_owned(), offset: 0, what: "the file is missing".into() });
            }
            Err(e) => return Err(e.into()),
        };
        let got = Digest::of(&bytes);
        if got != digest {
            let what = format!("its digest is {got}, the ledger says {digest}");
            return Err(WorkspaceError::Frozen { path: path.to_owned(), offset: 0, what });
        }
        frozen(path, &bytes)
    }

    /// A generation's model key, checked against the ledger.
    ///
    /// # Errors
    /// The file is missing, malformed, exposed or another key.
    pub fn model_key(&self, generation: GenerationId, record: &GenerationRecord) -> Result<ModelKey, WorkspaceError> {
        let path = self.model_key_path(generation);
        let key = ModelKey::from_bytes(keys::read(&self.files, &path)?);
        if key.fingerprint() != record.imported.model_key {
            return Err(WorkspaceError::KeyWrong { path, generation: generation.to_string() });
        }
        Ok(key)
    }

    /// The slices of a generation.
    ///
    /// # Errors
    /// Partition or key can't be used.
    pub fn shard_store(&self, generation: GenerationId, record: &GenerationRecord) -> Result<ShardStore, WorkspaceError> {
        let partition = self.partition(generation, record)?;
        let key = self.model_key(generation, record)?;
        Ok(self.shard_store_of(generation, &partition, key).with_chain(record.cells.chain().clone()))
    }

    /// The slices of a generation that is being made.
    pub fn shard_store_of(&self, generation: GenerationId, partition: &Partition, key: ModelKey) -> ShardStore {
        let Partition { schema, .. } = partition;
        let dir = self.generation_dir(generation);
        ShardStore::new(self.files.clone(), dir, key, schema.layout(), schema.row(), partition.grid())
    }

    /// Where the subjects of a generation are.
    ///
    /// # Errors
    /// Keys or partition can't be used.
    pub fn placement(
        &self,
        generation: GenerationId,
        record: &GenerationRecord,
        handles: &HandleKey,
    ) -> Result<Placement, WorkspaceError> {
        let grid = self.partition(generation, record)?.grid();
        Ok(Placement::new(grid, handles.maker(), &self.model_key(generation, record)?))
    }

    /// Puts a recipe's file in place.
    ///
    /// # Errors
    /// The disk refuses.
    pub fn write_recipe(&self, generation: GenerationId, recipe: &Recipe) -> Result<(), WorkspaceError> {
        let dir = self.recipe_dir(generation, &recipe.id());
        self.files.make_dirs(&dir)?;
        let _ = self.files.publish(&dir.join("recipe.json"), &[&recipe.encode()], Durability::Now)?;
        Ok(())
    }

    /// A recipe, checked against the ledger.
    ///
    /// # Errors
    /// The file was changed or is missing.
    pub fn recipe(
        &self,
        generation: GenerationId,
        record: &GenerationRecord,
        recipe: &RecipeId,
    ) -> Result<Recipe, WorkspaceError> {
        let frozen = record.recipes.iter().find(|r| r.recipe == *recipe);
        let path = self.recipe_dir(generation, recipe).join("recipe.json");
        let Some(frozen) = frozen else {
            return Err(WorkspaceError::Frozen { path, offset: 0, what: "the ledger does not know this recipe".into() });
        };
        self.frozen(&path, frozen.digest)
    }

    /// Everything that training or serving a generation under a recipe needs.
    ///
    /// # Errors
    /// A frozen file or a key can't be used, or another version of this program trained.
    pub fn model(&self, generation: GenerationId, record: &GenerationRecord, id: &RecipeId) -> Result<Model, WorkspaceError> {
        let shards = self.shard_store(generation, record)?;
        // A builder must not make the folder again once the recipe was replaced.
        let dir = self.recipe_dir(generation, id);
        let checkpoints = CheckpointStore::new(self.files.below(&dir), dir);
        let recipe = self.recipe(generation, record, id)?;
        let path = self.recipe_dir(generation, id).join("recipe.json");
        same_version(&path, "checkpoint format", recipe.checkpoint_format, CHECKPOINT_FORMAT)?;
        same_version(&path, "numerics", recipe.numerics, NUMERICS_VERSION)?;
        let model = Model::new(shards, checkpoints, recipe, record.imported.partition)?;
        let known = Known::new(record.as_of, record.cells.clone(), record.durable.get(id).cloned());
        let ground = Ground::new(self.ledger(), generation, id.clone());
        Ok(Model { known: Some(known), ground: Some(ground), ..model })
    }

    /// Checks the header of every slice of a generation against the ledger.
    ///
    /// # Errors
    /// Names the first file that is not what the ledger says.
    pub fn check_cells(&self, store: &ShardStore, cells: &Cells) -> Result<(), WorkspaceError> {
        cells.iter().try_for_each(|(cell, digest)| check_cell(store, cell, *digest))
    }

    /// Checks the header of every slice of a shard against the ledger, so that a swapped, stale or lost slice is seen before it is used.
    ///
    /// # Errors
    /// Names the first file that is not what the ledger says.
    pub fn check_shard(&self, store: &ShardStore, cells: &Cells, shard: ShardId) -> Result<(), WorkspaceError> {
        let known = store.grid().cells_of(shard).filter_map(|cell| Some((cell, *cells.get(&cell)?)));
        known.into_iter().try_for_each(|(cell, digest)| check_cell(store, cell, digest))
    }
}

fn check_cell(store: &ShardStore, cell: Cell, digest: Digest) -> Result<(), WorkspaceError> {
    let header = store.header(cell)?;
    if header.content == digest {
        return Ok(());
    }
    let what = format!("the content digest is {}, the ledger says {digest}", header.content);
    Err(crate::shard::SliceError::Damaged { path: store.path(cell), offset: 48, what }.into())
}

/// Other versions write other bits, so nothing of theirs may be gone on with.
fn same_version(path: &Path, what: &'static str, theirs: u32, ours: u32) -> Result<(), WorkspaceError> {
    if theirs == ours { Ok(()) } else { Err(WorkspaceError::OtherVersion { path: path.to_owned(), what, theirs, ours }) }
}

/// Reads a small JSON file of ours.
fn frozen<T: DeserializeOwned>(path: &Path, bytes: &[u8]) -> Result<T, WorkspaceError> {
    serde_json::from_slice(bytes).map_err(|e| {
        let before: usize = bytes.split_inclusive(|b| *b == b'\n').take(e.line().saturating_sub(1)).map(<[u8]>::len).sum();
        WorkspaceError::Frozen {
            path: path.to_owned(),
            offset: (before + e.column().saturating_sub(1)) as u64,
            what: e.to_string(),
        }
    })
}

/// Whether a folder's name could be a recipe's.
pub(crate) fn is_recipe(name: &str) -> bool {
    name.len() == 16 && name.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
}
