//! From a subject's handle to the cell that holds its records. Pure: no file, no count, no position.

use crate::{
    digest::{Draw, HandleMaker, ModelKey},
    ids::{Cell, Handle, Part, ShardId, SliceId},
};

/// How many shards and slices, and what share is held out.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Grid {
    /// S.
    pub shards: u32,
    /// R.
    pub slices: u32,
    /// The share of subjects that is never trained on, in [0, 1).
    pub holdout: f64,
}

impl Grid {
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

    /// The cell of all records of a subject.
    pub fn cell(&self, subject: Handle) -> Cell {
        let shard = ShardId((self.shard.of(subject) % u64::from(self.grid.shards)) as u32);
        // No draw is made that decides nothing.
        let held_out = self.held_out_below > 0 && self.handles.holdout_draw(subject) < self.held_out_below;
        let part = match self.grid.slices {
            _ if held_out => Part::Holdout,
            0 | 1 => Part::Slice(SliceId(1)),
            slices => Part::Slice(SliceId(1 + (self.slice.of(subject) % u64::from(slices)) as u32)),
        };
        Cell { shard, part }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::digest::HandleKey;

    #[test]
    fn subjects_spread_evenly_and_the_holdout_has_its_share() {
        let grid = Grid { shards: 4, slices: 5, holdout: 0.25 };
        let maker = HandleKey::from_bytes([1; 32]).maker();
        let placement = Placement::new(grid, maker.clone(), &ModelKey::from_bytes([2; 32]));
        let mut counts = std::collections::BTreeMap::new();
        for id in 0..20_000_u32 {
            *counts.entry(placement.cell(maker.subject(&id.to_le_bytes()))).or_insert(0_u32) += 1;
        }
        assert_eq!(counts.len(), 4 * 6);
        for (cell, n) in counts {
            let expected = if cell.part == Part::Holdout { 1250 } else { 750 };
            // Five standard deviations of a binomial count.
            assert!(n.abs_diff(expected) < 5 * expected.isqrt(), "{cell}: {n}");
        }
    }
}
