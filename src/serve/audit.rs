//! Who did what: lines of JSON, each with the digest of the one before, in numbered files of the workspace's folder `service/audit`.
//!
//! Names of keys and requests are in it; never an id and never a cell. Files are put in place whole, some lines at once, so that many requests
//! share a sync; a line is durable before who asked is answered. Older files may be moved away: the first that is left begins the chain.

use std::{
    path::PathBuf,
    sync::{Mutex, PoisonError},
};

use serde::{Deserialize, Serialize};
use sisa::{
    engine::{Durability, Engine, EntryKind, Error, FsError, utc_now},
    wire,
};

const FOLDER: [&str; 2] = ["service", "audit"];
const SUFFIX: &str = ".jsonl";

/// What is written down.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Act {
    /// The name of the key, `local` without keys, or `operator` at the command line.
    pub(crate) who: String,
    /// What was asked for: the name of an endpoint, `start`, `stop`, `key_add`, `key_revoke`.
    pub(crate) what: String,
    /// The name of a deletion request, or of a key.
    pub(crate) about: Option<String>,
    /// What came of it: an HTTP status, or `done`.
    pub(crate) result: String,
}

/// A line as it is kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Kept {
    sequence: u64,
    time: String,
    who: String,
    what: String,
    about: Option<String>,
    result: String,
    /// The digest of the line before; 64 zeros of the first.
    previous: String,
    /// BLAKE3 of this line as it is written with an empty text here.
    digest: String,
}

impl Kept {
    fn sealed(self) -> Kept {
        let open = Kept { digest: String::new(), ..self };
        Kept { digest: blake3::hash(wire::line(&open).as_bytes()).to_hex().to_string(), ..open }
    }
}

/// Where the chain ends.
#[derive(Clone, Debug)]
struct End {
    file: u64,
    sequence: u64,
    digest: String,
}

impl Default for End {
    fn default() -> End {
        End { file: 0, sequence: 0, digest: "0".repeat(64) }
    }
}

/// Why the log can't be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AuditError {
    /// The chain is broken.
    #[error("{}: {problem}", path.display())]
    Broken { path: PathBuf, problem: String },
    /// The disk refused.
    #[error(transparent)]
    Engine(#[from] Error),
}

impl From<FsError> for AuditError {
    fn from(error: FsError) -> AuditError {
        AuditError::Engine(error.into())
    }
}

/// The audit log of a workspace.
#[derive(Debug, Default)]
pub(crate) struct Audit {
    end: Mutex<End>,
    waiting: Mutex<Vec<Act>>,
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn folder(engine: &Engine) -> PathBuf {
    FOLDER.iter().fold(engine.workspace().root().to_owned(), |path, part| path.join(part))
}

fn file(engine: &Engine, number: u64) -> PathBuf {
    folder(engine).join(format!("{number:08}{SUFFIX}"))
}

impl Audit {
    /// Writes an act down, with those of other threads that wait; durable on return.
    pub(crate) fn write(&self, engine: &Engine, act: Act) -> Result<(), AuditError> {
        lock(&self.waiting).push(act);
        let mut end = lock(&self.end);
        let acts = std::mem::take(&mut *lock(&self.waiting));
        if acts.is_empty() {
            // Whoever had the turn before has written it.
            return Ok(());
        }
        let written = append(engine, &mut end, &acts);
        if written.is_err() {
            lock(&self.waiting).splice(0..0, acts);
        }
        written
    }
}

/// Appends lines in one file. Other processes are kept out meanwhile, and what they appended before is found.
fn append(engine: &Engine, end: &mut End, acts: &[Act]) -> Result<(), AuditError> {
    let (files, folder) = (engine.files(), folder(engine));
    files.make_dirs(&folder)?;
    let _alone = files.lock(&folder, true)?;
    if end.file == 0 || files.stat(&file(engine, end.file + 1))?.is_some() {
        *end = last(engine)?;
    }
    let mut next = end.clone();
    let mut text = String::new();
    for Act { who, what, about, result } in acts.iter().cloned() {
        let (sequence, time, previous) = (next.sequence + 1, utc_now(), next.digest);
        let kept = Kept { sequence, time, who, what, about, result, previous, digest: String::new() }.sealed();
        text.push_str(&wire::line(&kept));
        next = End { file: next.file, sequence, digest: kept.digest };
    }
    next.file += 1;
    let _ = files.publish(&file(engine, next.file), &[text.as_bytes()], Durability::Now)?;
    *end = next;
    Ok(())
}

fn numbers(engine: &Engine) -> Result<Vec<u64>, AuditError> {
    if engine.files().stat(&folder(engine))?.is_none() {
        return Ok(Vec::new());
    }
    let found = engine.files().list(&folder(engine))?.into_iter().filter(|(_, kind)| *kind == EntryKind::File);
    let mut numbers: Vec<u64> = found.filter_map(|(name, _)| name.strip_suffix(SUFFIX)?.parse().ok()).collect();
    numbers.sort_unstable();
    Ok(numbers)
}

fn last(engine: &Engine) -> Result<End, AuditError> {
    let Some(number) = numbers(engine)?.pop() else { return Ok(End::default()) };
    let lines = lines(engine, number)?;
    match lines.last() {
        Some(Kept { sequence, digest, .. }) => Ok(End { file: number, sequence: *sequence, digest: digest.clone() }),
        None => Err(AuditError::Broken { path: file(engine, number), problem: "is empty".into() }),
    }
}

fn lines(engine: &Engine, number: u64) -> Result<Vec<Kept>, AuditError> {
    let path = file(engine, number);
    let bytes = engine.files().read(&path)?;
    let broken = |problem: String| AuditError::Broken { path: path.clone(), problem };
    let mut found = Vec::new();
    for line in bytes.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
        let kept: Kept = serde_json::from_slice(line).map_err(|e| broken(e.to_string()))?;
        if kept.clone().sealed() != kept {
            return Err(broken(format!("line {} was changed", kept.sequence)));
        }
        found.push(kept);
    }
    Ok(found)
}

