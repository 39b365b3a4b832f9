//! What makes a tree out of rows, and what a thread needs to do so.
#![expect(clippy::indexing_slicing, reason = "slots are the table's own")]

use super::attribute::Attribute;
use super::draw::{Candidates, Width};
use super::outcome::Outcome;
use super::region::{Region, Test};
use super::table::Table;
use super::tally::{self, Counter};

/// What makes a tree out of rows.
#[derive(Clone, Debug)]
pub(super) struct Rules<O> {
    pub(super) outcome: O,
    pub(super) width: Width,
    /// Splits above a leaf at most.
    pub(super) depth: u32,
    /// Nodes of fewer rows are leaves.
    pub(super) min_split: u32,
    pub(super) attributes: Vec<Attribute>,
    /// Whether the bytes of a state hold the counts of the leaves.
    pub(super) counts: bool,
}

/// Whether the trees of so many rows are built again of those that stay rather than that so many are taken out of them: where more
/// than a share of them goes, most nodes ask something else without them, so that what stands below is grown again in any case.
pub(super) fn builds_again(rows: usize, gone: usize) -> bool {
    gone > 0 && gone.saturating_mul(AGAIN_SHARE) >= rows
}

/// One row of so many. By counted work (tests.rs) the two cost the same between one of 100 and one of 50.
const AGAIN_SHARE: usize = 64;

/// What a thread needs to change trees. The buffers stay from tree to tree.
#[derive(Debug)]
pub(super) struct Work<'a, O: Outcome> {
    pub(super) rules: &'a Rules<O>,
    pub(super) table: &'a Table,
    pub(super) region: Region,
    pub(super) candidates: Candidates,
    pub(super) counter: Counter<O>,
    pub(super) tally: Vec<O::Lane>,
    pub(super) slots: Vec<u32>,
}

impl<'a, O: Outcome> Work<'a, O> {
    pub(super) fn new(rules: &'a Rules<O>, table: &'a Table) -> Work<'a, O> {
        Work {
            rules,
            table,
            region: Region::of(&rules.attributes),
            candidates: Candidates::default(),
            counter: Counter::new(rules.outcome, rules.width),
            tally: vec![O::Lane::default(); tally::lanes(rules.outcome, rules.width)],
            slots: Vec::new(),
        }
    }

    /// Draws the candidates of the node with this key in the region at hand.
    pub(super) fn draw(&mut self, key: u64) {
        self.candidates.draw(self.rules.width, &self.rules.attributes, &self.region, key);
        self.counter.work += self.candidates.count() as u64;
    }

    /// The attribute and the test of a split among the candidates at hand.
    pub(super) fn split(&self, name: u16) -> Option<(usize, Test)> {
        self.candidates.split(self.rules.width, name)
    }

    /// Whether rows of these slots may be parted at all. (Rows of one label are a leaf in any case: no split has merit.)
    pub(super) fn may_split(&self, depth: u32, slots: &[u32]) -> bool {
        let label = |slot: &u32| self.table.labels[*slot as usize];
        let mixed = |first: &u32| slots.iter().any(|slot| label(slot) != label(first));
        self.large(depth, slots.len()) && slots.first().is_some_and(mixed)
    }

    /// Whether a node is high and large enough for a split.
    pub(super) fn large(&self, depth: u32, rows: usize) -> bool {
        depth < self.rules.depth && rows >= self.rules.min_split as usize
    }
}
