//! `[serve.opendsr]` and `[serve.tls]`: how a privacy desk is answered, and by which certificates. Nothing is frozen from them.

use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::ConfigError;

/// `[serve.opendsr]`: the protocol of privacy desks (OpenDSR 2.0).
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct DeskConfig {
    /// The domain that answers are given for, and that the certificate names.
    pub domain: String,
    /// What the controller is called here.
    pub controller: String,
    /// What kind of identity a subject's id is.
    #[serde(default = "customer_id")]
    pub identity: String,
    /// The certificate whose key signs answers, in PEM.
    pub certificate: Option<PathBuf>,
    /// Its secret key, in PEM (PKCS #8).
    pub key: Option<PathBuf>,
    /// What callback addresses may begin with; without any none is called.
    #[serde(default)]
    pub callbacks: Vec<String>,
    /// Whether callbacks may go to this machine and to private networks.
    #[serde(default)]
    pub private_callbacks: bool,
    /// Certificates that callback servers are trusted by, in PEM; the system's without.
    pub callback_ca: Option<PathBuf>,
    /// Seconds until a callback that failed is tried again, at first.
    #[serde(default = "minute")]
    pub retry_seconds: u32,
    /// Minutes in which a request may be cancelled before anything is done.
    #[serde(default)]
    pub grace_minutes: u32,
    /// From when on a request is told to be completed.
    #[serde(default)]
    pub completed_at: WholeAt,
}

/// From when on a request is told to be completed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum WholeAt {
    /// From when nothing answers that saw the records.
    Effective,
    /// From when everything is trained again without them.
    #[default]
    Repaired,
}

/// `[serve.tls]`.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct TlsConfig {
    /// The certificate and those above it, in PEM.
    pub certificate: PathBuf,
    /// Its secret key, in PEM.
    pub key: PathBuf,
    /// Certificates by which clients have to be known, in PEM; any client may connect without.
    pub client_ca: Option<PathBuf>,
}

fn customer_id() -> String {
    "controller_customer_id".into()
}

fn minute() -> u32 {
    60
}

impl TlsConfig {
    /// With paths as seen from `folder`.
    pub(super) fn within(self, folder: &Path) -> TlsConfig {
        TlsConfig {
            certificate: folder.join(self.certificate),
            key: folder.join(self.key),
            client_ca: self.client_ca.map(|file| folder.join(file)),
        }
    }
}

impl DeskConfig {
    /// With paths as seen from `folder`.
    pub(super) fn within(self, folder: &Path) -> DeskConfig {
        let at = |file: Option<PathBuf>| file.map(|file| folder.join(file));
        DeskConfig { certificate: at(self.certificate), key: at(self.key), callback_ca: at(self.callback_ca), ..self }
    }

    /// Refuses what is out of range.
    pub(super) fn checked(self) -> Result<DeskConfig, ConfigError> {
        let wrong = |setting, value: String, allowed| Err(ConfigError::Setting { setting, value, allowed });
        let fine = |text: &str, also: &str| {
            !text.is_empty() && text.len() <= 253 && text.chars().all(|c| c.is_ascii_alphanumeric() || also.contains(c))
        };
        if !fine(&self.domain, "-.") {
            return wrong("domain", self.domain, "a domain such as dsr.example.com");
        }
        for (setting, text) in [("controller", &self.controller), ("identity", &self.identity)] {
            if !fine(text, "-_.") {
                return wrong(setting, text.clone(), "letters, digits, `-`, `_` or `.`");
            }
        }
        if self.certificate.is_some() != self.key.is_some() {
            let (has, lacks) = if self.key.is_some() { ("key", "certificate") } else { ("certificate", "key") };
            return wrong(
                has,
                "alone".into(),
                if lacks == "key" { "with `key` beside it" } else { "with `certificate` beside it" },
            );
        }
        if let Some(url) = self.callbacks.iter().find(|url| !url.starts_with("https://") && !url.starts_with("http://")) {
            return wrong("callbacks", url.clone(), "beginnings of addresses, such as https://privacy.example.com/");
        }
        for (setting, value, low, high, allowed) in [
            ("retry_seconds", self.retry_seconds, 1, 3_600, "1 to 3600"),
            ("grace_minutes", self.grace_minutes, 0, 43_200, "0 to 43200, a month"),
        ] {
            if !(low..=high).contains(&value) {
                return wrong(setting, value.to_string(), allowed);
            }
        }
        Ok(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wrong_is_named() {
        let least = "domain = \"d.example\"\ncontroller = \"acme\"\n";
        let read = |more: &str| toml::from_str::<DeskConfig>(&format!("{least}{more}")).unwrap().checked();
        let fine = read("").unwrap();
        assert_eq!(
            (fine.identity.as_str(), fine.retry_seconds, fine.completed_at),
            ("controller_customer_id", 60, WholeAt::Repaired)
        );
        for (more, setting) in [
            ("key = \"k\"", "key"),
            ("certificate = \"c\"", "certificate"),
            ("callbacks = [\"ftp://x\"]", "callbacks"),
            ("retry_seconds = 0", "retry_seconds"),
            ("identity = \"a b\"", "identity"),
        ] {
            let error = read(more).unwrap_err();
            assert!(error.to_string().starts_with(setting), "{error}");
        }
        assert!(toml::from_str::<DeskConfig>("domain = \"d.example\"").is_err(), "a controller is needed");
    }

    #[test]
    fn files_are_named_from_the_folder_of_the_configuration() {
        let tls: TlsConfig = toml::from_str("certificate = \"c.pem\"\nkey = \"/k.pem\"").unwrap();
        let tls = tls.within(Path::new("/w"));
        assert_eq!((tls.certificate, tls.key), (PathBuf::from("/w/c.pem"), PathBuf::from("/k.pem")));
    }
}
