//! Digests and keys: BLAKE3 with a domain for every use, SipHash for draws (the table is in docs/TRAINING.md, section 1).

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};
use siphasher::sip::SipHasher24;

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

    fn keyed(&self, bytes: &[u8]) -> [u8; 32] {
        *blake3::keyed_hash(&self.0, bytes).as_bytes()
    }

    fn keyed_parts<'a>(&self, parts: impl Iterator<Item = &'a [u8]>) -> [u8; 32] {
        let mut joined = Joined::new(&self.0);
        parts.for_each(|part| joined.push(part));
        joined.finish()
    }
}

/// Parts that take no more than this together are hashed at once.
const SHORT_BYTES: usize = 256;

/// The keyed hash of parts in a row. Short ones meet on the stack, which takes half the time of a hasher.
struct Joined<'a> {
    key: &'a [u8; 32],
    start: [u8; SHORT_BYTES],
    len: usize,
    long: Option<blake3::Hasher>,
}

impl<'a> Joined<'a> {
    fn new(key: &'a [u8; 32]) -> Joined<'a> {
        Joined { key, start: [0; SHORT_BYTES], len: 0, long: None }
    }

    fn push(&mut self, part: &[u8]) {
        let Joined { key, start, len, long } = self;
        let (pushed, room) = start.split_at_mut(*len);
        match (&mut *long, room.get_mut(..part.len())) {
            (None, Some(to)) => {
                to.copy_from_slice(part);
                *len += part.len();
            }
            (long, _) => {
                let hasher = long.get_or_insert_with(|| {
                    let mut hasher = blake3::Hasher::new_keyed(key);
                    hasher.update(pushed);
                    hasher
                });
                hasher.update(part);
            }
        }
    }

    fn finish(&self) -> [u8; 32] {
        let hash = match &self.long {
            Some(hasher) => hasher.finalize(),
            None => blake3::keyed_hash(self.key, self.start.get(..self.len).unwrap_or_default()),
        };
        *hash.as_bytes()
    }
}

/// The first sixteen bytes as a handle.
fn first_handle(hash: &[u8; 32]) -> Handle {
    Handle(hash.first_chunk().copied().unwrap_or_default())
}

/// Hashes ids of one kind; made once, used for every row.
#[derive(Clone)]
pub struct HandleMaker {
    subject: Digest,
    record: Digest,
    content: Digest,
    holdout: Draw,
}

impl HandleMaker {
    /// The handle of a subject id (trimmed bytes of the cell).
    pub fn subject(&self, id: &[u8]) -> Handle {
        first_handle(&self.subject.keyed(id))
    }

    /// The handle of a record id of one or more columns.
    pub fn record<'a>(&self, columns: impl Iterator<Item = &'a [u8]>) -> Handle {
        let mut record = self.record_of_columns();
        columns.for_each(|id| record.push(id));
        record.finish()
    }

    /// The same, column by column.
    pub fn record_of_columns(&self) -> RecordMaker<'_> {
        RecordMaker(Joined::new(&self.record.0))
    }

    /// The handle of a record that has no id: its subject, its encoded row, and its occurrence among identical ones.
    pub fn content(&self, subject: Option<Handle>, occurrence: u32, row: &[u8]) -> Handle {
        let subject = subject.map_or([0; 16], |s| s.0);
        first_handle(&self.content.keyed_parts([subject.as_slice(), &occurrence.to_le_bytes(), row].into_iter()))
    }

    /// Where the subject falls in [0, 2^64); below the holdout share it is held out.
    pub fn holdout_draw(&self, subject: Handle) -> u64 {
        self.holdout.of(subject)
    }
}

/// The handle of a record, of whose id columns some are known.
pub struct RecordMaker<'a>(Joined<'a>);

impl RecordMaker<'_> {
    /// The next column's id.
    pub fn push(&mut self, id: &[u8]) {
        self.0.push(&(id.len() as u32).to_le_bytes());
        self.0.push(id);
    }

    /// The handle.
    pub fn finish(&self) -> Handle {
        first_handle(&self.0.finish())
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
            holdout: Draw::new("sisa 1 holdout", &[&self.0]),
        }
    }

    /// A keyed digest of a request's ids, so that a repeat can be told from another request under the same name.
    pub fn request(&self, handles: &[u8]) -> Digest {
        Digest(Digest::derive("sisa 1 request", &[&self.0]).keyed(handles))
    }

    /// Makes the digest of a batch of rows.
    pub fn rows_digest(&self) -> RowsDigest {
        RowsDigest { key: Digest::derive("sisa 2 batch", &[&self.0]), sum: RowsSum::default() }
    }

    /// Names the key without giving it away.
    pub fn fingerprint(&self) -> Digest {
        Digest::derive("sisa 1 handle key fingerprint", &[&self.0])
    }

    /// What ledger entries are sealed with.
    pub fn seal(&self) -> SealKey {
        SealKey { key: Digest::derive("sisa 2 ledger seal", &[&self.0]), of: self.fingerprint() }
    }
}

/// What rows add up to, in whichever order they come: keyed hashes of all of them, summed, and how many there are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RowsSum([u64; 5]);

