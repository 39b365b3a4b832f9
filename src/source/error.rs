//! What can be wrong with a foreign table, where, and what to do about it.

use std::io;
use std::sync::Arc;

use super::file::Stamp;
use super::form::{Delimiter, Encoding};
use super::idx::IdxError;
use super::limits::{COLUMNS_MAX, FIELD_BYTES_MAX, RECORD_BYTES_MAX};
use super::npy::NpyError;

/// A table that could not be read. Lines, rows and columns count from 1, bytes from 0.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
#[expect(missing_docs, reason = "the message of each variant names its fields: file, line, row, byte, expected, got")]
pub enum SourceError {
    /// The operating system would not open the file.
    #[error("{file}: cannot be opened: {cause}; check the path and its permissions")]
    Open { file: Arc<str>, cause: io::Error },
    /// A folder, pipe or device, which has no length and cannot be read twice.
    #[error("{file}: is {found}, not a regular file; name the data file itself, or save the stream to a file first")]
    NotAFile { file: Arc<str>, found: &'static str },
    /// The operating system failed while the file was read.
    #[error("{file}: reading failed at byte {byte}: {cause}; check the disk and try again")]
    Read { file: Arc<str>, byte: u64, cause: io::Error },
    /// Somebody wrote to the file, or replaced it, while it was read.
    #[error("{file}: changed while it was read (expected {expected}, got {got}); let its writer finish and import again")]
    Changed { file: Arc<str>, expected: Box<Stamp>, got: Box<Stamp> },
    /// The file vanished or could not be examined at the end.
    #[error("{file}: cannot be examined again after reading: {cause}; keep the file in place until the import ends")]
    Vanished { file: Arc<str>, cause: io::Error },
    /// A gzip stream that ends early or fails its checks.
    #[error(
        "{file}: gzip stream is {found} at byte {byte} of {bytes} ({cause}); fetch the file again and test it with `gzip -t`"
    )]
    Gzip { file: Arc<str>, byte: u64, bytes: u64, found: &'static str, cause: io::Error },
    /// Something else behind a gzip stream.
    #[error(
        "{file}: {left} bytes that are no gzip stream follow the one that ends at byte {byte}; fetch the file again, or cut them off with `head -c {byte}`",
        left = bytes - byte
    )]
    AfterGzip { file: Arc<str>, byte: u64, bytes: u64 },
    /// A byte order mark that the declared encoding does not have.
    #[error("{file}: {problem} (declared is encoding = \"{encoding}\")")]
    Mark { file: Arc<str>, encoding: Encoding, problem: &'static str },
    /// Bytes that are no characters.
    #[error("{file}: byte {byte} is no text in {encoding}; declare another `encoding`, or write the file again")]
    Undecodable { file: Arc<str>, encoding: Encoding, byte: u64 },
    /// A format that is known, and is not read here.
    #[error(
        "{file}: is {found}, which is not read; {advice} (what is read: delimited text such as CSV, NPZ, IDX, Parquet and Arrow files)"
    )]
    Foreign { file: Arc<str>, found: &'static str, advice: &'static str },
    /// The reading thread could not be started.
    #[error("{file}: the thread that reads ahead could not be started: {cause}; raise the limit on threads and try again")]
    Thread { file: Arc<str>, cause: io::Error },
    /// A table in memory whose parts do not fit.
    #[error("{file}: {problem}")]
    Table { file: Arc<str>, problem: String },
    /// A text of a table in memory, or of a columnar file, beyond the bound.
    #[error(
        "{file}: row {row}: a text is longer than {FIELD_BYTES_MAX} bytes, or those of the row than {RECORD_BYTES_MAX}; shorten them, or leave the column out"
    )]
    LongText { file: Arc<str>, row: u64 },
    /// What a source of one's own has to say.
    #[error("{file}: cannot be read; see the cause")]
    Other {
        file: Arc<str>,
        #[source]
        cause: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The source was asked for more after an error.
    #[error("{file}: reading had stopped at an error; open the file again")]
    Stopped { file: Arc<str> },

    /// No bytes at all, or blank lines alone.
    #[error("{file}: is empty; expected a header line and at least one row")]
    Empty { file: Arc<str> },
    /// A header, but nothing below it.
    #[error("{file}: holds no rows; expected at least one")]
    NoRows { file: Arc<str> },
    /// A column's name that is not text.
    #[error(
        "{file}: line {line}: the name of column {column} is not UTF-8 (byte {byte} of the name); save the file as UTF-8, or declare `encoding`, such as \"windows-1252\", under [data]"
    )]
    HeaderUtf8 { file: Arc<str>, line: u64, column: usize, byte: usize },
    /// A header of one name in which another delimiter stands.
    #[error(
        "{file}: line {line}: the columns seem to be separated by {found}, and {declared} are declared; declare `delimiter = \"{}\"` under [data], or save the file with {declared}",
        found.shown()
    )]
    Delimiter { file: Arc<str>, line: u64, found: Delimiter, declared: Delimiter },
    /// A quote that a backslash was to escape.
    #[error(
        "{file}: line {line}: a quote is escaped by a backslash; quotes are doubled (\"\"), or declare `escape = \"\\\\\"` under [data]"
    )]
    Backslash { file: Arc<str>, line: u64 },
    /// Two columns of one name.
    #[error(
        "{file}: line {line}: columns {first} and {second} are both named `{name}`; rename one of them, or declare `header = false` under [data] if the line is a row"
    )]
    DuplicateColumn { file: Arc<str>, line: u64, name: String, first: usize, second: usize },
    /// A row or header that is too wide.
    #[error("{file}: {place}: has more than {COLUMNS_MAX} columns ({got}); split the table, or check what separates its columns")]
    TooWide { file: Arc<str>, place: String, got: u64 },
    /// A record with more or fewer fields than the header.
    #[error(
        "{file}: line {line}: expected {expected} fields as in the first line, got {got} ({delimiter} separate them); look for a field that is missing, or \
         not quoted (by `\"`, with no blank before it){}",
        if *got == expected + 1 { "; where every row has one field more, name its column in the first line, as of row names in front or of a separator at the end" } else { "" }
    )]
    Ragged { file: Arc<str>, line: u64, expected: usize, got: usize, delimiter: Delimiter },
    /// A field beyond the bound.
    #[error(
        "{file}: line {line}: field {column} is longer than {FIELD_BYTES_MAX} bytes; look for a quote that is not closed, or shorten it"
    )]
    FieldTooLong { file: Arc<str>, line: u64, column: usize },
    /// A record beyond the bound.
    #[error(
        "{file}: line {line}: the record is longer than {RECORD_BYTES_MAX} bytes; look for a quote that is not closed, or shorten it"
    )]
    RecordTooLong { file: Arc<str>, line: u64 },
    /// A quoted field that runs to the end of the file.
    #[error(
        "{file}: line {line}: a quoted field of the record that starts here is not closed by the end of the file; close the quote, or complete the file"
    )]
    UnclosedQuote { file: Arc<str>, line: u64 },

    /// A zip container that cannot be read.
    #[error("{file}: is not a sound zip container: {detail}; write it again with numpy.savez")]
    Zip { file: Arc<str>, detail: String },
    /// An array that must be there.
    #[error("{file}: holds no array `{array}` (found: {found}); save it as numpy.savez(file, X=..., y=...)")]
    MissingArray { file: Arc<str>, array: &'static str, found: String },
    /// An array that nothing would read, perhaps a misspelt one.
    #[error(
        "{file}: holds an array `{array}` that is not read; the arrays are X, y, ids, subjects, and matrices of floats by other names: {advice}"
    )]
    UnknownArray { file: Arc<str>, array: String, advice: String },
    /// A member stored in a way that is not read.
    #[error("{file}: array `{array}` is {found}; save it with numpy.savez or numpy.savez_compressed")]
    Packing { file: Arc<str>, array: String, found: String },
    /// A damaged or unsupported array header.
    #[error("{file}: array `{array}`: {cause}")]
    Npy { file: Arc<str>, array: String, cause: NpyError },
    /// An array whose shape does not fit its role.
    #[error("{file}: array `{array}` has shape {got}, expected {expected}; reshape it before saving")]
    Shape { file: Arc<str>, array: String, expected: String, got: String },
    /// An array whose items do not fit its role.
    #[error("{file}: array `{array}` holds items of type `{got}`, expected {expected}; convert it with astype before saving")]
    Items { file: Arc<str>, array: String, expected: &'static str, got: String },
    /// A member whose size contradicts its header.
    #[error("{file}: array `{array}`: the header asks for {expected} bytes, the member has {got}; write the file again")]
    MemberSize { file: Arc<str>, array: String, expected: String, got: u64 },
    /// A member that ends early or does not inflate.
    #[error("{file}: array `{array}` is damaged at byte {byte}: {detail}; fetch or write the file again")]
    Member { file: Arc<str>, array: String, byte: u64, detail: String },
    /// A member whose checksum does not match.
    #[error("{file}: array `{array}`: checksum is {got:08x}, expected {expected:08x}; fetch or write the file again")]
    Checksum { file: Arc<str>, array: String, expected: u32, got: u32 },
    /// A compressed array in column order, which cannot be read row by row.
    #[error(
        "{file}: array `{array}` is compressed and in Fortran order, so its rows cannot be read in turn; save numpy.ascontiguousarray({array}), or use numpy.savez"
    )]
    CompressedColumns { file: Arc<str>, array: String },
    /// An item that has no cell.
    #[error("{file}: row {row}: array `{array}` holds {found}; {advice}")]
    Item { file: Arc<str>, row: u64, array: String, found: String, advice: &'static str },

    /// A Parquet or Arrow file that can't be read.
    #[error("{file}: is not a sound {form} file: {detail}; fetch or write it again")]
    Columnar { file: Arc<str>, form: &'static str, detail: String },
    /// A column of one whose items have no cell.
    #[error("{file}: column `{column}` holds {found}, which are not read; {advice}")]
    ColumnType { file: Arc<str>, column: String, found: String, advice: &'static str },

    /// A damaged or unsupported IDX header.
    #[error("{file}: {cause}")]
    Idx { file: Arc<str>, cause: IdxError },
    /// An IDX file whose length contradicts its header.
    #[error("{file}: the header announces {rows} rows of {row_bytes} bytes; the data ends in row {row}; fetch the file again")]
    IdxShort { file: Arc<str>, rows: u64, row_bytes: usize, row: u64 },
    /// Bytes after the last row.
    #[error("{file}: bytes follow the last of {rows} rows; fetch the file again")]
    IdxLong { file: Arc<str>, rows: u64 },
    /// Images without labels.
    #[error("{file}: holds images, and no file of labels was found beside it (tried: {tried}); name both files")]
    NoLabels { file: Arc<str>, tried: String },
    /// Labels without images.
    #[error("{file}: holds labels alone; name the file of images too, exactly one for each file of labels")]
    LabelsAlone { file: Arc<str> },
    /// A file in the role of the other.
    #[error("{file}: expected {expected}, got {got}; check the order of the two files")]
    Role { file: Arc<str>, expected: &'static str, got: &'static str },
    /// Images and labels of different sets.
    #[error("{images}: has {image_rows} rows, but {labels} has {label_rows}; name the two files of one set")]
    PairRows { images: Arc<str>, labels: Arc<str>, image_rows: u64, label_rows: u64 },
}
