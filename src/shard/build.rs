//! Makes slice files from rows in any order: the file is a function of the set.

use std::collections::BTreeSet;

use super::{
    Header, Slice, SliceLayout,
    format::{HEADER_BYTES, content_digest},
};
use crate::{
    digest::{Digest, ModelKey},
    fs::AlignedBuf,
    ids::{Cell, Handle},
    schema::RowLayout,
};

/// The bytes of a slice file, ready to be published.
#[derive(Debug)]
pub struct SliceFile {
    /// Which cell.
    pub cell: Cell,
    /// How many rows.
    pub rows: u64,
    /// The content digest.
    pub content: Digest,
    pub(super) bytes: AlignedBuf,
}

impl SliceFile {
    /// The whole file.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }
}

/// Writes rows of known number into the sections of a file.
struct Writer {
    row: RowLayout,
    layout: SliceLayout,
    bytes: AlignedBuf,
}

impl Writer {
    fn new(row: RowLayout, rows: u64) -> Option<Writer> {
        let layout = SliceLayout::new(row, rows)?;
        let bytes = AlignedBuf::zeroed(layout.file);
        Some(Writer { row, layout, bytes })
    }

    fn put(&mut self, at: usize, record: Handle, subject: Handle, encoded: &[u8]) {
        let Some(parts) = self.row.split(encoded) else { return };
        let layout = &self.layout;
        let sections: [(usize, &[u8]); 6] = [
            (layout.records.start, &record.0),
            (layout.subjects.start, &subject.0),
            (layout.labels.start, parts.label),
            (layout.numbers.start, parts.numbers),
            (layout.categories.start, parts.categories),
            (layout.bytes.start, parts.bytes),
        ];
        let file = self.bytes.as_mut();
        for (start, field) in sections {
            let start = start + at * field.len();
            if let Some(to) = file.get_mut(start..start + field.len()) {
                to.copy_from_slice(field);
            }
        }
    }

    fn finish(mut self, cell: Cell, rows: u64, key: &ModelKey) -> SliceFile {
        let mut header = Header { cell, rows, row: self.row, content: Digest([0; 32]) };
        let mut place = |header: &Header| {
            if let Some(to) = self.bytes.as_mut().get_mut(..HEADER_BYTES) {
                to.copy_from_slice(&header.encode());
            }
        };
        place(&header);
        header.content = content_digest(key, &self.bytes);
        let mut place = |header: &Header| {
            if let Some(to) = self.bytes.as_mut().get_mut(..HEADER_BYTES) {
                to.copy_from_slice(&header.encode());
            }
        };
        place(&header);
        SliceFile { cell, rows, content: header.content, bytes: self.bytes }
    }
}

impl SliceFile {
    /// The file of these rows (record, subject, encoded cells), which may come in any order. `None` when they don't fit an address space.
    pub fn build(cell: Cell, row: RowLayout, rows: &[(Handle, Handle, &[u8])], key: &ModelKey) -> Option<SliceFile> {
        // What is moved while sorting is small, and what is compared is nearly always the half of a handle that is with it.
        let mut order: Vec<(u64, u32)> = Vec::with_capacity(rows.len());
        for (row, at) in rows.iter().zip(0_u64..) {
            order.push((row.0.0.first_chunk().map_or(0, |half| u64::from_be_bytes(*half)), u32::try_from(at).ok()?));
        }
        let record = |at: u32| rows.get(at as usize).map(|row| row.0);
        order.sort_unstable_by(|a, b| a.0.cmp(&b.0).then_with(|| record(a.1).cmp(&record(b.1))));
        let mut writer = Writer::new(row, rows.len() as u64)?;
        for (to, (_, from)) in order.iter().enumerate() {
            if let Some((record, subject, encoded)) = rows.get(*from as usize) {
                writer.put(to, *record, *subject, encoded);
            }
        }
        Some(writer.finish(cell, rows.len() as u64, key))
    }

    /// The file of `slice` without these records. `None` when it does not fit an address space.
    pub fn without(slice: &Slice, gone: &BTreeSet<Handle>, key: &ModelKey) -> Option<SliceFile> {
        let keep: Vec<usize> = slice.records().iter().enumerate().filter(|(_, r)| !gone.contains(r)).map(|(at, _)| at).collect();
        let header = slice.header();
        let mut writer = Writer::new(header.row, keep.len() as u64)?;
        let mut encoded = Vec::with_capacity(header.row.len());
        for (to, from) in keep.iter().enumerate() {
            let (Some(record), Some(subject)) = (slice.records().get(*from), slice.subjects().get(*from)) else { continue };
            slice.encoded_row(*from, &mut encoded);
            writer.put(to, *record, *subject, &encoded);
        }
        Some(writer.finish(header.cell, keep.len() as u64, key))
    }
}
