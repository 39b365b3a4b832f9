//! Which rows a step visits, in which order (docs/TRAINING.md, section 2).

use serde_json::Value;

use super::{Handle, Setup, derive, draw, int, rows::Record};

/// One visit of one row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Visit {
    pub(super) slice: usize,
    pub(super) row: usize,
    /// As a fraction of 2^32.
    pub(super) progress: u32,
}

const ONE: u128 = 1 << 20;

/// The visits of step r = `prefix.len()`, given the rows of slices 1..=r; `steps` are those of the first batch.
pub(super) fn visits(setup: &Setup, schedule: &Value, shard: u32, steps: u32, prefix: &[&[Record]]) -> Vec<Visit> {
    let kind = schedule["kind"].as_str().unwrap();
    let r = prefix.len();
    let counts: Vec<u128> = prefix.iter().map(|rows| rows.len() as u128).collect();
    let all: u128 = counts.iter().sum();
    let new = counts[r - 1];
    let q = budget(schedule, r as u32, steps);
    // For each group: is it the old one, the slices it has, its visits, its nominal passes.
    let mut groups = Vec::new();
    if kind == "cumulative" {
        groups.push((false, 0..r, q * all / ONE, q));
    } else {
        let later = r as u32 > steps;
        // A step of later batches costs what its own rows do, others what the mean slice so far does.
        let budget = if later { q * new / ONE } else { q * all / (r as u128 * ONE) };
        if all == new {
            groups.push((false, r - 1..r, budget.max(new), q));
        } else {
            let visits = budget.max(new).min(2 * new);
            let passes = q.min(2 * ONE);
            groups.push((false, r - 1..r, visits, passes));
            let replayed = budget.saturating_sub(visits);
            let old_passes = if later { replayed * ONE / (all - new) } else { (q - passes) / (r as u128 - 1) };
            groups.push((true, 0..r - 1, replayed, old_passes.max(1)));
        }
    }
    let mut places: Vec<(u128, bool, Handle, usize, usize)> = Vec::new();
    for (is_old, slices, mut left, passes) in groups {
        let mut pass = 0_u32;
        while left > 0 {
            let step = r as u32;
            let material: [&[u8]; 4] = [&setup.model_key, &shard.to_le_bytes(), &step.to_le_bytes(), &pass.to_le_bytes()];
            let key = derive("sisa 1 visiting order", &material);
            let mut rows: Vec<(u64, Handle, usize, usize)> = Vec::new();
            for slice in slices.clone() {
                for (row, record) in prefix[slice].iter().enumerate() {
                    rows.push((draw(&key, record.record), record.record, slice, row));
                }
            }
            rows.sort();
            for (hash, record, slice, row) in rows {
                if left > 0 {
                    let position = ((u128::from(pass) << 64) + u128::from(hash)) * ONE / passes;
                    places.push((position, is_old, record, slice, row));
                    left -= 1;
                }
            }
            pass += 1;
        }
    }
    places.sort();
    let progress = |position: u128| (position >> 32).min(u128::from(u32::MAX)) as u32;
    places.into_iter().map(|(position, _, _, slice, row)| Visit { slice, row, progress: progress(position) }).collect()
}

/// Visits of step r where every slice has 2^20 rows.
pub(super) fn nominal_cost(schedule: &Value, r: u32, steps: u32) -> u128 {
    let (q, rows) = (budget(schedule, r, steps), 1_u128 << 20);
    match schedule["kind"].as_str().unwrap() {
        "cumulative" => q * u128::from(r) * rows / ONE,
        _ => (q * rows / ONE).max(rows),
    }
}

/// The nominal budget of step r: passes (cumulative) or slice sizes, in units of 1 / ONE.
fn budget(schedule: &Value, r: u32, steps: u32) -> u128 {
    let epochs = u128::from(int(&schedule["epochs"]));
    match schedule["kind"].as_str().unwrap() {
        "cumulative" => 2 * epochs * ONE / u128::from(steps + 1),
        "replay" => epochs * ONE,
        "front" => {
            let (r, of) = (f64::from(r), f64::from(steps));
            (((c(r / of) - c((r - 1.0) / of)) * epochs as f64) * of * ONE as f64).floor() as u128
        }
        other => panic!("schedule {other}"),
    }
}

/// The share of the budget that is spent once a share p of the steps is done.
fn c(p: f64) -> f64 {
    let rest = 1.0 - p;
    let power = rest * rest * rest * rest * rest;
    0.3 * p + 0.7 * (1.0 - power)
}
