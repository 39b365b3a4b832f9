//! The frame of all kinds of bundle (the same table is in docs/CLUSTER.md):
//!
//! | at | bytes | field |
//! |---|---|---|
//! | 0 | 8 | magic `89 53 49 53 41 42 4e 0a` (`\x89SISABN\n`) |
//! | 8 | 4 | format version, 1 |
//! | 12 | 4 | kind: 1 a shard's work, 2 its checkpoints, 3 a constituent, 4 sums |
//! | 16 | 8 | bytes in all |
//! | 24 | 8 | bytes of the head h |
//! | 32 | 32 | BLAKE3 of bytes 0..32 and of all from 64 on |
//! | 64 | h | the head: JSON |
//! | 64 + h | .. | the parts that the head lists, one after the other |
//!
//! Little-endian. No time, host or program version: the same work gives the same bytes.

use std::io::Read;

use serde::{Serialize, de::DeserializeOwned};

use super::BundleError;

const MAGIC: [u8; 8] = *b"\x89SISABN\n";
const VERSION: u32 = 1;
const HEADER_BYTES: usize = 64;
const DIGEST_AT: usize = 32;
/// The head says what the parts are; those hold what is large.
const HEAD_BYTES_MAX: u64 = 64 << 20;

/// What a bundle holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// What is to be trained of a shard.
    Work,
    /// What came of it.
    Checkpoints,
    /// A constituent, to be answered from elsewhere.
    Constituent,
    /// The sums of all shards, where states add up.
    Sums,
}

impl Kind {
    const ALL: [Kind; 4] = [Kind::Work, Kind::Checkpoints, Kind::Constituent, Kind::Sums];

    fn number(self) -> u32 {
        match self {
            Kind::Work => 1,
            Kind::Checkpoints => 2,
            Kind::Constituent => 3,
            Kind::Sums => 4,
        }
    }

    /// What it is called.
    fn name(self) -> &'static str {
        match self {
            Kind::Work => "the work of a shard, packed",
            Kind::Checkpoints => "what came of the work of a shard, trained",
            Kind::Constituent => "a constituent, lent",
            Kind::Sums => "sums",
        }
    }
}

/// The first bytes of a bundle, checked: how long it is, and its head.
struct Header {
    whole: u64,
    head: u64,
}

fn header(bytes: &[u8], kind: Kind) -> Result<Header, BundleError> {
    let wanted = kind.name();
    let mut at = 0;
    let mut take = |n: usize| {
        let field = bytes.get(at..at + n);
        at += n;
        field.ok_or_else(|| BundleError::damaged(bytes.len(), format!("it ends inside its {HEADER_BYTES}-byte header")))
    };
    if bytes.is_empty() {
        return Err(BundleError::Other { wanted, found: "there are no bytes" });
    }
    if !MAGIC.starts_with(bytes.get(..MAGIC.len()).unwrap_or(bytes)) {
        return Err(BundleError::Other { wanted, found: "these bytes are something else" });
    }
    take(MAGIC.len())?;
    let word = |b: &[u8]| b.iter().rev().fold(0_u64, |n, b| n << 8 | u64::from(*b));
    let version = word(take(4)?) as u32;
    if version != VERSION {
        return Err(BundleError::OtherVersion { what: "format", theirs: version, ours: VERSION });
    }
    let number = word(take(4)?) as u32;
    if number != kind.number() {
        let other = Kind::ALL.into_iter().find(|other| other.number() == number);
        return Err(match other {
            Some(Kind::Work) => BundleError::Other { wanted, found: "this bundle is not trained yet" },
            Some(Kind::Checkpoints) => BundleError::Other { wanted, found: "this bundle is trained already" },
            Some(Kind::Constituent) => BundleError::Other { wanted, found: "this is a constituent that was lent" },
            Some(Kind::Sums) => BundleError::Other { wanted, found: "these are sums" },
            None => BundleError::damaged(12, format!("its kind is {number}, which there is not")),
        });
    }
    let (whole, head) = (word(take(8)?), word(take(8)?));
    if head > HEAD_BYTES_MAX || whole.checked_sub(HEADER_BYTES as u64).is_none_or(|rest| rest < head) {
        return Err(BundleError::damaged(24, format!("a head of {head} bytes is not in a bundle of {whole}")));
    }
    take(HEADER_BYTES - DIGEST_AT)?;
    Ok(Header { whole, head })
}

