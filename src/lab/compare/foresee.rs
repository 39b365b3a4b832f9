//! How long a comparison will take, said before anything long is begun: every kind of work is tried for a moment on the very kernels, on all
//! threads at once as it will be, and scaled by how much of it there is to do. Of a few tries the fastest counts.

use rayon::prelude::*;

use super::{
    super::{
        copies::Copies,
        measures::{Draws, forgetting_quality, mean},
        methods::{self, Clean, Job, Orders, losses},
    },
    Chosen, CompareRequest, certified,
    exact::KEYS,
    forget::{Set, label_variance},
    keys,
    requests::{RETRAININGS, RequestsRequest},
    rows::{Side, told},
    set::{fresh, probed, scores},
    sheet::{PROBED, Questions},
    train::{Part, Trained, models},
    world::World,
};
use crate::{
    engine::{Engine, Error, Observer},
    fs::{Durability, Stopwatch},
};

/// How often each kind of work is tried.
const TRIES: usize = 3;
/// A trial of training grows until it takes so long.
const MOMENT_SECONDS: f64 = 0.03;
/// Rows of the first such trial.
const ROWS_LEAST: usize = 512;
/// Rows that stay in the trial of a method.
const ROWS_OF_METHODS: usize = 4096;
/// Forget rows that measures are tried on.
const ROWS_OF_MEASURES: usize = 32;
/// Files that are written to see how long a sync takes.
const FILES: usize = 4;

/// What is to be expected.
#[derive(Clone, Copy, Debug)]
pub(super) struct Foreseen {
    pub(super) row_passes: f64,
    pub(super) seconds: f64,
}

/// Seconds of a kind of work: those of the fastest of some tries.
pub(super) fn fastest(mut work: impl FnMut()) -> f64 {
    let tries = (0..TRIES).map(|_| {
        let clock = Stopwatch::start();
        work();
        clock.seconds()
    });
    tries.fold(f64::INFINITY, f64::min)
}

/// Row-passes of an ensemble of (S, R) on so many rows.
fn once(world: &World, (shards, slices): (u32, u32), rows: usize) -> f64 {
    let cell = rows as f64 / f64::from(shards.max(1)) / f64::from(slices.max(1));
    let slices = vec![cell.round() as u64; slices as usize];
    let steps =
        (1..=slices.len()).map(|upto| world.schedule.row_passes(slices.get(..upto).unwrap_or_default(), slices.len() as u32));
    f64::from(shards) * steps.sum::<u64>() as f64
}

/// What trials of a moment gave. Seconds are those of one thread while all are at work.
struct Trial<'a> {
    world: &'a World,
    threads: f64,
    /// Of a row-pass of training.
    row_pass: f64,
    trained: Vec<Trained>,
}

