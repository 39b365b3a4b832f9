//! Whatever stops the engine, and wherever: what it promised is on the disk, and the next commands end in the same bytes.
//!
//! Every history is run once to count its operations, then once for each of them with the machine stopping there, each write failing, and
//! each sync failing. One thread, so that the order of operations is the same in each run.
#![expect(clippy::unwrap_used, clippy::print_stderr, reason = "a test stops at what it does not expect, and says what it ran")]

mod common;
mod sim;

use std::{
    fmt::Write,
    panic::{AssertUnwindSafe, catch_unwind},
};

use sim::{Claims, Coin, Fault, Reference, SimDisk, World, check_finished, check_image, workspace};
use sisa::{
    engine::{Engine, Error, Input, Quiet},
    ids::GenerationId,
    ledger::History,
};

/// A way to go on after a stop.
struct Finish {
    name: &'static str,
    /// Whether it asks for the same again.
    repeats: bool,
    run: fn(&Engine) -> Result<(), Error>,
}

/// A command, where it starts, and where it may end.
struct Story {
    name: &'static str,
    start: SimDisk,
    run: fn(&Engine, &mut Claims) -> Result<(), Error>,
    finishes: &'static [Finish],
    /// In the end, when it was not accepted.
    before: Reference,
    /// In the end, when it was.
    after: Reference,
    /// Every file that may be there once the deletion is in effect.
    clean: Reference,
    accepted: fn(&SimDisk, &History) -> bool,
    /// Whether an ensemble that is whole answers at any moment.
    serves: bool,
}

const TRAIN: Finish = Finish { name: "train", repeats: false, run: World::train };
const REPAIR: Finish = Finish { name: "repair", repeats: false, run: World::repair };
const DELETE_AGAIN: Finish = Finish {
    name: "the same request, then repair",
    repeats: true,
    run: |engine| {
        World::delete(engine, false, || {})?;
        World::repair(engine)
    },
};
const DELETE_AGAIN_THEN_TRAIN: Finish = Finish {
    name: "the same request, then train",
    repeats: true,
    run: |engine| {
        World::delete(engine, false, || {})?;
        World::train(engine)
    },
};
const REKEY_AGAIN: Finish = Finish {
    name: "rekey again",
    repeats: true,
    run: |engine| match engine.workspace().snapshot()?.current {
        // It was done but for tidying up; to ask once more would be another rekeying.
        Some(current) if current.generation == GenerationId(2) => World::train(engine),
        _ => World::rekey(engine),
    },
};

fn train() -> Story {
    let world = World::new();
    let after = Reference::of(&world.trained());
    leak(world, |world| Story {
        name: "train",
        start: world.empty(),
        run: |engine, _| World::train(engine),
        finishes: &[TRAIN],
        before: after.clone(),
        clean: after.clone(),
        after,
        accepted: |_, _| true,
        serves: false,
    })
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
    leak(world, |world| Story {
        name,
        before: Reference::of(&world.trained()),
        start: start(world),
        run: if defer {
            |engine, claims| {
                World::delete(engine, true, || claims.effective = true)?;
                World::repair(engine)
            }
        } else {
            |engine, claims| World::delete(engine, false, || claims.effective = true)
        },
        finishes: &[TRAIN, REPAIR, DELETE_AGAIN],
        clean: after.clone(),
        after,
        accepted: |disk, history| workspace(disk).ledger().request_ids(history, "r1").unwrap().is_some(),
        serves: false,
    })
}

fn rekey() -> Story {
    let world = World::new();
    let start = world.trained();
    let rekeyed = start.restarted(Fault::None);
    World::rekey(&World::engine(&rekeyed)).unwrap();
    leak(world, |_| Story {
        name: "rekey",
        before: Reference::of(&start),
        start,
        run: |engine, _| World::rekey(engine),
        finishes: &[TRAIN, REKEY_AGAIN],
        clean: Reference::of(&rekeyed),
        after: Reference::of(&rekeyed),
        accepted: |_, history| history.generations.contains_key(&GenerationId(2)),
        serves: true,
    })
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
    leak(world, |world| Story {
        name: "delete during a rekeying, then train",
        start: World::killed(&world.trained(), World::rekey, "g0002", 2),
        run: |engine, claims| {
            World::delete(engine, false, || claims.effective = true)?;
            World::train(engine)
        },
        finishes: &[TRAIN, DELETE_AGAIN_THEN_TRAIN],
        before,
        after,
        clean,
        accepted: |disk, history| workspace(disk).ledger().request_ids(history, "r1").unwrap().is_some(),
        serves: false,
    })
}

