//! What the entries add up to.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{
    Accepted, Appended, Durable, Effective, Entry, Event, ExportRecord, Head, Imported, LEDGER_FORMAT_1, Mended, Placed,
    RecipeFrozen, Repaired, Standby, Switched, handles::Touched,
};
use crate::{
    digest::Digest,
    ids::{Cell, GenerationId, RecipeId, ShardId},
    shard::Cells,
};

/// A generation that is not purged.
#[derive(Clone, Debug)]
pub struct GenerationRecord {
    /// How it came to be; without the list of its cells.
    pub imported: Imported,
    /// The last entry that is counted in.
    pub as_of: u64,
    /// What every cell must hold now, once all accepted requests are in effect.
    pub cells: Cells,
    /// Its recipes, oldest first.
    pub recipes: Vec<RecipeFrozen>,
    /// For each recipe of which shards were once whole and durable, what is left of that.
    pub durable: BTreeMap<RecipeId, Durable>,
    /// How many batches it has; the first is the import.
    pub batches: u32,
    /// The later batches by name, those too of the generations whose rows it took.
    pub appended: BTreeMap<String, BatchRecord>,
    /// Whether the files of the last batch are not in place yet.
    pub placing: bool,
    /// The number of the entry of the last later batch; 0 without one.
    pub appended_at: u64,
}

/// A batch that came after an import.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BatchRecord {
    /// The generation that it was appended to.
    pub generation: GenerationId,
    /// Its number there.
    pub batch: u32,
    /// Keyed digest of its rows.
    pub content: Digest,
    /// Records that went into slices.
    pub records: u64,
    /// Records held out.
    pub held_out: u64,
    /// Rows refused because their ids are suppressed.
    pub refused: u64,
}

impl GenerationRecord {
    /// Root digest of all cells.
    pub fn root(&self) -> Digest {
        self.cells.root()
    }

    /// How many steps of a shard, from the first, are trained and durable under a recipe, for all that the ledger knows.
    pub fn durable_steps(&self, recipe: &RecipeId, shard: ShardId) -> u32 {
        self.durable.get(recipe).and_then(|d| d.steps.get(shard.0 as usize)).copied().unwrap_or(0)
    }

    /// Whether every step of a shard is trained and durable under a recipe.
    pub fn is_whole(&self, recipe: &RecipeId, shard: ShardId) -> bool {
        self.durable_steps(recipe, shard) == self.cells.slices()
    }

    /// The shards of which that can't be said.
    pub fn not_whole(&self, recipe: &RecipeId) -> Vec<ShardId> {
        (0..self.cells.shards()).map(ShardId).filter(|shard| !self.is_whole(recipe, *shard)).collect()
    }

    /// The state that serves of a shard until its later batches are trained, if there is one.
    pub fn standby(&self, recipe: &RecipeId, shard: ShardId) -> Option<Standby> {
        self.durable.get(recipe)?.standby.get(shard.0 as usize).copied().flatten()
    }

    /// A cell holds something else now.
    fn touch(&mut self, cell: Cell) {
        let chain = self.cells.chain();
        self.durable.values_mut().for_each(|durable| durable.touch(chain, cell.shard, cell.part));
    }
}

/// A deletion request and how far it has come.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RequestRecord {
    /// The number of its `accepted` entry.
    pub sequence: u64,
    /// When it was accepted.
    pub accepted_at: String,
    /// What was accepted.
    pub accepted: Accepted,
    /// When it came into effect, and how.
    pub effective: Option<(String, Effective)>,
    /// When it was repaired, and how.
    pub repaired: Option<(String, Repaired)>,
}

/// The names of all requests, with the digests of their ids.
#[derive(Clone, Debug, Default)]
pub(super) struct Requests {
    /// The folder of the last summary, and the name of its table.
    pub(super) base: Option<(u64, Digest)>,
    pub(super) since: BTreeMap<String, Digest>,
}

/// What the entries add up to.
#[derive(Clone, Debug, Default)]
pub struct History {
    /// The last entry.
    pub head: Head,
    /// Generations that are not purged.
    pub generations: BTreeMap<GenerationId, GenerationRecord>,
    /// The highest generation that ever was.
    pub last_generation: u32,
    /// What is in service; `None` where no entry says it (format 1: `CURRENT` alone did).
    pub serving: Option<Switched>,
    /// Copies of models that left.
    pub(super) exports: Vec<ExportRecord>,
    /// Requests that are not repaired, by name.
    pub(super) open: BTreeMap<String, RequestRecord>,
    pub(super) requests: Requests,
    pub(super) handles: Touched,
    /// The folder of the last entry.
    pub(super) folder: Option<u64>,
    /// Whether an entry was sealed with a key; all later ones are.
    pub(super) sealed: bool,
    /// The format of the last entry; 0 where none was read but a summary.
    pub(super) format: u32,
}

