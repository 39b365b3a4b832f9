//! IDX files as a table: a pixel per column, and the labels of the partner file as the last one.

use std::sync::Arc;

use super::Source;
use super::batch::{Batch, CellKind, Cells, Shape};
use super::bytes::Bytes;
use super::error::SourceError;
use super::idx::{IDX_HEADER_BYTES_MAX, IdxError, IdxHeader};
use super::limits::batch_rows;

/// Images with or without labels.
#[derive(Debug)]
pub(crate) struct IdxTable {
    images: IdxFile,
    labels: Option<IdxFile>,
    columns: Vec<String>,
    done: u64,
}

/// One IDX file whose header has been read.
#[derive(Debug)]
pub(crate) struct IdxFile {
    bytes: Bytes,
    header: IdxHeader,
}

impl IdxFile {
    /// Reads the header.
    pub(crate) fn new(mut bytes: Bytes) -> Result<Self, SourceError> {
        let file = bytes.name().clone();
        let failed = |cause: IdxError| SourceError::Idx { file: file.clone(), cause };
        let mut start = [0; IDX_HEADER_BYTES_MAX];
        // The count of dimensions, which the header's length follows from, is its fourth byte.
        let dimensions = bytes.head().get(3).copied().unwrap_or(0);
        let length = (4 + 4 * usize::from(dimensions)).min(IDX_HEADER_BYTES_MAX);
        let start = start.get_mut(..length).unwrap_or_default();
        let filled = bytes.fill(start)?;
        let header = IdxHeader::parse(start.get(..filled).unwrap_or_default()).map_err(failed)?;
        let table = Self { bytes, header };
        table.check_length()?;
        Ok(table)
    }

    pub(crate) fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    pub(crate) fn is_labels(&self) -> bool {
        self.header.dimensions == 1
    }

    /// Whether the file is a plain matrix, which is a table without labels too.
    pub(crate) fn is_matrix(&self) -> bool {
        self.header.dimensions == 2
    }

    fn rows(&self) -> u64 {
        u64::from(self.header.rows)
    }

    /// An early check where the length is known; gzipped data shows its length only at the end.
    fn check_length(&self) -> Result<(), SourceError> {
        if self.rows() == 0 {
            return Err(SourceError::NoRows { file: self.bytes.name().clone() });
        }
        if self.bytes.is_gzip() {
            return Ok(());
        }
        let row_bytes = self.header.row_bytes as u64;
        let got = self.bytes.total().saturating_sub(self.header.header_bytes as u64);
        // Below 2^32 rows of at most 2^17 bytes, so the product fits.
        match got.cmp(&(self.rows() * row_bytes)) {
            std::cmp::Ordering::Less => Err(self.short(got / row_bytes)),
            std::cmp::Ordering::Equal => Ok(()),
            std::cmp::Ordering::Greater => Err(self.long()),
        }
    }

    /// Reads `count` rows after the first `done` into `cells`.
    fn read(&mut self, done: u64, count: usize, cells: &mut Cells) -> Result<(), SourceError> {
        let Cells::Bytes(cells) = cells else {
            return Ok(());
        };
        let row_bytes = self.header.row_bytes;
        cells.resize(count * row_bytes, 0);
        let filled = self.bytes.fill(cells)?;
        if filled < cells.len() {
            return Err(self.short(done + (filled / row_bytes) as u64));
        }
        Ok(())
    }

    /// Checks that the data ends here and that the file is as it was.
    fn finish(&mut self) -> Result<(), SourceError> {
        if self.bytes.fill(&mut [0])? > 0 {
            return Err(self.long());
        }
        self.bytes.file().verify_unchanged()
    }

    fn short(&self, whole_rows: u64) -> SourceError {
        let file = self.bytes.name().clone();
        SourceError::IdxShort { file, rows: self.rows(), row_bytes: self.header.row_bytes, row: whole_rows + 1 }
    }

    fn long(&self) -> SourceError {
        SourceError::IdxLong { file: self.bytes.name().clone(), rows: self.rows() }
    }
}

impl IdxTable {
    /// Puts images and labels together.
    pub(crate) fn new(images: IdxFile, labels: Option<IdxFile>) -> Result<Self, SourceError> {
        let name = |file: &IdxFile| file.bytes.name().clone();
        let role = |file, expected, got| SourceError::Role { file, expected, got };
        if images.is_labels() {
            return Err(role(name(&images), "images (2 or 3 dimensions)", "labels (1 dimension)"));
        }
        let mut columns: Vec<String> = (0..images.header.row_bytes).map(|pixel| format!("p{pixel}")).collect();
        if let Some(labels) = &labels {
            if !labels.is_labels() {
                return Err(role(name(labels), "labels (1 dimension)", "images (2 or 3 dimensions)"));
            }
            if images.rows() != labels.rows() {
                return Err(SourceError::PairRows {
                    images: name(&images),
                    labels: name(labels),
                    image_rows: images.rows(),
                    label_rows: labels.rows(),
                });
            }
            columns.push("label".to_owned());
        }
        Ok(Self { images, labels, columns, done: 0 })
    }

    fn sum(&self, of: impl Fn(&Bytes) -> u64) -> u64 {
        of(&self.images.bytes) + self.labels.as_ref().map_or(0, |labels| of(&labels.bytes))
    }
}

impl Source for IdxTable {
    fn name(&self) -> &Arc<str> {
        self.images.bytes.name()
    }

    fn columns(&self) -> &[String] {
        &self.columns
    }

    fn next(&mut self, batch: &mut Batch) -> Result<usize, SourceError> {
        let width = self.images.header.row_bytes;
        let shapes = [Shape { kind: CellKind::Byte, width }, Shape { kind: CellKind::Byte, width: 1 }];
        let used = if self.labels.is_some() { 2 } else { 1 };
        batch.begin(self.images.bytes.name(), shapes.get(..used).unwrap_or_default());
        let left = self.images.rows() - self.done;
        let count = batch_rows(width + 1).min(usize::try_from(left).unwrap_or(usize::MAX));
        let files = std::iter::once(&mut self.images).chain(&mut self.labels);
        for (file, part) in files.zip(batch.parts()) {
            if count == 0 {
                file.finish()?;
            } else {
                file.read(self.done, count, part.cells())?;
            }
        }
        batch.finish(count, self.done + 1);
        self.done += count as u64;
        Ok(count)
    }

    fn bytes_read(&self) -> u64 {
        self.sum(Bytes::used)
    }

    fn bytes_total(&self) -> u64 {
        self.sum(Bytes::total)
    }
}
