//! What a learner outside this program is, and how it is run. Parsed, hashed and carried along without running it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{
    digest::Digest,
    learn::{SettingsError, error::allow},
};

/// A learner that a program of the person's own is, run as a worker process.
///
/// All of it goes into `recipe.json`, and so into every lineage key: a worker that could compute anything else is another recipe.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExternalSettings {
    /// What the person calls it.
    pub name: String,
    /// The program and its arguments, run in the workspace's folder.
    pub command: Vec<String>,
    /// Files whose content decides what the program computes, from the workspace's folder.
    #[serde(default)]
    pub code: Vec<String>,
    /// Handed to the worker as they are.
    #[serde(default)]
    pub settings: BTreeMap<String, Value>,
    /// Environment variables that are set for the worker.
    #[serde(default)]
    pub variables: BTreeMap<String, String>,
    /// Rows of a batch.
    #[serde(default = "batch")]
    pub batch: u32,
    /// Seconds in which every frame is to be answered.
    #[serde(default = "seconds")]
    pub seconds: u32,
    /// The address space that a worker may use, in MiB; no limit where it is left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory_mb: Option<u32>,
    /// Another number is another recipe, for what no other setting says.
    #[serde(default = "edition")]
    pub edition: u32,
    /// Whether training again is to give the same bytes. The person may say that it won't: then nothing is claimed but what holds by construction.
    #[serde(default = "yes", skip_serializing_if = "is_yes")]
    pub replay: bool,
    /// The digests of the files of `code`, in that order; found when the configuration is read.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub digests: Vec<Digest>,
    /// What the worker says of itself and where it runs; found when the recipe is frozen.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub environment: BTreeMap<String, String>,
    /// The digest of what it makes of made-up rows, or of its environment where it is not to be replayed; found when the recipe is frozen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub probe: Option<Digest>,
}

fn batch() -> u32 {
    256
}

fn seconds() -> u32 {
    600
}

fn edition() -> u32 {
    1
}

fn yes() -> bool {
    true
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks for it")]
fn is_yes(flag: &bool) -> bool {
    *flag
}

impl ExternalSettings {
    /// Whether what is found by running the worker is there.
    pub fn is_settled(&self) -> bool {
        self.probe.is_some()
    }

    /// The same with what is found by running a worker, of settings that are the same but for that.
    pub fn settled_like(mut self, other: &ExternalSettings) -> ExternalSettings {
        let mut settled = self.clone();
        (settled.environment, settled.probe) = (other.environment.clone(), other.probe);
        if settled == *other {
            self = settled;
        }
        self
    }

    /// Refuses what is not allowed.
    pub(crate) fn checked(&self) -> Result<(), SettingsError> {
        let text = |text: &String| !text.is_empty() && !text.contains('\0');
        allow((1..=64).contains(&self.name.len()) && !self.name.contains(char::is_control), "name", || {
            (format!("{:?}", self.name), "a text of 1 to 64 bytes".into())
        })?;
        allow(!self.command.is_empty() && self.command.iter().all(text), "command", || {
            (format!("{:?}", self.command), "a program and its arguments, such as [\"python3\", \"bayes.py\"]".into())
        })?;
        allow(self.code.iter().all(text), "code", || {
            (format!("{:?}", self.code), "files of which the command consists, such as [\"bayes.py\"]".into())
        })?;
        allow(self.digests.is_empty() || self.digests.len() == self.code.len(), "digests", || {
            (
                format!("{} digests of {} files", self.digests.len(), self.code.len()),
                "nothing: they are found, not written".into(),
            )
        })?;
        let name = |name: &String| text(name) && !name.contains('=');
        allow(self.variables.iter().all(|(key, value)| name(key) && !value.contains('\0')), "variables", || {
            (format!("{:?}", self.variables), "names of environment variables with their values".into())
        })?;
        let within = |setting: &'static str, value: u32, low: u32, high: u32| {
            allow((low..=high).contains(&value), setting, || (value.to_string(), format!("{low} to {high}")))
        };
        within("batch", self.batch, 1, 65_536)?;
        within("seconds", self.seconds, 1, 86_400)?;
        within("memory_mb", self.memory_mb.unwrap_or(16), 16, u32::MAX)?;
        within("edition", self.edition, 1, u32::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::learn::LearnerSettings;

    const WRITTEN: &str = r#"{"kind":"external","name":"bayes","command":["python3","bayes.py"],"code":["bayes.py"],"settings":{"a":[1,0.1,{"z":true,"b":null}]}}"#;

    #[test]
    fn settings_come_back_from_their_text_with_defaults_and_without_what_is_not_found_yet() {
        let settings: LearnerSettings = serde_json::from_str(WRITTEN).unwrap();
        assert_eq!(settings.kind(), "external");
        let text = serde_json::to_string(&settings).unwrap();
        let expected = r#"{"kind":"external","name":"bayes","command":["python3","bayes.py"],"code":["bayes.py"],"settings":{"a":[1,0.1,{"b":null,"z":true}]},"variables":{},"batch":256,"seconds":600,"edition":1}"#;
        assert_eq!(text, expected);
        assert_eq!(serde_json::from_str::<LearnerSettings>(&text).unwrap(), settings);
        assert!(settings.check().is_ok());
        let unknown = WRITTEN.replace(r#""code""#, r#""codes":1,"code""#);
        assert!(serde_json::from_str::<LearnerSettings>(&unknown).is_err());
    }

    #[test]
    fn what_is_not_allowed_is_named() {
        for (from, to, setting) in [
            (r#""bayes","#, r#""","#, "name"),
            (r#"["python3","bayes.py"]"#, "[]", "command"),
            (r#"["bayes.py"]"#, r#"[""]"#, "code"),
            (r#""code""#, r#""batch":0,"code""#, "batch"),
            (r#""code""#, r#""seconds":0,"code""#, "seconds"),
            (r#""code""#, r#""memory_mb":3,"code""#, "memory_mb"),
            (r#""code""#, r#""edition":0,"code""#, "edition"),
            (r#""code""#, r#""variables":{"A=B":"c"},"code""#, "variables"),
        ] {
            let text = WRITTEN.replacen(from, to, 1);
            assert_ne!(text, WRITTEN);
            let settings: LearnerSettings = serde_json::from_str(&text).unwrap();
            assert_eq!(settings.check().unwrap_err().setting, setting);
        }
    }

    #[test]
    fn what_was_found_is_taken_over_only_where_all_else_is_the_same() {
        let LearnerSettings::External(fresh) = serde_json::from_str(WRITTEN).unwrap() else { panic!("external") };
        let environment = [("python".to_owned(), "3".to_owned())].into();
        let fresh = *fresh;
        let settled = ExternalSettings { environment, probe: Some(Digest::of(b"p")), ..fresh.clone() };
        assert_eq!(fresh.clone().settled_like(&settled), settled);
        let other = ExternalSettings { edition: 2, ..fresh };
        assert!(!other.clone().settled_like(&settled).is_settled());
    }
}
