use serde::Serialize;

use crate::ledger::BatchRecord;

/// A batch that was appended, once it is committed and in its place.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "type", rename = "appended")]
#[non_exhaustive]
pub struct Appended {
    /// The generation that it came to, as its folder is named.
    pub generation: String,
    /// Its number there; the import is batch 1.
    pub batch: u32,
    /// Its name.
    pub name: String,
    /// Whether this call appended it; otherwise it was there already.
    pub new: bool,
    /// Its records that went into slices.
    pub records: u64,
    /// Its records held out.
    pub held_out: u64,
    /// Its rows refused because their ids are suppressed.
    pub refused: u64,
}

impl Appended {
    /// What [`Engine::append`](crate::engine::Engine::append) said of a batch.
    pub fn of(name: &str, batch: &BatchRecord, new: bool) -> Appended {
        let BatchRecord { generation, batch: number, records, held_out, refused, .. } = *batch;
        Appended { generation: generation.to_string(), batch: number, name: name.into(), new, records, held_out, refused }
    }
}
