//! States of a learner that can't be replayed: each on the disk went on from the one before it on the disk, whoever was at work meanwhile. Lineage
//! keys can't tell, as such states have other bytes under the same name; so those of this learner say which states they came from.
#![expect(clippy::disallowed_methods, clippy::unwrap_used, reason = "a test stops at what it does not expect, and says where")]

mod common;
mod tape;

use std::{
    fmt, fs,
    path::PathBuf,
    sync::{
        Mutex,
        atomic::{AtomicBool, Ordering},
    },
};

use common::{Bench, Setup, rows};
use sisa::engine::{ErrorKind, Observer, PackRequest, Progress, Quiet, ShardId, TrainRequest, VerifyRequest, train_bundle};
use tape::{rewrite, setup};

/// Of a checkpoint file, where the worker's own bytes begin: behind the header, how many rows, the seed and whether it was trained.
const STATE_AT: usize = 96 + 8 + 32 + 1;

/// A workspace with records, in which nothing is trained.
fn imported(setup: &Setup) -> Bench {
    let bench = Bench::new(setup, &rows(60));
    rewrite(&bench, "seconds = 60", "seconds = 60\nreplay = false\nsettings = { chain = true }");
    bench.engine().import(&bench.request(), &Quiet).unwrap();
    bench
}

/// The checkpoints of shard 0, by step.
fn files(bench: &Bench) -> Vec<(u32, PathBuf)> {
    let of = |path: &PathBuf| path.parent().unwrap().ends_with("0000") && path.extension().is_some_and(|e| e == "ckpt");
    let step = |path: &PathBuf| path.file_name().unwrap().to_str().unwrap().split_once('-').unwrap().0.parse().unwrap();
    bench.files().into_keys().filter(of).map(|path| (step(&path), bench.root().join(path))).collect()
}

fn remove(bench: &Bench, step: u32) {
    let (_, path) = files(bench).into_iter().find(|(at, _)| *at == step).unwrap();
    fs::remove_file(path).unwrap();
}

/// The steps of shard 0 that are there, each of which came from the one before it.
fn chain(bench: &Bench) -> Vec<u32> {
    let mut before: Option<(u32, Vec<u8>)> = None;
    let mut steps = Vec::new();
    for (step, path) in files(bench) {
        let state = fs::read(path).unwrap().split_off(STATE_AT);
        if let Some((last, came_from)) = &before {
            assert!(state.starts_with(came_from), "step {step} did not go on from the step {last} that is there");
        }
        steps.push(step);
        before = Some((step, state));
    }
    steps
}

fn shard_0(bench: &Bench) -> TrainRequest {
    TrainRequest { only_shards: Some(vec![ShardId(0)]), ..bench.request() }
}

/// Stops once so many steps are published.
struct Upto(u64, AtomicBool);

impl fmt::Debug for Upto {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "up to {}", self.0)
    }
}

impl Observer for Upto {
    fn progress(&self, progress: Progress) {
        if let Progress::Training { steps, .. } = progress
            && steps >= self.0
        {
            self.1.store(true, Ordering::SeqCst);
        }
    }

    fn note(&self, _: &str) {}

    fn stopped(&self) -> bool {
        self.1.load(Ordering::SeqCst)
    }
}

/// Trains shard 0 in an engine of its own until so many steps are published.
fn train_upto(bench: &Bench, steps: u64) {
    let error = bench.engine().train(&shard_0(bench), &Upto(steps, AtomicBool::new(false))).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Interrupted);
}

/// Does something once, in the middle of a training, when so many steps are published and a row of the next one may have been trained on.
struct Between<'a>(u64, Mutex<Option<Box<dyn FnOnce() + Send + 'a>>>);

impl fmt::Debug for Between<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "after {}", self.0)
    }
}

impl Observer for Between<'_> {
    fn progress(&self, progress: Progress) {
        if let Progress::Training { steps, .. } = progress
            && steps == self.0
            && let Some(act) = self.1.lock().unwrap().take()
        {
            act();
        }
    }

    fn note(&self, _: &str) {}

    fn stopped(&self) -> bool {
        false
    }
}

/// Trains shard 0, with something that others do after so many steps.
fn train_while(bench: &Bench, after: u64, others: impl FnOnce() + Send) {
    let between = Between(after, Mutex::new(Some(Box::new(others))));
    bench.engine().train(&shard_0(bench), &between).unwrap();
    assert!(between.1.lock().unwrap().is_none(), "the others had their turn");
}

fn ends_well(bench: &Bench, steps: &[u32]) {
    assert_eq!(chain(bench), steps);
    assert!(bench.train().complete);
    assert_eq!(chain(bench), steps);
    let verdict = bench.engine().verify(&VerifyRequest::default(), &Quiet).unwrap();
    assert!(verdict.findings.is_empty(), "{verdict:?}");
}

#[test]
fn a_state_is_not_put_behind_another_one_than_it_came_from() {
    for (keep, slices, steps) in [(None, 3, vec![1, 2, 3]), (Some(1), 4, vec![2, 4])] {
        let bench = imported(&Setup { keep, slices, ..setup() });
        train_while(&bench, 1, || {
            // It was found damaged and removed; somebody made it again, and was stopped.
            remove(&bench, steps[0]);
            train_upto(&bench, 1);
        });
        ends_well(&bench, &steps);
    }
}

#[test]
fn a_state_that_is_gone_is_begun_again_by_whoever_went_on_from_it() {
    let bench = imported(&setup());
    train_while(&bench, 2, || {
        remove(&bench, 1);
        remove(&bench, 2);
    });
    ends_well(&bench, &[1, 2, 3]);
}

#[test]
fn a_state_is_not_put_before_one_that_came_from_another() {
    let bench = imported(&setup());
    train_while(&bench, 0, || {
        assert!(bench.engine().train(&shard_0(&bench), &Quiet).unwrap().report.shards.iter().all(|s| s.stop.is_none()));
        remove(&bench, 1);
    });
    ends_well(&bench, &[1, 2, 3]);
}

#[test]
fn what_was_trained_elsewhere_is_put_behind_the_state_that_it_came_from_alone() {
    let bench = imported(&setup());
    let engine = bench.engine();
    let pack = || engine.pack(PackRequest { shard: ShardId(0), serving: false }, &Quiet).unwrap().unwrap().bytes;
    train_upto(&bench, 1);
    let late = train_bundle(&pack(), 1, &Quiet).unwrap();
    remove(&bench, 1);
    train_upto(&bench, 1);
    let unpacked = engine.unpack(&late).unwrap();
    assert_eq!((unpacked.published, unpacked.present, unpacked.overtaken), (0, 0, 2));
    let unpacked = engine.unpack(&train_bundle(&pack(), 1, &Quiet).unwrap()).unwrap();
    assert_eq!((unpacked.published, unpacked.present, unpacked.overtaken), (2, 0, 0));
    ends_well(&bench, &[1, 2, 3]);
}

#[test]
fn what_goes_on_from_a_missing_state_is_packed_again() {
    let bench = imported(&setup());
    let engine = bench.engine();
    train_upto(&bench, 2);
    remove(&bench, 1);
    let bundle = engine.pack(PackRequest { shard: ShardId(0), serving: false }, &Quiet).unwrap().unwrap();
    assert_eq!(bundle.steps, 3);
    let unpacked = engine.unpack(&train_bundle(&bundle.bytes, 1, &Quiet).unwrap()).unwrap();
    assert_eq!((unpacked.published, unpacked.present, unpacked.overtaken), (3, 0, 0));
    ends_well(&bench, &[1, 2, 3]);
}
