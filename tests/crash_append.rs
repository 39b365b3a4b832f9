//! Whatever stops an append, and wherever: the batch is in or it is not, what served goes on serving, and the next commands end in the same
//! bytes. Sweeps as in `crash.rs`.
#![expect(clippy::unwrap_used, reason = "a test stops at what it does not expect")]

mod common;
mod sim;

use common::{FOREST, LINEAR, RIDGE};
use sim::{
    Coin, Fault, Finish, GONE, Reference, SimDisk, Story, World, every_sync_fails, every_write_fails,
    kill_at_every_operation_then_power_cut, power_cut_at_every_operation, workspace,
};
use sisa::{engine::DeleteRequest, ledger::History};

fn has(history: &History, batch: &str) -> bool {
    history.newest().is_some_and(|(_, record)| record.appended.contains_key(batch))
}

fn append_again(world: &World, number: u32) -> Finish {
    let source = world.batch(number);
    Finish::new("the same batch", true, move |engine| World::append(engine, &source, number, false))
}

/// One more batch comes. Of a network it is a slice behind the others, and the third joins the second; to a forest it goes where its rows belong.
fn append(learner: &'static str, number: u32) -> Story {
    let world = World::merging(learner);
    let (start, after) = (world.appended(number - 1), Reference::of(&world.appended(number)));
    let source = world.batch(number);
    // Rows to be answered at any moment; an answer needs no slice.
    let asked = world.batch(9);
    Story {
        name: "append",
        before: Reference::of(&start),
        start,
        run: Box::new(move |engine, _| World::append(engine, &source, number, false)),
        finishes: vec![Finish::train(), Finish::repair(), append_again(&world, number)],
        clean: vec![after.clone()],
        after,
        accepted: if number == 2 { |_, history| has(history, "b2") } else { |_, history| has(history, "b3") },
        serves: Some(asked.into()),
        world,
    }
}

/// Persons with records in all batches are deleted while the last batch is committed and not in its place.
fn delete_amid_an_append(defer: bool) -> Story {
    let world = World::merging(LINEAR);
    let (before, after) = (Reference::of(&world.appended(3)), Reference::of(&world.appended_without(3)));
    let clean = vec![after.clone(), Reference::of(&world.appended_without(2))];
    Story {
        name: "delete amid an append",
        start: committed(&world, 3),
        run: Box::new(move |engine, claims| {
            World::delete(engine, defer, || claims.effective = true)?;
            if defer { World::repair(engine) } else { Ok(()) }
        }),
        finishes: vec![
            Finish::train(),
            Finish::repair(),
            Finish::new("the same request, then repair", true, |engine| {
                World::delete(engine, false, || {})?;
                World::repair(engine)
            }),
        ],
        before,
        after,
        clean,
        accepted: |disk, history| workspace(disk).ledger().request_ids(history, "r1").unwrap().is_some(),
        serves: None,
        world,
    }
}

/// The state that serves until a batch is trained, and whose slices are joined by now, saw the persons.
fn delete_what_stands_by() -> Story {
    let world = World::merging(LINEAR);
    let start = world.appended(2);
    World::append(&World::engine(&start), &world.batch(3), 3, true).unwrap();
    let stands_by = |shard: &sisa::reports::ShardStatus| shard.full && shard.serves > 0;
    assert!(World::engine(&start).status().unwrap().shards.iter().all(stands_by));
    Story { name: "delete what stands by", start, ..delete_amid_an_append(false) }
}

/// A batch comes while a deletion is in effect and not repaired.
fn append_after_a_deferred_deletion() -> Story {
    let world = World::merging(LINEAR);
    let start = world.appended(2);
    World::delete(&World::engine(&start), true, || {}).unwrap();
    // Those who are gone are in the batch, and refused.
    let (before, after) = (Reference::of(&world.appended_without(2)), Reference::of(&world.appended_without(3)));
    let clean = vec![before.clone(), after.clone()];
    let source = world.batch(3);
    Story {
        name: "append after a deferred deletion",
        start,
        run: Box::new(move |engine, _| World::append(engine, &source, 3, false)),
        finishes: vec![Finish::train(), Finish::repair(), append_again(&world, 3)],
        before,
        after,
        clean,
        accepted: |_, history| has(history, "b3"),
        serves: None,
        world,
    }
}

