//! A disk in memory that forgets what was not synced, and histories of the engine run on it.
//!
//! What the disk does at a power cut: a folder's changes since its last sync are each kept or lost, which includes every reordering of
//! them; content since a file's last sync is whole, torn at some byte, empty, or of the right length with zeros at its end. What it does not do: lose what
//! a sync returned for, tear a rename, or pretend that a sync which failed once succeeded when it is tried again without writing.
#![allow(
    dead_code,
    unused_imports,
    unreachable_pub,
    clippy::allow_attributes,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    clippy::print_stderr,
    reason = "each test uses some of it, and stops at what it does not expect"
)]

mod answers;
mod check;
mod disk;
mod fault;
mod image;
mod story;
mod world;

pub use answers::{Asked, Given};
pub use check::{Claims, check_finished, check_image};
pub use disk::SimDisk;
pub use fault::Fault;
pub use image::{Coin, Image};
pub use story::{
    Finish, Run, Story, every_sync_fails, every_write_fails, kill_at_every_operation_then_power_cut, power_cut_at_every_operation,
};
pub use world::{GONE, Reference, World, workspace};
