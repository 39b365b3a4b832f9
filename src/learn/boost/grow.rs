//! One tree from the slopes of its rows.
#![expect(clippy::indexing_slicing, reason = "rows and nodes are those of the tree at hand")]

use super::bins::Binned;
use super::histogram::{self, Histogram};
use super::loss::Slopes;
use super::settings::{BoostSettings, Growth};
use super::split::{self, Measure, Sides, Split, Whole};
use super::tree::{Node, Test, Tree, VALUE_MAX};
use crate::num::cut::Pair;
use crate::num::{Isa, Team};

/// Histograms of leaves that may yet be split take at most so many bytes; those beyond are summed again from the rows.
const HISTOGRAM_BYTES: usize = 1 << 28;

/// What trees of a step have in common.
#[derive(Debug)]
pub(super) struct Rules<'a> {
    pub(super) settings: &'a BoostSettings,
    pub(super) binned: &'a Binned,
    /// Of each column whether it is one of categories.
    pub(super) categories: &'a [bool],
    pub(super) isa: Isa,
}

/// Buffers that stay from tree to tree.
#[derive(Debug, Default)]
pub(super) struct Buffers {
    rows: Vec<u32>,
    aside: Vec<u32>,
    spare: Vec<Histogram>,
}

/// A leaf so far: some of the rows.
#[derive(Debug)]
struct Leaf {
    node: usize,
    depth: u32,
    first: usize,
    whole: Whole,
    histogram: Option<Histogram>,
    split: Option<Split>,
}

/// A node so far; children by their place.
enum Grown {
    Leaf(i32),
    Split { column: usize, sides: Sides, children: [usize; 2] },
}

/// Grows a tree and adds its values to the raw scores of the rows.
pub(super) fn grow(rules: &Rules<'_>, slopes: &Slopes, raw: &mut [i64], team: Team, buffers: &mut Buffers) -> Tree {
    let Rules { settings, binned, .. } = *rules;
    let lambda = f64::from(settings.l2) * slopes.unit;
    let least = (f64::from(settings.min_weight) * slopes.unit).ceil().max(1.0) as i32;
    let measure = Measure { isa: rules.isa, unit: slopes.unit, lambda, least, rows: settings.min_rows.into() };
    buffers.rows.clear();
    buffers.rows.extend(0..slopes.pairs.len() as u32);
    let sum = slopes.pairs.iter().fold(Pair::default(), |a, b| a.plus(*b));
    let root = Leaf { node: 0, depth: 0, first: 0, whole: Whole { rows: raw.len(), sum }, histogram: None, split: None };
    let mut growing = Growing { rules, measure, slopes, team, buffers, nodes: vec![Grown::Leaf(0)], open: Vec::new() };
    growing.open_one(root);
    while growing.open.len() < settings.leaves as usize
        && let Some(next) = growing.next()
    {
        growing.split(next);
    }
    let Growing { mut nodes, open, .. } = growing;
    for leaf in open {
        let quotient = f64::from(leaf.whole.sum.g()) / (f64::from(leaf.whole.sum.h()) + lambda);
        let value = -f64::from(settings.rate) * (quotient * slopes.scale);
        // A leaf without weight and penalty (0 / 0) says nothing.
        let value = if value.is_nan() { 0 } else { (value + 0.5).floor() as i32 };
        let value = value.clamp(-VALUE_MAX, VALUE_MAX);
        nodes[leaf.node] = Grown::Leaf(value);
        for &row in &buffers.rows[leaf.first..][..leaf.whole.rows] {
            raw[row as usize] += i64::from(value);
        }
        buffers.spare.extend(leaf.histogram);
    }
    in_order(binned, &nodes)
}

/// A tree that is being grown.
struct Growing<'a, 'b> {
    rules: &'a Rules<'b>,
    measure: Measure,
    slopes: &'a Slopes,
    team: Team,
    buffers: &'a mut Buffers,
    nodes: Vec<Grown>,
    open: Vec<Leaf>,
}

impl Growing<'_, '_> {
    /// Whether a leaf of so many rows at a depth may be split.
    fn may_split(&self, leaf: &Leaf) -> bool {
        let settings = self.rules.settings;
        leaf.whole.rows as u64 >= 2 * u64::from(settings.min_rows) && (settings.depth == 0 || leaf.depth < settings.depth)
    }

    /// The open leaf that is split next: by gain, or by depth; then the oldest.
    fn next(&self) -> Option<usize> {
        let splits = self.open.iter().enumerate().filter_map(|(i, leaf)| leaf.split.map(|split| (i, leaf, split.gain)));
        let before = |a: &(usize, &Leaf, f64), b: &(usize, &Leaf, f64)| match self.rules.settings.growth {
            Growth::Leaf => b.2.total_cmp(&a.2).then(a.1.node.cmp(&b.1.node)),
            Growth::Depth => a.1.depth.cmp(&b.1.depth).then(a.1.node.cmp(&b.1.node)),
        };
        splits.min_by(before).map(|next| next.0)
    }

    fn open_one(&mut self, mut leaf: Leaf) {
        if self.may_split(&leaf) {
            let histogram = leaf.histogram.take().unwrap_or_else(|| self.build(&leaf));
            leaf.histogram = Some(histogram);
        }
        self.search(&mut leaf);
        self.open.push(leaf);
    }

