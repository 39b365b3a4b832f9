//! The text of a file in UTF-8, whatever its encoding.

use std::fmt;

use encoding_rs::{DecoderResult, UTF_16BE, UTF_16LE, WINDOWS_1252};

use super::bytes::Bytes;
use super::error::SourceError;
use super::form::Encoding;

/// Bytes that are decoded at once.
const PIECE: usize = 1 << 15;

/// A stream of text over a file.
pub(super) struct Decoded {
    bytes: Bytes,
    coder: Option<Coder>,
}

struct Coder {
    encoding: Encoding,
    decoder: Decoder,
    raw: Vec<u8>,
    /// Bytes of `raw` that were read and are not yet decoded.
    left: std::ops::Range<usize>,
    /// Bytes of the stream before `left`.
    before: u64,
    text: Vec<u8>,
    ready: std::ops::Range<usize>,
    ended: bool,
}

enum Decoder {
    Latin1,
    Other(Box<encoding_rs::Decoder>),
}

impl Decoded {
    /// Looks at the mark that the file begins with, and drops it.
    pub(super) fn new(mut bytes: Bytes, encoding: Encoding) -> Result<Self, SourceError> {
        let of_encoding = match (bytes.head(), encoding) {
            ([0xff, 0xfe, ..], Encoding::Utf16 | Encoding::Utf16Le) => Ok((2, Some(UTF_16LE))),
            ([0xfe, 0xff, ..], Encoding::Utf16 | Encoding::Utf16Be) => Ok((2, Some(UTF_16BE))),
            (_, Encoding::Utf16) => {
                Err("has no byte order mark, so which byte comes first is unknown; declare `utf-16le` or `utf-16be`")
            }
            ([0xff, 0xfe, ..] | [0xfe, 0xff, ..], Encoding::Utf16Le | Encoding::Utf16Be) => {
                Err("begins with the mark of the other byte order; declare `utf-16`, which follows the mark")
            }
            ([0xef, 0xbb, 0xbf, ..], Encoding::Utf8) => Ok((3, None)),
            ([0xef, 0xbb, 0xbf, ..], _) => Err("begins with the mark of UTF-8; take the declaration of another encoding out"),
            (_, Encoding::Utf8 | Encoding::Latin1) => Ok((0, None)),
            (_, Encoding::Windows1252) => Ok((0, Some(WINDOWS_1252))),
            (_, Encoding::Utf16Le) => Ok((0, Some(UTF_16LE))),
            (_, Encoding::Utf16Be) => Ok((0, Some(UTF_16BE))),
        };
        let (mark, other) = of_encoding.map_err(|problem| SourceError::Mark { file: bytes.name().clone(), encoding, problem })?;
        let mut dropped = [0; 3];
        bytes.fill(dropped.get_mut(..mark).unwrap_or_default())?;
        let decoder = match (encoding, other) {
            (Encoding::Utf8, _) => return Ok(Self { bytes, coder: None }),
            (_, Some(other)) => Decoder::Other(Box::new(other.new_decoder_without_bom_handling())),
            (_, None) => Decoder::Latin1,
        };
        let (raw, text) = (vec![0; PIECE], vec![0; 3 * PIECE]);
        let before = mark as u64;
        let coder = Coder { encoding, decoder, raw, left: 0..0, before, text, ready: 0..0, ended: false };
        Ok(Self { bytes, coder: Some(coder) })
    }

    /// Reads until `out` is full or the text ends, and returns the count of bytes.
    pub(super) fn fill(&mut self, out: &mut [u8]) -> Result<usize, SourceError> {
        let Some(coder) = &mut self.coder else { return self.bytes.fill(out) };
        let mut filled = 0;
        while let Some(rest) = out.get_mut(filled..).filter(|rest| !rest.is_empty()) {
            let ready = coder.text.get(coder.ready.clone()).unwrap_or_default();
            if ready.is_empty() {
                if !coder.decode(&mut self.bytes)? {
                    break;
                }
                continue;
            }
            let count = ready.len().min(rest.len());
            rest.iter_mut().zip(ready).for_each(|(to, from)| *to = *from);
            coder.ready.start += count;
            filled += count;
        }
        Ok(filled)
    }

    pub(super) fn bytes(&self) -> &Bytes {
        &self.bytes
    }
}

impl Coder {
    /// Decodes a piece more; false at the end.
    fn decode(&mut self, bytes: &mut Bytes) -> Result<bool, SourceError> {
        while self.ready.is_empty() {
            if self.ended {
                return Ok(false);
            }
            if self.left.is_empty() {
                self.left = 0..bytes.fill(&mut self.raw)?;
            }
            let last = self.left.len() < self.raw.len() && self.left.end < self.raw.len();
            let from = self.raw.get(self.left.clone()).unwrap_or_default();
            let (result, read, written) = match &mut self.decoder {
                Decoder::Latin1 => {
                    (DecoderResult::InputEmpty, from.len(), encoding_rs::mem::convert_latin1_to_utf8(from, &mut self.text))
                }
                Decoder::Other(decoder) => decoder.decode_to_utf8_without_replacement(from, &mut self.text, last),
            };
            self.left.start += read;
            self.before += read as u64;
            self.ready = 0..written;
            match result {
                DecoderResult::InputEmpty => self.ended = last,
                DecoderResult::OutputFull => {}
                DecoderResult::Malformed(length, after) => {
                    let byte = self.before - u64::from(length) - u64::from(after);
                    return Err(SourceError::Undecodable { file: bytes.name().clone(), encoding: self.encoding, byte });
                }
            }
        }
        Ok(true)
    }
}

impl fmt::Debug for Decoded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Decoded").field("bytes", &self.bytes).finish_non_exhaustive()
    }
}
