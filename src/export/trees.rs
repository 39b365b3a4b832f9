//! Trees: `TreeEnsemble` of ai.onnx.ml 5, whose thresholds are f32 on both sides, so that each decision is the engine's.

use super::graph::{Attr, Elem, Graph, Tensor, Value};
use super::inputs::Inputs;
use crate::learn::{Ask, Leaves, Link, TreeNode, TreeTest, TreesFormula, greatest};
use crate::num::poly;

/// Modes of a node: at most a number, and in a set.
const AT_MOST: u8 = 0;
const MEMBER: u8 = 6;

/// The attributes of the operator.
#[derive(Default)]
struct Table {
    asks: Vec<i64>,
    modes: Vec<u8>,
    splits: Vec<f64>,
    missing: Vec<i64>,
    /// For each node on each side: which node, or which leaf.
    sides: [Vec<i64>; 2],
    are_leaves: [Vec<i64>; 2],
    roots: Vec<i64>,
    /// The sets, each ended by a NaN.
    members: Vec<f64>,
    targets: Vec<i64>,
    weights: Vec<f64>,
}

/// The scores of trees: `rows x outputs`, f32.
pub(super) fn scores(graph: &mut Graph, inputs: &Inputs, outputs: usize, trees: &TreesFormula) -> Value {
    let (asked, places) = asked(graph, inputs, trees);
    let models = match &trees.leaves {
        // A tree answers with the number of its leaf.
        Leaves::Scores(_) => trees.trees.len(),
        Leaves::Raw { base, .. } => base.len(),
    };
    let mut table = Table::default();
    for (tree, nodes) in trees.trees.iter().enumerate() {
        let weight = |leaf: usize| match &trees.leaves {
            Leaves::Scores(_) => leaf as f64,
            Leaves::Raw { values, .. } => values.get(leaf).copied().map_or(0.0, f64::from),
        };
        table.add(nodes, (tree % models.max(1)) as i64, weight, |ask, test| {
            let place = places.get(ask).copied().unwrap_or(0);
            match (trees.asks.get(ask), test) {
                (Some(Ask::Number(column)), TreeTest::AtMost { most, missing }) => {
                    let log1p = inputs.log1p.get(*column).copied().unwrap_or(false);
                    (place, TreeTest::AtMost { most: if log1p { before_log1p(*most) } else { *most }, missing: *missing })
                }
                _ => (place, test.clone()),
            }
        });
    }
    if trees.trees.is_empty() {
        table.add(&[TreeNode::Leaf(0)], 0, |_| 0.0, |ask, test| (ask as i64, test.clone()));
    }
    let sums = table.written(graph, &asked, models);
    match &trees.leaves {
        Leaves::Scores(values) => {
            let leaves = graph.cast(&sums, Elem::I64);
            let values = graph.constant(&[values.len() / outputs.max(1), outputs], values);
            // Added one after the other, as the engine does: a tie is one on both sides.
            let mut sums = graph.scalar(0.0_f32);
            for tree in 0..trees.trees.len() {
                let tree = graph.scalar(tree as i64);
                let leaf = graph.op_with("Gather", &[&leaves, &tree], &[("axis", Attr::Int(1))]);
                let said = graph.op("Gather", &[&values, &leaf]);
                sums = graph.op("Add", &[&sums, &said]);
            }
            let count = graph.scalar(trees.trees.len() as f32);
            graph.op("Div", &[&sums, &count])
        }
        Leaves::Raw { base, link, .. } => raw_scores(graph, &sums, base, *link),
    }
}

/// What nodes ask, as a matrix (f64), and in which of its columns each is.
fn asked(graph: &mut Graph, inputs: &Inputs, trees: &TreesFormula) -> (Value, Vec<i64>) {
    let (mut parts, mut width) = (Vec::new(), 0);
    let numbers = width;
    if let Some(given) = &inputs.given {
        parts.push(graph.cast(given, Elem::F64));
        width += inputs.log1p.len();
    }
    let (bytes, mut places) = (width, Vec::new());
    let of_bytes = trees.asks.iter().filter(|ask| matches!(ask, Ask::Byte(_))).count();
    if let Some(cells) = &inputs.bytes {
        parts.push(graph.cast(cells, Elem::F64));
        width += of_bytes;
    }
    for ask in &trees.asks {
        let (column, folds) = match ask {
            Ask::Number(column) => {
                places.push((numbers + column) as i64);
                continue;
            }
            Ask::Byte(column) => {
                places.push((bytes + column) as i64);
                continue;
            }
            Ask::Category(column) => (column, None),
            Ask::Folded(column, folds) => (column, Some(folds)),
        };
        let Some(index) = inputs.categories.get(*column) else { continue };
        let index = match folds {
            Some(folds) => {
                let folds = graph.constant(&[folds.len()], folds);
                graph.op("Gather", &[&folds, index])
            }
            None => index.clone(),
        };
        let index = graph.cast(&index, Elem::F64);
        parts.push(graph.column(&index));
        places.push(width as i64);
        width += 1;
    }
    (graph.concat(&parts.iter().collect::<Vec<_>>()), places)
}

/// The greatest number whose ln(1 + x), as the engine computes it, is at most this.
fn before_log1p(most: f32) -> f32 {
    if most.is_infinite() { most } else { greatest(|x| x <= -1.0 || poly::log1p(x) + 0.0 <= most) }
}