    /// Looks for the best split of a leaf, and keeps its histogram only if there is one.
    fn search(&mut self, leaf: &mut Leaf) {
        if self.may_split(leaf)
            && let Some(histogram) = &leaf.histogram
        {
            leaf.split = split::best(&self.measure, leaf.whole, histogram, self.rules.binned, self.rules.categories);
        }
        let bytes = self.rules.binned.sizes.len() * size_of::<[Pair; 256]>();
        if leaf.split.is_none() || (self.open.len() + 1) * bytes > HISTOGRAM_BYTES {
            self.buffers.spare.extend(leaf.histogram.take());
        }
    }

    fn build(&mut self, leaf: &Leaf) -> Histogram {
        let mut histogram = self.buffers.spare.pop().unwrap_or_else(|| histogram::empty(self.rules.binned.sizes.len()));
        let rows = &self.buffers.rows[leaf.first..][..leaf.whole.rows];
        histogram::build(self.rules.binned, &self.slopes.pairs, rows, self.team, &mut histogram);
        histogram
    }

    /// Splits an open leaf in two.
    fn split(&mut self, next: usize) {
        let mut parent = self.open.swap_remove(next);
        let Some(Split { column, sides, .. }) = parent.split else { return };
        let (left, sum) = self.part(&parent, column, sides);
        let children = [self.nodes.len(), self.nodes.len() + 1];
        self.nodes.extend([Grown::Leaf(0), Grown::Leaf(0)]);
        self.nodes[parent.node] = Grown::Split { column, sides, children };
        let right = Whole { rows: parent.whole.rows - left, sum: parent.whole.sum.minus(sum) };
        let halves = [(parent.first, Whole { rows: left, sum }), (parent.first + left, right)];
        let mut halves =
            halves.map(|(first, whole)| Leaf { node: 0, depth: parent.depth + 1, first, whole, histogram: None, split: None });
        halves.iter_mut().zip(children).for_each(|(half, node)| half.node = node);
        // The last leaves need no histograms: nothing is split any more.
        if self.open.len() + 2 >= self.rules.settings.leaves as usize || !halves.iter().any(|half| self.may_split(half)) {
            self.buffers.spare.extend(parent.histogram.take());
            self.open.extend(halves);
            return;
        }
        let [left, right] = &mut halves;
        let (small, large) = if left.whole.rows <= right.whole.rows { (left, right) } else { (right, left) };
        match parent.histogram.take() {
            Some(mut of_both) if self.may_split(large) => {
                let of_small = self.build(small);
                histogram::subtract(self.rules.binned, &mut of_both, &of_small);
                (small.histogram, large.histogram) = (Some(of_small), Some(of_both));
            }
            of_both => self.buffers.spare.extend(of_both),
        }
        halves.into_iter().for_each(|half| self.open_one(half));
    }

    /// Parts a leaf's rows, those on the left first, both in their order; how many are left, and their sum.
    fn part(&mut self, leaf: &Leaf, column: usize, sides: Sides) -> (usize, Pair) {
        let Some(digit) = &self.rules.binned.digits[column] else { return (0, Pair::default()) };
        let goes_left = digit.bins.map(|bin| sides.left(bin));
        let Buffers { rows, aside, .. } = &mut *self.buffers;
        let rows = &mut rows[leaf.first..][..leaf.whole.rows];
        aside.clear();
        let (mut left, mut sum) = (0, Pair::default());
        for i in 0..rows.len() {
            let row = rows[i];
            if goes_left[usize::from(self.rules.binned.row(row)[digit.byte])] {
                rows[left] = row;
                left += 1;
                sum = sum.plus(self.slopes.pairs[row as usize]);
            } else {
                aside.push(row);
            }
        }
        rows[left..].copy_from_slice(aside);
        (left, sum)
    }
}

/// The nodes, each before its left and then its right subtree, asking codes instead of bins.
fn in_order(binned: &Binned, grown: &[Grown]) -> Tree {
    let mut nodes: Vec<Node> = Vec::with_capacity(grown.len());
    // Nodes to come, and whose right child each is.
    let mut ahead: Vec<(usize, Option<usize>)> = vec![(0, None)];
    while let Some((node, parent)) = ahead.pop() {
        let place = nodes.len() as u32;
        if let Some(Node::Split { right, .. }) = parent.and_then(|parent| nodes.get_mut(parent)) {
            *right = place;
        }
        match &grown[node] {
            Grown::Leaf(value) => nodes.push(Node::Leaf(*value)),
            Grown::Split { column, sides, children: [left, right] } => {
                let codes = &binned.palettes[*column].codes;
                let test = match *sides {
                    Sides::Window { first, last } => Test::Window { first: first.into(), last: codes[usize::from(last)] },
                    Sides::In(_) => {
                        Test::In((1..codes.len()).filter(|&bin| sides.left(bin as u8)).map(|bin| codes[bin]).collect())
                    }
                };
                ahead.extend([(*right, Some(nodes.len())), (*left, None)]);
                nodes.push(Node::Split { column: *column as u32, test, right: 0 });
            }
        }
    }
    Tree { nodes }
}
