//! Seeds of workers: of a shard's initial state, and of each of its steps, all from one seed of the shard's.

use crate::digest::Digest;

/// Of the state before any row.
pub(super) fn initial(shard: &[u8; 32]) -> [u8; 32] {
    Digest::derive("sisa 1 worker initial state", &[shard]).0
}

/// Of a step, from 1.
pub(super) fn step(shard: &[u8; 32], index: u32) -> [u8; 32] {
    Digest::derive("sisa 1 worker step", &[shard, &index.to_le_bytes()]).0
}
