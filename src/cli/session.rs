//! What all commands of one process share: the engine, the terminal, the way of answering.
#![expect(clippy::print_stdout, reason = "the command line prints")]

use std::{
    io::{IsTerminal, Write},
    path::{Path, PathBuf},
    sync::Arc,
};

use serde::Serialize;
use sisa::{
    engine::{Disk, Durability, Engine, EntryKind, Error, Observer, RealDisk},
    wire,
};

use super::{
    advice::workspace_flag,
    args::{Args, IdArgs},
    bucket,
    exit::Exit,
    ids::{self, Ids},
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
    pub(super) quiet: bool,
}

impl Session {
    #[expect(clippy::disallowed_methods, reason = "the environment is read here and nowhere else")]
    pub(super) fn new(args: &Args) -> anyhow::Result<Session> {
        let global = &args.global;
        let disk: Arc<dyn Disk> = match std::env::var(STOP_AT) {
            _ if bucket::is_bucket(&global.workspace) => bucket::disk(&global.workspace, &global.local)?,
            Ok(point) => Arc::new(RealDisk::stopping_at(point)),
            Err(_) => Arc::new(RealDisk::new()),
        };
        let lasts = args.command.lasts();
        let builder = Engine::builder(&global.workspace).disk(disk).wait(global.wait || lasts).stays(lasts);
        let builder = builder.in_scratch(std::env::var_os(IN_SCRATCH).is_some());
        let builder = match global.threads {
            Some(threads) => builder.threads(threads.into()),
            None => builder,
        };
        Ok(Session {
            engine: builder.open()?,
            terminal: Terminal::new(global.quiet, workspace_flag(&global.workspace)),
            workspace: global.workspace.clone(),
            json: global.json,
            quiet: global.quiet,
        })
    }

    /// Refuses a workspace in a bucket where a command needs a folder.
    pub(super) fn needs_folder(&self, what: &str) -> anyhow::Result<()> {
        let workspace = self.workspace.display();
        anyhow::ensure!(
            !bucket::is_bucket(&self.workspace),
            "{what} needs a workspace in a folder of this machine, and {workspace} is in a bucket (docs/BUCKET.md says what works there)"
        );
        Ok(())
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

    /// Says what was done, of which nobody has to be told: with `--quiet` not even that.
    pub(super) fn summary<T: Serialize>(&self, text: impl FnOnce() -> String, json: impl FnOnce() -> T) -> anyhow::Result<Exit> {
        if self.quiet && !self.json { Ok(Exit::Done) } else { self.result(text, json) }
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

    pub(super) fn ids(&self, args: &IdArgs) -> anyhow::Result<Ids> {
        if args.record.is_empty() && args.from.is_none() {
            return Ok(Ids::typed(args.subject.clone(), Vec::new()));
        }
        let columns = self.engine.id_columns()?;
        let records = args.record.iter().map(|typed| ids::record(typed, &columns)).collect();
        let mut ids = Ids::typed(args.subject.clone(), records);
        if let Some(from) = &args.from {
            ids.read(from, &columns, args.column.as_deref())?;
            if ids.comments > 0 {
                self.terminal.note(&format!(
                    "{} lines of {} begin with # and were passed over as comments; quote an id that does",
                    ids.comments,
                    from.display()
                ));
            }
        }
        Ok(ids)
    }

    /// Refuses to write where something else would be lost: into the workspace's own folders, and over any file that does not show,
    /// by `ours` in its beginning, that it is an older one of the same kind. A table that is being read is never one.
    pub(super) fn may_write(&self, path: &Path, ours: impl Fn(&[u8]) -> bool) -> anyhow::Result<()> {
        const BEGINNING: usize = 64 * 1024;
        let folder = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
        if let Ok(folder) = folder.canonicalize() {
            for own in ["shards", "checkpoints", ".scratch"] {
                let inside = self.workspace.join(own).canonicalize().is_ok_and(|own| folder.starts_with(own));
                anyhow::ensure!(!inside, "{} is in a folder of the workspace's own; write somewhere else", path.display());
            }
        }
        let files = self.engine.files();
        let Some(stat) = files.stat(path).map_err(Error::from)? else { return Ok(()) };
        let (beginning, _) = match stat.kind {
            EntryKind::File => files.head(path, BEGINNING).map_err(Error::from)?,
            EntryKind::Dir | EntryKind::Other => return Err(Error::Exists { path: path.to_owned() }.into()),
        };
        if ours(&beginning) || stat.len == 0 { Ok(()) } else { Err(Error::Exists { path: path.to_owned() }.into()) }
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
