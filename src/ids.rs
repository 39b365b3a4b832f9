//! Names of things. Each is its own type, so that a shard can't be passed where a slice is wanted.

use std::{
    collections::BTreeMap,
    fmt::{self, Write as _},
    str::FromStr,
};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

/// A keyed pseudonym of a subject id or a record id: the only form in which an id is ever stored.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, bytemuck::Zeroable, bytemuck::Pod)]
#[repr(transparent)]
pub struct Handle(pub [u8; 16]);

/// One horizontal part of the data with its own constituent model, from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ShardId(pub u32);

/// One slice of a shard, from 1; also the step of training that adds it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SliceId(pub u32);

/// The shards of one cohort, from 0: as many as are declared, one after the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Block(pub u32);

/// One import of records under one model key, schema, S and R, from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct GenerationId(pub u32);

/// The name of a recipe's folder: the first 16 hexadecimal digits of its digest.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RecipeId(pub String);

/// What a slice file is: a slice of a shard, or the shard's held-out part.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Part {
    /// Trained on, at step r.
    Slice(SliceId),
    /// Held out by subject, never trained on.
    Holdout,
}

/// One file of records: which shard, which part of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Cell {
    /// The shard.
    pub shard: ShardId,
    /// The part.
    pub part: Part,
}

impl Part {
    /// As stored in a slice's header: the slice's number, 0 for the holdout.
    pub fn number(self) -> u32 {
        match self {
            Part::Slice(s) => s.0,
            Part::Holdout => 0,
        }
    }

    /// The inverse of [`Part::number`].
    pub fn from_number(n: u32) -> Part {
        match n {
            0 => Part::Holdout,
            n => Part::Slice(SliceId(n)),
        }
    }
}

impl GenerationId {
    /// The generation after this one.
    pub fn next(self) -> GenerationId {
        GenerationId(self.0 + 1)
    }
}

impl Handle {
    /// The handle that `text` (32 hexadecimal digits) spells.
    pub fn from_hex(text: &str) -> Option<Handle> {
        let mut out = [0; 16];
        hex_into(text, &mut out)?;
        Some(Handle(out))
    }
}

/// Reads exactly `out.len()` bytes from hexadecimal text.
pub(crate) fn hex_into(text: &str, out: &mut [u8]) -> Option<()> {
    let text = text.as_bytes();
    if text.len() != out.len() * 2 {
        return None;
    }
    for (pair, byte) in text.chunks_exact(2).zip(out) {
        let &[high, low] = pair else { return None };
        let digit = |c: u8| match c {
            b'0'..=b'9' => Some(c - b'0'),
            b'a'..=b'f' => Some(c - b'a' + 10),
            _ => None,
        };
        *byte = digit(high)? << 4 | digit(low)?;
    }
    Some(())
}

/// Writes bytes as lower-case hexadecimal.
pub(crate) fn write_hex(bytes: &[u8], f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let digit = |nibble: u8| char::from(if nibble < 10 { b'0' + nibble } else { b'a' - 10 + nibble });
    bytes.iter().try_for_each(|byte| {
        f.write_char(digit(byte >> 4))?;
        f.write_char(digit(byte & 15))
    })
}

impl FromStr for Handle {
    type Err = ();

    /// 32 hexadecimal digits, as it is displayed.
    fn from_str(text: &str) -> Result<Handle, ()> {
        let digits = text.as_bytes();
        let mut handle = Handle([0; 16]);
        if digits.len() != 32 || !digits.iter().all(u8::is_ascii_hexdigit) {
            return Err(());
        }
        for (byte, pair) in handle.0.iter_mut().zip(digits.chunks_exact(2)) {
            let pair = std::str::from_utf8(pair).map_err(|_| ())?;
            *byte = u8::from_str_radix(pair, 16).map_err(|_| ())?;
        }
        Ok(handle)
    }
}

impl fmt::Display for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_hex(&self.0, f)
    }
}

impl fmt::Debug for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for ShardId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04}", self.0)
    }
}

impl fmt::Display for SliceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:02}", self.0)
    }
}

impl fmt::Display for GenerationId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "g{:04}", self.0)
    }
}

