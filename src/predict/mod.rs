//! Constituents in service to scores.
//!
//! Does not know where a shard's missing steps went, or that they will come back.

mod ensemble;
mod metrics;

pub use crate::ledger::Aggregate;
pub use ensemble::{Ensemble, Member, PredictError, Scores};
pub use metrics::{ClassMetrics, ClassQuality, ClassReport, Majority, NumberMetrics, NumberReport};
