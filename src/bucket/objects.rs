//! What a workspace needs of a bucket: six operations, so that a test can stand in for it.

use std::{fmt::Debug, io};

/// Which writing of an object somebody saw: a condition of the next one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tag {
    /// What the bucket calls the content or its generation.
    pub e_tag: Option<String>,
    /// The version, where the bucket says one.
    pub version: Option<String>,
}

/// A name of a bucket, and how many bytes it stands for.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Listed {
    /// The object's name.
    pub name: String,
    /// Its bytes.
    pub len: u64,
}

/// Objects that are written whole, under conditions. What a call has written when it returns is durable, and every later call sees it.
pub trait Objects: Debug + Send + Sync {
    /// An object's bytes, or the first so many of them; `None` when nothing has the name.
    ///
    /// # Errors
    /// As the bucket says.
    fn get(&self, name: &str, first: Option<usize>) -> io::Result<Option<Vec<u8>>>;

    /// Writes an object whose name nothing has; `None` when something has it.
    ///
    /// # Errors
    /// As the bucket says; whether it is written is not known then.
    fn create(&self, name: &str, bytes: &[u8]) -> io::Result<Option<Tag>>;

    /// Writes over an object that is still the one that `tag` was given for; `false` when it is another, or gone.
    ///
    /// # Errors
    /// As the bucket says; whether it is written is not known then.
    fn replace(&self, name: &str, tag: &Tag, bytes: &[u8]) -> io::Result<bool>;

    /// Writes an object, whatever has its name.
    ///
    /// # Errors
    /// As the bucket says; whether it is written is not known then.
    fn put(&self, name: &str, bytes: &[u8]) -> io::Result<()>;

    /// The objects whose names begin with the folder `prefix`, in order of their names, those behind `after` alone if it is given.
    ///
    /// # Errors
    /// As the bucket says.
    fn list(&self, prefix: &str, after: Option<&str>) -> io::Result<Vec<Listed>>;

    /// Removes objects; fine when they are gone already.
    ///
    /// # Errors
    /// As the bucket says.
    fn delete(&self, names: &[String]) -> io::Result<()>;

    /// Whether what is removed or written over is kept as an older version: what the bucket said when it wrote an object.
    fn keeps_versions(&self, written: &Tag) -> bool;
}
