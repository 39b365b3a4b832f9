//! What approximate unlearning leaves behind: in memory, on the rows in service, models with and without a set of people are trained, every
//! method tries to turn the first into the second, and how well each can be told apart is measured.
//!
//! Nothing of it is written: no approximate model is ever encoded. Should a deletion come in meanwhile, everything is dropped, as rows of
//! someone who was deleted were in memory.

mod certified;
mod exact;
mod foresee;
mod forget;
mod report;
mod requests;
mod rows;
mod set;
mod sheet;
mod train;
mod world;

use std::path::PathBuf;

use super::{
    Start,
    copies::Copies,
    methods::{self, Method},
    trial::Base,
};
use crate::{
    config::Overrides,
    engine::{Engine, Error, Observer},
    fs::Stopwatch,
    source::Input,
    workspace::WorkspaceError,
};
use forget::{Set, Witness, choose};
use set::one_set;
use train::models;
use world::World;

pub use forget::Forget;
pub use report::{
    AttackReport, Attacker, CompareReport, ExactReport, Gap, MethodReport, NewtonReport, ReferenceReport, RequestsReport, Sample,
    SetReport,
};
pub use requests::RequestsRequest;

/// What `sisa compare` is asked to do.
#[derive(Clone, Debug)]
pub struct CompareRequest {
    /// Sources to compare on, instead of the workspace at hand.
    pub sources: Input,
    /// The configuration file, for a source or an empty workspace.
    pub config: PathBuf,
    /// Flags that override it.
    pub overrides: Overrides,
    /// Another kind of learner than the workspace's.
    pub learner: Option<String>,
    /// Whom to forget, set by set.
    pub forget: Vec<Forget>,
    /// The share of people, where they are drawn.
    pub share: f64,
    /// Methods by name; `none` is always there. `newton` is the certified step, for `linear`. Empty for the usual ones.
    pub methods: Vec<String>,
    /// Settings: method, name, value.
    pub settings: Vec<(String, String, f64)>,
    /// Models a side.
    pub models: usize,
    /// Training rows at most, 0 for all.
    pub rows: usize,
    /// Columns to split held-out rows by.
    pub groups: Vec<String>,
    /// Whether to measure how soon forgotten rows are learnt again.
    pub relearn: bool,
    /// Whether real deletions are done and measured too.
    pub exact: bool,
    /// Requests that depend on what was published, instead of methods.
    pub requests: Option<RequestsRequest>,
    /// What everything is drawn from.
    pub seed: u64,
}

/// Methods that are compared where none are named.
const USUAL: [&str; 7] = ["fine-tune", "neggrad", "neggrad+", "scrub", "reset-head", "ssd", "adaptive"];
/// The certified step.
const NEWTON: &str = "newton";

