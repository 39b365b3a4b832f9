//! Whatever stops the engine, and wherever: what it promised is on the disk, and the next commands end in the same bytes.
//!
//! Every history is run once to count its operations, then once for each of them with the machine stopping there, each write failing, and
//! each sync failing. One thread, so that the order of operations is the same in each run.
#![expect(clippy::unwrap_used, reason = "a test stops at what it does not expect")]

mod common;
mod sim;

use sim::{
    Fault, Finish, Reference, SimDisk, Story, World, every_sync_fails, every_write_fails, kill_at_every_operation_then_power_cut,
    power_cut_at_every_operation, workspace,
};
use sisa::{engine::Input, ids::GenerationId};

fn delete_again() -> Finish {
    Finish::new("the same request, then repair", true, |engine| {
        World::delete(engine, false, || {})?;
        World::repair(engine)
    })
}

fn delete_again_then_train() -> Finish {
    Finish::new("the same request, then train", true, |engine| {
        World::delete(engine, false, || {})?;
        World::train(engine)
    })
}

fn rekey_again() -> Finish {
    Finish::new("rekey again", true, |engine| match engine.workspace().snapshot()?.current {
        // It was done but for tidying up; to ask once more would be another rekeying.
        Some(current) if current.generation == GenerationId(2) => World::train(engine),
        _ => World::rekey(engine),
    })
}

fn train() -> Story {
    let world = World::new();
    let after = Reference::of(&world.trained());
    Story {
        name: "train",
        start: world.empty(),
        run: Box::new(|engine, _| World::train(engine)),
        finishes: vec![Finish::train()],
        before: after.clone(),
        clean: vec![after.clone()],
        after,
        accepted: |_, _| true,
        serves: None,
        world,
    }
}

fn delete(defer: bool) -> Story {
    delete_from(if defer { "delete --defer, then repair" } else { "delete" }, defer, World::trained)
}

/// Checkpoints of the killed training were never synced.
fn delete_after_killed_training() -> Story {
    delete_from("delete after a killed training", false, |world| World::killed(&world.empty(), World::train, "g0001", 3))
}

/// Checkpoints in the scratch folder saw the persons too.
fn delete_after_killed_verify() -> Story {
    delete_from("delete after a killed verify", false, |world| World::killed(&world.trained(), World::verify, ".scratch", 2))
}

/// Rows are taken out of the states; nothing is trained.
fn delete_from_forest() -> Story {
    delete_in(World::of(common::FOREST), "delete from a forest", false, World::trained)
}

/// A folder of the ledger ends in the deletion, so that a summary is written in it, at one of its entries and then at another.
fn delete_across_a_summary(entries: u64) -> Story {
    let start = match entries {
        98 => |world: &World| world.trained_long_ago(98),
        99 => |world: &World| world.trained_long_ago(99),
        _ => |world: &World| world.trained_long_ago(100),
    };
    delete_from("delete across a summary of the ledger", false, start)
}

fn delete_from(name: &'static str, defer: bool, start: fn(&World) -> SimDisk) -> Story {
    delete_in(World::new(), name, defer, start)
}

fn delete_in(world: World, name: &'static str, defer: bool, start: fn(&World) -> SimDisk) -> Story {
    let after = Reference::of(&world.trained_without());
    Story {
        name,
        before: Reference::of(&world.trained()),
        start: start(&world),
        run: Box::new(move |engine, claims| {
            World::delete(engine, defer, || claims.effective = true)?;
            if defer { World::repair(engine) } else { Ok(()) }
        }),
        finishes: vec![Finish::train(), Finish::repair(), delete_again()],
        clean: vec![after.clone()],
        after,
        accepted: |disk, history| workspace(disk).ledger().request_ids(history, "r1").unwrap().is_some(),
        serves: None,
        world,
    }
}

fn rekey() -> Story {
    let world = World::new();
    let start = world.trained();
    let rekeyed = start.restarted(Fault::None);
    World::rekey(&World::engine(&rekeyed)).unwrap();
    Story {
        name: "rekey",
        before: Reference::of(&start),
        start,
        run: Box::new(|engine, _| World::rekey(engine)),
        finishes: vec![Finish::train(), rekey_again()],
        clean: vec![Reference::of(&rekeyed)],
        after: Reference::of(&rekeyed),
        accepted: |_, history| history.generations.contains_key(&GenerationId(2)),
        serves: Some(Input::new()),
        world,
    }
}

/// The new generation is begun, and must neither keep the persons nor get lost.
fn delete_during_rekeying() -> Story {
    let world = World::new();
    let rekeyed = |disk: SimDisk| {
        World::rekey(&World::engine(&disk)).unwrap();
        Reference::of(&disk)
    };
    let (before, after) = (rekeyed(world.trained()), rekeyed(world.trained_without()));
    let mut clean = Reference::of(&world.trained_without());
    clean.files.extend(after.files.clone());
    Story {
        name: "delete during a rekeying, then train",
        start: World::killed(&world.trained(), World::rekey, "g0002", 2),
        run: Box::new(|engine, claims| {
            World::delete(engine, false, || claims.effective = true)?;
            World::train(engine)
        }),
        finishes: vec![Finish::train(), delete_again_then_train()],
        before,
        after,
        clean: vec![clean],
        accepted: |disk, history| workspace(disk).ledger().request_ids(history, "r1").unwrap().is_some(),
        serves: None,
        world,
    }
}

