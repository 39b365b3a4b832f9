//! Correcting: records keep their ids and hold something else, as if they had come so.
//!
//! A correction is worked out here and comes into effect like a deletion. Its slices wait beside those whose places they take before the
//! entry is written, as an entry can't hold rows.

mod asked;
mod draft;
mod error;

pub use asked::{Corrections, RowFate};
pub use draft::{Worked, work_out};
pub use error::CorrectError;