/// All lines, once every digest and number is found to follow from the line before.
pub(crate) fn read(engine: &Engine) -> Result<String, AuditError> {
    let mut text = String::new();
    let mut before: Option<Kept> = None;
    for number in numbers(engine)? {
        for kept in lines(engine, number)? {
            let follows = before.as_ref().is_none_or(|b| b.digest == kept.previous && b.sequence + 1 == kept.sequence);
            if !follows {
                let problem = format!("line {} does not follow from the one before", kept.sequence);
                return Err(AuditError::Broken { path: file(engine, number), problem });
            }
            text.push_str(&wire::line(&kept));
            before = Some(kept);
        }
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn act(about: &str) -> Act {
        Act { who: "desk".into(), what: "delete".into(), about: Some(about.into()), result: "200".into() }
    }

    #[test]
    #[expect(clippy::disallowed_methods, reason = "a test damages a file by hand")]
    fn two_writers_make_one_chain_and_a_change_shows() {
        let folder = tempfile::tempdir().unwrap();
        let engine = Engine::builder(folder.path()).threads(1).open().unwrap();
        assert_eq!(read(&engine).unwrap(), "");
        let (one, two) = (Audit::default(), Audit::default());
        std::thread::scope(|scope| {
            for (audit, name) in [(&one, "a"), (&two, "b"), (&one, "c")] {
                let engine = &engine;
                scope.spawn(move || (0..10).for_each(|i| audit.write(engine, act(&format!("{name}{i}"))).unwrap()));
            }
        });
        let text = read(&engine).unwrap();
        let sequences: Vec<u64> = text.lines().map(|l| serde_json::from_str::<Kept>(l).unwrap().sequence).collect();
        assert_eq!(sequences, (1..=30).collect::<Vec<_>>());
        let (first, second) = (file(&engine, 1), file(&engine, 2));
        let whole = std::fs::read_to_string(&second).unwrap();
        std::fs::write(&second, whole.replace("delete", "deleted")).unwrap();
        assert!(read(&engine).unwrap_err().to_string().contains("was changed"));
        std::fs::write(&second, whole).unwrap();
        std::fs::remove_file(&first).unwrap();
        assert!(!read(&engine).unwrap().is_empty(), "older files may be moved away");
        let third = file(&engine, 3);
        if third.exists() && file(&engine, 4).exists() {
            std::fs::remove_file(&third).unwrap();
            assert!(read(&engine).unwrap_err().to_string().contains("does not follow"));
        }
    }
}
