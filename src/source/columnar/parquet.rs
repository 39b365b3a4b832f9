//! Parquet files: row groups in order, and of each the columns that are asked for, a few thousand rows at a time.

use std::sync::Arc;

use parquet::column::reader::{ColumnReader, get_column_reader};
use parquet::errors::ParquetError;
use parquet::file::metadata::{ColumnChunkMetaData, ParquetMetaData, ParquetMetaDataReader, RowGroupMetaData};

use super::super::error::SourceError;
use super::super::file::SourceFile;
use super::super::limits::BLOCK_MAX;
use super::super::memory::{Chunk, Chunks, Column, Pieces};
use super::fields::{Field, Fields, Lengths, Shape};
use super::guard::{guarded, unsound};
use super::items::{self, Kind};
use super::levels::{self, Levels};
use super::pages::Pages;
use super::stored::Stored;
use super::unpack::Packing;
use super::{ADVICE, FOOTER_BYTES_MAX, Unread, footer};

const FORM: &str = "Parquet";
/// A list is told with its row if it is at most so many times as long as the others, or has at most so many items.
const LONGER_TIMES: usize = 4;
const LONGER: usize = 2048;

/// Opens a Parquet file.
pub(in super::super) fn open(file: &SourceFile) -> Result<Chunks, SourceError> {
    let name = file.name().clone();
    let stored = Stored::new(file)?;
    let (table, fields, rows) = guarded(&name, FORM, || {
        let mut table = Table::new(&name, stored)?;
        let rows = total_rows(&table.metadata).ok_or_else(|| table.unsound("its row groups are not those of its schema"))?;
        let fields = table.fields()?;
        Ok((table, fields, rows))
    })?;
    let (names, blocks) = (fields.names(), fields.blocks());
    let reading = Reading { table, fields, group: 0, left: 0, readers: Vec::new() };
    Ok(Chunks::of(&name, names, Box::new(reading), rows)?.with_blocks(blocks))
}

/// Where the items of a field that is read lie, and what they are.
#[derive(Debug, Clone, Copy)]
enum Leaf {
    Flat(usize, Kind),
    Lists(usize, Levels),
}

impl Leaf {
    fn at(self) -> usize {
        match self {
            Leaf::Flat(at, _) | Leaf::Lists(at, _) => at,
        }
    }
}

/// A file.
struct Table {
    name: Arc<str>,
    stored: Stored,
    metadata: ParquetMetaData,
    /// Of each field.
    leaves: Vec<Option<Leaf>>,
}

impl Table {
    /// Reads the footer.
    fn new(name: &Arc<str>, stored: Stored) -> Result<Table, SourceError> {
        let failed = |detail: &str| unsound(name, FORM, detail);
        let read = |start, bytes| stored.part(start, bytes).map_err(|cause| failed(&cause.to_string()));
        let tail = stored.bytes().checked_sub(8).ok_or_else(|| failed("it is cut short"))?;
        let end = read(tail, 8)?;
        let (Some(length), true) = (end.first_chunk(), end.ends_with(b"PAR1")) else {
            return Err(failed("it has no footer, as if it were cut short, or is encrypted"));
        };
        let length = u64::from(u32::from_le_bytes(*length));
        let start = tail.checked_sub(length).filter(|_| length <= FOOTER_BYTES_MAX);
        let bytes = read(start.ok_or_else(|| failed("its footer is larger than it can be"))?, length)?;
        if !footer::is_sound(&bytes) {
            return Err(failed("its schema is damaged, or deeper than is read"));
        }
        let metadata = ParquetMetaDataReader::decode_metadata(&bytes).map_err(|cause| unsound(name, FORM, cause))?;
        Ok(Table { name: name.clone(), stored, metadata, leaves: Vec::new() })
    }

    fn unsound(&self, detail: impl ToString) -> SourceError {
        unsound(&self.name, FORM, detail)
    }

    /// Finds out what the fields are.
    fn fields(&mut self) -> Result<Fields, SourceError> {
        let schema = self.metadata.file_metadata().schema_descr_ptr();
        let roots = schema.root_schema().get_fields();
        let unread = |root: &parquet::schema::types::TypePtr| Field {
            name: root.name().to_owned(),
            shape: Shape::Unread("values within values".to_owned()),
        };
        let mut fields: Vec<Field> = roots.iter().map(unread).collect();
        self.leaves = vec![None; fields.len()];
        for (at, column) in schema.columns().iter().enumerate() {
            let place = schema.get_column_root_idx(at);
            let Some(root) = roots.get(place) else { continue };
            let (leaf, shape) = if root.is_primitive() && column.max_rep_level() == 0 {
                match items::kind(column) {
                    Ok(kind) => (Some(Leaf::Flat(at, kind)), Shape::One),
                    Err(found) => (None, Shape::Unread(found)),
                }
            } else if let Some(levels) = levels::of(root, column) {
                (Some(Leaf::Lists(at, levels)), self.shape(at, levels))
            } else {
                continue;
            };
            if let (Some(field), Some(known)) = (fields.get_mut(place), self.leaves.get_mut(place)) {
                (field.shape, *known) = (shape, leaf);
            }
        }
        Fields::new(&self.name, fields)
    }

