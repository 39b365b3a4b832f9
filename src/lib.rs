//! sisa.
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
pub mod predict;
pub mod workspace;
pub mod import;
pub mod config;
