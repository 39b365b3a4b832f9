//! `sisa.toml`: what people declare. Read when an import or a recipe is made, never after.

mod error;
mod file;
mod overrides;
mod suited;

pub use error::ConfigError;
pub use file::{Config, REKEY_AFTER};
pub use overrides::Overrides;
pub use suited::Suited;
