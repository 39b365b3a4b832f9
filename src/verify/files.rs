//! The quick check: digests, lineage, the ledger's chain, strangers, suppressed handles.

use std::{collections::BTreeSet, path::PathBuf, thread, time::Duration};

use super::Verdict;
use crate::{
    checkpoint::CheckpointError,
    digest::Digest,
    fs::{EntryKind, Files},
    ids::{Cell, GenerationId, Handle, Part, RecipeId, ShardId},
    ledger::{GenerationRecord, History, LedgerError},
    shard::{SliceError, is_waiting},
    train::{Model, lineages},
    workspace::{Snapshot, Workspace, WorkspaceError},
};

/// How often a file that seems to have no owner is looked at again, and how long is waited before each look.
const LOOKS: usize = 25;
const PAUSE: Duration = Duration::from_millis(20);

/// What is said of a file that nobody knows.
const STRANGER: &str = "nothing accounts for this file";

/// Checks every byte of every file of the workspace against the ledger. `None` for the history when the ledger is damaged.
///
/// # Errors
/// The disk refuses.
pub fn quick(workspace: &Workspace) -> Result<(Verdict, Option<Snapshot>), WorkspaceError> {
    let mut verdict = Verdict::default();
    let read = || -> Result<Snapshot, WorkspaceError> {
        let current = workspace.current()?;
        // All of it: every summary is made again from the entries before it.
        Ok(Snapshot::of(workspace.ledger().read_entries(|_, _| {})?, current))
    };
    let snapshot = match read() {
        Ok(snapshot) => snapshot,
        Err(WorkspaceError::Ledger(LedgerError::Damaged { path, offset, what })) => {
            verdict.find(path, Some(offset), what);
            return Ok((verdict, None));
        }
        Err(WorkspaceError::Ledger(e @ LedgerError::OtherKey)) => {
            verdict.find(workspace.shards_dir().join("handle.key"), Some(0), e.to_string());
            return Ok((verdict, None));
        }
        Err(WorkspaceError::Frozen { path, offset, what }) => {
            verdict.find(path, Some(offset), what);
            return Ok((verdict, None));
        }
        Err(e) => return Err(e),
    };
    let history = &snapshot.history;
    // What is on its way is no damage, and nothing to call sound either.
    workspace.placed(&snapshot)?;
    for path in workspace.ledger().strangers()? {
        verdict.find(path, None, STRANGER);
    }
    for request in history.unrepaired() {
        verdict.notes.push(format!("request `{}` is in effect and not repaired yet", request.accepted.request));
    }
    match workspace.handle_key() {
        Ok(key) => {
            let wrong = history.generations.values().find(|g| g.imported.handle_key != key.fingerprint());
            if wrong.is_some() {
                verdict.find(
                    workspace.shards_dir().join("handle.key"),
                    Some(0),
                    "this is not the key that the records were made with",
                );
            }
        }
        Err(e) if history.head.sequence > 0 => note_error(&mut verdict, &workspace.shards_dir().join("handle.key"), e)?,
        Err(_) => {}
    }
    let underway = Underway::of(workspace, history);
    for (id, record) in &history.generations {
        generation(workspace, history, (*id, record), &underway, &mut verdict)?;
    }
    if let Some(current) = &snapshot.current {
        let known = history.generations.get(&current.generation);
        if known.is_none_or(|g| !g.recipes.iter().any(|r| r.recipe == current.recipe)) {
            verdict.find(
                workspace.shards_dir().join("CURRENT"),
                Some(0),
                "it names a generation or recipe that the ledger does not know",
            );
        }
        let path = workspace.shards_dir().join("CURRENT");
        match workspace.files().read(&path) {
            Ok(bytes) if *bytes == *current.encode() => {}
            Ok(_) => verdict.find(path, Some(0), "its bytes are not as they were written"),
            Err(e) if e.is_not_found() => verdict.find(path, None, "the file is missing, and the ledger says what is in service"),
            Err(e) => return Err(e.into()),
        }
    }
    strangers(workspace, history, &mut verdict)?;
    sort_out_processes(workspace, &mut verdict)?;
    // What is on its way to what the ledger says is no damage, and nothing to call sound either.
    if let Some(request) = history.unfinished().first().filter(|_| verdict.findings.is_empty()) {
        return Err(WorkspaceError::NotEffective { request: request.accepted.request.clone() });
    }
    Ok((verdict, Some(snapshot)))
}

/// What requests that are accepted and not in effect are about to change: until then it may be as it was.
struct Underway {
    before: BTreeSet<(GenerationId, Cell, Digest)>,
    purge: BTreeSet<PathBuf>,
}