    /// What a column of lists is, by the first of them. What can't be looked at is not read, as it may not be asked for.
    fn shape(&self, at: usize, levels: Levels) -> Shape {
        let mut lengths = Lengths::default();
        for group in self.metadata.row_groups() {
            let reader = Packing::of(group.column(at).compression()).map_err(|found| format!("pages packed by {found}"));
            let reader = reader.and_then(|packing| self.reader(at, group, packing, BLOCK_MAX).map_err(|cause| cause.to_string()));
            let seen =
                reader.and_then(|mut reader| levels::see(&mut reader, levels, &mut lengths).map_err(|cause| cause.to_string()));
            match seen {
                Err(cause) => return Shape::Unread(format!("lists of floats that can't be read ({cause})")),
                Ok(()) if lengths.are_any() => break,
                Ok(()) => {}
            }
        }
        lengths.shape()
    }

    /// A reader of a column of a row group, whose lists have at most `longest` items.
    fn reader(
        &self,
        at: usize,
        group: &RowGroupMetaData,
        packing: Packing,
        longest: usize,
    ) -> Result<ColumnReader, ParquetError> {
        let meta = group.column(at);
        let rows = usize::try_from(group.num_rows()).unwrap_or(0);
        let pages = Pages::new(&self.stored, meta, packing, rows, longest)?;
        Ok(get_column_reader(meta.column_descr_ptr(), Box::new(pages)))
    }
}

/// A file that is read.
struct Reading {
    table: Table,
    fields: Fields,
    /// The row group that comes next, and the rows that are left of the one before.
    group: usize,
    left: usize,
    /// Of each field that is wanted.
    readers: Vec<Option<ColumnReader>>,
}

impl Reading {
    /// Begins the next row group; false where there is none.
    fn begin(&mut self, wanted: &[bool]) -> Result<bool, SourceError> {
        if self.group >= self.table.metadata.num_row_groups() {
            return Ok(false);
        }
        let group = self.table.metadata.row_group(self.group);
        let fields = self.fields.iter().zip(&self.table.leaves).zip(self.fields.wanted(wanted));
        let readers = fields.map(|((field, leaf), wanted)| wanted.then(|| self.reader(field, *leaf, group)).transpose());
        self.readers = readers.collect::<Result<_, _>>()?;
        (self.left, self.group) = (usize::try_from(group.num_rows()).unwrap_or(0), self.group + 1);
        Ok(true)
    }

    fn reader(&self, field: &Field, leaf: Option<Leaf>, group: &RowGroupMetaData) -> Result<ColumnReader, SourceError> {
        let unread = |found: String, advice| SourceError::ColumnType {
            file: self.table.name.clone(),
            column: field.name.clone(),
            found,
            advice,
        };
        if let Shape::Unread(found) = &field.shape {
            return Err(unread(found.clone(), ADVICE));
        }
        let at = leaf.ok_or_else(|| self.table.unsound("a field has no column"))?.at();
        let packing = Packing::of(group.column(at).compression()).map_err(|found| {
            unread(format!("pages packed by {found}"), "write the file packed by Snappy, Zstandard, gzip or LZ4, or not packed")
        })?;
        let longest = field.width().saturating_mul(LONGER_TIMES).max(LONGER);
        self.table.reader(at, group, packing, longest).map_err(|cause| self.table.unsound(cause))
    }

    fn read(&mut self, wanted: &[bool]) -> Result<Option<Chunk>, SourceError> {
        while self.left == 0 {
            if !self.begin(wanted)? {
                self.table.stored.verify_unchanged()?;
                return Ok(None);
            }
        }
        let rows = self.left.min(self.fields.rows_at_once());
        let mut columns: Vec<Arc<dyn Column>> = Vec::new();
        for ((field, leaf), reader) in self.fields.iter().zip(&self.table.leaves).zip(&mut self.readers) {
            let (Some(leaf), Some(reader)) = (leaf, reader) else {
                columns.push(Arc::new(Unread { rows, width: field.width() }));
                continue;
            };
            let column = match leaf {
                Leaf::Flat(_, kind) => items::items(*kind, reader, rows),
                Leaf::Lists(_, levels) => levels::vectors(reader, *levels, field.width(), rows).map(|lists| Arc::new(lists) as _),
            };
            let column = column.map_err(|cause| self.table.unsound(cause))?;
            if column.rows() != rows {
                return Err(self.table.unsound("a column holds fewer values than the footer says"));
            }
            columns.push(column);
        }
        self.left -= rows;
        Ok(Some(Chunk::new(&self.table.name, columns)?))
    }
}

impl Pieces for Reading {
    fn next(&mut self, wanted: &[bool]) -> Result<Option<Chunk>, SourceError> {
        let name = self.table.name.clone();
        guarded(&name, FORM, || self.read(wanted))
    }

    fn unread(&self) -> Vec<(usize, String)> {
        self.fields.unread()
    }

    fn file_bytes(&self) -> Option<u64> {
        Some(self.table.stored.bytes())
    }
}

/// The rows of all groups, if every column of each is in this file and has as many values as there are rows. Lists are counted page by page.
fn total_rows(metadata: &ParquetMetaData) -> Option<u64> {
    let columns = metadata.file_metadata().schema_descr().num_columns();
    let mut total = 0_i64;
    for group in metadata.row_groups() {
        let rows = group.num_rows();
        let flat = |column: &&ColumnChunkMetaData| column.column_descr().max_rep_level() == 0;
        let here = |column: &ColumnChunkMetaData| column.file_path().is_none() && column.num_values() == rows;
        if rows < 0 || group.num_columns() != columns || !group.columns().iter().filter(flat).all(here) {
            return None;
        }
        total = total.checked_add(rows)?;
    }
    (total == metadata.file_metadata().num_rows()).then_some(total as u64)
}
