use serde::Serialize;

use crate::engine::{Evaluation, Quality};

/// How good the answers are on rows whose label is known.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "type", rename = "evaluated")]
#[non_exhaustive]
pub struct Evaluated {
    /// Rows.
    pub rows: u64,
    /// The figures, by what is learnt.
    #[serde(flatten)]
    pub measures: Measures,
    /// Constituents that voted.
    pub members: usize,
    /// Those of them that serve their last step.
    pub whole_members: usize,
    /// Whether always answering one class, or the mean, is better.
    pub worse_than_constant: bool,
    /// What the ensemble is compared with; of classes on the holdout alone.
    #[serde(flatten)]
    pub shares: Option<Shares>,
}

/// Figures, by what is learnt.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(untagged)]
#[non_exhaustive]
pub enum Measures {
    /// Of classes.
    #[non_exhaustive]
    Classes {
        /// Share of rows whose class is answered.
        accuracy: f64,
        /// Mean over the classes of the share of their rows that are answered.
        balanced_accuracy: f64,
        /// Mean loss, in nats.
        log_loss: f64,
        /// Expected calibration error of the answered class, over 15 equal bins of its probability.
        calibration_error: f64,
        /// Mean area under the curve of the classes; null where all rows are of one class.
        auc: Option<f64>,
        /// Mean average precision of the classes, likewise.
        average_precision: Option<f64>,
        /// Each class.
        classes: Vec<Class>,
    },
    /// Of numbers, in the units of the label as it is learnt.
    #[non_exhaustive]
    Numbers {
        /// Root of the mean squared error.
        rmse: f64,
        /// Mean absolute error.
        mae: f64,
        /// Share of the variance explained.
        r2: f64,
    },
}

/// One class.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Class {
    /// Its name.
    pub class: String,
    /// Rows of it.
    pub rows: u64,
    /// Rows whose answer it is.
    pub answered: u64,
    /// Share of the answers of this class that are right.
    pub precision: f64,
    /// Share of its rows that are answered.
    pub recall: f64,
    /// Area under the receiver operating characteristic of its score; null without rows of it, or without others.
    pub auc: Option<f64>,
    /// Average precision of its score, likewise.
    pub average_precision: Option<f64>,
}

/// Accuracies of something simpler.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Shares {
    /// Mean of single constituents; `None` where all shards add up to one model.
    pub constituent_accuracy: Option<f64>,
    /// Of always answering the most frequent class of the training rows.
    pub majority_accuracy: f64,
}

impl From<&Evaluation> for Evaluated {
    fn from(evaluation: &Evaluation) -> Evaluated {
        let (rows, measures) = match &evaluation.ensemble {
            Quality::Classes(report) => {
                let named = evaluation.classes.iter().zip(&report.classes);
                let classes = named.map(|(name, of)| Class {
                    class: name.clone(),
                    rows: of.rows,
                    answered: of.answered,
                    precision: of.precision,
                    recall: of.recall,
                    auc: of.auc,
                    average_precision: of.average_precision,
                });
                let measures = Measures::Classes {
                    accuracy: report.accuracy,
                    balanced_accuracy: report.balanced_accuracy,
                    log_loss: report.log_loss,
                    calibration_error: report.calibration_error,
                    auc: report.auc,
                    average_precision: report.average_precision,
                    classes: classes.collect(),
                };
                (report.rows, measures)
            }
            Quality::Numbers(report) => (report.rows, Measures::Numbers { rmse: report.rmse, mae: report.mae, r2: report.r2 }),
        };
        Evaluated {
            rows,
            measures,
            members: evaluation.members.0,
            whole_members: evaluation.members.1,
            worse_than_constant: evaluation.is_worse_than_constant(),
            shares: evaluation.shares.map(|s| Shares { constituent_accuracy: s.constituent, majority_accuracy: s.majority }),
        }
    }
}
