//! CSV (RFC 4180): quoted fields, any line ends, and otherwise as a [`TextForm`] says: commas, a header line, UTF-8.
//!
//! Two roads give the same rows. Lines without a quote are cut by vector comparisons and copied in one piece; a record
//! with a quote, a lone carriage return or a length beyond the buffer goes through csv-core, whose grammar is
//! the reference. A test holds the two against each other. Blank lines and comments are skipped on both.
#![expect(clippy::indexing_slicing, reason = "offsets come from searches of the very slices they index")]

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use csv_core::ReadRecordResult;
use memchr::{memchr_iter, memchr2};

use super::Source;
use super::batch::{Batch, CellKind, Shape, TextRows};
use super::bytes::Bytes;
use super::decode::Decoded;
use super::error::SourceError;
use super::form::{Comment, Delimiter, TextForm};
use super::limits::{COLUMNS_MAX, FIELD_BYTES_MAX, RECORD_BYTES_MAX};
use super::marks::{BLOCK, Marks};
use super::place::PlaceKind;

/// Bytes of the buffer; a line must fit to take the fast road.
const BUFFER: usize = 1 << 18;

/// A CSV file.
pub(crate) struct Csv {
    text: Decoded,
    name: Arc<str>,
    form: TextForm,
    columns: Vec<String>,
    core: csv_core::Reader,
    /// Bytes that were read; those in `start..end` are not yet used.
    buffer: Vec<u8>,
    start: usize,
    end: usize,
    /// The line of `buffer[start]`, from 1.
    line: u64,
    /// A carriage return was the last byte used, so a line feed belongs to it.
    after_return: bool,
    record: Record,
    /// The record is the first row, and not yet handed on.
    pending: bool,
    any_rows: bool,
}

/// A record that went through csv-core.
#[derive(Default)]
struct Record {
    line: u64,
    bytes: Vec<u8>,
    filled: usize,
    ends: Vec<usize>,
    fields: usize,
    quotes: Quotes,
}

/// How far a record has come, as to its quotes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Quotes {
    /// At the start of a field.
    #[default]
    Start,
    /// In a field without quotes.
    Plain,
    /// Within quotes, and whether the last byte was a backslash.
    Within(bool),
    /// After a quote within quotes, and whether a backslash stood before it.
    After(bool),
}

impl Quotes {
    /// Takes a byte in; true if the quote before it was no end of a field, and a backslash before that quote.
    pub(super) fn escaped(&mut self, byte: u8, delimiter: u8) -> bool {
        let ends = byte == delimiter || byte == b'\n' || byte == b'\r';
        let escaped = matches!(self, Self::After(true)) && !ends && byte != b'"';
        *self = match (*self, byte) {
            (Self::Within(backslash), b'"') => Self::After(backslash),
            (Self::Within(_), byte) => Self::Within(byte == b'\\'),
            (_, _) if ends => Self::Start,
            (Self::Start | Self::After(_), b'"') => Self::Within(false),
            _ => Self::Plain,
        };
        escaped
    }
}

/// Why the fast road ended.
enum Cut {
    /// The batch is full.
    Full,
    /// The next record needs csv-core.
    Hard,
    /// The rest of the buffer holds no whole line.
    Short,
}

impl Csv {
    /// Reads the header.
    pub(crate) fn new(bytes: Bytes, form: &TextForm) -> Result<Self, SourceError> {
        // Of a few rows in memory the length is known, also decoded, and the one byte more shows the end: clearing a large buffer would take longer
        // than reading them.
        let small = bytes.file().is_memory() && !bytes.is_gzip();
        let buffer = if small { BUFFER.min(3 * bytes.total() as usize + 1) } else { BUFFER };
        Self::with_buffer(bytes, form, buffer)
    }

