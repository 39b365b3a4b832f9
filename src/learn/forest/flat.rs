//! Trees laid out for answers: one array of nodes in which a leaf leads to itself, so that many rows go down side by side.
#![expect(clippy::indexing_slicing, reason = "nodes lead to nodes of the same array; shapes are asserted on entry")]

use super::attribute::Attribute;
use super::outcome::Outcome;
use super::region::Test;
use super::shape::Asks;
use super::table::{self, Table};
use super::tree::Tree;
use super::work::{Rules, Work};
use crate::learn::Features;
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
    /// The trees as they are.
    pub(super) fn of<O: Outcome>(rules: &Rules<O>, table: &Table, trees: &[Tree<O>]) -> Flat {
        let outputs = rules.outcome.outputs();
        let mut flat =
            Flat { outputs, nodes: Vec::new(), roots: Vec::new(), sets: vec![[u8::MAX; SET_BYTES]], values: Vec::new() };
        let mut work = Work::new(rules, table);
        // Where the set of a cut is, by shift and cut; 0 where there is none yet.
        let mut cuts = [[0u32; 256]; 2];
        for tree in trees {
            let first = flat.nodes.len() as u32;
            let mut depth = 0;
            let idle = Node { attribute: 0, set: 0, next: 0, value: 0 };
            flat.nodes.extend(std::iter::repeat_n(idle, tree.nodes.len()));
            let Flat { nodes, sets, values, .. } = &mut flat;
            tree.walk(&mut work, &mut |node, asks| {
                let node = first as usize + node;
                nodes[node] = match asks {
                    Asks::Nothing(lanes) => {
                        let start = values.len();
                        values.resize(start + outputs, 0.0);
                        rules.outcome.predict(lanes, &mut values[start..]);
                        Node { attribute: 0, set: 0, next: node as u32, value: (start / outputs.max(1)) as u32 }
                    }
                    Asks::Split { attribute, test, left, depth: above } => {
                        depth = depth.max(above + 1);
                        let set = match test {
                            Test::Cut { shift, cut } => {
                                let known = &mut cuts[usize::from(shift)][usize::from(cut)];
                                if *known == 0 {
                                    *known = add_set(sets, &test);
                                }
                                *known
                            }
                            Test::In(_) => add_set(sets, &test),
                        };
                        Node { attribute: attribute as u32, set, next: first + left, value: 0 }
                    }
                };
            });
            flat.roots.push((first, depth));
        }
        flat
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

/// Adds the set of the bins that go left; which one it is.
fn add_set(sets: &mut Vec<[u8; SET_BYTES]>, test: &Test) -> u32 {
    let byte = |i: usize| (0..8).fold(0, |bits, bit| bits | (u8::from(test.left(8 * i as u8 + bit)) << bit));
    sets.push(std::array::from_fn(byte));
    sets.len() as u32 - 1
}
