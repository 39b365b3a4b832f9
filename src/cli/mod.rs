//! The command line: the only part that prints, and it knows the engine alone.

mod args;
mod bench;
mod exit;
mod ids;
mod json;
mod plan;
mod progress;
mod report;
mod run;
mod show;

use std::process::ExitCode;

use clap::Parser;

pub(crate) fn main() -> ExitCode {
    let args = args::Args::parse();
    match run::run(&args) {
        Ok(code) => code.into(),
        Err(error) => exit::fail(&error, args.global.json),
    }
}
