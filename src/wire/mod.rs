//! Every answer as one line of JSON, in the form that docs/JSON.md promises: types of their own, so that the engine's may change.
//!
//! Each answer is a struct that serialises with its `type`; every face of the crate prints these and no other JSON.
//!
//! ```
//! # let folder = std::env::temp_dir().join(format!("sisa-wire-{}", std::process::id()));
//! let error = sisa::engine::Engine::open(&folder)?.status().unwrap_err();
//! let line = sisa::wire::line(&sisa::wire::Failed::of(9, error.to_string(), Some(&error)));
//! assert!(line.starts_with(r#"{"type":"error","code":9,"#));
//! # Ok::<(), sisa::engine::Error>(())
//! ```

mod appended;
mod bench;
mod bench_growth;
mod card;
mod compare;
mod corrected;
mod deletion;
mod error;
mod evaluated;
mod exported;
mod migrated;
mod plan;
mod predicted;
mod receipt;
mod rekey_due;
mod repaired;
mod schema;
mod service;
mod shard;
mod status;
mod trained;
mod tune;
mod verified;

pub use appended::Appended;
pub use bench::{Bench, BenchBatch, BenchDeletion, BenchFrontier, BenchLearner, BenchLine, BenchMemory, BenchTraining, Training};
pub use bench_growth::BenchGrowth;
pub use card::{Card, CardColumn, CardDeletions};
pub use compare::{
    Auc, Between, Compare, CompareAdaptive, CompareExact, CompareLine, CompareMethod, CompareNewton, CompareReference,
    CompareSample, Gap, Group, Separation,
};
pub use corrected::Corrected;
pub use deletion::{AlikeIds, CellWritten, Deleted, Effective, Forecast, Outcome, Request, Unsuppressed};
pub use error::Failed;
pub use evaluated::{Class, Evaluated, Measures, Shares};
pub use exported::{Export, Exported, SeenBy};
pub use migrated::Migrated;
pub use plan::{Candidate, Expiry, Growth, Plan, PlanLine, RecommendedLearner};
pub use predicted::{Answer, Predicted, Prediction};
pub use receipt::{Keys, Receipt, Signature};
pub use rekey_due::RekeyDue;
pub use repaired::{Rekeyed, Repaired};
pub use schema::Schema;
pub use service::{Deletion, Key, Listening, Problem, Watched};
pub use shard::{Import, Packed, ShardTrained, Unpacked};
pub use status::{Batches, Beside, Shard, Slice, Status};
pub use trained::{Diverged, Imported, Trained};
pub use tune::{Tune, TuneCandidate, TuneLine};
pub use verified::{Finding, Replay, Verified};

/// An answer as one line of JSON, with the line's end.
#[expect(clippy::expect_used, reason = "answers are text, numbers, lists and objects, which always have a JSON form")]
pub fn line(answer: &impl serde::Serialize) -> String {
    serde_json::to_string(answer).expect("an answer has a JSON form") + "\n"
}
