//! An ensemble that stays loaded, and never answers from a state that saw an erased record.

use std::{
    fmt,
    sync::{Arc, Mutex, PoisonError},
};

use rayon::ThreadPool;

use super::{Engine, Error, Observer, threads::Threads};
use crate::{
    ids::{GenerationId, RecipeId},
    ledger::RequestRecord,
    predict::{Ensemble, PredictError},
    schema::{Kind, Label, Schema},
    source::TextForm,
    train::{Model, ShardPlan},
    workspace::{Partition, Snapshot, Workspace, WorkspaceError},
};

/// How often an answer is computed again because something came into effect meanwhile, before the caller is told to try later.
const TRIES: u32 = 4;

/// What an answer stands on: an answer with the same epoch comes from the same bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Epoch {
    /// The generation in service.
    pub generation: GenerationId,
    /// The recipe in service.
    pub recipe: RecipeId,
    /// The last entry of the ledger: a person whose deletion was accepted by a later entry may have been seen, one with an earlier or the
    /// same entry was not.
    pub entry: u64,
}

impl fmt::Display for Epoch {
    /// `g0001.257d0dbf00c0ffee.42`
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.generation, self.recipe, self.entry)
    }
}

/// What is in service, loaded, as of one moment.
#[derive(Debug)]
pub(super) struct Loaded {
    pub(super) snapshot: Snapshot,
    pub(super) model: Model,
    pub(super) schema: Schema,
    /// How text sources are written.
    pub(super) form: TextForm,
    pub(super) ensemble: Ensemble,
    /// The class names, in order; empty for numbers.
    pub(super) classes: Arc<[String]>,
    epoch: Epoch,
}

impl Loaded {
    /// Loads what is in service; refuses while an accepted request is not in effect.
    pub(super) fn load(workspace: &Workspace) -> Result<Loaded, Error> {
        Loaded::again(workspace, None, Workspace::answering_snapshot)
    }

    /// Loads what answers now, between `accepted` and `effective` too; of `before` what is the same stays.
    ///
    /// As soon as a request is accepted, the ledger names the slices as they will be, and lineage keys follow from those: a state that
    /// is found under one of them saw none of the records that go, whatever is on the disk still.
    fn clean(workspace: &Workspace, before: Option<&Loaded>) -> Result<Loaded, Error> {
        Loaded::again(workspace, before, Workspace::snapshot)
    }

    fn again(
        workspace: &Workspace,
        before: Option<&Loaded>,
        snapshot: impl Fn(&Workspace) -> Result<Snapshot, WorkspaceError>,
    ) -> Result<Loaded, Error> {
        loop {
            let snapshot = snapshot(workspace)?;
            match Loaded::of(workspace, snapshot, before)? {
                Some(loaded) => return Ok(loaded),
                // Something came into effect while it was loaded.
                None => continue,
            }
        }
    }

    fn of(workspace: &Workspace, snapshot: Snapshot, before: Option<&Loaded>) -> Result<Option<Loaded>, Error> {
        let read = || -> Result<_, Error> {
            let (current, record) = workspace.serving(&snapshot)?;
            let model = workspace.model(current.generation, record, &current.recipe)?;
            let Partition { schema, form, .. } = workspace.partition(current.generation, record)?;
            let plans = model.shards.grid().shards().map(|s| model.outlook(s, false)).collect::<Result<Vec<ShardPlan>, _>>()?;
            let ensemble = Ensemble::load_after(&model, &plans, current.aggregate, before.map(|b| &b.ensemble));
            let ensemble = on_their_way(&snapshot, current.generation, &model, ensemble)?;
            let epoch =
                Epoch { generation: current.generation, recipe: current.recipe.clone(), entry: snapshot.history.head.sequence };
            Ok((model, schema, form, ensemble, epoch))
        };
        let read = read();
        // Whatever was read, sound or not, it counts only if nothing came into effect meanwhile.
        if workspace.still(&snapshot).is_err() {
            return Ok(None);
        }
        let (model, schema, form, ensemble, epoch) = read?;
        let classes = match &schema.label {
            Label::Class { values, .. } => values.as_slice().into(),
            Label::Number { .. } => Arc::default(),
        };
        Ok(Some(Loaded { snapshot, model, schema, form, ensemble, classes, epoch }))
    }

