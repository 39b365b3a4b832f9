//! `sisa repair --from` and `--drop-slice`: damaged slices written again, or given up.

use std::collections::{BTreeMap, BTreeSet};

use super::{Engine, Error, Observer, Progress};
use crate::{
    append::place,
    delete::{purge_stale, recover},
    fs::Durability,
    ids::{Cell, GenerationId, Handle, Part},
    import::{NewGeneration, restage},
    ledger::{Event, History, Ledger, Mended, OutcomeKind},
    shard::{BuildError, ShardStore, SliceError, SliceFile},
    source::Input,
    workspace::{WorkspaceError, Writing},
};

impl Engine {
    /// Mends every damaged slice of every generation: from the source if one is named, by emptying it otherwise.
    pub(super) fn mend(&self, from: &Input, observer: &dyn Observer) -> Result<(), Error> {
        // Not opened as usual: bringing accepted requests into effect may be what the damage prevents.
        let mut writing = self.workspace.write(self.wait)?;
        place(&mut writing)?;
        let generations: Vec<GenerationId> = writing.history().generations.keys().copied().collect();
        let mut mended = 0;
        for generation in generations {
            let history = writing.history();
            let record = history.generations.get(&generation).ok_or(WorkspaceError::MovedOn)?;
            let store = self.workspace.shard_store(generation, record)?;
            let mut damaged = Vec::new();
            for (cell, digest) in record.cells.iter() {
                if self.is_damaged(&store, history, generation, cell, *digest)? {
                    damaged.push((cell, *digest));
                }
            }
            if damaged.is_empty() {
                continue;
            }
            mended += damaged.len();
            if from.is_empty() {
                for (cell, digest) in damaged {
                    self.drop_cell(&store, &mut writing, generation, cell, digest, observer)?;
                }
            } else {
                self.refill(&store, &mut writing, generation, &damaged, from, observer)?;
            }
        }
        if mended == 0 {
            observer.note("no slice is damaged");
        }
        recover(&mut writing)?;
        writing.done()?;
        Ok(())
    }

    /// Whether a slice is neither what the ledger says now, nor what an unfinished request is to change.
    fn is_damaged(
        &self,
        store: &ShardStore,
        history: &History,
        generation: GenerationId,
        cell: Cell,
        digest: crate::digest::Digest,
    ) -> Result<bool, Error> {
        match store.open(cell) {
            Ok(slice) if slice.header().content == digest => Ok(false),
            Ok(slice) => {
                let changes =
                    history.unfinished().into_iter().flat_map(|r| r.accepted.cells.iter().map(|c| (c, r.accepted.corrects)));
                let mut pending = changes.filter(|(c, _)| c.generation == generation && c.cell == cell);
                // What a correction is to put in its place must be there.
                let waits = || store.next_header(cell).is_ok_and(|next| next.content == digest);
                Ok(!pending.any(|(c, corrects)| c.before == slice.header().content && (!corrects || waits())))
            }
            Err(SliceError::Damaged { .. }) => Ok(true),
            Err(e) => Err(e.into()),
        }
    }

    /// Gives the records of a slice up.
    fn drop_cell(
        &self,
        store: &ShardStore,
        writing: &mut Writing,
        generation: GenerationId,
        cell: Cell,
        before: crate::digest::Digest,
        observer: &dyn Observer,
    ) -> Result<(), Error> {
        let absurd = |e: BuildError| SliceError::Damaged { path: store.path(cell), offset: 24, what: e.to_string() };
        let empty = SliceFile::build(store.named(cell), store.row(), &[], store.key()).map_err(absurd)?;
        let _commit = store.lock(cell.shard)?;
        // First the word, then the deed: a crash in between leaves a damaged slice, which the next call drops.
        let mended = Mended { generation, cell, before, after: empty.content, dropped: true };
        writing.append(Event::Mended(mended))?;
        if let (Some(record), Part::Slice(_)) = (writing.history().generations.get(&generation), cell.part) {
            purge_stale(&self.workspace, generation, record, store.key(), cell.shard, 0, false)?;
        }
        store.publish(&empty, Durability::Now)?;
        observer.note(&format!("{} was damaged; its records are given up, and the ledger says so", store.path(cell).display()));
        Ok(())
    }

