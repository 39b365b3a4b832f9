//! The file as typed, and what it says once checked.

use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::{ConfigError, Overrides, ServeConfig, Suited, suited::SHARDS_MAX};
use crate::{
    digest::Digest,
    fs::{EntryKind, Files},
    learn::{LearnerSettings, Task},
    order::Grid,
    predict::Aggregate,
    schema::{
        Cohorts, ColumnDeclaration, Declaration, Exceptions, IdForm, LabelDeclaration, MissingSubject, NumberFormat, OnBad,
    },
    source::{Comment, Delimiter, Encoding, Input, TextForm},
    train::{Keep, Recipe, Schedule, ScheduleKind},
};

/// The whole of `sisa.toml`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    data: Data,
    label: LabelDeclaration,
    columns: toml::Table,
    #[serde(default)]
    shards: Shards,
    learner: LearnerSettings,
    schedule: Option<Schedule>,
    #[serde(default)]
    checkpoints: Checkpoints,
    #[serde(default)]
    guard: Guard,
    #[serde(default)]
    serve: ServeConfig,
    /// Why the code of a learner of the person's own can't be read.
    #[serde(skip)]
    lacking: Option<String>,
    #[serde(skip)]
    path: PathBuf,
    #[serde(skip)]
    threads: u32,
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
    #[serde(default)]
    delimiter: Delimiter,
    #[serde(default)]
    encoding: Encoding,
    escape: Option<Escape>,
    #[serde(default)]
    skip: u32,
    comment: Option<Comment>,
    header: Option<bool>,
    #[serde(default)]
    on_bad: OnBad,
    missing_subject: Option<MissingSubject>,
    #[serde(default)]
    id_form: IdForm,
    decimal: Option<char>,
    thousands: Option<char>,
    #[serde(default)]
    symbols: Vec<String>,
}

/// `[shards]`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Shards {
    /// S; what suits the learner when it is left out, and one where there are cohorts.
    shards: Option<u32>,
    /// R, likewise.
    slices: Option<u32>,
    /// How many last slices of one size become one as batches come.
    merge: Option<u32>,
    /// By which date shards are told apart; S is then of each cohort.
    cohort: Option<Cohorts>,
    #[serde(default)]
    aggregate: Aggregate,
}

/// `[checkpoints]`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Checkpoints {
    /// How many steps before the last leave a checkpoint; all, when it is left out.
    keep: Option<u32>,
}

/// What may stand before a quote within quotes.
#[derive(Clone, Copy, Debug, Deserialize)]
enum Escape {
    #[serde(rename = "\\")]
    Backslash,
}

/// Where no other is set: half of the share of adaptively chosen deletions from which it shows on the embedded data to who sees answers, which
/// are all that is published (docs/COMPARE.md).
pub const REKEY_AFTER: f64 = 0.05;

/// `[guard]`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Guard {
    /// The share of a generation's records from which on, once deleted, `sisa log` asks for a rekey.
    #[serde(default = "rekey_after")]
    rekey_after: f64,
}

impl Default for Guard {
    fn default() -> Guard {
        Guard { rekey_after: REKEY_AFTER }
    }
}

fn rekey_after() -> f64 {
    REKEY_AFTER
}

fn empty_cell() -> Vec<String> {
    vec![String::new()]
}

/// More slices than this are a mistake: every cell is a file.
const SLICES_MAX: u32 = 9_999;

/// As many slices behind the others are a mistake.
const MERGE_MAX: u32 = 1000;

