//! Requests that depend on what was published.
//!
//! Deletion in shards is exact for requests that are made without a look at the models. Who sees the constituents can ask to delete rows by
//! what they give away of the shard of each row; which rows stay then depends on the key, and the repaired models are not distributed as those
//! of a fresh key (Gupta et al. 2021, section 6 and appendix C.2). Training anew under a fresh key ends it, and is the control here.

use rayon::prelude::*;

use super::{
    super::measures::{Interval, clopper_pearson, mean, variance},
    foresee,
    report::{AttackReport, Attacker, RequestsReport},
    train::{Shards, ensemble, mean_scores},
    world::World,
};
use crate::{
    engine::{Error, Observer},
    learn::Labels,
};

/// How the attack is tried.
#[derive(Clone, Debug)]
pub struct RequestsRequest {
    /// Shares of the rows that are asked to be deleted.
    pub shares: Vec<f64>,
    /// Trials, each under a key of its own.
    pub trials: usize,
    /// Training rows of a trial at most, 0 for all.
    pub rows: usize,
}

/// Ensembles trained at each share: two for who sees constituents, three for who sees answers.
pub(super) const RETRAININGS: f64 = 5.0;
/// Each end of an interval leaves out so much.
const TAIL: f64 = 0.025;

/// What one trial gave at one share: differences for SISA's repair and after a rekey.
#[derive(Clone, Copy, Debug, Default)]
struct Outcome {
    constituents: (f64, f64),
    answers: (f64, f64),
}

/// The attack, trial by trial; `foreseen` are the seconds that are said before.
///
/// # Errors
/// There are no classes, fewer than two shards, or the person stopped it.
pub(super) fn requests(
    world: &World,
    request: &RequestsRequest,
    foreseen: &mut f64,
    observer: &dyn Observer,
) -> Result<RequestsReport, Error> {
    let shards = world.cut.0;
    let input = |what: &str| Error::Compare { what: what.to_owned() };
    let (Labels::Classes(_), true) = (world.rows.view().labels, world.has_classes()) else {
        return Err(input("such requests look at the probability of labels, and numbers have none"));
    };
    if shards < 2 {
        return Err(input("such requests need two shards at least; with one there is nothing to guess"));
    }
    let pool = pool(world, request.rows);
    let what = format!("{} trials on {} rows in {shards} shards", request.trials, pool.len());
    *foreseen = super::say(&what, foresee::of_requests(world, request, &pool, observer)?, observer);
    let tried = (0..request.trials).into_par_iter().map(|trial| one_trial(world, &pool, request, trial, observer));
    let tried: Vec<(Vec<Outcome>, f64)> = tried.collect::<Vec<Result<_, Error>>>().into_iter().collect::<Result<_, _>>()?;
    let guessed = mean(&tried.iter().map(|t| t.1).collect::<Vec<f64>>());
    let mut attacks = Vec::new();
    for attacker in [Attacker::Constituents, Attacker::Answers] {
        for (at, share) in request.shares.iter().enumerate() {
            let pairs: Vec<(f64, f64)> = tried
                .iter()
                .filter_map(|(outcomes, _)| outcomes.get(at))
                .map(|o| if attacker == Attacker::Constituents { o.constituents } else { o.answers })
                .collect();
            let (same, rekeyed): (Vec<f64>, Vec<f64>) = pairs.into_iter().unzip();
            attacks.push(AttackReport {
                attacker,
                share: *share,
                indicator: indicator(&same),
                difference: with_error(&same),
                rekeyed_indicator: indicator(&rekeyed),
                rekeyed_difference: with_error(&rekeyed),
                guessed: (attacker == Attacker::Constituents).then_some(guessed),
            });
        }
    }
    Ok(RequestsReport { shards, rows: pool.len(), trials: request.trials, attacks })
}

