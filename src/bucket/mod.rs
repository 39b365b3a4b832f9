//! A workspace in a bucket: a disk whose changes become visible as numbered commits.
//!
//! What a command changes gathers beside the names of the last commit. When a protocol of the engine comes to its end
//! ([`Disk::settle`](crate::fs::Disk::settle)), all of it is published at once: objects under names that no other transaction ever uses, then
//! the commit with the next number, which is created if nothing has that number yet. Whoever comes second has changed nothing, reads what
//! came first, and works his request out again. So every commit is a workspace as one process on one disk could have left it, whoever else
//! was at work; there is no lock, no lease and no clock.
//!
//! What no name stands for any more is removed before the call returns, with all that other transactions had written beside the commit
//! before: they can't become a commit. A write that comes too late finds its ticket gone (*reserve, look, fill*, see `settle`).
//!
//! What is assumed: writes under conditions hold, and what a call wrote every later call sees; `probe` tries both, and that nothing keeps
//! older versions. Keys and `sisa.toml` are files of a local folder and never in the bucket.

mod cloud;
mod commit;
mod disk;
mod keep;
mod objects;
mod place;
mod probe;
mod settle;
mod view;

pub use cloud::CloudBucket;
pub use commit::BUCKET_FORMAT;
pub use disk::BucketDisk;
pub use objects::{Listed, Objects, Tag};
pub use probe::probe;
