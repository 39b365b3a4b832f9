//! The hash that names nodes and draws their candidates.
//!
//! SplitMix64 (Steele, Lea and Flood 2014, "Fast splittable pseudorandom number generators"), from any place of its sequence. It need not resist
//! anyone: the keys of the trees are secret, and nothing but scores is published.

/// What a hash of a node's key is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    /// The `i`-th draw of an attribute.
    Attribute = 1,
    /// The key of an attribute's candidates.
    Candidates = 2,
    /// The key of a child: 0 left, 1 right.
    Child = 3,
    /// The bin of a folded category; the key is the fold.
    Fold = 4,
}

/// What SplitMix64 adds to its state for each output.
const STEP: u64 = 0x9e37_79b9_7f4a_7c15;

/// The output of SplitMix64 number `index`, from 0, when it starts from the state `key`.
pub(super) fn word(key: u64, index: u64) -> u64 {
    let z = key.wrapping_add(index.wrapping_add(1).wrapping_mul(STEP));
    let z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// The `index`-th hash of a key for a purpose.
pub(super) fn of(key: u64, purpose: Purpose, index: u32) -> u64 {
    word(key, ((purpose as u64) << 32) | u64::from(index))
}

/// A hash as a number below `end`: the high half of the product.
pub(super) fn below(hash: u64, end: usize) -> usize {
    ((u128::from(hash) * end as u128) >> 64) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_generator_is_splitmix64() {
        // The first outputs for seed 1234567 in the reference implementation of Vigna (prng.di.unimi.it/splitmix64.c).
        assert_eq!(
            [0, 1, 2].map(|i| word(1_234_567, i)),
            [6_457_827_717_110_365_317, 3_203_168_211_198_807_973, 9_817_491_932_198_370_423]
        );
    }

    #[test]
    fn numbers_below_an_end_cover_it() {
        assert_eq!((below(0, 7), below(u64::MAX, 7), below(u64::MAX / 2, 7)), (0, 6, 3));
        assert_eq!(below(u64::MAX, 0), 0);
    }
}
