//! Tests of the readers, through the doors that the engine uses.

mod csv;
mod idx;
mod memory;
pub(super) mod make;
mod npz;
mod open;
pub(super) mod testing;
