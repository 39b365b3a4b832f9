//! What the service keeps, on a disk that stops at every operation: a request is received, accepted, put in place, in effect, repaired and
//! closed. Without sockets: what is durable of the service are the intake and what the clerk does.

use std::{collections::BTreeMap, path::Path, sync::Arc};

use sisa::engine::{Engine, Quiet, ServeConfig};

use super::{
    book::Book,
    clerk::Clerk,
    intake::{Intake, IntakeError, Received, Record, Stage},
    keeper::Keeper,
    metrics::Metrics,
};
use crate::{
    common::FOREST,
    sim::{Asked, Claims, Coin, Fault, GONE, Given, Reference, SimDisk, World, check_finished, check_image, workspace},
};

/// The parts of a service that change the disk.
struct Service {
    engine: Arc<Engine>,
    intake: Arc<Intake>,
    clerk: Clerk,
}

/// What it told before it stopped.
#[derive(Clone, Copy, Debug, Default)]
struct Told {
    received: bool,
    claims: Claims,
}

impl Service {
    fn on(disk: &SimDisk) -> Service {
        let engine = Engine::builder(World::root()).disk(Arc::new(disk.clone())).threads(1).stays(true).open().unwrap();
        let (engine, book, metrics, config) =
            (Arc::new(engine), Arc::new(Book::default()), Arc::new(Metrics::default()), ServeConfig::default());
        let intake = Arc::new(Intake::new(engine.clone()));
        let keeper = Arc::new(Keeper::new(engine.clone(), intake.clone(), book.clone(), metrics.clone(), &config));
        let clerk = Clerk::new(engine.clone(), intake.clone(), book, keeper, metrics, &config);
        Service { engine, intake, clerk }
    }

    fn stage(&self) -> Result<Option<Stage>, IntakeError> {
        Ok(self.intake.find("r1")?.map(|record| record.stage))
    }

    /// Takes the request in, as a privacy desk's is; tells whether it was there before.
    fn receive(&self, told: &mut Told) -> Result<bool, IntakeError> {
        let handles = self.engine.subject_handles(GONE.iter().map(u32::to_string).collect())?;
        let received = self.intake.receive(Record::new("r1".into(), "desk".into(), handles, 1e12))?;
        told.received = true;
        Ok(matches!(received, Received::Before(_)))
    }

    /// Goes on as its threads would, until nothing is left to do.
    fn go_on(&self, told: &mut Told) -> Result<(), IntakeError> {
        self.clerk.look(&mut BTreeMap::new())?;
        if self.stage()? == Some(Stage::Accepted) {
            told.claims.effective = true;
        }
        self.engine.repair_waiting(&Quiet)?;
        self.clerk.look(&mut BTreeMap::new())
    }

    fn serve(&self, told: &mut Told) -> Result<(), IntakeError> {
        self.receive(told)?;
        self.go_on(told)
    }
}

fn is_ours(path: &Path) -> bool {
    path.iter().any(|part| part == "service")
}

/// Everything is done: the workspace is as expected, and of the request nothing is left but its closed file.
fn finished(disk: &SimDisk, expected: &Reference, received: bool) -> Result<(), String> {
    // Whatever came before the service is swept by the next who writes.
    let writing = workspace(disk).write(false).map_err(|e| e.to_string())?;
    writing.done().map_err(|e| e.to_string())?;
    let (here, mut expected) = (Reference::of(disk), expected.clone());
    let ours: Vec<_> = here.files.iter().filter(|(path, _)| is_ours(path)).collect();
    let closed = |path: &Path| path.iter().any(|part| part == "closed") && path.extension().is_some_and(|e| e == "json");
    if ours.len() != usize::from(received) || !ours.iter().all(|(path, _)| closed(path)) {
        return Err(format!("the service left {:?}", ours.iter().map(|(path, _)| path).collect::<Vec<_>>()));
    }
    expected.files.extend(ours.into_iter().map(|(path, bytes)| (path.clone(), bytes.clone())));
    expected.dirs.extend(here.dirs.iter().filter(|path| is_ours(path)).cloned());
    check_finished(disk, &expected)?;
    let log = Service::on(disk).engine.log().map_err(|e| e.to_string())?;
    let (done, kept) = (log.iter().filter(|r| r.repaired.is_some()).count(), usize::from(received));
    if (log.len(), done) == (kept, kept) { Ok(()) } else { Err(format!("{} entries, {done} of them repaired", log.len())) }
}

