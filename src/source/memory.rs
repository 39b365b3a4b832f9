//! Tables that lie in the memory of whoever calls, read in place and as often as is asked for.
//!
//! A table is one chunk of columns or several with the same names. Its cells are copied into a batch of bounded size and
//! nowhere else, so that it takes no second room here.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use super::batch::{Batch, CellKind, Part, Shape};
use super::error::SourceError;
use super::input::Table;
use super::limits::{BATCH_BYTES, BATCH_ROWS_MAX, COLUMNS_MAX, FIELD_BYTES_MAX, RECORD_BYTES_MAX};
use super::values::Values;
use super::{Block, Source};

/// The cells of a column, or of several side by side that are of one kind, in memory of any layout.
pub trait Column: fmt::Debug + Send + Sync {
    /// What the cells are.
    fn kind(&self) -> CellKind;

    /// How many columns lie side by side, as in a matrix.
    fn width(&self) -> usize {
        1
    }

    /// How many rows there are.
    fn rows(&self) -> usize;

    /// Bytes of the text in a row; 0 for other kinds.
    fn text_bytes(&self, row: usize) -> usize {
        let _ = row;
        0
    }

    /// Appends the cells of these rows to an empty part of its kind and width.
    ///
    /// # Errors
    ///
    /// [`BadItem`] for an item that has no cell.
    fn read(&self, rows: Range<usize>, out: &mut Part) -> Result<(), BadItem>;
}

/// An item of a column that is no cell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BadItem {
    /// Its row in the column, from 0.
    pub row: usize,
    /// What it is.
    pub found: String,
    /// What to do.
    pub advice: &'static str,
}

/// Columns with the same rows.
#[derive(Debug, Clone)]
pub struct Chunk {
    columns: Vec<Arc<dyn Column>>,
    rows: usize,
}

impl Chunk {
    /// Puts columns side by side.
    ///
    /// # Errors
    ///
    /// [`SourceError::Table`] if they have different numbers of rows.
    pub fn new(name: &Arc<str>, columns: Vec<Arc<dyn Column>>) -> Result<Self, SourceError> {
        let rows = columns.first().map_or(0, |first| first.rows());
        match columns.iter().position(|column| column.rows() != rows) {
            Some(at) => {
                let got = columns.get(at).map_or(0, |column| column.rows());
                let problem = format!("column {} has {got} rows where the first has {rows}; give all the same", at + 1);
                Err(SourceError::Table { file: name.clone(), problem })
            }
            None => Ok(Self { columns, rows }),
        }
    }

    /// How many rows there are.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.rows
    }
}

/// A table in memory.
///
/// ```
/// use sisa::source::{MemoryTable, Table, Batch, Cell};
///
/// let table = MemoryTable::new("visits")
///     .column("person", vec!["p1", "p2"])
///     .column("dose", vec![Some(0.5_f64), None]);
/// let mut batch = Batch::new();
/// assert_eq!(table.open()?.next(&mut batch)?, 2);
/// assert_eq!(batch.cell(1, 1), Cell::Missing);
/// # Ok::<(), sisa::source::SourceError>(())
/// ```
#[derive(Debug, Clone)]
pub struct MemoryTable {
    name: Arc<str>,
    names: Vec<String>,
    chunks: Vec<Vec<Arc<dyn Column>>>,
    blocks: Vec<Block>,
}

impl MemoryTable {
    /// A table without columns; `name` stands for it in messages.
    #[must_use]
    pub fn new(name: &str) -> Self {
        Self { name: name.into(), names: Vec::new(), chunks: vec![Vec::new()], blocks: Vec::new() }
    }

    /// A table of chunks whose columns, in the order of `names`, are parts of the same ones.
    #[must_use]
    pub fn of_chunks(name: &str, names: Vec<String>, chunks: Vec<Vec<Arc<dyn Column>>>) -> Self {
        Self { name: name.into(), names, chunks, blocks: Vec::new() }
    }

    /// The table with one more column, of a table of one chunk.
    #[must_use]
    pub fn column(mut self, name: &str, values: impl Into<Values>) -> Self {
        self.names.push(name.to_owned());
        let values: Values = values.into();
        self.chunks.iter_mut().for_each(|chunk| chunk.push(Arc::new(values.clone())));
        self
    }

    /// The same table, in which these columns are vectors.
    #[must_use]
    pub fn with_blocks(self, blocks: Vec<Block>) -> Self {
        Self { blocks, ..self }
    }
}

