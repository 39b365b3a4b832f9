//! Objects that were read a moment ago, so that a training does not fetch a slice for each of its steps.

use std::collections::BTreeMap;

use crate::fs::Bytes;

/// How much is kept.
const KEPT_BYTES: usize = 256 << 20;

/// Objects in memory.
#[derive(Debug, Default)]
pub(super) struct Kept {
    objects: BTreeMap<String, Bytes>,
    bytes: usize,
}

impl Kept {
    /// An object that is kept.
    pub(super) fn get(&self, object: &str) -> Option<Bytes> {
        self.objects.get(object).cloned()
    }

    /// Keeps an object; what was kept before goes when it would be too much.
    pub(super) fn keep(&mut self, object: &str, bytes: &Bytes) {
        if bytes.len() > KEPT_BYTES / 4 {
            return;
        }
        if self.bytes + bytes.len() > KEPT_BYTES {
            self.clear();
        }
        self.bytes += bytes.len();
        self.objects.insert(object.to_owned(), bytes.clone());
    }

    /// Keeps nothing.
    pub(super) fn clear(&mut self) {
        *self = Kept::default();
    }
}
