//! The header of an array in NumPy's NPY format, versions 1 to 3 (NumPy Enhancement Proposal 1 and the documentation
//! of `numpy.lib.format`).
//!
//! | offset | bytes | content |
//! |---|---|---|
//! | 0 | 6 | `\x93NUMPY` |
//! | 6 | 2 | major and minor version |
//! | 8 | 2, or 4 from version 2 | length of the rest of the header, little endian |
//! | 10 or 12 | that length | a Python dictionary of `descr`, `fortran_order` and `shape` |

use std::fmt;

use super::limits::FIELD_BYTES_MAX;

/// What an NPY header says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NpyHeader {
    /// The type of the items.
    pub items: Items,
    /// Whether the first index varies fastest.
    pub fortran_order: bool,
    /// The length of each dimension; none for a scalar.
    pub shape: Vec<u64>,
}

/// The type of an array's items.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Items {
    /// What the items are.
    pub kind: ItemKind,
    /// Bytes of an item, at least 1.
    pub bytes: usize,
    /// Whether the most significant byte comes first.
    pub big_endian: bool,
}

/// The kinds of items that are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ItemKind {
    /// `b1`
    Bool,
    /// `i1` to `i8`
    Int,
    /// `u1` to `u8`
    Unsigned,
    /// `f4` and `f8`
    Float,
    /// `S`: bytes, padded with zeros
    Bytes,
    /// `U`: UTF-32, padded with zeros
    Unicode,
}

/// What is wrong with an NPY header. Bytes count from the start of the array's file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[expect(missing_docs, reason = "the messages name the fields")]
pub enum NpyError {
    /// The array ends within the header.
    #[error("the NPY header is cut short: expected {expected} bytes, got {got}; write the file again")]
    Short { expected: usize, got: usize },
    /// Another magic string.
    #[error("is not an NPY array (wrong magic bytes); write the file with numpy.savez")]
    Magic,
    /// A version from the future.
    #[error("NPY version {major}.{minor} is not read, expected 1.0 to 3.0; write the file with numpy.savez")]
    Version { major: u8, minor: u8 },
    /// A header too long to be one.
    #[error("the NPY header claims {got} bytes, at most {NPY_HEADER_BYTES_MAX} are read; the file is damaged: write it again")]
    Long { got: u64 },
    /// A dictionary that does not parse.
    #[error("the NPY header is malformed at byte {byte}: expected {expected}; write the file again")]
    Syntax { byte: usize, expected: &'static str },
    /// Items that are not read.
    #[error(
        "items of type `{got}` are not read; use float32 or float64, any integer, bool, or fixed-length strings (astype(str) for objects)"
    )]
    Items { got: String },
}

/// The longest header that is read; NumPy writes 128 bytes for all but wide structured arrays.
pub const NPY_HEADER_BYTES_MAX: usize = 1 << 16;

/// Bytes from which [`NpyHeader::length`] can be told.
pub const NPY_PREFIX_BYTES: usize = 12;

/// More dimensions than NumPy has.
const DIMENSIONS_MAX: usize = 64;

impl NpyHeader {
    /// The bytes of the whole header, from its first [`NPY_PREFIX_BYTES`]; at most [`NPY_HEADER_BYTES_MAX`].
    ///
    /// # Errors
    ///
    /// [`NpyError::Short`], [`NpyError::Magic`], [`NpyError::Version`] or [`NpyError::Long`].
    pub fn length(prefix: &[u8]) -> Result<usize, NpyError> {
        let short = || NpyError::Short { expected: NPY_PREFIX_BYTES, got: prefix.len() };
        let &[m0, m1, m2, m3, m4, m5, major, minor, l0, l1, l2, l3] = prefix.first_chunk().ok_or_else(short)?;
        if &[m0, m1, m2, m3, m4, m5] != b"\x93NUMPY" {
            return Err(NpyError::Magic);
        }
        let (before, length) = match (major, minor) {
            (1, 0) => (10, u32::from(u16::from_le_bytes([l0, l1]))),
            (2 | 3, 0) => (12, u32::from_le_bytes([l0, l1, l2, l3])),
            _ => return Err(NpyError::Version { major, minor }),
        };
        let total = before + u64::from(length);
        match usize::try_from(total) {
            Ok(bytes @ NPY_PREFIX_BYTES..=NPY_HEADER_BYTES_MAX) => Ok(bytes),
            Ok(0..NPY_PREFIX_BYTES) => Err(NpyError::Syntax { byte: before as usize, expected: "a dictionary" }),
            _ => Err(NpyError::Long { got: total }),
        }
    }

