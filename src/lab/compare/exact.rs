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
pub(super) const KEYS: usize = 3;

/// The digests of a shard's states, step by step.
type Payloads = Vec<(ShardId, u32, Digest)>;

/// What ensembles trained in memory on some rows under some keys say.
struct Ensembles {
    sheets: Vec<Sheet>,
    /// Row-passes of one, in the mean.
    row_passes: f64,
    /// What the first of them would have written.
    payloads: Vec<Payloads>,
}

impl Ensembles {
    fn train(
        world: &World,
        questions: &Questions<'_>,
        rows: &[u32],
        keys: &[ModelKey],
        observer: &dyn Observer,
    ) -> Result<Ensembles, Error> {
        let one = |(number, key): (usize, &ModelKey)| {
            let mut payloads = Vec::new();
            let shards = ensemble(world, key, world.cut, rows, observer, |shard, step, state| {
                if number < KEYS {
                    payloads.push((shard, step, Digest::of(&state.encode())));
                }
            })?;
            Ok((questions.ask(|features| shards.scores(world, features)), shards.row_passes as f64, payloads))
        };
        let done: Vec<_> = keys.par_iter().enumerate().map(one).collect::<Vec<Result<_, Error>>>();
        let mut ensembles = Ensembles { sheets: Vec::new(), row_passes: 0.0, payloads: Vec::new() };
        for done in done {
            let (sheet, row_passes, payloads) = done?;
            ensembles.sheets.push(sheet);
            ensembles.row_passes += row_passes / keys.len() as f64;
            ensembles.payloads.push(payloads);
        }
        ensembles.payloads.truncate(KEYS);
        Ok(ensembles)
    }
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
    let train = |rows: &[u32], keys: &[ModelKey]| Ensembles::train(world, questions, rows, keys, observer);
    let (gone, anew, kept) = (train(&set.retain, &own)?, train(&set.retain, &others)?, train(&all, &own)?);
    let seed = world.seed("exact", 0);
    let reference = Side::of(&anew.sheets);
    let (rows, told_apart) = told(&Side::of(&gone.sheets), &reference, &set.owner, seed);
    let (nothing_rows, nothing_deleted) = told(&Side::of(&kept.sheets), &reference, &set.owner, seed);
    observer.note("the exact row: real deletions on copies, compared byte for byte");
    let copies = Copies::new(engine)?;
    let compared =
        own.iter().zip(&gone.payloads).map(|(key, payloads)| bytes(base, &copies, world, set, (key, payloads), observer));
    let compared = compared.collect::<Result<Vec<(bool, u64)>, Error>>();
    let removed = copies.remove();
    let compared = compared?;
    removed?;
    let cost = Costs::of(world, set, &own, gone.row_passes);
    Ok(ExactReport {
        cut: world.cut,
        byte_identical: (compared.iter().filter(|c| c.0).count(), compared.len()),
        checkpoints: compared.iter().map(|c| c.1).sum(),
        row_passes_share: cost.together,
        one_person_share: cost.one,
        told_apart,
        set_auc: rows.set,
        row_auc: rows.auc,
        held_out: gap(&gone.sheets, &anew.sheets, |s| s.held_out),
        nothing_deleted,
        nothing_set_auc: nothing_rows.set,
        nothing_held_out: gap(&kept.sheets, &anew.sheets, |s| s.held_out),
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

/// Trains a copy under a key, deletes the people from it for real, and compares every checkpoint with what training in memory on what remains
/// would have written.
/// Says whether all are the same, and how many were compared.
fn bytes(
    base: &Base,
    copies: &Copies,
    world: &World,
    set: &Set,
    (key, expected): (&ModelKey, &Payloads),
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
    let same = expected.iter().all(|(shard, step, expected)| {
        let lineage = plans.get(shard.0 as usize).and_then(|plan| plan.lineage(*step));
        let found = lineage.and_then(|lineage| model.checkpoints.read(*shard, SliceId(*step), lineage, Digest::of).ok());
        found == Some(*expected)
    });
    Ok((same, expected.len() as u64))
}
