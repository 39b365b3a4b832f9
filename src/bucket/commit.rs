//! What a commit says: every name of the workspace, and which object holds its bytes.

use std::{
    collections::{BTreeMap, btree_map},
    io,
};

use serde::{Deserialize, Serialize};

use super::Objects;
use crate::digest::Digest;

/// The version of what is written here.
pub const BUCKET_FORMAT: u32 = 1;
/// Files up to this length are held by the page that names them, if they may ([`stays`]).
pub(super) const WITHIN_BYTES: usize = 4096;
/// How many names a page has before it is cut in two.
const PAGE_NAMES: usize = 256;

/// Commits are numbered from 1 and stay for ever: a number that was free again could be written twice.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Commit {
    pub(super) format: u32,
    pub(super) number: u64,
    /// The transaction that wrote it.
    pub(super) by: String,
    /// The digest of the commit before.
    pub(super) before: Option<Digest>,
    /// The names of a workspace that needs one page only.
    pub(super) page: Option<Names>,
    /// The pages of a larger one, in order of the names.
    pub(super) pages: Vec<PageAt>,
    /// Objects that no name stands for any more; they are removed before anything else is done.
    pub(super) dropped: Vec<String>,
}

/// A page in an object of its own.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct PageAt {
    /// No name of the page is before this one.
    first: String,
    pub(super) object: String,
    digest: Digest,
}

/// Names, as [`key`] orders them, and what they stand for.
pub(super) type Names = BTreeMap<String, Entry>;

/// What a name stands for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Entry {
    /// A folder.
    Folder,
    /// A file whose bytes an object is.
    File {
        /// The object.
        object: String,
        /// Its bytes.
        len: u64,
    },
    /// A small file, in base64.
    Within(#[serde(with = "in_base64")] Vec<u8>),
}

mod in_base64 {
    use base64::{Engine as _, engine::general_purpose::STANDARD};
    use serde::{Deserialize as _, Deserializer, Serializer, de::Error as _};

    pub(super) fn serialize<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&STANDARD.encode(bytes))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u8>, D::Error> {
        STANDARD.decode(String::deserialize(deserializer)?).map_err(D::Error::custom)
    }
}

impl Entry {
    /// The object that holds it, if one does.
    pub(super) fn object(&self) -> Option<&str> {
        match self {
            Entry::File { object, .. } => Some(object),
            Entry::Folder | Entry::Within(_) => None,
        }
    }
}

/// What orders names: all of one folder stand together.
pub(super) fn key(path: &str) -> String {
    match path.rsplit_once('/') {
        Some((folder, name)) => format!("{folder}//{name}"),
        None => format!("//{path}"),
    }
}

/// Whether a file may be part of pages and commits, which stay: it is one of the small ones that say what is there, or of the ledger, which
/// stays itself; never rows or what was trained on them.
pub(super) fn stays(key: &str) -> bool {
    key.ends_with(".json") || key.ends_with("//CURRENT") || key.starts_with("shards/ledger/")
}

/// What the keys of a folder's names begin with.
pub(super) fn within(folder: &str) -> String {
    format!("{folder}//")
}

/// The names of the workspace as of a commit; pages are read when somebody asks for a name that is in them.
#[derive(Clone, Debug, Default)]
pub(super) struct Base {
    /// The commit's number; 0 where there is none yet.
    pub(super) number: u64,
    digest: Option<Digest>,
    pages: Vec<Page>,
}

#[derive(Clone, Debug)]
struct Page {
    first: String,
    at: Option<PageAt>,
    names: Option<Names>,
}

impl Base {
    /// As of a commit.
    pub(super) fn of(commit: Commit, bytes: &[u8]) -> Base {
        let mut pages: Vec<Page> =
            (commit.pages.into_iter()).map(|at| Page { first: at.first.clone(), at: Some(at), names: None }).collect();
        pages.extend(commit.page.map(|names| Page { first: String::new(), at: None, names: Some(names) }));
        Base { number: commit.number, digest: Some(Digest::of(bytes)), pages }
    }

    fn page_of(&self, key: &str) -> usize {
        self.pages.partition_point(|page| page.first.as_str() <= key).saturating_sub(1)
    }

    fn names(&mut self, bucket: &dyn Objects, page: usize) -> io::Result<Option<&Names>> {
        let Some(page) = self.pages.get_mut(page) else { return Ok(None) };
        if let (None, Some(at)) = (&page.names, &page.at) {
            let bytes = bucket.get(&at.object, None)?.ok_or_else(|| io::Error::other(PageGone(at.object.clone())))?;
            if Digest::of(&bytes) != at.digest {
                return Err(damaged(&at.object, "its digest is not the one in the commit"));
            }
            page.names = Some(serde_json::from_slice(&bytes).map_err(|e| damaged(&at.object, &e.to_string()))?);
        }
        Ok(page.names.as_ref())
    }

    /// What a name stands for.
    pub(super) fn look(&mut self, bucket: &dyn Objects, key: &str) -> io::Result<Option<Entry>> {
        let page = self.page_of(key);
        Ok(self.names(bucket, page)?.and_then(|names| names.get(key)).cloned())
    }

