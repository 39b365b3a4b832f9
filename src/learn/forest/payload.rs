//! A forest as bytes: its seed, its rows, for every node which of its candidates it took, and, if the settings say so, the counts of its
//! leaves.
//!
//! Candidates follow from the seed and counts from the rows, so all but the counts is needed to go on, and reading it so sends the rows
//! down the trees again. Answers need the splits and the counts alone. Nothing here is larger than a small multiple of the bytes, or of
//! the rows times the trees, whatever the bytes say.

use super::attribute::Attribute;
use super::outcome::Outcome;
use super::outline::Outline;
use super::table::Table;
use super::tree::LEAF;
use crate::learn::StateError;

/// Bytes of the seed.
const SEED_BYTES: usize = 32;
/// Leaves of more counts than these name those that are not 0.
const DENSE_LANES: usize = 4;

/// The parts of a state.
#[derive(Debug)]
pub(super) struct Payload<'a, O: Outcome> {
    pub(super) seed: [u8; SEED_BYTES],
    pub(super) rows: usize,
    /// Column after column, a byte a row.
    bins: &'a [u8],
    /// 4 bytes a row.
    labels: &'a [u8],
    /// The trees; without lanes where the bytes hold no counts.
    pub(super) trees: Vec<Outline<O>>,
}

/// The bytes of a state; with the counts of the leaves if the outlines have them.
pub(super) fn encode<O: Outcome>(
    outcome: O,
    seed: &[u8; SEED_BYTES],
    table: &Table,
    attributes: usize,
    trees: &[Outline<O>],
) -> Vec<u8> {
    let nodes: usize = trees.iter().map(|tree| tree.names.len()).sum();
    let lanes: usize = trees.iter().map(|tree| tree.lanes.len()).sum();
    let mut bytes =
        Vec::with_capacity(SEED_BYTES + 8 + table.rows() * (attributes + 4) + trees.len() * 4 + nodes * 2 + lanes * 2);
    bytes.extend(seed);
    bytes.extend((table.rows() as u64).to_le_bytes());
    for attribute in 0..attributes {
        let column = table.column(attribute);
        bytes.extend(table.slots().filter_map(|slot| column.get(slot as usize)));
    }
    let labels = table.slots().filter_map(|slot| table.labels.get(slot as usize));
    labels.for_each(|label| bytes.extend(label.to_le_bytes()));
    trees.iter().for_each(|tree| bytes.extend((tree.names.len() as u32).to_le_bytes()));
    trees.iter().flat_map(|tree| &tree.names).for_each(|name| bytes.extend(name.to_le_bytes()));
    for leaf in trees.iter().flat_map(|tree| tree.lanes.chunks(outcome.lanes())) {
        if outcome.lanes() <= DENSE_LANES {
            leaf.iter().for_each(|&lane| push(&mut bytes, lane.into()));
            continue;
        }
        let counted = || leaf.iter().map(|&lane| lane.into()).enumerate().filter(|(_, lane): &(usize, u64)| *lane > 0);
        push(&mut bytes, counted().count() as u64);
        for (at, lane) in counted() {
            push(&mut bytes, at as u64);
            push(&mut bytes, lane);
        }
    }
    bytes
}

/// The parts in `bytes`, of which nothing is copied but the trees.
pub(super) fn decode<'a, O: Outcome>(
    outcome: O,
    attributes: usize,
    trees: usize,
    rows_max: u64,
    counted: bool,
    bytes: &'a [u8],
) -> Result<Payload<'a, O>, StateError> {
    let mut rest = bytes;
    let seed = *array(&mut rest, "the seed")?;
    let rows = u64::from_le_bytes(*array(&mut rest, "the number of rows")?);
    if rows > rows_max {
        return Err(StateError(format!("it says it has {rows} rows, and {rows_max} is the most there can be")));
    }
    let rows = rows as usize;
    let bins = take(&mut rest, attributes.saturating_mul(rows), "the rows")?;
    let labels = take(&mut rest, rows.saturating_mul(4), "the labels")?;
    let counts = take(&mut rest, trees.saturating_mul(4), "the sizes of the trees")?.as_chunks().0;
    let mut outlines = Vec::with_capacity(trees);
    for count in counts {
        let pairs = take(&mut rest, (u32::from_le_bytes(*count) as usize).saturating_mul(2), "the trees")?.as_chunks().0;
        outlines.push(Outline { names: pairs.iter().map(|&pair| u16::from_le_bytes(pair)).collect(), lanes: Vec::new() });
    }
    for tree in outlines.iter_mut().filter(|_| counted) {
        let leaves = tree.names.iter().filter(|name| **name == LEAF).count();
        for _ in 0..leaves {
            leaf(outcome, &mut rest, &mut tree.lanes)?;
        }
        let all = tree.lanes.chunks(outcome.lanes()).map(|lanes| outcome.rows(lanes)).try_fold(0_u64, u64::checked_add);
        if all != Some(rows as u64) {
            return Err(StateError(format!("the leaves of a tree count {} rows of {rows}", all.unwrap_or(u64::MAX))));
        }
    }
    if !rest.is_empty() {
        return Err(StateError(format!("{} bytes follow its end", rest.len())));
    }
    Ok(Payload { seed, rows, bins, labels, trees: outlines })
}