/// The source must outlive the story, which reads it again.
fn leak(world: World, make: impl FnOnce(&World) -> Story) -> Story {
    make(Box::leak(Box::new(world)))
}

/// What went wrong, and how many images were looked at.
#[derive(Default)]
struct Tally {
    images: u64,
    finished: u64,
    failures: Vec<String>,
}

impl Tally {
    fn end(self, story: &Story, what: &str, points: u64) {
        eprintln!("{}: {points} {what}, {} images, {} finished", story.name, self.images, self.finished);
        let mut text = String::new();
        self.failures.iter().take(8).for_each(|failure| write!(text, "\n  {failure}").unwrap());
        assert!(self.failures.is_empty(), "{}: {} failures, such as{text}", story.name, self.failures.len());
    }
}

impl Story {
    /// Runs the command with a fault in its way; the caller's view of it.
    fn broken(&self, fault: Fault) -> (SimDisk, Claims, Result<(), Error>) {
        let disk = self.start.restarted(fault);
        let mut claims = Claims::default();
        let result = (self.run)(&World::engine(&disk), &mut claims);
        (disk, claims, result)
    }

    /// An image is sound, and every way to go on ends well.
    fn judge(&self, tally: &mut Tally, place: &str, image: &SimDisk, claims: Claims, cut: Option<u64>) {
        tally.images += 1;
        let history = match check_image(image, claims, &self.clean) {
            Ok(history) => history,
            Err(what) => return tally.failures.push(format!("{place}: {what}")),
        };
        if self.serves {
            match World::engine(image).evaluate(&Input::new(), &Quiet) {
                Ok(evaluation) if evaluation.members == (3, 3) => {}
                Ok(evaluation) => tally.failures.push(format!("{place}: only {:?} members answer", evaluation.members)),
                Err(e) => tally.failures.push(format!("{place}: nothing answers: {e}")),
            }
        }
        let accepted = (self.accepted)(image, &history);
        for finish in self.finishes {
            let expected = if accepted || finish.repeats { &self.after } else { &self.before };
            if let Err(what) = self.finish(finish, image, expected, cut) {
                tally.failures.push(format!("{place}, then {}: {what}", finish.name));
            }
            tally.finished += 1;
        }
    }

    /// Goes on; with `cut`, through a second stop at an operation drawn from it, and a power cut.
    fn finish(&self, finish: &Finish, image: &SimDisk, expected: &Reference, cut: Option<u64>) -> Result<(), String> {
        let go_on = |disk: &SimDisk| match catch_unwind(AssertUnwindSafe(|| (finish.run)(&World::engine(disk)))) {
            Ok(Ok(())) => Ok(()),
            Ok(Err(e)) => Err(format!("{e}")),
            Err(_) => Err("it panics".to_owned()),
        };
        let disk = image.restarted(Fault::None);
        go_on(&disk)?;
        check_finished(&disk, expected)?;
        // The end is durable as far as the ledger says so.
        for coin in [Coin::Lost, Coin::Torn(7)] {
            let later = disk.crashed(coin);
            check_image(&later, Claims::default(), &self.clean).map_err(|e| format!("power cut at the end, {coin:?}: {e}"))?;
            go_on(&later)
                .and_then(|()| check_finished(&later, expected))
                .map_err(|e| format!("power cut at the end, {coin:?}: {e}"))?;
        }
        let operations = disk.meter().operations;
        let Some(seed) = cut.filter(|_| operations > 0) else { return Ok(()) };
        let at = 1 + seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) % operations;
        let disk = image.restarted(Fault::Stop(at));
        if go_on(&disk).is_ok() {
            return Err(format!("it succeeds although the machine stopped at operation {at}"));
        }
        let meter = disk.meter();
        let again = disk.crashed(if seed % 2 == 0 { Coin::Lost } else { Coin::Seed(seed) });
        let named = |e| format!("power cut before operation {at} ({}; after `{}`): {e}", meter.last, meter.point);
        let history = check_image(&again, Claims::default(), &self.clean).map_err(named)?;
        let accepted = finish.repeats || (self.accepted)(&again, &history);
        go_on(&again).and_then(|()| check_finished(&again, if accepted { &self.after } else { &self.before })).map_err(named)
    }
}

