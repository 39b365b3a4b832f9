//! Which rows a step visits, in which order (docs/TRAINING.md, section 2). Pure: handles and counts in, visits out.

use serde::{Deserialize, Serialize};

use crate::{
    digest::{Draw, ModelKey},
    ids::{Handle, ShardId, SliceId},
    learn::Visit,
};

/// How a shard's budget is spread over its steps.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ScheduleKind {
    /// 2E/(R+1) passes over all slices so far (Bourtoule et al. 2021, section V-A).
    Cumulative,
    /// A constant budget: the new slice twice, the rest replayed from those before.
    Replay,
    /// A budget that falls with the step; otherwise as replay.
    Front,
    /// Each new row once, whatever the epochs: for learners whose state is a function of the set of rows.
    Once,
    /// Each new row once, and old ones, each at most once, up to as many slices' worth in all as there are epochs: for learners that look at a
    /// step as a whole.
    Window,
}

/// The schedule of a recipe.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Schedule {
    /// Which.
    pub kind: ScheduleKind,
    /// Epochs: passes over a shard's rows that all steps together amount to.
    pub epochs: u32,
}

/// One, in the fixed point of budgets.
const ONE: u128 = 1 << 20;

/// A set of rows that is visited pass by pass.
struct Group {
    rows: u64,
    visits: u64,
    /// Nominal passes, fixed point: scales positions.
    passes: u128,
}

impl Schedule {
    /// More epochs than this overflow nothing, but are a typing mistake.
    pub const EPOCHS_MAX: u32 = 100_000;

    /// The budget of step `r`, of which `of` are those of the first batch, fixed point: passes (cumulative) or slice sizes.
    fn budget(self, r: u32, of: u32) -> u128 {
        let epochs = u128::from(self.epochs);
        match self.kind {
            ScheduleKind::Cumulative => 2 * epochs * ONE / u128::from(of + 1),
            ScheduleKind::Replay | ScheduleKind::Window => epochs * ONE,
            ScheduleKind::Once => ONE,
            ScheduleKind::Front => {
                let (r, of) = (f64::from(r), f64::from(of));
                let done = |p: f64| {
                    let rest = 1.0 - p;
                    let fifth = rest * rest * rest * rest * rest;
                    0.3 * p + 0.7 * (1.0 - fifth)
                };
                let share = done(r / of) - done((r - 1.0) / of);
                (share * f64::from(self.epochs) * of * ONE as f64) as u128
            }
        }
    }

    /// The groups of step `rows.len()`, given the rows of slices 1..=r: new (or all), then old. `of` steps are of the first batch; one after
    /// them has a budget by its own rows.
    fn groups(self, rows: &[u64], of: u32) -> [Group; 2] {
        let none = Group { rows: 0, visits: 0, passes: 1 };
        let r = rows.len() as u32;
        let later = r > of;
        let Some((&new, old)) = rows.split_last() else { return [none, Group { rows: 0, visits: 0, passes: 1 }] };
        let old: u64 = old.iter().sum();
        let all = new + old;
        let q = self.budget(r, of);
        if new == 0 {
            return [none, Group { rows: 0, visits: 0, passes: 1 }];
        }
        if self.kind == ScheduleKind::Cumulative {
            let visits = (q * u128::from(all) / ONE) as u64;
            return [Group { rows: all, visits, passes: q.max(1) }, none];
        }
        if self.kind == ScheduleKind::Once {
            return [Group { rows: new, visits: new, passes: ONE }, none];
        }
        let (of_rows, slices) = if later { (new, 1) } else { (all, u128::from(r)) };
        let budget = (q * u128::from(of_rows) / (slices * ONE)) as u64;
        if self.kind == ScheduleKind::Window {
            let visits = budget.saturating_sub(new).min(old);
            return [Group { rows: new, visits: new, passes: ONE }, Group { rows: old, visits, passes: ONE }];
        }
        if old == 0 {
            return [Group { rows: new, visits: budget.max(new), passes: q.max(1) }, none];
        }
        let new_visits = budget.max(new).min(2 * new);
        let new_passes = q.min(2 * ONE);
        let old_visits = budget.saturating_sub(new_visits);
        // What is replayed of the slices before is spread over the whole step. How large a batch will be nobody knows beforehand, so that
        // of a later step follows from the rows that there are.
        let old_passes = match later {
            true => u128::from(old_visits) * ONE / u128::from(old),
            false => (q - new_passes) / u128::from(r - 1),
        };
        [
            Group { rows: new, visits: new_visits, passes: new_passes.max(1) },
            Group { rows: old, visits: old_visits, passes: old_passes.max(1) },
        ]
    }

