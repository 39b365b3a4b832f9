//! Whatever stops the expiry of a cohort, and wherever: its records are there or they are gone, and the next commands end in the bytes of a
//! workspace that never had them. Sweeps as in `crash.rs`.

mod common;
mod sim;

use common::{FOREST, LINEAR, RIDGE};
use sim::{
    Finish, Reference, SimDisk, Story, World, every_sync_fails, every_write_fails, kill_at_every_operation_then_power_cut,
    power_cut_at_every_operation, workspace,
};
use sisa::ledger::History;

fn is_asked(disk: &SimDisk, history: &History) -> bool {
    workspace(disk).ledger().request_ids(history, "e1").is_ok_and(|ids| ids.is_some())
}

/// What is older than a day goes from one shard for each year, of all batches: `20200101` empties whole shards.
fn expire(learner: &'static str, batches: u32, (date, day): (&'static str, u32), defer: bool) -> Story {
    let world = World::dated(learner);
    let (start, after) = (world.appended(batches), Reference::of(&world.appended_since(batches, day)));
    let again = move |engine: &sisa::Engine| {
        World::expire(engine, date, false, || {})?;
        World::repair(engine)
    };
    Story {
        name: "expire",
        before: Reference::of(&start),
        start,
        run: Box::new(move |engine, claims| {
            World::expire(engine, date, defer, || claims.effective = true)?;
            if defer { World::repair(engine) } else { Ok(()) }
        }),
        finishes: vec![Finish::train(), Finish::repair(), Finish::new("the same request, then repair", true, again)],
        clean: vec![after.clone()],
        after,
        accepted: is_asked,
        serves: None,
        world,
    }
}

/// The end of a cohort.
const END: (&str, u32) = ("2020-01-01", 20_200_101);
/// A day within one.
const WITHIN: (&str, u32) = ("2020-06-15", 20_200_615);

held! {
    a_power_cut_at_any_operation_of_an_expiry_leaves_all_of_a_cohort_or_nothing: power_cut_at_every_operation(expire(LINEAR, 1, END, false));
    a_kill_of_a_deferred_expiry_then_a_power_cut_leaves_all_of_a_cohort_or_nothing: kill_at_every_operation_then_power_cut(expire(LINEAR, 2, END, true));
    a_kill_of_an_expiry_within_a_cohort_then_a_power_cut_leaves_the_old_or_the_new: kill_at_every_operation_then_power_cut(expire(LINEAR, 1, WITHIN, false));
    a_power_cut_at_any_operation_of_an_expiry_from_sums_leaves_all_of_a_cohort_or_nothing: power_cut_at_every_operation(expire(RIDGE, 2, END, false));
    a_kill_of_an_expiry_from_a_forest_then_a_power_cut_leaves_all_of_a_cohort_or_nothing: kill_at_every_operation_then_power_cut(expire(FOREST, 1, END, false));
    a_write_that_fails_in_an_expiry_is_an_error_and_breaks_nothing: every_write_fails(expire(LINEAR, 1, END, false));
    after_a_failed_sync_in_an_expiry_nothing_is_written_until_reopened: every_sync_fails(expire(LINEAR, 1, END, false));
}
