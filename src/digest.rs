//! Digests and keys: BLAKE3 with a domain for every use (the table is in docs/TRAINING.md, section 1).

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

use crate::ids::{Handle, ShardId, SliceId, hex_into, write_hex};

/// 32 bytes of BLAKE3.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Digest(pub [u8; 32]);

/// Turns ids into handles and assigns the holdout; lives as long as the workspace.
#[derive(Clone, PartialEq, Eq)]
pub struct HandleKey([u8; 32]);

/// Partition, order, initial states and slice digests of one generation.
#[derive(Clone, PartialEq, Eq)]
pub struct ModelKey([u8; 32]);

impl Digest {
    /// The digest of a file's bytes.
    pub fn of(bytes: &[u8]) -> Digest {
        Digest(*blake3::hash(bytes).as_bytes())
    }

    /// BLAKE3's key derivation: a context that names the use, and the material.
    pub fn derive(context: &str, material: &[&[u8]]) -> Digest {
        let mut hasher = blake3::Hasher::new_derive_key(context);
        for part in material {
            hasher.update(part);
        }
        Digest(*hasher.finalize().as_bytes())
    }

    /// The digest that `text` (64 hexadecimal digits) spells.
    pub fn from_hex(text: &str) -> Option<Digest> {
        let mut out = [0; 32];
        hex_into(text, &mut out)?;
        Some(Digest(out))
    }

    fn keyed(&self, parts: &[&[u8]]) -> blake3::Hash {
        let mut hasher = blake3::Hasher::new_keyed(&self.0);
        for part in parts {
            hasher.update(part);
        }
        hasher.finalize()
    }
}

/// The first eight bytes as a little-endian number.
fn first_u64(hash: &blake3::Hash) -> u64 {
    let [a, b, c, d, e, f, g, h, ..] = *hash.as_bytes();
    u64::from_le_bytes([a, b, c, d, e, f, g, h])
}

/// The first sixteen bytes as a handle.
fn first_handle(hash: &blake3::Hash) -> Handle {
    let mut out = [0; 16];
    out.iter_mut().zip(hash.as_bytes()).for_each(|(o, b)| *o = *b);
    Handle(out)
}

/// Hashes ids of one kind; made once, used for every row.
#[derive(Clone)]
pub struct HandleMaker {
    subject: Digest,
    record: Digest,
    content: Digest,
    holdout: Digest,
}

impl HandleMaker {
    /// The handle of a subject id (trimmed bytes of the cell).
    pub fn subject(&self, id: &[u8]) -> Handle {
        first_handle(&self.subject.keyed(&[id]))
    }

    /// The handle of a record id of one or more columns.
    pub fn record<'a>(&self, columns: impl Iterator<Item = &'a [u8]>) -> Handle {
        let mut hasher = blake3::Hasher::new_keyed(&self.record.0);
        for id in columns {
            hasher.update(&(id.len() as u32).to_le_bytes());
            hasher.update(id);
        }
        first_handle(&hasher.finalize())
    }

    /// The handle of a record that has no id: its subject, its encoded row, and its occurrence among identical ones.
    pub fn content(&self, subject: Option<Handle>, occurrence: u32, row: &[u8]) -> Handle {
        let subject = subject.map_or([0; 16], |s| s.0);
        first_handle(&self.content.keyed(&[&subject, &occurrence.to_le_bytes(), row]))
    }

    /// Where the subject falls in [0, 2^64); below the holdout share it is held out.
    pub fn holdout_draw(&self, subject: Handle) -> u64 {
        first_u64(&self.holdout.keyed(&[&subject.0]))
    }
}

impl HandleKey {
    /// A key from 32 bytes.
    pub fn from_bytes(bytes: [u8; 32]) -> HandleKey {
        HandleKey(bytes)
    }

    /// The bytes, to be written to the key file.
    pub fn bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// Hashers for ids.
    pub fn maker(&self) -> HandleMaker {
        HandleMaker {
            subject: Digest::derive("sisa 1 subject handle", &[&self.0]),
            record: Digest::derive("sisa 1 record handle", &[&self.0]),
            content: Digest::derive("sisa 1 content handle", &[&self.0]),
            holdout: Digest::derive("sisa 1 holdout", &[&self.0]),
        }
    }

    /// A keyed digest of a request's ids, so that a repeat can be told from another request under the same name.
    pub fn request(&self, handles: &[u8]) -> Digest {
        Digest(*Digest::derive("sisa 1 request", &[&self.0]).keyed(&[handles]).as_bytes())
    }

