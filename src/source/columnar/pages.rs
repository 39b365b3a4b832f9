//! The pages of one column of a row group, unpacked and looked at before they are decoded.
//!
//! The pages of the crate come as they are stored, because it is told that they are not packed: unpacking them here bounds the memory
//! and needs no C.

use bytes::Bytes;
use parquet::basic::{Encoding, Type};
use parquet::column::page::{Page, PageMetadata, PageReader};
use parquet::errors::ParquetError;
use parquet::file::metadata::ColumnChunkMetaData;
use parquet::file::serialized_reader::SerializedPageReader;
use std::sync::Arc;

use super::delta;
use super::runs::Runs;
use super::stored::Stored;
use super::unpack::Packing;

/// A reader of pages.
pub(super) struct Pages {
    pages: SerializedPageReader<Stored>,
    packing: Packing,
    /// Bytes of all pages, unpacked, as the footer says.
    plain_bytes: u64,
    /// Whether levels come before the values, which say what is missing.
    optional: bool,
    /// The bytes of a value, four for those that have a length of their own.
    width: usize,
    /// Values that are still to come.
    left: usize,
    /// Where values are items of lists.
    lists: Option<Runs>,
}

fn broken(what: &str) -> ParquetError {
    ParquetError::General(what.to_owned())
}

impl Pages {
    /// The pages of a column with `rows` values, or as many lists of at most `longest`.
    pub(super) fn new(
        stored: &Stored,
        meta: &ColumnChunkMetaData,
        packing: Packing,
        rows: usize,
        longest: usize,
    ) -> Result<Pages, ParquetError> {
        let descr = meta.column_descr();
        let width = match meta.column_type() {
            Type::BOOLEAN => 0,
            Type::INT32 | Type::FLOAT | Type::BYTE_ARRAY => 4,
            Type::INT64 | Type::DOUBLE => 8,
            Type::INT96 => 12,
            Type::FIXED_LEN_BYTE_ARRAY => usize::try_from(descr.type_length()).unwrap_or(0),
        };
        let optional = descr.max_def_level() > 0;
        let plain_bytes = u64::try_from(meta.uncompressed_size()).map_err(|_| broken("a column has less than no bytes"))?;
        let as_stored = meta.clone().into_builder().set_compression(parquet::basic::Compression::UNCOMPRESSED).build()?;
        let pages = SerializedPageReader::new(Arc::new(stored.clone()), &as_stored, rows, None)?;
        let lists = (descr.max_rep_level() > 0).then(|| Runs::new(longest));
        if lists.is_some() && meta.file_path().is_some() {
            return Err(broken("a column is in another file"));
        }
        let values = usize::try_from(meta.num_values()).map_err(|_| broken("a column has less than no values"))?;
        let left = if lists.is_some() { values } else { rows };
        Ok(Pages { pages, packing, plain_bytes, optional, width, left, lists })
    }

    fn unpack(&self, packed: &Bytes) -> Result<Bytes, ParquetError> {
        if self.packing == Packing::Plain {
            return Ok(packed.clone());
        }
        let unpacked = self.packing.unpack(packed, self.plain_bytes);
        unpacked.map(Bytes::from).ok_or_else(|| broken("a page can't be unpacked to what the footer allows"))
    }

    /// Counts the values of a page.
    fn count(&mut self, values: u32) -> Result<(), ParquetError> {
        let left = self.left.checked_sub(values as usize);
        self.left = left.ok_or_else(|| broken("the pages of a column hold more values than the footer says"))?;
        Ok(())
    }

    /// Checks what the decoder of `values`, which start `at` so many bytes, would trust.
    fn check(&self, encoding: Encoding, bytes: &[u8], at: Option<usize>, values: u32) -> Result<(), ParquetError> {
        let body = || at.and_then(|at| bytes.get(at..)).unwrap_or_default();
        let sound = match encoding {
            Encoding::DELTA_LENGTH_BYTE_ARRAY => delta::lengths_fit(body(), values as usize),
            Encoding::DELTA_BYTE_ARRAY => delta::prefixes_fit(body(), values as usize),
            Encoding::PLAIN
            | Encoding::RLE
            | Encoding::PLAIN_DICTIONARY
            | Encoding::RLE_DICTIONARY
            | Encoding::DELTA_BINARY_PACKED
            | Encoding::BYTE_STREAM_SPLIT => true,
            _ => return Err(broken(&format!("the encoding {encoding} is not read"))),
        };
        if sound { Ok(()) } else { Err(broken("a page declares more lengths than it can hold")) }
    }