    /// How many rows step r visits, given the rows of slices 1..=r and the steps of the first batch: the exact cost.
    pub fn row_passes(self, rows: &[u64], of: u32) -> u64 {
        self.groups(rows, of).iter().map(|g| g.visits).sum()
    }

    /// How many passes step r makes at most over a group of its rows, given the rows of slices 1..=r and the steps of the first batch: each
    /// has a draw of its own.
    pub fn passes(self, rows: &[u64], of: u32) -> u64 {
        let of_group = |group: Group| if group.rows > 0 { group.visits.div_ceil(group.rows) } else { 0 };
        self.groups(rows, of).into_iter().map(of_group).max().unwrap_or(0)
    }

    /// The visits of step r, given the steps of the first batch and the record handles of slices 1..=r (each ascending).
    pub fn visits(self, key: &ModelKey, shard: ShardId, of: u32, slices: &[&[Handle]]) -> Vec<Visit> {
        let step = SliceId(slices.len() as u32);
        self.visits_by(of, slices, |pass| key.pass(shard, step, pass))
    }

    /// The same, given the draw of every pass instead of the key that they are derived from.
    pub fn visits_by(self, of: u32, slices: &[&[Handle]], draws: impl Fn(u32) -> Draw + Copy) -> Vec<Visit> {
        let counts: Vec<u64> = slices.iter().map(|s| s.len() as u64).collect();
        let [new, old] = self.groups(&counts, of);
        let last = slices.len().saturating_sub(1);
        let first_of_new = if self.kind == ScheduleKind::Cumulative { 0 } else { last };
        let new = in_order(new, first_of_new as u32, slices.get(first_of_new..).unwrap_or_default(), draws);
        let old = in_order(old, 0, slices.get(..last).unwrap_or_default(), draws);
        merge(&new, &old)
    }
}

/// A visit on its way to its place.
#[derive(Clone, Copy)]
struct Place {
    position: u128,
    slice: u32,
    row: u32,
}

/// The visits of a group, by (position, record handle); its slices are `from` and the following.
fn in_order(group: Group, from: u32, slices: &[&[Handle]], draws: impl Fn(u32) -> Draw) -> Vec<Place> {
    let handle = |at: u64| slices.get((at >> 32) as usize).and_then(|s| s.get(at as u32 as usize));
    let mut places: Vec<Place> = Vec::with_capacity(group.visits as usize);
    let mut rows: Vec<(u64, u64)> = Vec::new();
    let mut left = if group.rows > 0 { group.visits } else { 0 };
    let mut pass = 0_u32;
    while left > 0 {
        let draw = draws(pass);
        gather(&mut rows, slices, &draw, left.min(group.rows), bound_of(left, group.rows));
        let order = |a: &(u64, u64), b: &(u64, u64)| a.0.cmp(&b.0).then_with(|| handle(a.1).cmp(&handle(b.1)));
        if left < rows.len() as u64 {
            rows.select_nth_unstable_by(left as usize, order);
            rows.truncate(left as usize);
        }
        left -= rows.len() as u64;
        rows.sort_unstable_by(order);
        let place = |hash: u64| ((u128::from(pass) << 64 | u128::from(hash)) * ONE) / group.passes;
        places.extend(rows.iter().map(|(hash, at)| Place { position: place(*hash), slice: (at >> 32) as u32, row: *at as u32 }));
        pass += 1;
    }
    // Neighbours whose positions were rounded to one are in the order of their handles.
    for alike in places.chunk_by_mut(|a, b| a.position == b.position).filter(|alike| alike.len() > 1) {
        alike.sort_unstable_by_key(|p| handle(u64::from(p.slice) << 32 | u64::from(p.row)));
    }
    places.iter_mut().for_each(|place| place.slice += from);
    places
}

