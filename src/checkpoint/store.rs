//! The checkpoints of one recipe on disk.

use std::path::{Path, PathBuf};

use super::{
    CheckpointError,
    format::{HEADER_BYTES, check_header, decode, digest_of, encode, file_name, name_of},
};
use crate::{
    digest::Digest,
    fs::{Bytes, Durability, EntryKind, Files, FsError, Pending, SyncAhead},
    ids::{ShardId, SliceId},
};

/// The checkpoint files of a generation under a recipe.
#[derive(Clone, Debug)]
pub struct CheckpointStore {
    files: Files,
    dir: PathBuf,
}

/// A checkpoint file that a folder lists.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Found {
    /// Its step.
    pub step: SliceId,
    /// Its lineage key.
    pub lineage: Digest,
}

impl CheckpointStore {
    /// The store in `dir`, the recipe's folder.
    pub fn new(files: Files, dir: PathBuf) -> CheckpointStore {
        CheckpointStore { files, dir }
    }

    /// The recipe's folder.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// The folder of a shard.
    pub fn shard_dir(&self, shard: ShardId) -> PathBuf {
        self.dir.join(shard.to_string())
    }

    /// The file of a step.
    pub fn path(&self, shard: ShardId, step: SliceId, lineage: Digest) -> PathBuf {
        self.shard_dir(shard).join(file_name(step, lineage))
    }

