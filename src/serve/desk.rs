//! When to repair: a pure function of what waits, what it would cost and the clock. It knows no file, no thread and no engine.
//!
//! Nothing waits for ever: whatever is asked, the answer is to repair now or at a time that is told, and that time never moves away as
//! more comes in.

use sisa::engine::RepairPolicy;

/// Seconds that a repair begins before it has to, beside three times as long as it is expected to take.
const MARGIN: f64 = 60.0;

/// How to decide.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Rule {
    pub(super) policy: RepairPolicy,
    /// Seconds between the beginnings of two repairs, of [`RepairPolicy::Window`].
    pub(super) window: f64,
    /// The share of its full weight below which the vote may not fall.
    pub(super) min_weight: f64,
}

/// A request that is in effect and not repaired; seconds of one clock.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Waits {
    /// Since when it is seen to wait.
    pub(super) since: f64,
    /// When it is to be repaired at the latest.
    pub(super) due: f64,
}

/// How things stand.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Ground {
    pub(super) now: f64,
    /// When the last repair began.
    pub(super) last_start: Option<f64>,
    /// The weight of all votes, as a share of their full weight.
    pub(super) weight: f64,
    /// Row-passes of the repair, as a share of training everything: from 1 on nothing is saved by waiting.
    pub(super) cost: f64,
    /// Seconds that the repair is expected to take.
    pub(super) seconds: f64,
    /// Somebody asked for a repair.
    pub(super) asked: bool,
}

/// What to do.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Next {
    /// Nothing waits.
    Rest,
    /// Repair everything that waits.
    Repair,
    /// Look again at this time, or when something changes.
    Until(f64),
}

/// What to do next.
pub(super) fn next(rule: &Rule, waiting: &[Waits], ground: &Ground) -> Next {
    let earliest = |of: fn(&Waits) -> f64| waiting.iter().map(of).fold(f64::INFINITY, f64::min);
    if waiting.is_empty() {
        return Next::Rest;
    }
    let floor = ground.asked || ground.weight < rule.min_weight || ground.cost >= 1.0;
    let at = match rule.policy {
        RepairPolicy::Eager => return Next::Repair,
        _ if floor => return Next::Repair,
        // The first request of a window opens it, or the last repair did.
        RepairPolicy::Window => match ground.last_start {
            Some(last) => (last + rule.window).min(earliest(|w| w.since) + rule.window),
            None => earliest(|w| w.since) + rule.window,
        },
        RepairPolicy::Deadline => earliest(|w| w.due) - 3.0 * ground.seconds - MARGIN,
    };
    if at <= ground.now { Next::Repair } else { Next::Until(at) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn rule(policy: RepairPolicy, window: f64) -> Rule {
        Rule { policy, window, min_weight: 0.5 }
    }

    fn quiet(now: f64) -> Ground {
        Ground { now, last_start: None, weight: 1.0, cost: 0.1, seconds: 1.0, asked: false }
    }

    #[test]
    fn eager_repairs_what_waits_and_rests_otherwise() {
        let rule = rule(RepairPolicy::Eager, 0.0);
        assert_eq!(next(&rule, &[], &quiet(0.0)), Next::Rest);
        assert_eq!(next(&rule, &[Waits { since: 0.0, due: 9e9 }], &quiet(0.0)), Next::Repair);
    }

    #[test]
    fn floors_are_stronger_than_waiting() {
        let waiting = [Waits { since: 0.0, due: 9e9 }];
        for policy in [RepairPolicy::Window, RepairPolicy::Deadline] {
            let rule = rule(policy, 1e6);
            assert!(matches!(next(&rule, &waiting, &quiet(1.0)), Next::Until(_)));
            for ground in
                [Ground { weight: 0.49, ..quiet(1.0) }, Ground { cost: 1.0, ..quiet(1.0) }, Ground { asked: true, ..quiet(1.0) }]
            {
                assert_eq!(next(&rule, &waiting, &ground), Next::Repair, "{ground:?}");
            }
        }
    }

    /// A request of the simulation: when it came, and when it was repaired.
    struct Request {
        came: f64,
        repaired: Option<f64>,
    }

    /// Plays arrivals to their end, each repair taking `takes` seconds and repairing what waited when it began. Returns the requests and
    /// the beginnings of all repairs.
    fn play(rule: &Rule, arrivals: &[f64], takes: f64, days: f64) -> (Vec<Request>, Vec<f64>) {
        let mut requests: Vec<Request> = arrivals.iter().map(|came| Request { came: *came, repaired: None }).collect();
        let (mut now, mut starts) = (0.0_f64, Vec::new());
        loop {
            let waiting: Vec<Waits> = requests
                .iter()
                .filter(|r| r.came <= now && r.repaired.is_none())
                .map(|r| Waits { since: r.came, due: r.came + days })
                .collect();
            let coming = requests.iter().map(|r| r.came).filter(|came| *came > now).fold(f64::INFINITY, f64::min);
            let ground = Ground { now, last_start: starts.last().copied(), seconds: takes, ..quiet(now) };
            match next(rule, &waiting, &ground) {
                Next::Rest if coming.is_infinite() => return (requests, starts),
                Next::Rest => now = coming,
                Next::Until(at) => {
                    assert!(at > now, "time must go on");
                    now = at.min(coming);
                }
                Next::Repair => {
                    let begun = now;
                    starts.push(begun);
                    now += takes;
                    requests.iter_mut().filter(|r| r.came <= begun && r.repaired.is_none()).for_each(|r| r.repaired = Some(now));
                }
            }
        }
    }

    fn arrivals() -> impl Strategy<Value = Vec<f64>> {
        // Gaps from much shorter than a repair to much longer.
        prop::collection::vec(prop_oneof![0.0..0.5_f64, 0.0..20.0_f64, 0.0..4000.0_f64], 1..120).prop_map(|gaps| {
            let mut now = 0.0;
            gaps.into_iter()
                .map(|gap| {
                    now += gap;
                    now
                })
                .collect()
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(256))]

        #[test]
        fn eager_never_lets_a_request_wait_for_more_than_the_repair_before_its_own(all in arrivals(), takes in 0.01..30.0_f64) {
            let (requests, _) = play(&rule(RepairPolicy::Eager, 0.0), &all, takes, 1e9);
            for r in requests {
                prop_assert!(r.repaired.unwrap() - r.came <= 2.0 * takes + 1e-6);
            }
        }

        #[test]
        fn a_window_bounds_work_and_waiting(all in arrivals(), takes in 0.01..30.0_f64, window in 1.0..3600.0_f64) {
            let (requests, starts) = play(&rule(RepairPolicy::Window, window), &all, takes, 1e9);
            for r in &requests {
                prop_assert!(r.repaired.unwrap() - r.came <= window + 2.0 * takes + 1e-6);
            }
            for pair in starts.windows(2) {
                prop_assert!(pair[1] - pair[0] >= window - 1e-6);
            }
        }

        #[test]
        fn no_deadline_is_missed_that_could_be_met(all in arrivals(), takes in 0.01..30.0_f64, days in 200.0..90_000.0_f64) {
            let (requests, starts) = play(&rule(RepairPolicy::Deadline, 0.0), &all, takes, days);
            for r in &requests {
                prop_assert!(r.repaired.unwrap() <= r.came + days + 1e-6);
            }
            // Each begins as late as it can, so there are few.
            for pair in starts.windows(2) {
                prop_assert!(pair[1] - pair[0] >= days - 3.0 * takes - MARGIN - 1e-6);
            }
        }
    }
}
