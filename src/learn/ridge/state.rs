//! The state of a ridge regression as bytes.
//!
//! | bytes | content |
//! | --- | --- |
//! | 32 | the seed of the random features |
//! | 8 | rows, u64 |
//! | 8 for each element | G: row after row, each up to its diagonal, i64 |
//! | 8 for each element | C: feature after feature, each its outputs, i64 |
//!
//! Everything is little-endian. The length follows from the layout and the settings, so it is checked before anything is allocated.

use super::targets::Targets;
use crate::learn::StateError;
use crate::num::normal::{FEATURE_MAX, Normal, ROWS_MAX};

/// Bytes before the sums.
pub(super) const HEAD_BYTES: usize = 40;

/// The bytes of a state.
pub(super) fn encode(seed: [u8; 32], rows: u64, sums: &Normal) -> Vec<u8> {
    let (width, outputs) = (sums.width(), sums.outputs());
    let mut out = Vec::with_capacity(length(width, outputs).unwrap_or_default());
    out.extend_from_slice(&seed);
    out.extend_from_slice(&rows.to_le_bytes());
    for i in 0..width {
        sums.gram_row(i).for_each(|x| out.extend_from_slice(&x.to_le_bytes()));
    }
    for i in 0..width {
        (0..outputs).for_each(|k| out.extend_from_slice(&sums.cross(i, k).to_le_bytes()));
    }
    out
}

/// The state in `bytes`, of so many features: seed, rows, sums.
///
/// # Errors
/// When the length is not that of the shape, or a sum is not one that so many rows can have.
pub(super) fn decode(width: usize, targets: &Targets, bytes: &[u8]) -> Result<([u8; 32], u64, Normal), StateError> {
    let outputs = targets.outputs();
    let Parts { seed, rows, elements } = parts(width, outputs, bytes)?;
    let mut elements = elements.iter().map(|&bytes| i64::from_le_bytes(bytes));
    let feature = i64::from(FEATURE_MAX);
    let rows_signed = rows.cast_signed();
    let (square, cross) = most(rows, targets);
    let bad = |what: String| StateError(format!("{what} is not one that {rows} rows can have"));
    let mut sums = Normal::new(width, outputs);
    for i in 0..width {
        let row: Vec<i64> = elements.by_ref().take(i + 1).collect();
        if let Some(j) = row.iter().position(|x| !(0..=square).contains(x)) {
            return Err(bad(format!("element ({i}, {j}) of G")));
        }
        sums.set_gram_row(i, row.into_iter());
    }
    if sums.gram_row(0).next() != Some(square) {
        return Err(bad("element (0, 0) of G".to_owned()));
    }
    let mut biases = 0i64;
    for i in 0..width {
        for (k, x) in (0..outputs).zip(elements.by_ref()) {
            if !(0..=cross).contains(&x) {
                return Err(bad(format!("element ({i}, {k}) of C")));
            }
            if i == 0 {
                biases = biases.saturating_add(x);
            }
            sums.set_cross(i, k, x);
        }
    }
    if targets.are_classes() && biases != feature * rows_signed {
        return Err(bad("the sum of the classes' counts".to_owned()));
    }
    Ok((seed, rows, sums))
}

/// A state's bytes, of which no sum is looked at.
pub(super) struct Parts<'a> {
    pub(super) seed: [u8; 32],
    pub(super) rows: u64,
    /// G and C.
    pub(super) elements: &'a [[u8; 8]],
}

/// The parts of a state of so many features.
///
/// # Errors
/// When the length is not that of the shape.
pub(super) fn parts(width: usize, outputs: usize, bytes: &[u8]) -> Result<Parts<'_>, StateError> {
    let expected = length(width, outputs);
    if expected != Some(bytes.len()) {
        let expected = expected.map_or("more than there can be".to_owned(), |bytes| bytes.to_string());
        return Err(StateError(format!("it is {} bytes long, and the layout and the settings ask for {expected}", bytes.len())));
    }
    let (Some((seed, rest)), true) = (bytes.split_first_chunk::<32>(), width > 0) else {
        return Err(StateError("it has no features".into()));
    };
    let Some((rows, rest)) = rest.split_first_chunk::<8>() else {
        return Err(StateError("it has no count of rows".into()));
    };
    let rows = u64::from_le_bytes(*rows);
    if rows > ROWS_MAX {
        return Err(StateError(format!("it is of {rows} rows, and at most {ROWS_MAX} fit")));
    }
    Ok(Parts { seed: *seed, rows, elements: rest.as_chunks().0 })
}

/// The largest element of G, and that of C, of so many rows.
pub(super) fn most(rows: u64, targets: &Targets) -> (i64, i64) {
    let each = i64::from(FEATURE_MAX) * rows.cast_signed();
    (i64::from(FEATURE_MAX) * each, i64::from(targets.most()) * each)
}

fn length(width: usize, outputs: usize) -> Option<usize> {
    let gram = width.checked_mul(width.checked_add(1)?)? / 2;
    gram.checked_add(width.checked_mul(outputs)?)?.checked_mul(8)?.checked_add(HEAD_BYTES)
}
