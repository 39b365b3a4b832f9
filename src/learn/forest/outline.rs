//! A tree without its rows: what its nodes ask, and what its leaves count.
#![expect(clippy::indexing_slicing, reason = "nodes are addressed by what the arena itself handed out")]

use super::outcome::Outcome;
use super::table::Table;
use super::tree::{LEAF, NONE, Tree};

/// The names of a tree's splits, a node before its children and left before right, [`LEAF`] for leaves; and the lanes of its leaves in
/// the same order (none if they were not asked for).
#[derive(Debug)]
pub(super) struct Outline<O: Outcome> {
    pub(super) names: Vec<u16>,
    /// `leaves x lanes`.
    pub(super) lanes: Vec<O::Lane>,
}

impl<O: Outcome> Tree<O> {
    /// The outline, with the leaves' lanes if `counted`.
    pub(super) fn outline(&self, outcome: O, table: &Table, counted: bool) -> Outline<O> {
        let mut outline = Outline { names: Vec::new(), lanes: Vec::new() };
        self.outline_below(0, outcome, table, counted, &mut outline);
        outline
    }

    fn outline_below(&self, node: usize, outcome: O, table: &Table, counted: bool, outline: &mut Outline<O>) {
        let node = self.nodes[node];
        outline.names.push(node.name);
        if node.name != LEAF {
            for side in 0..2 {
                self.outline_below(node.left as usize + side, outcome, table, counted, outline);
            }
        } else if counted {
            let first = outline.lanes.len();
            outline.lanes.resize(first + outcome.lanes(), O::Lane::default());
            let slots = self.slots[node.range()].iter().filter(|&&slot| slot != NONE);
            slots.for_each(|&slot| outcome.add(&mut outline.lanes, first, table.labels[slot as usize]));
        }
    }
}
