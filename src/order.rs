//! From a subject's handle to the cell that holds its records, and from a count of batches to the slices there are. Pure: no file, no
//! count of rows, no position.

use crate::{
    digest::{Draw, HandleMaker, ModelKey},
    ids::{Block, Cell, Handle, Part, ShardId, SliceId},
};

/// How many shards and slices, and what share is held out.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Grid {
    /// How many shards there are in all.
    pub shards: u32,
    /// Into how many blocks of as many shards they fall, one for each cohort; 1 without cohorts.
    pub blocks: u32,
    /// R.
    pub slices: u32,
    /// The share of subjects that is never trained on, in [0, 1).
    pub holdout: f64,
}

impl Grid {
    /// A grid without cohorts.
    pub fn new(shards: u32, slices: u32, holdout: f64) -> Grid {
        Grid { shards, blocks: 1, slices, holdout }
    }

    /// S, the shards of each block.
    pub fn shards_of_block(self) -> u32 {
        (self.shards / self.blocks.max(1)).max(1)
    }

    /// The block of a shard.
    pub fn block(self, shard: ShardId) -> Block {
        Block(shard.0 / self.shards_of_block())
    }

    /// All shards, ascending.
    pub fn shards(self) -> impl Iterator<Item = ShardId> {
        (0..self.shards).map(ShardId)
    }

    /// All slices of a shard, ascending.
    pub fn slices(self) -> impl Iterator<Item = SliceId> {
        (1..=self.slices).map(SliceId)
    }

    /// The files of one shard: its slices, then its held-out part.
    pub fn cells_of(self, shard: ShardId) -> impl Iterator<Item = Cell> {
        let parts = self.slices().map(Part::Slice).chain([Part::Holdout]);
        parts.map(move |part| Cell { shard, part })
    }

    /// All files of records.
    pub fn cells(self) -> impl Iterator<Item = Cell> {
        self.shards().flat_map(move |s| self.cells_of(s))
    }
}

/// What becomes of a batch of records that comes later; one of the two for a generation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Later {
    /// Its rows go to the cells of their hashes, as if they had come with the first batch.
    Cells,
    /// It is a last slice of every shard; as many last slices of one size as this become one.
    Merge(u32),
}

/// As many last slices of one size become one, where nothing else is declared.
pub const MERGE: u32 = 16;

impl Default for Later {
    fn default() -> Later {
        Later::Merge(MERGE)
    }
}

/// Consecutive batches whose rows are one slice of every shard.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Batches {
    /// The first of them, from 2: batch 1 is what was imported.
    pub first: u32,
    /// The last of them.
    pub last: u32,
}

/// The slices that every shard has, in the order of training: R of the first batch, then one for each interval of later ones.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chain {
    slices: u32,
    later: Vec<Batches>,
}

impl Chain {
    /// The slices of the first batch alone.
    pub fn new(slices: u32) -> Chain {
        Chain { slices, later: Vec::new() }
    }

    /// The slices once there are so many batches: a function of their count alone, never of rows. The later batches are the digits of
    /// their count, highest first, so that `base` slices of one size are one of the next.
    pub fn of(slices: u32, batches: u32, later: Later) -> Chain {
        let Later::Merge(base) = later else { return Chain::new(slices) };
        let (base, mut left, mut size) = (u64::from(base.max(2)), u64::from(batches.saturating_sub(1)), 1_u64);
        while size * base <= left {
            size *= base;
        }
        let mut chain = Chain::new(slices);
        let mut first = 2_u64;
        while size > 0 {
            while left >= size {
                chain.later.push(Batches { first: first as u32, last: (first + size - 1) as u32 });
                first += size;
                left -= size;
            }
            size /= base;
        }
        chain
    }

    /// A chain as a file says it; `None` if its intervals do not follow each other.
    pub fn from_parts(slices: u32, later: Vec<Batches>) -> Option<Chain> {
        let mut next = 2;
        for batches in &later {
            if u64::from(batches.first) != next || batches.last < batches.first {
                return None;
            }
            next = u64::from(batches.last) + 1;
        }
        Some(Chain { slices, later })
    }

    /// R, the slices of the first batch.
    pub fn first_slices(&self) -> u32 {
        self.slices
    }

    /// The intervals of later batches, in order.
    pub fn later(&self) -> &[Batches] {
        &self.later
    }

    /// How many slices, and so steps, there are.
    pub fn steps(&self) -> u32 {
        self.slices + self.later.len() as u32
    }

    /// Which batches a part holds; `None` for what is not a slice of later batches alone.
    pub fn batches(&self, part: Part) -> Option<Batches> {
        match part {
            Part::Slice(SliceId(step)) => {
                let at = step.checked_sub(self.slices + 1)?;
                self.later.get(at as usize).copied()
            }
            Part::Holdout => None,
        }
    }

    /// The first step whose state has seen all batches up to this one; the last where no chain says it.
    pub fn past(&self, batch: u32) -> u32 {
        if batch <= 1 && !self.later.is_empty() {
            return self.slices;
        }
        let later = self.later.iter().position(|batches| batches.last >= batch);
        later.map_or(self.steps(), |at| self.slices + at as u32 + 1)
    }

    /// The slices that hold later batches alone.
    pub fn later_slices(&self) -> impl Iterator<Item = SliceId> + Clone + use<> {
        (self.slices + 1..=self.steps()).map(SliceId)
    }
}

/// Assigns subjects to cells.
#[derive(Clone, Debug)]
pub struct Placement {
    grid: Grid,
    held_out_below: u64,
    handles: HandleMaker,
    shard: Draw,
    slice: Draw,
}

