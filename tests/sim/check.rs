//! What must hold of an image at any moment, and when nothing is left to do.

use std::{collections::BTreeMap, path::PathBuf};

use sisa::{
    engine::{Quiet, VerifyRequest},
    ledger::History,
};

use super::{
    SimDisk,
    world::{Reference, World, artefacts, workspace},
};

/// What the engine told its caller before it stopped.
#[derive(Clone, Copy, Debug, Default)]
pub struct Claims {
    /// The deletion is in effect.
    pub effective: bool,
}

/// Checks an image as a power cut or a kill left it, before anything opens it for writing. `clean` are the workspaces without the deleted
/// persons (`r1`), with the corrected records (`c1`), or without those that are too old (`e1`), that it may be on its way between: no file is there but theirs, and what is repaired is one of them. Returns what its ledger
/// says.
pub fn check_image(disk: &SimDisk, claims: Claims, clean: &[Reference]) -> Result<History, String> {
    let history = match workspace(disk).ledger().read() {
        Ok(history) => history,
        Err(e) => return Err(format!("the ledger can't be read: {e}")),
    };
    let (requests, _) = workspace(disk).ledger().requests().map_err(|e| format!("the requests can't be read: {e}"))?;
    let request = requests.iter().find(|r| ["r1", "c1", "e1"].contains(&r.accepted.request.as_str()));
    // Of whom records were too old others may stay, so that it is the files that say whether they are gone.
    let corrects = request.is_some_and(|r| r.accepted.corrects || r.accepted.request == "e1");
    let effective = request.is_some_and(|r| r.effective.is_some());
    if claims.effective && !effective {
        return Err("the caller was told that the deletion is in effect, and the ledger does not know".to_owned());
    }
    let here = Reference::of(disk);
    if effective && corrects {
        nothing_holds_the_old(&here, clean)?;
    } else if effective {
        nothing_saw_the_deleted(&here, clean)?;
    }
    if request.is_some_and(|r| r.repaired.is_some()) {
        let current = workspace(disk).snapshot().map_err(|e| e.to_string())?.current.ok_or("nothing serves")?;
        let serving = |reference: &Reference| {
            let mut files = artefacts(&reference.files);
            files.retain(|path, _| path.iter().any(|part| part == current.generation.to_string().as_str()));
            files
        };
        let differences: Vec<String> = clean.iter().filter_map(|clean| same(&serving(&here), &serving(clean)).err()).collect();
        if differences.len() == clean.len() {
            return Err(format!("the ledger says repaired, but {}", differences.join("; or ")));
        }
    }
    Ok(history)
}

/// No file holds a deleted person's handle, and no checkpoint is there that a workspace without them has not.
fn nothing_saw_the_deleted(here: &Reference, clean: &[Reference]) -> Result<(), String> {
    let gone = World::gone();
    // The ledger holds handles of those who were deleted, and so do its temporary files.
    for (path, bytes) in here.files.iter().filter(|(path, _)| !path.iter().any(|part| part == "ledger")) {
        if gone.iter().any(|handle| bytes.windows(16).any(|window| window == handle.0)) {
            return Err(format!("the deletion is in effect, and {} holds a deleted person", path.display()));
        }
        if path.extension().is_some_and(|e| e == "ckpt") && !clean.iter().any(|clean| clean.files.contains_key(path)) {
            return Err(format!("the deletion is in effect, and {} saw a deleted person", path.display()));
        }
    }
    Ok(())
}

/// No slice holds anything but what workspaces have in which the records always were as they are to be, and no checkpoint is there that none
/// of them has.
fn nothing_holds_the_old(here: &Reference, clean: &[Reference]) -> Result<(), String> {
    let is = |path: &std::path::Path, end: &str| path.extension().is_some_and(|e| e == end);
    for (path, bytes) in &here.files {
        let known = match (is(path, "ckpt"), is(path, "slice") || is(path, "next")) {
            (true, _) => clean.iter().any(|clean| clean.files.contains_key(path)),
            (_, true) => clean.iter().any(|clean| clean.files.get(path) == Some(bytes)),
            _ => true,
        };
        if !known {
            return Err(format!("the correction is in effect, and {} holds or saw what it replaced", path.display()));
        }
    }
    Ok(())
}

/// Checks a workspace in which nothing is left to do: to the byte as `expected`, no file or folder more, nothing waiting.
pub fn check_finished(disk: &SimDisk, expected: &Reference) -> Result<(), String> {
    let history = check_image(disk, Claims::default(), std::slice::from_ref(expected))?;
    if let Some(open) = history.unfinished().into_iter().chain(history.unrepaired()).next() {
        return Err(format!("request {} is not repaired", open.accepted.request));
    }
    let here = Reference::of(disk);
    same(&here.files, &expected.files)?;
    if let Some(dir) = here.dirs.symmetric_difference(&expected.dirs).next() {
        return Err(format!("folder {} is on one side only", dir.display()));
    }
    match World::engine(disk).verify(&VerifyRequest::default(), &Quiet) {
        Ok(verdict) if verdict.findings.is_empty() => Ok(()),
        Ok(verdict) => Err(format!("verify finds {:?}", verdict.findings)),
        Err(e) => Err(format!("verify fails: {e}")),
    }
}

fn same(here: &BTreeMap<PathBuf, Vec<u8>>, expected: &BTreeMap<PathBuf, Vec<u8>>) -> Result<(), String> {
    for path in here.keys().chain(expected.keys()) {
        let at = match (here.get(path), expected.get(path)) {
            (None, _) => return Err(format!("{} is missing", path.display())),
            (_, None) => return Err(format!("{} is there, and nothing accounts for it", path.display())),
            (Some(a), Some(b)) if a == b => continue,
            (Some(a), Some(b)) => a.iter().zip(b).position(|(a, b)| a != b).unwrap_or(a.len().min(b.len())),
        };
        return Err(format!("{} differs first at byte {at}", path.display()));
    }
    Ok(())
}
