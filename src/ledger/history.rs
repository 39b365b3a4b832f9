//! What the entries add up to.

use std::collections::{BTreeMap, BTreeSet};

use super::{Accepted, Effective, Entry, Event, Head, Imported, OutcomeKind, RecipeFrozen, Repaired};
use crate::{
    digest::Digest,
    ids::{Cell, GenerationId, Handle, RecipeId},
    shard::store_digest,
};

/// A generation that is not purged.
#[derive(Clone, Debug)]
pub struct GenerationRecord {
    /// How it came to be.
    pub imported: Imported,
    /// The content digest that every cell must have now, once all accepted requests are in effect.
    pub cells: BTreeMap<Cell, Digest>,
    /// Its recipes, oldest first.
    pub recipes: Vec<RecipeFrozen>,
    /// For each recipe that was once whole and durable, how things were then.
    pub durable: BTreeMap<RecipeId, Durable>,
}

impl GenerationRecord {
    /// Root digest of all cells.
    pub fn root(&self) -> Digest {
        store_digest(self.cells.iter())
    }
}

/// A moment at which every step of a recipe was trained and durable.
#[derive(Clone, Debug)]
pub struct Durable {
    /// The content digest of every cell.
    pub cells: BTreeMap<Cell, Digest>,
    /// The lineage key of every shard's last step.
    pub lineages: Vec<Digest>,
}

/// A deletion request and how far it has come.
#[derive(Clone, Debug)]
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

/// What the entries add up to.
#[derive(Clone, Debug, Default)]
pub struct History {
    /// The last entry.
    pub head: Head,
    /// Generations that are not purged.
    pub generations: BTreeMap<GenerationId, GenerationRecord>,
    /// The highest generation that ever was.
    pub last_generation: u32,
    /// Requests by name.
    pub requests: BTreeMap<String, RequestRecord>,
    /// Handles that imports refuse.
    pub suppressed: BTreeSet<Handle>,
    /// Handles that were erased and not imported since.
    pub erased: BTreeSet<Handle>,
}

impl History {
    /// Takes in the next entry. An entry that contradicts those before it is refused with the reason.
    pub(super) fn take(&mut self, entry: &Entry, digest: Digest) -> Result<(), String> {
        match &entry.event {
            Event::Imported(imported) => self.imported(imported)?,
            Event::Recipe(recipe) => {
                let generation =
                    self.generations.get_mut(&recipe.generation).ok_or("a recipe for a generation that does not exist")?;
                generation.recipes.retain(|r| r.recipe != recipe.recipe);
                generation.recipes.push(recipe.clone());
            }
            Event::Accepted(accepted) => self.accepted(entry, accepted)?,
            Event::Effective(effective) => {
                let request = self.requests.get_mut(&effective.request).ok_or("an effect without a request")?;
                request.effective = Some((entry.time.clone(), effective.clone()));
                for (generation, root) in &effective.roots {
                    if self.generations.get(generation).is_none_or(|g| g.root() != *root) {
                        return Err(format!("the root digest of {generation} does not follow from the entries before"));
                    }
                }
            }
            Event::Repaired(repaired) => {
                for name in &repaired.requests {
                    let request = self.requests.get_mut(name).ok_or("a repair without a request")?;
                    request.repaired = Some((entry.time.clone(), repaired.clone()));
                }
                self.durable(repaired.generation, &repaired.recipe, &repaired.lineages);
            }
            Event::Trained(trained) => self.durable(trained.generation, &trained.recipe, &trained.lineages),
            Event::Rekeyed(_) => {}
            Event::Unsuppressed(event) => event.handles.iter().for_each(|h| {
                self.suppressed.remove(h);
            }),
            Event::Mended(mended) => {
                let generation = self.generations.get_mut(&mended.generation).ok_or("a mended slice of no generation")?;
                let digest = generation.cells.get_mut(&mended.cell).ok_or("a mended slice outside the grid")?;
                *digest = mended.after;
            }
            Event::Purged(purged) => {
                self.generations.retain(|id, _| !purged.generations.contains(id));
                for generation in self.generations.values_mut() {
                    generation.recipes.retain(|r| !purged.recipes.contains(&r.recipe));
                    generation.durable.retain(|recipe, _| !purged.recipes.contains(recipe));
                }
            }
        }
        self.head = Head { sequence: entry.sequence, digest };
        Ok(())
    }

    fn durable(&mut self, generation: GenerationId, recipe: &RecipeId, lineages: &[Digest]) {
        // A generation may be purged by now.
        if let Some(generation) = self.generations.get_mut(&generation) {
            let durable = Durable { cells: generation.cells.clone(), lineages: lineages.to_vec() };
            generation.durable.insert(recipe.clone(), durable);
        }
    }

    fn imported(&mut self, imported: &Imported) -> Result<(), String> {
        let cells = imported.cells.clone();
        let record = GenerationRecord { imported: imported.clone(), cells, recipes: Vec::new(), durable: BTreeMap::new() };
        if record.root() != imported.root {
            return Err("the root digest is not that of the cells".into());
        }
        self.last_generation = self.last_generation.max(imported.generation.0);
        self.generations.insert(imported.generation, record);
        if imported.rekeys.is_none() {
            // A new source may hold people again who were erased without being suppressed.
            let suppressed = &self.suppressed;
            self.erased.retain(|h| suppressed.contains(h));
        }
        Ok(())
    }

    fn accepted(&mut self, entry: &Entry, accepted: &Accepted) -> Result<(), String> {
        if self.requests.contains_key(&accepted.request) {
            return Err("a request was accepted twice".into());
        }
        for change in &accepted.cells {
            // A generation may be purged by now; its cells are then nobody's.
            let Some(generation) = self.generations.get_mut(&change.generation) else { continue };
            let cell = change.cell;
            let digest = generation.cells.get_mut(&cell).ok_or_else(|| format!("{cell} is outside the grid"))?;
            if *digest != change.before {
                return Err(format!("{cell} was not as the entry says it was before"));
            }
            *digest = change.after;
        }
        for outcome in &accepted.outcomes {
            if accepted.suppress {
                self.suppressed.insert(outcome.handle);
            }
            if outcome.outcome != OutcomeKind::NotFound {
                self.erased.insert(outcome.handle);
            }
        }
        let record = RequestRecord {
            sequence: entry.sequence,
            accepted_at: entry.time.clone(),
            accepted: accepted.clone(),
            effective: None,
            repaired: None,
        };
        self.requests.insert(accepted.request.clone(), record);
        Ok(())
    }

    /// Requests that are accepted and not yet in effect, in order.
    pub fn unfinished(&self) -> Vec<&RequestRecord> {
        self.in_order(|r| r.effective.is_none())
    }

    /// Requests that are in effect and not yet repaired, in order.
    pub fn unrepaired(&self) -> Vec<&RequestRecord> {
        self.in_order(|r| r.effective.is_some() && r.repaired.is_none())
    }

    fn in_order(&self, which: impl Fn(&RequestRecord) -> bool) -> Vec<&RequestRecord> {
        let mut found: Vec<_> = self.requests.values().filter(|r| which(r)).collect();
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