impl<O: Outcome> Payload<'_, O> {
    /// The rows, after all that they hold was checked.
    pub(super) fn table(&self, outcome: O, attributes: &[Attribute]) -> Result<Table, StateError> {
        for (attribute, column) in attributes.iter().zip(self.bins.chunks(self.rows.max(1))) {
            if let Some(bin) = column.iter().find(|&&bin| !attribute.holds(bin)) {
                return Err(StateError(format!("a row has {bin} where the layout has fewer categories")));
            }
        }
        let labels: Vec<u32> = self.labels.as_chunks().0.iter().map(|word| u32::from_le_bytes(*word)).collect();
        if let Some(label) = labels.iter().find(|&&label| !outcome.holds(label)) {
            return Err(StateError(format!("a row has the label {label}, which can't be")));
        }
        Ok(Table::of_columns(self.bins.to_vec(), labels))
    }
}

/// Reads the lanes of a leaf.
fn leaf<O: Outcome>(outcome: O, rest: &mut &[u8], lanes: &mut Vec<O::Lane>) -> Result<(), StateError> {
    let misfit = || StateError("a leaf has counts that can't be".into());
    let lane = |count: u64| O::Lane::try_from(count).map_err(|_| misfit());
    if outcome.lanes() <= DENSE_LANES {
        for _ in 0..outcome.lanes() {
            lanes.push(lane(pull(rest)?)?);
        }
        return Ok(());
    }
    let first = lanes.len();
    let mut next = 0;
    for _ in 0..pull(rest)? {
        let (at, count) = (pull(rest)?, pull(rest)?);
        // Ascending, none of them 0: there is one way to write a leaf.
        if at < next || at >= outcome.lanes() as u64 || count == 0 {
            return Err(misfit());
        }
        lanes.resize(first + at as usize, O::Lane::default());
        lanes.push(lane(count)?);
        next = at + 1;
    }
    lanes.resize(first + outcome.lanes(), O::Lane::default());
    Ok(())
}

/// Writes a number in as few groups of 7 bits as it needs, the lowest first, each but the last with its top bit set (LEB128).
fn push(bytes: &mut Vec<u8>, mut number: u64) {
    while number > 127 {
        bytes.push(number as u8 | 128);
        number >>= 7;
    }
    bytes.push(number as u8);
}

/// Reads what [`push`] wrote.
fn pull(rest: &mut &[u8]) -> Result<u64, StateError> {
    let mut number = 0_u64;
    for group in 0..10 {
        let [byte] = *array(rest, "the counts")?;
        let bits = u64::from(byte & 127);
        if bits << (7 * group) >> (7 * group) != bits || (group > 0 && byte == 0) {
            break;
        }
        number |= bits << (7 * group);
        if byte < 128 {
            return Ok(number);
        }
    }
    Err(StateError("a count is not written as counts are".into()))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_one_spelling() {
        for number in [0, 1, 127, 128, 300, 1 << 20, u64::from(u32::MAX), u64::MAX] {
            let mut bytes = Vec::new();
            push(&mut bytes, number);
            let mut rest = bytes.as_slice();
            assert_eq!(pull(&mut rest).unwrap(), number);
            assert!(rest.is_empty());
        }
        for wrong in [&[][..], &[128], &[128, 0], &[255, 255, 255, 255, 255, 255, 255, 255, 255, 2], &[255; 11]] {
            assert!(pull(&mut &wrong[..]).is_err(), "{wrong:?}");
        }
    }
}
