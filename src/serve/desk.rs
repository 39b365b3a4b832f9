//! When to repair, and when a deletion may begin: pure functions of what waits, what it would cost, how the vote stands and the clock. They know
//! no file, no thread and no engine.
//!
//! Nothing waits for ever: whatever is asked, the answer is to repair now or at a time that is told, and that time never moves away as
//! more comes in. A deletion waits for [`PATIENCE`] at most.

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

/// Seconds that a deletion waits at most before it begins, so that some shard has a vote.
pub(super) const PATIENCE: f64 = 0.25;

/// How the vote stands when somebody is to be deleted.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Standing {
    /// Shards that have a vote.
    pub(super) voting: usize,
    /// All shards.
    pub(super) shards: usize,
    /// Votes that deletions may take which have begun and are not counted in `voting` yet.
    pub(super) going: usize,
    /// Votes that this one may take: one for each id.
    pub(super) takes: usize,
    /// Seconds in which a repair brings a shard back; 0 while that is not known.
    pub(super) back_in: f64,
    /// Seconds that it has waited.
    pub(super) waited: f64,
    /// Deletions that wait behind it.
    pub(super) behind: usize,
}

/// Whether a deletion may begin. Repairs that begin at once are not enough: whoever deletes without a pause takes votes away faster than
/// training brings them back, and what is trained is thrown away as often as its slice changes again. So a deletion that could take the last vote
/// waits for a repair, where that is a matter of a moment for all who wait; otherwise it is the deletion that has to be quick.
pub(super) fn begins(standing: &Standing) -> bool {
    let Standing { voting, shards, going, takes, back_in, waited, behind } = *standing;
    // One of so many ids takes every vote, whenever it begins.
    let takes_all = takes >= shards;
    let hopeless = back_in * (behind + 1) as f64 > PATIENCE - waited;
    takes_all || voting > going + takes || waited >= PATIENCE || hopeless
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

    /// Clients that delete without a pause, each one person at a time, and a repair of one shard after the other.
    #[derive(Debug)]
    struct Stream {
        shards: usize,
        clients: usize,
        /// Seconds of a repair of one shard, and from a deletion's beginning to its effect.
        repair: f64,
        effect: f64,
    }

    /// What a stream of deletions came to.
    #[derive(Debug)]
    struct Flow {
        /// The fewest shards that had a vote, and the longest that a deletion waited.
        fewest: usize,
        longest: f64,
        done: usize,
    }

    /// Plays `ticks` thousandths of a second. Each deletion takes the vote of a shard that `hits` names in turn, and what is trained of that shard
    /// is thrown away.
    fn flow(stream: &Stream, hits: &[usize], ticks: usize, begins: impl Fn(&Standing) -> bool) -> Flow {
        const TICK: f64 = 0.001;
        let Stream { shards, clients, repair, effect } = *stream;
        let (mut votes, mut next) = (vec![true; shards], 0);
        // Of each client since when it waits, or when its deletion is in effect.
        let mut waits: Vec<Result<f64, f64>> = vec![Ok(0.0); clients];
        let mut training: Option<(usize, f64)> = None;
        let mut flow = Flow { fewest: shards, longest: 0.0, done: 0 };
        for tick in 0..ticks {
            let now = tick as f64 * TICK;
            // Who has waited longest begins first.
            let mut order: Vec<usize> = (0..clients).collect();
            order.sort_by(|a, b| waits[*a].unwrap_or(now).total_cmp(&waits[*b].unwrap_or(now)));
            let mut first = true;
            for at in order {
                match waits[at] {
                    Ok(since) if first => {
                        let going = waits.iter().filter(|wait| wait.is_err()).count();
                        let voting = votes.iter().filter(|vote| **vote).count();
                        let (waited, behind) = (now - since, clients - going - 1);
                        if begins(&Standing { voting, shards, going, takes: 1, back_in: repair, waited, behind }) {
                            flow.longest = flow.longest.max(waited);
                            waits[at] = Err(now + effect);
                        } else {
                            first = false;
                        }
                    }
                    Err(done) if done <= now => {
                        let hit = hits[next % hits.len()] % shards;
                        next += 1;
                        votes[hit] = false;
                        training = training.filter(|(shard, _)| *shard != hit);
                        flow.done += 1;
                        waits[at] = Ok(now);
                    }
                    _ => {}
                }
            }
            flow.fewest = flow.fewest.min(votes.iter().filter(|vote| **vote).count());
            match training {
                Some((shard, done)) if done <= now => {
                    votes[shard] = true;
                    training = None;
                }
                Some(_) => {}
                None => training = votes.iter().position(|vote| !vote).map(|shard| (shard, now + repair)),
            }
        }
        flow
    }

    /// With `turn`, the seconds that a client's turn may take: its deletion, and training a shard, twice, as it may be hit meanwhile.
    fn streams(turn: impl Fn(usize) -> f64) -> impl Strategy<Value = (Stream, Vec<usize>)> {
        let stream = (2..8_usize, 1..9_usize, 0.05..0.5_f64, 0.05..0.2_f64);
        let stream = stream.prop_map(move |(shards, clients, repair, effect)| {
            let turn = turn(clients);
            Stream { shards, clients, repair: turn * repair / 2.0, effect: turn * effect }
        });
        (stream, prop::collection::vec(0..1_000_usize, 1..200))
    }

    #[test]
    fn without_a_floor_two_clients_leave_nobody_to_vote() {
        let stream = Stream { shards: 3, clients: 2, repair: 0.03, effect: 0.005 };
        let hits: Vec<usize> = (0..97).collect();
        assert_eq!(flow(&stream, &hits, 2_000, |_| true).fewest, 0);
    }

    #[test]
    fn where_training_takes_long_no_deletion_waits_for_it() {
        let stream = Stream { shards: 3, clients: 2, repair: PATIENCE * 1.01, effect: 0.005 };
        // A client looks again in the next thousandth.
        assert!(flow(&stream, &[0, 1, 2], 2_000, begins).longest < 0.0015);
        // Nor does one that takes every vote anyway, or one whose votes are not the last, or one before so many others that it comes to the same.
        let standing = Standing { voting: 1, shards: 3, going: 0, takes: 1, back_in: 0.01, waited: 0.0, behind: 0 };
        assert!(!begins(&standing));
        assert!(begins(&Standing { takes: 3, ..standing }) && begins(&Standing { voting: 2, ..standing }));
        assert!(begins(&Standing { behind: 40, ..standing }));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(128))]

        #[test]
        fn whoever_deletes_without_a_pause_leaves_a_vote((stream, hits) in streams(|clients| 0.2 / (clients as f64 + 1.0))) {
            let flow = flow(&stream, &hits, 3_000, begins);
            prop_assert!(flow.fewest >= 1, "{flow:?}");
            prop_assert!(flow.done > 0);
        }

        #[test]
        fn no_deletion_waits_for_longer_than_a_moment((stream, hits) in streams(|_| 2.0)) {
            let flow = flow(&stream, &hits, 3_000, begins);
            prop_assert!(flow.longest <= PATIENCE + 0.002, "{flow:?}");
            prop_assert!(flow.done > 0);
        }
    }
}
