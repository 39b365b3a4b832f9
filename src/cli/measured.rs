//! What commands that measure on copies are told alike: how a source is cut and trained, and where a page goes.

use std::path::PathBuf;

use clap::Args as ClapArgs;
use sisa::engine::Overrides;

#[derive(Debug, ClapArgs)]
pub(crate) struct Measured {
    /// The configuration, for a source [default: sisa.toml in the workspace]
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// The label's column, for a source without a configuration
    #[arg(long, value_name = "COLUMN")]
    label: Option<String>,
    /// The column that says whom a record is about, likewise
    #[arg(long, value_name = "COLUMN")]
    subject: Option<String>,
    /// How many shards, for a source
    #[arg(long, value_name = "S")]
    shards: Option<u32>,
    /// How many slices a shard, for a source
    #[arg(long, value_name = "R")]
    slices: Option<u32>,
    /// Passes over a shard's rows, all steps together, for a source
    #[arg(long, value_name = "E")]
    epochs: Option<u32>,
    /// Write a page with charts, to be read in any browser
    #[arg(long, value_name = "FILE.html")]
    pub(crate) report: Option<PathBuf>,
}

impl Measured {
    /// The settings that come before the configuration's, with those of a learner. A copy to measure on is about nobody: ids may be missing.
    pub(crate) fn overrides(&self, learner: Option<&String>) -> Overrides {
        Overrides {
            label: self.label.clone(),
            subject: self.subject.clone(),
            learner: learner.cloned(),
            shards: self.shards,
            slices: self.slices,
            epochs: self.epochs,
            no_ids: true,
            ..Overrides::default()
        }
    }
}
