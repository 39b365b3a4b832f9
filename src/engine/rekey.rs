//! `sisa rekey`: everything is trained anew under a fresh model key, beside what serves.

use super::{Engine, Error, Observer};
use crate::{
    ids::GenerationId,
    import::{ImportReport, NewGeneration, rekey_rows},
    ledger::History,
    train::Report,
    workspace::{Current, KeySource, WorkspaceError, WriterLock},
};

impl Engine {
    /// Trains anew under a fresh model key, beside the ensemble in service, which serves until the new one is whole and is then purged.
    ///
    /// # Errors
    /// A slice is damaged, or the disk refuses. Run again, it goes on where it was.
    pub fn rekey(&self, keys: &KeySource, observer: &dyn Observer) -> Result<(ImportReport, GenerationId, Report), Error> {
        let (lock, mut snapshot) = self.open_for_writing()?;
        self.check_generations(&snapshot.history)?;
        let (current, _) = self.workspace.serving(&snapshot)?;
        let current = current.clone();
        let newest = snapshot.history.newest();
        if let Some((newer, _)) =
            newest.filter(|(id, g)| *id > current.generation && g.imported.rekeys != Some(current.generation))
        {
            return Err(Error::NewerGeneration { newer, serving: current.generation });
        }
        // A rekeying that was interrupted is newer than what serves, and goes on.
        let begun = snapshot.history.newest().filter(|(_, g)| g.imported.rekeys == Some(current.generation)).map(|(id, g)| {
            let imported = &g.imported;
            let report = ImportReport {
                records: imported.records,
                held_out: imported.held_out,
                refused: imported.refused,
                ..ImportReport::default()
            };
            (id, report)
        });
        let (generation, import) = match begun {
            Some(begun) => begun,
            None => self.rekey_import(keys, &lock, &mut snapshot.history, &current)?,
        };
        let record = snapshot.history.generations.get(&current.generation).ok_or(WorkspaceError::MovedOn)?;
        let recipe = self.workspace.recipe(current.generation, record, &current.recipe)?;
        let declared = record.recipes.iter().find(|r| r.recipe == current.recipe).map(|r| r.declared);
        if snapshot.history.newest_recipe(generation).is_none() {
            self.publish_recipe_as(&mut snapshot.history, generation, &recipe, declared.unwrap_or(recipe.digest()))?;
        }
        let target = Current { generation, recipe: recipe.id(), aggregate: current.aggregate };
        let record = snapshot.history.generations.get(&generation).ok_or(WorkspaceError::MovedOn)?;
        let model = self.workspace.model(generation, record, &target.recipe)?;
        lock.done()?;
        let shards: Vec<_> = model.shards.grid().shards().collect();
        let report = self.bring_to_whole(&model, &shards, false, None, &target, observer)?.report;
        if report.interrupted() {
            return Err(Error::Interrupted);
        }
        Ok((import, generation, report))
    }

    fn rekey_import(
        &self,
        keys: &KeySource,
        lock: &WriterLock,
        history: &mut History,
        current: &Current,
    ) -> Result<(GenerationId, ImportReport), Error> {
        let record = history.generations.get(&current.generation).ok_or(WorkspaceError::MovedOn)?;
        let from = self.workspace.shard_store(current.generation, record)?;
        let generation = GenerationId(history.last_generation).next();
        let plan = NewGeneration {
            generation,
            rekeys: Some(current.generation),
            partition: self.workspace.partition(current.generation, record)?,
            handle_key: self.workspace.handle_key()?,
            model_key: keys.model_key(self.workspace.files(), Some(generation))?,
        };
        let report = self.pool.install(|| rekey_rows(&self.workspace, lock, history, &plan, &from))?;
        Ok((generation, report))
    }
}
