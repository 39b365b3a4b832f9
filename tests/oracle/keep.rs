//! Which steps leave a checkpoint (docs/TRAINING.md, section 7), by trying every choice.

use serde_json::Value;

use super::{int, order};

/// For each of `steps` steps whether it leaves a checkpoint.
pub(super) fn steps(keep: &Value, schedule: &Value, steps: u32) -> Vec<bool> {
    let of = steps as usize;
    let Some(count) = keep.get("best").map(int).filter(|count| (*count as usize) < of - 1) else {
        assert!(keep == "all" || keep.get("best").is_some(), "keep {keep}");
        return vec![true; of];
    };
    assert!(of <= 16, "every choice is tried");
    let costs: Vec<u128> = (1..=steps).map(|r| order::nominal_cost(schedule, r, steps)).collect();
    let choices = (0..1_u32 << (of - 1)).filter(|mask| mask.count_ones() == count);
    // What all slices together save, and the chosen steps from the last to the first.
    let rated = choices.map(|mask| {
        let chosen: Vec<usize> = (1..of).filter(|step| mask >> (step - 1) & 1 == 1).collect();
        let saved: u128 = (1..=of)
            .map(|slice| {
                let start = chosen.iter().copied().filter(|step| *step < slice).max().unwrap_or(0);
                costs[..start].iter().sum::<u128>()
            })
            .sum();
        (saved, chosen.into_iter().rev().collect::<Vec<_>>())
    });
    let best = rated.reduce(|a, b| if b.0 > a.0 || (b.0 == a.0 && b.1 < a.1) { b } else { a }).unwrap();
    (1..=of).map(|step| step == of || best.1.contains(&step)).collect()
}
