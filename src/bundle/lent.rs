//! Constituents, and the sums of all, as bytes: whoever has them answers as the workspace does, and needs neither it nor its keys.
//!
//! They say what the columns mean, so that tables are read as the workspace reads them; they hold no row and no key (docs/FEDERATED.md
//! says what they reveal).

use serde::{Deserialize, Serialize};

use super::{
    BundleError,
    frame::{self, read, write},
    head::LayoutHead,
};
use crate::{
    checkpoint::CHECKPOINT_FORMAT,
    digest::Digest,
    ids::ShardId,
    learn::{Abilities, Layout, Learner, LearnerSettings, Scorer, State, StateError, Task},
    ledger::Aggregate,
    num::NUMERICS_VERSION,
    schema::{Kind, Schema},
    source::TextForm,
};

/// What answers are computed with and from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Terms {
    checkpoint_format: u32,
    numerics: u32,
    encoder: u32,
    /// The learner and its settings.
    pub learner: LearnerSettings,
    /// What the columns mean.
    pub schema: Schema,
    /// How text sources are written.
    pub form: TextForm,
}

impl Terms {
    /// Of this program's formats and arithmetic.
    pub fn new(learner: LearnerSettings, schema: Schema, form: TextForm) -> Terms {
        let encoder = schema.encoder_version();
        Terms { checkpoint_format: CHECKPOINT_FORMAT, numerics: NUMERICS_VERSION, encoder, learner, schema, form }
    }

    /// The learner, and the rows that it is for.
    fn check(&self) -> Result<(Box<dyn Learner>, Layout), BundleError> {
        let same = |what: &'static str, theirs: u32, ours: u32| match theirs == ours {
            true => Ok(()),
            false => Err(BundleError::OtherVersion { what, theirs, ours }),
        };
        same("checkpoint format", self.checkpoint_format, CHECKPOINT_FORMAT)?;
        same("numerics", self.numerics, NUMERICS_VERSION)?;
        same("encoder", self.encoder, self.schema.encoder_version())?;
        let beyond = |kind: &Kind| matches!(kind, Kind::Buckets { buckets: 0 | u32::MAX });
        if self.schema.columns.iter().any(|column| beyond(&column.kind)) {
            return Err(BundleError::damaged(64, "its head: a column has no such number of buckets"));
        }
        let layout = LayoutHead::of(&self.schema.layout()).layout()?;
        let learner = self.learner.check()?;
        learner.accepts(&layout)?;
        Ok((learner, layout))
    }

    /// The first thing in which others differ.
    fn difference(&self, other: &Terms) -> Option<&'static str> {
        let differs = [
            (self.learner != other.learner, "another learner, or other settings of it"),
            (self.schema != other.schema, "columns or a label that are declared otherwise"),
            (self.form != other.form, "text sources that are written otherwise"),
            (self != other, "another version of the program"),
        ];
        differs.into_iter().find_map(|(differs, what)| differs.then_some(what))
    }
}

/// A constituent in service.
#[derive(Debug)]
pub struct Constituent {
    /// What answers are computed with and from.
    pub terms: Terms,
    /// Its shard.
    pub shard: ShardId,
    /// The step that it serves.
    pub step: u32,
    /// The lineage key of that step.
    pub lineage: Digest,
    /// What its vote weighs, above 0 and at most 1.
    pub weight: f32,
    /// How votes are brought together.
    pub aggregate: Aggregate,
    /// What is learnt.
    pub task: Task,
    /// Its model.
    pub scorer: Box<dyn Scorer>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct ConstituentHead {
    shard: ShardId,
    step: u32,
    lineage: Digest,
    /// The bits of an f32.
    weight: u32,
    aggregate: Aggregate,
    terms: Terms,
    bytes: u64,
}

impl Constituent {
    /// A constituent's bytes, from those of its checkpoint's payload.
    pub fn encode(
        terms: &Terms,
        (shard, step, lineage): (ShardId, u32, Digest),
        (weight, aggregate): (f32, Aggregate),
        payload: &[u8],
    ) -> Vec<u8> {
        let (weight, bytes) = (weight.to_bits(), payload.len() as u64);
        let head = ConstituentHead { shard, step, lineage, weight, aggregate, terms: terms.clone(), bytes };
        write(frame::Kind::Constituent, &head, &[payload])
    }