    /// Names the key without giving it away.
    pub fn fingerprint(&self) -> Digest {
        Digest::derive("sisa 1 handle key fingerprint", &[&self.0])
    }
}

impl ModelKey {
    /// A key from 32 bytes.
    pub fn from_bytes(bytes: [u8; 32]) -> ModelKey {
        ModelKey(bytes)
    }

    /// The bytes, to be written to the key file.
    pub fn bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// Names the key without giving it away.
    pub fn fingerprint(&self) -> Digest {
        Digest::derive("sisa 1 model key fingerprint", &[&self.0])
    }

    /// Hashes a subject to its shard.
    pub fn shard_draw(&self) -> Draw {
        Draw(Digest::derive("sisa 1 shard", &[&self.0]))
    }

    /// Hashes a subject to its slice.
    pub fn slice_draw(&self) -> Draw {
        Draw(Digest::derive("sisa 1 slice", &[&self.0]))
    }

    /// Hashes the records of one pass to their place in it.
    pub fn pass(&self, shard: ShardId, step: SliceId, pass: u32) -> Draw {
        Draw(Digest::derive(
            "sisa 1 visiting order",
            &[&self.0, &shard.0.to_le_bytes(), &step.0.to_le_bytes(), &pass.to_le_bytes()],
        ))
    }

    /// The seed of a constituent's initial state.
    pub fn initial_state(&self, shard: ShardId) -> [u8; 32] {
        Digest::derive("sisa 1 initial state", &[&self.0, &shard.0.to_le_bytes()]).0
    }

    /// The seed of the initial states of learners whose states add up across shards.
    pub fn shared_initial_state(&self) -> [u8; 32] {
        Digest::derive("sisa 1 shared initial state", &[&self.0]).0
    }

    /// A keyed digest of a slice file's content.
    pub fn content(&self, parts: &[&[u8]]) -> Digest {
        let key = Digest::derive("sisa 1 slice content", &[&self.0]);
        let mut hasher = blake3::Hasher::new_keyed(&key.0);
        for part in parts {
            hasher.update(part);
        }
        Digest(*hasher.finalize().as_bytes())
    }
}

/// A keyed hash from handles to u64.
#[derive(Clone, Copy)]
pub struct Draw(Digest);

impl Draw {
    /// The draw of one handle.
    pub fn of(&self, handle: Handle) -> u64 {
        first_u64(&self.0.keyed(&[&handle.0]))
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_hex(&self.0, f)
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for Digest {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Digest {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Digest, D::Error> {
        let text = String::deserialize(deserializer)?;
        Digest::from_hex(&text).ok_or_else(|| D::Error::custom("a digest is 64 hexadecimal digits"))
    }
}

impl Serialize for Handle {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Handle {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Handle, D::Error> {
        let text = String::deserialize(deserializer)?;
        Handle::from_hex(&text).ok_or_else(|| D::Error::custom("a handle is 32 hexadecimal digits"))
    }
}

/// Keys never show in messages.
macro_rules! secret {
    ($($name:ident)*) => { $(
        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(concat!(stringify!($name), "(secret)"))
            }
        }
    )* };
}
secret!(HandleKey ModelKey HandleMaker Draw);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn domains_are_apart_and_ids_of_several_columns_do_not_run_together() {
        let maker = HandleKey::from_bytes([7; 32]).maker();
        assert_ne!(maker.subject(b"12"), maker.record([b"12".as_slice()].into_iter()));
        let split = |a: &'static [u8], b: &'static [u8]| maker.record([a, b].into_iter());
        assert_ne!(split(b"1", b"23"), split(b"12", b"3"));
        assert_ne!(maker.subject(b"12"), HandleKey::from_bytes([8; 32]).maker().subject(b"12"));
    }

    #[test]
    fn hexadecimal_has_one_spelling() {
        let digest = Digest::of(b"x");
        assert_eq!(Digest::from_hex(&digest.to_string()), Some(digest));
        assert_eq!(Digest::from_hex(&digest.to_string().to_uppercase()), None);
        assert_eq!(Digest::from_hex("00"), None);
    }

    #[test]
    fn keys_do_not_print() {
        assert!(!format!("{:?}", ModelKey::from_bytes([0xab; 32])).contains("ab"));
    }
}
