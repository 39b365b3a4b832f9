//! NPZ: a zip container of NumPy arrays, `X` and `y` and, if wanted, `ids`, `subjects` and matrices of floats, read row by row.

use std::io::BufReader;
use std::sync::Arc;

use zip::{CompressionMethod, ZipArchive};

use super::array::{Array, show_shape};
use super::batch::{Batch, CellKind, Shape};
use super::error::SourceError;
use super::file::SourceFile;
use super::limits::{BLOCK_MAX, COLUMNS_MAX, batch_rows};
use super::member::Entry;
use super::memory::check_names;
use super::{Block, Source};

/// The arrays that are read, in the order of their columns; after them come matrices of floats, by any other name.
const ARRAYS: [&str; 4] = ["X", "y", "ids", "subjects"];
/// So many of those are read at most.
const VECTORS_MAX: usize = 64;

/// An NPZ file.
#[derive(Debug)]
pub(crate) struct Npz {
    file: SourceFile,
    arrays: Vec<Array>,
    shapes: Vec<Shape>,
    columns: Vec<String>,
    blocks: Vec<Block>,
    rows: u64,
    rows_per_batch: usize,
    done: u64,
}

impl Npz {
    /// Reads the container's directory and the header of each array.
    pub(crate) fn new(file: &SourceFile) -> Result<Self, SourceError> {
        let file = file.reopen()?;
        let mut entries = entries(&file)?;
        let found: Vec<String> = entries.iter().map(|entry| entry.array.clone()).collect();
        let mut arrays = Vec::new();
        for array in ARRAYS {
            if let Some(at) = entries.iter().position(|entry| entry.array == array) {
                arrays.push(Array::new(&file, entries.remove(at))?);
            }
        }
        let vectors = entries.into_iter().map(|entry| vector(&file, entry)).collect::<Result<Vec<Array>, _>>()?;
        // What is learnt from is `X`, vectors, or both.
        if vectors.is_empty() && arrays.first().is_none_or(|first| first.name() != "X") {
            let found = if found.is_empty() { "none".to_owned() } else { found.join(", ") };
            return Err(SourceError::MissingArray { file: file.name().clone(), array: "X", found });
        }
        arrays.extend(vectors);
        let first = arrays.iter().find(|array| array.name() == "X").or(arrays.last());
        let (of, rows) = first.map_or((String::new(), 0), |first| (first.name().to_owned(), first.rows()));
        let (mut columns, mut blocks) = (Vec::new(), Vec::new());
        for array in &arrays {
            check_role(file.name(), array, (&of, rows))?;
            match array.name() {
                "X" => columns.extend((0..array.width()).map(|index| format!("x{index}"))),
                "ids" => columns.push("id".to_owned()),
                "subjects" => columns.push("subject".to_owned()),
                "y" => columns.push("y".to_owned()),
                other => {
                    let block = Block { name: other.to_owned(), first: columns.len(), width: array.width() };
                    columns.extend(block.columns());
                    blocks.push(block);
                }
            }
        }
        check_names(file.name(), &columns)?;
        let shapes = arrays.iter().map(Array::shape).collect();
        let rows_per_batch = batch_rows(arrays.iter().map(Array::row_bytes).sum());
        Ok(Self { file, arrays, shapes, columns, blocks, rows, rows_per_batch, done: 0 })
    }
}

/// An array of any other name, which holds vectors or is read by nothing.
fn vector(file: &SourceFile, entry: Entry) -> Result<Array, SourceError> {
    let array = Array::new(file, entry)?;
    match array.shape().kind == CellKind::Float && array.width() > 1 {
        true => Ok(array),
        false => Err(unknown(file.name(), array.name())),
    }
}

/// An array that nothing would read, perhaps a misspelt one.
fn unknown(file: &Arc<str>, array: &str) -> SourceError {
    let advice = match ARRAYS.iter().find(|known| known.eq_ignore_ascii_case(array)) {
        Some(known) => format!("case counts, so it is to be called `{known}`"),
        None => "rename it or leave it out".to_owned(),
    };
    SourceError::UnknownArray { file: file.clone(), array: array.to_owned(), advice }
}

