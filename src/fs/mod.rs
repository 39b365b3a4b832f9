//! The disk, the clock and the random source: the only user of `std::fs`.
//!
//! What is assumed: a sync that returned is durable; a rename within one folder is atomic; locks work. What is not: that
//! unsynced writes reach the disk, or reach it in order.

mod ahead;
mod bytes;
mod clock;
mod disk;
mod error;
mod files;
mod limits;
mod real;
mod spill;

pub use ahead::{Ahead, SyncAhead};
pub use bytes::{AlignedBuf, Bytes};
pub use clock::{Stopwatch, utc_now};
pub use disk::{Disk, EntryKind, FileStat, LockGuard, ScratchFile, Writable};
pub use error::{FsError, Overtaken};
pub use files::{Durability, Files, Pending, Published};
pub use limits::{memory_limit, open_files_limit};
pub use real::{RealDisk, random_key};
pub use spill::Spill;