held! {
    a_power_cut_at_any_operation_of_training_loses_no_promise: power_cut_at_every_operation(train());
    a_power_cut_at_any_operation_of_a_deletion_forgets_no_accepted_request: power_cut_at_every_operation(delete(false));
    a_power_cut_at_any_operation_of_a_deferred_deletion_forgets_no_accepted_request: power_cut_at_every_operation(delete(true));
    a_power_cut_at_any_operation_of_a_rekeying_leaves_one_whole_ensemble: power_cut_at_every_operation(rekey());
    a_kill_of_training_then_a_power_cut_loses_no_promise: kill_at_every_operation_then_power_cut(train());
    a_kill_of_a_deletion_then_a_power_cut_forgets_no_accepted_request: kill_at_every_operation_then_power_cut(delete(false));
    a_kill_of_a_deferred_deletion_then_a_power_cut_forgets_no_accepted_request: kill_at_every_operation_then_power_cut(delete(true));
    a_kill_of_a_rekeying_then_a_power_cut_leaves_one_whole_ensemble: kill_at_every_operation_then_power_cut(rekey());
    a_power_cut_in_a_summary_before_a_deletion_forgets_no_accepted_request: power_cut_at_every_operation(delete_across_a_summary(100));
    a_power_cut_in_a_summary_within_a_deletion_forgets_no_accepted_request: power_cut_at_every_operation(delete_across_a_summary(99));
    a_kill_in_a_summary_after_a_deletion_forgets_no_accepted_request: kill_at_every_operation_then_power_cut(delete_across_a_summary(98));
    a_write_of_a_summary_that_fails_breaks_nothing: every_write_fails(delete_across_a_summary(99));
    after_a_failed_sync_of_a_summary_nothing_is_written: every_sync_fails(delete_across_a_summary(99));
    a_power_cut_in_a_deletion_after_a_killed_training_forgets_no_accepted_request: power_cut_at_every_operation(delete_after_killed_training());
    a_kill_of_a_deletion_after_a_killed_training_forgets_no_accepted_request: kill_at_every_operation_then_power_cut(delete_after_killed_training());
    a_power_cut_in_a_deletion_after_a_killed_verify_leaves_no_scratch: power_cut_at_every_operation(delete_after_killed_verify());
    a_kill_of_a_deletion_after_a_killed_verify_leaves_no_scratch: kill_at_every_operation_then_power_cut(delete_after_killed_verify());
    a_power_cut_in_a_deletion_from_a_forest_forgets_no_accepted_request: power_cut_at_every_operation(delete_from_forest());
    a_kill_of_a_deletion_from_a_forest_forgets_no_accepted_request: kill_at_every_operation_then_power_cut(delete_from_forest());
    a_write_that_fails_in_a_deletion_from_a_forest_breaks_nothing: every_write_fails(delete_from_forest());
    after_a_failed_sync_in_a_deletion_from_a_forest_nothing_is_written: every_sync_fails(delete_from_forest());
    a_power_cut_in_a_deletion_during_a_rekeying_covers_both_generations: power_cut_at_every_operation(delete_during_rekeying());
    a_kill_of_a_deletion_during_a_rekeying_covers_both_generations: kill_at_every_operation_then_power_cut(delete_during_rekeying());
    a_write_that_fails_in_training_is_an_error_and_breaks_nothing: every_write_fails(train());
    a_write_that_fails_in_a_deletion_is_an_error_and_breaks_nothing: every_write_fails(delete(false));
    a_write_that_fails_in_a_deferred_deletion_is_an_error_and_breaks_nothing: every_write_fails(delete(true));
    a_write_that_fails_in_a_rekeying_is_an_error_and_breaks_nothing: every_write_fails(rekey());
    after_a_failed_sync_in_training_nothing_is_written_until_reopened: every_sync_fails(train());
    after_a_failed_sync_in_a_deletion_nothing_is_written_until_reopened: every_sync_fails(delete(false));
    after_a_failed_sync_in_a_deferred_deletion_nothing_is_written_until_reopened: every_sync_fails(delete(true));
    after_a_failed_sync_in_a_rekeying_nothing_is_written_until_reopened: every_sync_fails(rekey());
}

#[test]
fn the_deleted_persons_are_in_two_shards_of_three_and_a_holdout() {
    let disk = World::new().trained();
    let engine = World::engine(&disk);
    let hit: Vec<_> = sim::GONE.iter().map(|person| World::hit(&engine, *person).concat()).collect();
    assert_eq!(hit, ["0000/01", "0002/02", "0000/holdout"]);
}

#[test]
fn rekeying_gives_what_an_import_under_the_new_key_gives() {
    let world = World::new();
    let rekeyed = rekey().after;
    let imported = world.imported_as_rekeyed();
    let found: Vec<_> = rekeyed.files.iter().filter(|(path, _)| imported.contains_key(*path)).collect();
    assert_eq!(found.len(), 15, "three shards of two slices, a holdout and two checkpoints each");
    assert!(found.into_iter().all(|(path, bytes)| imported.get(path) == Some(bytes)));
    assert_eq!(imported.len(), 15);
}
