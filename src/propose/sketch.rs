//! Small summaries of many cells. Each is a function of the set of what it saw, never of the order.

use std::collections::{BTreeMap, BTreeSet};

use crate::digest::Digest;

/// A value is written down only if at least this many subjects share it.
pub(super) const SHARED_MIN: usize = 10;

/// 64 bits of a digest: collisions can be left out of account for what is only proposed.
pub(super) fn hash(bytes: &[u8]) -> u64 {
    let [a, b, c, d, e, f, g, h, ..] = Digest::of(bytes).0;
    u64::from_le_bytes([a, b, c, d, e, f, g, h])
}

/// Counts distinct hashes by the smallest of them (Bar-Yossef et al. 2002, algorithm 2): exact below `limit`, with a
/// relative error of 1 / sqrt(limit) above it.
#[derive(Clone, Debug)]
pub(super) struct Distinct {
    smallest: BTreeSet<u64>,
    limit: usize,
    /// No hash above it can matter.
    bound: u64,
}

impl Distinct {
    pub(super) fn new(limit: usize) -> Distinct {
        Distinct { smallest: BTreeSet::new(), limit, bound: u64::MAX }
    }

    #[inline]
    pub(super) fn insert(&mut self, hash: u64) {
        if hash <= self.bound && self.smallest.insert(hash) && self.smallest.len() > self.limit {
            self.smallest.pop_last();
            self.bound = self.smallest.last().copied().unwrap_or(0);
        }
    }

    pub(super) fn count(&self) -> u64 {
        let kept = self.smallest.len() as u64;
        if self.bound == u64::MAX {
            return kept;
        }
        let estimate = (u128::from(kept - 1) << 64) / u128::from(self.bound.max(1));
        u64::try_from(estimate).unwrap_or(u64::MAX)
    }
}

/// Distinct subjects, up to as many as make a value shared.
#[derive(Clone, Debug, Default)]
pub(super) struct Few(Vec<u64>);

impl Few {
    #[inline]
    pub(super) fn insert(&mut self, subject: u64) {
        if self.0.len() < SHARED_MIN && !self.0.contains(&subject) {
            self.0.push(subject);
        }
    }

    pub(super) fn is_shared(&self) -> bool {
        self.0.len() >= SHARED_MIN
    }

    /// All subjects, as long as they are not shared.
    pub(super) fn subjects(&self) -> impl Iterator<Item = u64> {
        self.0.iter().copied()
    }
}

/// The largest number that at least [`SHARED_MIN`] subjects reach.
#[derive(Clone, Debug, Default)]
pub(super) struct Reached {
    /// The subjects with the largest numbers, and the largest of each.
    top: Vec<(f64, u64)>,
}

impl Reached {
    #[inline]
    pub(super) fn insert(&mut self, number: f64, subject: u64) {
        if self.get().is_some_and(|least| number <= least) {
            return;
        }
        match self.top.iter().position(|entry| entry.1 == subject) {
            Some(at) if self.top.get(at).is_some_and(|entry| entry.0 >= number) => return,
            Some(at) => drop(self.top.remove(at)),
            None => {}
        }
        // Descending, so that the last entry is what enough subjects reach.
        let at = self.top.partition_point(|entry| entry.0.total_cmp(&number).is_ge());
        self.top.insert(at, (number, subject));
        self.top.truncate(SHARED_MIN);
    }

    /// Takes in what another one saw.
    pub(super) fn take_in(&mut self, other: &Reached) {
        other.top.iter().for_each(|(number, subject)| self.insert(*number, *subject));
    }

    #[inline]
    pub(super) fn get(&self) -> Option<f64> {
        if self.top.len() < SHARED_MIN { None } else { self.top.last().map(|entry| entry.0) }
    }
}

/// How many numbers, none of them negative, are how large: four classes to a power of two.
#[derive(Clone, Debug, Default)]
pub(super) struct Magnitudes(BTreeMap<u16, u64>);

impl Magnitudes {
    #[inline]
    pub(super) fn insert(&mut self, number: f64) {
        let class = ((number as f32).to_bits() >> 21) as u16;
        *self.0.entry(class).or_default() += 1;
    }