    /// Refuses while an accepted request is not in effect: slices hold its records still.
    ///
    /// # Errors
    /// [`WorkspaceError::NotEffective`].
    pub(super) fn is_effective(&self) -> Result<(), Error> {
        self.snapshot.history.unfinished().first().map_or(Ok(()), |request| Err(not_effective(request)))
    }

    /// Whether nothing came into effect since it was loaded.
    ///
    /// # Errors
    /// [`WorkspaceError::MovedOn`], or the disk refuses.
    pub(super) fn still(&self, workspace: &Workspace) -> Result<(), Error> {
        Ok(workspace.still(&self.snapshot)?)
    }

    /// Checks all slices against the ledger.
    ///
    /// # Errors
    /// Names the first that is not what the ledger says.
    pub(super) fn check_cells(&self, workspace: &Workspace) -> Result<(), Error> {
        let (_, record) = workspace.serving(&self.snapshot)?;
        Ok(workspace.check_cells(&self.model.shards, &record.cells)?)
    }

    /// Members that vote, how many of them with their full weight, and how many shards there are.
    pub(super) fn members(&self) -> (usize, usize, u32) {
        let (grid, members) = (self.model.shards.grid(), self.ensemble.members());
        (members.len(), members.iter().filter(|m| m.step == grid.slices).count(), grid.shards)
    }

    /// Tells of checkpoints that were passed over.
    pub(super) fn tell(&self, observer: &dyn Observer) {
        self.ensemble.damaged.iter().for_each(|d| observer.note(&format!("passed over: {d}")));
    }
}

/// An ensemble as it was loaded, unless it is worth waiting until the accepted requests are in effect: where nothing else can answer, and where
/// the states without the records, which are put in place right after the entry, are not there yet.
fn on_their_way(
    snapshot: &Snapshot,
    generation: GenerationId,
    model: &Model,
    loaded: Result<Ensemble, PredictError>,
) -> Result<Ensemble, Error> {
    let unfinished = snapshot.history.unfinished();
    let Some(first) = unfinished.first() else { return Ok(loaded?) };
    let ensemble = match loaded {
        Err(PredictError::NoMembers { .. } | PredictError::NoRecords) => return Err(not_effective(first)),
        loaded => loaded?,
    };
    let touched = unfinished.iter().flat_map(|request| &request.accepted.cells).filter(|c| c.generation == generation);
    let whole = |shard| ensemble.members().iter().any(|m| m.shard == shard && m.step == model.shards.grid().slices);
    if model.learner.abilities().downdate && !touched.into_iter().all(|change| whole(change.cell.shard)) {
        return Err(not_effective(first));
    }
    Ok(ensemble)
}

fn not_effective(request: &RequestRecord) -> Error {
    WorkspaceError::NotEffective { request: request.accepted.request.clone() }.into()
}

/// An ensemble that stays loaded. It holds no lock: deletions of this or any other process go on beside it, and are noticed by a look
/// at the ledger before and after each answer. What changed is loaded again; shards that did not change stay as they are.
///
/// An answer is returned only if what it stands on was in service at some moment after it was computed, so no answer that is
/// returned after a deletion was accepted was influenced by what is deleted: from then on answers come from states that never saw it,
/// clean prefixes or states that its records were taken out of, while the deletion is brought into effect. When a new state can't be
/// loaded, the old one is dropped and there is no answer.
#[derive(Debug)]
pub struct Serving {
    workspace: Workspace,
    threads: Arc<Threads>,
    loaded: Mutex<Option<Arc<Loaded>>>,
}

impl Engine {
    /// Loads what is in service, to answer from it for as long as the caller likes, from any number of threads.
    ///
    /// # Errors
    /// Nothing is in service, or can answer before an accepted deletion is in effect, or the workspace is damaged.
    pub fn serving(&self) -> Result<Serving, Error> {
        let serving = self.serving_later();
        serving.loaded()?;
        Ok(serving)
    }

    /// As [`Engine::serving`], and loads nothing before it is asked: there may be nothing that can answer yet.
    pub fn serving_later(&self) -> Serving {
        Serving { workspace: self.workspace.clone(), threads: self.threads.clone(), loaded: Mutex::new(None) }
    }
}

