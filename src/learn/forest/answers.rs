//! A forest that only answers: its splits and what its leaves say, without the rows.

use std::fmt;

use super::flat::Flat;
use super::outcome::Outcome;
use super::state::{keys, rows_max};
use super::work::Rules;
use super::{attribute, payload};
use crate::learn::{Features, Formula, Layout, Scorer, StateError};
use crate::num::Team;

/// What answers of one shard need.
pub(super) struct ForestAnswers<O: Outcome> {
    layout: Layout,
    rules: Rules<O>,
    rows: u64,
    flat: Flat,
}

impl<O: Outcome> fmt::Debug for ForestAnswers<O> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ForestAnswers").field("rules", &self.rules).field("rows", &self.rows).finish_non_exhaustive()
    }
}

impl<O: Outcome> ForestAnswers<O> {
    /// From the bytes of a state that hold the counts of the leaves. The rows are passed over.
    pub(super) fn of_bytes(layout: Layout, rules: Rules<O>, trees: usize, bytes: &[u8]) -> Result<ForestAnswers<O>, StateError> {
        let parts = payload::decode(rules.outcome, rules.attributes.len(), trees, rows_max(trees), true, bytes)?;
        let flat = Flat::of(&rules, keys(parts.seed, trees).zip(&parts.trees));
        let flat = flat.map_err(|what| StateError(format!("a tree has {what}")))?;
        Ok(ForestAnswers { layout, rules, rows: parts.rows as u64, flat })
    }
}

impl<O: Outcome> Scorer for ForestAnswers<O> {
    fn scores(&self, features: &Features<'_>, team: &Team, out: &mut [f32]) {
        attribute::check(&self.layout, features);
        assert_eq!(out.len(), features.rows() * self.rules.outcome.outputs(), "rows x outputs scores");
        self.flat.scores(&self.rules.attributes, features, *team, out);
    }

    fn rows(&self) -> u64 {
        self.rows
    }

    fn formula(&self) -> Formula {
        Formula::Trees(self.flat.formula(&self.layout, &self.rules.attributes))
    }
}
