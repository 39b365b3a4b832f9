//! Trees laid out for answers: one array of nodes in which a leaf leads to itself, so that many rows go down side by side.
#![expect(clippy::indexing_slicing, reason = "nodes lead to nodes of the same array; shapes are asserted on entry")]

use super::attribute::Attribute;
use super::outcome::Outcome;
use super::outline::Outline;
use super::region::Test;
use super::table::{self, Table};
use super::tree::{LEAF, Place};
use super::work::{Rules, Work};
use crate::learn::{Features, Layout, Leaves, TreeNode, TreesFormula};
use crate::num::{Team, sum};

/// Rows that go down a tree side by side.
const ROWS: usize = 128;
/// Fewer rows than this are not worth another thread.
const ROWS_A_TASK: usize = 512;
/// Bytes of a set of bins.
const SET_BYTES: usize = 32;

/// One node.
#[derive(Clone, Copy, Debug)]
struct Node {
    /// The attribute it looks at.
    attribute: u32,
    /// The set of bins that go left.
    set: u32,
    /// Left child; the right one follows. A leaf leads to itself.
    next: u32,
    /// Of a leaf: which one.
    value: u32,
}

/// A node that is still to be laid out.
const IDLE: Node = Node { attribute: 0, set: 0, next: 0, value: 0 };

/// All trees of a state.
#[derive(Debug)]
pub(super) struct Flat {
    outputs: usize,
    nodes: Vec<Node>,
    /// The root of each tree, and the splits above its deepest leaf.
    roots: Vec<(u32, u32)>,
    /// A bit for each bin.
    sets: Vec<[u8; SET_BYTES]>,
    /// `leaves x outputs`.
    values: Vec<f32>,
}

impl Flat {
    /// Trees by their keys and outlines, which have the lanes of the leaves. Says what is wrong with one that no rows give.
    pub(super) fn of<'a, O: Outcome>(
        rules: &Rules<O>,
        trees: impl Iterator<Item = (u64, &'a Outline<O>)>,
    ) -> Result<Flat, &'static str> {
        let outputs = rules.outcome.outputs();
        let mut flat =
            Flat { outputs, nodes: Vec::new(), roots: Vec::new(), sets: vec![[u8::MAX; SET_BYTES]], values: Vec::new() };
        let nothing = Table::default();
        let mut layer = Layer { flat: &mut flat, work: Work::new(rules, &nothing), cuts: [[0; 256]; 2] };
        for (key, outline) in trees {
            let lanes = outline.lanes.chunks(rules.outcome.lanes().max(1));
            layer.tree(key, outline.names.iter().copied(), lanes)?;
        }
        Ok(flat)
    }

    /// Writes the mean over the trees for every row: `rows x outputs`.
    pub(super) fn scores(&self, attributes: &[Attribute], features: &Features<'_>, team: Team, out: &mut [f32]) {
        let rows = team.piece(features.rows(), ROWS, ROWS_A_TASK);
        let pieces = out.chunks_mut((rows * self.outputs).max(1)).enumerate();
        team.run(pieces, |(i, out)| {
            let rows = i * rows..(i * rows + out.len() / self.outputs.max(1));
            for (j, out) in out.chunks_mut((ROWS * self.outputs).max(1)).enumerate() {
                let start = rows.start + j * ROWS;
                let block = features.slice(start..rows.end.min(start + ROWS));
                self.score_block(&table::bins(attributes, &block), block.rows(), out);
            }
        });
    }

    /// The trees as they are written down elsewhere.
    pub(super) fn formula(&self, layout: &Layout, attributes: &[Attribute]) -> TreesFormula {
        let tree = |&(root, _): &(u32, u32)| {
            // Nodes of this layout, each where it is to stand.
            let (mut nodes, mut ahead) = (vec![TreeNode::Leaf(0)], vec![(root as usize, 0)]);
            while let Some((node, place)) = ahead.pop() {
                let Node { attribute, set, next, value } = self.nodes[node];
                if next as usize == node {
                    nodes[place] = TreeNode::Leaf(value as usize);
                    continue;
                }
                let left = nodes.len();
                nodes.extend([TreeNode::Leaf(0), TreeNode::Leaf(0)]);
                ahead.extend([(next as usize + 1, left + 1), (next as usize, left)]);
                let set = &self.sets[set as usize];
                let test = attributes[attribute as usize].test(|bin| set[usize::from(bin >> 3)] >> (bin & 7) & 1 == 1);
                nodes[place] = TreeNode::Split { ask: attribute as usize, test, left, right: left + 1 };
            }
            nodes
        };
        TreesFormula {
            asks: attributes.iter().map(|attribute| attribute.ask(layout)).collect(),
            trees: self.roots.iter().map(tree).collect(),
            leaves: Leaves::Scores(self.values.clone()),
        }
    }

    fn score_block(&self, bins: &[u8], rows: usize, out: &mut [f32]) {
        out.fill(0.0);
        let mut at = [0u32; ROWS];
        let at = &mut at[..rows];
        for &(root, depth) in &self.roots {
            at.fill(root);
            for _ in 0..depth {
                let mut moved = 0;
                for (row, at) in at.iter_mut().enumerate() {
                    let node = self.nodes[*at as usize];
                    let bin = bins[node.attribute as usize * rows + row];
                    let bits = self.sets[node.set as usize][usize::from(bin >> 3)];
                    let next = node.next + u32::from(!(bits >> (bin & 7)) & 1);
                    moved |= next ^ *at;
                    *at = next;
                }
                if moved == 0 {
                    break;
                }
            }
            for (at, out) in at.iter().zip(out.chunks_exact_mut(self.outputs)) {
                let leaf = self.nodes[*at as usize].value as usize;
                sum::accumulate(1.0, &self.values[leaf * self.outputs..][..self.outputs], out);
            }
        }
        let trees = self.roots.len() as f32;
        out.iter_mut().for_each(|score| *score /= trees);
    }
}

