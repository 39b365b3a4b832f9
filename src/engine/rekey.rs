//! `sisa rekey`: everything is trained anew under a fresh model key, beside what serves.

use super::{Engine, Error, Observer, build::Goal};
use crate::{
    ids::GenerationId,
    import::{ImportReport, NewGeneration, rekey_rows},
    train::{Model, Report},
    workspace::{Current, KeySource, WorkspaceError, Writing},
};

impl Engine {
    /// Trains anew under a fresh model key, beside the ensemble in service, which serves until the new one is whole and is then purged.
    ///
    /// # Errors
    /// A slice is damaged, or the disk refuses. Run again, it goes on where it was.
    pub fn rekey(&self, keys: &KeySource, observer: &dyn Observer) -> Result<(ImportReport, GenerationId, Report), Error> {
        let (import, target, model) = self.again(|| self.begin_rekeying(keys))?;
        let generation = target.generation;
        let shards: Vec<_> = model.shards.grid().shards().collect();
        let goal = Goal { target: &target, shards: &shards, all: false, only: None };
        let report = self.bring_to_whole(&model, &goal, observer)?.report;
        if report.interrupted() {
            return Err(Error::Interrupted);
        }
        Ok((import, generation, report))
    }

    /// The new generation and its recipe, with all records and nothing trained.
    fn begin_rekeying(&self, keys: &KeySource) -> Result<(ImportReport, Current, Model), Error> {
        let mut writing = self.open_for_writing()?;
        self.check_generations(writing.history())?;
        let (current, _) = self.workspace.serving(writing.snapshot())?;
        let current = current.clone();
        let newest = writing.history().newest();
        if let Some((newer, _)) =
            newest.filter(|(id, g)| *id > current.generation && g.imported.rekeys != Some(current.generation))
        {
            return Err(Error::NewerGeneration { newer, serving: current.generation });
        }
        // A rekeying that was interrupted is newer than what serves, and goes on.
        let begun = writing.history().newest().filter(|(_, g)| g.imported.rekeys == Some(current.generation)).map(|(id, g)| {
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
            None => self.rekey_import(keys, &mut writing, &current)?,
        };
        let record = writing.history().generations.get(&current.generation).ok_or(WorkspaceError::MovedOn)?;
        let recipe = self.workspace.recipe(current.generation, record, &current.recipe)?;
        let declared = record.recipes.iter().find(|r| r.recipe == current.recipe).map(|r| r.declared);
        if writing.history().newest_recipe(generation).is_none() {
            self.publish_recipe_as(&mut writing, generation, &recipe, declared.unwrap_or(recipe.digest()))?;
        }
        let target = Current { generation, recipe: recipe.id(), aggregate: current.aggregate };
        let record = writing.history().generations.get(&generation).ok_or(WorkspaceError::MovedOn)?;
        let model = self.workspace.model(generation, record, &target.recipe)?;
        writing.done()?;
        Ok((import, target, model))
    }

    fn rekey_import(
        &self,
        keys: &KeySource,
        writing: &mut Writing,
        current: &Current,
    ) -> Result<(GenerationId, ImportReport), Error> {
        let history = writing.history();
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
        let report = self.pool.install(|| rekey_rows(writing, &plan, (&from, from.grid().cells())))?;
        Ok((generation, report))
    }
}
