//! What every cell of a generation holds, by digest and count: the whole store in one value.

use std::collections::BTreeMap;

use crate::{
    digest::Digest,
    ids::{Cell, Part, ShardId, SliceId},
    order::{Batches, Chain},
};

/// How a file of cells begins.
const MAGIC: &[u8; 8] = b"\x89SISACL\n";
const VERSION: u32 = 1;
/// Where there are later batches.
const LATER_VERSION: u32 = 2;
const HEADER_BYTES: usize = 24;
const CELL_BYTES: usize = 40;

/// The content digest of every cell of a grid, and how many rows it has where that is known; dense, so that a copy is a copy of memory.
#[derive(Clone, Debug)]
pub struct Cells {
    shards: u32,
    chain: Chain,
    /// By shard; its slices ascending, then its holdout.
    digests: Vec<Digest>,
    /// In the same order; none where the ledger does not say (entries of format 1).
    rows: Option<Vec<u64>>,
}

impl Cells {
    /// Of a grid of `shards x slices`, with every cell in order; `None` if it is not that.
    pub fn new(shards: u32, slices: u32, digests: Vec<Digest>, rows: Option<Vec<u64>>) -> Option<Cells> {
        Cells::of_chain(shards, Chain::new(slices), digests, rows)
    }

    /// Of shards with these slices, with every cell in order; `None` if it is not that.
    pub fn of_chain(shards: u32, chain: Chain, digests: Vec<Digest>, rows: Option<Vec<u64>>) -> Option<Cells> {
        let count = (chain.steps() as usize + 1).checked_mul(shards as usize)?;
        let fits = digests.len() == count && rows.as_ref().is_none_or(|rows| rows.len() == count);
        (fits && shards > 0 && chain.first_slices() > 0).then_some(Cells { shards, chain, digests, rows })
    }

    /// From digests by cell, without counts; `None` if they are not those of a whole grid.
    pub fn of_digests(digests: &BTreeMap<Cell, Digest>) -> Option<Cells> {
        let last = digests.keys().next_back()?;
        let slices = digests.keys().map(|cell| cell.part.number()).max()?;
        let cells = Cells::new(last.shard.0.checked_add(1)?, slices, digests.values().copied().collect(), None)?;
        digests.keys().eq(cells.iter().map(|(cell, _)| cell).collect::<Vec<_>>().iter()).then_some(cells)
    }

    /// S.
    pub fn shards(&self) -> u32 {
        self.shards
    }

    /// How many slices a shard has.
    pub fn slices(&self) -> u32 {
        self.chain.steps()
    }

    /// The slices of a shard.
    pub fn chain(&self) -> &Chain {
        &self.chain
    }

    fn at(&self, cell: Cell) -> Option<usize> {
        let Cell { shard, part } = cell;
        let column = match part {
            Part::Slice(SliceId(slice)) => slice.checked_sub(1).filter(|_| slice <= self.slices())?,
            Part::Holdout => self.slices(),
        };
        (shard.0 < self.shards).then_some(shard.0 as usize * (self.slices() as usize + 1) + column as usize)
    }

    /// The content digest of a cell; `None` outside the grid.
    pub fn get(&self, cell: &Cell) -> Option<&Digest> {
        self.digests.get(self.at(*cell)?)
    }

    /// How many rows a cell has, if that is known.
    pub fn rows(&self, cell: &Cell) -> Option<u64> {
        self.rows.as_ref()?.get(self.at(*cell)?).copied()
    }

    /// Whether the counts of rows are known.
    pub fn has_rows(&self) -> bool {
        self.rows.is_some()
    }

    /// Another content for a cell, and another count of its rows, given that before. `None` outside the grid.
    pub fn change(&mut self, cell: Cell, content: Digest, now: impl FnOnce(u64) -> u64) -> Option<()> {
        let at = self.at(cell)?;
        *self.digests.get_mut(at)? = content;
        if let Some(rows) = self.rows.as_mut().and_then(|rows| rows.get_mut(at)) {
            *rows = now(*rows);
        }
        Some(())
    }

    /// Every cell with its content digest, in order.
    pub fn iter(&self) -> impl Iterator<Item = (Cell, &Digest)> {
        let parts = (1..=self.slices()).map(|slice| Part::Slice(SliceId(slice))).chain([Part::Holdout]);
        let cells = (0..self.shards).flat_map(move |shard| parts.clone().map(move |part| Cell { shard: ShardId(shard), part }));
        cells.zip(&self.digests)
    }

    /// The content digests of a shard's slices, in order; of no shard, none.
    pub fn slices_of(&self, shard: ShardId) -> &[Digest] {
        let first = self.at(Cell { shard, part: Part::Slice(SliceId(1)) });
        first.and_then(|first| self.digests.get(first..first + self.slices() as usize)).unwrap_or_default()
    }

    /// The rows of a shard's slices, in order, if they are known.
    pub fn rows_of(&self, shard: ShardId) -> Option<&[u64]> {
        let first = self.at(Cell { shard, part: Part::Slice(SliceId(1)) })?;
        self.rows.as_ref()?.get(first..first + self.slices() as usize)
    }

    /// One digest over all cells: the state of a whole generation's records.
    pub fn root(&self) -> Digest {
        let mut material = Vec::with_capacity(self.digests.len() * 40);
        for (cell, digest) in self.iter() {
            material.extend_from_slice(&cell.shard.0.to_le_bytes());
            material.extend_from_slice(&cell.part.number().to_le_bytes());
            material.extend_from_slice(&digest.0);
        }
        Digest::derive("sisa 1 records root", &[&material])
    }