impl History {
    /// Refuses an entry that contradicts those before it, with the reason. `cells` are those of a new generation. With `roots`, root
    /// digests are computed again.
    pub(super) fn check(&self, entry: &Entry, cells: Option<&Cells>, roots: bool) -> Result<(), String> {
        match &entry.event {
            Event::Imported(imported) => {
                let cells = cells.ok_or("the cells are not those of a whole grid")?;
                if roots && cells.root() != imported.root {
                    return Err("the root digest is not that of the cells".into());
                }
            }
            Event::Appended(appended) => self.check_appended(appended, cells, roots)?,
            Event::Placed(Placed { generation, batch }) => {
                let generation = self.generations.get(generation).ok_or("a batch in no generation")?;
                if !generation.placing || generation.batches != *batch {
                    return Err("a batch is in place that was not on its way".into());
                }
            }
            Event::Recipe(recipe) => {
                self.generations.get(&recipe.generation).ok_or("a recipe for a generation that does not exist")?;
            }
            Event::Accepted(accepted) => self.check_accepted(accepted)?,
            Event::Effective(effective) => {
                if !self.open.contains_key(&effective.request) {
                    return Err("an effect without a request".into());
                }
                for (id, root) in effective.roots.iter().filter(|_| roots) {
                    if self.generations.get(id).is_none_or(|g| g.root() != *root) {
                        return Err(format!("the root digest of {id} does not follow from the entries before"));
                    }
                }
            }
            Event::Repaired(repaired) => {
                if repaired.requests.iter().any(|name| !self.open.contains_key(name)) {
                    return Err("a repair without a request".into());
                }
                self.durable_after(&entry.event, entry.format)?;
            }
            Event::Trained(_) => {
                self.durable_after(&entry.event, entry.format)?;
            }
            Event::Mended(Mended { generation, cell, .. }) => {
                let generation = self.generations.get(generation).ok_or("a mended slice of no generation")?;
                generation.cells.get(cell).ok_or("a mended slice outside the grid")?;
            }
            Event::Purged(purged) => {
                let gone = |s: &Switched| purged.generations.contains(&s.generation) || purged.recipes.contains(&s.recipe);
                if self.serving.as_ref().is_some_and(gone) {
                    return Err("what is in service can't be purged".into());
                }
            }
            Event::Switched(switched) => {
                let generation = self.generations.get(&switched.generation);
                if generation.is_none_or(|g| g.recipes.iter().all(|r| r.recipe != switched.recipe)) {
                    return Err("a generation or recipe that does not exist can't be in service".into());
                }
            }
            Event::Exported(exported) => self.check_exported(exported, roots)?,
            Event::Rekeyed(_) | Event::Unsuppressed(_) => {}
        }
        Ok(())
    }

    fn check_appended(&self, appended: &Appended, cells: Option<&Cells>, roots: bool) -> Result<(), String> {
        let generation = self.generations.get(&appended.generation).ok_or("a batch for a generation that does not exist")?;
        let cells = cells.ok_or("the cells are not those of a whole grid")?;
        let chain = (cells.chain(), generation.cells.chain());
        if cells.shards() != generation.cells.shards() || chain.0.first_slices() != chain.1.first_slices() || !cells.has_rows() {
            return Err("the cells are not those of the generation".into());
        }
        if roots && cells.root() != appended.root {
            return Err("the root digest is not that of the cells".into());
        }
        if generation.placing || appended.batch != generation.batches + 1 || generation.appended.contains_key(&appended.name) {
            return Err("the batch is not the next".into());
        }
        Ok(())
    }

    fn check_accepted(&self, accepted: &Accepted) -> Result<(), String> {
        if self.open.contains_key(&accepted.request) || self.requests.since.contains_key(&accepted.request) {
            return Err("a request was accepted twice".into());
        }
        // Slices that wait are those of one correction, made of slices as every request before it left them.
        let mut unfinished = self.open.values().filter(|r| r.effective.is_none()).peekable();
        if (accepted.corrects && unfinished.peek().is_some()) || unfinished.any(|r| r.accepted.corrects) {
            return Err("a correction comes into effect alone".into());
        }
        for change in &accepted.cells {
            // A generation may be purged by now; its cells are then nobody's.
            let Some(generation) = self.generations.get(&change.generation) else { continue };
            let digest = generation.cells.get(&change.cell).ok_or_else(|| format!("{} is outside the grid", change.cell))?;
            if *digest != change.before {
                return Err(format!("{} was not as the entry says it was before", change.cell));
            }
        }
        if accepted.exports != self.exports_that_saw(&accepted.cells) {
            return Err("the copies that saw what goes are others".into());
        }
        Ok(())
    }