impl Config {
    /// Reads a configuration file.
    ///
    /// # Errors
    /// The file is missing, not TOML, or has unknown or missing settings; names line and column.
    pub fn read(files: &Files, path: &Path) -> Result<Config, ConfigError> {
        // Reading a pipe would wait for its writer.
        if files.stat(path)?.is_some_and(|stat| stat.kind != EntryKind::File) {
            let message = "is a folder, pipe or device; write the configuration to a file and name that".into();
            return Err(ConfigError::Malformed { path: path.to_owned(), message });
        }
        let bytes = files.read(path)?;
        let text =
            std::str::from_utf8(&bytes).map_err(|e| ConfigError::NotText { path: path.to_owned(), offset: e.valid_up_to() })?;
        let config = Config::parse(text, path)?;
        // A learner of the person's own is another one when its code is.
        let folder = path.parent().unwrap_or(Path::new(""));
        let digest = |file: &String| files.read(&folder.join(file)).map(|bytes| Digest::of(&bytes));
        Ok(match config.learner.clone().with_code(digest) {
            Ok(learner) => Config { learner, ..config },
            // Much needs no learner.
            Err(error) => Config { lacking: Some(error.to_string()), ..config },
        })
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
        if let LearnerSettings::External(settings) = &config.learner {
            let found = [
                ("digests", !settings.digests.is_empty()),
                ("environment", !settings.environment.is_empty()),
                ("probe", settings.is_settled()),
            ];
            if let Some((setting, _)) = found.into_iter().find(|(_, written)| *written) {
                return Err(ConfigError::Setting {
                    setting,
                    value: "written down".into(),
                    allowed: "nothing: it is found when it is needed",
                });
            }
        }
        let rekey_after = config.guard.rekey_after;
        if !(rekey_after > 0.0 && rekey_after <= 1.0) {
            let (setting, value) = ("rekey_after", rekey_after.to_string());
            return Err(ConfigError::Setting { setting, value, allowed: "a share above 0 and at most 1" });
        }
        Ok(config)
    }

    /// What is in effect where these settings come before the file's.
    ///
    /// A learner of another kind than the file's takes that kind's own settings; S, R and the schedule too, where the kinds do not share them.
    ///
    /// # Errors
    /// An override names something unknown.
    pub fn with(&self, overrides: &Overrides) -> Result<Config, ConfigError> {
        let mut config = self.clone();
        if let Some(label) = &overrides.label {
            config.label.column.clone_from(label);
        }
        if overrides.subject.is_some() {
            config.data.subject.clone_from(&overrides.subject);
        }
        if !overrides.record.is_empty() {
            config.data.record.clone_from(&overrides.record);
        }
        config.data.holdout = overrides.holdout.unwrap_or(config.data.holdout);
        if let Some(kind) = &overrides.learner {
            let mut learner = config.learner.of_kind(kind)?;
            if learner.kind() != config.learner.kind() && config.label.values.is_none() {
                learner.suit(Task::Number);
            }
            if learner.check()?.abilities() != config.learner.check()?.abilities() {
                // What was declared for the other kind has no meaning for this one.
                (config.schedule, config.shards.shards, config.shards.slices) = (None, None, None);
                config.shards.merge = None;
            }
            config.learner = learner;
        }
        config.shards.shards = overrides.shards.or(config.shards.shards);
        config.shards.slices = overrides.slices.or(config.shards.slices);
        config.checkpoints.keep = overrides.checkpoints.or(config.checkpoints.keep);
        if overrides.epochs.is_some() || overrides.schedule.is_some() {
            let schedule = config.schedule()?;
            let (kind, epochs) = (overrides.schedule.unwrap_or(schedule.kind), overrides.epochs.unwrap_or(schedule.epochs));
            config.schedule = Some(Schedule { kind, epochs });
        }
        if let Some(rate) = overrides.rate {
            config.learner.set_rate(rate)?;
        }
        Ok(config)
    }

    /// The sources to read: those `given`, or else the configuration's, relative ones from its folder.
    pub fn input(&self, given: &Input) -> Input {
        if !given.is_empty() {
            return given.clone();
        }
        let folder = self.path.parent().unwrap_or(Path::new(""));
        self.data.sources.iter().map(|s| folder.join(s)).collect()
    }

