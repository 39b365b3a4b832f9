//! The disk that the engine sees.

use std::{
    collections::BTreeSet,
    io,
    path::Path,
    sync::{Arc, Mutex, MutexGuard},
};

use sisa::fs::{AlignedBuf, Bytes, Disk, EntryKind, FileStat, LockGuard, ScratchFile, Writable};

use super::{
    Coin, Fault,
    fault::{Kind, Meter},
    image::{Change, Image, Ino, Node},
};

#[derive(Debug)]
pub struct State {
    pub image: Image,
    pub meter: Meter,
    locks: BTreeSet<Ino>,
}

/// A disk in memory. Clones are the same disk.
#[derive(Clone, Debug)]
pub struct SimDisk(Arc<Mutex<State>>);

impl SimDisk {
    /// A disk with these files; what is pending on it stays pending.
    pub fn of(image: Image) -> SimDisk {
        SimDisk(Arc::new(Mutex::new(State { image, meter: Meter::default(), locks: BTreeSet::new() })))
    }

    /// The same files under a new process, with a fault in its way.
    pub fn restarted(&self, fault: Fault) -> SimDisk {
        let disk = SimDisk::of(self.image());
        disk.state().meter.fault = fault;
        disk
    }

    /// What is there after a power cut now, under a new process.
    pub fn crashed(&self, coin: Coin) -> SimDisk {
        SimDisk::of(self.state().image.crash(coin))
    }

    pub fn image(&self) -> Image {
        self.state().image.clone()
    }

    pub fn meter(&self) -> Meter {
        self.state().meter.clone()
    }

    /// Puts a file in place, durably and uncounted.
    pub fn put(&self, path: &Path, bytes: &[u8]) {
        let image = &mut self.state().image;
        let mut dir = 0;
        for part in path.parent().unwrap().iter().skip(1) {
            let name = part.to_str().unwrap();
            dir = match image.names(dir).unwrap().get(name) {
                Some(ino) => *ino,
                None => add(image, dir, name, Node::dir()).unwrap(),
            };
        }
        let file = Node::File { live: bytes.to_vec(), durable: Vec::new(), dirty: true, mode: 0o644 };
        add(image, dir, path.file_name().unwrap().to_str().unwrap(), file).unwrap();
        image.settle();
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap()
    }

    fn lock_node(&self, ino: Ino, wait: bool, path: &Path) -> Option<Box<dyn LockGuard>> {
        if !self.state().locks.insert(ino) {
            assert!(!wait, "{} is locked by this thread already: a deadlock", path.display());
            return None;
        }
        Some(Box::new(Locked(self.clone(), ino)))
    }
}

fn add(image: &mut Image, dir: Ino, name: &str, node: Node) -> io::Result<Ino> {
    let ino = image.nodes.len();
    image.change(dir, Change::Link(name.to_owned(), ino))?;
    image.nodes.push(node);
    Ok(ino)
}

fn kind(node: &Node) -> EntryKind {
    match node {
        Node::File { .. } => EntryKind::File,
        Node::Dir { .. } => EntryKind::Dir,
    }
}

#[derive(Debug)]
struct Locked(SimDisk, Ino);

impl LockGuard for Locked {}

impl Drop for Locked {
    fn drop(&mut self) {
        self.0.state().locks.remove(&self.1);
    }
}

#[derive(Debug)]
struct Held;

impl LockGuard for Held {}

#[derive(Debug)]
struct Writing {
    disk: SimDisk,
    ino: Ino,
    name: String,
    _lock: Option<Box<dyn LockGuard>>,
}

impl Writable for Writing {
    fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        let mut state = self.disk.state();
        let failed = state.meter.count(Kind::Write, || format!("write {} bytes to {}", bytes.len(), self.name));
        let stopped = state.meter.running().is_err();
        if let Node::File { live, dirty, .. } = &mut state.image.nodes[self.ino] {
            match failed {
                Ok(()) => live.extend_from_slice(bytes),
                Err(_) if stopped => {}
                Err(_) => live.extend_from_slice(&bytes[..bytes.len() / 2]),
            }
            *dirty = true;
        }
        failed
    }

    fn sync(&mut self) -> io::Result<()> {
        let mut state = self.disk.state();
        state.meter.count(Kind::Sync, || format!("sync {}", self.name))?;
        state.image.sync(self.ino);
        Ok(())
    }
}

#[derive(Debug)]
struct Scrap(SimDisk, Mutex<Vec<u8>>);

impl ScratchFile for Scrap {
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.0.state().meter.count(Kind::Write, || format!("write {} bytes of scratch", bytes.len()))?;
        let (mut content, offset) = (self.1.lock().unwrap(), offset as usize);
        let len = content.len().max(offset + bytes.len());
        content.resize(len, 0);
        content[offset..offset + bytes.len()].copy_from_slice(bytes);
        Ok(())
    }

    fn read_at(&self, out: &mut [u8], offset: u64) -> io::Result<()> {
        self.0.state().meter.running()?;
        let (content, offset) = (self.1.lock().unwrap(), offset as usize);
        out.copy_from_slice(content.get(offset..offset + out.len()).ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }
}

