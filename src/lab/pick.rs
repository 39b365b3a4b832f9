//! Whom the requests are about.

use rand_core::RngCore;

use crate::{ids::Handle, num::stream};

/// How subjects are drawn.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Pick {
    /// All alike.
    #[default]
    Uniform,
    /// The k-th subject, in an order that means nothing, with weight 1 / k.
    Zipf,
    /// By the value of a number or byte column, from its least value on: the larger, the likelier.
    Risk(String),
}

/// Subjects that can be drawn.
#[derive(Clone, Debug)]
pub(super) struct Subjects {
    handles: Vec<Handle>,
    /// Running totals of their weights.
    totals: Vec<f64>,
}

impl Subjects {
    pub(super) fn new(weighted: Vec<(Handle, f64)>) -> Subjects {
        let mut total = 0.0;
        let mut subjects = Subjects { handles: Vec::new(), totals: Vec::new() };
        for (handle, weight) in weighted.into_iter().filter(|w| w.1 > 0.0) {
            total += weight;
            subjects.handles.push(handle);
            subjects.totals.push(total);
        }
        subjects
    }

    /// How many there are.
    pub(super) fn count(&self) -> u64 {
        self.handles.len() as u64
    }

    /// `count` different subjects, or all there are; the same for the same trial.
    pub(super) fn draw(&self, count: u64, trial: u32) -> Vec<Handle> {
        let mut seed = [0x62; 32];
        seed.iter_mut().zip(trial.to_le_bytes().into_iter().chain(count.to_le_bytes())).for_each(|(to, from)| *to = from);
        let mut random = stream::stream(seed);
        let Some(total) = self.totals.last() else { return Vec::new() };
        let mut drawn = std::collections::BTreeSet::new();
        let mut taken = vec![false; self.handles.len()];
        while (drawn.len() as u64) < count.min(self.handles.len() as u64) {
            let point = random.next_u64() as f64 / u64::MAX as f64 * total;
            let mut at = self.totals.partition_point(|t| *t < point).min(self.handles.len() - 1);
            // Whoever was drawn already passes it on, so that the last ones are found too.
            while taken.get(at).copied().unwrap_or(false) {
                at = (at + 1) % self.handles.len();
            }
            if let (Some(taken), Some(handle)) = (taken.get_mut(at), self.handles.get(at)) {
                *taken = true;
                drawn.insert(*handle);
            }
        }
        drawn.into_iter().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn draws_are_different_subjects_and_follow_the_weights() {
        let handle = |i: u8| Handle([i; 16]);
        let subjects = Subjects::new((0..10).map(|i| (handle(i), if i == 3 { 91.0 } else { 1.0 })).collect());
        assert_eq!(subjects.draw(10, 0).len(), 10);
        assert_eq!(subjects.draw(99, 0).len(), 10);
        let hits = (0..200).filter(|trial| subjects.draw(1, *trial) == [handle(3)]).count();
        assert!((165..=195).contains(&hits), "{hits}");
        assert_eq!(subjects.draw(4, 7), subjects.draw(4, 7));
        assert!(Subjects::new(Vec::new()).draw(3, 0).is_empty());
    }
}