    /// How text sources are written.
    pub fn form(&self) -> TextForm {
        let Data { delimiter, encoding, escape, skip, comment, header, .. } = &self.data;
        TextForm {
            delimiter: *delimiter,
            backslash: matches!(escape, Some(Escape::Backslash)),
            encoding: *encoding,
            skip: *skip,
            comment: *comment,
            header: header.unwrap_or(true),
        }
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
            exceptions: Exceptions {
                on_bad: self.data.on_bad,
                missing_label: self.label.missing,
                missing_subject: self.data.missing_subject,
                id_form: self.data.id_form,
            },
            format: NumberFormat {
                decimal: self.data.decimal.unwrap_or('.'),
                thousands: self.data.thousands,
                symbols: self.data.symbols.clone(),
            },
            columns: self.declared_columns()?,
        })
    }

    fn declared_columns(&self) -> Result<Vec<(String, ColumnDeclaration)>, ConfigError> {
        let columns = self.columns.iter().map(|(name, value)| match value.clone().try_into() {
            Ok(declaration) => Ok((name.clone(), declaration)),
            Err(_) => Err(ConfigError::Malformed {
                path: self.path.clone(),
                message: format!(
                    "[columns] {name}: write \"number\", \"date\", \"boolean\", \"byte\", \"category\" or \"ignore\", or a table such as \
                     {{ kind = \"number\", log1p = true }}; options are log1p, range, indicator, decimal, thousands, symbols (number), \
                     order, unit, origin, parts, range, indicator (date), scale (byte), values, buckets (category)"
                ),
            }),
        });
        columns.collect()
    }

    /// All shards, R and the holdout.
    ///
    /// # Errors
    /// One is out of range, or there would be too many shards of all cohorts.
    pub fn grid(&self) -> Result<Grid, ConfigError> {
        let (shards, slices) = self.cut()?;
        let holdout = self.data.holdout;
        let wrong = |setting, value: String, allowed| Err(ConfigError::Setting { setting, value, allowed });
        if !(1..=SHARDS_MAX).contains(&shards) {
            return wrong("shards", shards.to_string(), "1 to 9999");
        }
        let blocks = self.shards.cohort.as_ref().map_or(1, Cohorts::blocks);
        if shards.saturating_mul(blocks) > SHARDS_MAX {
            let value = format!("{shards} for each of {blocks} blocks ({} cohorts, and one for all other records)", blocks - 1);
            return wrong("shards", value, "as many as make 9999 in all: fewer shards, longer cohorts, or a shorter range");
        }
        if !(1..=SLICES_MAX).contains(&slices) {
            return wrong("slices", slices.to_string(), "1 to 9999");
        }
        if !(0.0..=0.9).contains(&holdout) {
            return wrong("holdout", holdout.to_string(), "0 to 0.9, a share of the subjects");
        }
        Ok(Grid { shards: shards * blocks, blocks, slices, holdout })
    }

    /// How many last slices of one size become one as batches come, where that is declared.
    ///
    /// # Errors
    /// The setting is out of range, or means nothing to the learner.
    pub fn merge(&self) -> Result<Option<u32>, ConfigError> {
        let wrong = |value: u32, allowed| Err(ConfigError::Setting { setting: "merge", value: value.to_string(), allowed });
        match (self.learner.check()?.abilities().downdate, self.shards.merge) {
            (_, None) => Ok(None),
            (true, Some(base)) => wrong(base, "nothing: this learner takes the rows of later batches in where they belong"),
            (false, Some(base)) if (2..=MERGE_MAX).contains(&base) => Ok(Some(base)),
            (false, Some(base)) => wrong(base, "2 to 1000"),
        }
    }

    /// The cohorts that shards are told apart by, where they are declared.
    pub fn cohort(&self) -> Option<&Cohorts> {
        self.shards.cohort.as_ref()
    }

    /// The lines of `[shards]` that no choice of S and R changes.
    pub(crate) fn later_lines(&self) -> String {
        let merge = self.shards.merge.map_or(String::new(), |merge| format!("merge = {merge}\n"));
        let cohort = self.shards.cohort.as_ref().map_or(String::new(), |cohort| format!("cohort = {}\n", cohort.toml()));
        merge + &cohort
    }

    /// S and R as written, or what suits the learner; S is of each cohort.
    fn cut(&self) -> Result<(u32, u32), ConfigError> {
        let suited = self.suited()?;
        // A cohort is a shard's worth of independence already.
        let shards = if self.shards.cohort.is_some() { 1 } else { suited.shards };
        Ok((self.shards.shards.unwrap_or(shards), self.shards.slices.unwrap_or(suited.slices)))
    }

    fn suited(&self) -> Result<Suited, ConfigError> {
        Ok(Suited::to(self.learner.check()?.abilities(), self.threads as usize))
    }

    /// Says how many threads there are, which is how many shards suit a learner whose states add up.
    pub fn with_threads(mut self, threads: usize) -> Config {
        self.threads = u32::try_from(threads).unwrap_or(SHARDS_MAX).min(SHARDS_MAX);
        self
    }

    /// How constituents are brought together.
    pub fn aggregate(&self) -> Aggregate {
        self.shards.aggregate
    }

    /// The share of a generation's records from which on, once deleted, a rekey is asked for.
    pub fn rekey_after(&self) -> f64 {
        self.guard.rekey_after
    }

    /// How the service answers.
    ///
    /// # Errors
    /// A setting is out of range.
    pub fn serve(&self) -> Result<ServeConfig, ConfigError> {
        let folder = self.path.parent().unwrap_or(Path::new(""));
        let serve = self.serve.clone();
        let sign = serve.sign.as_ref().map(|file| folder.join(file));
        let quality = serve.quality.clone().within(folder);
        let tls = serve.tls.clone().map(|tls| tls.within(folder));
        let opendsr = serve.opendsr.clone().map(|desk| desk.within(folder));
        ServeConfig { sign, quality, tls, opendsr, rekey_after: self.rekey_after(), ..serve }.checked()
    }

    /// How constituents are trained.
    ///
    /// # Errors
    /// A setting is out of range.
    pub fn recipe(&self) -> Result<Recipe, ConfigError> {
        let schedule = self.schedule()?;
        let wrong = |setting, value: String, allowed| Err(ConfigError::Setting { setting, value, allowed });
        if let Some(lacking) = &self.lacking {
            return wrong("code", format!("not readable ({lacking})"), "files that can be read, from the folder of sisa.toml");
        }
        let learner = self.learner.check()?.abilities();
        let known = match (learner.downdate, learner.whole) {
            (true, _) if schedule.kind != ScheduleKind::Once || schedule.epochs != 1 => {
                let allowed = "kind = \"once\" and epochs = 1 (or no [schedule]): this learner is a function of the set of rows, and more visits would change nothing";
                return wrong("schedule", format!("{:?} with {} epochs", schedule.kind, schedule.epochs).to_lowercase(), allowed);
            }
            (true, _) => "once",
            (false, true) => {
                "window: this learner looks at the rows of a step together, the new slice and old rows, `epochs` slices' worth in all"
            }
            (false, false) => "cumulative, replay or front: this learner is trained in passes",
        };
        let fits = match schedule.kind {
            ScheduleKind::Once => learner.downdate,
            ScheduleKind::Window => learner.whole,
            ScheduleKind::Cumulative | ScheduleKind::Replay | ScheduleKind::Front => !learner.downdate && !learner.whole,
        };
        if !fits {
            return wrong("schedule", format!("{:?}", schedule.kind).to_lowercase(), known);
        }
        if !(1..=Schedule::EPOCHS_MAX).contains(&schedule.epochs) {
            return wrong("epochs", schedule.epochs.to_string(), "1 to 100000");
        }
        Ok(Recipe::new(self.learner.clone(), schedule, self.keep()))
    }

    /// Which steps leave a checkpoint. As many as there are is the same as all, and is written so.
    fn keep(&self) -> Keep {
        match self.checkpoints.keep {
            Some(count) if self.cut().is_ok_and(|(_, slices)| count.saturating_add(1) < slices) => Keep::Best(count),
            _ => Keep::All,
        }
    }

    /// The schedule as written, or what suits the learner.
    fn schedule(&self) -> Result<Schedule, ConfigError> {
        Ok(self.schedule.unwrap_or(self.suited()?.schedule))
    }
}

impl std::str::FromStr for ScheduleKind {
    type Err = String;

    fn from_str(text: &str) -> Result<ScheduleKind, String> {
        match text {
            "cumulative" => Ok(ScheduleKind::Cumulative),
            "replay" => Ok(ScheduleKind::Replay),
            "front" => Ok(ScheduleKind::Front),
            "once" => Ok(ScheduleKind::Once),
            "window" => Ok(ScheduleKind::Window),
            other => Err(format!("`{other}` is not one of cumulative, replay, front, once, window")),
        }
    }
}