    /// Takes in the next entry, which was [checked](History::check).
    pub(super) fn apply(&mut self, entry: &Entry, digest: Digest, cells: Option<Cells>) {
        match &entry.event {
            Event::Imported(imported) => self.imported(imported, cells),
            Event::Appended(appended) => self.appended(appended, entry.sequence, cells),
            Event::Placed(Placed { generation, .. }) => {
                if let Some(generation) = self.generations.get_mut(generation) {
                    generation.placing = false;
                }
            }
            Event::Recipe(recipe) => {
                if let Some(generation) = self.generations.get_mut(&recipe.generation) {
                    generation.recipes.retain(|r| r.recipe != recipe.recipe);
                    generation.recipes.push(recipe.clone());
                }
            }
            Event::Accepted(accepted) => self.accepted(entry, accepted),
            Event::Effective(effective) => {
                if let Some(request) = self.open.get_mut(&effective.request) {
                    request.effective = Some((entry.time.clone(), effective.clone()));
                }
            }
            Event::Repaired(repaired) => {
                self.durable(repaired.generation, &repaired.recipe, entry);
                for name in &repaired.requests {
                    self.open.remove(name);
                }
            }
            Event::Trained(trained) => self.durable(trained.generation, &trained.recipe, entry),
            Event::Unsuppressed(event) => self.handles.unsuppressed(&event.handles),
            Event::Mended(mended) => {
                if let Some(generation) = self.generations.get_mut(&mended.generation).filter(|_| mended.after != mended.before) {
                    generation.cells.change(mended.cell, mended.after, |_| 0);
                    generation.touch(mended.cell);
                }
            }
            Event::Purged(purged) => {
                self.generations.retain(|id, _| !purged.generations.contains(id));
                for generation in self.generations.values_mut() {
                    generation.recipes.retain(|r| !purged.recipes.contains(&r.recipe));
                    generation.durable.retain(|recipe, _| !purged.recipes.contains(recipe));
                }
            }
            Event::Switched(switched) => self.serving = Some(switched.clone()),
            Event::Exported(exported) => self.exported(entry, exported),
            Event::Rekeyed(_) => {}
        }
        self.head = Head { sequence: entry.sequence, digest };
        self.generations.values_mut().for_each(|g| g.as_of = entry.sequence);
        self.sealed |= entry.format > LEDGER_FORMAT_1;
    }

    fn imported(&mut self, imported: &Imported, cells: Option<Cells>) {
        let Some(cells) = cells else { return };
        // Batches are known by their names also where their rows lie among others.
        let from = imported.rekeys.and_then(|from| self.generations.get(&from));
        let appended = from.map(|from| from.appended.clone()).unwrap_or_default();
        let record = GenerationRecord {
            imported: Imported { cells: BTreeMap::new(), ..imported.clone() },
            as_of: 0,
            cells,
            recipes: Vec::new(),
            durable: BTreeMap::new(),
            batches: 1,
            appended,
            placing: false,
            appended_at: 0,
        };
        self.last_generation = self.last_generation.max(imported.generation.0);
        self.generations.insert(imported.generation, record);
        match imported.rekeys {
            Some(from) => self.export_kin(from, imported.generation),
            None => self.handles.imported(),
        }
    }

    fn appended(&mut self, appended: &Appended, sequence: u64, cells: Option<Cells>) {
        let (Some(cells), Some(generation)) = (cells, self.generations.get_mut(&appended.generation)) else { return };
        for durable in generation.durable.values_mut() {
            durable.append(generation.batches, &generation.cells, &cells);
        }
        generation.cells = cells;
        generation.batches = appended.batch;
        generation.placing = true;
        generation.appended_at = sequence;
        let Appended { generation: id, batch, content, records, held_out, refused, .. } = *appended;
        let batch = BatchRecord { generation: id, batch, content, records, held_out, refused };
        generation.appended.insert(appended.name.clone(), batch);
        self.handles.returned(&appended.returned);
    }

    fn accepted(&mut self, entry: &Entry, accepted: &Accepted) {
        for change in &accepted.cells {
            if let Some(generation) = self.generations.get_mut(&change.generation) {
                let left = |rows: u64| rows.saturating_sub(change.records).saturating_add(change.come);
                generation.cells.change(change.cell, change.after, left);
                generation.touch(change.cell);
            }
        }
        self.exports_outlived(&accepted.exports);
        self.handles.accepted(entry.sequence, accepted);
        self.requests.since.insert(accepted.request.clone(), accepted.ids);
        let record = RequestRecord {
            sequence: entry.sequence,
            accepted_at: entry.time.clone(),
            accepted: accepted.clone(),
            effective: None,
            repaired: None,
        };
        self.open.insert(accepted.request.clone(), record);
    }

