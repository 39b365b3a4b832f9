//! The command line: the only part that prints, and it knows the engine, the lab and the wire alone.

mod advice;
mod append;
mod args;
mod bench;
mod bucket;
mod compare;
mod correct;
mod delete;
mod evaluated;
mod exit;
mod expire;
mod export;
mod ids;
mod measured;
mod migrate;
mod plan;
mod predict;
mod progress;
mod report;
mod run;
#[cfg(feature = "serve")]
mod serve;
mod session;
mod shard;
mod show;
mod trained;
mod tune;

use std::process::ExitCode;

use clap::Parser;

pub(crate) fn main() -> ExitCode {
    let args = args::Args::parse();
    match run::run(&args) {
        Ok(code) => code.into(),
        Err(error) => exit::fail(&error, &args.global),
    }
}
