//! Which S and R to take: what each would cost, and a recommendation. Pure: counts in, a table out.

mod cost;
mod growth;
mod retention;

pub use cost::CostModel;
pub use growth::{Arrivals, Growth, growth};
pub use retention::{Ages, Expiry};

use crate::learn::FOREST_SHARDS;
use crate::train::{Keep, Schedule, ScheduleKind};

/// What is known before training, and what is wanted.
#[derive(Clone, Debug, PartialEq)]
pub struct Question {
    /// Records to train on.
    pub records: u64,
    /// Subjects that they are about.
    pub subjects: u64,
    /// Requests that are repaired together.
    pub requests: u64,
    /// How constituents are trained.
    pub schedule: Schedule,
    /// Steps before the last that leave a checkpoint; all when it is not said.
    pub keep: Option<u32>,
    /// Bytes of one checkpoint, if known.
    pub state_bytes: Option<u64>,
    /// Row-passes a second on all threads, if measured.
    pub speed: Option<f64>,
    /// Bytes that checkpoints may take.
    pub disk: Option<u64>,
    /// Seconds that the repair of the requests may take.
    pub time: Option<f64>,
    /// Records that a shard should have at least, lest its model learn too little.
    pub least_records: u64,
    /// Candidates for S.
    pub shards: Vec<u32>,
    /// Candidates for R.
    pub slices: Vec<u32>,
}

/// One S and R.
#[derive(Clone, Debug, PartialEq)]
pub struct Candidate {
    /// S.
    pub shards: u32,
    /// R.
    pub slices: u32,
    /// Row-passes of training everything.
    pub full: f64,
    /// Expected row-passes of repairing one request.
    pub one: f64,
    /// Expected row-passes of repairing all requests together.
    pub batch: f64,
    /// What 95 of 100 such batches stay below.
    pub batch_p95: f64,
    /// How many times cheaper than training one model on everything anew.
    pub speed_up: f64,
    /// How many times cheaper together than one by one.
    pub coalesced: f64,
    /// Requests whose joint repair costs as much (but for a percent) as training one model anew.
    pub break_even: Option<u64>,
    /// Bytes of all checkpoints.
    pub checkpoint_bytes: Option<u64>,
    /// Expected seconds of the repair.
    pub seconds: Option<f64>,
    /// Seconds of training everything.
    pub full_seconds: Option<f64>,
    /// Why it is not to be recommended, if so.
    pub against: Option<Against>,
}

/// What speaks against a candidate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Against {
    /// A shard has too few records.
    FewRecords,
    /// Slices outnumber subjects.
    FewSubjects,
    /// Checkpoints need more than the disk has.
    Disk,
    /// The repair takes longer than it may.
    Time,
}

/// All candidates, and the one to take.
#[derive(Clone, Debug, PartialEq)]
pub struct CostTable {
    /// By S, then R.
    pub candidates: Vec<Candidate>,
    /// Its index among the candidates.
    pub recommended: Option<usize>,
    /// Why, in a sentence; or why none is.
    pub reason: String,
}

/// Simulated batches behind a 95th percentile.
const DRAWS: usize = 400;
/// Fewer times cheaper than this is not worth a partition.
const WORTH_IT: f64 = 1.2;
/// A candidate within this share of the cheapest counts as as cheap.
const AS_CHEAP: f64 = 1.1;

/// Where rows are taken out of states.
const TAKING_ROWS_OUT: &str = "this learner takes a deletion's rows out of its states and trains nothing, whatever S and R: R = 1 keeps the fewest states; \
     five shards put each record into a fifth of a forest's trees, and of ridge the number of cores is best";

/// The candidate with the fewest slices, and of those the one with the shards of a forest, or the fewest.
fn taking_rows_out(candidates: &[Candidate]) -> Option<usize> {
    let fit = candidates.iter().enumerate().filter(|(_, c)| c.against.is_none());
    fit.min_by_key(|(_, c)| (c.slices, c.shards != FOREST_SHARDS, c.shards)).map(|(at, _)| at)
}

impl Question {
    /// Answers.
    pub fn answer(&self) -> CostTable {
        let mut candidates = Vec::new();
        for shards in &self.shards {
            for slices in &self.slices {
                candidates.push(self.candidate(*shards, *slices));
            }
        }
        if self.schedule.kind == ScheduleKind::Once {
            return CostTable { recommended: taking_rows_out(&candidates), candidates, reason: TAKING_ROWS_OUT.into() };
        }
        let fit = || candidates.iter().enumerate().filter(|(_, c)| c.against.is_none());
        let cheapest = fit().map(|(_, c)| c.batch).fold(f64::INFINITY, f64::min);
        // Of those as cheap as the cheapest, the fewest shards (they learn best), then the fewest checkpoints.
        let best = fit().filter(|(_, c)| c.batch <= cheapest * AS_CHEAP).min_by_key(|(_, c)| (c.shards, c.slices));
        let reason = match best {
            Some((_, c)) if c.speed_up < WORTH_IT => format!(
                "with {} requests together nothing here that leaves a shard {} records or more costs much less than training one model anew; repair more often, or train anew",
                self.requests, self.least_records,
            ),
            Some((_, c)) => format!(
                "S={} R={}: the repair of {} is expected to cost {:.1} times less than training one model anew, within a tenth of the \
                 cheapest here that leaves a shard {} records or more; of those it has the fewest shards, which learn best, and then the fewest checkpoints",
                c.shards,
                c.slices,
                if self.requests == 1 { "a request".into() } else { format!("{} requests together", self.requests) },
                c.speed_up,
                self.least_records,
            ),
            None => {
                "no candidate fits: allow more disk or time, fewer records a shard, or name other numbers of shards and slices"
                    .into()
            }
        };
        let recommended = best.map(|(at, _)| at);
        CostTable { candidates, recommended, reason }
    }

