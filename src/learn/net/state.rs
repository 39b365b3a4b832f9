//! The state of a network as bytes.
//!
//! bincode 2 with fixed-size little-endian integers. Every vector is one string of bytes (its length in bytes, then its
//! elements, little-endian): a length is checked against what is there before anything is allocated, and a vector is
//! copied, not parsed.

use bincode::config::{Configuration, Fixint, LittleEndian};
use bincode::{BorrowDecode, Encode};

use super::layers::Shape;
use super::optimiser::Parameters;
use super::settings::Optimizer;
use crate::learn::scaler::Scaler;
use crate::learn::{Layout, StateError};
use crate::num::moments::Moments;

/// The payload of a checkpoint, field by field.
#[derive(Debug, BorrowDecode, Encode)]
struct Saved<'a> {
    /// Rows of the prefix.
    rows: u64,
    /// Updates so far.
    updates: u64,
    /// For each number column, then for the target of a regression: count (u64), mean, sum of squares (f64).
    scaler: &'a [u8],
    /// Weights and biases: layer after layer, weights (row-major), then biases (f32).
    current: &'a [u8],
    /// Their averages.
    average: &'a [u8],
    /// SGD's velocity, or Adam's mean of gradients.
    first: &'a [u8],
    /// Adam's mean of squared gradients; empty for SGD.
    second: &'a [u8],
}

/// Bytes of one column of the scaler.
const COLUMN_BYTES: usize = 24;
/// The largest count that is believed: up to here f64 holds every one, and additions are far from overflow.
const COUNT_MAX: u64 = 1 << 53;
/// Bytes of a state without its vectors' elements: two counters and five lengths.
const FRAME_BYTES: usize = 7 * 8;

fn config() -> Configuration<LittleEndian, Fixint> {
    bincode::config::standard().with_little_endian().with_fixed_int_encoding()
}

/// The bytes of a state.
pub(super) fn encode(rows: u64, scaler: &Scaler, parameters: &Parameters) -> Vec<u8> {
    let columns = scaler.moments().iter().flat_map(|m| [m.count.to_le_bytes(), m.mean.to_le_bytes(), m.m2.to_le_bytes()]);
    let saved = Saved {
        rows,
        updates: parameters.updates,
        scaler: &columns.flatten().collect::<Vec<u8>>(),
        current: &to_bytes(&parameters.current),
        average: &to_bytes(&parameters.average),
        first: &to_bytes(&parameters.first),
        second: &to_bytes(&parameters.second),
    };
    // Writing numbers and bytes to memory has no error.
    bincode::encode_to_vec(&saved, config()).unwrap_or_default()
}

/// The state in `bytes`: rows, scaler, parameters.
pub(super) fn decode(
    layout: &Layout,
    shape: &Shape,
    optimizer: &Optimizer,
    bytes: &[u8],
) -> Result<(u64, Scaler, Parameters), StateError> {
    let vector = shape.parameters().saturating_mul(4);
    let second = match optimizer {
        Optimizer::Sgd { .. } => 0,
        Optimizer::Adam { .. } => vector,
    };
    let columns = Scaler::columns(layout).saturating_mul(COLUMN_BYTES);
    let lengths = [FRAME_BYTES, columns, vector, vector, vector, second];
    let expected = lengths.into_iter().fold(0, usize::saturating_add);
    if bytes.len() != expected {
        return Err(StateError(format!("it is {} bytes long, and the layout and the settings ask for {expected}", bytes.len())));
    }
    let (saved, read): (Saved<'_>, usize) =
        bincode::borrow_decode_from_slice(bytes, config()).map_err(|error| StateError(error.to_string()))?;
    for (what, field, expected) in [
        ("scaler", saved.scaler, columns),
        ("current", saved.current, vector),
        ("average", saved.average, vector),
        ("first", saved.first, vector),
        ("second", saved.second, second),
        ("whole", bytes, read),
    ] {
        if field.len() != expected {
            return Err(StateError(format!("`{what}` is {} bytes long instead of {expected}", field.len())));
        }
    }
    for (what, count) in [("rows", saved.rows), ("updates", saved.updates)] {
        if count > COUNT_MAX {
            return Err(StateError(format!("`{what}` is {count}, which nothing reaches")));
        }
    }
    let columns = saved.scaler.as_chunks::<COLUMN_BYTES>().0.iter();
    let moments: Option<Vec<Moments>> = columns.map(|bytes| column(bytes, saved.rows)).collect();
    let moments = moments.ok_or_else(|| StateError("`scaler` holds a column that no rows have".to_owned()))?;
    let scaler = Scaler::from_moments(layout, moments);
    let mut vectors = Parameters::vectors(shape.parameters(), optimizer);
    for (vector, bytes) in vectors.iter_mut().zip([saved.current, saved.average, saved.first, saved.second]) {
        from_bytes(bytes, vector);
    }
    let [current, average, first, second] = vectors;
    let parameters = Parameters { updates: saved.updates, current, average, unsettled: false, first, second };
    let not_finite = parameters.not_finite().map(str::to_owned);
    match scaler.not_finite().or(not_finite) {
        Some(what) => Err(StateError(format!("{what} is not finite"))),
        None => Ok((saved.rows, scaler, parameters)),
    }
}

/// One column of the scaler, if it can be one. (That it is finite is checked with all others.)
fn column(bytes: &[u8; COLUMN_BYTES], rows: u64) -> Option<Moments> {
    let (&[count, mean, m2], _) = bytes.as_chunks::<8>() else {
        return None;
    };
    let moments = Moments { count: u64::from_le_bytes(count), mean: f64::from_le_bytes(mean), m2: f64::from_le_bytes(m2) };
    let possible = if moments.count == 0 { moments == Moments::default() } else { moments.count <= rows && moments.m2 >= 0.0 };
    possible.then_some(moments)
}

fn to_bytes(numbers: &[f32]) -> Vec<u8> {
    let mut bytes = vec![0; numbers.len() * 4];
    for (bytes, number) in bytes.as_chunks_mut::<4>().0.iter_mut().zip(numbers) {
        *bytes = number.to_le_bytes();
    }
    bytes
}

fn from_bytes(bytes: &[u8], to: &mut [f32]) {
    for (to, bytes) in to.iter_mut().zip(bytes.as_chunks::<4>().0) {
        *to = f32::from_le_bytes(*bytes);
    }
}
