//! A tree as it is kept: nodes that ask codes, and integer leaf values.

use super::codes::Codes;
use crate::learn::{TreeNode, TreeTest};

/// What a node asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Test {
    /// Left are the codes from `first` to `last`. What is missing has code 0, and is left if `first` is 0.
    Window { first: u16, last: u16 },
    /// Left are these categories, ascending.
    In(Vec<u16>),
}

/// One node; its left child follows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Node {
    Leaf(i32),
    Split { column: u32, test: Test, right: u32 },
}

/// A tree: its nodes, each before its left and then its right subtree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Tree {
    pub(super) nodes: Vec<Node>,
}

impl Tree {
    /// The tree as it is written down elsewhere; the values of its leaves are added to `values`.
    pub(super) fn formula(&self, codes: &Codes, values: &mut Vec<i32>) -> Vec<TreeNode> {
        let node = |(place, node): (usize, &Node)| match node {
            Node::Leaf(value) => {
                values.push(*value);
                TreeNode::Leaf(values.len() - 1)
            }
            Node::Split { column, test, right } => {
                let ask = *column as usize;
                let test = match test {
                    Test::Window { first, last } => codes.at_most(ask, *first, *last),
                    Test::In(set) => TreeTest::In(set.clone()),
                };
                TreeNode::Split { ask, test, left: place + 1, right: *right as usize }
            }
        };
        self.nodes.iter().enumerate().map(node).collect()
    }
}

/// A leaf's value is at most this, so that raw scores of up to 10,000 trees stay far below 2^53.
pub(super) const VALUE_MAX: i32 = 1 << 30;