    /// With another size of the buffer, so that tests meet its edges.
    pub(crate) fn with_buffer(bytes: Bytes, form: &TextForm, buffer: usize) -> Result<Self, SourceError> {
        let mut core = csv_core::ReaderBuilder::new();
        core.delimiter(form.delimiter.byte()).escape(form.backslash.then_some(b'\\'));
        let mut csv = Self {
            name: bytes.name().clone(),
            text: Decoded::new(bytes, form.encoding)?,
            form: form.clone(),
            columns: Vec::new(),
            core: core.build(),
            buffer: vec![0; buffer],
            start: 0,
            end: 0,
            line: 1,
            after_return: false,
            record: Record::default(),
            pending: false,
            any_rows: false,
        };
        for _ in 0..form.skip {
            csv.skip_line()?;
        }
        if !csv.skip_blank()? {
            return Err(SourceError::Empty { file: csv.name });
        }
        csv.hard_record()?;
        if form.header {
            csv.columns = csv.header()?;
        } else {
            csv.columns = (0..csv.record.fields).map(|column| format!("c{column}")).collect();
            csv.pending = true;
        }
        Ok(csv)
    }

    /// The names of the header, each once.
    fn header(&self) -> Result<Vec<String>, SourceError> {
        let (file, line) = (&self.name, self.record.line);
        if self.record.fields > COLUMNS_MAX {
            return Err(self.too_wide());
        }
        if let (1, Some(name)) = (self.record.fields, self.record.iter().next()) {
            let other = Delimiter::ALL.into_iter().find(|other| *other != self.form.delimiter && name.contains(&other.byte()));
            if let Some(found) = other {
                return Err(SourceError::Delimiter { file: file.clone(), line, found, declared: self.form.delimiter });
            }
        }
        let mut seen = BTreeMap::new();
        let mut names = Vec::new();
        for (index, name) in self.record.iter().enumerate() {
            let column = index + 1;
            let name = std::str::from_utf8(name).map_err(|wrong| SourceError::HeaderUtf8 {
                file: file.clone(),
                line,
                column,
                byte: wrong.valid_up_to(),
            })?;
            if let Some(first) = seen.insert(name, column) {
                let name = name.to_owned();
                return Err(SourceError::DuplicateColumn { file: file.clone(), line, name, first, second: column });
            }
            names.push(name.to_owned());
        }
        Ok(names)
    }

    /// Moves the unused bytes to the front and fills up behind them; false at the end of the file.
    fn refill(&mut self) -> Result<bool, SourceError> {
        self.buffer.copy_within(self.start..self.end, 0);
        self.end -= self.start;
        self.start = 0;
        let count = self.text.fill(&mut self.buffer[self.end..])?;
        self.end += count;
        Ok(count > 0)
    }

    /// Goes beyond the end of the line.
    fn skip_line(&mut self) -> Result<(), SourceError> {
        loop {
            if self.start == self.end && !self.refill()? {
                return Ok(());
            }
            let rest = &self.buffer[self.start..self.end];
            // The feed of the line before, whose return was the last byte used.
            let fed = usize::from(self.after_return && rest.first() == Some(&b'\n'));
            self.after_return = false;
            match memchr2(b'\n', b'\r', &rest[fed..]) {
                Some(at) => {
                    self.line += 1;
                    self.after_return = rest[fed + at] == b'\r';
                    self.start += fed + at + 1;
                    return Ok(());
                }
                None => self.start = self.end,
            }
        }
    }

    /// Goes to the start of the next record; false if there is none.
    fn skip_blank(&mut self) -> Result<bool, SourceError> {
        loop {
            if self.start == self.end && !self.refill()? {
                return Ok(false);
            }
            match self.buffer[self.start] {
                byte if self.form.comment.is_some_and(|comment| comment.byte() == byte) => {
                    self.after_return = false;
                    self.skip_line()?;
                    continue;
                }
                b'\n' if self.after_return => self.after_return = false,
                b'\n' => self.line += 1,
                b'\r' => {
                    self.line += 1;
                    self.after_return = true;
                }
                _ => {
                    self.after_return = false;
                    return Ok(true);
                }
            }
            self.start += 1;
        }
    }