fn digest(start: &[u8], rest: &[u8]) -> [u8; 32] {
    let mut hasher = blake3::Hasher::new();
    hasher.update(start);
    hasher.update(rest);
    *hasher.finalize().as_bytes()
}

/// A bundle of this kind with this head and these parts.
pub(super) fn write(kind: Kind, head: &impl Serialize, parts: &[&[u8]]) -> Vec<u8> {
    // Heads hold nothing that JSON can't.
    let head = serde_json::to_vec(head).unwrap_or_default();
    let whole = HEADER_BYTES + head.len() + parts.iter().map(|part| part.len()).sum::<usize>();
    let mut out = Vec::with_capacity(whole);
    out.extend_from_slice(&MAGIC);
    out.extend_from_slice(&VERSION.to_le_bytes());
    out.extend_from_slice(&kind.number().to_le_bytes());
    out.extend_from_slice(&(whole as u64).to_le_bytes());
    out.extend_from_slice(&(head.len() as u64).to_le_bytes());
    out.extend_from_slice(&[0; 32]);
    out.extend_from_slice(&head);
    parts.iter().for_each(|part| out.extend_from_slice(part));
    let of = digest(out.get(..DIGEST_AT).unwrap_or_default(), out.get(HEADER_BYTES..).unwrap_or_default());
    if let Some(place) = out.get_mut(DIGEST_AT..HEADER_BYTES) {
        place.copy_from_slice(&of);
    }
    out
}

/// The head of a whole bundle, and its parts one after the other, which the reader cuts up.
pub(super) fn read<T: DeserializeOwned>(bytes: &[u8], kind: Kind) -> Result<(T, Parts<'_>), BundleError> {
    let Header { whole, head } = header(bytes, kind)?;
    if whole != bytes.len() as u64 {
        return Err(BundleError::damaged(bytes.len().min(whole as usize), format!("it has {} bytes of {whole}", bytes.len())));
    }
    let (start, rest) = bytes.split_at_checked(HEADER_BYTES).unwrap_or_default();
    let (start, says) = start.split_at_checked(DIGEST_AT).unwrap_or_default();
    if digest(start, rest) != says {
        return Err(BundleError::damaged(DIGEST_AT, "the digest of its bytes is another one than it says"));
    }
    let (head, parts) = rest.split_at_checked(head as usize).unwrap_or_default();
    let at = HEADER_BYTES + head.len();
    let head = serde_json::from_slice(head).map_err(|e| BundleError::damaged(HEADER_BYTES, format!("its head: {e}")))?;
    Ok((head, Parts { rest: parts, at }))
}

/// What is left of the parts of a bundle.
pub(super) struct Parts<'a> {
    rest: &'a [u8],
    at: usize,
}

impl<'a> Parts<'a> {
    /// The next part, of so many bytes.
    pub(super) fn next(&mut self, bytes: u64) -> Result<&'a [u8], BundleError> {
        let cut = usize::try_from(bytes).ok().and_then(|n| self.rest.split_at_checked(n));
        let (part, rest) =
            cut.ok_or_else(|| BundleError::damaged(self.at, format!("{bytes} bytes are to follow, and {} do", self.rest.len())))?;
        (self.rest, self.at) = (rest, self.at + part.len());
        Ok(part)
    }

    /// Where the next part begins.
    pub(super) fn at(&self) -> usize {
        self.at
    }

    /// Refuses what nobody asked for.
    pub(super) fn end(self) -> Result<(), BundleError> {
        if self.rest.is_empty() { Ok(()) } else { Err(BundleError::damaged(self.at, "bytes follow that its head does not list")) }
    }
}

/// Reads a bundle of this kind to its end. What is something else is refused by its first bytes, and no more is read than the bundle says that
/// it has.
///
/// # Errors
/// It is something else, ends early, or can't be read.
pub fn receive(from: &mut dyn Read, kind: Kind) -> Result<Vec<u8>, BundleError> {
    let mut bytes = Vec::new();
    let mut more = |bytes: &mut Vec<u8>, most: u64| from.take(most).read_to_end(bytes).map_err(BundleError::Read);
    more(&mut bytes, HEADER_BYTES as u64)?;
    let Header { whole, .. } = header(&bytes, kind)?;
    // One byte more, so that what follows shows.
    more(&mut bytes, (whole - HEADER_BYTES as u64).saturating_add(1))?;
    Ok(bytes)
}