/// The workspaces between which the request leads, and what is asked meanwhile.
struct Sweep {
    asked: Asked,
    before: Reference,
    after: Reference,
}

impl Sweep {
    /// What must hold of an image as it was left, and once a new service has gone on with it; tells what was answered before that.
    fn judge(&self, image: &SimDisk, told: Told) -> Result<Given, String> {
        check_image(image, told.claims, std::slice::from_ref(&self.after))?;
        let given = self.asked.ask(image)?;
        let disk = image.restarted(Fault::None);
        let (service, mut again) = (Service::on(&disk), Told::default());
        service.go_on(&mut again).map_err(|e| format!("the next service does not go on: {e}"))?;
        let kept = service.stage().map_err(|e| e.to_string())?;
        if told.received && kept.is_none() {
            return Err("a request that was answered 201 is lost".into());
        }
        drop(service);
        finished(&disk, if kept.is_some() { &self.after } else { &self.before }, kept.is_some())?;
        // Whoever heard nothing asks again, under the same name.
        let (service, mut again) = (Service::on(&disk), Told::default());
        let known = service.receive(&mut again).map_err(|e| format!("asked again: {e}"))?;
        if known != kept.is_some() {
            return Err(format!("asked again, it is known: {known}"));
        }
        service.go_on(&mut again).map_err(|e| format!("asked again: {e}"))?;
        drop(service);
        finished(&disk, &self.after, true).map_err(|e| format!("asked again: {e}"))?;
        if self.asked.ask(&disk)? == Given::Clean { Ok(given) } else { Err("in the end nothing answers".into()) }
    }
}

#[test]
fn a_request_that_was_answered_is_done_once_whatever_stops_the_service() {
    let world = World::of(FOREST);
    let (start, after) = (world.trained(), Reference::of(&world.trained_without()));
    let sweep = Sweep { asked: Asked::of(&world), before: Reference::of(&start), after };
    let run = |fault| {
        let (disk, mut told) = (start.restarted(fault), Told::default());
        let served = Service::on(&disk).serve(&mut told);
        (disk, told, served)
    };
    let (whole, told, served) = run(Fault::None);
    served.unwrap();
    assert!(told.received && told.claims.effective);
    finished(&whole, &sweep.after, true).unwrap();
    let operations = whole.meter().operations;
    let (mut failures, mut clean) = (Vec::new(), 0);
    for at in 1..=operations {
        let (disk, told, _) = run(Fault::Stop(at));
        let meter = disk.meter();
        let place = format!("stopped before operation {at} ({}; after `{}`)", meter.last, meter.point);
        let killed = ("killed", disk.restarted(Fault::None));
        let cuts = [Coin::Lost, Coin::Torn(at), Coin::Seed(at)].map(|coin| ("power cut", disk.crashed(coin)));
        for (how, image) in [killed].into_iter().chain(cuts) {
            match sweep.judge(&image, told) {
                Ok(given) => clean += usize::from(given == Given::Clean),
                Err(what) => failures.push(format!("{place}, {how}: {what}")),
            }
        }
    }
    assert!(
        failures.is_empty(),
        "{} failures, such as\n{}",
        failures.len(),
        failures.iter().take(8).cloned().collect::<Vec<_>>().join("\n")
    );
    assert!(operations > 60 && clean > 100, "{operations} operations, {clean} clean answers");
}