    /// Cuts whole lines without quotes out of the buffer, from the start of a record.
    fn plain_records(&mut self, out: &mut TextRows<'_>) -> Result<Cut, SourceError> {
        let (width, delimiter) = (self.columns.len(), self.form.delimiter.byte());
        let comment = self.form.comment.map(Comment::byte);
        let rest = &self.buffer[self.start..self.end];
        let base = out.text.bytes.len();
        let mut row = 0;
        let mut cut = Cut::Short;
        // The count of ends after a whole row; anything beyond belongs to the row in progress.
        let mut whole = out.text.ends.len();
        let mut from = 0;
        'blocks: while from < rest.len() {
            let Marks { mut delimiters, mut stops } = match rest[from..].first_chunk() {
                Some(block) => Marks::of(block, delimiter),
                None => Marks::of_rest(&rest[from..], delimiter),
            };
            loop {
                // All bits below the lowest stop, or all bits.
                let before = (stops & stops.wrapping_neg()).wrapping_sub(1);
                push_ends(&mut out.text.ends, delimiters & before, base + from);
                delimiters &= !before;
                if stops == 0 {
                    break;
                }
                let at = from + stops.trailing_zeros() as usize;
                stops &= stops - 1;
                match rest[at] {
                    b'\n' => {
                        let end = if at > row && rest[at - 1] == b'\r' { at - 1 } else { at };
                        if end > row {
                            out.text.ends.push((base + end) as u32);
                            let got = out.text.ends.len() - whole;
                            if got != width {
                                return Err(self.ragged(self.line, got));
                            }
                            whole += width;
                            out.text.starts.push((base + row) as u32);
                            out.lines.push(self.line);
                        }
                        self.line += 1;
                        row = at + 1;
                        if comment.is_some() && rest.get(row).copied() == comment {
                            cut = Cut::Hard;
                            break 'blocks;
                        }
                        if out.full(row) {
                            cut = Cut::Full;
                            break 'blocks;
                        }
                    }
                    // Part of a line's end.
                    b'\r' if rest.get(at + 1) == Some(&b'\n') => {}
                    // More has to be read to know.
                    b'\r' if at + 1 == rest.len() => break 'blocks,
                    _ => {
                        cut = Cut::Hard;
                        break 'blocks;
                    }
                }
            }
            from += BLOCK;
        }
        out.text.ends.truncate(whole);
        out.text.bytes.extend_from_slice(&rest[..row]);
        self.start += row;
        Ok(cut)
    }

    /// Reads one record through csv-core, from its first byte.
    fn hard_record(&mut self) -> Result<(), SourceError> {
        self.record.line = self.line;
        self.record.filled = 0;
        self.record.fields = 0;
        self.record.quotes = Quotes::default();
        loop {
            let at_end = self.start == self.end && !self.refill()?;
            // A line feed after the last byte ends a record without one, and cannot end a quoted field.
            let input = if at_end { &b"\n"[..] } else { &self.buffer[self.start..self.end] };
            let record = &mut self.record;
            let (result, used, written, ended) =
                self.core.read_record(input, &mut record.bytes[record.filled..], &mut record.ends[record.fields..]);
            let used = &input[..used];
            self.line += memchr_iter(b'\n', used).count() as u64;
            self.after_return = used.last() == Some(&b'\r');
            let (delimiter, quotes) = (self.form.delimiter.byte(), &mut record.quotes);
            if !self.form.backslash && used.iter().any(|byte| quotes.escaped(*byte, delimiter)) {
                return Err(SourceError::Backslash { file: self.name.clone(), line: record.line });
            }
            if !at_end {
                self.start += used.len();
            }
            record.filled += written;
            record.fields += ended;
            if let Some(column) = record.long_field(ended) {
                return Err(SourceError::FieldTooLong { file: self.name.clone(), line: record.line, column });
            }
            match result {
                ReadRecordResult::InputEmpty if at_end => {
                    return Err(SourceError::UnclosedQuote { file: self.name.clone(), line: record.line });
                }
                ReadRecordResult::InputEmpty => {}
                ReadRecordResult::OutputFull if record.bytes.len() >= RECORD_BYTES_MAX => {
                    return Err(SourceError::RecordTooLong { file: self.name.clone(), line: record.line });
                }
                ReadRecordResult::OutputFull => record.bytes.resize((record.bytes.len() * 2).max(4096), 0),
                ReadRecordResult::OutputEndsFull if record.ends.len() > COLUMNS_MAX => return Err(self.too_wide()),
                ReadRecordResult::OutputEndsFull => record.ends.resize((record.ends.len() * 2).max(64), 0),
                ReadRecordResult::Record | ReadRecordResult::End => break,
            }
        }
        if self.after_return {
            self.line += 1;
        }
        Ok(())
    }

    fn ragged(&self, line: u64, got: usize) -> SourceError {
        SourceError::Ragged { file: self.name.clone(), line, expected: self.columns.len(), got, delimiter: self.form.delimiter }
    }

    fn too_wide(&self) -> SourceError {
        let place = format!("line {}", self.record.line);
        SourceError::TooWide { file: self.name.clone(), place, got: self.record.fields as u64 }
    }
}

