//! How well the scores of one class tell its rows from the others.

/// The scores of one class, row by row: 4 bytes a row.
#[derive(Clone, Debug, Default)]
pub(super) struct Ranking {
    /// The bits of the score, then whether the row is of the class: of scores from 0 to 1 the order of the numbers is that of the scores.
    keys: Vec<u32>,
}

/// How well a ranking tells a class from the rest.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Separation {
    /// The area under the receiver operating characteristic: the share of pairs, one row of the class and one not, in which the score of the
    /// first is larger; ties count half (Mann and Whitney 1947).
    pub(super) auc: f64,
    /// Average precision: the sum over all distinct scores, from the largest, of the share of the class that it adds times the share of rows with
    /// that score or a larger one that are of the class. Nothing is interpolated.
    pub(super) average_precision: f64,
}

impl Ranking {
    /// Adds a row with the score of the class, from 0 to 1.
    pub(super) fn add(&mut self, score: f32, of_class: bool) {
        self.keys.push((score.clamp(0.0, 1.0).to_bits() << 1) | u32::from(of_class));
    }

    /// What the rows add up to; `None` where there is no row of the class, or no other.
    pub(super) fn separation(&self) -> Option<Separation> {
        let mut keys = self.keys.clone();
        keys.sort_unstable_by(|a, b| b.cmp(a));
        let positives = keys.iter().filter(|key| *key & 1 == 1).count() as u64;
        let negatives = keys.len() as u64 - positives;
        if positives == 0 || negatives == 0 {
            return None;
        }
        // Rows with a larger score than those at hand, of the class and not; twice the pairs in order, in whole numbers.
        let (mut hits, mut misses, mut twice, mut average_precision) = (0, 0, 0, 0.0);
        for tied in keys.chunk_by(|a, b| a >> 1 == b >> 1) {
            let here = tied.iter().filter(|key| *key & 1 == 1).count() as u64;
            let others = tied.len() as u64 - here;
            twice += u128::from(others) * u128::from(2 * hits + here);
            hits += here;
            misses += others;
            average_precision += here as f64 / positives as f64 * (hits as f64 / (hits + misses) as f64);
        }
        let auc = twice as f64 / (2.0 * positives as f64 * negatives as f64);
        Some(Separation { auc, average_precision })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(rows: &[(f32, bool)]) -> Option<Separation> {
        let mut ranking = Ranking::default();
        rows.iter().for_each(|(score, of_class)| ranking.add(*score, *of_class));
        ranking.separation()
    }

    #[test]
    fn pairs_and_precisions_by_hand() {
        let perfect = of(&[(0.9, true), (0.1, false), (0.8, true)]).unwrap();
        assert_eq!((perfect.auc, perfect.average_precision), (1.0, 1.0));
        assert_eq!(of(&[(0.5, true), (0.5, false)]).unwrap(), Separation { auc: 0.5, average_precision: 0.5 });
        // Pairs: 0.8 beats both, 0.4 beats one of two and ties with none. Precisions: 1/1 at the first, 2/3 at the second.
        let mixed = of(&[(0.8, true), (0.6, false), (0.4, true), (0.2, false)]).unwrap();
        assert_eq!(mixed.auc, 0.75);
        assert!((mixed.average_precision - (0.5 + 0.5 * 2.0 / 3.0)).abs() < 1e-15);
        assert_eq!([of(&[]), of(&[(0.5, true)]), of(&[(0.5, false)])], [None; 3]);
    }
}
