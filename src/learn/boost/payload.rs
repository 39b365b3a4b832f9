//! The state of `boost` as bytes: rows, the scores before any tree, and the trees.

use super::codes::Codes;
use super::tree::{Node, Test, Tree, VALUE_MAX};
use crate::learn::StateError;

/// Base scores of more than this are never computed.
const BASE_MAX: i64 = 1 << 40;
/// What marks a leaf, a window, and a set.
const LEAF: u8 = 0;
const WINDOW: u8 = 1;
const SET: u8 = 2;

/// The parts of a state.
#[derive(Debug)]
pub(super) struct Payload {
    pub(super) rows: u64,
    /// A raw score a model.
    pub(super) base: Vec<i64>,
    /// Those of the models take turns.
    pub(super) trees: Vec<Tree>,
}

/// The most that a state may hold.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    pub(super) models: usize,
    /// Trees of a model.
    pub(super) rounds: usize,
    /// Leaves of a tree.
    pub(super) leaves: usize,
}

/// The bytes of a state.
pub(super) fn encode(payload: &Payload) -> Vec<u8> {
    let mut bytes = payload.rows.to_le_bytes().to_vec();
    payload.base.iter().for_each(|base| bytes.extend(base.to_le_bytes()));
    bytes.extend((payload.trees.len() as u32).to_le_bytes());
    for node in payload.trees.iter().flat_map(|tree| &tree.nodes) {
        match node {
            Node::Leaf(value) => {
                bytes.push(LEAF);
                bytes.extend(value.to_le_bytes());
            }
            Node::Split { column, test: Test::Window { first, last }, .. } => {
                bytes.push(WINDOW);
                bytes.extend(column.to_le_bytes());
                bytes.extend([first.to_le_bytes(), last.to_le_bytes()].concat());
            }
            Node::Split { column, test: Test::In(codes), .. } => {
                bytes.push(SET);
                bytes.extend(column.to_le_bytes());
                bytes.extend((codes.len() as u16).to_le_bytes());
                codes.iter().for_each(|code| bytes.extend(code.to_le_bytes()));
            }
        }
    }
    bytes
}

/// The parts in `bytes`.
pub(super) fn decode(codes: &Codes, limits: Limits, bytes: &[u8]) -> Result<Payload, StateError> {
    let mut rest = bytes;
    let rows = u64::from_le_bytes(*array(&mut rest, "the number of rows")?);
    let mut base = Vec::new();
    for _ in 0..limits.models {
        let score = i64::from_le_bytes(*array(&mut rest, "the first scores")?);
        if score.unsigned_abs() > BASE_MAX.unsigned_abs() {
            return Err(StateError(format!("a first score is {score}, which nothing reaches")));
        }
        base.push(score);
    }
    let count = u32::from_le_bytes(*array(&mut rest, "the number of trees")?) as usize;
    if count > limits.rounds.saturating_mul(limits.models) || !count.is_multiple_of(limits.models.max(1)) {
        return Err(StateError(format!(
            "it says it has {count} trees, of {} rounds and {} models",
            limits.rounds, limits.models
        )));
    }
    let mut trees = Vec::new();
    for i in 0..count {
        trees.push(tree(codes, limits.leaves, &mut rest).map_err(|what| StateError(format!("tree {i}: {}", what.0)))?);
    }
    match rest.len() {
        0 => Ok(Payload { rows, base, trees }),
        more => Err(StateError(format!("{more} bytes follow its end"))),
    }
}

fn tree(codes: &Codes, leaves: usize, rest: &mut &[u8]) -> Result<Tree, StateError> {
    let mut nodes = Vec::new();
    // The splits whose right child is still to come, the last one first; none for the root.
    let (mut waiting, mut over) = (Vec::new(), false);
    while !over {
        if nodes.len() > 2 * leaves {
            return Err(StateError(format!("it has more than {leaves} leaves")));
        }
        let [kind] = *array(rest, "a node")?;
        if kind == LEAF {
            let value = i32::from_le_bytes(*array(rest, "a leaf")?);
            if value.unsigned_abs() > VALUE_MAX.unsigned_abs() {
                return Err(StateError(format!("a leaf's value is {value}, which nothing reaches")));
            }
            nodes.push(Node::Leaf(value));
            let place = nodes.len() as u32;
            match waiting.pop().and_then(|split: usize| nodes.get_mut(split)) {
                Some(Node::Split { right, .. }) => *right = place,
                _ => over = true,
            }
        } else {
            let column = u32::from_le_bytes(*array(rest, "a split")?);
            if column as usize >= codes.columns() || codes.is_category(column as usize) != (kind == SET) {
                return Err(StateError(format!("a split of kind {kind} asks column {column}, which is none of that kind")));
            }
            let test = match kind {
                SET => set(codes.end(column as usize), rest)?,
                _ => window(kind, rest)?,
            };
            waiting.push(nodes.len());
            nodes.push(Node::Split { column, test, right: 0 });
        }
    }
    Ok(Tree { nodes })
}

fn window(kind: u8, rest: &mut &[u8]) -> Result<Test, StateError> {
    let first = u16::from_le_bytes(*array(rest, "a split")?);
    let last = u16::from_le_bytes(*array(rest, "a split")?);
    match kind == WINDOW && first <= 1 && first <= last {
        true => Ok(Test::Window { first, last }),
        false => Err(StateError(format!("a split of kind {kind} parts at {first} and {last}"))),
    }
}

fn set(end: usize, rest: &mut &[u8]) -> Result<Test, StateError> {
    let count = u16::from_le_bytes(*array(rest, "a split")?);
    let mut codes = Vec::new();
    for _ in 0..count {
        codes.push(u16::from_le_bytes(*array(rest, "a set")?));
    }
    match !codes.is_empty() && codes.is_sorted_by(|a, b| a < b) && codes.last().is_none_or(|&last| usize::from(last) < end) {
        true => Ok(Test::In(codes)),
        false => Err(StateError("a split's set is not one of ascending categories".into())),
    }
}

fn array<'a, const N: usize>(rest: &mut &'a [u8], what: &str) -> Result<&'a [u8; N], StateError> {
    let (taken, left) = rest
        .split_first_chunk()
        .ok_or_else(|| StateError(format!("{what} should be {N} bytes long, and {} are left", rest.len())))?;
    *rest = left;
    Ok(taken)
}
