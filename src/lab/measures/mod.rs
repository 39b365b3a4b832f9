//! How well models that unlearned some rows can be told from models that never saw them. Pure: numbers in, numbers out, in f64.
//!
//! A sample is one model's numbers, one a forget row, all samples in the same order of rows. Questions are asked of models, never of
//! (model, row) pairs alone, as rows of one model are not independent. What is drawn is drawn from streams of the caller's, so that
//! all figures repeat.

mod auc;
mod confidence;
mod distance;
mod draw;
mod epsilon;
mod quality;
mod ratio;
mod separation;

pub use auc::auc;
pub use confidence::{Interval, clopper_pearson, difference};
pub use distance::jensen_shannon;
pub use draw::{Draws, quantile};
pub use epsilon::shown_epsilon;
pub use quality::forgetting_quality;
pub use ratio::{Rows, rows};
pub use separation::{Separation, Test, separation};

/// The mean; 0 of nothing.
pub fn mean(xs: &[f64]) -> f64 {
    if xs.is_empty() { 0.0 } else { xs.iter().fold(0.0, |sum, x| sum + x) / xs.len() as f64 }
}

/// The variance with n - 1; 0 of fewer than two.
pub fn variance(xs: &[f64]) -> f64 {
    if xs.len() < 2 {
        return 0.0;
    }
    let mean = mean(xs);
    xs.iter().fold(0.0, |sum, x| sum + (x - mean) * (x - mean)) / (xs.len() - 1) as f64
}