    /// The checkpoints that a shard has, by step.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn list(&self, shard: ShardId) -> Result<Vec<Found>, FsError> {
        let names = self.files.list(&self.shard_dir(shard))?;
        let files = names.iter().filter(|(_, kind)| *kind == EntryKind::File);
        let mut found: Vec<Found> =
            files.filter_map(|(n, _)| name_of(n)).map(|(step, lineage)| Found { step, lineage }).collect();
        found.sort();
        Ok(found)
    }

    /// Reads a checkpoint, checks all of it and hands its payload on.
    ///
    /// # Errors
    /// The file is missing or damaged.
    pub fn read<T>(
        &self,
        shard: ShardId,
        step: SliceId,
        lineage: Digest,
        then: impl FnOnce(&[u8]) -> T,
    ) -> Result<T, CheckpointError> {
        self.read_as(shard, step, lineage, |_, payload| then(payload))
    }

    /// As [`CheckpointStore::read`], and hands on which file it is too: the digest that [`CheckpointStore::digest`] tells.
    ///
    /// # Errors
    /// As there.
    pub fn read_as<T>(
        &self,
        shard: ShardId,
        step: SliceId,
        lineage: Digest,
        then: impl FnOnce(Digest, &[u8]) -> T,
    ) -> Result<T, CheckpointError> {
        let path = self.path(shard, step, lineage);
        let bytes = self.files.read(&path)?;
        let (digest, payload) = decode(&bytes, &path, shard, step, lineage)?;
        Ok(then(digest, payload))
    }

    /// The digest that the file's header says; `None` where the file is not there or its header is damaged. Two files of a step with the same
    /// digest have the same bytes, if they are sound.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn digest(&self, shard: ShardId, step: SliceId, lineage: Digest) -> Result<Option<Digest>, FsError> {
        let path = self.path(shard, step, lineage);
        match self.files.head(&path, HEADER_BYTES) {
            Ok((head, len)) => {
                let sound = check_header(&head, len, &path, shard, step, lineage).is_ok();
                Ok(digest_of(&head).filter(|_| sound))
            }
            Err(e) if e.is_not_found() => Ok(None),
            Err(e) => Err(e),
        }
    }

    /// The whole file as it is, unchecked; `None` when it is not there.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn bytes(&self, shard: ShardId, step: SliceId, lineage: Digest) -> Result<Option<Bytes>, FsError> {
        match self.files.read(&self.path(shard, step, lineage)) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(e) if e.is_not_found() => Ok(None),
            Err(e) => Err(e),
        }
    }

    /// Whether the file is there with a sound header and the right length, and how long it is.
    ///
    /// # Errors
    /// When the disk refuses; damage and absence are `None`.
    pub fn glance(&self, shard: ShardId, step: SliceId, lineage: Digest) -> Result<Option<u64>, FsError> {
        let path = self.path(shard, step, lineage);
        match self.files.head(&path, HEADER_BYTES) {
            Ok((head, len)) => Ok(check_header(&head, len, &path, shard, step, lineage).is_ok().then_some(len)),
            Err(e) if e.is_not_found() => Ok(None),
            Err(e) => Err(e),
        }
    }

    /// How long the file is, if it is there; nothing of it is read.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn len(&self, shard: ShardId, step: SliceId, lineage: Digest) -> Result<Option<u64>, FsError> {
        Ok(self.files.stat(&self.path(shard, step, lineage))?.map(|stat| stat.len))
    }

    /// Publishes a state. The caller holds the shard's commit lock and has checked that it is still wanted. Returns the bytes written, and
    /// the digest that [`CheckpointStore::digest`] tells.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn publish(
        &self,
        shard: ShardId,
        step: SliceId,
        lineage: Digest,
        payload: &[u8],
        sync: Durability,
    ) -> Result<(u64, Digest), FsError> {
        let (head, digest) = encode(shard, step, lineage, payload);
        let bytes = self.files.publish(&self.path(shard, step, lineage), &[&head, payload], sync)?.bytes;
        Ok((bytes, digest))
    }

    /// Writes a state that is put in its place later. Nothing that was written is durable.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn begin(&self, shard: ShardId, step: SliceId, lineage: Digest, payload: &[u8]) -> Result<Pending, FsError> {
        let mut pending = self.files.begin(&self.path(shard, step, lineage))?;
        pending.write(&encode(shard, step, lineage, payload).0)?;
        pending.write(payload)?;
        Ok(pending)
    }

    /// Removes a checkpoint. The caller holds the shard's commit lock.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn discard(&self, shard: ShardId, step: SliceId, lineage: Digest) -> Result<bool, FsError> {
        self.files.unlink(&self.path(shard, step, lineage))
    }

    /// Makes the folder of a shard.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn make_shard_dir(&self, shard: ShardId) -> Result<(), FsError> {
        self.files.make_dirs(&self.shard_dir(shard))
    }

    /// Makes a step's checkpoint durable, but for its name.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn sync_file(&self, shard: ShardId, step: SliceId, lineage: Digest) -> Result<(), FsError> {
        self.files.sync_file(&self.path(shard, step, lineage))
    }

    /// Makes the names of a shard's checkpoints durable.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn sync_names(&self, shard: ShardId) -> Result<(), FsError> {
        self.files.sync_dir(&self.shard_dir(shard))
    }

    /// Makes the names of the shards' folders durable.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn sync_shard_names(&self) -> Result<(), FsError> {
        self.files.sync_dir(&self.dir)
    }

    /// Syncs checkpoints while others are made.
    pub fn sync_ahead(&self) -> SyncAhead<'_> {
        SyncAhead::new(&self.files)
    }

    /// How many files the disk may well sync at once.
    pub fn syncs_at_once(&self) -> usize {
        self.files.syncs_at_once()
    }

    /// Files of the recipe's folder that are not checkpoints of `shards` shards and `slices` steps.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn strangers(&self, shards: u32, slices: u32) -> Result<Vec<PathBuf>, FsError> {
        let mut found = Vec::new();
        for (name, kind) in self.files.list(&self.dir)? {
            let path = self.dir.join(&name);
            let shard = name.parse().ok().map(ShardId).filter(|s| s.to_string() == name && s.0 < shards);
            match (kind, shard) {
                (EntryKind::Dir, Some(_)) => {
                    for (file, kind) in self.files.list(&path)? {
                        let ours = name_of(&file).is_some_and(|(step, _)| step.0 <= slices);
                        if kind != EntryKind::File || !ours {
                            found.push(path.join(file));
                        }
                    }
                }
                (EntryKind::File, None) if name == "recipe.json" => {}
                _ => found.push(path),
            }
        }
        Ok(found)
    }
}
