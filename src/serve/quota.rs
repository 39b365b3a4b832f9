//! How many deletions a key may ask for: so many in a minute and so many in a day, each replenished steadily. What is over is refused before
//! anything is kept, and never after.

use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
};

use sisa::engine::Stopwatch;

use super::day::DAY;

const MINUTE: f64 = 60.0;

/// What a key has left, as of a time.
#[derive(Clone, Copy, Debug)]
struct Left {
    minute: f64,
    day: f64,
    at: f64,
}

/// What all keys have left.
#[derive(Debug)]
pub(super) struct Quota {
    clock: Stopwatch,
    left: Mutex<BTreeMap<String, Left>>,
}

impl Default for Quota {
    fn default() -> Quota {
        Quota { clock: Stopwatch::start(), left: Mutex::default() }
    }
}

impl Quota {
    /// Takes one; if there is none left, tells in how many seconds there is.
    pub(super) fn take(&self, key: &str, (a_minute, a_day): (u32, u32)) -> Result<(), u32> {
        let now = self.clock.seconds();
        let mut all = self.left.lock().unwrap_or_else(PoisonError::into_inner);
        let left = all.entry(key.to_owned()).or_insert(Left { minute: a_minute.into(), day: a_day.into(), at: now });
        *left = replenished(*left, (a_minute, a_day), now);
        let waits = |left: f64, most: u32, span: f64| (1.0 - left).max(0.0) * span / f64::from(most);
        let wait = waits(left.minute, a_minute, MINUTE).max(waits(left.day, a_day, DAY));
        if wait > 0.0 {
            return Err(wait.ceil() as u32);
        }
        (left.minute, left.day) = (left.minute - 1.0, left.day - 1.0);
        Ok(())
    }
}

fn replenished(left: Left, (a_minute, a_day): (u32, u32), now: f64) -> Left {
    let gone = (now - left.at).max(0.0);
    let full = |left: f64, most: u32, span: f64| (left + gone * f64::from(most) / span).min(most.into());
    Left { minute: full(left.minute, a_minute, MINUTE), day: full(left.day, a_day, DAY), at: now }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_used_up_comes_back_steadily_and_each_key_has_its_own() {
        let quota = Quota::default();
        for _ in 0..3 {
            quota.take("a", (3, 100)).unwrap();
        }
        assert!((19..=20).contains(&quota.take("a", (3, 100)).unwrap_err()), "one comes back in 20 seconds");
        quota.take("b", (3, 100)).unwrap();
        let left = replenished(Left { minute: 0.0, day: 0.0, at: 10.0 }, (3, 100), 30.0);
        assert!((left.minute - 1.0).abs() < 1e-9 && left.day < 0.03);
        assert_eq!(replenished(left, (3, 100), 1e9).minute, 3.0);
        let day = Quota::default();
        (0..2).for_each(|_| day.take("a", (1_000, 2)).unwrap());
        assert!(day.take("a", (1_000, 2)).unwrap_err() > 43_000);
    }
}
