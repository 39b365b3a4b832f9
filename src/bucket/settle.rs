//! Commits: how the last one is found, and how the next one is made.
//!
//! **Reserve, look, fill.** An object is written in three steps: a *ticket* of sixteen bytes is created under a name that no other
//! transaction uses; the commits are listed, and if there is a newer one than that which the transaction rests on, it is given up; the bytes
//! are written over the ticket, on condition that it still is the ticket. Whoever publishes a commit removes after it everything that other
//! transactions have written beside older commits, tickets too. So either the look sees that commit, or the ticket is gone when the bytes
//! come, however late they come: of rows that were deleted nothing is left that no commit names.

use std::{
    collections::BTreeMap,
    io,
    sync::atomic::{AtomicUsize, Ordering},
};

use serde::{Deserialize, Serialize};

use super::{
    Tag,
    commit::{self, Base, Commit, Entry, WITHIN_BYTES, within},
    disk::{Shared, State, guard},
    probe,
    view::Node,
};
use crate::fs::{Overtaken, random_key};

/// Where commits are.
const LOG: &str = "log";
/// Where objects are, in a folder for each transaction.
const OBJECTS: &str = "objects";
/// Where the transactions are named that have written objects and not removed what they leave.
const WORK: &str = "work";
/// Which commit is not older than the last by much, and up to which all is removed that was dropped. It may be stale.
const HINT: &str = "hint.json";
/// How many requests of one kind are under way at once.
const AT_ONCE: usize = 16;
/// How often it is asked whether a commit was written whose answer was lost.
const ASKED: usize = 5;

/// Objects on their way into a commit.
#[derive(Debug)]
pub(super) struct Transaction {
    /// The number of the commit that it rests on, and a nonce.
    name: String,
    /// What it has written, or tried to.
    objects: Vec<String>,
    /// Whether its mark is there.
    marked: bool,
}

#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Hint {
    number: u64,
    swept: u64,
}

fn commit_name(number: u64) -> String {
    format!("{LOG}/{number:020}.json")
}

fn number_of(name: &str) -> Option<u64> {
    name.strip_prefix(LOG)?.strip_prefix('/')?.strip_suffix(".json")?.parse().ok()
}

impl State {
    /// The mark by which others find the objects of the transaction, where it is not written yet.
    fn mark(&self) -> Option<String> {
        self.transaction
            .as_ref()
            .filter(|transaction| !transaction.marked)
            .map(|transaction| format!("{WORK}/{}", transaction.name))
    }

    fn marked(&mut self) {
        self.transaction.iter_mut().for_each(|transaction| transaction.marked = true);
    }
}

impl Shared {
    /// Reads the last commit, once; finishes what its writer may have left to be removed.
    pub(super) fn open(&self, state: &mut State) -> io::Result<()> {
        if state.opened {
            return Ok(());
        }
        let hint = self.hinted()?;
        match self.newest(hint.number.saturating_sub(1))? {
            None => probe(&*self.bucket, &nonce()?)?,
            Some(number) => {
                let (commit, bytes) = self.commit(number)?.ok_or_else(|| lost(number))?;
                self.finish(&hint, &commit)?;
                state.view.base = Base::of(commit, &bytes);
            }
        }
        (state.opened, state.fresh) = (true, true);
        Ok(())
    }

    /// Sees what others have published. Only where nothing was changed beside the commit seen so far.
    pub(super) fn refresh(&self, state: &mut State) -> io::Result<()> {
        if let Some(number) = self.newest(state.view.base.number)? {
            let (commit, bytes) = self.commit(number)?.ok_or_else(|| lost(number))?;
            self.finish(&self.hinted()?, &commit)?;
            state.view.base = Base::of(commit, &bytes);
            guard(&self.kept).clear();
        }
        state.fresh = true;
        Ok(())
    }

    /// Removes what commits have dropped, if their writers have not come to that yet: whoever sees a commit may say what it says.
    fn finish(&self, hint: &Hint, commit: &Commit) -> io::Result<()> {
        for older in hint.swept + 1..commit.number {
            let dropped = self.commit(older)?.ok_or_else(|| lost(older))?.0.dropped;
            self.bucket.delete(&dropped)?;
        }
        if hint.swept < commit.number {
            self.bucket.delete(&commit.dropped)?;
            self.sweep(commit.number)?;
            self.hint(commit.number)?;
        }
        Ok(())
    }

