//! Constituents in service to scores.
//!
//! Does not know where a shard's missing steps went, or that they will come back.

mod ensemble;
mod metrics;

pub use ensemble::{Aggregate, Ensemble, Member, PredictError, Scores};
pub use metrics::{ClassMetrics, ClassReport, Majority, NumberMetrics, NumberReport};
