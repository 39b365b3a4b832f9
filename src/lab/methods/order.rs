//! The order in which rows are visited, and batches without end.

use crate::{
    digest::{Digest, ModelKey},
    ids::{Handle, ShardId, SliceId},
    num::stream::{self, Stream},
};

/// Orders and draws of one model: from draws for each record, so that a record more or less moves no other.
#[derive(Clone, Debug)]
pub struct Orders {
    key: ModelKey,
}

/// A set of rows whose orders are apart from those of others.
#[derive(Clone, Copy, Debug)]
pub(super) enum Of {
    Retain,
    Forget,
    Both,
}

impl Orders {
    /// Those of a seed.
    pub fn new(seed: [u8; 32]) -> Orders {
        Orders { key: ModelKey::from_bytes(seed) }
    }

    /// The rows in the order of a pass.
    pub(super) fn pass(&self, of: Of, pass: u32, rows: &[u32], records: &[Handle]) -> Vec<u32> {
        let draw = self.key.pass(ShardId(of as u32), SliceId(1), pass);
        let drawn = rows.iter().filter_map(|row| records.get(*row as usize).map(|record| (draw.of(*record), *record, *row)));
        let mut drawn: Vec<_> = drawn.collect();
        drawn.sort_unstable();
        drawn.into_iter().map(|(_, _, row)| row).collect()
    }

    /// A stream for other draws.
    pub(super) fn stream(&self, purpose: &str) -> Stream {
        stream::stream(Digest::derive("sisa 1 compare draw", &[self.key.bytes(), purpose.as_bytes()]).0)
    }
}

/// Batches of the forget rows, pass after pass.
pub(super) struct Cycle<'a> {
    orders: &'a Orders,
    rows: &'a [u32],
    records: &'a [Handle],
    batch: usize,
    order: Vec<u32>,
    at: usize,
    pass: u32,
}

impl<'a> Cycle<'a> {
    pub(super) fn new(orders: &'a Orders, rows: &'a [u32], records: &'a [Handle], batch: usize) -> Cycle<'a> {
        Cycle { orders, rows, records, batch: batch.max(1), order: Vec::new(), at: 0, pass: 0 }
    }

    /// The next batch; the last one of a pass may be short, and without rows all are empty.
    pub(super) fn batch(&mut self) -> &[u32] {
        if self.at >= self.order.len() {
            self.order = self.orders.pass(Of::Forget, self.pass, self.rows, self.records);
            (self.at, self.pass) = (0, self.pass + 1);
        }
        let from = self.at;
        self.at = (from + self.batch).min(self.order.len());
        self.order.get(from..self.at).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn taking_a_row_away_moves_no_other_and_passes_differ() {
        let records: Vec<Handle> = (0..50).map(|i| Handle([i; 16])).collect();
        let orders = Orders::new([1; 32]);
        let rows: Vec<u32> = (0..50).collect();
        let whole = orders.pass(Of::Retain, 0, &rows, &records);
        let fewer: Vec<u32> = rows.iter().copied().filter(|r| *r != 17).collect();
        let expected: Vec<u32> = whole.iter().copied().filter(|r| *r != 17).collect();
        assert_eq!(orders.pass(Of::Retain, 0, &fewer, &records), expected);
        assert_ne!(orders.pass(Of::Retain, 1, &rows, &records), whole);
        assert_ne!(orders.pass(Of::Forget, 0, &rows, &records), whole);
    }

    #[test]
    fn a_cycle_visits_every_row_once_a_pass() {
        let records: Vec<Handle> = (0..10).map(|i| Handle([i; 16])).collect();
        let (orders, rows) = (Orders::new([1; 32]), (0..10).collect::<Vec<u32>>());
        let mut cycle = Cycle::new(&orders, &rows, &records, 4);
        for _ in 0..3 {
            let mut seen: Vec<u32> = (0..3).flat_map(|_| cycle.batch().to_vec()).collect();
            seen.sort_unstable();
            assert_eq!(seen, rows);
        }
        assert!(Cycle::new(&orders, &[], &records, 4).batch().is_empty());
    }
}