/// Rows of whole people, in the order of the training rows.
fn pool(world: &World, most: usize) -> Vec<u32> {
    let draw = world.key("pool", 0).shard_draw();
    let mut people: Vec<(u64, crate::ids::Handle)> = world.people().into_iter().map(|p| (draw.of(p), p)).collect();
    people.sort_unstable();
    let mut chosen = std::collections::BTreeSet::new();
    let mut rows = 0;
    let mut of: std::collections::BTreeMap<crate::ids::Handle, usize> = std::collections::BTreeMap::new();
    world.subjects.iter().for_each(|subject| *of.entry(*subject).or_default() += 1);
    for (_, person) in people {
        rows += of.get(&person).copied().unwrap_or(0);
        if most > 0 && rows > most {
            break;
        }
        chosen.insert(person);
    }
    world.rows_of(&chosen)
}

/// The share of differences below 0, ties counting half, with its interval of 95 %.
fn indicator(differences: &[f64]) -> Interval {
    let (below, tied) = (differences.iter().filter(|d| **d < 0.0).count(), differences.iter().filter(|d| **d == 0.0).count());
    let (low, high) = clopper_pearson(below + tied / 2, differences.len(), TAIL);
    Interval { value: (below as f64 + tied as f64 / 2.0) / differences.len().max(1) as f64, low, high }
}

/// The mean and its standard error.
fn with_error(differences: &[f64]) -> (f64, f64) {
    (mean(differences), (variance(differences) / differences.len().max(1) as f64).sqrt())
}

/// One fresh key: what both attackers see, ask for, and find afterwards, share by share; and the share of rows whose shard was guessed.
fn one_trial(
    world: &World,
    pool: &[u32],
    request: &RequestsRequest,
    trial: usize,
    observer: &dyn Observer,
) -> Result<(Vec<Outcome>, f64), Error> {
    let key = world.key("trial", trial as u64);
    let shards = world.cut.0 as usize;
    let rows = world.rows.take(pool);
    let view = rows.view();
    let published = ensemble(world, &key, world.cut, pool, observer, |_, _, _| {})?;
    let each = published.scores_each(world, &view.features);
    let sure: Vec<Vec<f32>> = each.iter().map(|scores| of_label(world, scores, &view.labels)).collect();
    let all = mean_scores(sure.iter().cloned(), pool.len());
    // The surest constituent of each row, and by how much it is surer than the next.
    let best = |row: usize| {
        let mut ranked: Vec<(f32, usize)> = sure.iter().enumerate().filter_map(|(s, of)| Some((*of.get(row)?, s))).collect();
        ranked.sort_unstable_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
        let lead = ranked.first().zip(ranked.get(1)).map_or(0.0, |(a, b)| a.0 - b.0);
        (ranked.first().map_or(0, |r| r.1), lead)
    };
    let ranked: Vec<(usize, f32)> = (0..pool.len()).map(best).collect();
    let mut of = vec![usize::MAX; world.rows.rows()];
    for (shard, slices) in world.cells(&key, world.cut, pool).into_iter().enumerate() {
        slices.into_iter().flatten().for_each(|row| of.get_mut(row as usize).into_iter().for_each(|of| *of = shard));
    }
    let hits = pool.iter().zip(&ranked).filter(|(row, (shard, _))| of.get(**row as usize) == Some(shard)).count();
    let fresh = world.key("trial rekeyed", trial as u64);
    let half = shards / 2;
    let mut outcomes = Vec::new();
    for share in &request.shares {
        let count = (share * pool.len() as f64).round() as usize;
        let by_lead = ranked.iter().map(|(shard, lead)| if *shard < half { *lead } else { -1.0 });
        let stay = without(pool, &by_lead.collect::<Vec<f32>>(), count, 0.0);
        let retrain = |key, rows: &[u32]| ensemble(world, key, world.cut, rows, observer, |_, _, _| {});
        let apart = |shards: &Shards| targeted_less_others(world, shards, half);
        let constituents = (apart(&retrain(&key, &stay)?), apart(&retrain(&fresh, &stay)?));
        let stay = without(pool, &all, count, f32::NEG_INFINITY);
        let (same, rekeyed, other) =
            (retrain(&key, &stay)?, retrain(&fresh, &stay)?, retrain(&world.key("trial control", trial as u64), &stay)?);
        let level = |shards: &Shards| mean_of_label(world, shards, &stay);
        // Against training under a fresh key; the control is one fresh key against another.
        let middle = level(&rekeyed);
        outcomes.push(Outcome { constituents, answers: (level(&same) - middle, level(&other) - middle) });
    }
    Ok((outcomes, hits as f64 / pool.len().max(1) as f64))
}

