//! Opening tables: the form is told by the first bytes, and images find their labels.

use std::path::{Path, PathBuf};

use super::Source;
use super::bytes::Bytes;
#[cfg(feature = "parquet")]
use super::columnar;
use super::csv::Csv;
use super::error::SourceError;
use super::file::SourceFile;
use super::form::TextForm;
use super::idx_table::{IdxFile, IdxTable};
use super::input::Part;
use super::npz::Npz;

/// Opens one table. Images in IDX need their labels beside them under the usual names, such as
/// `train-images-idx3-ubyte.gz` and `train-labels-idx1-ubyte.gz`; a matrix (two dimensions) may do without.
///
/// # Errors
///
/// Any [`SourceError`] that shows before the first row.
pub fn open(path: &Path) -> Result<Box<dyn Source>, SourceError> {
    match Opened::new(path, &TextForm::default())? {
        Opened::Table(source) => Ok(source),
        Opened::Idx(file) => open_images(path, file),
    }
}

/// Opens images and their labels, both in IDX.
///
/// # Errors
///
/// As [`open`]; [`SourceError::Role`] if a file is not what its position asks for.
pub fn open_pair(images: &Path, labels: &Path) -> Result<Box<dyn Source>, SourceError> {
    let labels = IdxFile::new(Bytes::open(labels)?)?;
    Ok(Box::new(IdxTable::new(IdxFile::new(Bytes::open(images)?)?, Some(labels))?))
}

/// Opens sources in the order given. Images and labels in IDX may both be among the files and make one table, at the
/// place of the images: by their usual names, or because there is just one left of each.
pub(super) fn parts(parts: &[Part], form: &TextForm) -> Result<Vec<Box<dyn Source>>, SourceError> {
    let mut tables = Vec::new();
    let mut labels = Vec::new();
    let mut images = Vec::new();
    for part in parts {
        let path = match part {
            Part::Table(table) => {
                tables.push(Some(table.open()?));
                continue;
            }
            Part::Text(name, text) => {
                tables.push(Some(Box::new(Csv::new(not_foreign(Bytes::of(SourceFile::memory(name, text))?)?, form)?)));
                continue;
            }
            Part::File(path) => path,
        };
        match Opened::new(path, form)? {
            Opened::Table(source) => tables.push(Some(source)),
            Opened::Idx(file) if file.is_labels() => labels.push((path, file)),
            Opened::Idx(file) => {
                images.push((tables.len(), path, file));
                tables.push(None);
            }
        }
    }
    let mut put = |at: usize, table: IdxTable| {
        if let Some(place) = tables.get_mut(at) {
            *place = Some(Box::new(table));
        }
    };
    let mut lone = Vec::new();
    for (at, path, images) in images {
        let names = label_paths(path);
        match labels.iter().position(|(given, _)| names.contains(given)) {
            Some(index) => put(at, IdxTable::new(images, Some(labels.remove(index).1))?),
            None => lone.push((at, path, images)),
        }
    }
    if let ([_], [_]) = (lone.as_slice(), labels.as_slice())
        && let (Some((at, _, images)), Some((_, labels))) = (lone.pop(), labels.pop())
    {
        put(at, IdxTable::new(images, Some(labels))?);
    }
    if let Some((_, file)) = labels.first() {
        return Err(SourceError::LabelsAlone { file: file.bytes().name().clone() });
    }
    for (at, path, images) in lone {
        put(at, with_partner(path, images)?);
    }
    Ok(tables.into_iter().flatten().collect())
}

/// A file whose form is known.
enum Opened {
    Table(Box<dyn Source>),
    Idx(IdxFile),
}

