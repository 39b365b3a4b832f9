//! Deletion: durable before it acts, in effect before it answers, repaired by training.
//!
//! A protocol over the stores and the ledger. Training is asked for what is missing and does not know why it is.

mod accept;
mod alike;
mod dated;
mod downdate;
mod effect;
mod error;
mod prepare;
mod purge;
mod repair;
mod rows;
mod target;

pub use accept::{Draft, Drafts, draft, purge_list};
pub use alike::alike;
pub use dated::Before;
pub use effect::{Pending, accept, effect, recover};
pub use error::DeleteError;
pub use prepare::prepare;
pub use purge::purge_stale;
pub use repair::{Repair, can_close, close, predicted};
pub use rows::RowsAsked;
pub use target::{Target, Targets, UnknownIds};
