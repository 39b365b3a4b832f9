//! `sisa schema`: a configuration proposed from the data.

use std::path::{Path, PathBuf};

use super::{Engine, Error};
use crate::{
    config::Flags,
    schema::{Proposal, Wishes, propose},
    source,
};

impl Engine {
    /// Proposes a configuration for sources; relative to `config`'s folder where they lie below it.
    ///
    /// # Errors
    /// A source can't be read, or nothing can be proposed for it.
    pub fn propose(&self, sources: &[PathBuf], config: &Path, flags: &Flags) -> Result<Proposal, Error> {
        let wishes = Wishes { label: flags.label.clone(), subject: flags.subject.clone(), record: flags.record.clone() };
        let folder = config.parent().unwrap_or(Path::new(""));
        let names: Vec<PathBuf> = sources.iter().map(|s| self.workspace.files().name_from(s, folder)).collect();
        Ok(propose(&mut source::open_all(sources)?, &names, &wishes)?)
    }
}
