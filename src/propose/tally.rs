//! Cells of one kind: how many there are, and where the first of them stands.

use crate::source::{Batch, Place};

/// A row, as it is looked at.
#[derive(Clone, Copy)]
pub(super) struct At<'a> {
    pub(super) batch: &'a Batch,
    /// Its index in the batch, and among all rows.
    pub(super) row: usize,
    pub(super) number: u64,
    /// Whom it is about, by candidate for the subject; each record its own subject first.
    pub(super) subjects: &'a [u64],
}

/// A count of cells, and the first of them.
#[derive(Clone, Debug, Default)]
pub(super) struct Tally {
    pub(super) cells: u64,
    first: Option<(u64, Place)>,
}

impl Tally {
    #[inline]
    pub(super) fn see(&mut self, at: At<'_>) {
        self.cells += 1;
        if self.first.is_none() {
            self.first = Some((at.number, at.batch.place(at.row)));
        }
    }

    /// Where the first of them stands.
    pub(super) fn place(&self) -> Option<&Place> {
        self.first.as_ref().map(|first| &first.1)
    }

    /// Both together.
    pub(super) fn and(&self, other: &Tally) -> Tally {
        let first = [&self.first, &other.first].into_iter().flatten().min_by_key(|first| first.0).cloned();
        Tally { cells: self.cells + other.cells, first }
    }
}

/// Whether so few of the cells are odd that they are mistakes: at most 20 or a fiftieth of them, and never more than a tenth.
pub(super) fn are_few(odd: u64, all: u64) -> bool {
    odd == 0 || odd <= (all / 50).max(20) && odd.saturating_mul(10) <= all
}
