//! A shard's work as bytes, the checkpoints of it as bytes, and the pure function between them (docs/CLUSTER.md).
//!
//! Constituents and sums as bytes, too: what answers where neither the workspace nor its keys are (docs/FEDERATED.md).
//!
//! What goes out holds keys derived for that shard's streams and neither the model key nor the handle key. **It does not know files,
//! ledgers, or what becomes of a checkpoint.**

mod error;
mod frame;
mod head;
mod lent;
mod made;
mod pack;
mod run;
mod work;

pub use error::BundleError;
pub use frame::{Kind, receive};
pub use lent::{Constituent, Sums, Terms};
pub use made::{Checkpoint, Checkpoints};
pub use pack::pack;
pub use run::train;
pub use work::Work;
