//! The exact row: real deletions beside the methods.

use rayon::prelude::*;

use super::{
    super::{copies::Copies, measures::mean, trial::Base},
    forget::Set,
    report::ExactReport,
    rows::{Side, gap, told},
    sheet::{Questions, Sheet},
    train::ensemble,
    world::World,
};
use crate::{
    digest::{Digest, ModelKey},
    engine::{DeleteRequest, Engine, Error, Observer},
    ids::{ShardId, SliceId},
    train::{Keep, Recipe},
};

/// Keys under which real deletions are made and compared, at most.
const KEYS: usize = 3;

/// Ensembles trained in memory on some rows under some keys, and what they say; and row-passes of one.
fn ensembles(
    world: &World,
    questions: &Questions<'_>,
    rows: &[u32],
    keys: &[ModelKey],
    observer: &dyn Observer,
) -> Result<(Vec<Sheet>, f64), Error> {
    let one = |key: &ModelKey| {
        let shards = ensemble(world, key, world.cut, rows, observer, |_, _, _| {})?;
        Ok((questions.ask(|features| shards.scores(world, features)), shards.row_passes as f64))
    };
    let done: Vec<(Sheet, f64)> =
        keys.par_iter().map(one).collect::<Vec<Result<_, Error>>>().into_iter().collect::<Result<_, _>>()?;
    let row_passes = mean(&done.iter().map(|d| d.1).collect::<Vec<f64>>());
    Ok((done.into_iter().map(|d| d.0).collect(), row_passes))
}

/// The exact row of a set. Ensembles after a deletion are trained without the rows, which is what a deletion leaves to the byte: for three keys
/// that is not assumed but done, on copies, and compared.
pub(super) fn exact(
    engine: &Engine,
    base: &Base,
    world: &World,
    set: &Set,
    questions: &Questions<'_>,
    models: usize,
    observer: &dyn Observer,
) -> Result<ExactReport, Error> {
    let keys = |from: usize| (from..from + models).map(|n| world.key("ensemble", n as u64)).collect::<Vec<ModelKey>>();
    let all: Vec<u32> = (0..world.rows.rows() as u32).collect();
    observer.note("the exact row: ensembles after deletion, anew, and with nothing deleted");
    let (own, others) = (keys(0), keys(models));
    let (gone, full) = ensembles(world, questions, &set.retain, &own, observer)?;
    let (anew, _) = ensembles(world, questions, &set.retain, &others, observer)?;
    let (kept, _) = ensembles(world, questions, &all, &own, observer)?;
    let seed = world.seed("exact", 0);
    let reference = Side::of(&anew);
    let (rows, told_apart) = told(&Side::of(&gone), &reference, &set.owner, seed);
    let (nothing_rows, nothing_deleted) = told(&Side::of(&kept), &reference, &set.owner, seed);
    observer.note("the exact row: real deletions on copies, compared byte for byte");
    let copies = Copies::new(engine)?;
    let compared = own.iter().take(KEYS).map(|key| bytes(base, &copies, world, set, key, observer));
    let compared = compared.collect::<Result<Vec<(bool, u64)>, Error>>();
    let removed = copies.remove();
    let compared = compared?;
    removed?;
    let cost = Costs::of(world, set, &own, full);
    Ok(ExactReport {
        cut: world.cut,
        byte_identical: (compared.iter().filter(|c| c.0).count(), compared.len()),
        checkpoints: compared.iter().map(|c| c.1).sum(),
        row_passes_share: cost.together,
        one_person_share: cost.one,
        told_apart,
        set_auc: rows.set,
        row_auc: rows.auc,
        held_out: gap(&gone, &anew, |s| s.held_out),
        nothing_deleted,
        nothing_set_auc: nothing_rows.set,
        nothing_held_out: gap(&kept, &anew, |s| s.held_out),
    })
}

/// What deletions cost, counted from the schedule: shares of training the whole ensemble anew.
struct Costs {
    together: f64,
    one: f64,
}

impl Costs {
    fn of(world: &World, set: &Set, keys: &[ModelKey], full: f64) -> Costs {
        let (mut together, mut one) = (Vec::new(), Vec::new());
        for key in keys {
            let left = world.cells(key, world.cut, &set.retain);
            let hits = world.cells(key, world.cut, &set.forget);
            let of = world.cut.1;
            // The row-passes of all steps of a shard from one on.
            let from = |slices: &[Vec<u32>], first: usize| -> f64 {
                let rows: Vec<u64> = slices.iter().map(|rows| rows.len() as u64).collect();
                (first..rows.len()).map(|at| world.schedule.row_passes(rows.get(..=at).unwrap_or_default(), of)).sum::<u64>()
                    as f64
            };
            let (mut all, mut single, mut people) = (0.0, 0.0, 0.0);
            for (slices, hit) in left.iter().zip(&hits) {
                if let Some(first) = hit.iter().position(|rows| !rows.is_empty()) {
                    all += from(slices, first);
                }
                for (at, rows) in hit.iter().enumerate() {
                    let subjects = rows.iter().filter_map(|row| world.subjects.get(*row as usize));
                    let count = subjects.collect::<std::collections::BTreeSet<_>>().len() as f64;
                    if count > 0.0 {
                        single += count * from(slices, at);
                        people += count;
                    }
                }
            }
            together.push(all);
            one.push(single / f64::max(people, 1.0));
        }
        Costs { together: mean(&together) / full.max(1.0), one: mean(&one) / full.max(1.0) }
    }
}

/// Trains a copy under a key, deletes the people from it for real, and compares every checkpoint with training in memory on what remains.
/// Says whether all are the same, and how many were compared.
fn bytes(
    base: &Base,
    copies: &Copies,
    world: &World,
    set: &Set,
    key: &ModelKey,
    observer: &dyn Observer,
) -> Result<(bool, u64), Error> {
    let recipe = Recipe::new(world.settings.clone(), world.schedule, Keep::All);
    let (engine, _) = base.recut_under(copies, "exact", world.cut, &recipe, key.clone())?;
    let delete = |handles: Vec<crate::ids::Handle>, defer: bool| -> Result<(), Error> {
        if !handles.is_empty() {
            let request = DeleteRequest { handles, defer, ..DeleteRequest::default() };
            engine.delete(&request, observer, |_, _, _| {})?;
        }
        Ok(())
    };
    // Whoever is not compared on goes before anything is trained.
    delete(world.unused.clone(), true)?;
    let repair = || -> Result<(), Error> {
        let repair = engine.repair_serving(false, observer)?;
        if repair.is_some_and(|r| r.report.interrupted()) { Err(Error::Interrupted) } else { Ok(()) }
    };
    repair()?;
    delete(set.people.iter().copied().collect(), false)?;
    repair()?;
    let snapshot = engine.workspace().snapshot()?;
    let model = engine.workspace().serving_model(&snapshot)?;
    let plans = model.plans()?;
    let mut payloads: Vec<(ShardId, u32, Digest)> = Vec::new();
    ensemble(world, key, world.cut, &set.retain, observer, |shard, step, state| {
        payloads.push((shard, step, Digest::of(&state.encode())));
    })?;
    let (mut same, mut count) = (true, 0);
    for (shard, step, expected) in payloads {
        let lineage = plans.get(shard.0 as usize).and_then(|plan| plan.lineage(step));
        let found = lineage.and_then(|lineage| model.checkpoints.read(shard, SliceId(step), lineage, Digest::of).ok());
        same &= found == Some(expected);
        count += 1;
    }
    Ok((same, count))
}
