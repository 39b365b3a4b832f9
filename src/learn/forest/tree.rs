//! One tree: the only one that its key, the rules and the set of its rows allow.
//!
//! Nodes lie in an arena, children side by side. A node's rows are a range of one list of slots; rows that are gone leave holes in
//! it, which the next change above them closes. Tallies are kept where counting again would cost more; whether one is there changes no result.
#![expect(clippy::indexing_slicing, reason = "nodes, ranges and tallies are addressed by what the arena itself handed out")]

use super::attribute::Attribute;
use super::draw::{Candidates, Width};
use super::hash::{self, Purpose};
use super::outcome::Outcome;
use super::region::{Region, Test};
use super::table::Table;
use super::tally::{self, Counter};

/// The name of no split.
pub(super) const LEAF: u16 = u16::MAX;
/// No row, no tally.
const NONE: u32 = u32::MAX;
/// A tally is kept for a node with at least one row for so many of its lanes. Below, a node is counted again about as fast.
const LANES_A_ROW: usize = 16;

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
}

/// What a thread needs to change trees. The buffers stay from tree to tree.
#[derive(Debug)]
pub(super) struct Work<'a, O: Outcome> {
    rules: &'a Rules<O>,
    table: &'a Table,
    region: Region,
    candidates: Candidates,
    counter: Counter<O>,
    tally: Vec<O::Lane>,
    slots: Vec<u32>,
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

    fn draw(&mut self, key: u64) {
        self.candidates.draw(self.rules.width, &self.rules.attributes, &self.region, key);
    }

    fn split(&self, name: u16) -> Option<(usize, Test)> {
        self.candidates.split(self.rules.width, name)
    }

    /// Whether rows of these slots may be parted at all. (Rows of one label are a leaf in any case: no split has merit.)
    fn may_split(&self, depth: u32, slots: &[u32]) -> bool {
        let label = |slot: &u32| self.table.labels[*slot as usize];
        let mixed = |first: &u32| slots.iter().any(|slot| label(slot) != label(first));
        self.large(depth, slots.len()) && slots.first().is_some_and(mixed)
    }

    fn large(&self, depth: u32, rows: usize) -> bool {
        depth < self.rules.depth && rows >= self.rules.min_split as usize
    }
}

/// One node.
#[derive(Clone, Copy, Debug)]
pub(super) struct Node {
    /// Its rows are in this range of slots, between holes.
    start: u32,
    end: u32,
    /// Rows.
    rows: u32,
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

    fn range(&self) -> std::ops::Range<usize> {
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
    slots: Vec<u32>,
    tallies: Vec<O::Lane>,
    free_tallies: Vec<u32>,
}

/// Where a node is in the tree.
#[derive(Clone, Copy, Debug)]
struct Place {
    node: usize,
    key: u64,
    depth: u32,
}

impl Place {
    fn child(self, left: u32, side: u32) -> Place {
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

    fn root(&self) -> Place {
        Place { node: 0, key: self.key, depth: 0 }
    }

    /// All rows of the table at one root.
    fn clear(&mut self, table: &Table) {
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
    fn divide(&mut self, work: &mut Work<'_, O>, place: Place, name: u16, (attribute, test): (usize, Test)) -> u32 {
        let node = self.nodes[place.node];
        let column = work.table.column(attribute);
        let slots = &mut self.slots[node.filled()];
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
        if node.tally == NONE {
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
            slots.for_each(|&slot| work.rules.outcome.add(lanes, work.table.labels[slot as usize]));
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
