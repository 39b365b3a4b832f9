//! What answers of a workspace, as bytes for those who have neither it nor its keys: constituents, or the sums that states add up to
//! (docs/FEDERATED.md). Rows never leave with them.

use std::sync::Arc;

use rayon::{ThreadPool, ThreadPoolBuilder};

use super::{Epoch, Error, Observer, Serving, predict::Answering, serving::Loaded};
use crate::{
    bundle::{BundleError, Constituent, Sums, Terms},
    digest::Digest,
    ids::{ShardId, SliceId},
    learn::Abilities,
    predict::{Ensemble, Scores},
    schema::{Kind, Label, Schema},
    source::{Input, TextForm},
    train::TrainError,
};

impl Serving {
    /// The constituents in service, shard by shard, each as bytes that [`Lent::open`] answers from: to the bit as they answer here.
    ///
    /// # Errors
    /// As for [`Engine::serving`](super::Engine::serving); states of the learner hold the rows that they were trained on, or are sums.
    pub fn constituents(&self) -> Result<(Vec<Vec<u8>>, Epoch), Error> {
        self.answer(|loaded| {
            let kind = loaded.model.recipe.learner.kind();
            let Abilities { merge, holds_rows, .. } = loaded.model.learner.abilities();
            let what = match (merge, holds_rows) {
                (_, true) => "its states hold the rows that they were trained on, so none is lent; ask for scores",
                (true, false) => {
                    "its states are sums of its rows, which say more than a constituent does; ask for scores, or for sums"
                }
                (false, false) => "",
            };
            if !what.is_empty() {
                return Err(Error::NotLent { kind, what: what.into() });
            }
            let terms = terms(loaded);
            let lend = |payload: &[u8], (shard, step, lineage), weight| {
                Constituent::encode(&terms, (shard, step, lineage), (weight, loaded.ensemble.aggregate()), payload)
            };
            let members = loaded.ensemble.members().iter();
            members
                .map(|m| {
                    let read = loaded.model.checkpoints.read(m.shard, SliceId(m.step), m.lineage, |payload| {
                        lend(payload, (m.shard, m.step, m.lineage), m.weight)
                    });
                    Ok(read.map_err(TrainError::from)?)
                })
                .collect()
        })
    }

    /// The sums of all rows in service, as bytes that [`add_sums`] adds to those of other workspaces, and [`Lent::open`] answers from.
    ///
    /// The difference of the sums before and after one deletion is what went: from that of one record all of its features can be read.
    ///
    /// # Errors
    /// As for [`Engine::serving`](super::Engine::serving); states of the learner do not add up with those of other keys, or one is damaged.
    pub fn sums(&self) -> Result<(Vec<u8>, Epoch), Error> {
        self.answer(|loaded| {
            let (model, layout) = (&loaded.model, loaded.model.shards.layout());
            let kind = model.recipe.learner.kind();
            if !model.learner.abilities().merge {
                let what = "its states do not add up; ask for scores".into();
                return Err(Error::NotLent { kind, what });
            }
            let slices = model.shards.chain().steps();
            let mut whole = loaded.ensemble.damaged.is_empty() && loaded.ensemble.members().iter().all(|m| m.step == slices);
            for shard in &loaded.ensemble.silent {
                whole &= model.rows(*shard)?.iter().all(|rows| *rows == 0);
            }
            if !whole {
                let what = "not all of its shards are whole, so these would not be the sums of all rows; repair first".into();
                return Err(Error::NotLent { kind, what });
            }
            let mut states = Vec::new();
            for m in loaded.ensemble.members() {
                let state = model.checkpoints.read(m.shard, SliceId(m.step), m.lineage, |p| model.learner.decode(layout, p));
                let of = |cause| TrainError::State { shard: m.shard.0, step: m.step, cause };
                states.push(state.map_err(TrainError::from)?.map_err(of)?);
            }
            let sums = Sums::of(terms(loaded), layout.task, states);
            let sums = sums.map_err(|e| Error::NotLent { kind, what: e.to_string() })?;
            Ok(sums.encode())
        })
    }

    /// Refuses tables that say whom their rows are about: questions to others need not.
    ///
    /// # Errors
    /// As for [`Engine::serving`](super::Engine::serving), a table can't be read, or it has a column of ids that nothing is learnt from.
    pub fn refuse_ids(&self, sources: &Input) -> Result<(), Error> {
        let ((), _) = self.answer(|loaded| {
            let schema = &loaded.schema;
            let learnt = |id: &String| schema.columns.iter().any(|column| column.name == *id && column.kind != Kind::Ignore);
            for source in sources.open(&loaded.form)? {
                let ids = schema.subject.iter().chain(&schema.record).filter(|id| !learnt(id));
                if let Some(column) = ids.into_iter().find(|id| source.columns().contains(id)) {
                    return Err(Error::Identified { name: source.name().to_string(), column: column.clone() });
                }
            }
            Ok(())
        })?;
        Ok(())
    }
}

