use serde::Serialize;

use crate::engine;

/// A rekey is due.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(tag = "type", rename = "rekey_due")]
#[non_exhaustive]
pub struct RekeyDue {
    /// The share of the records imported under the model key that was deleted.
    pub share: f64,
    /// The share from which on it is due.
    pub limit: f64,
    /// Records deleted.
    pub deleted: u64,
}

impl From<&engine::RekeyDue> for RekeyDue {
    fn from(due: &engine::RekeyDue) -> RekeyDue {
        RekeyDue { share: due.share, limit: due.limit, deleted: due.deleted }
    }
}