/// Adds the offsets of a block's marked bytes, the block beginning at offset `base`.
#[inline]
fn push_ends(ends: &mut Vec<u32>, mut marks: u64, base: usize) {
    let mut some = [0; BLOCK];
    let count = marks.count_ones() as usize;
    for end in &mut some[..count] {
        *end = (base + marks.trailing_zeros() as usize) as u32;
        marks &= marks.wrapping_sub(1);
    }
    ends.extend_from_slice(&some[..count]);
}

impl Record {
    fn iter(&self) -> impl Iterator<Item = &[u8]> {
        let ends = &self.ends[..self.fields];
        let starts = std::iter::once(0).chain(ends.iter().copied());
        starts.zip(ends).map(|(start, &end)| &self.bytes[start..end])
    }

    /// The number of a field beyond the bound, of the last `ended` ones and the one in progress.
    fn long_field(&self, ended: usize) -> Option<usize> {
        let from = self.fields - ended;
        let mut start = if from == 0 { 0 } else { self.ends[from - 1] };
        for (index, &end) in self.ends[..self.fields].iter().enumerate().skip(from) {
            if end - start > FIELD_BYTES_MAX {
                return Some(index + 1);
            }
            start = end;
        }
        (self.filled - start > FIELD_BYTES_MAX).then_some(self.fields + 1)
    }
}

impl Source for Csv {
    fn name(&self) -> &Arc<str> {
        &self.name
    }

    fn columns(&self) -> &[String] {
        &self.columns
    }

    fn next(&mut self, batch: &mut Batch) -> Result<usize, SourceError> {
        let width = self.columns.len();
        batch.begin_as(&self.name, PlaceKind::Line, &[Shape { kind: CellKind::Text, width }]);
        let Some(mut out) = batch.text() else {
            return Ok(0);
        };
        if std::mem::take(&mut self.pending) {
            out.text.push_row(self.record.iter());
            out.lines.push(self.record.line);
        }
        while !out.full(0) && self.skip_blank()? {
            let hard = match self.plain_records(&mut out)? {
                Cut::Full => break,
                Cut::Hard => true,
                // A line that the buffer cannot hold, or that the file does not end, is hard too.
                Cut::Short => self.start < self.end && !self.refill()?,
            };
            if hard && self.skip_blank()? {
                self.hard_record()?;
                if self.record.fields != width {
                    return Err(self.ragged(self.record.line, self.record.fields));
                }
                out.text.push_row(self.record.iter());
                out.lines.push(self.record.line);
            }
        }
        let rows = out.lines.len();
        *out.rows = rows;
        self.any_rows |= rows > 0;
        if rows == 0 {
            self.text.bytes().file().verify_unchanged()?;
            if !self.any_rows {
                return Err(SourceError::NoRows { file: self.name.clone() });
            }
        }
        Ok(rows)
    }

    fn bytes_read(&self) -> u64 {
        self.text.bytes().used()
    }

    fn bytes_total(&self) -> u64 {
        self.text.bytes().total()
    }
}

impl fmt::Debug for Csv {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Csv").field("text", &self.text).field("line", &self.line).finish_non_exhaustive()
    }
}
