//! The learner of tests/data/tape.py in small workspaces: how it is declared, made to fail, and found among the processes.
#![expect(clippy::disallowed_methods, clippy::unwrap_used, reason = "a test stops at what it does not expect, and says where")]
#![allow(dead_code, clippy::allow_attributes, reason = "each test uses some of it")]

use std::{
    fs,
    path::PathBuf,
    process::{Command, Output},
};

use crate::common::{Bench, Setup};

/// Frames are small, so that there are many.
pub(crate) const TAPE: &str = concat!(
    "kind = \"external\"\nname = \"tape\"\ncommand = [\"python3\", \"-SE\", \"",
    env!("CARGO_MANIFEST_DIR"),
    "/tests/data/tape.py\"]\ncode = [\"",
    env!("CARGO_MANIFEST_DIR"),
    "/tests/data/tape.py\"]\nbatch = 8\nseconds = 60\n"
);

pub(crate) fn setup() -> Setup {
    Setup { shards: 2, slices: 3, learner: TAPE, epochs: 2, ..Setup::default() }
}

/// A configuration with more lines under `[learner]`, which is written before `[schedule]`.
pub(crate) fn rewrite(bench: &Bench, from: &str, to: &str) {
    let path = bench.root().join("sisa.toml");
    let text = fs::read_to_string(&path).unwrap();
    assert!(text.contains(from));
    fs::write(path, text.replacen(from, to, 1)).unwrap();
}

pub(crate) fn fault(bench: &Bench, skip: u32, at: u32, what: &str) {
    fs::write(bench.root().join("fault"), format!("{skip} {at} {what}")).unwrap();
}

/// Processes that run in the workspace's folder.
pub(crate) fn workers(bench: &Bench) -> Vec<PathBuf> {
    let root = bench.root().canonicalize().unwrap();
    let processes = fs::read_dir("/proc").unwrap().map(|entry| entry.unwrap().path());
    processes.filter(|process| fs::read_link(process.join("cwd")).is_ok_and(|cwd| cwd == root)).collect()
}

pub(crate) fn sisa(bench: &Bench, path: &str, args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sisa"));
    command.arg("-w").arg(bench.root()).args(args).env("PATH", path).output().unwrap()
}

pub(crate) fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}
