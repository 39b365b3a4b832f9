//! What all commands of one process share: the engine, the terminal, the way of answering.
#![expect(clippy::print_stdout, reason = "the command line prints")]

use std::{
    io::{IsTerminal, Write},
    path::{Path, PathBuf},
    sync::Arc,
};

use serde::Serialize;
use sisa::{
    engine::{Durability, Engine, Error, RealDisk},
    wire,
};

use super::{
    advice::workspace_flag,
    args::{Args, IdArgs},
    exit::Exit,
    ids,
    progress::Terminal,
};

/// The protocol point at which a test wants the process to stand still.
const STOP_AT: &str = "SISA_STOP_AT";
/// Set for the processes of a bench: their workspace is a copy that may be taken away at any moment, for good.
pub(super) const IN_SCRATCH: &str = "SISA_IN_SCRATCH";

/// What all commands of one process share.
pub(super) struct Session {
    pub(super) engine: Engine,
    pub(super) terminal: Terminal,
    workspace: PathBuf,
    pub(super) json: bool,
}

impl Session {
    #[expect(clippy::disallowed_methods, reason = "the environment is read here and nowhere else")]
    pub(super) fn new(args: &Args) -> anyhow::Result<Session> {
        let disk = match std::env::var(STOP_AT) {
            Ok(point) => RealDisk::stopping_at(point),
            Err(_) => RealDisk::new(),
        };
        let global = &args.global;
        let builder = Engine::builder(&global.workspace).disk(Arc::new(disk)).wait(global.wait);
        let builder = builder.in_scratch(std::env::var_os(IN_SCRATCH).is_some());
        let builder = match global.threads {
            Some(threads) => builder.threads(threads),
            None => builder,
        };
        Ok(Session {
            engine: builder.open()?,
            terminal: Terminal::new(global.quiet, workspace_flag(&global.workspace)),
            workspace: global.workspace.clone(),
            json: global.json,
        })
    }

    /// The flag that further commands on this workspace need.
    pub(super) fn flag(&self) -> String {
        workspace_flag(&self.workspace)
    }

    pub(super) fn text(&self, text: &str) -> anyhow::Result<Exit> {
        self.terminal.done();
        let mut out = std::io::stdout().lock();
        out.write_all(text.as_bytes())?;
        out.flush()?;
        Ok(Exit::Done)
    }

    /// Answers with text for a person, or with one line of JSON.
    pub(super) fn result<T: Serialize>(&self, text: impl FnOnce() -> String, json: impl FnOnce() -> T) -> anyhow::Result<Exit> {
        if self.json { self.text(&wire::line(&json())) } else { self.text(&text()) }
    }

    /// Answers with a line of JSON each.
    pub(super) fn lines(&self, answers: impl IntoIterator<Item = impl Serialize>) -> anyhow::Result<Exit> {
        self.text(&answers.into_iter().map(|answer| wire::line(&answer)).collect::<String>())
    }

    pub(super) fn config(&self, given: Option<&PathBuf>) -> PathBuf {
        given.cloned().unwrap_or_else(|| self.workspace.join("sisa.toml"))
    }

    /// Asks a person; without one to ask, `--yes` is needed.
    pub(super) fn confirm(&self, question: &str) -> anyhow::Result<bool> {
        anyhow::ensure!(std::io::stdin().is_terminal(), "{question}: there is nobody to ask; add --yes");
        self.terminal.done();
        print!("{question} [y/N] ");
        std::io::stdout().flush()?;
        let mut answer = String::new();
        std::io::stdin().read_line(&mut answer)?;
        Ok(matches!(answer.trim(), "y" | "Y" | "yes"))
    }

    pub(super) fn ids(&self, args: &IdArgs) -> anyhow::Result<(Vec<String>, Vec<Vec<String>>)> {
        let mut subjects = args.subject.clone();
        if args.record.is_empty() && args.from.is_none() {
            return Ok((subjects, Vec::new()));
        }
        let columns = self.engine.id_columns()?;
        let mut records = args.record.iter().map(|typed| ids::record(typed, &columns)).collect();
        if let Some(from) = &args.from {
            ids::read(from, &columns, &mut subjects, &mut records)?;
        }
        Ok((subjects, records))
    }

    /// Writes a small file of the person's, over an older one if there is one.
    pub(super) fn write_over(&self, path: &Path, bytes: &[u8]) -> anyhow::Result<()> {
        let _ = self.engine.files().publish(path, &[bytes], Durability::Now).map_err(Error::from)?;
        Ok(())
    }

    /// Writes a small file of the person's; never over an existing one.
    pub(super) fn write_new(&self, path: &Path, bytes: &[u8]) -> anyhow::Result<()> {
        if self.engine.files().stat(path).map_err(Error::from)?.is_some() {
            return Err(Error::Exists { path: path.to_owned() }.into());
        }
        self.write_over(path, bytes)
    }
}
