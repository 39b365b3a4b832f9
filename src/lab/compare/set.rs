//! One set of people, all methods in turn.

use rayon::prelude::*;

use super::{
    super::{
        measures::mean,
        median,
        methods::{self, Job, Orders, Stop},
        trial::Base,
    },
    Chosen, CompareRequest, Forget, ReferenceReport, SetReport, certified, exact,
    forget::{Set, Witness, label_variance},
    keys,
    rows::{Context, Cost, Side, samples},
    sheet::{PROBED, Questions, Sheet},
    train::{Trained, models},
    world::World,
};
use crate::{
    engine::{Engine, Error, Observer},
    fs::Stopwatch,
    learn::Features,
};

/// One set of people.
#[expect(clippy::too_many_arguments, reason = "what all sets share")]
pub(super) fn one_set(
    engine: &Engine,
    base: &Base,
    world: &World,
    request: &CompareRequest,
    chosen: &Chosen,
    how: &Forget,
    set: &Set,
    witness: &Witness,
    originals: &mut [Trained],
    observer: &dyn Observer,
) -> Result<SetReport, Error> {
    let n = request.models;
    observer.note(&format!("{}: training {} models without them, twice", how.name(), n));
    let mut retrained = models(world, &set.retain, &keys(world, "model", n, n), observer)?;
    let mut floor = models(world, &set.retain, &keys(world, "model", 2 * n, n), observer)?;
    let forgotten = world.rows.take(&set.forget);
    let probed = world.rows.take(&probed(world, &set.retain));
    let questions = Questions { world, forget: forgotten.view(), retain: probed.view(), variance: label_variance(world) };
    let ask = |trained: &mut [Trained]| -> Vec<Sheet> {
        let one = |trained: &mut Trained| {
            let weights = trained.model.weights().to_vec();
            questions.ask(|features| scores(trained, &weights, features))
        };
        trained.par_iter_mut().map(one).collect()
    };
    let sheets = [ask(originals), ask(&mut retrained), ask(&mut floor)];
    let [original_sheets, retrained_sheets, floor_sheets] = &sheets;
    let seconds = |trained: &[Trained]| median(trained.iter().map(|t| t.seconds)).unwrap_or(0.0);
    let row_passes = |trained: &[Trained]| mean(&trained.iter().map(|t| t.row_passes as f64).collect::<Vec<f64>>());
    let references = [("original", &*originals), ("retrained", &retrained), ("floor", &floor)];
    let references = references.iter().zip(&sheets).map(|((role, trained), sheets)| {
        let of = |part: &dyn Fn(&Sheet) -> f64| mean(&sheets.iter().map(part).collect::<Vec<f64>>());
        ReferenceReport {
            role,
            models: sheets.len(),
            row_passes: row_passes(trained),
            seconds: seconds(trained),
            retain_accuracy: of(&|s| s.retain.accuracy),
            accuracy: of(&|s| s.held_out.accuracy),
            log_loss: of(&|s| s.held_out.loss),
            forget_loss: of(&|s| s.forget_loss),
            samples: samples(sheets),
        }
    });
    let references: Vec<ReferenceReport> = references.collect();
    let context = Context {
        world,
        owner: &set.owner,
        retrained: retrained_sheets,
        reference: Side::of(retrained_sheets),
        retraining: (row_passes(&retrained), seconds(&retrained)),
    };
    let whole = Cost { row_passes: vec![context.retraining.0], seconds: vec![context.retraining.1], stopped: (0, 0) };
    let mut done = SetReport {
        name: how.name(),
        who: how.describe(),
        subjects: set.people.len(),
        rows: set.forget.len(),
        references,
        floor: context.row("floor", Vec::new(), floor_sheets, None, &whole),
        methods: Vec::new(),
        exact: None,
        newton: None,
    };
    let clean = witness.clean(world, &set.forget);
    let fresh: Vec<Vec<f32>> = (0..2 * n).map(|number| fresh(world, number)).collect();
    let job = |number: usize| Job {
        rows: world.rows.view(),
        records: &world.records,
        retain: &set.retain,
        forget: &set.forget,
        forgotten: forgotten.view(),
        held_out: world.held_out.view(),
        clean: &clean,
        rules: world.rules,
        orders: Orders::new(world.seed("orders", number as u64)),
        fresh: fresh.get(number).map_or(&[], Vec::as_slice),
    };
    // What the retrained models were before anything was done is the goal of learning again.
    let known = mean(&original_sheets.iter().map(|s| s.forget_loss).collect::<Vec<f64>>());
    let anew = |(number, trained): (usize, &mut Trained)| {
        let weights = trained.model.weights().to_vec();
        relearn(trained, &weights, &job(n + number), known)
    };
    let anew: Vec<f64> = if request.relearn { retrained.par_iter_mut().enumerate().map(anew).collect() } else { Vec::new() };
    let anew = mean(&anew).max(1.0);
    for (method, settings) in &chosen.methods {
        if observer.stopped() {
            return Err(Error::Interrupted);
        }
        observer.note(&format!("{}: {}", how.name(), method.name()));
        let one = |(number, trained): (usize, &mut Trained)| {
            let clock = Stopwatch::start();
            let unlearned = method.run(&mut *trained.model, &job(number));
            let seconds = clock.seconds();
            let sheet = questions.ask(|features| scores(trained, &unlearned.weights, features));
            let again = request.relearn.then(|| relearn(trained, &unlearned.weights, &job(number), known));
            (sheet, unlearned.row_passes, seconds, unlearned.stop, again)
        };
        let made: Vec<_> = originals.par_iter_mut().enumerate().map(one).collect();
        let other = |(number, trained): (usize, &mut Trained)| {
            let unlearned = method.run(&mut *trained.model, &job(n + number));
            questions.ask_forget(|features| scores(trained, &unlearned.weights, features))
        };
        let placebo = Side::of_pairs(retrained.par_iter_mut().enumerate().map(other).collect());
        let count = |stop: Stop| made.iter().filter(|m| m.3 == stop).count();
        let cost = Cost {
            row_passes: made.iter().map(|m| m.1).collect(),
            seconds: made.iter().map(|m| m.2).collect(),
            stopped: (count(Stop::Goal), count(Stop::Budget)),
        };
        let again: Vec<f64> = made.iter().filter_map(|m| m.4).collect();
        let sheets: Vec<Sheet> = made.into_iter().map(|m| m.0).collect();
        let mut row = context.row(method.name(), settings.clone(), &sheets, Some(&placebo), &cost);
        row.relearn = request.relearn.then(|| mean(&again) / anew);
        done.methods.push(row);
    }
    if chosen.newton {
        done.newton = certified::newton(world, set, n, observer)?;
    }
    if request.exact {
        done.exact = Some(exact::exact(engine, base, world, set, &questions, n, observer)?);
    }
    Ok(done)
}

