//! What is read: files and tables in memory, in order. The one place where sources are opened and named.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::Source;
use super::ahead::Ahead;
use super::error::SourceError;
use super::form::TextForm;
use super::memory::MemoryTable;
use super::open;

/// So many bytes are read at once; a thread that reads ahead takes longer to start.
const BYTES_AT_ONCE: u64 = 64 << 10;

/// A table that is opened as often as it has to be read: once to propose from it, once to import it.
pub trait Table: fmt::Debug + Send + Sync {
    /// What it is called in messages.
    fn name(&self) -> &str;

    /// Reads it from the front, the same rows each time.
    ///
    /// # Errors
    ///
    /// Any [`SourceError`] that shows before the first row.
    fn open(&self) -> Result<Box<dyn Source>, SourceError>;
}

/// Sources, in the order in which they are read: files by their paths, and tables.
///
/// ```
/// use sisa::source::{Input, MemoryTable};
///
/// let input = Input::from(vec!["a.csv", "b.npz"]).with(MemoryTable::new("doses").column("dose", vec![0.5_f32]));
/// assert_eq!(input.names().collect::<Vec<_>>(), ["a.csv", "b.npz", "doses"]);
/// ```
#[derive(Debug, Clone, Default)]
pub struct Input {
    parts: Vec<Part>,
}

/// One of the sources.
#[derive(Debug, Clone)]
pub(super) enum Part {
    File(PathBuf),
    Table(Arc<dyn Table>),
    /// Text in memory, and what it is called.
    Text(Arc<str>, Arc<[u8]>),
}

impl Input {
    /// Nothing.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The same sources, and a table after them.
    #[must_use]
    pub fn with(mut self, table: impl Table + 'static) -> Self {
        self.parts.push(Part::Table(Arc::new(table)));
        self
    }

    /// The same sources, and a file after them.
    #[must_use]
    pub fn with_file(mut self, path: impl Into<PathBuf>) -> Self {
        self.parts.push(Part::File(path.into()));
        self
    }

    /// The same sources, and after them text in memory, written as text files are; `name` stands for it in messages. It may be gzipped.
    #[must_use]
    pub fn with_text(mut self, name: &str, text: impl Into<Arc<[u8]>>) -> Self {
        self.parts.push(Part::Text(name.into(), text.into()));
        self
    }

    /// Whether there is no source.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.parts.is_empty()
    }

    /// What the sources are called.
    pub fn names(&self) -> impl Iterator<Item = String> {
        self.parts.iter().map(|part| match part {
            Part::File(path) => path.display().to_string(),
            Part::Table(table) => table.name().to_owned(),
            Part::Text(name, _) => name.as_ref().to_owned(),
        })
    }

    pub(super) fn parts(&self) -> &[Part] {
        &self.parts
    }

    /// The paths of those that are files.
    pub fn paths(&self) -> impl Iterator<Item = &Path> {
        self.parts.iter().filter_map(|part| match part {
            Part::File(path) => Some(path.as_path()),
            Part::Table(_) | Part::Text(..) => None,
        })
    }

    /// Opens all of them. Images and labels in IDX may both be among the files and make one table, at the place of the
    /// images: by their usual names, or because there is just one left of each. So there may be fewer tables than names.
    /// Text is read as `form` says.
    ///
    /// # Errors
    ///
    /// Any [`SourceError`] that shows before the first row.
    pub fn open(&self, form: &TextForm) -> Result<Vec<Box<dyn Source>>, SourceError> {
        open::parts(&self.parts, form)
    }

    /// As [`Input::open`], with a thread for each large table in use that reads ahead of its caller.
    ///
    /// # Errors
    ///
    /// As [`Input::open`].
    pub fn open_ahead(&self, form: &TextForm) -> Result<Vec<Box<dyn Source>>, SourceError> {
        let ahead = |source: Box<dyn Source>| match source.bytes_total() {
            ..=BYTES_AT_ONCE => source,
            _ => Box::new(Ahead::new(source)),
        };
        Ok(self.open(form)?.into_iter().map(ahead).collect())
    }
}

impl<P: Into<PathBuf>> FromIterator<P> for Input {
    fn from_iter<I: IntoIterator<Item = P>>(paths: I) -> Self {
        Self { parts: paths.into_iter().map(|path| Part::File(path.into())).collect() }
    }
}

impl<P: Into<PathBuf>> From<Vec<P>> for Input {
    fn from(paths: Vec<P>) -> Self {
        paths.into_iter().collect()
    }
}

impl From<PathBuf> for Input {
    fn from(path: PathBuf) -> Self {
        Self::new().with_file(path)
    }
}

impl From<&Path> for Input {
    fn from(path: &Path) -> Self {
        Self::new().with_file(path)
    }
}

impl From<MemoryTable> for Input {
    fn from(table: MemoryTable) -> Self {
        Self::new().with(table)
    }
}
