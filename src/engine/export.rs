//! `sisa export`: what is in service as a file that other programs read. The ledger knows of it before the file is there.

use std::path::{Path, PathBuf};

use super::{Engine, Error, Observer, serving::Loaded};
use crate::{
    digest::Digest,
    export::{self, Facts},
    fs::Durability,
    ledger::{Event, ExportFormat, ExportRecord, Exported},
    workspace::WorkspaceError,
};

/// How often a file is made again because something came into effect meanwhile, before the caller is told to try later.
const TRIES: u32 = 4;

/// A copy that was made.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ExportReport {
    /// What the ledger says of it.
    pub record: ExportRecord,
    /// The file.
    pub path: PathBuf,
    /// Its bytes.
    pub bytes: u64,
    /// Members that vote, how many of them with their full weight, and how many shards there are.
    pub members: (usize, usize, u32),
}

impl Engine {
    /// Writes what is in service to a file, over one that is there. The entry in the ledger is durable before the file is put in place,
    /// so there is no copy that the ledger does not know; after a failure in between it knows one that is not there.
    ///
    /// # Errors
    /// Nothing can answer, the model has no such form, another process writes, or the disk refuses.
    pub fn export(&self, format: ExportFormat, path: &Path, observer: &dyn Observer) -> Result<ExportReport, Error> {
        self.again(|| self.export_once(format, path, observer))
    }

    fn export_once(&self, format: ExportFormat, path: &Path, observer: &dyn Observer) -> Result<ExportReport, Error> {
        let files = self.files();
        for _ in 0..TRIES {
            let (loaded, bytes) = self.threads.answering()?.install(|| -> Result<_, Error> {
                let loaded = Loaded::load(&self.workspace)?;
                let bytes = export::encode(format, &loaded.schema, &loaded.ensemble, &self.facts(&loaded)?)?;
                Ok((loaded, bytes))
            })?;
            let mut file = files.begin(path)?;
            file.write(&bytes)?;
            if observer.stopped() {
                file.discard()?;
                return Err(Error::Interrupted);
            }
            let mut writing = self.open_for_writing()?;
            if writing.history().head != loaded.snapshot.history.head {
                // Something came into effect while the file was made: it would be a copy of what is no more.
                file.discard()?;
                writing.done()?;
                continue;
            }
            loaded.tell(observer);
            let (current, record) = self.workspace.serving(&loaded.snapshot)?;
            let exported = Exported {
                format,
                digest: Digest::of(&bytes),
                generation: current.generation,
                recipe: current.recipe.clone(),
                records: record.root(),
                entry: loaded.snapshot.history.head.sequence,
            };
            writing.append(Event::Exported(exported))?;
            files.reached("exported");
            let record = writing.history().exports().last().cloned();
            writing.done()?;
            let _ = file.publish(Durability::Now)?;
            let record = record.unwrap_or_else(|| unreachable!("its entry was appended"));
            let members = loaded.members();
            return Ok(ExportReport { record, path: path.to_owned(), bytes: bytes.len() as u64, members });
        }
        Err(WorkspaceError::MovedOn.into())
    }

    /// The copies that the ledger knows, oldest first.
    ///
    /// # Errors
    /// The ledger is damaged.
    pub fn exports(&self) -> Result<Vec<ExportRecord>, Error> {
        Ok(self.workspace.snapshot()?.history.exports().to_vec())
    }

    fn facts(&self, loaded: &Loaded) -> Result<Facts, Error> {
        let (current, record) = self.workspace.serving(&loaded.snapshot)?;
        let learner = &loaded.model.recipe.learner;
        Ok(Facts {
            generation: current.generation,
            recipe: current.recipe.clone(),
            learner: learner.kind().to_owned(),
            // By way of its text, in which an f32 has its own digits and not those of an f64.
            settings: serde_json::to_string(learner).and_then(|text| serde_json::from_str(&text)).unwrap_or_default(),
            records: record.root(),
        })
    }
}
