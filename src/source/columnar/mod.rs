//! Tables that lie column by column: in files of Parquet and Arrow IPC (Feather, version 2), and in memory as Arrow has them.
//!
//! Their grammar is read by the crates of the Arrow project. What a file declares is checked before memory is taken for it, and a
//! panic of theirs is an error here, so that no file can stop the program. Only the columns that are asked for are read. Times, dates,
//! decimals and integers beyond 64 bits become the text that a CSV would have; a null is missing. Lists of floats that are all of one length
//! are vectors, each of whose numbers is a column.

mod arrays;
mod arrow;
mod batches;
mod delta;
mod fields;
mod footer;
mod guard;
mod items;
mod levels;
mod lists;
mod pages;
mod parquet;
mod runs;
mod stored;
mod text;
mod unpack;
mod vectors;

use std::ops::Range;

pub use self::batches::ArrowTable;

pub(super) use self::arrow::open as open_arrow;
pub(super) use self::parquet::open as open_parquet;

use super::batch::{CellKind, Part};
use super::memory::{BadItem, Column};

/// Bytes of the largest footer.
const FOOTER_BYTES_MAX: u64 = 16 << 20;

/// What to do about a column that is not read.
const ADVICE: &str = "write it as numbers, text or dates, or declare it \"ignore\" in sisa.toml";

/// Rows that are decoded at once at most.
const ROWS_AT_ONCE: usize = super::limits::BATCH_ROWS_MAX;

/// A column that is not read.
#[derive(Debug)]
struct Unread {
    rows: usize,
    width: usize,
}

impl Column for Unread {
    fn kind(&self) -> CellKind {
        CellKind::Missing
    }

    fn width(&self) -> usize {
        self.width
    }

    fn rows(&self) -> usize {
        self.rows
    }

    fn read(&self, _: Range<usize>, _: &mut Part) -> Result<(), BadItem> {
        Ok(())
    }
}