    fn durable(&mut self, generation: GenerationId, recipe: &RecipeId, entry: &Entry) {
        if let Ok(Some(durable)) = self.durable_after(&entry.event, entry.format)
            && let Some(generation) = self.generations.get_mut(&generation)
        {
            generation.durable.insert(recipe.clone(), durable);
        }
    }

    /// What is durable once such an entry is there; `None` if the generation is purged.
    fn durable_after(&self, event: &Event, format: u32) -> Result<Option<Durable>, String> {
        let (generation, recipe, all, whole, root): (_, _, _, Vec<_>, _) = match event {
            Event::Repaired(r) => {
                (r.generation, &r.recipe, &r.lineages, r.shards.iter().map(|s| (s.shard, s.after)).collect(), r.root)
            }
            Event::Trained(t) => {
                (t.generation, &t.recipe, &t.lineages, t.shards.iter().map(|s| (s.shard, s.lineage)).collect(), t.root)
            }
            _ => return Ok(None),
        };
        let Some(generation) = self.generations.get(&generation) else { return Ok(None) };
        let (shards, slices) = (generation.cells.shards(), generation.cells.slices());
        let mut durable = generation.durable.get(recipe).cloned().unwrap_or_else(|| Durable::none(shards));
        if format == LEDGER_FORMAT_1 {
            if all.len() != shards as usize {
                return Err(format!("{} lineages are named for {shards} shards", all.len()));
            }
            durable.set((0..).map(ShardId).zip(all.iter().copied()), slices)?;
        } else {
            durable.set(whole, slices)?;
            if root != Some(durable.root(slices)) {
                return Err("the root digest of the lineages does not follow from the entries before".into());
            }
        }
        Ok(Some(durable))
    }

    /// The root of the lineages of all shards that are whole under a recipe, once these are too.
    pub fn lineages_root(
        &self,
        generation: GenerationId,
        recipe: &RecipeId,
        whole: impl IntoIterator<Item = (ShardId, Digest)>,
    ) -> Option<Digest> {
        let generation = self.generations.get(&generation)?;
        let (shards, slices) = (generation.cells.shards(), generation.cells.slices());
        let mut durable = generation.durable.get(recipe).cloned().unwrap_or_else(|| Durable::none(shards));
        durable.set(whole, slices).ok()?;
        Some(durable.root(slices))
    }

    /// The generation whose last batch is not in place yet, if there is one.
    pub fn placing(&self) -> Option<(GenerationId, &GenerationRecord)> {
        self.generations.iter().find(|(_, generation)| generation.placing).map(|(id, generation)| (*id, generation))
    }

    /// Whether files wait in a generation to be put in place: of a batch, or of a correction that is not in effect.
    pub fn awaits(&self, generation: GenerationId) -> bool {
        let corrected = |r: &&RequestRecord| r.accepted.corrects && r.accepted.cells.iter().any(|c| c.generation == generation);
        self.generations.get(&generation).is_some_and(|g| g.placing) || self.unfinished().iter().any(corrected)
    }

    /// Requests that are accepted and not yet in effect, in order.
    pub fn unfinished(&self) -> Vec<&RequestRecord> {
        self.in_order(|r| r.effective.is_none())
    }

    /// Requests that are in effect and not yet repaired, in order.
    pub fn unrepaired(&self) -> Vec<&RequestRecord> {
        self.in_order(|r| r.effective.is_some())
    }

    /// A request that is accepted and not yet repaired.
    pub fn open_request(&self, name: &str) -> Option<&RequestRecord> {
        self.open.get(name)
    }

    fn in_order(&self, which: impl Fn(&RequestRecord) -> bool) -> Vec<&RequestRecord> {
        let mut found: Vec<_> = self.open.values().filter(|r| which(r)).collect();
        found.sort_by_key(|r| r.sequence);
        found
    }

    /// The newest generation: what training is about.
    pub fn newest(&self) -> Option<(GenerationId, &GenerationRecord)> {
        self.generations.iter().next_back().map(|(id, g)| (*id, g))
    }

    /// The newest recipe of a generation.
    pub fn newest_recipe(&self, generation: GenerationId) -> Option<&RecipeId> {
        self.generations.get(&generation)?.recipes.last().map(|r| &r.recipe)
    }
}