/// A method's settings, by name.
type Settings = Vec<(&'static str, f64)>;

/// What is to be done, checked.
struct Chosen {
    methods: Vec<(Box<dyn Method>, Settings)>,
    newton: bool,
}

/// The methods that are asked for, each once and `none` first, with their settings.
fn chosen(request: &CompareRequest, kind: &'static str) -> Result<Chosen, Error> {
    let linear = kind == "linear";
    let input = |what: String| Error::Compare { what };
    let usual = || USUAL.iter().map(|name| (*name).to_owned()).chain(linear.then(|| NEWTON.to_owned())).collect();
    let names: Vec<String> = if request.methods.is_empty() { usual() } else { request.methods.clone() };
    let mut chosen = Chosen { methods: Vec::new(), newton: false };
    for name in std::iter::once("none").chain(names.iter().map(String::as_str)) {
        if name == NEWTON {
            if !linear {
                return Err(Error::NotConvex { kind });
            }
            chosen.newton = true;
            continue;
        }
        if chosen.methods.iter().any(|(method, _)| method.name() == name) {
            continue;
        }
        let mut method = methods::method(name)
            .ok_or_else(|| input(format!("there is no method `{name}`; there are {}, {NEWTON}", methods::NAMES.join(", "))))?;
        for (_, setting, value) in request.settings.iter().filter(|s| s.0 == name) {
            set(&mut *method, setting, *value)?;
        }
        let settings = method.settings().into_iter().map(|s| (s.name, *s.value)).collect();
        chosen.methods.push((method, settings));
    }
    let known = |name: &str| chosen.methods.iter().any(|(method, _)| method.name() == name);
    match request.settings.iter().find(|(name, _, _)| !known(name)) {
        Some((name, _, _)) => Err(input(format!("a setting is given for `{name}`, which is not among the methods"))),
        None => Ok(chosen),
    }
}

/// Sets one setting.
fn set(method: &mut dyn Method, name: &str, value: f64) -> Result<(), Error> {
    let of = method.name();
    let mut settings = method.settings();
    let names: Vec<&str> = settings.iter().map(|s| s.name).collect();
    let Some(setting) = settings.iter_mut().find(|s| s.name == name) else {
        return Err(Error::Compare {
            what: format!(
                "`{of}` has no setting `{name}`; it has {}",
                if names.is_empty() { "none".into() } else { names.join(", ") }
            ),
        });
    };
    let (low, high) = setting.range;
    if !(low..=high).contains(&value) || (setting.whole && value.fract() != 0.0) {
        let kind = if setting.whole { "a whole number" } else { "a number" };
        return Err(Error::Compare {
            what: format!("the setting `{name}` of `{of}` is {value}; allowed is {kind} from {low} to {high}"),
        });
    }
    *setting.value = value;
    Ok(())
}

/// Compares.
///
/// # Errors
/// Something that is asked for is not there, the disk refuses, or a deletion came in meanwhile ([`WorkspaceError::MovedOn`]).
pub fn compare(engine: &Engine, request: &CompareRequest, observer: &dyn Observer) -> Result<CompareReport, Error> {
    let before = engine.workspace().ledger().read()?;
    let done = with_base(engine, request, observer, |base| engine.pool().install(|| compare_on(engine, base, request, observer)));
    // Rows of whoever was deleted meanwhile were in memory; and a deletion takes scratch folders away, which is the better explanation.
    if engine.workspace().ledger().is_behind(&before)? {
        return Err(WorkspaceError::MovedOn.into());
    }
    done
}

/// The workspace at hand as it is, or one made from a source in a scratch folder.
fn with_base(
    engine: &Engine,
    request: &CompareRequest,
    observer: &dyn Observer,
    then: impl FnOnce(&Base) -> Result<CompareReport, Error> + Send,
) -> Result<CompareReport, Error> {
    let snapshot = engine.workspace().answering_snapshot()?;
    if request.sources.is_empty() && snapshot.current.is_some() {
        let root = engine.workspace().root().to_owned();
        return then(&Base::new(engine.on_copy(engine.files().clone(), root))?);
    }
    let copies = Copies::new(engine)?;
    let start = Start { sources: request.sources.clone(), config: request.config.clone(), overrides: request.overrides.clone() };
    let done = copies.base(engine, &start, observer).and_then(|base| then(&base));
    let removed = copies.remove();
    let report = done?;
    removed?;
    Ok(report)
}

fn compare_on(engine: &Engine, base: &Base, request: &CompareRequest, observer: &dyn Observer) -> Result<CompareReport, Error> {
    let clock = Stopwatch::start();
    let kind = request.learner.as_deref().unwrap_or(base.model().recipe.learner.kind());
    let world = World::load(base, base.rules_of(kind)?, request.rows, &request.groups, request.seed)?;
    let mut report = CompareReport {
        rows: world.rows.rows(),
        subjects: world.people().len(),
        held_out: world.held_out.rows(),
        learner: world.settings.kind(),
        accuracy_is: if world.has_classes() { "accuracy" } else { "R2" },
        models: request.models,
        seed: request.seed,
        ..CompareReport::default()
    };
    let done = match &request.requests {
        Some(requests) => {
            requests::requests(&world, requests, &mut report.foreseen, observer).map(|requests| report.requests = Some(requests))
        }
        None => sets(engine, base, &world, request, observer, &mut report),
    };
    report.seconds = clock.seconds();
    match done {
        Ok(()) => Ok(report),
        Err(Error::Interrupted) if !report.sets.is_empty() => Ok(CompareReport { interrupted: true, ..report }),
        Err(error) => Err(error),
    }
}

/// All sets of people in turn.
fn sets(
    engine: &Engine,
    base: &Base,
    world: &World,
    request: &CompareRequest,
    observer: &dyn Observer,
    report: &mut CompareReport,
) -> Result<(), Error> {
    let chosen = chosen(request, world.settings.kind())?;
    let chosen_sets = request.forget.iter().map(|how| Ok((how, choose(base.engine(), world, how, request.share, observer)?)));
    let people = chosen_sets.collect::<Result<Vec<(&Forget, Set)>, Error>>()?;
    let only: Vec<&Set> = people.iter().map(|(_, set)| set).collect();
    let foreseen = foresee::of_sets(engine, world, request, &only, &chosen, observer)?;
    let (sets, methods) = (people.len(), chosen.methods.len());
    let what = format!("{} models a side, {sets} sets of people, {methods} methods", request.models);
    report.foreseen = say(&what, foreseen, observer);
    let witness = Witness::train(world, observer)?;
    report.witness_row_passes = witness.row_passes;
    let all: Vec<u32> = (0..world.rows.rows() as u32).collect();
    observer.note("training the originals");
    let mut originals = models(world, &all, &keys(world, "model", 0, request.models), observer)?;
    report.parameters = originals.first().map_or(0, |trained| trained.model.weights().len());
    for (how, set) in people {
        let done = one_set(engine, base, world, request, &chosen, how, &set, &witness, &mut originals, observer)?;
        report.retraining = done.references.iter().find(|r| r.role == "retrained").map_or(0.0, |r| r.row_passes);
        report.sets.push(done);
    }
    Ok(())
}

fn keys(world: &World, role: &str, from: usize, count: usize) -> Vec<crate::digest::ModelKey> {
    (from..from + count).map(|number| world.key(role, number as u64)).collect()
}

/// Says what is to be expected.
fn say(what: &str, foreseen: foresee::Foreseen, observer: &dyn Observer) -> f64 {
    let (millions, seconds, threads) = (foreseen.row_passes / 1e6, foreseen.seconds.ceil(), rayon::current_num_threads());
    observer.note(&format!("about {millions:.0} million row-passes, {seconds:.0} s on {threads} threads: {what}"));
    foreseen.seconds
}
