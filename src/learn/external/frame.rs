//! Frames: one byte that says what it is, eight bytes of length, so many bytes.
//!
//! Every frame to a worker is answered by one frame, in order (docs/OWN-MODELS.md has the table).

use std::io::{self, Read, Write};

/// To a worker: the protocol, the rows' layout, the settings, as JSON. The answer is [`READY`].
pub(super) const HELLO: u8 = b'H';
/// To a worker: 32 bytes of seed. The answer is the state before any row.
pub(super) const INIT: u8 = b'I';
/// To a worker: a step begins, from a state. The answer is [`DONE`].
pub(super) const STEP: u8 = b'T';
/// To a worker: rows that are visited, with their labels. The answer is [`DONE`].
pub(super) const BATCH: u8 = b'B';
/// To a worker: the step has no more rows. The answer is the state after it.
pub(super) const END: u8 = b'E';
/// To a worker: keep a state at hand, to answer by it. The answer is [`DONE`].
pub(super) const LOAD: u8 = b'L';
/// To a worker: rows without labels. The answer is their scores.
pub(super) const ASK: u8 = b'Q';

/// From a worker: what it is, as JSON.
pub(super) const READY: u8 = b'R';
/// From a worker: it did so.
pub(super) const DONE: u8 = b'K';
/// From a worker: a state.
pub(super) const STATE: u8 = b'S';
/// From a worker: f32, `rows x outputs`.
pub(super) const SCORES: u8 = b'P';
/// From a worker: it can't; why, as text.
pub(super) const FAILED: u8 = b'X';

/// A longer answer than this is a mistake.
const LONGEST: u64 = 1 << 32;

/// One frame.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Frame {
    /// What it is.
    pub(super) kind: u8,
    /// What it holds.
    pub(super) payload: Vec<u8>,
}

impl Frame {
    /// A frame of some parts.
    pub(super) fn of(kind: u8, parts: &[&[u8]]) -> Frame {
        Frame { kind, payload: parts.concat() }
    }

    /// Writes the frame and flushes.
    pub(super) fn write(&self, to: &mut impl Write) -> io::Result<()> {
        to.write_all(&[self.kind])?;
        to.write_all(&(self.payload.len() as u64).to_le_bytes())?;
        to.write_all(&self.payload)?;
        to.flush()
    }

    /// The next frame; `None` at the end between two frames. What a length promises is not allocated before it comes.
    pub(super) fn read(from: &mut impl Read) -> io::Result<Option<Frame>> {
        let mut kind = [0];
        if from.read(&mut kind)? == 0 {
            return Ok(None);
        }
        let mut length = [0; 8];
        from.read_exact(&mut length)?;
        let length = u64::from_le_bytes(length);
        if length > LONGEST {
            let what = format!(
                "a frame of {length} bytes, and {LONGEST} are the most; something else may have been printed to its output"
            );
            return Err(io::Error::new(io::ErrorKind::InvalidData, what));
        }
        let mut payload = Vec::new();
        from.take(length).read_to_end(&mut payload)?;
        if payload.len() as u64 != length {
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "it ended within a frame"));
        }
        let [kind] = kind;
        Ok(Some(Frame { kind, payload }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_come_back_and_cut_ones_are_errors() {
        let frame = Frame::of(STATE, &[b"ab", b"", b"cde"]);
        let mut bytes = Vec::new();
        frame.write(&mut bytes).unwrap();
        assert_eq!(bytes, b"S\x05\0\0\0\0\0\0\0abcde");
        let twice = bytes.repeat(2);
        let mut from = &twice[..];
        assert_eq!(Frame::read(&mut from).unwrap().unwrap(), frame);
        assert_eq!(Frame::read(&mut from).unwrap().unwrap(), frame);
        assert_eq!(Frame::read(&mut from).unwrap(), None);
        for cut in 1..bytes.len() {
            assert!(Frame::read(&mut &bytes[..cut]).is_err(), "{cut}");
        }
        // What somebody printed is a length that nobody means.
        let printed = Frame::read(&mut &b"epoch 1 of 10\n"[..]).unwrap_err().to_string();
        assert!(printed.contains("printed"), "{printed}");
        assert!(Frame::read(&mut &b"S\xff\xff\xff\xff\0\0\0\0few"[..]).is_err(), "a promise is not allocated");
    }
}
