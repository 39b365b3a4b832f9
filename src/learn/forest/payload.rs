//! A forest as bytes: its seed, its rows, and for every node which of its candidates it took.
//!
//! That is all there is to it: candidates follow from the seed, counts from the rows. So a state is small, and reading it sends the
//! rows down the trees again. Nothing here is larger than the rows times the trees, whatever the bytes say.

use super::attribute::Attribute;
use super::outcome::Outcome;
use super::table::Table;
use crate::learn::StateError;

/// Bytes of the seed.
const SEED_BYTES: usize = 32;

/// The parts of a state.
#[derive(Debug)]
pub(super) struct Payload {
    pub(super) seed: [u8; SEED_BYTES],
    pub(super) table: Table,
    /// For each tree the names of its nodes' splits.
    pub(super) names: Vec<Vec<u16>>,
}

/// The bytes of a state.
pub(super) fn encode(seed: &[u8; SEED_BYTES], table: &Table, attributes: usize, names: &[Vec<u16>]) -> Vec<u8> {
    let nodes: usize = names.iter().map(Vec::len).sum();
    let mut bytes = Vec::with_capacity(SEED_BYTES + 8 + table.rows() * (attributes + 4) + names.len() * 4 + nodes * 2);
    bytes.extend(seed);
    bytes.extend((table.rows() as u64).to_le_bytes());
    for attribute in 0..attributes {
        let column = table.column(attribute);
        bytes.extend(table.slots().filter_map(|slot| column.get(slot as usize)));
    }
    let labels = table.slots().filter_map(|slot| table.labels.get(slot as usize));
    labels.for_each(|label| bytes.extend(label.to_le_bytes()));
    names.iter().for_each(|names| bytes.extend((names.len() as u32).to_le_bytes()));
    names.iter().flatten().for_each(|name| bytes.extend(name.to_le_bytes()));
    bytes
}

/// The parts in `bytes`.
pub(super) fn decode<O: Outcome>(
    outcome: O,
    attributes: &[Attribute],
    trees: usize,
    rows_max: u64,
    bytes: &[u8],
) -> Result<Payload, StateError> {
    let mut rest = bytes;
    let seed = *array(&mut rest, "the seed")?;
    let rows = u64::from_le_bytes(*array(&mut rest, "the number of rows")?);
    if rows > rows_max {
        return Err(StateError(format!("it says it has {rows} rows, and {rows_max} is the most there can be")));
    }
    let rows = rows as usize;
    let bins = take(&mut rest, attributes.len().saturating_mul(rows), "the rows")?.to_vec();
    for (attribute, column) in attributes.iter().zip(bins.chunks(rows.max(1))) {
        if let Some(bin) = column.iter().find(|&&bin| !attribute.holds(bin)) {
            return Err(StateError(format!("a row has {bin} where the layout has fewer categories")));
        }
    }
    let labels: Vec<u32> = words(&mut rest, rows, "the labels")?;
    if let Some(label) = labels.iter().find(|&&label| !outcome.holds(label)) {
        return Err(StateError(format!("a row has the label {label}, which can't be")));
    }
    let counts = words(&mut rest, trees, "the sizes of the trees")?;
    let mut names = Vec::with_capacity(trees);
    for &count in &counts {
        let pairs = take(&mut rest, (count as usize).saturating_mul(2), "the trees")?.as_chunks::<2>().0;
        names.push(pairs.iter().map(|&pair| u16::from_le_bytes(pair)).collect());
    }
    if !rest.is_empty() {
        return Err(StateError(format!("{} bytes follow its end", rest.len())));
    }
    Ok(Payload { seed, table: Table::of_columns(bins, labels), names })
}

fn take<'a>(rest: &mut &'a [u8], count: usize, what: &str) -> Result<&'a [u8], StateError> {
    let (taken, left) = rest
        .split_at_checked(count)
        .ok_or_else(|| StateError(format!("{what} should be {count} bytes long, and {} are left", rest.len())))?;
    *rest = left;
    Ok(taken)
}

fn array<'a, const N: usize>(rest: &mut &'a [u8], what: &str) -> Result<&'a [u8; N], StateError> {
    let taken = take(rest, N, what)?;
    taken.first_chunk().ok_or_else(|| StateError(what.to_owned()))
}

fn words(rest: &mut &[u8], count: usize, what: &str) -> Result<Vec<u32>, StateError> {
    let bytes = take(rest, count.saturating_mul(4), what)?;
    Ok(bytes.as_chunks::<4>().0.iter().map(|&word| u32::from_le_bytes(word)).collect())
}
