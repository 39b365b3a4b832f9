//! Exit codes, and how errors are shown: once, with what to do next.

use std::{io::Write, process::ExitCode};

use sisa::{
    engine::{Error, ErrorKind},
    wire,
};

use super::{
    advice::{self, workspace_flag},
    args::Global,
    progress::said,
};

/// What the process says when it ends; README.md has the same table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Exit {
    /// Everything that was asked for is done.
    Done = 0,
    /// `verify` found a difference.
    Differs = 1,
    // 2 is clap's own: the command line is wrong.
    /// The input or the settings are wrong.
    Input = 3,
    /// A deletion is in effect, and some of its ids were not known.
    Unknown = 4,
    /// Another process was at work; run again.
    Retry = 5,
    /// The workspace is damaged.
    Damage = 6,
    /// The disk refused; what was durable is, the rest is unknown.
    Disk = 7,
    /// A step diverged; its shard serves its prefix.
    Diverged = 8,
    /// Nothing can answer yet.
    NotReady = 9,
    /// Nothing is missing of the shard.
    Nothing = 10,
    /// The person asked to stop.
    Interrupted = 130,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> ExitCode {
        ExitCode::from(exit as u8)
    }
}

impl Exit {
    fn of(kind: ErrorKind) -> Exit {
        match kind {
            ErrorKind::Input => Exit::Input,
            ErrorKind::Retry => Exit::Retry,
            ErrorKind::Damage => Exit::Damage,
            ErrorKind::Disk => Exit::Disk,
            ErrorKind::Interrupted => Exit::Interrupted,
            ErrorKind::NotReady => Exit::NotReady,
            // A kind that is newer than this face.
            _ => Exit::Input,
        }
    }
}

/// Shows an error, with what can be done about it, and gives its exit code.
pub(crate) fn fail(error: &anyhow::Error, global: &Global) -> ExitCode {
    if let Some(io) = error.downcast_ref::<std::io::Error>()
        && io.kind() == std::io::ErrorKind::BrokenPipe
    {
        // Whoever read our output has seen enough.
        return ExitCode::SUCCESS;
    }
    let known = error.downcast_ref::<Error>();
    let exit = known.map_or(Exit::Input, |e| Exit::of(e.kind()));
    let remedies = known.map(Error::remedies).unwrap_or_default();
    let advice = advice::all(&remedies, &workspace_flag(&global.workspace));
    let told = |separator: &str| advice.iter().fold(format!("{error:#}"), |text, clause| text + separator + clause);
    if global.json {
        let _ = write!(std::io::stdout(), "{}", wire::line(&wire::Failed::of(exit as u8, told("; "), known)));
    }
    said(&format!("sisa: {}", told("\n  ")));
    exit.into()
}