fn terms(loaded: &Loaded) -> Terms {
    // Whom records are about is nothing that answers need.
    let schema = Schema { subject: None, record: Vec::new(), ..loaded.schema.clone() };
    Terms::new(loaded.model.recipe.learner.clone(), schema, loaded.form.clone())
}

/// Adds the sums of workspaces that declare their rows alike: to the byte those of one workspace with the rows of all.
///
/// # Errors
/// Bytes are damaged or something else, or the workspaces declare their rows otherwise.
pub fn add_sums<'a>(all: impl IntoIterator<Item = &'a [u8]>) -> Result<Vec<u8>, Error> {
    let mut all = all.into_iter();
    let nothing = BundleError::Other { wanted: "sums", found: "there are no bytes" };
    let mut sums = Sums::decode(all.next().ok_or(nothing)?)?;
    for other in all {
        sums.add(&Sums::decode(other)?)?;
    }
    Ok(sums.encode())
}

/// A constituent that was lent.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct LentMember {
    /// Its shard.
    pub shard: ShardId,
    /// The step that it serves.
    pub step: u32,
    /// The lineage key of that step.
    pub lineage: Digest,
    /// What its vote weighs.
    pub weight: f32,
}

/// Constituents of one workspace, or the sums of any number, that answer without them.
#[derive(Debug)]
pub struct Lent {
    schema: Schema,
    form: TextForm,
    ensemble: Ensemble,
    classes: Arc<[String]>,
    /// In order of their shards; none of sums.
    members: Vec<LentMember>,
}

impl Lent {
    /// From the bytes of constituents of one workspace, in any order.
    ///
    /// # Errors
    /// Bytes are damaged or something else, they are of several workspaces or recipes, or two are of one shard.
    pub fn open<'a>(constituents: impl IntoIterator<Item = &'a [u8]>) -> Result<Lent, Error> {
        let mut lent: Vec<Constituent> = constituents.into_iter().map(Constituent::decode).collect::<Result<_, _>>()?;
        lent.sort_by_key(|constituent| constituent.shard);
        let Some(first) = lent.first() else {
            return Err(BundleError::Other { wanted: "a constituent, lent", found: "there are no bytes" }.into());
        };
        let (terms, aggregate, task) = (first.terms.clone(), first.aggregate, first.task);
        for (before, constituent) in lent.iter().zip(lent.iter().skip(1)) {
            if before.shard == constituent.shard {
                let what = format!("two constituents are of shard {}", constituent.shard.0);
                return Err(BundleError::Unlike { what }.into());
            }
            if (&constituent.terms, constituent.aggregate) != (&terms, aggregate) {
                let what = "constituents of one site answer by different rules".into();
                return Err(BundleError::Unlike { what }.into());
            }
        }
        let member = |c: &Constituent| LentMember { shard: c.shard, step: c.step, lineage: c.lineage, weight: c.weight };
        let members = lent.iter().map(member).collect();
        let voting = lent.into_iter().map(|c| ((c.shard, c.step, c.weight, c.lineage), c.scorer));
        Ok(Lent::of(terms, Ensemble::of_members((aggregate, task), voting)?, members))
    }

    /// From the bytes of sums.
    ///
    /// # Errors
    /// They are damaged or something else.
    pub fn open_sums(sums: &[u8]) -> Result<Lent, Error> {
        let Sums { terms, task, state } = Sums::decode(sums)?;
        Ok(Lent::of(terms, Ensemble::of_sum(task, state), Vec::new()))
    }

    fn of(terms: Terms, ensemble: Ensemble, members: Vec<LentMember>) -> Lent {
        let Terms { schema, form, .. } = terms;
        let classes = match &schema.label {
            Label::Class { values, .. } => values.as_slice().into(),
            Label::Number { .. } => Arc::default(),
        };
        Lent { schema, form, ensemble, classes, members }
    }

    /// The constituents, in order of their shards; none of sums.
    pub fn members(&self) -> &[LentMember] {
        &self.members
    }

    /// Scores every row of the sources, in order; returns them with the names of the classes.
    ///
    /// # Errors
    /// A row is wrong, or no thread can be had.
    pub fn scores(&self, sources: &Input, threads: usize, observer: &dyn Observer) -> Result<(Arc<[String]>, Scores), Error> {
        let pool: ThreadPool = (ThreadPoolBuilder::new().num_threads(threads.max(1)).build())
            .map_err(|e| TrainError::Threads { threads, message: e.to_string() })?;
        let Lent { schema, form, ensemble, .. } = self;
        let mut all = Scores { outputs: schema.layout().task.outputs(), values: Vec::new(), classes: Vec::new() };
        Answering { schema, form, ensemble }.score(sources, &pool, (false, None), observer, |scores, _, _| {
            all.values.extend_from_slice(&scores.values);
            all.classes.extend_from_slice(&scores.classes);
            Ok(())
        })?;
        Ok((self.classes.clone(), all))
    }
}
