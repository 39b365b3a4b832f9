//! What the tests of the readers share: folders that vanish, and rows as text.

use std::path::{Path, PathBuf};

use super::super::{Batch, Cell, Source, SourceError, open};

/// A folder that is removed with the value.
pub(crate) struct Folder(tempfile::TempDir);

impl Folder {
    pub(crate) fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// Writes (or overwrites in place) a file and returns its path.
    #[expect(clippy::disallowed_methods, reason = "a test makes its own data")]
    pub(crate) fn file(&self, name: &str, bytes: &[u8]) -> PathBuf {
        let path = self.path(name);
        std::fs::write(&path, bytes).unwrap();
        path
    }

    /// Writes a file that was not there before, which is much quicker than to overwrite one.
    pub(crate) fn fresh(&self, name: &str, bytes: &[u8]) -> PathBuf {
        if self.path(name).exists() {
            self.remove(name);
        }
        self.file(name, bytes)
    }

    #[expect(clippy::disallowed_methods, reason = "a test removes its own data")]
    pub(crate) fn remove(&self, name: &str) {
        std::fs::remove_file(self.path(name)).unwrap();
    }
}

/// A row as text: the place, then the cells with their kind.
pub(crate) type Row = (String, Vec<String>);

pub(crate) fn show(cell: Cell<'_>) -> String {
    match cell {
        Cell::Text(bytes) => String::from_utf8_lossy(bytes).into_owned(),
        Cell::Byte(value) => format!("b{value}"),
        Cell::Int(value) => format!("i{value}"),
        Cell::Float(value) => format!("f{:08x}", value.to_bits()),
        Cell::Missing => "missing".to_owned(),
    }
}

/// Reads a source to its end.
pub(crate) fn drain(source: &mut dyn Source) -> Result<Vec<Row>, SourceError> {
    let mut batch = Batch::default();
    let mut rows = Vec::new();
    let width = source.columns().len();
    loop {
        let count = source.next(&mut batch)?;
        assert_eq!(count, batch.rows());
        if count == 0 {
            assert!(source.bytes_read() <= source.bytes_total());
            return Ok(rows);
        }
        for row in 0..count {
            let place = batch.place(row);
            let cells = (0..width).map(|column| show(batch.cell(row, column))).collect();
            rows.push((format!("{:?} {}", place.kind, place.line), cells));
        }
    }
}

/// Opens the file and reads it to its end.
pub(crate) fn read(path: &Path) -> Result<(Vec<String>, Vec<Row>), SourceError> {
    let mut source = open(path)?;
    let columns = source.columns().to_vec();
    Ok((columns, drain(source.as_mut())?))
}

/// Writes the bytes to a file named `t.dat` and reads it.
pub(crate) fn read_bytes(bytes: &[u8]) -> Result<(Vec<String>, Vec<Row>), SourceError> {
    let folder = Folder::new();
    read(&folder.file("t.dat", bytes))
}
