//! `sisa.toml`: what people declare. Read when an import or a recipe is made, never after.

mod desk;
mod error;
mod file;
mod overrides;
mod serve;
mod suited;

pub use desk::{DeskConfig, TlsConfig, WholeAt};
pub use error::ConfigError;
pub use file::{Config, REKEY_AFTER};
pub use overrides::Overrides;
pub use serve::{QualityOf, RepairPolicy, ServeConfig};
pub use suited::Suited;
