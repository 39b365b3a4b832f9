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
        /// Mean loss, in nats.
        log_loss: f64,
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
    /// Share of the answers of this class that are right.
    pub precision: f64,
    /// Share of its rows that are answered.
    pub recall: f64,
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
                let classes = named.map(|(name, (rows, precision, recall))| Class {
                    class: name.clone(),
                    rows: *rows,
                    precision: *precision,
                    recall: *recall,
                });
                let classes = classes.collect();
                (report.rows, Measures::Classes { accuracy: report.accuracy, log_loss: report.log_loss, classes })
            }
            Quality::Numbers(report) => (report.rows, Measures::Numbers { rmse: report.rmse, mae: report.mae, r2: report.r2 }),
        };
        Evaluated {
            rows,
            measures,
            members: evaluation.members.0,
            whole_members: evaluation.members.1,
            shares: evaluation.shares.map(|s| Shares { constituent_accuracy: s.constituent, majority_accuracy: s.majority }),
        }
    }
}
