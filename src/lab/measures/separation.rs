//! Whether a model is told apart, by one number a model.

use super::{Draws, Interval, Rows, auc, ratio::spread};

/// Draws of models for the interval of the mean loss, which cost next to nothing: the ends of fewer wander by more than a hundredth.
const REDRAWS: usize = 2000;

/// How models were told apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Test {
    /// By the mean loss on the forget rows, whichever side is larger.
    MeanLoss,
    /// By the sum over rows of the ratios of likelihoods.
    Ratios,
}

/// How well one kind of model is told from another.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Separation {
    /// The AUC over models, and its interval over draws of models.
    pub auc: Interval,
    /// The test that it is of, the better of the two.
    pub test: Test,
}

/// The better of both tests, given the mean losses of each model and what its rows tell. As the better of two, one of them two-sided, it is
/// above 0.5 where nothing differs, so that it is to be compared with what models of one kind give by the same rule.
pub fn separation(loss_u: &[f64], loss_r: &[f64], rows: &Rows, draws: &mut Draws) -> Separation {
    let plain = auc(loss_u, loss_r);
    let turn = |a: f64| if plain < 0.5 { 1.0 - a } else { a };
    if turn(plain) <= rows.set.value {
        return Separation { auc: rows.set, test: Test::Ratios };
    }
    let (all_u, all_r): (Vec<usize>, Vec<usize>) = ((0..loss_u.len()).collect(), (0..loss_r.len()).collect());
    let pick = |of: &[f64], which: Vec<usize>| which.iter().filter_map(|m| of.get(*m).copied()).collect::<Vec<f64>>();
    let redraws = (0..REDRAWS).map(|_| turn(auc(&pick(loss_u, draws.again(&all_u)), &pick(loss_r, draws.again(&all_r)))));
    let redraws: Vec<f64> = redraws.collect();
    Separation { auc: spread(turn(plain), redraws), test: Test::MeanLoss }
}

impl Separation {
    /// Whether its whole interval lies above that of models of one kind.
    pub fn above(&self, floor: &Separation) -> bool {
        self.auc.low > floor.auc.high
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(set: f64) -> Rows {
        let set = Interval { value: set, low: set - 0.1, high: set + 0.1 };
        Rows { auc: set, tpr_at_1: 0.0, set, persons: Vec::new() }
    }

    #[test]
    fn the_better_test_counts_and_the_mean_loss_has_two_sides() {
        let (low, high): (Vec<f64>, Vec<f64>) = ((0..20).map(f64::from).collect(), (100..120).map(f64::from).collect());
        for (u, r) in [(&low, &high), (&high, &low)] {
            let got = separation(u, r, &rows(0.7), &mut Draws::new([1; 32]));
            assert_eq!((got.auc.value, got.auc.low, got.test), (1.0, 1.0, Test::MeanLoss));
        }
        let got = separation(&low, &low, &rows(0.7), &mut Draws::new([1; 32]));
        assert_eq!((got.auc.value, got.test), (0.7, Test::Ratios));
        assert!(!got.above(&got));
    }
}
