//! Commands that are stopped at every operation, and what must hold whatever stopped them.

use std::{
    fmt::Write,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
};

use sisa::{
    engine::{Engine, Error, Input, Quiet},
    ledger::History,
};

use super::{Claims, Coin, Fault, Reference, SimDisk, World, check_finished, check_image};

/// What goes on.
pub type GoOn = Arc<dyn Fn(&Engine) -> Result<(), Error>>;

/// A way to go on after a stop.
#[derive(Clone)]
pub struct Finish {
    pub name: &'static str,
    /// Whether it asks for the same again.
    pub repeats: bool,
    pub run: GoOn,
}

impl Finish {
    pub fn new(name: &'static str, repeats: bool, run: impl Fn(&Engine) -> Result<(), Error> + 'static) -> Finish {
        Finish { name, repeats, run: Arc::new(run) }
    }

    pub fn train() -> Finish {
        Finish::new("train", false, World::train)
    }

    pub fn repair() -> Finish {
        Finish::new("repair", false, World::repair)
    }
}

/// What a story runs, and what it was told meanwhile.
pub type Run = Box<dyn Fn(&Engine, &mut Claims) -> Result<(), Error>>;

/// A command, where it starts, and where it may end.
pub struct Story {
    pub name: &'static str,
    /// Where its sources lie.
    pub world: World,
    pub start: SimDisk,
    pub run: Run,
    pub finishes: Vec<Finish>,
    /// In the end, when it was not accepted.
    pub before: Reference,
    /// In the end, when it was.
    pub after: Reference,
    /// The workspaces without the deleted persons that it may be on its way between once the deletion is in effect.
    pub clean: Vec<Reference>,
    pub accepted: fn(&SimDisk, &History) -> bool,
    /// What an ensemble of full weight answers at any moment: the held-out rows for no source.
    pub serves: Option<Input>,
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
        if let Some(asked) = &self.serves {
            match World::engine(image).evaluate(asked, &Quiet) {
                Ok(evaluation) if evaluation.members == (3, 3) => {}
                Ok(evaluation) => tally.failures.push(format!("{place}: only {:?} members answer", evaluation.members)),
                Err(e) => tally.failures.push(format!("{place}: nothing answers: {e}")),
            }
        }
        let accepted = (self.accepted)(image, &history);
        for finish in &self.finishes {
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
pub fn power_cut_at_every_operation(story: &Story) {
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
pub fn kill_at_every_operation_then_power_cut(story: &Story) {
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
pub fn every_write_fails(story: &Story) {
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
pub fn every_sync_fails(story: &Story) {
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

/// Tests that sweep stories.
#[macro_export]
macro_rules! held {
    ($($name:ident: $check:ident($story:expr);)*) => {
        $(#[test] fn $name() { $check(&$story); })*
    };
}