    /// From bytes that nobody vouches for.
    ///
    /// # Errors
    /// They are something else, of another version, or damaged; or its learner's states are not for lending.
    pub fn decode(bytes: &[u8]) -> Result<Constituent, BundleError> {
        let (head, mut parts) = read::<ConstituentHead>(bytes, frame::Kind::Constituent)?;
        let ConstituentHead { shard, step, lineage, weight, aggregate, terms, bytes } = head;
        let (learner, layout) = terms.check()?;
        let weight = f32::from_bits(weight);
        let Abilities { merge, holds_rows, .. } = learner.abilities();
        if !(weight > 0.0 && weight <= 1.0) || merge || holds_rows {
            return Err(BundleError::damaged(64, "its head: there is no such constituent"));
        }
        let at = parts.at();
        let payload = parts.next(bytes)?;
        parts.end()?;
        let scorer = learner.scorer(&layout, payload).map_err(|e| BundleError::damaged(at, e.to_string()))?;
        if scorer.rows() == 0 {
            return Err(BundleError::damaged(at, "it was trained on no record, and has no vote"));
        }
        Ok(Constituent { terms, shard, step, lineage, weight, aggregate, task: layout.task, scorer })
    }
}

/// One model of the rows of all shards, as sums that add up with those of other workspaces.
#[derive(Debug)]
pub struct Sums {
    /// What answers are computed with and from.
    pub terms: Terms,
    /// What is learnt.
    pub task: Task,
    /// The sums.
    pub state: Box<dyn State>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct SumsHead {
    terms: Terms,
    bytes: u64,
}

impl Sums {
    /// Of states of all shards of a workspace, which are without their seed from then on: so sums of workspaces with keys of their own add up.
    ///
    /// # Errors
    /// The states do not add up, or not without their seed.
    pub fn of(terms: Terms, task: Task, states: impl IntoIterator<Item = Box<dyn State>>) -> Result<Sums, StateError> {
        let mut all: Option<Box<dyn State>> = None;
        for mut state in states {
            state.without_seed()?;
            match &mut all {
                None => all = Some(state),
                Some(all) => all.merge(&*state)?,
            }
        }
        let state = all.ok_or_else(|| StateError("there is no state to add up".into()))?;
        Ok(Sums { terms, task, state })
    }

    /// As bytes: a function of the terms and of the set of all rows.
    pub fn encode(&self) -> Vec<u8> {
        let payload = self.state.encode();
        write(frame::Kind::Sums, &SumsHead { terms: self.terms.clone(), bytes: payload.len() as u64 }, &[&payload])
    }

    /// From bytes that nobody vouches for.
    ///
    /// # Errors
    /// They are something else, of another version, or damaged.
    pub fn decode(bytes: &[u8]) -> Result<Sums, BundleError> {
        let (SumsHead { terms, bytes }, mut parts) = read(bytes, frame::Kind::Sums)?;
        let (learner, layout) = terms.check()?;
        if !learner.abilities().merge {
            return Err(BundleError::damaged(64, "its head: states of this learner do not add up"));
        }
        let at = parts.at();
        let payload = parts.next(bytes)?;
        parts.end()?;
        let state = learner.decode(&layout, payload).and_then(|mut state| state.without_seed().map(|()| state));
        let state = state.map_err(|e| BundleError::damaged(at, e.to_string()))?;
        Ok(Sums { terms, task: layout.task, state })
    }

    /// Adds the sums of another workspace: exactly those of one with the rows of both.
    ///
    /// # Errors
    /// The other declares its rows otherwise, or there are too many rows.
    pub fn add(&mut self, other: &Sums) -> Result<(), BundleError> {
        if let Some(what) = self.terms.difference(&other.terms) {
            return Err(BundleError::Unlike { what: what.to_owned() });
        }
        self.state.merge(&*other.state).map_err(|e| BundleError::Unlike { what: e.to_string() })
    }
}
