//! What letting records go by their age costs, where they are in cohorts and where they are not.

use super::CostModel;
use crate::train::{Keep, Schedule};

/// Records by their cohorts, in order of time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ages {
    /// What each is called, and how many records to train on are in it.
    pub cohorts: Vec<(String, u64)>,
    /// Records of none of them.
    pub others: u64,
}

/// What expiring a cohort costs, and all before it.
#[derive(Clone, Debug, PartialEq)]
pub struct Expiry {
    /// What it is called.
    pub cohort: String,
    /// Its records to train on.
    pub records: u64,
    /// Row-passes of expiring up to its end, where its shards are its own: they become empty, and nothing is trained.
    pub whole: f64,
    /// Row-passes of expiring up to a day within it, at most: what is left of it is trained anew.
    pub within: f64,
    /// Row-passes of expiring up to its end without cohorts: every shard is trained anew on what is left.
    pub without: f64,
}

impl Ages {
    /// What expiring each cohort costs with so many shards of each and slices.
    pub fn costs(&self, (shards, slices): (u32, u32), schedule: Schedule, keep: Keep) -> Vec<Expiry> {
        let mut left = self.others + self.cohorts.iter().map(|(_, records)| records).sum::<u64>();
        let anew = |records: u64| {
            let model = CostModel::new(records as f64, shards, slices, schedule, keep);
            // A request in every cell trains all again, unless rows are taken out of states.
            if model.expected(1) > 0.0 { model.full() } else { 0.0 }
        };
        let cost = |(cohort, records): &(String, u64)| {
            left -= records;
            Expiry { cohort: cohort.clone(), records: *records, whole: 0.0, within: anew(*records), without: anew(left) }
        };
        self.cohorts.iter().map(cost).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::train::ScheduleKind;

    #[test]
    fn a_whole_cohort_is_free_and_without_cohorts_all_that_is_left_is_trained_anew() {
        let ages = Ages { cohorts: vec![("2019".into(), 1000), ("2020".into(), 3000)], others: 6000 };
        let replay = Schedule { kind: ScheduleKind::Replay, epochs: 20 };
        let costs = ages.costs((5, 8), replay, Keep::All);
        let full = |records: f64| CostModel::new(records, 5, 8, replay, Keep::All).full();
        let said: Vec<_> = costs.iter().map(|c| (c.cohort.as_str(), c.records, c.whole, c.within, c.without)).collect();
        assert_eq!(said, [("2019", 1000, 0.0, full(1000.0), full(9000.0)), ("2020", 3000, 0.0, full(3000.0), full(6000.0))]);
        let once = ages.costs((5, 8), Schedule { kind: ScheduleKind::Once, epochs: 1 }, Keep::All);
        assert!(once.iter().all(|c| (c.whole, c.within, c.without) == (0.0, 0.0, 0.0)));
    }
}
