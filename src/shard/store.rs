//! The slices of one generation on disk.

use std::path::{Path, PathBuf};

use super::{
    Header, Slice, SliceError, SliceFile,
    format::{HEADER_BYTES, file_name, next_name, next_part_of, part_of},
};
use crate::{
    digest::{Digest, ModelKey},
    fs::{Durability, EntryKind, Files, FsError, LockGuard, Pending, SyncAhead},
    ids::{Cell, Part, ShardId},
    learn::Layout,
    order::{Batches, Chain, Grid},
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
    chain: Chain,
}

impl ShardStore {
    /// The store in `dir`, the generation's folder, with the slices of the first batch.
    pub fn new(files: Files, dir: PathBuf, key: ModelKey, layout: Layout, row: RowLayout, grid: Grid) -> ShardStore {
        ShardStore { files, dir, key, layout, row, grid, chain: Chain::new(grid.slices) }
    }

    /// The same with all these slices.
    pub fn with_chain(self, chain: Chain) -> ShardStore {
        ShardStore { grid: Grid { slices: chain.steps(), ..self.grid }, chain, ..self }
    }

    /// S, how many slices a shard has now, and the holdout.
    pub fn grid(&self) -> Grid {
        self.grid
    }

    /// The slices that a shard has now.
    pub fn chain(&self) -> &Chain {
        &self.chain
    }

    /// A cell, with its batches if it is a slice of later ones.
    pub fn named(&self, cell: Cell) -> (Cell, Option<Batches>) {
        (cell, self.chain.batches(cell.part))
    }

    /// The cells that may hold records of a subject whose records of the first batch are in these cells, of different shards.
    pub fn cells_with<I: IntoIterator<Item = Cell>>(&self, first: I) -> impl Iterator<Item = Cell> + use<I> {
        let slices = self.chain.later_slices();
        first.into_iter().flat_map(move |cell| {
            let later = slices.clone().filter(move |_| cell.part != Part::Holdout);
            [cell].into_iter().chain(later.map(move |slice| Cell { part: Part::Slice(slice), ..cell }))
        })
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
        Header::decode(&head, &path, self.named(cell), self.row, len)
    }

    /// Opens a cell and checks all of it.
    ///
    /// # Errors
    /// The file is missing or damaged.
    pub fn open(&self, cell: Cell) -> Result<Slice, SliceError> {
        let path = self.path(cell);
        let bytes = self.files.read(&path).map_err(|e| missing(&path, e))?;
        Slice::open(bytes, &path, self.named(cell), &self.layout, self.row, &self.key)
    }

    /// Opens a cell and checks its header alone: for a look at handles that decides nothing but what is refused.
    ///
    /// # Errors
    /// The file is missing or its header is damaged.
    pub fn glance(&self, cell: Cell) -> Result<Slice, SliceError> {
        let path = self.path(cell);
        let bytes = self.files.read(&path).map_err(|e| missing(&path, e))?;
        Slice::of_header(bytes, &path, self.named(cell), self.row)
    }

    /// Publishes a slice file.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn publish(&self, file: &SliceFile, sync: Durability) -> Result<(), FsError> {
        let _ = self.files.publish(&self.path(file.cell), &[file.bytes()], sync)?;
        Ok(())
    }

    /// Writes a slice file that is put in its place later. Nothing that was written is durable.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn begin(&self, file: &SliceFile) -> Result<Pending, FsError> {
        let mut pending = self.files.begin(&self.path(file.cell))?;
        pending.write(file.bytes())?;
        Ok(pending)
    }

    /// Where a cell's file waits that is to take the place of the one that is there.
    pub fn next_path(&self, cell: Cell) -> PathBuf {
        self.shard_dir(cell.shard).join(next_name(cell.part))
    }

    /// Publishes a slice file beside the one whose place it is to take, or beside none. Counts for nothing until it is
    /// [put in place](ShardStore::settle).
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn publish_next(&self, file: &SliceFile) -> Result<(), FsError> {
        let _ = self.files.publish(&self.next_path(file.cell), &[file.bytes()], Durability::Later)?;
        Ok(())
    }

    /// The cells of a shard beside whose files others wait.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn waiting(&self, shard: ShardId) -> Result<Vec<Cell>, FsError> {
        let names = self.files.list(&self.shard_dir(shard))?;
        let files = names.iter().filter(|(_, kind)| *kind == EntryKind::File);
        Ok(files.filter_map(|(name, _)| next_part_of(name)).map(|part| Cell { shard, part }).collect())
    }

    /// The header of the file that waits beside a cell's.
    ///
    /// # Errors
    /// The file is missing or its header is damaged.
    pub fn next_header(&self, cell: Cell) -> Result<Header, SliceError> {
        let path = self.next_path(cell);
        let (head, len) = self.files.head(&path, HEADER_BYTES).map_err(|e| missing(&path, e))?;
        Header::decode(&head, &path, self.named(cell), self.row, len)
    }

    /// Opens the file that waits beside a cell's, and checks all of it.
    ///
    /// # Errors
    /// The file is missing or damaged.
    pub fn open_next(&self, cell: Cell) -> Result<Slice, SliceError> {
        let path = self.next_path(cell);
        let bytes = self.files.read(&path).map_err(|e| missing(&path, e))?;
        Slice::open(bytes, &path, self.named(cell), &self.layout, self.row, &self.key)
    }

    /// Puts the file that waits beside a cell's in its place, or takes it away where it is not what the cell is to hold, `known`, and the
    /// cell's own file is. The caller holds the shard's commit lock, and syncs the folder.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn settle(&self, cell: Cell, known: Option<&Digest>) -> Result<(), FsError> {
        let is = |header: Result<Header, SliceError>| header.is_ok_and(|header| Some(&header.content) == known);
        if !is(self.next_header(cell)) && is(self.header(cell)) {
            // Of something that never was committed, or was given up since.
            self.files.unlink(&self.next_path(cell))?;
            return Ok(());
        }
        // A damaged one too: whoever reads the slice says so, and how to go on.
        self.files.replace(&self.next_path(cell), &self.path(cell))
    }

    /// Removes the slices of a shard that its chain does not have any more. The caller holds the shard's commit lock, and syncs the folder.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn remove_beyond(&self, shard: ShardId) -> Result<(), FsError> {
        for (name, kind) in self.files.list(&self.shard_dir(shard))? {
            if kind == EntryKind::File && part_of(&name).is_some_and(|part| part.number() > self.grid.slices) {
                self.files.unlink(&self.shard_dir(shard).join(name))?;
            }
        }
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
