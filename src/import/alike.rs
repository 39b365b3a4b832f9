//! Ids that may be meant to be the same as others, counted while rows are read.
//!
//! A person who is written in two ways has two handles, and a deletion of one leaves the other. So ids are also hashed without what
//! people do not see in them, and those that then are the same are counted. It is a sample where there are many: those whose hashes are
//! smallest, so that what is counted does not depend on the order of the rows. Only handles are held, and nothing is written.

use std::{
    collections::BTreeMap,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use crate::{ids::Handle, schema::Likeness};

/// Ids that are told apart exactly; more, and the counts are estimates.
const IDS_MAX: usize = 1 << 16;
/// Ids that a thread remembers to have seen.
const SEEN: usize = 1 << 12;

/// How many ids look like others.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AlikeIds {
    /// Ids that are whole numbers with `.0`.
    pub point_zero: u64,
    /// Ids that another one differs from in one thing alone, in the order of [`Likeness::ALL`].
    pub differ: [u64; 5],
    /// Whether there were too many ids to count all.
    pub estimated: bool,
}

impl AlikeIds {
    /// What differs, where something does, with its count.
    pub fn kinds(&self) -> impl Iterator<Item = (Likeness, u64)> {
        Likeness::ALL.into_iter().zip(self.differ).filter(|(_, ids)| *ids > 0)
    }
}

/// An id: hashed without what is not seen, as it is, and what was passed over.
pub(super) type Seen = (Handle, Handle, u8);

/// The ids so far.
#[derive(Debug)]
pub(super) struct Alike {
    /// No larger hash can matter.
    bound: AtomicU64,
    /// By the first hash, the others and what was passed over in each.
    ids: Mutex<BTreeMap<Handle, Vec<(Handle, u8)>>>,
}

impl Default for Alike {
    fn default() -> Alike {
        Alike { bound: AtomicU64::new(u64::MAX), ids: Mutex::default() }
    }
}

/// The ids of some rows on their way there.
#[derive(Debug, Default)]
pub(super) struct Ids {
    seen: Vec<Seen>,
    /// The halves of handles that were noted before, each at its place.
    before: Vec<u64>,
}

fn half(handle: Handle) -> u64 {
    let [a, b, c, d, e, f, g, h, ..] = handle.0;
    u64::from_be_bytes([a, b, c, d, e, f, g, h])
}

impl Ids {
    /// Notes an id that is text, if it was not noted just before; only then it is hashed once more.
    pub(super) fn note(&mut self, handle: Handle, folded: impl FnOnce() -> Option<(Handle, u8)>) {
        self.before.resize(SEEN, 0);
        let half = half(handle);
        if let Some(before) = self.before.get_mut(half as usize % SEEN)
            && *before != half
        {
            *before = half;
            self.seen.extend(folded().map(|(folded, passed)| (folded, handle, passed)));
        }
    }
}

impl Alike {
    /// Takes what a thread noted.
    pub(super) fn gather(&self, noted: &mut Ids) {
        let bound = self.bound.load(Ordering::Relaxed);
        noted.seen.retain(|(folded, ..)| half(*folded) <= bound);
        if noted.seen.is_empty() {
            return;
        }
        let mut ids = self.ids.lock().unwrap_or_else(PoisonError::into_inner);
        for (folded, handle, passed) in noted.seen.drain(..) {
            let alike = ids.entry(folded).or_default();
            if !alike.iter().any(|(known, _)| *known == handle) {
                alike.push((handle, passed));
            }
            if ids.len() > IDS_MAX {
                ids.pop_last();
                self.bound.store(ids.last_key_value().map_or(0, |(last, _)| half(*last)), Ordering::Relaxed);
            }
        }
    }

    /// How many look like others.
    pub(super) fn count(&self) -> AlikeIds {
        let ids = self.ids.lock().unwrap_or_else(PoisonError::into_inner);
        let mut found = AlikeIds::default();
        for alike in ids.values() {
            found.point_zero += alike.iter().filter(|(_, passed)| passed & 1 == 1).count() as u64;
            let passed = alike.iter().fold(0, |all, (_, passed)| all | passed);
            let which = found.differ.get_mut(passed.trailing_zeros() as usize);
            if let (Some(count), true) = (which, alike.len() > 1) {
                *count += alike.len() as u64 - 1;
            }
        }
        let bound = self.bound.load(Ordering::Relaxed);
        if bound < u64::MAX {
            found.estimated = true;
            let share = u128::from(bound.max(1));
            let scale = |count: &mut u64| *count = u64::try_from((u128::from(*count) << 64) / share).unwrap_or(u64::MAX);
            std::iter::once(&mut found.point_zero).chain(&mut found.differ).for_each(scale);
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn handle(number: u64) -> Handle {
        let mut handle = [0; 16];
        handle[..8].copy_from_slice(&number.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_be_bytes());
        Handle(handle)
    }

    #[test]
    fn ids_are_counted_once_whatever_their_order() {
        let counted = |rows: &mut dyn Iterator<Item = u64>| {
            let (alike, mut noted) = (Alike::default(), Ids::default());
            for row in rows {
                // Every third id is another one in upper case, and every fifth one of them has a point besides.
                let (id, other) = (row / 2, row % 2 == 1 && row / 2 % 3 == 0);
                let passed = if other { 2 | u8::from(id % 5 == 0) } else { 0 };
                noted.note(handle(id + 1 + u64::from(other) * 1_000_000), || Some((handle(id + 1), passed)));
                alike.gather(&mut noted);
            }
            alike.count()
        };
        let found = counted(&mut (0..600).chain(0..600));
        assert_eq!((found.point_zero, found.differ, found.estimated), (20, [20, 80, 0, 0, 0], false));
        assert_eq!(counted(&mut (0..600).rev()), found);
        let many = counted(&mut (0..400_000));
        assert!(many.estimated);
        let near = |found: u64, expected: f64| (found as f64 / expected - 1.0).abs() < 0.05;
        assert!(near(many.differ[1], 200_000.0 / 3.0 * 0.8) && near(many.point_zero, 200_000.0 / 15.0), "{many:?}");
    }
}