impl Underway {
    fn of(workspace: &Workspace, history: &History) -> Underway {
        let accepted = || history.unfinished().into_iter().map(|request| &request.accepted);
        let before = accepted().flat_map(|a| &a.cells).map(|c| (c.generation, c.cell, c.before));
        Underway {
            before: before.collect(),
            purge: accepted().flat_map(|a| &a.purge).map(|path| workspace.root().join(path)).collect(),
        }
    }
}

/// Others may be at work: what they are writing, and the folders they work in, are theirs. What one that was killed left behind is taken
/// away by the next that writes, which its mark makes sure of: worth a note, and no damage.
fn sort_out_processes(workspace: &Workspace, verdict: &mut Verdict) -> Result<(), WorkspaceError> {
    let mut found = Vec::new();
    for finding in std::mem::take(&mut verdict.findings) {
        let of_a_process = finding.path.file_name().and_then(|name| name.to_str()).is_some_and(Files::is_temporary)
            || finding.path.parent() == Some(&workspace.scratch_dir());
        let stranger = finding.what == STRANGER;
        if stranger && of_a_process && workspace.files().is_in_use(&finding.path)? {
            continue;
        }
        if stranger && workspace.is_left_behind(&finding.path)? {
            let path = finding.path.display();
            verdict
                .notes
                .push(format!("{path} was left by a process that was killed ; the next command that writes takes it away"));
        } else if !(stranger && of_a_process && is_in_use_soon(workspace, &finding.path)?) {
            found.push(finding);
        }
    }
    verdict.findings = found;
    Ok(())
}

/// Whether somebody works in it after all: what is being made has its name a moment before its lock.
fn is_in_use_soon(workspace: &Workspace, path: &std::path::Path) -> Result<bool, WorkspaceError> {
    for _ in 0..LOOKS {
        thread::sleep(PAUSE);
        if workspace.files().is_in_use(path)? {
            return Ok(true);
        }
    }
    Ok(false)
}

/// An error about a file becomes a finding; trouble with the disk stays an error.
fn note_error(verdict: &mut Verdict, path: &std::path::Path, error: WorkspaceError) -> Result<(), WorkspaceError> {
    match error {
        WorkspaceError::Frozen { path, offset, what } => verdict.find(path, Some(offset), what),
        WorkspaceError::Slice(SliceError::Damaged { path, offset, what }) => verdict.find(path, Some(offset), what),
        e @ (WorkspaceError::KeyMissing { .. }
        | WorkspaceError::KeyMalformed { .. }
        | WorkspaceError::KeyExposed { .. }
        | WorkspaceError::KeyWrong { .. }
        | WorkspaceError::Settings(_)) => verdict.find(path, Some(0), e.to_string()),
        e => return Err(e),
    }
    Ok(())
}

fn generation(
    workspace: &Workspace,
    history: &History,
    (id, record): (GenerationId, &GenerationRecord),
    underway: &Underway,
    verdict: &mut Verdict,
) -> Result<(), WorkspaceError> {
    let store = match workspace.shard_store(id, record) {
        Ok(store) => store,
        Err(e) => return note_error(verdict, &workspace.generation_dir(id), e),
    };
    verdict.checked(0);
    let handles = workspace.ledger().handles(history)?;
    handles.check()?;
    let gone = |handle: &Handle| handles.is_gone(*handle).unwrap_or(true);
    let mut rows_of: std::collections::BTreeMap<ShardId, Vec<u64>> = std::collections::BTreeMap::new();
    for (cell, digest) in record.cells.iter() {
        let path = store.path(cell);
        let slice = match store.open(cell) {
            Ok(slice) => slice,
            Err(SliceError::Damaged { path, offset, what }) => {
                verdict.find(path, Some(offset), what);
                continue;
            }
            Err(e) => return Err(e.into()),
        };
        verdict.checked(slice.bytes().len());
        if underway.before.contains(&(id, cell, slice.header().content)) {
            continue;
        }
        if slice.header().content != *digest {
            verdict.find(&path, Some(48), format!("its content digest is {}, the ledger says {digest}", slice.header().content));
        }
        let found = slice.records().iter().zip(slice.subjects()).filter(|(r, s)| gone(r) || gone(s)).count();
        if found > 0 {
            verdict.find(&path, None, format!("it holds {found} records of erased or suppressed ids"));
        }
        if cell.part != Part::Holdout {
            rows_of.entry(cell.shard).or_default().push(slice.header().rows);
        }
    }
    let waits = |path: &PathBuf| path.file_name().and_then(|name| name.to_str()).is_some_and(is_waiting);
    for path in store.strangers()?.into_iter().filter(|path| !(history.awaits(id) && waits(path))) {
        verdict.find(path, None, STRANGER);
    }
    for recipe in &record.recipes {
        match workspace.model(id, record, &recipe.recipe) {
            Ok(model) => checkpoints(&model, (record, &recipe.recipe), underway, verdict)?,
            Err(e) => note_error(verdict, &workspace.recipe_dir(id, &recipe.recipe).join("recipe.json"), e)?,
        }
    }
    Ok(())
}