    fn candidate(&self, shards: u32, slices: u32) -> Candidate {
        let keep = self.keep.map_or(Keep::All, Keep::Best);
        let records = self.records as f64;
        let model = CostModel::new(records, shards, slices, self.schedule, keep);
        let alone = CostModel::new(records, 1, 1, self.schedule, Keep::All).full();
        let (one, batch) = (model.expected(1), model.expected(self.requests));
        let steps = u64::from(self.keep.map_or(slices, |keep| slices.min(keep.saturating_add(1))));
        let checkpoint_bytes = self.state_bytes.map(|bytes| bytes * steps * u64::from(shards));
        let seconds = self.speed.map(|speed| batch / speed);
        let cells = u64::from(shards) * u64::from(slices);
        let against = if self.records / u64::from(shards.max(1)) < self.least_records && shards > 1 {
            Some(Against::FewRecords)
        } else if self.subjects < cells {
            Some(Against::FewSubjects)
        } else if self.disk.zip(checkpoint_bytes).is_some_and(|(disk, bytes)| bytes > disk) {
            Some(Against::Disk)
        } else if self.time.zip(seconds).is_some_and(|(time, seconds)| seconds > time) {
            Some(Against::Time)
        } else {
            None
        };
        Candidate {
            shards,
            slices,
            full: model.full(),
            one,
            batch,
            batch_p95: model.quantile(self.requests, 0.95, DRAWS.min(1 + (20_000_000 / self.requests.max(1)) as usize)),
            speed_up: if batch > 0.0 { alone / batch } else { f64::INFINITY },
            coalesced: if batch > 0.0 { one * self.requests as f64 / batch } else { 1.0 },
            break_even: model.break_even(alone),
            checkpoint_bytes,
            seconds,
            full_seconds: self.speed.map(|speed| model.full() / speed),
            against,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    fn question() -> Question {
        Question {
            records: 100_000,
            subjects: 50_000,
            requests: 8,
            schedule: Schedule { kind: ScheduleKind::Replay, epochs: 20 },
            keep: None,
            state_bytes: Some(1_000_000),
            speed: Some(1e5),
            disk: None,
            time: None,
            least_records: 1000,
            shards: vec![1, 5, 20, 200],
            slices: vec![1, 10, 50],
        }
    }

    #[test]
    fn limits_rule_candidates_out_and_the_rest_is_weighed() {
        let plan = question().answer();
        let of = |plan: &CostTable| plan.recommended.map(|at| (plan.candidates[at].shards, plan.candidates[at].slices));
        assert_eq!(plan.candidates.len(), 12);
        assert_eq!(of(&plan), Some((20, 10)));
        assert!(plan.candidates.iter().filter(|c| c.shards == 200).all(|c| c.against == Some(Against::FewRecords)));
        let tight = Question { disk: Some(60_000_000), ..question() }.answer();
        assert_eq!(of(&tight), Some((20, 1)));
        let small = Question { disk: Some(60_000_000), keep: Some(2), ..question() }.answer();
        assert_eq!(of(&small), Some((20, 10)));
        let none = Question { time: Some(0.001), ..question() }.answer();
        assert_eq!(none.recommended, None);
        assert!(none.reason.contains("no candidate"));
    }

    #[test]
    fn nothing_is_trained_again_where_rows_are_taken_out() {
        let plan = Question { schedule: Schedule { kind: ScheduleKind::Once, epochs: 1 }, ..question() }.answer();
        assert!(plan.candidates.iter().all(|c| c.one == 0.0 && c.batch_p95 == 0.0 && c.full > 0.0 && c.break_even.is_none()));
        let recommended = &plan.candidates[plan.recommended.unwrap()];
        assert_eq!((recommended.shards, recommended.slices), (5, 1));
    }

    #[test]
    fn together_is_cheaper_than_one_by_one() {
        for c in question().answer().candidates {
            assert!(c.coalesced >= 1.0 - 1e-9, "{c:?}");
            assert!(c.batch <= c.full * (1.0 + 1e-9) && c.one <= c.batch * (1.0 + 1e-9));
        }
    }
}