impl RowsSum {
    /// Adds what others add up to.
    pub fn add(&mut self, other: RowsSum) {
        self.0.iter_mut().zip(other.0).for_each(|(to, more)| *to = to.wrapping_add(more));
    }
}

/// Makes the keyed digest of a set of rows that may repeat.
#[derive(Clone, Debug)]
pub struct RowsDigest {
    key: Digest,
    sum: RowsSum,
}

impl RowsDigest {
    /// What a row adds: its record, if it has an id, its subject, if there is one, and its encoded cells.
    pub fn row(&self, record: Option<Handle>, subject: Option<Handle>, encoded: &[u8]) -> RowsSum {
        let (record, subject) = (record.map_or([0; 16], |r| r.0), subject.map_or([0; 16], |s| s.0));
        let hash = self.key.keyed_parts([record.as_slice(), &subject, encoded].into_iter());
        let mut sum = RowsSum([1; 5]);
        for (to, word) in sum.0.iter_mut().zip(hash.as_chunks::<8>().0) {
            *to = u64::from_le_bytes(*word);
        }
        sum
    }

    /// Adds what rows add up to.
    pub fn add(&mut self, rows: RowsSum) {
        self.sum.add(rows);
    }

    /// The digest of all that was added.
    pub fn finish(&self) -> Digest {
        let bytes: Vec<u8> = self.sum.0.iter().flat_map(|word| word.to_le_bytes()).collect();
        Digest(self.key.keyed(&bytes))
    }
}

/// Seals ledger entries: who does not hold the handle key can't make one.
#[derive(Clone, Copy)]
pub struct SealKey {
    key: Digest,
    of: Digest,
}

impl SealKey {
    /// The seal of these bytes.
    pub fn seal(&self, bytes: &[u8]) -> Digest {
        Digest(self.key.keyed(bytes))
    }

    /// Names the handle key that it was made from.
    pub fn fingerprint(&self) -> Digest {
        self.of
    }
}

impl fmt::Debug for SealKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SealKey(..)")
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
        Draw::new("sisa 1 shard", &[&self.0])
    }

    /// Hashes a subject to its slice.
    pub fn slice_draw(&self) -> Draw {
        Draw::new("sisa 1 slice", &[&self.0])
    }

    /// Hashes the records of one pass to their place in it.
    pub fn pass(&self, shard: ShardId, step: SliceId, pass: u32) -> Draw {
        Draw::new("sisa 1 visiting order", &[&self.0, &shard.0.to_le_bytes(), &step.0.to_le_bytes(), &pass.to_le_bytes()])
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

/// A keyed hash from handles to u64: SipHash-2-4 (Aumasson and Bernstein 2012).
#[derive(Clone, Copy)]
pub struct Draw(SipHasher24);

impl Draw {
    /// The draw of this context and key material.
    fn new(context: &str, material: &[&[u8]]) -> Draw {
        let key = first_handle(&Digest::derive(context, material).0);
        Draw(SipHasher24::new_with_key(&key.0))
    }

    /// The draw of a key that [`Draw::key`] gave.
    pub fn from_key(key: [u8; 16]) -> Draw {
        Draw(SipHasher24::new_with_key(&key))
    }

    /// The key: all that whoever draws needs, and nothing of what it was derived from.
    pub fn key(&self) -> [u8; 16] {
        self.0.key()
    }

    /// The draw of one handle.
    pub fn of(&self, handle: Handle) -> u64 {
        self.0.hash(&handle.0)
    }
}

/// An unkeyed hash from the texts of a category to buckets. Made once, used for every cell.
#[derive(Clone, Debug)]
pub struct Buckets(Digest);

impl Default for Buckets {
    fn default() -> Buckets {
        Buckets(Digest::derive("sisa 1 category bucket", &[]))
    }
}

impl Buckets {
    /// The bucket of a text, of so many.
    pub fn of(&self, text: &[u8], buckets: u32) -> u32 {
        let [a, b, c, d, e, f, g, h, ..] = self.0.keyed(text);
        (u64::from_le_bytes([a, b, c, d, e, f, g, h]) % u64::from(buckets)) as u32
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
    ($($name:ty)*) => { $(
        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(concat!(stringify!($name), "(secret)"))
            }
        }
    )* };
}
secret!(HandleKey ModelKey HandleMaker Draw Joined<'_> RecordMaker<'_>);

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
    fn long_ids_hash_as_short_ones_do() {
        let maker = HandleKey::from_bytes([7; 32]).maker();
        for (first, second) in [(3, 4), (200, 44), (200, 48), (200, 49), (250, 250), (300, 0), (0, 300), (1000, 9)] {
            let (a, b) = (vec![b'a'; first], vec![b'b'; second]);
            let mut hasher = blake3::Hasher::new_keyed(&maker.record.0);
            for id in [&a, &b] {
                hasher.update(&(id.len() as u32).to_le_bytes()).update(id);
            }
            let expected = first_handle(hasher.finalize().as_bytes());
            assert_eq!(maker.record([a.as_slice(), &b].into_iter()), expected, "{first} and {second} bytes");
        }
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