    /// Writes slices again from the source they came from.
    fn refill(
        &self,
        store: &ShardStore,
        writing: &mut Writing,
        generation: GenerationId,
        damaged: &[(Cell, crate::digest::Digest)],
        from: &Input,
        observer: &dyn Observer,
    ) -> Result<(), Error> {
        let record = writing.history().generations.get(&generation).ok_or(WorkspaceError::MovedOn)?;
        let plan = NewGeneration {
            generation,
            rekeys: record.imported.rekeys,
            partition: self.workspace.partition(generation, record)?,
            handle_key: self.workspace.handle_key()?,
            model_key: self.workspace.model_key(generation, record)?,
        };
        let mut sources = from.open(&plan.partition.form)?;
        let progress = |bytes, total, rows| {
            observer.progress(Progress::Importing { bytes, total, rows });
            !observer.stopped()
        };
        let cells: Vec<_> = damaged.iter().map(|(cell, _)| store.named(*cell)).collect();
        let gone = left_out(&self.workspace.ledger(), generation)?;
        let files =
            self.pool.install(|| restage(&self.workspace, &plan, &mut sources, &cells, |h| gone.contains(&h), &progress))?;
        // Slices of several batches come from several sources, one call each.
        let mut other = None;
        for (file, (cell, digest)) in files.iter().zip(damaged) {
            if file.content != *digest {
                let (path, got) = (store.path(*cell), file.content.to_string());
                other.get_or_insert(Error::OtherSource { path, got, expected: digest.to_string() });
                continue;
            }
            let _commit = store.lock(cell.shard)?;
            store.publish(file, Durability::Now)?;
            let mended = Mended { generation, cell: *cell, before: *digest, after: *digest, dropped: false };
            writing.append(Event::Mended(mended))?;
            observer.note(&format!("{} was written again, to the byte", store.path(*cell).display()));
        }
        other.map_or(Ok(()), Err)
    }
}

/// The handles of the rows of a source that its generation does not hold: what its import refused, as the ids were suppressed then, and
/// what was taken away since. Of a generation made from another one's slices it is the first of them that was imported.
fn left_out(ledger: &Ledger, generation: GenerationId) -> Result<BTreeSet<Handle>, Error> {
    let mut suppressed: BTreeSet<Handle> = BTreeSet::new();
    let mut left_out: BTreeMap<GenerationId, BTreeSet<Handle>> = BTreeMap::new();
    let mut unread = None;
    ledger.read_entries(|entry, _| match &entry.event {
        Event::Imported(imported) => {
            let refused = match imported.rekeys.and_then(|from| left_out.get(&from)) {
                Some(before) => before.clone(),
                None => suppressed.clone(),
            };
            left_out.insert(imported.generation, refused);
        }
        Event::Accepted(accepted) => {
            // The outcomes of many ids are in a file of their own.
            let accepted = match ledger.whole(entry.sequence, accepted) {
                Ok(whole) => whole,
                Err(e) => {
                    unread = Some(e);
                    return;
                }
            };
            let erased = accepted.outcomes.iter().filter(|o| o.outcome == OutcomeKind::Erased).map(|o| o.handle);
            left_out.values_mut().for_each(|of| of.extend(erased.clone()));
            if accepted.suppress {
                suppressed.extend(accepted.outcomes.iter().map(|o| o.handle));
            }
        }
        Event::Unsuppressed(event) => event.handles.iter().for_each(|handle| {
            suppressed.remove(handle);
        }),
        _ => {}
    })?;
    match unread {
        Some(e) => Err(e.into()),
        None => Ok(left_out.remove(&generation).unwrap_or_default()),
    }
}
