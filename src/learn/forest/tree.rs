//! One tree: the only one that its key, the rules and the set of its rows allow.
//!
//! Nodes lie in an arena, children side by side. A node's rows are a range of one list of slots; rows that are gone leave holes in
//! it, which the next change above them closes. Tallies are kept where counting again would cost more; whether one is there changes no result.
#![expect(clippy::indexing_slicing, reason = "nodes, ranges and tallies are addressed by what the arena itself handed out")]

use super::hash::{self, Purpose};
use super::outcome::Outcome;
use super::region::Test;
use super::table::Table;
use super::work::Work;

/// The name of no split.
pub(super) const LEAF: u16 = u16::MAX;
/// No row, no tally.
pub(super) const NONE: u32 = u32::MAX;
/// A tally is kept for a node with at least one row for so many of its lanes. Below, a node is counted again about as fast.
const LANES_A_ROW: usize = 16;

/// One node.
#[derive(Clone, Copy, Debug)]
pub(super) struct Node {
    /// Its rows are in this range of slots, between holes.
    start: u32,
    end: u32,
    /// Rows.
    pub(super) rows: u32,
    /// The left child; the right one follows. Of no meaning in a leaf.
    pub(super) left: u32,
    /// Where its tally is, if there is one.
    tally: u32,
    /// The name of its split, or [`LEAF`].
    pub(super) name: u16,
}

impl Node {
    fn leaf(start: u32, end: u32, rows: u32) -> Node {
        Node { start, end, rows, left: 0, tally: NONE, name: LEAF }
    }

    /// All of its range, holes among them.
    pub(super) fn range(&self) -> std::ops::Range<usize> {
        self.start as usize..self.end as usize
    }

    fn filled(&self) -> std::ops::Range<usize> {
        self.start as usize..(self.start + self.rows) as usize
    }
}

/// A tree.
#[derive(Debug)]
pub(super) struct Tree<O: Outcome> {
    key: u64,
    /// The root first.
    pub(super) nodes: Vec<Node>,
    /// The first of each pair of nodes that is free.
    free_nodes: Vec<u32>,
    pub(super) slots: Vec<u32>,
    tallies: Vec<O::Lane>,
    free_tallies: Vec<u32>,
}

/// Where a node is in the tree.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    pub(super) node: usize,
    pub(super) key: u64,
    pub(super) depth: u32,
}

impl Place {
    /// A child of it, the left one for side 0.
    pub(super) fn child(self, left: u32, side: u32) -> Place {
        let key = hash::of(self.key, Purpose::Child, side);
        Place { node: (left + side) as usize, key, depth: self.depth + 1 }
    }
}

impl<O: Outcome> Tree<O> {
    /// The tree of no rows.
    pub(super) fn of_key(key: u64) -> Tree<O> {
        Tree {
            key,
            nodes: vec![Node::leaf(0, 0, 0)],
            free_nodes: Vec::new(),
            slots: Vec::new(),
            tallies: Vec::new(),
            free_tallies: Vec::new(),
        }
    }

    /// Where it begins.
    pub(super) fn root(&self) -> Place {
        Place { node: 0, key: self.key, depth: 0 }
    }

    /// All rows of the table at one root.
    pub(super) fn clear(&mut self, table: &Table) {
        *self = Tree::of_key(self.key);
        self.slots.extend(table.slots());
        let rows = self.slots.len() as u32;
        self.nodes[0] = Node::leaf(0, rows, rows);
    }

    /// Becomes the tree of the table's rows.
    pub(super) fn build(&mut self, work: &mut Work<'_, O>) {
        self.clear(work.table);
        self.grow(work, self.root());
    }

    /// The subtree at a place, whose candidates' region is at hand, of these rows.
    pub(super) fn grown(work: &mut Work<'_, O>, place: Place, slots: &[u32]) -> Tree<O> {
        let mut tree = Tree::of_key(place.key);
        tree.slots.extend_from_slice(slots);
        tree.nodes[0] = Node::leaf(0, slots.len() as u32, slots.len() as u32);
        tree.grow(work, Place { node: 0, ..place });
        tree
    }

    /// Becomes the tree of the table's rows, which no longer holds those of `gone`; it was that of both.
    pub(super) fn downdate(&mut self, work: &mut Work<'_, O>, gone: &mut [u32]) {
        self.shrink(work, self.root(), gone);
    }

    /// Grows the subtree of a leaf whose slots have no holes but at the end.
    fn grow(&mut self, work: &mut Work<'_, O>, place: Place) {
        let node = self.nodes[place.node];
        let slots = &self.slots[node.filled()];
        if !work.may_split(place.depth, slots) {
            return;
        }
        work.draw(place.key);
        work.counter.count(work.table, slots, &work.candidates, &mut work.tally);
        let name = work.counter.best(&work.candidates, &work.tally);
        if let Some(name) = name {
            self.keep(place, &work.tally);
            self.part(work, place, name);
        }
    }

    /// Keeps a tally where that is worth it.
    fn keep(&mut self, place: Place, tally: &[O::Lane]) {
        let node = &mut self.nodes[place.node];
        if (node.rows as usize) * LANES_A_ROW < tally.len() {
            return;
        }
        node.tally = self.free_tallies.pop().unwrap_or_else(|| {
            let next = self.tallies.len() / tally.len();
            self.tallies.resize(self.tallies.len() + tally.len(), O::Lane::default());
            next as u32
        });
        self.tallies[node.tally as usize * tally.len()..][..tally.len()].copy_from_slice(tally);
    }

