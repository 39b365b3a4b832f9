//! Whatever stops a correction, and wherever: the records are as they were or as they are to be, and the next commands end in the bytes of a
//! workspace that had the corrected records from the first on. Sweeps as in `crash.rs`.
#![expect(clippy::unwrap_used, reason = "a test stops at what it does not expect")]

mod common;
mod sim;

use common::{FOREST, LINEAR, RIDGE};
use sim::{
    Coin, Fault, Finish, Reference, SimDisk, Story, World, check_finished, every_sync_fails, every_write_fails,
    kill_at_every_operation_then_power_cut, power_cut_at_every_operation, workspace,
};
use sisa::{
    engine::{DeleteError, Error, Input, Quiet, VerifyRequest},
    ledger::History,
};

fn is_asked(disk: &SimDisk, history: &History) -> bool {
    workspace(disk).ledger().request_ids(history, "c1").unwrap().is_some()
}

/// Records of three persons hold something else, in all batches: of two shards and of those held out. Those of one are about another one
/// from then on, in another shard.
fn correct(learner: &'static str, batches: u32, defer: bool) -> Story {
    let world = World::numbered(learner);
    // The records of the one who is held out go with him.
    let (start, after) = (world.appended(batches), Reference::of(&world.appended_corrected(batches)));
    let (rows, again) = (world.corrections(batches), world.corrections(batches));
    Story {
        name: "correct",
        before: Reference::of(&start),
        start,
        run: Box::new(move |engine, claims| {
            World::correct(engine, &rows, defer, || claims.effective = true)?;
            if defer { World::repair(engine) } else { Ok(()) }
        }),
        finishes: vec![
            Finish::train(),
            Finish::repair(),
            Finish::new("the same request, then repair", true, move |engine| {
                World::correct(engine, &again, false, || {})?;
                World::repair(engine)
            }),
        ],
        clean: vec![after.clone()],
        after,
        accepted: is_asked,
        serves: None,
        world,
    }
}

/// The first image in which something is so, of a command that is stopped ever later.
fn stopped_when(start: &SimDisk, run: impl Fn(&sisa::Engine) -> bool, is_so: impl Fn(&SimDisk) -> bool) -> SimDisk {
    for at in 1.. {
        let stopped = start.restarted(Fault::Stop(at));
        assert!(!run(&World::engine(&stopped)), "it never gets there");
        // What is so is durable.
        let stopped = stopped.crashed(Coin::Lost);
        if is_so(&stopped) {
            return stopped;
        }
    }
    unreachable!("the loop has no end")
}

/// The last batch is committed and not in its place.
fn correct_amid_an_append() -> Story {
    let story = correct(LINEAR, 3, false);
    let batch = story.world.batch(3);
    let placing = |disk: &SimDisk| workspace(disk).ledger().read().unwrap().placing().is_some();
    let start = stopped_when(&story.world.appended(2), |engine| World::append(engine, &batch, 3, true).is_ok(), placing);
    let clean = vec![story.after.clone(), Reference::of(&story.world.appended_corrected(2))];
    Story { name: "correct amid an append", start, clean, ..story }
}

/// The persons are deleted while the correction of their records is accepted and not in effect.
fn delete_amid_a_correction() -> Story {
    let story = correct(LINEAR, 3, false);
    let world = World::numbered(LINEAR);
    let rows = world.corrections(3);
    let unfinished = |disk: &SimDisk| !workspace(disk).ledger().read().unwrap().unfinished().is_empty();
    let start = stopped_when(&story.start, |engine| World::correct(engine, &rows, true, || {}).is_ok(), unfinished);
    let (before, after) = (story.after.clone(), Reference::of(&world.appended_without(3)));
    Story {
        name: "delete amid a correction",
        start,
        run: Box::new(|engine, _| World::delete(engine, false, || {})),
        finishes: vec![Finish::train(), Finish::repair()],
        clean: vec![before.clone(), after.clone()],
        before,
        after,
        accepted: |disk, history| workspace(disk).ledger().request_ids(history, "r1").unwrap().is_some(),
        ..story
    }
}

held! {
    a_power_cut_at_any_operation_of_a_correction_leaves_the_old_or_the_new: power_cut_at_every_operation(correct(LINEAR, 3, false));
    a_kill_of_a_deferred_correction_then_a_power_cut_leaves_the_old_or_the_new: kill_at_every_operation_then_power_cut(correct(LINEAR, 2, true));
    a_power_cut_at_any_operation_of_a_correction_of_sums_leaves_the_old_or_the_new: power_cut_at_every_operation(correct(RIDGE, 2, false));
    a_kill_of_a_correction_of_a_forest_then_a_power_cut_leaves_the_old_or_the_new: kill_at_every_operation_then_power_cut(correct(FOREST, 2, false));
    a_write_that_fails_in_a_correction_is_an_error_and_breaks_nothing: every_write_fails(correct(LINEAR, 2, false));
    after_a_failed_sync_in_a_correction_nothing_is_written_until_reopened: every_sync_fails(correct(LINEAR, 2, false));
    a_power_cut_in_a_correction_amid_an_append_forgets_neither: power_cut_at_every_operation(correct_amid_an_append());
    a_power_cut_in_a_deletion_amid_a_correction_forgets_neither: power_cut_at_every_operation(delete_amid_a_correction());
}

/// A slice that waited for its place is gone, as no crash leaves it: nothing answers, the error says so, and both ways on work.
#[test]
fn a_lost_slice_of_a_correction_is_given_up_or_written_again() {
    let story = correct(LINEAR, 1, false);
    let rows = story.world.corrections(1);
    let unfinished = |disk: &SimDisk| !workspace(disk).ledger().read().unwrap().unfinished().is_empty();
    let start = stopped_when(&story.start, |engine| World::correct(engine, &rows, true, || {}).is_ok(), unfinished);
    let waits = |path: &&std::path::PathBuf| path.extension().is_some_and(|e| e == "next");
    let next = start.image().tree().0.keys().find(waits).cloned().unwrap();
    workspace(&start).files().unlink(&std::path::Path::new("/").join(next)).unwrap();
    let lost = World::train(&World::engine(&start)).unwrap_err();
    assert!(matches!(lost, Error::Delete(DeleteError::Lost { .. })), "{lost}");
    assert!(World::engine(&start).evaluate(&Input::new(), &Quiet).is_err());
    let again = start.restarted(Fault::None);
    World::engine(&again).repair(&story.world.as_corrected().into(), false, &Quiet).unwrap();
    check_finished(&again, &story.after).unwrap();
    World::engine(&start).repair(&Input::new(), true, &Quiet).unwrap();
    let verdict = World::engine(&start).verify(&VerifyRequest { retrain: true, ..VerifyRequest::default() }, &Quiet).unwrap();
    assert_eq!(verdict.findings, []);
}
