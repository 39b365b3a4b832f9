//! Trees laid out for answers: one array of nodes in which a leaf leads to itself, so that many rows go down side by side.
#![expect(clippy::indexing_slicing, reason = "nodes lead to nodes of the same array; shapes are asserted on entry")]

use super::codes::{Cells, Codes};
use super::tree::{Node, Test, Tree};
use crate::num::Team;

/// Rows that go down a tree side by side.
const ROWS: usize = 32;
/// Fewer rows than this are not worth another thread.
const ROWS_A_TASK: usize = 512;

/// One node.
#[derive(Clone, Copy, Debug)]
struct Flat1 {
    /// The column it looks at.
    column: u32,
    /// Left child; the right one follows. A leaf leads to itself.
    next: u32,
    /// Left are codes from `first` on, at most `span` above it,
    first: u16,
    span: u16,
    /// of which the bit is set from this word on. (One word of ones, and a mask of 0, where no set is asked.)
    mask: u16,
    set: u32,
}

/// All trees of a state.
#[derive(Debug)]
pub(super) struct Flat {
    models: usize,
    nodes: Vec<Flat1>,
    /// Of each node, a leaf's value.
    values: Vec<i32>,
    /// The root of each tree, and the splits above its deepest leaf. Trees of the models take turns.
    roots: Vec<(u32, u32)>,
    words: Vec<u32>,
}

impl Flat {
    /// The trees as they are.
    pub(super) fn of(codes: &Codes, models: usize, trees: &[Tree]) -> Flat {
        let mut flat = Flat { models, nodes: Vec::new(), values: Vec::new(), roots: Vec::new(), words: vec![u32::MAX] };
        for tree in trees {
            flat.add(codes, tree);
        }
        flat
    }

    /// Lays out one tree: both children of a node side by side.
    fn add(&mut self, codes: &Codes, tree: &Tree) {
        let first = self.nodes.len() as u32;
        let leaf = |at: u32| Flat1 { column: 0, next: at, first: 0, span: u16::MAX, mask: 0, set: 0 };
        self.nodes.extend((first..).map(leaf).take(tree.nodes.len()));
        self.values.resize(self.nodes.len(), 0);
        let (mut free, mut deepest) = (first + 1, 0);
        // Nodes of the tree, where each is laid, and the splits above it.
        let mut ahead = vec![(0u32, first, 0u32)];
        while let Some((node, at, depth)) = ahead.pop() {
            deepest = deepest.max(depth);
            match &tree.nodes[node as usize] {
                Node::Leaf(value) => self.values[at as usize] = *value,
                Node::Split { column, test, right } => {
                    let next = free;
                    free += 2;
                    ahead.extend([(node + 1, next, depth + 1), (*right, next + 1, depth + 1)]);
                    let asks = Flat1 { column: *column, next, ..leaf(at) };
                    self.nodes[at as usize] = match test {
                        Test::Window { first, last } => Flat1 { first: *first, span: last - first, ..asks },
                        Test::In(set) => {
                            let words = self.words.len();
                            self.words.resize(words + codes.end(*column as usize).div_ceil(32), 0);
                            set.iter().for_each(|&code| self.words[words + usize::from(code >> 5)] |= 1 << (code & 31));
                            Flat1 { mask: u16::MAX, set: words as u32, ..asks }
                        }
                    };
                }
            }
        }
        self.roots.push((first, deepest));
    }

    /// Adds the values of all trees for rows at places (a block, and a row of it): `places x models`.
    pub(super) fn add_to(
        &self,
        codes: &Codes,
        cells: &[Cells<'_>],
        places: &(impl Fn(usize) -> (usize, usize) + Sync),
        team: Team,
        raw: &mut [i64],
    ) {
        let rows = team.piece(raw.len() / self.models.max(1), ROWS, ROWS_A_TASK);
        let columns = codes.columns();
        team.run(raw.chunks_mut((rows * self.models).max(1)).enumerate(), |(i, raw)| {
            let mut asked = vec![0; ROWS * columns.max(1)];
            for (j, raw) in raw.chunks_mut((ROWS * self.models).max(1)).enumerate() {
                let start = i * rows + j * ROWS;
                let count = raw.len() / self.models.max(1);
                for (row, asked) in (start..start + count).zip(asked.chunks_exact_mut(columns.max(1))) {
                    let (block, row) = places(row);
                    codes.fill(&cells[block], row, &mut asked[..columns]);
                }
                self.add_block(&asked, columns, raw);
            }
        });
    }

    fn add_block(&self, codes: &[u16], columns: usize, raw: &mut [i64]) {
        let rows = raw.len() / self.models.max(1);
        let mut at = [0u32; ROWS];
        let at = &mut at[..rows];
        for (tree, &(root, depth)) in self.roots.iter().enumerate() {
            at.fill(root);
            for _ in 0..depth {
                let mut moved = 0;
                for (at, codes) in at.iter_mut().zip(codes.chunks_exact(columns.max(1))) {
                    let node = self.nodes[*at as usize];
                    let code = codes[node.column as usize];
                    let word = self.words[node.set as usize + usize::from((code & node.mask) >> 5)];
                    let left = u32::from(code.wrapping_sub(node.first) <= node.span) & word >> (code & 31);
                    let right = !left & 1;
                    let next = node.next + right;
                    moved |= next ^ *at;
                    *at = next;
                }
                if moved == 0 {
                    break;
                }
            }
            let model = tree % self.models;
            for (at, raw) in at.iter().zip(raw.chunks_exact_mut(self.models)) {
                raw[model] += i64::from(self.values[*at as usize]);
            }
        }
    }
}
