//! What deletions cost in row-passes, before anything is trained: slices of equal size, requests that fall on any cell alike.

use rand_core::RngCore;

use crate::{
    num::stream,
    train::{Keep, Schedule, ScheduleKind},
};

/// The costs of one way to cut and train some records.
#[derive(Clone, Debug)]
pub struct CostModel {
    shards: u32,
    /// Row-passes of every step of one shard.
    steps: Vec<f64>,
    /// For each step the next one, itself included, that leaves a checkpoint: the step is trained again when that checkpoint is tainted.
    next_kept: Vec<usize>,
    /// Whether tainted steps are trained again. Rows are taken out of states that are trained `once`, without training.
    trained_again: bool,
}

/// Costs as much, but for the last percent, which is approached and never reached.
const AS_MUCH: f64 = 0.99;
/// Rows of a slice when costs are counted: large, so that rounding to whole rows does not show.
const COUNTED_ROWS: u64 = 1 << 20;

impl CostModel {
    /// The costs of `records` records in `shards` shards of `slices` slices.
    pub fn new(records: f64, shards: u32, slices: u32, schedule: Schedule, keep: Keep) -> CostModel {
        let (shards, slices) = (shards.max(1), slices.max(1));
        let rows = vec![COUNTED_ROWS; slices as usize];
        let scale = records / f64::from(shards) / f64::from(slices) / COUNTED_ROWS as f64;
        let cost = |step: usize| schedule.row_passes(rows.get(..step).unwrap_or_default(), slices) as f64 * scale;
        let kept = keep.steps(schedule, slices);
        let next = |step: usize| kept.iter().enumerate().skip(step).find(|(_, k)| **k).map_or(step, |(at, _)| at);
        CostModel {
            shards,
            steps: (1..=slices as usize).map(cost).collect(),
            next_kept: (0..slices as usize).map(next).collect(),
            trained_again: schedule.kind != ScheduleKind::Once,
        }
    }

    /// Row-passes of training all constituents from nothing.
    pub fn full(&self) -> f64 {
        f64::from(self.shards) * total(self.steps.iter().copied())
    }

    /// Expected row-passes of repairing `requests` requests together:
    /// `S sum_r c(r) (1 - (1 - k(r) / (S R))^K)`, with c(r) the cost of step r and k(r) the next kept step. For `cumulative` and all
    /// steps kept this is the cost of the paper's batches (Bourtoule et al. 2021, section VI).
    pub fn expected(&self, requests: u64) -> f64 {
        if !self.trained_again {
            return 0.0;
        }
        let cells = f64::from(self.shards) * self.steps.len() as f64;
        let again = self.steps.iter().zip(&self.next_kept).map(|(cost, next)| {
            let spared = power(1.0 - (*next as f64 + 1.0) / cells, requests);
            cost * (1.0 - spared)
        });
        f64::from(self.shards) * total(again)
    }

    /// Row-passes that a share of all batches of `requests` requests stays below, from `draws` simulated batches (always the same ones).
    pub fn quantile(&self, requests: u64, share: f64, draws: usize) -> f64 {
        let mut costs = self.simulate(requests, draws);
        costs.sort_by(f64::total_cmp);
        let at = (share * costs.len() as f64).ceil() as usize;
        costs.get(at.saturating_sub(1)).copied().unwrap_or(0.0)
    }

    /// The row-passes of `draws` batches, each request in a cell of its own drawing.
    pub fn simulate(&self, requests: u64, draws: usize) -> Vec<f64> {
        let slices = self.steps.len();
        // What a shard costs whose first hit slice is s.
        let from = |slice: usize| {
            let again = self.steps.iter().zip(&self.next_kept).filter(|(_, next)| **next >= slice);
            total(again.map(|(cost, _)| *cost))
        };
        let from: Vec<f64> = if self.trained_again { (0..slices).map(from).collect() } else { Vec::new() };
        let mut random = stream::stream([0x70; 32]);
        let mut batch = || {
            let mut first = vec![usize::MAX; self.shards as usize];
            for _ in 0..requests {
                let cell = random.next_u64() % (u64::from(self.shards) * slices as u64);
                if let Some(hit) = first.get_mut((cell / slices as u64) as usize) {
                    *hit = (*hit).min((cell % slices as u64) as usize);
                }
            }
            total(first.iter().filter_map(|slice| from.get(*slice).copied()))
        };
        (0..draws).map(|_| batch()).collect()
    }

