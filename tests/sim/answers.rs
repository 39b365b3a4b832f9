//! What a reader that stays answers from an image, whatever is still to be done there.

use std::path::{Path, PathBuf};

use sisa::{
    engine::{Error, Input, Quiet},
    fs::Disk,
    predict::Scores,
};

use super::{
    Reference, SimDisk, World,
    world::{artefacts, workspace},
};

/// A question, what the answer is before the deletion, and a workspace in which the deleted persons never were.
#[derive(Debug)]
pub struct Asked {
    table: PathBuf,
    before: Scores,
    never: SimDisk,
}

/// What there was of answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Given {
    Nothing,
    Before,
    Clean,
}

fn scores(disk: &SimDisk, table: &Path) -> Result<Scores, Error> {
    let answers = World::engine(disk).serving_later().scores(&Input::from(table.to_owned()), &Quiet);
    answers.map(|answers| answers.scores)
}

impl Asked {
    /// All rows of a world, those of the deleted persons too.
    pub fn of(world: &World) -> Asked {
        let (table, never) = (world.source(), world.trained_without());
        Asked { before: scores(&world.trained(), &table).unwrap(), never, table }
    }

    /// Asks, and changes nothing. Before the request is accepted the answer is what it was; from then on it is that of the workspace without
    /// the persons in which the same checkpoints are there.
    pub fn ask(&self, image: &SimDisk) -> Result<Given, String> {
        let ledger = workspace(image).ledger();
        let history = ledger.read().map_err(|e| format!("the ledger can't be read: {e}"))?;
        let accepted = ledger.request_ids(&history, "r1").map_err(|e| e.to_string())?.is_some();
        let Ok(answer) = scores(image, &self.table) else { return Ok(Given::Nothing) };
        if !accepted {
            return if answer == self.before {
                Ok(Given::Before)
            } else {
                Err("nothing is accepted, and it answers otherwise".into())
            };
        }
        let clean = SimDisk::of(self.never.image());
        let here = artefacts(&Reference::of(image).files);
        for (path, bytes) in artefacts(&Reference::of(&self.never).files) {
            if path.extension().is_some_and(|e| e == "ckpt") && here.get(&path) != Some(&bytes) {
                clean.unlink(&Path::new("/").join(path)).unwrap();
            }
        }
        match scores(&clean, &self.table) {
            Ok(expected) if expected == answer => Ok(Given::Clean),
            Ok(_) => Err("the deletion is accepted, and an answer is not one of states that never saw the persons".into()),
            Err(e) => Err(format!("it answers, and without the persons there would be none: {e}")),
        }
    }
}