    /// Gives a node without children the split `name` of the candidates at hand, and grows its children.
    fn part(&mut self, work: &mut Work<'_, O>, place: Place, name: u16) {
        let Some((attribute, test)) = work.split(name) else {
            unreachable!("the best split is one of the candidates");
        };
        let left = self.divide(work, place, name, (attribute, test));
        for side in 0..2 {
            let room = work.region.enter(attribute, &test, side == 0);
            self.grow(work, place.child(left, side));
            work.region.leave(attribute, room);
        }
    }

    /// Makes two leaves of a leaf, stable in the order of rows.
    pub(super) fn divide(&mut self, work: &mut Work<'_, O>, place: Place, name: u16, (attribute, test): (usize, Test)) -> u32 {
        let node = self.nodes[place.node];
        let column = work.table.column(attribute);
        let slots = &mut self.slots[node.filled()];
        work.counter.work += slots.len() as u64;
        work.slots.clear();
        let mut rows = 0;
        for i in 0..slots.len() {
            let slot = slots[i];
            if test.left(column[slot as usize]) {
                slots[rows] = slot;
                rows += 1;
            } else {
                work.slots.push(slot);
            }
        }
        slots[rows..].copy_from_slice(&work.slots);
        let middle = node.start + rows as u32;
        let left = self.free_nodes.pop().unwrap_or_else(|| {
            let next = self.nodes.len() as u32;
            self.nodes.extend([Node::leaf(0, 0, 0); 2]);
            next
        });
        self.nodes[left as usize] = Node::leaf(node.start, middle, rows as u32);
        self.nodes[left as usize + 1] = Node::leaf(middle, node.end, node.rows - rows as u32);
        let node = &mut self.nodes[place.node];
        (node.name, node.left) = (name, left);
        left
    }

    /// Takes rows out of a subtree.
    fn shrink(&mut self, work: &mut Work<'_, O>, place: Place, gone: &mut [u32]) {
        self.nodes[place.node].rows -= gone.len() as u32;
        let node = self.nodes[place.node];
        if node.name == LEAF {
            // A leaf with rows enough for a split had none of merit; without these rows it may have one.
            self.close(work.table, place);
            return self.grow(work, place);
        }
        work.draw(place.key);
        let name = if work.large(place.depth, node.rows as usize) { self.best_of_rest(work, place, gone) } else { None };
        if name != Some(node.name) {
            self.fell(work.table, place);
            match name {
                Some(name) => self.part(work, place, name),
                None => self.drop_tally(place.node),
            }
            return;
        }
        let Some((attribute, test)) = work.split(node.name) else {
            unreachable!("the split was checked when the node was made");
        };
        let column = work.table.column(attribute);
        work.counter.work += gone.len() as u64;
        let mut rows = 0;
        for i in 0..gone.len() {
            if test.left(column[gone[i] as usize]) {
                gone.swap(i, rows);
                rows += 1;
            }
        }
        let (to_left, to_right) = gone.split_at_mut(rows);
        for (side, gone) in [(0, to_left), (1, to_right)] {
            if !gone.is_empty() {
                let room = work.region.enter(attribute, &test, side == 0);
                self.shrink(work, place.child(node.left, side), gone);
                work.region.leave(attribute, room);
            }
        }
    }

    /// The best split of a node without these rows, among the candidates at hand; its tally is kept up.
    fn best_of_rest(&mut self, work: &mut Work<'_, O>, place: Place, gone: &[u32]) -> Option<u16> {
        let node = self.nodes[place.node];
        // Each row that goes is held against every candidate, and each that stays is counted once for an attribute.
        let (drawn, candidates) = (1 + work.candidates.drawn.len(), work.candidates.count());
        let again = gone.len() * (drawn + candidates) > node.rows as usize * drawn;
        if node.tally == NONE || again {
            self.drop_tally(place.node);
            work.slots.clear();
            let lives = |slot: &u32| *slot != NONE && work.table.lives(*slot);
            work.slots.extend(self.slots[node.range()].iter().copied().filter(lives));
            work.counter.count(work.table, &work.slots, &work.candidates, &mut work.tally);
            self.keep(place, &work.tally);
            return work.counter.best(&work.candidates, &work.tally);
        }
        let lanes = work.tally.len();
        let tally = &mut self.tallies[node.tally as usize * lanes..][..lanes];
        gone.iter().for_each(|&slot| work.counter.uncount(work.table, slot, &work.candidates, tally));
        work.counter.work += (gone.len() * (drawn + candidates)) as u64;
        work.counter.best(&work.candidates, tally)
    }

    /// Makes a leaf of a node again, without holes. Its tally stays.
    fn fell(&mut self, table: &Table, place: Place) {
        let node = self.nodes[place.node];
        self.free(node.left);
        self.nodes[place.node].name = LEAF;
        self.close(table, place);
    }

    fn free(&mut self, left: u32) {
        for node in [left as usize, left as usize + 1] {
            self.drop_tally(node);
            let node = self.nodes[node];
            if node.name != LEAF {
                self.free(node.left);
            }
        }
        self.free_nodes.push(left);
    }

    fn drop_tally(&mut self, node: usize) {
        let tally = std::mem::replace(&mut self.nodes[node].tally, NONE);
        if tally != NONE {
            self.free_tallies.push(tally);
        }
    }

    /// Moves the rows of a node that live to the start of its range.
    fn close(&mut self, table: &Table, place: Place) {
        let slots = &mut self.slots[self.nodes[place.node].range()];
        let mut rows = 0;
        for i in 0..slots.len() {
            if slots[i] != NONE && table.lives(slots[i]) {
                slots[rows] = slots[i];
                rows += 1;
            }
        }
        slots[rows..].fill(NONE);
    }
}