/// What raw scores say.
fn raw_scores(graph: &mut Graph, sums: &Value, base: &[i64], link: Link) -> Value {
    let first: Vec<f64> = base.iter().map(|base| *base as f64).collect();
    let first = graph.constant(&[1, first.len()], &first);
    // Integers far below 2^53, so that no order of adding them matters.
    let raw = graph.op("Add", &[sums, &first]);
    match link {
        Link::Odds => {
            let unit = graph.scalar(1.0 / f64::from(1 << 20));
            let odds = graph.op("Mul", &[&raw, &unit]);
            let odds = graph.cast(&odds, Elem::F32);
            if base.len() > 1 {
                return graph.op_with("Softmax", &[&odds], &[("axis", Attr::Int(1))]);
            }
            let (second, one) = (graph.op("Sigmoid", &[&odds]), graph.scalar(1.0_f32));
            let first = graph.op("Sub", &[&one, &second]);
            graph.concat(&[&first, &second])
        }
        Link::Range(low, high) => {
            let [unit, width, low] = [f64::from(1 << 24), high - low, low].map(|x| graph.scalar(x));
            let share = graph.op("Div", &[&raw, &unit]);
            let above = graph.op("Mul", &[&share, &width]);
            let number = graph.op("Add", &[&low, &above]);
            graph.cast(&number, Elem::F32)
        }
    }
}

impl Table {
    /// Adds a tree, whose leaves go to a target.
    fn add(
        &mut self,
        nodes: &[TreeNode],
        target: i64,
        weight: impl Fn(usize) -> f64,
        asks: impl Fn(usize, &TreeTest) -> (i64, TreeTest),
    ) {
        // Where each node is, among splits or among leaves.
        let mut places = Vec::with_capacity(nodes.len());
        let (mut split, mut leaf) = (self.asks.len() as i64, self.weights.len() as i64);
        for node in nodes {
            let (next, is_leaf) = match node {
                TreeNode::Leaf(_) => (&mut leaf, 1),
                TreeNode::Split { .. } => (&mut split, 0),
            };
            places.push((*next, is_leaf));
            *next += 1;
        }
        let place = |node: usize| places.get(node).copied().unwrap_or((0, 1));
        self.roots.push(self.asks.len() as i64);
        for node in nodes {
            match node {
                TreeNode::Leaf(value) => {
                    self.targets.push(target);
                    self.weights.push(weight(*value));
                }
                TreeNode::Split { ask, test, left, right } => {
                    let (ask, test) = asks(*ask, test);
                    self.split(ask, &test, [place(*left), place(*right)]);
                }
            }
        }
        if let [TreeNode::Leaf(_)] = nodes {
            // A tree begins with a node.
            let only = place(0);
            self.split(0, &TreeTest::AtMost { most: 0.0, missing: false }, [only, only]);
        }
    }

    fn split(&mut self, ask: i64, test: &TreeTest, sides: [(i64, i64); 2]) {
        self.asks.push(ask);
        let (mode, most, missing) = match test {
            TreeTest::AtMost { most, missing } => (AT_MOST, f64::from(*most), *missing),
            TreeTest::In(set) => {
                self.members.extend(set.iter().copied().map(f64::from));
                self.members.push(f64::NAN);
                (MEMBER, 0.0, false)
            }
        };
        self.modes.push(mode);
        self.splits.push(most);
        self.missing.push(i64::from(missing));
        for (((place, is_leaf), to), leaves) in sides.into_iter().zip(&mut self.sides).zip(&mut self.are_leaves) {
            to.push(place);
            leaves.push(is_leaf);
        }
    }

    /// The operator's output: `rows x targets`, f64.
    fn written(&self, graph: &mut Graph, asked: &Value, targets: usize) -> Value {
        let mut attributes = vec![
            ("aggregate_function", Attr::Int(1)),
            ("leaf_targetids", Attr::Ints(&self.targets)),
            ("leaf_weights", Attr::Tensor(Tensor::of(&[self.weights.len()], &self.weights))),
        ];
        if !self.members.is_empty() {
            attributes.push(("membership_values", Attr::Tensor(Tensor::of(&[self.members.len()], &self.members))));
        }
        let [left, right] = &self.sides;
        let [left_leaves, right_leaves] = &self.are_leaves;
        attributes.extend([
            ("n_targets", Attr::Int(targets as i64)),
            ("nodes_falseleafs", Attr::Ints(right_leaves)),
            ("nodes_falsenodeids", Attr::Ints(right)),
            ("nodes_featureids", Attr::Ints(&self.asks)),
            ("nodes_missing_value_tracks_true", Attr::Ints(&self.missing)),
            ("nodes_modes", Attr::Tensor(Tensor::of(&[self.modes.len()], &self.modes))),
            ("nodes_splits", Attr::Tensor(Tensor::of(&[self.splits.len()], &self.splits))),
            ("nodes_trueleafs", Attr::Ints(left_leaves)),
            ("nodes_truenodeids", Attr::Ints(left)),
            ("post_transform", Attr::Int(0)),
            ("tree_roots", Attr::Ints(&self.roots)),
        ]);
        graph.op_with("TreeEnsemble", &[asked], &attributes)
    }
}