/// Rows with their draws, the `wanted` first of all among them: those up to the bound, or all where these are too few.
fn gather(rows: &mut Vec<(u64, u64)>, slices: &[&[Handle]], draw: &Draw, wanted: u64, bound: u64) {
    for bound in [bound, u64::MAX] {
        rows.clear();
        for (slice, handles) in (0_u64..).zip(slices) {
            let drawn = (0..).zip(*handles).map(|(row, h)| (draw.of(*h), slice << 32 | row));
            rows.extend(drawn.filter(|(hash, _)| *hash <= bound));
        }
        if rows.len() as u64 >= wanted {
            return;
        }
    }
}

/// A bound on draws that a little more than `wanted` of so many rows fall below: their number varies by less than its square root.
fn bound_of(wanted: u64, rows: u64) -> u64 {
    let enough = u128::from(wanted + 6 * wanted.isqrt() + 16);
    u64::try_from((enough << 64) / u128::from(rows.max(1))).unwrap_or(u64::MAX)
}

/// Both groups by position, new before old.
fn merge(new: &[Place], old: &[Place]) -> Vec<Visit> {
    let progress = |position: u128| u32::try_from(position >> 32).unwrap_or(u32::MAX);
    let mut visits = Vec::with_capacity(new.len() + old.len());
    let (mut new, mut old) = (new.iter().peekable(), old.iter().peekable());
    loop {
        let next = match (new.peek(), old.peek()) {
            (Some(a), Some(b)) if b.position < a.position => old.next(),
            (Some(_), _) => new.next(),
            (None, _) => old.next(),
        };
        let Some(place) = next else { return visits };
        visits.push(Visit { slice: place.slice, row: place.row, progress: progress(place.position) });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KINDS: [ScheduleKind; 3] = [ScheduleKind::Cumulative, ScheduleKind::Replay, ScheduleKind::Front];

    fn handles(slice: u8, n: u8) -> Vec<Handle> {
        (0..n).map(|i| Handle([slice, i, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7])).collect()
    }

    #[test]
    fn counts_are_the_visits_and_add_up_to_the_epochs() {
        let key = ModelKey::from_bytes([3; 32]);
        let slices: Vec<Vec<Handle>> = (0..8).map(|s| handles(s, 40)).collect();
        let views: Vec<&[Handle]> = slices.iter().map(Vec::as_slice).collect();
        for kind in KINDS {
            let schedule = Schedule { kind, epochs: 12 };
            let mut total = 0;
            for r in 1..=8 {
                let visits = schedule.visits(&key, ShardId(1), 8, &views[..r]);
                let rows: Vec<u64> = views[..r].iter().map(|s| s.len() as u64).collect();
                assert_eq!(visits.len() as u64, schedule.row_passes(&rows, 8));
                let seen: std::collections::BTreeSet<u32> =
                    visits.iter().filter(|v| v.slice as usize == r - 1).map(|v| v.row).collect();
                assert_eq!(seen.len(), 40, "{kind:?} step {r} leaves out a new row");
                assert!(visits.is_sorted_by_key(|v| v.progress));
                total += visits.len();
            }
            // Fixed point rounds each of eight steps down by less than one row.
            assert!((8 * 40 * 12 - 8..=8 * 40 * 12).contains(&total), "{kind:?}: {total}");
        }
    }

    #[test]
    fn the_first_rows_of_a_pass_are_the_first_of_all_rows_in_order() {
        let key = ModelKey::from_bytes([5; 32]);
        let spread = |at: u32| Handle(*at.to_be_bytes().repeat(4).as_array().unwrap());
        for (rows, visits) in
            [(1, 1), (7, 1), (7, 6), (7, 7), (7, 9), (900, 1), (900, 40), (900, 899), (5000, 37), (5000, 12_345)]
        {
            let cut = rows / 3;
            let slices: [Vec<Handle>; 2] = [(0..cut).map(spread).collect(), (cut..rows).map(spread).collect()];
            let views = [slices[0].as_slice(), slices[1].as_slice()];
            let group = Group { rows: rows.into(), visits, passes: 3 * ONE };
            let draws = |pass| key.pass(ShardId(1), SliceId(4), pass);
            let found: Vec<(u32, u32)> = in_order(group, 2, &views, draws).iter().map(|p| (p.slice, p.row)).collect();
            // All rows of every pass in their order, and the first of those.
            let mut all = Vec::new();
            for pass in 0..visits.div_ceil(rows.into()) as u32 {
                let mut one: Vec<(u64, Handle, (u32, u32))> = Vec::new();
                for (slice, handles) in (2..).zip(&slices) {
                    one.extend((0..).zip(handles).map(|(row, h)| (draws(pass).of(*h), *h, (slice, row))));
                }
                one.sort_unstable();
                all.extend(one.into_iter().map(|(.., at)| at));
            }
            all.truncate(visits as usize);
            assert_eq!(found, all, "{visits} visits of {rows} rows");
        }
        // A bound that too few rows keep is none.
        let handles: Vec<Handle> = (0..1000).map(spread).collect();
        let (draw, mut rows) = (key.pass(ShardId(1), SliceId(4), 0), Vec::new());
        for (wanted, bound, some) in
            [(10, u64::MAX / 20, true), (10, u64::MAX / 1000, false), (1, 0, false), (1000, u64::MAX, false)]
        {
            gather(&mut rows, &[&handles], &draw, wanted, bound);
            assert_eq!(rows.len() < 1000, some, "{wanted} wanted up to {bound}");
            assert!(rows.len() >= wanted as usize && rows.iter().all(|(hash, _)| !some || *hash <= bound));
        }
        assert!(bound_of(5, 10) == u64::MAX && bound_of(10, 1_000_000) < u64::MAX / 10_000);
    }

    #[test]
    fn the_draws_of_the_passes_say_all_that_the_key_says() {
        let key = ModelKey::from_bytes([3; 32]);
        let slices: Vec<Vec<Handle>> = [40, 30, 0, 50, 7].iter().zip(0..).map(|(&n, s)| handles(s, n)).collect();
        let views: Vec<&[Handle]> = slices.iter().map(Vec::as_slice).collect();
        for kind in [KINDS.as_slice(), &[ScheduleKind::Once, ScheduleKind::Window]].concat() {
            let schedule = Schedule { kind, epochs: 9 };
            for step in 1..=views.len() {
                let rows: Vec<u64> = views[..step].iter().map(|s| s.len() as u64).collect();
                let passes = schedule.passes(&rows, 4);
                let draw = |pass: u32| {
                    assert!(u64::from(pass) < passes, "{kind:?} step {step} asks for pass {pass} of {passes}");
                    Draw::from_key(key.pass(ShardId(2), SliceId(step as u32), pass).key())
                };
                assert_eq!(schedule.visits_by(4, &views[..step], draw), schedule.visits(&key, ShardId(2), 4, &views[..step]));
                assert!(rows[step - 1] == 0 || passes > 0);
            }
        }
    }

    #[test]
    fn a_window_is_the_new_slice_and_old_rows_at_most_once_each() {
        let key = ModelKey::from_bytes([3; 32]);
        let slices: Vec<Vec<Handle>> = [40, 30, 0, 50].iter().zip(0..).map(|(&n, s)| handles(s, n)).collect();
        let views: Vec<&[Handle]> = slices.iter().map(Vec::as_slice).collect();
        // For each window and step: new rows, old rows. A budget is so many times the mean slice so far.
        for (epochs, expected) in [
            (1, [(40, 0), (30, 5), (0, 0), (50, 0)]),
            (2, [(40, 0), (30, 40), (0, 0), (50, 10)]),
            (9, [(40, 0), (30, 40), (0, 0), (50, 70)]),
        ] {
            let schedule = Schedule { kind: ScheduleKind::Window, epochs };
            for (r, (new, old)) in (1..).zip(expected) {
                let visits = schedule.visits(&key, ShardId(0), 4, &views[..r]);
                let rows: Vec<u64> = views[..r].iter().map(|s| s.len() as u64).collect();
                assert_eq!(visits.len() as u64, schedule.row_passes(&rows, 4));
                let distinct: std::collections::BTreeSet<(u32, u32)> = visits.iter().map(|v| (v.slice, v.row)).collect();
                assert_eq!(distinct.len(), visits.len(), "no row twice");
                let of_new = visits.iter().filter(|v| v.slice as usize + 1 == r).count();
                assert_eq!((of_new, visits.len() - of_new), (new, old), "{epochs} slices' worth, step {r}");
            }
        }
        // Old rows that stay in the window are those that were: one less lets one more in, and moves none.
        let schedule = Schedule { kind: ScheduleKind::Window, epochs: 2 };
        let old = |slices: &[&[Handle]]| {
            let visits = schedule.visits(&key, ShardId(0), 4, slices).into_iter().filter(|v| v.slice < 3);
            visits.map(|v| slices[v.slice as usize][v.row as usize]).collect::<std::collections::BTreeSet<Handle>>()
        };
        let before = old(&views);
        let gone = *before.iter().next().unwrap();
        let fewer: Vec<Vec<Handle>> = slices.iter().map(|s| s.iter().copied().filter(|h| *h != gone).collect()).collect();
        let after = old(&fewer.iter().map(Vec::as_slice).collect::<Vec<_>>());
        assert!(before.iter().filter(|h| **h != gone && !after.contains(h)).count() <= 1, "the budget falls by a part of a row");
    }

    #[test]
    fn a_later_step_costs_its_own_rows_and_replays_over_all_of_it() {
        let key = ModelKey::from_bytes([3; 32]);
        let slices: Vec<Vec<Handle>> = [200, 150, 10].iter().zip(0..).map(|(&n, s)| handles(s, n)).collect();
        let views: Vec<&[Handle]> = slices.iter().map(Vec::as_slice).collect();
        for (kind, epochs, expected) in [
            (ScheduleKind::Replay, 1, (10, 0)),
            (ScheduleKind::Replay, 8, (20, 60)),
            (ScheduleKind::Replay, 100, (20, 980)),
            (ScheduleKind::Once, 1, (10, 0)),
        ] {
            let schedule = Schedule { kind, epochs };
            let visits = schedule.visits(&key, ShardId(0), 2, &views);
            assert_eq!(visits.len() as u64, schedule.row_passes(&[200, 150, 10], 2));
            let of_new = visits.iter().filter(|v| v.slice == 2).count();
            assert_eq!((of_new, visits.len() - of_new), expected, "{kind:?} {epochs}");
            if kind == ScheduleKind::Replay && epochs > 1 {
                let late = |v: &&Visit| v.slice < 2 && v.progress > u32::MAX / 8 * 7;
                assert!(visits.iter().filter(late).count() * 20 > expected.1, "replay reaches the end of the step");
            }
        }
    }

    #[test]
    fn taking_a_row_away_moves_no_other_of_its_group() {
        let key = ModelKey::from_bytes([3; 32]);
        let slices: Vec<Vec<Handle>> = (0..3).map(|s| handles(s, 30)).collect();
        let mut fewer = slices.clone();
        let gone = fewer[1].remove(11);
        for kind in KINDS {
            let schedule = Schedule { kind, epochs: 6 };
            let order = |slices: &[Vec<Handle>], old: bool| {
                let views: Vec<&[Handle]> = slices.iter().map(Vec::as_slice).collect();
                let visits = schedule.visits(&key, ShardId(0), 3, &views);
                let of_group = visits.iter().filter(move |v| (v.slice < 2) == old || kind == ScheduleKind::Cumulative);
                of_group.map(|v| slices[v.slice as usize][v.row as usize]).collect::<Vec<_>>()
            };
            for old in [false, true] {
                let mut before = order(&slices, old);
                let after = order(&fewer, old);
                before.retain(|h| *h != gone);
                // The cut at the end of the last pass moves; what both visit comes in one order.
                let n = before.len().min(after.len());
                let common: Vec<_> = before.iter().zip(&after).take_while(|(a, b)| a == b).collect();
                assert!(common.len() * 10 >= n * 9, "{kind:?} old {old}: {} of {n}", common.len());
            }
        }
    }

    #[test]
    fn visits_at_one_position_are_in_the_order_of_their_handles() {
        // So many passes leave the positions four bits of a hash.
        let slice = handles(0, 200);
        let key = ModelKey::from_bytes([3; 32]);
        let draws = |pass| key.pass(ShardId(0), SliceId(1), pass);
        let group = Group { rows: 200, visits: 200, passes: 1 << 80 };
        let places = in_order(group, 5, &[&slice], draws);
        let keys: Vec<(u128, Handle)> = places.iter().map(|p| (p.position, slice[p.row as usize])).collect();
        assert!(keys.is_sorted() && places.iter().all(|p| p.slice == 5));
        let positions: std::collections::BTreeSet<u128> = keys.iter().map(|k| k.0).collect();
        assert_eq!(positions.len(), 16);
    }

    #[test]
    fn new_visits_come_before_old_ones_at_their_position() {
        let place = |position, slice| Place { position, slice, row: 0 };
        let order: Vec<u32> =
            merge(&[place(1, 0), place(3, 1)], &[place(1, 2), place(2, 3), place(9, 4)]).iter().map(|v| v.slice).collect();
        assert_eq!(order, [0, 2, 3, 1, 4]);
    }

    #[test]
    fn once_visits_each_new_row_once_and_no_other() {
        let key = ModelKey::from_bytes([3; 32]);
        let slices: Vec<Vec<Handle>> = (0..3).map(|s| handles(s, 30)).collect();
        let views: Vec<&[Handle]> = slices.iter().map(Vec::as_slice).collect();
        let once = Schedule { kind: ScheduleKind::Once, epochs: 1 };
        for r in 1..=3 {
            let visits = once.visits(&key, ShardId(0), 3, &views[..r]);
            let rows: std::collections::BTreeSet<u32> = visits.iter().map(|v| v.row).collect();
            assert!(rows.len() == 30 && visits.len() == 30 && visits.iter().all(|v| v.slice as usize == r - 1));
        }
    }

    #[test]
    fn empty_slices_and_prefixes_have_their_rules() {
        let key = ModelKey::from_bytes([3; 32]);
        let rows = handles(0, 5);
        for kind in KINDS {
            let schedule = Schedule { kind, epochs: 4 };
            assert!(schedule.visits(&key, ShardId(0), 2, &[&rows, &[]]).is_empty());
            assert!(schedule.visits(&key, ShardId(0), 2, &[&[]]).is_empty());
            assert!(schedule.visits(&key, ShardId(0), 2, &[&[], &rows]).len() >= 5);
        }
    }

    #[test]
    fn budgets_follow_the_page() {
        let rows = [100, 100, 100, 100];
        let replay = Schedule { kind: ScheduleKind::Replay, epochs: 10 };
        assert_eq!(replay.row_passes(&rows[..1], 4), 1000);
        assert_eq!(replay.row_passes(&rows, 4), 1000);
        let cumulative = Schedule { kind: ScheduleKind::Cumulative, epochs: 10 };
        assert_eq!(cumulative.row_passes(&rows, 4), 1600);
        let once = Schedule { kind: ScheduleKind::Once, epochs: 1 };
        assert_eq!([1, 2, 4].map(|r| once.row_passes(&rows[..r], 4)), [100, 100, 100]);
        let front = Schedule { kind: ScheduleKind::Front, epochs: 10 };
        // C(1/4) = 0.075 + 0.7 (1 - 0.75^5) = 0.6088867
        assert_eq!(front.row_passes(&rows[..1], 4), 2435);
    }
}