    /// Reads the header at the start of `bytes`; more may follow it.
    ///
    /// # Errors
    ///
    /// Any [`NpyError`].
    pub fn parse(bytes: &[u8]) -> Result<Self, NpyError> {
        let length = Self::length(bytes)?;
        let text = bytes.get(..length).ok_or(NpyError::Short { expected: length, got: bytes.len() })?;
        let at = if text.get(6) == Some(&1) { 10 } else { 12 };
        Literal { text, at }.header()
    }

    /// Bytes of all items; `None` beyond 2^64.
    #[must_use]
    pub fn data_bytes(&self) -> Option<u64> {
        self.shape.iter().try_fold(self.items.bytes as u64, |bytes, &length| bytes.checked_mul(length))
    }
}

impl Items {
    /// Reads a type string such as `<f4`, `|S12` or `>U3`.
    ///
    /// # Errors
    ///
    /// [`NpyError::Items`] for anything that is not read.
    pub fn parse(descr: &str) -> Result<Self, NpyError> {
        let wrong = || NpyError::Items { got: descr.chars().take(40).collect() };
        let mut chars = descr.chars();
        let big_endian = match chars.next() {
            Some('<' | '|') => false,
            Some('>') => true,
            _ => return Err(wrong()),
        };
        let letter = chars.next().ok_or_else(wrong)?;
        let count = chars.as_str();
        if !count.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(wrong());
        }
        let count: usize = count.parse().map_err(|_| wrong())?;
        let (kind, bytes) = match (letter, count) {
            ('b', 1) => (ItemKind::Bool, 1),
            ('i', 1 | 2 | 4 | 8) => (ItemKind::Int, count),
            ('u', 1 | 2 | 4 | 8) => (ItemKind::Unsigned, count),
            ('f', 4 | 8) => (ItemKind::Float, count),
            ('S', 1..=FIELD_BYTES_MAX) => (ItemKind::Bytes, count),
            ('U', 1..) if count <= FIELD_BYTES_MAX / 4 => (ItemKind::Unicode, count * 4),
            _ => return Err(wrong()),
        };
        Ok(Self { kind, bytes, big_endian })
    }
}

impl fmt::Display for Items {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let order = if self.big_endian { '>' } else { '<' };
        let (letter, count) = match self.kind {
            ItemKind::Bool => ('b', self.bytes),
            ItemKind::Int => ('i', self.bytes),
            ItemKind::Unsigned => ('u', self.bytes),
            ItemKind::Float => ('f', self.bytes),
            ItemKind::Bytes => ('S', self.bytes),
            ItemKind::Unicode => ('U', self.bytes / 4),
        };
        write!(f, "{order}{letter}{count}")
    }
}

/// The part of Python's literals that NumPy writes into headers. It does not nest, so it cannot recurse.
struct Literal<'a> {
    text: &'a [u8],
    at: usize,
}

