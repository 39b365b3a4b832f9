//! Ratios of likelihoods, row by row: the attack of U-LiRA.
//!
//! For each row a Gaussian of its confidences among models that unlearned it, and one among models that never saw it, both fitted on one
//! half of the models; the logarithm of their ratio is asked of the other half, both ways round, over several random halvings (Hayes et
//! al. 2024, section 3, after Carlini et al. 2022, section IV). Leaving one model out instead of a half gives less than 0.5 where nothing
//! differs.
#![expect(clippy::indexing_slicing, reason = "every index is below a length that is checked or made here")]

use rayon::prelude::*;

use super::{Draws, Interval, auc, draw::quantile, mean, variance};

/// Random halvings.
const HALVINGS: usize = 8;
/// Draws of models for intervals.
const REDRAWS: usize = 100;
/// A Gaussian is no narrower than this share of that of the models that never saw the row.
const NARROWEST: f64 = 0.1;
/// Nor counts that one as narrower than this.
const SPREAD_LEAST: f64 = 1e-3;

/// What rows tell.
#[derive(Clone, Debug, PartialEq)]
pub struct Rows {
    /// AUC over all (model, row) questions.
    pub auc: Interval,
    /// Share of such questions answered rightly where 1 % of the others are answered wrongly.
    pub tpr_at_1: f64,
    /// AUC over models, each asked once by the sum over its rows.
    pub set: Interval,
    /// AUC over models of each person's rows together, ascending.
    pub persons: Vec<f64>,
}

impl Rows {
    /// Mean over persons.
    pub fn person_mean(&self) -> f64 {
        mean(&self.persons)
    }

    /// Mean over the tenth of the persons with the highest figure, at least one.
    pub fn person_top_tenth(&self) -> f64 {
        let top = (self.persons.len() / 10).max(1).min(self.persons.len());
        mean(&self.persons[self.persons.len() - top..])
    }
}

/// Which models a Gaussian is fitted on, and which are asked.
pub(super) struct Halves {
    pub(super) fit: (Vec<usize>, Vec<usize>),
    pub(super) ask: (Vec<usize>, Vec<usize>),
}

impl Halves {
    /// Random halves of both sides.
    pub(super) fn draw(u: usize, r: usize, draws: &mut Draws) -> Halves {
        let half = |n: usize, draws: &mut Draws| {
            let mut order = draws.order(n);
            let rest = order.split_off(n / 2);
            (order, rest)
        };
        let (a, b) = (half(u, draws), half(r, draws));
        Halves { fit: (a.0, b.0), ask: (a.1, b.1) }
    }

    /// The other way round.
    fn turned(&self) -> Halves {
        Halves { fit: self.ask.clone(), ask: self.fit.clone() }
    }

    /// Models of each half drawn again with replacement; halves stay apart.
    fn again(&self, draws: &mut Draws) -> Halves {
        Halves {
            fit: (draws.again(&self.fit.0), draws.again(&self.fit.1)),
            ask: (draws.again(&self.ask.0), draws.again(&self.ask.1)),
        }
    }
}

/// For each model that is asked the logarithms of the ratios, one a row: first of unlearned models, then of the others.
pub(super) fn ratios(u: &[Vec<f64>], r: &[Vec<f64>], halves: &Halves) -> (Vec<Vec<f64>>, Vec<Vec<f64>>) {
    let rows = u.first().map_or(0, Vec::len);
    let mut gaussians = Vec::with_capacity(rows);
    let (mut of_u, mut of_r) = (Vec::new(), Vec::new());
    for row in 0..rows {
        of_u.clear();
        of_u.extend(halves.fit.0.iter().map(|m| u[*m][row]));
        of_r.clear();
        of_r.extend(halves.fit.1.iter().map(|m| r[*m][row]));
        let spread = variance(&of_r).sqrt();
        let least = NARROWEST * spread.max(SPREAD_LEAST);
        let (su, sr) = (variance(&of_u).sqrt().max(least), spread.max(least));
        gaussians.push((mean(&of_u), su, mean(&of_r), sr, libm::log(sr) - libm::log(su)));
    }
    let ask = |models: &[usize], of: &[Vec<f64>]| {
        let one = |m: &usize| {
            of[*m].iter().zip(&gaussians).map(|(x, (mu, su, mr, sr, log))| {
                let (a, b) = ((x - mu) / su, (x - mr) / sr);
                log - 0.5 * a * a + 0.5 * b * b
            })
        };
        models.iter().map(|m| one(m).collect::<Vec<f64>>()).collect::<Vec<_>>()
    };
    (ask(&halves.ask.0, u), ask(&halves.ask.1, r))
}

/// The sum over rows of each model.
pub(super) fn sums(ratios: &[Vec<f64>]) -> Vec<f64> {
    ratios.iter().map(|rows| rows.iter().fold(0.0, |sum, x| sum + x)).collect()
}

