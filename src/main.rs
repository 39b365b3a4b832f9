//! The `sisa` command.

mod cli;
mod markup;
#[cfg(feature = "serve")]
mod serve;

fn main() -> std::process::ExitCode {
    cli::main()
}