    fn hinted(&self) -> io::Result<Hint> {
        Ok(match self.bucket.get(HINT, None)? {
            // A hint that can't be read is none.
            Some(bytes) => serde_json::from_slice(&bytes).unwrap_or_default(),
            None => Hint::default(),
        })
    }

    /// The last commit behind this one.
    fn newest(&self, behind: u64) -> io::Result<Option<u64>> {
        let after = (behind > 0).then(|| commit_name(behind));
        Ok(self.bucket.list(LOG, after.as_deref())?.iter().filter_map(|object| number_of(&object.name)).max())
    }

    fn commit(&self, number: u64) -> io::Result<Option<(Commit, Vec<u8>)>> {
        let name = commit_name(number);
        match self.bucket.get(&name, None)? {
            Some(bytes) => Ok(Some((commit::read(&name, &bytes)?, bytes))),
            None => Ok(None),
        }
    }

    fn hint(&self, number: u64) -> io::Result<()> {
        self.bucket.put(HINT, &serde_json::to_vec(&Hint { number, swept: number })?)
    }

    /// Gives up what was changed: a commit of somebody else came first.
    pub(super) fn overtaken(&self, state: &mut State) -> io::Error {
        if let Some(transaction) = state.transaction.take() {
            // Who came first removes it as well.
            let _ = self.bucket.delete(&transaction.objects);
            let _ = self.bucket.delete(&[format!("{WORK}/{}", transaction.name)]);
        }
        state.overtaken += 1;
        let (mut before, changes) = (state.view.base.clone(), std::mem::take(&mut state.view.changes));
        let refreshed = self.refresh(state).and_then(|()| self.carry_over(state, &mut before, changes));
        match refreshed {
            // One more has come meanwhile: that is found when somebody looks again.
            Err(e) if !commit::is_page_gone(&e) => e,
            _ => io::Error::other(Overtaken),
        }
    }

    /// Keeps the checkpoints of shards of which others changed neither a slice nor a checkpoint: what they follow from is as it was.
    fn carry_over(&self, state: &mut State, before: &mut Base, changes: BTreeMap<String, Option<Node>>) -> io::Result<()> {
        let mut same: BTreeMap<String, bool> = BTreeMap::new();
        for (key, node) in changes {
            let (folder, Some(Node::Bytes(_))) = (key.split_once("//").map_or("", |(folder, _)| folder), &node) else { continue };
            let ["checkpoints", generation, _, shard] = folder.split('/').collect::<Vec<_>>()[..] else { continue };
            let kept = match same.get(folder) {
                Some(kept) => *kept,
                None => {
                    let slices = within(&format!("shards/{generation}/{shard}"));
                    let mut kept = true;
                    for prefix in [slices, within(folder)] {
                        // Names that can't be read any more are gone because something was changed there.
                        let lists = (before.list(&*self.bucket, &prefix), state.view.base.list(&*self.bucket, &prefix)?);
                        kept &= matches!(lists, (Ok(before), now) if before == now);
                    }
                    // Of a folder that was not there yet nothing is known.
                    kept &= state.view.base.look(&*self.bucket, &commit::key(folder))?.is_some();
                    same.insert(folder.to_owned(), kept);
                    kept
                }
            };
            if kept {
                state.view.changes.insert(key, node);
            }
        }
        Ok(())
    }

    /// Names for objects of the transaction, which is begun if there is none.
    fn objects(&self, state: &mut State, count: usize) -> io::Result<Vec<String>> {
        if state.transaction.is_none() {
            let name = format!("{:020}-{}", state.view.base.number, nonce()?);
            state.transaction = Some(Transaction { name, objects: Vec::new(), marked: false });
        }
        let Some(Transaction { name, objects, .. }) = &mut state.transaction else { return Ok(Vec::new()) };
        let first = objects.len();
        objects.extend((first..first + count).map(|n| format!("{OBJECTS}/{name}/{n}")));
        Ok(objects.get(first..).unwrap_or_default().to_vec())
    }