impl Table for MemoryTable {
    fn name(&self) -> &str {
        &self.name
    }

    fn open(&self) -> Result<Box<dyn Source>, SourceError> {
        let chunks: Result<Vec<Chunk>, _> = self.chunks.iter().map(|chunk| Chunk::new(&self.name, chunk.clone())).collect();
        let chunks = chunks?;
        let rows = chunks.iter().map(|chunk| chunk.rows as u64).sum();
        let chunks = chunks.into_iter().map(Ok);
        Ok(Box::new(Chunks::new(&self.name, self.names.clone(), Box::new(chunks), rows)?.with_blocks(self.blocks.clone())))
    }
}

/// Chunks to come, such as a stream of them.
pub type ChunkStream = Box<dyn Iterator<Item = Result<Chunk, SourceError>> + Send>;

/// Chunks that are made when they are asked for.
pub(crate) trait Pieces: Send {
    /// The next rows, and `None` at the end. Of columns that are not `wanted` no cell is looked at.
    fn next(&mut self, wanted: &[bool]) -> Result<Option<Chunk>, SourceError>;

    /// As [`Source::unread`].
    fn unread(&self) -> Vec<(usize, String)> {
        Vec::new()
    }

    /// Bytes of the file that they come from, where there is one.
    fn file_bytes(&self) -> Option<u64> {
        None
    }
}

/// Chunks that come anyhow.
struct Coming(ChunkStream);

impl Pieces for Coming {
    fn next(&mut self, _: &[bool]) -> Result<Option<Chunk>, SourceError> {
        self.0.next().transpose()
    }
}

/// A [`Source`] over chunks that come one after the other.
pub struct Chunks {
    name: Arc<str>,
    names: Vec<String>,
    blocks: Vec<Block>,
    /// Whether a column is looked at.
    wanted: Vec<bool>,
    pieces: Box<dyn Pieces>,
    chunk: Chunk,
    shapes: Vec<Shape>,
    /// Rows of the chunk, and of all, that are done.
    at: usize,
    done: u64,
    total: u64,
    failed: bool,
}

impl Chunks {
    /// Reads chunks with these columns; `total` is how many rows there are, as far as it is known, for progress.
    ///
    /// # Errors
    ///
    /// [`SourceError::Table`] or [`SourceError::TooWide`] for names that can't be those of a table.
    pub fn new(name: &Arc<str>, names: Vec<String>, chunks: ChunkStream, total: u64) -> Result<Self, SourceError> {
        Self::of(name, names, Box::new(Coming(chunks)), total)
    }

    /// As [`Chunks::new`], for chunks that depend on what is wanted of them.
    pub(crate) fn of(name: &Arc<str>, names: Vec<String>, pieces: Box<dyn Pieces>, total: u64) -> Result<Self, SourceError> {
        check_names(name, &names)?;
        let wanted = vec![true; names.len()];
        let chunk = Chunk { columns: Vec::new(), rows: 0 };
        let (name, blocks, shapes) = (name.clone(), Vec::new(), Vec::new());
        Ok(Self { name, names, blocks, wanted, pieces, chunk, shapes, at: 0, done: 0, total, failed: false })
    }

    /// The same, with these vectors among the columns.
    #[must_use]
    pub fn with_blocks(self, blocks: Vec<Block>) -> Self {
        Self { blocks, ..self }
    }

    /// Takes the next chunk that has rows; false at the end.
    fn advance(&mut self) -> Result<bool, SourceError> {
        while self.at >= self.chunk.rows {
            let Some(chunk) = self.pieces.next(&self.wanted)? else { return Ok(false) };
            (self.chunk, self.at) = (chunk, 0);
            self.shapes.clear();
            let mut first = 0;
            for column in &self.chunk.columns {
                let width = column.width();
                let read = self.wanted.get(first..first + width).unwrap_or_default().contains(&true);
                self.shapes.push(Shape { kind: if read { column.kind() } else { CellKind::Missing }, width });
                first += width;
            }
            if first != self.names.len() {
                let problem = format!("holds {first} columns where {} are named", self.names.len());
                return Err(SourceError::Table { file: self.name.clone(), problem });
            }
        }
        Ok(true)
    }

