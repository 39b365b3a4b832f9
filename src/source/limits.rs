//! The bounds of every reader, so that no file can ask for memory without end.

/// Bytes of the longest CSV field, and of the longest string item of an array.
pub const FIELD_BYTES_MAX: usize = 1 << 20;

/// Bytes of the longest CSV record.
pub const RECORD_BYTES_MAX: usize = 8 << 20;

/// Columns of the widest table.
pub const COLUMNS_MAX: usize = 1 << 17;

/// Numbers of the longest vector in a cell.
pub const BLOCK_MAX: usize = 1 << 16;

/// Rows of the longest batch.
pub const BATCH_ROWS_MAX: usize = 4096;

/// Bytes of cells at which a batch closes: few enough that they are still in the cache of the core that cut them.
pub const BATCH_BYTES: usize = 1 << 17;

/// The rows of a batch whose rows have `row_bytes` bytes each: at least one, and few enough for both bounds.
pub(crate) fn batch_rows(row_bytes: usize) -> usize {
    (BATCH_BYTES / row_bytes.max(1)).clamp(1, BATCH_ROWS_MAX)
}