/// Checks that an array can be what its name says, beside that of the name `of`.
fn check_role(file: &Arc<str>, array: &Array, (of, rows): (&str, u64)) -> Result<(), SourceError> {
    let name = array.name().to_owned();
    let is_text = array.shape().kind == CellKind::Text;
    if ["ids", "subjects"].contains(&array.name()) && array.shape().kind == CellKind::Float {
        let (expected, got) = ("integers or text: `astype('int64')`, or `astype('U')`", array.items().to_string());
        return Err(SourceError::Items { file: file.clone(), array: name, expected, got });
    }
    if !ARRAYS.contains(&array.name()) {
        if array.width() > BLOCK_MAX {
            let (place, got) = (format!("array `{name}`"), array.width() as u64);
            return Err(SourceError::TooWide { file: file.clone(), place, got });
        }
        if array.rows() != rows {
            let (expected, got) = (format!("{rows} rows, as `{of}` has"), show_shape(&[array.rows(), array.width() as u64]));
            return Err(SourceError::Shape { file: file.clone(), array: name, expected, got });
        }
    } else if name == "X" {
        if is_text {
            let (expected, got) = ("numbers", array.items().to_string());
            return Err(SourceError::Items { file: file.clone(), array: name, expected, got });
        }
        // Room is left for the other arrays.
        if array.width() > COLUMNS_MAX - ARRAYS.len() {
            let got = array.width() as u64;
            return Err(SourceError::TooWide { file: file.clone(), place: "array `X`".to_owned(), got });
        }
    } else if array.width() != 1 || array.rows() != rows {
        return Err(SourceError::Shape {
            file: file.clone(),
            array: name,
            expected: format!("{} as `{of}` has {rows} rows", show_shape(&[rows])),
            got: show_shape(&[array.rows(), array.width() as u64]),
        });
    }
    Ok(())
}

/// What the container's directory says of its members.
fn entries(file: &SourceFile) -> Result<Vec<Entry>, SourceError> {
    let name = file.name();
    let failed = |cause: zip::result::ZipError| SourceError::Zip { file: name.clone(), detail: cause.to_string() };
    let mut archive = ZipArchive::new(BufReader::new(file.reopen()?)).map_err(failed)?;
    if !archive.file_names_raw().any(|member| member.ends_with(b".npy")) && !archive.is_empty() {
        return Err(foreign(name, archive.file_names_raw().any(|member| member == b"[Content_Types].xml")));
    }
    let (mut entries, mut others) = (Vec::new(), 0);
    for index in 0..archive.len() {
        let member = archive.by_index_raw(index).map_err(failed)?;
        let array = member.name().map_err(failed)?;
        let array = array.strip_suffix(".npy").unwrap_or(&array).to_owned();
        // Before anything else, as a stranger's container may hold any number of them.
        if !ARRAYS.contains(&array.as_str()) {
            others += 1;
            let misspelt = ARRAYS.iter().any(|known| known.eq_ignore_ascii_case(&array));
            if misspelt || array.is_empty() || others > VECTORS_MAX {
                return Err(unknown(name, &array));
            }
        }
        let packing = |found: String| SourceError::Packing { file: name.clone(), array: array.clone(), found };
        if member.encrypted() {
            return Err(packing("encrypted".to_owned()));
        }
        let deflated = match member.compression() {
            CompressionMethod::STORE => false,
            CompressionMethod::DEFLATE => true,
            other => return Err(packing(format!("packed by the method {other}"))),
        };
        let start = member.data_start().ok_or_else(|| packing("without data".to_owned()))?;
        let entry =
            Entry { deflated, start, packed_bytes: member.compressed_size(), bytes: member.size(), crc: member.crc32(), array };
        entries.push(entry);
    }
    Ok(entries)
}

/// A zip container without any array.
fn foreign(file: &Arc<str>, office: bool) -> SourceError {
    let (found, advice) = match office {
        true => ("an Office document, such as an Excel workbook", "save the sheet as CSV"),
        false => ("a zip archive that holds no arrays", "unpack it, and name the table in it"),
    };
    SourceError::Foreign { file: file.clone(), found, advice }
}

impl Source for Npz {
    fn name(&self) -> &Arc<str> {
        self.file.name()
    }

    fn columns(&self) -> &[String] {
        &self.columns
    }

    fn blocks(&self) -> Vec<Block> {
        self.blocks.clone()
    }

    fn next(&mut self, batch: &mut Batch) -> Result<usize, SourceError> {
        batch.begin(self.file.name(), &self.shapes);
        let left = usize::try_from(self.rows - self.done).unwrap_or(usize::MAX);
        let count = left.min(self.rows_per_batch);
        if count == 0 {
            self.file.verify_unchanged()?;
        } else {
            for (array, part) in self.arrays.iter_mut().zip(batch.parts()) {
                array.read(self.done, count, part.cells())?;
            }
        }
        batch.finish(count, self.done + 1);
        self.done += count as u64;
        Ok(count)
    }

    /// The share of the rows, as the arrays are read side by side.
    fn bytes_read(&self) -> u64 {
        let share = u128::from(self.bytes_total()) * u128::from(self.done) / u128::from(self.rows.max(1));
        u64::try_from(share).unwrap_or(u64::MAX)
    }

    fn bytes_total(&self) -> u64 {
        self.file.stamp().len
    }
}
