//! Files and folders, each as the running system sees it and as the platters have it.

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    path::{Component, Path, PathBuf},
};

/// A number that stands for a file or folder, whatever its names.
pub type Ino = usize;

pub type Names = BTreeMap<String, Ino>;

/// A change of a folder that is not durable yet.
#[derive(Clone, Debug)]
pub enum Change {
    Link(String, Ino),
    Unlink(String),
    Rename(String, String, Ino),
}

impl Change {
    pub fn apply(&self, names: &mut Names) {
        match self {
            Change::Link(name, ino) => {
                names.insert(name.clone(), *ino);
            }
            Change::Unlink(name) => {
                names.remove(name);
            }
            Change::Rename(from, to, ino) => {
                if names.get(from) == Some(ino) {
                    names.remove(from);
                }
                names.insert(to.clone(), *ino);
            }
        }
    }
}

#[derive(Clone, Debug)]
pub enum Node {
    File { live: Vec<u8>, durable: Vec<u8>, dirty: bool, mode: u32 },
    Dir { live: Names, durable: Names, pending: Vec<Change> },
}

impl Node {
    pub fn file(mode: u32) -> Node {
        Node::File { live: Vec::new(), durable: Vec::new(), dirty: true, mode }
    }

    pub fn dir() -> Node {
        Node::Dir { live: Names::new(), durable: Names::new(), pending: Vec::new() }
    }
}

/// How a power cut falls out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Coin {
    /// Nothing that was not synced is there.
    Lost,
    /// All names are there; content that was not synced is damaged.
    Torn(u64),
    /// A coin for each change.
    Seed(u64),
}

/// Everything on a disk. Node 0 is the root folder.
#[derive(Clone, Debug)]
pub struct Image {
    pub nodes: Vec<Node>,
}

/// splitmix64.
struct Random(u64);

impl Random {
    fn below(&mut self, n: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut x = self.0;
        x = (x ^ x >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        x = (x ^ x >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        (x ^ x >> 31) % n
    }
}

impl Image {
    pub fn new() -> Image {
        Image { nodes: vec![Node::dir()] }
    }

    pub fn node(&self, path: &Path) -> io::Result<Ino> {
        let mut at = 0;
        for part in path.components() {
            let Component::Normal(name) = part else { continue };
            let Node::Dir { live, .. } = &self.nodes[at] else { return Err(io::ErrorKind::NotADirectory.into()) };
            at = *live.get(name.to_str().unwrap()).ok_or(io::ErrorKind::NotFound)?;
        }
        Ok(at)
    }

    /// The folder that a path is in, and the path's name there.
    pub fn place(&self, path: &Path) -> io::Result<(Ino, String)> {
        let name = path.file_name().ok_or(io::ErrorKind::InvalidInput)?.to_str().unwrap().to_owned();
        Ok((self.node(path.parent().unwrap())?, name))
    }

    pub fn names(&self, dir: Ino) -> io::Result<&Names> {
        match &self.nodes[dir] {
            Node::Dir { live, .. } => Ok(live),
            Node::File { .. } => Err(io::ErrorKind::NotADirectory.into()),
        }
    }

    pub fn change(&mut self, dir: Ino, change: Change) -> io::Result<()> {
        let Node::Dir { live, pending, .. } = &mut self.nodes[dir] else { return Err(io::ErrorKind::NotADirectory.into()) };
        change.apply(live);
        pending.push(change);
        Ok(())
    }

    pub fn sync(&mut self, ino: Ino) {
        match &mut self.nodes[ino] {
            Node::File { live, durable, dirty, .. } => {
                durable.clone_from(live);
                *dirty = false;
            }
            Node::Dir { live, durable, pending } => {
                durable.clone_from(live);
                pending.clear();
            }
        }
    }

    /// Everything there is becomes durable, as after some quiet minutes.
    pub fn settle(&mut self) {
        (0..self.nodes.len()).for_each(|ino| self.sync(ino));
    }

    /// What is there after a power cut.
    pub fn crash(&self, coin: Coin) -> Image {
        let mut random = Random(match coin {
            Coin::Lost => 0,
            Coin::Torn(seed) | Coin::Seed(seed) => seed,
        });
        let mut after = self.clone();
        for node in &mut after.nodes {
            match node {
                Node::File { live, durable, dirty, .. } => {
                    if *dirty {
                        *live = match coin {
                            Coin::Lost => durable.clone(),
                            Coin::Torn(_) => tear(live, 1 + random.below(3), &mut random),
                            Coin::Seed(_) => tear(live, random.below(4), &mut random),
                        };
                    }
                }
                Node::Dir { live, durable, pending } => {
                    let mut names = durable.clone();
                    for change in pending.iter() {
                        let kept = match coin {
                            Coin::Lost => false,
                            Coin::Torn(_) => true,
                            Coin::Seed(_) => random.below(2) == 0,
                        };
                        if kept {
                            change.apply(&mut names);
                        }
                    }
                    *live = names;
                }
            }
        }
        after.settle();
        after
    }

    /// Every file by path, and every folder.
    pub fn tree(&self) -> (BTreeMap<PathBuf, Vec<u8>>, BTreeSet<PathBuf>) {
        let (mut files, mut dirs) = (BTreeMap::new(), BTreeSet::new());
        let mut queue = vec![(PathBuf::new(), 0)];
        while let Some((path, ino)) = queue.pop() {
            match &self.nodes[ino] {
                Node::File { live, .. } => {
                    files.insert(path, live.clone());
                }
                Node::Dir { live, .. } => {
                    queue.extend(live.iter().map(|(name, ino)| (path.join(name), *ino)));
                    dirs.insert(path);
                }
            }
        }
        (files, dirs)
    }
}

fn tear(live: &[u8], how: u64, random: &mut Random) -> Vec<u8> {
    let cut = random.below(live.len() as u64 + 1) as usize;
    match how {
        0 => live.to_vec(),
        1 => Vec::new(),
        2 => live[..cut].to_vec(),
        _ => {
            // The length got there before the blocks did.
            let mut torn = live.to_vec();
            torn[cut..].fill(0);
            torn
        }
    }
}