    /// The names whose keys begin with `prefix`.
    pub(super) fn list(&mut self, bucket: &dyn Objects, prefix: &str) -> io::Result<Vec<(String, Entry)>> {
        let mut found = Vec::new();
        for page in self.page_of(prefix)..self.pages.len() {
            if self.pages.get(page).is_some_and(|page| page.first.as_str() > prefix && !page.first.starts_with(prefix)) {
                break;
            }
            let names = self.names(bucket, page)?.into_iter().flat_map(|names| names.range(prefix.to_owned()..));
            found.extend(names.take_while(|(key, _)| key.starts_with(prefix)).map(|(key, entry)| (key.clone(), entry.clone())));
        }
        Ok(found)
    }

    /// The next commit, in which these names stand for something else or for nothing. `object` names the objects of pages that changed.
    pub(super) fn next(
        &mut self,
        bucket: &dyn Objects,
        by: &str,
        changes: &BTreeMap<String, Option<Entry>>,
        mut object: impl FnMut() -> String,
    ) -> io::Result<Next> {
        let mut dropped: Vec<String> = Vec::new();
        let mut changed: BTreeMap<usize, Names> = BTreeMap::new();
        for (key, change) in changes {
            let page = self.page_of(key);
            let names = match changed.entry(page) {
                btree_map::Entry::Occupied(known) => known.into_mut(),
                btree_map::Entry::Vacant(new) => new.insert(self.names(bucket, page)?.cloned().unwrap_or_default()),
            };
            let before = match change {
                Some(entry) => names.insert(key.clone(), entry.clone()),
                None => names.remove(key),
            };
            dropped.extend(before.as_ref().and_then(Entry::object).map(str::to_owned));
        }
        let mut pages: Vec<Page> = Vec::new();
        let old =
            if self.pages.is_empty() { vec![Page { first: String::new(), at: None, names: None }] } else { self.pages.clone() };
        for (n, page) in old.into_iter().enumerate() {
            let Some(names) = changed.remove(&n) else {
                pages.push(page);
                continue;
            };
            dropped.extend(page.at.map(|at| at.object));
            pages.extend(cut(page.first, names));
        }
        pages.retain(|page| page.at.is_some() || page.names.as_ref().is_some_and(|names| !names.is_empty()));
        // What comes before all names is looked for on the first page, whose first name may be gone.
        if let Some(page) = pages.first_mut() {
            page.first.clear();
            page.at.iter_mut().for_each(|at| at.first.clear());
        }
        let (mut writes, mut commit) = (
            Vec::new(),
            Commit {
                format: BUCKET_FORMAT,
                number: self.number + 1,
                by: by.to_owned(),
                before: self.digest,
                page: None,
                pages: Vec::new(),
                dropped: Vec::new(),
            },
        );
        match pages.as_mut_slice() {
            [Page { at: None, names, .. }] => commit.page = names.clone(),
            pages => {
                for page in pages {
                    if let (None, Some(names)) = (&page.at, &page.names) {
                        let bytes = serde_json::to_vec(names)?;
                        let at = PageAt { first: page.first.clone(), object: object(), digest: Digest::of(&bytes) };
                        writes.push((at.object.clone(), bytes));
                        page.at = Some(at);
                    }
                    commit.pages.extend(page.at.clone());
                }
            }
        }
        // What was moved to another name is there still.
        let kept: Vec<&str> = changes.values().flatten().filter_map(Entry::object).collect();
        dropped.retain(|object| !kept.contains(&object.as_str()));
        dropped.sort();
        dropped.dedup();
        commit.dropped = dropped;
        Ok(Next { commit, writes, pages })
    }
}

/// A commit that may become the next one.
#[derive(Debug)]
pub(super) struct Next {
    pub(super) commit: Commit,
    /// The objects of the pages that changed, and their bytes.
    pub(super) writes: Vec<(String, Vec<u8>)>,
    pages: Vec<Page>,
}

impl Next {
    /// The names as of this commit, which was written as these bytes.
    pub(super) fn written(self, bytes: &[u8]) -> Base {
        Base { number: self.commit.number, digest: Some(Digest::of(bytes)), pages: self.pages }
    }
}

/// Pages of the names of one, of which none is larger than it may be.
fn cut(first: String, names: Names) -> Vec<Page> {
    let parts = names.len().div_ceil(PAGE_NAMES).max(1);
    let size = names.len().div_ceil(parts).max(1);
    let mut pages: Vec<Page> = Vec::new();
    let mut names = names.into_iter().peekable();
    while names.peek().is_some() {
        let part: Names = names.by_ref().take(size).collect();
        let begins = match (pages.is_empty(), part.first_key_value()) {
            (false, Some((key, _))) => key.clone(),
            _ => first.clone(),
        };
        pages.push(Page { first: begins, at: None, names: Some(part) });
    }
    pages
}

/// A page that a newer commit has dropped; where there is none, somebody removed it.
#[derive(Debug, thiserror::Error)]
#[error("the object {0}, a page of the last commit, is gone: restore the bucket, or train in another folder of it")]
pub(super) struct PageGone(String);

/// Whether a page was gone.
pub(super) fn is_page_gone(error: &io::Error) -> bool {
    error.get_ref().is_some_and(|inner| inner.is::<PageGone>())
}

/// Reads a commit.
pub(super) fn read(name: &str, bytes: &[u8]) -> io::Result<Commit> {
    let commit: Commit = serde_json::from_slice(bytes).map_err(|e| damaged(name, &e.to_string()))?;
    if commit.format != BUCKET_FORMAT {
        return Err(damaged(name, &format!("its format is {}, this program writes {BUCKET_FORMAT}", commit.format)));
    }
    Ok(commit)
}

fn damaged(object: &str, what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("the object {object} can't be used: {what}"))
}
