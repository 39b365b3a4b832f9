//! The file as typed, and what it says once checked.

use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::{ConfigError, Flags};
use crate::{
    fs::Files,
    learn::LearnerSettings,
    order::Grid,
    predict::Aggregate,
    schema::{ColumnDeclaration, Declaration, LabelDeclaration},
    train::{Recipe, Schedule, ScheduleKind},
};

/// The whole of `sisa.toml`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    data: Data,
    label: LabelDeclaration,
    columns: toml::Table,
    shards: Shards,
    learner: LearnerSettings,
    schedule: Schedule,
    #[serde(skip)]
    path: PathBuf,
}

/// `[data]`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Data {
    #[serde(default)]
    sources: Vec<PathBuf>,
    subject: Option<String>,
    #[serde(default)]
    record: Vec<String>,
    #[serde(default)]
    holdout: f64,
    #[serde(default = "empty_cell")]
    missing: Vec<String>,
}

/// `[shards]`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Shards {
    shards: u32,
    slices: u32,
    #[serde(default)]
    aggregate: Aggregate,
}

fn empty_cell() -> Vec<String> {
    vec![String::new()]
}

/// More shards or slices than this are a mistake: every cell is a file.
const SHARDS_MAX: u32 = 9_999;
const SLICES_MAX: u32 = 9_999;

impl Config {
    /// Reads a configuration file.
    ///
    /// # Errors
    /// The file is missing, not TOML, or has unknown or missing settings; names line and column.
    pub fn read(files: &Files, path: &Path) -> Result<Config, ConfigError> {
        let bytes = files.read(path)?;
        let text =
            std::str::from_utf8(&bytes).map_err(|e| ConfigError::NotText { path: path.to_owned(), offset: e.valid_up_to() })?;
        Config::parse(text, path)
    }

    /// Reads a configuration's text; `path` is for messages, and its folder is what relative sources start from.
    ///
    /// # Errors
    /// As [`Config::read`].
    pub fn parse(text: &str, path: &Path) -> Result<Config, ConfigError> {
        let malformed = |e: toml::de::Error| ConfigError::Malformed { path: path.to_owned(), message: e.to_string() };
        let mut config: Config = toml::from_str(text).map_err(malformed)?;
        config.path = path.to_owned();
        config.declared_columns()?;
        Ok(config)
    }

    /// Overrides settings by flags.
    ///
    /// # Errors
    /// A flag names something unknown.
    pub fn apply(&mut self, flags: &Flags) -> Result<(), ConfigError> {
        if let Some(label) = &flags.label {
            self.label.column.clone_from(label);
        }
        if flags.subject.is_some() {
            self.data.subject.clone_from(&flags.subject);
        }
        if !flags.record.is_empty() {
            self.data.record.clone_from(&flags.record);
        }
        self.data.holdout = flags.holdout.unwrap_or(self.data.holdout);
        self.shards.shards = flags.shards.unwrap_or(self.shards.shards);
        self.shards.slices = flags.slices.unwrap_or(self.shards.slices);
        self.schedule.epochs = flags.epochs.unwrap_or(self.schedule.epochs);
        self.schedule.kind = flags.schedule.unwrap_or(self.schedule.kind);
        if let Some(kind) = &flags.learner {
            self.learner = self.learner.of_kind(kind)?;
        }
        if let Some(rate) = flags.rate {
            self.learner.set_rate(rate)?;
        }
        Ok(())
    }

    /// The sources, relative ones from the configuration's folder.
    pub fn sources(&self) -> Vec<PathBuf> {
        let folder = self.path.parent().unwrap_or(Path::new(""));
        self.data.sources.iter().map(|s| folder.join(s)).collect()
    }

    /// What the columns mean.
    ///
    /// # Errors
    /// A line under `[columns]` is malformed.
    pub fn declaration(&self) -> Result<Declaration, ConfigError> {
        Ok(Declaration {
            subject: self.data.subject.clone(),
            record: self.data.record.clone(),
            label: self.label.clone(),
            missing: self.data.missing.clone(),
            columns: self.declared_columns()?,
        })
    }

    fn declared_columns(&self) -> Result<Vec<(String, ColumnDeclaration)>, ConfigError> {
        let columns = self.columns.iter().map(|(name, value)| match value.clone().try_into() {
            Ok(declaration) => Ok((name.clone(), declaration)),
            Err(_) => Err(ConfigError::Malformed {
                path: self.path.clone(),
                message: format!(
                    "[columns] {name}: write \"number\", \"byte\", \"category\" or \"ignore\", or a table such as {{ kind = \"number\", log1p = true }}; \
                     options are log1p, indicator (number), scale (byte), values, buckets (category)"
                ),
            }),
        });
        columns.collect()
    }

    /// S, R and the holdout.
    ///
    /// # Errors
    /// One is out of range.
    pub fn grid(&self) -> Result<Grid, ConfigError> {
        let Shards { shards, slices, .. } = self.shards;
        let holdout = self.data.holdout;
        let wrong = |setting, value: String, allowed| Err(ConfigError::Setting { setting, value, allowed });
        if !(1..=SHARDS_MAX).contains(&shards) {
            return wrong("shards", shards.to_string(), "1 to 9999");
        }
        if !(1..=SLICES_MAX).contains(&slices) {
            return wrong("slices", slices.to_string(), "1 to 9999");
        }
        if !(0.0..=0.9).contains(&holdout) {
            return wrong("holdout", holdout.to_string(), "0 to 0.9, a share of the subjects");
        }
        Ok(Grid { shards, slices, holdout })
    }

    /// How constituents are brought together.
    pub fn aggregate(&self) -> Aggregate {
        self.shards.aggregate
    }

    /// How constituents are trained.
    ///
    /// # Errors
    /// A setting is out of range.
    pub fn recipe(&self) -> Result<Recipe, ConfigError> {
        if !(1..=Schedule::EPOCHS_MAX).contains(&self.schedule.epochs) {
            return Err(ConfigError::Setting {
                setting: "epochs",
                value: self.schedule.epochs.to_string(),
                allowed: "1 to 100000",
            });
        }
        self.learner.check()?;
        Ok(Recipe::new(self.learner.clone(), self.schedule))
    }
}

impl std::str::FromStr for ScheduleKind {
    type Err = String;

    fn from_str(text: &str) -> Result<ScheduleKind, String> {
        match text {
            "cumulative" => Ok(ScheduleKind::Cumulative),
            "replay" => Ok(ScheduleKind::Replay),
            "front" => Ok(ScheduleKind::Front),
            other => Err(format!("`{other}` is not one of cumulative, replay, front")),
        }
    }
}
