//! A tree as it is kept: nodes that ask codes, and integer leaf values.

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

/// A leaf's value is at most this, so that raw scores of up to 10,000 trees stay far below 2^53.
pub(super) const VALUE_MAX: i32 = 1 << 30;
