//! Syncs checkpoints while others are trained, so that little is left to wait for at the end. Whoever relies on them syncs them all the
//! same: what is durable already costs that nothing.

use std::{
    sync::{
        atomic::{AtomicBool, Ordering},
        mpsc::{Sender, channel},
    },
    thread::Scope,
};

use crate::{
    checkpoint::CheckpointStore,
    digest::Digest,
    ids::{ShardId, SliceId},
};

/// A checkpoint that was published and not synced.
type Published = (ShardId, SliceId, Digest);

/// Who syncs ahead, if the disk is good for several syncs at once.
pub(super) struct SyncAhead<'a> {
    store: &'a CheckpointStore,
    /// Training is over: what is left is synced sooner by many threads than by this one.
    over: AtomicBool,
}

/// Where builders say what they published.
pub(super) struct Ahead<'a>(Option<Sender<Published>>, &'a AtomicBool);

impl Drop for Ahead<'_> {
    fn drop(&mut self) {
        self.1.store(true, Ordering::Relaxed);
    }
}

impl Ahead<'_> {
    /// A checkpoint is in its place.
    pub(super) fn published(&self, shard: ShardId, step: SliceId, lineage: Digest) {
        if let Some(sender) = &self.0 {
            // Without a receiver it is synced at the end.
            let _ = sender.send((shard, step, lineage));
        }
    }
}

impl<'a> SyncAhead<'a> {
    pub(super) fn new(store: &'a CheckpointStore) -> SyncAhead<'a> {
        SyncAhead { store, over: AtomicBool::new(false) }
    }

    /// Starts the thread that syncs; it ends when what this returns is dropped.
    pub(super) fn start<'scope>(&'scope self, scope: &'scope Scope<'scope, '_>) -> Ahead<'scope> {
        if self.store.syncs_at_once() < 2 {
            return Ahead(None, &self.over);
        }
        let (sender, receiver) = channel::<Published>();
        scope.spawn(move || {
            for (shard, step, lineage) in receiver {
                if self.over.load(Ordering::Relaxed) {
                    return;
                }
                // A deletion may have taken it away, which is no failure; a sync that does fail keeps this process from writing more.
                let _ = self.store.sync_file(shard, step, lineage);
            }
        });
        Ahead(Some(sender), &self.over)
    }
}