    /// Writes one object ahead of its commit. Returns what it is called.
    pub(super) fn upload_one(&self, bytes: &[u8]) -> io::Result<String> {
        let (names, base) = {
            let mut state = guard(&self.state);
            self.open(&mut state)?;
            let names = self.objects(&mut state, 1)?;
            // Before it, as other threads fill objects under the same mark.
            if let Some(mark) = state.mark() {
                self.bucket.put(&mark, b"")?;
                state.marked();
            }
            (names, state.view.base.number)
        };
        let name = names.first().cloned().unwrap_or_default();
        if self.upload(base, None, &[(name.clone(), bytes)])? {
            return Ok(name);
        }
        Err(self.overtaken(&mut guard(&self.state)))
    }

    /// Reserves, looks, fills. `false` where a newer commit than `base` is there.
    fn upload(&self, base: u64, mark: Option<String>, objects: &[(String, &[u8])]) -> io::Result<bool> {
        let mark = mark.map(|mark| (mark, None));
        let reserved: Vec<_> = mark.into_iter().chain(objects.iter().map(|(name, bytes)| (name.clone(), Some(bytes)))).collect();
        let tickets = at_once(&reserved, |(name, bytes)| match bytes {
            // Before any object is filled: a ticket alone tells nothing.
            None => self.bucket.put(name, b"").map(|()| None),
            Some(_) => {
                let ticket = random_key()?;
                self.bucket.create(name, ticket.get(..16).unwrap_or_default())
            }
        })?;
        let tickets = tickets.into_iter().skip(reserved.len() - objects.len());
        if self.newest(base)?.is_some() {
            return Ok(false);
        }
        let filled = at_once(&objects.iter().zip(tickets).collect::<Vec<_>>(), |((name, bytes), ticket)| match ticket {
            Some(ticket) => self.fill(name, ticket, bytes),
            // The answer to a creation that was tried twice may have been lost; nobody else uses the name, so it is given up as a whole.
            None => Err(io::Error::other(format!("the bucket says that {name} is there already; try again"))),
        })?;
        Ok(filled.into_iter().all(|filled| filled))
    }

    fn fill(&self, name: &str, ticket: &Tag, bytes: &[u8]) -> io::Result<bool> {
        // Where the answer was lost, the object is longer than a ticket.
        Ok(self.bucket.replace(name, ticket, bytes)? || self.bucket.get(name, None)?.is_some_and(|there| there == bytes))
    }

    /// Publishes all that was changed, as the next commit.
    pub(super) fn settle(&self) -> io::Result<()> {
        let mut state = guard(&self.state);
        if !state.opened {
            return Ok(());
        }
        let state = &mut *state;
        let mut changes: BTreeMap<String, Option<Entry>> = BTreeMap::new();
        let mut waiting: Vec<(String, crate::fs::Bytes)> = Vec::new();
        let changed = state.view.changes.clone();
        for (key, node) in &changed {
            let before = match state.view.base.look(&*self.bucket, key) {
                Err(e) if commit::is_page_gone(&e) => return Err(self.overtaken(state)),
                looked => looked?,
            };
            let entry = match node {
                None => None,
                Some(Node::Folder) => Some(Entry::Folder),
                Some(Node::Object { object, len }) => Some(Entry::File { object: object.clone(), len: *len }),
                Some(Node::Bytes(bytes)) if bytes.len() <= WITHIN_BYTES && commit::stays(key) => {
                    Some(Entry::Within(bytes.to_vec()))
                }
                Some(Node::Bytes(bytes)) => {
                    waiting.push((key.clone(), bytes.clone()));
                    continue;
                }
                Some(Node::Growing(..)) => continue,
            };
            if before != entry {
                changes.insert(key.clone(), entry);
            }
        }
        if changes.is_empty() && waiting.is_empty() {
            state.view.changes.clear();
            return Ok(());
        }
        let names = self.objects(state, waiting.len())?;
        for ((key, bytes), object) in waiting.iter().zip(&names) {
            changes.insert(key.clone(), Some(Entry::File { object: object.clone(), len: bytes.len() as u64 }));
        }
        let (base, by) = (state.view.base.number, state.transaction.as_ref().map(|t| t.name.clone()).unwrap_or_default());
        let first = state.transaction.as_ref().map_or(0, |t| t.objects.len());
        let mut pages = 0;
        let next = state.view.base.next(&*self.bucket, &by, &changes, || {
            pages += 1;
            format!("{OBJECTS}/{by}/{}", first + pages - 1)
        });
        let mut next = match next {
            Err(e) if commit::is_page_gone(&e) => return Err(self.overtaken(state)),
            next => next?,
        };
        let mut uploads: Vec<(String, &[u8])> =
            names.iter().zip(&waiting).map(|(name, (_, bytes))| (name.clone(), &**bytes)).collect();
        uploads.extend(next.writes.iter().map(|(name, bytes)| (name.clone(), bytes.as_slice())));
        if let Some(transaction) = &mut state.transaction {
            transaction.objects.extend(next.writes.iter().map(|(name, _)| name.clone()));
            // What was written ahead and is not needed after all.
            let named: Vec<&str> = changes.values().flatten().filter_map(Entry::object).collect();
            let written = next.writes.iter().map(|(name, _)| name);
            let written: Vec<&String> = written.collect();
            let unused = transaction.objects.iter().filter(|name| !named.contains(&name.as_str()) && !written.contains(name));
            next.commit.dropped.extend(unused.cloned().collect::<Vec<_>>());
        }
        if !self.upload(base, state.mark(), &uploads)? {
            return Err(self.overtaken(state));
        }
        let bytes = serde_json::to_vec(&next.commit)?;
        if !self.publish(base + 1, &by, &bytes)? {
            return Err(self.overtaken(state));
        }
        let mut dropped = std::mem::take(&mut next.commit.dropped);
        dropped.push(format!("{WORK}/{by}"));
        state.view.base = next.written(&bytes);
        state.view.changes.clear();
        state.fresh = false;
        state.transaction = None;
        guard(&self.kept).clear();
        self.bucket.delete(&dropped)?;
        self.sweep(base + 1)?;
        self.hint(base + 1)
    }