impl fmt::Display for RecipeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Part::Slice(s) => write!(f, "{s}"),
            Part::Holdout => f.write_str("holdout"),
        }
    }
}

impl fmt::Display for Cell {
    /// As in the file's path: `0007/03`, `0007/holdout`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.shard, self.part)
    }
}

impl FromStr for Cell {
    type Err = ();

    fn from_str(text: &str) -> Result<Cell, ()> {
        let (shard, part) = text.split_once('/').ok_or(())?;
        let shard = ShardId(shard.parse().map_err(|_| ())?);
        let part = match part {
            "holdout" => Part::Holdout,
            n => Part::Slice(SliceId(n.parse().ok().filter(|&n| n > 0).ok_or(())?)),
        };
        let cell = Cell { shard, part };
        // One spelling for each cell: what does not print back the same is not a name.
        if cell.to_string() == text { Ok(cell) } else { Err(()) }
    }
}

impl Serialize for Cell {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Cell {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Cell, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(|()| D::Error::custom(format!("`{text}` is not a cell; one is spelt `0007/03` or `0007/holdout`")))
    }
}

impl FromStr for GenerationId {
    type Err = ();

    /// As it is displayed: `g0001`.
    fn from_str(text: &str) -> Result<GenerationId, ()> {
        let generation = GenerationId(text.strip_prefix('g').and_then(|n| n.parse().ok()).ok_or(())?);
        // One spelling for each generation.
        if generation.to_string() == text { Ok(generation) } else { Err(()) }
    }
}

/// Maps whose keys stand in files as they are displayed.
pub(crate) mod by_name {
    use super::*;

    /// Writes entries in the order of their keys' text: that is how files have them, and it is another one than that of the
    /// ids from 100 slices or 10,000 generations on.
    pub(crate) fn serialize<K: fmt::Display, V: Serialize, S: Serializer>(
        map: &BTreeMap<K, V>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        let named: BTreeMap<String, &V> = map.iter().map(|(key, value)| (key.to_string(), value)).collect();
        serializer.collect_map(named)
    }

    pub(crate) fn deserialize<'de, K: FromStr + Ord, V: Deserialize<'de>, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<BTreeMap<K, V>, D::Error> {
        let named = BTreeMap::<String, V>::deserialize(deserializer)?;
        let typed = named.into_iter().map(|(name, value)| match name.parse() {
            Ok(key) => Ok((key, value)),
            Err(_) => Err(D::Error::custom(format!("`{name}` is no name of a cell or a generation"))),
        });
        typed.collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Serialize, Deserialize, PartialEq, Debug)]
    struct Named {
        #[serde(with = "by_name")]
        cells: BTreeMap<Cell, u32>,
    }

    #[test]
    fn cells_stand_in_files_by_name_in_the_order_of_names() {
        let text = r#"{"cells":{"0007/100":1,"0007/99":2,"0007/holdout":3}}"#;
        let named: Named = serde_json::from_str(text).unwrap();
        let slice = |n| Cell { shard: ShardId(7), part: Part::Slice(SliceId(n)) };
        assert_eq!(named.cells.get(&slice(99)), Some(&2));
        assert_eq!(named.cells.get(&Cell { shard: ShardId(7), part: Part::Holdout }), Some(&3));
        assert_eq!(serde_json::to_string(&named).unwrap(), text);
    }

    #[test]
    fn what_is_no_name_is_refused_and_never_skipped() {
        for wrong in ["7/03", "0007/3", "0007/00", "0007", "0007/hold", "0007/-1", ""] {
            assert!(serde_json::from_str::<Cell>(&format!("{wrong:?}")).is_err(), "{wrong}");
            assert!(serde_json::from_str::<Named>(&format!(r#"{{"cells":{{{wrong:?}:1}}}}"#)).is_err(), "{wrong}");
        }
        for wrong in ["1", "g1", "g00001", "g-001", "h0001"] {
            assert_eq!(wrong.parse::<GenerationId>(), Err(()), "{wrong}");
        }
        assert_eq!("g0012".parse(), Ok(GenerationId(12)));
    }
}
