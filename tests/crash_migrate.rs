//! Whatever stops a migration, and wherever: what served goes on serving until the new generation is whole, and the next commands end in the
//! same bytes. Sweeps as in `crash.rs`.
#![expect(clippy::unwrap_used, reason = "a test stops at what it does not expect")]

mod common;
mod sim;

use sim::{
    Finish, Reference, SimDisk, Story, World, every_sync_fails, every_write_fails, kill_at_every_operation_then_power_cut,
    power_cut_at_every_operation, workspace,
};
use sisa::{engine::Input, ids::GenerationId};

fn begun(disk: &SimDisk) -> bool {
    workspace(disk).ledger().read().unwrap().generations.contains_key(&GenerationId(2))
}

/// A workspace whose configuration was changed since it was trained, and what it comes to.
fn redeclared(disk: SimDisk) -> (SimDisk, Reference) {
    World::redeclare(&disk);
    let migrated = disk.restarted(sim::Fault::None);
    World::migrate(&World::engine(&migrated)).unwrap();
    assert!(begun(&migrated));
    (disk, Reference::of(&migrated))
}

fn migrate() -> Story {
    let world = World::new();
    let (start, after) = redeclared(world.trained());
    Story {
        name: "migrate",
        before: Reference::of(&start),
        start,
        run: Box::new(|engine, _| World::migrate(engine)),
        finishes: vec![Finish::train(), Finish::new("migrate again", true, World::migrate)],
        clean: vec![after.clone()],
        after,
        accepted: |_, history| history.generations.contains_key(&GenerationId(2)),
        serves: Some(Input::new()),
        world,
    }
}

/// The new generation is begun, and must neither keep the persons nor get lost.
fn delete_amid_a_migration() -> Story {
    let world = World::new();
    let (start, before) = redeclared(world.trained());
    let (without, after) = redeclared(world.trained_without());
    let mut clean = Reference::of(&without);
    clean.files.extend(after.files.clone());
    Story {
        name: "delete amid a migration, then train",
        start: World::killed(&start, World::migrate, "g0002", 2),
        run: Box::new(|engine, claims| {
            World::delete(engine, false, || claims.effective = true)?;
            World::train(engine)
        }),
        finishes: vec![
            Finish::train(),
            Finish::new("the same request, then migrate", true, |engine| {
                World::delete(engine, false, || {})?;
                World::migrate(engine)
            }),
        ],
        before,
        after,
        clean: vec![clean],
        accepted: |disk, history| workspace(disk).ledger().request_ids(history, "r1").unwrap().is_some(),
        serves: None,
        world,
    }
}

held! {
    a_power_cut_at_any_operation_of_a_migration_leaves_one_whole_ensemble: power_cut_at_every_operation(migrate());
    a_kill_of_a_migration_then_a_power_cut_leaves_one_whole_ensemble: kill_at_every_operation_then_power_cut(migrate());
    a_write_that_fails_in_a_migration_is_an_error_and_breaks_nothing: every_write_fails(migrate());
    after_a_failed_sync_in_a_migration_nothing_is_written_until_reopened: every_sync_fails(migrate());
    a_power_cut_in_a_deletion_amid_a_migration_covers_both_generations: power_cut_at_every_operation(delete_amid_a_migration());
}