impl Placement {
    /// The assignment of one generation.
    pub fn new(grid: Grid, handles: HandleMaker, model: &ModelKey) -> Placement {
        Placement {
            grid,
            // 2^64 as f64 is exact; the product rounds once, the conversion truncates.
            held_out_below: (grid.holdout * 18_446_744_073_709_551_616.0) as u64,
            handles,
            shard: model.shard_draw(),
            slice: model.slice_draw(),
        }
    }

    /// The cell of all records of a subject that are in a block.
    pub fn cell(&self, subject: Handle, block: Block) -> Cell {
        let shards = self.grid.shards_of_block();
        let within = (self.shard.of(subject) % u64::from(shards)) as u32;
        let shard = ShardId(block.0.min(self.grid.blocks.saturating_sub(1)) * shards + within);
        // No draw is made that decides nothing.
        let held_out = self.held_out_below > 0 && self.handles.holdout_draw(subject) < self.held_out_below;
        let part = match self.grid.slices {
            _ if held_out => Part::Holdout,
            0 | 1 => Part::Slice(SliceId(1)),
            slices => Part::Slice(SliceId(1 + (self.slice.of(subject) % u64::from(slices)) as u32)),
        };
        Cell { shard, part }
    }

    /// The cells of all records of a subject: one in every block, the same part of each.
    pub fn cells(&self, subject: Handle) -> impl Iterator<Item = Cell> + use<> {
        let (Cell { shard, part }, shards) = (self.cell(subject, Block(0)), self.grid.shards_of_block());
        (0..self.grid.blocks.max(1)).map(move |block| Cell { shard: ShardId(shard.0 + block * shards), part })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::digest::HandleKey;

    #[test]
    fn the_slices_of_later_batches_are_the_digits_of_their_count() {
        let sizes = |batches, base| {
            let chain = Chain::of(5, batches, Later::Merge(base));
            assert_eq!(Chain::from_parts(5, chain.later.clone()).as_ref(), Some(&chain));
            assert_eq!(chain.later.last().map_or(1, |b| b.last), batches);
            assert_eq!(chain.steps(), 5 + chain.later.len() as u32);
            chain.later.iter().map(|b| b.last - b.first + 1).collect::<Vec<_>>()
        };
        assert!(sizes(1, 3).is_empty());
        assert_eq!(sizes(3, 3), [1, 1]);
        assert_eq!(sizes(4, 3), [3]);
        assert_eq!(sizes(1 + 2 * 9 + 3 + 2, 3), [9, 9, 3, 1, 1]);
        assert_eq!(sizes(101, 16), [16, 16, 16, 16, 16, 16, 1, 1, 1, 1]);
        assert_eq!(sizes(u32::MAX, 16).len(), 15 * 7 + 14);
        assert_eq!(Chain::of(5, 9, Later::Cells), Chain::new(5));
        // One more batch changes an end of the chain alone, and a slice in it only by joining it with its last neighbours.
        for batches in 1..200 {
            let (before, after) = (Chain::of(2, batches, Later::Merge(3)), Chain::of(2, batches + 1, Later::Merge(3)));
            let same = before.later.iter().zip(&after.later).take_while(|(a, b)| a == b).count();
            assert_eq!(after.later.len(), same + 1, "{batches}");
            assert_eq!(before.later.get(same).map_or(batches + 1, |b| b.first), after.later[same].first);
        }
    }

    #[test]
    fn subjects_spread_evenly_and_the_holdout_has_its_share() {
        let grid = Grid::new(4, 5, 0.25);
        let maker = HandleKey::from_bytes([1; 32]).maker();
        let placement = Placement::new(grid, maker.clone(), &ModelKey::from_bytes([2; 32]));
        let mut counts = std::collections::BTreeMap::new();
        for id in 0..20_000_u32 {
            *counts.entry(placement.cell(maker.subject(&id.to_le_bytes()), Block(0))).or_insert(0_u32) += 1;
        }
        assert_eq!(counts.len(), 4 * 6);
        for (cell, n) in counts {
            let expected = if cell.part == Part::Holdout { 1250 } else { 750 };
            // Five standard deviations of a binomial count.
            assert!(n.abs_diff(expected) < 5 * expected.isqrt(), "{cell}: {n}");
        }
    }

    #[test]
    fn a_block_is_a_grid_of_its_own_and_a_subject_is_at_the_same_place_in_each() {
        let maker = HandleKey::from_bytes([1; 32]).maker();
        let of = |grid| Placement::new(grid, maker.clone(), &ModelKey::from_bytes([2; 32]));
        let (one, many) = (Grid::new(4, 5, 0.25), Grid { shards: 12, blocks: 3, ..Grid::new(4, 5, 0.25) });
        for id in 0..200_u32 {
            let subject = maker.subject(&id.to_le_bytes());
            let alone = of(one).cell(subject, Block(0));
            let cells: Vec<Cell> = of(many).cells(subject).collect();
            let expected = [0, 1, 2].map(|block| Cell { shard: ShardId(4 * block + alone.shard.0), ..alone });
            assert_eq!(cells, expected);
            assert_eq!([0, 1, 2].map(|block| of(many).cell(subject, Block(block))), expected);
            assert_eq!(cells.iter().map(|cell| many.block(cell.shard).0).collect::<Vec<_>>(), [0, 1, 2]);
            assert_eq!(of(one).cells(subject).collect::<Vec<_>>(), [alone]);
        }
    }
}
