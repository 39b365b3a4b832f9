//! Arrow IPC files (Feather, version 2): record batches in order, each whole in memory, of which the columns that are asked for are read.

use std::sync::Arc;

use arrow_array::RecordBatch;
use arrow_ipc::convert::try_fb_to_schema;
use arrow_ipc::reader::FileDecoder;
use arrow_ipc::{Block, Buffer as Place, CompressionType, MetadataVersion, root_as_footer, root_as_message};
use arrow_schema::SchemaRef;
use bytes::Bytes;

use super::super::error::SourceError;
use super::super::file::SourceFile;
use super::super::memory::{Chunk, Chunks, Pieces};
use super::fields::{Fields, Lengths};
use super::guard::{guarded, unsound};
use super::stored::Stored;
use super::{FOOTER_BYTES_MAX, batches, lists};

const FORM: &str = "Arrow";
/// Bytes of the largest record batch.
const BATCH_BYTES_MAX: u64 = 2 << 30;
/// What a byte of LZ4 becomes at most; the header of a frame on top.
const LZ4_RATIO: i64 = 256;
/// Bytes before each packed buffer: its length when unpacked, or -1 where it is not packed.
const LENGTH_BYTES: usize = 8;

/// Opens an Arrow IPC file.
pub(in super::super) fn open(file: &SourceFile) -> Result<Chunks, SourceError> {
    let name = file.name().clone();
    let stored = Stored::new(file)?;
    let (table, fields) = guarded(&name, FORM, || {
        let table = Table::new(&name, stored)?;
        let fields = batches::fields(&name, &table.schema, &table.lengths()?)?;
        Ok((table, fields))
    })?;
    let (names, blocks, rows) = (fields.names(), fields.blocks(), table.rows);
    let table = Reading { table, fields, decoder: None, next: 0, batch: None, at: 0 };
    Ok(Chunks::of(&name, names, Box::new(table), rows)?.with_blocks(blocks))
}

/// A file.
struct Table {
    name: Arc<str>,
    stored: Stored,
    schema: SchemaRef,
    version: MetadataVersion,
    dictionaries: Vec<Block>,
    batches: Vec<Block>,
    /// Rows of all batches.
    rows: u64,
}

impl Table {
    /// Reads the footer and the heads of all batches.
    fn new(name: &Arc<str>, stored: Stored) -> Result<Table, SourceError> {
        let failed = |detail: &str| unsound(name, FORM, detail);
        let read = |start, bytes| stored.part(start, bytes).map_err(|cause| failed(&cause.to_string()));
        let tail = stored.bytes().checked_sub(10).ok_or_else(|| failed("it is cut short"))?;
        let end = read(tail, 10)?;
        let (Some(length), true) = (end.first_chunk(), end.ends_with(b"ARROW1")) else {
            return Err(failed("it has no footer, as if it were cut short"));
        };
        let length = u64::from(u32::from_le_bytes(*length));
        let start = tail.checked_sub(length).filter(|_| length <= FOOTER_BYTES_MAX);
        let bytes = read(start.ok_or_else(|| failed("its footer is larger than it can be"))?, length)?;
        let footer = root_as_footer(&bytes).map_err(|cause| unsound(name, FORM, cause))?;
        let declared = footer.schema().ok_or_else(|| failed("it has no schema"))?;
        if !declared.endianness().equals_to_target_endianness() {
            return Err(failed("its numbers are big-endian"));
        }
        let schema = Arc::new(try_fb_to_schema(declared).map_err(|cause| unsound(name, FORM, cause))?);
        let dictionaries = footer.dictionaries().map(|blocks| blocks.iter().copied().collect()).unwrap_or_default();
        let batches: Vec<Block> = footer.recordBatches().map(|blocks| blocks.iter().copied().collect()).unwrap_or_default();
        let version = footer.version();
        let mut table = Table { name: name.clone(), stored, schema, version, dictionaries, batches, rows: 0 };
        for block in &table.batches {
            let head = table.part(block, u64::try_from(block.metaDataLength()).unwrap_or(u64::MAX))?;
            let rows = u64::try_from(batch_of(&head)?.map_or(0, |batch| batch.length()));
            table.rows =
                rows.ok().and_then(|rows| table.rows.checked_add(rows)).ok_or_else(|| table.unsound("a batch has no rows"))?;
        }
        Ok(table)
    }

    fn unsound(&self, detail: impl ToString) -> SourceError {
        unsound(&self.name, FORM, detail)
    }

    fn part(&self, block: &Block, bytes: u64) -> Result<Vec<u8>, SourceError> {
        let start = u64::try_from(block.offset()).map_err(|_| self.unsound("a batch begins before the file"))?;
        if bytes > BATCH_BYTES_MAX {
            return Err(self.unsound("a record batch has more than 2 GiB; write it in smaller ones"));
        }
        self.stored.part(start, bytes).map_err(|cause| self.unsound(cause))
    }

    /// The whole of a batch, or of a dictionary, whose packed buffers do not declare more than they can hold.
    fn whole(&self, block: &Block) -> Result<Bytes, SourceError> {
        let lengths = (u64::try_from(block.metaDataLength()), u64::try_from(block.bodyLength()));
        let (Ok(head), Ok(body)) = lengths else { return Err(self.unsound("a batch has less than no bytes")) };
        let bytes = self.part(block, head.checked_add(body).ok_or_else(|| self.unsound("a batch has no end"))?)?;
        let body = bytes.get(head as usize..).unwrap_or_default();
        let Some(batch) = batch_of(&bytes).map_err(|error| self.named(error))? else { return Ok(Bytes::from(bytes)) };
        if let Some(packed) = batch.compression() {
            if packed.codec() != CompressionType::LZ4_FRAME {
                return Err(SourceError::ColumnType {
                    file: self.name.clone(),
                    column: self.schema.fields().first().map(|field| field.name().clone()).unwrap_or_default(),
                    found: "buffers packed by Zstandard".to_owned(),
                    advice: "write the file with compression LZ4, or without; in a Parquet file Zstandard is read",
                });
            }
            let fits = |place: &Place| declared_length(body, place).is_some();
            if !batch.buffers().is_some_and(|places| places.iter().all(fits)) {
                return Err(self.unsound("a packed buffer declares more than it can hold"));
            }
        }
        Ok(Bytes::from(bytes))
    }