/// Lays trees out one after the other.
struct Layer<'a, O: Outcome> {
    flat: &'a mut Flat,
    work: Work<'a, O>,
    /// Where the set of a cut is, by shift and cut; 0 where there is none yet.
    cuts: [[u32; 256]; 2],
}

impl<'a, O: Outcome> Layer<'a, O> {
    fn tree<'l>(
        &mut self,
        key: u64,
        mut names: impl Iterator<Item = u16>,
        mut lanes: impl Iterator<Item = &'l [O::Lane]>,
    ) -> Result<(), &'static str> {
        let root = self.flat.nodes.len() as u32;
        self.flat.nodes.push(IDLE);
        let depth = self.below(Place { node: root as usize, key, depth: 0 }, &mut names, &mut lanes)?;
        if names.next().is_some() || lanes.next().is_some() {
            return Err("more nodes than the tree has");
        }
        self.flat.roots.push((root, depth));
        Ok(())
    }

    /// Lays a node and all below it out; returns how many splits are above the deepest leaf.
    fn below<'l>(
        &mut self,
        place: Place,
        names: &mut impl Iterator<Item = u16>,
        lanes: &mut impl Iterator<Item = &'l [O::Lane]>,
    ) -> Result<u32, &'static str> {
        let rules = self.work.rules;
        let name = names.next().ok_or("fewer nodes than the tree has")?;
        if name == LEAF {
            let lanes = lanes.next().ok_or("fewer leaves than the tree has")?;
            let (start, outputs) = (self.flat.values.len(), self.flat.outputs);
            self.flat.values.resize(start + outputs, 0.0);
            rules.outcome.predict(lanes, &mut self.flat.values[start..]);
            let value = (start / outputs.max(1)) as u32;
            self.flat.nodes[place.node] = Node { next: place.node as u32, value, ..IDLE };
            return Ok(place.depth);
        }
        if place.depth >= rules.depth {
            return Err("a split below the greatest depth");
        }
        self.work.draw(place.key);
        let (attribute, test) = self.work.split(name).ok_or("a split that is not among the candidates")?;
        let left = self.flat.nodes.len() as u32;
        self.flat.nodes.extend([IDLE; 2]);
        let set = self.set(test);
        self.flat.nodes[place.node] = Node { attribute: attribute as u32, set, next: left, value: 0 };
        let mut deepest = 0;
        for side in 0..2 {
            let room = self.work.region.enter(attribute, &test, side == 0);
            deepest = deepest.max(self.below(place.child(left, side), names, lanes)?);
            self.work.region.leave(attribute, room);
        }
        Ok(deepest)
    }

    /// Where the set of the bins that go left is.
    fn set(&mut self, test: Test) -> u32 {
        if let Test::Cut { shift, cut } = test {
            let known = &mut self.cuts[usize::from(shift)][usize::from(cut)];
            if *known == 0 {
                *known = add_set(&mut self.flat.sets, &test);
            }
            return *known;
        }
        add_set(&mut self.flat.sets, &test)
    }
}

/// Adds the set of the bins that go left; which one it is.
fn add_set(sets: &mut Vec<[u8; SET_BYTES]>, test: &Test) -> u32 {
    let byte = |i: usize| (0..8).fold(0, |bits, bit| bits | (u8::from(test.left(8 * i as u8 + bit)) << bit));
    sets.push(std::array::from_fn(byte));
    sets.len() as u32 - 1
}
