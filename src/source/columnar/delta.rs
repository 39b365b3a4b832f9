//! How many lengths a page of delta-coded texts declares: its decoder takes memory for them before it reads the first.

/// Values to a byte at most: blocks of 128 values have at least five bytes.
const VALUES_PER_BYTE_MAX: usize = 128;

/// Whether the lengths of a page of DELTA_LENGTH_BYTE_ARRAY are at most `values`, and no more than its bytes can spell.
pub(super) fn lengths_fit(bytes: &[u8], values: usize) -> bool {
    declared(bytes).is_some_and(|(count, _)| fits(count, bytes, values))
}

/// The same of DELTA_BYTE_ARRAY, which has lengths of prefixes before those of the texts.
pub(super) fn prefixes_fit(bytes: &[u8], values: usize) -> bool {
    declared(bytes).is_some_and(|(count, length)| {
        fits(count, bytes, values) && bytes.get(length..).is_some_and(|rest| lengths_fit(rest, values))
    })
}

fn fits(count: usize, bytes: &[u8], values: usize) -> bool {
    count <= values && count <= VALUES_PER_BYTE_MAX.saturating_mul(bytes.len())
}

/// How many numbers a block of DELTA_BINARY_PACKED declares, and its bytes.
fn declared(bytes: &[u8]) -> Option<(usize, usize)> {
    let mut rest = bytes;
    let block = number(&mut rest)?;
    let parts = number(&mut rest)?;
    let count = number(&mut rest)?;
    let _first = number(&mut rest)?;
    if parts == 0 || !block.is_multiple_of(parts) {
        return None;
    }
    let each = block / parts;
    let mut left = count.saturating_sub(1);
    while left > 0 && each > 0 {
        let _least = number(&mut rest)?;
        let (widths, after) = rest.split_at_checked(parts)?;
        rest = after;
        for width in widths {
            if left == 0 {
                break;
            }
            rest = rest.get(each.checked_mul(usize::from(*width))? / 8..)?;
            left = left.saturating_sub(each);
        }
    }
    Some((count, bytes.len() - rest.len()))
}

/// A number of seven bits to a byte, the lowest first.
pub(super) fn number(rest: &mut &[u8]) -> Option<usize> {
    let mut number = 0_u64;
    for place in 0..10 {
        let (byte, after) = rest.split_first()?;
        *rest = after;
        number |= u64::from(byte & 0x7f).checked_shl(7 * place)?;
        if *byte < 0x80 {
            return usize::try_from(number).ok();
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_bounded_by_values_and_bytes() {
        // Blocks of 128 in four parts, three values from 1 on, all deltas 0.
        let three = [128, 1, 4, 3, 2, 0, 0, 0, 0, 0];
        assert_eq!(declared(&three), Some((3, 10)));
        assert!(lengths_fit(&three, 3) && !lengths_fit(&three, 2));
        assert!(prefixes_fit(&[three, three].concat(), 3) && !prefixes_fit(&three, 3));
        // A block of 2^28 values whose deltas are all 0 would spell as many from ten bytes.
        let many = [0x80, 0x80, 0x80, 0x80, 1, 1, 0xff, 0xff, 0xff, 0x7f, 0, 0, 0];
        assert!(declared(&many).is_some() && !lengths_fit(&many, usize::MAX));
    }
}
