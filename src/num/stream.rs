//! Derived random streams.
//!
//! A stream is ChaCha with 20 rounds (`rand_chacha` 0.9) over a 32-byte seed that the caller derives from (model key, purpose,
//! shard, step). Nothing is drawn from a shared generator. Both the generator and the distribution use integer and IEEE
//! operations only; golden values in the tests hold their bits.

use ndarray_rand::rand_distr::{Distribution, Uniform};
use rand_chacha::ChaCha20Rng;
use rand_core::{RngCore, SeedableRng};

/// One derived stream. An [`RngCore`], so that the distributions of ndarray-rand can draw from it.
#[derive(Debug, Clone)]
pub struct Stream {
    generator: ChaCha20Rng,
}

/// The stream of a seed, from its beginning.
pub fn stream(seed: [u8; 32]) -> Stream {
    Stream { generator: ChaCha20Rng::from_seed(seed) }
}

impl Stream {
    /// The next 32 bits.
    pub fn word(&mut self) -> u32 {
        self.generator.next_u32()
    }
}

impl RngCore for Stream {
    fn next_u32(&mut self) -> u32 {
        self.generator.next_u32()
    }

    fn next_u64(&mut self) -> u64 {
        self.generator.next_u64()
    }

    fn fill_bytes(&mut self, out: &mut [u8]) {
        self.generator.fill_bytes(out);
    }
}

/// Fills `out`, in order, from ndarray-rand's uniform distribution over `low..high`; one draw of 32 bits an element.
///
/// # Panics
///
/// Unless `low < high`, both and their difference finite: the bounds are the caller's own formula, not input.
pub fn uniform(stream: &mut Stream, low: f32, high: f32, out: &mut [f32]) {
    let Ok(distribution) = Uniform::new(low, high) else {
        unreachable!("{low} to {high} is no range of finite width above 0");
    };
    for x in out {
        *x = distribution.sample(stream);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The key stream of ChaCha20 with a key, counter and nonce of zeros, as in RFC 8439, appendix A.1, test vector 1.
    #[test]
    fn the_generator_is_chacha20() {
        let mut bytes = [0; 16];
        stream([0; 32]).fill_bytes(&mut bytes);
        assert_eq!(bytes, [0x76, 0xb8, 0xe0, 0xad, 0xa0, 0xf1, 0x3d, 0x90, 0x40, 0x5d, 0x6a, 0xe5, 0x53, 0x86, 0xbd, 0x28]);
    }

    /// The distribution takes 23 bits of a word as a fraction: (word >> 9) / 2^23 * (high - low) + low.
    #[test]
    fn uniform_is_the_documented_function_of_the_words() {
        let (low, high) = (-0.125, 0.375);
        let mut got = vec![0.0; 1000];
        uniform(&mut stream([7; 32]), low, high, &mut got);
        let mut words = stream([7; 32]);
        for x in got {
            let fraction = (words.next_u32() >> 9) as f32 / 8_388_608.0;
            assert_eq!(x.to_bits(), (fraction * (high - low) + low).to_bits());
            assert!((low..high).contains(&x));
        }
    }

    #[test]
    fn streams_of_other_seeds_differ_and_split_draws_agree() {
        let mut whole = [0.0; 10];
        uniform(&mut stream([1; 32]), 0.0, 1.0, &mut whole);
        let mut parts = [0.0; 10];
        let mut split = stream([1; 32]);
        let (first, second) = parts.split_at_mut(3);
        uniform(&mut split, 0.0, 1.0, first);
        uniform(&mut split, 0.0, 1.0, second);
        assert_eq!(whole, parts);
        uniform(&mut stream([2; 32]), 0.0, 1.0, &mut parts);
        assert_ne!(whole, parts);
    }

    #[test]
    #[should_panic(expected = "no range")]
    fn an_empty_range_is_refused() {
        uniform(&mut stream([1; 32]), 1.0, 1.0, &mut [0.0]);
    }
}