/// A workspace in which the last batch is in the ledger, and its files are not in their places.
fn committed(world: &World, number: u32) -> SimDisk {
    let (start, source) = (world.appended(number - 1), world.batch(number));
    for at in 1.. {
        let stopped = start.restarted(Fault::Stop(at));
        assert!(World::append(&World::engine(&stopped), &source, number, true).is_err(), "it never gets there");
        // The entry is durable.
        let stopped = stopped.crashed(Coin::Lost);
        if workspace(&stopped).ledger().read().unwrap().placing().is_some() {
            return stopped;
        }
    }
    unreachable!("the loop has no end")
}

held! {
    a_power_cut_at_any_operation_of_an_append_leaves_the_batch_in_or_out: power_cut_at_every_operation(append(LINEAR, 2));
    a_power_cut_at_any_operation_of_an_append_that_merges_leaves_the_batch_in_or_out: power_cut_at_every_operation(append(LINEAR, 3));
    a_power_cut_at_any_operation_of_an_append_to_a_forest_leaves_the_batch_in_or_out: power_cut_at_every_operation(append(FOREST, 2));
    a_kill_of_an_append_then_a_power_cut_leaves_the_batch_in_or_out: kill_at_every_operation_then_power_cut(append(LINEAR, 2));
    a_kill_of_an_append_that_merges_then_a_power_cut_leaves_the_batch_in_or_out: kill_at_every_operation_then_power_cut(append(LINEAR, 3));
    a_kill_of_an_append_to_a_forest_then_a_power_cut_leaves_the_batch_in_or_out: kill_at_every_operation_then_power_cut(append(FOREST, 2));
    a_power_cut_at_any_operation_of_an_append_to_sums_leaves_the_batch_in_or_out: power_cut_at_every_operation(append(RIDGE, 2));
    a_kill_of_an_append_to_sums_then_a_power_cut_leaves_the_batch_in_or_out: kill_at_every_operation_then_power_cut(append(RIDGE, 2));
    a_write_that_fails_in_an_append_is_an_error_and_breaks_nothing: every_write_fails(append(LINEAR, 3));
    after_a_failed_sync_in_an_append_nothing_is_written_until_reopened: every_sync_fails(append(LINEAR, 3));
    a_write_that_fails_in_an_append_to_a_forest_is_an_error_and_breaks_nothing: every_write_fails(append(FOREST, 2));
    after_a_failed_sync_in_an_append_to_a_forest_nothing_is_written_until_reopened: every_sync_fails(append(FOREST, 2));
    a_power_cut_in_a_deletion_amid_an_append_forgets_neither: power_cut_at_every_operation(delete_amid_an_append(false));
    a_kill_of_a_deferred_deletion_amid_an_append_forgets_neither: kill_at_every_operation_then_power_cut(delete_amid_an_append(true));
    a_power_cut_in_a_deletion_of_what_stands_by_leaves_nothing_that_saw_it: power_cut_at_every_operation(delete_what_stands_by());
    a_power_cut_in_an_append_after_a_deferred_deletion_forgets_neither: power_cut_at_every_operation(append_after_a_deferred_deletion());
    a_kill_of_an_append_after_a_deferred_deletion_forgets_neither: kill_at_every_operation_then_power_cut(append_after_a_deferred_deletion());
}

#[test]
fn the_deleted_persons_are_in_slices_of_all_batches() {
    let world = World::merging(LINEAR);
    let disk = world.appended(3);
    let request = DeleteRequest { subjects: GONE.iter().map(u32::to_string).collect(), ..DeleteRequest::default() };
    let hit = World::engine(&disk).forecast(&request).unwrap().accepted.cells;
    let hit: Vec<String> = hit.into_iter().map(|change| change.cell.to_string()).collect();
    assert_eq!(hit, ["0000/01", "0000/03", "0000/holdout", "0002/02", "0002/03"]);
}