impl Trial<'_> {
    fn new<'a>(world: &'a World, rows: &[u32], observer: &dyn Observer) -> Result<Trial<'a>, Error> {
        let threads = rayon::current_num_threads();
        let keys = keys(world, "foresee", 0, threads);
        let mut count = ROWS_LEAST.min(rows.len());
        loop {
            let mut trained = Ok(Vec::new());
            let seconds = fastest(|| trained = models(world, rows.get(..count).unwrap_or(rows), &keys, observer));
            let trained = trained?;
            if seconds >= MOMENT_SECONDS || count == rows.len() {
                let row_passes = trained.first().map_or(1.0, |t| t.row_passes.max(1) as f64);
                return Ok(Trial { world, threads: threads as f64, row_pass: seconds / row_passes, trained });
            }
            count = (4 * count).min(rows.len());
        }
    }

    /// Seconds of so many row-passes of training on all threads.
    fn training(&self, row_passes: f64) -> f64 {
        row_passes * self.row_pass / self.threads
    }

    /// Scores alone of all rows that a model is asked about, and everything that it is asked, in seconds.
    fn asking(&mut self, set: &Set) -> (f64, f64) {
        let forgotten = self.world.rows.take(&set.forget);
        let stay = self.world.rows.take(&probed(self.world, &set.retain));
        let world = self.world;
        let questions = Questions { world, forget: forgotten.view(), retain: stay.view(), variance: label_variance(world) };
        let held_out = world.held_out.view();
        let all = [&questions.forget.features, &questions.retain.features, &held_out.features];
        let scoring = fastest(|| {
            self.trained.par_iter_mut().for_each(|trained| {
                let weights = trained.model.weights().to_vec();
                all.iter().for_each(|features| drop(scores(trained, &weights, features)));
            });
        });
        let asking = fastest(|| {
            self.trained.par_iter_mut().for_each(|trained| {
                let weights = trained.model.weights().to_vec();
                drop(questions.ask(|features| scores(trained, &weights, features)));
            });
        });
        (scoring, asking.max(scoring))
    }

    /// Seconds of every method on one model, and of learning again where that is asked for: tried on few of the rows that stay, and scaled by
    /// the row-passes that are expected.
    fn methods(&mut self, set: &Set, chosen: &Chosen, relearn: bool) -> (Vec<f64>, f64) {
        let world = self.world;
        let few = set.retain.get(..ROWS_OF_METHODS).unwrap_or(&set.retain);
        let mut all: Vec<u32> = few.iter().chain(&set.forget).copied().collect();
        all.sort_unstable();
        let place =
            |rows: &[u32]| rows.iter().filter_map(|row| all.binary_search(row).ok().map(|at| at as u32)).collect::<Vec<u32>>();
        let (part, retain, forget) = (Part::of(world, &all), place(few), place(&set.forget));
        let forgotten = world.rows.take(&set.forget);
        let outputs = world.outputs();
        let unsure = |rows: usize| vec![1.0 / outputs as f32; rows * outputs];
        let held_out = world.held_out.view();
        let held = methods::held_rows(&held_out).features.rows();
        let clean = Clean { scores: unsure(forget.len()), held_scores: unsure(held) };
        let fresh = fresh(world, 0);
        let job = Job {
            rows: part.rows.view(),
            records: &part.records,
            retain: &retain,
            forget: &forget,
            forgotten: forgotten.view(),
            held_out,
            clean: &clean,
            rules: world.rules,
            orders: Orders::new(world.seed("foresee", 0)),
            fresh: &fresh,
        };
        let (rows, batch) = (|rows: &[u32]| rows.len() as f64, world.rules.batch as f64);
        let of_methods = chosen.methods.iter().map(|(method, _)| {
            let few = method.expected(rows(&retain), rows(&forget), batch);
            if few == 0.0 {
                return 0.0;
            }
            let run = |trained: &mut Trained| drop(method.run(&mut *trained.model, &job));
            fastest(|| self.trained.par_iter_mut().for_each(run)) * method.expected(rows(&set.retain), rows(&set.forget), batch)
                / few
        });
        let of_methods = of_methods.collect();
        let again = if relearn { self.relearning(&job) } else { 0.0 };
        (of_methods, again)
    }

    /// Seconds of teaching one model the forget rows as well as it knows others.
    fn relearning(&mut self, job: &Job<'_>) -> f64 {
        let run = |trained: &mut Trained| {
            let weights = trained.model.weights().to_vec();
            let known = losses(&scores(trained, &weights, &job.rows.features), &job.rows.labels, label_variance(self.world));
            let _ = methods::relearn(&mut *trained.model, &weights, job, mean(&known));
        };
        fastest(|| self.trained.par_iter_mut().for_each(run))
    }
}

/// Seconds of telling apart `models` a side on `rows` forget rows, and of the forgetting quality, on all threads.
fn measuring(world: &World, models: usize, rows: usize) -> (f64, f64) {
    let tried = ROWS_OF_MEASURES.min(rows).max(1);
    let mut draws = Draws::new(world.seed("foresee", 1));
    let mut side =
        || Side::of_pairs((0..models).map(|_| ((0..tried).map(|_| draws.normal()).collect(), draws.normal())).collect());
    let (u, r) = (side(), side());
    let owner: Vec<usize> = (0..tried).map(|row| row / 4).collect();
    let telling = fastest(|| drop(told(&u, &r, &owner, world.seed("foresee", 2))));
    let scoring = fastest(|| {
        let _ = forgetting_quality(&u.phi, &r.phi);
    });
    let more = rows as f64 / tried as f64;
    (telling * more, scoring * more)
}

/// Seconds of a file of so many bytes, synced.
fn publishing(engine: &Engine, bytes: usize) -> Result<f64, Error> {
    let copies = Copies::new(engine)?;
    let folder = copies.folder("foresee")?;
    let content = vec![0; bytes];
    let mut done = Ok(());
    let seconds = fastest(|| {
        let published = (0..FILES).try_for_each(|number| {
            let path = folder.join(number.to_string());
            copies.files().publish(&path, &[&content], Durability::Now).map(drop)
        });
        if published.is_err() {
            done = published;
        }
    });
    copies.remove()?;
    done?;
    Ok(seconds / FILES as f64)
}