    /// The least number of requests whose joint repair is expected to cost as much as `other` row-passes, but for a percent; `None` when no
    /// number does.
    pub fn break_even(&self, other: f64) -> Option<u64> {
        let other = other * AS_MUCH;
        if !self.trained_again || self.full() < other {
            return None;
        }
        let (mut low, mut high) = (0_u64, 1_u64);
        while self.expected(high) < other {
            low = high;
            high = high.checked_mul(2).filter(|h| *h < 1 << 40)?;
        }
        while high - low > 1 {
            let middle = low + (high - low) / 2;
            if self.expected(middle) < other { low = middle } else { high = middle }
        }
        Some(high)
    }
}

/// A sum in order; these figures are shown to people and reach no state.
fn total(terms: impl Iterator<Item = f64>) -> f64 {
    let mut sum = 0.0;
    terms.for_each(|term| sum += term);
    sum
}

/// `base` to a whole power, by squaring.
fn power(base: f64, mut exponent: u64) -> f64 {
    let (mut result, mut square) = (1.0, base);
    while exponent > 0 {
        if exponent & 1 == 1 {
            result *= square;
        }
        square *= square;
        exponent >>= 1;
    }
    result
}

#[cfg(test)]
mod tests {
    use super::*;

    fn schedule(kind: ScheduleKind, epochs: u32) -> Schedule {
        Schedule { kind, epochs }
    }

    #[test]
    fn cumulative_is_the_papers_closed_form() {
        let (n, s, r, e) = (1e6, 20_u32, 50_u32, 51_u32);
        let model = CostModel::new(n, s, r, schedule(ScheduleKind::Cumulative, e), Keep::All);
        for k in [1, 8, 18, 39, 1000] {
            let (s, r, e) = (f64::from(s), f64::from(r), f64::from(e));
            let step = |i: f64| (1.0 - power(1.0 - i / (s * r), k as u64)) * 2.0 * e * (n / s) * i / (r * (r + 1.0));
            let formula = s * (1..=50).map(|i| step(f64::from(i))).sum::<f64>();
            let got = model.expected(k as u64);
            assert!((got / formula - 1.0).abs() < 1e-4, "K={k}: {got} and {formula}");
        }
        // Over retraining one model on everything: 4.23, 2.24 and 1.42 times.
        let full = n * f64::from(e);
        let times = [8, 18, 39].map(|k| (100.0 * full / model.expected(k)).round() / 100.0);
        assert_eq!(times, [4.23, 2.24, 1.42]);
    }

    #[test]
    fn the_closed_form_is_the_mean_of_simulated_batches() {
        for kind in [ScheduleKind::Cumulative, ScheduleKind::Replay, ScheduleKind::Front, ScheduleKind::Once] {
            for keep in [Keep::All, Keep::Best(0), Keep::Best(3)] {
                for requests in [1, 5, 40] {
                    let model = CostModel::new(5e4, 8, 12, schedule(kind, 10), keep);
                    let costs = model.simulate(requests, 4000);
                    let mean = costs.iter().sum::<f64>() / costs.len() as f64;
                    let variance = costs.iter().map(|c| (c - mean) * (c - mean)).sum::<f64>() / costs.len() as f64;
                    let error = (variance / costs.len() as f64).sqrt().max(1e-9 * mean);
                    let expected = model.expected(requests);
                    assert!((mean - expected).abs() <= 4.0 * error, "{kind:?} {keep:?} K={requests}: {mean} and {expected}");
                    let p95 = model.quantile(requests, 0.95, 4000);
                    let below = costs.iter().filter(|c| **c <= p95).count();
                    assert!(p95 >= mean * 0.9 && below >= 3800 && p95 <= model.full() * (1.0 + 1e-9));
                }
            }
        }
    }

    #[test]
    fn one_uniform_deletion_costs_what_the_table_says() {
        // Shares of a shard's training: 2/3 + 1/(3R) and 1/2 + 1/(2R).
        for r in [1_u32, 5, 50] {
            let share = |kind| {
                let model = CostModel::new(1e6, 10, r, schedule(kind, 2 * (r + 1)), Keep::All);
                model.expected(1) / model.full() * 10.0
            };
            let of = f64::from(r);
            assert!((share(ScheduleKind::Cumulative) - (2.0 / 3.0 + 1.0 / (3.0 * of))).abs() < 1e-3);
            assert!((share(ScheduleKind::Replay) - (0.5 + 0.5 / of)).abs() < 1e-3);
        }
    }

    #[test]
    fn break_even_is_where_the_costs_meet() {
        let model = CostModel::new(1e6, 20, 50, schedule(ScheduleKind::Cumulative, 51), Keep::All);
        let k = model.break_even(model.full() * 0.5).unwrap();
        let half = model.full() * 0.5 * AS_MUCH;
        assert!(model.expected(k) >= half && model.expected(k - 1) < half);
        assert_eq!(model.break_even(model.full() * 1.02), None);
    }
}
