//! How much is read: with the work, and not with its square.
#![expect(clippy::unwrap_used, reason = "a test that finds something else should stop")]

mod common;
mod tap;

use std::sync::Arc;

use common::{Bench, LINEAR, Setup, rows};
use sisa::engine::{Engine, Quiet};
use tap::Tap;

/// Headers and files read by training a workspace of this many slices.
fn reads_of_training(slices: u32) -> (u64, u64) {
    let setup = Setup { shards: 2, slices, learner: LINEAR, epochs: 1, holdout: 0.0, ..Setup::default() };
    let bench = Bench::new(&setup, &rows(12));
    let tap = Arc::new(Tap::default());
    let engine = Engine::builder(bench.root()).disk(tap.clone()).threads(1).wait(true).open().unwrap();
    assert!(engine.train(&bench.request(), &Quiet).unwrap().complete);
    (tap.heads(), tap.reads())
}

#[test]
fn twice_the_slices_take_twice_the_reads() {
    let [(heads, reads), (twice_heads, twice_reads)] = [32, 64].map(reads_of_training);
    assert!(heads >= 64 && twice_heads <= 2 * heads, "{heads} headers for 32 slices, {twice_heads} for 64");
    assert!(reads >= 64 && twice_reads <= 2 * reads, "{reads} files for 32 slices, {twice_reads} for 64");
}