impl Literal<'_> {
    fn header(mut self) -> Result<NpyHeader, NpyError> {
        let (mut items, mut fortran_order, mut shape) = (None, None, None);
        self.expect(b'{', "`{`")?;
        while !self.take(b'}') {
            let at = self.at;
            let key = self.string()?;
            self.expect(b':', "`:`")?;
            match key.as_str() {
                "descr" if items.is_none() => items = Some(self.items()?),
                "fortran_order" if fortran_order.is_none() => fortran_order = Some(self.boolean()?),
                "shape" if shape.is_none() => shape = Some(self.shape()?),
                _ => return Err(NpyError::Syntax { byte: at, expected: "each of descr, fortran_order, shape once" }),
            }
            if !self.take(b',') {
                self.expect(b'}', "`,` or `}`")?;
                break;
            }
        }
        if self.peek().is_some() {
            return self.wrong("only blanks after the dictionary");
        }
        match (items, fortran_order, shape) {
            (Some(items), Some(fortran_order), Some(shape)) => Ok(NpyHeader { items, fortran_order, shape }),
            _ => self.wrong("all of descr, fortran_order and shape"),
        }
    }

    fn items(&mut self) -> Result<Items, NpyError> {
        // A list describes a structured array.
        if self.peek() == Some(b'[') {
            return Err(NpyError::Items { got: "structured".to_owned() });
        }
        Items::parse(&self.string()?)
    }

    fn boolean(&mut self) -> Result<bool, NpyError> {
        self.peek();
        for (word, value) in [(&b"True"[..], true), (b"False", false)] {
            if self.text.get(self.at..).is_some_and(|rest| rest.starts_with(word)) {
                self.at += word.len();
                return Ok(value);
            }
        }
        self.wrong("True or False")
    }

    fn shape(&mut self) -> Result<Vec<u64>, NpyError> {
        let mut shape = Vec::new();
        self.expect(b'(', "`(`")?;
        while !self.take(b')') {
            if shape.len() == DIMENSIONS_MAX {
                return self.wrong("at most 64 dimensions");
            }
            shape.push(self.number()?);
            // Python 2 wrote long integers with this suffix.
            self.take(b'L');
            if !self.take(b',') {
                self.expect(b')', "`,` or `)`")?;
                break;
            }
        }
        Ok(shape)
    }

    fn number(&mut self) -> Result<u64, NpyError> {
        let mut value: Option<u64> = None;
        self.peek();
        while let Some(&digit @ b'0'..=b'9') = self.text.get(self.at) {
            let next = value.unwrap_or(0).checked_mul(10).and_then(|tens| tens.checked_add(u64::from(digit - b'0')));
            if next.is_none() {
                return self.wrong("a length below 2^64");
            }
            value = next;
            self.at += 1;
        }
        match value {
            Some(value) => Ok(value),
            None => self.wrong("a length"),
        }
    }

    fn string(&mut self) -> Result<String, NpyError> {
        let quote = match self.peek() {
            Some(quote @ (b'\'' | b'"')) => quote,
            _ => return self.wrong("a string"),
        };
        let rest = self.text.get(self.at + 1..).unwrap_or_default();
        let Some(length) = rest.iter().position(|&byte| byte == quote) else {
            return self.wrong("a closed string");
        };
        let inner = rest.get(..length).unwrap_or_default();
        if !inner.iter().all(|byte| byte.is_ascii_graphic() || *byte == b' ') || inner.contains(&b'\\') {
            return self.wrong("a plain ASCII string");
        }
        self.at += length + 2;
        Ok(String::from_utf8_lossy(inner).into_owned())
    }

    /// The next byte that is not blank.
    fn peek(&mut self) -> Option<u8> {
        while let Some(b' ' | b'\n' | b'\t' | b'\r') = self.text.get(self.at) {
            self.at += 1;
        }
        self.text.get(self.at).copied()
    }

    fn take(&mut self, byte: u8) -> bool {
        let found = self.peek() == Some(byte);
        self.at += usize::from(found);
        found
    }

    fn expect(&mut self, byte: u8, expected: &'static str) -> Result<(), NpyError> {
        if self.take(byte) { Ok(()) } else { self.wrong(expected) }
    }

    fn wrong<T>(&self, expected: &'static str) -> Result<T, NpyError> {
        Err(NpyError::Syntax { byte: self.at, expected })
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::make::npy_header;
    use super::*;

    fn items(text: &str) -> Result<Items, NpyError> {
        Items::parse(text)
    }

    #[test]
    fn numpys_own_headers_parse() {
        let bytes = npy_header("{'descr': '<f4', 'fortran_order': False, 'shape': (3, 4), }");
        assert_eq!(bytes.len() % 64, 0);
        assert_eq!(NpyHeader::length(&bytes[..12]), Ok(bytes.len()));
        let header = NpyHeader::parse(&bytes).unwrap();
        assert_eq!((header.shape.as_slice(), header.fortran_order), (&[3, 4][..], false));
        assert_eq!(header.items, Items { kind: ItemKind::Float, bytes: 4, big_endian: false });
        assert_eq!(header.data_bytes(), Some(48));
        let scalar = npy_header("{\"shape\": (), 'descr':'>U7','fortran_order':True}");
        let header = NpyHeader::parse(&scalar).unwrap();
        assert_eq!((header.shape.len(), header.fortran_order), (0, true));
        assert_eq!(header.items.to_string(), ">U7");
        assert!(NpyHeader::parse(&npy_header("{'descr': '|S1', 'fortran_order': True, 'shape': (3L,)}")).is_ok());
    }

    #[test]
    fn version_two_has_a_longer_length() {
        let text = b"{'descr': '|u1', 'fortran_order': False, 'shape': (5,)}\n";
        let mut bytes = b"\x93NUMPY\x02\x00".to_vec();
        bytes.extend((text.len() as u32).to_le_bytes());
        bytes.extend(text);
        assert_eq!(NpyHeader::parse(&bytes).unwrap().shape, [5]);
        bytes[8..12].fill(0xff);
        assert_eq!(NpyHeader::parse(&bytes), Err(NpyError::Long { got: 12 + u64::from(u32::MAX) }));
    }

    #[test]
    fn types_that_are_not_read_are_named() {
        assert_eq!(items("|b1").unwrap().kind, ItemKind::Bool);
        assert_eq!(items("<U262144").unwrap().bytes, 1 << 20);
        for wrong in ["", "<", "<f", "<f2", "<f16", "<c8", "|O", "<M8[ns]", "=f4", "<U0", "<S-1", "<S+1", "<U262145", "<i3"] {
            assert!(matches!(items(wrong), Err(NpyError::Items { .. })), "{wrong}");
        }
    }

    #[test]
    fn each_fault_has_its_error() {
        let good = npy_header("{'descr': '<f4', 'fortran_order': False, 'shape': (3, 4), }");
        assert_eq!(NpyHeader::parse(&good[..5]), Err(NpyError::Short { expected: 12, got: 5 }));
        assert_eq!(NpyHeader::parse(&good[..50]), Err(NpyError::Short { expected: good.len(), got: 50 }));
        let mut wrong = good.clone();
        wrong[1] = b'n';
        assert_eq!(NpyHeader::parse(&wrong), Err(NpyError::Magic));
        let mut wrong = good;
        wrong[6] = 4;
        assert_eq!(NpyHeader::parse(&wrong), Err(NpyError::Version { major: 4, minor: 0 }));
        for (text, expected) in [
            ("", "`{`"),
            ("{'descr': '<f4'}", "all of descr, fortran_order and shape"),
            ("{'descr': '<f4', 'descr': '<f4'}", "each of descr, fortran_order, shape once"),
            ("{'other': 1}", "each of descr, fortran_order, shape once"),
            ("{'descr' '<f4'}", "`:`"),
            ("{'descr': 4}", "a string"),
            ("{'descr': '<f4}", "a closed string"),
            ("{'descr': '\\x3cf4'}", "a plain ASCII string"),
            ("{'fortran_order': 0}", "True or False"),
            ("{'shape': 3}", "`(`"),
            ("{'shape': (-3,)}", "a length"),
            ("{'shape': (18446744073709551616,)}", "a length below 2^64"),
            ("{'shape': (3 4)}", "`,` or `)`"),
            ("{'shape': (((((", "a length"),
            ("{'shape': (3,) 'descr'", "`,` or `}`"),
            ("{'descr': '<f4', 'fortran_order': False, 'shape': (3, 4), } x", "only blanks after the dictionary"),
        ] {
            match NpyHeader::parse(&npy_header(text)) {
                Err(NpyError::Syntax { expected: got, .. }) => assert_eq!(got, expected, "{text}"),
                other => panic!("{text}: {other:?}"),
            }
        }
        let many = format!("{{'shape': ({})}}", "1,".repeat(65));
        assert!(matches!(NpyHeader::parse(&npy_header(&many)), Err(NpyError::Syntax { expected: "at most 64 dimensions", .. })));
        let structured = npy_header("{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (3,)}");
        assert!(matches!(NpyHeader::parse(&structured), Err(NpyError::Items { .. })));
        let huge = npy_header("{'descr': '<f8', 'fortran_order': False, 'shape': (4294967296, 4294967296)}");
        assert_eq!(NpyHeader::parse(&huge).unwrap().data_bytes(), None);
    }
}