    /// Creates a commit. `false` where somebody else's has its number.
    fn publish(&self, number: u64, by: &str, bytes: &[u8]) -> io::Result<bool> {
        let name = commit_name(number);
        let mut said = Ok(None);
        for _ in 0..ASKED {
            said = self.bucket.create(&name, bytes);
            if matches!(said, Ok(Some(_))) {
                return Ok(true);
            }
            // Whose it is tells also where an answer was lost.
            if let Ok(Some((commit, _))) = self.commit(number) {
                return Ok(commit.by == by);
            }
        }
        Err(said
            .err()
            .unwrap_or_else(|| io::Error::other(format!("the bucket says that {name} is taken, and has no such object"))))
    }

    /// Removes what transactions left that rest on older commits than the last, and their marks.
    fn sweep(&self, last: u64) -> io::Result<()> {
        for mark in self.bucket.list(WORK, None)? {
            let Some(name) = mark.name.strip_prefix("work/") else { continue };
            let Some(base) = name.split_once('-').and_then(|(base, _)| base.parse::<u64>().ok()) else { continue };
            if base >= last {
                continue;
            }
            let became = self.commit(base + 1)?.is_some_and(|(commit, _)| commit.by == name);
            if !became {
                let left = self.bucket.list(&format!("{OBJECTS}/{name}"), None)?;
                self.bucket.delete(&left.into_iter().map(|object| object.name).collect::<Vec<_>>())?;
            }
            self.bucket.delete(std::slice::from_ref(&mark.name))?;
        }
        Ok(())
    }
}

/// Asks for all, some at once, and waits for the last; the first error if there is one.
fn at_once<T: Sync, R: Send>(all: &[T], ask: impl Fn(&T) -> io::Result<R> + Sync) -> io::Result<Vec<R>> {
    let next = AtomicUsize::new(0);
    let (threads, ask) = (AT_ONCE.min(all.len()), &ask);
    if threads < 2 {
        return all.iter().map(ask).collect();
    }
    let asked = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..threads)
            .map(|_| {
                scope.spawn(|| {
                    let mut mine = Vec::new();
                    while let Some((n, one)) = Some(next.fetch_add(1, Ordering::Relaxed)).and_then(|n| Some((n, all.get(n)?))) {
                        mine.push((n, ask(one)));
                    }
                    mine
                })
            })
            .collect();
        workers.into_iter().map(|worker| worker.join()).collect::<Vec<_>>()
    });
    let mut answers = BTreeMap::new();
    for worker in asked {
        answers.extend(worker.map_err(|_| io::Error::other("a thread that asked the bucket panicked"))?);
    }
    answers.into_values().collect()
}

fn nonce() -> io::Result<String> {
    Ok(random_key()?.iter().take(8).map(|byte| format!("{byte:02x}")).collect())
}

fn lost(number: u64) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("the bucket listed {} and does not have it", commit_name(number)))
}
