//! Halves of models and models with replacement, from one derived stream.

use rand_core::RngCore;

use crate::num::stream::{self, Stream};

/// A stream of draws.
#[derive(Clone, Debug)]
pub struct Draws(Stream);

impl Draws {
    /// The draws of a seed.
    pub fn new(seed: [u8; 32]) -> Draws {
        Draws(stream::stream(seed))
    }

    /// A number below `n`, which must not be 0: the upper half of a product of 64 bits, whose bias is below n / 2^64.
    pub fn below(&mut self, n: usize) -> usize {
        ((u128::from(self.0.next_u64()) * n as u128) >> 64) as usize
    }

    /// A number in [0, 1).
    pub fn unit(&mut self) -> f64 {
        (self.0.next_u64() >> 11) as f64 / 9_007_199_254_740_992.0
    }

    /// A draw of the standard normal distribution (Box and Muller 1958).
    pub fn normal(&mut self) -> f64 {
        let (radius, angle) = (1.0 - self.unit(), self.unit());
        (-2.0 * libm::log(radius)).sqrt() * crate::num::poly::cos_turn(angle)
    }

    /// 0..n in an order of its own (Fisher and Yates).
    pub fn order(&mut self, n: usize) -> Vec<usize> {
        let mut order: Vec<usize> = (0..n).collect();
        for at in (1..n).rev() {
            order.swap(at, self.below(at + 1));
        }
        order
    }

    /// As many of these as there are, with replacement.
    pub fn again(&mut self, of: &[usize]) -> Vec<usize> {
        (0..of.len()).filter_map(|_| of.get(self.below(of.len())).copied()).collect()
    }
}

/// The quantile of sorted numbers, between two of them by a straight line; 0 of nothing.
pub fn quantile(sorted: &[f64], share: f64) -> f64 {
    let place = share * sorted.len().saturating_sub(1) as f64;
    let low = place.floor() as usize;
    let at = |i: usize| sorted.get(i).or(sorted.last()).copied().unwrap_or(0.0);
    at(low) + (place - low as f64) * (at(low + 1) - at(low))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn orders_are_permutations_and_draws_repeat() {
        let mut draws = Draws::new([3; 32]);
        let order = draws.order(100);
        let mut sorted = order.clone();
        sorted.sort_unstable();
        assert!(sorted.into_iter().eq(0..100) && !order.is_sorted());
        assert_eq!(Draws::new([3; 32]).order(100), order);
        assert!((0..1000).all(|_| draws.below(7) < 7));
        assert!(draws.again(&[5, 6]).iter().all(|x| *x == 5 || *x == 6));
    }

    #[test]
    fn normal_draws_have_the_moments() {
        let mut draws = Draws::new([4; 32]);
        let xs: Vec<f64> = (0..20_000).map(|_| draws.normal()).collect();
        let (mean, variance) = (super::super::mean(&xs), super::super::variance(&xs));
        assert!(mean.abs() < 0.03 && (variance - 1.0).abs() < 0.05, "{mean} {variance}");
    }

    #[test]
    fn quantiles_lie_between() {
        let xs = [0.0, 1.0, 2.0, 10.0];
        assert_eq!([0.0, 0.5, 1.0].map(|q| quantile(&xs, q)), [0.0, 1.5, 10.0]);
        assert_eq!(quantile(&[], 0.3), 0.0);
    }
}