/// What the comparison of some sets will take.
///
/// # Errors
/// The person stopped it, the disk refuses, or a model can't be trained.
pub(super) fn of_sets(
    engine: &Engine,
    world: &World,
    request: &CompareRequest,
    people: &[&Set],
    chosen: &Chosen,
    observer: &dyn Observer,
) -> Result<Foreseen, Error> {
    let Some(first) = people.first() else { return Ok(Foreseen { row_passes: 0.0, seconds: 0.0 }) };
    let mut trial = Trial::new(world, &first.retain, observer)?;
    let (scoring, asking) = trial.asking(first);
    let (of_methods, again) = trial.methods(first, chosen, request.relearn);
    let (threads, models) = (trial.threads, request.models as f64);
    let rows = world.rows.rows();
    let alone = once(world, (1, 1), rows);
    let ensemble = once(world, world.cut, rows);
    // The originals of all sets, and the witnesses, one thread's work.
    let mut row_passes = (models + 1.0) * alone;
    let mut seconds = trial.training(models * alone) + alone * trial.row_pass;
    let file = if request.exact {
        let bytes = trial.trained.first().map_or(0, |t| 8 * t.model.weights().len());
        publishing(engine, bytes)?
    } else {
        0.0
    };
    for set in people {
        let (retain, forget) = (set.retain.len() as f64, set.forget.len() as f64);
        let batch = world.rules.batch as f64;
        // Models without the people, twice.
        row_passes += 2.0 * models * alone;
        seconds += trial.training(2.0 * models * alone);
        for ((method, _), tried) in chosen.methods.iter().zip(&of_methods) {
            let expected = method.expected(retain, forget, batch);
            let first = method.expected(first.retain.len() as f64, first.forget.len() as f64, batch).max(1.0);
            row_passes += 2.0 * models * expected;
            seconds += 2.0 * models * tried * expected / first / threads;
        }
        // Everything is asked of three references and of what each method made; of the placebo forget rows alone.
        let asked = forget + PROBED as f64 + world.held_out.rows() as f64;
        let methods = chosen.methods.len() as f64;
        row_passes += models * (3.0 + methods) * asked / 3.0;
        seconds += models * (asking * (3.0 + methods) + asking * methods * forget / asked) / threads;
        seconds += models * again * (methods + 1.0) / threads;
        let (telling, quality) = measuring(world, request.models, set.forget.len());
        seconds += telling * (1.0 + 2.0 * methods) + quality * (1.0 + methods);
        if chosen.newton {
            seconds += certified::foreseen(world, set, request.models) + 3.0 * telling;
        }
        if request.exact {
            let shards = f64::from(world.cut.0);
            row_passes += 3.0 * models * (ensemble + shards * asked / 3.0);
            seconds += trial.training(3.0 * models * ensemble);
            seconds += 3.0 * models * (scoring * shards + asking - scoring) / threads + 2.0 * telling;
            // Each key's copy is trained and repaired, and every slice and checkpoint is synced.
            let keys = KEYS.min(request.models) as f64;
            row_passes += 2.0 * keys * ensemble;
            seconds += trial.training(2.0 * keys * ensemble);
            seconds += keys * file * 3.0 * shards * f64::from(world.cut.1);
        }
    }
    Ok(Foreseen { row_passes, seconds })
}

/// What trials of requests that depend on models will take.
///
/// # Errors
/// The person stopped it, or a model can't be trained.
pub(super) fn of_requests(
    world: &World,
    request: &RequestsRequest,
    pool: &[u32],
    observer: &dyn Observer,
) -> Result<Foreseen, Error> {
    let mut trial = Trial::new(world, pool, observer)?;
    let trials = request.trials as f64;
    let anew: f64 = request.shares.iter().fold(0.0, |sum, share| sum + RETRAININGS * (1.0 - share));
    let row_passes = trials * (1.0 + anew) * once(world, world.cut, pool.len());
    // All constituents are asked about the pool, and after each retraining about it or the held-out rows.
    let rows = world.rows.take(pool);
    let scoring = fastest(|| {
        trial.trained.par_iter_mut().for_each(|trained| {
            let weights = trained.model.weights().to_vec();
            drop(scores(trained, &weights, &rows.view().features));
        });
    });
    let asked = trials * f64::from(world.cut.0) * (1.0 + RETRAININGS * request.shares.len() as f64);
    Ok(Foreseen { row_passes, seconds: trial.training(row_passes) + asked * scoring / trial.threads })
}
