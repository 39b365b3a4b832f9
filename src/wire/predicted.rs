use std::{collections::BTreeMap, path::Path};

use serde::Serialize;

/// The answer for one row.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "type", rename = "prediction")]
#[non_exhaustive]
pub struct Prediction<'a> {
    /// The row's number, from 1, over all sources.
    pub row: u64,
    /// What the row is about: the cells of the columns that are repeated, by their names.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub ids: BTreeMap<&'a str, &'a str>,
    /// The class, or the number.
    pub prediction: Option<Answer<'a>>,
    /// By class, where they are asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub probabilities: Option<BTreeMap<&'a str, f64>>,
}

/// What is answered.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(untagged)]
#[non_exhaustive]
pub enum Answer<'a> {
    /// A class, by its name.
    Class(&'a str),
    /// A number.
    Number(f64),
}

/// How many rows were answered, and where the answers are.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "type", rename = "predicted")]
#[non_exhaustive]
pub struct Predicted {
    /// Rows.
    pub rows: u64,
    /// The file.
    pub file: String,
}

impl<'a> Prediction<'a> {
    /// The answer for a row: of a class its index among `classes`, and one score for each; of a number itself, as the first
    /// of `values`. `shares` says whether a row's scores are told too, where they are of classes.
    pub fn of(row: u64, class: Option<u32>, values: &[f32], classes: &'a [String], shares: bool) -> Prediction<'a> {
        let prediction = match class {
            Some(class) => Some(Answer::Class(classes.get(class as usize).map_or("", String::as_str))),
            None => values.first().map(|number| Answer::Number(f64::from(*number))),
        };
        let scores = || classes.iter().map(String::as_str).zip(values.iter().copied().map(f64::from)).collect();
        Prediction { row, ids: BTreeMap::new(), prediction, probabilities: (shares && class.is_some()).then(scores) }
    }

    /// The same, with what the row is about.
    #[must_use]
    pub fn about(self, columns: &'a [String], cells: &'a [String]) -> Prediction<'a> {
        Prediction { ids: columns.iter().map(String::as_str).zip(cells.iter().map(String::as_str)).collect(), ..self }
    }
}

impl Predicted {
    /// So many rows, in this file.
    pub fn of(rows: u64, file: &Path) -> Predicted {
        Predicted { rows, file: file.display().to_string() }
    }
}