/// The score of each row's label.
fn of_label(world: &World, scores: &[f32], labels: &Labels<'_>) -> Vec<f32> {
    let Labels::Classes(classes) = labels else { return Vec::new() };
    let rows = scores.chunks(world.outputs()).zip(*classes);
    rows.map(|(scores, class)| scores.get(*class as usize).copied().unwrap_or(0.0)).collect()
}

/// What stays when the rows with the highest figure go, at most `count`, and none below `least`.
fn without(pool: &[u32], figures: &[f32], count: usize, least: f32) -> Vec<u32> {
    let mut ranked: Vec<(f32, u32)> = figures.iter().copied().zip(pool.iter().copied()).filter(|r| r.0 >= least).collect();
    ranked.sort_unstable_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
    ranked.truncate(count);
    let mut gone: Vec<u32> = ranked.into_iter().map(|r| r.1).collect();
    gone.sort_unstable();
    pool.iter().copied().filter(|row| gone.binary_search(row).is_err()).collect()
}

/// Mean held-out accuracy of the constituents that were aimed at, less that of the others.
fn targeted_less_others(world: &World, shards: &Shards, half: usize) -> f64 {
    let held = world.held_out.view();
    let Labels::Classes(classes) = held.labels else { return 0.0 };
    let accuracy = |scores: &Vec<f32>| {
        let best = |p: &[f32]| (0_u32..).zip(p).fold((0, f32::NEG_INFINITY), |b, (at, p)| if *p > b.1 { (at, *p) } else { b }).0;
        let hits = scores.chunks(world.outputs()).zip(classes).filter(|(p, class)| best(p) == **class).count();
        hits as f64 / classes.len().max(1) as f64
    };
    let each: Vec<f64> = shards.scores_each(world, &held.features).iter().map(accuracy).collect();
    let (aimed, others) = each.split_at(half.min(each.len()));
    mean(aimed) - mean(others)
}

/// The ensemble's mean score of the label on the rows that stay.
fn mean_of_label(world: &World, shards: &Shards, stay: &[u32]) -> f64 {
    let rows = world.rows.take(stay);
    let view = rows.view();
    let scores = of_label(world, &shards.scores(world, &view.features), &view.labels);
    mean(&scores.into_iter().map(f64::from).collect::<Vec<f64>>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_surest_go_and_no_more_than_asked() {
        assert_eq!(without(&[3, 5, 7, 9], &[0.1, 0.9, 0.5, 0.9], 2, 0.0), [3, 7]);
        assert_eq!(without(&[3, 5, 7, 9], &[-1.0, 0.9, -1.0, -1.0], 2, 0.0), [3, 7, 9]);
        assert_eq!(without(&[3, 5], &[0.1, 0.2], 0, 0.0), [3, 5]);
    }

    #[test]
    fn the_indicator_has_two_sides_and_ties_are_halves() {
        let got = indicator(&[0.1; 20]);
        assert!(got.value == 0.0 && got.low == 0.0 && got.high < 0.17 && !got.holds(0.5));
        assert_eq!(indicator(&[-0.1, 0.1, 0.0, 0.0]).value, 0.5);
        assert_eq!(with_error(&[1.0, 3.0]), (2.0, 1.0));
    }
}
