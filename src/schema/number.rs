//! Decimal texts to numbers, correctly rounded.

/// Powers of ten that an f64 holds exactly.
const TENS: [f64; 23] = [
    1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20, 1e21,
    1e22,
];

/// Powers of ten that an f32 holds exactly, for as many decimals as eight bytes can have.
const SMALL_TENS: [f32; 8] = [1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7];

/// The number that the whole text spells, rounded to nearest, ties to even.
#[inline]
pub(super) fn parse_number(text: &[u8]) -> Option<f32> {
    quick_number(text).or_else(|| plain(text)).or_else(|| fast_float2::parse(text).ok())
}

/// As [`parse_number`], for what tables are full of: four to eight digits and a point, before them perhaps a minus. `None` says nothing
/// about the text. A minus before a zero is kept.
#[inline(always)]
pub(super) fn quick_number(text: &[u8]) -> Option<f32> {
    let (digits, sign) = match text {
        [b'-', digits @ ..] => (digits, 1 << 31),
        digits => (digits, 0),
    };
    let (number, decimals) = short(digits)?;
    // An f32 holds both exactly, so their quotient is rounded once.
    let ten = SMALL_TENS.get(decimals).filter(|_| number < 1 << 24)?;
    let quotient = number as f32 / ten;
    Some(f32::from_bits(quotient.to_bits() | sign))
}

/// As [`parse_number`], for decimals of at most 15 digits and a point.
fn plain(text: &[u8]) -> Option<f32> {
    let (digits, negative) = match text {
        [b'-', digits @ ..] => (digits, true),
        digits => (digits, false),
    };
    let (number, count, decimals) = few_bytes(digits)?;
    if count == 0 || count > 15 {
        return None;
    }
    // Both are exact (below 2^53), so the quotient is correctly rounded to 53 bits.
    let quotient = number as f64 / TENS.get(decimals)?;
    // Rounding again, to 24 bits, is right unless the quotient lies where f32 has to decide between two neighbours: then the first
    // rounding may have led there. At most 15 decimals keep it within the normal numbers.
    (quotient.to_bits() & BELOW_F32 != HALFWAY).then_some(if negative { -(quotient as f32) } else { quotient as f32 })
}

/// The digits of a decimal as an integer, how many, and how many of them come after the point. There are digits on both sides of a
/// point: what else is a number, the library knows.
fn few_bytes(digits: &[u8]) -> Option<(u64, usize, usize)> {
    let (mut number, mut count, mut point) = (0_u64, 0_usize, None);
    if digits.len() > 16 {
        return None;
    }
    for (at, byte) in digits.iter().enumerate() {
        let digit = byte.wrapping_sub(b'0');
        if digit <= 9 {
            number = 10 * number + u64::from(digit);
            count += 1;
        } else if *byte == b'.' && point.is_none() && at > 0 {
            point = Some(count);
        } else {
            return None;
        }
    }
    let decimals = point.map_or(0, |point| count - point);
    (point.is_none() || decimals > 0).then_some((number, count, decimals))
}

/// As [`few_bytes`], for four to eight bytes, all of them at once; without the count.
#[inline(always)]
fn short(digits: &[u8]) -> Option<(u32, usize)> {
    const EACH: u64 = 0x0101_0101_0101_0101;
    if digits.len() > 8 {
        return None;
    }
    // Side by side in one word, the last one highest; zeros come in front of the first one.
    let [first, last] = [digits.first_chunk()?, digits.last_chunk()?].map(|four| u64::from(u32::from_le_bytes(*four)));
    let room = 8 * (8 - digits.len());
    let word = (first << room) | (last << 32) | ((EACH * u64::from(b'0')) & !(u64::MAX << room));
    // The lowest bit set is the highest one of the first point: a byte that is a point becomes 0, and only a 0 borrows first.
    let other = word ^ (EACH * u64::from(b'.'));
    let points = other.wrapping_sub(EACH) & !other & (EACH << 7);
    let (word, decimals) = if points == 0 {
        (word, 0)
    } else {
        let at = points.trailing_zeros() as usize & !7;
        if at == room || at == 56 {
            return None;
        }
        // What comes before the point moves up by a byte, over it; a 0 comes in front.
        let before = (1 << at) - 1;
        (((word & before) << 8) | (word & !(before << 8 | 0xff)) | u64::from(b'0'), 7 - at / 8)
    };
    // Not a digit: the upper half is not 3, or becomes more than that with 6 added.
    let digits = word.wrapping_sub(EACH * u64::from(b'0'));
    if (word.wrapping_add(EACH * 0x46) | digits) & (EACH << 7) != 0 {
        return None;
    }
    // Pairs, then fours, then all: each step adds ten, a hundred, ten thousand times a lower neighbour.
    let pairs = (digits.wrapping_mul(10)).wrapping_add(digits >> 8) & 0x00ff_00ff_00ff_00ff;
    let fours = (pairs.wrapping_mul(100)).wrapping_add(pairs >> 16) & 0x0000_ffff_0000_ffff;
    let all = (fours.wrapping_mul(10_000)).wrapping_add(fours >> 32);
    Some((all as u32, decimals))
}

