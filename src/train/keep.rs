//! Which steps leave a checkpoint (docs/TRAINING.md, section 7).

use serde::{Deserialize, Serialize};

use super::Schedule;

/// Which steps leave a checkpoint. The last one always does: it is what serves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Keep {
    /// Every step.
    All,
    /// The last one and, of those before it, so many as save most of one deletion's cost.
    Best(u32),
}

/// Rows of a slice, where only ratios count.
const NOMINAL_ROWS: u64 = 1 << 20;

impl Keep {
    /// For each of `of` steps whether it leaves a checkpoint. Chosen at nominal sizes, so that no deletion changes the choice.
    pub fn steps(self, schedule: Schedule, of: u32) -> Vec<bool> {
        let last = of.saturating_sub(1);
        match self {
            Keep::Best(count) if count < last => best(schedule, of, count),
            Keep::All | Keep::Best(_) => vec![true; of as usize],
        }
    }
}

/// Row-passes of every step, for slices of [`NOMINAL_ROWS`].
fn nominal_costs(schedule: Schedule, of: u32) -> Vec<u64> {
    let rows = vec![NOMINAL_ROWS; of as usize];
    (1..=of as usize).map(|step| schedule.row_passes(rows.get(..step).unwrap_or_default(), of)).collect()
}

/// A deletion in slice s starts from the deepest kept step before s, and saves what the steps up to that one cost. A set of `count` steps
/// that maximises the sum over s, by dynamic programming over the last kept step; of equally good ones the steps come as early as
/// can be, the last one first.
fn best(schedule: Schedule, of: u32, count: u32) -> Vec<bool> {
    let of = of as usize;
    let mut saved_by = vec![0_u128];
    for cost in nominal_costs(schedule, of as u32) {
        saved_by.push(saved_by.last().copied().unwrap_or(0) + u128::from(cost));
    }
    let gain = |from: usize, to: usize| (to - from) as u128 * saved_by.get(from).copied().unwrap_or(0);
    // For each step as the last of those kept so far: what slices up to it save, and which step is kept before it.
    let mut rounds: Vec<Vec<Option<(u128, usize)>>> = vec![(0..of).map(|k| (k == 0).then_some((0, 0))).collect()];
    for _ in 0..count {
        let Some(before) = rounds.last() else { break };
        let reach = |to: usize| {
            let ways =
                before.iter().enumerate().take(to).filter_map(|(from, found)| Some((found.as_ref()?.0 + gain(from, to), from)));
            ways.reduce(|best, way| if way.0 > best.0 { way } else { best })
        };
        let next = (0..of).map(reach).collect();
        rounds.push(next);
    }
    let ends = rounds.last().into_iter().flatten().enumerate();
    let ends = ends.filter_map(|(k, found)| Some((found.as_ref()?.0 + gain(k, of), k)));
    let mut at = ends.reduce(|best, end| if end.0 > best.0 { end } else { best }).map_or(0, |end| end.1);
    let mut kept = vec![false; of];
    if let Some(last) = kept.last_mut() {
        *last = true;
    }
    for round in rounds.iter().skip(1).rev() {
        if let Some(step) = at.checked_sub(1).and_then(|index| kept.get_mut(index)) {
            *step = true;
        }
        at = round.get(at).copied().flatten().map_or(0, |(_, before)| before);
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::train::ScheduleKind;

    fn schedule(kind: ScheduleKind) -> Schedule {
        Schedule { kind, epochs: if kind == ScheduleKind::Once { 1 } else { 10 } }
    }

    /// What a deletion in a slice drawn evenly saves on average, as a share of all steps' cost.
    fn saving(schedule: Schedule, kept: &[bool]) -> f64 {
        let costs = nominal_costs(schedule, kept.len() as u32);
        let saved = (0..kept.len()).map(|slice| {
            let start = (0..slice).rev().find(|step| kept[*step]).map_or(0, |step| step + 1);
            costs[..start].iter().sum::<u64>() as f64
        });
        saved.sum::<f64>() / kept.len() as f64 / costs.iter().sum::<u64>() as f64
    }

    #[test]
    fn no_other_choice_saves_more() {
        for kind in [ScheduleKind::Cumulative, ScheduleKind::Replay, ScheduleKind::Front, ScheduleKind::Once] {
            for of in 1..=9_u32 {
                for count in 0..of {
                    let kept = Keep::Best(count).steps(schedule(kind), of);
                    assert_eq!(kept.iter().filter(|k| **k).count() as u32, count.min(of - 1) + 1, "{kind:?} {of} {count}");
                    assert!(kept[of as usize - 1]);
                    let best = saving(schedule(kind), &kept);
                    for others in 0..1_u32 << (of - 1) {
                        if others.count_ones() == count {
                            let other: Vec<bool> = (0..of).map(|s| s == of - 1 || others >> s & 1 == 1).collect();
                            assert!(saving(schedule(kind), &other) <= best + 1e-12, "{kind:?} R={of} keep={count}: {other:?}");
                        }
                    }
                }
            }
        }
    }

    #[test]
    fn three_of_49_keep_most_of_what_slicing_saves() {
        let replay = schedule(ScheduleKind::Replay);
        let (three, all) = (Keep::Best(3).steps(replay, 50), Keep::All.steps(replay, 50));
        let share = saving(replay, &three) / saving(replay, &all);
        assert!((0.70..0.80).contains(&share), "{share}");
        // With a constant cost a step, evenly spaced ones are best.
        let steps: Vec<usize> = (1..=50).filter(|step| three[step - 1]).collect();
        assert_eq!(steps, [12, 24, 37, 50]);
    }

    #[test]
    fn the_file_says_all_or_how_many() {
        assert_eq!(serde_json::to_string(&Keep::All).unwrap(), r#""all""#);
        assert_eq!(serde_json::to_string(&Keep::Best(3)).unwrap(), r#"{"best":3}"#);
    }
}
