//! Packed pages, unpacked within bounds and without C.

use std::io::Read;

use parquet::basic::Compression;

/// Bytes of the largest page.
const PAGE_BYTES_MAX: usize = 256 << 20;
/// Bytes that a page packed by Zstandard may look back on.
const WINDOW_BYTES_MAX: u64 = 16 << 20;
/// What a byte of LZ4 becomes at most, and one of Snappy.
const LZ4_RATIO: usize = 255;
const SNAPPY_RATIO: usize = 64;

/// How pages are packed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Packing {
    Plain,
    Snappy,
    Gzip,
    Lz4,
    Zstd,
}

impl Packing {
    /// The way that a column declares, or what it is called if it is not read.
    pub(super) fn of(compression: Compression) -> Result<Packing, &'static str> {
        match compression {
            Compression::UNCOMPRESSED => Ok(Packing::Plain),
            Compression::SNAPPY => Ok(Packing::Snappy),
            Compression::GZIP(_) => Ok(Packing::Gzip),
            Compression::LZ4_RAW => Ok(Packing::Lz4),
            Compression::ZSTD(_) => Ok(Packing::Zstd),
            Compression::LZ4 => Err("LZ4 in the framing of Hadoop"),
            Compression::BROTLI(_) => Err("Brotli"),
            Compression::LZO => Err("LZO"),
        }
    }

    /// The bytes that were packed, if they are at most `most`.
    pub(super) fn unpack(self, packed: &[u8], most: u64) -> Option<Vec<u8>> {
        let most = usize::try_from(most).unwrap_or(usize::MAX).min(PAGE_BYTES_MAX);
        match self {
            Packing::Plain => (packed.len() <= most).then(|| packed.to_vec()),
            Packing::Snappy => {
                let length = snap::raw::decompress_len(packed).ok()?;
                let can_be = length <= most && length <= SNAPPY_RATIO.saturating_mul(packed.len());
                can_be.then(|| snap::raw::Decoder::new().decompress_vec(packed).ok())?
            }
            Packing::Gzip => bounded(flate2::read::MultiGzDecoder::new(packed), most),
            Packing::Lz4 => lz4(packed, most.min(LZ4_RATIO.saturating_mul(packed.len()))),
            Packing::Zstd => {
                if packed.is_empty() || window(packed)? > WINDOW_BYTES_MAX {
                    return packed.is_empty().then(Vec::new);
                }
                bounded(ruzstd::decoding::StreamingDecoder::new(packed).ok()?, most)
            }
        }
    }
}

/// All that a reader has, if it is at most `most` bytes.
fn bounded(reader: impl Read, most: usize) -> Option<Vec<u8>> {
    let mut out = Vec::new();
    reader.take(most as u64 + 1).read_to_end(&mut out).ok()?;
    (out.len() <= most).then_some(out)
}

/// A block of LZ4 does not say how long it becomes, so room is made until it fits.
fn lz4(packed: &[u8], most: usize) -> Option<Vec<u8>> {
    let mut room = packed.len().saturating_mul(4).max(1 << 16).min(most);
    loop {
        let mut out = vec![0; room];
        match lz4_flex::block::decompress_into(packed, &mut out) {
            Ok(length) => {
                out.truncate(length);
                return Some(out);
            }
            Err(_) if room < most => room = room.saturating_mul(8).min(most),
            Err(_) => return None,
        }
    }
}

/// The bytes that a frame of Zstandard looks back on, by its header (RFC 8878, 3.1.1.1); they are allocated before any is read.
fn window(frame: &[u8]) -> Option<u64> {
    let descriptor = *frame.get(4)?;
    if descriptor & 0x20 == 0 {
        let byte = u64::from(*frame.get(5)?);
        let base = 1_u64 << (10 + (byte >> 3));
        return Some(base + base / 8 * (byte & 7));
    }
    // One segment: its size is that of the content.
    let start = 5 + [0, 1, 2, 4].get(usize::from(descriptor & 3))?;
    let bytes = 1_usize << (descriptor >> 6);
    let size = frame.get(start..start + bytes)?;
    Some(size.iter().rev().fold(0, |number, byte| number << 8 | u64::from(*byte)))
}
