//! `sisa rekey`: everything is trained anew under a fresh model key, beside what serves. And what it shares with `sisa migrate`: a generation
//! that is made from the slices of the one in service.

use super::{
    Engine, Error, Observer,
    build::{Built, Goal},
};
use crate::{
    digest::Digest,
    ids::GenerationId,
    import::{ImportReport, Kept, NewGeneration, rekey_rows},
    ledger::History,
    predict::Aggregate,
    schema::Carry,
    train::{Recipe, Report},
    workspace::{Current, KeySource, Partition, WorkspaceError, Writing},
};

/// What a generation is to be that is made from the slices of the one in service.
pub(super) struct Anew<'a> {
    pub(super) keys: &'a KeySource,
    pub(super) partition: Partition,
    /// How rows become those of another schema.
    pub(super) carry: Option<Carry>,
    pub(super) recipe: Recipe,
    /// What the configuration declared.
    pub(super) declared: Digest,
    pub(super) aggregate: Aggregate,
}

impl Engine {
    /// Trains anew under a fresh model key, beside the ensemble in service, which serves until the new one is whole and is then purged.
    ///
    /// # Errors
    /// A slice is damaged, or the disk refuses. Run again, it goes on where it was.
    pub fn rekey(&self, keys: &KeySource, observer: &dyn Observer) -> Result<(ImportReport, GenerationId, Report), Error> {
        self.again(|| self.rekeyed(keys, observer))
    }

    fn rekeyed(&self, keys: &KeySource, observer: &dyn Observer) -> Result<(ImportReport, GenerationId, Report), Error> {
        let writing = self.open_for_writing()?;
        self.check_generations(writing.history())?;
        let (current, record) = self.workspace.serving(writing.snapshot())?;
        let partition = self.workspace.partition(current.generation, record)?;
        let recipe = self.workspace.recipe(current.generation, record, &current.recipe)?;
        let declared = record.recipes.iter().find(|r| r.recipe == current.recipe).map_or(recipe.digest(), |r| r.declared);
        let anew = Anew { keys, partition, carry: None, recipe, declared, aggregate: current.aggregate };
        let (import, generation, built) = self.build_anew(writing, anew, observer)?;
        Ok((import, generation, built.report))
    }

    /// The generation that is being made like this one from the slices of the one in service, if it is begun.
    ///
    /// # Errors
    /// Another one is newer than what serves, and would be lost.
    pub(super) fn begun(
        &self,
        history: &History,
        current: &Current,
        partition: &Partition,
    ) -> Result<Option<GenerationId>, Error> {
        let serving = current.generation;
        match history.newest().filter(|(id, _)| *id > serving) {
            None => Ok(None),
            Some((id, g)) if g.imported.rekeys == Some(serving) && g.imported.partition == partition.digest() => Ok(Some(id)),
            Some((newer, _)) => Err(Error::NewerGeneration { newer, serving }),
        }
    }

    /// Makes a generation from the slices of the one in service, and trains it; it takes over when it is whole. One that was interrupted goes on.
    pub(super) fn build_anew(
        &self,
        mut writing: Writing,
        anew: Anew<'_>,
        observer: &dyn Observer,
    ) -> Result<(ImportReport, GenerationId, Built), Error> {
        let (current, _) = self.workspace.serving(writing.snapshot())?;
        let current = current.clone();
        let (generation, import) = match self.begun(writing.history(), &current, &anew.partition)? {
            Some(id) => {
                let record = writing.history().generations.get(&id).ok_or(WorkspaceError::MovedOn)?;
                let (records, held_out) = (record.imported.records, record.imported.held_out);
                let refused = record.imported.refused;
                (id, ImportReport { records, held_out, refused, ..ImportReport::default() })
            }
            None => self.import_anew(&anew, &mut writing, &current)?,
        };
        let recipe = self.settled(writing.history(), generation, anew.recipe)?;
        let record = writing.history().generations.get(&generation).ok_or(WorkspaceError::MovedOn)?;
        if record.recipes.iter().all(|frozen| frozen.recipe != recipe.id()) {
            self.publish_recipe_as(&mut writing, generation, &recipe, anew.declared)?;
        }
        let target = Current { generation, recipe: recipe.id(), aggregate: anew.aggregate };
        Ok((import, generation, self.whole(writing, &target, observer)?))
    }

    /// Trains whatever all shards of a model lack, and puts it into service.
    pub(super) fn whole(&self, writing: Writing, target: &Current, observer: &dyn Observer) -> Result<Built, Error> {
        let record = writing.history().generations.get(&target.generation).ok_or(WorkspaceError::MovedOn)?;
        let model = self.workspace.model(target.generation, record, &target.recipe)?;
        writing.done()?;
        let shards: Vec<_> = model.shards.grid().shards().collect();
        let built = self.bring_to_whole(&model, &Goal { target, shards: &shards, all: false, only: None }, observer)?;
        if built.report.interrupted() {
            return Err(Error::Interrupted);
        }
        Ok(built)
    }

    fn import_anew(
        &self,
        anew: &Anew<'_>,
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
            partition: anew.partition.clone(),
            handle_key: self.workspace.handle_key()?,
            model_key: anew.keys.model_key(self.workspace.files(), Some(generation))?,
        };
        let cells: Vec<_> = from.grid().cells().collect();
        let kept = Kept { carry: anew.carry.as_ref(), ..Kept::all(&from, &cells) };
        let report = self.threads.writing()?.install(|| rekey_rows(writing, &plan, &kept))?;
        Ok((generation, report))
    }
}
