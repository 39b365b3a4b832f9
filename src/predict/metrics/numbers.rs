//! How good predicted numbers are.

use crate::predict::Scores;

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

impl NumberReport {
    /// Whether always answering the mean of these rows' labels has a smaller squared error.
    pub fn is_worse_than_constant(&self) -> bool {
        self.r2 < 0.0
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_by_hand() {
        let mut metrics = NumberMetrics::default();
        metrics.add(&Scores { outputs: 1, values: vec![1.0, 2.0, 5.0], classes: vec![] }, &[1.0, 3.0, 4.0]);
        let report = metrics.report();
        assert_eq!((report.rows, report.mae), (3, 2.0 / 3.0));
        // 2 / (1 + 9 + 16 - 64 / 3), rounded differently.
        assert!((report.r2 - (1.0 - 2.0 / (26.0 - 64.0 / 3.0))).abs() < 1e-12);
        assert!(!report.is_worse_than_constant());
        metrics.add(&Scores { outputs: 1, values: vec![90.0], classes: vec![] }, &[1.0]);
        assert!(metrics.report().is_worse_than_constant());
    }
}
