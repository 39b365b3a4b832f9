//! What is known of the model in service.

mod markdown;

use serde::Serialize;

use super::{Evaluated, Export, Replay};
use crate::{
    digest::Digest,
    engine,
    learn::{LearnerSettings, Range},
    predict::Aggregate,
    receipt::{CLAIM, NOT_CLAIMED},
    schema::{Column, Kind, Label},
};

/// A model card. [`Card::markdown`] is the same for people.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "type", rename = "card")]
#[non_exhaustive]
pub struct Card {
    /// The generation in service, as its folder is named.
    pub generation: String,
    /// The recipe in service.
    pub recipe: String,
    /// How scores of constituents become one.
    pub aggregate: Aggregate,
    /// The learner's settings, as `[learner]` in the configuration has them.
    pub learner: LearnerSettings,
    /// S.
    pub shards: u32,
    /// R of the import.
    pub slices: u32,
    /// Constituents that vote.
    pub members: usize,
    /// Records in slices.
    pub records: u64,
    /// Records held out.
    pub held_out: u64,
    /// How many batches of records there are; the first is the import.
    pub batches: u32,
    /// Whether a column says whom a record is about; otherwise each record is its own subject.
    pub subjects: bool,
    /// What is learnt.
    pub label: CardColumn,
    /// The inputs.
    pub columns: Vec<CardColumn>,
    /// How good it is on what was held out; null where nothing was.
    pub quality: Option<Evaluated>,
    /// Deletion requests so far.
    pub deletions: CardDeletions,
    /// Copies of models that left, oldest first.
    pub exports: Vec<Export>,
    /// What is claimed.
    pub claim: &'static str,
    /// Where it holds by replay.
    pub replay: Replay,
    /// What is not.
    pub not_claimed: &'static str,
    /// The number of the ledger's last entry.
    pub ledger_sequence: u64,
    /// Its digest.
    pub ledger_digest: Digest,
}

/// A column.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct CardColumn {
    /// Its name.
    pub name: String,
    /// What its cells are.
    pub kind: &'static str,
    /// What else is declared, in words; empty where nothing is.
    pub declared: String,
}

/// Deletion requests, added up.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct CardDeletions {
    /// How many.
    pub requests: u64,
    /// Those in effect and not repaired.
    pub unrepaired: u64,
    /// Ids whose records were erased.
    pub ids: u64,
    /// Records that were erased.
    pub records: u64,
    /// When the last one came into effect.
    pub last: Option<String>,
}

fn ends(range: &Option<Range>) -> Option<String> {
    range.map(|Range([low, high])| format!("from {low} to {high}"))
}

fn phrase(parts: impl IntoIterator<Item = Option<String>>) -> String {
    parts.into_iter().flatten().collect::<Vec<_>>().join(", ")
}

fn count(values: usize, what: &str) -> Option<String> {
    Some(format!("{values} {what}"))
}

impl CardColumn {
    fn of(column: &Column) -> Option<CardColumn> {
        let log = |log1p: bool| log1p.then(|| "as ln(1 + x)".to_owned());
        let missing = |indicator: bool| indicator.then(|| "whether it is missing is an input".to_owned());
        let (kind, declared) = match &column.kind {
            Kind::Number { log1p, indicator, range, .. } => ("number", phrase([ends(range), log(*log1p), missing(*indicator)])),
            Kind::Date { parts, indicator, range, .. } => {
                let parts = (!parts.is_empty()).then(|| format!("with {} of its parts as categories", parts.len()));
                ("date", phrase([ends(range), parts, missing(*indicator)]))
            }
            Kind::Embedding { size, range, .. } => ("embedding", phrase([count(*size as usize, "numbers"), ends(&Some(*range))])),
            Kind::Boolean => ("boolean", String::new()),
            Kind::Byte { .. } => ("byte", String::new()),
            Kind::Values { values } => ("category", phrase([count(values.len(), "values")])),
            Kind::Buckets { buckets } => ("category", phrase([count(*buckets as usize, "hashed buckets")])),
            Kind::Ignore => return None,
        };
        Some(CardColumn { name: column.name.clone(), kind, declared })
    }

    fn of_label(label: &Label) -> CardColumn {
        match label {
            Label::Class { column, values } => CardColumn {
                name: column.clone(),
                kind: "class",
                declared: values.iter().map(|value| value.trim_ascii()).collect::<Vec<_>>().join(", "),
            },
            Label::Number { column, log1p, range, .. } => CardColumn {
                name: column.clone(),
                kind: "number",
                declared: phrase([ends(range), log1p.then(|| "learnt and answered as ln(1 + x)".to_owned())]),
            },
        }
    }
}

impl From<&engine::Card> for Card {
    fn from(card: &engine::Card) -> Card {
        let engine::Deletions { requests, unrepaired, ids, records, last } = card.deletions.clone();
        Card {
            generation: card.serving.generation.to_string(),
            recipe: card.serving.recipe.to_string(),
            aggregate: card.serving.aggregate,
            learner: card.learner.clone(),
            shards: card.grid.0,
            slices: card.grid.1,
            members: card.members,
            records: card.records.0,
            held_out: card.records.1,
            batches: card.batches,
            subjects: card.schema.subject.is_some(),
            label: CardColumn::of_label(&card.schema.label),
            columns: card.schema.columns.iter().filter_map(CardColumn::of).collect(),
            quality: card.quality.as_ref().map(Evaluated::from),
            deletions: CardDeletions { requests, unrepaired, ids, records, last },
            exports: card.exports.iter().map(Export::from).collect(),
            claim: CLAIM,
            replay: Replay::from(&card.replay),
            not_claimed: NOT_CLAIMED,
            ledger_sequence: card.head.sequence,
            ledger_digest: card.head.digest,
        }
    }
}
