//! How large an epsilon of differential privacy the attack shows at least.

use super::{
    Draws, clopper_pearson,
    ratio::{Halves, ratios, sums},
};

/// Confidence that each end leaves out.
const TAIL: f64 = 0.025;
/// The delta of (epsilon, delta).
pub(super) const DELTA: f64 = 1e-5;

/// At least this much epsilon: one halving of the models, the sum of ratios against 0, false positives and false negatives among the unseen
/// halves with the upper ends f and g of Clopper and Pearson (97.5 % each), `max(0, ln((1 - d - f) / g), ln((1 - d - g) / f))` with d = 1e-5
/// (Jagielski et al. 2020, section 3). 0 where nothing differs, but with the confidence's probability.
pub fn shown_epsilon(u: &[Vec<f64>], r: &[Vec<f64>], draws: &mut Draws) -> f64 {
    if u.len() < 4 || r.len() < 4 {
        return 0.0;
    }
    let halves = Halves::draw(u.len(), r.len(), draws);
    let (lu, lr) = ratios(u, r, &halves);
    let (missed, wrong) = (sums(&lu).iter().filter(|x| **x <= 0.0).count(), sums(&lr).iter().filter(|x| **x > 0.0).count());
    shown(wrong, lr.len(), missed, lu.len())
}

fn shown(wrong: usize, of_r: usize, missed: usize, of_u: usize) -> f64 {
    let (f, g) = (clopper_pearson(wrong, of_r, TAIL).1, clopper_pearson(missed, of_u, TAIL).1);
    let one = |a: f64, b: f64| libm::log((1.0 - DELTA - a).max(1e-12) / b);
    one(f, g).max(one(g, f)).max(0.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_mistake_among_32_shows_what_32_can_show() {
        // The upper end of 0 of 32 is 1 - 0.025^(1 / 32) = 0.1088812; ln(0.8911088 / 0.1088812) = 2.10232.
        let got = shown(0, 32, 0, 32);
        assert!((got - 2.102_3).abs() < 1e-3, "{got}");
        assert_eq!(shown(16, 32, 16, 32), 0.0);
    }

    #[test]
    fn one_distribution_shows_nothing_and_two_apart_show_something() {
        let models = |shift: f64, seed: u8| {
            let mut draws = Draws::new([seed; 32]);
            (0..64).map(|_| (0..20).map(|_| draws.normal() + shift).collect()).collect::<Vec<Vec<f64>>>()
        };
        assert_eq!(shown_epsilon(&models(0.0, 1), &models(0.0, 2), &mut Draws::new([5; 32])), 0.0);
        assert!(shown_epsilon(&models(2.0, 1), &models(0.0, 2), &mut Draws::new([5; 32])) > 1.5);
    }
}
