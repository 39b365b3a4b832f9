//! What a process sees: the names of a commit, what it changed beside them, and what it alone has.

use std::{
    collections::BTreeMap,
    io,
    sync::{Arc, Mutex},
};

use super::{
    Objects,
    commit::{Base, Entry, key, within},
    place::split,
};
use crate::fs::{AlignedBuf, Bytes};

/// What a name stands for.
#[derive(Clone, Debug)]
pub(super) enum Node {
    /// A folder.
    Folder,
    /// A file in memory.
    Bytes(Bytes),
    /// A file of the bucket.
    Object {
        /// The object.
        object: String,
        /// Its bytes.
        len: u64,
    },
    /// A file that is being written, and whether its owner alone may read it.
    Growing(Arc<Mutex<Vec<u8>>>, bool),
}

impl Node {
    /// A file that holds these bytes.
    pub(super) fn holding(bytes: &[u8]) -> Node {
        Node::Bytes(Bytes::owned(AlignedBuf::copy_of(bytes)))
    }

    /// Whether it is a folder.
    pub(super) fn is_folder(&self) -> bool {
        matches!(self, Node::Folder)
    }
}

impl From<Entry> for Node {
    fn from(entry: Entry) -> Node {
        match entry {
            Entry::Folder => Node::Folder,
            Entry::File { object, len } => Node::Object { object, len },
            Entry::Within(bytes) => Node::holding(&bytes),
        }
    }
}

/// What a process sees.
#[derive(Debug, Default)]
pub(super) struct View {
    /// The commit that it goes on from.
    pub(super) base: Base,
    /// By key, what it changed: nothing where a name was removed.
    pub(super) changes: BTreeMap<String, Option<Node>>,
    /// What is in memory alone, by key.
    here: BTreeMap<String, Node>,
}

impl View {
    /// What a name of the bucket stands for.
    pub(super) fn look(&mut self, bucket: &dyn Objects, name: &str) -> io::Result<Option<Node>> {
        if name.is_empty() {
            return Ok(Some(Node::Folder));
        }
        let key = key(name);
        match self.changes.get(&key) {
            Some(changed) => Ok(changed.clone()),
            None => Ok(self.base.look(bucket, &key)?.map(Node::from)),
        }
    }

    /// What a name that this process alone has stands for.
    pub(super) fn look_here(&self, name: &str) -> Option<Node> {
        // There before the first writer makes it: an empty folder of marks tells nothing.
        if name == "shards/session" && self.base.number > 0 {
            return Some(Node::Folder);
        }
        self.here.get(&key(name)).cloned()
    }

    /// Whether something can be put into a folder.
    pub(super) fn is_folder(&mut self, bucket: &dyn Objects, name: &str) -> io::Result<bool> {
        Ok(match self.look_here(name) {
            Some(node) => node.is_folder(),
            None => self.look(bucket, name)?.is_some_and(|node| node.is_folder()),
        })
    }

    /// The names in a folder, with what they stand for, in no order.
    pub(super) fn list(&mut self, bucket: &dyn Objects, folder: &str) -> io::Result<Vec<(String, Node)>> {
        let prefix = within(folder);
        let mut found: BTreeMap<String, Node> =
            self.base.list(bucket, &prefix)?.into_iter().map(|(key, entry)| (key, Node::from(entry))).collect();
        for (key, change) in self.changes.range(prefix.clone()..).take_while(|(key, _)| key.starts_with(&prefix)) {
            match change {
                Some(node) => found.insert(key.clone(), node.clone()),
                None => found.remove(key),
            };
        }
        let here = self.here.range(prefix.clone()..).take_while(|(key, _)| key.starts_with(&prefix));
        found.extend(here.map(|(key, node)| (key.clone(), node.clone())));
        Ok(found.into_iter().map(|(key, node)| (key.get(prefix.len()..).unwrap_or_default().to_owned(), node)).collect())
    }

    /// Changes what a name of the bucket stands for.
    pub(super) fn change(&mut self, name: &str, node: Option<Node>) {
        self.changes.insert(key(name), node);
    }

    /// Changes what a name stands for that this process alone has. Returns what it stood for.
    pub(super) fn change_here(&mut self, name: &str, node: Option<Node>) -> Option<Node> {
        match node {
            Some(node) => self.here.insert(key(name), node),
            None => self.here.remove(&key(name)),
        }
    }

    /// Gives what this process alone has another name, with all that is in it.
    pub(super) fn rename_here(&mut self, from: &str, to: &str) -> bool {
        let Some(node) = self.here.remove(&key(from)) else { return false };
        let below = format!("{from}/");
        let moved: Vec<(String, Node)> = (self.here.iter())
            .filter_map(|(at, node)| {
                let name = at.replacen("//", "/", 1);
                name.starts_with(&below).then(|| (name, node.clone()))
            })
            .collect();
        for (name, node) in moved {
            self.here.remove(&key(&name));
            self.here.insert(key(&format!("{to}/{}", name.get(below.len()..).unwrap_or_default())), node);
        }
        self.here.insert(key(to), node);
        true
    }

    /// Whether the folder that a name is in is there.
    pub(super) fn has_above(&mut self, bucket: &dyn Objects, name: &str) -> io::Result<bool> {
        self.is_folder(bucket, split(name).0)
    }
}
