//! How good scores of classes are.
#![expect(clippy::indexing_slicing, reason = "classes index tables that were made with exactly that size")]

use super::{Calibration, Ranking};
use crate::predict::Scores;

/// Adds up the quality of class scores. Holds 4 bytes a row and class.
#[derive(Clone, Debug)]
pub struct ClassMetrics {
    classes: usize,
    /// `true class x decided class`.
    confusion: Vec<u64>,
    log_loss: f64,
    calibration: Calibration,
    rankings: Vec<Ranking>,
}

/// The quality of class scores.
#[derive(Clone, Debug, PartialEq)]
pub struct ClassReport {
    /// Rows.
    pub rows: u64,
    /// Share of rows whose class was decided rightly.
    pub accuracy: f64,
    /// The mean, over the classes that rows have, of the share of their rows that are found.
    pub balanced_accuracy: f64,
    /// Mean negative logarithm of the true class's probability, in nats.
    pub log_loss: f64,
    /// The expected calibration error of the decided class over 15 equal bins of its probability, from 0 to 1.
    pub calibration_error: f64,
    /// The mean of the classes' areas under the curve, one against the rest; of two classes that of either. `None` where all rows are of one class.
    pub auc: Option<f64>,
    /// The mean of the classes' average precisions.
    pub average_precision: Option<f64>,
    /// Each class.
    pub classes: Vec<ClassQuality>,
}

/// How well one class is told from the rest.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ClassQuality {
    /// Rows of the class.
    pub rows: u64,
    /// Rows whose answer is the class.
    pub answered: u64,
    /// Share of decisions for it that are right; 0 without any.
    pub precision: f64,
    /// Share of its rows that are found; 0 without any.
    pub recall: f64,
    /// The area under the receiver operating characteristic of its score; `None` without rows of it, or without others.
    pub auc: Option<f64>,
    /// Average precision of its score, likewise.
    pub average_precision: Option<f64>,
}

/// Probabilities below this count as this much, so that one certain mistake does not make the mean infinite.
const PROBABILITY_MIN: f64 = 1e-15;

impl ClassMetrics {
    /// No rows yet.
    pub fn new(classes: u32) -> ClassMetrics {
        let classes = classes as usize;
        ClassMetrics {
            classes,
            confusion: vec![0; classes * classes],
            log_loss: 0.0,
            calibration: Calibration::default(),
            rankings: vec![Ranking::default(); classes],
        }
    }

    /// Adds rows with their true classes.
    pub fn add(&mut self, scores: &Scores, labels: &[u32]) {
        let rows = scores.values.chunks_exact(self.classes).zip(&scores.classes).zip(labels);
        for ((values, decided), label) in rows {
            self.confusion[*label as usize * self.classes + *decided as usize] += 1;
            let p = f64::from(values[*label as usize]).clamp(PROBABILITY_MIN, 1.0);
            self.log_loss -= libm::log(p);
            self.calibration.add(values[*decided as usize], decided == label);
            for (class, (ranking, value)) in (0..).zip(self.rankings.iter_mut().zip(values)) {
                ranking.add(*value, *label == class);
            }
        }
    }

    /// What the rows add up to; shares of nothing are 0.
    pub fn report(&self) -> ClassReport {
        let classes: Vec<ClassQuality> = (0..self.classes).map(|class| self.quality(class)).collect();
        let rows: u64 = classes.iter().map(|c| c.rows).sum();
        let hits: u64 = (0..self.classes).map(|class| self.count(class, class)).sum();
        let recalls = classes.iter().filter(|c| c.rows > 0).map(|c| c.recall);
        ClassReport {
            rows,
            accuracy: share(hits, rows),
            balanced_accuracy: mean(recalls).unwrap_or_default(),
            log_loss: if rows == 0 { 0.0 } else { self.log_loss / rows as f64 },
            calibration_error: self.calibration.error(),
            auc: mean(classes.iter().filter_map(|c| c.auc)),
            average_precision: mean(classes.iter().filter_map(|c| c.average_precision)),
            classes,
        }
    }

    fn count(&self, label: usize, decided: usize) -> u64 {
        self.confusion[label * self.classes + decided]
    }

    fn quality(&self, class: usize) -> ClassQuality {
        let rows = (0..self.classes).map(|decided| self.count(class, decided)).sum();
        let answered = (0..self.classes).map(|label| self.count(label, class)).sum();
        let hit = self.count(class, class);
        let separation = self.rankings[class].separation();
        ClassQuality {
            rows,
            answered,
            precision: share(hit, answered),
            recall: share(hit, rows),
            auc: separation.map(|s| s.auc),
            average_precision: separation.map(|s| s.average_precision),
        }
    }
}

impl ClassQuality {
    /// Whether there are rows of the class, and it is never answered.
    pub fn is_never_answered(&self) -> bool {
        self.rows > 0 && self.answered == 0
    }
}

fn share(part: u64, whole: u64) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 / whole as f64 }
}

fn mean(figures: impl Iterator<Item = f64>) -> Option<f64> {
    let (sum, count) = figures.fold((0.0, 0_u32), |(sum, count), figure| (sum + figure, count + 1));
    (count > 0).then(|| sum / f64::from(count))
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
        assert_eq!((report.accuracy, report.balanced_accuracy), (0.75, 0.75));
        let [zero, one] = report.classes[..] else { panic!("two classes") };
        assert_eq!((zero.rows, zero.answered, zero.precision, zero.recall), (2, 3, 2.0 / 3.0, 1.0));
        assert_eq!((one.rows, one.answered, one.precision, one.recall), (2, 1, 1.0, 0.5));
        assert_eq!((report.auc, report.average_precision), (Some(1.0), Some(1.0)));
        let expected = -(0.75_f64.ln() + 0.5_f64.ln() + 0.75_f64.ln()) / 4.0;
        // Sums in another order than the one above.
        assert!((report.log_loss - expected).abs() < 1e-12);
        // Two rows said 0.75 and both are right; one said 0.5 and is wrong; one said 1 and is right.
        assert_eq!(report.calibration_error, (0.5 + 0.5) / 4.0);
    }

    #[test]
    fn a_class_that_is_never_answered_is_seen_and_one_without_rows_is_not_counted() {
        let mut metrics = ClassMetrics::new(3);
        let scores = Scores { outputs: 3, values: [0.6, 0.4, 0.0].repeat(4), classes: vec![0; 4] };
        metrics.add(&scores, &[0, 0, 0, 1]);
        let report = metrics.report();
        assert_eq!(report.classes.iter().map(ClassQuality::is_never_answered).collect::<Vec<_>>(), [false, true, false]);
        assert_eq!((report.accuracy, report.balanced_accuracy), (0.75, 0.5));
        assert_eq!((report.auc, report.classes[2].auc), (Some(0.5), None));
    }
}
