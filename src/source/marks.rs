//! Finds the bytes that structure a CSV, 64 at a time.

/// Bytes of a block.
pub(super) const BLOCK: usize = 64;

/// Where a block has delimiters, and where it has anything else that ends a field or changes the grammar: a bit for each byte, the first one lowest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Marks {
    /// Delimiters.
    pub(super) delimiters: u64,
    /// Line feeds, carriage returns and quotes.
    pub(super) stops: u64,
}

impl Marks {
    /// The marks of a block.
    #[inline]
    pub(super) fn of(block: &[u8; BLOCK], delimiter: u8) -> Marks {
        // Loops over whole blocks with nothing but comparisons become vector instructions on every machine.
        let delimiters = block.map(|byte| u8::from(byte == delimiter));
        let stops = block.map(|byte| u8::from(byte == b'\n') | u8::from(byte == b'\r') | u8::from(byte == b'"'));
        Marks { delimiters: bits(&delimiters), stops: bits(&stops) }
    }

    /// The marks of what a block's worth of bytes does not fill.
    pub(super) fn of_rest(rest: &[u8], delimiter: u8) -> Marks {
        let mut block = [0; BLOCK];
        block.iter_mut().zip(rest).for_each(|(to, from)| *to = *from);
        Marks::of(&block, delimiter)
    }
}

/// The lowest bits of 64 bytes that are 0 or 1.
#[inline]
fn bits(flags: &[u8; BLOCK]) -> u64 {
    let (eights, _) = flags.as_chunks::<8>();
    // The product moves bit 0 of byte i to bit 56 + i; no two of its terms meet in one bit.
    let eight = |flags: &[u8; 8]| u64::from_le_bytes(*flags).wrapping_mul(0x0102_0408_1020_4080) >> 56;
    eights.iter().rev().fold(0, |bits, flags| bits << 8 | eight(flags))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_at_every_place_is_marked_as_it_should_be() {
        for byte in 0..=255_u8 {
            for at in 0..BLOCK {
                let mut block = [b'x'; BLOCK];
                block[at] = byte;
                block[(at + 7) % BLOCK] = b';';
                block[(at + 40) % BLOCK] = b'\n';
                let bit = |wanted: &[u8]| {
                    let marked = (0..BLOCK).filter(|i| wanted.contains(&block[*i]));
                    marked.fold(0_u64, |bits, i| bits | 1 << i)
                };
                let expected = Marks { delimiters: bit(b";"), stops: bit(b"\n\r\"") };
                assert_eq!(Marks::of(&block, b';'), expected, "{byte} at {at}");
            }
        }
        assert_eq!(Marks::of_rest(b"a,\n", b','), Marks { delimiters: 2, stops: 4 });
        assert_eq!(Marks::of_rest(b"", b','), Marks { delimiters: 0, stops: 0 });
    }
}
