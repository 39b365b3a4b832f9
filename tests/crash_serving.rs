//! Whoever stays loaded answers at every moment of a deletion, also of one that was stopped there, and never from what saw the deleted.
#![expect(clippy::unwrap_used, reason = "a test stops at what it does not expect")]

mod common;
mod sim;

use common::{FOREST, LINEAR};
use sim::{Asked, Coin, Fault, Given, World};

/// Stops a deletion before each of its operations and asks; tells how often each kind of answer came while the request was accepted and
/// not in effect.
fn asked_at_every_operation(world: &World) -> (usize, usize) {
    let (asked, start) = (Asked::of(world), world.trained());
    let run = |fault| {
        let disk = start.restarted(fault);
        let _ = World::delete(&World::engine(&disk), true, || ());
        disk
    };
    let (mut nothing, mut clean) = (0, 0);
    for at in 1..=run(Fault::None).meter().operations {
        let stopped = run(Fault::Stop(at));
        let place = format!("stopped before operation {at} ({}; after `{}`)", stopped.meter().last, stopped.meter().point);
        let cuts = [Coin::Lost, Coin::Torn(at), Coin::Seed(2 * at), Coin::Seed(2 * at + 1)];
        let images = [stopped.restarted(Fault::None)].into_iter().chain(cuts.into_iter().map(|coin| stopped.crashed(coin)));
        for image in images {
            let unfinished = !sim::workspace(&image).ledger().read().unwrap().unfinished().is_empty();
            match asked.ask(&image).unwrap_or_else(|what| panic!("{place}: {what}")) {
                Given::Nothing => nothing += 1,
                Given::Clean => clean += usize::from(unfinished),
                Given::Before => assert!(!unfinished, "{place}"),
            }
        }
    }
    (nothing, clean)
}

#[test]
fn clean_steps_answer_from_the_moment_a_request_is_accepted() {
    let (nothing, clean) = asked_at_every_operation(&World::of(LINEAR));
    assert!(nothing == 0 && clean > 40, "{clean} answers between accepted and effective, {nothing} times none");
}

#[test]
fn states_that_rows_were_taken_out_of_answer_as_soon_as_they_are_in_place() {
    let (_, clean) = asked_at_every_operation(&World::of(FOREST));
    assert!(clean > 20, "{clean} answers between accepted and effective");
}
