//! `sisa repair --from` and `--drop-slice`: damaged slices written again, or given up.

use std::collections::BTreeMap;

use super::{
    Engine, Error, Observer, Progress,
    absent::{ALL, IMPORT, absent},
};
use crate::{
    append::place,
    delete::{purge_stale, recover},
    fs::Durability,
    ids::{Cell, GenerationId, Part},
    import::{NewGeneration, restage},
    learn::rest,
    ledger::{Event, History, Mended},
    order::Batches,
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
        if recover(&mut writing)? > 0 {
            rest(self.workspace.root());
        }
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
            purge_stale(&self.workspace, generation, record, store.key(), cell.shard, false)?;
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
        let progress = |bytes, total, rows| {
            observer.progress(Progress::Importing { bytes, total, rows });
            !observer.stopped()
        };
        // Which batches a slice is of says whose rows of the source are not in it.
        let mut by_batches: BTreeMap<Batches, Vec<(Cell, crate::digest::Digest)>> = BTreeMap::new();
        for (cell, digest) in damaged {
            let among_others = cell.part == Part::Holdout || record.cells.chain().later().is_empty();
            let batches = store.named(*cell).1.unwrap_or(if among_others { ALL } else { IMPORT });
            by_batches.entry(batches).or_default().push((*cell, *digest));
        }
        let absent = absent(&self.workspace.ledger(), generation, &by_batches.keys().copied().collect())?;
        let mut files = Vec::with_capacity(damaged.len());
        for (batches, damaged) in by_batches {
            let mut sources = from.open(&plan.partition.form)?;
            let cells: Vec<_> = damaged.iter().map(|(cell, _)| store.named(*cell)).collect();
            let gone = |handle| absent.get(&batches).is_some_and(|absent| absent.has(handle));
            let restaged =
                self.threads.writing()?.install(|| restage(&self.workspace, &plan, &mut sources, &cells, gone, &progress))?;
            files.extend(restaged.into_iter().zip(damaged));
        }
        // Slices of several batches come from several sources, one call each.
        let mut other = None;
        for (file, (cell, digest)) in &files {
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