/// Every checkpoint must be sound, and follow from the slices that the ledger has.
fn checkpoints(
    model: &Model,
    (record, recipe): (&GenerationRecord, &RecipeId),
    underway: &Underway,
    verdict: &mut Verdict,
) -> Result<(), WorkspaceError> {
    let grid = model.shards.grid();
    let standing = (0..grid.shards).filter_map(|shard| record.standby(recipe, ShardId(shard))).map(|standby| standby.step).max();
    for path in model.checkpoints.strangers(grid.shards, grid.slices.max(standing.unwrap_or(0)))? {
        verdict.find(path, None, STRANGER);
    }
    let mut missing = 0;
    for shard in grid.shards() {
        let contents = grid.slices().filter_map(|s| record.cells.get(&Cell { shard, part: Part::Slice(s) }).copied());
        let keys = lineages(&model.root, shard, contents);
        let found = model.checkpoints.list(shard)?;
        for checkpoint in &found {
            let path = model.checkpoints.path(shard, checkpoint.step, checkpoint.lineage);
            let stands_by =
                record.standby(recipe, shard).is_some_and(|s| (s.step, s.lineage) == (checkpoint.step.0, checkpoint.lineage));
            if !stands_by && !model.kept.get(checkpoint.step.0 as usize - 1).is_some_and(|kept| *kept) {
                verdict.find(&path, None, "the recipe keeps no checkpoint of this step");
            }
            let follows = keys.get(checkpoint.step.0 as usize) == Some(&checkpoint.lineage);
            if !follows && !stands_by && !underway.purge.contains(&path) {
                verdict.find(&path, None, "a stale checkpoint: it does not follow from the slices that the ledger has");
            }
            let decode = |payload: &[u8]| (payload.len(), model.learner.decode(model.shards.layout(), payload).err());
            match model.checkpoints.read(shard, checkpoint.step, checkpoint.lineage, decode) {
                Ok((bytes, None)) => verdict.checked(bytes),
                Ok((_, Some(e))) => verdict.find(path, Some(96), e.to_string()),
                Err(CheckpointError::Damaged { path, offset, what }) => verdict.find(path, Some(offset), what),
                // A builder found it damaged and took it away; it counts as missing from the next look on.
                Err(CheckpointError::Fs(e)) if e.is_not_found() => {}
                Err(CheckpointError::Fs(e)) => return Err(e.into()),
            }
        }
        let has = |step: u32| found.iter().any(|f| f.step.0 == step && keys.get(step as usize) == Some(&f.lineage));
        missing += (1..).zip(&model.kept).filter(|(step, kept)| **kept && !has(*step)).count();
    }
    if missing > 0 {
        verdict.notes.push(format!("{missing} checkpoints are not trained yet ; training and repairing build them"));
    }
    Ok(())
}

/// Names at the top of the folders that nothing accounts for.
fn strangers(workspace: &Workspace, history: &History, verdict: &mut Verdict) -> Result<(), WorkspaceError> {
    let files = workspace.files();
    let known = |name: &str| history.generations.keys().any(|g| g.to_string() == name);
    for (dir, fine) in [
        (workspace.shards_dir(), &["README.md", "handle.key", "CURRENT", "ledger", "session"][..]),
        (workspace.checkpoints_dir(), &["README.md"][..]),
        (workspace.scratch_dir(), &[][..]),
    ] {
        if files.stat(&dir)?.is_some_and(|s| s.kind == EntryKind::File || (s.kind != EntryKind::Dir && fine.is_empty())) {
            verdict.find(dir, None, "a folder belongs here, or nothing");
            continue;
        }
        for (name, kind) in files.list(&dir)? {
            let path = dir.join(&name);
            if fine.contains(&name.as_str()) || (kind == EntryKind::Dir && known(&name)) {
                continue;
            }
            verdict.find(path, None, STRANGER);
        }
    }
    for (id, record) in &history.generations {
        let dir = workspace.checkpoints_dir().join(id.to_string());
        for (name, _) in files.list(&dir)? {
            if !record.recipes.iter().any(|r| r.recipe.0 == name) {
                verdict.find(dir.join(name), None, STRANGER);
            }
        }
    }
    Ok(())
}
