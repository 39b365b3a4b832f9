//! A bucket that loses answers, is late, and stops, for tests.
#![allow(dead_code, clippy::allow_attributes, reason = "each test uses some of it")]
#![expect(clippy::unwrap_used, reason = "a test stops at what it does not expect")]

use std::{
    collections::BTreeMap,
    io,
    sync::{Arc, Mutex, MutexGuard},
};

use sisa::bucket::{Listed, Objects, Tag};

/// What one write does, at the moment at which it arrives.
#[derive(Clone, Debug)]
enum Write {
    Create(String, Vec<u8>),
    Replace(String, Tag, Vec<u8>),
    Put(String, Vec<u8>),
    Delete(Vec<String>),
}

#[derive(Debug, Default)]
struct Content {
    objects: BTreeMap<String, (Vec<u8>, u64)>,
    writes: u64,
    /// Writes that are still on their way.
    late: Vec<Write>,
}

impl Content {
    fn apply(&mut self, write: Write) -> Option<Tag> {
        self.writes += 1;
        let tag = Tag { e_tag: Some(self.writes.to_string()), version: None };
        match write {
            Write::Create(name, _) if self.objects.contains_key(&name) => None,
            Write::Create(name, bytes) | Write::Put(name, bytes) => {
                self.objects.insert(name, (bytes, self.writes));
                Some(tag)
            }
            Write::Replace(name, was, bytes) => {
                let there = self.objects.get_mut(&name)?;
                if was.e_tag != Some(there.1.to_string()) {
                    return None;
                }
                *there = (bytes, self.writes);
                Some(tag)
            }
            Write::Delete(names) => {
                names.iter().for_each(|name| {
                    self.objects.remove(name);
                });
                Some(tag)
            }
        }
    }
}

/// The objects of a bucket. Clones are the same bucket.
#[derive(Clone, Debug, Default)]
pub(crate) struct Store(Arc<Mutex<Content>>);

impl Store {
    fn content(&self) -> MutexGuard<'_, Content> {
        self.0.lock().unwrap()
    }

    pub(crate) fn names(&self) -> Vec<String> {
        self.content().objects.keys().cloned().collect()
    }

    /// Objects that hold these bytes somewhere.
    pub(crate) fn holding(&self, bytes: &[u8]) -> Vec<String> {
        let content = self.content();
        let holds = |object: &[u8]| object.windows(bytes.len()).any(|window| window == bytes);
        content.objects.iter().filter(|(_, (object, _))| holds(object)).map(|(name, _)| name.clone()).collect()
    }

    /// A bucket of its own with the same objects; what is on its way arrives there too.
    pub(crate) fn copy(&self) -> Store {
        let content = self.content();
        let Content { objects, writes, late } = &*content;
        Store(Arc::new(Mutex::new(Content { objects: objects.clone(), writes: *writes, late: late.clone() })))
    }

    /// All that is on its way arrives.
    pub(crate) fn settle(&self) {
        let mut content = self.content();
        for write in std::mem::take(&mut content.late) {
            content.apply(write);
        }
    }

    /// A process that asks it, to which this happens.
    pub(crate) fn asked(&self, fault: Fault) -> Arc<Process> {
        Arc::new(Process { store: self.clone(), fault, state: Mutex::default() })
    }
}

/// What happens to the requests of a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    Nothing,
    /// It stops before its request of this number, or with it under way: done, or to be done later.
    Stops(u64, Stop),
    /// By chance from this seed: answers are lost, writes are late, and others come in between.
    Chance(u64),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stop {
    Before,
    After,
    Late,
}

/// What a process has asked so far.
#[derive(Clone, Copy, Debug, Default)]
struct Asked {
    requests: u64,
    stopped: bool,
    random: u64,
}

/// A process with its way to the bucket.
#[derive(Debug)]
pub(crate) struct Process {
    store: Store,
    fault: Fault,
    state: Mutex<Asked>,
}

impl Process {
    /// How many requests it has made.
    pub(crate) fn requests(&self) -> u64 {
        self.state.lock().unwrap().requests
    }

    fn ask(&self, write: Option<Write>) -> io::Result<Option<Tag>> {
        let mut asked = self.state.lock().unwrap();
        let lost = || Err(io::Error::other("no answer"));
        if asked.stopped {
            return lost();
        }
        asked.requests += 1;
        match self.fault {
            Fault::Nothing => {}
            Fault::Stops(number, how) if asked.requests == number => {
                asked.stopped = true;
                if let Some(write) = write {
                    match how {
                        Stop::Before => {}
                        Stop::After => {
                            self.store.content().apply(write);
                        }
                        Stop::Late => self.store.content().late.push(write),
                    }
                }
                return lost();
            }
            Fault::Stops(..) => {}
            Fault::Chance(seed) => {
                let random = |asked: &mut Asked, of: u64| {
                    asked.random = asked.random.wrapping_add(seed ^ 0x9e37_79b9_7f4a_7c15);
                    let x = (asked.random ^ (asked.random >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
                    let x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
                    (x ^ (x >> 31)) % of
                };
                if random(&mut asked, 3) == 0 {
                    std::thread::yield_now();
                }
                if random(&mut asked, 40) == 0 {
                    let mut content = self.store.content();
                    if let Some(at) = (!content.late.is_empty()).then(|| random(&mut asked, content.late.len() as u64)) {
                        let write = content.late.swap_remove(at as usize);
                        content.apply(write);
                    }
                }
                match (random(&mut asked, 600), &write) {
                    (0, Some(write)) => {
                        self.store.content().late.push(write.clone());
                        return lost();
                    }
                    (1, Some(write)) => {
                        self.store.content().apply(write.clone());
                        return lost();
                    }
                    (2, _) => return lost(),
                    _ => {}
                }
            }
        }
        drop(asked);
        Ok(write.and_then(|write| self.store.content().apply(write)))
    }
}

impl Objects for Process {
    fn get(&self, name: &str, first: Option<usize>) -> io::Result<Option<Vec<u8>>> {
        self.ask(None)?;
        let content = self.store.content();
        Ok(content.objects.get(name).map(|(bytes, _)| bytes.get(..first.unwrap_or(usize::MAX)).unwrap_or(bytes).to_vec()))
    }

    fn create(&self, name: &str, bytes: &[u8]) -> io::Result<Option<Tag>> {
        self.ask(Some(Write::Create(name.into(), bytes.into())))
    }

    fn replace(&self, name: &str, tag: &Tag, bytes: &[u8]) -> io::Result<bool> {
        Ok(self.ask(Some(Write::Replace(name.into(), tag.clone(), bytes.into())))?.is_some())
    }

    fn put(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        self.ask(Some(Write::Put(name.into(), bytes.into()))).map(|_| ())
    }

    fn list(&self, prefix: &str, after: Option<&str>) -> io::Result<Vec<Listed>> {
        self.ask(None)?;
        let (content, folder) = (self.store.content(), format!("{prefix}/"));
        let names = content
            .objects
            .iter()
            .filter(|(name, _)| name.starts_with(&folder) && after.is_none_or(|after| name.as_str() > after));
        Ok(names.map(|(name, (bytes, _))| Listed { name: name.clone(), len: bytes.len() as u64 }).collect())
    }

    fn delete(&self, names: &[String]) -> io::Result<()> {
        self.ask(Some(Write::Delete(names.to_vec()))).map(|_| ())
    }

    fn keeps_versions(&self, written: &Tag) -> bool {
        written.version.is_some()
    }
}
