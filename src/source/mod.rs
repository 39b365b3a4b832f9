//! Readers of foreign tables: CSV, NPZ, IDX, Parquet and Arrow IPC files, and tables in memory, as batches of cells.
//!
//! A [`Source`] yields the rows of one table in the order of its file, in batches of bounded memory, and each
//! row knows its [`Place`] for messages. This module does not know schemas, encodings, handles or stores: a
//! cell is the bytes of a CSV field or the number an array holds, and what it means is for the layers below.
//!
//! | form | recognised by | columns |
//! |---|---|---|
//! | text | none of the others | names of the header line; `c0`.. without one |
//! | NPZ | `PK` | `x0`.. of array `X`, `y`, then `id` and `subject` where `ids` and `subjects` are there |
//! | IDX | two zero bytes | `p0`.. of the images, then `label` of the partner file |
//! | Parquet | `PAR1` | those of its schema, with feature `parquet` |
//! | Arrow IPC, Feather | `ARROW1` | the same |
//!
//! How text is written, a [`TextForm`] says. Text and IDX may be gzipped. The form is told by content and never by the name of the file.
//!
//! Limits: a CSV field has at most 1 MiB and a record 8 MiB; a table has at most 131,072 columns; a batch has at
//! most 4096 rows and closes once it holds 128 KiB; of a Parquet file one page of each column is in memory, of at most 256 MiB, and of
//! an Arrow file one record batch, of at most 2 GiB. A corrupt file is an error, never a panic, and lengths that a
//! file declares are checked before memory is taken for them.

mod ahead;
mod array;
mod batch;
mod bytes;
#[cfg(feature = "parquet")]
mod columnar;
mod csv;
mod decode;
mod error;
mod file;
mod form;
pub mod idx;
mod idx_table;
mod input;
mod limits;
mod marks;
mod member;
mod memory;
pub mod npy;
mod npz;
mod open;
mod place;
mod sniff;
mod values;

#[cfg(test)]
mod tests;

pub use batch::{Batch, Cell, CellKind, Cells, Part, Row, Shape, Text, single};
#[cfg(feature = "parquet")]
pub use columnar::ArrowTable;
pub use error::SourceError;
pub use file::{SourceFile, Stamp};
pub use form::{Comment, Delimiter, Encoding, TextForm};
pub use input::{Input, Table};
pub use limits::{BATCH_BYTES, BATCH_ROWS_MAX, BLOCK_MAX, COLUMNS_MAX, FIELD_BYTES_MAX, RECORD_BYTES_MAX};
pub use memory::{BadItem, Chunk, ChunkStream, Chunks, Column, MemoryTable};
pub use open::{open, open_pair};
pub use place::{Place, PlaceKind};
pub use sniff::Guess;
pub use values::Values;

use std::sync::Arc;

/// Columns that are one vector of numbers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Block {
    /// What the vector is called.
    pub name: String,
    /// Its first column, as in [`Source::columns`].
    pub first: usize,
    /// How many columns it has.
    pub width: usize,
}

impl Block {
    /// The names of its columns.
    pub fn columns(&self) -> impl Iterator<Item = String> {
        (0..self.width).map(|at| format!("{}{at}", self.name))
    }
}

/// One table that is read from front to back.
///
/// Whoever has rows in another form implements it and fills batches as [`Batch`] shows, or gives [`Chunks`] of columns.
pub trait Source: Send {
    /// What the table is called in messages: a file as the user named it, or the name that a table in memory was given.
    fn name(&self) -> &Arc<str>;

    /// The names of the columns, in order; [`Batch::cell`] takes their indices.
    fn columns(&self) -> &[String];

    /// Says, before the first row is asked for, which columns will be looked at. A source may leave the others out, whose
    /// cells are then missing; sources that have to read all of a row do nothing.
    fn only(&mut self, columns: &[usize]) {
        let _ = columns;
    }

    /// The vectors of numbers among the columns: each is so many columns side by side, called by its name and 0, 1, ..
    fn blocks(&self) -> Vec<Block> {
        Vec::new()
    }

    /// The columns whose items have no cells, by index, and what they hold: who asks for one of them gets an error.
    fn unread(&self) -> Vec<(usize, String)> {
        Vec::new()
    }

    /// Replaces the content of `batch` by the next rows and returns their count; 0 is the end of the table.
    ///
    /// The end is reported only after the file was found to be the same as when it was opened, so rows are
    /// trustworthy as a whole once 0 was returned.
    ///
    /// # Errors
    ///
    /// Any [`SourceError`]. After an error the source is spent: every later call is an error too.
    fn next(&mut self, batch: &mut Batch) -> Result<usize, SourceError>;

    /// Bytes of the files (as stored, so of the compressed form) that were used for the rows returned so far.
    fn bytes_read(&self) -> u64;

    /// Bytes of the files, as stored.
    fn bytes_total(&self) -> u64;
}