/// Asks every row. `owner` says whose each row is, from 0 on without gaps. Figures are 0.5 in expectation where nothing differs; with fewer
/// than four models a side they are 0.5 and mean nothing.
pub fn rows(u: &[Vec<f64>], r: &[Vec<f64>], owner: &[usize], draws: &mut Draws) -> Rows {
    let people = owner.iter().max().map_or(0, |last| last + 1);
    let half = Interval { value: 0.5, low: 0.0, high: 1.0 };
    if u.len() < 4 || r.len() < 4 || owner.is_empty() {
        return Rows { auc: half, tpr_at_1: 0.01, set: half, persons: vec![0.5; people] };
    }
    let (mut aucs, mut tprs, mut sets) = (Vec::new(), Vec::new(), Vec::new());
    let mut persons = vec![0.0; people];
    let by_person = |ratios: &[Vec<f64>]| {
        let mut out = vec![vec![0.0; ratios.len()]; people];
        for (model, rows) in ratios.iter().enumerate() {
            rows.iter().zip(owner).for_each(|(x, person)| out[*person][model] += x);
        }
        out
    };
    let halvings: Vec<Halves> = (0..HALVINGS).map(|_| Halves::draw(u.len(), r.len(), draws)).collect();
    let both = halvings.into_iter().flat_map(|halves| [halves.turned(), halves]).collect::<Vec<Halves>>();
    let asked = both.par_iter().map(|halves| {
        let (lu, lr) = ratios(u, r, halves);
        let (flat_u, mut flat_r) = (lu.concat(), lr.concat());
        let of_rows = auc(&flat_u, &flat_r);
        flat_r.sort_unstable_by(f64::total_cmp);
        let cut = quantile(&flat_r, 0.99);
        let tpr = flat_u.iter().filter(|x| **x > cut).count() as f64 / flat_u.len() as f64;
        let sides = by_person(&lu).into_iter().zip(by_person(&lr));
        (of_rows, tpr, auc(&sums(&lu), &sums(&lr)), sides.map(|(pu, pr)| auc(&pu, &pr)).collect::<Vec<f64>>())
    });
    for (of_rows, tpr, set, of_persons) in asked.collect::<Vec<_>>() {
        aucs.push(of_rows);
        tprs.push(tpr);
        sets.push(set);
        persons.iter_mut().zip(of_persons).for_each(|(sum, auc)| *sum += auc);
    }
    persons.iter_mut().for_each(|sum| *sum /= (2 * HALVINGS) as f64);
    persons.sort_unstable_by(f64::total_cmp);
    // Drawn one after the other, and asked side by side: the figures do not depend on threads.
    let redraws: Vec<Halves> = (0..REDRAWS).map(|_| Halves::draw(u.len(), r.len(), draws).again(draws)).collect();
    let asked = redraws.par_iter().map(|halves| {
        let (lu, lr) = ratios(u, r, halves);
        (auc(&lu.concat(), &lr.concat()), auc(&sums(&lu), &sums(&lr)))
    });
    let (row_draws, set_draws): (Vec<f64>, Vec<f64>) = asked.unzip();
    let interval = |value: f64, draws: Vec<f64>| spread(value, draws);
    Rows { auc: interval(mean(&aucs), row_draws), tpr_at_1: mean(&tprs), set: interval(mean(&sets), set_draws), persons }
}

/// A figure with the middle 90 % of its draws.
pub(super) fn spread(value: f64, mut draws: Vec<f64>) -> Interval {
    draws.sort_unstable_by(f64::total_cmp);
    Interval { value, low: quantile(&draws, 0.05), high: quantile(&draws, 0.95) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn models(n: usize, rows: usize, shift: f64, seed: u8) -> Vec<Vec<f64>> {
        let mut draws = Draws::new([seed; 32]);
        (0..n).map(|_| (0..rows).map(|_| draws.normal() + shift).collect()).collect()
    }

    #[test]
    fn samples_of_one_distribution_are_not_told_apart() {
        let owner: Vec<usize> = (0..40).map(|row| row / 4).collect();
        let got = rows(&models(64, 40, 0.0, 1), &models(64, 40, 0.0, 2), &owner, &mut Draws::new([9; 32]));
        assert!((got.auc.value - 0.5).abs() < 0.02 && (got.tpr_at_1 - 0.01).abs() < 0.006, "{got:?}");
        assert!(got.set.holds(0.5) && got.persons.len() == 10 && got.persons.is_sorted(), "{got:?}");
        assert!(got.auc.low < got.auc.high && got.set.high - got.set.low > 0.1);
    }

    #[test]
    fn a_shift_shows_as_much_as_it_should() {
        // A shift of one standard deviation: AUC of one row Phi(1 / sqrt 2) = 0.760; 40 rows leave no doubt about a model.
        let owner = vec![0; 40];
        let got = rows(&models(64, 40, 1.0, 1), &models(64, 40, 0.0, 2), &owner, &mut Draws::new([9; 32]));
        assert!((got.auc.value - 0.760).abs() < 0.02, "{got:?}");
        assert!(got.set.value > 0.999 && got.person_mean() > 0.999 && got.person_top_tenth() > 0.999);
        // The attack does not care which way it goes.
        let other = rows(&models(64, 40, -1.0, 1), &models(64, 40, 0.0, 2), &owner, &mut Draws::new([9; 32]));
        assert!((other.auc.value - 0.760).abs() < 0.02);
    }

    #[test]
    fn one_person_among_many_shows_in_the_top_tenth_alone() {
        let owner: Vec<usize> = (0..40).collect();
        let (mut u, r) = (models(64, 40, 0.0, 1), models(64, 40, 0.0, 2));
        u.iter_mut().for_each(|m| m[7] += 3.0);
        let got = rows(&u, &r, &owner, &mut Draws::new([9; 32]));
        assert!(got.person_mean() < 0.53 && got.persons.last().is_some_and(|p| *p > 0.97), "{got:?}");
    }

    #[test]
    fn few_models_say_nothing() {
        let got = rows(&models(3, 2, 5.0, 1), &models(64, 2, 0.0, 2), &[0, 1], &mut Draws::new([0; 32]));
        assert_eq!((got.set.value, got.set.low, got.set.high), (0.5, 0.0, 1.0));
    }
}