    fn named(&self, error: SourceError) -> SourceError {
        match error {
            SourceError::Columnar { form, detail, .. } => SourceError::Columnar { file: self.name.clone(), form, detail },
            other => other,
        }
    }

    /// A decoder of these fields.
    fn decoder(&self, fields: impl Iterator<Item = bool>) -> FileDecoder {
        let fields = fields.zip(0..).filter(|(wanted, _)| *wanted).map(|(_, at)| at).collect();
        FileDecoder::new(self.schema.clone(), self.version).with_projection(fields)
    }

    fn batch(&self, decoder: &FileDecoder, block: &Block) -> Result<Option<RecordBatch>, SourceError> {
        let bytes = self.whole(block)?.into();
        decoder.read_record_batch(block, &bytes).map_err(|cause| self.unsound(cause))
    }

    /// Of each field that is lists how long the first ones are: those of the first batches, until there are some of each.
    fn lengths(&self) -> Result<Vec<Lengths>, SourceError> {
        let mut lengths = vec![Lengths::default(); self.schema.fields().len()];
        let vary: Vec<bool> = self.schema.fields().iter().map(|field| lists::vary(field.data_type())).collect();
        let decoder = self.decoder(vary.iter().copied());
        for block in &self.batches {
            let mut unknown = lengths.iter_mut().zip(&vary).filter(|(_, vary)| **vary).map(|(lengths, _)| lengths).peekable();
            if unknown.peek().is_none() {
                break;
            }
            if let Some(batch) = self.batch(&decoder, block)? {
                unknown.zip(batch.columns()).for_each(|(lengths, array)| lists::see(array, lengths));
            }
            if lengths.iter().zip(&vary).all(|(lengths, vary)| !vary || lengths.are_any()) {
                break;
            }
        }
        Ok(lengths)
    }
}

/// A file that is read.
struct Reading {
    table: Table,
    fields: Fields,
    /// From the first row on, when it is known what is wanted.
    decoder: Option<FileDecoder>,
    /// The batch that comes next, the one at hand, and how many of its rows are done.
    next: usize,
    batch: Option<RecordBatch>,
    at: usize,
}

impl Reading {
    fn begin(&self, wanted: &[bool]) -> Result<FileDecoder, SourceError> {
        let mut decoder = self.table.decoder(wanted.iter().copied());
        for block in &self.table.dictionaries {
            let bytes = self.table.whole(block)?.into();
            decoder.read_dictionary(block, &bytes).map_err(|cause| self.table.unsound(cause))?;
        }
        Ok(decoder)
    }

    fn read(&mut self, wanted: &[bool]) -> Result<Option<Chunk>, SourceError> {
        let wanted = self.fields.wanted(wanted);
        let decoder = match self.decoder.take() {
            Some(decoder) => decoder,
            None => self.begin(&wanted)?,
        };
        let decoder = self.decoder.insert(decoder);
        while self.batch.as_ref().is_none_or(|batch| self.at >= batch.num_rows()) {
            let Some(block) = self.table.batches.get(self.next) else {
                self.table.stored.verify_unchanged()?;
                return Ok(None);
            };
            self.batch = self.table.batch(decoder, block)?;
            (self.next, self.at) = (self.next + 1, 0);
        }
        let Some(batch) = &self.batch else { return Ok(None) };
        let rows = (batch.num_rows() - self.at).min(self.fields.rows_at_once());
        let some = batch.slice(self.at, rows);
        let mut read = some.columns().iter();
        // The decoder leaves out what is not wanted.
        let columns = wanted.iter().map(|wanted| if *wanted { read.next() } else { None });
        let chunk = batches::chunk(&self.table.name, &self.fields, columns, (rows, false))?;
        self.at += rows;
        Ok(Some(chunk))
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

/// The batch that a message is, or that a dictionary is in; `None` for a message of another kind.
fn batch_of(message: &[u8]) -> Result<Option<arrow_ipc::RecordBatch<'_>>, SourceError> {
    let failed = |detail: &str| unsound(&"".into(), FORM, detail);
    // A mark and the length, of which files of the first versions have only the length.
    let start = if message.starts_with(&[0xff; 4]) { 8 } else { 4 };
    let bytes = message.get(start..).ok_or_else(|| failed("a batch is cut short"))?;
    let message = root_as_message(bytes).map_err(|cause| failed(&cause.to_string()))?;
    Ok(message.header_as_record_batch().or_else(|| message.header_as_dictionary_batch().and_then(|dictionary| dictionary.data())))
}

/// What a packed buffer declares to become, if it can; 0 where it is empty.
fn declared_length(body: &[u8], place: &Place) -> Option<i64> {
    if place.length() == 0 {
        return Some(0);
    }
    let start = usize::try_from(place.offset()).ok()?;
    let bytes = body.get(start..start.checked_add(usize::try_from(place.length()).ok()?)?)?;
    let (length, packed) = bytes.split_at_checked(LENGTH_BYTES)?;
    let length = i64::from_le_bytes(*length.first_chunk()?);
    (length == -1 || (0..=LZ4_RATIO.saturating_mul(packed.len() as i64)).contains(&length)).then_some(length)
}