/// The bits of an f64 that an f32 does not have, and half of a last place of an f32 in them.
const BELOW_F32: u64 = (1 << 29) - 1;
const HALFWAY: u64 = 1 << 28;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::num::stream;
    use rand_core::RngCore;

    fn same(text: &str) {
        let expected = text.parse::<f32>().unwrap().to_bits();
        assert_eq!(parse_number(text.as_bytes()).map(f32::to_bits), Some(expected), "{text}");
    }

    #[test]
    fn every_decimal_is_the_nearest_number() {
        let mut random = stream::stream([5; 32]);
        let (mut few, mut most) = (0, 0);
        for _ in 0..400_000 {
            let digits = random.next_u32() % 18 + 1;
            let number = random.next_u64() % 10_u64.pow(digits);
            let mut text = format!("{number:0width$}", width = digits as usize);
            let at = random.next_u32() as usize % (text.len() + 1);
            if at > 0 && at < text.len() {
                text.insert(at, '.');
            }
            if random.next_u32().is_multiple_of(3) {
                text.insert(0, '-');
            }
            few += usize::from(quick_number(text.as_bytes()).is_some());
            most += usize::from(plain(text.as_bytes()).is_some());
            same(&text);
        }
        assert!(few > 100_000 && most > 250_000, "{few}, {most} took the quick roads");
    }

    #[test]
    fn short_texts_are_read_as_byte_by_byte() {
        let one_by_one = |bytes: &[u8]| few_bytes(bytes).map(|(number, _, decimals)| (number as u32, decimals));
        let mut random = stream::stream([6; 32]);
        let few = b"0123456789..-+ e/:\xff\x00\xae";
        let mut numbers = 0;
        for _ in 0..600_000 {
            let most_are_digits = random.next_u32().is_multiple_of(2);
            let bytes = [(); 8].map(|()| few[random.next_u32() as usize % if most_are_digits { 11 } else { few.len() }]);
            let bytes = &bytes[..4 + random.next_u32() as usize % 5];
            assert_eq!(short(bytes), one_by_one(bytes), "{bytes:?}");
            numbers += usize::from(short(bytes).is_some());
        }
        assert!(numbers > 100_000);
        for length in 4..=8 {
            for byte in 0..=255 {
                for at in 0..length {
                    let mut bytes = b"12345678"[..length].to_vec();
                    bytes[at] = byte;
                    assert_eq!(short(&bytes), one_by_one(&bytes), "{bytes:?}");
                    bytes[(at + 3) % length] = b'.';
                    assert_eq!(short(&bytes), one_by_one(&bytes), "{bytes:?}");
                }
            }
        }
        assert_eq!([short(b"123"), short(b"123456789"), short(b"")], [None; 3]);
    }

    #[test]
    fn numbers_between_two_neighbours_are_left_to_the_library() {
        // 2^24 + 1 and its like lie halfway; the digits after them decide.
        for text in ["16777217", "16777217.0000001", "16777216.9999999", "33554434", "33554433.99999", "0.500000029802322"] {
            same(text);
        }
        assert_eq!(plain(b"16777217"), None);
        // 1 + 2^-24 in full has 24 decimals; near it in 15 digits:
        for last in 0..1000 {
            same(&format!("1.00000005960{last:03}"));
            same(&format!("8388608.5000{last:03}"));
            same(&format!("8388607.49999{last:03}"));
        }
    }

    #[test]
    fn other_spellings_are_the_librarys() {
        for text in ["", "-", ".", "1.", ".5", "-.5", "1e3", "+1", "1..2", "1.2.3", "--1", "1-", " 1", "nan", "inf", "0x1", "1_0"]
        {
            assert_eq!([quick_number(text.as_bytes()), plain(text.as_bytes())], [None; 2], "{text}");
            assert_eq!(
                parse_number(text.as_bytes()).map(f32::to_bits),
                fast_float2::parse(text).ok().map(f32::to_bits),
                "{text}"
            );
        }
        assert_eq!(parse_number(b"-0").map(f32::to_bits), Some((-0.0_f32).to_bits()));
    }
}