    /// Counts the items of the lists that begin or go on with a page, whose levels of repetition these are.
    fn count_items(&mut self, levels: Option<&[u8]>, values: u32) -> Result<(), ParquetError> {
        let Some(lists) = &mut self.lists else { return Ok(()) };
        let seen = levels.and_then(|levels| lists.see(levels, values as usize));
        seen.ok_or_else(|| broken("a list is cut short, or has many more items than the first ones"))
    }

    fn look(&mut self, page: Page) -> Result<Page, ParquetError> {
        match page {
            Page::DictionaryPage { buf, num_values, encoding, is_sorted } => {
                let buf = self.unpack(&buf)?;
                let bytes = (num_values as usize).checked_mul(self.width);
                if self.width == 0 || bytes.is_none_or(|bytes| bytes > buf.len()) {
                    return Err(broken("a dictionary declares more values than it has bytes"));
                }
                Ok(Page::DictionaryPage { buf, num_values, encoding, is_sorted })
            }
            Page::DataPage { buf, num_values, encoding, def_level_encoding, rep_level_encoding, statistics } => {
                let buf = self.unpack(&buf)?;
                self.count(num_values)?;
                let levels = || {
                    let length = buf.first_chunk().map(|length| u32::from_le_bytes(*length) as usize)?;
                    (def_level_encoding == Encoding::RLE).then(|| length.checked_add(4))?
                };
                if self.lists.is_some() {
                    let runs = || {
                        let length = buf.first_chunk().map(|length| u32::from_le_bytes(*length) as usize)?;
                        (rep_level_encoding == Encoding::RLE).then(|| buf.get(4..length.checked_add(4)?))?
                    };
                    self.count_items(runs(), num_values)?;
                }
                let at = if self.optional { levels() } else { Some(0) };
                self.check(encoding, &buf, at, num_values)?;
                Ok(Page::DataPage { buf, num_values, encoding, def_level_encoding, rep_level_encoding, statistics })
            }
            Page::DataPageV2 {
                buf,
                num_values,
                encoding,
                num_nulls,
                num_rows,
                def_levels_byte_len,
                rep_levels_byte_len,
                is_compressed,
                statistics,
            } => {
                let at = def_levels_byte_len as usize + rep_levels_byte_len as usize;
                if at > buf.len() {
                    return Err(broken("a page is shorter than its levels"));
                }
                let buf = match is_compressed && self.packing != Packing::Plain {
                    true => Bytes::from([&buf.slice(..at)[..], &self.unpack(&buf.slice(at..))?].concat()),
                    false => buf,
                };
                self.count(num_values)?;
                self.count_items(buf.get(..rep_levels_byte_len as usize), num_values)?;
                self.check(encoding, &buf, Some(at), num_values)?;
                Ok(Page::DataPageV2 {
                    buf,
                    num_values,
                    encoding,
                    num_nulls,
                    num_rows,
                    def_levels_byte_len,
                    rep_levels_byte_len,
                    is_compressed: false,
                    statistics,
                })
            }
        }
    }
}

impl PageReader for Pages {
    fn get_next_page(&mut self) -> Result<Option<Page>, ParquetError> {
        self.pages.get_next_page()?.map(|page| self.look(page)).transpose()
    }

    fn peek_next_page(&mut self) -> Result<Option<PageMetadata>, ParquetError> {
        self.pages.peek_next_page()
    }

    fn skip_next_page(&mut self) -> Result<(), ParquetError> {
        self.pages.skip_next_page()
    }
}

impl Iterator for Pages {
    type Item = Result<Page, ParquetError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.get_next_page().transpose()
    }
}