    /// The columns that are read.
    fn read(&self) -> impl Iterator<Item = (usize, &Arc<dyn Column>)> {
        let columns = self.chunk.columns.iter().enumerate();
        columns.filter(|(at, _)| self.shapes.get(*at).is_some_and(|shape| shape.kind != CellKind::Missing))
    }

    /// How many rows the next batch takes.
    fn rows_of_batch(&self) -> Result<usize, SourceError> {
        let of_kind = |text: bool| self.read().filter(move |(_, column)| (column.kind() == CellKind::Text) == text);
        let numbers: usize = of_kind(false).map(|(_, column)| 8 * column.width()).sum();
        let texts: Vec<&Arc<dyn Column>> = of_kind(true).map(|(_, column)| column).collect();
        let most = (self.chunk.rows - self.at).min(BATCH_ROWS_MAX);
        let (mut rows, mut bytes) = (0, 0);
        while rows < most && bytes < BATCH_BYTES {
            let mut text = 0;
            for column in &texts {
                let one = column.text_bytes(self.at + rows);
                text += one;
                if one > FIELD_BYTES_MAX || text > RECORD_BYTES_MAX {
                    let row = self.done + rows as u64 + 1;
                    return Err(SourceError::LongText { file: self.name.clone(), row });
                }
            }
            bytes += numbers + text + 8 * texts.len();
            rows += 1;
        }
        Ok(rows)
    }

    fn fill(&mut self, batch: &mut Batch) -> Result<usize, SourceError> {
        if !self.advance()? {
            batch.begin(&self.name, &[]);
            return Ok(0);
        }
        let count = self.rows_of_batch()?;
        batch.begin(&self.name, &self.shapes);
        let mut first = 0;
        for (column, part) in self.chunk.columns.iter().zip(batch.parts()) {
            if part.shape().kind != CellKind::Missing {
                column.read(self.at..self.at + count, part).map_err(|BadItem { row, found, advice }| SourceError::Item {
                    file: self.name.clone(),
                    row: self.done + row.saturating_sub(self.at) as u64 + 1,
                    array: self
                        .blocks
                        .iter()
                        .find(|block| block.first == first)
                        .map_or_else(|| self.names.get(first).cloned().unwrap_or_default(), |block| block.name.clone()),
                    found,
                    advice,
                })?;
            }
            first += column.width();
        }
        batch.finish(count, self.done + 1);
        self.at += count;
        self.done += count as u64;
        Ok(count)
    }
}

/// Checks that names are those of a table.
pub(super) fn check_names(file: &Arc<str>, names: &[String]) -> Result<(), SourceError> {
    if names.len() > COLUMNS_MAX {
        return Err(SourceError::TooWide { file: file.clone(), place: "the table".into(), got: names.len() as u64 });
    }
    let mut seen = std::collections::BTreeMap::new();
    for (at, name) in (1..).zip(names) {
        if let Some(first) = seen.insert(name, at) {
            let problem = format!("columns {first} and {at} are both named `{name}`; rename one of them");
            return Err(SourceError::Table { file: file.clone(), problem });
        }
    }
    Ok(())
}

impl Source for Chunks {
    fn name(&self) -> &Arc<str> {
        &self.name
    }

    fn columns(&self) -> &[String] {
        &self.names
    }

    fn only(&mut self, columns: &[usize]) {
        self.wanted.fill(false);
        for column in columns {
            if let Some(wanted) = self.wanted.get_mut(*column) {
                *wanted = true;
            }
        }
    }

    fn blocks(&self) -> Vec<Block> {
        self.blocks.clone()
    }

    fn unread(&self) -> Vec<(usize, String)> {
        self.pieces.unread()
    }

    fn next(&mut self, batch: &mut Batch) -> Result<usize, SourceError> {
        if self.failed {
            return Err(SourceError::Stopped { file: self.name.clone() });
        }
        self.fill(batch).inspect_err(|_| self.failed = true)
    }

    /// The share of the rows; without a file rows, as it is they whose count is known.
    fn bytes_read(&self) -> u64 {
        let share = u128::from(self.bytes_total()) * u128::from(self.done) / u128::from(self.total.max(1));
        u64::try_from(share).unwrap_or(u64::MAX)
    }

    fn bytes_total(&self) -> u64 {
        self.pieces.file_bytes().unwrap_or(self.total)
    }
}

impl fmt::Debug for Chunks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Chunks").field("name", &self.name).field("done", &self.done).finish_non_exhaustive()
    }
}