/// The rows that stay about which models are asked: the first in an order that means nothing.
pub(super) fn probed(world: &World, rows: &[u32]) -> Vec<u32> {
    let draw = world.key("probe", 0).shard_draw();
    let mut drawn: Vec<(u64, u32)> =
        rows.iter().filter_map(|row| world.records.get(*row as usize).map(|record| (draw.of(*record), *row))).collect();
    drawn.sort_unstable();
    drawn.truncate(PROBED);
    drawn.into_iter().map(|(_, row)| row).collect()
}

/// Weights before any row, of a model's own draw.
pub(super) fn fresh(world: &World, number: usize) -> Vec<f32> {
    let state = world.learner.init(&world.layout, world.seed("fresh", number as u64));
    state.differentiable().map_or_else(Vec::new, |model| model.weights().to_vec())
}

pub(super) fn scores(trained: &mut Trained, weights: &[f32], features: &Features<'_>) -> Vec<f32> {
    let mut out = vec![0.0; features.rows() * trained.model.outputs()];
    trained.model.scores(weights, features, &mut out);
    out
}

/// Row-passes of training on forget rows until their mean loss is at most `known`.
fn relearn(trained: &mut Trained, weights: &[f32], job: &Job<'_>, known: f64) -> f64 {
    methods::relearn(&mut *trained.model, weights, job, known)
}
