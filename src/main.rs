//! The `sisa` command.

mod cli;
mod markup;
#[cfg(feature = "serve")]
mod serve;

// The simulated disk of the crash sweeps, which those of the service share.
#[cfg(all(test, feature = "serve"))]
#[path = "../tests/common/mod.rs"]
mod common;
#[cfg(all(test, feature = "serve"))]
#[path = "../tests/sim/mod.rs"]
mod sim;

fn main() -> std::process::ExitCode {
    cli::main()
}
