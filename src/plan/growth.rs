//! What batches of records that come later will cost.

use crate::{
    ids::{Part, SliceId},
    order::{Batches, Chain, Later},
    train::Schedule,
};

/// Batches that are expected.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Arrivals {
    /// How many.
    pub batches: u32,
    /// What each brings, as a share of the records of the import.
    pub share: f64,
    /// How many last slices of one size become one.
    pub merge: u32,
}

/// What they cost. Units are trainings of everything as it was imported.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Growth {
    /// What was asked.
    pub arrivals: Arrivals,
    /// Training on all batches as they come.
    pub all: f64,
    /// The dearest of them.
    pub worst: f64,
    /// Slices of a shard once all are there.
    pub slices: u32,
    /// What repairing a deletion costs, on average over all records, of training its shard anew: before the first batch.
    pub deletion_before: f64,
    /// The same once all are there.
    pub deletion_after: f64,
    /// Training everything anew with every batch, instead.
    pub anew: f64,
    /// The first batch with which all of them together cost more than training everything anew once then; `None` if there is none.
    pub anew_pays: Option<u32>,
}

/// Rows of a slice of the import, where only ratios count.
const NOMINAL_ROWS: f64 = 1_048_576.0;

/// What batches cost under a schedule that has steps for them, with R slices.
pub fn growth(schedule: Schedule, slices: u32, arrivals: Arrivals) -> Growth {
    let base = f64::from(slices) * NOMINAL_ROWS;
    let of_batches = |batches: Batches| f64::from(batches.last - batches.first + 1) * arrivals.share * base;
    let rows_of = |chain: &Chain| -> Vec<u64> {
        let of = |step| chain.batches(Part::Slice(SliceId(step))).map_or(NOMINAL_ROWS, of_batches);
        (1..=chain.steps()).map(|step| of(step).round() as u64).collect()
    };
    let costs_of = |rows: &[u64]| -> Vec<f64> {
        let cost = |step: usize| schedule.row_passes(rows.get(..step).unwrap_or_default(), slices) as f64;
        (1..=rows.len()).map(cost).collect()
    };
    let mut chain = Chain::new(slices);
    let unit: f64 = costs_of(&rows_of(&chain)).iter().sum::<f64>().max(1.0);
    let deletion_before = deletion(&rows_of(&chain), &costs_of(&rows_of(&chain)));
    let (mut all, mut worst, mut anew, mut anew_pays) = (0.0, 0.0_f64, 0.0, None);
    for batch in 1..=arrivals.batches {
        let next = Chain::of(slices, batch + 1, Later::Merge(arrivals.merge));
        let same = chain.later().iter().zip(next.later()).take_while(|(a, b)| a == b).count();
        let costs = costs_of(&rows_of(&next));
        let cost = costs.iter().skip(slices as usize + same).sum::<f64>() / unit;
        all += cost;
        worst = worst.max(cost);
        let once = 1.0 + f64::from(batch) * arrivals.share;
        anew += once;
        anew_pays = anew_pays.or((all > once).then_some(batch));
        chain = next;
    }
    let (rows, costs) = (rows_of(&chain), costs_of(&rows_of(&chain)));
    let deletion_after = deletion(&rows, &costs);
    Growth { arrivals, all, worst, slices: chain.steps(), deletion_before, deletion_after, anew, anew_pays }
}

/// The mean over all records of what the steps from theirs on cost, of what all cost.
fn deletion(rows: &[u64], costs: &[f64]) -> f64 {
    let (all, of_all) = (costs.iter().sum::<f64>(), rows.iter().sum::<u64>() as f64);
    let from = |step: usize| costs.iter().skip(step).sum::<f64>();
    let mean = rows.iter().enumerate().map(|(step, rows)| *rows as f64 / of_all.max(1.0) * from(step)).sum::<f64>();
    mean / all.max(1.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::train::ScheduleKind;

    /// The figures of the closed form: a hundred batches of 1 %, ten slices.
    #[test]
    fn a_hundred_batches_of_a_hundredth() {
        let schedule = Schedule { kind: ScheduleKind::Replay, epochs: 10 };
        let of = |merge| growth(schedule, 10, Arrivals { batches: 100, share: 0.01, merge });
        let round = |x: f64| (x * 100.0).round() / 100.0;
        for (merge, all, worst, slices, deletion) in
            [(4, 2.95, 0.64, 14, 0.57), (8, 2.40, 0.64, 19, 0.57), (16, 1.90, 0.16, 20, 0.53), (32, 1.93, 0.32, 17, 0.55)]
        {
            let found = of(merge);
            let figures = (round(found.all), round(found.worst), found.slices, round(found.deletion_after));
            assert_eq!(figures, (all, worst, slices, deletion), "merged {merge} by {merge}");
            assert_eq!((round(found.deletion_before), round(found.anew)), (0.55, 150.5));
            // Two trainings are what one of everything costs after the last batch.
            assert_eq!(found.anew_pays.is_some(), all > 2.0, "merged {merge} by {merge}");
        }
    }
}