impl Opened {
    fn new(path: &Path, form: &TextForm) -> Result<Self, SourceError> {
        let bytes = not_foreign(Bytes::open(path)?)?;
        let name = bytes.name().clone();
        match bytes.head() {
            [0xff, 0xfe, ..] | [0xfe, 0xff, ..] if !form.encoding.is_utf16() => Err(SourceError::Foreign {
                file: name,
                found: "UTF-16 text",
                advice: "declare `encoding = \"utf-16\"` under [data], or save it as UTF-8",
            }),
            _ if form.encoding.is_utf16() => Ok(Self::Table(Box::new(Csv::new(bytes, form)?))),
            [b'P', b'K', 3, 4, ..] | [b'P', b'K', 5, 6, ..] if bytes.is_gzip() => Err(SourceError::Foreign {
                file: name,
                found: "a gzipped NPZ",
                advice: "gunzip it first; numpy.savez_compressed packs the arrays themselves",
            }),
            [b'P', b'K', 3, 4, ..] | [b'P', b'K', 5, 6, ..] => Ok(Self::Table(Box::new(Npz::new(bytes.file())?))),
            [b'P', b'A', b'R', b'1', ..] | [b'A', b'R', b'R', b'O', b'W', b'1', ..] if bytes.is_gzip() => {
                let advice = "gunzip it first; such files pack their columns themselves";
                Err(SourceError::Foreign { file: name, found: "a gzipped Parquet or Arrow file", advice })
            }
            #[cfg(feature = "parquet")]
            [b'P', b'A', b'R', b'1', ..] => Ok(Self::Table(Box::new(columnar::open_parquet(bytes.file())?))),
            #[cfg(feature = "parquet")]
            [b'A', b'R', b'R', b'O', b'W', b'1', ..] => Ok(Self::Table(Box::new(columnar::open_arrow(bytes.file())?))),
            #[cfg(not(feature = "parquet"))]
            [b'P', b'A', b'R', b'1', ..] | [b'A', b'R', b'R', b'O', b'W', b'1', ..] => {
                let advice = "this program was built without its feature `parquet`: build it with that, or write CSV";
                Err(SourceError::Foreign { file: name, found: "a Parquet or Arrow file", advice })
            }
            [0, 0, ..] => Ok(Self::Idx(IdxFile::new(bytes)?)),
            _ => Ok(Self::Table(Box::new(Csv::new(bytes, form)?))),
        }
    }
}

/// Refuses forms that are often met and not read.
fn not_foreign(bytes: Bytes) -> Result<Bytes, SourceError> {
    match FOREIGN.iter().find(|(magic, ..)| bytes.head().starts_with(magic)) {
        Some(&(_, found, advice)) => Err(SourceError::Foreign { file: bytes.name().clone(), found, advice }),
        None => Ok(bytes),
    }
}

/// Whether a file is none of the forms that are told by their first bytes.
pub(super) fn is_text(bytes: &Bytes) -> bool {
    let head = bytes.head();
    let columnar = head.starts_with(b"PAR1") || head.starts_with(b"ARROW1");
    !(columnar
        || head.starts_with(b"PK")
        || head.starts_with(&[0, 0])
        || FOREIGN.iter().any(|(magic, ..)| head.starts_with(magic)))
}

/// First bytes, name and advice for formats that are often met and not read.
const FOREIGN: [(&[u8], &str, &str); 8] = [
    (b"\xff\xff\xff\xff", "an Arrow stream", "write it as a file, by pyarrow.ipc.new_file or to_feather"),
    (b"FEA1", "a Feather file of the first version", "write it as the second"),
    (b"\x93NUMPY", "a single NumPy array", "save X and y together with numpy.savez"),
    (b"\x89HDF", "an HDF5 file", "write it as CSV, or its arrays with numpy.savez"),
    (b"\x28\xb5\x2f\xfd", "a zstd stream", "unpack it, or pack it with gzip"),
    (b"\xfd7zXZ", "an xz stream", "unpack it, or pack it with gzip"),
    (b"BZh", "a bzip2 stream", "unpack it, or pack it with gzip"),
    (b"\x1f\x8b", "gzipped twice", "gunzip it once"),
];

fn open_images(path: &Path, file: IdxFile) -> Result<Box<dyn Source>, SourceError> {
    if file.is_labels() {
        return Err(SourceError::LabelsAlone { file: file.bytes().name().clone() });
    }
    Ok(Box::new(with_partner(path, file)?))
}

/// Images with the labels that lie beside them.
fn with_partner(path: &Path, images: IdxFile) -> Result<IdxTable, SourceError> {
    let names = label_paths(path);
    if let Some(found) = names.iter().find(|name| name.is_file()) {
        return IdxTable::new(images, Some(IdxFile::new(Bytes::open(found)?)?));
    }
    if images.is_matrix() {
        return IdxTable::new(images, None);
    }
    let tried = match names.as_slice() {
        [] => "nothing, as the name has no `images` in it".to_owned(),
        names => names.iter().map(|name| name.display().to_string()).collect::<Vec<_>>().join(", "),
    };
    Err(SourceError::NoLabels { file: images.bytes().name().clone(), tried })
}

/// The usual names of the labels to a file of images: `images` becomes `labels`, `idx3` or `idx2` becomes `idx1`,
/// first as the images are packed, then otherwise.
fn label_paths(images: &Path) -> Vec<PathBuf> {
    let Some(name) = images.file_name().and_then(|name| name.to_str()) else {
        return Vec::new();
    };
    if !name.contains("images") {
        return Vec::new();
    }
    let labels = name.replace("images", "labels").replace("idx3", "idx1").replace("idx2", "idx1");
    let other = match labels.strip_suffix(".gz") {
        Some(plain) => plain.to_owned(),
        None => format!("{labels}.gz"),
    };
    [labels, other].into_iter().map(|name| images.with_file_name(name)).collect()
}