impl Disk for SimDisk {
    fn create(&self, path: &Path, private: bool) -> io::Result<Box<dyn Writable>> {
        let mut state = self.state();
        state.meter.count(Kind::Write, || format!("create {}", path.display()))?;
        let (dir, name) = state.image.place(path)?;
        if state.image.names(dir)?.contains_key(&name) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        let ino = add(&mut state.image, dir, &name, Node::file(if private { 0o600 } else { 0o644 }))?;
        drop(state);
        Ok(Box::new(Writing {
            disk: self.clone(),
            ino,
            name: path.display().to_string(),
            _lock: self.lock_node(ino, false, path),
        }))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut state = self.state();
        state.meter.count(Kind::Name, || format!("rename {} to {}", from.display(), to.display()))?;
        let ((dir, from), (to_dir, to)) = (state.image.place(from)?, state.image.place(to)?);
        assert_eq!(dir, to_dir, "renames are within one folder");
        let ino = *state.image.names(dir)?.get(&from).ok_or(io::ErrorKind::NotFound)?;
        state.image.change(dir, Change::Rename(from, to, ino))
    }

    fn unlink(&self, path: &Path) -> io::Result<()> {
        let mut state = self.state();
        state.meter.count(Kind::Name, || format!("unlink {}", path.display()))?;
        let ((dir, name), ino) = (state.image.place(path)?, state.image.node(path)?);
        if kind(&state.image.nodes[ino]) != EntryKind::File {
            return Err(io::ErrorKind::IsADirectory.into());
        }
        state.image.change(dir, Change::Unlink(name))
    }

    fn make_dir(&self, path: &Path) -> io::Result<()> {
        let mut state = self.state();
        state.meter.count(Kind::Write, || format!("make folder {}", path.display()))?;
        let (dir, name) = state.image.place(path)?;
        match state.image.names(dir)?.get(&name) {
            None => add(&mut state.image, dir, &name, Node::dir()).map(|_| ()),
            Some(ino) if kind(&state.image.nodes[*ino]) == EntryKind::Dir => Ok(()),
            Some(_) => Err(io::ErrorKind::AlreadyExists.into()),
        }
    }

    fn remove_dir(&self, path: &Path) -> io::Result<()> {
        let mut state = self.state();
        state.meter.count(Kind::Name, || format!("remove folder {}", path.display()))?;
        let ((dir, name), ino) = (state.image.place(path)?, state.image.node(path)?);
        if !state.image.names(ino)?.is_empty() {
            return Err(io::ErrorKind::DirectoryNotEmpty.into());
        }
        state.image.change(dir, Change::Unlink(name))
    }

    fn list(&self, path: &Path) -> io::Result<Vec<(String, EntryKind)>> {
        let mut state = self.state();
        state.meter.running()?;
        state.meter.lists += 1;
        let names = state.image.names(state.image.node(path)?)?;
        Ok(names.iter().map(|(name, ino)| (name.clone(), kind(&state.image.nodes[*ino]))).collect())
    }

    fn read(&self, path: &Path) -> io::Result<Bytes> {
        let (bytes, _) = self.head(path, usize::MAX)?;
        Ok(Bytes::owned(AlignedBuf::copy_of(&bytes)))
    }

    fn head(&self, path: &Path, len: usize) -> io::Result<(Vec<u8>, u64)> {
        let mut state = self.state();
        state.meter.running()?;
        state.meter.reads += 1;
        match &state.image.nodes[state.image.node(path)?] {
            Node::File { live, .. } => Ok((live[..len.min(live.len())].to_vec(), live.len() as u64)),
            Node::Dir { .. } => Err(io::ErrorKind::IsADirectory.into()),
        }
    }

    fn stat(&self, path: &Path) -> io::Result<FileStat> {
        let mut state = self.state();
        state.meter.running()?;
        state.meter.looks += 1;
        Ok(match &state.image.nodes[state.image.node(path)?] {
            Node::File { live, mode, .. } => FileStat { kind: EntryKind::File, len: live.len() as u64, mode: *mode },
            Node::Dir { .. } => FileStat { kind: EntryKind::Dir, len: 0, mode: 0o755 },
        })
    }

    fn sync_file(&self, path: &Path) -> io::Result<()> {
        let mut state = self.state();
        state.meter.count(Kind::Sync, || format!("sync file {}", path.display()))?;
        let ino = state.image.node(path)?;
        state.image.sync(ino);
        Ok(())
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        let mut state = self.state();
        state.meter.count(Kind::Sync, || format!("sync folder {}", path.display()))?;
        let ino = state.image.node(path)?;
        state.image.names(ino)?;
        state.image.sync(ino);
        Ok(())
    }

    fn lock(&self, path: &Path, wait: bool) -> io::Result<Option<Box<dyn LockGuard>>> {
        let ino = {
            let mut state = self.state();
            state.meter.running()?;
            state.meter.lists += 1;
            state.image.node(path)?
        };
        Ok(self.lock_node(ino, wait, path))
    }

    fn hold(&self, path: &Path) -> io::Result<Box<dyn LockGuard>> {
        let state = self.state();
        state.meter.running()?;
        state.image.node(path)?;
        Ok(Box::new(Held))
    }

    fn scratch(&self, dir: &Path) -> io::Result<Box<dyn ScratchFile>> {
        let mut state = self.state();
        state.meter.count(Kind::Write, || format!("create scratch in {}", dir.display()))?;
        state.image.node(dir)?;
        Ok(Box::new(Scrap(self.clone(), Mutex::default())))
    }

    fn reached(&self, point: &str) {
        let mut state = self.state();
        if !state.meter.failed {
            state.meter.point = point.to_owned();
        }
    }
}
