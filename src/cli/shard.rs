//! `sisa shard`: a shard's work out, its checkpoints back.
#![expect(clippy::print_stderr, reason = "the command line prints, and stdout may be a bundle")]

use std::{
    io::{IsTerminal, Write},
    path::{Path, PathBuf},
};

use anyhow::Context;
use clap::Subcommand;
use sisa::{
    engine::{BundleKind, Error, PackRequest, ShardId, receive_bundle, train_bundle},
    wire,
};

use super::{
    exit::Exit,
    session::Session,
    show::{bytes, count},
};

/// Shards trained elsewhere (docs/CLUSTER.md).
#[derive(Debug, Subcommand)]
pub(crate) enum ShardCommand {
    /// Write what a shard lacks as a bundle that anyone can train; with exit code 10 if nothing is missing
    Pack {
        /// The shard
        #[arg(value_name = "N")]
        shard: u32,
        /// Write to a file (mode 0600, over an older bundle) instead of stdout
        #[arg(long, value_name = "FILE")]
        out: Option<PathBuf>,
        /// Only what is in service lacks, as `repair` does it, and not what is to take its place
        #[arg(long)]
        serving: bool,
    },
    /// Train the bundle on stdin; needs no workspace and writes nothing but the checkpoints
    Train {
        /// Write to a file (mode 0600, over an older bundle) instead of stdout
        #[arg(long, value_name = "FILE")]
        out: Option<PathBuf>,
    },
    /// Put the checkpoints on stdin in place, as far as they follow from the slices as they are now
    Unpack,
}

impl Session {
    pub(super) fn shard(&self, command: &ShardCommand) -> anyhow::Result<Exit> {
        match command {
            ShardCommand::Pack { shard, out, serving } => self.pack(ShardId(*shard), out.as_deref(), *serving),
            ShardCommand::Train { out } => {
                self.room(out.as_deref())?;
                let bundle = received(BundleKind::Work)?;
                let made = train_bundle(&bundle, self.engine.threads(), &self.terminal)?;
                self.terminal.done();
                self.put(out.as_deref(), &made)?;
                let told = wire::ShardTrained::of(&made).map_err(Error::from)?;
                let text = || {
                    format!(
                        "trained {} steps of shard {}: {} row-passes, {} of checkpoints{}\n",
                        told.steps,
                        told.shard,
                        count(told.row_passes),
                        bytes(made.len() as u64),
                        told.diverged.as_ref().map_or_else(String::new, |what| format!("; then {what}"))
                    )
                };
                self.tell(out.is_some(), text, || told.clone())?;
                Ok(if told.diverged.is_some() { Exit::Diverged } else { Exit::Done })
            }
            ShardCommand::Unpack => self.unpack(),
        }
    }

    fn pack(&self, shard: ShardId, out: Option<&Path>, serving: bool) -> anyhow::Result<Exit> {
        self.room(out)?;
        let Some(packed) = self.engine.pack(PackRequest { shard, serving }, &self.terminal)? else {
            self.tell(out.is_some(), || format!("nothing is missing of shard {}.\n", shard.0), || wire::Packed::nothing(shard))?;
            return Ok(Exit::Nothing);
        };
        self.put(out, &packed.bytes)?;
        let text = || {
            format!(
                "packed shard {}: {} steps to train, {} row-passes, {}. It holds the shard's rows: keep it no longer than you need it.\n",
                shard.0,
                packed.steps,
                count(packed.row_passes),
                bytes(packed.bytes.len() as u64)
            )
        };
        self.tell(out.is_some(), text, || wire::Packed::from(&packed))
    }

    fn unpack(&self) -> anyhow::Result<Exit> {
        let unpacked = self.engine.unpack(&received(BundleKind::Checkpoints)?)?;
        let text = || {
            let mut text = format!("shard {}: put {} checkpoints in place", unpacked.shard.0, unpacked.published);
            if unpacked.present > 0 {
                text += &format!(", {} were there already", unpacked.present);
            }
            text += ".\n";
            if unpacked.overtaken > 0 {
                text += &format!(
                    "refused {} checkpoints, which do not follow from the slices as they are: a deletion or a batch came since the shard was \
                     packed, or they are of another workspace. `sisa shard{} pack {}` packs what it lacks now.\n",
                    unpacked.overtaken,
                    self.flag(),
                    unpacked.shard.0
                );
            }
            if let Some(what) = &unpacked.diverged {
                text += &format!("{what}; the shard serves its last clean step.\n");
            }
            if !unpacked.repaired.is_empty() {
                text += &format!("repaired: {}.\n", unpacked.repaired.join(", "));
            }
            if unpacked.complete { text + "every step of every shard is trained.\n" } else { text }
        };
        let refused = unpacked.overtaken > 0;
        if refused {
            self.result(text, || wire::Unpacked::from(&unpacked))
        } else {
            self.summary(text, || wire::Unpacked::from(&unpacked))
        }?;
        Ok(match (refused, &unpacked.diverged) {
            (true, _) => Exit::Retry,
            (false, Some(_)) => Exit::Diverged,
            (false, None) => Exit::Done,
        })
    }

    /// Refuses to write where something else would be lost, or to a terminal.
    fn room(&self, out: Option<&Path>) -> anyhow::Result<()> {
        match out {
            Some(path) => self.may_write(path, |beginning| beginning.starts_with(b"\x89SISABN\n")),
            None => {
                anyhow::ensure!(
                    !std::io::stdout().is_terminal(),
                    "bytes go to a file or a pipe: `--out FILE` or `> FILE` names one"
                );
                Ok(())
            }
        }
    }

    fn put(&self, out: Option<&Path>, bytes: &[u8]) -> anyhow::Result<()> {
        match out {
            Some(path) => {
                let _ = self.engine.files().publish_private(path, &[bytes]).map_err(Error::from)?;
            }
            None => {
                let mut stdout = std::io::stdout().lock();
                stdout.write_all(bytes)?;
                stdout.flush()?;
            }
        }
        Ok(())
    }

    /// Says what was done: on stderr where stdout has the bytes.
    fn tell<T: serde::Serialize>(
        &self,
        to_stdout: bool,
        text: impl FnOnce() -> String,
        json: impl FnOnce() -> T,
    ) -> anyhow::Result<Exit> {
        if to_stdout {
            return self.summary(text, json);
        }
        self.terminal.done();
        if !self.quiet {
            eprint!("{}", text());
        }
        Ok(Exit::Done)
    }
}

/// A bundle from stdin.
fn received(kind: BundleKind) -> anyhow::Result<Vec<u8>> {
    let mut stdin = std::io::stdin().lock();
    anyhow::ensure!(!stdin.is_terminal(), "bytes come from a file or a pipe: `< FILE` names one");
    receive_bundle(&mut stdin, kind).map_err(Error::from).context("stdin")
}
