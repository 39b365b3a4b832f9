//! The slices of one generation on disk.

use std::path::{Path, PathBuf};

use super::{
    Header, Slice, SliceError, SliceFile,
    format::{HEADER_BYTES, file_name, part_of},
};
use crate::{
    digest::ModelKey,
    fs::{Durability, EntryKind, Files, FsError, LockGuard, SyncAhead},
    ids::{Cell, ShardId},
    learn::Layout,
    order::Grid,
    schema::RowLayout,
};

/// The slice files of a generation.
#[derive(Clone, Debug)]
pub struct ShardStore {
    files: Files,
    dir: PathBuf,
    key: ModelKey,
    layout: Layout,
    row: RowLayout,
    grid: Grid,
}

impl ShardStore {
    /// The store in `dir`, the generation's folder.
    pub fn new(files: Files, dir: PathBuf, key: ModelKey, layout: Layout, row: RowLayout, grid: Grid) -> ShardStore {
        ShardStore { files, dir, key, layout, row, grid }
    }

    /// S, R and the holdout.
    pub fn grid(&self) -> Grid {
        self.grid
    }

    /// The shape of rows.
    pub fn layout(&self) -> &Layout {
        &self.layout
    }

    /// The sizes of an encoded row.
    pub fn row(&self) -> RowLayout {
        self.row
    }

    /// The model key.
    pub fn key(&self) -> &ModelKey {
        &self.key
    }

    /// The generation's folder.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// The folder of a shard.
    pub fn shard_dir(&self, shard: ShardId) -> PathBuf {
        self.dir.join(shard.to_string())
    }

    /// The file of a cell.
    pub fn path(&self, cell: Cell) -> PathBuf {
        self.shard_dir(cell.shard).join(file_name(cell.part))
    }

    /// Reads a cell's header; the content is not checked.
    ///
    /// # Errors
    /// The file is missing or its header is damaged.
    pub fn header(&self, cell: Cell) -> Result<Header, SliceError> {
        let path = self.path(cell);
        let (head, len) = self.files.head(&path, HEADER_BYTES).map_err(|e| missing(&path, e))?;
        Header::decode(&head, &path, cell, self.row, len)
    }

    /// Opens a cell and checks all of it.
    ///
    /// # Errors
    /// The file is missing or damaged.
    pub fn open(&self, cell: Cell) -> Result<Slice, SliceError> {
        let path = self.path(cell);
        let bytes = self.files.read(&path).map_err(|e| missing(&path, e))?;
        Slice::open(bytes, &path, cell, &self.layout, self.row, &self.key)
    }

    /// Publishes a slice file.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn publish(&self, file: &SliceFile, sync: Durability) -> Result<(), FsError> {
        let _ = self.files.publish(&self.path(file.cell), &[file.bytes()], sync)?;
        Ok(())
    }

    /// Syncs slices while others are made.
    pub fn sync_ahead(&self) -> SyncAhead<'_> {
        SyncAhead::new(&self.files)
    }

    /// The shard's short commit lock: whoever publishes or takes away a slice or a checkpoint of the shard holds it.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn lock(&self, shard: ShardId) -> Result<Box<dyn LockGuard>, FsError> {
        let dir = self.shard_dir(shard);
        // Waiting, the lock always comes.
        self.files.lock(&dir, true)?.ok_or(FsError::NoLocks { path: dir })
    }

    /// Files of the generation's shard folders that are neither slices of the grid nor temporaries of a living writer.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn strangers(&self) -> Result<Vec<PathBuf>, FsError> {
        let mut found = Vec::new();
        for (name, kind) in self.files.list(&self.dir)? {
            let path = self.dir.join(&name);
            let shard = name.parse().ok().map(ShardId).filter(|s| s.to_string() == name && s.0 < self.grid.shards);
            match (kind, shard) {
                (EntryKind::Dir, Some(_)) => {
                    for (file, kind) in self.files.list(&path)? {
                        let ours = part_of(&file).is_some_and(|p| p.number() <= self.grid.slices);
                        if kind != EntryKind::File || !ours {
                            found.push(path.join(file));
                        }
                    }
                }
                (EntryKind::File, None) if name == "partition.json" || name == "model.key" => {}
                _ => found.push(path),
            }
        }
        Ok(found)
    }
}

fn missing(path: &Path, error: FsError) -> SliceError {
    if error.is_not_found() {
        return SliceError::damaged(path, 0, "the file is missing");
    }
    error.into()
}
