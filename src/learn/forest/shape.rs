//! The shape of a tree, apart from how it came about: the names of its splits, and what its nodes ask.
#![expect(clippy::indexing_slicing, reason = "nodes are addressed by what the arena itself handed out")]

use super::outcome::Outcome;
use super::region::Test;
use super::tree::{LEAF, NONE, Place, Tree};
use super::work::Work;

/// What a node does with a row.
#[derive(Debug)]
pub(super) enum Asks<'a, O: Outcome> {
    /// It is a leaf whose rows have these lanes.
    Nothing(&'a [O::Lane]),
    /// It sends it to one of its children.
    Split {
        /// The attribute that is looked at.
        attribute: usize,
        /// Whether the row goes left.
        test: Test,
        /// The left child; the right one follows.
        left: u32,
        /// Splits above the node.
        depth: u32,
    },
}

impl<O: Outcome> Tree<O> {
    /// The names of its splits, a node before its children and left before right; [`LEAF`] for leaves.
    pub(super) fn names(&self, out: &mut Vec<u16>) {
        self.names_below(0, out);
    }

    fn names_below(&self, node: usize, out: &mut Vec<u16>) {
        let node = self.nodes[node];
        out.push(node.name);
        if node.name != LEAF {
            self.names_below(node.left as usize, out);
            self.names_below(node.left as usize + 1, out);
        }
    }

    /// Becomes the tree of the table's rows that has these names; says what is wrong if there is none. The names are not
    /// compared with what the rows would choose.
    pub(super) fn restore(&mut self, work: &mut Work<'_, O>, names: &[u16]) -> Result<(), &'static str> {
        self.clear(work.table);
        let mut names = names.iter().copied();
        self.restore_below(work, self.root(), &mut names)?;
        if names.next().is_some() { Err("more nodes than the tree has") } else { Ok(()) }
    }

    fn restore_below(
        &mut self,
        work: &mut Work<'_, O>,
        place: Place,
        names: &mut impl Iterator<Item = u16>,
    ) -> Result<(), &'static str> {
        let name = names.next().ok_or("fewer nodes than the tree has")?;
        if name == LEAF {
            return Ok(());
        }
        if !work.large(place.depth, self.nodes[place.node].rows as usize) {
            return Err("a split of too few rows, or below the greatest depth");
        }
        work.draw(place.key);
        let (attribute, test) = work.split(name).ok_or("a split that is not among the candidates")?;
        let left = self.divide(work, place, name, (attribute, test));
        for side in 0..2 {
            let place = place.child(left, side);
            if self.nodes[place.node].rows == 0 {
                return Err("a split with an empty side");
            }
            let room = work.region.enter(attribute, &test, side == 0);
            self.restore_below(work, place, names)?;
            work.region.leave(attribute, room);
        }
        Ok(())
    }

    /// What a node asks, in the order of the arena's places: calls `visit` with each node that is in use, its split, and, for
    /// a leaf, the lanes of its rows.
    pub(super) fn walk(&self, work: &mut Work<'_, O>, visit: &mut impl FnMut(usize, Asks<'_, O>)) {
        let mut lanes = vec![O::Lane::default(); work.rules.outcome.lanes()];
        self.walk_below(work, self.root(), &mut lanes, visit);
    }

    fn walk_below(
        &self,
        work: &mut Work<'_, O>,
        place: Place,
        lanes: &mut [O::Lane],
        visit: &mut impl FnMut(usize, Asks<'_, O>),
    ) {
        let node = self.nodes[place.node];
        if node.name == LEAF {
            lanes.fill(O::Lane::default());
            let slots = self.slots[node.range()].iter().filter(|&&slot| slot != NONE);
            slots.for_each(|&slot| work.rules.outcome.add(lanes, 0, work.table.labels[slot as usize]));
            return visit(place.node, Asks::Nothing(lanes));
        }
        work.draw(place.key);
        let Some((attribute, test)) = work.split(node.name) else {
            unreachable!("the split was checked when the node was made");
        };
        visit(place.node, Asks::Split { attribute, test, left: node.left, depth: place.depth });
        for side in 0..2 {
            let room = work.region.enter(attribute, &test, side == 0);
            self.walk_below(work, place.child(node.left, side), lanes, visit);
            work.region.leave(attribute, room);
        }
    }
}
