//! Exact machine unlearning: SISA training whose every file is a function of keys, recipe and remaining records.
//!
//! **What it is.** Training is a build; deleting a person's data is editing an input. Records lie in *slices* of *shards* by a keyed
//! hash of the person they are about. Each shard trains a *constituent* step by step over its slices (Bourtoule et al. 2021,
//! "Machine Unlearning") and leaves a *checkpoint* after every step, named by a hash of everything that produced it. A
//! deletion takes away the states that saw the records, writes their slices again, and trains what is missing.
//! Afterwards every slice and checkpoint is byte for byte what training from scratch on the remaining records would have written.
//!
//! **What it is not.** A distributed trainer, or a statement about copies outside the workspace.
//!
//! **Limits.** S and R up to 9,999; a shard (not the data set) must fit in memory; little-endian machines; a local file system with
//! working locks.
//!
//! Start with [`Engine`]: one method a command, each with a request and a report. [`Serving`] answers from an ensemble
//! that stays loaded, [`Input`] is what is read (files and tables in memory), [`Error::remedies`] says what can be done about
//! an error. [`reports`] has what calls return, [`wire`] every answer as JSON, [`lab`] measures.
//!
//! ```
//! use sisa::{DeleteRequest, Engine, Overrides, Quiet, TrainRequest};
//!
//! let root = std::env::temp_dir().join(format!("sisa-example-{}", std::process::id()));
//! std::fs::create_dir_all(&root)?;
//! let mut csv = String::from("person,age,sick\n");
//! for i in 0..200 {
//!     csv += &format!("p{},{},{}\n", i / 2, 20 + i % 50, if i % 50 > 25 { "yes" } else { "no" });
//! }
//! std::fs::write(root.join("visits.csv"), csv)?;
//!
//! let engine = Engine::builder(&root).threads(2).open()?;
//! let request = TrainRequest {
//!     sources: root.join("visits.csv").into(), // or a table in memory
//!     overrides: Overrides { label: Some("sick".into()), subject: Some("person".into()), ..Overrides::default() },
//!     ..TrainRequest::default() // `sisa.toml` is proposed and written into the workspace
//! };
//! assert!(engine.train(&request, &Quiet)?.complete);
//!
//! let delete = DeleteRequest { subjects: vec!["p7".into()], ..DeleteRequest::default() };
//! let report = engine.delete(&delete, &Quiet, |_, effective, _| assert!(effective.seconds < 60.0))?;
//! assert_eq!(report.accepted.outcomes[0].in_slices + report.accepted.outcomes[0].held_out, 2);
//! # std::fs::remove_dir_all(&root)?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! The rooms that this page does not list are open to this package's own tests and tools; they promise nothing.

#[cfg(target_endian = "big")]
compile_error!("files are mapped as little-endian numbers");

// What a user writes, flat.
#[doc(inline)]
pub use crate::{
    config::Overrides,
    delete::Repair,
    engine::{
        Answers, AppendRequest, Builder, CorrectRequest, DeleteRequest, Engine, Epoch, Error, ErrorKind, MigrateRequest,
        Observer, OlderThan, PackRequest, PlanRequest, Progress, Quiet, Remedy, Serving, Shares, TrainRequest, VerifyRequest,
        train_bundle,
    },
    ids::{Cell, GenerationId, Handle, RecipeId, ShardId},
    order::Batches,
    plan::Question,
    predict::Scores,
    source::{Input, MemoryTable, Source, SourceError, Table},
    workspace::KeySource,
};

/// What the methods of [`Engine`] return, and what their answers are made of. (As JSON: [`wire`].)
pub mod reports {
    #[doc(inline)]
    pub use crate::{
        engine::{
            AppendReport, CellStatus, CorrectReport, DeleteReport, Evaluation, ExportReport, Forecast, IdColumns, ImportedReport,
            MigrateReport, Packed, PlanReport, Quality, RepairReport, ShardStatus, Status, TrainReport, Unpacked,
        },
        import::ImportReport,
        ledger::{Accepted, BatchRecord, CellChange, Cost, Effective, Outcome, OutcomeKind, Repaired, Replay, RequestRecord},
        plan::{Against, Candidate, CostTable, Expiry},
        propose::{Advice, Proposal},
        receipt::{Envelope, Receipt},
        verify::{Finding, Verdict},
    };
}

/// The library example of README.md, tried.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
#[derive(Debug)]
pub struct Readme;

// In the order in which a newcomer should read them, which is the order of the layers: each knows only those above.
#[doc(hidden)]
pub mod ids;
#[doc(hidden)]
pub mod digest;
#[doc(hidden)]
pub mod num;
#[doc(hidden)]
pub mod fs;
#[cfg(feature = "object-store")]
#[doc(hidden)]
pub mod bucket;
#[doc(hidden)]
pub mod order;
#[doc(hidden)]
pub mod learn;
#[doc(hidden)]
pub mod source;
#[doc(hidden)]
pub mod schema;
#[doc(hidden)]
pub mod shard;
#[doc(hidden)]
pub mod checkpoint;
#[doc(hidden)]
pub mod ledger;
#[doc(hidden)]
pub mod train;
#[doc(hidden)]
pub mod bundle;
#[doc(hidden)]
pub mod plan;
#[doc(hidden)]
pub mod predict;
#[doc(hidden)]
pub mod export;
#[doc(hidden)]
pub mod workspace;
#[doc(hidden)]
pub mod import;
#[doc(hidden)]
pub mod delete;
#[doc(hidden)]
pub mod append;
#[doc(hidden)]
pub mod correct;
#[doc(hidden)]
pub mod verify;
#[doc(hidden)]
pub mod receipt;
#[doc(hidden)]
pub mod config;
#[doc(hidden)]
pub mod propose;
#[doc(hidden)]
pub mod engine;
pub mod lab;
pub mod wire;
