//! How good scores are. Sums run over rows in the order given, in f64.
#![expect(clippy::indexing_slicing, reason = "classes index tables that were made with exactly that size")]

use super::Scores;

/// Adds up the quality of class scores.
#[derive(Clone, Debug)]
pub struct ClassMetrics {
    classes: usize,
    /// `true class x decided class`.
    confusion: Vec<u64>,
    log_loss: f64,
}

/// The quality of class scores.
#[derive(Clone, Debug, PartialEq)]
pub struct ClassReport {
    /// Rows.
    pub rows: u64,
    /// Share of rows whose class was decided rightly.
    pub accuracy: f64,
    /// Mean negative logarithm of the true class's probability, in nats.
    pub log_loss: f64,
    /// Per class: rows, share of decisions for it that are right, share of its rows that are found.
    pub classes: Vec<(u64, f64, f64)>,
}

/// Probabilities below this count as this much, so that one certain mistake does not make the mean infinite.
const PROBABILITY_MIN: f64 = 1e-15;

impl ClassMetrics {
    /// No rows yet.
    pub fn new(classes: u32) -> ClassMetrics {
        let classes = classes as usize;
        ClassMetrics { classes, confusion: vec![0; classes * classes], log_loss: 0.0 }
    }

    /// Adds rows with their true classes.
    pub fn add(&mut self, scores: &Scores, labels: &[u32]) {
        let rows = scores.values.chunks_exact(self.classes).zip(&scores.classes).zip(labels);
        for ((values, decided), label) in rows {
            self.confusion[*label as usize * self.classes + *decided as usize] += 1;
            let p = f64::from(values[*label as usize]).clamp(PROBABILITY_MIN, 1.0);
            self.log_loss -= libm::log(p);
        }
    }

    /// What the rows add up to; shares of nothing are 0.
    pub fn report(&self) -> ClassReport {
        let rows: u64 = self.confusion.iter().sum();
        let share = |part: u64, whole: u64| if whole == 0 { 0.0 } else { part as f64 / whole as f64 };
        let hit = |class: usize| self.confusion[class * self.classes + class];
        let of_class = |class: usize| (0..self.classes).map(|d| self.confusion[class * self.classes + d]).sum::<u64>();
        let decided = |class: usize| (0..self.classes).map(|t| self.confusion[t * self.classes + class]).sum::<u64>();
        ClassReport {
            rows,
            accuracy: share((0..self.classes).map(hit).sum(), rows),
            log_loss: if rows == 0 { 0.0 } else { self.log_loss / rows as f64 },
            classes: (0..self.classes).map(|c| (of_class(c), share(hit(c), decided(c)), share(hit(c), of_class(c)))).collect(),
        }
    }
}

/// Adds up the quality of predicted numbers.
#[derive(Clone, Copy, Debug, Default)]
pub struct NumberMetrics {
    rows: u64,
    squared: f64,
    absolute: f64,
    labels: f64,
    labels_squared: f64,
}

/// The quality of predicted numbers, in the units of the label as encoded.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct NumberReport {
    /// Rows.
    pub rows: u64,
    /// Root of the mean squared error.
    pub rmse: f64,
    /// Mean absolute error.
    pub mae: f64,
    /// Share of the label's variance that is explained.
    pub r2: f64,
}

impl NumberMetrics {
    /// Adds rows with their true numbers.
    pub fn add(&mut self, scores: &Scores, labels: &[f32]) {
        for (value, label) in scores.values.iter().zip(labels) {
            let (value, label) = (f64::from(*value), f64::from(*label));
            let error = value - label;
            self.rows += 1;
            self.squared += error * error;
            self.absolute += error.abs();
            self.labels += label;
            self.labels_squared += label * label;
        }
    }

    /// What the rows add up to.
    pub fn report(&self) -> NumberReport {
        let n = self.rows.max(1) as f64;
        let variance = self.labels_squared - self.labels * self.labels / n;
        NumberReport {
            rows: self.rows,
            rmse: (self.squared / n).sqrt(),
            mae: self.absolute / n,
            r2: if variance > 0.0 { 1.0 - self.squared / variance } else { 0.0 },
        }
    }
}

/// Finds the most frequent class of the training rows.
#[derive(Clone, Debug)]
pub struct Majority(Vec<u64>);

impl Majority {
    /// No rows yet.
    pub fn new(classes: u32) -> Majority {
        Majority(vec![0; classes as usize])
    }

    /// Adds rows.
    pub fn add(&mut self, labels: &[u32]) {
        labels.iter().for_each(|l| self.0[*l as usize] += 1);
    }

    /// The class, the lowest index of equals.
    pub fn class(&self) -> u32 {
        let best = self.0.iter().enumerate().max_by_key(|(class, n)| (**n, std::cmp::Reverse(*class)));
        best.map_or(0, |(class, _)| class as u32)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[expect(clippy::disallowed_methods, reason = "the platform's logarithm is the other way to compute it")]
    fn classes_by_hand() {
        let mut metrics = ClassMetrics::new(2);
        let scores = Scores { outputs: 2, values: vec![0.75, 0.25, 0.5, 0.5, 0.25, 0.75, 1.0, 0.0], classes: vec![0, 0, 1, 0] };
        metrics.add(&scores, &[0, 1, 1, 0]);
        let report = metrics.report();
        assert_eq!(report.accuracy, 0.75);
        assert_eq!(report.classes, vec![(2, 2.0 / 3.0, 1.0), (2, 1.0, 0.5)]);
        let expected = -(0.75_f64.ln() + 0.5_f64.ln() + 0.75_f64.ln()) / 4.0;
        // Sums in another order than the one above.
        assert!((report.log_loss - expected).abs() < 1e-12);
    }

    #[test]
    fn numbers_by_hand() {
        let mut metrics = NumberMetrics::default();
        metrics.add(&Scores { outputs: 1, values: vec![1.0, 2.0, 5.0], classes: vec![] }, &[1.0, 3.0, 4.0]);
        let report = metrics.report();
        assert_eq!((report.rows, report.mae), (3, 2.0 / 3.0));
        // 2 / (1 + 9 + 16 - 64 / 3), rounded differently.
        assert!((report.r2 - (1.0 - 2.0 / (26.0 - 64.0 / 3.0))).abs() < 1e-12);
    }
}