    /// The bytes of a file of cells.
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(HEADER_BYTES + self.digests.len() * CELL_BYTES);
        bytes.extend_from_slice(MAGIC);
        let later = self.chain.later();
        let version = if later.is_empty() { VERSION } else { LATER_VERSION };
        for field in [version, self.shards, self.slices(), u32::from(self.rows.is_some())] {
            bytes.extend_from_slice(&field.to_le_bytes());
        }
        if !later.is_empty() {
            bytes.extend_from_slice(&self.chain.first_slices().to_le_bytes());
            for batches in later {
                bytes.extend_from_slice(&batches.first.to_le_bytes());
                bytes.extend_from_slice(&batches.last.to_le_bytes());
            }
        }
        for (at, digest) in self.digests.iter().enumerate() {
            bytes.extend_from_slice(&digest.0);
            let rows = self.rows.as_ref().and_then(|rows| rows.get(at)).copied().unwrap_or(u64::MAX);
            bytes.extend_from_slice(&rows.to_le_bytes());
        }
        bytes
    }

    /// The cells that a file holds; `None` if it is none.
    pub fn decode(bytes: &[u8]) -> Option<Cells> {
        let (header, body) = bytes.split_at_checked(HEADER_BYTES)?;
        let field = |at: usize| Some(u32::from_le_bytes(header.get(at..at + 4)?.try_into().ok()?));
        if header.get(..8)? != MAGIC {
            return None;
        }
        let (chain, body) = match field(8)? {
            VERSION => (Chain::new(field(16)?), body),
            LATER_VERSION => {
                let (first, body) = body.split_first_chunk::<4>()?;
                let slices = u32::from_le_bytes(*first);
                let count = field(16)?.checked_sub(slices).filter(|count| *count > 0)?;
                let (intervals, body) = body.split_at_checked((count as usize).checked_mul(8)?)?;
                let (intervals, _) = intervals.as_chunks::<8>();
                let half = |bytes: &[u8]| Some(u32::from_le_bytes(bytes.try_into().ok()?));
                let interval = |b: &[u8; 8]| Some(Batches { first: half(b.get(..4)?)?, last: half(b.get(4..)?)? });
                let later = intervals.iter().map(interval).collect::<Option<Vec<_>>>()?;
                (Chain::from_parts(slices, later)?, body)
            }
            _ => return None,
        };
        let (cells, rest) = body.as_chunks::<CELL_BYTES>();
        let mut digests = Vec::with_capacity(cells.len());
        let mut rows = Vec::with_capacity(cells.len());
        for cell in cells {
            let (digest, count) = cell.split_at(32);
            digests.push(Digest(digest.try_into().ok()?));
            rows.push(u64::from_le_bytes(count.try_into().ok()?));
        }
        let known = match field(20)? {
            0 => false,
            1 => true,
            _ => return None,
        };
        Cells::of_chain(field(12)?, chain, digests, known.then_some(rows)).filter(|_| rest.is_empty())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cells() -> Cells {
        let digests = (0..3 * 4).map(|n| Digest::of(&[n])).collect();
        Cells::new(3, 3, digests, Some((0..12).collect())).unwrap()
    }

    #[test]
    fn a_cell_is_where_its_name_says() {
        let mut cells = cells();
        for (at, (cell, digest)) in (0_u8..).zip(cells.clone().iter()) {
            assert_eq!((cells.get(&cell), digest), (Some(&Digest::of(&[at])), &Digest::of(&[at])));
            assert_eq!(cells.rows(&cell), Some(u64::from(at)));
        }
        let beyond = |shard, part| cells.get(&Cell { shard: ShardId(shard), part }).is_none();
        assert!(beyond(3, Part::Holdout) && beyond(0, Part::Slice(SliceId(4))) && beyond(0, Part::Slice(SliceId(0))));
        assert_eq!(cells.slices_of(ShardId(1)), [4, 5, 6].map(|n: u8| Digest::of(&[n])));
        assert_eq!(cells.rows_of(ShardId(2)), Some(&[8, 9, 10][..]));
        let cell = Cell { shard: ShardId(2), part: Part::Holdout };
        let root = cells.root();
        cells.change(cell, Digest::of(b"x"), |rows| rows - 4).unwrap();
        assert_eq!((cells.rows(&cell), cells.root() == root), (Some(7), false));
        cells.change(cell, Digest::of(b"y"), |_| 0).unwrap();
        assert_eq!(cells.rows(&cell), Some(0));
    }

    #[test]
    fn files_of_cells_are_read_back_and_others_are_refused() {
        let later = Cells { chain: Chain::of(1, 3, crate::order::Later::Merge(3)), ..cells() };
        for cells in [cells(), Cells { rows: None, ..cells() }, later] {
            let bytes = cells.encode();
            let back = Cells::decode(&bytes).unwrap();
            assert_eq!(back.chain, cells.chain);
            assert_eq!((back.encode(), back.root(), back.has_rows()), (bytes.clone(), cells.root(), cells.has_rows()));
            for len in 0..bytes.len() {
                assert!(Cells::decode(&bytes[..len]).is_none(), "{len} bytes");
            }
            if !cells.chain.later().is_empty() {
                continue;
            }
            let map: BTreeMap<Cell, Digest> = cells.iter().map(|(cell, digest)| (cell, *digest)).collect();
            assert_eq!(Cells::of_digests(&map).unwrap().root(), cells.root());
            let mut less = map.clone();
            less.pop_first();
            assert!(Cells::of_digests(&less).is_none());
        }
    }
}
