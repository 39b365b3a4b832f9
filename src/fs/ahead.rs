//! Syncs files while others are made, so that little is left to wait for at the end. Whoever relies on them syncs them all the same: what is
//! durable already costs that nothing.

use std::{
    path::PathBuf,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
        mpsc::{Sender, channel},
    },
    thread::Scope,
};

use super::{Files, FsError};

/// Who syncs ahead, if the disk is good for several syncs at once.
#[derive(Debug)]
pub struct SyncAhead<'a> {
    files: &'a Files,
    /// All files are made: what is left is synced sooner by many threads than by this one.
    over: AtomicBool,
}

/// Where makers say what they published. It ends the syncing when it is dropped.
#[derive(Debug)]
pub struct Ahead<'a>(Option<Sender<PathBuf>>, &'a AtomicBool);

impl Drop for Ahead<'_> {
    fn drop(&mut self) {
        self.1.store(true, Ordering::Relaxed);
    }
}

impl Ahead<'_> {
    /// A file is in its place, and not synced.
    pub fn published(&self, path: PathBuf) {
        if let Some(sender) = &self.0 {
            // Without a receiver it is synced at the end.
            let _ = sender.send(path);
        }
    }
}

impl<'a> SyncAhead<'a> {
    /// Syncs files of this disk.
    pub fn new(files: &'a Files) -> SyncAhead<'a> {
        SyncAhead { files, over: AtomicBool::new(false) }
    }

    /// Starts the thread that syncs; it ends when what this returns is dropped.
    pub fn start<'scope>(&'scope self, scope: &'scope Scope<'scope, '_>) -> Ahead<'scope> {
        if self.files.syncs_at_once() < 2 {
            return Ahead(None, &self.over);
        }
        let (sender, receiver) = channel::<PathBuf>();
        scope.spawn(move || {
            for path in receiver {
                if self.over.load(Ordering::Relaxed) {
                    return;
                }
                // A deletion may have taken it away, which is no failure; a sync that does fail keeps this process from writing more.
                let _ = self.files.sync_file(&path);
            }
        });
        Ahead(Some(sender), &self.over)
    }
}

/// So many things are done by one thread: what a disk makes durable for the first of them it often has for the others too.
const EACH: usize = 4;

/// Does the same to many things that wait for a disk: on at most `most` threads, of which this is one.
pub(super) fn all_at_once<T: Send>(
    most: usize,
    items: Vec<T>,
    work: impl Fn(T) -> Result<(), FsError> + Sync,
) -> Result<(), FsError> {
    let others = most.min(items.len().div_ceil(EACH)).saturating_sub(1);
    let left = Mutex::new(items.into_iter());
    let run = || {
        loop {
            let item = left.lock().unwrap_or_else(PoisonError::into_inner).next();
            match item {
                Some(item) => work(item)?,
                None => return Ok(()),
            }
        }
    };
    std::thread::scope(|scope| {
        let others: Vec<_> = (0..others).map(|_| scope.spawn(run)).collect();
        let own = run();
        let others = others.into_iter().map(|other| other.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)));
        others.fold(own, Result::and)
    })
}
