//! Where a path of a workspace in a bucket leads.

use std::path::{Component, Path, PathBuf};

use crate::fs::Files;

/// Where a path leads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// To this file of the machine.
    Local(PathBuf),
    /// To something that this process alone has, in memory: temporaries, marks of sessions, scratch.
    Here(String),
    /// To a name of the bucket.
    Bucket(String),
}

/// Where a path leads, of a workspace that is called `root` and whose keys and configuration are in the local folder `local`.
pub(super) fn place(root: &Path, local: &Path, path: &Path) -> Place {
    let Ok(below) = path.strip_prefix(root) else { return Place::Local(path.to_owned()) };
    let parts: Vec<String> = (below.components())
        .filter_map(|part| match part {
            Component::Normal(name) => Some(name.to_string_lossy().into_owned()),
            _ => None,
        })
        .collect();
    let name = parts.join("/");
    let last = parts.last().map_or("", String::as_str);
    let scratch = parts.first().is_some_and(|first| first == ".scratch");
    if scratch || Files::is_temporary(last) || name == "shards/session" || name.starts_with("shards/session/") {
        Place::Here(name)
    } else if last.ends_with(".key") || name == "sisa.toml" {
        Place::Local(local.join(below))
    } else {
        Place::Bucket(name)
    }
}

/// The folder that a name is in, and its last part.
pub(super) fn split(name: &str) -> (&str, &str) {
    name.rsplit_once('/').unwrap_or(("", name))
}