    fn middle(class: u16) -> f64 {
        if class == 0 { 0.0 } else { f64::from(f32::from_bits(u32::from(class) << 21 | 1 << 20)) }
    }

    /// The median, good to an eighth.
    pub(super) fn median(&self) -> f64 {
        let count: u64 = self.0.values().sum();
        let mut below = 0;
        let at = self.0.iter().find(|(_, n)| {
            below += **n;
            2 * below >= count
        });
        at.map_or(0.0, |(&class, _)| Magnitudes::middle(class))
    }

    /// The mean, good to an eighth.
    pub(super) fn mean(&self) -> f64 {
        let (mut total, mut count) = (0.0, 0.0);
        // Ascending, so one order of additions whatever the order of rows.
        for (&class, &n) in &self.0 {
            total += Magnitudes::middle(class) * n as f64;
            count += n as f64;
        }
        if count > 0.0 { total / count } else { 0.0 }
    }
}

/// Whether every row has another key.
#[derive(Clone, Debug)]
pub(super) struct Unique {
    seen: BTreeSet<u64>,
    repeats: bool,
}

/// More rows than this are not checked for repeated ids: the check holds a hash of each.
pub(super) const UNIQUE_ROWS_MAX: u64 = 2_000_000;

impl Unique {
    pub(super) fn new() -> Unique {
        Unique { seen: BTreeSet::new(), repeats: false }
    }

    /// Takes the key of row `row`, from 0.
    #[inline]
    pub(super) fn insert(&mut self, row: u64, key: u64) {
        if self.repeats {
            return;
        }
        if row >= UNIQUE_ROWS_MAX || !self.seen.insert(key) {
            self.repeats = true;
            self.seen = BTreeSet::new();
        }
    }

    /// Whether all `rows` rows were told apart; false where there were too many to know.
    pub(super) fn holds(&self) -> bool {
        !self.repeats
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distinct_is_exact_then_near_and_blind_to_order() {
        let count = |range: &mut dyn Iterator<Item = u64>| {
            let mut distinct = Distinct::new(1024);
            range.for_each(|i| distinct.insert(hash(&i.to_le_bytes())));
            distinct.count()
        };
        assert_eq!(count(&mut (0..1024).chain(0..1024)), 1024);
        let many = count(&mut (0..100_000));
        assert_eq!(many, count(&mut (0..100_000).rev().chain(5..9)));
        // Four standard errors of 1 / sqrt(1024).
        assert!((87_500..112_500).contains(&many), "{many}");
    }

    #[test]
    fn reached_needs_ten_subjects_and_takes_the_largest_of_each() {
        let mut reached = Reached::default();
        for round in 0..3 {
            for subject in 0..9 {
                reached.insert(100.0 + f64::from(round), subject);
            }
        }
        assert_eq!(reached.get(), None);
        reached.insert(1.0, 9);
        assert_eq!(reached.get(), Some(1.0));
        reached.insert(7.0, 9);
        reached.insert(5.0, 10);
        assert_eq!(reached.get(), Some(7.0));
        reached.insert(1000.0, 10);
        assert_eq!(reached.get(), Some(102.0));
    }

    #[test]
    fn mean_and_median_of_magnitudes_are_near() {
        let mut magnitudes = Magnitudes::default();
        (0..1000).for_each(|i| magnitudes.insert(f64::from(i % 100)));
        // Both are 49.5; a class is at most an eighth away from its middle.
        assert!((magnitudes.median() - 49.5).abs() < 49.5 / 8.0, "{}", magnitudes.median());
        assert!((magnitudes.mean() - 49.5).abs() < 49.5 / 8.0, "{}", magnitudes.mean());
    }

    #[test]
    fn a_repeat_ends_uniqueness() {
        let mut unique = Unique::new();
        (0..100).for_each(|i| unique.insert(i, i * 3));
        assert!(unique.holds());
        unique.insert(100, 33);
        assert!(!unique.holds());
    }
}
