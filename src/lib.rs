//! Exact machine unlearning: SISA training whose every file is a function of keys, recipe and remaining records.
//!
//! **What it is.** Training is a build; deleting a person's data is editing an input. Records lie in *slices* of *shards* by a keyed
//! hash of the person they are about. Each shard trains a *constituent* step by step over its slices (Bourtoule et al. 2021,
//! "Machine Unlearning") and leaves a *checkpoint* after every step, named by a hash of everything that produced it. A
//! deletion takes away the states that saw the records, writes their slices again, and trains what is missing.
//! Afterwards every slice and checkpoint is byte for byte what training from scratch on the remaining records would have written.
//!
//! **What it is not.** A serving system, a distributed trainer, or a statement about copies outside the workspace.
//!
//! **Limits.** S and R up to 9,999; a shard (not the data set) must fit in memory; little-endian machines; a local file system with
//! working locks.
//!
//! ```
//! use sisa::engine::{DeleteRequest, Engine, Overrides, KeySource, Quiet, TrainRequest};
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
//!     config: root.join("sisa.toml"), // proposed and written, as it is not there
//!     overrides: Overrides { label: Some("sick".into()), subject: Some("person".into()), ..Overrides::default() },
//!     keys: KeySource::Random,
//!     only_shards: None,
//!     fresh: false,
//! };
//! assert!(engine.train(&request, &Quiet)?.complete);
//!
//! let delete = DeleteRequest { subjects: vec!["p7".into()], ..DeleteRequest::default() };
//! let report = engine.delete(&delete, &Quiet, |_, effective, _| assert!(effective.seconds < 60.0))?;
//! assert_eq!(report.accepted.outcomes[0].in_slices + report.accepted.outcomes[0].held_out, 2);
//! # std::fs::remove_dir_all(&root)?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

#[cfg(target_endian = "big")]
compile_error!("files are mapped as little-endian numbers");

// In the order in which a newcomer should read them, which is the order of the layers: each knows only those above.
pub mod ids;
pub mod digest;
pub mod num;
pub mod fs;
pub mod order;
pub mod learn;
pub mod source;
pub mod schema;
pub mod shard;
pub mod checkpoint;
pub mod ledger;
pub mod train;
pub mod plan;
pub mod predict;
pub mod workspace;
pub mod import;
pub mod delete;
pub mod verify;
pub mod receipt;
pub mod config;
pub mod propose;
pub mod engine;
pub mod lab;
pub mod wire;