/// The power goes before each operation; two coins, and the two extremes.
fn power_cut_at_every_operation(story: &Story) {
    let (disk, _, result) = story.broken(Fault::None);
    result.unwrap();
    check_finished(&disk, &story.after).unwrap();
    let operations = disk.meter().operations;
    let mut tally = Tally::default();
    for at in 1..=operations {
        let (disk, claims, result) = story.broken(Fault::Stop(at));
        let meter = disk.meter();
        let place = format!("power cut before operation {at} ({}; after `{}`)", meter.last, meter.point);
        if result.is_ok() {
            tally.failures.push(format!("{place}: the command succeeds"));
        }
        for coin in [Coin::Lost, Coin::Torn(at), Coin::Seed(2 * at), Coin::Seed(2 * at + 1)] {
            story.judge(&mut tally, &format!("{place}, {coin:?}"), &disk.crashed(coin), claims, None);
        }
    }
    tally.end(story, "operations", operations);
}

/// The process is killed before each operation and started again; the power goes during the second run, or after it.
fn kill_at_every_operation_then_power_cut(story: &Story) {
    let operations = story.broken(Fault::None).0.meter().operations;
    let mut tally = Tally::default();
    for at in 1..=operations {
        let (disk, claims, _) = story.broken(Fault::Stop(at));
        let meter = disk.meter();
        let place = format!("killed before operation {at} ({}; after `{}`)", meter.last, meter.point);
        for seed in [2 * at, 2 * at + 1] {
            story.judge(&mut tally, &place, &disk.restarted(Fault::None), claims, Some(seed));
        }
    }
    tally.end(story, "operations", operations);
}

/// Each write fails: once, and for good. The command says so, and the same holds after it.
fn every_write_fails(story: &Story) {
    let writes = story.broken(Fault::None).0.meter().writes;
    let mut tally = Tally::default();
    for at in 1..=writes {
        for fault in [Fault::Full(at), Fault::Broken(at)] {
            let (disk, claims, result) = story.broken(fault);
            let meter = disk.meter();
            let place = format!("{fault:?} ({}; after `{}`)", meter.last, meter.point);
            if result.is_ok() {
                tally.failures.push(format!("{place}: the command succeeds"));
            }
            story.judge(&mut tally, &format!("{place}, restarted"), &disk.restarted(Fault::None), claims, Some(at));
            story.judge(&mut tally, &format!("{place}, power cut"), &disk.crashed(Coin::Seed(at)), claims, None);
        }
    }
    tally.end(story, "writes", writes);
}

/// Each sync fails. The command says so and writes nothing more, and the same holds after it.
fn every_sync_fails(story: &Story) {
    let syncs = story.broken(Fault::None).0.meter().syncs;
    let mut tally = Tally::default();
    for at in 1..=syncs {
        let (disk, claims, result) = story.broken(Fault::Sync(at));
        let meter = disk.meter();
        let place = format!("failed sync {at} ({}; after `{}`)", meter.last, meter.point);
        if result.is_ok() {
            tally.failures.push(format!("{place}: the command succeeds"));
        }
        if let Some(what) = meter.after_failed_sync.first() {
            tally.failures.push(format!("{place}: and yet: {what}"));
        }
        story.judge(&mut tally, &format!("{place}, restarted"), &disk.restarted(Fault::None), claims, Some(at));
        for coin in [Coin::Lost, Coin::Seed(at)] {
            story.judge(&mut tally, &format!("{place}, power cut, {coin:?}"), &disk.crashed(coin), claims, None);
        }
    }
    tally.end(story, "syncs", syncs);
}

macro_rules! held {
    ($($name:ident: $check:ident($story:expr);)*) => {
        $(#[test] fn $name() { $check(&$story); })*
    };
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