/// What is asked and what is answered, of an ensemble in service.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Interface {
    /// The columns that rows must have, in the order of the schema: each with what its cells are.
    pub inputs: Vec<(String, InputKind)>,
    /// The column that is answered.
    pub label: String,
    /// The class names, in order; empty for numbers.
    pub classes: Arc<[String]>,
    /// Members that vote, how many of them with their full weight, and how many shards there are.
    pub members: (usize, usize, u32),
    /// What the members' votes weigh together.
    pub weight: f64,
    /// What an answer would stand on.
    pub epoch: Epoch,
}

/// What the cells of an input are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum InputKind {
    /// A number.
    Number,
    /// A whole number from 0 to 255.
    Byte,
    /// Text: a category, a date, yes or no.
    Text,
}

impl Serving {
    /// What is asked and what is answered.
    ///
    /// # Errors
    /// As for [`Engine::serving`].
    pub fn interface(&self) -> Result<Interface, Error> {
        let loaded = self.loaded()?;
        let kind = |kind: &Kind| match kind {
            Kind::Number { .. } | Kind::Embedding { .. } => Some(InputKind::Number),
            Kind::Byte { .. } => Some(InputKind::Byte),
            Kind::Date { .. } | Kind::Boolean | Kind::Values { .. } | Kind::Buckets { .. } => Some(InputKind::Text),
            Kind::Ignore => None,
        };
        let columns = loaded.schema.columns.iter();
        Ok(Interface {
            inputs: columns
                .filter_map(|c| Some((c, kind(&c.kind)?)))
                .flat_map(|(c, kind)| c.sources().map(move |name| (name.into_owned(), kind)))
                .collect(),
            label: loaded.schema.label.column().to_owned(),
            classes: loaded.classes.clone(),
            members: loaded.members(),
            weight: loaded.ensemble.members().iter().fold(0.0, |sum, member| sum + f64::from(member.weight)),
            epoch: loaded.epoch.clone(),
        })
    }

    /// What an answer would stand on now.
    ///
    /// # Errors
    /// As for [`Engine::serving`].
    pub fn epoch(&self) -> Result<Epoch, Error> {
        Ok(self.loaded()?.epoch.clone())
    }

    /// Computes an answer from what is in service, again if something came into effect meanwhile.
    pub(super) fn answer<T>(&self, mut compute: impl FnMut(&Loaded) -> Result<T, Error>) -> Result<(T, Epoch), Error> {
        for _ in 0..TRIES {
            let loaded = self.loaded()?;
            let answer = compute(&loaded);
            match loaded.still(&self.workspace) {
                Ok(()) => return Ok((answer?, loaded.epoch.clone())),
                Err(Error::Workspace(WorkspaceError::MovedOn)) => {}
                Err(e) => return Err(e),
            }
        }
        Err(WorkspaceError::MovedOn.into())
    }

    /// The threads that large answers are computed on.
    pub(super) fn pool(&self) -> Result<&ThreadPool, Error> {
        self.threads.answering()
    }

    /// What is in service now: as it is loaded, if nothing came into effect since.
    fn loaded(&self) -> Result<Arc<Loaded>, Error> {
        let mut held = self.loaded.lock().unwrap_or_else(PoisonError::into_inner);
        // Taken out: should loading fail, what was there must not answer again.
        let before = held.take();
        if let Some(before) = &before {
            match before.still(&self.workspace) {
                Ok(()) => return Ok(held.insert(before.clone()).clone()),
                Err(Error::Workspace(WorkspaceError::MovedOn)) => {}
                Err(e) => return Err(e),
            }
        }
        match self.pool()?.install(|| Loaded::clean(&self.workspace, before.as_deref())) {
            Ok(loaded) => Ok(held.insert(Arc::new(loaded)).clone()),
            Err(e) => {
                // It never answers again, as the ledger has moved on from it for good; what does not change of it need not be read again.
                *held = before.filter(|_| matches!(e, Error::Workspace(WorkspaceError::NotEffective { .. })));
                Err(e)
            }
        }
    }
}
