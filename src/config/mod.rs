//! `sisa.toml`: what people declare. Read when an import or a recipe is made, never after.

mod error;
mod file;
mod flags;
mod suited;

pub use error::ConfigError;
pub use file::Config;
pub use flags::Flags;
pub use suited::Suited;
