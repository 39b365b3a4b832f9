//! `[serve]`: how the service answers. Nothing is frozen from it.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use serde::Deserialize;

use super::{ConfigError, DeskConfig, REKEY_AFTER, TlsConfig};

/// `[serve]`, checked.
#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct ServeConfig {
    /// The address that is listened on, with its port.
    pub listen: String,
    /// The model's name.
    pub model: String,
    /// Bytes of a body, unpacked, in mebibytes.
    pub body_mib: u32,
    /// Rows of a request.
    pub rows: u32,
    /// Ids of a deletion request.
    pub ids: u32,
    /// Predictions that wait for a thread; further ones are told to come again.
    pub queue: u32,
    /// Deletions that wait for their turn; further ones are told to come again.
    pub deletions: u32,
    /// Connections at once; further ones wait to be taken.
    pub connections: u32,
    /// Seconds for reading a request and answering it.
    pub answer_seconds: u32,
    /// Seconds that a prediction waits while a deletion is on its way into effect.
    pub wait_seconds: u32,
    /// Seconds from the wish to stop until connections are no longer taken.
    pub drain_seconds: u32,
    /// When what deletions leave missing is trained.
    pub repair: RepairPolicy,
    /// Minutes between two repairs, of `window`.
    pub window_minutes: u32,
    /// Days from acceptance in which a request is to be repaired, of `deadline`.
    pub deadline_days: u32,
    /// The share of its full weight below which the vote of all shards may not fall before a repair begins.
    pub min_weight: f64,
    /// The secret key that receipts are signed with, from the folder of the file.
    pub sign: Option<PathBuf>,
    /// By which rows the quality of answers is measured while it serves.
    pub quality: QualityOf,
    /// Days from the day that a request was made in which it is to be repaired, by the law that it is made under.
    pub deadlines: BTreeMap<String, u32>,
    /// Requests for deletions that a key may make in a minute, and in a day.
    pub deletions_per_minute: u32,
    /// As above, in a day.
    pub deletions_per_day: u32,
    /// The certificate that the service is known by; it speaks without TLS where there is none.
    pub tls: Option<TlsConfig>,
    /// The protocol of privacy desks; it is not spoken where there is none.
    pub opendsr: Option<DeskConfig>,
    /// The share of a generation's records from which on, once deleted, a rekey is asked for; `[guard]` says it.
    #[serde(skip)]
    pub rekey_after: f64,
}

/// By which rows the quality of answers is measured: a text, of which two are no file.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(from = "String")]
pub enum QualityOf {
    /// By none.
    Off,
    /// By those that were held out.
    #[default]
    Holdout,
    /// By a table with labels, from the folder of the file.
    File(PathBuf),
}

impl From<String> for QualityOf {
    fn from(text: String) -> QualityOf {
        match text.as_str() {
            "off" => QualityOf::Off,
            "holdout" => QualityOf::Holdout,
            _ => QualityOf::File(text.into()),
        }
    }
}

impl QualityOf {
    /// With the file as it is found from a folder.
    pub(super) fn within(self, folder: &Path) -> QualityOf {
        match self {
            QualityOf::File(file) => QualityOf::File(folder.join(file)),
            other => other,
        }
    }
}

/// When what deletions leave missing is trained.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RepairPolicy {
    /// At once; what comes meanwhile is repaired next, together.
    #[default]
    Eager,
    /// At most once in a while.
    Window,
    /// As late as it can be.
    Deadline,
}

impl Default for ServeConfig {
    fn default() -> ServeConfig {
        ServeConfig {
            listen: "127.0.0.1:8080".into(),
            model: "sisa".into(),
            body_mib: 16,
            rows: 65_536,
            ids: 1_000,
            queue: 64,
            deletions: 4_096,
            connections: 1_024,
            answer_seconds: 30,
            wait_seconds: 2,
            drain_seconds: 1,
            repair: RepairPolicy::default(),
            window_minutes: 60,
            deadline_days: 28,
            min_weight: 0.5,
            sign: None,
            quality: QualityOf::default(),
            deadlines: [("gdpr", 28), ("ccpa", 45), ("lgpd", 15)].map(|(law, days)| (law.to_owned(), days)).into(),
            deletions_per_minute: 1_000,
            deletions_per_day: 10_000,
            tls: None,
            opendsr: None,
            rekey_after: REKEY_AFTER,
        }
    }
}

impl ServeConfig {
    /// Refuses what is out of range.
    pub(super) fn checked(self) -> Result<ServeConfig, ConfigError> {
        let wrong = |setting, value: String, allowed| Err(ConfigError::Setting { setting, value, allowed });
        let ranges = [
            ("body_mib", self.body_mib, 1, 1_024, "1 to 1024"),
            ("rows", self.rows, 1, 1_000_000, "1 to 1000000"),
            ("ids", self.ids, 1, 100_000, "1 to 100000"),
            ("queue", self.queue, 1, 100_000, "1 to 100000"),
            ("deletions", self.deletions, 1, 100_000, "1 to 100000"),
            ("connections", self.connections, 1, 100_000, "1 to 100000"),
            ("answer_seconds", self.answer_seconds, 1, 3_600, "1 to 3600"),
            ("wait_seconds", self.wait_seconds, 0, 60, "0 to 60"),
            ("drain_seconds", self.drain_seconds, 0, 5, "0 to 5, as all ends within 10 seconds"),
            ("window_minutes", self.window_minutes, 1, 10_080, "1 to 10080, a week"),
            ("deadline_days", self.deadline_days, 1, 3_650, "1 to 3650"),
            ("deletions_per_minute", self.deletions_per_minute, 1, 1_000_000, "1 to 1000000"),
            ("deletions_per_day", self.deletions_per_day, 1, 100_000_000, "1 to 100000000"),
        ];
        for (setting, value, low, high, allowed) in ranges {
            if !(low..=high).contains(&value) {
                return wrong(setting, value.to_string(), allowed);
            }
        }
        let named = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
        if self.model.is_empty() || self.model.len() > 64 || !self.model.chars().all(named) {
            return wrong("model", self.model, "1 to 64 letters, digits, `-`, `_` or `.`");
        }
        if !(0.0..=1.0).contains(&self.min_weight) {
            return wrong("min_weight", self.min_weight.to_string(), "a share from 0 to 1");
        }
        let law = |name: &str| {
            !name.is_empty() && name.len() <= 32 && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit())
        };
        if let Some((name, days)) = self.deadlines.iter().find(|(name, days)| !law(name) || !(1..=3_650).contains(*days)) {
            return wrong(
                "deadlines",
                format!("{name} = {days}"),
                "laws in lower-case letters and digits, each with 1 to 3650 days",
            );
        }
        let opendsr = self.opendsr.clone().map(DeskConfig::checked).transpose()?;
        Ok(ServeConfig { opendsr, ..self })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_out_has_a_default_and_what_is_wrong_is_named() {
        let read = |text: &str| toml::from_str::<ServeConfig>(text);
        assert_eq!(read("").unwrap(), ServeConfig::default());
        assert_eq!(read("repair = \"window\"").unwrap().repair, RepairPolicy::Window);
        assert!(read("repair = \"never\"").is_err() && read("lissen = \"x\"").is_err());
        ServeConfig::default().checked().unwrap();
        for (text, setting) in [("rows = 0", "rows"), ("model = \"a b\"", "model"), ("min_weight = 2.0", "min_weight")] {
            let error = read(text).unwrap().checked().unwrap_err();
            assert!(error.to_string().starts_with(setting), "{error}");
        }
    }
}
