//! Checkpoint files, byte by byte (the same table is in checkpoints/README.md):
//!
//! | at | bytes | field |
//! |---|---|---|
//! | 0 | 8 | magic `89 53 49 53 41 43 50 0a` (`\x89SISACP\n`) |
//! | 8 | 4 | format version, 1 |
//! | 12 | 4 | shard, from 0 |
//! | 16 | 4 | step, from 1 |
//! | 20 | 4 | zero |
//! | 24 | 8 | payload bytes p |
//! | 32 | 32 | lineage key |
//! | 64 | 32 | BLAKE3 of bytes 0..64 and the payload |
//! | 96 | p | payload: the learner's state |
//!
//! Little-endian. No time, host or program version, so the same step gives the same file.

use std::path::Path;

use super::CheckpointError;
use crate::{
    digest::Digest,
    ids::{ShardId, SliceId},
};

/// The version of checkpoint files; part of every recipe.
pub const CHECKPOINT_FORMAT: u32 = 1;

pub(super) const MAGIC: [u8; 8] = *b"\x89SISACP\n";
pub(super) const HEADER_BYTES: usize = 96;
const DIGEST_AT: usize = 64;

/// The header of a checkpoint with this payload, and the digest in it.
pub(super) fn encode(shard: ShardId, step: SliceId, lineage: Digest, payload: &[u8]) -> (Vec<u8>, Digest) {
    let mut out = Vec::with_capacity(HEADER_BYTES);
    out.extend_from_slice(&MAGIC);
    out.extend_from_slice(&CHECKPOINT_FORMAT.to_le_bytes());
    out.extend_from_slice(&shard.0.to_le_bytes());
    out.extend_from_slice(&step.0.to_le_bytes());
    out.extend_from_slice(&[0; 4]);
    out.extend_from_slice(&(payload.len() as u64).to_le_bytes());
    out.extend_from_slice(&lineage.0);
    let digest = digest(&out, payload);
    out.extend_from_slice(&digest.0);
    (out, digest)
}

fn digest(head: &[u8], payload: &[u8]) -> Digest {
    let mut hasher = blake3::Hasher::new();
    hasher.update(head);
    hasher.update(payload);
    Digest(*hasher.finalize().as_bytes())
}

/// Checks the header against the name and the length of the file; the payload is not looked at.
///
/// # Errors
/// [`CheckpointError::Damaged`] with the offset of the first field that is wrong.
pub(super) fn check_header(
    head: &[u8],
    file_len: u64,
    path: &Path,
    shard: ShardId,
    step: SliceId,
    lineage: Digest,
) -> Result<(), CheckpointError> {
    let damaged = |offset: usize, what: String| CheckpointError::Damaged { path: path.to_owned(), offset: offset as u64, what };
    let payload = file_len.checked_sub(HEADER_BYTES as u64);
    let (Some(head), Some(payload)) = (head.get(..HEADER_BYTES), payload) else {
        return Err(damaged(head.len(), format!("the file ends inside its {HEADER_BYTES}-byte header")));
    };
    // What the first 64 bytes must be follows from the name and the length, so they are compared whole.
    let mut expected = Vec::with_capacity(DIGEST_AT);
    expected.extend_from_slice(&MAGIC);
    expected.extend_from_slice(&CHECKPOINT_FORMAT.to_le_bytes());
    expected.extend_from_slice(&shard.0.to_le_bytes());
    expected.extend_from_slice(&step.0.to_le_bytes());
    expected.extend_from_slice(&[0; 4]);
    expected.extend_from_slice(&payload.to_le_bytes());
    expected.extend_from_slice(&lineage.0);
    match head.iter().zip(&expected).position(|(a, b)| a != b) {
        None => Ok(()),
        Some(at) => {
            let fields = [
                (32, "lineage key"),
                (24, "payload length"),
                (20, "reserved field"),
                (16, "step"),
                (12, "shard"),
                (8, "format version"),
            ];
            let name = fields.iter().find(|f| at >= f.0).map_or("magic", |f| f.1);
            Err(damaged(at, format!("the {name} is not what the file's name and length say")))
        }
    }
}

/// What a header says is the digest of its file: of all before it, and of the payload.
pub(super) fn digest_of(head: &[u8]) -> Option<Digest> {
    Some(Digest(head.get(DIGEST_AT..HEADER_BYTES)?.try_into().ok()?))
}

/// Checks a whole file and returns the digest in its header, and its payload.
///
/// # Errors
/// [`CheckpointError::Damaged`] with the offset of the first field that is wrong.
pub(super) fn decode<'a>(
    bytes: &'a [u8],
    path: &Path,
    shard: ShardId,
    step: SliceId,
    lineage: Digest,
) -> Result<(Digest, &'a [u8]), CheckpointError> {
    check_header(bytes, bytes.len() as u64, path, shard, step, lineage)?;
    let (head, payload) = bytes.split_at_checked(HEADER_BYTES).unwrap_or_default();
    let got = digest(head.get(..DIGEST_AT).unwrap_or_default(), payload);
    let says = head.get(DIGEST_AT..).unwrap_or_default();
    if got.0 != says {
        return Err(CheckpointError::Damaged {
            path: path.to_owned(),
            offset: DIGEST_AT as u64,
            what: format!("the payload's digest is {got}, which the header does not say"),
        });
    }
    Ok((got, payload))
}

/// The name of a checkpoint in its shard's folder.
pub(super) fn file_name(step: SliceId, lineage: Digest) -> String {
    format!("{step}-{lineage}.ckpt")
}

/// What a file name stands for.
pub(super) fn name_of(name: &str) -> Option<(SliceId, Digest)> {
    let (step, lineage) = name.strip_suffix(".ckpt")?.split_once('-')?;
    let step = SliceId(step.parse().ok().filter(|n| *n > 0)?);
    let lineage = Digest::from_hex(lineage)?;
    (file_name(step, lineage) == name).then_some((step, lineage))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_flipped_bit_of_a_file_is_seen_and_located() {
        let (shard, step, lineage) = (ShardId(3), SliceId(2), Digest::of(b"l"));
        let payload = b"payload";
        let (mut file, digest) = encode(shard, step, lineage, payload);
        file.extend_from_slice(payload);
        let path = Path::new("x");
        assert_eq!(digest_of(&file), Some(digest));
        assert_eq!(decode(&file, path, shard, step, lineage).unwrap(), (digest, &payload[..]));
        for at in 0..file.len() {
            for bit in 0..8 {
                let mut bad = file.clone();
                bad[at] ^= 1 << bit;
                let Err(CheckpointError::Damaged { offset, .. }) = decode(&bad, path, shard, step, lineage) else {
                    panic!("byte {at} bit {bit} passed")
                };
                assert!(offset <= at as u64 || offset == DIGEST_AT as u64);
            }
            assert!(decode(&file[..at], path, shard, step, lineage).is_err(), "cut at {at}");
        }
        assert!(decode(&file, path, shard, SliceId(1), lineage).is_err());
    }

    #[test]
    fn file_names_have_one_spelling() {
        let lineage = Digest::of(b"l");
        let name = file_name(SliceId(3), lineage);
        assert_eq!(name_of(&name), Some((SliceId(3), lineage)));
        for stranger in
            [name.to_uppercase(), name.replace("03-", "3-"), name.replace("03-", "00-"), name.replace(".ckpt", ".tmp")]
        {
            assert_eq!(name_of(&stranger), None, "{stranger}");
        }
    }
}
